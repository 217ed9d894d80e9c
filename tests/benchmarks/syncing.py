"""What syncing costs with 12, 60 and 1,000 workspaces: ``python -m tests.benchmarks.syncing [DIRECTORY]``.

A ledger is written as a run writes it, to every workspace each second, and synced behind. Told are the seconds that a sync takes (one by
one, and as the ledger does it, in alternation), how much of the time there was no room to launch, the CPU time a second of it all, and how
late the event loop was. Disks differ: give a directory on the disk in question.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from statistics import median

import anyio

from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Answered, Call, Reply, Row, Usage
from batchrun.edge import run_directory
from batchrun.edge.ledger import Files, Ledger

WORKSPACES = (12, 60, 1000)
_TEXT = "An answer of usual length. " * 40
_USAGE = Usage(200, 200)


def _write(ledger: Ledger, workspaces: int, number: int) -> None:
    for name in range(workspaces):
        row = Row(f"r-{number}", f"w{name}", "qwen-plus", {}, "0" * 16)
        attempt = ledger.start(row, Bound(300, 400), 0.0)
        ledger.append(Answered(row, Reply(_TEXT, "stop", _USAGE), Call(attempt, 1, 0.0, 900)), anyio.current_time())
        ledger.flush()
        ledger.end(attempt, "answered", Reply("", "stop", _USAGE), 0.0)


def _syncs(directory: Path, workspaces: int, times: int) -> tuple[list[float], list[float]]:
    """Seconds of syncs one by one, and as the ledger does it, in alternation."""
    alone: list[float] = []
    together: list[float] = []
    with Ledger(files := Files(directory, run_directory.open_to_append), 1) as ledger:
        for number in range(times):
            for seconds in (alone, together):
                for name in range(workspaces):
                    row = Row(f"r-{number}", f"w{name}", "qwen-plus", {}, "0" * 16)
                    ledger.append(Answered(row, Reply(_TEXT, "stop", _USAGE), Call("1-1", 1, 0.0, 900)), 0.0)
                ledger.flush()
                dirty = files.take_dirty()
                began = time.perf_counter()
                if seconds is alone:
                    for file in dirty:
                        os.fdatasync(file.descriptor)
                else:
                    files.sync_all(dirty)
                seconds.append(time.perf_counter() - began)
    return alone, together


async def _lived(directory: Path, workspaces: int, seconds: float) -> tuple[float, float, float]:
    """Of *seconds* of a run that writes to a tenth of them fifty times a second: the share without room, CPU a second, the loop's delay."""
    without, looks, late, number = 0, 0, 0.0, 0
    with Ledger(Files(directory, run_directory.open_to_append), 1) as ledger:
        _write(ledger, workspaces, 0)
        async with anyio.create_task_group() as beside:
            beside.start_soon(ledger.keep_synced, lambda: None)
            await anyio.sleep(1.5)  # The files are made by then.
            before, began = _cpu(), anyio.current_time()
            while anyio.current_time() - began < seconds:
                number += 1
                each = max(1, workspaces // 10)
                if ledger.room(anyio.current_time()):
                    _write(ledger, each, number)
                else:
                    without += 1
                looks += 1
                due = anyio.current_time() + 0.02
                await anyio.sleep_until(due)
                late = max(late, anyio.current_time() - due)
            cpu = (_cpu() - before) / (anyio.current_time() - began)
            beside.cancel_scope.cancel()
    return without / looks, cpu, late


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _told(seconds: list[float]) -> str:
    return f"{median(seconds) * 1000:,.0f} ms (at the most {max(seconds) * 1000:,.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, help="on the disk in question")
    parser.add_argument("--seconds", type=float, default=10)
    wished = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most), most))
    for workspaces in WORKSPACES:
        with tempfile.TemporaryDirectory(dir=wished.directory) as name:
            alone, together = _syncs(Path(name) / "a", workspaces, 5)
            without, cpu, late = anyio.run(_lived, Path(name) / "b", workspaces, wished.seconds)
        syncs = f"one by one {_told(alone)}, as the ledger does it {_told(together)}"
        lived = f"{without:.1%} without room, {cpu:.2f} s of CPU a second, the loop at the most {late * 1000:.0f} ms late"
        print(f"{workspaces:,} workspaces: {syncs}; {wished.seconds:.0f} s of a run: {lived}", flush=True)


if __name__ == "__main__":
    main()
