"""A recording server for each of many workspaces, in one process.

``python -m tests.faults.recorders WORKSPACES SEED`` prints their ports. Each knows its own workspace: which key it must be sent, and what
every one of its prompts says. Whatever else comes is astray. Answers carry the prompt's own words back, so that a file that holds another's
is seen; some carry the key. On the way, each breaks in all ways that lead to another attempt, sets cookies, answers twice, and redirects to
its neighbour. ``GET`` on the port that is *told* says what came.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from typing import Any

import anyio
import orjson

from tests.edge import fault_server as server

FAULTS = 0.2
"""Of all calls, those that break in one way or another."""


def name_of(number: int) -> str:
    return f"tenant-{number:02}"


def key_of(number: int, rotation: int = 0) -> str:
    """Its key; rotated, it is another."""
    return f"sk-canary-{number:02}/{rotation}+{'qzxv' * 4}{number:02}="


def prompt_of(number: int, row: int) -> str:
    return f"<{name_of(number)}> says {row}"


class Recorder:
    """One workspace's endpoint."""

    def __init__(self, number: int, seed: int) -> None:
        self.number = number
        self.dice = random.Random(seed * 1000 + number)
        self.keys = {key_of(number, rotation).encode() for rotation in range(2)}
        self.tag = f"<{name_of(number)}>".encode()
        self.counts: Counter[str] = Counter()
        self.neighbour = ""

    async def connected(self, reader: server.Reader, writer: server.Writer) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                await self._answer(await server.read_request(reader), reader, writer)
        writer.close()

    async def _answer(self, request: bytes, reader: server.Reader, writer: server.Writer) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        key = head.partition(b"Authorization: Bearer ")[2].partition(b"\r\n")[0]
        self.counts["calls"] += 1
        self.counts["keys astray"] += key not in self.keys
        self.counts["rows astray"] += self.tag not in body or body.count(b"<tenant-") != 1
        self.counts["cookies"] += b"\r\ncookie:" in head.lower()
        if self.counts["calls"] == 40:
            await server.says(server.http(b"", f"Location: {self.neighbour}", status="307 Moved"))(reader, writer)
        elif self.dice.random() < FAULTS:
            self.counts["faults"] += 1
            await self._fault(key)(reader, writer)
        else:
            await anyio.sleep(self.dice.uniform(0.005, 0.05))
            writer.write(server.http(self._said(body, key), "Set-Cookie: session=1; Path=/", f"x-request-id: {key.decode()}"))

    def _said(self, body: bytes, key: bytes) -> bytes:
        prompt = orjson.loads(body)["messages"][0]["content"]
        echo = f" with {key.decode()}" if self.dice.random() < 0.1 else ""
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"to {prompt}{echo}"}}
        return orjson.dumps({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}})

    def _fault(self, key: bytes) -> server.Fault:
        complaint = orjson.dumps({"error": {"message": f"{self.tag.decode()} sent {key.decode()}", "code": "x"}})
        whole = server.http(self._said(b'{"messages":[{"content":"%b late"}]}' % self.tag, key))
        return self.dice.choice(
            [
                server.says(),
                server.resets(),
                server.says(whole[: self.dice.randrange(len(whole))]),
                server.says(server.http(complaint, status="500 Oops")),
                server.says(server.http(complaint, status="503 Busy")),
                server.says(server.http(b"<html>")),
                server.keeps(server.http(complaint, status="429 Slow")),
                server.keeps(server.http(complaint, status="400 Bad") if self.dice.random() < 0.1 else whole[:-1] + b"," + whole),
            ]
        )


async def main(workspaces: int, seed: int) -> None:
    recorders = [Recorder(number, seed) for number in range(workspaces)]
    listening = [await asyncio.start_server(each.connected, "127.0.0.1", 0, backlog=1000) for each in recorders]
    ports = [each.sockets[0].getsockname()[1] for each in listening]
    for number, each in enumerate(recorders):
        each.neighbour = f"http://127.0.0.1:{ports[(number + 1) % workspaces]}/v1/chat/completions"

    async def told(reader: server.Reader, writer: server.Writer) -> None:
        await server.read_request(reader)
        counts: dict[str, Any] = {name_of(each.number): each.counts for each in recorders}
        await server.says(server.http(orjson.dumps(counts)))(reader, writer)

    control = await asyncio.start_server(told, "127.0.0.1", 0)
    sys.stdout.write(json.dumps({"ports": ports, "told": control.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await control.serve_forever()


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), int(sys.argv[2]))
