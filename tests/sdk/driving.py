"""The two child processes of an SDK's test: a driver that performs calls with it, and the simulator they go to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.sdk.environments import Sdk, python_of

Json = dict[str, Any]

_SIMULATE = (sys.executable, "-c", "from batchrun.cli.simulate import simulate; simulate()", "--port", "0", "--latency-median", "0")


class Simulator:
    """A running ``batchrun simulate``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def calls(self, workspace: str) -> list[Json]:
        """The calls to the chat routes with that workspace's key, in the order they came."""
        return [call for call in self._told("calls") if call["workspace"] == workspace]

    def bill(self, workspace: str) -> Json:
        """What the workspace owes, by model."""
        models: Json = self._told("bill")["workspaces"][workspace]["models"]
        return models

    def _told(self, name: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/simulator/{name}", timeout=10) as answer:
            return json.load(answer)


@contextmanager
def simulating(scenario: Path) -> Iterator[Simulator]:
    """The simulator with that scenario until the block ends; its bill is left beside the scenario."""
    command = [*_SIMULATE, "--scenario", str(scenario), "--bill", str(scenario.with_suffix(".bill.json"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        assert first, "the simulator did not start"
        try:
            yield Simulator(json.loads(first)["url"])
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(timeout=20)
    assert child.returncode == 0


class Driver:
    """A running driver script: a case in, its outcome back."""

    def __init__(self, sdk: Sdk, child: subprocess.Popen[str], version: str) -> None:
        self.sdk = sdk
        self.version = version
        self._child = child
        self._in_step = True

    def perform(self, **case: Any) -> Json:
        """The outcome of one case."""
        assert self._in_step, "a case before this one was given up while it waited: the next line would be its outcome"
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._in_step = False
        self._child.stdin.write(json.dumps(case) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        assert line, f"the {self.sdk.name} driver died of {case['arguments']}"
        self._in_step = True
        outcome: Json = json.loads(line)
        return outcome


@contextmanager
def driving(sdk: Sdk) -> Iterator[Driver]:
    """A driver without a home, a key or a proxy in its environment: a call goes where its case says, with the key it says."""
    command = [str(python_of(sdk)), "-I", str(sdk.driver)]
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"HOME": home, "NO_PROXY": "*", "PYTHONUTF8": "1"}
        ) as child,
    ):
        assert child.stdout is not None
        yield Driver(sdk, child, json.loads(child.stdout.readline())["version"])
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(timeout=20) == 0
