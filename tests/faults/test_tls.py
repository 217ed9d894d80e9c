"""Certificates that must not be taken: each parks its workspace before a byte of the request is sent."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.edge import fault_server as server
from tests.faults.children import ROOT, environment

ASKS = """
import json, sys, anyio
from batchrun.core.model import Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport

async def main():
    async with Transport(connect=5, idle=5, total=5, connections=1, proxy="none", max_response_bytes=65536) as wire:
        result = await wire.post(Request(sys.argv[1], {"Authorization": "Bearer sk-fake"}, b"{}"), Reading(OPENAI.dialect, {}))
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
    _new(place, "ca", "-x509", "-days", "2", "-addext", "basicConstraints=critical,CA:TRUE")
    return place


def _new(place: Path, name: str, *more: str) -> None:
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", *kind, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", *more, cwd=place)


def presenting(authority: Path, host: str, days: int) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for *host* that the authority has signed for *days*."""
    name = f"{host}-{days}"
    _new(authority, name, "-addext", f"subjectAltName={host}")
    signing = ["-req", "-in", f"{name}.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-copy_extensions", "copy", "-days", str(days)]
    openssl("x509", *signing, "-out", f"{name}.signed", cwd=authority)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority / f"{name}.signed", authority / f"{name}.key")
    return context


def asked(authority: Path, context: ssl.SSLContext) -> tuple[dict[str, str], list[bytes]]:
    async def main() -> tuple[dict[str, str], list[bytes]]:
        async with server.serving(server.keeps(server.http()), tls=context) as endpoint:
            trusting = {"SSL_CERT_FILE": str(authority / "ca.pem")}
            done = await anyio.run_process([sys.executable, "-c", ASKS, endpoint.url], cwd=ROOT, env=environment(trusting))
            return json.loads(done.stdout), endpoint.requests

    return anyio.run(main)


def test_a_certificate_that_the_authority_vouches_for_is_taken(authority):
    told, requests = asked(authority, presenting(authority, "IP:127.0.0.1", 2))
    assert (told["content"], len(requests)) == ("好", 1)


@pytest.mark.parametrize(
    ("host", "days", "why"),
    [("IP:127.0.0.1", -1, "certificate has expired"), ("DNS:dashscope.aliyuncs.com", 2, "IP address mismatch")],
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
