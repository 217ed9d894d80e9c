"""What `batchrun plan` forecasts against the run that follows, for seven jobs that differ: `python -m tests.benchmarks.plans [JOB]`.

Everything is the real thing (input, ledger, engine, transport, the simulator on a socket) but the time: whenever nothing is ready and no
thread is at work, both clocks jump to the next timer. Each job is carried out twice: first a quarter of its rows, of which nothing is known
yet, then the rest, with what the first run has learnt. Each is planned right before. It is asked for 5 % of the time and 10 % of the
tokens once there was a run; before there was one, the figures are told.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.virtual import begin, run_in_virtual_time

_WORDS = Path(__file__).parents[2] / "samples" / "dataset.jsonl"
TIME, TOKENS = 0.05, 0.10


class Told(NamedTuple):
    """A forecast, and what came of it."""

    job: str
    run: str
    rows: int
    seconds: tuple[float, float]
    """Forecast, and taken."""
    tokens: tuple[float, float]

    @property
    def off(self) -> tuple[float, float]:
        """By how much the forecast was wrong, of what it was: of the time, and of the tokens."""
        return self.seconds[0] / self.seconds[1] - 1, self.tokens[0] / self.tokens[1] - 1

    def line(self) -> str:
        """A line of the table."""
        time_off, tokens_off = self.off
        asked = "" if self.run == "first" else "  pass" if abs(time_off) <= TIME and abs(tokens_off) <= TOKENS else "  SHORT"
        figures = f"{self.seconds[0]:9,.0f} s {self.seconds[1]:9,.0f} s {time_off:+7.1%} {tokens_off:+7.1%}"
        return f"{self.job:42} {self.run:6} {self.rows:6,} rows {figures}{asked}"


def _rows(workspace: str, count: int, *, median: int, spread: float, model: str | None = None) -> list[dict[str, Any]]:
    """Rows of real text whose length in characters is lognormal."""
    dice = random.Random(f"{workspace} {model}")
    text = " ".join(json.loads(line).get("prompt", "") for line in _WORDS.read_text("utf-8").splitlines())
    made = []
    for number in range(count):
        length = min(40_000, int(dice.lognormvariate(math.log(median), spread)))
        start = dice.randrange(max(1, len(text) - length))
        row = {
            "id": f"{workspace}-{model}-{number}",
            "workspace": workspace,
            "prompt": f"{number} Summarise: {text[start : start + length]}",
        }
        made.append(row | ({"model": model} if model else {}))
    return made


def _quotas(known: Mapping[str, int], real: Mapping[str, int] | None = None, account: str = "main", model: str = "qwen-plus") -> str:
    """An account's quota as the job names it, and as the provider keeps it, in windows of six seconds."""
    told = "".join(f"{unit} = {value}\n" for unit, value in known.items())
    kept = "".join(f"{unit} = {value}\n" for unit, value in (real or known).items())
    of_the_job = f'[accounts.{account}.quotas."{model}"]\n{told}' if known else f"[accounts.{account}]\n"
    return f'{of_the_job}[simulator.accounts.{account}.quotas."{model}"]\n{kept}period = 6\n'


def _jobs() -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Seven: name, job file but for its head, rows."""
    one = '[workspaces.a]\naccount = "main"\n'
    yield "held by 600 rpm", _quotas({"rpm": 600}) + one, _rows("a", 4_000, median=400, spread=0.3)
    tpm = {"tpm": 300_000}
    yield "held by 300,000 tpm, heavy-tailed rows", _quotas(tpm) + one, _rows("a", 4_000, median=800, spread=1.0)
    slots = "[simulator.latency]\nmedian = 2.0\n[workspaces.a]\nconcurrency = 12\n"
    yield "held by 12 slots", slots, _rows("a", 4_000, median=600, spread=0.5)
    slow = "[simulator.latency]\nmedian = 1.0\nper_token = 0.2\n"
    yield "held by 12 slots, answers as they come", slow + "[workspaces.a]\nconcurrency = 12\n", _rows("a", 4_000, median=600, spread=0.5)
    many = f'{slow}{_quotas({"tpm": 300_000})}[workspaces.a]\naccount = "main"\nconcurrency = 400\n'
    yield "held by 300,000 tpm, answers as they come", many, _rows("a", 4_000, median=600, spread=0.5)
    mixed = (
        _quotas({"rpm": 600})
        + '[[simulator.faults]]\nkind = "throttle"\nrate = 0.05\nworkspace = "a"\n[[simulator.faults]]\nkind = "unavailable"\nrate = 0.02\n'
        '[[simulator.faults]]\nkind = "throttle"\nrate = 0.05\nworkspace = "c"\n'
        '[workspaces.a]\naccount = "main"\nweight = 2\n[workspaces.b]\naccount = "main"\n[workspaces.c]\nconcurrency = 10\n'
    )
    rows = [
        *_rows("a", 1_600, median=400, spread=0.5),
        *_rows("b", 1_600, median=900, spread=0.5),
        *_rows("c", 1_600, median=300, spread=0.5),
    ]
    yield "two pools, refusals by chance and 503s", mixed, rows
    hours = _quotas({"rpm": 300}) + '[workspaces.day]\naccount = "main"\n[workspaces.night]\nwindow = "22:00-06:00 UTC"\nconcurrency = 6\n'
    yield "one of two opens at 22:00", hours, [*_rows("day", 2_400, median=500, spread=0.5), *_rows("night", 3_000, median=500, spread=0.5)]


_HEAD = """[job]
input = "in.jsonl"
output = "run"
[defaults]
model = "qwen-plus"
endpoint = "simulator"
concurrency = 64
parameters = { max_tokens = 300 }
"""


def play(name: str, share: float = 1.0) -> list[Told]:
    """Plan and carry out one of the jobs, or a *share* of its rows, twice.

    In a process of its own, for its wall clock is not the machine's.
    """
    begin()
    from batchrun.edge.job_file import load_job  # noqa: PLC0415 - only now: the clock is a name that its modules take over
    from batchrun.running.one_run import read_statement  # noqa: PLC0415
    from batchrun.telling.foresight import look_ahead  # noqa: PLC0415

    tables, rows = next((tables, rows) for each, tables, rows in _jobs() if each == name)
    dice = random.Random(name)
    dice.shuffle(rows)
    rows = rows[: round(len(rows) * share)]
    told: list[Told] = []
    done = 0.0

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("job.toml").write_text(_HEAD + tables, encoding="utf-8")
        for which, count in (("first", len(rows) // 4), ("second", len(rows))):
            Path("in.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows[:count]), encoding="utf-8")
            job = load_job(Path("job.toml"))
            forecast = look_ahead(job, datetime.fromtimestamp(time.time(), UTC), dotenv=None)
            taken = run_in_virtual_time(job)
            total = read_statement(Path("run")).total()
            tokens = float(total.input_tokens + total.output_tokens)
            expected = float(sum(each.input_tokens + each.output_tokens for each in forecast.lanes))
            seconds = max(each.seconds or 0.0 for each in forecast.lanes), taken
            told.append(Told(name, which, sum(each.rows for each in forecast.lanes), seconds, (expected, tokens - done)))
            done = tokens
    return told


def main() -> None:
    """Play all jobs, or those whose names have the words after the command in them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", metavar="JOB", help="words of the names of jobs")
    wished = parser.parse_args()
    wanted = wished.words
    if wished.one:
        for each in play(wanted[0], *map(float, wanted[1:])):
            sys.stdout.write(each.line() + "\n")
        return
    chosen = [name for name, _, _ in _jobs() if all(word in name for word in wanted)]
    if not chosen:
        parser.error(f"no job has all of {', '.join(wanted)} in its name")
    sys.stdout.write(f"{'job':42} {'run':6} {'':11} {'forecast':>11} {'taken':>11} {'time':>7} {'tokens':>7}\n")
    sys.stdout.flush()
    for name in chosen:
        subprocess.run([sys.executable, "-m", "tests.benchmarks.plans", "--one", name], check=True)


if __name__ == "__main__":
    main()
