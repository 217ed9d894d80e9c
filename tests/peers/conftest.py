"""Servers from PyPI, and the table of what each server did, shown at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.environments import python_of
from tests.peers.peer import Tell

_COUNTS = "counts of peers"


@pytest.fixture(scope="session")
def environment() -> Callable[[str], Path]:
    """The `python` of a virtual environment that holds exactly what requirements/NAME.txt pins."""
    return python_of


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
