"""No key comes back from an endpoint, however it spells it, and none is in what a program sees when batchrun itself goes wrong."""

from __future__ import annotations

import time
import traceback
from base64 import b64encode
from urllib.parse import quote

import anyio
import orjson
import pytest

from batchrun.core.model import Failure, Hidden, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport
from batchrun.edge.transport.secrets import masked
from tests.edge import fault_server as server
from tests.faults.kinds import EVENTS, chunk, said

KEYS = {
    "the provider's": "sk-0123456789abcdef0123456789abcdef",
    "with a slash": "qX9/weird+key==marketing/0123",
    "with quotes": 'it\'s-a-"quoted"-key-0123456789',
    "with a backslash": "back\\slash\\n-key-0123456789",
    "of a pattern": "^(sk.*)+[a-z]$-key-0123456789",
    "with percents": "%41%42%25-key-{0}-0123456789",
    "of one letter": "a" * 40,
    "a token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ0ZW5hbnQtMDEifQ.c2lnbmF0dXJlLW9mLW1pbmU" * 3,
}
SPELLINGS = {
    "as it is": lambda key: key,
    "after Bearer": lambda key: f"Bearer {key}",
    "in base64": lambda key: b64encode(key.encode()).decode(),
    "in base64, after Bearer": lambda key: b64encode(f"Bearer {key}".encode()).decode(),
    "in base64, after eight": lambda key: b64encode(f"api-key:{key}".encode()).decode(),
    "as a URL": lambda key: quote(key, safe=""),
    "as Python": repr,
}
EACH_KEY = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
EACH_SPELLING = pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())


def shapes(key: str) -> list[str]:
    """What gives *key* away: its first eight characters, and the middle of any base64 of it."""
    middles = [b64encode(b"\0" * before + key.encode()).decode()[4:20] for before in range(3)]
    return [key[:8], quote(key[:12], safe=""), *middles]


def holds(text: str, key: str) -> list[str]:
    return [shape for shape in shapes(key) if shape in text]


def asked(fault: server.Fault, key: str) -> Reply | Failure:
    async def main() -> Reply | Failure:
        async with (
            server.serving(fault) as endpoint,
            Transport(connect=1, idle=1, total=2, connections=1, proxy="none", max_response_bytes=65_536) as wire,
        ):
            return await wire.post(Request(endpoint.url, {"Authorization": Hidden(f"Bearer {key}")}, b"{}"), Reading(OPENAI.dialect, {}))

    return anyio.run(main)


@EACH_KEY
@EACH_SPELLING
def test_a_refusal_tells_no_key_however_it_spells_it(key, spell):
    told = spell(key)
    body = orjson.dumps({"error": {"message": f"no such key: {told}", "code": "x" + told}, "request_id": told})
    failure = asked(server.says(server.http(body, f"x-request-id: {quote(told, safe='')}", status="401 No")), key)
    assert isinstance(failure, Failure)
    assert holds(f"{failure!r} {failure.body.decode()}", key) == []
    assert "no such key: " in failure.message


@EACH_KEY
def test_a_refusal_tells_no_half_of_a_key_either(key):
    body = orjson.dumps({"error": {"message": f"no such key: {key[:10]}****{key[-4:]}"}})
    failure = asked(server.says(server.http(body, status="401 No")), key)
    assert isinstance(failure, Failure)
    assert key[:8] not in f"{failure!r} {failure.body.decode()}"


@EACH_KEY
@EACH_SPELLING
def test_an_answer_tells_no_key_wherever_it_echoes_it(key, spell):
    told = spell(key)
    call = {"id": told, "type": "function", "function": {"name": "f", "arguments": told}}
    body = said(
        {"content": f"Your key is {told}.", "reasoning_content": told, "tool_calls": [call]}, id=told, usage={"prompt_tokens": 7, "x": told}
    )
    for spelled in (body, body.replace(b"a", b"\\u0061") if b"\\" not in told.encode() else body):
        reply = asked(server.says(server.http(spelled)), key)
        assert isinstance(reply, Reply), reply
        assert holds(f"{reply!r} {reply.body.decode()}", key) == []
        assert reply.content.startswith("Your key is ")
        assert orjson.loads(reply.body)["choices"][0]["message"]["content"] == reply.content


@EACH_KEY
def test_a_stream_that_says_a_key_letter_by_letter_tells_none(key):
    events = [chunk({"content": letter}) for letter in f"It is {key}!"] + [chunk({}, "stop")]
    reply = asked(server.says(EVENTS + b"\r\n", *events), key)
    assert isinstance(reply, Reply)
    assert (reply.content, key in reply.body.decode()) == ("It is ***!", False)


@EACH_KEY
@EACH_SPELLING
def test_an_answer_tells_no_key_whose_slashes_are_escaped(key, spell):
    """As PHP writes JSON."""
    reply = asked(
        server.says(server.http(said({"content": f"It is {spell(key)}!", "reasoning_content": spell(key)}).replace(b"/", rb"\/"))), key
    )
    assert isinstance(reply, Reply)
    assert holds(f"{reply!r} {orjson.loads(reply.body)}", key) == []


@EACH_KEY
def test_an_answer_tells_no_key_that_a_header_echoes(key):
    reply = asked(server.says(server.http(said({"content": "Hello."}), f"x-request-id: {key}")), key)
    assert isinstance(reply, Reply)
    assert key not in f"{reply!r}"
    assert reply.content == "Hello."


@EACH_KEY
def test_a_text_that_is_put_together_from_parts_tells_no_key_that_was_cut_in_two(key):
    parts = [{"type": "text", "text": text} for text in (f"It is {key[:9]}", f"{key[9:]}!")]
    reply = asked(server.says(server.http(said({"content": parts}))), key)
    assert isinstance(reply, Reply)
    assert reply.content == "It is ***!"


@pytest.mark.parametrize("key", ["EMPTY", "none", "x", "token-abc123"])
def test_an_answer_keeps_the_words_that_are_a_key_elsewhere(key):
    body = said({"content": f"The field is {key}."})
    reply = asked(server.says(server.http(body)), key)
    assert isinstance(reply, Reply)
    assert (reply.content, reply.body) == (f"The field is {key}.", body)


def test_a_body_full_of_beginnings_takes_no_longer_than_its_length():
    began = time.thread_time()
    assert b"01234567" not in masked(b"01234567," * 100_000, "0123456789abcdef")
    assert time.thread_time() - began < 2


# When batchrun itself goes wrong


def told(error: BaseException) -> str:
    """All that a crash reporter could tell: the traceback with every local, but for those of the tests."""
    frames = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), capture_locals=True)
    inside = [frame for frame in frames if frame.filename != __file__]
    assert inside
    return f"{error!r} {traceback.StackSummary.from_list(inside).format()}"


class Broken:
    """A reading that breaks at one of its steps, as a bug would."""

    spoken = complete = whole = False
    events = 0

    def __init__(self, step: str) -> None:
        self.step = step

    def feed(self, piece: bytes) -> None:
        if self.step == "feed":
            raise ZeroDivisionError

    def result(self, status, headers) -> None:
        raise ZeroDivisionError

    def refused(self, status, headers, body) -> None:
        raise ZeroDivisionError


@EACH_KEY
@pytest.mark.parametrize(("step", "status"), [("feed", "200 OK"), ("result", "200 OK"), ("refused", "401 No")])
def test_a_traceback_with_all_its_locals_tells_no_key(key, step, status):
    async def main() -> None:
        async with (
            server.serving(server.keeps(server.http(status=status))) as endpoint,
            Transport(connect=1, idle=1, total=2, connections=1, proxy="none", max_response_bytes=65_536) as wire,
        ):
            request = Request(endpoint.url, {"Authorization": Hidden(f"Bearer {key}")}, b"{}")
            with pytest.raises(ZeroDivisionError) as broken:
                await wire.post(request, Broken(step))  # type: ignore[arg-type]
            assert holds(told(broken.value), key) == []

    anyio.run(main)


def test_a_key_that_no_header_can_carry_is_not_in_the_complaint():
    key = "sk-fake-0123456789\r\nX-Other: 1"

    async def main() -> None:
        async with (
            server.serving(server.keeps(server.http())) as endpoint,
            Transport(connect=1, idle=1, total=2, connections=1, proxy="none", max_response_bytes=65_536) as wire,
        ):
            with pytest.raises(ValueError, match="does not print") as refused:
                await wire.post(Request(endpoint.url, {"Authorization": Hidden(key)}, b"{}"), Reading(OPENAI.dialect, {}))
            assert "0123456789" not in told(refused.value)
            assert endpoint.requests == []

    anyio.run(main)


def test_a_hidden_header_is_sent_as_it_is_and_shown_by_nothing():
    key = KEYS["the provider's"]
    header = Hidden(f"Bearer {key}")
    assert key not in f"{header!r} {[header]} {Request('u', {'Authorization': header}, b'')!r}"
    assert f"{header}" == f"Bearer {key}"
