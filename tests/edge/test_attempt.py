"""How long an answer on its way is waited for, on a virtual clock."""

from __future__ import annotations

import asyncio
from typing import ClassVar, cast

import anyio
import pytest

from batchrun.core.model import Reply
from batchrun.core.protocols.formats import FORMATS
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport.attempt import Attempt
from batchrun.edge.transport.connections import Connection
from batchrun.edge.transport.room import Rooms
from batchrun.edge.transport.turns import Few
from batchrun.edge.transport.watch import Watch
from tests.virtual_time import VirtualLoop, run_virtually

OPENAI = [
    b'data: {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}], "usage": null}\n\n',
    b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": null}\n\n',
    b'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}\n\n',
]
USAGE = b'"usage": {"input_tokens": 1, "output_tokens": 1}'
NATIVE = [
    b'data: {"output": {"choices": [{"message": {"content": "a"}, "finish_reason": "null"}]}, %b}\n\n' % USAGE,
    b'data: {"output": {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}, %b}\n\n' % USAGE,
]
IDLE = 60.0


@pytest.mark.parametrize(("name", "events"), [("openai", OPENAI), ("dashscope-text", NATIVE)])
def test_a_stream_is_waited_for_until_it_has_said_what_it_cost_and_two_seconds_more(name, events):
    async def main():
        attempt = Attempt(asyncio.get_running_loop(), Reading(FORMATS[name].dialect, {}), 0.0, 600.0)
        attempt._allow(IDLE)
        waited = []
        for now, event in enumerate(events):
            attempt._take(event, float(now), IDLE)
            waited.append(attempt._until - now)
        await anyio.sleep(len(events) - 1 + 2.1)
        return attempt.over, waited

    over, (*earlier, last) = run_virtually(main)
    assert set(earlier) == {IDLE}, "what it cost is still to come: without it the call would be in doubt"
    assert (last, over) == (2.0, "read_timeout")


WHOLE = b'{"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}}'
PART = b'{"choices": [{"message": {"content": "{}'
REST = b'"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}}'


@pytest.mark.parametrize(
    ("pieces", "waited"),
    [
        ([WHOLE], 2.0),
        ([WHOLE[:30], WHOLE[30:] + b" \n"], 2.0),
        ([WHOLE.ljust(1 << 19)], 2.0),
        ([PART], IDLE),
        ([PART, REST], 2.0),
        ([WHOLE[:-2]], IDLE),
        ([WHOLE[:-1]], IDLE),
    ],
)
def test_a_plain_answer_that_is_whole_is_waited_for_two_seconds_more_whatever_its_head_says_of_its_length(pieces, waited):
    """A gateway changes a body and not its length, or forgets the last chunk: each such call would hold its slot for `idle`."""

    class Open(Wire):
        status = 200

        async def piece(self) -> bytes:
            if self._pieces:
                return self._pieces.pop(0)
            self.gives_up = asyncio.get_running_loop().create_future()
            return cast("bytes", await self.gives_up)

        def fail(self, error: Exception) -> None:
            self.gives_up.set_exception(error)

    async def main():
        loop = asyncio.get_running_loop()
        attempt = Attempt(loop, Reading(FORMATS["openai"].dialect, {}), loop.time(), loop.time() + 600.0)
        attempt.connection = cast("Connection", Open([*pieces]))
        with pytest.raises(TimeoutError) as silence:
            await attempt.feed(attempt.connection, 1 << 24, IDLE, Rooms(1 << 30, 1 << 30).of(""), Few(loop, 1))
        return loop.time(), attempt.over, isinstance(attempt.outlived(silence.value), Reply)

    took, over, is_reply = run_virtually(main)
    assert (took, over, is_reply) == (pytest.approx(waited), "read_timeout", waited == 2.0)


class Slow(Reading):
    """Takes this process its time to read."""

    def feed(self, piece: bytes) -> None:
        super().feed(piece)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.pass_by(0.01)


class Wire:
    """What has come of an answer lies here; its end is still to come."""

    headers: ClassVar[dict[str, str]] = {}
    ended = False

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._failed: list[Exception] = []

    def whole(self, _most_bytes: int) -> None:
        return None

    async def piece(self) -> bytes:
        if self._failed:
            raise self._failed[0]
        return self._pieces.pop(0) if self._pieces else b""

    def fail(self, error: Exception) -> None:
        self._failed.append(error)


@pytest.mark.parametrize(("idle", "total"), [(60.0, 3.0), (0.5, 600.0), (0.5, 3.0)])
def test_streams_that_wait_for_this_process_to_read_what_has_come_do_not_run_out_of_time_by_it(idle, total):
    async def main():
        loop = asyncio.get_running_loop()
        watch, turns, room = Watch(), Few(loop, 1), Rooms(1 << 30, 1 << 30).of("")
        attempts = [Attempt(loop, Slow(FORMATS["openai"].dialect, {}), loop.time(), loop.time() + total) for _ in range(12)]

        async def read(attempt):
            attempt.connection = Wire([OPENAI[0] * 700 for _ in range(4)])
            watch.add(attempt)
            await attempt.feed(attempt.connection, 1 << 30, idle, room, turns)
            watch.remove(attempt)
            attempt.close()

        async with anyio.create_task_group() as tasks:
            for attempt in attempts:
                tasks.start_soon(read, attempt)
        given_back = [attempt.ends - total for attempt in attempts]
        return loop.time(), [(attempt.over, attempt.reading.events) for attempt in attempts], given_back

    took, results, given_back = run_virtually(main)
    assert results == [(None, 4 * 700)] * 12
    assert took > 2 * 3.0
    assert min(given_back) > took / 2


def test_a_stream_that_drips_runs_out_of_time_though_others_have_their_turns_before_it():
    async def main():
        loop = asyncio.get_running_loop()
        watch, turns = Watch(), Few(loop, 1)
        attempt = Attempt(loop, Slow(FORMATS["openai"].dialect, {}), loop.time(), loop.time() + 3.0)
        attempt.connection = cast("Connection", Wire([]))
        watch.add(attempt)
        attempt._allow(loop.time() + 60.0)
        await turns.begin()
        for _ in range(3):
            await attempt._portions(OPENAI[0] * 700, 60.0, turns)
        queued = attempt.ends - 3.0
        while attempt.over is None:
            await anyio.sleep(0.5)
            await attempt._portions(OPENAI[0], 60.0, turns)
        watch.close()
        attempt.close()
        return queued, attempt.over, loop.time()

    queued, over, ended = run_virtually(main)
    assert over == "total_timeout"
    assert ended < 3.0 + queued + 1.0


def test_a_stream_whose_time_would_be_up_while_it_waits_for_its_turn_has_what_was_left_of_it_afterwards():
    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        watch, turns = Watch(), Few(loop, 1)
        attempt = Attempt(loop, Reading(FORMATS["openai"].dialect, {}), 0.0, 3.0)
        attempt.connection = cast("Connection", Wire([]))
        watch.add(attempt)
        attempt._allow(IDLE)
        await anyio.sleep(2.75)

        async def read_another():
            await turns.begin()
            loop.pass_by(0.1)

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(read_another)
            tasks.start_soon(attempt._portions, OPENAI[0] * 700, IDLE, turns)
        read_at, read = loop.time(), (attempt.over, attempt.reading.events)
        await anyio.sleep(attempt.ends - read_at)
        return read_at, read, attempt.ends, attempt.over

    read_at, read, ends, over = run_virtually(main)
    assert read == (None, 700)
    assert 3.0 < read_at < ends < read_at + 0.25, "what it had used before is gone"
    assert over == "total_timeout"


def test_an_answer_that_waits_for_room_ends_when_its_time_is_up_though_none_comes():
    async def main():
        loop = asyncio.get_running_loop()
        watch, room = Watch(), Rooms(1, 1 << 30).of("")
        first, attempt = (Attempt(loop, Reading(FORMATS["openai"].dialect, {}), 0.0, ends) for ends in (600.0, 3.0))
        await room.hold(first, 2)
        wire = cast("Connection", Wire([OPENAI[0] * 3000]))
        attempt.connection = wire
        watch.add(attempt)
        with pytest.raises(TimeoutError):
            await attempt.feed(wire, 1 << 30, IDLE, room, Few(loop, 1))
        return loop.time(), attempt.over, attempt.waits

    assert run_virtually(main) == (3.0, "total_timeout", None)
