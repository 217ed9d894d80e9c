"""The whole circle: a run with faults on `batchrun simulate`, the simulator's export, `batchrun reconcile`."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import urllib.request
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from batchrun.core.money.bill import BillLine
from batchrun.edge.bill_file import read_bill
from tests.end_to_end.test_run import BATCHRUN, KEYS, bill, calls, environment, rows_of, run, simulator, write_job
from tests.faults import children
from tests.focus_spec import violations
from tests.simulator.fixtures import chat

FAULTS = "".join(f'[[faults]]\nkind = "{kind}"\nrate = 0.05\n' for kind in ("throttle", "internal", "burst"))

# A URL of one's own has no shipped prices: the job gives those of the provider's list.
PRICES = "[prices.qwen-plus]\ntiers = { input = 0.8, output = 2, thinking = 8 }\n[prices.qwen-max]\ntiers = { input = 2.4, output = 9.6 }\n"


def export(url, tmp_path, form="2025"):
    """Save the export of the simulator, which counts for itself."""
    with urllib.request.urlopen(f"{url}/simulator/bill.csv?form={form}", timeout=10) as answer:
        (tmp_path / "bill.csv").write_bytes(answer.read())
    return tmp_path / "bill.csv"


def reconcile(tmp_path, *arguments):
    done = run(tmp_path, "reconcile", "run", "--bill", "bill.csv", *arguments)
    return done.returncode, done.stdout.decode()


def found(tmp_path, *arguments):
    code, told = reconcile(tmp_path, "--json", *arguments)
    return code, json.loads(told)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """A run with faults, and the bill in both forms."""
    folder = tmp_path_factory.mktemp("night")
    with simulator(folder, latency=0.01, scenario=FAULTS) as url:
        rows = [row | ({"model": "qwen-max"} if number % 5 == 0 else {}) for number, row in enumerate(rows_of(400))]
        rows += [row | {"id": f"t-{row['id']}", "parameters": {"enable_thinking": True}, "model": "qwen-plus"} for row in rows[:40]]
        job = write_job(folder, url, rows)
        job.write_text(job.read_text() + PRICES)
        done = run(folder, "run", str(job))
        assert done.returncode == 0, done.stderr
        forms = {form: export(url, folder, form).read_bytes() for form in ("2024", "2025")}
        owed = bill(url)["total"]
    return folder, forms, owed


@pytest.fixture
def settled(night):
    folder, forms, owed = night
    (folder / "bill.csv").write_bytes(forms["2025"])
    return folder, forms, owed


@pytest.mark.parametrize("form", ["2024", "2025"])
def test_a_run_with_faults_closes_to_the_token_and_in_money(settled, form):
    folder, forms, owed = settled
    (folder / "bill.csv").write_bytes(forms[form])
    code, told = found(folder)
    total = told["total"]
    assert (code, told["closes"]) == (0, True)
    assert total["billed"] == total["counted"] == owed["input_tokens"] + owed["output_tokens"]
    assert {line["kind"] for line in told["lines"]} >= {"input_token", "output_token", "thinking_output_token"}
    assert {name: Decimal(amount) for name, amount in total["billed_money"].items()} == {
        name: Decimal(amount) for name, amount in total["counted_money"].items()
    }
    assert Decimal(total["billed_money"]["CNY"]) > 0
    assert total["unpriced_tokens"] == 0
    assert found(folder, "--money")[0] == 0
    assert told["money"]
    assert not any(each["why"] for each in told["money"])
    code, table = reconcile(folder)
    assert (code, table.splitlines()[-1]) == (0, "it closes: equal to the token")


@pytest.mark.parametrize("form", ["2024", "2025"])
def test_finance_can_join_the_focus_export_with_the_bill_by_the_instance_id_to_the_token_and_the_last_digit(settled, form):
    folder, forms, _ = settled
    (folder / "bill.csv").write_bytes(forms[form])
    ids = [argument for name in KEYS for argument in ("--id", f"llm-{name}={name}")]
    assert run(folder, "report", "run", "--focus", "focus.csv", *ids).returncode == 0
    billed: dict[str, list[Decimal]] = {}
    for line in read_bill(folder / "bill.csv", ZoneInfo("Asia/Shanghai")):
        assert isinstance(line, BillLine)
        _add(billed, ";".join(line.instance[:3]), line.tokens, line.amount or 0)
    charged: dict[str, list[Decimal]] = {}
    with (folder / "focus.csv").open(encoding="utf-8", newline="") as file:
        rows = [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]
    for row in rows:
        _add(charged, ";".join((row["x_AliyunInstanceId"] or "").split(";")[1:4]), row["ConsumedQuantity"] or 0, row["BilledCost"] or 0)
    assert charged == billed
    assert violations(list(rows[0]), rows) == []


def _add(sums, key, tokens, amount):
    counted = sums.setdefault(key, [Decimal(0), Decimal(0)])
    counted[0] += Decimal(tokens)
    counted[1] += Decimal(amount)


@pytest.mark.parametrize("more", [1, -1, 1000])
def test_a_tampered_line_is_named_and_keeps_it_open(settled, more):
    folder, forms, _ = settled
    lines = forms["2025"].decode("utf-8-sig").splitlines()
    place = next(number for number, text in enumerate(lines) if ";llm-legal;qwen-max;output_token;" in text)
    before = lines[place].split(",")
    before[9] = str(int(before[9]) + more)
    lines[place] = ",".join(before)
    (folder / "bill.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    code, told = found(folder)
    assert code == 3
    (wrong,) = [line for line in told["lines"] if line["unexplained"]]
    assert (wrong["workspace"], wrong["model"], wrong["kind"], wrong["unexplained"]) == ("legal", "qwen-max", "output_token", more)
    assert wrong["places"] == [f"bill.csv, line {place + 1}"]
    code, table = reconcile(folder)
    assert code == 3
    assert f"{more:+,} unexplained (bill.csv, line {place + 1})" in table


def test_exports_that_overlap_and_a_copy_of_one_are_counted_once_and_told(settled):
    folder, forms, _ = settled
    heading, *lines = forms["2025"].splitlines(keepends=True)
    (folder / "early.csv").write_bytes(b"".join([heading, *lines[:-1]]))
    (folder / "copy.csv").write_bytes((folder / "early.csv").read_bytes())
    code, told = reconcile(folder, "--bill", "early.csv", "--bill", "copy.csv")
    assert code == 0, told
    assert f"counted once: {len(lines) - 1} lines of early.csv stand in a file before it too, word for word" in told
    assert f"counted once: {len(lines) - 1} lines of copy.csv stand" in told
    assert "it closes: equal to the token" in told


def test_a_price_that_is_no_longer_the_providers_is_found_where_money_decides(settled):
    folder, forms, _ = settled
    lines = forms["2025"].decode("utf-8-sig").splitlines()
    dearer = [_with_amount(text, "1.5") if ";llm-legal;qwen-max;" in text else text for text in lines]
    (folder / "bill.csv").write_text("\n".join(dearer) + "\n", encoding="utf-8-sig")
    assert found(folder)[0] == 0
    code, told = found(folder, "--money")
    assert code == 3
    (wrong,) = [each for each in told["money"] if each["unexplained"]]
    assert (wrong["workspace"], wrong["model"]) == ("legal", "qwen-max")
    assert wrong["why"].startswith("1.5000 of what was counted for the same tokens: another price")


def test_a_bill_that_a_spreadsheet_of_decimal_commas_has_saved_again_closes_in_money_and_says_how_it_was_read(settled):
    folder, forms, _ = settled
    lines = [*csv.reader(forms["2025"].decode("utf-8-sig").splitlines())]
    for cells in lines[1:]:
        cells[9] = f"{int(cells[9]):,}".replace(",", ".")
        cells[11] = cells[11].replace(".", ",")
    with (folder / "bill.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=";").writerows(lines)
    code, told = found(folder, "--money")
    how = {"bill.csv": "commas stand before decimals there, and points between thousands"}
    assert (code, told["closes"], told["understood"]) == (0, True, how)
    assert f"bill.csv: {how['bill.csv']}" in reconcile(folder)[1]


def _with_amount(text, share):
    cells = text.split(",")
    cells[11] = str(Decimal(cells[11]) * Decimal(share))
    return ",".join(cells)


def test_a_call_by_somebody_else_with_the_same_key_is_shown_as_others(tmp_path):
    with simulator(tmp_path) as url:
        assert run(tmp_path, "run", str(write_job(tmp_path, url, rows_of(40)))).returncode == 0
        other = chat("What is the capital of France?", key=KEYS["support"])
        urllib.request.urlopen(urllib.request.Request(url + other.path, other.body, other.headers, method="POST"), timeout=10).close()
        export(url, tmp_path)
        theirs = [call for call in calls(url) if call["sha"] == calls(url)[-1]["sha"]][-1]
    code, told = found(tmp_path)
    assert code == 3
    assert told["total"]["unexplained"] == 0
    assert told["total"]["others"] == told["workspaces"]["support"]["others"] == theirs["input_tokens"] + theirs["output_tokens"]
    assert "others' calls" in reconcile(tmp_path)[1]
    assert found(tmp_path, "--allow-others")[0] == 0


def test_a_killed_runs_doubt_covers_its_bill(tmp_path):
    with simulator(tmp_path, latency=0.05) as url:
        job = write_job(tmp_path, url, rows_of(300))
        process = subprocess.Popen([*BATCHRUN, "run", str(job), "--quiet"], cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
        while len(calls(url)) < 100 and process.poll() is None:
            pass
        process.kill()
        process.wait()
        assert run(tmp_path, "run", str(job)).returncode == 0
        export(url, tmp_path)
        made = len(calls(url))
    code, told = found(tmp_path)
    total = told["total"]
    assert code == 0
    assert made > 300
    assert total["doubtful_calls"] >= made - 300
    assert 0 < total["in_doubt"] == total["billed"] - total["counted"] <= total["most_in_doubt"]


def test_the_bill_file_of_simulate_is_an_export_where_its_name_says_so(tmp_path):
    file = tmp_path / "bill.csv"
    arguments = ["simulate", "--port", "0", "--latency-median", "0", "--bill", str(file)]
    with subprocess.Popen([*BATCHRUN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()) as child:
        assert child.stdout is not None
        url = json.loads(child.stdout.readline())["url"]
        job = write_job(tmp_path, url, rows_of(8))
        assert run(tmp_path, "run", str(job)).returncode == 0
        child.terminate()
        children.ended(child)
    assert child.returncode == 0
    assert reconcile(tmp_path)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing", "--bill", "bill.csv"], "is no run directory"),
        (["run", "--bill", "none.csv"], "does not exist"),
        (["run", "--bill", "job.toml"], "is no bill export"),
        (["run", "--bill", "bill.csv", "--bill", "./bill.csv"], "named twice"),
        (["run", "run/", "--bill", "bill.csv"], "named twice"),
        (["run", "--bill", "bill.csv", "--timezone", "Asia/Shanghi"], "a time zone"),
        (["run", "--bill", "bill.csv", "--id", "llm-x"], "NAME=MEANING"),
        (["run", "--bill", "bill.csv", "--id", "llm-x=nobody"], "the runs have no workspace nobody"),
        (["run", "--bill", "bill.csv", "--kind", "x=y"], "one of input_token"),
        (["run"], "--bill"),
    ],
)
def test_a_wrong_argument_ends_with_2_and_says_what_is_wanted(settled, arguments, said):
    folder, _, _ = settled
    done = run(folder, "reconcile", *arguments)
    assert done.returncode == 2
    assert said in done.stderr.decode()


def test_a_directory_beside_in_which_an_opening_was_refused_keeps_no_bill_open(settled):
    folder, _, _ = settled
    (folder / "typo.toml").write_text((folder / "job.toml").read_text().replace("rows.jsonl", "rosw.jsonl").replace('"run"', '"typo"'))
    assert run(folder, "run", "typo.toml").returncode == 2
    assert (folder / "typo").is_dir()
    done = run(folder, "reconcile", "run", "typo", "--bill", "bill.csv")
    assert (done.returncode, done.stderr) == (0, b"")
    assert run(folder, "reconcile", "typo", "--bill", "bill.csv").returncode == 2


def test_ids_that_are_no_names_are_mapped(settled):
    folder, forms, _ = settled
    (folder / "bill.csv").write_bytes(forms["2025"].replace(b"llm-legal;", b"llm-a1b2c3;"))
    code, told = found(folder)
    assert code == 3
    assert list(told["other_workspace_ids"]) == ["llm-a1b2c3"]
    assert found(folder, "--id", "llm-a1b2c3=legal")[0] == 0


def test_names_of_one_workspace_are_compared_as_one_each_department_of_a_run_and_each_month_of_a_renamed_one(settled):
    folder, forms, _ = settled
    one, other = sorted(KEYS)[:2]
    bill = forms["2025"]
    for name in (one, other):
        bill = bill.replace(f"llm-{name};".encode(), b"llm-a1b2c3;")
    (folder / "bill.csv").write_bytes(bill)
    assert found(folder, "--id", f"llm-a1b2c3={one}")[0] == 3
    code, told = found(folder, "--id", f"llm-a1b2c3={other}", "--id", f"llm-a1b2c3={one}", "--money")
    assert (code, min(told["workspaces"])) == (0, f"{one} + {other}")
    done = run(folder, "reconcile", "run", "--bill", "bill.csv", "--id", f"llm-1={one}", "--id", f"llm-1={other}", "--id", f"llm-2={one}")
    assert done.returncode == 2
    assert f"--id: {one} is one with {one} + {other}, and with {one} for llm-2" in done.stderr.decode()


def test_the_help_tells_the_exit_codes_and_what_cannot_be_told():
    done = subprocess.run([*BATCHRUN, "reconcile", "--help"], capture_output=True, env=dict(os.environ), check=True)
    told = " ".join(done.stdout.decode().split())
    assert "3 it does not close" in told
    assert "no request ids" in told
