"""What large answers hold is bounded, those of one workspace and those of all; others, and small ones, know nothing of it."""

from __future__ import annotations

import asyncio
import traceback

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.model import Failure, Hidden, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport, connections
from batchrun.edge.transport.connections import Connection
from batchrun.edge.transport.room import Room, Rooms
from batchrun.edge.transport.targets import Target, Targets
from batchrun.edge.transport.watch import Watch
from tests.edge import fault_server as server
from tests.faults.kinds import said
from tests.own_time import run_in_own_time
from tests.virtual_time import run_virtually

_LARGEST = 1 << 20
_LARGE = said({"content": "a" * 1_000_000})
_CALLS = 24


class Seen(Reading):
    """A reading that tells what all of its kind hold."""

    all_held: dict[int, int] = {}  # noqa: RUF012 - each test begins with a new one
    most = 0
    full_at = 0
    seconds = 0.0
    """Of this process, from the first call to the last answer."""
    full: anyio.Event

    def feed(self, piece: bytes) -> None:
        super().feed(piece)
        Seen.all_held[id(self)] = Seen.all_held.get(id(self), 0) + len(piece)
        Seen.most = max(Seen.most, sum(Seen.all_held.values()))
        if Seen.most > Seen.full_at:
            Seen.full.set()

    def result(self, status, headers):
        Seen.all_held.pop(id(self), None)
        return super().result(status, headers)


def transport(*, idle: float = 20.0, total: float = 30.0) -> Transport:
    return Transport(connect=5, idle=idle, total=total, connections=200, proxy="none", max_response_bytes=_LARGEST)


def reading() -> Seen:
    return Seen(OPENAI.dialect, {})


def said_by(key: object) -> dict[str, str]:
    return {"Authorization": Hidden(f"Bearer sk-fake-{key}")}


def in_small_writes(body: bytes) -> server.Fault:
    async def fault(_: server.Reader, writer: server.Writer) -> None:
        whole = server.http(body)
        for at in range(0, len(whole), 65_536):
            writer.write(whole[at : at + 65_536])
            await writer.drain()
            await anyio.lowlevel.checkpoint()

    return fault


def pouring_while_others_hang(hung: list[int]) -> server.Fault:
    """The first answer falls silent half-way; those after it are said whole."""

    async def fault(reader: server.Reader, writer: server.Writer) -> None:
        if not hung:
            hung.append(1)
            await server.hangs(server.http(_LARGE)[:900_000])(reader, writer)
        else:
            await in_small_writes(_LARGE)(reader, writer)

    return fault


@pytest.fixture(autouse=True)
def anew():
    Seen.all_held, Seen.most, Seen.full, Seen.full_at = {}, 0, anyio.Event(), 4 * _LARGEST


def asked_at_once(fault: server.Fault, calls: int, keys: int = 1, **settings: float) -> list[Reply | Failure]:
    """The results of so many calls, under way at once over one transport, with the keys in turn."""
    results: list[Reply | Failure] = []

    async def main() -> None:
        async with server.serving(fault) as endpoint, transport(**settings) as wire:

            async def post(key: int) -> None:
                results.append(await wire.post(Request(endpoint.url, said_by(key), b"{}"), reading()))

            began = anyio.current_time()
            async with anyio.create_task_group() as tasks:
                for call in range(calls):
                    tasks.start_soon(post, call % keys)
            Seen.seconds = anyio.current_time() - began

    run_in_own_time(main)
    assert len(results) == calls
    return results


def test_the_large_answers_of_one_workspace_hold_no_more_than_a_few_of_the_largest():
    results = asked_at_once(in_small_writes(_LARGE), _CALLS)
    assert all(isinstance(each, Reply) and len(each.content) == 1_000_000 for each in results)
    assert Seen.most < 4 * _LARGEST + _CALLS * (400 << 10), f"{Seen.most:,}: all of them would be {_CALLS * len(_LARGE):,}"


def test_a_large_answer_that_falls_silent_holds_the_others_up_for_its_idle_and_costs_them_nothing_of_theirs():
    results = asked_at_once(pouring_while_others_hang([]), 12, idle=0.5)
    [failure] = [each for each in results if isinstance(each, Failure)]
    assert failure.code == "read_timeout"


def test_those_that_wait_for_room_end_at_their_time_like_all_others():
    results = asked_at_once(server.hangs(server.http(_LARGE)[:900_000]), 12, total=1.0)
    assert [each.code for each in results if isinstance(each, Failure)] == ["total_timeout"] * 12
    assert Seen.seconds < 10


@pytest.mark.parametrize(
    ("bad_keys", "full_at", "characters"), [(1, 4 * _LARGEST, 1_000_000), (12, 16 * _LARGEST, 600_000)], ids=["its room", "all rooms"]
)
def test_where_workspaces_fill_what_they_may_hold_another_goes_on_within_its_part(bad_keys, full_at, characters):
    async def main() -> Reply | Failure:
        half = server.http(_LARGE)[:900_000]
        async with (
            server.serving(server.hangs(half)) as bad,
            server.serving(in_small_writes(said({"content": "a" * characters}))) as good,
            transport() as wire,
            anyio.create_task_group() as tasks,
        ):
            Seen.full_at = full_at
            for call in range(24):
                tasks.start_soon(wire.post, Request(bad.url, said_by(call % bad_keys), b"{}"), reading())
            await Seen.full.wait()
            with anyio.fail_after(10):
                result = await wire.post(Request(good.url, said_by("good"), b"{}"), reading())
            tasks.cancel_scope.cancel()
        return result

    assert isinstance(anyio.run(main), Reply)


def test_the_large_answers_of_many_workspaces_hold_no_more_than_twice_what_all_may():
    calls = 160
    results = asked_at_once(server.hangs(server.http(_LARGE)[:900_000]), calls, keys=80, total=3.0)
    assert [each.code for each in results if isinstance(each, Failure)] == ["total_timeout"] * calls
    assert Seen.most < 2 * 16 * _LARGEST + calls * (400 << 10), f"{Seen.most:,}: all of them would be {calls * 900_000:,}"


class Answer:
    """Grows by some bytes at a time."""

    waits: asyncio.Future[None] | None = None


@given(st.lists(st.tuples(st.integers(0, 4), st.lists(st.integers(0, 60), min_size=1, max_size=8)), max_size=25), st.integers(40, 200))
def test_all_come_to_their_ends_and_never_hold_more_than_they_may(answers, all_bytes):
    rooms, held = Rooms(100, all_bytes), dict[Answer, tuple[int, int]]()

    async def read(key: int, pieces: list[int]) -> None:
        answer, size, room = Answer(), 0, rooms.of(str(key))
        for piece in pieces:
            size += piece
            held[answer] = key, size
            await room.hold(answer, size)
            await anyio.lowlevel.checkpoint()
            beside = 60 * len(held) + max(size for _, size in held.values())
            assert sum(size for _, size in held.values()) <= 2 * all_bytes + beside
            assert sum(size for its, size in held.values() if its == key) <= 100 + beside
        del held[answer]
        room.leave(answer)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for each in answers:
                tasks.start_soon(read, *each)

    run_virtually(main)
    assert held == {}


@given(st.lists(st.integers(1, 500), min_size=1, max_size=20))
def test_what_answers_held_is_given_back_to_the_byte(sizes):
    async def must_wait(room: Room, size: int) -> bool:
        with anyio.move_on_after(0) as waited:
            await room.hold(Answer(), size)
        return waited.cancelled_caught

    async def main() -> None:
        for first, second in ((200, 800), (600, 500)):
            # Together as much as all may hold, one of them more than its part; or the part of one of them, whatever the other holds.
            rooms = Rooms(1000, 1000)
            for number, size in enumerate(sizes):
                room = rooms.of(str(number % 3))
                await room.hold(answer := Answer(), size)
                await room.hold(answer, size + 1)
                room.leave(answer)
            assert not await must_wait(rooms.of("0"), first)
            assert [await must_wait(rooms.of("1"), size) for size in (second, 1)] == [False, True]

    run_virtually(main)


class Torn(asyncio.Transport):
    """A wire that breaks when it is written to."""

    def write(self, _data: object) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("body", [b"{}", b"{}" * 50_000], ids=["small", "large"])
def test_no_local_holds_a_key_when_the_request_is_written(body):
    key = "sk-fake-0123456789abcdef"

    async def main() -> str:
        target = Targets("none", Rooms(_LARGEST, _LARGEST)).of("http://127.0.0.1:1/v1", key)
        assert isinstance(target, Target)
        connection = Connection(asyncio.get_running_loop(), Torn(), memoryview(b""), Watch(), lambda: None, lambda _: None)
        with pytest.raises(ZeroDivisionError) as broken:
            connection.write(target.head, Request("http://127.0.0.1:1/v1", {"Authorization": Hidden(f"Bearer {key}")}, body))
        frames = traceback.StackSummary.extract(traceback.walk_tb(broken.value.__traceback__), capture_locals=True)
        return f"{[frame.locals for frame in frames if frame.filename == connections.__file__]}"

    told = anyio.run(main)
    assert "head" in told
    assert "0123456789" not in told
