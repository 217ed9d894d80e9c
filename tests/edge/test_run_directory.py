"""The run directory: made, described, summaries put in place whole."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread, Timer

import orjson
import pytest

from batchrun.core.errors import JobError, LedgerError, RunDamagedError, RunInUseError
from batchrun.edge.history import repair_tail
from batchrun.edge.run_directory import (
    FORMAT,
    beside,
    holder,
    is_there,
    locked,
    open_to_append,
    read_description,
    read_summary,
    workspace_directories,
    write_summaries,
    write_summary,
    write_whole,
)
from batchrun.edge.trust import look_over
from batchrun.running.statements import read_statement
from batchrun.telling.checking import checked
from tests.edge.forks import forked
from tests.edge.rights import somebody_who_is_not_root


def mode(path):
    return path.stat().st_mode & 0o777


@contextmanager
def files_no_larger_than(size):
    """A disk that is full after *size* bytes a file: the write that crosses it takes a part, and the next is refused."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


# The lock


def test_a_run_directory_is_made_for_its_owner_alone(tmp_path):
    with locked(tmp_path / "runs" / "night") as directory:
        assert (directory, mode(directory), mode(directory / "run.lock")) == (tmp_path / "runs" / "night", 0o700, 0o600)
        assert (directory / "run.lock").read_text().startswith(f"process {os.getpid()} on ")


def test_a_held_directory_is_refused_in_the_same_process_too_and_free_again_afterwards(tmp_path):
    with locked(tmp_path):
        with pytest.raises(RunInUseError, match=f"in use by process {os.getpid()} "), locked(tmp_path):
            pass
        with pytest.raises(RunInUseError), locked(tmp_path):
            pass
    with locked(tmp_path):
        pass


def test_the_lock_holds_though_another_descriptor_of_its_file_is_closed(tmp_path):
    with locked(tmp_path):
        os.close(os.open(tmp_path / "run.lock", os.O_RDWR))
        program = f"from pathlib import Path; from batchrun.edge.run_directory import locked; locked(Path({str(tmp_path)!r})).__enter__()"
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert f"in use by process {os.getpid()} on " in other.stderr


def test_a_run_whose_lock_is_deleted_is_held_all_the_same(tmp_path):
    with locked(tmp_path):
        (tmp_path / "run.lock").unlink()
        assert holder(tmp_path) == "another process"
        with pytest.raises(RunInUseError, match="in use by another process"), locked(tmp_path):
            pass
    assert holder(tmp_path) is None
    with locked(tmp_path):
        assert (holder(tmp_path) or "").startswith(f"process {os.getpid()} on ")


def test_where_a_file_system_has_no_lock_for_directories_the_files_own_is_the_lock(tmp_path, monkeypatch):
    """As NFS, which locks only what is open to be written to."""
    flock = fcntl.flock

    def of_files_alone(descriptor, how):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", of_files_alone)
    with locked(tmp_path):
        assert (holder(tmp_path) or "").startswith(f"process {os.getpid()} on ")
        with pytest.raises(RunInUseError, match=f"in use by process {os.getpid()} "), locked(tmp_path):
            pass
    assert holder(tmp_path) is None


def test_a_lock_that_cannot_be_closed_ends_no_run_that_has_ended_well(tmp_path):
    with locked(tmp_path):
        held = [int(each.name) for each in Path("/proc/self/fd").iterdir() if each.is_symlink() and each.resolve() == tmp_path / "run.lock"]
        for descriptor in held:
            os.close(descriptor)
    assert len(held) == 1


def test_who_holds_a_run_is_told_and_asking_keeps_nobody_from_it(tmp_path):
    assert holder(tmp_path) is None
    with locked(tmp_path):
        assert (holder(tmp_path) or "").startswith(f"process {os.getpid()} on ")
    assert holder(tmp_path) is None
    assert holder(tmp_path / "nowhere") is None
    asking = os.open(tmp_path / "run.lock", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    (tmp_path / "run.lock").write_text(f"process {2**22 + 1} on {socket.gethostname()}\n")
    Timer(0.1, os.close, (asking,)).start()
    with locked(tmp_path):
        assert (holder(tmp_path) or "").startswith(f"process {os.getpid()} on ")


def test_an_owner_that_is_gone_is_not_named_for_the_one_that_holds_the_run(tmp_path):
    with locked(tmp_path):
        (tmp_path / "run.lock").write_text(f"process {2**22 + 1} on {socket.gethostname()}\n")
        with pytest.raises(RunInUseError, match="in use by another process"), locked(tmp_path):
            pass
        (tmp_path / "run.lock").write_text(f"process {2**22 + 1} on elsewhere\n")
        with pytest.raises(RunInUseError, match="on elsewhere"), locked(tmp_path):
            pass


@pytest.mark.parametrize(
    ("signed", "named"),
    [
        (f"process {10**30} on {socket.gethostname()}", "another process"),
        (f"somebody on {socket.gethostname()}", f"somebody on {socket.gethostname()}"),
        (f"process 1 on {socket.gethostname()}", f"process 1 on {socket.gethostname()}"),
        (b"process 7 on \xff\xfe", "process 7 on \ufffd\ufffd"),
    ],
    ids=["no number that can be", "no number", "another user's", "no text"],
)  # fmt: skip
def test_whoever_holds_a_run_is_told_as_it_signed_whatever_that_is(tmp_path, signed, named):
    with locked(tmp_path):
        (tmp_path / "run.lock").write_bytes(signed if isinstance(signed, bytes) else signed.encode())
        with pytest.raises(RunInUseError, match=f"in use by {named};"), locked(tmp_path):
            pass


def test_a_pipe_in_the_locks_place_is_held_by_nobody_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "run.lock")
    assert holder(tmp_path) is None


def test_a_lock_is_given_back_when_the_run_ends_in_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path):
        pass


def test_what_a_program_forks_meanwhile_neither_holds_its_run_for_longer_nor_gives_it_back(tmp_path):
    """As a pool of processes that takes the outcomes of one run is there while the next is opened."""
    mine = locked(tmp_path)
    mine.__enter__()
    with forked(lambda: mine.__exit__(None, None, None)):
        assert (holder(tmp_path) or "").startswith(f"process {os.getpid()} on ")
    with forked(lambda: None):
        mine.__exit__(None, None, None)
        assert holder(tmp_path) is None
        with locked(tmp_path):
            pass


def test_an_older_and_longer_owner_leaves_nothing_of_its_name(tmp_path):
    (tmp_path / "run.lock").write_text("process 123456789 on " + "x" * 300 + "\n")
    with locked(tmp_path):
        assert (tmp_path / "run.lock").read_text().count("\n") == 1
        assert "x" * 300 not in (tmp_path / "run.lock").read_text()


def test_an_error_of_the_run_is_not_taken_for_one_of_the_lock(tmp_path):
    with pytest.raises(FileNotFoundError), locked(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "of the run")


@pytest.mark.parametrize("place", ["file", "file/run", "/proc/run", "name" * 100])
def test_a_path_that_can_be_no_directory_is_a_mistake_of_the_job_that_names_it(tmp_path, place):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JobError, match=r".*: cannot be used as a run directory: .*; give the job another output"), locked(tmp_path / place):
        pass


TO_BE_GIVEN = "Permission denied: it is to be given (chown), or opened (chmod), to the user who runs this"


def test_what_this_user_may_not_write_or_read_is_named_with_the_way_out(folder):
    with somebody_who_is_not_root():
        run = folder / "run"
        (run / "input").mkdir(parents=True)
        (run / "run.json").write_bytes(b"{}")
        (run / "run.json").chmod(0o000)
        with pytest.raises(LedgerError, match=re.escape(f"{run}/run.json: cannot be read: {TO_BE_GIVEN}")):
            read_description(run)
        with pytest.raises(
            LedgerError, match=re.escape(f"{run}/run.json: cannot be opened, or its end not mended: {TO_BE_GIVEN}; nothing")
        ):
            repair_tail(run / "run.json")
        (run / "input").chmod(0o000)
        with pytest.raises(LedgerError, match=re.escape(f"{run}/input: cannot be looked over, or written to: {TO_BE_GIVEN}")):
            look_over(run)
        run.chmod(0o500)
        with pytest.raises(LedgerError, match=re.escape(f"{run}: cannot be looked over, or written to: {TO_BE_GIVEN}")):
            look_over(run)
        run.chmod(0o700)
        (run / "run.lock").touch(0o400)
        with pytest.raises(JobError, match=r"run: cannot be used as a run directory: run\.lock: Permission denied; give"), locked(run):
            pass


def test_a_disk_too_full_to_name_the_owner_is_a_ledger_error_and_the_lock_is_given_back(tmp_path):
    with files_no_larger_than(0), pytest.raises(LedgerError, match="cannot be locked"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


# What stands in it


def test_only_directories_with_entries_are_workspaces(tmp_path):
    for name, file in {"法务": "results.jsonl", "b": "errors.jsonl", "input": "000.jsonl", "empty": None}.items():
        (tmp_path / name).mkdir()
        if file:
            (tmp_path / name / file).write_bytes(b"")
    (tmp_path / "results.jsonl").write_bytes(b"")
    assert [path.name for path in workspace_directories(tmp_path)] == ["b", "法务"]
    assert workspace_directories(tmp_path / "nowhere") == []


def test_what_cannot_be_looked_at_is_not_taken_for_what_is_not_there(tmp_path):
    """A run would take its ledger for an empty one, and ask for all of it again."""
    (tmp_path / "file").write_bytes(b"")
    assert [is_there(tmp_path / name) for name in ("file", "nothing", "file/nothing")] == [True, False, False]
    nameless = tmp_path / ("x" * 300)
    with pytest.raises(OSError, match="too long"):
        is_there(nameless)
    with pytest.raises(LedgerError, match="x: cannot be read: File name too long"):
        workspace_directories(nameless)
    (tmp_path / "legal").mkdir()
    (tmp_path / "legal" / "results.jsonl").symlink_to("results.jsonl")
    with pytest.raises(LedgerError, match="cannot be read: Too many levels of symbolic links"):
        workspace_directories(tmp_path)


def test_a_description_reads_back_as_it_was_written(tmp_path):
    assert read_description(tmp_path) is None
    written = {"format": FORMAT, "run": "r", "name": "夜", "rows": {"法务": {"qwen-plus": 3}}}
    write_summary(tmp_path / "run.json", written)
    assert read_description(tmp_path) == written


@pytest.mark.parametrize("content", [b"", b"{", b"\0\0", b"{}", b"[]", b"7", b'{"format": "1"}', b'{"format": null}'])
def test_a_description_that_cannot_be_understood_is_damage_and_is_left_as_it_is(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunDamagedError, match=r"run\.json.*move"):
        read_description(tmp_path)
    assert (tmp_path / "run.json").read_bytes() == content


NONE: dict[str, list[object]] = {
    "run": [None, 7, ["r"], {}],
    "name": [None, 7, ["r"], {}],
    "rows": [None, 7, [], {"a": 3}, {"a": {"m": "3"}}, {"a": {"m": -1}}, {"a": {"m": True}}, {"a": {"m": [1]}}],
    "rejected_input": ["3", -1, 1.5, [1], True],
    "job": [None, "x", [1], {"job": 3}, {"workspaces": {"a": 3}}, {"accounts": {"a": []}}, {"prices": 7}],
}


@pytest.mark.parametrize(("field", "wrong"), [(field, wrong) for field, each in NONE.items() for wrong in each])
def test_a_description_without_its_digest_is_read_where_its_fields_may_be_what_was_written(tmp_path, field, wrong):
    written = {"format": FORMAT, "run": "r", "name": "n", "rows": {"a": {"m": 3}}, "rejected_input": 0, "job": {"workspaces": {"a": {}}}}
    write_summary(tmp_path / "run.json", written)
    assert read_description(tmp_path) == written
    write_summary(tmp_path / "run.json", written | {field: wrong})
    with pytest.raises(RunDamagedError, match=rf"run\.json: was changed after it was written: its {field} is none; the rows are safe"):
        read_description(tmp_path)


@pytest.mark.parametrize("digest", ["", "0" * 32, 7, True, [], ["a"], {}])
def test_a_description_whose_digest_is_no_digest_is_damage(tmp_path, digest):
    write_summary(tmp_path / "run.json", {"format": FORMAT, "run": "r", "name": "n", "blake2b": digest})
    with pytest.raises(RunDamagedError, match="was changed after it was written; the rows are safe"):
        read_description(tmp_path)


def test_a_description_of_a_newer_format_is_refused(tmp_path):
    write_summary(tmp_path / "run.json", {"format": FORMAT + 1})
    with pytest.raises(RunDamagedError, match="newer batchrun"):
        read_description(tmp_path)


def test_a_description_that_is_a_directory_is_a_ledger_error(tmp_path):
    (tmp_path / "run.json").mkdir()
    with pytest.raises(LedgerError, match=r"run\.json"):
        read_description(tmp_path)


# Summaries


def test_a_summary_is_put_in_place_whole_private_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "usage.json"
    for number in range(2):
        write_summary(path, {"number": number})
        assert orjson.loads(path.read_bytes()) == {"number": number}
    assert (mode(path), [each.name for each in tmp_path.iterdir()]) == (0o600, ["usage.json"])


def test_a_disk_that_fills_up_leaves_the_old_summary_and_never_half_a_new_one(tmp_path):
    path = tmp_path / "usage.json"
    write_summary(path, {"old": True})
    with files_no_larger_than(1000), pytest.raises(LedgerError, match=r"usage\.json: cannot be written.*made again"):
        write_summary(path, {"new": "x" * 10_000})
    assert orjson.loads(path.read_bytes()) == {"old": True}
    write_summary(path, {"new": True})
    assert orjson.loads(path.read_bytes()) == {"new": True}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b'"x"', b"null"])
def test_a_summary_that_cannot_be_understood_says_nothing(tmp_path, content):
    (tmp_path / "usage.json").write_bytes(content)
    assert read_summary(tmp_path / "usage.json") == read_summary(tmp_path / "none.json") == {}


def test_what_a_killed_process_left_beside_a_summary_is_written_over(tmp_path):
    (tmp_path / ".usage.json.new").write_bytes(b"x" * 1000)
    write_summary(tmp_path / "usage.json", {})
    assert (tmp_path / "usage.json").read_bytes() == b"{}\n"


def test_a_run_without_its_description_is_told_how_it_gets_one(tmp_path):
    (tmp_path / "attempts.log").touch()
    with pytest.raises(JobError, match=r"its run\.json was taken away: run its job again, which makes it anew"):
        read_statement(tmp_path)


def test_a_run_of_a_name_that_is_not_ascii_begins_beside_runs_of_other_names(tmp_path):
    for name in ("other", "另一个"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").touch()
    with locked(tmp_path / "夜间"):
        assert (tmp_path / "夜间").is_dir()


def test_whoever_only_looks_is_not_taken_for_the_holder_by_another_who_looks(tmp_path):
    with locked(tmp_path / "run"):
        pass
    looks = [os.open(path, os.O_RDONLY) for path in (tmp_path / "run", tmp_path / "run" / "run.lock")]
    try:
        for each in looks:
            fcntl.flock(each, fcntl.LOCK_SH)
        assert holder(tmp_path / "run") is None
    finally:
        for each in looks:
            os.close(each)


def test_what_another_has_put_in_its_place_since_it_was_opened_is_not_written_over(tmp_path, monkeypatch):
    """Between the opening of the file beside and its lock: the other one lets go of it when it is the summary."""
    path, beside_it, lock = tmp_path / "usage.json", tmp_path / ".usage.json.new", fcntl.flock
    beside_it.write_bytes(b"the other's\n")

    def once_it_is_in_its_place(descriptor, how):
        with suppress(FileNotFoundError):
            beside_it.replace(path)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", once_it_is_in_its_place)
    with beside(path) as file:
        assert path.read_bytes() == b"the other's\n"
        file.write(b"{}\n")
    assert path.read_bytes() == b"{}\n"
    assert [*tmp_path.iterdir()] == [path]


def test_a_summary_is_not_written_through_a_link(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"another's")
    (tmp_path / ".usage.json.new").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerError, match="symbolic links"):
        write_summary(tmp_path / "usage.json", {})
    assert (tmp_path / "elsewhere").read_bytes() == b"another's"


def test_whoever_writes_a_summary_waits_for_nobody_who_does_and_takes_nothing_of_the_others(tmp_path):
    """As reports of one run do, each in a process of its own; one of which may have been stopped."""
    path = tmp_path / "report.html"

    def write(content: bytes, *, fails: bool = False) -> None:
        with suppress(LedgerError), beside(path) as file:
            file.write(content)
            if fails:
                raise OSError(errno.ENOSPC, "No space left on device")

    with beside(path) as file:
        file.write(b"the first" * 999)
        others = [Thread(target=write, args=(b"%d" % number * 9999,), kwargs={"fails": number % 3 == 0}) for number in range(9)]
        for each in others:
            each.start()
        for each in others:
            each.join()
        assert path.read_bytes() in [b"%d" % number * 9999 for number in (1, 2, 4, 5, 7, 8)]
    assert path.read_bytes() == b"the first" * 999
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_two_that_are_within_one_summary_at_once_have_a_file_each(tmp_path):
    path = tmp_path / "report.html"
    with beside(path) as one:
        with beside(path) as other:
            one.write(b"the one, and longer")
            other.write(b"the other")
        assert path.read_bytes() == b"the other"
    assert path.read_bytes() == b"the one, and longer"


@pytest.mark.parametrize("workspaces", [1, 4, 5, 60])
def test_the_summaries_of_few_and_of_many_workspaces_are_all_in_place_when_it_is_said_so(tmp_path, workspaces):
    summaries = {tmp_path / f"w{number}" / "usage.json": {"calls": number} for number in range(workspaces)}
    write_summaries(summaries)
    assert {path: orjson.loads(path.read_bytes()) for path in tmp_path.glob("*/*")} == summaries


@pytest.mark.parametrize("workspaces", [4, 60])
def test_one_of_many_summaries_that_cannot_be_written_is_told(tmp_path, workspaces):
    (tmp_path / "w3").write_text("no directory")
    with pytest.raises(LedgerError, match="w3: cannot be made"):
        write_summaries({tmp_path / f"w{number}" / "usage.json": {} for number in range(workspaces)})


def test_a_summary_without_its_directory_is_a_ledger_error(tmp_path):
    with pytest.raises(LedgerError, match="No such file"):
        write_summary(tmp_path / "gone" / "usage.json", {})


# Files of the ledger


def test_a_file_opened_to_append_keeps_what_it_holds_and_is_private_with_its_directory(tmp_path):
    path = tmp_path / "法务" / "results.jsonl"
    for part in (b"one\n", b"two\n"):
        descriptor = open_to_append(path)
        os.write(descriptor, part)
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)
    assert path.read_bytes() == b"one\ntwo\n"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "attempts.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        open_to_append(tmp_path / "attempts.log")


def test_a_summary_that_the_disk_has_no_room_for_leaves_the_old_one_and_takes_up_no_room(tmp_path):
    """A checkpoint is as large as what is left of a disk, maybe, and the ledger needs that more."""
    path = tmp_path / "plan.checkpoint"
    write_whole(path, b"old")
    with files_no_larger_than(10), pytest.raises(LedgerError, match="cannot be written: File too large"):
        write_whole(path, b"x" * 11)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["night", "夜间"])
def test_a_run_in_a_folder_that_this_user_may_not_enter_is_told_whatever_letters_its_name_has(folder, name):
    closed = folder / "closed"
    closed.mkdir(mode=0o000)
    with somebody_who_is_not_root():
        with pytest.raises((JobError, LedgerError), match=f"closed/{name}: cannot be used as a run directory: Permission denied"):
            locked(closed / name).__enter__()
        with pytest.raises(LedgerError, match=f"closed/{name}: cannot be read: Permission denied"):
            checked(closed / name, repair=False)
