"""How long an answer on its way is waited for, on a virtual clock."""

from __future__ import annotations

import asyncio

import pytest

from batchrun.core.protocols.formats import FORMATS
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport.attempt import Attempt
from tests.virtual_time import run_virtually

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
        attempt.close()
        return waited

    *earlier, last = run_virtually(main)
    assert set(earlier) == {IDLE}, "what it cost is still to come: without it the call would be in doubt"
    assert last == 2.0
