"""HTTP/1.1 as bytes: requests read from a stream, plans written as the bytes that deliver them. No socket, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from batchrun.core.classes import value
from batchrun.simulator.plan import Call, Plan, Wire

_HEAD_LIMIT_BYTES = 64 * 1024
_BODY_LIMIT_BYTES = 64 * 1024 * 1024
"""The provider's own bound for a body that holds base64."""
_DRIPS = 40
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class MalformedError(Exception):
    """The client does not speak HTTP/1.1: nothing sensible can follow on this connection."""


class OversizeError(Exception):
    """The body is larger than the provider takes."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@value
class _Head:
    method: str
    path: str
    headers: dict[str, str]
    length: int | None
    """None for a chunked body."""


class Reader:
    """Bytes in, calls out; what belongs to the next call is kept for it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._continued = False

    def feed(self, came: bytes) -> None:
        """Take what came from the client."""
        self._buffer += came

    def take(self) -> Call | None:
        """The next whole call, or None until more comes. Raises `MalformedError` or `OversizeError`."""
        if len(self._buffer) > _BODY_LIMIT_BYTES + _HEAD_LIMIT_BYTES:
            raise OversizeError(self._head.path if self._head else "")
        if self._head is None and not self._read_head():
            return None
        head = self._head
        assert head is not None
        body = self._counted(head.length) if head.length is not None else self._chunked()
        if body is None:
            return None
        self._head, self._continued = None, False
        return Call(head.method, head.path, head.headers, body)

    def wants_continue(self) -> bool:
        """Whether the client waits for ``100 Continue`` before it sends its body. True once a call."""
        waits = self._head is not None and not self._continued and self._head.headers.get("expect", "").lower() == "100-continue"
        self._continued |= waits
        return waits

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end > _HEAD_LIMIT_BYTES or (end < 0 and len(self._buffer) > _HEAD_LIMIT_BYTES):
            raise MalformedError
        if end < 0:
            return False
        self._head = _parsed_head(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        if (self._head.length or 0) > _BODY_LIMIT_BYTES:
            raise OversizeError(self._head.path)
        return True

    def _counted(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _chunked(self) -> bytes | None:
        parts: list[bytes] = []
        position = 0
        while True:
            end = self._buffer.find(b"\r\n", position)
            if end < 0:
                return None
            size = _hexadecimal(bytes(self._buffer[position:end]).partition(b";")[0])
            start = end + 2
            if size == 0:
                return self._ended(parts, start)
            if len(self._buffer) < start + size + 2:
                return None
            parts.append(bytes(self._buffer[start : start + size]))
            position = start + size + 2

    def _ended(self, parts: list[bytes], start: int) -> bytes | None:
        """Step over the trailers, if there are any, and the empty line."""
        end = start if self._buffer.startswith(b"\r\n", start) else self._buffer.find(b"\r\n\r\n", start) + 2
        if not self._buffer.startswith(b"\r\n", end) or end < start:
            return None
        del self._buffer[: end + 2]
        return b"".join(parts)


def _parsed_head(head: bytes) -> _Head:
    first, *lines = head.decode("latin-1").lstrip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise MalformedError
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise MalformedError
        headers[name.lower()] = value.strip()
    if words[2] == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return _Head(words[0], words[1], headers, _length(headers))


def _length(headers: dict[str, str]) -> int | None:
    encoding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if encoding is not None:
        if encoding.lower() != "chunked" or length is not None:
            raise MalformedError
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise MalformedError
    return int(length)


def _hexadecimal(size: bytes) -> int:
    text = size.strip()
    if not text or len(text) > 12 or text.strip(b"0123456789abcdefABCDEF"):
        raise MalformedError
    return int(text, 16)


@value
class Delivery:
    """The bytes of an answer in the order they go, and what happens after the last."""

    pieces: tuple[bytes, ...]
    pause: float
    """Seconds between two pieces."""
    keep: bool
    """Whether the connection stays open for the next call."""
    silent: bool = False
    """The answer is never finished: nothing follows the last piece, and the connection stays open."""


def delivery(plan: Plan, *, keep: bool) -> Delivery | None:
    """How *plan* goes out to a client that wants (*keep*) its connection kept; None where no byte ever goes."""
    body, half = plan.body, len(plan.body) // 2
    match plan.wire:
        case Wire.RESET | Wire.HANG:
            return None
        case Wire.WHOLE | Wire.MISCOUNTED:
            told = half if plan.wire is Wire.MISCOUNTED else len(body)
            return Delivery((_head(plan, told, keep=keep) + body,), 0.0, keep)
        case Wire.TORN:
            return Delivery((_head(plan, len(body), keep=True) + body[:half],), 0.0, keep=False)
        case Wire.CUT:
            return Delivery((_head(plan, None, keep=True) + b"%x\r\n%b\r\n" % (half, body[:half]),), 0.0, keep=False)
        case Wire.DRIP:
            pieces = tuple(_sliced(body))
            return Delivery((_head(plan, len(body), keep=keep), *pieces), plan.spread / max(1, len(pieces)), keep)
        case Wire.EVENTS | Wire.EVENTS_CUT | Wire.EVENTS_STALL:
            return _events(plan, keep=keep)


def _events(plan: Plan, *, keep: bool) -> Delivery:
    """Each event a chunk and a piece, the head with the first; a broken stream keeps its pace up to where it breaks."""
    events = [event + b"\n\n" for event in plan.body.split(b"\n\n") if event]
    pause = plan.spread / max(1, len(events) - 1)
    whole = plan.wire is Wire.EVENTS
    pieces = [b"%x\r\n%b\r\n" % (len(event), event) for event in (events if whole else events[: (len(events) + 1) // 2])] or [b""]
    pieces[0] = _head(plan, None, keep=keep or not whole) + pieces[0]
    if whole:
        pieces[-1] += b"0\r\n\r\n"
    return Delivery(tuple(pieces), pause, keep and plan.wire is not Wire.EVENTS_CUT, silent=plan.wire is Wire.EVENTS_STALL)


def _sliced(body: bytes) -> Iterator[bytes]:
    size = max(1, -(-len(body) // _DRIPS))
    return (body[start : start + size] for start in range(0, len(body), size))


def _head(plan: Plan, length: int | None, *, keep: bool) -> bytes:
    lines = [b"HTTP/1.1 %d %b" % (plan.status, _REASONS.get(plan.status, b""))]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in plan.headers.items()]
    lines.append(b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length)
    if not keep:
        lines.append(b"connection: close")
    return b"\r\n".join([*lines, b"", b""])
