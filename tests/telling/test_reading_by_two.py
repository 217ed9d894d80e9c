"""A statement and a course that two processes fold are those that one folds, to the byte; whatever becomes of the other costs time only."""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchrun.beside import process
from batchrun.core.errors import RunDamagedError
from batchrun.core.ledger import fold, unanswered
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.entry import NotAnEntryError
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.watched import Watched
from batchrun.core.model import Outcome, Row
from batchrun.edge import ahead
from batchrun.edge.ahead import Ahead
from batchrun.telling import reading
from batchrun.telling.reading import read_all, read_into
from tests.core.ledger.folded import known_of
from tests.telling.test_reading import ENTRIES, calls, outcome, row, written

JOB = {"accounts": {"main": {"quotas": {"qwen-plus": {"rpm": 60, "tpm": 9000}}}}, "workspaces": {"legal": {"account": "main"}}}


class Here(Ahead):
    """What the other process does, done here."""

    def __enter__(self):
        self._all, self.is_heard = [], True
        told = {**self._told["told"], "together": 300}
        with contextlib.chdir(self._directory), contextlib.suppress(NotAnEntryError):
            for part in ahead.read_ahead(told):
                self._all.append(marshal.loads(part))
        return self

    def __exit__(self, *_raised):
        pass

    def next(self):
        if self._part is None and self._all:
            self._part = self._all.pop(0)
        return self._part


def append(path: Path, lines: bytes) -> None:
    with path.open("ab") as file:
        file.write(lines)


def new() -> Watched:
    looking_on = Course()
    looking_on.begin(JOB)
    return Watched(Fold("run", "name", by=("day",), most=lambda *_call: None), looking_on)


LATER = [
    read_entry(write_entry(outcome("answered", row(name, workspace), f"4-{number}{len(workspace)}", told=True), "batchrun", raw=False))
    for number, name in enumerate(["r-1", "r-2", "行-3", "r-4", "gone"])
    for workspace in ("legal", "法务")
]


def known(reader: Watched) -> object:
    """All that it tells, in its order, now and when its rows have been answered since."""
    told = [told_by(reader)]
    reader.entries(LATER)
    told.append(told_by(reader))
    made = reader.fold.close({("legal", "qwen-plus"): 3})  # type: ignore[attr-defined]
    return told, orjson.dumps(made.as_json()), orjson.dumps(made.attribution.as_json())


def told_by(reader: Watched) -> object:
    seen, fold, its = reader.course, reader.fold, reader.calls
    groups = fold._groups.attribution  # type: ignore[attr-defined]
    series = [
        (each.width, each.moments(), [(key, each.counts(key)) for key in list(each.keys())]) for each in (seen.timeline, seen.minutes)
    ]
    lasted = [
        [(lane, each.buckets(), each.least, each.greatest) for lane, each in of.items()] for of in (seen.latency(), seen.first_token())
    ]
    why = (
        [(reason, replace(told)) for reason, told in seen.reasons().items()],
        {**seen.trouble},
        {**seen.standstills},
        seen.untimed,
        seen.began,
        seen.ended,
    )
    attempts = known_of(its)
    doubt = [*its.in_doubt()], its.unreadable, {*its.suspects()}, {*fold._final}  # type: ignore[attr-defined]
    meters = [(key, [*totals.meters.items()], totals.as_json()) for key, totals in groups.groups.items()]
    return series, lasted, why, attempts, doubt, meters, orjson.dumps(groups.as_json())


def read(directory: Path, how) -> object:
    try:
        return known(how(directory))
    except RunDamagedError as error:
        return str(error)


def by_one(directory: Path) -> Watched:
    reader = new()
    read_into(directory, reader)
    return reader


@pytest.fixture
def joined(monkeypatch) -> list[bool]:
    """Whether two were joined, time for time."""
    found: list[bool] = []
    real = reading._read_by_two

    def noted(*told) -> bool:
        found.append(False)
        found[-1] = real(*told)
        return found[-1]

    monkeypatch.setattr(reading, "_read_by_two", noted)
    monkeypatch.setattr(process, "FROM_BYTES", 1)
    monkeypatch.setattr(process, "cores", lambda: 2)
    return found


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(calls, max_size=20), ENTRIES, st.sampled_from([b"", b'{"id":', b'{"a":1}']))
@example([("1-1", row("r-1", "法务"), "never")], [(outcome("answered", row("r-1", "法务"), "1-1", told=True), "own", None)], b"")
@example(
    [("1-1", row("r-1", "法务"), "answered")],
    [(outcome(kind, row("r-1", "法务"), name, told=True), "own", None) for kind, name in (("rejected", "1-2"), ("answered", "1-1"))],
    b"",
)
@example([("1-1", row("r-1", "法务"), "again")], [(outcome("rejected", row("r-1", "法务"), "1-1", told=True), "own", None)], b"")
@example(
    [("1-1", row("r-1", "法务"), "never"), ("1-2", row("r-1", "法务"), "answered")],
    [(outcome("answered", row("r-1", "法务"), "1-2", told=True), "own", None)],
    b"",
)
def test_what_two_fold_is_what_one_folds(joined, made, entries, tail):
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "Ahead", Here)
        directory = Path(folder)
        written(directory, made, entries)
        for path in directory.glob("*/results.jsonl"):
            append(path, tail)
        assert read(directory, lambda place: read_all(place, new)) == read(directory, by_one)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Of two workspaces: answered and rejected rows, calls whose ends are lost."""
    made: list[tuple[str, Row, str]] = []
    entries: list[tuple[Outcome, str, str | None]] = []
    for number in range(1, 1500):
        of, name = row(f"r-{number}", ("legal", "法务")[number % 2]), f"1-{number}"
        made.append((name, of, "never" if number % 400 == 0 else "answered"))
        kind = "rejected" if number % 50 == 0 else "answered"
        entries.append((outcome(kind, of, name, told=True), "batch" if number % 70 == 0 else "own", None))
    written(tmp_path, made, entries)
    return tmp_path


def test_another_process_folds_what_one_folds(ledger, joined):
    assert read(ledger, lambda place: read_all(place, new)) == read(ledger, by_one)
    assert joined == [True]


def test_where_the_other_process_is_killed_all_is_folded_here(ledger, joined, monkeypatch):
    taken = Ahead._read

    def killed(self):
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        while self._notes.read(1 << 10):
            pass  # As if it had been killed before it told of anything.
        return taken(self)

    monkeypatch.setattr(Ahead, "_read", killed)
    assert read(ledger, lambda place: read_all(place, new)) == read(ledger, by_one)
    assert joined == [False]


def test_where_the_other_process_cannot_be_started_all_is_folded_here_and_nothing_twice(ledger, joined, monkeypatch):
    expected, real, logs = read(ledger, by_one), Watched.attempts, 0

    def counted(self, lines):
        nonlocal logs
        logs += 1
        real(self, lines)

    monkeypatch.setattr(Watched, "attempts", counted)
    monkeypatch.setattr(sys, "executable", str(ledger / "no-python"))
    assert read(ledger, lambda place: read_all(place, new)) == expected
    assert (joined, logs) == ([False], 1)


def test_a_line_that_is_damaged_is_named_as_by_one(ledger, joined):
    path = ledger / "法务" / "results.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[500] = lines[500].replace(b'"attempts":1', b'"attempts":2')
    path.write_bytes(b"".join(lines))
    said = read(ledger, lambda place: read_all(place, new))
    assert said == read(ledger, by_one)
    assert "line 501" in str(said)


@pytest.mark.parametrize("workspace", ["legal", "法务"])
def test_an_answer_that_stands_twice_is_named_as_by_one_and_counted_twice_by_neither(ledger, joined, workspace):
    path = ledger / workspace / "results.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    append(path, lines[300])
    said = read(ledger, lambda place: read_all(place, new))
    assert said == read(ledger, by_one)
    assert f"line {len(lines) + 1}" in str(said)
    assert "which another entry names already" in str(said)


def test_what_is_appended_meanwhile_is_read_by_neither(ledger, joined, monkeypatch):
    before = read(ledger, by_one)
    real = Fold.called

    def appended(self, *calls):
        for path in ledger.glob("*/results.jsonl"):
            append(path, write_entry(outcome("answered", row("late", path.parent.name), "3-9", told=True), "batchrun", raw=False))
        real(self, *calls)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fold, "called", appended)
        assert read(ledger, lambda place: read_all(place, new)) == before
    assert joined == [True]


def test_an_answer_whose_line_has_lost_its_end_is_read_here_for_the_other_process_leaves_it_out(ledger, joined):
    before = read(ledger, by_one)
    for number, path in enumerate(sorted(ledger.glob("*/results.jsonl"))):
        late = outcome("answered", row("late", path.parent.name), f"3-{number}", told=True)
        append(path, write_entry(late, "batchrun", raw=False).rstrip())
    told = read(ledger, lambda place: read_all(place, new))
    assert told == read(ledger, by_one)
    assert told != before
    assert joined == [False]


@pytest.mark.parametrize(("module", "name", "most"), [(fold, "MOST_GROUPS", 1), (unanswered, "MOST_REASONS", 0)])
def test_where_more_is_told_apart_than_may_be_all_is_folded_here(ledger, joined, monkeypatch, module, name, most):
    monkeypatch.setattr(module, name, most)
    assert read(ledger, lambda place: read_all(place, new)) == read(ledger, by_one)
    assert joined == [False]


def test_rows_own_metadata_are_told_apart_by_one(ledger, joined):
    read_all(ledger, lambda: Fold("run", "name", by=("metadata.ticket",)))
    assert joined == []


def test_of_one_workspace_it_is_the_same(ledger, joined):
    def only(**how) -> Fold:
        return Fold("run", "name", only="法务", **how)

    alone = only()
    read_into(ledger, alone, "法务")
    assert orjson.dumps(read_all(ledger, only, "法务").close({}).as_json()) == orjson.dumps(alone.close({}).as_json())
    assert joined == [True]
