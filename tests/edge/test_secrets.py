"""A key that a call is made with reaches no exception, no repr and no log line, whatever is asked to tell all that it knows."""

from __future__ import annotations

import asyncio
import gc
import logging
import traceback
from collections.abc import Iterator
from types import ModuleType

import anyio
import anyio.lowlevel
import pytest

from batchrun.core.model import Hidden, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport
from tests.edge import fault_server as server

KEY = "sk-fake-0123456789abcdef"


def transport() -> Transport:
    return Transport(connect=5.0, idle=5.0, total=5.0, connections=4, proxy="none", max_response_bytes=65_536)


def request(url: str, key: str = KEY) -> Request:
    return Request(url, {"Authorization": Hidden(f"Bearer {key}"), "Idempotency-Key": "0a"}, b"{}")


def reading() -> Reading:
    return Reading(OPENAI.dialect, {})


def told(error: BaseException) -> str:
    """All that a traceback can tell, with what stood in each frame of it but those of these tests, and the same of what it came of."""
    came_of = [each for each in (error.__cause__, error.__context__) if each is not None]
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename != __file__]
    stood = [f"{frame.f_code.co_name} {name}={value!r}" for frame in frames for name, value in frame.f_locals.items()]
    return "\n".join([repr(error), *map(str, error.args), *stood, *map(told, came_of)])


def known_to(begin: object) -> Iterator[object]:
    """Whatever of batchrun's own can be come to from *begin*, what they stand in, and *begin* itself."""
    seen, left = {id(begin)}, [begin]
    while left:
        each = left.pop()
        if not (type(each).__module__.startswith("batchrun.") or isinstance(each, (dict, list, tuple, set)) or hasattr(each, "__self__")):
            continue
        yield each
        for other in gc.get_referents(each):
            if id(other) not in seen and not isinstance(other, (type, ModuleType)):
                seen.add(id(other))
                left.append(other)


@pytest.mark.parametrize("posts", [0, 1], ids=["over a new connection", "over one that stands"])
def test_a_key_that_cannot_be_written_is_in_no_frame_of_what_is_raised(posts):
    async def main() -> BaseException:
        async with server.serving(server.keeps(server.http())) as endpoint, transport() as wire:
            for _ in range(posts):
                await wire.post(request(endpoint.url), reading())
            with pytest.raises(ValueError, match="does not print") as raised:
                await wire.post(request(endpoint.url, f"{KEY}\x07"), reading())
            return raised.value

    text = told(anyio.run(main))
    assert "_line value='***'" in text
    assert "0123456789" not in text


def test_a_call_that_is_cancelled_tells_no_key():
    async def main() -> str:
        caught: list[BaseException] = []

        async def call() -> None:
            try:
                await wire.post(request(endpoint.url), reading())
            except BaseException as error:
                caught.append(error)
                raise

        async with server.serving(server.hangs()) as endpoint, transport() as wire:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                while not endpoint.requests:
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            return told(caught[0])

    text = anyio.run(main)
    assert "post request=Request(" in text
    assert "0123456789" not in text


def test_nothing_that_a_transport_knows_shows_the_key_it_calls_with():
    async def main() -> list[str]:
        async with server.serving(server.keeps(server.http())) as endpoint, transport() as wire:
            await wire.post(request(endpoint.url), reading())
            call = wire.begin(request(endpoint.url), reading(), lambda _at: None)
            assert call is not None
            shown = [repr(each) for each in (*known_to(wire), *known_to(call))]
            call.abort()
            return shown

    shown = anyio.run(main)
    assert {"Target", "Request"} <= {each.partition("(")[0] for each in shown}
    assert not [each for each in shown if "0123456789" in each]


def test_a_loop_that_logs_all_that_it_does_logs_no_key(caplog):
    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 0.0
        came: list[float] = []
        async with server.serving(server.keeps(server.http())) as endpoint, transport() as wire:
            waited_for = await wire.post(request(endpoint.url), reading())
            call = wire.begin(request(endpoint.url), reading(), came.append)
            assert call is not None
            while not came:
                await anyio.lowlevel.checkpoint()
            return [waited_for, call.taken(came[0])]

    with caplog.at_level(logging.DEBUG):
        results = anyio.run(main)
    assert [type(each) for each in results] == [Reply, Reply]
    assert any("took" in record.getMessage() for record in caplog.records)
    assert "0123456789" not in caplog.text
