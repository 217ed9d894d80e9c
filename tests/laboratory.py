"""What the tests of the scheduler and the engine share: results, a bare scheduler driven by events, an endpoint, a ledger in a list."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from batchrun.core.errors import LedgerError
from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Failure, Fault, Outcome, Reply, Request, Row, Scope, Usage
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, LanePlan, Launch, Scheduler, Ticket, Verdict, WaitUntil
from batchrun.engine import Engine, Fetching, Ports, Prepared, Unreadable, Unsendable
from tests.virtual_time import run_virtually

Result = Reply | Failure
MODEL = "qwen-plus"


def answer() -> Reply:
    return Reply("an answer", "stop", Usage(10, 5))


def again(retry_after: float | None = None) -> Failure:
    return Failure(Fault.AGAIN, Scope.ROW, "internal_error", "the provider's words", "wait", retry_after=retry_after)


def unreached() -> Failure:
    return mishap("connection_refused", in_doubt=False)


def throttled(retry_after: float | None = None, code: str = "limit_requests") -> Failure:
    return Failure(Fault.THROTTLED, Scope.LANE, code, "the provider's words", "wait", retry_after=retry_after)


def rejected(code: str = "invalid_parameter_error") -> Failure:
    return Failure(Fault.REJECT, Scope.ROW, code, "the provider's words", "mend the row")


def parks(scope: Scope, code: str = "invalid_api_key") -> Failure:
    return Failure(Fault.PARK, scope, code, "the provider's words", "ask the owner")


def lane(
    workspace: str = "legal",
    rows: int = 10,
    slots: int = 4,
    *,
    model: str = MODEL,
    account: str | None = None,
    lane_concurrency: int | None = None,
) -> LanePlan:
    """One lane of *rows* rows; a workspace without an account is an account of its own."""
    return LanePlan(workspace, model, account or workspace, range(rows), rows, slots, lane_concurrency)


def launched(scheduler: Scheduler, now: float) -> list[Ticket]:
    """Launch all that may go at *now*."""
    tickets = []
    while isinstance(step := scheduler.next(now), Launch):
        tickets.append(step.ticket)
    return tickets


def ended(scheduler: Scheduler, ticket: Ticket, result: Result, now: float, jitter: float = 0.5) -> Verdict:
    """Settle and release at once, as the engine does where no entry is written."""
    verdict = scheduler.settle(ticket, result, now, jitter)
    scheduler.release(ticket)
    return verdict


@dataclass(frozen=True, slots=True)
class Settled:
    at: float
    ticket: Ticket
    verdict: Verdict


class Events:
    """Owns the clock of a bare scheduler: *respond* gives what a ticket brings, and after how many seconds."""

    def __init__(self, scheduler: Scheduler, respond: Callable[[Ticket], tuple[Result, float]], *, jitter: float = 0.5) -> None:
        self.scheduler, self.respond, self.jitter = scheduler, respond, jitter
        self.now = 0.0
        self.launches: list[Ticket] = []
        self.settled: list[Settled] = []
        self._ends: list[tuple[float, int, Ticket, Result]] = []

    def run(self, until: float = math.inf) -> Drained | None:
        """Go on to the end, or to the last event before *until*."""
        while True:
            match self.scheduler.next(self.now):
                case Launch(ticket):
                    self._launch(ticket)
                case Drained() as drained:
                    assert not self._ends, "drained with attempts in flight"
                    return drained
                case WaitUntil(at):
                    assert at > self.now, "told to wait for the past"
                    at = min(at, self._ends[0][0] if self._ends else math.inf)
                    assert at < math.inf, "nothing is in flight and nothing is due: the run hangs"
                    if at > until:
                        return None
                    self.now = at
                    self._end_due()

    def times_of(self, workspace: str) -> list[float]:
        return [ticket.launched_at for ticket in self.launches if ticket.workspace == workspace]

    def done_at(self, workspace: str) -> float:
        return max(each.at for each in self.settled if each.ticket.workspace == workspace and each.verdict.final)

    def verdicts(self) -> Counter[Verdict]:
        return Counter(each.verdict for each in self.settled)

    def _launch(self, ticket: Ticket) -> None:
        result, seconds = self.respond(ticket)
        self.launches.append(ticket)
        heapq.heappush(self._ends, (self.now + seconds, len(self.launches), ticket, result))

    def _end_due(self) -> None:
        while self._ends and self._ends[0][0] <= self.now:
            _, _, ticket, result = heapq.heappop(self._ends)
            self.settled.append(Settled(self.now, ticket, ended(self.scheduler, ticket, result, self.now, self.jitter)))


def row_id(ticket: Ticket) -> str:
    return f"{ticket.workspace}/{ticket.model}/{ticket.ordinal}"


Script = Mapping[str, Sequence[Result]] | Callable[[str, int], Result]


class Scripted:
    """An endpoint: what a row's calls bring in turn (an answer once its script is over), or a function of its id and call number."""

    def __init__(self, script: Script | None = None, *, seconds: float | Callable[[str], float] = 1.0) -> None:
        self._script = script if callable(script) else {row: list(results) for row, results in (script or {}).items()}
        self._seconds = seconds
        self.started: defaultdict[str, list[float]] = defaultdict(list)
        self.open: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.most_open = 0
        self._open = 0
        self.workers: set[asyncio.Task[object] | None] = set()
        """Those that ever sent."""

    def begin(self, _ready: Prepared, _came: Callable[[float], None]) -> Begun | None:
        """Nothing is begun: every call is waited for."""
        return None

    async def send(self, ready: Prepared) -> Result:
        row = ready.request.url
        workspace = row.split("/")[0]
        self.started[row].append(anyio.current_time())
        self.workers.add(asyncio.current_task())
        assert (row, self.open[row]) == (row, 0), "the row is sent twice at once"
        self._count(row, workspace, 1)
        self.most[workspace] = max(self.most[workspace], self.open[workspace])
        self.most_open = max(self.most_open, self._open)
        try:
            await anyio.sleep(self._seconds(row) if callable(self._seconds) else self._seconds)
        finally:
            self._count(row, workspace, -1)
        return self._result(row, len(self.started[row]))

    def starts_of(self, workspace: str) -> list[float]:
        return sorted(at for row, times in self.started.items() if row.startswith(f"{workspace}/") for at in times)

    def _count(self, row: str, workspace: str, change: int) -> None:
        self._open += change
        self.open[row] += change
        self.open[workspace] += change

    def _result(self, row: str, call: int) -> Result:
        if callable(self._script):
            return self._script(row, call)
        results = self._script.get(row, [])
        return results[call - 1] if call <= len(results) else answer()


class Beginning(Scripted):
    """The same, begun without anybody who waits; of the calls of rows that *rests* names, half a second more is waited for."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        seconds: float | Callable[[str], float] = 1.0,
        rests: Callable[[str], bool] = lambda _row: False,
    ) -> None:
        super().__init__(script, seconds=seconds)
        self._rests = rests
        self.calls: list[Begun] = []

    def begin(self, ready: Prepared, came: Callable[[float], None]) -> Begun | None:
        row = ready.request.url
        self.started[row].append(anyio.current_time())
        number = len(self.started[row])
        self._count(row, row.split("/")[0], 1)
        call = Begun(lambda: self._ended(row, number), rests=self._rests(row), began=anyio.current_time())
        self.calls.append(call)
        loop = asyncio.get_running_loop()
        call.timer = loop.call_later(self._seconds(row) if callable(self._seconds) else self._seconds, lambda: came(loop.time()))
        return call

    def _ended(self, row: str, number: int) -> Result:
        self._count(row, row.split("/", 1)[0], -1)
        return self._result(row, number)


@dataclass(slots=True)
class Begun:
    """A call of an endpoint that begins them."""

    result: Callable[[], Result]
    rests: bool
    began: float
    aborted: bool = False
    timer: asyncio.TimerHandle | None = None

    def taken(self, at: float) -> Result | None:
        assert at <= anyio.current_time()
        return None if self.rests else self.result()

    async def rest(self) -> Result:
        await anyio.sleep(0.5)
        return self.result()

    def abort(self) -> None:
        assert self.timer is not None
        self.timer.cancel()
        self.aborted = True


@dataclass(slots=True)
class Listed:
    """A ledger of lists; without room while *full*, broken from the *breaks_at*-th entry on."""

    breaks_at: float = math.inf
    full: Callable[[Listed], bool] = lambda _ledger: False
    entries: list[tuple[float, Outcome]] = field(default_factory=list)
    starts: dict[str, str] = field(default_factory=dict)
    """Row by attempt."""
    ends: dict[str, str] = field(default_factory=dict)
    """Verdict by attempt."""
    brought: dict[str, Result] = field(default_factory=dict)
    """By attempt."""
    _noted: list[tuple[float, Outcome]] = field(default_factory=list)

    def start(self, row: Row, most: Bound, at: float) -> str:
        assert (most, at) == (Bound(1, 1), 0.0)
        name = f"1-{len(self.starts) + 1}"
        self.starts[name] = row.id
        return name

    def end(self, attempt: str, verdict: str, result: Result, at: float) -> None:
        assert attempt in self.starts
        assert attempt not in self.ends, at
        self.ends[attempt], self.brought[attempt] = verdict, result

    def append(self, outcome: Outcome, now: float) -> None:
        self._noted.append((now, outcome))

    def flush(self) -> None:
        for each in self._noted:
            if len(self.entries) >= self.breaks_at:
                raise LedgerError("runs/night/legal/results.jsonl: could not be written: No space left on device")
            self.entries.append(each)
        self._noted.clear()

    def tell(self) -> None:
        assert not self._noted, "told before it is written"

    def room(self, now: float) -> bool:
        assert now >= 0
        return not self.full(self)

    def ids(self) -> list[str]:
        return [outcome.row.id for _, outcome in self.entries]

    def done_at(self, workspace: str) -> float:
        return max(at for at, outcome in self.entries if outcome.row.workspace == workspace)


def prepared(ticket: Ticket) -> Prepared | Unreadable:
    row = Row(row_id(ticket), ticket.workspace, ticket.model, {}, "0" * 16)
    return Prepared(row, Request(row.id, {}, b"{}"), Bound(1, 1))


@dataclass(slots=True)
class Bench:
    """An engine with everything around it faked; *beside* runs with it, until the engine has ended."""

    scheduler: Scheduler
    endpoint: Scripted = field(default_factory=Scripted)
    ledger: Listed = field(default_factory=Listed)
    prepare: Callable[[Ticket], Prepared | Unsendable | Unreadable | Fetching] = prepared
    hand_on: Callable[[Outcome], Awaitable[None]] | None = None
    beside: Callable[[Engine], Coroutine[object, object, None]] | None = None
    unreadable: list[str] = field(default_factory=list)
    busy_time: Callable[[], float] = lambda: 0.0
    jitter: float = 0.5
    ended_at: float = math.nan

    def run(self) -> Drained:
        return run_virtually(self.drive)

    async def drive(self) -> Drained:
        engine = Engine(self.scheduler, self._ports())
        async with anyio.create_task_group() as beside:
            if self.beside is not None:
                beside.start_soon(self.beside, engine)
            drained = await engine.run()
            self.ended_at = anyio.current_time()
            beside.cancel_scope.cancel()
        return drained

    def _ports(self) -> Ports:
        return Ports(
            lambda tickets: [self.prepare(ticket) for ticket in tickets],
            self.endpoint.send,
            self.ledger,
            self.hand_on,
            lambda _ticket, what: self.unreadable.append(what.reason),
            busy_time=self.busy_time,
            jitter=lambda: self.jitter,
            wall_time=lambda: 0.0,
            begin=self.endpoint.begin,
        )


def benched(
    *lanes: LanePlan, retry: RetryPolicy | None = None, probe_every: float = 300.0, wait_for_parked: bool = False, **parts
) -> Bench:
    scheduler = Scheduler(lanes, retry or RetryPolicy(), probe_every=probe_every, wait_for_parked=wait_for_parked)
    return Bench(scheduler, **parts)
