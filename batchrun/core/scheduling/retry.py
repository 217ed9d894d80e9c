"""A failure becomes the next step of its row: again (when), back to the front, reject, exhaust, hold, or park (what).

Backoff is exponential with full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015): uniform between nothing and the
step's cap, so that rows which failed together do not come back together.
"""

from __future__ import annotations

from batchrun.core.classes import value
from batchrun.core.model import Failure, Fault


@value
class RetryPolicy:
    """How often, and how patiently, a row is tried."""

    max_attempts: int = 6
    first: float = 1.0
    """Seconds: the first backoff's cap; each later one doubles it."""
    max: float = 60.0
    """Seconds: no backoff's cap is longer."""
    hold_in_doubt: bool = False
    """A row of which a call may have been billed is not sent again until a person says so."""
    outage: float = 21_600.0
    """Seconds that an endpoint is waited for which had answered, and to which no connection comes to stand any more."""
    max_billed: int = 3
    """How many calls of a row may have been billed and brought nothing (`billed.py`), before no more are made."""
    keeps_to: bool = False
    """A person has said how many attempts a row has: it has no more, however often its endpoint fails (`luck.py`)."""

    def holds(self, failure: Failure) -> bool:
        """Whether a row is not to be sent again after such a failure, whatever its lane learns of it."""
        return self.hold_in_doubt and failure.in_doubt and failure.usage is None


@value
class TryAgain:
    """The row waits in its lane for *delay* seconds, holding nothing."""

    delay: float


@value
class BackToFront:
    """The row was throttled, or is asked again: it keeps its place and its attempts, unless it is to be held."""


@value
class Reject:
    """Nothing would help this row."""


@value
class Exhaust:
    """The row had its last attempt, or its last that may have been billed for nothing."""


@value
class Park:
    """Nothing would help any row of the failure's scope."""


@value
class Hold:
    """A call of the row may have been billed: it waits for a person."""


Step = TryAgain | BackToFront | Reject | Exhaust | Park | Hold


def backoff_cap(policy: RetryPolicy, attempt: int) -> float:
    """Longest wait after the *attempt*-th failure, in seconds; clamped before the power can overflow."""
    doublings = min(attempt - 1, 64)
    return min(policy.max, policy.first * 2.0**doublings)


def next_step(policy: RetryPolicy, failure: Failure, attempt: int, jitter: float, *, may_be_billed: bool = True) -> Step:
    """What a row's *attempt*-th attempt leads to; *jitter* is uniform in [0, 1). A Retry-After is a floor.

    Whether another of its calls *may be billed* and bring nothing is for `billed.py` to say.
    """
    match failure.fault:
        case Fault.THROTTLED | Fault.REASK:
            return BackToFront()
        case Fault.REJECT:
            return Reject()
        case Fault.PARK:
            return Park()
        case Fault.AGAIN if policy.holds(failure):
            return Hold()
        case Fault.AGAIN if attempt >= policy.max_attempts or not may_be_billed:
            return Exhaust()
        case Fault.AGAIN:
            return TryAgain(max(jitter * backoff_cap(policy, attempt), failure.retry_after or 0.0))
