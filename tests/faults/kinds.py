"""What an endpoint can do wrong, a kind a line: what it says, and what batchrun must make of it.

`PLAIN` are answers to a plain call, `STREAMED` the same mischief done to a stream of events. Each is a `Kind`: a fault for
`tests/edge/fault_server.py`, and the failure's code, fault and doubt, or that it is a reply after all.
"""

from __future__ import annotations

import gzip
import zlib
from typing import Any, NamedTuple

import orjson

from batchrun.core.model import Fault
from tests.edge import fault_server as server

AGAIN, PARK, REJECT, THROTTLED = Fault.AGAIN, Fault.PARK, Fault.REJECT, Fault.THROTTLED
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
PACKED = "Content-Encoding: gzip"
LARGEST = 65_536
"""Bytes of an answer that the tests take."""
SAID = "好"


class Kind(NamedTuple):
    """One thing that an endpoint does, and what must come of it."""

    does: server.Fault
    code: str
    """Empty where it is a reply."""
    leads_to: Fault | None = AGAIN
    in_doubt: bool = True


def reply(does: server.Fault) -> Kind:
    return Kind(does, "", None, in_doubt=False)


def answer(**more: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": SAID}}
    return {"id": "chatcmpl-r-1", "choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}, **more}


def said(message: Any, reason: Any = "stop", **more: Any) -> bytes:
    return orjson.dumps(answer(choices=[{"index": 0, "finish_reason": reason, "message": message}], **more))


def event(**fields: Any) -> bytes:
    return b"data: " + orjson.dumps(fields) + b"\n\n"


def chunk(delta: Any, reason: Any = None) -> bytes:
    return event(id="chatcmpl-r-1", choices=[{"index": 0, "delta": delta, "finish_reason": reason}])


COUNTED = event(id="chatcmpl-r-1", choices=[], usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10})
DONE = b"data: [DONE]\n\n"
SPOKEN = chunk({"role": "assistant", "content": SAID})
STREAM = SPOKEN + chunk({}, "stop") + COUNTED + DONE

_LONG_HEADER = b"X-A: " + b"a" * 1_048_576
_MANY_HEADERS = b"".join(b"X-%d: a\r\n" % number for number in range(20_000))
_NESTED = b"[" * 200_000 + b"]" * 200_000


def _before_the_body(head: bytes) -> dict[str, Kind]:
    """What goes wrong before a body begins, whatever was asked for."""
    says, http = server.says, server.http
    return {
        "no bytes": Kind(says(), "disconnected"),
        "a reset at once": Kind(server.resets(), "connection_reset"),
        "silence": Kind(server.hangs(), "total_timeout"),
        "half a status line": Kind(says(b"HTTP/1.1 20"), "disconnected"),
        "half the headers": Kind(says(head + b"X-Requ"), "disconnected"),
        "half the headers, then silence": Kind(server.hangs(head), "total_timeout"),
        "half the headers, then a reset": Kind(server.resets(head), "connection_reset"),
        "headers byte by byte, for ever": Kind(server.drips(head + b"X-A: ", every=0.02), "total_timeout"),
        "garbage": Kind(says(b"\x00\x01\x02 garbage\r\n\r\n"), "bad_http"),
        "another protocol": Kind(says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "bad_http"),
        "HTTP/0.9": Kind(says(b"<html>hello</html>\r\n\r\n"), "bad_http"),
        "TLS where none was asked for": Kind(says(b"\x15\x03\x03\x00\x02\x02\x28"), "bad_http"),
        "a status of letters": Kind(says(b"HTTP/1.1 abc OK\r\n\r\n"), "bad_http"),
        "a status of nothing": Kind(server.keeps(b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"), "bad_http"),
        "a status of two digits": Kind(says(b"HTTP/1.1 99 OK\r\n\r\n"), "bad_http"),
        "a version of the future": Kind(says(b"HTTP/9.9 200 OK\r\n\r\n"), "bad_http"),
        "a header without a colon": Kind(says(head + b"nonsense\r\n\r\n"), "bad_http"),
        "a NUL in a header": Kind(says(head + b"X-A: a\x00b\r\n\r\n"), "bad_http"),
        "a header of a mebibyte": Kind(says(head + _LONG_HEADER + b"\r\n\r\n"), "bad_http"),
        "a header without end": Kind(server.pours(head + b"X-A: ", b"a" * 65_536), "bad_http"),
        "a status line without end": Kind(server.pours(b"HTTP/1.1 200 ", b"a" * 65_536), "bad_http"),
        "twenty thousand headers": Kind(says(head + _MANY_HEADERS + b"\r\n"), "bad_http"),
        "headers without end": Kind(server.pours(head, b"X-A: a\r\n" * 1_000), "bad_http"),
        "headers in two lines, without end": Kind(server.pours(head, b"X-A: a\r\n b\r\n" * 1_000), "bad_http"),
        "interim answers without end": Kind(server.pours(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000), "bad_http"),
        "another protocol, politely": Kind(says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), "http_101"),
        "another protocol, as it should be": Kind(
            says(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), "http_101"
        ),
        "a redirect": Kind(says(http(b"", "Location: http://other.example/v1", status="307 Moved")), "redirect", PARK, in_doubt=False),
        "a redirect to nowhere": Kind(says(http(b"", status="302 Found")), "redirect", PARK, in_doubt=False),
        "a redirect to itself": Kind(says(http(b"", "Location: /v1", status="308 Moved")), "redirect", PARK, in_doubt=False),
        "nothing new": Kind(says(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "redirect", PARK, in_doubt=False),
        "400": Kind(says(http(b"{}", status="400 Bad Request")), "http_400", REJECT, in_doubt=False),
        "401": Kind(says(http(b"{}", status="401 Unauthorized")), "http_401", PARK, in_doubt=False),
        "402": Kind(says(http(b"{}", status="402 Payment Required")), "http_402", PARK, in_doubt=False),
        "403": Kind(says(http(b"{}", status="403 Forbidden")), "http_403", PARK, in_doubt=False),
        "404": Kind(says(http(b"{}", status="404 Not Found")), "http_404", PARK, in_doubt=False),
        "407": Kind(says(http(b"", status="407 Proxy")), "http_407", PARK, in_doubt=False),
        "408": Kind(says(http(b"", status="408 Request Timeout")), "http_408"),
        "413": Kind(says(http(b"", status="413 Too Large")), "http_413", REJECT, in_doubt=False),
        "418": Kind(says(http(b"", status="418 Teapot")), "http_418", REJECT, in_doubt=False),
        "422": Kind(says(http(b"{}", status="422 Unprocessable")), "http_422", REJECT, in_doubt=False),
        "429": Kind(says(http(b"{}", status="429 Too Many Requests")), "http_429", THROTTLED, in_doubt=False),
        "499": Kind(says(http(b"", status="499 Client Closed Request")), "http_499"),
        "500": Kind(says(http(b"", status="500 Oops")), "http_500"),
        "502, a web page": Kind(says(http(b"<html>", status="502 Bad Gateway")), "http_502"),
        "503": Kind(says(http(b"{}", "Retry-After: 1", status="503 Unavailable")), "http_503"),
        "504": Kind(says(http(b"", status="504 Gateway Timeout")), "http_504"),
        "511, a web page": Kind(says(http(b"<html>", status="511 Sign in")), "http_511", PARK, in_doubt=False),
        "406, a web page": Kind(says(http(b"<html>", status="406 No")), "http_406", REJECT, in_doubt=False),
        "529": Kind(says(http(b"", status="529 Overloaded")), "http_529"),
        "a status beyond all": Kind(says(http(b"", status="999 What")), "http_999"),
        "a refusal that never ends": Kind(
            server.pours(b"HTTP/1.1 401 No\r\nContent-Type: text/plain\r\n\r\n", b"no entry " * 1_000), "http_401", PARK, in_doubt=False
        ),
        "a refusal cut short": Kind(says(http(b'{"error":', status="400 Bad", length=90)), "half_body", in_doubt=False),
        "a refusal that falls silent": Kind(server.hangs(http(b'{"error":', status="400 Bad", length=90)), "read_timeout", in_doubt=False),
        "a refusal that drips": Kind(server.drips(b"HTTP/1.1 500 No\r\n\r\n", every=0.02), "http_500"),
    }


def _by_transfer(said: bytes, encoding: str) -> bytes:
    return said.replace(b"Transfer-Encoding: chunked", b"Transfer-Encoding: " + encoding.encode())


def _framing(head: bytes, body: bytes, kind: str) -> dict[str, Kind]:
    """What goes wrong with the length and the packing of a body."""
    says, http, chunked = server.says, server.http, server.chunked

    def typed(content: bytes = body, *headers: str, length: int | str | None = None) -> bytes:
        return http(content, *headers, length=length).replace(b"application/json", kind.encode())

    half = body[:40]
    return {
        "half the body": Kind(says(typed(half, length=200)), "half_body"),
        "half the body, then silence": Kind(server.hangs(typed(half, length=200)), "read_timeout"),
        "half the body, then a reset": Kind(server.resets(typed(half, length=200)), "half_body"),
        "a length too small": Kind(says(typed(length=30)), "bad_http"),
        "a negative length": Kind(says(typed(length=-1)), "bad_http"),
        "a length that is no number": Kind(says(typed(length="NaN")), "bad_http"),
        "a length beyond every number": Kind(says(typed(length="9" * 40)), "bad_http"),
        "two lengths": Kind(says(typed(body, "Content-Length: 3")), "bad_http"),
        "one length twice, and headers without end": Kind(
            server.pours(head + b"Content-Length: 9\r\n" * 2, b"X-A: a\r\n" * 1_000), "bad_http"
        ),
        "a length and chunks": Kind(says(typed(body, "Transfer-Encoding: chunked")), "bad_http"),
        "a chunk cut short": Kind(says(chunked(half, end=b"40\r\nabc")), "half_body"),
        "no last chunk": Kind(says(chunked(half, end=b"")), "half_body"),
        "a chunk size that is no number": Kind(says(chunked(end=b"zz\r\nabc\r\n0\r\n\r\n")), "bad_http"),
        "a negative chunk size": Kind(says(chunked(end=b"-5\r\nabc\r\n0\r\n\r\n")), "bad_http"),
        "a huge chunk size": Kind(says(chunked(end=b"f" * 30 + b"\r\nabc")), "bad_http"),
        "an endless chunk size": Kind(server.pours(chunked(end=b""), b"0" * 65_536), "bad_http"),
        "endless trailers": Kind(server.pours(chunked(half, end=b"0\r\n"), b"X-A: a\r\n" * 1_000), "bad_http"),
        "gzip that is none": Kind(says(typed(b"not gzip at all", PACKED)), "bad_http"),
        "a packing that nobody offered": Kind(says(typed(b"\x0b" + body, "Content-Encoding: br")), "bad_http"),
        "gzip of members without end": Kind(says(typed(gzip.compress(b"") * 20_000, PACKED)), "bad_http"),
        "a bomb": Kind(says(typed(server.bomb(32 << 20), PACKED)), "response_too_large", REJECT),
        "a bomb in chunks": Kind(says(chunked(server.bomb(32 << 20), headers=PACKED + "\r\n")), "response_too_large", REJECT),
        "a bomb in deflate": Kind(
            says(typed(server.bomb(32 << 20, zlib.MAX_WBITS), "Content-Encoding: deflate")), "response_too_large", REJECT
        ),
        "a body one byte too large": Kind(says(typed(b" " * (LARGEST + 1))), "response_too_large", REJECT),
        "an answer without end": Kind(server.pours(head + b"\r\n", b"x" * 65_536), "response_too_large", REJECT),
        "blanks without end": Kind(server.pours(head + b"\r\n", b" " * 65_536), "response_too_large", REJECT),
        "whole, but for the last chunk": reply(says(chunked(body, end=b""))),
        "whole, but for the last chunk, then silence": reply(server.hangs(chunked(body, end=b""))),
        "whole, but for the last chunk, then a reset": reply(server.resets(chunked(body, end=b""))),
        "whole, under a length too large": reply(says(typed(length=len(body) + 9))),
        "whole, under a length too large, then silence": reply(server.hangs(typed(length=len(body) + 9))),
        "in gzip, but for the last chunk": reply(says(chunked(gzip.compress(body), headers=PACKED + "\r\n", end=b""))),
        "in chunks, beside a length": reply(says(chunked(body, headers=f"Content-Length: {len(body)}\r\n"))),
        "with a length": reply(says(typed())),
        "with a length that is said twice": reply(says(typed(body, f"Content-Length: {len(body)}"))),
        "in one chunk": reply(says(chunked(body))),
        "in two chunks": reply(says(chunked(half, body[40:]))),
        "with blanks behind the size of its chunk": reply(says(chunked(body).replace(b"%x\r\n" % len(body), b"%x  \r\n" % len(body), 1))),
        "in many chunks": reply(says(chunked(*(body[at : at + 7] for at in range(0, len(body), 7))))),
        "until the connection closes": reply(says(head + b"\r\n" + body)),
        "with line feeds alone": reply(says(typed().replace(b"\r\n", b"\n"))),
        "in gzip": reply(says(typed(gzip.compress(body), PACKED))),
        "in gzip of two members": reply(says(typed(gzip.compress(half) + gzip.compress(body[40:]), PACKED))),
        "in gzip by its other name": reply(says(typed(gzip.compress(body), "Content-Encoding: x-gzip"))),
        "in deflate without its frame": reply(says(typed(zlib.compress(body, wbits=-15), "Content-Encoding: deflate"))),
        "in no packing, as it says": reply(says(typed(body, "Content-Encoding: identity"))),
        "in no packing, and the header says nothing": reply(says(typed(body, "Content-Encoding: "))),
        "in no packing, and the header says what letters it has": reply(says(typed(body, "Content-Encoding: UTF-8"))),
        "not in gzip, though it says so": reply(says(typed(body, PACKED))),
        "not in gzip, though it says so, in pieces": reply(says(chunked(body[:1], body[1:], headers=PACKED + "\r\n"))),
        "in gzip once, though it says so twice": reply(says(typed(gzip.compress(body), "Content-Encoding: gzip, gzip"))),
        "in gzip once, in two lines": reply(says(typed(gzip.compress(body), PACKED, PACKED))),
        "in gzip, and no other": reply(says(typed(gzip.compress(body), "Content-Encoding: gzip, identity"))),
        "in gzip and chunks": reply(says(chunked(gzip.compress(body), headers=PACKED + "\r\n"))),
        "in gzip by its transfer, in chunks": reply(says(_by_transfer(chunked(gzip.compress(body)), "gzip, chunked"))),
        "in deflate by its transfer, in small letters, until the connection closes": reply(
            says(head + b"transfer-encoding: Deflate\r\n\r\n" + zlib.compress(body))
        ),
        "in chunks in capitals": reply(says(_by_transfer(chunked(body), "Chunked"))),
        "in gzip, in chunks in capitals": reply(says(_by_transfer(chunked(gzip.compress(body), headers=PACKED + "\r\n"), "CHUNKED"))),
        "in deflate": reply(says(typed(zlib.compress(body), "Content-Encoding: deflate"))),
        "after interim answers for minutes": reply(says(b"HTTP/1.1 102 Processing\r\n\r\n" * 300, typed())),
        "after three interim answers": reply(says(b"HTTP/1.1 100 Continue\r\n\r\n" * 3, typed())),
        "after hints of another packing": reply(says(b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\n\r\n", typed())),
        "after hints": reply(says(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", typed())),
        "with a cookie": reply(says(typed(body, "Set-Cookie: acw_tc=1;path=/;HttpOnly"))),
        "with a byte order mark": reply(says(typed(b"\xef\xbb\xbf" + body))),
        "under another content type": reply(says(typed().replace(kind.encode(), b"text/plain"))),
        "under status 201": reply(says(typed().replace(b"200 OK", b"201 Made"))),
    }


_ONLY_PLAIN = {
    "bytes behind the answer": reply(server.says(server.http() + b"extra")),
    "bytes behind an answer that is to be the last": reply(server.says(server.http(server.ANSWER, "Connection: close") + b"extra")),
    "bytes behind half an answer": Kind(server.says(server.http(length=30)), "bad_http"),
    "not in deflate, though it says so": reply(server.says(server.http(server.ANSWER, "Content-Encoding: deflate"))),
    "not in what nobody offered, though it says so": reply(server.says(server.http(server.ANSWER, "Content-Encoding: br"))),
    "a drip that never ends": Kind(server.drips(JSON + b"\r\n", every=0.02), "total_timeout"),
    "gzip cut short": Kind(server.says(server.http(server.PACKED[:-40], PACKED)), "not_json"),
    "a body without a length, cut short": Kind(server.says(JSON + b"\r\n" + server.ANSWER[:-9]), "not_json"),
    "of just the largest size": reply(server.says(server.http(server.ANSWER.ljust(LARGEST)))),
    "no content": Kind(server.says(b"HTTP/1.1 204 No Content\r\n\r\n"), "empty_body"),
}
_BODIES: dict[str, tuple[bytes, str]] = {
    "an empty body": (b"", "empty_body"),
    "only blanks": (b" \r\n" * 9, "empty_body"),
    "half of JSON": (server.ANSWER[:-9], "not_json"),
    "two answers": (server.ANSWER * 2, "not_json"),
    "UTF-16": (server.ANSWER.decode().encode("utf-16"), "not_json"),
    "UTF-32": (server.ANSWER.decode().encode("utf-32"), "not_json"),
    "NUL bytes": (b"\0" * 500, "not_json"),
    "a list": (b"[]", "not_an_object"),
    "null": (b"null", "not_an_object"),
    "a number": (b"7", "not_an_object"),
    "lists in lists in an answer": (said({"content": SAID}, x=0).replace(b'"x":0', b'"x":' + b"[" * 500 + b"]" * 500), "too_deep"),
    "an error": (b'{"error": {"message": "model exploded"}}', "error_in_200"),
    "no choices": (orjson.dumps(answer(choices=[])), "no_choices"),
    "choices that are null": (orjson.dumps(answer(choices=None)), "no_choices"),
    "choices that are text": (orjson.dumps(answer(choices="stop")), "no_choices"),
    "a choice that is null": (orjson.dumps(answer(choices=[None])), "no_message"),
    "a message that is null": (said(None), "no_message"),
    "a message that is text": (said(SAID), "no_message"),
    "no finish reason": (said({"content": SAID}, None), "no_finish_reason"),
    "a finish reason of another kind": (said({"content": SAID}, 5), "no_finish_reason"),
    "content that is a number": (said({"content": 5}), "no_message"),
}
_COUNTED = {"no_choices", "no_message", "no_finish_reason"}
_ODD_ANSWERS: dict[str, bytes] = {
    "half a character": server.ANSWER.replace(SAID.encode(), rb"\ud83d"),
    "line ends in a text": server.ANSWER.replace(SAID.encode(), b"a\nb\r\n"),
    "content that is null": said({"content": None}),
    "content of control characters": said({"content": "a\x00\r\u2028\u202e\x1b[2Jb"}),
    "no usage": said({"content": SAID}, usage=None),
    "usage of text": said({"content": SAID}, usage={"prompt_tokens": "7", "completion_tokens": []}),
    "negative usage": said({"content": SAID}, usage={"prompt_tokens": -7, "completion_tokens": -1}),
    "usage beyond all": said({"content": SAID}, usage={"prompt_tokens": 2**63, "completion_tokens": 1e300}),
    "usage that is a list": said({"content": SAID}, usage=[7, 3]),
    "usage of no number": said({"content": SAID}, usage={"prompt_tokens": 0, "completion_tokens": 3}).replace(b":0,", b":NaN,"),
    "NaN": said({"content": SAID}, x=0).replace(b'"x":0', b'"x":NaN'),
    "Infinity": said({"content": SAID}, x=0).replace(b'"x":0', b'"x":[-Infinity, Infinity]'),
    "a number beyond every float": said({"content": SAID}, x=0).replace(b'"x":0', b'"x":-1e999'),
    "an integer of 5,000 digits": said({"content": SAID}, x=0).replace(b'"x":0', b'"x":' + b"9" * 5_000),
    "an error of nulls beside it": said({"content": SAID}, error={"code": None, "message": "", "type": None}),
    "cut at length": said({"content": SAID}, "length"),
    "keys twice": server.ANSWER.replace(b'"choices"', b'"choices":[],"choices"'),
    "an id of another kind": said({"content": SAID}, id=[1]),
    "calls of another kind": said({"content": SAID, "tool_calls": "none"}),
}

PLAIN: dict[str, Kind] = {
    **_before_the_body(JSON),
    **_framing(JSON, server.ANSWER, "application/json"),
    **_ONLY_PLAIN,
    # What it says of its tokens settles whether it was billed.
    **{name: Kind(server.says(server.http(body)), code, in_doubt=code not in _COUNTED) for name, (body, code) in _BODIES.items()},
    "a web page": Kind(server.says(server.http(b"<html>Sign in</html>")), "html", PARK),
    "nothing of an answer": Kind(server.says(server.http(b"{}")), "no_choices"),
    "nested 200,000 deep": Kind(
        server.says(server.http(said({"content": SAID}, x=0).replace(b'"x":0', b'"x":' + _NESTED))), "response_too_large", REJECT
    ),
    "what came until the provider's time was up": Kind(
        server.says(server.http(server.ANSWER, "X-DashScope-PartialResponse: true")), "partial_response", REJECT, in_doubt=False
    ),
    "broken off, and it says so": Kind(server.says(server.http(said({"content": SAID}, "abort"))), "broken_off", in_doubt=False),
    "wrong UTF-8": Kind(server.says(server.http(server.ANSWER.replace(SAID.encode(), b"\xff\xfe"))), "not_utf8", REJECT, in_doubt=False),
    **{name: reply(server.says(server.http(body))) for name, body in _ODD_ANSWERS.items()},
}


def _events(*pieces: bytes) -> server.Fault:
    return server.says(EVENTS + b"\r\n", *pieces)


_LAST = SPOKEN + event(
    id="chatcmpl-r-1", choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage={"prompt_tokens": 7, "completion_tokens": 3}
)
"""As some servers have it: what it cost stands beside why it ended, and nothing comes behind it."""

STREAMED: dict[str, Kind] = {
    **_before_the_body(EVENTS),
    **_framing(EVENTS, STREAM, "text/event-stream"),
    "a stream of nothing": Kind(_events(), "empty_body"),
    "done at once": Kind(_events(DONE), "no_choices"),
    "a web page": Kind(_events(b"<html>Sign in</html>"), "html", PARK),
    "cut in its first event": Kind(_events(SPOKEN[:30]), "broken_event"),
    "cut after its first event": Kind(_events(SPOKEN), "no_finish_reason"),
    "cut before its finish reason, then done": Kind(_events(SPOKEN, DONE), "no_finish_reason"),
    "broken off, and it says so, then done": Kind(_events(SPOKEN, chunk({}, "abort"), COUNTED, DONE), "broken_off", in_doubt=False),
    "cut, then silence": Kind(server.hangs(EVENTS + b"\r\n" + SPOKEN), "read_timeout"),
    "cut, then a reset": Kind(server.resets(EVENTS + b"Content-Length: 9999\r\n\r\n" + SPOKEN), "half_body"),
    "whole, then silence": reply(server.hangs(EVENTS + b"\r\n" + STREAM)),
    "whole, then a reset": reply(server.resets(EVENTS + b"Content-Length: 9999\r\n\r\n" + STREAM)),
    "whole, but for its last line ends, then silence": reply(server.hangs(EVENTS + b"\r\n" + _LAST.rstrip())),
    "whole, but for its last line ends, then a reset": reply(server.resets(EVENTS + b"Content-Length: 9999\r\n\r\n" + _LAST.rstrip())),
    "an error, but for its last line ends, then a reset": Kind(
        server.resets(EVENTS + b"Content-Length: 9999\r\n\r\n" + event(error={"code": "limit_requests", "message": "slow"}).rstrip()),
        "limit_requests",
        THROTTLED,
        in_doubt=False,
    ),
    "whole, then events without end": reply(server.pours(EVENTS + b"\r\n" + STREAM, SPOKEN * 500)),
    "comments without end": Kind(server.drips(EVENTS + b"\r\n:", every=0.02), "total_timeout"),
    "comments between the events, without end": Kind(server.drips(EVENTS + b"\r\n" + SPOKEN + b":", every=0.02), "read_timeout"),
    "one word an event, for ever": Kind(server.drips(EVENTS + b"\r\n", every=0.02, drop=SPOKEN), "total_timeout"),
    "empty events without end": Kind(server.pours(EVENTS + b"\r\n", b"data: {}\n\n" * 500), "response_too_large", REJECT),
    "an event without end": Kind(server.pours(EVENTS + b"\r\ndata: ", b"x" * 65_536), "response_too_large", REJECT),
    "an event that is no JSON": Kind(_events(SPOKEN, b"data: {nonsense\n\n", chunk({}, "stop"), DONE), "broken_event"),
    "an event that is a list": Kind(_events(SPOKEN, b"data: []\n\n", chunk({}, "stop"), DONE), "broken_event"),
    "an event of wrong UTF-8": Kind(_events(SPOKEN.replace(SAID.encode(), b"\xff"), chunk({}, "stop"), DONE), "not_utf8", REJECT),
    "one line end where two are asked for": reply(_events(STREAM.replace(b"\n\n", b"\n"))),
    "an event nested 20,000 deep": Kind(_events(SPOKEN, b'data: {"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}\n\n"), "broken_event"),
    "NUL bytes between events": Kind(_events(SPOKEN, b"data: \0\0\n\n", chunk({}, "stop"), DONE), "broken_event"),
    "an error for an event": Kind(_events(event(error={"message": "model exploded"})), "error_in_200"),
    "an error in the middle": Kind(_events(SPOKEN, event(error={"message": "model exploded"})), "error_in_200"),
    "a throttle in the middle": Kind(
        _events(SPOKEN, event(error={"code": "limit_requests", "message": "slow"})), "limit_requests", THROTTLED
    ),
    "a key that is wrong, in an event": Kind(
        _events(event(error={"code": "invalid_api_key", "message": "no"})), "invalid_api_key", PARK, in_doubt=False
    ),
    "a plain answer": reply(server.says(server.http())),
    "half a character in two events": reply(
        _events(SPOKEN.replace(SAID.encode(), rb"\ud83d"), SPOKEN.replace(SAID.encode(), rb"\ude00"), chunk({}, "stop"), COUNTED, DONE)
    ),
    "deltas of another kind": reply(_events(chunk(None), chunk("x"), chunk({"content": 5}), SPOKEN, chunk({}, "stop"), DONE)),
    "choices of another kind": reply(_events(event(choices="x"), event(choices=[None]), SPOKEN, chunk({}, "stop"), DONE)),
    "usage of another kind": reply(_events(SPOKEN, chunk({}, "stop"), event(choices=[], usage="many"), DONE)),
    "no usage": reply(_events(SPOKEN, chunk({}, "stop"), DONE)),
    "whole and counted, then an error": reply(_events(SPOKEN, chunk({}, "stop"), COUNTED, event(error={"message": "too late"}))),
    "whole and not counted, then an error": Kind(_events(SPOKEN, chunk({}, "stop"), event(error={"message": "no"})), "error_in_200"),
    "a logarithm of nothing": reply(
        _events(SPOKEN.replace(b'"finish_reason"', b'"logprobs":{"content":[{"logprob":-Infinity}]},"finish_reason"'), STREAM)
    ),
    "an index beyond all": reply(
        _events(SPOKEN, event(choices=[{"index": 10**9, "delta": {"content": "x"}, "finish_reason": "stop"}]), chunk({}, "stop"), DONE)
    ),
    "in carriage returns": reply(_events(STREAM.replace(b"\n", b"\r"))),
    "byte by byte": reply(_events(*(STREAM[at : at + 1] for at in range(len(STREAM))))),
}
