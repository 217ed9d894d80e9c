"""What a page is about, and the sums it keeps asking for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from batchrun.core.classes import value
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.totals import Totals
from batchrun.core.natural import Natural, natural
from batchrun.core.rows.reasons import Reason

_Key = TypeVar("_Key")

COLOURS = 5
"""Models, or workspaces, that have a colour of their own; the rest share one."""


@value
class Ran:
    """One run of those that the page is about."""

    run: str
    name: str
    finished: bool = True
    """Whether its last opening came to an end of its own: neither under way nor killed."""
    stopped_by: str | None = None
    grown: bool = False
    """Whether more stood in its input when it ended than when it was opened."""
    where: str = ""
    """Its directory, where the page is about several, and may tell."""


@value
class Parked:
    """What stands still until a person acts."""

    scope: str
    """``lane``, ``workspace`` or ``account``."""
    name: str
    rows: int
    code: str
    status: int | None = None
    message: str = ""
    advice: str = ""
    run: str = ""
    """Where the run stands that it is of; nothing where there is but one, or where it may name others than the reader."""


@dataclass(frozen=True)
class Subject:
    """The statement and the course of a run, or of several, or of one workspace's part."""

    runs: Sequence[Ran]
    statement: Statement
    course: Course
    made_at: datetime
    zone: ZoneInfo
    job: Mapping[str, Any] = field(default_factory=dict)
    """As run.json describes it; of several runs, the last one's."""
    parked: Sequence[Parked] = ()
    workspace: str | None = None
    """Whose page it is; None for everybody's."""
    by: Sequence[str] = ()
    """What the statement tells apart beside workspace and model."""
    made_up: Literal["made_up", "partly_made_up"] | None = None
    """Whether the simulator answered, and nobody else did."""
    no_rows: Sequence[Reason] = ()
    """Why most of the input lines that are no row are none."""

    @property
    def needs_a_person(self) -> list[Parked]:
        """What a person must see to."""
        return [each for each in self.parked if each.code != "window_closed"]

    @property
    def closed(self) -> list[Parked]:
        """What only waits for its hours."""
        return [each for each in self.parked if each.code == "window_closed"]

    @cached_property
    def total(self) -> Totals:
        """All of it."""
        return self.statement.total()

    @cached_property
    def of_workspaces(self) -> dict[str, Totals]:
        """By workspace, the dearest first."""
        return self.ranked({name: total for name, (total, _) in self.statement.of_workspaces().items()})

    @cached_property
    def of_models(self) -> dict[str, Totals]:
        """By model, the dearest first."""
        models: dict[str, Totals] = {}
        for (_, model), totals in self.statement.lanes.items():
            models.setdefault(model, Totals()).add(totals)
        return self.ranked(models)

    @cached_property
    def lanes(self) -> dict[tuple[str, str], Totals]:
        """By workspace and model, the dearest first."""
        return self.ranked(self.statement.lanes)

    @cached_property
    def currencies(self) -> tuple[str, ...]:
        """What was paid in."""
        return tuple(sorted(self.total.cost))

    @cached_property
    def currency(self) -> str | None:
        """What costs are drawn in; None where tokens are drawn: nothing has a price, or there is no one currency to compare in."""
        return self.currencies[0] if len(self.currencies) == 1 and self.total.cost[self.currencies[0]] else None

    @cached_property
    def colours(self) -> dict[str, int]:
        """The number of each model's colour; the rest have COLOURS."""
        return {model: min(place, COLOURS) for place, model in enumerate(self.of_models)}

    def weight(self, totals: Totals) -> Decimal:
        """What is drawn of *totals*: its cost, or its tokens."""
        if self.currency is not None:
            return totals.cost.get(self.currency, Decimal(0))
        return Decimal(totals.input_tokens + totals.output_tokens)

    def share(self, totals: Totals) -> float:
        """The part that *totals* are of the whole, as drawn."""
        whole = self.weight(self.total)
        return float(self.weight(totals) / whole) if whole else 0.0

    def ranked(self, found: Mapping[_Key, Totals]) -> dict[_Key, Totals]:
        """The dearest first."""

        def place(each: tuple[_Key, Totals]) -> tuple[Decimal, int, Natural]:
            totals = each[1]
            return -self.weight(totals), -(totals.input_tokens + totals.output_tokens), natural(str(each[0]))

        return dict(sorted(found.items(), key=place))


def rows_of(totals: Totals) -> int:
    """Rows, whatever became of them."""
    return totals.answered + totals.rejected + totals.exhausted + totals.pending
