"""What reports cost: `python -m tests.benchmarks.reports` writes ledgers, of one large run and of a month of nights, and reads them.

The ledgers are written by batchrun's own writers: twelve workspaces, four models with tiers, cache hits and thinking, re-asks, billed and
unbilled retries, throttles, rejected rows, answers cut off, calls killed; answers of some 600 bytes. Each report is a process of its own,
which tells its CPU time and its peak of memory. Beside them stands a bare reading of the same files, line by line with orjson: the measure.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click
import orjson

from batchrun.core.ledger.attempts import Bound, ended_line, started_line
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.model import Answered, Call, Failure, Fault, Rejected, Reply, Row, Scope, Usage
from batchrun.core.money.pricing import standard_prices

WORKSPACES = tuple(f"department-{number:02}" for number in range(12))
MODELS = ("qwen-plus", "qwen-flash", "qwen-max", "qwen3-max")
BEGAN = datetime(2026, 11, 1, 14, tzinfo=UTC).timestamp()
MOST = Bound(9_000, 4_000)
_TEXT = "The invoice of the ninth names two parcels; the second was returned, and its price is to be paid back. " * 6
_PRICES = standard_prices()
_ENDING = """
import atexit, sys, time
def tell():
    # Not ru_maxrss: a child's begins at its parent's.
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    sys.stderr.write(f"{time.process_time()} {peak}\\n")
atexit.register(tell)
"""
_READ_BARE = """
import sys, orjson
from pathlib import Path
for place in sys.argv[1:]:
    for path in [Path(place, "attempts.log"), *Path(place).glob("*/*.jsonl")]:
        with path.open("rb", buffering=1 << 20) as file:
            for line in file:
                orjson.loads(line)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process."""

    wall: float
    cpu: float
    peak_mb: float
    output: bytes


def write_night(directory: Path, rows: int, night: int, *, seed: int = 1) -> Path:
    """Write the run directory of a night of so many rows."""
    dice = random.Random(f"{seed} {night}")
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    directory.mkdir(parents=True)
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}

        def put(name: str, line: bytes) -> None:
            if name not in files:
                (directory / name).parent.mkdir(exist_ok=True)
                files[name] = stack.enter_context((directory / name).open("wb", buffering=1 << 18))
            files[name].write(line)

        calls = 0
        for number in range(rows):
            row = _row(dice, number)
            counts[row.workspace][row.model] += 1
            at = BEGAN + 86_400 * night + 36_000 * number / rows
            for verdict, result in _results(dice):
                calls += 1
                _write_call(put, row, f"1-{calls}", at, verdict, result)
    tables = {name: {"endpoint": "public", "api_key_env": "NIGHT_KEY"} for name in WORKSPACES}
    job = {"job": {"name": "night", "input": [{"path": "rows.jsonl"}]}, "workspaces": tables}
    described = {"format": 1, "run": f"{seed}-{night}", "name": "night", "rejected_input": 0, "rows": counts, "job": job}
    (directory / "run.json").write_bytes(orjson.dumps(described))
    return directory


def _row(dice: random.Random, number: int) -> Row:
    metadata = {"project": f"project-{dice.randrange(40)}", "ticket": f"T-{number}"}
    return Row(f"row-{number:07}", dice.choice(WORKSPACES), dice.choice(MODELS), {}, f"{number:016x}", metadata)


def _results(dice: random.Random) -> Iterator[tuple[str, Reply | Failure | None]]:
    """The calls of a row, None being one that was killed."""
    while (luck := dice.random()) < 0.06:
        failure = Failure(Fault.AGAIN, Scope.ROW, "ServiceUnavailable", "busy", "wait", status=503)
        if luck < 0.02:
            yield "throttled", Failure(Fault.THROTTLED, Scope.LANE, "limit_requests", "slow down", "wait", status=429)
        elif luck < 0.04:
            yield "again", failure
        elif luck < 0.05:
            yield "again", Failure(Fault.AGAIN, Scope.ROW, "incomplete", "torn", "wait", status=200, usage=_usage(dice))
        else:
            usage = _usage(dice)
            yield "reasked", Failure(Fault.REASK, Scope.ROW, "misfit", "no", "ask", usage=usage, reply=Reply("{", "stop", usage))
    if luck < 0.065:
        yield "rejected", Failure(Fault.REJECT, Scope.ROW, "DataInspectionFailed", "inspected", "reword", status=400)
    elif luck < 0.066:
        yield "killed", None
    else:
        yield "answered", Reply(_TEXT, "length" if luck > 0.99 else "stop", _usage(dice), f"req-{dice.getrandbits(64):x}")


def _usage(dice: random.Random) -> Usage:
    asked, told = dice.randrange(200, 8000), dice.randrange(20, 900)
    cached = asked // 2 if dice.random() < 0.2 else 0
    raw = {"prompt_tokens": asked, "completion_tokens": told, "prompt_tokens_details": {"cached_tokens": cached}}
    return Usage(asked, told, cached, told // 3 if dice.random() < 0.1 else 0, raw)


def _write_call(put, row: Row, name: str, at: float, verdict: str, result: Reply | Failure | None) -> None:
    put("attempts.log", started_line(name, at, row, MOST))
    if result is None:
        return
    found = result.usage and _PRICES.cost(row.model, "cn", result.usage, datetime.fromtimestamp(at, UTC).date())
    cost, call = found.money() if found else None, Call(name, 1, at, 900)
    if isinstance(result, Reply):
        put(f"{row.workspace}/results.jsonl", write_entry(Answered(row, result, call), "batchrun", raw=False, cost=cost))
    elif verdict == "rejected":
        put(f"{row.workspace}/errors.jsonl", write_entry(Rejected(row, result, call), "batchrun", raw=False, cost=cost))
    put("attempts.log", ended_line(name, at + 0.9, verdict, result, cost, metadata=row.metadata))


def measured(code: str, *arguments: str | Path) -> Cost:
    """Run *code* in a process of its own to its end."""
    began = time.perf_counter()
    command = [sys.executable, "-c", _ENDING + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    *notes, told = done.stderr.decode().splitlines() or [""]
    if done.returncode:
        raise RuntimeError("\n".join([*notes, told]))
    cpu, peak = told.split()
    return Cost(time.perf_counter() - began, float(cpu), int(peak) / 1024, done.stdout)


def reported(directories: Sequence[Path], *options: str | Path) -> Cost:
    """``batchrun report``."""
    return measured("from batchrun.cli import main; main()", "report", *directories, *options)


def read_bare(directories: Sequence[Path]) -> Cost:
    """The same files, line by line, parsed and dropped."""
    return measured(_READ_BARE, *directories)


def _tell(what: str, cost: Cost, rows: int) -> None:
    click.echo(f"{what:44} {cost.wall:7.1f} s {cost.cpu:7.1f} s CPU {cost.cpu / rows * 1e6:6.1f} µs a row {cost.peak_mb:7.0f} MB")


@click.command()
@click.option("--rows", default=1_000_000, show_default=True, help="Of the one large run.")
@click.option("--nights", default=30, show_default=True)
@click.option("--night-rows", default=100_000, show_default=True)
@click.option("--place", type=click.Path(path_type=Path), help="Where the ledgers are written, and kept.")
def main(*, rows: int, nights: int, night_rows: int, place: Path | None) -> None:
    """Print seconds, CPU and peak memory of reports."""
    with tempfile.TemporaryDirectory() as scratch:
        base = place or Path(scratch)
        for runs, size, name in ((1, rows // 10, "tenth"), (1, rows, "large"), (nights, night_rows, "month")):
            directories = [base / name / str(night) for night in range(runs)]
            for night, directory in enumerate(directories):
                if not directory.exists():
                    write_night(directory, size, night)
            total = runs * size
            click.echo(f"{runs:,} run(s) of {size:,} rows, {_size(directories) / 1e6:,.0f} MB")
            _tell("a bare reading", read_bare(directories), total)
            _tell("report", reported(directories), total)
            _tell("report --by workspace --by day", reported(directories, "--by", "workspace,day"), total)
            _tell("report --by metadata.ticket (as many as rows)", reported(directories, "--by", "metadata.ticket", "--json"), total)
            _tell(
                "report --focus, tags by project", reported(directories, "--by", "metadata.project", "--focus", base / "focus.csv"), total
            )
            _tell("report --workspace", reported(directories, "--workspace", WORKSPACES[0]), total)


def _size(directories: Sequence[Path]) -> int:
    return sum(path.stat().st_size for directory in directories for path in directory.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
