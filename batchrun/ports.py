"""What the engine is given, and what it knows of a row on its way: the outside as it sees it.

It knows neither files nor sockets: something makes rows ready, something sends them, something keeps what became of them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

from batchrun.core.classes import value
from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Answered, Call, Exhausted, Failure, Outcome, Rejected, Reply, Request, Row, Usage
from batchrun.core.scheduling.billed import given_up
from batchrun.core.scheduling.decisions import ANSWERED
from batchrun.core.scheduling.scheduler import Ticket, Verdict


class Recorder(Protocol):
    """What the engine asks of a ledger (`edge/ledger` keeps the promises)."""

    def start(self, row: Row, most: Bound, at: float) -> str:
        """Note that an attempt is about to be sent, and name it."""

    def end(self, attempt: str, verdict: str, result: Reply | Failure, at: float) -> None:
        """Note what an attempt brought; its entry, where it has one, was flushed before."""

    def append(self, outcome: Outcome, now: float) -> None:
        """Note an entry."""

    def flush(self) -> None:
        """Write what was noted: starts are sent, and slots given back, only after that."""

    def tell(self) -> None:
        """Tell whoever follows what is written: what calls need not wait for."""

    def room(self, now: float) -> bool:
        """Whether more may be launched."""


@value
class Prepared:
    """A row made ready to be sent."""

    row: Row
    request: Request
    most: Bound
    """What one attempt can be billed for."""
    reading: Any = None
    """What the sender reads the answer with; the engine only hands it on."""
    check: Callable[[Reply], Reply | Failure] | None = None
    """Whether a whole answer is one that the row takes."""
    tokens: float | None = None
    """What one attempt is expected to cost, now that the row is known."""
    learn: Callable[[Usage, int], float | None] = lambda _usage, _under_way: None
    """Gets what an attempt did cost, and gives what would have been expected of it by what is known now, before it is learnt."""
    done: Callable[[], None] = lambda: None
    """Called when the row leaves the run, whatever became of it."""
    again: Callable[[], None] = lambda: None
    """Called when it does not: the row will be asked for once more."""


@value
class Unsendable:
    """A row that cannot be sent as it is: what its failure leads to happens before any call."""

    row: Row
    failure: Failure


@value
class Unreadable:
    """A row that could not be read back: the input changed under the run."""

    reason: str


@value
class Fetching:
    """A row that has to wait for something of its own, a file that it names, before it is ready."""

    wait: Callable[[], Awaitable[Prepared | Unsendable]]


class Begun(Protocol):
    """A call that is under way without anybody who waits for it."""

    began: float
    """On the loop's clock."""

    def taken(self, at: float) -> Reply | Failure | None:
        """What came *at* the time that was told; None where there is more to wait for."""

    async def rest(self) -> Reply | Failure:
        """Wait for it. Cancelling ends the call."""

    def abort(self) -> None:
        """End the call, whatever is on its way."""


async def _now() -> None:
    pass


async def _at_once(_row: Row) -> None:
    pass


def _never(_ready: Prepared, _came: Callable[[float], None]) -> Begun | None:
    return None


@value
class Ports:
    """The outside, as the engine sees it."""

    prepare: Callable[[Sequence[Ticket]], Sequence[Prepared | Unsendable | Unreadable | Fetching]]
    send: Callable[[Prepared], Awaitable[Reply | Failure]]
    ledger: Recorder
    hand_on: Callable[[Outcome], object] | None = None
    """Gets each outcome once its entry is written; the row's slot is held until it has returned, and an awaitable that it gave is done."""
    unreadable: Callable[[Ticket, Unreadable], None] = lambda _ticket, _what: None
    promise: Callable[[Row, Bound], bool] = lambda _row, _most: True
    """Counts an attempt where a lost machine cannot lose it; False where `promised` must be awaited before it starts."""
    promised: Callable[[Row], Awaitable[None]] = _at_once
    fund: Callable[[Sequence[tuple[Ticket, Bound]], float], Collection[int]] = lambda _asked, _at: ()
    """Sees to it that budgets which are shared with other runs have what the attempts of a turn may cost, sent at a wall time, if
    there is any. Gives the places of those for which `free` must be awaited first."""
    free: Callable[[], Awaitable[None]] = _now
    begin: Callable[[Prepared, Callable[[float], None]], Begun | None] = _never
    """Begins to send, and tells by a call of the second, once and later, the loop's time at which something came; None where nothing was
    begun, and `send` is awaited."""
    busy_time: Callable[[], float] = time.thread_time
    """Seconds for which this thread had something to do for the processor."""
    jitter: Callable[[], float] = random.random
    wall_time: Callable[[], float] = time.time


class Attempt:
    """A ticket on its way, and what is known of it so far."""

    __slots__ = ("began", "ended", "launched", "name", "outcome", "promised", "ready", "result", "row", "started_at", "ticket", "verdict")

    def __init__(self, ticket: Ticket, ready: Prepared | Unsendable | Fetching) -> None:
        self.ticket = ticket
        self.ready: Any = ready
        self.row: Row
        self.promised = False
        self.name: str | None = None
        """In the log; None where no call is made."""
        self.started_at = 0.0
        """Wall time."""
        self.launched = 0.0
        """On the loop's clock, the moment that is *started_at* on the wall's."""
        self.began = self.ended = 0.0
        self.result: Any = None
        self.verdict: Verdict
        self.outcome: Outcome | None = None

    def became(self) -> Outcome | None:
        """What its verdict makes of its row."""
        call = None
        if self.name is not None:
            call = Call(self.name, self.ticket.attempt, self.started_at, round((self.ended - self.began) * 1000))
            if self.verdict is ANSWERED:
                return Answered(self.row, self.result, call)
        match self.verdict:
            case Verdict.REJECTED:
                return Rejected(self.row, self.result, call)
            case Verdict.EXHAUSTED:
                billed = self.ticket.billed
                return Exhausted(self.row, given_up(self.result, billed) if billed else self.result, call)
            case _:
                return None
