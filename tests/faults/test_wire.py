"""What one endpoint does is no other's matter: connections, cookies, names, and answers that die half-way."""

from __future__ import annotations

import socket
import threading

import anyio
import anyio.lowlevel
import pytest

from batchrun.core.model import Failure, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport
from tests.edge import fault_server as server
from tests.faults.kinds import EVENTS, STREAM


def transport(**settings) -> Transport:
    return Transport(**{"connect": 2, "idle": 1, "total": 3, "connections": 64, "proxy": "none", "max_response_bytes": 65_536, **settings})


def post(wire: Transport, url: str, key: str = "sk-fake-marketing"):
    return wire.post(Request(url, {"Authorization": f"Bearer {key}"}, b"{}"), Reading(OPENAI.dialect, {}))


def test_a_connection_that_has_carried_one_key_never_carries_another():
    async def main() -> tuple[dict[int, set[bytes]], list[bytes]]:
        keys: dict[int, set[bytes]] = {}

        async def answers(reader, writer):
            request = endpoint.requests[-1]
            keys.setdefault(id(writer), set()).add(request.split(b"Bearer ")[1].split(b"\r\n")[0])
            writer.write(server.http(server.ANSWER, "Set-Cookie: session=of-another; Path=/"))

        async with server.serving(answers) as endpoint, transport() as wire:
            for _ in range(3):
                for key in ("sk-fake-marketing", "sk-fake-legal", "sk-fake-hr"):
                    assert isinstance(await post(wire, endpoint.url, key), Reply)
            return keys, endpoint.requests

    keys, requests = anyio.run(main)
    assert len(keys) == 3
    assert all(len(carried) == 1 for carried in keys.values())
    assert not any(b"cookie" in request.lower() for request in requests)


def test_a_late_answer_to_one_key_is_never_another_keys():
    """The endpoint answers each request with the answer to the one before it on that connection: state that it ties to the connection."""

    async def main() -> list[str]:
        before: dict[int, bytes] = {}

        async def answers(reader, writer):
            asked = endpoint.requests[-1].split(b"Bearer ")[1].split(b"\r\n")[0]
            writer.write(server.http(server.ANSWER.replace("好".encode(), before.get(id(writer), asked))))
            before[id(writer)] = asked

        async with server.serving(answers) as endpoint, transport() as wire:
            results = [await post(wire, endpoint.url, key) for _ in range(3) for key in ("sk-fake-marketing", "sk-fake-legal-1")]
            return [result.content for result in results if isinstance(result, Reply)]

    assert anyio.run(main)[::2] == ["***"] * 3  # Its own key echoed, and struck out; another's would stand there.


def test_names_that_are_never_resolved_keep_no_other_endpoint_waiting():
    over = threading.Event()

    def lookup(host, port, **how):
        if host != "good.example":
            over.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async def main() -> tuple[Reply | Failure, list[Reply | Failure]]:
        lost: list[Reply | Failure] = []

        async def ask(number: int) -> None:
            lost.append(await post(wire, f"http://silent-{number}.example/v1"))

        async with server.serving(server.keeps(server.http())) as endpoint, transport(lookup=lookup, connect=60, total=60) as wire:
            async with anyio.create_task_group() as tasks:
                for number in range(40):
                    tasks.start_soon(ask, number)
                await anyio.lowlevel.checkpoint()
                found = await post(wire, endpoint.url.replace("127.0.0.1", "good.example"))
                tasks.cancel_scope.cancel()
            over.set()
            return found, lost

    found, lost_meanwhile = anyio.run(main)
    assert isinstance(found, Reply)
    assert lost_meanwhile == [], "it waited until another was given up"


def test_a_name_that_is_never_resolved_is_given_up_like_a_connection_that_never_comes_about_and_leaves_no_doubt():
    over = threading.Event()

    def lookup(_host, _port, **_how):
        over.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    async def main() -> Reply | Failure:
        async with transport(lookup=lookup, connect=0.05, total=20) as wire:
            try:
                found: Reply | Failure = await post(wire, "http://silent.example/v1")
                return found
            finally:
                over.set()

    lost = anyio.run(main)
    assert isinstance(lost, Failure)
    assert (lost.code, lost.in_doubt) == ("connect_timeout", False)


@pytest.mark.parametrize("form", ["plain", "streamed"])
@pytest.mark.parametrize("ends", [server.says, server.resets], ids=["closed", "reset"])
def test_a_connection_that_dies_at_any_byte_of_an_answer_brings_the_whole_answer_or_a_doubt(form, ends):
    whole = server.http() if form == "plain" else EVENTS + b"Content-Length: %d\r\n\r\n" % len(STREAM) + STREAM
    stands = len(whole) if form == "plain" else whole.index(b'"stop"') + len(b'"stop"}]}')

    async def main() -> None:
        async def dies(reader, writer):
            await ends(whole[: int(endpoint.requests[-1].split(b"at=")[1].split(b" ")[0])])(reader, writer)

        async with server.serving(dies) as endpoint, transport(connections=1) as wire:
            for at in range(0, len(whole) + 1, 1 if ends is server.says else 9):
                result = await post(wire, f"{endpoint.url}?at={at}")
                if at < stands:
                    assert isinstance(result, Failure), (at, result)
                    assert (result.fault, result.in_doubt) == ("again", True), (at, result)
                elif isinstance(result, Failure):
                    assert ends is server.resets, (at, result)
                else:
                    assert result.content == "好"

    anyio.run(main)
