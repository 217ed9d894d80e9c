"""A server on loopback that breaks HTTP in one way at a time.

A fault is a function of the two ends of a connection whose first request has been read. What most faults do is say some bytes and then
close, which `says` makes; the others are written out.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache

import anyio
import anyio.lowlevel
import orjson

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Fault = Callable[[Reader, Writer], Awaitable[None]]

_TURNS_TO_CONNECT = 10
"""Of the event loop, in which asyncio makes a stream of what it has accepted: it takes four."""

ANSWER = orjson.dumps(
    {
        "id": "chatcmpl-r-1",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "好"}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
)


@dataclass
class Server:
    """Where it listens, and what it was sent."""

    port: int
    scheme: str = "http"
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1/chat/completions"


@contextlib.asynccontextmanager
async def serving(fault: Fault, *, tls: ssl.SSLContext | None = None, greeting: bytes = b"", port: int = 0) -> AsyncIterator[Server]:
    """Say *greeting* to every connection, then serve *fault* to every request until it closes the connection, or the client does."""
    seen = Server(0, "https" if tls else "http")

    open_ends: set[Writer] = set()

    async def connected(reader: Reader, writer: Writer) -> None:
        seen.connections += 1
        open_ends.add(writer)
        try:
            writer.write(greeting)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError):
                while not writer.is_closing():
                    seen.requests.append(await read_request(reader))
                    await fault(reader, writer)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
        finally:
            open_ends.remove(writer)

    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        # A connection that was accepted just now is nobody's yet, and a server that is closed would let it lie open.
        for _ in range(_TURNS_TO_CONNECT):
            await anyio.lowlevel.checkpoint()
        server.close()
        for end in open_ends:
            end.transport.abort()
        while open_ends:
            await anyio.lowlevel.checkpoint()


async def read_request(reader: Reader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


def http(body: bytes = ANSWER, *headers: str, status: str = "200 OK", length: int | str | None = None) -> bytes:
    """An answer as bytes; *length* is what Content-Length says where that is not the truth."""
    said = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {said}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*chunks: bytes, headers: str = "", end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n" + headers.encode() + b"\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def says(*pieces: bytes) -> Fault:
    """Say *pieces*, then close."""

    async def fault(_: Reader, writer: Writer) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.close()

    return fault


def keeps(*pieces: bytes) -> Fault:
    """Say *pieces* and wait for the next request on the same connection."""

    async def fault(_: Reader, writer: Writer) -> None:
        writer.write(b"".join(pieces))
        await writer.drain()

    return fault


def hangs(*pieces: bytes) -> Fault:
    """Say *pieces*, then nothing more until the client goes."""

    async def fault(reader: Reader, writer: Writer) -> None:
        writer.write(b"".join(pieces))
        await writer.drain()
        await reader.read()
        writer.close()

    return fault


def resets(*pieces: bytes) -> Fault:
    """Say *pieces*, then break the connection off with a RST."""

    async def fault(_: Reader, writer: Writer) -> None:
        writer.write(b"".join(pieces))
        await writer.drain()
        # Without this turn the client may meet the reset before it has read what was said.
        await anyio.sleep(0.02 if pieces else 0)
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return fault


def drips(head: bytes, *, every: float, drop: bytes = b" ") -> Fault:
    """Say *head*, then a *drop* now and then, for ever."""

    async def fault(_: Reader, writer: Writer) -> None:
        writer.write(head)
        while not writer.is_closing():
            await writer.drain()
            await anyio.sleep(every)
            writer.write(drop)

    return fault


def pours(head: bytes, piece: bytes) -> Fault:
    """Say *head*, then *piece* over and over, until the client goes."""

    async def fault(_: Reader, writer: Writer) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            # Draining does not wait while the other side reads fast enough: others would have no turn.
            await anyio.lowlevel.checkpoint()

    return fault


@cache
def bomb(unpacked_bytes: int, wbits: int = 31) -> bytes:
    """Spaces without end in a few bytes of gzip, or of what *wbits* says."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    block = b" " * 1_048_576
    return b"".join(packer.compress(block) for _ in range(unpacked_bytes // len(block))) + packer.flush()


PACKED = gzip.compress(ANSWER)
