"""What comes back holds no key: an endpoint may echo the one it was sent, in any field and in several spellings.

Of a refusal every beginning of the key of eight characters or more is struck out: it is read by people who have nothing to do with it,
and nothing in it is needed to the letter. An answer is what was paid for: only a whole key is struck out of it, and only one that is long
enough not to be a word (``EMPTY``, which some servers of one's own take for a key).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import orjson
from multidict import CIMultiDict

from batchrun.core.model import Failure, Hidden, Reply, Usage

_STRUCK = "***"
_FEWEST = 8
"""Characters of a key that give it away."""
_LEAST_SECRET = 16
"""Characters of a key that is surely not a word of an answer."""


def key_of(headers: Mapping[str, str]) -> Hidden:
    """The key among a request's headers; empty where there is none."""
    named = headers.get("Authorization")
    if named is None:
        named = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    return _bare(named)


@lru_cache(maxsize=4096)
def _bare(named: str) -> Hidden:
    return Hidden(named.removeprefix("Bearer "))


def masked(body: bytes, key: str) -> bytes:
    """*body* without *key* or a beginning of it."""
    return _without_beginnings(body.decode("latin-1"), key).encode("latin-1") if key else body


def headers_without_key(headers: Mapping[str, str], key: str) -> Mapping[str, str]:
    """*headers*, in whatever case they are asked for, without *key* or a beginning of it."""
    return (
        CIMultiDict((_without_beginnings(name, key), _without_beginnings(value, key)) for name, value in headers.items())
        if key
        else headers
    )


def failure_without_key(failure: Failure, key: str) -> Failure:
    """*failure* without *key* or a beginning of it."""
    if not key:
        return failure
    return replace(
        failure,
        code=_without_beginnings(failure.code, key),
        message=_without_beginnings(failure.message, key),
        request_id=_without_beginnings(failure.request_id or "", key) or None,
        body=masked(failure.body, key),
        reply=None if failure.reply is None else reply_without_key(failure.reply, key),
    )


def reply_without_key(reply: Reply, key: str) -> Reply:
    """*reply* without *key*: as a rule there is none, and it is handed on as it is."""
    if len(key) < _LEAST_SECRET or not _may_hold(reply, key):
        return reply

    def clean(text: str) -> str:
        for spelling in _spellings(key):
            text = text.replace(spelling, _STRUCK)
        return text

    return replace(
        reply,
        content=clean(reply.content),
        finish_reason=clean(reply.finish_reason),
        request_id=None if reply.request_id is None else clean(reply.request_id),
        reasoning=None if reply.reasoning is None else clean(reply.reasoning),
        answered_by=None if reply.answered_by is None else clean(reply.answered_by),
        tool_calls=_each(reply.tool_calls, clean),
        choices=_each(reply.choices, clean),
        search_info=_each(reply.search_info, clean),
        usage=None if reply.usage is None else _usage(reply.usage, clean),
        parsed=_each(reply.parsed, clean),
        body=orjson.dumps(_each(orjson.loads(reply.body), clean)),
    )


def _may_hold(reply: Reply, key: str) -> bool:
    """Whether a closer look is worth its time: all that it says stands in its body, but for an id from a header and parts put together."""
    said = reply.body if reply.request_id is None else b"%b %b" % (reply.body, reply.request_id.encode(errors="replace"))
    # `in` takes what it is to look for for a number first, and makes an error of that: it costs as much again.
    return max(map(said.find, _signs(key))) >= 0 or key in reply.content


def _each(value: Any, clean: Callable[[str], str]) -> Any:
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(name): _each(inner, clean) for name, inner in value.items()}
        case list():
            return [_each(inner, clean) for inner in value]
    return value


def _usage(usage: Usage, clean: Callable[[str], str]) -> Usage:
    return replace(usage, raw=_each(usage.raw, clean))


@lru_cache(maxsize=4096)
def _spellings(key: str) -> tuple[str, ...]:
    """*key* as it is, as a URL, as Python and as JSON write it, and in base64, where it may begin at any of three places."""
    written = [key, quote(key, safe=""), repr(key)[1:-1], orjson.dumps(key).decode()[1:-1]]
    for before in range(3):
        whole = b64encode(b"\0" * before + key.encode()).decode().rstrip("=")
        # The characters at the two ends hold bits of what stands beside the key.
        written.append(whole[(before * 8 + 5) // 6 : len(whole) - 1])
    return tuple(dict.fromkeys(written))


@lru_cache(maxsize=4096)
def _signs(key: str) -> tuple[bytes, ...]:
    """What a body of JSON has in it if it says *key*: one of its spellings, with slashes escaped or not, or letters spelled as escapes."""
    spellings = [spelling.encode() for spelling in _spellings(key)]
    escaped = [spelling.replace(b"/", b"\\/") for spelling in spellings]
    return tuple(dict.fromkeys([b"\\u00" if key.isascii() else b"\\u", *spellings, *escaped]))


def _without_beginnings(text: str, key: str) -> str:
    for spelling in _spellings(key):
        text = _without_beginning(text, spelling)
    return text


def _without_beginning(text: str, spelling: str) -> str:
    least = spelling[:_FEWEST]
    at = text.find(least)
    if at < 0:
        return text
    kept, done = [], 0
    while at >= 0:
        end = len(least)
        while end < len(spelling) and text[at + end : at + end + 1] == spelling[end]:
            end += 1
        kept += [text[done:at], _STRUCK]
        done = at + end
        at = text.find(least, done)
    return "".join([*kept, text[done:]])
