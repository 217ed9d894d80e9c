"""One run, opened again and again, each opening ended in another way: ``python -m tests.faults.openings``.

Everything that a large or long run keeps is kept here at once, and of next to nothing: checkpoints while it is written, an index, what a
second process reads ahead. Openings are killed, asked to stop once or twice, find the disk full, are two at a time, or lose their second
process. Between them lines are left half written, what is kept is lost, cut, changed, or replaced by what was kept before, and a copy takes
the run's place. In the end no row is lost or answered twice, and the bill is statement and doubt.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.end_to_end.test_run import BATCHRUN, calls, environment, rows_of, simulator, write_job
from tests.faults.accounts import Account, settled
from tests.faults.kills import TROUBLE

_KEEPS_AT_ONCE = """
import resource, sys
if most := int(sys.argv.pop(1)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
from batchrun.beside import process
from batchrun.core import pauses
from batchrun.running import checkpoints, following
process.FROM_BYTES = checkpoints.FROM_BYTES = 1
following.KEPT_EVERY, pauses._TIMES_AS_LONG = 0.1, 1
from batchrun.cli import main
main()
"""
_OURS = {0, 4, 5}
"""All done; stopped, and resumable; in use by another."""
_KEPT = ("*.checkpoint", "input/index.*", "learnt.json", "*/usage.json")
_PATIENCE = 60.0


class Openings:
    """Of one job in *home*."""

    def __init__(self, home: Path, job: Path, dice: random.Random, bytes_each: int) -> None:
        self._home, self._run = home, home / "run"
        self._job = job
        self._dice = dice
        self._bytes_each = bytes_each

    def once(self) -> str:
        """Open the run, and end it in some way; which."""
        way = self._dice.choice((self._killed, self._killed, self._stopped, self._full, self._two, self._without_its_second))
        way()
        return way.__name__[1:]

    def harm(self) -> str:
        """Do something to what the opening left; what."""
        harm = self._dice.choice((self._half_a_line, self._lost, self._cut, self._changed, self._as_before, self._copied, self._nothing))
        harm()
        return harm.__name__[1:]

    def _start(self, most_bytes: int = 0) -> subprocess.Popen[bytes]:
        """Start one that may write files of so many bytes, where that is not 0."""
        command = [sys.executable, "-c", _KEEPS_AT_ONCE, str(most_bytes), "run", str(self._job), "--quiet"]
        return subprocess.Popen(command, cwd=self._home, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        enough, until = _size(self._run / "attempts.log") + self._dice.uniform(0, 2 * self._bytes_each), time.monotonic() + _PATIENCE
        while _size(self._run / "attempts.log") < enough and time.monotonic() < until and process.poll() is None:
            time.sleep(0.002)

    def _ended(self, process: subprocess.Popen[bytes], *expected: int) -> int:
        _, said = process.communicate(timeout=_PATIENCE)
        assert process.returncode in {*expected, *_OURS}, (process.returncode, said.decode()[-3000:])
        assert b"Traceback" not in said, said.decode()[-3000:]
        return process.returncode

    def _killed(self) -> None:
        process = self._start()
        self._await(process)
        process.kill()
        self._ended(process, -signal.SIGKILL)

    def _stopped(self) -> None:
        process = self._start()
        self._await(process)
        for _ in range(self._dice.choice((1, 1, 2))):
            process.send_signal(self._dice.choice((signal.SIGTERM, signal.SIGINT)))
            time.sleep(self._dice.choice((0.0, 0.02)))
        self._ended(process, -signal.SIGTERM, -signal.SIGINT)

    def _full(self) -> None:
        largest = max((_size(path) for path in self._run.glob("**/*") if path.is_file()), default=0)
        self._ended(self._start(largest + int(self._dice.uniform(1, self._bytes_each))))

    def _two(self) -> None:
        processes = [self._start(), self._start()]
        self._await(processes[0])
        for process in processes:
            process.kill()
        for process in processes:
            self._ended(process, -signal.SIGKILL)

    def _without_its_second(self) -> None:
        process, until = self._start(), time.monotonic() + self._dice.uniform(0.3, 2)
        while time.monotonic() < until and process.poll() is None:
            for child in _children(process.pid):
                os.kill(child, self._dice.choice((signal.SIGKILL, signal.SIGTERM)))
            time.sleep(0.001)
        process.kill()
        self._ended(process, -signal.SIGKILL)

    def _half_a_line(self) -> None:
        path = self._one_of("attempts.log", "*/results.jsonl")
        if path is not None and (lines := path.read_bytes().splitlines()):
            line = self._dice.choice(lines)
            with path.open("ab") as file:
                file.write(line[: self._dice.randrange(len(line) - 1)])

    def _lost(self) -> None:
        if (path := self._one_of(*_KEPT)) is not None:
            path.unlink()

    def _cut(self) -> None:
        if (path := self._one_of(*_KEPT)) is not None:
            os.truncate(path, self._dice.randrange(_size(path) + 1))

    def _changed(self) -> None:
        if (path := self._one_of(*_KEPT)) is not None and (content := bytearray(path.read_bytes())):
            content[self._dice.randrange(len(content))] ^= 1 << self._dice.randrange(8)
            path.write_bytes(content)

    def _as_before(self) -> None:
        """Put back what was kept some openings ago, and keep what is there now for another time."""
        for path in (each for pattern in _KEPT for each in self._run.glob(pattern)):
            before = self._home / "before" / path.relative_to(self._run)
            before.parent.mkdir(parents=True, exist_ok=True)
            if before.exists() and self._dice.random() < 0.5:
                shutil.copy(before, path)
            else:
                shutil.copy(path, before)

    def _copied(self) -> None:
        """Put a copy in the place of the run, as from another disk: files of other numbers, of now, and open to others."""
        if self._run.exists():
            shutil.copytree(self._run, copy := self._home / "copy", copy_function=shutil.copyfile)
            shutil.rmtree(self._run)
            copy.rename(self._run)

    def _nothing(self) -> None:
        pass

    def _one_of(self, *patterns: str) -> Path | None:
        found = sorted(path for pattern in patterns for path in self._run.glob(pattern))
        return self._dice.choice(found) if found else None


def campaign(home: Path, *, openings: int, rows: int, seed: int) -> tuple[Account, Counter[str]]:
    """Open one job of *rows* rows so often, then let it finish; the account, which was settled, and what was done to it."""
    dice, asked, done = random.Random(seed), rows_of(rows), Counter[str]()
    with simulator(home, latency=0.03, scenario=f"seed = {seed}\n{TROUBLE}") as url:
        run = Openings(home, write_job(home, url, asked), dice, 340 * 2 * rows // (openings + 1))
        for _ in range(openings):
            done[run.once()] += 1
            done[run.harm()] += 1
        last = subprocess.run([*BATCHRUN, "run", "job.toml"], cwd=home, env=environment(), capture_output=True, timeout=300, check=False)
        assert last.returncode == 0, last.stderr.decode()
        return settled(home / "run", asked, calls(url)), done


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _children(process: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += [int(child) for child in thread.read_text().split()]
        except OSError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=5)
    parser.add_argument("--openings", type=int, default=30, help="in each campaign")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    wished = parser.parse_args()
    began, rows = time.monotonic(), 0
    for number in range(wished.campaigns):
        with tempfile.TemporaryDirectory() as home:
            account, done = campaign(Path(home), openings=wished.openings, rows=wished.rows, seed=wished.seed + number)
        rows += account.rows
        print(f"campaign {number + 1}: {account}; {dict(sorted(done.items()))}", flush=True)
    print(
        f"{wished.campaigns * wished.openings} openings, {rows:,} rows: 0 lost, 0 answered twice; statement = bill but for calls in doubt; "
        f"{time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
