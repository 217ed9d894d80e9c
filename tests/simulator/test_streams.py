"""Compatible streams, how events are delivered over time, and what breaks a stream in its middle."""

from __future__ import annotations

import time
from base64 import b64decode
from itertools import pairwise
from typing import Any

import anyio
import openai
import orjson
import pytest

from batchrun.simulator import bodies
from batchrun.simulator.answers import compose
from batchrun.simulator.bodies import Envelope
from batchrun.simulator.caching import NOTHING
from batchrun.simulator.dice import Dice
from batchrun.simulator.families import family
from batchrun.simulator.plan import Plan, Wire
from batchrun.simulator.scenario import Latency, Mishap, PlannedFault
from batchrun.simulator.server import serve
from batchrun.simulator.service import Service
from batchrun.simulator.wire import delivery
from tests.simulator.fixtures import (
    MULTIMODAL,
    NOW,
    TEXT,
    ask,
    chat,
    compat_events,
    native,
    native_events,
    openai_client,
    raw,
    request,
    scenario,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


TOOL = {
    "type": "function",
    "function": {
        "name": "book_table",
        "description": "Reserves a table in a restaurant",
        "parameters": {"type": "object", "properties": {"date": {"type": "string"}, "remarks": {"type": "string"}}},
    },
}
USAGE = {"include_usage": True}
STREAMED: dict[str, dict[str, Any]] = {
    "text": {},
    "thought": {"model": "qwen3.6-plus"},
    "several": {"n": 2},
    "cut": {"max_tokens": 4},
    "call": {"prompt": "Please book a table for 2025-03-12", "tools": [TOOL]},
    "json": {"prompt": "Tell it as JSON", "response_format": {"type": "json_object"}},
}


def assembled(chunks: list[Any]) -> list[Any]:
    """The choices of the plain answer that a compatible stream makes up."""
    choices: dict[int, Any] = {}
    for piece in (choice for chunk in chunks for choice in chunk["choices"]):
        choice = choices.setdefault(piece["index"], {"message": {"role": "assistant", "content": ""}, "index": piece["index"]})
        message, delta = choice["message"], piece["delta"]
        message["content"] += delta.get("content") or ""
        if "reasoning_content" in delta:
            assert delta["content"] is None
            assert message["content"] == "", "reasoning comes first"
            message["reasoning_content"] = message.get("reasoning_content", "") + delta["reasoning_content"]
        for call in delta.get("tool_calls", []):
            calls = message.setdefault("tool_calls", [])
            if call["index"] == len(calls):
                calls.append({**call, "function": dict(call["function"])})
            else:
                calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
        if piece["finish_reason"]:
            choice["finish_reason"] = piece["finish_reason"]
    return [choices[index] for index in sorted(choices)]


@pytest.mark.parametrize("name", STREAMED)
def test_a_compatible_stream_makes_up_the_plain_answer_with_the_same_usage(name):
    # A body that asks for a stream is another body, and gets another answer: one answer is told both ways.
    body = orjson.loads(chat(**STREAMED[name]).body)
    answer = compose(body, Dice(0).draw("marketing", b"any"), thinking=family(body["model"]).thinks(asked=None), cached=NOTHING)
    envelope = Envelope(body["model"], "any", int(NOW))
    chunks = compat_events(b"".join(bodies.events(answer, envelope, with_usage=True)))
    plain = orjson.loads(bodies.completion(answer, envelope))
    assert assembled(chunks) == [{name: each for name, each in choice.items() if name != "logprobs"} for choice in plain["choices"]]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == plain["usage"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert {chunk["id"] for chunk in chunks} == {plain["id"]}


def test_a_chunk_has_the_recorded_shape_and_usage_comes_only_when_asked_for():
    chunks = compat_events(Service(scenario()).answer(chat(stream=True), NOW).body)
    assert {tuple(chunk) for chunk in chunks} == {("choices", "object", "usage", "created", "system_fingerprint", "model", "id")}
    assert chunks[0]["choices"] == [{"delta": {"content": "", "role": "assistant"}, "index": 0, "logprobs": None, "finish_reason": None}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert {chunk["usage"] for chunk in chunks} == {None}


@pytest.mark.parametrize("call", [chat, native], ids=["compatible", "native"])
def test_a_translation_is_told_from_its_beginning_in_each_event_whatever_was_asked(call):
    asked = call(model="qwen-mt-plus", prompt="One sentence. " * 20, stream=True, incremental_output=True)
    body = Service(scenario()).answer(asked, NOW).body
    if call is chat:
        said = [chunk["choices"][0]["delta"]["content"] for chunk in compat_events(body) if chunk["choices"]]
    else:
        said = [frame["output"]["text"] for frame in native_events(body)]
    said = [text for text in said if text]
    assert len(said) > 2
    assert all(later.startswith(text) for text, later in pairwise(said))


def test_a_function_is_called_in_several_deltas_by_its_index():
    call = chat("Please book a table for 2025-03-12 near the river", tools=[TOOL], stream=True)
    chunks = compat_events(Service(scenario()).answer(call, NOW).body)
    deltas = [one for chunk in chunks for one in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert len(deltas) > 2
    assert deltas[0]["function"] == {"name": "book_table", "arguments": ""}
    assert deltas[0]["id"].startswith("call_")
    assert {one["id"] for one in deltas[1:]} == {""}
    assert {one["index"] for one in deltas} == {0}
    assert orjson.loads("".join(one["function"]["arguments"] for one in deltas))["date"] == "2025-03-12"
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_sound_comes_after_the_words_with_its_transcript_and_is_counted():
    service = Service(scenario())
    voice: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"voice": "Cherry", "format": "wav"}}
    chunks = compat_events(service.answer(chat(model="qwen3-omni-flash", stream=True, stream_options=USAGE, **voice), NOW).body)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    sound = [delta["audio"] for delta in deltas if "audio" in delta]
    said = "".join(delta.get("content") or "" for delta in deltas)
    assert all(b64decode(one["data"]) for one in sound[:-1])
    assert sound[-1]["transcript"] == said
    details = chunks[-1]["usage"]["completion_tokens_details"]
    assert details["audio_tokens"] > 0
    assert sum(details.values()) == chunks[-1]["usage"]["completion_tokens"]
    assert service.bill()["total"]["output_audio_tokens"] == details["audio_tokens"]
    silent = compat_events(service.answer(chat(model="qwen3-omni-flash", stream=True, modalities=["text"]), NOW).body)
    assert not any("audio" in chunk["choices"][0]["delta"] for chunk in silent)


STREAMS = [chat(stream=True), native(stream=True), native(path=MULTIMODAL, model="qwen3-vl-plus", stream=True)]


@pytest.mark.parametrize("call", STREAMS)
def test_events_go_one_at_a_time_and_all_of_them_take_the_drawn_latency(call):
    whole = Service(scenario(latency=Latency(median=8.0, sigma=0))).answer(call, NOW)
    assert whole.wire is Wire.EVENTS
    assert whole.delay + whole.spread == pytest.approx(8.0)
    assert 0.1 * 8 < whole.delay < 0.5 * 8
    sent = delivery(whole, keep=True)
    assert sent is not None
    assert len(sent.pieces) == whole.body.count(b"\n\n")
    assert sent.pause * (len(sent.pieces) - 1) == pytest.approx(whole.spread)
    assert sent.pieces[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert sent.pieces[-1].endswith(b"\r\n0\r\n\r\n")
    assert Service(scenario()).answer(call, NOW).spread == 0


async def test_the_first_event_comes_well_before_the_last():
    service = Service(scenario(latency=Latency(median=0.5, sigma=0)))
    async with openai_client(service) as client:
        began = time.monotonic()
        times = [time.monotonic() - began async for _ in await ask(client, stream=True)]
    assert times[-1] > 0.45
    assert times[-1] - times[0] > 0.24
    assert len({round(at, 2) for at in times}) > 4


def planned(kind: str, **fields: Any) -> Service:
    return Service(scenario(PlannedFault(kind=Mishap(kind), every=1, **fields)))


@pytest.mark.parametrize("kind", ["stream_cut", "stream_error", "stream_native_error", "stall"])
def test_what_breaks_streams_passes_plain_answers_by(kind):
    service = planned(kind)
    for call in (chat(), native()):
        assert service.answer(call, NOW) == Service(scenario()).answer(call, NOW)


def last_event(plan: Plan) -> bytes:
    return plan.body.split(b"\n\n")[-2]


def test_an_error_in_a_stream_speaks_the_routes_dialect():
    error = {"message": "Output data may contain inappropriate content.", "type": "data_inspection_failed", "param": None}
    plan = planned("stream_error").answer(chat(stream=True), NOW)
    assert last_event(plan) == b"data: " + orjson.dumps({"error": {**error, "code": "data_inspection_failed"}})
    assert b"[DONE]" not in plan.body
    assert b'"finish_reason":"stop"' not in plan.body
    own = planned("stream_error").answer(native(stream=True), NOW)
    number, kind, status, data = last_event(own).split(b"\n")
    assert number == b"id:%d" % own.body.count(b"\n\n")
    assert (kind, status) == (b"event:error", b":HTTP_STATUS/400")
    assert orjson.loads(data.removeprefix(b"data:"))["code"] == "DataInspectionFailed"
    other = planned("stream_error", code="ServerBusy", message="x", status=503).answer(chat(stream=True), NOW)
    assert orjson.loads(last_event(other).removeprefix(b"data: "))["error"]["code"] == "ServerBusy"


@pytest.mark.parametrize("call", STREAMS)
def test_a_native_error_can_come_in_a_stream_of_either_dialect(call):
    plan = planned("stream_native_error").answer(call, NOW)
    _, kind, status, data = last_event(plan).split(b"\n")
    assert (plan.status, kind, status) == (200, b"event:error", b":HTTP_STATUS/429")
    assert list(orjson.loads(data.removeprefix(b"data:"))) == ["code", "message", "request_id"]
    assert b"Throttling.AllocationQuota" in data


@pytest.mark.parametrize("call", STREAMS)
async def test_a_cut_stream_stops_in_its_middle_and_the_connection_closes(call):
    async with serve(planned("stream_cut")) as base:
        came = await raw(base.port, call)
    whole = Service(scenario()).answer(call, NOW).body.count(b"\n\n")
    assert came.count(b"data:") == (whole + 1) // 2
    assert not came.endswith(b"0\r\n\r\n")
    assert came.endswith(b"\n\n\r\n")


@pytest.mark.parametrize("call", STREAMS)
async def test_a_stalled_stream_is_silent_until_the_client_leaves(call):
    service = planned("stall")
    async with serve(service) as base, await anyio.connect_tcp("127.0.0.1", base.port) as stream:
        await stream.send(request(call, close=False) + request(call))
        assert b"data:" in await stream.receive()
        with anyio.move_on_after(0.2) as waited:
            await stream.receive()
        assert waited.cancelled_caught
    assert service.bill()["total"]["calls"] == 1, "the call sent after it is not even read"


async def test_the_sdk_sees_each_broken_stream_as_it_sees_the_real_one():
    async with openai_client(planned("stream_error")) as client:
        with pytest.raises(openai.APIError) as caught:
            _ = [chunk async for chunk in await ask(client, stream=True)]
    assert (caught.value.code, hasattr(caught.value, "status_code")) == ("data_inspection_failed", False)
    async with openai_client(planned("stream_native_error")) as client:
        chunks = [chunk async for chunk in await ask(client, stream=True)]
    assert chunks[-1].choices is None
    assert chunks[-1].code == "Throttling.AllocationQuota"
    async with openai_client(planned("mislabelled")) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await ask(client)
    assert refused.value.code is None
    assert refused.value.response.text.startswith('data: {"error":')


def test_an_error_can_hide_under_a_good_status_or_another_label():
    hidden = planned("error_in_200").answer(native(), NOW)
    assert (hidden.status, list(orjson.loads(hidden.body))) == (200, ["code", "message", "request_id"])
    assert orjson.loads(planned("error_in_200").answer(chat(), NOW).body)["error"]["code"] == "internal_error"
    own = planned("mislabelled").answer(native(stream=True), NOW)
    assert (own.status, own.headers["content-type"]) == (400, "application/json")
    assert own.body.startswith(b"id:1\nevent:error\n:HTTP_STATUS/400\ndata:{")


async def test_a_native_stream_survives_the_socket_and_keeps_its_connection():
    service = Service(scenario())
    async with serve(service) as base, await anyio.connect_tcp("127.0.0.1", base.port) as stream:
        await stream.send(request(native(stream=True), close=False) + request(native()))
        came = b"".join([piece async for piece in stream])
    first, _, rest = came.partition(b"\r\n0\r\n\r\n")
    assert first.count(b"event:result") > 2
    assert rest.startswith(b"HTTP/1.1 200 OK")
    assert native_events(service.answer(native(stream=True), NOW).body)[-1]["output"]["finish_reason"] == "stop"
    assert service.calls()[0]["path"] == TEXT


def test_no_finish_leaves_a_stream_without_its_end():
    for call in STREAMS:
        body = planned("no_finish").answer(call, NOW).body
        assert b'"finish_reason":"stop"' not in body
        assert b"data:" in body
