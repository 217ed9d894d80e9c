"""Where a URL leads: parsed, its proxy found, and the head of a request written, once a URL and not once a row."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import field
from ssl import SSLContext
from typing import NamedTuple

from aiohttp import ClientRequest
from yarl import URL

from batchrun import __version__
from batchrun.core.classes import slotted
from batchrun.core.model import Failure, Hidden, Request
from batchrun.core.protocols.error_body import clean
from batchrun.core.protocols.mishaps import mishap
from batchrun.edge.transport.at_rest import AtRest
from batchrun.edge.transport.proxies import Proxies
from batchrun.edge.transport.room import Room, Rooms
from batchrun.edge.transport.secrets import key_of

_AUTHORIZATION, _CONTENT_LENGTH = "Authorization", "Content-Length"


class Page(NamedTuple):
    """What a GET brought."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@slotted
class Target:
    """A URL that can be called with one key."""

    url: URL
    key: Hidden
    proxy: URL | None
    room: Room
    free: AtRest = field(repr=False)
    """Those that have served its endpoint and key before and may do so again, the latest last."""
    _opening: ClientRequest | None = None
    _head: bytes = field(default=b"", repr=False)
    _authorization: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The URL, as a person may be told it: of a query nobody knows what stands in it."""
        return clean(str(self.url.with_query(None).with_fragment(None)))

    def opening(self, trusted: SSLContext | None = None) -> ClientRequest:
        """What a connection is opened for, with who is *trusted*, if that is not whom aiohttp trusts; it says no key itself."""
        if self._opening is None or (trusted is not None and trusted is not self._opening.ssl):
            loop = asyncio.get_running_loop()
            self._opening = ClientRequest("POST", self.url, headers=common_headers(), proxy=self.proxy, ssl=trusted or True, loop=loop)
        return self._opening

    def head(self, request: Request) -> bytes:
        """All that stands before a request's body. A connection stands: aiohttp has told by then what a proxy wants to hear."""
        headers = request.headers
        authorization = headers.get(_AUTHORIZATION)
        if not self._head or authorization != self._authorization:
            self._head, self._authorization = self._start(authorization), authorization
        lines = [self._head]
        for name, value in headers.items():
            if name != _AUTHORIZATION:
                lines.append(_line(name, value))
        lines.append(b"Content-Length: %d\r\n\r\n" % len(request.body))
        return b"".join(lines)

    def _start(self, authorization: str | None) -> bytes:
        """What stands before the headers that are a row's own."""
        opening = self.opening()
        path = str(self.url) if self.proxy and self.url.scheme == "http" else self.url.raw_path_qs
        kept = {name: value for name, value in opening.headers.items() if name != _CONTENT_LENGTH}
        if authorization is not None:
            kept[_AUTHORIZATION] = authorization
        return b"".join([f"POST {path} HTTP/1.1\r\n".encode(), *map(_line, kept.keys(), kept.values())])


def _line(name: str, value: str) -> bytes:
    if not (name.isprintable() and value.isprintable()):
        raise ValueError("a character in a header that does not print: is there one in an API key?")
    return f"{name}: {value}\r\n".encode()


def common_headers() -> dict[str, str]:
    """What every request says. Zstandard and Brotli are left out: aiohttp offers them where a package happens to be installed."""
    return {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "Content-Type": "application/json",
        "User-Agent": f"batchrun/{__version__}",
    }


class Targets:
    """The URLs of a run; *proxy* is ``none``, ``environment`` or a URL. The environment is read once, and not for every request.

    *rooms* are for the large answers of each key.
    """

    def __init__(self, proxy: str, rooms: Rooms) -> None:
        self._rooms = rooms
        self._proxies = Proxies(proxy)
        self._known: dict[tuple[str, str], Target | Failure] = {}
        self._asked: dict[tuple[str, str], Target | Failure] = {}
        """The same by the header that says the key."""
        self.free: dict[tuple[str, str], AtRest] = {}
        """Connections that are at rest, by the endpoint and the key that they have served: they never serve another."""

    def of(self, url: str, key: str = "") -> Target | Failure:
        """Where *url* leads with *key*, or why it cannot be called."""
        target = self._known.get((url, key))
        if target is None:
            target = self._known[url, key] = self._resolved(url, key)
        return target

    def asked(self, request: Request) -> Target | Failure:
        """Where *request* leads with the key that it says, or why it cannot be called."""
        authorization = request.headers.get(_AUTHORIZATION)
        if authorization is None:
            return self.of(request.url, key_of(request.headers))
        target = self._asked.get((request.url, authorization))
        if target is None:
            target = self._asked[request.url, authorization] = self.of(request.url, key_of(request.headers))
        return target

    def _resolved(self, url: str, key: str) -> Target | Failure:
        try:
            parsed = URL(url)
        except ValueError:
            return mishap("invalid_url", in_doubt=False)
        if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.user or parsed.password:
            return mishap("invalid_url", "http or https, a host, and no user or password", in_doubt=False)
        named = self._proxies.of(parsed)
        if named is None:
            return self._target(parsed, None, key)
        try:
            proxy = URL(named)
        except ValueError:
            return mishap("invalid_proxy", "it is no URL", in_doubt=False)
        if proxy.scheme not in {"http", "https"} or not proxy.host:
            return mishap("invalid_proxy", "only http and https proxies can be used", in_doubt=False)
        return self._target(parsed, proxy, key)

    def _target(self, url: URL, proxy: URL | None, key: str) -> Target:
        return Target(url, Hidden(key), proxy, self._rooms.of(key), self.free.setdefault((str(url.origin()), key), AtRest()))
