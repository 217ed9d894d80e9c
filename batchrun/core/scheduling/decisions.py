"""What a scheduler says: launch this ticket, wait, or all is done; and what an attempt's result means for its row."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from batchrun.core.classes import value
from batchrun.core.money.budget import Promise
from batchrun.core.scheduling.lanes import Lane
from batchrun.core.scheduling.parking import Parked, ParkedScope


class Verdict(StrEnum):
    """What an attempt's result means for its row."""

    ANSWERED = "answered"
    REJECTED = "rejected"
    EXHAUSTED = "exhausted"
    AGAIN = "again"
    THROTTLED = "throttled"
    PARKED = "parked"
    REASKED = "reasked"
    HELD = "held"
    """In doubt, and not to be sent again until a person says so: pending, and out of this opening."""

    @property
    def final(self) -> bool:
        """Whether the row leaves the scheduler."""
        return self in _FINAL


ANSWERED = Verdict.ANSWERED
"""By a name of its own, for nearly every row asks for it: looking a member up costs five times as much."""
_FINAL = (ANSWERED, Verdict.REJECTED, Verdict.EXHAUSTED, Verdict.HELD)


@dataclass(slots=True, eq=False)
class Ticket:
    """One row on its way: the permit to make one attempt."""

    ordinal: int
    attempt: int
    """1 for a row's first attempt of this opening; throttled attempts do not count."""
    launched_at: float
    lane: Lane = field(repr=False)
    paid: float = 0.0
    """Tokens that the attempt is expected to cost, as its quotas were charged."""
    probes: tuple[Parked, ...] = field(default=(), repr=False)
    """The parks whose end this attempt tries."""
    promised: tuple[Promise, ...] = field(default=(), repr=False)
    """What the attempt may cost, set aside in each of its lane's budgets."""
    places: tuple[int, int] = (0, 0)
    """Those that the limits on calls at once gave it, its lane's and its pool's."""
    number: int = 0
    """Which of its pool's calls it is."""
    sent: bool = True
    """False once it is known that no call is made."""
    billed: int = 0
    """Calls of its row that may have been billed for nothing, where no more are made for that."""
    expected: float | None = None
    """What it would be expected to cost by what is known once it has ended: None where that is as much as it paid."""

    @property
    def workspace(self) -> str:
        """That its row is of."""
        return self.lane.plan.workspace

    @property
    def model(self) -> str:
        """That its row is for."""
        return self.lane.plan.model


@value
class Launch:
    """Send this one now."""

    ticket: Ticket


@value
class WaitUntil:
    """Nothing may go before *at*, or before an attempt is released; infinity where only the latter helps."""

    at: float


@value
class Drained:
    """All done, or all that is left is parked or was stopped; nothing is in flight."""

    parked: tuple[ParkedScope, ...]
