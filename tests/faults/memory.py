"""Memory that runs out under a run: ``python -m tests.faults.memory``, as root, with ``fiu-run`` (fiu-utils) and cgroups v1.

First a job that does not fit into a control group of 256 MiB: the kernel kills its process; with fewer slots the same job fits, and is
gone on with in the same group. Then malloc itself fails at random, from the first moment on or in the midst of the work. Whatever becomes
of a process, the next one goes on, and in the end each row is answered once and the account is settled to the token.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.end_to_end.test_run import BATCHRUN, calls, environment, rows_of, simulator, write_job
from tests.faults.accounts import Account, settled
from tests.faults.kills import TROUBLE
from tests.peers.peer import program

_GROUPS = Path("/sys/fs/cgroup/memory")
_LIMIT = 256 << 20
_LARGE = 480_000
"""Characters of a prompt: what is in flight in 200 slots is more than the group may have."""


@contextmanager
def group(limit: int = _LIMIT) -> Iterator[Path]:
    """Make a control group that may have *limit* bytes of memory."""
    path = _GROUPS / f"batchrun-{os.getpid()}"
    path.mkdir()
    try:
        (path / "memory.limit_in_bytes").write_text(str(limit))
        yield path
    finally:
        path.rmdir()


def run_within(place: Path, job: Path, home: Path) -> tuple[int, str]:
    """Run *job* in a group; its exit code, and its last word."""

    def enter() -> None:
        (place / "cgroup.procs").write_text(str(os.getpid()))

    command = [*BATCHRUN, "run", str(job), "--quiet"]
    done = subprocess.run(command, cwd=home, env=environment(), capture_output=True, timeout=300, check=False, preexec_fn=enter)
    return done.returncode, _last(done.stderr)


def _last(said: bytes) -> str:
    return (said.decode(errors="replace").strip().splitlines() or [""])[-1][:160]


def outgrown(home: Path, rows: int = 400) -> None:
    """A job that the kernel kills for its memory, and that fits with fewer slots."""
    asked = [{**row, "prompt": f"{row['prompt']} " + "word " * (_LARGE // 5)} for row in rows_of(rows)]
    with simulator(home, latency=1.5) as url, group() as place:
        for slots, expected in ((50, -9), (2, 0)):
            code, word = run_within(place, write_job(home, url, asked, concurrency=slots), home)
            most = int((place / "memory.max_usage_in_bytes").read_text())
            killed = (place / "memory.oom_control").read_text().split()[-1]
            told = f"exit code {code}, at most {most >> 20} MiB, {killed} killed for it so far; {word}"
            print(f"{slots} slots a workspace in {_LIMIT >> 20} MiB: {told}", flush=True)
            assert code == expected, (code, word)
            (place / "memory.max_usage_in_bytes").write_text("0")
        print(settled(home / "run", asked, calls(url)), flush=True)


def starved(home: Path, *, deaths: int, rows: int, seed: int) -> tuple[Account, Counter[str]]:
    """Let malloc fail at random in *deaths* processes of one job, then let it finish; the account, and how each ended."""
    dice, asked, ended = random.Random(seed), rows_of(rows), Counter[str]()
    with simulator(home, latency=0.03, scenario=f"seed = {seed}\n{TROUBLE}") as url:
        job = write_job(home, url, asked)
        for number in range(deaths):
            ended[_starve(home, job, dice, 340 * 2 * rows // (deaths + 1), at_once=number % 5 == 0)] += 1
        done = subprocess.run([*BATCHRUN, "run", str(job)], cwd=home, env=environment(), capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return settled(home / "run", asked, calls(url)), ended


def _starve(home: Path, job: Path, dice: random.Random, bytes_a_death: int, *, at_once: bool) -> str:
    """Let malloc fail at random in one process: from its start, or once it has written some; also for each small object of Python's."""
    every = dice.random() < 0.7
    chance = dice.choice((0.0001, 0.00002, 0.000005)) if every else 0.0005
    fault = f"enable_random name=libc/mm/malloc,probability={chance}"
    command = [program("fiu-run", "fiu-utils"), "-x", "-f", str(home / "fiu"), *(["-c", fault] if at_once else []), *BATCHRUN]
    log = home / "run" / "attempts.log"
    enough = _size(log) + dice.uniform(1_000, bytes_a_death)
    own = {**environment(), "PYTHONMALLOC": "malloc"} if every else environment()
    with (home / "said").open("wb") as said:
        process = subprocess.Popen([*command, "run", str(job), "--quiet"], cwd=home, env=own, stdout=said, stderr=said)
    until = time.monotonic() + 60
    while not at_once and _size(log) < enough and time.monotonic() < until and process.poll() is None:
        time.sleep(0.002)
    if not at_once and process.poll() is None:
        control = [program("fiu-ctrl", "fiu-utils"), "-f", str(home / "fiu"), "-c", fault, str(process.pid)]
        subprocess.run(control, capture_output=True, timeout=20, check=False)
    try:
        code = process.wait(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=20)
        return "stood still, and was killed"
    return _told(code, (home / "said").read_bytes(), at_once=at_once)


def _told(code: int, said: bytes, *, at_once: bool) -> str:
    how = f"{'from the start' if at_once else 'midway'}: {code}"
    if b"Traceback" in said:
        return f"{how}, {_last(said)[:70]}"
    if said.startswith(b"batchrun: "):
        return f"{how}, in one line"
    return f"{how}, {said[:100]!r}" if code and said else how


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=4)
    parser.add_argument("--deaths", type=int, default=15, help="in each campaign")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["group", "malloc"])
    wished = parser.parse_args()
    began = time.monotonic()
    if wished.only != "malloc":
        with tempfile.TemporaryDirectory() as home:
            outgrown(Path(home))
    accounts: list[Any] = []
    for number in range(wished.campaigns if wished.only != "group" else 0):
        with tempfile.TemporaryDirectory() as home:
            account, ended = starved(Path(home), deaths=wished.deaths, rows=wished.rows, seed=wished.seed + number)
        accounts.append(account)
        print(f"campaign {number + 1}: {account}", *(f"  {how}: {count}" for how, count in sorted(ended.items())), sep="\n", flush=True)
    print(
        f"malloc failed in {len(accounts) * wished.deaths} processes, {sum(each.rows for each in accounts):,} rows: 0 lost, 0 twice; "
        f"statement = bill but for calls in doubt; {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
