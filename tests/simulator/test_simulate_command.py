"""``batchrun simulate`` as a person or a script starts it: a child process, its first line, a signal, its bill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner

from batchrun.cli.simulate import simulate
from tests.simulator.fixtures import chat

COMMAND = [sys.executable, "-c", "from batchrun.cli.simulate import simulate; simulate()", "--port", "0", "--latency-median", "0"]


def ask(url: str, key: str) -> int:
    call = chat(key=key)
    with urllib.request.urlopen(urllib.request.Request(url + call.path, call.body, call.headers, method="POST"), timeout=10) as answer:
        json.load(answer)
        status: int = answer.status
        return status


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_serves_and_gives_its_bill_when_stopped(stop, tmp_path):
    bill = tmp_path / "bill.json"
    arguments = ["--bill", str(bill)] if stop is signal.SIGTERM else []
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url = json.loads(child.stdout.readline())["url"]
        assert ask(url, "sk-sim-marketing") == 200
        child.send_signal(stop)
        out, notes = child.communicate(timeout=20)
    assert child.returncode == 0, notes
    assert "NAME_DASHSCOPE_API_KEY=sk-sim-NAME" in notes
    told = json.loads(bill.read_text() if arguments else out)
    assert told["workspaces"]["marketing"]["total"]["calls"] == 1


def test_a_scenario_file_names_the_workspaces_and_the_flags_come_on_top(tmp_path):
    file = tmp_path / "scenario.toml"
    file.write_text('seed = 4\n[workspaces.legal]\napi_key = "sk-fake-legal"\n[[faults]]\nkind = "throttle"\nevery = 2\n')
    arguments = ["--scenario", str(file), "--workspace", "sales=sk-fake-sales"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url = json.loads(child.stdout.readline())["url"]
        assert [ask(url, "sk-fake-legal"), ask(url, "sk-fake-sales")] == [200, 200]
        with pytest.raises(urllib.error.HTTPError, match="429") as caught:
            ask(url, "sk-fake-legal")
        caught.value.close()
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            ask(url, "sk-sim-legal")
        caught.value.close()
        child.send_signal(signal.SIGTERM)
        _, notes = child.communicate(timeout=20)
    assert child.returncode == 0, notes
    assert "sk-fake" not in notes


@pytest.mark.parametrize(
    ("scenario", "flags", "said"),
    [
        ("sed = 4", [], "sed: Extra inputs are not permitted"),
        ("seed = ", [], "Invalid value"),
        ('[[faults]]\nkind = "reset"', [], "exactly one of rate, every and first"),
        ('[workspaces.a]\napi_key = "sk-fake-same"\n[workspaces.b]\napi_key = "sk-fake-same"', [], "have the same api_key"),
        ("", ["--workspace", "marketing"], "NAME=KEY"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_without_a_key(scenario, flags, said, tmp_path):
    file = tmp_path / "scenario.toml"
    file.write_text(scenario)
    result = CliRunner().invoke(simulate, ["--scenario", str(file), *flags])
    assert result.exit_code == 2
    assert said in result.output
    assert "sk-fake" not in result.output
