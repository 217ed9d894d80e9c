"""Endpoints that are mistyped, not there yet, or away for a while: no row is given up for it, and it is told in one line."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import orjson
import pytest

from batchrun import run
from batchrun.core.jobs.job import Job
from batchrun.core.scheduling.outages import IN_A_ROW
from batchrun.report.ending import ending_told
from batchrun.running.wishes import Ending, Wishes
from tests.edge import fault_server as server

PAGE = b"<!DOCTYPE html><html><body>Not here.</body></html>"


def job_of(home: Path, url: str, *, rows: int = 200, **tables: object) -> Job:
    names = ("legal", "sales")
    lines = [{"id": f"r-{n}", "workspace": names[n % 2], "prompt": f"Note {n}."} for n in range(rows)]
    (home / "rows.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    (home / ".env").write_text("".join(f"{name.upper()}_KEY=sk-fake-{name}-000000\n" for name in names))
    told = {
        "job": {"name": "night", "input": str(home / "rows.jsonl"), "output": str(home / "run")},
        "defaults": {"endpoint": url, "model": "qwen-plus", "concurrency": 8},
        "workspaces": {name: {"api_key_env": f"{name.upper()}_KEY"} for name in names},
        "retry": {"max_attempts": 2, "backoff": {"first": 0.05, "max": 0.1}},
    }
    return Job.model_validate(told | tables)


async def carried_out(job: Job, home: Path, notes: list[str] | None = None) -> Ending:
    return await run(job, Wishes(dotenv=home / ".env", page=None, note=(notes if notes is not None else []).append))


def words(ending: Ending) -> list[str]:
    return [*ending_told(ending, "batchrun run job.toml", "run", ("legal", "sales"))]


def a_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_where_nothing_listens_all_rows_stay_pending_after_a_few_calls_and_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("batchrun.core.scheduling.judging.TOO_LONG_AT_FIRST", 2.0)
    url, notes = f"http://127.0.0.1:{a_port()}/v1", list[str]()
    ending = anyio.run(carried_out, job_of(tmp_path, url), tmp_path, notes)
    total = ending.statement.total()
    assert (ending.exit_code, total.pending, total.exhausted, total.answered) == (4, 200, 0, 0)
    assert total.calls <= 2 * (IN_A_ROW + 8 + 4)
    (parked,) = (line for line in words(ending) if line.startswith("parked"))
    refused = f"connection_refused: the endpoint refused the connection ({url}/chat/completions: "
    assert parked.startswith(f"parked: legal qwen-plus, sales qwen-plus, 200 rows: {refused}")
    assert "nothing listens at the workspace's endpoint" in parked
    told = [note.split(": every call fails: ") for note in notes if "every call fails" in note]
    assert sorted(name for names, _ in told for name in names.split(", ")) == ["legal qwen-plus", "sales qwen-plus"]
    assert all(why.startswith(refused) for _, why in told)


@pytest.mark.parametrize("status", [200, 302, 404, 405, 511])
def test_an_address_that_answers_a_web_page_to_everything_parks_and_gives_no_row_up(tmp_path, status):
    async def main() -> Ending:
        said = b"HTTP/1.1 %d No\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (status, len(PAGE), PAGE)
        async with server.serving(server.says(said)) as there:
            return await carried_out(job_of(tmp_path, f"http://127.0.0.1:{there.port}/v1"), tmp_path)

    ending = anyio.run(main)
    total = ending.statement.total()
    assert (ending.exit_code, total.pending, total.exhausted, total.rejected) == (4, 200, 0, 0)
    assert total.calls <= 16
    assert len([line for line in words(ending) if line.startswith("parked")]) == 2, "one a workspace and model"


class Away:
    """An endpoint that goes away after a number of answers, with all its connections."""

    def __init__(self, answers: int) -> None:
        self.left = answers
        self.gone = asyncio.Event()

    async def __call__(self, _: server.Reader, writer: server.Writer) -> None:
        await anyio.sleep(0.01)
        if self.left > 0:
            self.left -= 1
            writer.write(server.http())
        else:
            self.gone.set()
            writer.transport.abort()


def test_an_endpoint_that_goes_away_in_a_run_and_comes_back_is_waited_for_and_gives_no_row_up(tmp_path):
    notes: list[str] = []
    ended: list[Ending] = []
    over = anyio.Event()
    away, port = Away(60), a_port()

    async def carry_out() -> None:
        ended.append(await carried_out(job_of(tmp_path, f"http://127.0.0.1:{port}/v1"), tmp_path, notes))
        over.set()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            async with server.serving(away, port=port):
                tasks.start_soon(carry_out)
                await away.gone.wait()
            await anyio.sleep(2.2)
            away.left = 1000
            async with server.serving(away, port=port):
                await over.wait()

    anyio.run(main)
    total = ended[0].statement.total()
    assert (ended[0].exit_code, total.answered, total.exhausted) == (0, 200, 0)
    assert total.calls <= 200 + 2 * (IN_A_ROW + 8 + 8)
    assert "every call fails: connection_refused: the endpoint refused the connection" in notes[0]


def page(status: int) -> bytes:
    return b"HTTP/1.1 %d No\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (status, len(PAGE), PAGE)


class Firewall:
    """Stands before an endpoint and refuses what *refuses* says, by the request and how many there have been."""

    def __init__(self, status: int, refuses: Callable[[bytes, int], bool]) -> None:
        self.status, self.refuses = status, refuses
        self.there: server.Server
        self.count = 0

    async def __call__(self, _: server.Reader, writer: server.Writer) -> None:
        self.count += 1
        writer.write(page(self.status) if self.refuses(self.there.requests[-1], self.count) else server.http())

    async def carried_out(self, home: Path, attempts: int = 2, first: float = 0.05, rows: int = 200) -> Ending:
        retry = {"max_attempts": attempts, "backoff": {"first": first, "max": 2 * first}}
        async with server.serving(self) as self.there:
            return await carried_out(job_of(home, f"http://127.0.0.1:{self.there.port}/v1", rows=rows, retry=retry), home)


@pytest.mark.parametrize(
    ("status", "text"),
    [*((status, text) for status in (403, 405, 302) for text in (b"Note 0.", b"Note 20.")), (406, b"Note 20.")],
)
def test_a_row_that_a_firewall_refuses_for_its_text_is_given_up_and_the_others_are_answered(tmp_path, status, text):
    firewall = Firewall(status, lambda request, _: text in request)
    ending = anyio.run(firewall.carried_out, tmp_path)
    total = ending.statement.total()
    assert (ending.exit_code, total.answered, total.exhausted, total.pending) == (3, 199, 1, 0)
    (entry,) = map(orjson.loads, (tmp_path / "run" / "legal" / "errors.jsonl").read_bytes().splitlines())
    assert (entry["outcome"], entry["failure"]["fault"], entry["failure"]["status"]) == ("exhausted", "again", status)
    assert "a firewall or a gateway between here and the provider refuses it" in entry["failure"]["advice"]


@pytest.mark.parametrize("status", [404, 405, 307, 400, 406, 511])
def test_a_gateway_that_sends_its_web_page_for_a_while_parks_nothing(tmp_path, status):
    firewall = Firewall(status, lambda _, count: 50 <= count < 90)
    # As in earnest, a row waits longer than the others take to begin an outage: with quick retries one may by chance be in all of it.
    ending = anyio.run(firewall.carried_out, tmp_path, 6, 1.0)
    total = ending.statement.total()
    assert (ending.exit_code, total.answered, total.exhausted, total.pending) == (0, 200, 0, 0)
    assert total.calls == 240


def test_a_gateway_that_redirects_all_that_is_left_once_some_were_answered_uses_up_no_row(tmp_path, monkeypatch):
    monkeypatch.setattr("batchrun.core.scheduling.outages._LONGEST_BY_ROWS", 0.02)
    firewall = Firewall(302, lambda _, count: 20 < count <= 300)
    ending = anyio.run(firewall.carried_out, tmp_path, 6, 0.1, 60)
    total = ending.statement.total()
    assert (ending.exit_code, total.answered, total.exhausted, total.calls) == (0, 60, 0, 340)
