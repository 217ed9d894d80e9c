"""Listens: the simulated provider on a loopback socket.

Every connection is a protocol driven by the event loop, without a task of its own: two thousand of them cost two thousand small objects,
and what waits (a latency, a dripping body) is a timer that dies with its connection. Calls of one connection are answered in their order.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import anyio

from batchrun.core.classes import value
from batchrun.simulator.plan import Call, Plan, Wire
from batchrun.simulator.service import Service
from batchrun.simulator.wire import Delivery, MalformedError, OversizeError, Reader, delivery

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@value
class Base:
    """Where a simulator listens."""

    url: str
    """``http://127.0.0.1:8800``: scheme, host and port; the provider's paths come after it."""
    port: int


@asynccontextmanager
async def serve(service: Service, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Base]:
    """Listen until the block ends, then close every connection at once. Port 0 takes a free one."""
    loop = asyncio.get_running_loop()
    # Delays run on the loop's clock, which may be virtual; the wall clock is asked once, for what answers say about the time.
    epoch = time.time() - loop.time()
    open_ones = _OpenConnections()
    server = await loop.create_server(
        lambda: _Connection(service, lambda: loop.time() + epoch, open_ones), host, port, backlog=4096, start_serving=False
    )
    try:
        # Not above: cancelled while it begins to serve, a server would be nobody's, and listen for as long as the loop is there.
        await server.start_serving()
        bound: int = server.sockets[0].getsockname()[1]
        yield Base(f"http://{f'[{host}]' if ':' in host else host}:{bound}", bound)
    finally:
        server.close()
        with anyio.CancelScope(shield=True):
            await open_ones.abort()
            await server.wait_closed()


class _OpenConnections:
    """The connections there are, so that leaving closes them and waits until they are closed."""

    def __init__(self) -> None:
        self._open: set[_Connection] = set()
        self._none_left: anyio.Event | None = None

    def add(self, connection: _Connection) -> None:
        self._open.add(connection)

    def discard(self, connection: _Connection) -> None:
        self._open.discard(connection)
        if not self._open and self._none_left is not None:
            self._none_left.set()

    async def abort(self) -> None:
        if not self._open:
            return
        self._none_left = anyio.Event()
        for connection in list(self._open):
            connection.abort()
        await self._none_left.wait()


class _Connection(asyncio.Protocol):
    """One client's connection: reads a call, asks the service, waits, delivers; then the next."""

    def __init__(self, service: Service, now: Callable[[], float], open_ones: _OpenConnections) -> None:
        self._service = service
        self._now = now
        self._open_ones = open_ones
        self._reader = Reader()
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class.
        self._open_ones.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # A client may go away in any way it likes: that is what many tests are about.
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self._open_ones.discard(self)

    def data_received(self, came: bytes) -> None:
        self._reader.feed(came)
        self._next_calls()

    def abort(self) -> None:
        """Close without waiting for what is unsent."""
        if self._transport is not None:
            self._transport.abort()

    def _next_calls(self) -> None:
        """Answer what is there. A loop, not a recursion: a client may have sent a thousand calls ahead."""
        while not self._busy and self._transport is not None and not self._transport.is_closing():
            try:
                call = self._reader.take()
            except MalformedError:
                self._deliver(Delivery((b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",), 0.0, keep=False))
                return
            except OversizeError as error:
                self._start(self._service.too_large(error.path, self._now()), keep=False)
                return
            if call is None:
                if self._reader.wants_continue():
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self._start(self._service.answer(call, self._now()), keep=_keeps(call))

    def _start(self, plan: Plan, *, keep: bool) -> None:
        self._busy = True
        if plan.delay > 0:
            self._after(plan.delay, lambda: self._send(plan, keep=keep))
        else:
            self._send(plan, keep=keep)

    def _after(self, seconds: float, then: Callable[[], None]) -> None:
        def due() -> None:
            then()
            self._next_calls()

        self._timer = asyncio.get_running_loop().call_later(seconds, due)

    def _send(self, plan: Plan, *, keep: bool) -> None:
        answer = delivery(plan, keep=keep)
        if answer is not None:
            self._deliver(answer)
        elif plan.wire is Wire.RESET:
            self._reset()

    def _deliver(self, answer: Delivery, sent: int = 0) -> None:
        """Write from piece *sent* on: all at once, or one and then a timer for the rest."""
        if self._transport is None:
            return
        if answer.pause > 0 and sent + 1 < len(answer.pieces):
            self._transport.write(answer.pieces[sent])
            self._after(answer.pause, lambda: self._deliver(answer, sent + 1))
            return
        self._transport.write(b"".join(answer.pieces[sent:]))
        if answer.silent:
            return
        self._busy = False
        if not answer.keep:
            self._transport.close()

    def _reset(self) -> None:
        """Close so that the client's next read fails with a reset instead of ending."""
        if self._transport is not None:
            raw: socket.socket = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()


def _keeps(call: Call) -> bool:
    return call.headers.get("connection", "").lower() != "close"
