"""Every kind of `kinds.py` behind one port of a process of its own: ``python -m tests.faults.endpoints`` prints the port as JSON.

The path says what is asked for: ``/plain/N`` and ``/streamed/N`` are the N-th kind of their table, ``/good`` answers after `LATENCY`,
``/slow`` after `WAITED`, ``/large`` at once, with twelve million characters.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

import anyio

from tests.edge import fault_server as server
from tests.faults.kinds import PLAIN, STREAMED, said

LATENCY = 0.05
WAITED = 0.2
TABLES = {b"plain": [*PLAIN.values()], b"streamed": [*STREAMED.values()]}


async def _good(_: server.Reader, writer: server.Writer) -> None:
    await anyio.sleep(LATENCY)
    writer.write(server.http())


async def _slow(_: server.Reader, writer: server.Writer) -> None:
    await anyio.sleep(WAITED)
    writer.write(server.http())


async def _large(_: server.Reader, writer: server.Writer) -> None:
    body = server.http(said({"content": "a" * 12_000_000}))
    for at in range(0, len(body), 65_536):
        writer.write(body[at : at + 65_536])
        await writer.drain()


def _meant(request: bytes) -> server.Fault:
    _, form, number, *_ = [*request.split(b" ", 2)[1].split(b"/"), b"0", b"0"]
    own = {b"large": _large, b"slow": _slow}
    if form in own:
        return own[form]
    return TABLES[form][int(number)].does if form in TABLES else _good


async def _connected(reader: server.Reader, writer: server.Writer) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        while not writer.is_closing():
            await _meant(await server.read_request(reader))(reader, writer)
    writer.close()


async def main() -> None:
    listening = await asyncio.start_server(_connected, "127.0.0.1", 0, backlog=2_000)
    sys.stdout.write(json.dumps({"port": listening.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await listening.serve_forever()


if __name__ == "__main__":
    anyio.run(main)
