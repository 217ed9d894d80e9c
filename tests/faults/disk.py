"""Disks that are full, and a disk whose fsync fails: ``python -m tests.faults.disk`` (as root, for it mounts).

A run is full three ways: a limit on the size of files, a file system of memory that is too small, and a loop device whose image has no more
room than memory gives it. The last one takes every write and fails when it is synced, as a thin volume does; what was lost is zeros for
whoever reads the disk, and still there for whoever reads the kernel's cache. The control does without what puts the cache right, and has to
be caught.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from batchrun.core.errors import RunDamagedError
from batchrun.running.statements import read_statement
from batchrun.telling.checking import checked
from tests.end_to_end.test_run import bill, calls, environment, rows_of, simulator, write_job
from tests.faults.accounts import KINDS, entries_of, settled

_PROGRAM = "from batchrun.__main__ import main; main()"
_BELIEVING = f"import os; os.posix_fadvise = lambda *_: None; {_PROGRAM}"
"""Reads after a failed sync what the kernel has, not what the disk has."""


def start(home: Path, job: Path, *, limit: int | None = None, program: str = _PROGRAM) -> subprocess.CompletedProcess[bytes]:
    """Run *job*; no file may grow over *limit* bytes."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-c", program, "run", str(job), "--quiet"]
    return subprocess.run(command, cwd=home, env=environment(), capture_output=True, preexec_fn=limited, timeout=300, check=False)


def stopped(done: subprocess.CompletedProcess[bytes]) -> str:
    """Hold that a run has stopped as it should for its disk; returns what it said."""
    said = done.stderr.decode()
    assert done.returncode == 4, (done.returncode, said)
    assert "Traceback" not in said, said
    told = [line for line in said.splitlines() if line.startswith("batchrun: ")]
    assert len(told) == 1, said
    assert "run the same command again" in told[0], said
    return told[0]


def full(home: Path, *, rows: int, first: Callable[[Path], Any], relieve: Callable[[], object]) -> str:
    """Run until the disk is full, by *first*, then *relieve* it and go on: every row once, and the bill within statement and doubt."""
    asked = rows_of(rows)
    with simulator(home, latency=0.02) as url:
        job = write_job(home, url, asked)
        said = stopped(first(job))
        starts = sum(b'"start"' in line for line in (home / "run" / "attempts.log").read_bytes().splitlines())
        assert len(calls(url)) <= starts, "nothing is sent that was not noted"
        before = read_statement(home / "run").total()
        relieve()
        again = start(home, job)
        assert again.returncode == 0, again.stderr.decode()
        settled(home / "run", asked, calls(url))
    return f"{said}\n  {before.answered:,} rows answered by then, {before.in_doubt:,} calls in doubt"


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, timeout=60)


@contextlib.contextmanager
def small_memory(place: Path, size: str) -> Iterator[Callable[[], None]]:
    """A file system of memory at *place*; gives a function that makes it large."""
    place.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", place)
    try:
        yield lambda: _mount("-o", "remount,size=64m", place)
    finally:
        subprocess.run(["umount", str(place)], check=True, timeout=60)


@contextlib.contextmanager
def thin(home: Path, place: Path) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """An ext4 file system of 16 MiB, behind which there are 600 KiB; gives what makes them 64 MiB, and what mounts it anew."""
    with small_memory(home / "behind", "600k") as relieve:
        image = home / "behind" / "image"
        subprocess.run(["truncate", "-s", "16M", str(image)], check=True, timeout=60)
        options = ["-O", "^has_journal", "-m0", "-E", "lazy_itable_init=1,nodiscard"]
        subprocess.run(["mkfs.ext4", "-q", *options, str(image)], check=True, timeout=60)
        place.mkdir()
        _mount("-o", "loop,nodiscard", image, place)

        def anew() -> None:
            subprocess.run(["umount", str(place)], check=True, timeout=60)
            _mount("-o", "loop,nodiscard", image, place)

        try:
            yield relieve, anew
        finally:
            subprocess.run(["umount", str(place)], check=True, timeout=60)


def failed_sync(home: Path, *, rows: int = 2500, program: str = _PROGRAM) -> str:
    """Fill the thin volume until fdatasync fails, give it room, and go on, damage mended; then read what the disk really has."""
    asked = rows_of(rows)
    with simulator(home, latency=0.02) as url, thin(home, home / "run") as (relieve, anew):
        job = write_job(home, url, asked)
        said = stopped(start(home, job, program=program))
        assert "could not be synced" in said, said
        relieve()
        again, mended = start(home, job), 0
        if again.returncode == 6:
            found = checked(home / "run", repair=True)
            mended = sum(1 for each in found.findings if each.mended)
            assert found.whole, found.findings
            again = start(home, job)
        assert again.returncode == 0, again.stderr.decode()
        anew()
        found = checked(home / "run", repair=False)
        assert found.whole, [each.what for each in found.findings if each.damage][:3]
        ids = [entry["id"] for entry in entries_of(home / "run")]
        assert sorted(ids) == sorted(row["id"] for row in asked)
        statement, billed = read_statement(home / "run"), bill(url)["total"]
        total = statement.total()
        for kind in KINDS:
            assert getattr(total, kind) <= billed[kind], kind
            within = billed[kind] <= getattr(total, kind) + getattr(total, f"in_doubt_{kind}")
            assert within or statement.unreadable_attempts, "what attempts.log lost is said"
        lost = f"{statement.unreadable_attempts:,} lines of attempts.log unreadable"
        return (
            f"{said}\n  {mended:,} lines moved aside; {len(calls(url)) - rows:,} calls beyond the rows, {total.in_doubt:,} in doubt, {lost}"
        )


def believing_is_caught(home: Path) -> str:
    """The control: who believes the cache after a failed sync loses rows, or a statement, once the disk is read."""
    try:
        failed_sync(home, program=_BELIEVING)
    except (AssertionError, RunDamagedError, json.JSONDecodeError) as error:
        return f"caught: {str(error)[:200]}"
    raise SystemExit("a run that believes the cache after a failed sync was not caught")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    if os.geteuid() != 0:
        raise SystemExit("only root may mount: run this as root")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        print("files of at most 48 KiB:", full(home, rows=600, first=lambda job: start(home, job, limit=48 << 10), relieve=lambda: None))
    with tempfile.TemporaryDirectory() as name, small_memory(Path(name) / "run", "200k") as relieve:
        home = Path(name)
        print("a file system of 200 KiB:", full(home, rows=600, first=lambda job: start(home, job), relieve=relieve), flush=True)
    with tempfile.TemporaryDirectory() as name:
        print("a thin volume:", failed_sync(Path(name)), flush=True)
    with tempfile.TemporaryDirectory() as name:
        print("the same, believing the cache:", believing_is_caught(Path(name)), flush=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
