"""The compiled endpoint: built, given its delays, served; and the least time that its delays allow."""

from __future__ import annotations

import gzip
import heapq
import http.client
import math
import random
import shutil
import subprocess
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

_SOURCE = Path(__file__).parent / "endpoint.c"
BODY = orjson.dumps(
    {
        "choices": [
            {
                "message": {
                    "role": "assistant",
                    "content": "category: packages; confidence: high. 这个软件包提供异步 HTTP 客户端。\n"
                    "The text tells how software that is no part of the distribution is found and set up; "
                    "the sources it names are kept by their users, and not all of them can be trusted.",
                },
                "finish_reason": "stop",
                "index": 0,
                "logprobs": None,
            }
        ],
        "object": "chat.completion",
        "usage": {"prompt_tokens": 141, "completion_tokens": 63, "total_tokens": 204, "prompt_tokens_details": {"cached_tokens": 0}},
        "created": 1764000000,
        "system_fingerprint": None,
        "model": "qwen-plus",
        "id": "chatcmpl-7c8beccf-0000-4000-8000-0123456789ab",
    }
)
_PACKED = gzip.compress(BODY, mtime=0)
_ID = "x-request-id: 7c8beccf-0000-4000-8000-0123456789ab\r\ndate: Tue, 24 Nov 2026 08:00:00 GMT\r\nserver: istio-envoy\r\n"
PLAIN = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n{_ID}\r\n".encode() + BODY
_AS_SERVED = (
    "HTTP/1.1 200 OK\r\nvary: Origin,Access-Control-Request-Method,Access-Control-Request-Headers, Accept-Encoding\r\n"
    "x-dashscope-call-gateway: true\r\nx-dashscope-finished: true\r\nx-dashscope-timeout: 1800\r\ncontent-type: application/json\r\n"
    "req-cost-time: 1180\r\nreq-arrive-time: 1795507200000\r\nresp-start-time: 1795507201180\r\nx-envoy-upstream-service-time: 1179\r\n"
    f"content-encoding: gzip\r\n{_ID}transfer-encoding: chunked\r\n\r\n{len(_PACKED):x}\r\n"
).encode() + _PACKED + b"\r\n0\r\n\r\n"  # fmt: skip
ANSWERS = {"a plain answer": PLAIN, "an answer as the service's": _AS_SERVED}
"""Model Studio's have a dozen headers, and a body that is packed, in chunks."""


def built(folder: Path) -> Path:
    """Compile the endpoint."""
    compiler = shutil.which("cc")
    assert compiler, "the endpoint is compiled with cc: install a C compiler"
    program = folder / "endpoint"
    subprocess.run([compiler, "-O2", "-o", str(program), str(_SOURCE)], check=True, timeout=60)
    return program


def lognormal(count: int, median: float, spread: float, seed: int = 1) -> list[float]:
    """So many delays, in seconds."""
    dice = random.Random(seed)
    return [dice.lognormvariate(math.log(median), spread) for _ in range(count)]


def greedy(delays: Sequence[float], slots: int) -> float:
    """The seconds that calls with these delays take where each slot takes its next call at once, and nothing else costs time."""
    ends = [0.0] * slots
    for delay in delays:
        heapq.heapreplace(ends, ends[0] + delay)
    return max(ends)


def counted(url: str) -> dict[str, Any]:
    """What the endpoint has counted since it was last asked: calls, connections, most_in_flight, seconds."""
    place = urlsplit(url)
    assert place.hostname
    ask = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
    try:
        ask.request("GET", "/")
        told: dict[str, Any] = orjson.loads(ask.getresponse().read())
    finally:
        ask.close()
    return told


@contextmanager
def serving(folder: Path, delays: Sequence[float] = (), answer: bytes = PLAIN) -> Iterator[str]:
    """Serve until the block ends; gives the URL of chat completions."""
    program = folder / "endpoint"
    if not program.exists():
        built(folder)
    (folder / "answer").write_bytes(answer)
    command = [str(program), str(folder / "answer")]
    if delays:
        (folder / "delays").write_bytes(array("d", delays).tobytes())
        command.append(str(folder / "delays"))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}/v1/chat/completions"
        finally:
            child.stdin.close()
