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
    with urllib.request.urlopen(urllib.request.Request(url + call.path, call.body, call.headers, method="POST")) as answer:
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
        out, notes = child.communicate()
    assert child.returncode == 0, notes
    assert "NAME_DASHSCOPE_API_KEY=sk-sim-NAME" in notes
    told = json.loads(bill.read_text() if arguments else out)
    assert told["workspaces"]["marketing"]["total"]["calls"] == 1


def test_a_folder_for_the_bill_that_is_not_there_is_told_before_any_call(tmp_path):
    result = CliRunner().invoke(simulate, ["--port", "0", "--bill", str(tmp_path / "bills" / "bill.csv")])
    assert result.exit_code == 2
    assert f"{tmp_path}/bills/bill.csv: there is no folder {tmp_path}/bills" in result.output
    assert "url" not in result.output


@pytest.mark.parametrize("kept", ["job.toml", "rows.jsonl", "attempts.log", "link.csv"])
def test_no_bill_is_put_in_the_place_of_a_job_an_input_or_what_a_run_keeps(tmp_path, kept):
    (tmp_path / "rows.jsonl").write_text("a person's own")
    (tmp_path / "link.csv").symlink_to(tmp_path / "rows.jsonl")
    result = CliRunner().invoke(simulate, ["--port", "0", "--bill", str(tmp_path / kept)])
    assert result.exit_code == 2
    assert f"{tmp_path}/{kept}: is named as a job, an input or what a run keeps is: a name such as bill.csv is wanted" in result.output
    assert "url" not in result.output


def test_a_bill_that_can_no_longer_be_written_is_printed_and_not_lost(tmp_path):
    (tmp_path / "bills").mkdir()
    command = [*COMMAND, "--bill", str(tmp_path / "bills" / "bill.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url = json.loads(child.stdout.readline())["url"]
        assert ask(url, "sk-sim-marketing") == 200
        (tmp_path / "bills").rmdir()
        child.send_signal(signal.SIGTERM)
        out, notes = child.communicate()
    assert child.returncode == 1
    assert "bill.json: No such file or directory: the bill was printed instead" in notes
    assert json.loads(out)["workspaces"]["marketing"]["total"]["calls"] == 1


def test_a_host_that_is_not_this_machines_is_not_told_to_need_another_port():
    result = CliRunner().invoke(simulate, ["--port", "0", "--host", "192.0.2.1"])
    assert result.exit_code == 1
    assert "cannot listen on 192.0.2.1:0: " in result.output
    assert "--host takes an address of this machine" in result.output


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
        _, notes = child.communicate()
    assert child.returncode == 0, notes
    assert "sk-fake" not in notes


@pytest.mark.parametrize(
    ("scenario", "flags", "said"),
    [
        ("sed = 4", [], "sed = an unknown key: no such key; did you mean 'seed'?"),
        ('seed = "7"', [], 'seed = "7": an integer'),
        ("journal = 3.0", [], "journal = 3.0: an integer"),
        ("open_keys = 1", [], "open_keys = 1: true or false"),
        ("seed = ", [], "not TOML: Invalid value"),
        ("seed = " + "9" * 5000, [], "not TOML"),
        ("latency = 5", ["--latency-median", "0"], "latency = 5: a table"),
        ("workspaces = 5", ["--workspace", "a=sk-fake-a"], "workspaces = 5: a table"),
        ("[workspaces]\na = 5", ["--workspace", "a=sk-fake-a"], "workspaces.a = 5: a table"),
        ("[workspaces.a]", [], "workspaces.a.api_key = nothing: needed: its fake key"),
        ("[workspaces.a]\napi_key = 314159", [], "workspaces.a.api_key = something that is not shown: a string"),
        ('[workspaces.a]\napi_key = ["sk-fake-a"]', [], "workspaces.a.api_key = something that is not shown: a string"),
        ('[workspaces.a]\napi_key = "sk-fake-a"\nrpm = 3', [], "rates stand in a workspace's limits and in an account's quotas, by model"),
        ('[[faults]]\nkind = "reset"', [], "faults[0] = a table: a planned fault has exactly one of rate, every and first"),
        ('[[faults]]\nkind = "rest"\nfirst = 1', [], "faults[0].kind = \"rest\": did you mean 'reset'?"),
        ('[accounts.a.quotas."qwen3.5-plus"]\nwindow = "slide"', [], 'accounts.a.quotas."qwen3.5-plus".window = "slide": did you mean'),
        ("[accounts.a.quotas.qwen-plus]\nrpm = 9\nperiod = 6", [], "rpm = 9 comes to nothing in a window of 6 seconds: at least 10"),
        ("[[changes]]\nat = 1.0\nbalance = 3", [], "changes[0] = a table: a change has an account or a workspace, and not both"),
        ('[workspaces.a]\napi_key = "sk-fake-same"\n[workspaces.b]\napi_key = "sk-fake-same"', [], "have the same api_key"),
        ('[workspaces.a]\napi_key = "k"\n[[faults]]\nkind = "reset"\nfirst = 1\nworkspace = "A"', [], 'faults[0].workspace = the name "A"'),
        ('[workspaces.a]\napi_key = "k"\nmodels = ["qwen-pluss"]', [], 'workspaces.a.models[0] = the name "qwen-pluss": a model of'),
        (
            '[workspaces.a]\napi_key = "k"\naccount = "main"\n[accounts.man]',
            [],
            'accounts.man = the name "man": an account that a workspace',
        ),
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
    assert "314159" not in result.output


def test_the_example_is_a_scenario_that_can_be_started(tmp_path):
    printed = CliRunner().invoke(simulate, ["--example"])
    assert (printed.exit_code, printed.stderr) == (0, "")
    file = tmp_path / "scenario.toml"
    file.write_text(printed.stdout)
    with subprocess.Popen([*COMMAND, "--scenario", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url = json.loads(child.stdout.readline())["url"]
        assert ask(url, "sk-fake-marketing") == 200
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            ask(url, "sk-fake-hr")
        caught.value.close()
        child.send_signal(signal.SIGTERM)
        _, notes = child.communicate()
    assert child.returncode == 0, notes


def test_a_key_given_by_flag_keeps_what_the_scenario_says_of_its_workspace(tmp_path):
    file = tmp_path / "scenario.toml"
    file.write_text('[workspaces.legal]\napi_key = "sk-fake-old"\nlimits = { qwen-plus = { rpm = 1 } }\n')
    arguments = ["--scenario", str(file), "--workspace", "legal=sk-fake-new"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url = json.loads(child.stdout.readline())["url"]
        assert ask(url, "sk-fake-new") == 200
        for key, status in (("sk-fake-new", "429"), ("sk-fake-old", "401")):
            with pytest.raises(urllib.error.HTTPError, match=status) as caught:
                ask(url, key)
            caught.value.close()
        child.send_signal(signal.SIGTERM)
        child.communicate()


def test_the_help_tells_every_flag_and_where_a_scenario_is_shown():
    told = CliRunner().invoke(simulate, ["--help"]).output
    assert all(
        f"--{parameter.name.replace('_', '-')}" in told
        for parameter in simulate.params
        if parameter.name not in {"scenario_file", "pairs", "bill_file"}
    )
    assert all(flag in told for flag in ("--scenario FILE", "--workspace NAME=KEY", "--bill FILE", "Exits with 0"))


def test_the_variables_that_it_proposes_are_ones_that_a_job_takes():
    given = [each for name in ("市场部", "1st", "r.d") for each in ("--workspace", f"{name}=sk-fake-{len(name)}-{ord(name[0])}")]
    with subprocess.Popen([*COMMAND, *given], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8") as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGTERM)
        _, notes = child.communicate()
    proposed = [line.split(": ")[1].split(" ")[0] for line in notes.splitlines() if line.startswith("  workspace ")]
    assert proposed == ["DASHSCOPE_API_KEY_1", "ST_DASHSCOPE_API_KEY", "R_D_DASHSCOPE_API_KEY"]
