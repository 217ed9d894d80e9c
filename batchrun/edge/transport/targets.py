"""Where a URL leads: parsed, its proxy found, and the head of a request written, once a URL and not once a row."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import hdrs
from yarl import URL

from batchrun.core.model import Failure
from batchrun.core.protocols.mishaps import mishap


class Page(NamedTuple):
    """What a GET brought."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Target:
    """A URL that can be called."""

    url: URL
    proxy: URL | None
    _opening: aiohttp.ClientRequest | None = None
    _head: bytes | None = None

    def opening(self) -> aiohttp.ClientRequest:
        """What aiohttp opens a connection for, or finds a free one: every request to this URL alike, so it holds no key."""
        if self._opening is None:
            loop = asyncio.get_running_loop()
            self._opening = aiohttp.ClientRequest(hdrs.METH_POST, self.url, headers=common_headers(), proxy=self.proxy, loop=loop)
        return self._opening

    def head(self, headers: Mapping[str, str], body_bytes: int) -> bytes:
        """All that stands before the body of a POST. A connection stands: aiohttp has told by then what a proxy wants to hear."""
        if self._head is None:
            opening = self.opening()
            path = str(self.url) if self.proxy and self.url.scheme == "http" else self.url.raw_path_qs
            kept = {name: value for name, value in opening.headers.items() if name != hdrs.CONTENT_LENGTH}
            self._head = f"POST {path} HTTP/1.1\r\n".encode() + _lines(kept)
        return b"%b%bContent-Length: %d\r\n\r\n" % (self._head, _lines(headers), body_bytes)


def _lines(headers: Mapping[str, str]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
        raise ValueError("a line break or a NUL in a header: is there one in an API key?")
    return lines.encode()


def common_headers() -> dict[str, str]:
    """What every request says. Zstandard and Brotli are left out: aiohttp offers them where a package happens to be installed."""
    return {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "Content-Type": "application/json",
        "User-Agent": _user_agent(),
    }


class Targets:
    """The URLs of a run; *proxy* is ``none``, ``environment`` or a URL. The environment is read once, and not for every request."""

    def __init__(self, proxy: str) -> None:
        self._proxies = getproxies() if proxy == "environment" else {} if proxy == "none" else {"all": proxy}
        self._bypass = proxy == "environment"
        self._known: dict[str, Target | Failure] = {}

    def of(self, url: str) -> Target | Failure:
        """Where *url* leads, or why it cannot be called."""
        target = self._known.get(url)
        if target is None:
            target = self._known[url] = self._resolved(url)
        return target

    def _resolved(self, url: str) -> Target | Failure:
        try:
            parsed = URL(url)
        except ValueError:
            return mishap("invalid_url", in_doubt=False)
        if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.user or parsed.password:
            return mishap("invalid_url", "http or https, a host, and no user or password", in_doubt=False)
        named = self._proxies.get(parsed.scheme) or self._proxies.get("all")
        if not named or (self._bypass and proxy_bypass(f"{parsed.host}:{parsed.port}")):
            return Target(parsed, None)
        try:
            proxy = URL(named)
        except ValueError:
            return mishap("proxy_refused", "it is no URL", in_doubt=False)
        if proxy.scheme not in {"http", "https"} or not proxy.host:
            return mishap("proxy_refused", "only http and https proxies can be used", in_doubt=False)
        return Target(parsed, proxy)


@cache
def _user_agent() -> str:
    try:
        return f"batchrun/{version('batchrun')}"
    except PackageNotFoundError:
        return "batchrun"
