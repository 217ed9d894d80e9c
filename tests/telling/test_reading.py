"""A ledger that is read the short way, at a glance and by two processes, is known as one of which every line was looked at closely."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchrun.beside import process
from batchrun.core.errors import RunDamagedError
from batchrun.core.ledger.attempts import Bound, ended_line, opened_line, started_line
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.seal import sealed
from batchrun.core.model import Answered, Call, Exhausted, Failure, Fault, Outcome, Rejected, Reply, Row, Scope, Usage
from batchrun.core.rows.index import Index
from batchrun.core.scheduling.past import Past
from batchrun.edge import ahead, history
from batchrun.edge.ahead import Ahead
from batchrun.telling.reading import FILES, LOG, doubtful_calls, read_into
from tests.beside.killing import kill_after
from tests.core.ledger.folded import known_of

AT = 1793541600.25
MODEL = "qwen-plus"
WORKSPACES = ("legal", "法务")
NAMES = [f"{opening}-{number}" for opening in (1, 2) for number in range(1, 6)]
REPLY = Reply('He said: "yes"\n', "stop", Usage(10, 5, raw={"prompt_tokens": 10}), request_id="q")
BUSY = Failure(Fault.AGAIN, Scope.ROW, "ServiceUnavailable", "busy", "wait", status=503)


def row(row_id: str, workspace: str, model: str = MODEL, digest: str = "0" * 16) -> Row:
    return Row(row_id, workspace, model, {}, digest, {"ticket": row_id})


def outcome(kind: str, of: Row, attempt: str, *, told: bool) -> Outcome:
    call = Call(attempt, 1, AT, 900)
    if kind == "answered":
        return Answered(of, REPLY if told else Reply("yes", "stop", None), call)
    return Rejected(of, BUSY, call) if kind == "rejected" else Exhausted(of, BUSY, call)


rows = st.builds(row, st.sampled_from(["r-1", "r-2", "行-3", "r-4", "gone"]), st.sampled_from(WORKSPACES), st.sampled_from([MODEL, "max"]),
                 st.sampled_from(["0" * 16, f"{1:016x}"]))  # fmt: skip
names = st.sampled_from([*NAMES, "1-77", "3-1", "01-1"])
kinds = st.sampled_from(["answered", "answered", "answered", "rejected", "exhausted"])
outcomes = st.builds(lambda kind, of, name, told: outcome(kind, of, name, told=told), kinds, rows, names, st.booleans())
calls = st.tuples(names, rows, st.sampled_from(["answered", "answered", "answered", "again", "never"]))
damage = st.sampled_from([None] * 12 + ["a byte", "its seal", "a field", "another workspace", "misplaced", "no entry"])


def index_of_rows() -> Index:
    index = Index()
    for number, name in enumerate(["r-1", "r-2", "行-3", "r-4"]):
        for workspace in WORKSPACES:
            index.add((workspace, MODEL), name, number, number)
    return index


def written(directory: Path, made: list[tuple[str, Row, str]], entries: list[tuple[Outcome, str, str | None]]) -> None:
    lines = [opened_line(1, AT, "a start"), *(begun(f"{each}-9") for each in (1, 2, 3))]
    for name, of, verdict in made:
        lines.append(started_line(name, AT, of, Bound(10, 20)))
        if verdict != "never":
            lines.append(ended_line(name, AT, verdict, REPLY if verdict == "answered" else BUSY))
    (directory / LOG).write_bytes(b"".join(lines))
    for each, form, wrong in entries:
        name = FILES[isinstance(each, Answered)]
        workspace = each.row.workspace if wrong != "misplaced" else WORKSPACES[each.row.workspace == WORKSPACES[0]]
        path = directory / workspace / name
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as file:
            file.write(damaged(write_entry(each, "openai-batch" if form == "batch" else "batchrun", raw=form == "raw"), wrong))


def begun(name: str) -> bytes:
    return started_line(name, AT, row("r-1", "legal"), Bound(1, 1)) + ended_line(name, AT, "again", BUSY)


def damaged(line: bytes, how: str | None) -> bytes:
    match how:
        case "a byte":
            return line.replace(b"digest", b"digits", 1)
        case "its seal":
            return line.replace(b'"attempts":1', b'"attempts":2', 1)
        case "a field":
            return sealed(line.partition(b',"crc32"')[0].replace(b'"metadata"', b'"mood"', 1) + b"}")
        case "another workspace":
            return sealed(line.partition(b',"crc32"')[0].replace(b'"workspace":"', b'"workspace":"x', 1) + b"}")
        case "no entry":
            return b"[]\n"
    return line


def closely(directory: Path, past: Past) -> None:
    """Read it without any short way: lines one by one, and of each entry all that it tells."""
    past.attempts([*history.Attempts(directory / LOG)])
    for workspace in sorted(each for each in directory.iterdir() if each.is_dir()):
        for name in FILES:
            past.entries(history.entries(workspace / name, workspace.name, past.wrong))


def known(past: Past) -> object:
    """All that was found out, in its order."""
    its = past.calls
    attempts = known_of(its)
    under_way = {name: (started, place and place.opening, number) for name, (started, place, number) in its._open.items()}
    calls = attempts, [*under_way.items()], its._told, its._present, its.unreadable, [*its.in_doubt()]
    return past.latest, past.lost, past.unknown, {**vars(past.plan), "_index": None}, calls


def read(directory: Path, how) -> object:
    past = Past(index_of_rows())
    try:
        how(directory, past)
    except RunDamagedError as error:
        return str(error)
    return known(past)


ENTRIES = st.lists(st.tuples(outcomes, st.sampled_from(["own", "own", "own", "raw", "batch"]), damage), max_size=12)


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(calls, max_size=20), ENTRIES)
@example([("1-1", row("r-1", "legal"), "answered")], [(outcome("answered", row("r-1", "legal"), "1-1", told=True), "own", None)] * 2)
@example([("1-1", row("r-1", "legal"), "never")], [(outcome("answered", row("r-1", "legal"), "1-1", told=True), "own", None)])
@example([("1-1", row("r-2", "legal"), "answered")], [(outcome("answered", row("r-1", "legal"), "1-1", told=True), "own", None)])
@example([], [(outcome("answered", row("r-1", "legal"), "3-9", told=True), "own", None)])
@example(
    [("1-1", row("r-1", "legal"), "answered"), ("1-2", row("r-1", "legal"), "answered")],
    [(outcome("answered", row("r-1", "legal"), name, told=True), "own", None) for name in ("1-1", "1-2")],
)
@example([("1-1", row("r-1", "legal"), "answered")], [(outcome("answered", row("r-1", "legal"), "1-1", told=True), "own", "misplaced")])
def test_the_short_way_finds_out_what_a_close_look_at_every_line_does(made, entries):
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        written(directory, made, entries)
        assert read(directory, read_into) == read(directory, closely)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Of two openings, the first killed: with rejected rows, answers of another form, and calls whose ends are lost."""
    made: list[tuple[str, Row, str]] = []
    entries: list[tuple[Outcome, str, str | None]] = []
    for number in range(1, 4000):
        of = row(f"r-{number}", WORKSPACES[number % 2])
        name = f"{1 + number // 2000}-{number}"
        made.append((name, of, "never" if number % 400 == 0 else "answered"))
        kind = "rejected" if number % 50 == 0 else "answered"
        entries.append((outcome(kind, of, name, told=True), "batch" if number % 70 == 0 else "own", None))
    written(tmp_path, made, entries)
    return tmp_path


def read_by_two(directory: Path, past: Past) -> None:
    with Ahead(directory, dict.fromkeys(names_of(directory), 0)) as other:
        read_into(directory, past, ahead=other)


def names_of(directory: Path) -> Iterator[str]:
    return (
        f"{path.parent.name}/{path.name}" for path in sorted(directory.glob("*/*.jsonl"), key=lambda each: (each.parent.name, each.name))
    )


def test_two_processes_find_out_what_one_does(ledger):
    found = read(ledger, read_by_two)
    assert found == read(ledger, closely)
    assert not isinstance(found, str)


def test_two_processes_name_the_line_that_is_damaged(ledger):
    path = ledger / "legal" / "results.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1500] = lines[1500][:40] + b"\n"
    path.write_bytes(b"".join(lines))
    said = read(ledger, read_by_two)
    assert said == read(ledger, closely)
    assert "line 1501" in str(said)


def test_lines_are_really_read_by_the_other_process(ledger, monkeypatch):
    monkeypatch.setattr(history, "lines_of", lambda *_lines, **_more: [])
    with Ahead(ledger, dict.fromkeys(names_of(ledger), 0)) as other:
        given = [len(part.given) for name in names_of(ledger) for part in other.parts(name, lambda _start: [])]
    assert sum(given) == 3999


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_what_a_process_that_was_killed_has_not_given_is_read_here(ledger, monkeypatch, parts):
    monkeypatch.setattr(ahead, "_PART_BYTES", 1 << 14)
    readings = kill_after(parts, Ahead, monkeypatch)
    assert read(ledger, read_by_two) == read(ledger, closely)
    assert len(readings) > parts


def test_a_process_that_stops_is_not_waited_for(ledger, monkeypatch):
    monkeypatch.setattr(process, "_PATIENCE", 0.0)
    assert read(ledger, read_by_two) == read(ledger, closely)


def test_a_process_that_stops_is_waited_for_once_however_many_files_are_left(ledger, monkeypatch):
    waited: list[float] = []

    def nothing_comes(_, seconds):
        waited.append(seconds)
        return False

    monkeypatch.setattr(process, "_comes", nothing_comes)
    assert read(ledger, read_by_two) == read(ledger, closely)
    assert waited == [process._PATIENCE]


@pytest.mark.parametrize("fails", range(4))
def test_after_a_part_that_cannot_be_had_no_other_is_taken_for_what_follows(ledger, monkeypatch, fails):
    had, left = os.pread, fails

    def fails_once(*asked):
        nonlocal left
        left -= 1
        if left == -1:
            raise OSError
        return had(*asked)

    monkeypatch.setattr(ahead, "_PART_BYTES", 1 << 18)
    monkeypatch.setattr(os, "pread", fails_once)
    assert read(ledger, read_by_two) == read(ledger, closely)
    assert left < 0


@pytest.mark.parametrize("executable", ["/bin/false", "/nowhere/python", ""])
def test_where_no_process_can_be_started_all_is_read_here(ledger, monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    assert read(ledger, read_by_two) == read(ledger, closely)


def test_it_is_asked_for_only_where_it_pays(tmp_path, monkeypatch):
    assert Ahead.of(tmp_path, {}, process.FROM_BYTES - 1) is None
    monkeypatch.setattr(process, "cores", lambda: 2)
    assert Ahead.of(tmp_path, {}, process.FROM_BYTES) is not None
    monkeypatch.setattr(process, "cores", lambda: 1)
    assert Ahead.of(tmp_path, {}, process.FROM_BYTES) is None


def test_its_file_has_no_name_its_environment_no_key_and_nothing_is_left_of_it(ledger, monkeypatch):
    monkeypatch.setenv("LEGAL_KEY", "sk-fake-never-passed-on")
    before = sorted(ledger.rglob("*"))
    with Ahead(ledger, dict.fromkeys(names_of(ledger), 0)) as other:
        assert other._process is not None
        pid = other._process.pid
        assert next(iter(other.parts("legal/errors.jsonl", lambda _start: [])), None) is not None
        assert b"sk-fake" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert sorted(ledger.rglob("*")) == before
    assert not Path(f"/proc/{pid}").exists()
    assert sorted(ledger.rglob("*")) == before


def test_a_last_line_without_an_end_is_left_to_whoever_repairs_it(tmp_path):
    (tmp_path / "legal").mkdir()
    path = tmp_path / "legal" / "results.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":2}\n{"c"')
    left: list[int] = []

    def rest(start: int) -> list[bytes]:
        left.append(start)
        return []

    with Ahead(tmp_path, {"legal/results.jsonl": 0}) as other:
        given = [len(part.given) for part in other.parts("legal/results.jsonl", rest)]
    assert (given, left) == ([2], [16])


def test_whoever_leaves_early_does_not_wait_until_the_other_process_has_read_all(ledger):
    with Ahead(ledger, dict.fromkeys(names_of(ledger), 0)) as other:
        assert other._process is not None
        os.kill(other._process.pid, signal.SIGSTOP)
    assert other._process.returncode == -signal.SIGKILL


_PARENT = """
import fcntl, sys, termios, time
from pathlib import Path
from batchrun.edge import ahead
ahead._PART_BYTES = 1
directory = Path(sys.argv[1])
with ahead.Ahead(directory, {f"{path.parent.name}/{path.name}": 0 for path in directory.glob("*/*.jsonl")}) as other:
    fcntl.fcntl(other._notes, fcntl.F_SETPIPE_SZ, 4096)
    other._read()
    while int.from_bytes(fcntl.ioctl(other._notes, termios.FIONREAD, bytes(4)), sys.byteorder) < 4000:
        time.sleep(0.01)
    print(other._process.pid, flush=True)
    time.sleep(600)
"""


def test_it_does_not_outlive_a_parent_that_was_killed(ledger):
    with subprocess.Popen([sys.executable, "-c", _PARENT, ledger], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert state_of(pid) in {"S", "D", "R"}, "it has more to tell than anybody takes"
        parent.kill()
    while state_of(pid) not in {"", "Z"}:  # It ends, if nobody has taken note of it yet.
        time.sleep(0.01)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_who_asks_for_the_calls_in_doubt_of_one_workspace_is_told_of_no_other(tmp_path):
    asked = [row(f"r-{number}", workspace) for number, workspace in enumerate(100 * WORKSPACES)]
    starts = [started_line(f"1-{number}", AT, each, Bound(9, 9)) for number, each in enumerate(asked, 1)]
    (tmp_path / LOG).write_bytes(b"".join([opened_line(1, AT, "boot"), *starts]))
    for workspace in WORKSPACES:
        told = [call.started for call, _ in doubtful_calls(tmp_path, workspace)]
        assert [(each.workspace, each.row_id) for each in told] == [
            (each.workspace, each.id) for each in asked if each.workspace == workspace
        ]


def test_of_each_call_in_doubt_it_is_told_what_has_become_of_its_row_since(tmp_path):
    asked = {name: row(name, "legal") for name in ("pending", "answered", "rejected")}
    made = [(f"1-{number}", of, "never") for number, of in enumerate(asked.values(), 1)]
    later = [(f"2-{number}", asked[name], name) for number, name in enumerate(("answered", "rejected"), 1)]
    written(tmp_path, [*made, *later], [(outcome(name, of, attempt, told=True), "own", None) for attempt, of, name in later])
    told = [(call.started.row_id, what) for call, what in doubtful_calls(tmp_path)]
    assert told == [(name, name) for name in asked]
