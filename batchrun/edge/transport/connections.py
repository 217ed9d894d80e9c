"""The connections that requests go over: aiohttp's, but for answers that nobody asked for.

aiohttp takes in whatever complete answers a server says, asked for or not: interim ones (``100 Continue``) before the answer, others behind
it, or on a connection that lies in the pool. A server that says them without end would fill the memory, and hold the event loop for a
second at a time. Here they are read a small piece at a time, and a connection on which they pile up is broken off.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from functools import partial
from typing import cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from batchrun.edge.transport.names import Lookup, Names

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
    """The pool of such connections. *lookup* stands in for the system's own way of finding addresses."""

    def __init__(self, *, limit: int, keepalive_timeout: float, ttl_dns_cache: int, lookup: Lookup = socket.getaddrinfo) -> None:
        super().__init__(limit=limit, keepalive_timeout=keepalive_timeout, ttl_dns_cache=ttl_dns_cache, resolver=Names(lookup))
        # aiohttp offers no other place to say what a connection is.
        self._factory = cast("partial[ResponseHandler]", partial(Connection, loop=asyncio.get_running_loop()))


class Opening(aiohttp.ClientRequest):
    """What a connection is opened for, or a free one found: one that has carried *key*, and never another's.

    So no state that an endpoint ties to a connection, and no answer that comes late, can pass from one workspace to another.
    """

    def __init__(self, url: URL, headers: Mapping[str, str], proxy: URL | None, key: str) -> None:
        super().__init__("POST", url, headers=headers, proxy=proxy, loop=asyncio.get_running_loop())
        self._of_key = hash(key)

    @property
    def connection_key(self) -> ConnectionKey:
        """Connections are alike that agree in this."""
        found = super().connection_key
        return found._replace(proxy_headers_hash=hash((found.proxy_headers_hash, self._of_key)))
