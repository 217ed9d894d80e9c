"""Sends a request over HTTP, once; every mishap of the network becomes a Failure.

What is decided here, and why:

- A failure is *in doubt* exactly when its body had begun to be written: from then on the provider may have read it, and billed it.
- An answer that was there before its request is nobody's: a pooled connection on which one lies is not written to.
- Nothing is sent twice behind the caller's back: no redirect is followed, and aiohttp repeats no POST.
- aiohttp's exceptions hold the request's headers, and so the key: their text is never used, only their class and the errno.
- Silence is counted from the answer's first byte on: a model may think for as long as *total* before it says a word. In a stream it is
  counted between events: a comment that keeps the connection alive is no event. An answer whose stream has said everything stands,
  whatever becomes of its wire.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import NamedTuple, Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.http_writer import StreamWriter
from yarl import URL

from batchrun.core.model import Failure, Reply, Request
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.protocols.reading import Reading

_AFTERWORD = 2.0
"""Seconds that a stream may take to end after it has said everything; longer, and its connection is not used again."""
_KEEPALIVE = 30.0
_NAMES_LAST = 60
"""Seconds a resolved name is trusted; short, so that a run of hours follows an endpoint that moves."""


class _Target(NamedTuple):
    url: URL
    proxy: URL | None


class Page(NamedTuple):
    """What a GET brought."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _TooLargeError(Exception):
    """The body is larger than is taken."""


@dataclass(slots=True)
class _Attempt:
    """One answer on its way, and how long it may still take."""

    reading: Reading
    body: _Body
    began: float
    ends: float
    """When the attempt's time is up, whatever comes."""
    timeout: asyncio.Timeout
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    first_token: float | None = None

    def feed(self, piece: bytes, now: float, idle: float) -> None:
        """Take a piece of the answer in, and allow the next its time."""
        before = self.reading.events
        self.reading.feed(piece)
        if self.first_token is None and self.reading.spoken:
            self.first_token = now
        if self.reading.complete or self.reading.whole:
            idle = min(idle, _AFTERWORD)
        if not before or self.reading.events > before:
            self.timeout.reschedule(min(self.ends, now + idle))

    def stands(self) -> bool:
        """Whether a stream has said all that it had to: an answer, or why there is none."""
        return self.reading.complete or self.reading.whole

    def result(self) -> Reply | Failure:
        result = self.reading.result(self.status, self.headers)
        if self.first_token is None or isinstance(result, Failure):
            return result
        return replace(result, first_token_ms=round((self.first_token - self.began) * 1000))


class _StrayAnswerError(aiohttp.ClientError):
    """An answer was there before its request."""


class _Body(aiohttp.Payload):
    """A request body that knows whether it was begun to be written.

    Written in one piece whatever its size: aiohttp's own warns above 1 MiB, which an inline image is.
    """

    _value: bytes

    def __init__(self, value: bytes) -> None:
        super().__init__(value)
        self._size = len(value)
        self.begun = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        # True while an answer lies unread; aiohttp hands the connection out all the same, and that answer as the one to this request.
        if isinstance(writer, StreamWriter) and isinstance(writer.protocol, ResponseHandler) and writer.protocol.should_close:
            raise _StrayAnswerError
        self.begun = True
        await writer.write(self._value)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        assert content_length in {None, self._size}
        await self.write(writer)


class Transport:
    """One pool of connections for a run. Use it as an async context manager.

    *connect* covers all until a connection stands (a free one of the pool, the name, TCP, TLS), *idle* is the longest silence in an
    answer, *total* the longest attempt, whatever drips. *connections* is at least the number of posts at a time: one that
    finds none free spends its *connect* on waiting. *proxy* is ``none``, ``environment`` or a URL. *max_response_bytes* counts after
    decompression.
    """

    def __init__(self, *, connect: float, idle: float, total: float, connections: int, proxy: str, max_response_bytes: int) -> None:
        if connections < 1:
            raise ValueError(f"connections = {connections}: a pool needs at least one")
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect)
        self._idle = idle
        self._total = total
        self._connections = connections
        self._max_response_bytes = max_response_bytes
        self._proxies = getproxies() if proxy == "environment" else {} if proxy == "none" else {"all": proxy}
        self._bypass = proxy == "environment"
        self._targets: dict[str, _Target | Failure] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEEPALIVE, ttl_dns_cache=_NAMES_LAST),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            # Zstandard and Brotli are left out: aiohttp offers them where a package happens to be installed.
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "Content-Type": "application/json",
                "User-Agent": _user_agent(),
            },
            # The environment is read once above: aiohttp would read it again for every request.
            trust_env=False,
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, request: Request, reading: Reading) -> Reply | Failure:
        """Send *request* once and give its answer to *reading*; what comes back holds no key. Cancelling closes the connection."""
        target = self._target(request.url)
        if isinstance(target, Failure):
            return target
        result = await self._result(target, request, reading)
        return _without_key(result, _key(request)) if isinstance(result, Failure) else result

    async def get(self, url: str, headers: Mapping[str, str]) -> Page | Failure:
        """Ask for *url*, which costs nothing; what comes back holds no key."""
        target = self._target(url)
        if isinstance(target, Failure):
            return target
        assert self._session is not None, "a Transport is used inside its own `async with`"
        try:
            async with (
                asyncio.timeout(min(self._total, self._idle)),
                self._session.get(target.url, headers=headers, proxy=target.proxy, allow_redirects=False) as response,
            ):
                body = _masked(await self._whole(response), headers.get("Authorization", "").removeprefix("Bearer "))
                return Page(response.status, response.headers, body)
        except (aiohttp.ClientError, TimeoutError, UnicodeError, _TooLargeError) as error:
            return mishap(_code(error), f"{target.url.host}: {_reason(error)}", in_doubt=False)

    async def _result(self, target: _Target, request: Request, reading: Reading) -> Reply | Failure:
        now = asyncio.get_running_loop().time()
        ends = now + (request.total or self._total)
        attempt = _Attempt(reading, _Body(request.body), now, ends, asyncio.timeout_at(ends))
        try:
            async with attempt.timeout:
                return await self._exchange(target, request, attempt)
        except _TooLargeError:
            return mishap("response_too_large", f"over {self._max_response_bytes} bytes", in_doubt=True, status=attempt.status)
        except (aiohttp.ClientError, TimeoutError, UnicodeError) as error:
            if attempt.stands():
                return attempt.result()
            silent = type(error) is TimeoutError and asyncio.get_running_loop().time() < attempt.ends
            code = "read_timeout" if silent else _code(error)
            return mishap(code, f"{target.url.host}: {_reason(error)}", in_doubt=attempt.body.begun)

    async def _exchange(self, target: _Target, request: Request, attempt: _Attempt) -> Reply | Failure:
        assert self._session is not None, "a Transport is used inside its own `async with`"
        response = await self._session.post(
            target.url, data=attempt.body, headers=request.headers, proxy=target.proxy, allow_redirects=False, raise_for_status=False
        )
        try:
            if not attempt.body.begun:
                raise _StrayAnswerError
            attempt.status, attempt.headers = response.status, response.headers
            if not 200 <= response.status < 300:
                # Masked before it is read: an excerpt could cut a key in two and keep a half.
                body = _masked(await self._whole(response), _key(request))
                return attempt.reading.refused(response.status, response.headers, body)
            await self._feed(response, attempt)
            return attempt.result()
        finally:
            # Nothing to close where the answer was read to its end: its connection is back in the pool.
            response.close()

    async def _feed(self, response: aiohttp.ClientResponse, attempt: _Attempt) -> None:
        """Read in pieces, so that a small body that unpacks to gigabytes is never held whole."""
        clock = asyncio.get_running_loop().time
        left = self._max_response_bytes
        attempt.timeout.reschedule(min(attempt.ends, clock() + self._idle))
        while piece := await response.content.readany():
            left -= len(piece)
            if left < 0:
                raise _TooLargeError
            attempt.feed(piece, clock(), self._idle)

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        """The body of a refusal, cut at the largest size that is taken."""
        pieces = []
        left = self._max_response_bytes
        while left > 0 and (piece := await response.content.readany()):
            pieces.append(piece[:left])
            left -= len(piece)
        return b"".join(pieces)

    def _target(self, url: str) -> _Target | Failure:
        target = self._targets.get(url)
        if target is None:
            target = self._targets[url] = self._resolved(url)
        return target

    def _resolved(self, url: str) -> _Target | Failure:
        """Parse *url*, and find its proxy: once a URL, not once a row."""
        try:
            parsed = URL(url)
        except ValueError:
            return mishap("invalid_url", in_doubt=False)
        if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.user or parsed.password:
            return mishap("invalid_url", "http or https, a host, and no user or password", in_doubt=False)
        named = self._proxies.get(parsed.scheme) or self._proxies.get("all")
        if not named or (self._bypass and proxy_bypass(f"{parsed.host}:{parsed.port}")):
            return _Target(parsed, None)
        try:
            proxy = URL(named)
        except ValueError:
            return mishap("proxy_refused", "it is no URL", in_doubt=False)
        if proxy.scheme not in {"http", "https"} or not proxy.host:
            return mishap("proxy_refused", "only http and https proxies can be used", in_doubt=False)
        return _Target(parsed, proxy)


_CODES: tuple[tuple[type[BaseException], str], ...] = (
    # The first that fits: a class stands before its bases.
    (aiohttp.ConnectionTimeoutError, "connect_timeout"),
    (TimeoutError, "total_timeout"),
    (UnicodeError, "dns"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    (aiohttp.ClientProxyConnectionError, "proxy"),
    (aiohttp.ClientConnectorCertificateError, "tls"),
    (aiohttp.ClientConnectorSSLError, "tls_handshake"),
    (aiohttp.ClientConnectorError, "unreachable"),
    (aiohttp.ServerDisconnectedError, "disconnected"),
    (aiohttp.ClientHttpProxyError, "proxy"),
    (aiohttp.ClientResponseError, "bad_http"),
    (aiohttp.ClientPayloadError, "half_body"),
    (aiohttp.InvalidURL, "invalid_url"),
    (_StrayAnswerError, "stray_answer"),
)
_CODES_OF_ERRNO = {
    errno.ECONNREFUSED: "connection_refused",
    errno.ETIMEDOUT: "connect_timeout",
    errno.EMFILE: "open_files",
    errno.ENFILE: "open_files",
}


def _code(error: BaseException) -> str:
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "connection_reset")
    match code, error:
        case "unreachable", OSError(errno=int(number)):
            return _CODES_OF_ERRNO.get(number, code)
        case "proxy", aiohttp.ClientHttpProxyError(status=status) if status < 500:
            return "proxy_refused"
        case "half_body", _ if isinstance(error.__cause__, ContentEncodingError):
            return "bad_http"
        case _:
            return code


def _reason(error: BaseException) -> str:
    """The class of *error*, and what the system says of it; nothing that aiohttp wrote into it."""
    kind = type(error).__name__
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError(verify_message=said)):
            return f"{kind}: {said}"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"{kind}: {status}"
        case OSError(errno=int(number)) if number > 0 and not isinstance(error, ssl.SSLError):
            return f"{kind}: {os.strerror(number)}"
        case _:
            return kind


def _key(request: Request) -> str:
    named = (value for name, value in request.headers.items() if name.lower() == "authorization")
    return next(named, "").removeprefix("Bearer ")


def _masked(body: bytes, key: str) -> bytes:
    return body.replace(key.encode(), b"***") if key else body


def _without_key(failure: Failure, key: str) -> Failure:
    """An endpoint may echo the key it was sent, in any field."""
    if not key:
        return failure
    return replace(
        failure,
        code=failure.code.replace(key, "***"),
        message=failure.message.replace(key, "***"),
        request_id=(failure.request_id or "").replace(key, "***") or None,
        body=_masked(failure.body, key),
    )


@cache
def _user_agent() -> str:
    try:
        return f"batchrun/{version('batchrun')}"
    except PackageNotFoundError:
        return "batchrun"
