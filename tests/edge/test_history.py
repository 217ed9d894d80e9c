from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.errors import LedgerError, RunDamagedError, RunInUseError
from batchrun.core.ledger.attempts import Bound, Ended, Opened, ReadIn, Started, opened_line, started_line
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.unsynced import UNSYNCED_BYTES, UNSYNCED_SECONDS
from batchrun.core.model import Answered, Call, Failure, Fault, Reply, Row, Scope, Usage
from batchrun.edge import history
from batchrun.edge.ledger import Files, Ledger
from batchrun.edge.run_directory import locked, open_to_append

ROOT = Path(__file__).parent.parent.parent


def outcome(number, workspace="法务"):
    row = Row(f"行-{number}", workspace, "qwen-plus", {}, f"{number:016x}", {"项目": "q3\u2028"})
    return Answered(row, Reply(f"答案 {number}: 😀\u2028\n", "stop", Usage(7, 3), "request"), Call(f"1-{number}", 1, 1.0, 12))


def line(number):
    return write_entry(outcome(number), "batchrun", raw=False)


def ids(path):
    return [entry.id for entry in history.entries(path, "法务")]


def test_a_ledger_cut_at_any_byte_loses_at_most_the_line_it_tore(tmp_path):
    lines = [line(number) for number in range(6)]
    whole = b"".join(lines)
    path = tmp_path / "results.jsonl"
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = whole[:cut].count(b"\n")
        # A line that lost only its newline is a whole, paid answer.
        kept += any(cut == len(b"".join(lines[: end + 1])) - 1 for end in range(6))
        assert ids(path) == [f"行-{number}" for number in range(kept)], "a reader leaves the torn tail out"
        history.repair_tail(path)
        assert path.read_bytes() == b"".join(lines[:kept])
        assert history.repair_tail(path) is None, "a second repair has nothing to do"


def test_parts_of_a_file_read_one_after_the_other_are_the_whole_wherever_they_meet(tmp_path):
    path, log = tmp_path / "results.jsonl", tmp_path / "attempts.log"
    lines = [line(number) for number in range(4)]
    starts = [started_line(f"1-{number}", 1.0, outcome(number).row, Bound(7, 8)) for number in range(4)]
    path.write_bytes(b"".join(lines))
    log.write_bytes(b"".join(starts))
    for place in range(5):
        end, end_of_log = len(b"".join(lines[:place])), len(b"".join(starts[:place]))
        before = [entry.id for entry in history.entries(path, "法务", end=end)]
        after = [entry.id for entry in history.entries(path, "法务", start=end)]
        assert (before, after) == ([f"行-{n}" for n in range(place)], [f"行-{n}" for n in range(place, 4)])
        calls = [each.name for each in history.Attempts(log, end=end_of_log) if isinstance(each, Started)]
        calls_after = [each.name for each in history.Attempts(log, end_of_log) if isinstance(each, Started)]
        assert (len(calls), calls + calls_after) == (place, [f"1-{n}" for n in range(4)])
    path.write_bytes(b"".join([*lines[:3], b"{}\n"]))
    with pytest.raises(RunDamagedError, match="line 4: not an entry"):
        list(history.entries(path, "法务", start=len(lines[0])))


def test_a_crash_in_the_midst_of_a_repair_costs_nothing_wherever_it_comes(tmp_path):
    whole, torn = line(0) + line(1), line(2)[:-9]
    path, side = tmp_path / "results.jsonl", tmp_path / "results.jsonl.torn"
    # What a repair leaves that was killed, or lost the machine: the side file written in part, or whole, and the tail not yet cut off.
    for kept in range(len(torn) + 2):
        path.write_bytes(whole + torn)
        side.write_bytes((torn + b"\n")[:kept])
        assert history.repair_tail(path) is not None
        assert path.read_bytes() == whole
        assert side.read_bytes().endswith(torn + b"\n")
        assert history.repair_tail(path) is None


def test_an_end_of_zeros_is_cut_off_entries_and_stays_in_attempts_where_it_is_counted(tmp_path):
    path = tmp_path / "attempts.log"
    path.write_bytes(line(0) + bytes(40))
    assert "calls and doubt may be higher" in (history.repair_tail(path, keep_zeros=True) or "")
    assert path.read_bytes() == line(0) + bytes(40) + b"\n"
    path.write_bytes(line(0) + bytes(40))
    assert "moved to attempts.log.torn" in (history.repair_tail(path) or "")
    assert path.read_bytes() == line(0)


def test_a_line_that_is_being_written_while_it_is_read_is_never_taken_for_two(tmp_path):
    """A reader of a run that is under way sees a part of a write, and the rest of it a moment later."""
    path = tmp_path / "results.jsonl"
    lines = [line(number) for number in range(3)]
    for cut in (1, 40, len(lines[1]) - 1):
        path.write_bytes(lines[0] + lines[1][:cut])
        read = history.lines_of(path)
        taken = [next(read)]
        with path.open("ab") as file:
            file.write(lines[1][cut:] + lines[2])
        taken += read
        whole = [each.rstrip(b"\n") for each in lines]
        assert [each.rstrip(b"\n") for each in taken] == whole[: len(taken)]
        assert [entry.id for entry in history.entries(path, "法务")] == ["行-0", "行-1", "行-2"]


@pytest.mark.parametrize("before", [0, 1, 30])
def test_a_file_is_another_to_the_first_line_that_differs_wherever_blocks_are_cut(tmp_path, monkeypatch, before):
    monkeypatch.setattr(history, "_BLOCK_BYTES", 8)
    one, other = tmp_path / "one", tmp_path / "other"
    lines = b"a line\n" * before
    for mine, its, same in (
        (b"", b"", b""),
        (b"", b"more\n", b""),
        (b"more\n", b"", b""),
        (b"mine\nx\n", b"mine\ny\n", b"mine\n"),
        (b"a line that is being wr", b"a line that is being written\n", b"a line that is being wr"),
        (b"a line that is mine\n", b"a line that is not\n", b""),
    ):
        one.write_bytes(lines + mine)
        other.write_bytes(lines + its)
        assert history.alike(one, other) == len(lines + same)
    other.unlink()
    assert history.alike(one, other) == history.alike(other, one) == 0


@pytest.mark.parametrize(
    "damage",
    [
        b"\0" * 40 + b"\n",
        b"{}\n",
        b'{"id": 7}\n',
        b"[1]\n",
        line(2)[:30] + b"\n",
        write_entry(outcome(9, "other"), "batchrun", raw=False),
        b"\n",
    ],
)
def test_damage_in_the_middle_is_named_and_nothing_is_cut(tmp_path, damage):
    path = tmp_path / "results.jsonl"
    path.write_bytes(line(0) + damage + line(1))
    before = path.read_bytes()
    history.repair_tail(path)
    with pytest.raises(RunDamagedError, match="line 2"):
        ids(path)
    assert path.read_bytes() == before


def test_what_is_read_from_the_middle_on_is_the_lines_there_by_their_own_numbers(tmp_path):
    path = tmp_path / "legal" / "results.jsonl"
    path.parent.mkdir()
    lines = [line(number) for number in range(4)]
    path.write_bytes(b"".join(lines))
    begins = [0, *(len(b"".join(lines[:count])) for count in range(1, 5))]
    for start in range(5):
        for end in range(start, 5):
            read = history.entries(path, "法务", start=begins[start], end=begins[end])
            assert [entry.id for entry in read] == [f"行-{number}" for number in range(start, end)]
    path.write_bytes(b"".join([*lines, b"{}\n"]))
    with pytest.raises(RunDamagedError) as raised:
        list(history.entries(path, "法务", start=begins[3]))
    no_run = f"There is neither run.json nor attempts.log in {tmp_path}: give the job another output, if that is no run directory"
    assert str(raised.value) == f"{path}: line 5: not an entry: there is no field 'id'. Nothing was changed. {no_run}"
    (tmp_path / "attempts.log").touch()
    with pytest.raises(RunDamagedError) as raised:
        list(history.entries(path, "法务", start=begins[3]))
    told = f"batchrun check {tmp_path} lists all damage, and moves it aside with --repair"
    assert str(raised.value) == f"{path}: line 5: not an entry: there is no field 'id'. Nothing was changed. {told}"
    with pytest.raises(RunDamagedError, match=r"line 1: is an entry of another workspace\. Nothing"):
        next(history.entries(path, "legal"))
    renamed = (
        r"line 1: is an entry of another workspace\. Nothing was changed\. '法务' has no other folder here: give this one that name back; "
    )
    with pytest.raises(RunDamagedError, match=renamed):
        next(history.entries(path, "legal"))
    (tmp_path / "法务").mkdir()
    with pytest.raises(RunDamagedError, match=r"line 1: is an entry of another workspace\. Nothing was changed\. batchrun check "):
        next(history.entries(path, "legal"))
    with pytest.raises(RunDamagedError, match=r"line 2: contradicts\. Nothing"):
        list(history.entries(path, "法务", lambda entry: "contradicts" if entry.id == "行-1" else None))
    assert [entry.id for entry in history.entries(path, "法务", read=lambda _line: read_entry(lines[0]))] == ["行-0"] * 5


def test_the_log_is_read_from_where_it_is_wanted_to_where_it_is_and_ends_with_this_start_of_the_machine(tmp_path):
    path = tmp_path / "attempts.log"
    lines = [opened_line(number, 1.0) for number in range(3)]
    path.write_bytes(b"".join(lines) + b"torn")
    size = len(lines[0])
    here = ReadIn(history.boot_id())
    assert [*history.Attempts(path)] == [Opened(0, at=1.0), Opened(1, at=1.0), Opened(2, at=1.0), here]
    assert [*history.Attempts(path, size)] == [Opened(1, at=1.0), Opened(2, at=1.0), here]
    assert [*history.Attempts(path, size, 2 * size)] == [Opened(1, at=1.0), here]
    assert [*history.Attempts(path, size, size)] == [*history.Attempts(tmp_path / "none")] == [here]
    assert len(here.boot) == 36


def test_a_torn_tail_is_as_long_as_it_is_however_far_back_its_line_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "TAIL_CHUNK_BYTES", 16)
    path = tmp_path / "results.jsonl"
    assert history.torn_tail(path) == 0
    for before in (b"", b"\n", b"whole\n", b"whole\n" * 9):
        for tail in range(70):
            path.write_bytes(before + b"x" * tail)
            assert history.torn_tail(path) == tail
    told = f"{path}: a torn last line of 69 bytes was moved to results.jsonl.torn"
    assert history.repair_tail(path) == told
    assert path.read_bytes() == before
    side = tmp_path / "results.jsonl.torn"
    assert (side.read_bytes(), side.stat().st_mode & 0o777) == (b"x" * 69 + b"\n", 0o600)


def test_what_a_repair_did_is_told(tmp_path):
    path = tmp_path / "attempts.log"
    assert history.repair_tail(path) is None
    path.write_bytes(line(0)[:-1])
    assert history.repair_tail(path) == f"{path}: the last line had lost only its newline: kept"
    path.write_bytes(line(0) + bytes(1040))
    told = f"{path}: its end was lost on the disk: calls and doubt may be higher by what stood in 1,040 bytes"
    assert history.repair_tail(path, keep_zeros=True) == told


def test_a_tail_is_never_moved_through_a_link(tmp_path):
    path, elsewhere = tmp_path / "results.jsonl", tmp_path / "elsewhere"
    path.write_bytes(line(0) + b"torn")
    elsewhere.write_bytes(b"")
    (tmp_path / "results.jsonl.torn").symlink_to(elsewhere)
    with pytest.raises(LedgerError) as raised:
        history.repair_tail(path)
    why = "cannot be opened, or its end not mended: Too many levels of symbolic links"
    told = f"{why}; nothing is lost: mend that and run the same command again"
    assert str(raised.value) == f"{path}: {told}"
    assert (elsewhere.read_bytes(), path.read_bytes()) == (b"", line(0) + b"torn")


def test_what_cannot_be_read_is_named(tmp_path):
    for read in (history.torn_tail, lambda path: list(history.entries(path, "a")), lambda path: list(history.Attempts(path))):
        with pytest.raises(LedgerError) as raised:
            read(tmp_path)
        assert str(raised.value) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_second_process_is_refused_and_a_killed_one_lets_go_at_once(tmp_path):
    program = (
        "import sys, pathlib\nfrom batchrun.edge.run_directory import locked\n"
        f"with locked(pathlib.Path({str(tmp_path / 'run')!r})):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(RunInUseError, match=f"process {child.pid} "), locked(tmp_path / "run"):
        pass
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with locked(tmp_path / "run") as directory:
        assert (directory.stat().st_mode & 0o777, (directory / "run.lock").stat().st_mode & 0o777) == (0o700, 0o600)
    assert (tmp_path / "run" / "run.lock").exists(), "unlinking it would let two processes hold two files of one name"


def test_an_entry_is_in_the_file_when_flush_returns_and_is_private(tmp_path):
    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        for number in range(3):
            ledger.append(outcome(number), now=float(number))
            ledger.flush()
            assert ids(tmp_path / "法务" / "results.jsonl")[-1] == f"行-{number}"
    assert (tmp_path / "法务" / "results.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_call_stands_in_the_log_before_it_is_sent_and_a_failure_as_soon_as_it_is_known(tmp_path):
    log = tmp_path / "attempts.log"
    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        name = ledger.start(outcome(1).row, Bound(7, 8), 1.0)
        ledger.flush()
        assert [*history.Attempts(log)][:-1] == [Started(name, "法务", "qwen-plus", "行-1", Bound(7, 8), 1.0)]
        ledger.end(name, "again", Failure(Fault.AGAIN, Scope.ROW, "read_timeout", "m", "a", in_doubt=True), 2.0)
        ledger.flush()
        assert [line.in_doubt for line in history.Attempts(log) if isinstance(line, Ended)] == [True]


def test_launching_waits_while_too_much_lies_unsynced(tmp_path):
    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        assert ledger.room(1e9)
        ledger.append(outcome(1), now=10.0)
        assert ledger.room(10.0 + UNSYNCED_SECONDS - 0.01)
        assert not ledger.room(10.0 + UNSYNCED_SECONDS)
        big = Answered(outcome(2).row, Reply("x" * UNSYNCED_BYTES, "stop", None), outcome(2).call)
        ledger.append(big, now=10.0)
        assert not ledger.room(10.0)


def test_the_first_failed_write_ends_the_ledger_for_every_file(tmp_path):
    def open_file(path):
        return os.open("/dev/full", os.O_WRONLY) if path.name == "results.jsonl" else open_to_append(path)

    with Ledger(Files(tmp_path, open_file), 1) as ledger:
        ledger.start(outcome(1).row, Bound(1, 1), 0.0)
        ledger.flush()
        size = (tmp_path / "attempts.log").stat().st_size
        ledger.append(outcome(1), 0.0)
        with pytest.raises(LedgerError, match="No space left"):
            ledger.flush()
        with pytest.raises(LedgerError, match=r"results\.jsonl"):
            ledger.start(outcome(2).row, Bound(1, 1), 0.0)
    assert (tmp_path / "attempts.log").stat().st_size == size


def test_a_failed_sync_ends_the_ledger_and_is_never_tried_again(tmp_path):
    reader, writer = os.pipe()
    ledger = Ledger(Files(tmp_path, lambda _path: writer), 1)
    ledger.append(outcome(1), 0.0)
    with pytest.raises(LedgerError, match="could not be synced"):  # A pipe cannot be synced.
        ledger.__exit__(None, None, None)
    with pytest.raises(LedgerError, match="could not be synced"):
        ledger.append(outcome(2), 0.0)
    os.close(reader)


def test_an_output_file_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "法务").mkdir()
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "法务" / "results.jsonl").symlink_to(tmp_path / "elsewhere")
    with Ledger(Files(tmp_path, open_to_append), 1) as ledger, pytest.raises(LedgerError):
        ledger.append(outcome(1), 0.0)
    assert (tmp_path / "elsewhere").read_bytes() == b""


PIECES = st.lists(st.sampled_from([b'{"end":"1-1"}', b"\n", b"\r", b"{", b"\0", b"x" * 40]), max_size=40).map(b"".join)


@given(PIECES, st.integers(2, 90), st.booleans(), st.randoms(use_true_random=False))
def test_blocks_of_a_log_are_its_lines_wherever_they_are_cut(content, size, to_the_end, dice):
    """Between any two places where lines begin; of a last line without an end, only one that lacks nothing else."""
    begins = [0, *(place + 1 for place, byte in enumerate(content) if byte == ord("\n"))]
    start, end = sorted(dice.choices(begins, k=2))
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patched:
        log = Path(directory) / "attempts.log"
        log.write_bytes(content)
        attempts = history.Attempts(log, start, None if to_the_end else end)
        patched.setattr(history, "_BLOCK_BYTES", size)
        blocks, lines = [*attempts.blocks()], [*history.lines_of(log, start, attempts.end)]
    asked = content[start:] if to_the_end else content[start:end]
    whole = asked[: asked.rfind(b"\n") + 1]
    wanted = asked if is_object(asked.removeprefix(whole)) else whole
    assert (b"".join(blocks), b"".join(lines)) == (wanted, wanted)
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    assert all(line.count(b"\n") <= 1 for line in lines)
    assert all(line.endswith(b"\n") for line in lines[:-1])


def is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


@pytest.mark.parametrize("read", [lambda log: log.blocks(), lambda log: history.lines_of(log.path)])
def test_of_a_line_that_is_being_written_the_rest_is_no_line_of_its_own(tmp_path, read):
    log = history.Attempts(tmp_path / "attempts.log")
    log.path.write_bytes(b'{"end":"1-1"}\n{"end":')
    found = read(log)
    first = next(found)
    with log.path.open("ab") as file:
        file.write(b'"1-2"}\n{"end":"1-3"}\n')
    assert b"".join([first, *found]) in {b'{"end":"1-1"}\n', b'{"end":"1-1"}\n{"end":"1-2"}\n{"end":"1-3"}\n'}
