"""One child process, weighed: CPU seconds, peak memory; and what a row costs without the start."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests import weighing
from tests.benchmarks.speed import rows
from tests.benchmarks.speed.contestants import SMALL, Contestant, Task
from tests.benchmarks.speed.endpoint import counted


class Weight(NamedTuple):
    """What one run took."""

    cpu: float
    """Seconds, user and system, of the process and those that it waited for."""
    peak_bytes: int
    seconds: float
    """From the first connection to the last answer, as the endpoint saw it: some open all of theirs before they call."""
    connections: int


@dataclass(slots=True)
class Weighed:
    """The runs of one contestant, a round each."""

    contestant: Contestant
    count: int
    starts: list[Weight] = field(default_factory=list)
    runs: list[Weight] = field(default_factory=list)

    def micros(self) -> list[float]:
        """CPU microseconds a row, of each round."""
        start = median(each.cpu for each in self.starts)
        return [1e6 * (each.cpu - start) / (self.count - SMALL) for each in self.runs]

    def rates(self) -> list[float]:
        """Rows a second, of each round."""
        return [self.count / each.seconds for each in self.runs]

    def seconds(self) -> list[float]:
        """From the first connection to the last answer, of each round."""
        return [each.seconds for each in self.runs]

    def peak(self) -> int:
        """Bytes."""
        return max(each.peak_bytes for each in self.runs)


def weigh(contestant: Contestant, task: Task, folder: Path) -> Weight:
    """Carry *task* out in *folder*; raises where a row has no answer."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    counted(task.url)
    command = weighing.weighed(contestant.command(task._replace(folder=folder)))
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            command, cwd=folder, env=contestant.variables(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
        )
        took = weighing.told(child.communicate()[0])
        said.seek(0)
        tail = said.read()[-2000:].decode(errors="replace")
    answered, seen = contestant.answers(folder), counted(task.url)
    if took.exit_code or answered != task.rows:
        raise RuntimeError(f"{contestant.name}: exit {took.exit_code}, {answered} of {task.rows} rows answered:\n{tail}")
    return Weight(took.cpu, took.most_bytes, seen["seconds"], seen["connections"])


def alternate(
    contestants: Sequence[Contestant], count: int, workspaces: int, url: str, in_flight: int, rounds: int, folder: Path
) -> list[Weighed]:
    """Weigh all of them in turn, *rounds* times: what disturbs one round disturbs them all."""
    weighed = [Weighed(each, min(count, each.most)) for each in contestants]
    for _ in range(rounds):
        for each in weighed:
            for size, into in ((SMALL, each.starts), (each.count, each.runs)):
                source = folder / f"rows-{size}-{workspaces}.jsonl"
                names = rows.write(source, size, workspaces) if not source.exists() else rows.names(workspaces)
                task = Task(source, size, names, folder, url, in_flight)
                into.append(weigh(each.contestant, task, folder / "work"))
    return weighed
