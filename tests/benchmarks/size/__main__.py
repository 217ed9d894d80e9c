"""`python -m tests.benchmarks.size`: what rows cost in memory and time before the first call, and whether anything grows after it.

CPU is user and system time; on a busy machine wall times are its neighbours' too. What is measured on, up to 2 GB, is written to --folder
and removed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import linear_regression, median

from batchrun.edge.job_file import load_job
from tests.benchmarks.size.files import keys, write_input, write_job, write_ledger
from tests.benchmarks.size.scheduling import micros
from tests.benchmarks.size.seen import Cost, Endpoint, running
from tests.benchmarks.speed.endpoint import serving

_INDEX = """
import json, sys, time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
import orjson
from batchrun.core.rows.rows import Inherited
from batchrun.edge.source import InputFile, Source
folder, workspaces = Path(sys.argv[1]), int(sys.argv[2])
known = {f"w-{number}": Inherited("qwen-plus", {}, b"salt") for number in range(workspaces)}
with (folder / "in.jsonl").open("rb") as file:
    lines = file.read(8 << 20).split(b"\\n")[:-1]
def parse():
    began = time.process_time()
    for line in lines:
        orjson.loads(line)
    return (time.process_time() - began) / len(lines)
def opened():
    before, began, wall = parse(), time.process_time(), time.perf_counter()
    with Source.open([InputFile(str(folder / "in.jsonl"))], workspaces=known, default_workspace=None, spool_dir=folder / "kept",
                     set_aside=print) as source:
        rows, took, wall = len(source.index), time.process_time() - began, time.perf_counter() - wall
    return rows, took, wall, (before + parse()) / 2
def most():
    # getrusage's begins with what the process had that started this one.
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
start = most()
rows, took, wall, parsing = opened()
peak, beside = most(), getrusage(RUSAGE_CHILDREN)
_, again, _, _ = opened()
print(json.dumps({"rows": rows, "cpu": took, "wall": wall, "parse": parsing, "start": start / 1024, "peak": peak / 1024, "again": again,
                  "beside": beside.ru_utime + beside.ru_stime, "beside_peak": beside.ru_maxrss / 1024}))
"""


def main() -> None:
    """Measure what is asked, and print it."""
    asked = _asked()
    if asked.folder is not None:
        asked.folder.mkdir(parents=True, exist_ok=True)
    for what in asked.what or _MEASURES:
        folder = Path(tempfile.mkdtemp(prefix="size-", dir=asked.folder))
        try:
            _MEASURES[what](folder, asked)
        finally:
            shutil.rmtree(folder)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.size", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*_MEASURES, []], help="all of them where nothing is named")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the large input; the huge one has ten times as many, shorter")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the long run")
    parser.add_argument("--dev", action="store_true", help="the long run in Python's development mode, asyncio's included")
    parser.add_argument("--folder", type=Path, default=None)
    return parser.parse_args()


def _index(folder: Path, asked: argparse.Namespace) -> None:
    for rows, size, said in ((asked.rows, 500, "rows of 500 bytes"), (asked.rows * 10, 100, "rows of 100 bytes")):
        write_input(folder / "in.jsonl", rows, size, 50)
        ran = subprocess.run([sys.executable, "-c", _INDEX, str(folder), "50"], check=True, capture_output=True)
        told = json.loads(ran.stdout)
        micro, beside = 1e6 * told["cpu"] / rows, 1e6 * told["beside"] / rows
        _say(f"index of {rows:,} {said}: {micro:.1f} µs CPU a row, {beside:.1f} in the process beside ({told['wall']:.1f} s wall);")
        _say(f"  {1e6 / max(micro, beside):,.0f} rows/s where each has a core, {1e6 / (micro + beside):,.0f} a core")
        _say(f"  {(micro + beside) / told['parse'] / 1e6:.1f} × parsing alone ({1e6 * told['parse']:.2f} µs beside it)")
        over = (told["peak"] - told["start"]) * 1048576 / rows
        _say(f"  peak {told['peak']:.0f} MB (beside it {told['beside_peak']:.0f}), {over:.1f} bytes a row over the start's")
        _say(f"  opened again from the index that was kept: {told['again']:.2f} s CPU")
        shutil.rmtree(folder / "kept", ignore_errors=True)


def _sorted(folder: Path, asked: argparse.Namespace) -> None:
    rows = asked.rows * 10
    write_input(folder / "in.jsonl", rows, 100, 50)
    with Endpoint() as endpoint, running(write_job(folder, endpoint.url, 50), keys(50), endpoint) as child:
        _wait(lambda: len(child.first_calls) == 50 or child.process.poll() is not None)
        calls = sorted(child.first_calls.values(), key=lambda cost: cost.wall)
        _say(f"{rows:,} short rows sorted by workspace: first call {_told(calls[0])};")
        _say(f"  the first of the last of {len(calls)} workspaces {_told(calls[-1])}")


def _large(folder: Path, asked: argparse.Namespace) -> None:
    write_input(folder / "in.jsonl", asked.rows, 600, 3)
    with Endpoint() as endpoint, running(write_job(folder, endpoint.url, 3), keys(3), endpoint) as child:
        _wait(lambda: bool(child.first_calls) or child.process.poll() is not None)
        time.sleep(10)
        _say(f"{asked.rows:,} rows of 600 bytes: first call {_told(min(child.first_calls.values(), key=lambda cost: cost.wall))}")
        _say(f"  ten seconds on: {_told(child.cost())}")


def _resume(folder: Path, asked: argparse.Namespace) -> None:
    write_input(folder / "in.jsonl", asked.rows, 600, 3)
    # Nothing is answered: what is left to do stays so, however late a run is killed after its first call.
    with Endpoint(answers=False) as endpoint:
        path = write_job(folder, endpoint.url, 3)
        write_ledger(load_job(path), asked.rows - 10)
        for said in ("nothing kept", "index kept, no checkpoint", "from a checkpoint", "from a checkpoint"):
            if said == "index kept, no checkpoint":
                for kept in (folder / "run").glob("*.checkpoint"):
                    kept.unlink()
            with running(path, keys(3), endpoint) as child:
                _wait(lambda: bool(child.first_calls) or child.process.poll() is not None)
                first = min(child.first_calls.values(), key=lambda cost: cost.wall, default=None)
            _say(f"resume of {asked.rows:,} done rows, {said}: first new call {_told(first) if first else 'never'}")


def _start(folder: Path, _asked: argparse.Namespace) -> None:
    write_input(folder / "in.jsonl", 1000, 500, 3)
    versions = [_cpu("import sys; sys.argv[1:] = ['--version']; from batchrun.cli import main; main()") for _ in range(9)]
    bare = [_cpu("pass") for _ in range(9)]
    imports = [_cpu("import batchrun.cli.run") for _ in range(5)]
    with Endpoint() as endpoint:
        firsts = []
        for _ in range(5):
            shutil.rmtree(folder / "run", ignore_errors=True)
            with running(write_job(folder, endpoint.url, 3), keys(3), endpoint) as child:
                _wait(lambda: bool(child.first_calls) or child.process.poll() is not None)
                firsts.append(min(cost.cpu for cost in child.first_calls.values()))
    least, python = 1000 * min(versions), 1000 * median(bare)
    _say(f"batchrun --version: {1000 * median(versions):.0f} ms CPU (least {least:.0f}; python itself {python:.0f})")
    _say(f"first call of 1,000 rows: {1000 * median(firsts):.0f} ms CPU; the imports of run alone {1000 * median(imports):.0f}")


def _scheduler(_folder: Path, _asked: argparse.Namespace) -> None:
    _say(f"{'CPU µs a row to schedule':<28}{'10,000 waiting':>16}{'10 million':>12}")
    for workspaces in (1, 50, 1000):
        few, many = (min(micros(workspaces, waiting) for _ in range(3)) for waiting in (10_000, 10_000_000))
        _say(f"{workspaces:>5} workspaces{'':<12}{few:>16.1f}{many:>12.1f}")


def _long(folder: Path, asked: argparse.Namespace) -> None:
    """A run at full speed, looked at twenty times, then asked to stop."""
    write_input(folder / "in.jsonl", int(asked.minutes * 60 * (1500 if asked.dev else 4000)) + 10_000, 500, 4)
    looks: list[tuple[int, float]] = []
    with serving(folder) as url:
        job = write_job(folder, url.removesuffix("/chat/completions"), 4, concurrency=64)
        with running(job, keys(4), counting=True, python=["-X", "dev"] if asked.dev else []) as child:
            _wait(lambda: (folder / "run" / "attempts.log").exists() or child.process.poll() is not None)
            head = ("minute", "answered", "resident MB", "of files", "peak MB", "descriptors", "tasks", "blocks", "CPU s")
            _say("".join(f"{name:>13}" for name in head))
            for look in range(21):
                _wait(lambda: time.perf_counter() - child.began >= look * asked.minutes * 3 or child.process.poll() is not None)  # noqa: B023
                if child.process.poll() is not None:
                    break
                cost, done, files, (tasks, blocks) = child.cost(), _answered(folder / "run"), child.open_files(), child.tasks()
                looks.append((done, cost.resident_mb))
                told = (f"{cost.wall / 60:.1f}", f"{done:,}", f"{cost.resident_mb:.1f}", f"{cost.of_files_mb:.1f}", f"{cost.peak_mb:.1f}")
                _say("".join(f"{each:>13}" for each in (*told, files, tasks, f"{blocks:,}", f"{cost.cpu:.0f}")))
            child.process.terminate()
            _say(f"asked to stop, it ended with code {child.process.wait(180)}")
    said = (folder / "said").read_text(errors="replace").splitlines()
    slow = [float(line.split()[-2]) for line in said if line.startswith("Executing <")]
    if slow:
        _say(f"{len(slow)} turns of the loop took more than a tenth of a second, the longest {max(slow):.1f} s, as asyncio's own notes say")
    said = [line for line in said if not line.startswith("Executing <")]
    _say("".join(f"it said: {line}\n" for line in [*said[:20], *said[20:][-20:]]) or "it said nothing")
    warm = looks[len(looks) // 4 :]
    if len({done for done, _ in warm}) < 2:
        _say("too little was answered to tell whether anything grows")
        return
    rows, memory = [each[0] / 10_000 for each in warm], [each[1] for each in warm]
    _say(f"{linear_regression(rows, memory).slope:+.4f} MB for 10,000 rows, from minute {asked.minutes / 4:.1f} on")


def _answered(run: Path) -> int:
    total = 0
    for path in run.glob("*/results.jsonl"):
        with closing(path.open("rb")) as file:
            total += sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    return total


def _cpu(code: str) -> float:
    timed = "import atexit, sys, time; atexit.register(lambda: print(time.process_time(), file=sys.stderr))\n" + code
    ran = subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True)
    return float(ran.stderr.split()[-1])


def _wait(until: Callable[[], bool]) -> None:
    while not until():
        time.sleep(0.02)


def _told(cost: Cost) -> str:
    return f"after {cost.wall:.1f} s, {cost.cpu:.1f} s CPU, {cost.resident_mb:.0f} MB resident (peak {cost.peak_mb:.0f})"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


_MEASURES: dict[str, Callable[[Path, argparse.Namespace], None]] = {
    "start": _start,
    "scheduler": _scheduler,
    "index": _index,
    "large": _large,
    "resume": _resume,
    "sorted": _sorted,
    "long": _long,
}


if __name__ == "__main__":
    main()
