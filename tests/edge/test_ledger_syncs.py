"""What is synced and promised, when, and what waits for it."""

from __future__ import annotations

import threading
from contextlib import suppress

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from batchrun.core.ledger.attempts import Bound, Ended, Promised, ReadIn, Started
from batchrun.core.ledger.unsynced import UNSYNCED_BYTES
from batchrun.core.model import Reply, Usage
from batchrun.edge.history import Attempts, boot_id
from batchrun.edge.ledger import Files, Ledger
from batchrun.edge.run_directory import open_to_append
from tests.edge.written import answered, row
from tests.virtual_time import run_virtually


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
        # Asked of one moment: what two seconds that a busy machine took keep from being launched says nothing of bytes.
        room, at = [], anyio.current_time()
        with Ledger(files := Slow(tmp_path, open_to_append), 1) as ledger:
            synced = [anyio.Event(), anyio.Event()]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ledger.keep_synced, lambda: next(each for each in synced if not each.is_set()).set())
                ledger.append(answered("r-1"), at)
                ledger.flush()
                assert await anyio.to_thread.run_sync(files.busy.wait, 20)
                ledger.append(answered("r-2", content="x" * UNSYNCED_BYTES), at)
                ledger.flush()
                room.append(ledger.room(at))
                files.may_end.set()
                for each in synced:
                    await each.wait()
                    room.append(ledger.room(at))
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


@pytest.mark.parametrize("workspaces", [1, 40])
@pytest.mark.parametrize("killed_before", [False, True])
def test_names_are_synced_before_what_is_written_under_them_and_off_the_event_loop(tmp_path, monkeypatch, workspaces, killed_before):
    names, synced, elsewhere = list[str](), list[str](), list[bool]()

    class Seen(Files):
        def sync_names(self, directory) -> None:
            assert not synced
            super().sync_names(directory)
            names.append(directory.name)
            elsewhere.append(threading.current_thread() is not threading.main_thread())

        def sync(self, dirty) -> None:
            super().sync(dirty)
            synced.append(dirty.path.parent.name)

    def write(ledger: Ledger) -> None:
        for number in range(workspaces):
            ledger.append(answered("r-1", f"w{number}"), 0.0)
        ledger.flush()

    if killed_before:
        write(Ledger(killed := Files(tmp_path, open_to_append), 1))
        killed.close()
    monkeypatch.setattr("batchrun.edge.ledger.ledger.SYNC_EVERY", 0.01)

    async def main() -> None:
        with Ledger(Seen(tmp_path, open_to_append), 2) as ledger:
            write(ledger)
            assert not names
            done = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ledger.keep_synced, done.set)
                await done.wait()
                tasks.cancel_scope.cancel()

    anyio.run(main)
    assert sorted(names) == sorted([tmp_path.name, *(f"w{number}" for number in range(workspaces))]), "each once"
    assert sorted(synced) == sorted(f"w{number}" for number in range(workspaces))
    assert all(elsewhere)


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
