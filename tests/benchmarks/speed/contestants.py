"""What is measured: each a command that takes a file of rows to an endpoint."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.speed import rows

_HERE = Path(__file__).parent
_MAIN = "from batchrun.cli import main; main()"
SMALL = 200
"""Rows of the run that start-up is taken from."""


class Task(NamedTuple):
    """Rows to be carried out."""

    source: Path
    rows: int
    workspaces: list[str]
    folder: Path
    """Empty: for whatever the contestant writes."""
    url: str
    in_flight: int


Command = Callable[[Task], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to carry rows out."""

    name: str
    command: Command
    most: int = 20_000
    """Rows that are worth waiting for."""
    environment: Mapping[str, str] = field(default_factory=dict)
    answered: Callable[[Path], int] | None = None
    """Counts the answers it wrote; None where every line of its folder's .jsonl files is one."""

    def answers(self, folder: Path) -> int:
        """How many rows it answered."""
        if self.answered is not None:
            return self.answered(folder)
        return sum(path.read_bytes().count(b"\n") for path in folder.rglob("*.jsonl"))

    def variables(self) -> dict[str, str]:
        """Its environment: no proxy, no telemetry, no key but a fake."""
        kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and "KEY" not in name}
        return {**kept, "BENCHMARK_KEY": rows.KEY, **self.environment}


def script(name: str, python: str = sys.executable) -> Command:
    """A client of this folder, run with *python*."""
    return lambda task: [
        python, str(_HERE / f"{name}.py"), str(task.source), str(task.folder / "out"), task.url, rows.KEY, str(task.in_flight)
    ]  # fmt: skip


def batchrun(*options: str, more: str = "") -> Command:
    """`batchrun run`, all that it does included; *more* goes into its job."""

    def command(task: Task) -> Sequence[str]:
        job = task.folder / "job.toml"
        rows.job(job, task.source, task.folder / "run", task.url, task.workspaces, task.in_flight, more)
        return [sys.executable, "-c", _MAIN, "run", str(job), *options]

    return command


def _of_a_run(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("run/*/results.jsonl"))


NAIVE = Contestant("naive aiohttp loop", script("naive_loop"))
BARE = Contestant("bare asyncio client", script("bare_client"))
BATCHRUN = Contestant("batchrun", batchrun(), answered=_of_a_run)
