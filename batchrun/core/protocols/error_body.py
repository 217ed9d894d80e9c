"""Reads what an endpoint says when it refuses: code, message and request id, in any of the shapes that are about.

``{"error": {…}, "request_id": …}`` of the OpenAI-compatible route (the id at the top, or inside as ``id``), ``{"code", "message",
"request_id"}`` of the native one, either of them in a ``data:`` line of an event stream, and what gateways and servers of one's own say:
the same in capitals, a ``detail`` (FastAPI), plain text, a web page, nothing. Whatever comes is cleaned before it goes anywhere: an
endpoint may echo a key, and a header may hold bytes that no JSON can.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from batchrun.core.model import Failure, Usage
from batchrun.core.protocols.failures import classify, known, seconds_of
from batchrun.core.protocols.json_body import Document, Unreadable, parse
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.protocols.sse import Events, looks_like_events

_LONGEST_MESSAGE = 500
_LONGEST_NAME = 200
_LONGEST_SEGMENT = 30
"""Of the path that a redirect leads to: longer than those of every provider's routes, shorter than a session's id in hexadecimal."""
_LONGEST_BODY_BYTES = 16_384
_FEW_WORDS_BYTES = 200

_SPELT_LARGE = {"Code": "code", "Message": "message", "RequestId": "request_id"}
"""As the OpenAPI gateway of Alibaba Cloud writes them, which says what RAM forbids."""

_KEYS = re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9._*-]{3,}|(?<=Bearer )\S+")
_KEYS_IN_JSON = re.compile(
    # The letter before a key may be an escape's: "\nsk-…".
    rb"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9a-f]{4}))sk-[A-Za-z0-9._*-]{3,}"
    rb"|(?<=Bearer )[^\s\"\\]+"
)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
"""Nor what turns a line of a terminal about, or cannot be seen in it."""
_STATUS = re.compile("[45][0-9]{2}")
_TITLE = re.compile(r"<title[^>]*>(.{1,200}?)</title>", re.IGNORECASE | re.DOTALL)


class Complaint(NamedTuple):
    """What an error body says."""

    code: str | None
    message: str
    request_id: str | None = None
    status: int | None = None
    """Where the body carries a status of its own (an event stream's ``:HTTP_STATUS/429``)."""
    number: int | None = None
    """The status that it is numbered as, whatever else it calls itself."""
    body: bytes = b""
    """The complaint as one line of JSON, keys masked; empty where it was no object, or a long one."""
    is_page: bool = False
    """It is a web page."""


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure that an answer outside 2xx is; never raises."""
    said = _complaint(status, body)
    if 300 <= status < 400 and (place := _place(header(headers, "location"))):
        said = said._replace(message=f"the endpoint answered {status} with a redirect to {place}")
    return classify(
        status,
        said.code,
        said.message,
        request_id=request_id_of(headers) or said.request_id,
        retry_after=seconds_of(header(headers, "retry-after"), header(headers, "date")),
        body=said.body,
        is_page=said.is_page,
    )


def error_in_200(status: int, headers: Mapping[str, str], said: Complaint, usage: Usage | None = None) -> Failure:
    """The failure that an error under a 2xx *status* is: by its own code where that is known, else one that may have been billed.

    Some gateways say all they have to say under 200, and number it as they would a status.
    """
    request_id = request_id_of(headers) or said.request_id
    told = said.status or said.number or status
    if said.status is not None or (said.code and known(told, said.code)):
        return replace(classify(told, said.code, said.message, request_id=request_id, body=said.body), usage=usage)
    if said.number is not None:
        code = None if said.code == str(said.number) else said.code
        numbered = classify(said.number, code, said.message, request_id=request_id, body=said.body)
        return replace(numbered, in_doubt=usage is None, usage=usage)
    detail = f"{said.code or 'no code'}: {said.message}"
    return mishap("error_in_200", detail, in_doubt=usage is None, status=status, request_id=request_id, usage=usage)


def complaint_of(fields: dict[str, Any], line: bytes, *, expected: bool = False) -> Complaint | None:
    """What the object *fields* complains of; None where it is no error, unless one is *expected* (an ``event:error``)."""
    code, error = fields.get("code"), fields.get("error")
    if code is None and error is None and not expected:
        return None
    # Gateways number their errors, and some of them what is none.
    says_so = type(code) is str or (type(code) is int and code != 200 and _message_of(fields, fields))
    named = says_so and code and not fields.get("choices") and not _says_something(fields.get("output"))
    return _said_by(fields, line) if expected or named or _says_something(error) else None


def _says_something(told: object) -> bool:
    """Whether an ``error`` or an ``output`` is one: beside the other some gateways, and what an SDK prints, have an object of nulls."""
    return any(told.values()) if isinstance(told, dict) else bool(told)


def _complaint_in_stream(body: bytes) -> Complaint | None:
    """The first error among the events of a refusal's body; None where there is none."""
    events = Events()
    for event in (*events.feed(body), *events.close()):
        match parse(event.data):
            case Document(fields, line) if said := complaint_of(fields, line, expected=event.kind == b"error"):
                return said._replace(status=event.status)
            case _:
                continue
    return None


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The request id among *headers*, fit to be written."""
    # As a rule it is spelled so: what comes over a wire is asked for in small letters.
    found = headers.get("x-request-id") or header(headers, "x-request-id")
    return clean(found, _LONGEST_NAME) or None if found else None


def header(headers: Mapping[str, str], name: str) -> str | None:
    """The header *name* (in lower case), whatever case *headers* spell it in."""
    value = headers.get(name)
    if value is None:
        for key in headers:
            if len(key) == len(name) and key.lower() == name:
                return headers[key]
    return value


def clean(text: str, longest: int = _LONGEST_MESSAGE) -> str:
    """*text* on one line, without what looks like an API key, cut at *longest* characters."""
    if text.isprintable() and "sk-" not in text and "Bearer" not in text:
        return text.strip() if len(text) <= longest else text[: 2 * longest].strip()[:longest]
    return _KEYS.sub("***", _UNPRINTABLE.sub(" ", text[: 2 * longest])).strip()[:longest]


def _complaint(status: int, body: bytes) -> Complaint:
    match parse(body):
        case Document(fields, line):
            said = _said_by(fields, line)
            # A server that repeats its status as the code names nothing: "type" does, or the status table.
            return said._replace(code=None) if said.code == str(status) else said
        case Unreadable() if looks_like_events(body, whole=True):
            return _complaint_in_stream(body) or Complaint(None, words_of(body))
        case Unreadable("html"):
            return Complaint(None, page_title(body), is_page=True)
        case _:
            return Complaint(None, words_of(body))


def _said_by(fields: dict[str, Any], line: bytes) -> Complaint:
    error = fields.get("error")
    inner = error if isinstance(error, dict) else _spelt(fields)
    message = clean(_first_text(error, _message_of(inner, fields)))
    return Complaint(_code(inner), message, _request_id(fields, inner), number=_number(inner.get("code")), body=_kept(fields, line))


def _spelt(fields: dict[str, Any]) -> dict[str, Any]:
    return {**{name: fields[spelt] for spelt, name in _SPELT_LARGE.items() if spelt in fields}, **fields}


def _message_of(inner: dict[str, Any], fields: dict[str, Any]) -> str:
    detail = fields.get("detail")
    told = _first_text(inner.get("message"), fields.get("message"), detail, fields.get("msg"))
    if isinstance(detail, dict):
        return told or _first_text(detail.get("message"), detail.get("msg"), detail.get("error"))
    return told or _mistakes(detail)


def _mistakes(detail: object) -> str:
    """What a list of mistakes says, each with its place, as FastAPI lists them; what it repeats of the row is left out."""
    each = [mistake for mistake in detail if isinstance(mistake, dict)] if isinstance(detail, list) else []
    return "; ".join(f"{_dotted(mistake.get('loc'))}{mistake['msg']}" for mistake in each if isinstance(mistake.get("msg"), str))


def _dotted(place: object) -> str:
    return f"{'.'.join(map(str, place))}: " if isinstance(place, list) and place else ""


def _code(inner: dict[str, Any]) -> str | None:
    # LiteLLM writes what it has no name for as Python does.
    code, kind = (None if said == "None" else said for said in (inner.get("code"), inner.get("type")))
    word = isinstance(code, str) and not code.isdecimal()
    return clean(_first_text(code if word else None, kind, code, str(code) if isinstance(code, int) else None), _LONGEST_NAME) or None


def _number(code: object) -> int | None:
    told = str(code) if type(code) is int or isinstance(code, str) else ""
    return int(told) if _STATUS.fullmatch(told) else None


def _request_id(fields: dict[str, Any], inner: dict[str, Any]) -> str | None:
    found = _first_text(fields.get("request_id"), inner.get("request_id"), inner.get("id"), fields.get("id"))
    return clean(found.removeprefix("chatcmpl-"), _LONGEST_NAME) or None


def _first_text(*values: object) -> str:
    return next((value for value in values if isinstance(value, str) and value), "")


def _kept(fields: dict[str, Any], line: bytes) -> bytes:
    # Written anew: a key may hide behind an escape that JSON does not need ("sk\u002d…").
    return _KEYS_IN_JSON.sub(b"***", orjson.dumps(fields)) if 0 < len(line) <= _LONGEST_BODY_BYTES else b""


def words_of(body: bytes) -> str:
    """What *body* says as a text, on one line."""
    return clean(body[: 8 * _LONGEST_MESSAGE].decode("utf-8-sig", errors="replace"))


def said_instead(body: bytes) -> str:
    """What *body* says, which is no JSON object, where it is a few words: more may be an answer, and so may half an object."""
    few = len(body) <= _FEW_WORDS_BYTES and not body.lstrip().startswith((b"{", b"["))
    return words_of(body) if few else ""


def message_in(fields: dict[str, Any]) -> str:
    """What the object *fields* says, which is neither an answer nor an error."""
    return clean(_message_of(fields, fields))


def page_title(body: bytes) -> str:
    """What a web page says of itself."""
    title = _TITLE.search(body[:_LONGEST_BODY_BYTES].decode(errors="replace"))
    return clean(f"a web page: {title[1].strip()}" if title else "a web page")


def _place(location: str | None) -> str | None:
    """Where a redirect leads, without what may be a secret: a user, a query, and a part of the path as long as a session's id."""
    try:
        parts = urlsplit(location or "")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if not host and (parts.scheme or not parts.path):
        return None
    host = f"[{host}]" if ":" in host else host
    start = f"{parts.scheme}:" * bool(parts.scheme) + f"//{host}" * bool(host) + f":{port}" * bool(port)
    segments = (segment.partition(";")[0] for segment in parts.path.split("/"))
    return clean(start + "/".join("***" if len(each) > _LONGEST_SEGMENT else each for each in segments), _LONGEST_NAME) or None
