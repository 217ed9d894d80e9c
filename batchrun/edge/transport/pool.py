"""The connections of a run: free ones lie with the endpoint and key that they have served, new ones are opened by aiohttp's connector.

Of aiohttp is used what it tells of. `TCPConnector.connect` finds names and addresses, speaks TLS and asks proxies for tunnels; then
asyncio's own `set_protocol` puts a `Connection` in the place of aiohttp's reader of answers. What aiohttp's session does around each call
(it merges headers, makes a request, a response and a task, sets timers) costs more than all the rest of a call here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping

import aiohttp
from anyio import CancelScope
from anyio.lowlevel import checkpoint

from batchrun.edge.transport.at_rest import AtRest
from batchrun.edge.transport.authorities import Authorities
from batchrun.edge.transport.connections import INCOMING_BYTES, Connection
from batchrun.edge.transport.mishaps import WireError
from batchrun.edge.transport.names import Lookup, Names
from batchrun.edge.transport.targets import Target
from batchrun.edge.transport.turns import Few, Turns
from batchrun.edge.transport.watch import Watch

_KEEPALIVE = 30.0
"""Seconds for which a connection may lie unused: endpoints close theirs after a minute or so, and a request that meets that is in doubt."""
_NAMES_LAST = 60
"""Seconds a resolved name is trusted; short, so that a run of hours follows an endpoint that moves."""
_SIGN_OF_LIFE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPALIVE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 10))
"""Seconds of silence after which the system asks the other end whether it is there, and how often before it gives up.

A model may think for minutes in which not a byte goes either way, and firewalls and address translators forget a connection after as few:
its answer would be lost, billed, and asked for again. It is given up no sooner than `total` does: a line may come back. By the names that
systems have for it, which not all have.
"""
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
"""Whoever waits for a connection has a deadline of its own."""
_OPENINGS = 8
"""In a turn of the event loop: an opening takes several turns, and costs about what a row does, or with TLS as much as several."""
_SETTLING = 32
"""Connections beyond those that may be out, which lie a while before they are given out again (`at_rest.py`)."""
_TURNS = 100
"""Of the event loop, that broken connections are given to be gone in."""


def _nothing() -> None:
    pass


class Pool:
    """Connections, each for one request at a time; no more than *most* are out at once. *free* are the targets' own lists."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        most: int,
        free: Mapping[tuple[str, str], AtRest],
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        self._loop = loop
        self._most = self._left = most
        self._free = free
        self._waiting = Turns()
        self._openings = Few(loop, _OPENINGS)
        self._open: set[Connection] = set()
        self._halves = Watch()
        """Answers that have come in part."""
        self._incoming = memoryview(bytearray(INCOMING_BYTES))
        """A buffer for each answer, made for what may come, would cost more than to read it."""
        self._authorities = Authorities()
        self._sweeper: asyncio.TimerHandle | None = None
        self.connector = aiohttp.TCPConnector(limit=0, force_close=True, ttl_dns_cache=_NAMES_LAST, resolver=Names(lookup))

    def take(self, target: Target, now: float) -> Connection | None:
        """Give a connection that has served *target* before; None where none is free, or too many are out."""
        free = target.free
        while free and self._left:
            if free.settles:
                found = free.settled(now)
                if found is not None:
                    self._left -= 1
                return found
            found = free.pop()
            if found.reusable and now <= found.rests_until:
                self._left -= 1
                return found
            found.close()
        return None

    async def opened(self, target: Target, wait: Callable[[], None] = _nothing, begin: Callable[[], None] = _nothing) -> Connection:
        """Wait until one more may be out, and give it, a new one where none is free; raises what aiohttp and the system raise.

        Of a new one it is told when it begins to *wait* for its turn, which is our own doing, and when its opening does *begin*.
        """
        while not self._left:
            await self._waiting.wait()
        found = self.take(target, self._loop.time())
        if found is not None:
            return found
        self._left -= 1
        try:
            wait()
            await self._openings.begin()
            begin()
            return await self._new(target)
        except BaseException:
            self._returned()
            raise

    def give_back(self, target: Target, connection: Connection) -> None:
        """Let others have *connection*, or end it: broken off where its answer has not come to its end."""
        free = target.free
        if not connection.ended:
            if connection.unheard:
                free.lost(self._loop.time() - connection.rests_since)
            connection.abort()
        elif not connection.reusable:
            connection.close()
        else:
            if free.missing and connection.rests_until:
                free.served()
            connection.rests_since = now = self._loop.time()
            connection.rests_until = now + connection.patience(_KEEPALIVE)
            free.append(connection)
            if self._sweeper is None:
                self._sweeper = self._loop.call_later(_KEEPALIVE, self._sweep)
        self._returned()

    async def close(self) -> None:
        """End all connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._halves.close()
        with CancelScope(shield=True):
            for connection in [*self._open]:
                connection.abort()
            for _ in range(_TURNS):
                if not self._open:
                    break
                await checkpoint()
            await self.connector.close()

    async def _new(self, target: Target) -> Connection:
        if len(self._open) >= self._most + _SETTLING:
            self._make_room()
        trusted = self._authorities.context
        try:
            held = await self.connector.connect(target.opening(trusted), [], _NO_TIMEOUT)
        except aiohttp.ClientConnectorCertificateError:
            # Of several that met it at once, the first has read them for all.
            if not self._authorities.renewed() and self._authorities.context is trusted:
                raise
            held = await self.connector.connect(target.opening(self._authorities.context), [], _NO_TIMEOUT)
        transport = held.transport
        if transport is None or transport.is_closing():
            held.close()
            raise WireError("disconnected")
        _keep_alive(transport)
        connection = Connection(self._loop, transport, self._incoming, self._halves, held.close, self._open.discard)
        transport.set_protocol(connection)
        self._open.add(connection)
        return connection

    def _make_room(self) -> None:
        """End one of those that lie before they are given out again, the one that has lain shortest."""
        for free in self._free.values():
            if free.settles and free:
                free.pop().close()
                return

    def _returned(self) -> None:
        self._left += 1
        if self._waiting:
            self._waiting.call()

    def _sweep(self) -> None:
        now = self._loop.time()
        for free in self._free.values():
            # The longest at rest stand first.
            while free and not (free[0].reusable and now <= free[0].rests_until):
                free.pop(0).close()
        self._sweeper = self._loop.call_later(_KEEPALIVE, self._sweep) if any(self._free.values()) else None


def _keep_alive(transport: asyncio.Transport) -> None:
    held = transport.get_extra_info("socket")
    if held is None:
        return
    held.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SIGN_OF_LIFE:
        if hasattr(socket, name):
            held.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
