from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.model import Failure, Fault, Reply, Scope
from batchrun.core.protocols import reading
from batchrun.core.protocols.formats import FORMATS
from batchrun.core.protocols.reading import Reading
from tests.core.protocols import recorded
from tests.core.protocols.recorded import ID, MULTIMODAL, NATIVE, OPENAI, PROTOCOLS, TEXT, TWINS

HEADERS = recorded.EVENT_STREAM
EACH_TWIN = pytest.mark.parametrize("twin", TWINS, ids=lambda twin: f"{twin.protocol}: {twin.name}")


def fed(protocol, asked, *pieces):
    read = Reading(FORMATS[protocol].dialect, asked)
    for piece in pieces:
        read.feed(piece)
    return read


def streamed(protocol, *pieces, asked=None) -> Any:
    return fed(protocol, asked or {}, *pieces).result(200, HEADERS)


def plain(twin) -> Any:
    return reading.read(FORMATS[twin.protocol].dialect, twin.asked, 200, HEADERS, orjson.dumps(twin.plain))


def without_nulls(value):
    """A plain answer names what it does not have; a stream does not."""
    match value:
        case dict():
            return {key: without_nulls(each) for key, each in value.items() if each is not None}
        case list():
            return [without_nulls(each) for each in value]
    return value


def comparable(reply):
    """A reply but for its body, and for how much of the usage the provider spells out."""
    assert isinstance(reply, Reply), reply
    usage = reply.usage and replace(reply.usage, raw=None)
    return replace(reply, body=b"", usage=usage, choices=without_nulls(reply.choices))


@EACH_TWIN
def test_a_stream_makes_the_reply_that_a_plain_call_would_have_brought(twin):
    assert comparable(streamed(twin.protocol, twin.stream, asked=twin.asked)) == comparable(plain(twin))


@EACH_TWIN
def test_the_body_that_a_stream_makes_up_reads_as_a_plain_answer(twin):
    got = streamed(twin.protocol, twin.stream, asked=twin.asked)
    again = reading.read(FORMATS[twin.protocol].dialect, twin.asked, 200, HEADERS, got.body)
    assert again == got


@EACH_TWIN
def test_a_stream_cut_anywhere_is_the_whole_answer_or_none_of_it(twin):
    whole, unsaid = comparable(plain(twin)), replace(comparable(plain(twin)), usage=None)
    for at in range(len(twin.stream) + 1):
        got = streamed(twin.protocol, twin.stream[:at], asked=twin.asked)
        if at < twin.said:
            assert isinstance(got, Failure), (at, got)
            assert (got.fault, got.scope, got.usage, got.in_doubt) == (Fault.AGAIN, Scope.ROW, None, True)
        else:
            assert comparable(got) in (whole, unsaid), at


@pytest.mark.parametrize(
    "nothing", [None, {}, {"input_tokens": None, "output_tokens": None}, {"total_tokens": 30}, {"input_tokens": 0, "output_tokens": 0}]
)
@pytest.mark.parametrize("protocol", NATIVE)
def test_a_frame_that_tells_nothing_of_the_cost_takes_no_place_of_one_that_does(protocol, nothing):
    last = recorded.native({}, usage=None) | {"output": {"choices": []}, "usage": nothing}
    said = [recorded.frame({"content": "你"}, output_tokens=1), recorded.frame({"content": "好"}, "stop", output_tokens=2), last]
    got = streamed(protocol, *recorded.frames(said))
    assert (got.content, got.usage.input_tokens, got.usage.output_tokens) == ("你好", 16, 2)


@pytest.mark.parametrize("told", [{}, {"usage": {}}, {"usage": {"input_tokens": None}}, {"usage": {"total_tokens": 18}}])
def test_what_was_told_of_the_cost_before_more_was_said_is_no_cost(told):
    end = recorded.frame({"content": "好"}, "stop")
    del end["usage"]
    got = streamed(TEXT, *recorded.frames([recorded.frame({"content": "你"}, output_tokens=1), end | told]))
    assert (got.content, got.usage) == ("你好", None)
    counted, end = recorded.chunk({"content": "你"}) | {"usage": recorded.counted()["usage"]}, recorded.chunk({"content": "好"}, "stop")
    got = streamed(OPENAI, *recorded.events([counted, end | told]))
    assert (got.content, got.usage) == ("你好", None)


def test_what_was_told_of_the_cost_with_the_last_that_was_said_is_the_cost():
    said, end = recorded.frame({"content": "你好"}, output_tokens=2), recorded.frame({"content": ""}, "stop")
    del end["usage"]
    assert streamed(TEXT, *recorded.frames([said, end])).usage.output_tokens == 2


@EACH_TWIN
def test_the_answer_stands_from_its_last_finish_reason_on_and_is_never_taken_back(twin):
    read = Reading(FORMATS[twin.protocol].dialect, twin.asked)
    seen: list[tuple[bool, bool, bool]] = []
    for event in twin.events:
        read.feed(event)
        seen.append((read.spoken, read.whole, read.complete))
    assert [whole for _, whole, _ in seen] == [number >= twin.last for number in range(len(twin.events))]
    assert [spoken for spoken, _, _ in seen] == sorted(spoken for spoken, _, _ in seen)
    assert [complete for *_, complete in seen] == [b"[DONE]" in event for event in twin.events]
    assert read.events == len(twin.events)


@pytest.mark.parametrize(
    ("protocol", "first"),
    [
        (OPENAI, recorded.events([recorded.chunk({"content": "", "role": "assistant"})], done=False)[0]),
        (TEXT, recorded.frames([recorded.frame({"content": ""}, output_tokens=0)])[0]),
        (MULTIMODAL, recorded.frames([recorded.frame({"content": []}, output_tokens=0)])[0]),
    ],
)
def test_an_empty_delta_is_no_first_token(protocol, first):
    assert not fed(protocol, {}, first).spoken


@pytest.mark.parametrize(
    "delta",
    [{"content": "一"}, {"reasoning_content": "嗯"}, {"tool_calls": [{"index": 0, "id": "call_a", "function": {"name": "f"}}]}],
)
def test_the_first_token_is_of_text_of_reasoning_or_of_a_call(delta):
    assert fed(OPENAI, {}, *recorded.events([recorded.chunk(delta)], done=False)).spoken
    assert fed(TEXT, {}, *recorded.frames([recorded.frame({"content": "", **delta})])).spoken


# However it is laid out, and however it is cut


def marked(text):
    return b"\xef\xbb\xbf" + text


def commented(text):
    return b": keep-alive\n\n" + text.replace(b"data:", b": ping\ndata:")


def in_many_lines(text):
    """Each JSON object over several data lines: a line may end wherever JSON has room."""
    return text.replace(b'":{"', b'":\ndata: {"')


LAYOUTS = {
    "as it comes": lambda text: text,
    "CR LF": lambda text: text.replace(b"\n", b"\r\n"),
    "CR": lambda text: text.replace(b"\n", b"\r"),
    "marked": marked,
    "with comments": commented,
    "data in many lines": in_many_lines,
    "no last blank line": lambda text: text.removesuffix(b"\n"),
    "no last line end": lambda text: text.rstrip(b"\n"),
    "one line end where two are asked for": lambda text: text.replace(b"\n\n", b"\n"),
    "blank lines first": lambda text: b"\r\n\n" + text,
    "all of it": lambda text: marked(commented(in_many_lines(text))).rstrip(b"\n").replace(b"\n", b"\r\n"),
}


@EACH_TWIN
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_the_layout_of_a_stream_changes_nothing(twin, layout):
    assert comparable(streamed(twin.protocol, layout(twin.stream), asked=twin.asked)) == comparable(plain(twin))


@given(st.sampled_from(TWINS), st.sampled_from([*LAYOUTS.values()]), st.lists(st.integers(0, 5000), max_size=12))
def test_however_a_stream_is_cut_into_pieces_it_is_read_the_same(twin, layout, places):
    text = layout(twin.stream)
    whole, cut = fed(twin.protocol, twin.asked, text), fed(twin.protocol, twin.asked, *recorded.cut(text, places))
    assert (cut.spoken, cut.whole, cut.complete, cut.events) == (whole.spoken, whole.whole, whole.complete, whole.events)
    assert cut.result(200, HEADERS) == whole.result(200, HEADERS)


@EACH_TWIN
def test_byte_by_byte_it_is_read_the_same(twin):
    for layout in LAYOUTS.values():
        text = layout(twin.stream)
        got = streamed(twin.protocol, *(text[at : at + 1] for at in range(len(text))), asked=twin.asked)
        assert got == streamed(twin.protocol, text, asked=twin.asked)


@given(st.sampled_from(recorded.WRITTEN), st.lists(st.integers(0, 3000), max_size=8))
def test_a_plain_body_in_pieces_is_read_as_in_one(case, places):
    dialect = FORMATS[case.protocol].dialect
    read = fed(case.protocol, case.asked, *recorded.cut(case.body, places))
    assert read.result(200, {}) == reading.read(dialect, case.asked, 200, {}, case.body)
    assert case.kind in {"stream", "error in a stream"} or not (read.spoken or read.whole or read.complete or read.events)


# Cumulative and incremental frames


def test_cumulative_frames_are_not_added_up():
    chunks = [recorded.frame({"content": "我"}), recorded.frame({"content": "我是"}, "stop")]
    text = b"".join(recorded.frames(chunks))
    assert streamed(TEXT, text, asked={"incremental_output": False}).content == "我是"
    assert streamed(TEXT, text, asked={"incremental_output": True}).content == "我我是"


@pytest.mark.parametrize("said", [{}, {"incremental_output": None}])
def test_frames_are_incremental_unless_the_row_says_otherwise(said):
    """What was asked for and how the answer is read may never differ: else each frame is doubled."""
    body = {"model": "qwen-plus", "messages": [], **said}
    assert orjson.loads(FORMATS[TEXT].encode(body, True))["parameters"]["incremental_output"] is True
    text = b"".join(recorded.frames([recorded.frame({"content": "我"}), recorded.frame({"content": "是"}, "stop")]))
    assert streamed(TEXT, text, asked=body).content == "我是"


def test_log_probabilities_are_gathered_once_each():
    def weighed(*tokens):
        return {"logprobs": {"content": [{"token": token} for token in tokens]}}

    pieces = [recorded.frame({"content": "a"}, **weighed("a")), recorded.frame({"content": "b"}, "stop", **weighed("b"))]
    sums = [recorded.frame({"content": "a"}, **weighed("a")), recorded.frame({"content": "ab"}, "stop", **weighed("a", "b"))]
    for chunks, cumulative in ((pieces, False), (sums, True)):
        got = streamed(TEXT, *recorded.frames(chunks), asked={"incremental_output": not cumulative})
        logprobs = orjson.loads(got.body)["output"]["choices"][0]["logprobs"]
        assert logprobs == {"content": [{"token": "a"}, {"token": "b"}]}


def test_a_spoken_answer_is_put_together():
    deltas: list[dict[str, Any]] = [
        {"audio": {"id": "a-1", "data": "AA"}},
        {"audio": {"transcript": "你"}},
        {"audio": {"data": "BB", "transcript": "好", "expires_at": 7}},
    ]
    got = streamed(OPENAI, *recorded.events([*(recorded.chunk(delta) for delta in deltas), recorded.chunk({}, "stop")]))
    audio = orjson.loads(got.body)["choices"][0]["message"]["audio"]
    assert audio == {"id": "a-1", "data": "AABB", "transcript": "你好", "expires_at": 7}


@pytest.mark.parametrize(
    "sounds",
    [
        [{"data": 7}, {"data": "AA"}],
        [{"data": [1]}, {"data": "AA"}],
        [{"data": "AA"}, {"data": [1]}],
        [{"transcript": {}}, {"transcript": "a"}],
        [{"voices": [1, 2]}],
    ],
)
def test_a_sound_of_the_wrong_shape_costs_no_answer(sounds):
    chunks = [recorded.chunk({"content": "好", "audio": sound}) for sound in sounds]
    assert streamed(OPENAI, *recorded.events([*chunks, recorded.chunk({}, "stop")])).content == "好" * len(sounds)


# Errors in the middle, and what stands around the end

SAYS = [recorded.chunk({"content": "我", "role": "assistant"}), recorded.chunk({"content": "是"})]
FRAMES = [recorded.frame({"content": "我"}, output_tokens=1), recorded.frame({"content": "是"}, output_tokens=2)]
TEXTS = {OPENAI: recorded.events(SAYS, done=False), TEXT: recorded.frames(FRAMES), MULTIMODAL: recorded.frames(FRAMES)}
FORMS = {
    "an event": recorded.error_event(recorded.refused("A", "data_inspection_failed", "data_inspection_failed", "m")),
    "an event of shape C": recorded.error_event(recorded.refused("C", "data_inspection_failed", "data_inspection_failed", "m")),
    "a native object": recorded.error_event(recorded.refused_natively("data_inspection_failed", "m")),
    "a frame": recorded.error_frame(recorded.refused_natively("DataInspectionFailed", "m"), 400),
    "a frame around the compatible object": recorded.error_frame(
        recorded.refused("B", "data_inspection_failed", "data_inspection_failed", "m"), 400
    ),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "in the middle", "after the text"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_an_error_ends_a_stream_wherever_it_comes(protocol, place, form):
    texts = TEXTS[protocol]
    read = fed(protocol, {}, *texts[:place], form)
    assert (read.complete, read.whole, read.spoken) == (True, False, place > 0)
    for rest in (b"", b"".join(texts[place:]), b"data: [DONE]\n\n"):
        got = streamed(protocol, *texts[:place], form, rest)
        assert (got.fault, got.scope, got.message, got.request_id) == (Fault.REJECT, Scope.ROW, "m", ID)
        # What was said before it may have been billed, and what it cost was not said.
        assert (got.usage, got.in_doubt) == (None, place > 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("status", [None, 200, 400, 500])
def test_an_error_that_nobody_knows_is_left_to_its_frame_s_status(protocol, status):
    body = recorded.refused_natively("NeverSeen", "m")
    frame = recorded.error_frame(body, status) if status else recorded.error_event(body)
    got = streamed(protocol, frame)
    assert got.fault is (Fault.REJECT if status == 400 else Fault.AGAIN)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("before", [0, 1])
def test_an_error_event_that_is_no_json_is_told_in_its_own_words(protocol, before):
    """As gateways write one that gave a call up."""
    texts = TEXTS[protocol][:before]
    got = fed(protocol, {}, *texts, b"event: error\ndata: upstream\ndata: timed out\n\n").result(200, HEADERS)
    assert isinstance(got, Failure)
    assert (got.code, got.fault, got.in_doubt) == ("error_in_200", Fault.AGAIN, True)
    assert got.message.endswith("(no code: upstream timed out)")
    got = fed(protocol, {}, *texts, b"event:error\n:HTTP_STATUS/429\ndata:slow down\n\n").result(200, HEADERS)
    assert isinstance(got, Failure)
    assert (got.code, got.fault, got.message, got.in_doubt) == ("http_429", Fault.THROTTLED, "slow down", bool(before))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\ndata: [DONE]\n\n"])
def test_an_error_that_a_gateway_hands_on_as_it_came_is_one_in_the_middle_of_a_stream_too(protocol, end):
    got = fed(protocol, {}, TEXTS[protocol][0], b'{"error":{"code":"limit_requests","message":"m"}}' + end).result(200, HEADERS)
    assert isinstance(got, Failure)
    assert (got.code, got.fault, got.message, got.in_doubt) == ("limit_requests", Fault.THROTTLED, "m", True)


@pytest.mark.parametrize("protocol", NATIVE)
def test_an_error_frame_without_a_code_is_an_error(protocol):
    got = streamed(protocol, b'event:error\n:HTTP_STATUS/503\ndata:{"message":"m"}\n\n')
    assert (got.fault, got.code, got.message) == (Fault.AGAIN, "http_503", "m")


def test_of_events_in_one_each_line_counts_until_one_cannot_be_read():
    events = recorded.events([*SAYS, recorded.chunk({}, "stop")], done=False)
    for place in range(len(events)):
        torn = [*events[:place], b"data: {\n\n", *events[place:]]
        assert streamed(OPENAI, b"".join(torn).replace(b"\n\n", b"\n")).code == "broken_event"


def test_done_without_a_finish_reason_is_no_answer():
    got = streamed(OPENAI, *recorded.events(SAYS))
    assert (got.code, got.fault, got.in_doubt) == ("no_finish_reason", Fault.AGAIN, True)


def test_done_alone_is_no_answer():
    assert streamed(OPENAI, b"data: [DONE]\n\n").code == "no_choices"


@pytest.mark.parametrize("afterwards", [*FORMS.values(), b"data: {\n\n", *recorded.events([recorded.chunk({"content": "!"})], done=False)])
def test_nothing_counts_after_done(afterwards):
    twin = TWINS[0]
    assert streamed(OPENAI, twin.stream, afterwards) == streamed(OPENAI, twin.stream)


@pytest.mark.parametrize(
    "junk", [b"data: OK\n\n", b"data: [1]\n\n", b"data: {\n\n", b"data: null\n\n", b"data: \xff\n\n", b"data: <html>\n\n"]
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_event_that_is_no_json_object_before_the_end_is_a_hole_in_the_answer(protocol, junk):
    last = (
        recorded.events([recorded.chunk({}, "stop")]) if protocol == OPENAI else recorded.frames([recorded.frame({"content": ""}, "stop")])
    )
    texts = TEXTS[protocol]
    for place in range(len(texts) + 1):
        read = fed(protocol, {}, *texts[:place], junk, *texts[place:], *last)
        got = read.result(200, HEADERS)
        assert isinstance(got, Failure)
        assert (got.code, got.fault, read.whole) == ("broken_event", Fault.AGAIN, False)


@pytest.mark.parametrize("kind", [b"ping", b"heartbeat", b"keepalive", b"keep-alive"])
@pytest.mark.parametrize("said", [b"2026-11-30 03:14:15.926535", b"", b"ping", b"{}", b'{"type": "ping"}', b"1\ndata: 2"])
@EACH_TWIN
def test_an_event_that_is_but_a_sign_of_life_is_no_part_of_an_answer(twin, kind, said):
    sign = b"event: " + kind + b"\ndata: " + said + b"\n\n"
    assert comparable(streamed(twin.protocol, sign + twin.stream.replace(b"\n\n", b"\n\n" + sign), asked=twin.asked)) == comparable(
        plain(twin)
    )


@pytest.mark.parametrize("torn", [b"data: {", b"data: [DON", b"data: \n\n", b"dat", b"data: OK\n\n", b"event: ping\n\n"])
@EACH_TWIN
def test_an_event_torn_after_the_answer_is_whole_costs_no_answer(twin, torn):
    """`Reading.whole` promises it: should the wire break now, the answer stands."""
    said = b"".join(twin.events[: twin.last + 1])
    read = fed(twin.protocol, twin.asked, said, torn)
    assert read.whole
    got = read.result(200, HEADERS)
    assert comparable(got) in (comparable(plain(twin)), replace(comparable(plain(twin)), usage=None))


def test_of_two_choices_one_that_never_ends_is_no_answer():
    chunks = [recorded.chunk({"content": "a"}, "stop"), recorded.chunk({"content": "b"}, index=1), recorded.counted()]
    got = streamed(OPENAI, *recorded.events(chunks), asked={"n": 2})
    assert (got.code, got.usage) == ("no_finish_reason", None)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_choices_without_an_index_are_told_apart_by_their_places(protocol):
    """They had become one, of both their texts."""

    def said(*texts, reason=None):
        if protocol == OPENAI:
            return recorded.chunk({}) | {"choices": [{"delta": {"content": text}, "finish_reason": reason} for text in texts]}
        choices = [{"message": {"role": "assistant", "content": text}, "finish_reason": reason or "null"} for text in texts]
        return recorded.frame({}) | {"output": {"choices": choices}}

    told = [said("a", "x"), said("b", "y", reason="stop")]
    stream = recorded.events([*told, recorded.counted()]) if protocol == OPENAI else recorded.frames(told)
    got = streamed(protocol, *stream, asked={"n": 2})
    assert [choice["message"]["content"] for choice in got.choices] == ["ab", "xy"]


def test_of_two_choices_that_were_asked_for_one_alone_does_not_stand_yet():
    chunks = [recorded.chunk({"content": "a"}, "stop")]
    assert not fed(OPENAI, {"n": 2}, *recorded.events(chunks, done=False)).whole
    assert fed(OPENAI, {}, *recorded.events(chunks, done=False)).whole


def test_of_two_choices_one_that_comes_alone_to_the_stream_s_end_is_an_answer_and_costs_what_it_says():
    """A server that takes no n answers once."""
    chunks = [recorded.chunk({"content": "a"}, "stop"), recorded.counted()]
    got = streamed(OPENAI, *recorded.events(chunks), asked={"n": 2})
    assert (got.content, got.usage) == ("a", streamed(OPENAI, *recorded.events(chunks)).usage)
    assert got.usage is not None


def test_of_two_choices_one_that_comes_alone_has_no_cost_where_the_stream_breaks_off_or_complains_then():
    """What is told by then is less than what may be billed for both."""
    chunks = [recorded.chunk({"content": "a"}, "stop"), recorded.counted()]
    broken = fed(OPENAI, {"n": 2}, *recorded.events(chunks, done=False)).result(200, HEADERS)
    late = recorded.error_event(recorded.refused_natively("InternalError", "a gateway gave up"))
    refused = streamed(OPENAI, *recorded.events(chunks, done=False), late, asked={"n": 2})
    assert (broken.usage, refused.usage, refused.in_doubt) == (None, None, True)


def test_an_answer_that_is_whole_and_told_to_cost_nothing_is_in_doubt_where_an_error_follows_it():
    """A gateway that writes noughts has not counted: the call had stood in no sum, and in no doubt either."""
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    late = recorded.error_event(recorded.refused_natively("InternalError", "a gateway gave up"))
    got = streamed(OPENAI, *recorded.events([recorded.chunk({"content": "a"}, "stop") | {"usage": nothing}], done=False), late)
    assert (got.code, got.usage, got.in_doubt) == ("InternalError", None, True)


@pytest.mark.parametrize(
    "nothing",
    [{}, *({"prompt_tokens": count, "completion_tokens": count, "total_tokens": count} for count in (None, 0))],
    ids=str,
)
def test_a_usage_that_tells_nothing_neither_ends_an_answer_nor_takes_the_place_of_one_that_does(nothing):
    """Some gateways write such a one into each chunk: what follows it had not been waited for, and what stood before it was lost."""
    said, last = recorded.chunk({"content": "a"}) | {"usage": nothing}, recorded.chunk({}, "stop") | {"usage": nothing}
    before = fed(OPENAI, {}, *recorded.events([said, last], done=False))
    assert (before.whole, before.said_all) == (True, False)
    before.feed(b"".join(recorded.events([recorded.counted()])))
    assert before.said_all
    after = streamed(OPENAI, *recorded.events([said, last, recorded.counted(), recorded.counted() | {"usage": nothing}]))
    wanted = streamed(OPENAI, *recorded.events([recorded.chunk({"content": "a"}, "stop"), recorded.counted()])).usage
    assert after.usage == before.result(200, HEADERS).usage == wanted
    assert wanted is not None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_error_behind_an_answer_that_is_whole_and_counted_costs_no_answer(protocol):
    twin = next(twin for twin in TWINS if twin.protocol == protocol)
    late = recorded.error_event(recorded.refused_natively("InternalError", "a gateway gave up"))
    body = twin.stream.replace(b"data: [DONE]\n\n", b"")
    for form in (late, recorded.error_frame(recorded.refused_natively("RequestTimeOut", "m"), 500)):
        assert comparable(streamed(protocol, body, form, asked=twin.asked)) == comparable(plain(twin))


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_in_pieces_is_put_together_under_either_name(name):
    chunks = [recorded.chunk({name: "h"}), recorded.chunk({name: "m"}), recorded.chunk({"content": "a"}, "stop")]
    got = streamed(OPENAI, *recorded.events(chunks))
    assert (got.reasoning, got.content) == ("hm", "a")
    assert orjson.loads(got.body)["choices"][0]["message"][name] == "hm"


def test_a_stream_that_a_plain_call_was_asked_for_is_read_and_so_is_the_other_way_round():
    twin = TWINS[0]
    for body in (twin.stream, orjson.dumps(twin.plain)):
        for asked in ({"stream": True}, {}):
            assert streamed(OPENAI, body, asked=asked).content == plain(twin).content


def test_calls_without_an_index_go_by_their_place():
    chunks = [
        recorded.chunk({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}, {"id": "b", "function": {"name": "g"}}]}),
        recorded.chunk({"tool_calls": [{"function": {"arguments": "}"}}, {"function": {"arguments": "[]"}}]}),
        recorded.chunk({}, "tool_calls"),
    ]
    got = streamed(OPENAI, *recorded.events(chunks))
    assert [(call["id"], call["function"]) for call in got.tool_calls] == [
        ("a", {"name": "f", "arguments": "{}"}),
        ("b", {"name": "g", "arguments": "[]"}),
    ]


def called(*deltas, protocol=OPENAI, asked=None):
    """The calls that deltas of ``tool_calls`` make."""
    if protocol == OPENAI:
        pieces = recorded.events([*(recorded.chunk({"tool_calls": delta}) for delta in deltas), recorded.chunk({}, "tool_calls")])
    else:
        frames = [
            *(recorded.frame({"content": "", "tool_calls": delta}) for delta in deltas),
            recorded.frame({"content": ""}, "tool_calls"),
        ]
        pieces = recorded.frames(frames)
    got = streamed(protocol, *pieces, asked=asked)
    return [(call.get("id"), call["function"]["name"], call["function"]["arguments"]) for call in got.tool_calls]


def piece(arguments, name=None, call_id=None, **more):
    return {**more, **({"id": call_id} if call_id else {}), "function": {"arguments": arguments, **({"name": name} if name else {})}}


TWO_CALLS = [("a", "f", '{"x":1}'), ("b", "g", "{}")]


@pytest.mark.parametrize("protocol", [OPENAI, TEXT])
@pytest.mark.parametrize(
    "deltas",
    [
        [[piece('{"x":1}', "f", "a")], [piece("{}", "g", "b")]],
        [[piece("", "f", "a")], [piece('{"x"')], [piece(":1}")], [piece("", "g", "b")], [piece("{}")]],
        [[piece("", "f", "a")], [piece('{"x"', call_id="a")], [piece("{", "g", "b")], [piece(":1}", call_id="a"), piece("}", call_id="b")]],
        [[piece('{"x":', "f", "a"), piece("{", "g", "b")], [piece("1}"), piece("}")]],
        [[piece('{"x":1}', "f", "a"), piece("{", "g", "b")], [piece("}")]],
    ],
    ids=["each whole", "in pieces", "by their ids", "beside each other", "the second goes on"],
)
def test_calls_that_no_server_numbers_are_told_apart(protocol, deltas):
    assert called(*deltas, protocol=protocol) == TWO_CALLS


@pytest.mark.parametrize(
    "deltas",
    [
        [[piece('{"x":1}', "f", "a", index=0)], [piece("{}", "g", "b", index=0)]],
        [[piece("", "f", "a", index=0)], [piece('{"x":1}', index=0)], [piece("{", "g", "b", index=0)], [piece("}", index=0)]],
        [[piece('{"x":1}', "f", "a", index=0), piece("{}", "g", "b", index=0)]],
    ],
    ids=["each whole", "in pieces", "at once"],
)
def test_calls_that_have_all_the_same_number_are_told_apart_by_their_ids(deltas):
    assert called(*deltas) == TWO_CALLS


def test_calls_without_number_and_id_begin_where_a_function_is_named_again():
    assert called([piece('{"x":1}', "f")], [piece("{}", "f")]) == [(None, "f", '{"x":1}'), (None, "f", "{}")]
    assert called([piece("", "f")], [piece('{"x"')], [piece(":1}")]) == [(None, "f", '{"x":1}')]


@pytest.mark.parametrize("again", [{"name": "f"}, {"name": "f", "call_id": "a"}, {"call_id": "another"}])
def test_a_numbered_call_may_say_its_name_or_its_id_again(again):
    assert [call[1:] for call in called([piece('{"x"', "f", "a", index=0)], [piece(":1}", **again, index=0)])] == [("f", '{"x":1}')]


def test_cumulative_calls_go_by_their_place_and_are_not_added_up():
    deltas = [[piece('{"x"', "f", "a")], [piece('{"x":1}', "f", "a")], [piece('{"x":1}', "f", "a"), piece("{}", "g", "b")]]
    assert called(*deltas, protocol=TEXT, asked={"incremental_output": False}) == TWO_CALLS


@pytest.mark.parametrize("cumulative", [False, True])
def test_a_function_call_of_the_old_form_is_put_together(cumulative):
    pieces = [{"name": "f", "arguments": ""}, {"arguments": '{"x"'}, {"arguments": '{"x":1}' if cumulative else ":1}"}]
    frames = [
        *(recorded.frame({"content": "", "function_call": each}) for each in pieces),
        recorded.frame({"content": ""}, "function_call"),
    ]
    got = streamed(TEXT, *recorded.frames(frames), asked={"incremental_output": not cumulative})
    whole = {"name": "f", "arguments": '{"x":1}'}
    assert orjson.loads(got.body)["output"]["choices"][0]["message"]["function_call"] == whole
    if not cumulative:
        chunks = [*(recorded.chunk({"content": None, "function_call": each}) for each in pieces), recorded.chunk({}, "function_call")]
        read = fed(OPENAI, {}, *recorded.events(chunks))
        assert read.spoken
        assert orjson.loads(read.result(200, HEADERS).body)["choices"][0]["message"]["function_call"] == whole


@pytest.mark.parametrize("call", [7, [], {}, {"name": 7, "arguments": 7}])
def test_a_function_call_of_the_wrong_shape_costs_no_answer(call):
    chunks = [recorded.chunk({"content": "好", "function_call": call}), recorded.chunk({}, "stop")]
    assert streamed(OPENAI, *recorded.events(chunks)).content == "好"


@pytest.mark.parametrize("call", [7, None, {}, {"function": 7}, {"index": "0", "function": {"name": 7, "arguments": 7}}, {"index": -1}])
def test_a_call_of_the_wrong_shape_costs_no_answer(call):
    chunks = [recorded.chunk({"content": "好", "tool_calls": [call]}), recorded.chunk({"tool_calls": call}), recorded.chunk({}, "stop")]
    assert streamed(OPENAI, *recorded.events(chunks)).content == "好"


@pytest.mark.parametrize("content", [7, {}, [7], [None, {"image": "x"}, {"text": 7}], {"text": "x"}, True])
def test_content_of_the_wrong_shape_costs_no_answer(content):
    chunks = [recorded.frame({"content": [{"text": "好"}]}), recorded.frame({"content": content}), recorded.frame({"content": []}, "stop")]
    assert streamed(MULTIMODAL, *recorded.frames(chunks)).content == "好"


@pytest.mark.parametrize(
    "chunk", [{}, {"choices": 7}, {"choices": [7]}, {"choices": [{"delta": 7}]}, {"output": 7}, {"output": {"choices": {}}}]
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_chunk_that_says_nothing_costs_no_answer(protocol, chunk):
    last = (
        recorded.events([recorded.chunk({}, "stop")]) if protocol == OPENAI else recorded.frames([recorded.frame({"content": ""}, "stop")])
    )
    assert streamed(protocol, *TEXTS[protocol], recorded.error_event(chunk), *last).content == "我是"


def test_whole_messages_in_a_stream_are_understood_too():
    """A server that was asked for a stream, and streams one plain answer."""
    got = streamed(OPENAI, b"data: " + orjson.dumps(recorded.compat()) + b"\n\n")
    assert comparable(got) == comparable(plain(TWINS[0]))


@pytest.mark.parametrize("start", [b"x", b"<html>", b"[", b" \n" * 200_000 + b"7", b"\xef\xbb\xbf\xff"])
def test_of_a_body_that_begins_as_no_answer_does_no_more_is_kept_than_tells_what_it_is(start):
    read = fed("openai", {}, start)
    for _ in range(64):
        read.feed(b"x" * 65_536)
        assert read.weight() <= 65_536 * 2
    result = read.result(200, {})
    assert isinstance(result, Failure)
    assert (result.code, result.in_doubt) == ("html" if start.startswith(b"<") else "not_json", True)


@given(st.binary(max_size=60), st.lists(st.binary(max_size=20_000), max_size=12), st.integers(1, 4), st.booleans())
def test_what_a_body_is_weighed_for_changes_nothing_of_what_it_comes_to(start, rest, every, answer):
    """Whenever it is weighed, and whatever is let go of then: an answer stays the answer, and what is none is none."""
    body = start.strip() * answer + orjson.dumps(TWINS[0].plain) * answer + start * (not answer)
    pieces = [*(body[at : at + 7] for at in range(0, len(body), 7)), *rest * (not answer), b" " * 300_000]
    weighed, untouched = Reading(FORMATS["openai"].dialect, {}), Reading(FORMATS["openai"].dialect, {})
    for number, piece in enumerate(pieces):
        weighed.feed(piece)
        untouched.feed(piece)
        if number % every == 0:
            weighed.weight()
    found, expected = weighed.result(200, {}), untouched.result(200, {})
    assert isinstance(found, Reply) == isinstance(expected, Reply)
    if isinstance(expected, Reply):
        assert found == expected
