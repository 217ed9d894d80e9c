"""Child processes: the command line, and servers that print where they listen."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import weighing

ROOT = Path(__file__).parents[2]
BATCHRUN = [sys.executable, "-c", "from batchrun.__main__ import main; main()"]


def environment(keys: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **(keys or {})}


@contextlib.contextmanager
def server(*arguments: str, cwd: Path = ROOT) -> Iterator[dict[str, Any]]:
    """Start ``python *arguments*`` and give the line of JSON that it says first."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, cwd=cwd, env=environment())
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate(timeout=20)


def batchrun(cwd: Path, *arguments: str, keys: Mapping[str, str] | None = None, timeout: float = 100) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*BATCHRUN, *arguments], capture_output=True, cwd=cwd, env=environment(keys), timeout=timeout, check=False)


def starting(cwd: Path, *arguments: str, keys: Mapping[str, str] | None = None, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*BATCHRUN, *arguments], cwd=cwd, env=environment(keys), **more)


def ended(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Wait until *process* has ended by itself, and give what it said: however busy the machine is, until the test's deadline."""
    try:
        return process.communicate()
    except BaseException:
        process.kill()
        raise


def jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def entries(directory: Path, name: str = "results") -> list[dict[str, Any]]:
    """All entries of a kind of file, over all workspaces of a run directory."""
    return [json.loads(line) for path in sorted(directory.glob(f"*/{name}.jsonl")) for line in path.read_bytes().splitlines()]


def count_of(directory: Path) -> int:
    """How many answers stand in a run directory that may be written to: of a line that is being written some may be seen."""
    return sum(path.read_bytes().count(b"\n") for path in directory.glob("*/results.jsonl"))


def measured(cwd: Path, *arguments: str, keys: Mapping[str, str]) -> tuple[int, float]:
    """Carry the command out with its words thrown away; give its exit code and the most MiB it had in memory."""
    command = weighing.weighed([*BATCHRUN, *arguments])
    said = subprocess.run(command, cwd=cwd, env=environment(keys), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    took = weighing.told(said)
    return took.exit_code, took.most_mib
