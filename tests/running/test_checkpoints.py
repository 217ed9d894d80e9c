"""A reader that goes on from a checkpoint knows what one knows that has read everything, or else reads everything."""

import pickle
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchrun.core.errors import LedgerError
from batchrun.core.ledger.attempts import Bound, ended_line, opened_line, started_line
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.watched import Watched
from batchrun.core.model import Answered, Call, Exhausted, Failure, Fault, Rejected, Reply, Row, Scope, Usage
from batchrun.core.rows.index import Index
from batchrun.core.scheduling.past import Past
from batchrun.edge import marks
from batchrun.running import checkpoints
from batchrun.running.checkpoints import Checkpoint
from batchrun.telling.reading import files_of, read_into
from tests.core.ledger.folded import known_of
from tests.steps import lines_run

MODEL = "qwen-plus"
ROWS = [(workspace, f"r-{number}") for workspace in ("legal", "sales") for number in range(4)]
REPLY = Reply("an answer", "stop", Usage(10, 5), request_id="q")
ANSWERED, REJECTED, EXHAUSTED = "answered", "rejected", "exhausted"
AGAIN, TIMED_OUT, KILLED, LOST_END = "again", "timed out", "killed", "its end is lost"


@pytest.fixture(autouse=True)
def any_size_is_worth_it(monkeypatch):
    monkeypatch.setattr(checkpoints, "FROM_BYTES", 1)


def index_of_rows() -> Index:
    index = Index()
    for number, (workspace, row_id) in enumerate(ROWS):
        index.add((workspace, MODEL), row_id, number, number)
    return index


def failure(fault: Fault, *, in_doubt: bool = False) -> Failure:
    return Failure(fault, Scope.ROW, "a_code", "the provider's words", "wait", in_doubt=in_doubt)


class Run:
    """A run directory that is written as runs write theirs, one opening after the other."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.openings = 0
        self.answered: set[tuple[str, str]] = set()

    def opening(self, calls: list[tuple[int, str]]) -> None:
        self.openings += 1
        self._append("attempts.log", opened_line(self.openings, 1.8e9))
        for number, (at, what) in enumerate(calls, 1):
            if ROWS[at] not in self.answered:
                self._call(f"{self.openings}-{number}", Row(ROWS[at][1], ROWS[at][0], MODEL, {}, f"{at:016x}"), what)

    def _call(self, name: str, row: Row, what: str) -> None:
        self._append("attempts.log", started_line(name, 1.8e9, row, Bound(100, 50)))
        if what == KILLED:
            return
        call = Call(name, 1, 1.8e9, 900)
        if what in {ANSWERED, LOST_END}:
            self._append(f"{row.workspace}/results.jsonl", write_entry(Answered(row, REPLY, call), "batchrun", raw=False))
            self.answered.add((row.workspace, row.id))
        if what == REJECTED:
            self._append(f"{row.workspace}/errors.jsonl", write_entry(Rejected(row, failure(Fault.REJECT), call), "batchrun", raw=False))
        if what == EXHAUSTED:
            self._append(f"{row.workspace}/errors.jsonl", write_entry(Exhausted(row, failure(Fault.AGAIN), call), "batchrun", raw=False))
        if what == LOST_END:
            return
        verdict = what if what in {ANSWERED, REJECTED, EXHAUSTED} else AGAIN
        result = REPLY if what == ANSWERED else failure(Fault.AGAIN, in_doubt=what == TIMED_OUT)
        self._append("attempts.log", ended_line(name, 1.8e9, verdict, result))

    def _append(self, name: str, line: bytes) -> None:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as file:
            file.write(line)

    def checkpoint(self, name: str, outside: dict[str, object], key: object = "input") -> Checkpoint:
        return Checkpoint(self.directory, name, key, outside)


def most(*_call: object) -> None:
    return None


def told_of_plan(past: Past) -> object:
    plan = past.plan
    rows = {lane: list(plan.rows(lane)) for lane in plan.lanes()}
    doubts = sorted((doubt.started.name, doubt.why) for doubt in past.calls.in_doubt())
    return rows, plan.rows_of_the_run(), plan.changed, plan.gone, past.latest, past.unknown, doubts


def told_of_statement(fold: Fold) -> object:
    statement = fold.close({("legal", MODEL): 4, ("sales", MODEL): 4})
    return statement.as_json(), statement.by(("day",)).as_json()


def new_fold() -> Fold:
    return Fold("run", "job", by=("day",), most=most)


def new_watched() -> Watched:
    return Watched(new_fold(), Course())


def told_of_course(course: Course) -> object:
    counted = course.timeline.keys()
    times = {key: course.timeline.counts(key) for key in counted}
    latency = {lane: durations.buckets() for lane, durations in course.latency().items()}
    return times, latency, course.trouble, course.standstills, course.reasons(), course.untimed, course.began, course.ended


CALLS = st.lists(
    st.tuples(
        st.integers(0, len(ROWS) - 1),
        st.sampled_from([ANSWERED, ANSWERED, REJECTED, EXHAUSTED, AGAIN, TIMED_OUT, KILLED, LOST_END]),
    ),
    max_size=8,
)


@given(st.lists(CALLS, min_size=1, max_size=4))
@example([[(0, REJECTED)], [(0, KILLED)]])
@example([[(0, REJECTED), (0, EXHAUSTED)], [(0, TIMED_OUT)]])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_a_reader_that_goes_on_from_a_checkpoint_knows_what_one_knows_that_read_it_all(tmp_path_factory, openings):
    run = Run(tmp_path_factory.mktemp("run"))
    for calls in openings:
        run.opening(calls)
        index = index_of_rows()
        past = Checkpoint(run.directory, "plan", "input", {"index": index}).read_on(lambda: Past(index), keep=True)  # noqa: B023
        fold = run.checkpoint("statement", {"most": most}).read_on(new_fold, keep=True)
        watched = run.checkpoint("course", {"most": most}).read_on(new_watched, keep=True)
        whole_past, whole_fold, whole_watched = Past(index), new_fold(), new_watched()
        read_into(run.directory, whole_past)
        read_into(run.directory, whole_fold)
        read_into(run.directory, whole_watched)
        assert told_of_plan(past) == told_of_plan(whole_past)
        assert told_of_statement(fold) == told_of_statement(whole_fold)
        assert told_of_course(watched.course) == told_of_course(whole_watched.course)


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path)
    run.opening([(0, ANSWERED), (1, REJECTED), (2, KILLED), (5, ANSWERED), (6, TIMED_OUT)])
    keep(run)
    return run


def keep(run: Run, key: object = "input") -> tuple[Past, str | None]:
    index = index_of_rows()
    checkpoint = run.checkpoint("plan", {"index": index}, key)
    return checkpoint.read_on(lambda: Past(index), keep=True), checkpoint.note


def begins_at(run: Run, key: object = "input") -> int:
    """Where a reader that is kept would begin to read; 0 where none is."""
    kept = run.checkpoint("plan", {"index": index_of_rows()}, key)._kept()
    return 0 if kept is None else sum(mark.end for mark in kept[1].values())


def size(run: Run) -> int:
    return sum(marks.sizes(run.directory, files_of(run.directory)).values())


def test_what_was_read_is_not_read_again(run):
    assert begins_at(run) == size(run)
    before = size(run)
    run.opening([(2, ANSWERED), (3, ANSWERED)])
    assert begins_at(run) == before
    keep(run)
    assert begins_at(run) == size(run)


def sealed_again(whole: bytes, harm: Callable[[bytes], bytes]) -> bytes:
    head, _, contents = whole[16:].partition(b"\n")
    body = head + b"\n" + harm(contents)
    return checkpoints._seal(body) + body


def with_head(whole: bytes, harm: Callable[[bytes], bytes]) -> bytes:
    head, _, contents = whole[16:].partition(b"\n")
    body = harm(head) + b"\n" + contents
    return checkpoints._seal(body) + body


def marked_as(head: bytes, marks: object) -> bytes:
    return orjson.dumps(orjson.loads(head) | {"marks": marks})


class Foreign:
    """Where it is unpickled, it leaves a file in the working directory."""

    def __reduce__(self):
        return Path.touch, (Path("never-made-by-a-checkpoint"),)


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda whole: whole[:-1], "it is damaged"),
        (lambda whole: whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], "it is damaged"),
        (lambda _: b"", "it is damaged"),
        (lambda whole: sealed_again(whole, lambda _: pickle.dumps(Foreign())), "it is not made of what"),
        (lambda whole: sealed_again(whole, lambda _: pickle.dumps(orjson.loads)), "it is not made of what"),
        (lambda whole: sealed_again(whole, lambda _: b"cos\nsystem\n(S'true'\ntR."), "it is not made of what"),
        (lambda whole: sealed_again(whole, lambda _: b"csubprocess\nPopen\n((S'true'\nltR."), "it is not made of what"),
        (lambda whole: sealed_again(whole, lambda _: b"cbatchrun.edge.threads\nThreads\n(I1\ntR."), "it is not made of what"),
        (lambda whole: sealed_again(whole, lambda _: b"cbatchrun.core.nowhere\nNothing\n."), "it is not made of what"),
        # A class that a module of the core has from elsewhere, and a function of the core.
        (lambda whole: sealed_again(whole, lambda _: b"cbatchrun.core.scheduling.paying\npartial\n."), "it is not made of what"),
        (lambda whole: sealed_again(whole, lambda _: b"cbatchrun.core.money.budget\nbroke\n."), "it is not made of what"),
        (lambda whole: with_head(whole, lambda _: b"no head"), "it is not made of what"),
        (lambda whole: with_head(whole, lambda _: b"[]"), "it is not made of what"),
        (lambda whole: with_head(whole, lambda head: marked_as(head, {"attempts.log": [["1", 2]]})), "it is not made of what"),
        (lambda whole: with_head(whole, lambda head: marked_as(head, 1)), "it is not made of what"),
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_said_and_never_believed(run, harm, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = run.directory / "plan.checkpoint"
    expected = told_of_plan(keep(run)[0])
    path.write_bytes(harm(path.read_bytes()))
    past, note = keep(run)
    assert note is not None
    assert why in note
    assert told_of_plan(past) == expected
    assert keep(run)[1] is None
    assert not (tmp_path / "never-made-by-a-checkpoint").exists()


def edited(path: Path, old: bytes, new: bytes) -> None:
    whole = path.read_bytes()
    assert old in whole
    path.write_bytes(whole.replace(old, new, 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda run: edited(run.directory / "attempts.log", b"1800000000", b"1800000001"),
        lambda run: (run.directory / "legal" / "errors.jsonl").unlink(),
        lambda run: (run.directory / "legal" / "results.jsonl").write_bytes(b""),
    ],
)
def test_a_ledger_that_is_no_longer_what_was_read_is_read_again_and_that_is_said(run, change):
    change(run)
    index = index_of_rows()
    whole = Past(index)
    checkpoint = run.checkpoint("plan", {"index": index})
    try:
        read_into(run.directory, whole)
    except Exception as damaged:  # noqa: BLE001 - whatever a whole reading says, going on must say
        with pytest.raises(type(damaged), match="line"):
            checkpoint.read_on(lambda: Past(index), keep=True)
    else:
        assert told_of_plan(checkpoint.read_on(lambda: Past(index), keep=True)) == told_of_plan(whole)
    assert "no longer what it was" in str(checkpoint.note)


def test_a_checkpoint_for_another_input_or_by_other_code_is_another(run, monkeypatch):
    assert begins_at(run, "another input") == 0
    monkeypatch.setattr(checkpoints, "_code", lambda: "other code")
    assert begins_at(run) == 0
    assert keep(run)[1] is None


def test_no_checkpoint_ends_within_a_line(run):
    (run.directory / "plan.checkpoint").unlink()
    with (run.directory / "legal" / "results.jsonl").open("ab") as file:
        file.write(b'{"id": "torn')
    keep(run)
    assert begins_at(run) == 0


def test_many_checkpoints_of_a_growing_ledger_stay_small_and_true(run):
    for _ in range(150):
        run.opening([(3, AGAIN)])
        keep(run)
    assert begins_at(run) == size(run)
    kept = run.checkpoint("plan", {"index": index_of_rows()})._kept()
    assert kept is not None
    assert max(len(mark.segments) for mark in kept[1].values()) <= 64


def test_a_file_whose_size_is_not_to_be_had_is_told_and_not_left_out_of_what_is_read(tmp_path):
    """What is read by two goes by these sizes: a statement would be without it, and nothing would say so."""
    (tmp_path / "attempts.log").write_bytes(b"123")
    assert marks.sizes(tmp_path, ["attempts.log", "legal/results.jsonl", "attempts.log/within"]) == {"attempts.log": 3}
    with pytest.raises(LedgerError, match="x: cannot be read: File name too long"):
        marks.sizes(tmp_path, ["attempts.log", "x" * 300])


def test_numbers_and_texts_are_kept_without_a_step_for_each():
    """A checkpoint is made in the event loop: of two thousand workspaces it had taken twice as long."""
    kept = [[number, f"text {number}"] for number in range(5_000)]
    assert lines_run(lambda: checkpoints._written(b"{}", kept, {"most": most}), "running/checkpoints.py") < 100


def test_what_is_known_of_attempts_is_kept_as_it_is(run):
    past, _ = keep(run)
    again, _ = keep(run)
    assert known_of(again.calls) == known_of(past.calls)


class Large(Past):
    """There is no memory left for a second form of it."""

    def __reduce__(self):
        raise MemoryError


def test_a_reader_that_there_is_no_memory_to_keep_is_used_all_the_same(run):
    index, expected = index_of_rows(), told_of_plan(keep(run)[0])
    run.opening([(2, ANSWERED)])
    (run.directory / "plan.checkpoint").unlink()
    read = run.checkpoint("plan", {"index": index}).read_on(lambda: Large(index), keep=True)
    assert told_of_plan(read) != expected
    assert told_of_plan(read) == told_of_plan(keep(run)[0])
