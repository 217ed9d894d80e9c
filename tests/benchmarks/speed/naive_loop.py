"""The measure of speed: the least that a program on aiohttp can do with a file of rows.

    naive_loop.py ROWS FOLDER URL KEY IN_FLIGHT

So many workers take a line each, post it, parse what comes and write a line of it. No retries, limits, ledger or statement.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import aiohttp
import orjson


async def worker(
    session: aiohttp.ClientSession, lines: Iterator[bytes], url: str, key: str, folder: Path, files: dict[str, IO[bytes]]
) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for line in lines:
        row = orjson.loads(line)
        workspace = row["workspace"]
        body = orjson.dumps({"model": "qwen-plus", "messages": [{"role": "user", "content": row["prompt"]}], "max_tokens": 400})
        async with session.post(url, data=body, headers=headers) as response:
            answer = orjson.loads(await response.read())
        choice = answer["choices"][0]
        entry = {"id": row["id"], "workspace": workspace, "content": choice["message"]["content"], "finish_reason": choice["finish_reason"]}
        if workspace not in files:
            files[workspace] = (folder / f"{workspace}.jsonl").open("ab", buffering=0)
        files[workspace].write(orjson.dumps(entry | {"usage": answer["usage"]}, option=orjson.OPT_APPEND_NEWLINE))


async def main(source: str, folder: Path, url: str, key: str, in_flight: int) -> None:
    connector = aiohttp.TCPConnector(limit=in_flight)
    with Path(source).open("rb") as lines:  # noqa: ASYNC230 - the naive way, and the quickest
        async with aiohttp.ClientSession(connector=connector) as session:
            files: dict[str, IO[bytes]] = {}
            await asyncio.gather(*(worker(session, lines, url, key, folder, files) for _ in range(in_flight)))  # noqa: TID251


if __name__ == "__main__":
    rows, out, called, secret, slots = sys.argv[1:]
    Path(out).mkdir(parents=True)
    asyncio.run(main(rows, Path(out), called, secret, int(slots)))
