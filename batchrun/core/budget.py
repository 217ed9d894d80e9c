"""May another attempt be afforded: what was spent and what is promised, against a cap in money or tokens.

An attempt is promised at its upper bound before it is sent, and settled after at what it cost; one that nobody can tell the cost of
stays at its bound. So however many are under way at once, what is spent is never more than the cap. A lane whose next row is more than
what is left waits for what is under way: that may cost less than was promised. When nothing is, the row can not be afforded, and the lane
parks.

A purse is shared by all lanes that its cap is about. What earlier openings of the run have spent is read from its ledger (`Spending`), what
is in doubt at its bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from batchrun.core.attempts import Bound
from batchrun.core.doubt import Calls, Line
from batchrun.core.entry import Entry
from batchrun.core.model import Failure, Fault, Money, Scope, Usage

TOKENS = "tokens"
"""The unit of a cap that is not in money."""
WARNED_AT = (Decimal("0.5"), Decimal("0.8"), Decimal("0.95"))
"""Shares of a cap that are told when they are spent."""

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Cap:
    """What may be spent."""

    name: str
    """Whose, in the words of the job file."""
    amount: Decimal
    unit: str
    """``tokens``, or a currency."""


LaneKey = tuple[str, str]
"""Workspace and model."""
Cost = Callable[[LaneKey, int, int], Decimal | None]
"""What so many input and output tokens of a lane cost at the most, in the cap's unit; None where that is unknown."""
Spent = Callable[[LaneKey, Usage], Decimal | None]
"""What a call of a lane cost."""


def tokens_at_most(_lane: LaneKey, input_tokens: int, output_tokens: int) -> Decimal:
    """Count tokens."""
    return Decimal(input_tokens + output_tokens)


def tokens_of(_lane: LaneKey, usage: Usage) -> Decimal:
    """Count tokens."""
    return Decimal(usage.input_tokens + usage.output_tokens)


@dataclass(slots=True, eq=False)
class Purse:
    """What is left of one cap."""

    cap: Cap
    most: Cost = tokens_at_most
    cost: Spent = tokens_of
    spent: Decimal = _NOTHING
    promised: Decimal = _NOTHING
    """At the most, by what is under way."""
    warned: Decimal = field(default=_NOTHING)
    """The largest of WARNED_AT that was told."""

    @property
    def left(self) -> Decimal:
        """What nobody has spent or been promised; below nothing where an earlier opening overspent a cap that was lowered since."""
        return self.cap.amount - self.spent - self.promised

    def price(self, lane: LaneKey, most: Bound) -> Decimal | None:
        """What an attempt costs at the most; None where that is unknown."""
        return self.most(lane, most.input_tokens, most.output_tokens)

    def promise(self, amount: Decimal) -> bool:
        """Set *amount* aside, if it is left."""
        if amount > self.left:
            return False
        self.promised += amount
        return True

    def keep(self, amount: Decimal) -> None:
        """Give back what was promised: the attempt was not sent."""
        self.promised -= amount

    def settle(self, lane: LaneKey, promised: Decimal, usage: Usage | None, *, in_doubt: bool) -> None:
        """Spend what an attempt cost that was *promised* so much: its bound, where nobody can tell."""
        self.promised -= promised
        cost = self.cost(lane, usage) if usage is not None else None
        if cost is None:
            cost = promised if in_doubt or usage is not None else _NOTHING
        self.spent += cost

    def warning(self) -> Decimal | None:
        """The share of WARNED_AT that is spent now and was not told yet."""
        share = max((each for each in WARNED_AT if self.spent >= each * self.cap.amount), default=_NOTHING)
        if share <= self.warned:
            return None
        self.warned = share
        return share


@dataclass(frozen=True, slots=True)
class Lack:
    """Why an attempt can not be afforded."""

    purse: Purse
    price: Decimal | None
    """None where it is unknown."""


def promise_all(purses: tuple[Purse, ...], lane: LaneKey, most: Bound) -> tuple[Decimal, ...] | Lack:
    """Set an attempt's bound aside in every one of *purses*, or in none."""
    promised: list[Decimal] = []
    for purse in purses:
        price = purse.price(lane, most)
        if price is None or not purse.promise(price):
            for other, amount in zip(purses, promised, strict=False):
                other.keep(amount)
            return Lack(purse, price)
        promised.append(price)
    return tuple(promised)


def broke(lack: Lack, model: str) -> Failure:
    """What parks a lane that can not afford its next row."""
    cap = lack.purse.cap
    where = f"{cap.name} = {told(cap.amount, cap.unit)}"
    if lack.price is None:
        advice = f"give {model} a price in [prices], or say in the budget what an unpriced model counts as"
        return Failure(Fault.PARK, Scope.LANE, "no_price", f"{where}: {model} has no price in {cap.unit}", advice)
    message = f"{where}: {told(lack.purse.spent, cap.unit)} spent; the next row may cost {told(lack.price, cap.unit)}"
    advice = "raise the budget, or set max_tokens: without it a row is taken to be answered at full length; then run the same command again"
    return Failure(Fault.PARK, Scope.LANE, "budget_spent", message, advice)


def told(amount: Decimal, unit: str) -> str:
    """An amount as a person reads it."""
    return f"{amount:,.0f} tokens" if unit == TOKENS else f"{amount:,.4f}".rstrip("0").rstrip(".") + f" {unit}"


class Spending:
    """Reads a run's ledger into its purses: all attempts first, then the entries of each workspace. `close` ends it."""

    def __init__(self, purses: Mapping[LaneKey, tuple[Purse, ...]]) -> None:
        self._purses = purses
        self.calls = Calls()

    def attempts(self, lines: Iterable[Line]) -> None:
        """Take in attempts.log."""
        for started, ended in self.calls.take(lines):
            if ended is not None and ended.usage is not None:
                self._spend((started.workspace, started.model), ended.usage, ended.cost)

    def entries(self, entries: Iterable[Entry]) -> None:
        """Take in one output file."""
        for entry in entries:
            self.calls.told(entry)
            if entry.usage is not None:
                self._spend((entry.workspace, entry.model), entry.usage, entry.cost)

    def close(self) -> None:
        """What is in doubt may have been billed."""
        for started, *_ in self.calls.in_doubt():
            lane = started.workspace, started.model
            for purse in self._purses.get(lane, ()):
                purse.spent += purse.price(lane, started.bound) or _NOTHING

    def _spend(self, lane: LaneKey, usage: Usage, told: Money | None) -> None:
        for purse in self._purses.get(lane, ()):
            # What was written down then holds, whatever prices have become.
            known = told.amount if told is not None and told.currency == purse.cap.unit else purse.cost(lane, usage)
            purse.spent += known or _NOTHING
