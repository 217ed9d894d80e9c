"""What the SDKs' tests share: one simulator and one driver an SDK for the session, and the table of what passed at its end."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.sdk import environments
from tests.sdk.calls import DashScope, OpenAI
from tests.sdk.driving import driving, simulating
from tests.sdk.scenario import scenario

_HERE = Path(__file__).parent


def pytest_configure(config):
    config.addinivalue_line("markers", "kind(name): the column of the summary that a test of the SDKs counts in")


def pytest_collection_modifyitems(items):
    """A test's deadline is for its calls: the first of an SDK waits until its environment is built."""
    for item in items:
        if item.path.parent == _HERE:
            item.add_marker(pytest.mark.timeout(60, func_only=True))


@pytest.fixture(scope="session")
def simulator(tmp_path_factory):
    file = tmp_path_factory.mktemp("sdk") / "scenario.toml"
    file.write_text(scenario(), encoding="utf-8")
    with simulating(file) as running:
        yield running


@pytest.fixture(scope="session")
def driver_of():
    """Gives the driver of an SDK, started when it is first asked for and ended with the session."""
    with ExitStack() as ends:
        running = {}

        def driver(sdk):
            if sdk not in running:
                running[sdk] = ends.enter_context(driving(sdk))
            return running[sdk]

        yield driver


@pytest.fixture(params=[environments.OPENAI_1, environments.OPENAI_3], ids=lambda sdk: sdk.name)
def openai_sdk(request, simulator, driver_of):
    _note(request)
    return OpenAI(simulator, driver_of(request.param))


@pytest.fixture(params=[environments.DASHSCOPE_1, environments.DASHSCOPE_2], ids=lambda sdk: sdk.name)
def dashscope_sdk(request, simulator, driver_of):
    _note(request)
    return DashScope(simulator, driver_of(request.param))


@pytest.fixture(params=[environments.DASHSCOPE_2], ids=lambda sdk: sdk.name)
def dashscope_client(request, simulator, driver_of):
    """Version 2, for the client that it alone has."""
    _note(request)
    return DashScope(simulator, driver_of(request.param))


def _note(request):
    kind = request.node.get_closest_marker("kind").args[0]
    request.node.user_properties.append(("sdk and kind", (request.param.name, kind)))


def pytest_terminal_summary(terminalreporter):
    passed: Counter[tuple[str, str]] = Counter()
    every: Counter[tuple[str, str]] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            place = dict(getattr(report, "user_properties", ())).get("sdk and kind")  # A module that cannot be imported has none.
            if place is not None and (outcome != "passed" or report.when == "call"):
                every[place] += 1
                passed[place] += outcome == "passed"
    if every:
        _draw(terminalreporter, passed, every)


def _draw(terminalreporter, passed, every):
    kinds = list(dict.fromkeys(kind for _, kind in every))
    terminalreporter.section("official SDKs against batchrun simulate: passed of all")
    terminalreporter.write_line(f"{'':18}" + "".join(f"{kind:>12}" for kind in kinds))
    for sdk in sorted({sdk for sdk, _ in every}):
        cells = [f"{passed[sdk, kind]}/{every[sdk, kind]}" if every[sdk, kind] else "-" for kind in kinds]
        terminalreporter.write_line(f"{sdk:18}" + "".join(f"{cell:>12}" for cell in cells))
