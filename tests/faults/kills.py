"""Processes killed at random: ``python -m tests.faults.kills`` kills 300 of them, in ten campaigns.

Each campaign is a job against a simulator in another process that throttles, fails and resets; a process is killed once it has written as
much to attempts.log as chance says, or after a time that chance says, and the next goes on. The last one is left to finish.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
import time
from pathlib import Path

from tests.end_to_end.test_run import BATCHRUN, calls, environment, rows_of, simulator, write_job
from tests.faults.accounts import Account, settled

TROUBLE = "".join(
    f'[[faults]]\nkind = "{kind}"\nrate = {rate}\n'
    for kind, rate in (("throttle", 0.01), ("internal", 0.03), ("reset", 0.02), ("torn", 0.01))
)


def campaign(home: Path, *, kills: int, rows: int, seed: int) -> Account:
    """Kill *kills* processes of one job of *rows* rows, then let it finish; returns the account, which was settled."""
    dice = random.Random(seed)
    asked = rows_of(rows)
    with simulator(home, latency=0.03, scenario=f"seed = {seed}\n{TROUBLE}") as url:
        job = write_job(home, url, asked)
        for _ in range(kills):
            process = subprocess.Popen(
                [*BATCHRUN, "run", str(job), "--quiet"], cwd=home, env=environment(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            _killed(process, home / "run" / "attempts.log", dice, 340 * 2 * rows // (kills + 1))
        done = subprocess.run([*BATCHRUN, "run", str(job)], cwd=home, env=environment(), capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return settled(home / "run", asked, calls(url))


def _killed(process: subprocess.Popen[bytes], log: Path, dice: random.Random, bytes_a_kill: int) -> None:
    """Kill *process*: mostly in the midst of its work, sometimes at any time, its first moments included."""
    enough = _size(log) + dice.uniform(0, 2 * bytes_a_kill)
    until = time.monotonic() + (dice.uniform(0, 1.5) if dice.random() < 0.2 else 60)
    while _size(log) < enough and time.monotonic() < until and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.wait(timeout=20)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=10)
    parser.add_argument("--kills", type=int, default=30, help="in each campaign")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    wished = parser.parse_args()
    began, in_all = time.monotonic(), [0] * 5
    for number in range(wished.campaigns):
        with tempfile.TemporaryDirectory() as home:
            account = campaign(Path(home), kills=wished.kills, rows=wished.rows, seed=wished.seed + number)
        counts = (account.rows, account.calls, account.billed, account.in_doubt, account.doubtful_billed)
        in_all = [before + count for before, count in zip(in_all, counts, strict=True)]
        print(f"campaign {number + 1}: {account}", flush=True)
    rows, made, billed, in_doubt, doubtful = in_all
    print(
        f"{wished.campaigns * wished.kills} kills, {rows:,} rows: 0 lost, 0 answered twice; {made:,} calls, {billed:,} billed, "
        f"{billed - rows:,} beyond the rows, {in_doubt:,} in doubt; {doubtful:,} billed calls without an entry, all in doubt; statement = "
        f"bill without them, to the token; {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
