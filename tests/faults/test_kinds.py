"""Each thing that an endpoint can do wrong comes to what the table says, plain and streamed, within its time."""

from __future__ import annotations

import time

import anyio
import anyio.lowlevel
import pytest

from batchrun.core.model import Failure, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport
from tests.edge import fault_server as server
from tests.faults.kinds import LARGEST, PLAIN, STREAMED, Kind
from tests.own_time import run_in_own_time

CASES = [
    pytest.param(kind, form == "streamed", id=f"{form}: {name}")
    for form, table in (("plain", PLAIN), ("streamed", STREAMED))
    for name, kind in table.items()
]


async def asked(kind: Kind, *, stream: bool, total: float) -> Reply | Failure:
    async with (
        server.serving(kind.does) as endpoint,
        Transport(connect=1, idle=0.15, total=total, connections=1, proxy="none", max_response_bytes=LARGEST) as wire,
    ):
        request = Request(endpoint.url, {"Authorization": "Bearer sk-fake-marketing"}, b"{}")
        return await wire.post(request, Reading(OPENAI.dialect, {"stream": stream}))


def once_answered(does: server.Fault) -> server.Fault:
    """An endpoint that answers the first request of a connection and does *does* to the second."""
    served: set[server.Writer] = set()

    async def then(reader: server.Reader, writer: server.Writer) -> None:
        if writer in served:
            await does(reader, writer)
            return
        served.add(writer)
        writer.write(server.http())

    return then


async def asked_over_an_open_connection(kind: Kind, *, stream: bool, total: float) -> Reply | Failure:
    """What comes of a call that is begun without a wait, as a run does."""
    came = anyio.Event()
    async with (
        server.serving(once_answered(kind.does)) as endpoint,
        Transport(connect=1, idle=0.15, total=total, connections=1, proxy="none", max_response_bytes=LARGEST) as wire,
    ):
        request = Request(endpoint.url, {"Authorization": "Bearer sk-fake-marketing"}, b"{}")
        await wire.post(request, Reading(OPENAI.dialect, {}))
        call = wire.begin(request, Reading(OPENAI.dialect, {"stream": stream}), lambda _at: came.set())
        assert call is not None
        await came.wait()
        result = call.taken(anyio.current_time()) or await call.rest()
        assert (endpoint.connections, wire._pool._left) == (1, 1)
        return result


@pytest.mark.parametrize("ask", [asked, asked_over_an_open_connection], ids=["waited for", "begun"])
@pytest.mark.parametrize(("kind", "stream"), CASES)
def test_whatever_an_endpoint_does_comes_to_what_the_table_says(kind, stream, ask):
    async def main() -> tuple[Reply | Failure, float]:
        began = anyio.current_time()
        return await ask(kind, stream=stream, total=0.3), anyio.current_time() - began

    result, took = run_in_own_time(main)
    if kind.leads_to is None:
        assert isinstance(result, Reply), result
    else:
        assert isinstance(result, Failure), result
        assert (result.code, result.fault, result.in_doubt) == (kind.code, kind.leads_to, kind.in_doubt), result
        assert result.advice
    assert took < 1


def test_there_are_ninety_kinds_and_more_of_either_form():
    assert min(len(PLAIN), len(STREAMED)) >= 90


FLOODS = {
    "interim answers": b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n",
    "answers": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "empty answers": b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
@pytest.mark.parametrize("first", [b"", server.http()], ids=["at once", "behind an answer"])
def test_answers_that_nobody_asked_for_are_broken_off_before_they_hold_the_run_or_fill_it(first, flood):
    """A burst of 256 KiB is what one turn of the loop may bring: some ten thousand of them."""

    async def main() -> tuple[int, float]:
        async with (
            server.serving(server.hangs(first, flood * (262_144 // len(flood)))) as endpoint,
            Transport(connect=1, idle=5, total=5, connections=1, proxy="none", max_response_bytes=LARGEST) as wire,
        ):
            request = Request(endpoint.url, {}, b"{}")
            await wire.post(request, Reading(OPENAI.dialect, {}))
            await anyio.sleep(0.1)
            waiting = [connection._answers for connection in wire._pool._open]
            began = time.thread_time()
            await anyio.sleep(0.01)
            return max(waiting, default=0), time.thread_time() - began

    waiting, held = anyio.run(main)
    assert waiting <= 16
    assert held < 0.1


def test_a_large_answer_leaves_the_other_calls_their_turn():
    """32 MiB unpack in some dozen turns, not in one."""
    packed = server.bomb(32 << 20)

    async def main() -> int:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        async with (
            server.serving(server.keeps(server.http(packed, "Content-Encoding: gzip"))) as endpoint,
            Transport(connect=1, idle=60, total=60, connections=1, proxy="none", max_response_bytes=32 << 20) as wire,
            anyio.create_task_group() as tasks,
        ):
            request = Request(endpoint.url, {}, b"{}")
            await wire.post(request, Reading(OPENAI.dialect, {}))
            tasks.start_soon(others)
            await wire.post(request, Reading(OPENAI.dialect, {}))
            tasks.cancel_scope.cancel()
        return turns

    assert anyio.run(main) > 20


@pytest.mark.parametrize("start", [b"data: ", b" "], ids=["an event", "blanks"])
def test_a_body_in_a_hundred_thousand_pieces_costs_no_more_than_its_length(start):
    """Joined at each piece, these 12 MiB would be 600 GB of copying."""
    reading = Reading(OPENAI.dialect, {})
    began = time.thread_time()
    for _ in range(100_000):
        reading.feed(start + b" " * (128 - len(start)))
    reading.result(200, {})
    assert time.thread_time() - began < 5
