from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.protocols.sse import Event, Events, looks_like_events
from tests.core.protocols.recorded import cut

MARK = b"\xef\xbb\xbf"


def read(*pieces):
    events = Events()
    return [event for piece in pieces for event in events.feed(piece)] + events.close()


LAYOUTS = {
    "compatible": (b"data: {}\n\ndata: [DONE]\n\n", [(b"{}", b"", None), (b"[DONE]", b"", None)]),
    "native": (b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:{}\n\n", [(b"{}", b"result", 200)]),
    "an error": (b"id:1\nevent:error\n:HTTP_STATUS/429\ndata:{}\n\n", [(b"{}", b"error", 429)]),
    "no status of three digits": (b":HTTP_STATUS/42\ndata:{}\n\n", [(b"{}", b"", None)]),
    "spaces after the colons": (b"event: error\ndata: {}\n\n", [(b"{}", b"error", None)]),
    "only one space is the colon's": (b"data:  {} \n\n", [(b" {} ", b"", None)]),
    "a colon in the data": (b'data:{"a":1}\n\n', [(b'{"a":1}', b"", None)]),
    "data in several lines": (b"data: {\ndata: \ndata\ndata: }\n\n", [(b"{\n\n\n}", b"", None)]),
    "comments": (b": hello\n\n:\ndata: a\n: between\ndata: b\n\n", [(b"a\nb", b"", None)]),
    "unknown fields": (b"retry: 3\nfoo: bar\nfoo\ndata: a\n\n", [(b"a", b"", None)]),
    "empty events": (b"\n\n\ndata: a\n\n\n\n", [(b"a", b"", None)]),
    "a kind alone": (b"event: error\n\n", [(b"", b"error", None)]),
    "a kind is of one event": (b"event: error\ndata: a\n\ndata: b\n\n", [(b"a", b"error", None), (b"b", b"", None)]),
    "a status is of one event": (b":HTTP_STATUS/400\ndata: a\n\ndata: b\n\n", [(b"a", b"", 400), (b"b", b"", None)]),
    "no blank line at the end": (b"data: a\n\ndata: b\n", [(b"a", b"", None), (b"b", b"", None)]),
    "no line end at the end": (b"data: a\n\ndata: b", [(b"a", b"", None), (b"b", b"", None)]),
    "an object under no name": (b'data: a\n\n{"a":1}\n', [(b"a", b"", None), (b'{"a":1}', b"", None)]),
    "nothing": (b"", []),
}
ENDS = {"LF": b"\n", "CR LF": b"\r\n", "CR": b"\r"}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("mark", [b"", MARK], ids=["", "marked"])
@pytest.mark.parametrize(("text", "events"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_layout_gives_its_events_in_one_piece_and_byte_by_byte(text, events, mark, end):
    text = mark + text.replace(b"\n", end)
    wanted = [Event(*each) for each in events]
    assert read(text) == wanted
    assert read(*(text[at : at + 1] for at in range(len(text)))) == wanted


LINES = st.lists(
    st.sampled_from([b"data: a", b"data:", b"event:error", b":HTTP_STATUS/429", b":x", b"id:1", b"", b"data: \xe5\xa5\xbd", b"foo"])
)


@given(LINES, st.sampled_from([*ENDS.values()]), st.booleans(), st.lists(st.integers(0, 500), max_size=8))
def test_any_cut_of_any_stream_gives_the_same_events(lines, end, marked, places):
    text = MARK * marked + end.join(lines)
    assert read(*cut(text, places)) == read(text)


@given(st.binary(max_size=80), st.lists(st.integers(0, 80), max_size=8))
def test_any_cut_of_any_bytes_gives_the_same_events(text, places):
    assert read(*cut(text, places)) == read(text)


def test_an_event_is_given_as_soon_as_its_blank_line_is_there():
    events = Events()
    assert events.feed(b"data: a\n") == []
    assert events.feed(b"\n") == [Event(b"a", b"", None)]
    assert events.close() == []


@pytest.mark.parametrize("start", [b"data: {}", b"data:{}", b"event:error", b"id:1", b":HTTP_STATUS/429", b"retry: 3", b"\r\n\ndata:"])
def test_a_stream_is_known_by_its_start_as_soon_as_that_is_there(start):
    for text in (start, MARK + start):
        assert looks_like_events(text, whole=False) is True
        assert looks_like_events(text, whole=True) is True


@pytest.mark.parametrize("start", [b"", b"\xef", b"\xef\xbb", MARK, MARK + b"da", b"d", b"data", b"event", b"i", b"\n", b"r"])
def test_a_start_that_may_become_a_stream_is_none_yet(start):
    assert looks_like_events(start, whole=False) is None
    assert looks_like_events(start, whole=True) is False


@pytest.mark.parametrize("start", [b"{", b'{"data:":1}', b"<html>", b"dats", b"\xef\xbbx", b"datum: x", b"OK", b"\xff\xfe"])
def test_what_is_no_stream_is_known_at_once(start):
    assert looks_like_events(start, whole=False) is False
