"""The ledger as it is written: parts of lines, files of workspaces, and what comes while the disk is busy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import orjson
import pytest

from batchrun.core.errors import LedgerError, StoppedError
from batchrun.core.ledger.attempts import Bound, Ended, Opened, Promised, ReadIn, Started, closed_line, opened_line, read_attempt
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.unsynced import UNSYNCED_BYTES
from batchrun.core.model import Answered, Call, Exhausted, Failure, Fault, Money, Outcome, Rejected, Reply, Row, Scope, Usage
from batchrun.edge.history import Attempts, boot_id
from batchrun.edge.history import entries as entries_of
from batchrun.edge.ledger import Files, Ledger
from batchrun.edge.run_directory import open_to_append
from tests.edge.test_run_directory import files_no_larger_than
from tests.virtual_time import run_virtually


def row(name: str, workspace: str = "legal") -> Row:
    return Row(name, workspace, "qwen-plus", {}, "0" * 16)


def answered(name: str, workspace: str = "legal", content: str = "an answer") -> Outcome:
    return Answered(row(name, workspace), Reply(content, "stop", Usage(7, 3)), Call("1-1", 1, 1.0, 12))


def test_entries_go_to_the_files_of_their_own_workspace_and_stand_there_after_a_flush(tmp_path):
    failure = Failure(Fault.AGAIN, Scope.ROW, "internal_error", "m", "a")
    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        for name in ("a", "b", "a", "c"):
            ledger.append(answered(f"of-{name}", name), 0.0)
            ledger.append(Exhausted(row(f"of-{name}", name), failure, None), 0.0)
        ledger.flush()
        for name, count in (("a", 2), ("b", 1), ("c", 1)):
            for file in ("results", "errors"):
                lines = (tmp_path / name / f"{file}.jsonl").read_bytes().splitlines()
                assert [orjson.loads(line)["id"] for line in lines] == [f"of-{name}"] * count


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
from tests.edge.test_ledger import answered

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


class Slow(Files):
    """Their disk takes as long to sync as it is told."""

    def __init__(self, *parts) -> None:
        super().__init__(*parts)
        self.busy, self.may_end = threading.Event(), threading.Event()

    def sync_all(self, dirty) -> None:
        self.busy.set()
        assert self.may_end.wait(20)
        super().sync_all(dirty)


def test_what_is_appended_while_a_sync_is_under_way_counts_as_unsynced_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr("batchrun.edge.ledger.ledger.SYNC_EVERY", 0.01)

    async def main() -> list[bool]:
        room = []
        with Ledger(files := Slow(tmp_path, open_to_append), 1) as ledger:
            synced = [anyio.Event(), anyio.Event()]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ledger.keep_synced, lambda: next(each for each in synced if not each.is_set()).set())
                ledger.append(answered("r-1"), anyio.current_time())
                ledger.flush()
                assert await anyio.to_thread.run_sync(files.busy.wait, 20)
                ledger.append(answered("r-2", content="x" * UNSYNCED_BYTES), anyio.current_time())
                ledger.flush()
                room.append(ledger.room(anyio.current_time()))
                files.may_end.set()
                for each in synced:
                    await each.wait()
                    room.append(ledger.room(anyio.current_time()))
                tasks.cancel_scope.cancel()
        return room

    assert anyio.run(main) == [False, False, True]


def test_what_is_awaited_as_promised_stands_in_the_log_and_was_synced(tmp_path):
    synced: list[bytes] = []

    class Seen(Files):
        def sync(self, dirty) -> None:
            super().sync(dirty)
            synced.append(dirty.path.read_bytes())

    async def main() -> None:
        with Ledger(Seen(tmp_path, open_to_append), 1, boot="a-start") as ledger:
            assert not ledger.promise(row("r-1"), Bound(7, 8))
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(ledger.promised, row("r-1"))
            assert len(synced) == 1, "one for all that wait"
            assert b'"promised":[["legal","qwen-plus",' in synced[0]
            assert ledger.promise(row("r-2"), Bound(7, 8))

    anyio.run(main)


def priced(workspace, model, usage, at):
    return (
        Money("CNY", Decimal(f"{usage.input_tokens}.{usage.output_tokens}"))
        if (workspace, model, at) == ("legal", "qwen-plus", 1.0)
        else None
    )


def test_an_entry_says_what_its_call_cost_when_it_began_and_one_without_a_call_or_tokens_costs_nothing_known(tmp_path):
    usage = Usage(7, 3)
    paid = Failure(Fault.REJECT, Scope.ROW, "schema_mismatch", "m", "a", usage=usage)
    unpaid = replace(paid, usage=None)
    call = Call("1-1", 1, 1.0, 12)
    with Ledger(Files(tmp_path, open_to_append), 1, price=priced) as ledger:
        ledger.append(answered("r-1"), 0.0)
        for failure, made in ((paid, call), (paid, None), (unpaid, call), (paid, replace(call, started_at=2.0))):
            ledger.append(Rejected(row("r-2"), failure, made), 0.0)
    files = [(tmp_path / "legal" / f"{name}.jsonl").read_bytes() for name in ("results", "errors")]
    read = [read_entry(line).cost for file in files for line in file.splitlines(keepends=True)]
    assert read == [Money("CNY", Decimal("7.3")), Money("CNY", Decimal("7.3")), None, None, None]


def test_the_log_says_what_a_call_cost_whose_tokens_stand_in_no_entry(tmp_path):
    failure = Failure(Fault.REASK, Scope.ROW, "schema_mismatch", "m", "a", usage=Usage(7, 3))
    with Ledger(Files(tmp_path, open_to_append), 1, price=priced) as ledger:
        for at, result in ((1.0, failure), (2.0, failure), (1.0, replace(failure, usage=None))):
            name = ledger.start(row("r-1"), Bound(9, 9), 0.5)
            ledger.end(name, "reasked", result, at)
    ends = [line for line in Attempts(tmp_path / "attempts.log") if isinstance(line, Ended)]
    assert [(end.name, end.cost, end.usage) for end in ends] == [
        ("1-1", Money("CNY", Decimal("7.3")), Usage(7, 3)),
        ("1-2", None, Usage(7, 3)),
        ("1-3", None, None),
    ]


@pytest.mark.parametrize("raw", [False, True])
def test_the_providers_body_stands_in_an_entry_where_it_was_asked_for(tmp_path, raw):
    with Ledger(Files(tmp_path, open_to_append), 1, raw=raw) as ledger:
        ledger.append(Answered(row("r-1"), Reply("an answer", "stop", None, body=b'{"id":"chatcmpl-1"}'), Call("1-1", 1, 1.0, 12)), 0.0)
    told = orjson.loads((tmp_path / "legal" / "results.jsonl").read_bytes())
    assert told.get("response") == ({"id": "chatcmpl-1"} if raw else None)


def test_what_goes_on_is_promised_anew_behind_and_the_log_read_in_this_start_of_the_machine_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("batchrun.edge.ledger.ledger.SYNC_EVERY", 0.01)

    async def main() -> None:
        with Ledger(Files(tmp_path, open_to_append), 1, boot="a-start", wall_time=lambda: 8.0) as ledger:
            assert not ledger.promise(row("r-1"), Bound(7, 8))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ledger.keep_synced, lambda: None)
                with anyio.fail_after(20):
                    while not ledger.promise(row("r-2"), Bound(7, 8)):
                        await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()

    anyio.run(main)
    lines = [*Attempts(tmp_path / "attempts.log")]
    promised = [line for line in lines if isinstance(line, Promised)]
    assert {(each.workspace, each.model) for line in promised for each in line.promises} == {("legal", "qwen-plus")}
    assert {line.at for line in promised} == {8.0}
    assert lines[-1] == ReadIn(boot_id())


def test_what_is_followed_is_what_is_read_and_never_more_than_what_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr("batchrun.core.ledger.untold._TOGETHER", 1)
    lines, entries = [], []

    def follow(more, came, _ordinals) -> None:
        lines.extend(more)
        entries.extend(came)
        assert [*Attempts(tmp_path / "attempts.log")][: len(lines)] == lines
        assert [*entries_of(tmp_path / "legal" / "results.jsonl", "legal")][: len(entries)] == entries

    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        ledger.be_followed(follow)
        ledger.opened(1.0)
        for number in range(1, 100):
            name = ledger.start(row(f"r-{number}"), Bound(9, 9), 1.0)
            ledger.tell()
            assert len(lines) < 2 * number, "its start is not written yet"
            ledger.flush()
            ledger.tell()
            outcome = Answered(row(f"r-{number}"), Reply("an answer", "stop", Usage(7, 3)), Call(name, 1, 1.0, 12))
            ledger.append(outcome, 0.0)
            ledger.tell()
            ledger.flush()
            ledger.tell()
            assert len(entries) < number, "its end is not written yet"
            ledger.end(name, "answered", outcome.reply, 2.0)
            ledger.tell()
        given = len(entries)
        assert 0 < given < 99
        assert ledger.followed() is None
        ledger.hand_over()
        assert (len(entries), len(lines)) == (99, 199)
        assert ledger.followed() is not None
        ledger.append(answered("r-2"), 0.0)
        with files_no_larger_than((tmp_path / "legal" / "results.jsonl").stat().st_size + 10), pytest.raises(LedgerError):
            ledger.hand_over()
        assert len(entries) == 99
        assert ledger.followed() is None


def test_a_call_that_was_billed_and_has_no_entry_tells_its_rows_metadata_and_one_that_was_not_tells_none(tmp_path):
    of = replace(row("r-1"), metadata={"a": 1})
    billed = Failure(Fault.REASK, Scope.ROW, "no_json", "m", "a", status=200, usage=Usage(7, 3))
    with Ledger(Files(tmp_path, open_to_append), 4) as ledger:
        names = [ledger.start(of, Bound(7, 8), float(number)) for number in range(2)]
        ledger.end(names[0], "reasked", billed, 5.5)
        ledger.end(names[1], "again", Failure(Fault.AGAIN, Scope.ROW, "internal_error", "m", "a"), 6.5)
    told = Ended("4-1", "reasked", False, Usage(7, 3), None, 5.5, "no_json", 200, {"a": 1}, True)
    assert [line for line in Attempts(tmp_path / "attempts.log") if isinstance(line, Ended)] == [
        told,
        Ended("4-2", "again", in_doubt=False, usage=None, at=6.5, code="internal_error"),
    ]


def test_the_end_of_an_answer_is_written_with_the_next_line_in_the_order_in_which_things_were(tmp_path):
    log = tmp_path / "attempts.log"
    reply = Reply("x", "stop", Usage(7, 3))
    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        names = [ledger.start(row(f"r-{number}"), Bound(7, 8), 1.0) for number in range(3)]
        ledger.flush()
        before = log.read_bytes()
        ledger.end(names[0], "answered", reply, 2.0)
        ledger.end(names[1], "answered", reply, 2.0)
        ledger.flush()
        assert log.read_bytes() == before
        ledger.end(names[2], "answered", replace(reply, usage=None), 2.0)
        ledger.flush()
        assert [line.name for line in Attempts(log) if isinstance(line, Ended)] == names
        ledger.end(ledger.start(row("r-4"), Bound(7, 8), 3.0), "answered", reply, 4.0)
    assert [line.name for line in Attempts(log) if isinstance(line, Ended)] == [*names, "1-4"]


def test_an_opening_that_ends_well_says_so_where_calls_are_promised_and_says_when_it_began(tmp_path):
    for boot in (None, "a-start"):
        directory = tmp_path / str(boot)
        directory.mkdir()
        with Ledger(Files(directory, open_to_append), 7, boot=boot, wall_time=lambda: 9.5) as ledger:
            ledger.opened(1.5)
            assert read_attempt((directory / "attempts.log").read_bytes()) == Opened(7, boot)
            assert ledger.promise(row("r-1"), Bound(7, 8)) is (boot is None)
        lines = (directory / "attempts.log").read_bytes().splitlines(keepends=True)
        assert lines == [opened_line(7, 1.5, boot), *([closed_line(9.5)] if boot else [])]


def test_what_ends_a_ledger_is_told_with_the_calls_that_were_under_way(tmp_path):
    def open_file(path):
        return os.open("/dev/full", os.O_WRONLY) if path.name == "results.jsonl" else open_to_append(path)

    for calls, doubt in ((0, ""), (1100, "1,100 calls were under way: they may have been billed, and count as in doubt. ")):
        with Ledger(Files(tmp_path, open_file), 1) as ledger:
            for number in range(calls):
                ledger.start(row(f"r-{number}"), Bound(7, 8), 1.0)
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


def test_all_files_that_were_written_to_are_synced_and_no_others_however_many_they_are(tmp_path):
    synced: list[str] = []

    class Seen(Files):
        def sync(self, dirty) -> None:
            super().sync(dirty)
            synced.append(dirty.path.parent.name)

    for many in (3, 4, 5, 40):
        synced.clear()
        names = [f"{many}-{number}" for number in range(many)]
        with Ledger(Seen(tmp_path, open_to_append), 1) as ledger:
            for name in names:
                ledger.append(answered("r-1", name), 0.0)
        assert sorted(synced) == sorted(names)


def cancelled(scope: anyio.CancelScope, monkeypatch) -> None:
    scope.cancel()


def no_thread(scope: anyio.CancelScope, monkeypatch) -> None:
    async def never(*_asked: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("batchrun.edge.ledger.ledger.run_sync", never)


@pytest.mark.parametrize("ends", [cancelled, no_thread])
def test_an_opening_whose_end_keeps_a_sync_from_beginning_syncs_at_its_end_what_that_was_to(tmp_path, monkeypatch, ends):
    synced: list[str] = []

    class Seen(Files):
        def sync(self, dirty) -> None:
            super().sync(dirty)
            synced.append(dirty.path.name)

        def take_dirty(self):
            taken = super().take_dirty()
            ends(scopes[0], monkeypatch)
            return taken

    scopes: list[anyio.CancelScope] = []
    monkeypatch.setattr("batchrun.edge.ledger.ledger.SYNC_EVERY", 0.01)

    async def main() -> None:
        with suppress(RuntimeError), Ledger(Seen(tmp_path, open_to_append), 1, boot="a-start") as ledger:
            ledger.append(answered("r-1"), anyio.current_time())
            ledger.flush()
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await ledger.keep_synced(lambda: None)

    anyio.run(main)
    assert synced == ["results.jsonl", "attempts.log"], "it says at last that all is on the disk, and it is"


def test_a_second_later_ends_are_written_promises_looked_over_and_what_is_dirty_is_synced(tmp_path):
    synced: list[str] = []

    class Seen(Files):
        def sync(self, dirty) -> None:
            synced.append(dirty.path.name)
            super().sync(dirty)

    async def main() -> None:
        rooms: list[float] = []
        with Ledger(Seen(tmp_path, open_to_append), 1, boot="a-start", wall_time=lambda: 9.5) as ledger:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ledger.keep_synced, lambda: rooms.append(anyio.current_time()))
                await anyio.sleep(2.5)
                assert (synced, rooms) == ([], [])
                ledger.promise(row("r-1"), Bound(7, 8))
                name = ledger.start(row("r-1"), Bound(7, 8), 1.0)
                ledger.append(answered("r-1"), anyio.current_time())
                ledger.flush()
                ledger.end(name, "answered", Reply("x", "stop", Usage(1, 1)), 2.0)
                assert not ledger.room(5.0)
                await anyio.sleep(1)
                assert ledger.room(5.0)
                assert (sorted(synced), rooms) == (["attempts.log", "results.jsonl"], [3.0])
                told = [type(line) for line in Attempts(tmp_path / "attempts.log")]
                assert told[:-1] == [Started, Ended, Promised]
                assert ledger.promise(row("r-2"), Bound(7, 8)), "what was promised a second ago stands"
                await anyio.sleep(5)
                tasks.cancel_scope.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchrun.edge.ledger.ledger.run_sync", _at_once)  # Threads know no virtual time.
        run_virtually(main)


async def _at_once(function, *arguments):
    return function(*arguments)


def test_a_sync_that_takes_two_seconds_keeps_anything_more_from_being_launched(tmp_path):
    ledger = Ledger(Files(tmp_path, open_to_append), 1)
    rooms = []

    async def slow(function, *arguments):
        await anyio.sleep(5)
        function(*arguments)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ledger.keep_synced, lambda: None)
            ledger.append(answered("r-1"), anyio.current_time())
            ledger.flush()
            for at in (1.5, 2.9, 3.1, 5.9, 6.1):
                await anyio.sleep(at - anyio.current_time())
                rooms.append(ledger.room(anyio.current_time()))
            tasks.cancel_scope.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchrun.edge.ledger.ledger.run_sync", slow)
        run_virtually(main)
    ledger.__exit__(None, None, None)
    # Its own entry was two seconds old at 2.0.
    assert rooms == [True, False, False, False, True]


def test_each_file_is_opened_once_and_none_is_open_any_more_when_the_ledger_is_left(tmp_path):
    opened = []

    def open_file(path) -> int:
        opened.append(path.relative_to(tmp_path).as_posix())
        return open_to_append(path)

    before = set(Path("/proc/self/fd").iterdir())
    for again in (False, True):
        opened.clear()
        with Ledger(Files(tmp_path, open_file), 1) as ledger:
            for number in range(3):
                ledger.start(row(f"r-{number}"), Bound(7, 8), 1.0)
                for name in ("legal", "sales"):
                    ledger.append(answered(f"r-{number}", name), 0.0)
                ledger.flush()
            if again:
                (tmp_path / "sales" / "results.jsonl").unlink()
                with pytest.raises(LedgerError, match="moved or deleted"):
                    ledger.__exit__(None, None, None)
        assert sorted(opened) == ["attempts.log", "legal/results.jsonl", "sales/results.jsonl"]
        assert set(Path("/proc/self/fd").iterdir()) <= before


def test_a_lane_waits_for_its_own_promise_and_one_sync_is_for_all_that_wait(tmp_path):
    async def main() -> None:
        with Ledger(Files(tmp_path, open_to_append), 1, boot="a-start") as ledger:
            legal, sales = row("r-1"), row("r-1", "sales")
            assert not ledger.promise(legal, Bound(7, 8))
            await ledger.promised(legal)
            assert not ledger.promise(sales, Bound(7, 8))
            before = (tmp_path / "attempts.log").stat().st_size
            await ledger.promised(legal)
            assert (tmp_path / "attempts.log").stat().st_size == before, "it has what it needs"
            await ledger.promised(sales)
            assert (tmp_path / "attempts.log").stat().st_size > before
            assert ledger.promise(sales, Bound(7, 8))

    anyio.run(main)


def test_where_no_memory_is_left_to_tell_what_is_written_it_is_written_and_nothing_more_is_told(tmp_path, monkeypatch):
    told = []

    def none_left(*_asked: object) -> None:
        raise MemoryError

    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        ledger.be_followed(lambda lines, entries, _ordinals: told.extend([*lines, *entries]))
        ledger.opened(1.0)
        ledger.hand_over()
        assert (len(told), ledger.followed() is None) == (1, False)
        for number, step in enumerate(("started_of", "entry_of", "ended_of"), 1):
            with monkeypatch.context() as patch:
                patch.setattr(f"batchrun.core.ledger.untold.{step}", none_left)
                name = ledger.start(row(f"r-{number}"), Bound(9, 9), 1.0)
                ledger.append(answered(f"r-{number}"), 0.0)
                ledger.end(name, "answered", Reply("an answer", "stop", Usage(7, 3)), 2.0)
            ledger.hand_over()
            assert ledger.followed() is None
    assert len(told) == 1
    assert [entry.id for entry in entries_of(tmp_path / "legal" / "results.jsonl", "legal")] == ["r-1", "r-2", "r-3"]
