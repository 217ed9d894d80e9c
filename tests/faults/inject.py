"""One run of a small job under strace, which makes calls to the kernel fail or kills the process at them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from batchrun.edge.job_file import load_job
from batchrun.running.one_run import run_blocking
from batchrun.running.statements import read_statement
from batchrun.telling.checking import checked
from tests.end_to_end.test_run import BATCHRUN, ROOT
from tests.faults.accounts import entries_of
from tests.peers.peer import program

WORKSPACES = ("marketing", "legal")
CALLS = ("mkdir", "openat", "flock", "ftruncate", "pwrite64", "write", "fsync", "fdatasync", "rename", "unlink", "close")
LOOKS = ("read", "pread64", "newfstatat", "statx", "getdents64")
"""What only looks: it changes nothing, and a disk or a server of files that is failing refuses it as well."""
FILES = ("run.json", ".run.json.new", "run.lock", "attempts.log", "learnt.json", ".learnt.json.new", ".rejected-input.jsonl.new")
OF_INPUT = ("index.bin", ".index.bin.new", "index.json", ".index.json.new")
OF_BUDGETS = (".books.json", ".books.json.new", ".books.lock", "run/books.lock")
OF_WORKSPACE = ("results.jsonl", "errors.jsonl", "usage.json", ".usage.json.new")


class Point(NamedTuple):
    """A call to the kernel: the *number*-th of its name that a thread makes on the run directory."""

    call: str
    number: int


class Ended(NamedTuple):
    """How a run ended."""

    code: int
    said: str
    struck: bool
    """Whether the injected fault was met."""
    called: bool
    """Whether a call was made."""


ROWS = 12


def small_job(home: Path, rows: int = ROWS) -> Path:
    """A job with the simulator in its own process: everything that it calls the kernel for is its own."""
    asked = [{"id": f"r-{number}", "workspace": WORKSPACES[number % 2], "prompt": f"Say {number}."} for number in range(rows)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    tables = "".join(f'[workspaces.{name}]\nconcurrency = 2\nendpoint = "simulator"\n' for name in WORKSPACES)
    job = home / "job.toml"
    job.write_text(
        f'[job]\ninput = "{home}/rows.jsonl"\noutput = "{home}/run"\n[defaults]\nmodel = "qwen-plus"\n'
        f"[simulator]\nlatency = {{ median = 0.01, sigma = 0.3 }}\n{tables}"
    )
    return job


def budgeted_job(home: Path) -> Path:
    """The same under a budget by the day, for which a run looks at those beside it and keeps books with them."""
    job = small_job(home)
    told = job.read_text()
    job.write_text(told.replace("[defaults]", 'budget = { amount = 50, currency = "CNY", per = "day" }\n[defaults]'))
    return job


def run(home: Path, inject: str | None = None, *, log: Path | None = None, prefix: Sequence[str | Path] = ()) -> Ended:
    """Run the job of *home*, with strace's *inject* where there is one: ``write:error=ENOSPC:when=3+``."""
    command = [*map(str, prefix), *BATCHRUN, "run", str(home / "job.toml"), "--quiet"]
    log = log or home / "strace.log"
    if inject is not None:
        command = [program("strace", "strace"), "-f", "-qq", "-o", str(log), *injecting(home, inject), *command]
    done = subprocess.run(command, cwd=home, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=120, check=False)
    return ended_as(home, done.returncode, done.stderr.decode(errors="replace"), log if inject is not None else None)


def injecting(home: Path, inject: str) -> list[str]:
    """What strace is told: the paths of *home*'s run, the calls that are looked at, and what becomes of one of them."""
    named = [home / "rows.jsonl", home / "job.toml", home / "run", *(home / "run" / name for name in (*FILES, *WORKSPACES))]
    named += [home / "run" / name / file for name in WORKSPACES for file in OF_WORKSPACE]
    named += [home / "run" / "input", *(home / "run" / "input" / file for file in OF_INPUT)]
    if "budget" in (home / "job.toml").read_text():
        named += [home, *(home / name for name in OF_BUDGETS)]
    paths = [part for path in named for part in ("-P", str(path))]
    return [*paths, "-e", f"trace={','.join((*CALLS, *LOOKS))}", *(["-e", f"inject={inject}"] if inject else [])]


def ended_as(home: Path, code: int, said: str, log: Path | None) -> Ended:
    """How a run of *home* ended, by what strace has written to *log*."""
    traced = log.read_text(errors="replace") if log is not None and log.exists() else ""
    return Ended(code, said, "INJECTED" in traced or "killed by SIGKILL" in traced, _has_called(home))


def _has_called(home: Path) -> bool:
    log = home / "run" / "attempts.log"
    return log.exists() and b'"start"' in log.read_bytes()


def traced(home: Path, *called: str) -> str:
    """The calls to the kernel of an undisturbed run of *home*'s job, with the paths that they are about."""
    log = home / "strace.log"
    command = [program("strace", "strace"), "-f", "-y", "-qq", "-s", "0", "-o", str(log), "-e", f"trace={','.join(called)}"]
    assert run(home, prefix=command).code == 0
    return log.read_text(errors="replace")


def made_by(home: Path) -> list[Point]:
    """Every point of the run of *home* that strace has looked at."""
    made: Counter[tuple[str, str]] = Counter()
    for line in (home / "strace.log").read_text(errors="replace").splitlines():
        if found := re.match(r"(\d+)\s+(\w+)\(", line):
            made[found[1], found[2]] += 1
    most = {call: max((count for (_, name), count in made.items() if name == call), default=0) for call in (*CALLS, *LOOKS)}
    return [Point(call, number) for call in most for number in range(1, most[call] + 1)]


def struck_cleanly(ended: Ended, *, killed: bool) -> None:
    """Hold that a run which met a fault has said what is wrong, in one line, and left with the code of a run that can go on."""
    if killed:
        assert ended.code in {-9, 137, 0}, ended
        return
    assert ended.code in {0, 2, 4}, ended
    assert "Traceback" not in ended.said, ended.said
    if ended.code == 2:
        assert not ended.called, "a job or an input that cannot be read is told before anything is spent"
        named = ".toml: ", ".jsonl", "cannot be used as a run directory"
        assert any(each in ended.said for each in named), ended.said
    if ended.code == 4:
        told = [line for line in ended.said.splitlines() if line.startswith(("batchrun: ", "not read: "))]
        assert len(told) == 1, ended.said
        where = ("/rows.jsonl: ",) if told[0].startswith("not read: ") else ("/run", "/rows.jsonl: ", "the books of budgets cannot be kept")
        assert any(each in told[0] for each in where), told


def goes_on(home: Path, rows: int = ROWS) -> None:
    """Hold that the same job finishes the run, with every row answered once and sums that are its ledger's."""
    assert run_blocking(load_job(home / "job.toml")).exit_code == 0
    ids = [entry["id"] for entry in entries_of(home / "run")]
    assert sorted(ids) == sorted(f"r-{number}" for number in range(rows))
    found = checked(home / "run", repair=False)
    assert found.findings == [] or all(not each.damage for each in found.findings), found.findings
    total = read_statement(home / "run").total()
    assert (total.answered, total.pending) == (rows, 0)
