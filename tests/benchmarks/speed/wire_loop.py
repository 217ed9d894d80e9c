"""The naive loop on batchrun's own transport: what its wire costs without the rest of it.

    wire_loop.py ROWS FOLDER URL KEY IN_FLIGHT

As `naive_loop.py`, but each answer is read, and searched for the key, as in a run.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import orjson

from batchrun.core.model import Hidden, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport


async def worker(wire: Transport, lines: Iterator[bytes], url: str, key: str, folder: Path, files: dict[str, IO[bytes]]) -> None:
    authorization = Hidden(f"Bearer {key}")
    for line in lines:
        row = orjson.loads(line)
        workspace = row["workspace"]
        asked = {"model": "qwen-plus", "messages": [{"role": "user", "content": row["prompt"]}], "max_tokens": 400}
        headers = {"Authorization": authorization, "Idempotency-Key": row["id"]}
        reply = await wire.post(Request(url, headers, orjson.dumps(asked)), Reading(OPENAI.dialect, asked))
        assert isinstance(reply, Reply), reply
        entry = {"id": row["id"], "workspace": workspace, "content": reply.content, "finish_reason": reply.finish_reason}
        usage = None if reply.usage is None else reply.usage.raw
        if workspace not in files:
            files[workspace] = (folder / f"{workspace}.jsonl").open("ab", buffering=0)
        files[workspace].write(orjson.dumps(entry | {"usage": usage}, option=orjson.OPT_APPEND_NEWLINE))


async def main(source: str, folder: Path, url: str, key: str, in_flight: int) -> None:
    wire = Transport(connect=10, idle=120, total=600, connections=in_flight, proxy="none", max_response_bytes=16 << 20)
    with Path(source).open("rb") as lines:  # noqa: ASYNC230 - the naive way, and the quickest
        async with wire:
            files: dict[str, IO[bytes]] = {}
            await asyncio.gather(*(worker(wire, lines, url, key, folder, files) for _ in range(in_flight)))  # noqa: TID251


if __name__ == "__main__":
    rows, out, called, secret, slots = sys.argv[1:]
    Path(out).mkdir(parents=True)
    asyncio.run(main(rows, Path(out), called, secret, int(slots)))
