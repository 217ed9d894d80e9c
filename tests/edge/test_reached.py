"""A connection that its endpoint closes just when a request is written: what the endpoint cannot have read is in no doubt."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from batchrun.core.model import Failure, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.core.scheduling.outages import never_met
from batchrun.edge.transport import Transport
from tests.edge import fault_server as server
from tests.faults.test_tls import authority, presenting

__all__ = ["authority"]
Ends = Callable[[socket.socket], None]


class Endpoint:
    """Answers the first request of its first connection, in a thread; then does *ends* to it when it is told to."""

    def __init__(self, ends: Ends, context: ssl.SSLContext | None) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._ends, self._context = ends, context
        self._now, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self._listening.getsockname()[1]}/v1"

    @contextlib.contextmanager
    def serving(self) -> Iterator[Endpoint]:
        self._thread.start()
        try:
            yield self
        finally:
            self._now.set()
            self._listening.close()
            self._thread.join(20)

    def end(self) -> None:
        """Have it done; the loop of whoever calls sees nothing of it yet."""
        self._now.set()
        assert self._done.wait(20)

    def let(self) -> None:
        """Have it done soon."""
        self._now.set()

    def _accepted(self) -> socket.socket:
        while True:
            accepted, _ = self._listening.accept()
            if self._context is None:
                return accepted
            with contextlib.suppress(ssl.SSLError):  # It is not trusted yet.
                return self._context.wrap_socket(accepted, server_side=True)

    def _serve(self) -> None:
        with contextlib.suppress(OSError), self._accepted() as connection:
            came = b""
            while b"\r\n\r\n{" not in came:
                came += connection.recv(65_536)
            connection.sendall(server.http())
            self._now.wait(20)
            self._ends(connection)
            self._done.set()


def waits_for_the_request_and_closes(connection: socket.socket) -> None:
    connection.recv(1)
    connection.shutdown(socket.SHUT_WR)


def second(ends: Ends, *, before: bool, body: bytes, context: ssl.SSLContext | None = None, trusted: Path | None = None) -> Reply | Failure:
    """What a second request brings over a connection whose endpoint *ends* it, before it is written or when it has come."""

    async def main() -> Reply | Failure:
        with pytest.MonkeyPatch.context() as patch, Endpoint(ends, context).serving() as endpoint:
            async with Transport(connect=5, idle=20, total=20, connections=1, proxy="none", max_response_bytes=65_536) as wire:
                if trusted is not None:
                    patch.setenv("SSL_CERT_FILE", str(trusted))
                request = Request(endpoint.url, {"Authorization": "Bearer sk-fake-marketing"}, b"{}")
                assert isinstance(await wire.post(request, Reading(OPENAI.dialect, {})), Reply)
                (endpoint.end if before else endpoint.let)()
                return await wire.post(replace(request, body=body), Reading(OPENAI.dialect, {}))

    return anyio.run(main)


BODIES = pytest.mark.parametrize("body", [b"{}", b"{" + b"x" * 50_000], ids=["small", "larger"])


@BODIES
def test_a_request_that_meets_the_end_of_its_connection_was_never_sent(body):
    result = second(socket.socket.close, before=True, body=body)
    assert isinstance(result, Failure)
    assert (result.code, result.fault, result.in_doubt) == ("closed", "again", False)
    assert never_met(result), "it costs its row no attempt"


@BODIES
def test_over_tls_too(body, authority):
    context = presenting(authority, "IP:127.0.0.1", 2)
    result = second(lambda connection: connection.close(), before=True, body=body, context=context, trusted=authority / "ca.pem")
    assert isinstance(result, Failure)
    assert (result.code, result.in_doubt) == ("closed", False)


def test_one_of_which_a_byte_has_come_before_the_end_is_in_doubt():
    result = second(waits_for_the_request_and_closes, before=False, body=b"{}")
    assert isinstance(result, Failure)
    assert (result.code, result.in_doubt) == ("disconnected", True)


def test_over_tls_that_is_so_too(authority):
    context = presenting(authority, "IP:127.0.0.1", 2)
    result = second(waits_for_the_request_and_closes, before=False, body=b"{}", context=context, trusted=authority / "ca.pem")
    assert isinstance(result, Failure)
    assert (result.code, result.in_doubt) == ("disconnected", True)
