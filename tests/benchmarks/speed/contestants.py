"""What is measured: each a command that takes a file of rows to an endpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.speed import rows
from tests.sdk.environments import Sdk, built

_HERE = Path(__file__).parent
_MAIN = "from batchrun.__main__ import main; main()"
WITHOUT_UVLOOP = "import sys; sys.modules['uvloop'] = None; "
"""Has what comes after it go by asyncio's own loop, though uvloop be installed here."""
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


def script(name: str, python: str = sys.executable, *first: str) -> Command:
    """A client of this folder, run with *python*; *first* goes before its arguments."""
    return lambda task: [
        python, str(_HERE / f"{name}.py"), *first, str(task.source), str(task.folder / "out"), task.url, rows.KEY, str(task.in_flight)
    ]  # fmt: skip


def _batchrun(main: str) -> Command:
    """`batchrun run`, all that it does included, by what *main* says."""

    def command(task: Task) -> Sequence[str]:
        job = task.folder / "job.toml"
        rows.job(job, task.source, task.folder / "run", task.url, task.workspaces, task.in_flight)
        return [sys.executable, "-c", main, "run", str(job)]

    return command


def _of_a_run(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("run/*/results.jsonl"))


class Peer(NamedTuple):
    """A program that does the same job."""

    name: str
    package: Sdk
    extra: str = ""
    most: int = 20_000


_UVLOOP = Sdk("uvloop", "0.22.1")
PEERS = (
    Peer("lm-deluge", Sdk("lm-deluge", "0.0.168"), most=4_000),
    Peer("async-batch-llm", Sdk("async-batch-llm", "0.28.0"), "[openai]", 2_000),
    Peer("flexllm", Sdk("flexllm", "0.17.10"), most=4_000),
    Peer("openai", Sdk("openai", "3.57.0"), most=2_000),
    Peer("curator", Sdk("bespokelabs-curator", "0.1.31"), most=2_000),
    Peer("litellm", Sdk("litellm", "1.110.2"), most=1_000),
)
"""The slow ones carry out fewer rows."""


def contestant_of(peer: Peer) -> Contestant | str:
    """The peer in an environment of its own, which is built the first time; or why it can not be had."""

    def build(place: Path, sdk: Sdk) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, timeout=120)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"{sdk.package}{peer.extra}=={sdk.version}"], check=True, timeout=900, capture_output=True)

    try:
        python = str(built(peer.package, build=build) / "bin" / "python")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        return f"{peer.package.pin} could not be installed ({type(error).__name__})"
    return Contestant(peer.name, script("peer_client", python, peer.name), peer.most, answered=_told)


def _told(folder: Path) -> int:
    return (folder / "out" / "answered.jsonl").read_bytes().count(b"\n")


NAIVE = Contestant("naive aiohttp loop", script("naive_loop"))
WIRE = Contestant("the same on our wire", script("wire_loop"))
BARE = Contestant("bare asyncio client", script("bare_client"))
BATCHRUN = Contestant("batchrun", _batchrun(WITHOUT_UVLOOP + _MAIN), answered=_of_a_run)


def fast() -> Contestant | str:
    """`batchrun run` with the loop of the extra ``fast``, which need not be installed here; or why it can not be had."""
    try:
        place = built(_UVLOOP)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return f"{_UVLOOP.pin} could not be installed ({type(error).__name__})"
    environment = {"PYTHONPATH": str(next(place.glob("lib/python*/site-packages")))}
    return replace(BATCHRUN, name="batchrun on uvloop", command=_batchrun(_MAIN), environment=environment)
