"""A statement is held against what a provider would bill, over histories of kills, lost machines and every way an attempt can end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import Opened, ended_line, opened_line, opening_of, read_attempt, started_line
from batchrun.core.ledger.entry import Form
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.statement import Statement
from batchrun.core.model import Answered, Call, Exhausted, Failure, Fault, Rejected, Reply, Row, Usage
from tests.core.ledger.folded import LANES, MOST, ROWS, failed, refused


@dataclass(frozen=True, slots=True)
class Fate:
    """How an attempt ends, and whether it is billed."""

    verdict: str
    result: Reply | Failure
    billed: bool


def fates(cost: Usage) -> list[Fate]:
    return [
        *[Fate("answered", Reply("a", "stop", usage), True) for usage in (cost, None)],
        *[Fate("reasked", refused(Fault.REASK, usage), True) for usage in (cost, None)],
        # Rejected alone, or parked because its lane stands still for the same rejection.
        *[Fate(verdict, refused(Fault.REJECT, usage), True) for usage in (cost, None) for verdict in ("rejected", "parked")],
        Fate("rejected", failed(Fault.REJECT), False),
        Fate("throttled", failed(Fault.THROTTLED), False),
        Fate("parked", failed(Fault.PARK), False),
        *[Fate(verdict, failed(Fault.AGAIN), False) for verdict in ("again", "exhausted")],
        *[Fate(verdict, failed(Fault.AGAIN, usage=cost), True) for verdict in ("again", "exhausted")],
        *[Fate(verdict, failed(Fault.AGAIN, in_doubt=True), billed) for verdict in ("again", "exhausted") for billed in (True, False)],
    ]


FATES = len(fates(Usage(1, 1)))
NEVER_SENT = -1


class KilledError(Exception):
    pass


@dataclass(slots=True)
class Made:
    """A call that was made."""

    row: Row
    name: str
    fate: Fate
    cost: Usage
    ends_at: int
    """Where its start line ends in attempts.log."""
    known: bool = True
    """Its start line, or an entry with its usage, still stands."""
    entered: bool = False
    """Its usage stands in an entry."""


@dataclass(slots=True)
class World:
    """A provider's bill, and a ledger written in the order in which the engine writes it."""

    form: Form = "batchrun"
    log: bytes = b""
    entries: dict[tuple[str, str], bytes] = field(default_factory=dict)
    calls: list[Made] = field(default_factory=list)
    finished: list[Made] = field(default_factory=list)
    writes_left: int = 10**9
    cut: int = 0
    opening: int = 0
    _numbers: int = 0

    def open(self, kill: tuple[int, int], *, retry_rejected: bool) -> set[int]:
        """Begin an opening and give the rows left to do; the process is killed at a write, a part of which gets through."""
        self.writes_left, self.cut = kill
        read = [read_entry(line) for line in self._lines_of_entries()]
        known = [line.opening for line in map(read_attempt, self.log.splitlines()) if isinstance(line, Opened)]
        self.opening = 1 + max([*known, *(opening_of(entry.attempt) for entry in read if entry.attempt)], default=0)
        self._numbers = 0
        done = {(entry.workspace, entry.id): entry.outcome for entry in read}
        final = {"answered"} if retry_rejected else {"answered", "rejected"}
        self._to_log(opened_line(self.opening, 0.0))
        return {number for number, row in enumerate(ROWS) if done.get((row.workspace, row.id)) not in final}

    def refuse(self, row: Row) -> None:
        self._to_entries(Rejected(row, failed(Fault.REJECT), None))

    def start(self, row: Row, fate: Fate, cost: Usage) -> Made:
        self._numbers += 1
        name = f"{self.opening}-{self._numbers}"
        self._to_log(started_line(name, 0.0, row, MOST))
        self.calls.append(Made(row, name, fate, cost, len(self.log)))
        return self.calls[-1]

    def end(self, made: Made) -> None:
        call, result = Call(made.name, 1, 0.0, 1), made.fate.result
        if isinstance(result, Reply):
            self._to_entries(Answered(made.row, result, call), made)
        elif made.fate.verdict == "rejected":
            self._to_entries(Rejected(made.row, result, call), made)
        elif made.fate.verdict == "exhausted":
            self._to_entries(Exhausted(made.row, result, call), made)
        self.finished.append(made)
        self._to_log(ended_line(made.name, 0.0, made.fate.verdict, result))

    def lose(self, size: int) -> None:
        """A lost machine: the log's end never reached the disk."""
        self.log = self.log[: max(0, len(self.log) - size)]
        for made in self.calls:
            made.known = made.entered or (made.known and made.ends_at <= len(self.log))
        self._mend()

    def bill(self, lane: tuple[str, str], kind: str, *, known: bool | None = None) -> int:
        calls = [made for made in self.calls if (made.row.workspace, made.row.model) == lane and made.fate.billed]
        return sum(getattr(made.cost, kind) for made in calls if known is None or made.known is known)

    def statement(self) -> Statement:
        fold = Fold("run", "job")
        fold.attempts(map(read_attempt, self.log.splitlines(keepends=True)))
        fold.entries(map(read_entry, self._lines_of_entries()))
        return fold.close(Counter((row.workspace, row.model) for row in ROWS))

    def _lines_of_entries(self) -> list[bytes]:
        # As they are read back: a workspace's failed ones before its answered.
        return [line for name in sorted(self.entries) for line in self.entries[name].splitlines(keepends=True)]

    def _to_log(self, line: bytes) -> None:
        kept = self._written(line)
        self.log += kept
        self._mind(line, kept)

    def _to_entries(self, outcome: Answered | Rejected | Exhausted, made: Made | None = None) -> None:
        line = write_entry(outcome, self.form, raw=False)
        key = (outcome.row.workspace, "results.jsonl" if isinstance(outcome, Answered) else "errors.jsonl")
        kept = self._written(line)
        self.entries[key] = self.entries.get(key, b"") + kept
        if made is not None and len(kept) >= len(line) - 1:
            made.entered = made.fate.result.usage is not None
        self._mind(line, kept)

    def _written(self, line: bytes) -> bytes:
        self.writes_left -= 1
        return line if self.writes_left else line[: max(0, len(line) - self.cut)]

    def _mind(self, line: bytes, kept: bytes) -> None:
        if not self.writes_left:
            self._mend()
            raise KilledError(line, kept)

    def _mend(self) -> None:
        self.log = mended(self.log)
        self.entries = {key: mended(content) for key, content in self.entries.items()}


def mended(content: bytes) -> bytes:
    """Do what an opening does to a torn tail: a whole object gets its newline, anything else goes."""
    whole, tail = content[: content.rfind(b"\n") + 1], content[content.rfind(b"\n") + 1 :]
    try:
        orjson.loads(tail)
    except orjson.JSONDecodeError:
        return whole
    return content + b"\n"


COSTS = st.builds(Usage, st.integers(0, MOST.input_tokens), st.integers(0, MOST.output_tokens), cached_tokens=st.integers(0, 3))
MOVES = st.lists(st.tuples(st.integers(0, len(ROWS) - 1), st.integers(NEVER_SENT, FATES - 1), COSTS), max_size=24)
KILLS = st.tuples(st.integers(1, 40), st.integers(0, 90) | st.just(0))
OPENINGS = st.lists(st.tuples(MOVES, KILLS, st.booleans()), min_size=1, max_size=4)


def carry_on(world, moves, kill, *, retry_rejected):
    """Each move ends the row's attempt where it has one under way, and else starts one."""
    try:
        pending = world.open(kill, retry_rejected=retry_rejected)
        under_way: dict[int, Made] = {}
        for number, fate, cost in moves:
            if number in under_way:
                made = under_way.pop(number)
                if made.fate.verdict in {"answered", "rejected", "exhausted"}:
                    pending.discard(number)
                world.end(made)
            elif number in pending and fate == NEVER_SENT:
                pending.discard(number)
                world.refuse(ROWS[number])
            elif number in pending:
                under_way[number] = world.start(ROWS[number], fates(cost)[fate], cost)
    except KilledError:
        pass


def holds(world):
    """The bill is between the statement and the statement with its doubt, for all but the calls that no line knows of."""
    statement = world.statement()
    for lane in LANES:
        totals = statement.lane(*lane)
        for kind in ("input_tokens", "output_tokens"):
            stated, doubt = getattr(totals, kind), getattr(totals, f"in_doubt_{kind}")
            assert stated <= world.bill(lane, kind) <= stated + doubt + world.bill(lane, kind, known=False), (lane, kind)
        rows = sum((row.workspace, row.model) == lane for row in ROWS)
        assert totals.pending + totals.answered + totals.rejected + totals.exhausted == rows
    return statement


@given(OPENINGS, st.sampled_from(["batchrun", "openai-batch"]))
@settings(max_examples=300, deadline=None)
def test_the_bill_is_at_least_the_statement_and_at_most_the_statement_with_its_doubt_whenever_the_process_is_killed(openings, form):
    world = World(form)
    for opening, (moves, kill, retry_rejected) in enumerate(openings, 1):
        carry_on(world, moves, kill, retry_rejected=retry_rejected)
        assert all(made.known for made in world.calls), "a killed process loses no line that it had written"
        statement = holds(world)
        assert statement.unreadable_attempts == 0
        # A process killed between the two has noted a start, and not sent it.
        assert len(world.calls) <= statement.total().calls <= len(world.calls) + opening


@given(st.lists(st.tuples(MOVES, KILLS, st.booleans(), st.integers(0, 3000)), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_a_lost_end_of_attempts_log_hides_no_more_than_the_calls_that_it_alone_knew(openings):
    world = World()
    for moves, kill, retry_rejected, lost in openings:
        carry_on(world, moves, kill, retry_rejected=retry_rejected)
        world.lose(lost)
        holds(world)


@given(st.lists(st.tuples(MOVES, st.booleans()), min_size=1, max_size=3))
@settings(deadline=None)
def test_calls_retries_throttles_and_reasks_are_each_counted_where_nothing_was_killed(openings):
    world = World()
    for moves, retry_rejected in openings:
        carry_on(world, moves, (10**9, 0), retry_rejected=retry_rejected)
    total = holds(world).total()
    verdicts = Counter(made.fate.verdict for made in world.finished)
    assert total.calls == len(world.calls)
    assert (total.retries, total.throttles, total.reasks) == (verdicts["again"], verdicts["throttled"], verdicts["reasked"])
    told = [made.fate.result.usage for made in world.finished if made.fate.verdict == "reasked" and made.fate.result.usage]
    assert total.reask_input_tokens == sum(usage.input_tokens for usage in told)
    assert total.reask_output_tokens == sum(usage.output_tokens for usage in told)
    doubts = [
        made for made in world.calls if made not in world.finished or getattr(made.fate.result, "in_doubt", made.fate.result.usage is None)
    ]
    assert total.in_doubt == len(doubts)
    assert total.in_doubt_output_tokens == len(doubts) * MOST.output_tokens
