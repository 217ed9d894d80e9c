"""What an error of the wire is called, and what may be said of it: aiohttp's own text never, for it may hold the key."""

from __future__ import annotations

import errno
import os
import ssl
from types import SimpleNamespace
from typing import Any, NoReturn

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from batchrun.core.protocols.mishaps import mishap
from batchrun.edge.transport.mishaps import code_of, reason_of, untie

_KEY: Any = ConnectionKey("endpoint.example", 443, True, True, None, None, None)
_ASKED: Any = SimpleNamespace(real_url=URL("http://endpoint.example/v1"), method="POST", headers={}, url=URL("http://endpoint.example/v1"))


def refused(number: int) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(_KEY, OSError(number, "sk-of-aiohttp"))


def by_proxy(status: int) -> aiohttp.ClientHttpProxyError:
    return aiohttp.ClientHttpProxyError(_ASKED, (), status=status, message="sk-of-aiohttp")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refused(errno.ECONNREFUSED), "connection_refused"),
        (refused(errno.ETIMEDOUT), "connect_timeout"),
        (refused(errno.EMFILE), "open_files"),
        (refused(errno.ENFILE), "open_files"),
        (refused(errno.EADDRNOTAVAIL), "no_port"),
        (refused(errno.EHOSTUNREACH), "unreachable"),
        (aiohttp.ClientConnectorDNSError(_KEY, OSError(errno.EMFILE, "")), "dns"),
        (UnicodeError("label too long"), "dns"),
        (aiohttp.ConnectionTimeoutError(), "connect_timeout"),
        (aiohttp.SocketTimeoutError(), "total_timeout"),
        (aiohttp.ServerDisconnectedError(), "disconnected"),
        (aiohttp.ClientPayloadError(), "half_body"),
        (aiohttp.InvalidURL("http://"), "invalid_url"),
        (aiohttp.TooManyRedirects(_ASKED, ()), "bad_http"),
        (aiohttp.ClientOSError(errno.EPIPE, "sk-of-aiohttp"), "connection_reset"),
        (ConnectionResetError(errno.ECONNRESET, ""), "connection_reset"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_an_error_is_known_by_its_kind_and_its_number_and_never_by_its_text(error, code):
    assert code_of(error) == code
    assert "sk-of-aiohttp" not in reason_of(error)
    assert mishap(code, reason_of(error), in_doubt=False).message


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((status, "proxy_refused") for status in (301, 400, 403, 407, 424, 426, 428, 430, 499)),
        *((status, "proxy") for status in (408, 425, 429, 500, 503)),
    ],
)
def test_what_a_proxy_says_is_final_where_it_is_a_refusal_that_does_not_pass(status, code):
    assert (code_of(by_proxy(status)), reason_of(by_proxy(status))) == (code, f"ClientHttpProxyError: {status}")


def test_of_a_system_s_error_is_told_what_the_system_says_of_its_number():
    assert reason_of(refused(errno.ECONNREFUSED)) == f"ClientConnectorError: {os.strerror(errno.ECONNREFUSED)}"
    # OpenSSL counts its own errors, and an address's are below zero: neither is a number of the system's.
    assert reason_of(ssl.SSLError(1, "sk-of-ssl")) == "SSLError"
    assert reason_of(OSError(0, "nothing")) == reason_of(OSError(-2, "a name's")) == "OSError"


def _raised(kind: type[Exception]) -> NoReturn:
    raise kind


def test_no_error_holds_on_to_the_steps_that_led_to_it_nor_do_those_that_led_to_that():
    def of(kind: type[Exception]) -> Exception:
        try:
            _raised(kind)
        except Exception as error:  # noqa: BLE001 - it is what is asked for
            return error

    first, second, third = of(KeyError), of(ValueError), of(OSError)
    second.__context__, third.__cause__ = first, second
    assert all(each.__traceback__ is not None for each in (first, second, third))
    untie(third)
    assert [each.__traceback__ for each in (first, second, third)] == [None, None, None]
