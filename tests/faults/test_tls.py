"""Certificates that must not be taken: each parks its workspace before a byte of the request is sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

from batchrun.core.model import Failure, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport
from tests.edge import fault_server as server
from tests.faults.children import ROOT, environment
from tests.faults.kinds import said

ASKS = """
import json, sys, anyio
from batchrun.core.model import Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport

async def main():
    url, proxy, posts, body = sys.argv[1], sys.argv[2], int(sys.argv[3]), b"{}".ljust(int(sys.argv[4]))
    async with Transport(connect=5, idle=5, total=20, connections=1, proxy=proxy, max_response_bytes=1 << 24) as wire:
        for _ in range(posts):
            result = await wire.post(Request(url, {"Authorization": "Bearer sk-fake"}, body), Reading(OPENAI.dialect, {}))
    told = {name: str(getattr(result, name, "")) for name in ("code", "fault", "scope", "message", "in_doubt", "content")}
    print(json.dumps(told))

anyio.run(main)
"""


def openssl(*arguments: str, cwd: Path) -> None:
    program = shutil.which("openssl")
    assert program, "this test makes its certificates with the openssl command"
    subprocess.run([program, *arguments], check=True, capture_output=True, cwd=cwd)


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    """A certificate authority of one's own, which the client trusts."""
    place: Path = tmp_path_factory.mktemp("authority")
    _new_authority(place)
    return place


def _new_authority(place: Path) -> None:
    _new(place, "ca", "-x509", "-days", "2", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")


def _new(place: Path, name: str, *more: str) -> None:
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", *kind, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", *more, cwd=place)


def presenting(authority: Path, host: str, days: int) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for *host* that the authority has signed for *days*.

    It names the key that it was signed with: from Python 3.13 on none is taken that does not.
    """
    name = f"{host}-{days}"
    _new(authority, name)
    (authority / f"{name}.cnf").write_text(f"subjectAltName={host}\nauthorityKeyIdentifier=keyid\n")
    signing = ["-req", "-in", f"{name}.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", f"{name}.cnf", "-days", str(days)]
    openssl("x509", *signing, "-out", f"{name}.signed", cwd=authority)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority / f"{name}.signed", authority / f"{name}.key")
    return context


def asked(authority: Path, context: ssl.SSLContext) -> tuple[dict[str, str], list[bytes]]:
    async def main() -> tuple[dict[str, str], list[bytes]]:
        async with server.serving(server.keeps(server.http()), tls=context) as endpoint:
            return await ask(authority, endpoint.url), endpoint.requests

    return anyio.run(main)


async def ask(authority: Path, url: str, proxy: str = "none", posts: int = 1, body_bytes: int = 2) -> dict[str, str]:
    """What the last of so many posts to *url* brought, in a process that trusts the authority."""
    command = [sys.executable, "-c", ASKS, url, proxy, str(posts), str(body_bytes)]
    done = await anyio.run_process(command, cwd=ROOT, env=environment({"SSL_CERT_FILE": str(authority / "ca.pem")}))
    told: dict[str, str] = json.loads(done.stdout)
    return told


def test_a_certificate_that_the_authority_vouches_for_is_taken(authority):
    told, requests = asked(authority, presenting(authority, "IP:127.0.0.1", 2))
    assert (told["content"], len(requests)) == ("好", 1)


def test_large_requests_and_answers_go_over_one_connection_of_tls(authority):
    answer = said({"content": "好" * 3_000_000})

    async def main() -> tuple[dict[str, str], server.Server]:
        async with server.serving(server.keeps(server.http(answer)), tls=presenting(authority, "IP:127.0.0.1", 2)) as endpoint:
            return await ask(authority, endpoint.url, posts=3, body_bytes=4_000_000), endpoint

    told, endpoint = anyio.run(main)
    assert (len(told["content"]), endpoint.connections) == (3_000_000, 1)
    assert [request.count(b" ") > 3_900_000 for request in endpoint.requests] == [True] * 3


def test_a_connection_of_tls_on_which_half_a_refused_request_is_still_to_be_written_serves_no_other(authority):
    """The endpoint refuses before it has read the body, and reads no more of it."""

    async def main() -> tuple[dict[str, str], int]:
        connections: list[server.Writer] = []

        async def refuses(reader: server.Reader, writer: server.Writer) -> None:
            connections.append(writer)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(server.http(b"{}", status="429 Too Many Requests"))

        listening = await asyncio.start_server(refuses, "127.0.0.1", 0, ssl=presenting(authority, "IP:127.0.0.1", 2))
        told = await ask(authority, f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", posts=3, body_bytes=16_000_000)
        listening.close()
        for writer in connections:
            writer.transport.abort()
        return told, len(connections)

    told, connections = anyio.run(main)
    assert (told["fault"], told["in_doubt"], connections) == ("throttled", "False", 3)


def test_a_tunnel_that_a_proxy_digs_carries_calls_that_only_the_endpoint_can_read(authority):
    async def main() -> tuple[dict[str, str], list[bytes], list[bytes], int]:
        async with server.serving(server.keeps(server.http()), tls=presenting(authority, "IP:127.0.0.1", 2)) as endpoint:

            async def digs(reader: server.Reader, writer: server.Writer) -> None:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

                async def carry(one: server.Reader, other: server.Writer) -> None:
                    while piece := await one.read(65_536):
                        carried.append(piece)
                        other.write(piece)
                    other.close()

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(carry, reader, far_writer)
                    tasks.start_soon(carry, far_reader, writer)

            carried: list[bytes] = []
            async with server.serving(digs) as proxy:
                told = await ask(authority, endpoint.url, f"http://clerk:hush@127.0.0.1:{proxy.port}", posts=3)
                return told, proxy.requests, carried, endpoint.connections

    told, asked_of_proxy, carried, connections = anyio.run(main)
    assert (told["content"], connections, len(asked_of_proxy)) == ("好", 1, 1)
    assert asked_of_proxy[0].startswith(b"CONNECT 127.0.0.1:")
    assert b"sk-fake" not in b"".join([*asked_of_proxy, *carried])


@pytest.mark.parametrize(
    ("host", "days", "why"),
    [("IP:127.0.0.1", 0, "certificate has expired"), ("DNS:dashscope.aliyuncs.com", 2, "IP address mismatch")],
    ids=["expired", "of another host"],
)
def test_a_certificate_that_is_out_of_date_or_anothers_parks_before_anything_is_sent(authority, host, days, why):
    told, requests = asked(authority, presenting(authority, host, days))
    assert (told["code"], told["fault"], told["scope"], told["in_doubt"], requests) == ("tls", "park", "workspace", "False", [])
    assert why in told["message"]


@pytest.mark.parametrize("harm", ["no cipher in common", "a client's certificate wanted"])
def test_a_handshake_that_fails_is_tried_again_and_nothing_is_sent(authority, harm):
    context = presenting(authority, "IP:127.0.0.1", 2)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if harm == "no cipher in common":
        context.set_ciphers("AES128-SHA256")
    else:
        context.verify_mode = ssl.CERT_REQUIRED
    told, requests = asked(authority, context)
    # Whether the alert or the end of the connection is met first is chance.
    assert told["code"] in {"tls_handshake", "unreachable"}
    assert (told["fault"], told["in_doubt"], requests) == ("again", "False", [])


def refusing(context: ssl.SSLContext, listening: socket.socket) -> None:
    """Shake hands with whoever comes, say what TLS says where that fails, and wait until the other has gone: no reset overtakes it."""
    with contextlib.suppress(OSError):
        while True:
            accepted, _ = listening.accept()
            with context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False) as shaking:
                with contextlib.suppress(ssl.SSLError):
                    shaking.do_handshake()
                while socket.socket.recv(shaking, 65_536):
                    pass


@pytest.mark.parametrize(
    ("version", "why"),
    [(ssl.TLSVersion.TLSv1_2, "handshake failure"), (ssl.TLSVersion.TLSv1_3, "alert certificate required")],
    ids=lambda each: each.name if isinstance(each, ssl.TLSVersion) else "",
)
def test_an_endpoint_that_wants_a_client_s_certificate_is_told_as_such_and_has_read_nothing(authority, version, why):
    context = presenting(authority, "IP:127.0.0.1", 2)
    context.verify_mode, context.minimum_version, context.maximum_version = ssl.CERT_REQUIRED, version, version
    with socket.create_server(("127.0.0.1", 0)) as listening:
        shakes = threading.Thread(target=refusing, args=(context, listening), daemon=True)
        shakes.start()
        told = anyio.run(ask, authority, f"https://127.0.0.1:{listening.getsockname()[1]}/v1")
        listening.shutdown(socket.SHUT_RDWR)
        shakes.join(20)
    assert (told["code"], told["fault"], told["in_doubt"]) == ("tls_handshake", "again", "False")
    assert why in told["message"]


def test_an_authority_that_takes_another_s_place_is_trusted_from_when_the_machine_has_it(authority, tmp_path, monkeypatch):
    """As where a company's proxy opens TLS, and its certificates are renewed at night."""
    newer = tmp_path / "newer"
    newer.mkdir()
    _new_authority(newer)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes((authority / "ca.pem").read_bytes())

    async def main() -> list[Reply | Failure]:
        async with Transport(connect=5, idle=5, total=20, connections=1, proxy="none", max_response_bytes=1 << 20) as wire:
            monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

            async def post(place: Path) -> Reply | Failure:
                async with server.serving(server.says(server.http()), tls=presenting(place, "IP:127.0.0.1", 2)) as endpoint:
                    return await wire.post(Request(endpoint.url, {}, b"{}"), Reading(OPENAI.dialect, {}))

            results = [await post(authority), await post(newer), await post(newer)]
            bundle.write_bytes((newer / "ca.pem").read_bytes())
            return [*results, await post(newer), await post(authority)]

    assert [result.code if isinstance(result, Failure) else result.content for result in anyio.run(main)] == [
        "好",
        "tls",
        "tls",
        "好",
        "tls",
    ]


def test_calls_that_meet_a_new_authority_at_once_are_all_answered(authority, tmp_path, monkeypatch):
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"")

    async def main() -> list[Reply | Failure]:
        async with Transport(connect=5, idle=5, total=20, connections=6, proxy="none", max_response_bytes=1 << 20) as wire:
            results: list[Reply | Failure] = []
            monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

            async def post(url: str) -> None:
                results.append(await wire.post(Request(url, {}, b"{}"), Reading(OPENAI.dialect, {})))

            async with server.serving(server.says(server.http()), tls=presenting(authority, "IP:127.0.0.1", 2)) as endpoint:
                await post(endpoint.url)
                bundle.write_bytes((authority / "ca.pem").read_bytes())
                async with anyio.create_task_group() as tasks:
                    for _ in range(6):
                        tasks.start_soon(post, endpoint.url)
            return results

    first, *others = anyio.run(main)
    assert isinstance(first, Failure)
    assert [result.code if isinstance(result, Failure) else result.content for result in others] == ["好"] * 6
