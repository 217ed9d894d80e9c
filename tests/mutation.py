"""`python -m tests.mutation [GROUP …]`: small faults put into the code one by one, and how many of them the tests notice.

mutmut makes the faults and judges them, in a copy and in an environment of its own, which is built once and kept. `--sample N` takes so
many of a group, drawn by a seed that is told; `--list` shows those that no test noticed, for a person to read. A fault that lets a test
run without end counts as noticed: every test here has a time limit. Properties are tried with few examples, the same for each fault, and
some long tests are left out: the suite notices no less than what is told.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import orjson

from tests.sdk.environments import Sdk, built

_ROOT = Path(__file__).parents[1]
_MUTMUT = Sdk("mutmut", "3.8.1")
_COPIED = ("batchrun", "tests", "jobs", "samples", "README.md", "pyproject.toml")
_NOTICED = frozenset({1, 3, 24, -24, 36, 152, 255})
"""What mutmut notes of a fault that tests notice: they failed, or came to no end."""
_UNTRIED = frozenset({5, 33})
"""No test reaches the fault."""

_PYTEST = ("-p", "no:cacheprovider", "-p", "no:xdist", "-x", "-W", "default::pytest.PytestUnraisableExceptionWarning")
"""A fault may leave a coroutine behind. Pytest would raise over it once all tests have ended, and mutmut take that for its own end."""

LEFT_OUT = (
    "tests/core/limits/test_pace.py::test_a_held_rate_that_is_used_and_answered_doubles_within_three_minutes",
    "tests/core/limits/test_slots.py::test_a_provider_whose_pace_does_not_follow_the_slots_keeps_them_all_in_use",
    "tests/core/limits/test_slots.py::test_slots_come_back_when_the_provider_has_more",
    "tests/core/limits/test_at_once.py::test_a_few_refusals_by_chance_take_hardly_a_call_away_and_pause_nothing",
    "tests/core/limits/test_at_once.py::test_many_refusals_by_chance_take_hardly_a_call_away_either_whether_there_is_a_cap_or_not",
    "tests/core/limits/test_at_once.py::test_workspaces_share_a_cap_on_calls_at_once_by_their_weights_and_use_all_of_it",
    "tests/test_engine.py::test_twenty_thousand_rows_with_mixed_faults_are_each_answered_once_in_seconds",
    # Code that faults are put into is slower, and not in the same measure everywhere.
    "tests/core/scheduling/test_scheduler.py::test_a_row_costs_the_same_with_ten_lanes_and_with_a_thousand",
)
"""Tests that are not run for each fault."""


class Group(NamedTuple):
    """What is broken, and the tests that should notice."""

    code: tuple[str, ...]
    tests: tuple[str, ...]


_SCHEDULING = tuple(
    f"tests/core/scheduling/test_{name}.py" for name in ("lanes", "launches", "parking", "retry", "scheduler", "scheduler_quotas")
)
_OF_SCHEDULER = (
    *("scheduler", "charging", "judging", "probing", "paying", "queues", "lanes"),
    *("alarms", "decisions", "plan", "past", "lessons"),
)
_OF_THE_PAST = tuple(f"tests/core/scheduling/test_{name}.py" for name in ("alarms", "plan", "past"))
GROUPS = {
    "retry": Group(
        ("core/scheduling/retry.py", "core/scheduling/parking.py"), (*_SCHEDULING, "tests/core/scheduling/test_scheduler_machine.py")
    ),
    "scheduler": Group(
        tuple(f"core/scheduling/{name}.py" for name in _OF_SCHEDULER),
        (*_SCHEDULING, *_OF_THE_PAST, "tests/core/scheduling/test_scheduler_machine.py", "tests/core/money/test_budget.py"),
    ),
    "limits": Group(("core/limits/*.py",), ("tests/core/limits", *_SCHEDULING)),
    "ledger": Group(
        ("core/ledger/[!f]*.py", "core/ledger/fields.py", "edge/ledger/*.py", "edge/history.py"),
        (
            *("tests/core/ledger", "tests/edge/test_history.py", "tests/running/test_checkpoints.py"),
            *(f"tests/edge/{name}.py" for name in ("test_ledger", "test_ledger_failing", "test_ledger_syncs")),
        ),
    ),
    "budget": Group(
        (
            *(f"core/money/{name}.py" for name in ("books", "budget", "outlays", "periods", "spending", "turn")),
            *(f"running/{name}.py" for name in ("budgets", "bookkeeping", "other_runs", "own_part")),
        ),
        ("tests/core/money", *(f"tests/running/test_{name}.py" for name in ("bookkeeping", "budgets", "moved_runs", "shared_budgets"))),
    ),
    "engine": Group(
        ("engine.py", "hearing.py", "ports.py", "pressing.py", "waiting.py", "waking.py", "running/made.py"),
        ("tests/test_engine.py", "tests/running/test_preparing.py", "tests/edge/test_lost_steps.py"),
    ),
    "input": Group(
        ("edge/source/*.py", "core/rows/by_name.py", "core/rows/index.py", "core/rows/since.py"),
        # Not what is read by two: the second process gets nothing of the environment, which is where mutmut says what is broken.
        (
            *(f"tests/edge/test_{name}.py" for name in ("source", "kept_index")),
            "tests/core/rows/test_index.py",
            "tests/core/rows/test_since.py",
        ),
    ),
    "opening": Group(
        tuple(f"running/{name}.py" for name in ("opening", "checkpoints", "following", "closing", "noticed", "parks", "summing_up")),
        (
            *(f"tests/running/test_{name}.py" for name in ("checkpoints", "following", "closing", "noticed", "one_run", "parks")),
            *("tests/telling/test_foresight.py", "tests/faults/test_run_directory.py"),
        ),
    ),
    "rows": Group(("core/rows/[!i]*.py",), ("tests/core/rows", "tests/core/protocols")),
    "directory": Group(
        ("edge/run_directory/*.py", *(f"edge/{name}.py" for name in ("aside", "marks", "named_file", "set_aside", "trust"))),
        (
            *(f"tests/edge/test_{name}.py" for name in ("run_directory", "aside", "marks", "set_aside", "table_file", "ledger_syncs")),
            "tests/faults/test_run_directory.py",
        ),
    ),
    "coming": Group(("running/coming.py", "running/wishes.py"), ("tests/running/test_coming.py",)),
    "transport": Group(
        ("edge/transport/*.py",),
        (
            *(f"tests/edge/test_{name}.py" for name in ("transport", "pool", "room", "unpacking", "lost_steps", "attempt", "watch")),
            *(f"tests/faults/test_{name}.py" for name in ("kinds", "wire")),
            "tests/faults/test_memory.py::test_no_memory_for_one_answer_is_that_calls_failure_and_in_doubt",
            "tests/faults/test_memory.py::test_no_memory_to_write_a_request_is_that_calls_failure_and_in_doubt_and_its_connection_is_given_up",
        ),
    ),
}


def main() -> None:
    """Judge the groups asked for, and print a line for each file."""
    asked = _asked()
    environment = built(_MUTMUT, build=_build)
    _say(f"{'':<44}{'faults':>8}{'tried':>8}{'noticed':>9}{'survived':>10}{'no test':>9}{'noticed':>9}\n")
    for name in asked.groups or GROUPS:
        with tempfile.TemporaryDirectory(prefix=f"mutation-{name}-") as place:
            _judge(name, GROUPS[name], Path(place), environment / "bin" / "mutmut", asked)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--sample", type=int, help="faults of a group that are tried; all where it is not said")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--children", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true", help="name the faults that no test noticed, and show them")
    asked = parser.parse_args()
    if unknown := set(asked.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}")
    return asked


def _build(place: Path, sdk: Sdk) -> None:
    python = place / "bin" / "python"
    for command in (
        (sys.executable, "-m", "venv", str(place)),
        (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", sdk.pin, f"{_ROOT}[dev]"),
    ):
        subprocess.run(command, check=True, timeout=900)


def _judge(name: str, group: Group, place: Path, mutmut: Path, asked: argparse.Namespace) -> None:
    _copy(place, group)
    # Of none of them: the faults are made, and it is found out which test reaches which.
    _run(mutmut, place, "run", "none")
    made = _verdicts(place)
    if not made:
        raise SystemExit(f"{name}: no fault was made")
    tried = sorted(made)
    if asked.sample is not None and asked.sample < len(tried):
        tried = random.Random(asked.seed).sample(tried, asked.sample)
    done = _run(mutmut, place, "run", "--max-children", str(asked.children), *tried)
    verdicts = {fault: verdict for fault, verdict in _verdicts(place).items() if fault in set(tried)}
    told = f"{name}, all" if len(tried) == len(made) else f"{name}, {len(tried)} drawn with seed {asked.seed}"
    _tell(told, made, verdicts)
    if all(verdict is None for verdict in verdicts.values()):
        raise SystemExit(f"{name}: mutmut judged nothing, and said last:\n{(done.stdout + done.stderr)[-4000:]}")
    if asked.list:
        for fault in sorted(fault for fault, verdict in verdicts.items() if verdict not in _NOTICED):
            _say(f"{_run(mutmut, place, 'show', fault).stdout}\n")


def _copy(place: Path, group: Group) -> None:
    for name in _COPIED:
        if (_ROOT / name).is_dir():
            shutil.copytree(_ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(_ROOT / name, place / name)
    settings = {
        "source_paths": ["batchrun"],
        "only_mutate": [f"batchrun/{each}" for each in group.code],
        "also_copy": [name for name in _COPIED if name != "tests"],
        "pytest_add_cli_args": [*_PYTEST, *(f"--deselect={test}" for test in LEFT_OUT)],
        "pytest_add_cli_args_test_selection": list(group.tests),
    }
    with (place / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n[tool.mutmut]\nuse_git_change_detection = false\ntrack_dependencies = false\nuse_setproctitle = false\n")
        file.writelines(f"{key} = {orjson.dumps(value).decode()}\n" for key, value in settings.items())


def _run(mutmut: Path, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutation"}
    return subprocess.run([mutmut, *arguments], cwd=place, capture_output=True, text=True, check=False, env=environment)


def _verdicts(place: Path) -> dict[str, int | None]:
    """What is known of each fault, by its name; None of one that was not tried."""
    found: dict[str, int | None] = {}
    for path in place.glob("mutants/batchrun/**/*.meta"):
        found |= orjson.loads(path.read_bytes())["exit_code_by_key"]
    return found


def _tell(told: str, made: dict[str, int | None], verdicts: dict[str, int | None]) -> None:
    files = sorted({_file_of(fault) for fault in made})
    _say(f"{told}\n")
    for file in [*files, ""]:
        count = Counter(_kind(verdict) for fault, verdict in verdicts.items() if _file_of(fault) == file or not file)
        tried = count["noticed"] + count["survived"] + count["no test"]
        share = f"{100 * count['noticed'] / tried:.1f} %" if tried else "-"
        of = sum(not file or _file_of(fault) == file for fault in made)
        _say(
            f"  {file or 'together':<42}{of:>8,}{tried:>8,}{count['noticed']:>9,}{count['survived']:>10,}{count['no test']:>9,}{share:>9}\n"
        )
    if untold := sum(verdict is None for verdict in verdicts.values()):
        _say(f"  {untold:,} were not judged\n")


def _file_of(fault: str) -> str:
    return fault.rsplit(".", 1)[0]


def _kind(verdict: int | None) -> str:
    if verdict is None:
        return "untold"
    return "no test" if verdict in _UNTRIED else "noticed" if verdict in _NOTICED else "survived"


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
