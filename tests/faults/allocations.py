"""One piece of memory that is not to be had, anywhere in a run: ``python -m tests.faults.allocations`` does that to 300 of them.

Python's own test hook (`_testcapi`) lets an allocation fail, or a few in a row, after a number of others that chance says. However the
process ends, it ends by itself, with a code that says what became of it, or as a library dies that does not bear it; none stands still. The
same command goes on with it: in the end no row is lost or answered twice.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from batchrun.cli import main as batchrun
from batchrun.engine import Engine
from tests.end_to_end.test_run import BATCHRUN, calls, environment, rows_of, simulator, write_job
from tests.faults.accounts import settled

_PATIENCE = 120.0
"""Seconds: what stands still for them stands still, and says where."""
_TROUBLE = '[[faults]]\nkind = "internal"\nrate = 0.03\n[[faults]]\nkind = "reset"\nrate = 0.02\n'
_BY_ITSELF = {0, 4, -11, -4}
"""All done; stopped, and resumable; a library that wrote where there was no memory (orjson, httptools), or gave up (orjson, by `ud2`)."""


def starve(home: Path, job: Path, dice: random.Random) -> int:
    """Run *job* in a process of which an allocation fails; its exit code."""
    # Where a run begins, much is to be lost that others wait for.
    delay, before, many = (
        dice.choice((0.005, dice.uniform(0.0, 0.4))),
        int(10 ** dice.uniform(0, 4.3)),
        dice.choice((1, 1, 1, 1, 2, 3, 10, 100)),
    )
    child = os.fork()
    if child == 0:
        _become(home, job, delay, before, many)
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError(f"stood still: {before} allocations after {delay} s, {many} failed; it said {(home / 'said').read_bytes()!r}")


def _become(home: Path, job: Path, delay: float, before: int, many: int) -> None:
    carry_out, hook = Engine.run, import_module("_testcapi")

    async def run(self: Engine) -> Any:
        asyncio.get_running_loop().call_later(delay, hook.set_nomemory, before, before + many)
        try:
            return await carry_out(self)
        finally:
            hook.remove_mem_hooks()

    code = 99
    try:
        said = os.open(home / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        faulthandler.enable(file=said, all_threads=True)
        faulthandler.dump_traceback_later(_PATIENCE - 5, file=said)
        os.chdir(home)
        Engine.run, sys.argv = run, ["batchrun", "run", str(job), "--quiet"]  # type: ignore[method-assign]
        batchrun()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - it is said, and no code that a process may end with
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def campaign(home: Path, *, runs: int, rows: int, seed: int) -> Counter[int]:
    """Starve *runs* processes of one job after the other, each job gone on with three times; how they ended."""
    ended = Counter[int]()
    with simulator(home, latency=0.03, scenario=f"seed = {seed}\n{_TROUBLE}") as url:
        for number in range(runs // 3):
            dice, place = random.Random(seed * 1000 + number), home / str(number)
            place.mkdir()
            asked = [{**row, "id": f"{number}-{row['id']}"} for row in rows_of(rows)]
            job, before = write_job(place, url, asked), len(calls(url))
            for _ in range(3):
                ended[code := starve(place, job, dice)] += 1
                assert code in _BY_ITSELF, (code, (place / "said").read_text(errors="replace")[-3000:])
            done = subprocess.run([*BATCHRUN, "run", str(job)], cwd=place, env=environment(), capture_output=True, timeout=100, check=False)
            assert done.returncode == 0, done.stderr.decode()
            settled(place / "run", asked, calls(url)[before:])
    return ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    wished = parser.parse_args()
    os.environ.update(environment())
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        ended = campaign(Path(home), runs=wished.runs, rows=wished.rows, seed=wished.seed)
    told = ", ".join(f"{count} with {code}" for code, count in sorted(ended.items()))
    print(f"{ended.total()} processes of which an allocation failed ended, {told}; none stood still; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
