"""The compiled build does what the sources do, byte for byte. A few modules are compiled here; `python -m tests.compiled` compiles them
all, and runs the whole suite on them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.speed import rows
from tests.benchmarks.speed.contestants import BATCHRUN, Task
from tests.benchmarks.speed.endpoint import serving
from tests.compiled.building import ROOT, copied, unpacked, wheel

FEW = ["batchrun/core/limits/buckets.py", "batchrun/core/scheduling/lanes.py", "batchrun/core/scheduling/retry.py"]
NAMES = [file.removesuffix(".py").replace("/", ".") for file in FEW]
ROWS, WORKSPACES = 600, 3
PLAN = ("-c", "from batchrun.cli import main; main()", "plan", "jobs/quickstart.toml", "--json")
OF_ONE_RUN = re.compile(rb'("(?:\w+_at|latency_ms|crc32|run|attempt)": ?)("[^"]*"|[\d.]+)')
"""What no two runs share: when it was, what it was called, and so a line's check sum."""


def test_the_build_that_nobody_asked_to_compile_is_of_the_sources_alone(tmp_path):
    assert wheel(copied(tmp_path / "tree"), compiled=False).name.endswith("-py3-none-any.whl")


@pytest.mark.timeout(400)
def test_the_compiled_build_does_what_the_sources_do_to_the_byte(tmp_path):
    built = built_of_few(tmp_path)  # One test, for it takes a while.
    asked = f"import importlib; print(*(importlib.import_module(name).__file__ for name in {NAMES}))"
    for file in python(built, "-c", asked, cwd=tmp_path).decode().split():
        assert file.startswith(str(built))
        assert file.endswith(".so")
    plans = [OF_ONE_RUN.sub(rb"\1", python(there, *PLAN, cwd=ROOT)) for there in (ROOT, built)]
    assert plans[0] == plans[1]
    with serving(tmp_path) as url:
        left = [what_a_run_leaves(there, tmp_path, url) for there in (ROOT, built)]
    assert len(left[0]) == 2 * WORKSPACES
    assert sum(len(lines) for lines in left[0].values()) >= ROWS
    assert left[0] == left[1]


def built_of_few(folder: Path) -> Path:
    """The compiled wheel, unpacked; the tree that it is made of is seen to be as it was."""
    tree = copied(folder / "tree")
    project = tree / "pyproject.toml"
    listed, few = re.compile(r"(?<=\ninclude = )\[.*?\n\]", re.DOTALL), json.dumps([f"/{file}" for file in FEW])
    project.write_text(listed.sub(few, project.read_text(encoding="utf-8")), encoding="utf-8")
    assert few in project.read_text(encoding="utf-8")
    before = files(tree)
    made = unpacked(wheel(tree), folder / "built")
    assert files(tree) == before
    return made


def files(tree: Path) -> set[Path]:
    """All of them, but what the tools keep for the next time."""
    kept = {"dist", ".mypy_cache", "__pycache__"}
    return {path.relative_to(tree) for path in tree.rglob("*") if path.is_file() and not kept & set(path.parts)}


def python(there, *arguments, cwd):
    own = {**BATCHRUN.variables(), "PYTHONPATH": str(there)}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=own, capture_output=True, timeout=100, check=True).stdout


def what_a_run_leaves(there: Path, place: Path, url: str) -> dict[str, list[bytes]]:
    """Each workspace's files, their lines in an order of their own."""
    folder = place / f"run-of-{there.name}"
    folder.mkdir()
    source = place / "rows.jsonl"
    names = rows.write(source, ROWS, WORKSPACES)
    command = BATCHRUN.command(Task(source, ROWS, names, folder, url, 24))
    python(there, *command[1:], cwd=folder)
    run = folder / "run"
    return {
        str(path.relative_to(run)): sorted(OF_ONE_RUN.sub(rb"\1", path.read_bytes()).splitlines())
        for path in sorted(run.glob("department-*/*.json*"))
    }
