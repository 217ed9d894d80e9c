"""A server as a child process, and batchrun run against it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

ROOT = Path(__file__).parents[2]
BATCHRUN = (sys.executable, "-c", "from batchrun.__main__ import main; main()")

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Tell(Protocol):
    """Notes counts by name."""

    def __call__(self, **counts: object) -> None: ...


def program(name: str, package: str) -> str:
    """The path of an installed program; a test that needs it fails where it is missing."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
    assert found, f"{name} is not installed: apt-get install {package} (.ci/run does it for all that the suite needs)"
    return found


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def get(url: str, *, key: str = "", timeout: float = 10) -> bytes:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with _direct.open(urllib.request.Request(url, headers=headers), timeout=timeout) as answer:
        return bytes(answer.read())


def answers(url: str) -> bool:
    """Whether the server says 200 at *url*."""
    try:
        get(url, timeout=2)
    except (OSError, urllib.error.URLError):
        return False
    return True


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def until(process: subprocess.Popen[bytes], met: Callable[[], bool], within: float) -> str | None:
    """Wait till *met*; what went wrong where *process* ended first or *within* seconds were over."""
    deadline = time.monotonic() + within
    while not met():
        if time.monotonic() > deadline:
            return f"not there after {within} s"
        # The wait is the pause between two looks, and ends at once with the process.
        with contextlib.suppress(subprocess.TimeoutExpired):
            return f"ended with {process.wait(timeout=0.05)}"
    return None


@contextlib.contextmanager
def serving(
    command: Sequence[str | Path],
    ready: Callable[[], bool],
    log: Path,
    *,
    within: float = 30,
    variables: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* until the block ends; enter it once *ready*. Fails with the end of its log where it dies or is not ready in time."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*map(str, command)], stdout=output, stderr=output, cwd=cwd or log.parent, env={**os.environ, **(variables or {})}
        )
    try:
        died = until(process, ready, within)
        assert died is None, f"{command[0]}: {died}\n{log.read_text(errors='replace')[-3000:]}"
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=15)


@contextlib.contextmanager
def simulator(tmp_path: Path, scenario: str) -> Iterator[str]:
    """The base address of `batchrun simulate`, open to every key sk-sim-NAME, behind which the bill is kept."""
    port = free_port()
    file = tmp_path / "scenario.toml"
    file.write_text(scenario)
    command = [*BATCHRUN, "simulate", "--port", str(port), "--scenario", str(file)]
    with serving(command, lambda: listens(port), tmp_path / "simulator.log", variables={"PYTHONPATH": str(ROOT)}):
        yield f"http://127.0.0.1:{port}"


class Attempt(NamedTuple):
    """One call, as attempts.log tells it."""

    workspace: str
    row: str
    started: float
    ended: float
    verdict: str
    status: int | None


class Job:
    """A job of a test: its workspaces are named by their keys."""

    def __init__(self, home: Path, base_url: str, keys: Mapping[str, str], *, model: str = "qwen-plus", settings: str = "") -> None:
        self.home = home
        self.keys = keys
        self.directory = home / "run"
        tables = "".join(f'[workspaces.{name}]\napi_key_env = "{name.upper()}_KEY"\n' for name in keys)
        (home / "job.toml").write_text(
            '[job]\ninput = "rows.jsonl"\noutput = "run"\n'
            f'[defaults]\nmodel = "{model}"\nendpoint = "{base_url}"\nconcurrency = 4\n{settings}\n{tables}'
        )

    def asks(self, rows: Sequence[Mapping[str, Any]]) -> None:
        (self.home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def start(self, *arguments: str, keys: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        variables = {f"{name.upper()}_KEY": key for name, key in (keys or self.keys).items()}
        return subprocess.Popen(
            [*BATCHRUN, "run", "job.toml", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.home,
            env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
        )

    def run(self, *arguments: str, keys: Mapping[str, str] | None = None, within: float = 90) -> Done:
        with self.start(*arguments, keys=keys) as process:
            try:
                out, err = process.communicate(timeout=within)
            except subprocess.TimeoutExpired:
                process.kill()
                said = process.communicate()[1].decode()
                raise AssertionError(f"batchrun has not ended after {within} s:\n{said[-2000:]}") from None
        return Done(process.returncode, out, err.decode())

    def answered(self) -> list[dict[str, Any]]:
        return self._entries("results.jsonl")

    def failed(self) -> list[dict[str, Any]]:
        return self._entries("errors.jsonl")

    def attempts(self) -> list[Attempt]:
        """Every call that has an end, in the order of their ends."""
        started: dict[str, dict[str, Any]] = {}
        calls = []
        for line in (self.directory / "attempts.log").read_bytes().splitlines():
            fields = json.loads(line)
            if "start" in fields:
                started[fields["start"]] = fields
            elif "end" in fields:
                begin = started[fields["end"]]
                calls.append(Attempt(begin["workspace"], begin["id"], begin["at"], fields["at"], fields["verdict"], fields.get("status")))
        return calls

    def _entries(self, file: str) -> list[dict[str, Any]]:
        return [json.loads(line) for path in sorted(self.directory.glob(f"*/{file}")) for line in path.read_bytes().splitlines()]


class Done(NamedTuple):
    """How a `batchrun run` ended."""

    code: int
    out: bytes
    said: str

    def total(self) -> dict[str, int]:
        """The totals of a run with `--json`."""
        total: dict[str, int] = json.loads(self.out)["total"]
        return total


def rows_of(workspaces: Sequence[str], count: int, **more: Any) -> list[dict[str, Any]]:
    """*count* rows with prompts that differ, the workspaces in turn."""
    return [
        {
            "id": f"r-{number}",
            "workspace": workspaces[number % len(workspaces)],
            "prompt": f"Say in a few words what pump number {number} does.",
            **more,
        }
        for number in range(count)
    ]


def once_each(job: Job, rows: Sequence[Mapping[str, Any]]) -> None:
    """Hold that every row has one answer, and none two."""
    assert sorted(entry["id"] for entry in job.answered()) == sorted(row["id"] for row in rows)


def bill(simulator_url: str) -> dict[str, int]:
    total: dict[str, int] = json.loads(get(f"{simulator_url}/simulator/bill"))["total"]
    return total
