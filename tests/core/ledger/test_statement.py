"""The ledger folded: its totals against a provider's bill, over histories of kills, lost machines and every way an attempt can end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import Bound, Opened, ended_line, opened_line, opening_of, read_attempt, started_line
from batchrun.core.ledger.entry import Form
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.statement import Fold, Statement, Totals
from batchrun.core.model import Answered, Call, Charges, Exhausted, Failure, Fault, Money, Rejected, Reply, Row, Scope, Usage
from tests.steps import lines_run

MOST = Bound(10, 20)
LANES = [("法务", "qwen-plus"), ("法务", "qwen-max"), ("sales", "qwen-plus")]
ROWS = [Row(f"r-{number}", *LANES[number % 3], {}, "0" * 16) for number in range(5)]
# One id in two workspaces: each is a row of its own.
ROWS.append(replace(ROWS[0], workspace="sales"))


def failed(fault, *, usage=None, in_doubt=False, reply=None):
    return Failure(fault, Scope.ROW, "code", "message", "advice", in_doubt=in_doubt, usage=usage, reply=reply)


def refused(fault, usage):
    return failed(fault, usage=usage, in_doubt=usage is None, reply=Reply("{", "stop", usage))


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


# What hypothesis should not have to find


def one_call(verdict, result, *entries, ended=True):
    lines = [opened_line(1, 0.0), started_line("1-1", 0.0, ROWS[0], MOST)]
    lines += [ended_line("1-1", 0.0, verdict, result)] if ended else []
    fold = Fold("run", "job")
    fold.attempts(map(read_attempt, lines))
    fold.entries(read_entry(write_entry(entry, "batchrun", raw=False)) for entry in entries)
    return fold.close({LANES[0]: 1}).lane(*LANES[0])


CALL = Call("1-1", 1, 0.0, 1)
ANSWER = Reply("a", "stop", Usage(3, 4, cached_tokens=2, image_tokens=1, searches=5))


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "killed before its end was noted"])
def test_an_answer_in_the_ledger_is_in_no_doubt_and_counted_once(ended):
    totals = one_call("answered", ANSWER, Answered(ROWS[0], ANSWER, CALL), ended=ended)
    expected = Totals(answered=1, calls=1, input_tokens=3, output_tokens=4, cached_tokens=2, image_tokens=1, searches=5)
    expected.billed_calls, expected.unpriced_calls, expected.unpriced_tokens = 1, 1, 7
    assert totals == expected


@pytest.mark.parametrize("ended", [True, False])
def test_an_answer_without_usage_stays_in_doubt_once(ended):
    bare = replace(ANSWER, usage=None)
    totals = one_call("answered", bare, Answered(ROWS[0], bare, CALL), ended=ended)
    assert (totals.answered, totals.in_doubt, totals.in_doubt_input_tokens, totals.in_doubt_output_tokens) == (1, 1, 10, 20)


def test_what_entries_and_reasks_say_they_cost_is_summed_by_currency_and_what_is_unknown_is_in_no_sum():
    fold = Fold("run", "job")
    starts = [started_line(f"1-{number}", 0.0, ROWS[0], MOST) for number in (1, 2, 3)]
    asked = ended_line("1-1", 0.0, "reasked", refused(Fault.REASK, Usage(5, 6)), Money("CNY", Decimal("0.00001")))
    unknown = ended_line("1-2", 0.0, "reasked", refused(Fault.REASK, Usage(5, 6)))
    fold.attempts(map(read_attempt, [*starts, asked, unknown]))
    costs = [Money("CNY", Decimal("0.000002")), Money("USD", Decimal("0.3")), None]
    lines = [write_entry(Answered(row, ANSWER, CALL), "batchrun", raw=False, cost=cost) for row, cost in zip(ROWS[:3], costs, strict=True)]
    fold.entries(map(read_entry, lines))
    total = fold.close({}).total()
    assert total.cost == {"CNY": Decimal("0.000012"), "USD": Decimal("0.3")}
    assert (total.unpriced_calls, total.unpriced_tokens) == (2, 11 + 7)
    assert total.as_json()["cost"] == {"CNY": "0.000012", "USD": "0.3"}


def test_a_start_without_an_end_is_in_doubt():
    totals = one_call("", ANSWER, ended=False)
    assert (totals.pending, totals.in_doubt, totals.input_tokens, totals.in_doubt_input_tokens) == (1, 1, 0, 10)


def test_a_reasked_call_is_counted_with_its_tokens_beside_the_answer_that_came_of_it():
    lines = [started_line(f"1-{number}", 0.0, ROWS[0], MOST) for number in (1, 2)]
    lines += [ended_line("1-1", 0.0, "reasked", refused(Fault.REASK, Usage(5, 6))), ended_line("1-2", 0.0, "answered", ANSWER)]
    fold = Fold("run", "job")
    fold.attempts(map(read_attempt, lines))
    fold.entries([read_entry(write_entry(Answered(ROWS[0], ANSWER, replace(CALL, attempt="1-2")), "batchrun", raw=False))])
    totals = fold.close({LANES[0]: 1}).total()
    assert (totals.calls, totals.reasks, totals.retries, totals.answered) == (2, 1, 0, 1)
    assert (totals.input_tokens, totals.output_tokens, totals.reask_input_tokens, totals.reask_output_tokens) == (8, 10, 5, 6)


def test_the_latest_entry_of_a_row_decides_and_every_entrys_usage_counts():
    exhausted = Exhausted(ROWS[0], failed(Fault.AGAIN, usage=Usage(1, 1)), replace(CALL, attempt="0-1"))
    rejected = Rejected(ROWS[0], failed(Fault.REJECT, usage=Usage(2, 2)), replace(CALL, attempt="0-2"))
    totals = one_call("answered", ANSWER, exhausted, rejected, Answered(ROWS[0], ANSWER, CALL))
    assert (totals.answered, totals.rejected, totals.exhausted, totals.pending, totals.input_tokens) == (1, 0, 0, 0, 6)
    totals = one_call("again", failed(Fault.AGAIN), exhausted, rejected)
    assert (totals.answered, totals.rejected, totals.exhausted, totals.input_tokens) == (0, 1, 0, 3)


def test_a_row_that_was_answered_counts_as_failed_no_more_whatever_entries_follow():
    rejected = Rejected(ROWS[3], failed(Fault.REJECT), None)
    exhausted = Exhausted(ROWS[0], failed(Fault.AGAIN), None)
    answers = [Answered(ROWS[0], ANSWER, replace(CALL, attempt=f"0-{number}")) for number in range(3)]
    totals = one_call("again", failed(Fault.AGAIN), rejected, exhausted, *answers)
    assert (totals.answered, totals.rejected, totals.exhausted) == (3, 1, 0)
    totals = one_call("again", failed(Fault.AGAIN), rejected, exhausted, *answers[:2], exhausted, rejected, exhausted)
    assert (totals.answered, totals.rejected, totals.exhausted) == (2, 1, 1)


def test_two_starts_of_one_name_are_each_counted_and_the_earlier_one_is_in_doubt():
    fold = Fold("run", "job")
    fold.attempts(map(read_attempt, [started_line("1-1", 0.0, row, MOST) for row in ROWS[:2]]))
    fold.entries([read_entry(write_entry(Answered(ROWS[1], ANSWER, CALL), "batchrun", raw=False))])
    statement = fold.close({})
    assert (statement.lane(*LANES[0]).in_doubt, statement.lane(*LANES[1]).in_doubt) == (1, 0)


def test_an_entry_of_another_row_takes_no_attempts_doubt_away():
    assert one_call("", ANSWER, Answered(ROWS[1], ANSWER, CALL), ended=False).in_doubt == 1


def test_lines_that_cannot_be_read_are_counted():
    fold = Fold("run", "job", rejected_input=3)
    fold.attempts(map(read_attempt, [b"\0\0\0\n", b"{}\n", opened_line(1, 0.0)]))
    statement = fold.close({})
    assert (statement.unreadable_attempts, statement.rejected_input, statement.lanes) == (2, 3, {})


@pytest.mark.parametrize(("name", "opening"), [("3-17", 3), ("12-1", 12), ("", 0), ("x-1", 0), ("-1", 0), ("²-1", 0), ("7", 7)])
def test_an_attempts_name_tells_its_opening(name, opening):
    assert opening_of(name) == opening


# Telling


def two_workspaces():
    statement = Statement("run-id", "night", rejected_input=2)
    for number, lane in enumerate(LANES, 1):
        statement.lane(*lane).add(Totals(answered=number, input_tokens=10 * number, reasks=number, in_doubt=1))
    return statement


def test_totals_add_up_by_workspace_and_over_all():
    statement = two_workspaces()
    assert statement.workspaces() == ["sales", "法务"]
    assert statement.total("法务") == Totals(answered=3, input_tokens=30, reasks=3, in_doubt=2)
    assert statement.total() == Totals(answered=6, input_tokens=60, reasks=6, in_doubt=3)


def test_json_carries_every_count_and_a_workspaces_part_nothing_of_the_others():
    statement = two_workspaces()
    told = statement.as_json()
    assert told["total"].keys() >= {"answered", "reasks", "in_doubt_output_tokens", "cost", "in_doubt_cost", "waste", "savings"}
    assert (told["total"]["reasks"], told["rejected_input"], told["unreadable_attempts"]) == (6, 2, 0)
    assert told["workspaces"]["法务"]["models"].keys() == {"qwen-plus", "qwen-max"}
    part = orjson.dumps(statement.workspaces_json()["sales"]).decode()
    assert "法务" not in part
    assert orjson.loads(part)["total"]["answered"] == 3


def test_what_each_workspace_is_told_is_no_more_work_of_a_thousand_than_of_ten():
    def work(workspaces: int) -> float:
        statement = Statement("run", "job", {(f"w{number}", "m"): Totals(answered=1) for number in range(workspaces)})
        return lines_run(statement.workspaces_json) / workspaces

    assert work(1000) <= work(10)


def test_json_tells_each_amount_by_what_it_is_and_waste_and_savings_by_kind():
    totals = Totals(in_doubt=1, reasks=1)
    charges = Charges((("input_token", 1_000_000, Decimal(2)),), Decimal("0.25"), Decimal("0.5"), Decimal("0.125"))
    totals.add_usage(Usage(1_000_000, 0), Money("CNY", Decimal("1.5"), charges))
    totals.reasked(Usage(7, 3), Money("USD", Decimal("0.10")))
    totals.doubt(Bound(8, 9), Money("CNY", Decimal(3)))
    told = totals.as_json()
    assert (told["cost"], told["in_doubt_cost"]) == ({"CNY": "1.5"}, {"CNY": "3"})
    assert told["savings"] == {"cache": {"CNY": "0.125"}, "batch": {"CNY": "1.5"}, "discount": {"CNY": "0.5"}}
    nothing = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "unpriced_calls": 0, "cost": {}}
    assert told["waste"] == {
        "retried": nothing,
        "reasked": {"calls": 1, "input_tokens": 7, "output_tokens": 3, "unpriced_calls": 0, "cost": {"USD": "0.1"}},
        "refused": nothing,
        "truncated": nothing,
        "in_doubt": {"calls": 2, "input_tokens": 8, "output_tokens": 9, "unpriced_calls": 0, "cost": {"CNY": "3"}},
    }


def test_json_is_this_and_nothing_else():
    statement = two_workspaces()
    statement.unreadable_attempts = 4
    parts = {
        name: {
            "run": "run-id",
            "name": "night",
            "workspace": name,
            "total": statement.total(name).as_json(),
            "models": {model: statement.lane(name, model).as_json() for model in models},
        }
        for name, models in (("sales", ["qwen-plus"]), ("法务", ["qwen-max", "qwen-plus"]))
    }
    told = {"run": "run-id", "name": "night", "rejected_input": 2, "unreadable_attempts": 4, "total": statement.total().as_json()}
    assert statement.as_json() == told | {"under_way": False, "workspaces": parts}
    assert [list(part["models"]) for part in parts.values()] == [["qwen-plus"], ["qwen-max", "qwen-plus"]]


def test_statements_add_up_lane_by_lane_and_by_all_that_was_asked():
    def folded(run, *rows):
        fold = Fold(run, "job", rejected_input=3, by=["metadata.a"])
        starts = [started_line(f"1-{number}", 0.0, row, MOST) for number, row in enumerate(rows)]
        fold.attempts(map(read_attempt, [*starts, b"torn\n"]))
        answers = [Answered(replace(row, metadata={"a": row.id}), ANSWER, replace(CALL, attempt="2-1")) for row in rows]
        fold.entries(read_entry(write_entry(answer, "batchrun", raw=False)) for answer in answers)
        return fold.close({(row.workspace, row.model): 5 for row in rows})

    both, later = folded("first", ROWS[2], ROWS[0]), folded("second", ROWS[0], ROWS[1])
    both.add(later)
    assert (both.run, both.rejected_input, both.unreadable_attempts) == ("first", 6, 2)
    assert {lane: (totals.answered, totals.pending) for lane, totals in both.lanes.items()} == {
        LANES[2]: (1, 4),
        LANES[1]: (1, 4),
        LANES[0]: (2, 8),
    }
    assert list(both.lanes) == sorted(LANES)
    told = {key[0]: (totals.answered, totals.calls) for key, totals in both.by(["metadata.a"]).groups.items()}
    assert told == {"r-0": (2, 0), "r-1": (1, 0), "r-2": (1, 0), None: (0, 4)}
    assert list(both.by(["model", "workspace"]).groups) == [("qwen-max", "法务"), ("qwen-plus", "sales"), ("qwen-plus", "法务")]
    with pytest.raises(ValueError, match="not in"):
        both.by(["day"])
