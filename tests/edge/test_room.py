"""What the large answers of one workspace hold together is bounded; those of the others, and small ones, know nothing of it."""

from __future__ import annotations

import asyncio
import traceback
from functools import partial

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
from batchrun.edge.transport.room import Room
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
    seconds = 0.0
    """Of this process, from the first call to the last answer."""
    full: anyio.Event

    def feed(self, piece: bytes) -> None:
        super().feed(piece)
        Seen.all_held[id(self)] = Seen.all_held.get(id(self), 0) + len(piece)
        Seen.most = max(Seen.most, sum(Seen.all_held.values()))
        if Seen.most > 4 * _LARGEST:
            Seen.full.set()

    def result(self, status, headers):
        Seen.all_held.pop(id(self), None)
        return super().result(status, headers)


def transport(*, idle: float = 20.0, total: float = 30.0) -> Transport:
    return Transport(connect=5, idle=idle, total=total, connections=200, proxy="none", max_response_bytes=_LARGEST)


def reading() -> Seen:
    return Seen(OPENAI.dialect, {})


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
    Seen.all_held, Seen.most, Seen.full = {}, 0, anyio.Event()


def asked_at_once(fault: server.Fault, calls: int, **settings: float) -> list[Reply | Failure]:
    """The results of so many calls, under way at once over one transport."""
    results: list[Reply | Failure] = []

    async def main() -> None:
        async with server.serving(fault) as endpoint, transport(**settings) as wire:

            async def post() -> None:
                results.append(await wire.post(Request(endpoint.url, {}, b"{}"), reading()))

            began = anyio.current_time()
            async with anyio.create_task_group() as tasks:
                for _ in range(calls):
                    tasks.start_soon(post)
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


def test_a_workspace_that_fills_its_room_takes_none_of_anothers():
    async def main() -> Reply | Failure:
        half = server.http(_LARGE)[:900_000]
        async with (
            server.serving(server.hangs(half)) as bad,
            server.serving(in_small_writes(_LARGE)) as good,
            transport() as wire,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(12):
                tasks.start_soon(wire.post, Request(bad.url, {"Authorization": Hidden("Bearer sk-fake-bad")}, b"{}"), reading())
            await Seen.full.wait()
            with anyio.fail_after(10):
                result = await wire.post(Request(good.url, {"Authorization": Hidden("Bearer sk-fake-good")}, b"{}"), reading())
            tasks.cancel_scope.cancel()
        return result

    assert isinstance(anyio.run(main), Reply)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=20))
def test_what_answers_held_is_given_back_to_the_byte(sizes):
    class Answer:
        waits: asyncio.Future[None] | None = None

    async def main() -> None:
        room = Room(1000)
        for size in sizes:
            await room.hold(answer := Answer(), size)
            await room.hold(answer, size + 1)
            room.leave(answer)
        for size, must_wait in ((1000, False), (1, True)):
            with anyio.move_on_after(0) as waited:
                await room.hold(Answer(), size)
            assert waited.cancelled_caught is must_wait

    run_virtually(main)


class Torn(asyncio.Transport):
    """A wire that breaks when it is written to."""

    def write(self, _data: object) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("body", [b"{}", b"{}" * 50_000], ids=["small", "large"])
def test_no_local_holds_a_key_when_the_request_is_written(body):
    key = "sk-fake-0123456789abcdef"

    async def main() -> str:
        target = Targets("none", _LARGEST).of("http://127.0.0.1:1/v1", key)
        assert isinstance(target, Target)
        connection = Connection(asyncio.get_running_loop(), Torn(), memoryview(b""), Watch(), lambda: None, lambda _: None)
        with pytest.raises(ZeroDivisionError) as broken:
            connection.write(partial(target.head, {"Authorization": Hidden(f"Bearer {key}")}, len(body)), body)
        frames = traceback.StackSummary.extract(traceback.walk_tb(broken.value.__traceback__), capture_locals=True)
        return f"{[frame.locals for frame in frames if frame.filename == connections.__file__]}"

    told = anyio.run(main)
    assert "head" in told
    assert "0123456789" not in told
