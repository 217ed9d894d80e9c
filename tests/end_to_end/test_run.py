"""The command line as a child process against `batchrun simulate` in another."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.faults.children import ended

ROOT = Path(__file__).parent.parent.parent
BATCHRUN = [sys.executable, "-c", "from batchrun.__main__ import main; main()"]
WORKSPACES = ("marketing", "legal", "support", "research")
KEYS = {name: f"sk-sim-{name}" for name in WORKSPACES}


@contextlib.contextmanager
def simulator(tmp_path, *, latency=0.02, scenario=""):
    file = tmp_path / "scenario.toml"
    keys = "".join(f'[workspaces.{name}]\napi_key = "{key}"\n' for name, key in KEYS.items()) if "[workspaces" not in scenario else ""
    file.write_text(f"latency = {{ median = {latency}, sigma = 0.3 }}\n{scenario}\n{keys}")
    process = subprocess.Popen(
        [*BATCHRUN, "simulate", "--port", "0", "--scenario", str(file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        ended(process)


def bill(url):
    with urllib.request.urlopen(f"{url}/simulator/bill", timeout=10) as answer:
        return json.load(answer)


def calls(url):
    with urllib.request.urlopen(f"{url}/simulator/calls", timeout=10) as answer:
        return json.load(answer)


def write_job(tmp_path, url, rows, *, concurrency=8, models=""):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tables = "".join(f'[workspaces.{name}]\napi_key_env = "{name.upper()}_KEY"\n{models}' for name in WORKSPACES)
    job = tmp_path / "job.toml"
    job.write_text(
        f'[job]\ninput = "rows.jsonl"\noutput = "run"\n[defaults]\nmodel = "qwen-plus"\nconcurrency = {concurrency}\n'
        f'endpoint = "{url}/compatible-mode/v1"\n[retry]\nbackoff = {{ first = 0.05, max = 0.2 }}\n{tables}'
    )
    return job


def rows_of(count):
    return [
        {
            "id": f"r-{number}",
            "workspace": WORKSPACES[number % len(WORKSPACES)],
            "prompt": f"Summarise note {number}: the pump at site {number} runs.",
        }
        for number in range(count)
    ]


def environment(keys=None):
    own = {f"{name.upper()}_KEY": key for name, key in (KEYS if keys is None else keys).items()}
    return {**os.environ, **own, "PYTHONPATH": str(ROOT)}


def run(tmp_path, *arguments, keys=None, piped=None):
    return subprocess.run(
        [*BATCHRUN, *arguments], capture_output=True, cwd=tmp_path, env=environment(keys), input=piped, timeout=100, check=False
    )


def answered(tmp_path):
    return [json.loads(line) for path in sorted((tmp_path / "run").glob("*/results.jsonl")) for line in path.read_bytes().splitlines()]


def total(tmp_path):
    told = run(tmp_path, "report", "run", "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def billed(url):
    return {
        workspace: (told["total"]["input_tokens"], told["total"]["output_tokens"]) for workspace, told in bill(url)["workspaces"].items()
    }


def test_the_statement_equals_the_bill_to_the_token(tmp_path):
    faults = "".join(f'[[faults]]\nkind = "{kind}"\nrate = 0.05\n' for kind in ("throttle", "internal", "unavailable", "burst"))
    with simulator(tmp_path, latency=0.01, scenario=faults) as url:
        done = run(tmp_path, "run", str(write_job(tmp_path, url, rows_of(600))), "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        stated = {name: (part["total"]["input_tokens"], part["total"]["output_tokens"]) for name, part in told["workspaces"].items()}
        assert stated == billed(url)
        assert total(tmp_path) == told | {"parked": [], "grown": [], "stopped": []}
    assert told["total"]["answered"] == 600
    assert told["total"]["in_doubt"] == 0
    assert told["total"]["throttles"] > 0
    assert len({entry["id"] for entry in answered(tmp_path)}) == len(answered(tmp_path)) == 600


def test_a_killed_run_goes_on_and_its_doubt_covers_the_bill(tmp_path):
    with simulator(tmp_path, latency=0.05) as url:
        job = write_job(tmp_path, url, rows_of(800))
        for enough in (60, 200, 420):
            process = subprocess.Popen([*BATCHRUN, "run", str(job), "--quiet"], cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
            while len(calls(url)) < enough and process.poll() is None:
                pass
            process.kill()
            process.wait()
        done = run(tmp_path, "run", str(job), "--json")
        assert done.returncode == 0, done.stderr
        made, costs = len(calls(url)), bill(url)["total"]
    told = json.loads(done.stdout)["total"]
    ids = [entry["id"] for entry in answered(tmp_path)]
    assert sorted(ids) == sorted(row["id"] for row in rows_of(800))
    assert 800 < made <= 800 + 3 * 8 * len(WORKSPACES)
    assert made - 800 <= told["in_doubt"]
    for kind in ("input_tokens", "output_tokens"):
        assert told[kind] <= costs[kind] <= told[kind] + told[f"in_doubt_{kind}"]


def test_a_run_whose_code_is_taken_away_or_upgraded_under_it_ends_as_any_other(tmp_path):
    code = tmp_path / "code" / "batchrun"
    shutil.copytree(ROOT / "batchrun", code, ignore=shutil.ignore_patterns("__pycache__"))
    with simulator(tmp_path, latency=0.2) as url:
        command, its = [*BATCHRUN, "run", str(write_job(tmp_path, url, rows_of(240)))], {**environment(), "PYTHONPATH": str(code.parent)}
        process = subprocess.Popen(command, cwd=tmp_path, env=its, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while len(calls(url)) < 150 and process.poll() is None:
            pass
        assert process.poll() is None, "it was to be under way"
        code.rename(tmp_path / "former")
        told, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert b"240" in told.splitlines()[-1]
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"report.html", "usage.csv"} <= made
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["ended"]["stopped_by"] is None


def test_parked_workspaces_say_what_to_do_and_finish_once_mended(tmp_path):
    grants = "".join(f'[workspaces.{name}]\napi_key = "{KEYS[name]}"\n' for name in WORKSPACES)
    grants = grants.replace('"sk-sim-legal"\n', '"sk-sim-legal"\nmodels = ["qwen-max"]\n')
    wrong = {**KEYS, "marketing": "sk-fake-not-the-key-of-marketing"}
    with simulator(tmp_path, scenario=grants) as url:
        first = run(tmp_path, "run", str(write_job(tmp_path, url, rows_of(80))), keys=wrong)
    assert first.returncode == 4, first.stderr
    said = first.stderr.decode()
    assert "parked: workspace marketing, 20 rows: 401 invalid_api_key" in said
    assert "parked: workspace and model legal qwen-plus, 20 rows: 403 Model.AccessDenied" in said
    assert len(answered(tmp_path)) == 40
    with simulator(tmp_path) as url:
        second = run(tmp_path, "run", str(write_job(tmp_path, url, rows_of(80))))
    assert second.returncode == 0, second.stderr
    assert len({entry["id"] for entry in answered(tmp_path)}) == len(answered(tmp_path)) == 80


def test_no_key_is_written_anywhere(tmp_path):
    keys = {name: f"sk-fake-canary-{name}-0123456789abcdef" for name in WORKSPACES}
    tables = "".join(f'[workspaces.{name}]\napi_key = "{key}"\n' for name, key in keys.items() if name != "legal")
    tables += '[[faults]]\nkind = "reset"\nrate = 0.1\n[[faults]]\nkind = "html"\nrate = 0.1\n[[faults]]\nkind = "redirect"\nfirst = 2\n'
    with simulator(tmp_path, scenario=tables) as url:
        job = write_job(tmp_path, url, rows_of(80))
        done = run(tmp_path, "run", str(job), keys=keys)
        missing = run(tmp_path, "run", str(job), "--strict", keys={"marketing": "sk-fake-canary-\nbroken", "legal": keys["legal"]})
    assert missing.returncode == 2
    seen = done.stdout + done.stderr + missing.stdout + missing.stderr
    seen += b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert b"canary" not in seen


def test_bad_lines_are_set_aside_and_strict_refuses_to_start(tmp_path):
    with simulator(tmp_path) as url:
        job = write_job(tmp_path, url, rows_of(8))
        with (tmp_path / "rows.jsonl").open("ab") as file:
            file.write(b'{"id": "r-0", "workspace": "marketing", "prompt": "again"}\nnot json\n{"workspace": "../x", "prompt": "a"}\n')
        strict = run(tmp_path, "run", str(job), "--strict")
        lenient = run(tmp_path, "run", str(job))
        assert len(calls(url)) == 8
    assert (strict.returncode, lenient.returncode) == (2, 3)
    why = "workspace '../x' is not one of the job's"
    for said in (strict.stderr.decode(), lenient.stderr.decode()):
        assert "3 input lines are no row" in said
        assert f"rows.jsonl, line 11: {why}" in said
        assert "id 'r-0' stands already at rows.jsonl line 1" in said
        assert "the job's workspaces are " in said
    noted = lenient.stderr.decode().splitlines()
    assert sum(why in line for line in noted) == 2, "once before the first call, once at the end"
    aside = [json.loads(line) for line in (tmp_path / "run" / "rejected-input.jsonl").read_bytes().splitlines()]
    assert [line["line"] for line in aside] == [9, 10, 11]


def test_lines_that_were_piped_in_and_are_no_rows_are_not_said_to_be_taken_by_the_same_command(tmp_path):
    """It keeps what was piped in, and refuses other rows."""
    with simulator(tmp_path) as url:
        job = write_job(tmp_path, url, [])
        job.write_text(job.read_text().replace('"rows.jsonl"', '"-"'))
        whole = b'{"workspace": "legal", "prompt": "a"}\n{"workspace": "legal", "prompt": "b"}\n'
        half = run(tmp_path, "run", str(job), piped=whole[:60])
        refused = run(tmp_path, "run", str(job), piped=whole)
    said = half.stderr.decode()
    assert (half.returncode, refused.returncode) == (3, 2)
    assert "the others go on; give them, corrected, to a run with an output of its own" in said
    assert "what was piped in had ended too early" in said
    assert "the same command" not in said


def test_an_input_without_a_row_is_told(tmp_path):
    with simulator(tmp_path) as url:
        done = run(tmp_path, "run", str(write_job(tmp_path, url, [])))
    assert (done.returncode, b"no row stands in the input" in done.stderr) == (0, True)


def test_the_first_signal_drains_and_the_run_can_go_on(tmp_path):
    with simulator(tmp_path, latency=0.4) as url:
        # So few at once that it is not over before a second process has begun, however busy the machine is.
        job = write_job(tmp_path, url, rows_of(400), concurrency=2)
        process = subprocess.Popen(
            [*BATCHRUN, "run", str(job)], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        while len(calls(url)) < 50:
            pass
        second = run(tmp_path, "run", str(job))
        process.send_signal(signal.SIGINT)
        _, said = ended(process)
        assert process.returncode == 4, said
        assert (second.returncode, f"process {process.pid}" in second.stderr.decode()) == (5, True)
        stopped = total(tmp_path)["total"]
        assert stopped["in_doubt"] == 0
        assert stopped["answered"] == len(calls(url)) < 400
        assert run(tmp_path, "run", str(write_job(tmp_path, url, rows_of(400), concurrency=40))).returncode == 0
        assert len(calls(url)) == 400


def test_what_may_change_between_two_openings_is_told_and_another_input_is_refused(tmp_path):
    with simulator(tmp_path) as url:
        assert run(tmp_path, "run", str(write_job(tmp_path, url, rows_of(8)))).returncode == 0
        job = write_job(tmp_path, url, [{**row, "prompt": "Another text."} for row in rows_of(2)] + rows_of(11)[2:], concurrency=3)
        again = run(tmp_path, "run", str(job))
        said = again.stderr.decode()
        assert again.returncode == 0, said
        assert "changed in the job: defaults.concurrency: it holds from now on" in said
        assert "the input is no longer what it was when this run was last opened: 3 rows added, 0 taken out, 2 edited" in said
        assert "2 answered rows, or the settings they are asked under, have changed since: they keep their answers" in said
        assert len(calls(url)) == 11
        quiet = run(tmp_path, "run", str(job), "--quiet").stderr.decode()
        assert quiet.startswith("2 answered rows, or the settings they are asked under, have changed since: they keep their answers; ")
        other = run(tmp_path, "run", str(write_job(tmp_path, url, [{**row, "id": f"other-{row['id']}"} for row in rows_of(4)])))
        assert (other.returncode, len(calls(url))) == (6, 11)
        assert b"none of its 11 answered rows stands in the input" in other.stderr


def test_another_jobs_run_directory_is_refused(tmp_path):
    with simulator(tmp_path) as url:
        job = write_job(tmp_path, url, rows_of(4))
        assert run(tmp_path, "run", str(job)).returncode == 0
        other = tmp_path / "other.toml"
        other.write_text(job.read_text())
        assert run(tmp_path, "run", str(other)).returncode == 6


@pytest.mark.parametrize("form", ["batchrun", "openai-batch"])
def test_both_forms_of_results_resume(tmp_path, form):
    with simulator(tmp_path) as url:
        job = write_job(tmp_path, url, rows_of(20))
        job.write_text(job.read_text() + f'[output]\nform = "{form}"\nraw = true\n')
        assert run(tmp_path, "run", str(job)).returncode == 0
        assert run(tmp_path, "run", str(job)).returncode == 0
        assert len(calls(url)) == 20
    entry = answered(tmp_path)[0]
    body = entry["response"]["body"] if form == "openai-batch" else entry["response"]
    assert body["object"] == "chat.completion"


def test_outcomes_come_one_by_one_from_python(tmp_path):
    program = (
        "import anyio\nfrom batchrun import load_job, outcomes\n"
        "async def main():\n    seen = 0\n    async with outcomes(load_job('job.toml')) as stream:\n"
        "        async for outcome in stream:\n            seen += 1\n    print(seen)\nanyio.run(main)\n"
    )
    with simulator(tmp_path) as url:
        write_job(tmp_path, url, rows_of(40))
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, cwd=tmp_path, env=environment(), timeout=60, check=False
        )
    assert done.stdout == b"40\n", done.stderr
