"""The floor: what a row costs on asyncio's bare transports, with just enough HTTP for one kind of answer.

    bare_client.py ROWS FOLDER URL KEY IN_FLIGHT

No client, no timeouts, no pool: so many connections, each sends its next row as soon as it has the answer to its last.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import orjson


class Connection(asyncio.Protocol):
    def __init__(self, lines: Iterator[bytes], head: bytes, folder: Path, files: dict[str, IO[bytes]]) -> None:
        self._lines, self._head, self._folder, self._files = lines, head, folder, files
        self._row: dict[str, str] = {}
        self._bytes = b""
        self._transport: asyncio.WriteTransport
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        head, found, body = self._bytes.partition(b"\r\n\r\n")
        if not found:
            return
        start = head.lower().index(b"content-length:") + 15
        length = int(head[start:].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._bytes = b""
        self._write(orjson.loads(body))
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed"))

    def _send(self) -> None:
        line = next(self._lines, None)
        if line is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._row = orjson.loads(line)
        message = {"role": "user", "content": self._row["prompt"]}
        body = orjson.dumps({"model": "qwen-plus", "messages": [message], "max_tokens": 400})
        self._transport.write(b"%sContent-Length: %d\r\n\r\n%s" % (self._head, len(body), body))

    def _write(self, answer: dict[str, Any]) -> None:
        row, choice = self._row, answer["choices"][0]
        workspace = row["workspace"]
        entry = {"id": row["id"], "workspace": workspace, "content": choice["message"]["content"], "finish_reason": choice["finish_reason"]}
        if workspace not in self._files:
            self._files[workspace] = (self._folder / f"{workspace}.jsonl").open("ab", buffering=0)
        self._files[workspace].write(orjson.dumps(entry | {"usage": answer["usage"]}, option=orjson.OPT_APPEND_NEWLINE))


async def main(source: str, folder: Path, url: str, key: str, in_flight: int) -> None:
    place = urlsplit(url)
    host, port = place.hostname or "", place.port or 80
    head = (
        f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {key}\r\n"
        "Accept: application/json\r\nContent-Type: application/json\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    with Path(source).open("rb") as lines:  # noqa: ASYNC230 - the naive way, and the quickest
        files: dict[str, IO[bytes]] = {}
        made = [await loop.create_connection(lambda: Connection(iter(lines), head, folder, files), host, port) for _ in range(in_flight)]
        for _, connection in made:
            await connection.done


if __name__ == "__main__":
    rows, out, called, secret, slots = sys.argv[1:]
    Path(out).mkdir(parents=True)
    asyncio.run(main(rows, Path(out), called, secret, int(slots)))
