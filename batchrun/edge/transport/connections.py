"""The connections that requests go over: aiohttp's, but for answers that nobody asked for.

aiohttp takes in whatever complete answers a server says, asked for or not: interim ones (``100 Continue``) before the answer, others behind
it, or on a connection that lies in the pool. A server that says them without end would fill the memory, and hold the event loop for a
second at a time. Here they are read a small piece at a time, and a connection on which they pile up is broken off.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

_PIECE_BYTES = 4096
"""Of heads are parsed before it is counted what they are."""
_MOST_HEADS = 16
"""Unread on one connection. One is usual, a few interim ones may come with it."""


class Connection(ResponseHandler):
    """One connection's answers."""

    def data_received(self, data: bytes) -> None:
        """Take in what came; between two bodies with care."""
        while len(data) > _PIECE_BYTES and (self._payload is None or self._payload.is_eof()):
            super().data_received(data[:_PIECE_BYTES])
            data = data[_PIECE_BYTES:]
            if self._flooded():
                return
        super().data_received(data)
        self._flooded()

    def _flooded(self) -> bool:
        if len(self._buffer) <= _MOST_HEADS:
            return False
        self._buffer.clear()
        self.set_exception(HttpProcessingError(message="answers without end"))
        if self.transport is not None:
            # Not by its own abort, which would forget the exception.
            self.transport.abort()
        return True


class Connector(aiohttp.TCPConnector):
    """A pool of such connections."""

    def __init__(self, *, limit: int, keepalive_timeout: float, ttl_dns_cache: int) -> None:
        super().__init__(limit=limit, keepalive_timeout=keepalive_timeout, ttl_dns_cache=ttl_dns_cache)
        # aiohttp offers no other place to say what a connection is.
        self._factory = cast("partial[ResponseHandler]", partial(Connection, loop=asyncio.get_running_loop()))
