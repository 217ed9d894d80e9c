"""What goes wrong on the wire, by batchrun's own words; aiohttp's text is never used, for it may hold headers, and so the key."""

from __future__ import annotations

import errno
import os
import ssl

import aiohttp


class WireError(Exception):
    """A mishap that was seen here: its code, and what may be said of it besides."""

    def __init__(self, code: str, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class TooLargeError(Exception):
    """The body is larger than is taken."""


class TooManyValuesError(TooLargeError):
    """What is kept of it takes more memory than one answer is given."""


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
)
_CODES_OF_ERRNO = {
    errno.ECONNREFUSED: "connection_refused",
    errno.ETIMEDOUT: "connect_timeout",
    errno.EMFILE: "open_files",
    errno.ENFILE: "open_files",
    errno.EADDRNOTAVAIL: "no_port",
}


_PASSING = frozenset({408, 425, 429})
"""Refusals of a proxy that are none for good."""


def code_of(error: BaseException) -> str:
    """The mishap that *error* is."""
    if isinstance(error, WireError):
        return error.code
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "connection_reset")
    match code, error:
        case "total_timeout", OSError(errno=errno.ETIMEDOUT):
            # The system's own word for an other end that is there no more.
            return "connection_reset"
        case "connection_reset", ssl.SSLError(reason="TLSV13_ALERT_CERTIFICATE_REQUIRED"):
            # The last word of a handshake: in TLS 1.3 it comes behind the request, which nobody has read.
            return "tls_handshake"
        case "unreachable", OSError(errno=int(number)):
            return _CODES_OF_ERRNO.get(number, code)
        case "proxy", aiohttp.ClientHttpProxyError(status=status) if status < 500 and status not in _PASSING:
            return "proxy_refused"
        case _:
            return code


def reason_of(error: BaseException) -> str:
    """The class of *error*, and what the system says of it; nothing that aiohttp wrote into it."""
    kind = type(error).__name__
    match error:
        case WireError(reason=reason):
            return reason
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError(verify_message=said)):
            return f"{kind}: {said}"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"{kind}: {status}"
        case ssl.SSLError(reason=str(said)) | aiohttp.ClientConnectorError(os_error=ssl.SSLError(reason=str(said))):
            # A word of OpenSSL's own for what has happened.
            return f"{kind}: {said.replace('_', ' ').lower()}"
        case OSError(errno=int(number)) if number > 0 and not isinstance(error, ssl.SSLError):
            return f"{kind}: {os.strerror(number)}"
        case _:
            return kind


def untie(error: BaseException) -> None:
    """Let go of the steps that led to *error*: where one of them knows it, they would hold its call's body until cycles are sought."""
    tied: list[BaseException] = [error]
    while tied:
        each = tied.pop()
        if each.__traceback__ is not None:
            each.__traceback__ = None
            tied += [other for other in (each.__cause__, each.__context__) if other is not None]
