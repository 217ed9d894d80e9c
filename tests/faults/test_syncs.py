"""What a run asks the kernel to keep, by its own calls: the order in which files are written, synced and named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from batchrun.edge.job_file import load_job
from batchrun.running.one_run import run_blocking
from tests.faults.inject import goes_on, small_job, traced

_CALL = re.compile(r"\d+ +(\w+)\((.*)")
_OF_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")
_NAMED = re.compile(r'"([^"]*)"')
_LOST_AT_NO_COST = {"run.lock", ".owner"}
"""A lock holds nothing, and the probe is gone before anything else is written."""
_OF_THE_LEDGER = {"legal", "marketing", "attempts.log", "results.jsonl", "errors.jsonl"}
"""Are synced behind. Of all else, the name is synced before anything is written."""


class Called(NamedTuple):
    """A call to the kernel that changes, or keeps, what stands at a path."""

    what: str
    path: Path


def calls(log: str, directory: Path) -> list[Called]:
    """The calls on *directory* and its parent, in order; a name that is given anew counts as made."""
    found: list[Called] = []
    for line in log.splitlines():
        if (matched := _CALL.match(line)) is None or " = -1 " in line:
            continue
        call, told = matched.groups()
        if call in {"write", "pwrite64", "fsync", "fdatasync"}:
            path = _OF_DESCRIPTOR.match(told)
            found += [Called("written" if "write" in call else "synced", Path(path[1]))] if path else []
        elif call in {"mkdir", "rename"} or (call == "openat" and "O_CREAT" in told):
            found.append(Called("renamed" if call == "rename" else "named", Path(_NAMED.findall(told)[-1])))
    return [each for each in found if each.path == directory.parent or each.path.is_relative_to(directory)]


def named_first(made: list[Called], at: int) -> bool:
    """Whether the name that is made at *at* is synced first: before what is written to it, or of the ledger before what is synced there."""
    path = made[at].path
    for each in made[at + 1 :]:
        if each == Called("synced", path.parent):
            return True
        if path.name in _OF_THE_LEDGER:
            if each.what == "synced" and each.path.is_relative_to(path) and each.path.is_file():
                return False
        elif each == Called("written", path):
            return False
    return False


def test_all_that_a_run_writes_is_synced_before_it_ends_and_each_name_before_what_is_written_under_it(tmp_path):
    small_job(tmp_path)
    made = calls(traced(tmp_path, "openat", "mkdir", "rename", "write", "pwrite64", "fsync", "fdatasync"), tmp_path / "run")
    seen: set[Path] = set()
    for at, (what, path) in enumerate(made):
        if path.name in _LOST_AT_NO_COST:
            continue
        beside = path.name.endswith(".new")
        if what == "written":
            assert Called("synced", path) in made[at:], f"{path} is not synced after what is written to it"
        elif what == "renamed" or (what == "named" and not beside and path not in seen):
            assert named_first(made, at), f"the name of {path} is not synced before what stands there"
        if what == "renamed":
            source = path.with_name(f".{path.name}.new")
            before = [each.what for each in made[:at] if each.path == source]
            assert before[-1] == "synced", f"{path} is put in its place before it is synced"
        seen.add(path)
    names = {path.name for path in seen}
    assert {"run", "attempts.log", "legal", "marketing", "results.jsonl", "run.json", "usage.json", "usage.csv", "report.html"} <= names


def test_a_run_that_is_gone_on_with_over_torn_files_writes_behind_nothing_that_is_torn(tmp_path):
    job = load_job(small_job(tmp_path))
    assert run_blocking(job).exit_code == 0
    torn = [*(tmp_path / "run").glob("*/results.jsonl"), tmp_path / "run" / "attempts.log"]
    for path in torn:
        path.write_bytes(path.read_bytes()[:-30])
    goes_on(tmp_path)
    assert all(path.with_name(f"{path.name}.torn").is_file() for path in torn)
