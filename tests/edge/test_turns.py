"""A stream that pours small events as fast as it can has no more than its share of the event loop."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter

import anyio
import pytest

from batchrun.core.model import Failure, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport
from tests.edge import fault_server as server
from tests.faults.kinds import EVENTS, STREAM, event

_LARGEST = 1 << 20
_SMALL = event(id="")
_EVENTS_A_TURN = 1_000


class Turned(Reading):
    """A reading that counts, for all of its kind, the events of each turn of the loop."""

    turn = 0
    a_turn: Counter[int] = Counter()  # noqa: RUF012 - each test begins with a new one

    def feed(self, piece: bytes) -> None:
        before = self.events
        super().feed(piece)
        Turned.a_turn[Turned.turn] += self.events - before


def asked(fault: server.Fault, calls: int = 1) -> list[Reply | Failure]:
    """The results of so many calls, begun at once, and how many events were read in each turn of the loop."""
    results: list[Reply | Failure] = []
    Turned.turn, Turned.a_turn = 0, Counter()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def next_turn() -> None:
            Turned.turn += 1
            if len(results) < calls:
                loop.call_soon(next_turn)

        async def post() -> None:
            results.append(await wire.post(Request(endpoint.url, {}, b"{}"), Turned(OPENAI.dialect, {})))

        async with (
            server.serving(fault) as endpoint,
            Transport(connect=5, idle=20, total=60, connections=20, proxy="none", max_response_bytes=_LARGEST) as wire,
            anyio.create_task_group() as tasks,
        ):
            loop.call_soon(next_turn)
            for _ in range(calls):
                tasks.start_soon(post)

    anyio.run(main)
    return results


def test_a_stream_of_small_events_without_end_leaves_the_others_their_turns():
    [failure] = asked(server.pours(EVENTS + b"\r\n", _SMALL * 20_000))
    assert isinstance(failure, Failure)
    assert failure.code == "response_too_large"
    assert sum(Turned.a_turn.values()) >= _LARGEST // len(_SMALL) - 1, "all that could be read was"
    assert max(Turned.a_turn.values()) < _EVENTS_A_TURN


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_a_stream_that_has_come_whole_is_read_in_turns_where_it_is_of_many_events(packed):
    body = _SMALL * 10_000 + STREAM
    fault = server.says(server.http(gzip.compress(body), "Content-Encoding: gzip") if packed else server.http(body))
    [reply] = asked(fault)
    assert isinstance(reply, Reply)
    assert sum(Turned.a_turn.values()) > 10_000
    assert max(Turned.a_turn.values()) < _EVENTS_A_TURN


def test_many_streams_that_pour_have_one_share_together_but_for_what_each_begins_with():
    results = asked(server.pours(EVENTS + b"\r\n", _SMALL * 20_000), calls=12)
    assert [each.code for each in results if isinstance(each, Failure)] == ["response_too_large"] * 12
    [*counted] = sorted(Turned.a_turn.values())
    assert counted[len(counted) * 9 // 10] < 2 * _EVENTS_A_TURN
    assert counted[-1] < 12 * _EVENTS_A_TURN
