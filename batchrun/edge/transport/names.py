"""Names looked up beside the run: one that is never answered holds up nobody else's.

asyncio has a handful of threads for lookups, which cannot be cancelled: as many endpoints whose name servers are silent would keep every
other workspace from connecting, and the process from ending. Here there is a thread for each, and none that is waited for at the end.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from anyio import CapacityLimiter
from anyio.to_thread import run_sync

Lookup = Callable[..., list[tuple[Any, ...]]]
"""Answers like `socket.getaddrinfo`; blocks."""

_AT_A_TIME = 256


class Names(AbstractResolver):
    """Looks names up; aiohttp asks one name once at a time, and remembers it for a while."""

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._threads = CapacityLimiter(_AT_A_TIME)
        self._found: dict[tuple[str, int, int], list[tuple[Any, ...]]] = {}
        """What was found last, for as long as nobody can be asked (RFC 8767): a night is not to end for a name server."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Give the addresses of *host*, those of before where its name servers do not answer; raises OSError where there are none."""
        ask = partial(self._lookup, host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
        named = host, port, int(family)
        try:
            found = self._found[named] = await run_sync(ask, abandon_on_cancel=True, limiter=self._threads)
        except socket.gaierror as error:
            if error.errno != socket.EAI_AGAIN or named not in self._found:
                raise
            found = self._found[named]
        return [_address(host, *one) for one in found]

    async def close(self) -> None:
        """Nothing is held."""


def _address(name: str, family: int, _kind: int, protocol: int, _canonical: str, address: tuple[Any, ...]) -> ResolveResult:
    if family == socket.AF_INET6 and address[3]:
        # Of a link: the number of the interface is part of the address.
        host, _ = socket.getnameinfo((address[0], address[1], address[2], address[3]), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    else:
        host = address[0]
    return ResolveResult(hostname=name, host=host, port=address[1], family=family, proto=protocol, flags=socket.AI_NUMERICHOST)
