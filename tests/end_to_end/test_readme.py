"""The README is true: its first command runs as it stands, its promises name tests that exist, its tables are complete."""

from __future__ import annotations

import ast
import asyncio
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from batchrun.cli import batchrun
from batchrun.core.jobs.job import job_schema

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST, TESTS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
[PROGRAM] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


NOT_THE_TREE = shutil.ignore_patterns(".git", ".venv*", ".environments", "runs", ".*_cache", ".hypothesis", "__pycache__")


@pytest.mark.timeout(400)
def test_the_first_command_makes_its_environment_and_answers_every_row(tmp_path):
    tree = tmp_path / "batchrun"
    shutil.copytree(ROOT, tree, ignore=NOT_THE_TREE)
    done = subprocess.run(["bash", "-c", FIRST], cwd=tree, capture_output=True, check=False, timeout=390)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [line for path in (tree / "runs/quickstart").glob("*/results.jsonl") for line in path.read_bytes().splitlines()]
    assert len(answers) == 360
    assert "360" in done.stdout.decode().splitlines()[-1]


def test_the_test_command_is_there():
    script = TESTS.strip().removeprefix("bash ")
    assert (ROOT / script).is_file()


def test_the_program_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    """Of jobs as small as may be, under the names that it gives."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "rows.jsonl").write_text('{"id": "good", "prompt": "hello"}\n{"id": "bad", "prompt": "hello", "parameters": {"n": -1}}\n')
    for name in ("quickstart", "dataset"):
        (tmp_path / "jobs" / f"{name}.toml").write_text(
            '[job]\ninput = "rows.jsonl"\n[defaults]\nmodel = "qwen-plus"\nendpoint = "simulator"\n[simulator]\nlatency = { median = 0 }\n'
        )
    monkeypatch.chdir(tmp_path)
    blocking, at, awaited = PROGRAM.partition("async with")
    names: dict[str, Any] = {}
    exec(compile(blocking, "README.md", "exec"), names)
    assert capsys.readouterr().out == "3 1\n"
    program = eval(compile(at + awaited, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    asyncio.run(program)
    *told, parked = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in sorted(told)] == ["bad", "good"]
    assert parked == "()"


def test_every_promise_names_tests_that_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", README)
    assert len(named) >= 7
    for file, test in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert not test or test in names, f"{file} has no {test}"


CHOOSE = ("limits", "quotas", "worlds", "sockets", "plans")
"""The benchmarks of which words choose."""


def test_every_command_stands_in_its_table_and_every_link_leads_to_a_heading():
    assert re.findall(r"^\| `batchrun ([a-z]+)", README, re.MULTILINE) == batchrun.list_commands(click.Context(batchrun))
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings


def test_every_table_of_the_job_file_is_explained():
    for table, described in job_schema()["properties"].items():
        assert f"[{table}" in README, f"the README says nothing of [{table}]: {described.get('description')}"


def test_every_exit_code_is_explained_where_a_person_looks():
    rows = re.findall(r"^\| (\d) \|", README, re.MULTILINE)
    assert rows == ["0", "1", "2", "3", "4", "5", "6"]


def measures() -> Iterator[str]:
    """The modules that are commands of the tests' own, by the README's tables and sentences."""
    yield from re.findall(r"`python -m (tests(?:\.[a-z]+)+(?<!NAME))(?: [^`]*)?`", README)
    for folder in ("faults", "benchmarks"):
        _, _, table = README.partition(f"`python -m tests.{folder}.NAME`")
        rows = table.lstrip(":\n").partition("\n\n")[0].splitlines()[2:]
        yield from (f"tests.{folder}.{name}" for row in rows for name in re.findall(r"`([a-z]+)`", row.split("|")[1]))


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("module", sorted(set(measures())))
def test_every_command_of_the_tests_says_what_it_does_before_it_does_it(module, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.lower().startswith("usage:")
    assert f"tests.{module.split('.')[1]}" in told


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("module", ["faults.clocks", "faults.mutants", "faults.network", *(f"benchmarks.{name}" for name in CHOOSE)])
def test_a_word_that_fits_nothing_that_is_measured_is_a_mistake_and_nothing_passes_for_it(module, monkeypatch, capsys):
    only = ["--only"] if module in {"faults.clocks", "faults.network"} else []
    monkeypatch.setattr(sys, "argv", [module, *only, "no-such-thing"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"tests.{module}", run_name="__main__", alter_sys=True)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert "no-such-thing" in told.err
    assert not told.out
