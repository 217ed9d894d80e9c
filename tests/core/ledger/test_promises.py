"""What a lost machine may have sent, and no line tells of, is in doubt: whatever the load, and wherever the log is cut."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import (
    Bound,
    Closed,
    Opened,
    Promise,
    Promised,
    ReadIn,
    Started,
    closed_line,
    opened_line,
    promised_line,
    read_attempt,
)
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.promises import Promises
from batchrun.core.model import Money
from tests.steps import lines_run

LANES = [("legal", "qwen-plus"), ("legal", "qwen-max"), ("marketing", "qwen-plus")]
BOUNDS = st.builds(Bound, st.integers(1, 200_000), st.integers(1, 40_000))
STEPS = st.lists(st.one_of(st.tuples(st.sampled_from(LANES), BOUNDS), st.sampled_from(["look", "synced", "asked", "stood"])), max_size=120)


class Written:
    """A log as a ledger writes it: what stands on the disk, and what only the kernel has."""

    def __init__(self) -> None:
        self.lines: list[Any] = [Opened(1, "first")]
        self.safe = 1
        self.sent: list[Started] = []
        self.waits = 0
        self._promises = Promises()
        self._under_way: dict[str, tuple[int, int]] = {}
        """Syncs: the one of each second, and the one that is waited for."""
        self._waiting: list[Started] = []

    def do(self, step) -> None:
        if step == "look":
            self._begin(step, self._promises.due())
        elif step == "asked":
            self._begin(step, self._promises.due_at_once())
        elif step in {"synced", "stood"}:
            self._end("look" if step == "synced" else "asked")
        else:
            (workspace, model), most = step
            started = Started(f"1-{len(self.sent) + len(self._waiting) + 1}", workspace, model, f"r-{len(self.sent)}", most)
            if self._promises.count(workspace, model, most):
                self._send(started)
            else:
                self.waits += 1
                self._waiting.append(started)

    def end(self) -> None:
        """Let what waits go."""
        self._end("asked")
        self.do("asked")
        self._end("asked")
        assert not self._waiting

    def _begin(self, sync, due) -> None:
        if due:
            self.lines.append(Promised(tuple(due), 5.0))
        self._under_way.setdefault(sync, (len(self.lines), self._promises.written))

    def _end(self, sync) -> None:
        lines, written = self._under_way.pop(sync, (0, 0))
        self.safe = max(self.safe, lines)
        self._promises.stand(written)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if self._promises.covers(each.workspace, each.model):
                self._send(each)
            else:
                self._waiting.append(each)

    def _send(self, started) -> None:
        self.lines.append(started)
        self.sent.append(started)


def doubtful(lines, only=None):
    calls = Calls(only)
    for _ in calls.take(lines):
        pass
    return [*calls.in_doubt()]


def sums(started):
    found: dict[tuple[str, str], tuple[int, ...]] = dict.fromkeys(LANES, (0, 0, 0))
    for each in started:
        lane = each.workspace, each.model
        found[lane] = tuple(map(sum, zip(found[lane], (1, *each.bound), strict=True)))
    return found


@given(STEPS, st.data())
def test_wherever_the_log_is_cut_what_was_sent_is_within_what_is_in_doubt(steps, data):
    written = Written()
    for step in steps:
        written.do(step)
    cut = data.draw(st.integers(written.safe, len(written.lines)))
    lost = data.draw(st.integers(cut, len(written.lines)))
    rest = data.draw(st.sampled_from([[], [None] * (lost - cut)]))
    told = sums(each.started for each in doubtful([*written.lines[:cut], *rest, ReadIn("second")]))
    for lane, sent in sums(written.sent).items():
        assert all(may >= did for may, did in zip(told[lane], sent, strict=True)), (lane, sent, told[lane])


@given(STEPS)
def test_a_killed_process_has_lost_no_line_and_a_closed_log_none_either(steps):
    written = Written()
    for step in steps:
        written.do(step)
    for ending in ([ReadIn("first")], [Closed(), ReadIn("second")], [Opened(2, "first"), Closed(), ReadIn("third")]):
        assert [each.started for each in doubtful([*written.lines, *ending])] == written.sent


def test_at_a_steady_load_no_call_waits_and_no_more_is_promised_than_some_seconds_of_it():
    written = Written()
    for second in range(60):
        before = written.waits
        for _ in range(50):
            written.do((LANES[0], Bound(1000, 500)))
            written.end()
        written.do("look")
        written.do("synced")
        assert written.waits == before or second < 2
    assert len(doubtful([*written.lines, ReadIn("second")])) - len(written.sent) < 400
    for _ in range(3):
        written.do("look")
        written.do("synced")
    assert len(doubtful([*written.lines, ReadIn("second")])) - len(written.sent) < 10, "an idle lane is promised next to nothing"


def test_what_is_promised_is_three_looks_of_what_went_on_and_four_of_the_largest_twice_and_less_only_where_it_is_far_too_much():
    promises = Promises()

    def look(*calls: Bound) -> tuple[list[bool], list[Promise]]:
        may = [promises.count("legal", "m", most) for most in calls]
        return may, promises.due()

    # 4 of the largest and 3 of what went on are 7 calls; twice as many, beside the one that was made.
    assert look(Bound(7, 8)) == ([False], [Promise("legal", "m", 15, 105, 120)])
    assert not promises.covers("legal", "m"), "it does not stand on the disk yet"
    promises.stand(promises.written - 1)
    assert not promises.covers("legal", "m"), "what stands was written before"
    promises.stand(promises.written)
    assert promises.covers("legal", "m")
    # Enough for as much again is left: nothing is written.
    assert look(Bound(7, 8)) == ([True], [])
    assert look() == ([], [])
    # Ten calls of another size: in the mean they are no larger, and take more than there is.
    assert look(*[Bound(6, 9)] * 10) == (
        [True] * 10,
        [Promise("legal", "m", 12 + 68, 74 + 2 * (4 * 7 + 3 * 60), 106 + 2 * (4 * 9 + 3 * 90))],
    )
    promises.stand(promises.written)
    # Nothing went on, and what is left is more than four times what is wanted: it is taken back at once, to four of the largest.
    assert look() == ([], [Promise("legal", "m", 16, 74 + 28, 106 + 36)])
    assert [promises.count("legal", "m", Bound(7, 9)) for _ in range(5)] == [True] * 4 + [False]


WITHIN = [
    ([Bound(106, 1)], False),
    ([Bound(1, 121)], False),
    ([Bound(98, 112)], True),
    ([Bound(99, 1)], False),
    ([Bound(1, 1)] * 14, True),
    ([Bound(1, 1)] * 15, False),
]


@pytest.mark.parametrize(("bounds", "may"), WITHIN)
def test_a_call_is_within_what_is_promised_in_calls_and_in_tokens_of_either_kind(bounds, may):
    promises = Promises()
    promises.count("legal", "m", Bound(7, 8))
    promises.due()
    promises.stand(1)
    assert [promises.count("legal", "m", each) for each in bounds][-1] is may
    assert promises.covers("legal", "m") is may


@pytest.mark.parametrize("calls", [[Bound(25, 25)] * 40, [Bound(2_000, 100)] * 10, [Bound(100, 2_000)] * 10])
def test_more_is_promised_behind_where_calls_or_tokens_of_either_kind_are_more_than_they_were(calls):
    promises = Promises()

    def look(calls: list[Bound]) -> list[Promise]:
        for most in calls:
            promises.count("legal", "m", most)
        promised = promises.due()
        promises.stand(promises.written)
        return promised

    (before,), (now,) = look([Bound(100, 100)] * 10), look(calls)
    assert any(more > less for more, less in zip(now[2:], before[2:], strict=True))


def test_lanes_are_promised_each_by_itself():
    promises = Promises()
    promises.count("legal", "m", Bound(7, 8))
    promises.count("sales", "m", Bound(1, 2))
    assert [(each.workspace, each.calls, each.input_tokens) for each in promises.due()] == [("legal", 15, 105), ("sales", 15, 15)]
    promises.stand(1)
    assert promises.count("sales", "m", Bound(14, 2))
    assert not promises.count("sales", "m", Bound(1, 2))
    assert promises.covers("legal", "m")


def test_a_sync_of_one_lane_is_no_more_work_among_a_thousand_than_alone():
    """A run may have as many models as rows: each is promised once."""

    def work(lanes: int) -> int:
        promises = Promises()
        for number in range(lanes):
            promises.count("legal", f"m-{number}", Bound(7, 8))
        for _ in range(2):
            promises.due()
            promises.stand(promises.written)
        promises.count("sales", "m", Bound(7, 8))

        def synced() -> None:
            promises.due()
            promises.stand(promises.written)

        lines = lines_run(synced)
        assert promises.covers("sales", "m")
        return lines

    assert work(1000) == work(1)


def test_what_was_promised_stands_though_more_was_written_before_its_sync_had_ended():
    """Two syncs go on beside each other: where each was forgotten for the other's sake, none would ever end a wait."""
    promises = Promises()
    assert not promises.count("legal", "m", Bound(7, 8))
    assert promises.due_at_once() == [Promise("legal", "m", 15, 105, 120)]
    asked = promises.written
    promises.due()
    promises.stand(asked)
    assert promises.covers("legal", "m")


def test_a_sync_lets_nothing_go_by_what_was_promised_after_it_had_begun():
    promises = Promises()
    promises.count("legal", "m", Bound(7, 8))
    promises.due()
    begun = promises.written
    promises.count("sales", "m", Bound(7, 8))
    promises.due_at_once()
    asked = promises.written
    promises.stand(begun)
    assert (promises.covers("legal", "m"), promises.covers("sales", "m")) == (True, False)
    promises.stand(asked)
    assert promises.covers("sales", "m")


def test_no_more_is_sent_than_any_line_lets_of_which_nobody_knows_whether_it_is_on_the_disk():
    promises = Promises()
    assert [promises.count("legal", "m", Bound(1, 1)) for _ in range(100)] == [False] * 100
    (much,) = promises.due_at_once()
    asked = promises.written
    promises.due()
    (less,) = promises.due()
    promises.stand(asked)
    assert less.calls < much.calls
    assert [promises.count("legal", "m", Bound(1, 1)) for _ in range(less.calls - 99)] == [True] * (less.calls - 100) + [False]


def test_a_lane_that_waits_takes_nothing_from_the_others_and_hides_nothing_that_went_on():
    promises = Promises()
    for _ in range(100):
        promises.count("legal", "m", Bound(1, 1))
    promises.due_at_once()
    promises.stand(promises.written)
    assert not promises.count("sales", "m", Bound(7, 8))
    assert promises.due_at_once() == [Promise("sales", "m", 15, 105, 120)]
    assert promises.due_at_once() == [], "nobody has waited since"
    assert promises.count("legal", "m", Bound(600, 600))
    legal = next(each for each in promises.due() if each.workspace == "legal")
    assert legal.calls == 101 + 2 * (4 + 3 * 101)


class Disk:
    """Four lanes of sixteen slots, whose answers take two turns of 20 ms, before a disk whose syncs take so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sent = 0
        self._promises = Promises()
        self._slots = {f"w-{number}": 16 for number in range(4)}
        self._waiting: list[str] = []
        self._back: list[list[str]] = [[], []]
        self._asked: tuple[float, int] | None = None
        self._looked: tuple[float, int] = 0.0, 0

    def turn(self, now: float) -> None:
        if self._asked is not None and now >= self._asked[0]:
            self._promises.stand(self._asked[1])
            self._asked = None
            waiting, self._waiting = self._waiting, []
            for name in waiting:
                self._go(name, may=self._promises.covers(name, "m"))
        if now >= self._looked[0]:
            self._promises.stand(self._looked[1])
            if now >= self._looked[0] + 1.0:
                self._promises.due()
                self._looked = now + self.seconds, self._promises.written
        for name in self._back.pop(0):
            self._slots[name] += 1
        self._back.append([])
        for name, slots in self._slots.items():
            for _ in range(slots):
                self._slots[name] -= 1
                self._go(name, may=self._promises.count(name, "m", Bound(600, 400)))
        if self._waiting and self._asked is None:
            self._promises.due_at_once()
            self._asked = now + self.seconds, self._promises.written

    def _go(self, name: str, *, may: bool) -> None:
        self.sent += may
        (self._back[-1] if may else self._waiting).append(name)


@pytest.mark.parametrize(("seconds", "share"), [(0.02, 0.95), (0.5, 0.9), (1.0, 0.8), (2.0, 0.4)])
def test_a_disk_whose_syncs_take_long_holds_up_the_first_calls_and_not_all_of_them(seconds, share):
    disk = Disk(seconds)
    for turn in range(1000):
        disk.turn(turn / 50)
    assert disk.sent >= share * 32 * 1000


def test_what_is_written_twice_before_a_sync_stands_as_it_was_written_last():
    promises = Promises()
    promises.count("legal", "m", Bound(7, 8))
    promises.due()
    promises.count("legal", "m", Bound(700, 800))
    promises.due()
    promises.stand(1)
    assert not promises.covers("legal", "m")
    promises.stand(2)
    assert promises.covers("legal", "m")


@pytest.mark.parametrize(
    ("more", "lost"),
    [
        ([ReadIn("a")], (0, False)),
        ([Closed(), ReadIn("b")], (0, False)),
        ([ReadIn("b")], (4, True)),
        ([None, ReadIn("a")], (4, False)),
        ([None, ReadIn("b")], (4, True)),
    ],
)
def test_that_calls_of_the_last_seconds_may_stand_in_no_line_is_told_where_lines_were_lost_and_nowhere_else(more, lost):
    """A process that was killed on a machine that lives has lost none, whatever had been promised to it."""
    calls = Calls()
    calls.take_all([Opened(1, "a"), Promised((Promise(*LANES[0], 5, 99, 99),), 5.0), Started("1-1", *LANES[0], "r", Bound(1, 1)), *more])
    assert calls.lost_at_last() == lost


def test_the_lost_end_of_an_earlier_opening_stays_in_doubt_whatever_comes_later():
    lines = [Opened(1, "a"), Promised((Promise("legal", "qwen-plus", 3, 301, 30),), 5.0), Opened(2, "b"), Closed(), ReadIn("b")]
    found = doubtful(lines)
    assert [each.started.bound for each in found] == [(101, 10), (100, 10), (100, 10)]
    assert {each.why for each in found} == {Calls.UNTOLD} == {"its line may have been lost with the machine"}
    assert {each.started[:4] + each.started[5:] for each in found} == {("1-", "legal", "qwen-plus", "", 5.0)}
    assert doubtful(lines, only="marketing") == []
    assert doubtful([Opened(1, "a"), None, ReadIn("a")]) == []
    assert len(doubtful([*lines[:2], None, ReadIn("a")])) == 3, "a line that the disk lost, though the machine is the same"


def test_a_log_of_a_version_that_promised_nothing_loses_nothing_by_it():
    assert doubtful([Opened(1), ReadIn("b")]) == []
    assert doubtful([ReadIn("b")]) == []


def test_the_statement_counts_them_in_their_lane_with_their_price_and_holds_no_row_for_them():
    fold = Fold("run", "job", most=lambda call: Money("CNY", Decimal(call.bound.input_tokens)))
    fold.attempts([Opened(1, "a"), Promised((Promise("legal", "qwen-plus", 2, 200, 30),), 5.0), ReadIn("b")])
    total = fold.close({("legal", "qwen-plus"): 9}).total("legal")
    assert (total.in_doubt, total.in_doubt_input_tokens, total.in_doubt_output_tokens) == (2, 200, 30)
    assert (total.in_doubt_cost, total.rows_in_doubt, total.calls, total.pending) == ({"CNY": Decimal(200)}, 0, 0, 9)


@pytest.mark.parametrize("boot", [None, "5b2e"])
def test_the_lines_are_read_back_as_they_were_written(boot):
    promises = (Promise("法务", "qwen-plus", 3, 400, 50), Promise("b", "m", 0, 0, 0))
    assert read_attempt(opened_line(7, 1.5, boot)) == Opened(7, boot, 1.5)
    assert read_attempt(promised_line(promises, 2.5)) == Promised(promises, 2.5)
    assert read_attempt(closed_line(3.5)) == Closed()


_UNREADABLE = (b'[["a","m",1,2]]', b'[["a","m",-1,2,3]]', b'[["a",5,1,2,3]]', b"7", b'{"a": 1}', b'[["a","m",true,2,3]]')


@pytest.mark.parametrize("fields", _UNREADABLE)
def test_a_promise_that_cannot_be_read_is_an_unreadable_line(fields):
    assert read_attempt(b'{"promised":' + fields + b',"at":1.0}\n') is None
