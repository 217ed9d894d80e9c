"""Power cuts: ``python -m tests.faults.power`` makes 60 of them in the midst of a run, and a control without fsync that has to be caught.

The run directory lies on a file system that forgets what was not synced (`power_fs.py`). After each cut, what is lost is the end of what
was written: never anything older than the window that the ledger promises, counted back from its last entry.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from batchrun.core.ledger.unsynced import UNSYNCED_SECONDS
from batchrun.running.statements import read_statement
from batchrun.telling.checking import checked
from tests.end_to_end.test_run import ROOT, calls, environment, rows_of, simulator, write_job
from tests.faults.accounts import KINDS, entries_of
from tests.peers.peer import program, until

_ANOTHER_BOOT = "import uuid; from batchrun.edge import history; boot = uuid.uuid4().hex; history.boot_id = lambda: boot"
"""A power cut comes with one."""
_PROGRAM = f"{_ANOTHER_BOOT}; from batchrun.__main__ import main; main()"
_UNSYNCED = f"import os; os.fsync = os.fdatasync = lambda _: None; {_PROGRAM}"
_UNNAMED = f"from batchrun.edge.ledger import files; files.Files.sync_names = lambda _files, _directory: None; {_PROGRAM}"
_LATENCY = 0.3
WINDOW = UNSYNCED_SECONDS + 3 * _LATENCY
"""Seconds: what was launched within the ledger's window may be answered a little later."""


@contextlib.contextmanager
def mounted(place: Path) -> Iterator[None]:
    """The file system, until the block ends."""
    assert Path("/dev/fuse").exists(), "there is no /dev/fuse: this needs a kernel with FUSE, and fuse3 (.ci/run installs it)"
    unmount = program("fusermount3", "fuse3")
    place.mkdir()
    server = subprocess.Popen([sys.executable, "-m", "tests.faults.power_fs", str(place)], cwd=ROOT)
    try:
        assert until(server, lambda: os.path.ismount(place), 20) is None
        yield
    finally:
        subprocess.run([unmount, "-u", "-z", str(place)], check=False, timeout=20)
        server.wait(timeout=20)


def written(directory: Path) -> dict[tuple[str, str], float]:
    """When each answered row's entry was written, as it stands there; what cannot be read is not there."""
    found = {}
    for path in directory.glob("*/results.jsonl"):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(orjson.JSONDecodeError):
                entry: dict[str, Any] = orjson.loads(line)
                ended = datetime.fromisoformat(entry["started_at"]).timestamp() + entry["latency_ms"] / 1000
                found[entry["workspace"], entry["id"]] = ended
    return found


class Cuts:
    """What power cuts of one run have done."""

    def __init__(self) -> None:
        self.cuts = 0
        self.lost = 0
        self.oldest = 0.0
        """Seconds before the last entry that the oldest lost one was written."""
        self.untold = 0
        """Calls that the server has seen and no line tells of."""
        self.mended: Counter[str] = Counter()


def powered(
    home: Path, *, cuts: int, rows: int, seed: int, program: str = _PROGRAM, after: tuple[float, float] = (0.2, 5.0), finish: bool = True
) -> Cuts:  # fmt: skip
    """Cut the power of one run so often, then let it finish; raises AssertionError where more is lost than may be."""
    dice, told, asked = random.Random(seed), Cuts(), rows_of(rows)
    with simulator(home, latency=_LATENCY) as url, mounted(home / "disk"):
        job = write_job(home, url, asked, concurrency=4)
        job.write_text(job.read_text().replace('output = "run"', 'output = "disk/runs/run"'))
        run = home / "disk" / "runs" / "run"
        for _ in range(cuts):
            process = subprocess.Popen(
                [sys.executable, "-c", program, "run", str(job)], cwd=home, env=environment(), stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )  # fmt: skip
            _until_it_works(process, run, dice.uniform(*after))
            process.kill()
            said = process.communicate(timeout=20)[1].decode()
            told.mended.update(what for what in ("torn last line", "lost only its newline") if what in said)
            _cut(home / "disk", run, dice, told)
        if finish:
            done = subprocess.run(
                [sys.executable, "-c", program, "run", str(job)], cwd=home, env=environment(), capture_output=True, timeout=300, check=False
            )
            assert done.returncode == 0, done.stderr.decode()
            _settled(run, asked, calls(url), told)
    return told


def _until_it_works(process: subprocess.Popen[bytes], run: Path, seconds: float) -> None:
    """Wait till the run has begun to write, and *seconds* more."""
    log = run / "attempts.log"
    before = log.stat().st_size if log.exists() else 0
    deadline = time.monotonic() + 60
    while (not log.exists() or log.stat().st_size <= before + 400) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)


def _cut(disk: Path, run: Path, dice: random.Random, told: Cuts) -> None:
    before = written(run)
    os.setxattr(disk, "user.cut", str(dice.randrange(10**6)).encode())
    after = written(run)
    lost = [before[row] for row in before.keys() - after.keys()]
    told.cuts += 1
    told.lost += len(lost)
    if lost:
        told.oldest = max(told.oldest, max(before.values()) - min(lost))
    assert told.oldest <= WINDOW, f"lost: what was written {told.oldest:.1f} s before the last entry"


def _settled(run: Path, rows: list[dict[str, Any]], journal: list[dict[str, Any]], told: Cuts) -> None:
    ids = [entry["id"] for entry in entries_of(run)]
    assert sorted(ids) == sorted(row["id"] for row in rows)
    found = checked(run, repair=False)
    assert found.whole, found.findings
    total = read_statement(run).total()
    for kind in KINDS:
        billed = sum(call[kind] for call in journal if call["billed"])
        assert getattr(total, kind) <= billed <= getattr(total, kind) + getattr(total, f"in_doubt_{kind}"), kind
    assert total.calls + total.in_doubt >= len(journal)
    told.untold = len(journal) - total.calls


def control(home: Path, program: str, *, cuts: int = 3) -> str:
    """The same without some fsync: it has to be caught."""
    try:
        powered(home, cuts=cuts, rows=1500, seed=5, program=program, after=(4.0, 6.0), finish=False)
    except AssertionError as error:
        return str(error)
    raise SystemExit("a run that does not sync all was not caught")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=60, help="in tens; 0 for the controls alone")
    wished = parser.parse_args()
    began, told, lost, untold, oldest = time.monotonic(), Counter[str](), 0, 0, 0.0
    for number in range(-(-wished.cuts // 10)):
        with tempfile.TemporaryDirectory() as home:
            found = powered(Path(home), cuts=10, rows=2500, seed=number)
        told.update(found.mended)
        lost, untold, oldest = lost + found.lost, untold + found.untold, max(oldest, found.oldest)
        print(
            f"{(number + 1) * 10} cuts: {lost:,} entries lost, none written more than {oldest:.2f} s before the last; "
            f"{untold:,} calls that no line tells of, all within the doubt; {dict(told)}",
            flush=True,
        )
    with tempfile.TemporaryDirectory() as home:
        print(f"without fsync, caught: {control(Path(home), _UNSYNCED)}", flush=True)
    with tempfile.TemporaryDirectory() as home:
        print(f"with names that are not synced, caught: {control(Path(home), _UNNAMED)}", flush=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
