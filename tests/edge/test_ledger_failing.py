"""What ends a ledger: a disk or a memory that is full, an interruption, a file that is moved away; and what stands by then."""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from batchrun.core.errors import LedgerError, StoppedError
from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Answered, Call, Failure, Fault, Reply, Scope, Usage
from batchrun.edge.history import entries as entries_of
from batchrun.edge.ledger import Files, Ledger
from batchrun.edge.run_directory import open_to_append
from tests.edge.test_run_directory import files_no_larger_than
from tests.edge.written import answered, row


def test_a_disk_that_takes_a_part_of_a_line_ends_the_ledger_before_the_line_counts_as_written(tmp_path):
    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        ledger.append(answered("r-1"), 0.0)
        ledger.flush()
        size = (tmp_path / "legal" / "results.jsonl").stat().st_size
        ledger.append(answered("r-2"), 0.0)
        with files_no_larger_than(size + 10), pytest.raises(LedgerError, match=r"results\.jsonl: could not be written"):
            ledger.flush()
        assert not ledger.room(0.0)
        with pytest.raises(LedgerError):
            ledger.start(row("r-3"), Bound(1, 1), 0.0)
    assert (tmp_path / "legal" / "results.jsonl").stat().st_size == size + 10


def test_no_call_starts_whose_answer_could_have_no_file(tmp_path):
    """A folder may have room for bytes, and for no more files: each start had paid for as many answers as there are slots."""

    def no_more_files(path):
        if path.name != "attempts.log":
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return open_to_append(path)

    with Ledger(Files(tmp_path, no_more_files), 1) as ledger:
        ledger.opened(0.0)
        with pytest.raises(LedgerError, match=r"results\.jsonl: could not be written: Disk quota exceeded"):
            ledger.start(row("r-1"), Bound(1, 1), 0.0)
    assert b"start" not in (tmp_path / "attempts.log").read_bytes()


def test_of_a_write_that_a_full_disk_takes_in_part_no_start_stands_of_a_call_that_is_never_sent(tmp_path):
    """They had counted as in doubt, each with the most that it could have cost, and their rows had waited for a person."""
    failure = Failure(Fault.AGAIN, Scope.ROW, "overloaded", "busy", "wait", usage=Usage(3, 4))

    def written(name: str, room: float) -> tuple[bytes, bytes]:
        """What stands before the ends of three calls and the starts of ten others are written, and what stands of those."""
        log = tmp_path / name / "attempts.log"
        (log.parent / "legal").mkdir(parents=True)
        with Ledger(Files(log.parent, open_to_append), 1) as ledger:
            names = [ledger.start(row(f"r-{number}"), Bound(7, 8), 1.0) for number in range(3)]
            ledger.flush()
            before = log.read_bytes()
            for each in names:
                ledger.end(each, "again", failure, 2.0)
            for number in range(10):
                ledger.start(row(f"next-{number}"), Bound(7, 8), 3.0)
            if room < math.inf:
                with files_no_larger_than(len(before) + int(room)), pytest.raises(LedgerError, match=r"log: could not be written"):
                    ledger.flush()
            else:
                ledger.flush()
        return before, log.read_bytes().removeprefix(before)

    before, whole = written("all", math.inf)
    ends, starts, _ = whole.partition(b'{"start"')
    assert (ends.count(b"\n"), whole.count(starts)) == (3, 10)
    for room in range(0, len(whole), 37):
        assert written(str(room), room) == (before, ends[:room])


def test_what_another_process_has_written_behind_a_write_that_failed_is_not_cut_off(tmp_path):
    log = tmp_path / "attempts.log"
    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        ledger.start(row("r-1"), Bound(7, 8), 1.0)
        ledger.flush()
        with log.open("ab") as another:
            another.write(b"another's\n")
        ledger.start(row("r-2"), Bound(7, 8), 1.0)
        with files_no_larger_than(log.stat().st_size + 20), pytest.raises(LedgerError):
            ledger.flush()
    assert b"another's\n" in log.read_bytes()
    assert len(log.read_bytes().splitlines()[-1]) == 20


def test_an_entry_that_there_is_no_memory_for_is_told_and_the_others_are_written(tmp_path):
    def price(workspace, _model, _usage, _at):
        if workspace == "poor":
            raise MemoryError

    with Ledger(Files(tmp_path, open_to_append), 1, price=price) as ledger:
        ledger.append(answered("r-1"), 0.0)
        with pytest.raises(StoppedError, match="no memory left to write the entry of row 'r-2' of poor: its call counts as in doubt"):
            ledger.append(answered("r-2", "poor"), 0.0)
        ledger.append(answered("r-3"), 0.0)
        ledger.flush()
        assert ledger.room(0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["legal"]
    assert [orjson.loads(line)["id"] for line in (tmp_path / "legal" / "results.jsonl").read_bytes().splitlines()] == ["r-1", "r-3"]


_WITHOUT_MEMORY = """
import resource, sys
from pathlib import Path
from batchrun.core.errors import LedgerError
from batchrun.edge.ledger import Files, Ledger
from batchrun.edge.run_directory import open_to_append
from tests.edge.written import answered

with Ledger(Files(Path(sys.argv[1]), open_to_append), 1) as ledger:
    ledger.append(answered("r-1"), 0.0)
    ledger.flush()
    for name in ("r-2", "r-3"):
        ledger.append(answered(name, content="a" * (48 << 20)), 0.0)
    ledger.append(answered("r-4", "sales"), 0.0)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (32 << 20), -1))
    for _ in range(2):
        try:
            ledger.flush()
        except LedgerError as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
"""


def test_no_memory_to_write_ends_the_ledger(tmp_path):
    command = [sys.executable, "-c", _WITHOUT_MEMORY, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == second
    assert "legal/results.jsonl: could not be written: Cannot allocate memory. Nothing more is sent or written. Give the run" in first
    assert [orjson.loads(line)["id"] for line in (tmp_path / "legal" / "results.jsonl").read_bytes().splitlines()] == ["r-1"]
    assert (tmp_path / "sales" / "results.jsonl").read_bytes() == b""


def test_what_interrupts_a_write_ends_the_ledger_and_no_line_is_written_twice(tmp_path):
    """A pipe takes the first 64 KiB of a line and waits; Ctrl-C comes while it does."""

    def interrupt(_signal, _frame):
        raise KeyboardInterrupt

    reading, writing = os.pipe()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with os.fdopen(reading, "rb") as pipe:
            with Ledger(Files(tmp_path, lambda _path: writing), 1) as ledger:
                ledger.append(answered("r-1", content="a" * 200_000), 0.0)
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                with pytest.raises(KeyboardInterrupt):
                    ledger.flush()
                os.set_blocking(reading, False)
                taken = pipe.read()
                with pytest.raises(LedgerError, match="could not be written: Interrupted system call"):
                    ledger.append(answered("r-2"), 0.0)
                with pytest.raises(LedgerError):
                    ledger.flush()
            assert taken.startswith(b'{"id":"r-1"')
            assert pipe.read() == b""
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_ends_a_ledger_is_told_with_the_calls_that_were_under_way(tmp_path):
    def open_file(path):
        return os.open("/dev/full", os.O_WRONLY) if path.name == "results.jsonl" else open_to_append(path)

    for calls, doubt in ((0, ""), (1100, "1,100 calls were under way: they may have been billed, and count as in doubt. ")):
        with Ledger(Files(tmp_path, open_file), 1) as ledger:
            for number in range(calls):
                ledger.start(row(f"r-{number}"), Bound(7, 8), 1.0)
            ledger.flush()
            # What was to be sent next never is.
            ledger.start(row("r-next"), Bound(7, 8), 1.0)
            ledger.append(answered("r-1"), 0.0)
            with pytest.raises(LedgerError) as raised:
                ledger.flush()
            assert str(raised.value) == (
                f"{tmp_path / 'legal' / 'results.jsonl'}: could not be written: No space left on device. Nothing more is sent or written. "
                f"{doubt}Mend the disk and run the same command again: it goes on from what the files hold"
            )
            for call in (ledger.flush, lambda: ledger.start(row("r-0"), Bound(7, 8), 1.0)):
                with pytest.raises(LedgerError) as again:
                    call()
                assert again.value is raised.value


@pytest.mark.parametrize("how", ["deleted", "replaced", "linked"])
def test_a_file_that_is_no_longer_where_it_was_ends_the_ledger_at_the_next_sync(tmp_path, how):
    ledger = Ledger(Files(tmp_path, open_to_append), 1)
    ledger.append(answered("r-1"), 0.0)
    ledger.flush()
    path = tmp_path / "legal" / "results.jsonl"
    path.rename(tmp_path / "elsewhere")
    if how == "replaced":
        path.write_bytes(b"")
    if how == "linked":
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerError, match=r"could not be synced: it was moved or deleted while the run was writing to it\. Nothing"):
        ledger.__exit__(None, None, None)


def begun(directory, name):
    ledger = Ledger(Files(directory, open_to_append), 1)
    ledger.append(answered(name), 0.0)
    ledger.flush()
    return ledger


MEDDLED = (
    r"could not be synced: it was written to, or cut, by another process while the run was writing to it\. Nothing .*"
    r"See that one process alone has this run open and run the same command again"
)


def test_two_processes_that_no_lock_keeps_apart_end_both_at_their_next_sync(tmp_path):
    one = begun(tmp_path, "r-1")
    other = begun(tmp_path, "r-1")
    one.append(answered("r-2"), 0.0)
    one.flush()
    for ledger in (one, other):
        with pytest.raises(LedgerError, match=MEDDLED):
            ledger.__exit__(None, None, None)


@pytest.mark.parametrize("left", [0, 1])
def test_a_file_that_somebody_cuts_ends_the_ledger_at_the_next_sync(tmp_path, left):
    ledger = begun(tmp_path, "r-1")
    os.truncate(tmp_path / "legal" / "results.jsonl", left)
    ledger.append(answered("r-2"), 0.0)
    ledger.flush()
    with pytest.raises(LedgerError, match=MEDDLED):
        ledger.__exit__(None, None, None)


def test_where_no_memory_is_left_to_tell_what_is_written_it_is_written_and_nothing_more_is_told(tmp_path, monkeypatch):
    told = []

    def none_left(*_asked: object) -> None:
        raise MemoryError

    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        ledger.be_followed(lambda lines, entries, _ordinals: told.extend([*lines, *entries]))
        ledger.opened(1.0)
        ledger.hand_over()
        assert (len(told), ledger.followed() is None) == (1, False)
        for number, step in enumerate(("started_of", "entry_of", "ended_of", "named_tuple"), 1):
            with monkeypatch.context() as patch:
                patch.setattr(f"batchrun.core.ledger.untold.{step}", none_left)
                asked = replace(row(f"r-{number}"), ordinal=number if step == "named_tuple" else None)
                name = ledger.start(asked, Bound(9, 9), 1.0)
                outcome = Answered(asked, Reply("an answer", "stop", Usage(7, 3)), Call(name, 1, 1.0, 12))
                ledger.append(outcome, 0.0)
                ledger.end(name, "answered", outcome.reply, 2.0)
            ledger.hand_over()
            assert ledger.followed() is None
    assert len(told) == 1
    assert [entry.id for entry in entries_of(tmp_path / "legal" / "results.jsonl", "legal")] == [f"r-{number}" for number in range(1, 5)]
