"""What came of holding a bill against ledgers: line by line, summed, and whether it closes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from batchrun.core.classes import slotted
from batchrun.core.money.bill import KINDS
from batchrun.core.money.reconcile_money import MoneyLine

NUMBERS = ("billed", "counted", "midnight", "in_doubt", "rounded", "others", "unexplained")
_MONEY = ("billed_money", "counted_money")


@slotted
class Line:
    """One day, workspace, model and kind: billed = counted + midnight + in_doubt + rounded + others + unexplained."""

    day: date
    workspace: str
    model: str
    kind: str
    """Or the bill's own amount type, where that is not known."""
    billed: int
    counted: int
    midnight: int = 0
    """Called on a neighbouring day; less than nothing where they stand there in the bill."""
    in_doubt: int = 0
    rounded: int = 0
    others: int = 0
    unexplained: int = 0
    places: tuple[str, ...] = ()
    """The first of the bill's lines."""
    bill_lines: int = 0
    keys: Mapping[str, int] = field(default_factory=dict)
    """Billed tokens by API key id, where the bill tells it; those of the console under an empty one."""

    @property
    def known(self) -> bool:
        """Whether the amount type is known."""
        return self.kind in KINDS

    @property
    def equal(self) -> bool:
        """Whether there is no difference."""
        return self.billed == self.counted

    def as_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        names = ("workspace", "model", "kind", *NUMBERS, "bill_lines")
        told = {"day": self.day.isoformat(), "known_kind": self.known} | {name: getattr(self, name) for name in names}
        return told | {"places": list(self.places), "keys": dict(self.keys)}


@slotted
class Sum:
    """The lines of a workspace, or of all, added up; money by currency."""

    billed: int = 0
    counted: int = 0
    midnight: int = 0
    in_doubt: int = 0
    rounded: int = 0
    others: int = 0
    unexplained: int = 0
    doubtful_calls: int = 0
    most_in_doubt: int = 0
    """Tokens that those can cost at the most."""
    billed_money: dict[str, Decimal] = field(default_factory=dict)
    counted_money: dict[str, Decimal] = field(default_factory=dict)
    unpriced_tokens: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the counts by name, money as exact decimal strings."""
        told = {name: getattr(self, name) for name in (*NUMBERS, "doubtful_calls", "most_in_doubt", "unpriced_tokens")}
        money = {name: {currency: f"{amount:f}" for currency, amount in getattr(self, name).items()} for name in _MONEY}
        return told | money


class Folded(NamedTuple):
    """Tokens of a kind that the bill does not tell apart, and the kind that they stand under there."""

    workspace: str
    model: str
    kind: str
    under: str
    tokens: int


@slotted
class Reconciliation:
    """What came of it."""

    timezone: str
    days: tuple[date, date] | None
    """The first and the last day on which the runs made a call; the bill's other days are not compared."""
    bill_days: tuple[date, date] | None
    lines: list[Line]
    sums: dict[str, Sum]
    """By workspace."""
    folded: list[Folded]
    strangers: dict[str, int]
    """Bill tokens of workspace ids that the runs do not name."""
    other_days_tokens: int
    other_lines: dict[str, int]
    """Bill lines that are no tokens of a model."""
    unreadable: list[str]
    """Bill lines that should be and cannot be understood: place and reason."""
    undated_tokens: int
    unreadable_attempts: int
    unlogged_answers: int
    lines_again: dict[str, int] = field(default_factory=dict)
    """Bill lines that stand in an export named before theirs, and count once: by file."""
    lines_otherwise: dict[str, int] = field(default_factory=dict)
    """Bill lines of a day and instance that an export named before theirs tells otherwise; both count: by file."""
    understood: dict[str, str] = field(default_factory=dict)
    """What whole exports were taken to mean, by file."""
    others_allowed: bool = False
    money: list[MoneyLine] = field(default_factory=list)
    """By workspace, model and currency, on the days that are compared; nothing where the bill tells no amounts."""
    money_decides: bool = False

    @property
    def closes(self) -> bool:
        """Whether every token of the bill is accounted for: by a call, within doubt and rounding, or (where allowed) by others.

        Money is accounted for too, where it decides.
        """
        total = self.total()
        wrong = self.unreadable or self.undated_tokens or any(line.unexplained for line in self.lines)
        wrong = wrong or (self.money_decides and any(line.unexplained for line in self.money))
        return not wrong and (self.others_allowed or not total.others)

    def total(self) -> Sum:
        """Add all workspaces up."""
        total = Sum()
        for one in self.sums.values():
            _add(total, one)
        return total

    def as_json(self) -> dict[str, Any]:
        """Return the whole, as ``reconcile --json`` prints it."""
        return {
            "closes": self.closes,
            "timezone": self.timezone,
            "days": _span(self.days),
            "bill_days": _span(self.bill_days),
            "lines": [line.as_json() for line in self.lines],
            "workspaces": {name: one.as_json() for name, one in self.sums.items()},
            "total": self.total().as_json(),
            "money": [line.as_json() for line in self.money],
            "folded_kinds": [each._asdict() for each in self.folded],
            "other_workspace_ids": self.strangers,
            "other_days_tokens": self.other_days_tokens,
            "other_lines": self.other_lines,
            "unreadable_lines": self.unreadable,
            "lines_again": self.lines_again,
            "lines_otherwise": self.lines_otherwise,
            "understood": self.understood,
            "undated_tokens": self.undated_tokens,
            "unreadable_attempts": self.unreadable_attempts,
            "unlogged_answers": self.unlogged_answers,
            "others_allowed": self.others_allowed,
        }


def _span(days: tuple[date, date] | None) -> list[str] | None:
    return [day.isoformat() for day in days] if days else None


def add_money(into: dict[str, Decimal], amounts: Mapping[str, Decimal]) -> None:
    """Add *amounts* to *into*, by currency."""
    for currency, amount in amounts.items():
        into[currency] = into.get(currency, Decimal()) + amount


def _add(total: Sum, one: Sum) -> None:
    for name in (*NUMBERS, "doubtful_calls", "most_in_doubt", "unpriced_tokens"):
        setattr(total, name, getattr(total, name) + getattr(one, name))
    for name in _MONEY:
        add_money(getattr(total, name), getattr(one, name))
