"""Plans of jobs whose run directory is not there, half done, or in use: what they say, and that they change nothing."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import pytest

from batchrun.core.errors import JobError, RunDamagedError
from batchrun.core.jobs.job import Job
from batchrun.core.limits.priors import first_output
from batchrun.core.money.books import Books, Part
from batchrun.edge import run_directory
from batchrun.edge.latest import latest_lines
from batchrun.report.forecast import forecast_table
from batchrun.running.one_run import Wishes, read_statement, run_blocking
from batchrun.telling import expecting
from batchrun.telling.foresight import look_ahead
from tests.steps import lines_run

BEGINS = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows_of(count, workspace="legal", **more):
    return [{"id": f"{workspace}-{number}", "workspace": workspace, "prompt": f"Note {number}", **more} for number in range(count)]


def write(rows, path="in.jsonl"):
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def job_of(**tables):
    whole = {"job": {"input": "in.jsonl", "output": "run"}, "defaults": {"endpoint": "simulator", "model": "qwen-plus"}, **tables}
    whole["simulator"] = {"latency": {"median": 0.0}, **whole.get("simulator", {})}
    return Job.model_validate(whole)


def planned(job):
    return look_ahead(job, BEGINS, dotenv=None)


def everything(folder="."):
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_plan_says_which_workspaces_share_a_key(monkeypatch):
    monkeypatch.setenv("ONE_KEY", "sk-fake-one")
    write([*rows_of(2), *rows_of(2, "hr")])
    workspaces = {name: {"endpoint": NOWHERE, "api_key_env": "ONE_KEY"} for name in ("legal", "hr")}
    assert any(note.startswith("legal, hr have the same key: ") for note in planned(job_of(workspaces=workspaces)).notes)


def test_what_is_assumed_of_many_workspaces_alike_is_worked_out_once():
    """Of two thousand of them it was most of what a plan took: a minute."""

    def steps(workspaces, median):
        names = [f"team-{number}" for number in range(workspaces)]
        write([row for name in names for row in rows_of(1, name)])
        job = job_of(workspaces={name: {} for name in names}, simulator={"latency": {"median": median, "sigma": median}})
        return lines_run(lambda: planned(job), "core/scheduling/expected.py")

    one, thirty = steps(1, 0.0101), steps(30, 0.0102)
    assert one > 1000
    assert thirty < 2 * one


def test_a_rehearsal_of_answers_that_take_as_long_as_they_are_is_foretold_to():
    write(rows_of(400))
    defaults = {"model": "qwen-plus", "endpoint": "simulator", "concurrency": 4}

    def lane(per_token):
        simulator = {"latency": {"median": 0.0, "per_token": per_token}}
        return planned(job_of(defaults=defaults, workspaces={"legal": {}}, simulator=simulator)).lanes[0]

    at_once, written = lane(0.0), lane(0.5)
    assert at_once.seconds is not None
    assert written.seconds is not None
    assert written.output_tokens == at_once.output_tokens > 400
    assert written.seconds - at_once.seconds == pytest.approx(0.5 * written.output_tokens / 4, rel=0.05)


def test_what_answers_of_other_workspaces_tell_is_worked_out_once_for_all_that_have_too_few():
    """Of three thousand workspaces with five answers each that was most of what a plan took."""

    def steps(workspaces):
        names = [f"team-{number}" for number in range(workspaces)]
        tables = {"job": {"input": "in.jsonl", "output": f"run-{workspaces}"}, "workspaces": {name: {} for name in names}}
        write([row for name in names for row in rows_of(1, name)])
        run_blocking(job_of(**tables), Wishes(dotenv=None, page=None))
        write([row for name in names for row in rows_of(2, name)])
        assert any("the same model in other workspaces" in each for each in planned(job_of(**tables)).assumed)
        return lines_run(lambda: planned(job_of(**tables)), "telling/known.py") / workspaces

    assert steps(60) < 1.5 * steps(15)


def test_a_plan_makes_no_run_directory():
    write(rows_of(5))
    told = planned(job_of(workspaces={"legal": {}}))
    assert [(each.workspace, each.model, each.rows) for each in told.lanes] == [("legal", "qwen-plus", 5)]
    assert [path.name for path in Path().iterdir()] == ["in.jsonl"]


def test_a_plan_of_a_run_that_another_process_holds_is_made_and_changes_nothing():
    write(rows_of(30))
    job = job_of(workspaces={"legal": {}})
    run_blocking(job, Wishes(dotenv=None))
    write(rows_of(50))
    with Path("run/legal/results.jsonl").open("ab") as torn:
        torn.write(b'{"id": "half')
    with run_directory.locked(Path("run")):
        before = everything()
        told = planned(job)
        assert everything() == before
    assert [each.rows for each in told.lanes] == [20]
    assert "30 rows are answered or rejected already" in told.notes


def test_what_a_run_unpacked_is_used_and_left_as_it_is():
    with gzip.open("in.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows_of(10))
    job = job_of(job={"input": "in.jsonl.gz", "output": "run"}, workspaces={"legal": {}})
    assert sum(each.rows for each in planned(job).lanes) == 10
    run_blocking(job, Wishes(dotenv=None))
    before = everything()
    assert planned(job).lanes == ()
    assert everything() == before


def test_standard_input_that_a_run_took_is_planned_from_its_spool(monkeypatch):
    Path("run/input").mkdir(parents=True)
    write(rows_of(7), "run/input/stdin.jsonl")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    told = planned(job_of(job={"input": "-", "output": "run"}, workspaces={"legal": {}}))
    assert sum(each.rows for each in told.lanes) == 7
    assert "run/input/stdin.jsonl" in told.notes[0]


def test_where_nothing_can_be_written_a_plan_is_made_and_only_what_was_never_unpacked_is_refused(monkeypatch):
    write([*rows_of(10), {"prompt": ""}])
    with gzip.open("in.jsonl.gz", "wt") as file:
        file.write(Path("in.jsonl").read_text())
    plain, packed = (job_of(job={"input": name, "output": f"run-{name}"}, workspaces={"legal": {}}) for name in ("in.jsonl", "in.jsonl.gz"))
    could_be_written = planned(plain)
    monkeypatch.setattr(tempfile, "tempdir", str(Path("nowhere").absolute()))
    assert planned(plain) == could_be_written
    with pytest.raises(JobError, match=r"in\.jsonl\.gz.*unpacked.*TMPDIR"):
        planned(packed)
    run_blocking(packed, Wishes(dotenv=None))
    # What was touched has to be read again, and would be known to be the same from then on: a plan keeps nothing.
    os.utime("run-in.jsonl.gz/input/001.jsonl")
    before = everything()
    assert "10 rows are answered or rejected already" in planned(packed).notes
    assert everything() == before
    Path("run-in.jsonl.gz/input/index.json").unlink()
    before = {path: told for path, told in before.items() if path.name != "index.json"}
    assert "10 rows are answered or rejected already" in planned(packed).notes
    assert everything() == before


def test_nothing_wrong_is_exit_0_and_no_obstacle():
    write(rows_of(5))
    told = planned(job_of(workspaces={"legal": {}}))
    assert (told.obstacles, told.exit_code) == ((), 0)


def obstacles(job):
    told = planned(job)
    assert told.exit_code == 4
    return [(each.where, each.rows) for each in told.obstacles], told


def test_a_missing_key_is_one_obstacle_a_workspace_with_the_rows_of_all_its_models(monkeypatch):
    monkeypatch.delenv("NO_KEY", raising=False)
    write([*rows_of(5), *({**row, "id": row["id"] + "m", "model": "qwen-max"} for row in rows_of(3)), *rows_of(4, "sales")])
    found, told = obstacles(job_of(workspaces={"legal": {"endpoint": NOWHERE, "api_key_env": "NO_KEY"}, "sales": {}}))
    assert found == [("workspace legal", 8)]
    assert "NO_KEY" in told.obstacles[0].advice
    assert {each.workspace: each.limited_by for each in told.lanes}["legal"] == "parked"
    assert all(each.seconds is not None for each in told.lanes if each.workspace == "sales")


def test_a_model_that_is_not_listed_parks_its_lane_alone():
    write([*rows_of(5), *rows_of(3, "sales", model="qwen-max")])
    found, _ = obstacles(job_of(workspaces={"legal": {}, "sales": {"models": ["qwen-plus"]}}))
    assert found == [("workspace sales, qwen-max", 3)]


NEWER = ["qwen3.7-plus", "qwen3.6-flash", "qwen-plus-latest", "qwen-plus-2025-07-28", "qwen-mt-turbo", "qwen3-coder-plus", "qwen3-32b"]


@pytest.mark.parametrize(
    ("asked", "meant"), [("qwen-plsu", "qwen-plus"), ("qwen-plus", None), ("zzz", None), *((model, None) for model in NEWER)]
)
def test_a_model_that_no_price_and_no_table_knows_is_told_with_the_one_that_may_be_meant(asked, meant):
    write(rows_of(2, "default", model=asked))
    notes = [note for note in planned(job_of()).notes if note.endswith(" meant?")]
    assert notes == [f'{asked}: no price is known of it: is "{meant}" meant?'] * (meant is not None)


@pytest.mark.parametrize(
    ("listed", "meant"), [("qwen-pluss", "qwen-plus"), ("qwen4-plus", None), ("house-model", None), ("qwen-plus", None)]
)
def test_a_model_that_is_mistyped_all_through_a_job_is_told_with_the_one_that_is_meant(listed, meant):
    """Where no more than a letter or two are off, for a job may list what is newer than the prices."""
    write(rows_of(2, "legal"))
    told = planned(job_of(workspaces={"legal": {"model": listed, "models": [listed]}}))
    notes = [note for note in told.notes if "meant" in note]
    assert notes == [f'{listed}: no price is known of it: is "{meant}" meant?'] * (meant is not None)


A_PRICE = {"currency": "CNY", "tiers": {"input": 1, "output": 2}}


@pytest.mark.parametrize(("named", "is_told"), [("qwen-pluss", True), ("qwen-max", False), ("zzz", False), ("qwen-plus", False)])
@pytest.mark.parametrize("table", ["accounts.main.quotas", "accounts.main.discounts", "workspaces.legal.limits", "prices"])
def test_a_table_of_a_model_that_no_row_asks_is_told_where_its_name_is_a_slip(table, named, is_told):
    write(rows_of(2, "legal"))
    account = {"accounts.main.quotas": {"quotas": {named: {"rpm": 600}}}, "accounts.main.discounts": {"discounts": {named: 0.25}}}.get(
        table, {}
    )
    prices = {named: A_PRICE} if table == "prices" else {}
    limits = {named: {"budget": {"tokens": 9_000}}} if table == "workspaces.legal.limits" else {}
    told = planned(job_of(workspaces={"legal": {"account": "main", "limits": limits}}, accounts={"main": account}, prices=prices))
    assert [note for note in told.notes if "meant" in note] == [f'{table}.{named}: no row asks that model: is "qwen-plus" meant?'] * is_told


def test_a_table_of_a_model_that_a_workspace_lists_is_no_slip_though_no_row_asks_it_yet():
    write(rows_of(2, "legal"))
    legal = {"models": ["qwen-plus", "qwen-pluss"], "limits": {"qwen-pluss": {"rpm": 60}}}
    assert [note for note in planned(job_of(workspaces={"legal": legal})).notes if "meant" in note] == []


def test_a_model_without_a_route_is_found_before_a_call(monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-fake-a")
    write(rows_of(5, model="qwen-audio-turbo"))
    found, told = obstacles(job_of(workspaces={"legal": {"endpoint": NOWHERE, "api_key_env": "A_KEY"}}))
    assert found == [("workspace legal, qwen-audio-turbo", 5)]
    assert "does not speak" in told.obstacles[0].said


@pytest.mark.parametrize("bound", ["workspace", "model", "account"])
def test_rows_that_can_never_fit_their_tpm_are_counted_before_they_are_rejected(bound):
    tpm = {"tpm": 60_000}
    table = {"workspace": tpm, "model": {"limits": {"qwen-plus": tpm}}, "account": {"account": "main"}}[bound]
    sizes = (31_000, 60_000, 90_000)  # Two tokens a word by the estimate: 30,000 words fit.
    long = [{"id": f"long-{number}", "workspace": "legal", "prompt": "letters " * size} for number, size in enumerate(sizes)]
    write([*rows_of(2), *long])
    job = job_of(workspaces={"legal": table}, accounts={"main": {"quotas": {"qwen-plus": tpm}}} if bound == "account" else {})
    found, _ = obstacles(job)
    assert found == [("workspace legal, qwen-plus", 3)]


def test_a_row_that_just_fits_its_tpm_is_no_obstacle():
    write([{"id": "long", "workspace": "legal", "prompt": "letters " * 29_900}])
    assert planned(job_of(workspaces={"legal": {"tpm": 60_000}})).obstacles == ()


def picture(name):
    return [{"role": "user", "content": [{"image": name}, {"text": "What is it?"}]}]


def test_rows_whose_local_files_would_be_refused_are_told_by_kind_with_the_way_out():
    for name in ("a.png", "in/b.png", "other/c.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 99)
    names = ["b.png", "../other/c.png", "gone.png", "https://x.example/e.png", "../a.png"]
    write([{"id": name, "workspace": "legal", "messages": picture(name)} for name in names], "in/rows.jsonl")
    job = {"job": {"input": "in/rows.jsonl", "output": "run"}, "workspaces": {"legal": {"model": "qwen-vl-plus"}}}
    found, told = obstacles(job_of(**job))
    assert found == [("workspace legal, qwen-vl-plus", 2), ("workspace legal, qwen-vl-plus", 1)]
    outside, gone = told.obstacles
    assert (outside.said.partition(":")[0], gone.said.partition(":")[0]) == ("media_outside_root", "media_missing")
    assert "[media] root" in outside.advice
    assert not any("--retry-rejected" in each.advice for each in told.obstacles), "nothing was rejected yet"
    assert [each.said for each in planned(job_of(**job, media={"root": "."})).obstacles] == [gone.said]


def test_of_many_rows_some_are_looked_at_and_tell_how_many_would_be_rejected_over_their_files():
    write([{"id": str(number), "workspace": "legal", "messages": picture("gone.png")} for number in range(1000)])
    found, told = obstacles(job_of(workspaces={"legal": {"model": "qwen-vl-plus"}}))
    assert found == [("workspace legal, qwen-vl-plus", 1000)]
    assert told.obstacles[0].said.endswith(", as the 200 rows tell that were looked at")


def test_input_lines_that_are_no_row_are_counted_by_kind_and_the_first_of_each_is_shown():
    good, unknown = '{"id": "a", "workspace": "legal", "prompt": "Hi"}', '{"id": "b", "workspace": "nobody", "prompt": "Hi"}'
    Path("in.jsonl").write_text(f"{good}\nnot json\n{unknown}\n{unknown}\n")
    found, _ = obstacles(job_of(workspaces={"legal": {}}))
    assert found == [("in.jsonl, line 3 (and 1 more)", 2), ("in.jsonl, line 2", 1)]


def test_an_input_that_is_not_there_is_the_jobs_error():
    with pytest.raises(JobError, match=r"in\.jsonl"):
        planned(job_of(workspaces={"legal": {}}))


@pytest.mark.parametrize("output", ["a-file", "a-file/run"])
def test_an_output_that_is_a_file_or_leads_through_one_is_refused_as_the_run_refuses_it(output):
    write(rows_of(2))
    Path("a-file").touch()
    job = job_of(job={"input": "in.jsonl", "output": output}, workspaces={"legal": {}})
    told = rf"{output}: cannot be used as a run directory: .*; give the job another output"
    for look in (planned, lambda job: run_blocking(job, Wishes(dotenv=None, page=None))):
        with pytest.raises(JobError, match=told):
            look(job)


def test_a_directory_with_another_jobs_run_is_refused():
    write(rows_of(5))
    run_blocking(job_of(job={"name": "other", "input": "in.jsonl", "output": "run"}, workspaces={"legal": {}}), Wishes(dotenv=None))
    with pytest.raises(
        RunDamagedError, match=r"another job, 'other'; .* an output of its own or, .* renamed, .*: \[job\] name = \"other\""
    ):
        planned(job_of(workspaces={"legal": {}}))


def entry(number, workspace="legal", *, latency_ms=3000, output=70):
    usage = {"input_tokens": 100, "output_tokens": output, "cached_tokens": 0, "reasoning_tokens": 0}
    told = {"id": f"{workspace}-{number}", "workspace": workspace, "model": "qwen-plus", "content": "", "finish_reason": "stop"}
    return {**told, "usage": usage, "attempt": f"1-{number}", "attempts": 1, "latency_ms": latency_ms, "digest": "0" * 16}


def left(entries, workspace="legal", **log):
    Path("run", workspace).mkdir(parents=True, exist_ok=True)
    write(entries, f"run/{workspace}/results.jsonl")
    write(log.get("attempts", []), "run/attempts.log")


def test_an_input_that_a_run_takes_for_another_one_s_is_refused_by_its_plan_too():
    """A workspace that was renamed, say: nothing had been wrong to the plan, and the run ended with the code of another job's directory."""
    write(rows_of(3))
    run_blocking(job_of(workspaces={"legal": {}}), Wishes(dotenv=None, page=None))
    write(rows_of(3, "sales"))
    another = job_of(workspaces={"sales": {}})
    why = "none of its 3 answered rows stands in the input: that is the input of another run; give this one an output of its own"
    for ask in (planned, lambda job: run_blocking(job, Wishes(dotenv=None))):
        with pytest.raises(RunDamagedError, match=why):
            ask(another)


def test_rows_that_an_edited_job_has_made_none_are_not_only_taken_for_another_input():
    """A second workspace was given to a job whose lines name none: the way out that was told had all of them paid for anew."""
    write([{"id": number, "prompt": "Hi"} for number in range(3)])
    run_blocking(job_of(workspaces={"legal": {}}), Wishes(dotenv=None, page=None))
    another = job_of(workspaces={"legal": {}, "sales": {}})
    why = r"stands in the input: lines that are no rows may have been those: mend them, or the job; .*\n  3 lines, .*: no workspace"
    for ask in (planned, lambda job: run_blocking(job, Wishes(dotenv=None))):
        with pytest.raises(RunDamagedError, match=why):
            ask(another)


def test_a_directory_that_a_run_does_not_go_on_in_is_refused_by_its_plan_too_and_nothing_is_made_there():
    write(rows_of(3))
    job = job_of(workspaces={"legal": {}})
    run_blocking(job, Wishes(dotenv=None, page=None))
    Path("run/legal/results.jsonl").rename("elsewhere.jsonl")
    Path("run/legal/results.jsonl").symlink_to("../../elsewhere.jsonl")
    before = everything("run"), Path("run").stat().st_mtime_ns
    with pytest.raises(RunDamagedError, match=r"results\.jsonl: is a link, and nothing in a run directory may lead out of it"):
        planned(job)
    assert (everything("run"), Path("run").stat().st_mtime_ns) == before


def test_where_nothing_was_seen_answers_are_taken_to_be_as_long_as_a_models_usually_are_within_the_jobs_cap(monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-fake-a")
    write(rows_of(100))
    tables = {"endpoint": NOWHERE, "api_key_env": "A_KEY", "concurrency": 4, "parameters": {"max_tokens": 200}}
    told = planned(job_of(workspaces={"legal": tables}))
    tokens = first_output("qwen-plus", 200)
    assert 100 < tokens < 150
    # One second and twenty milliseconds a token.
    assert told.seconds == pytest.approx(100 * (1 + 0.02 * tokens) / 4, rel=0.1)
    assert told.lanes[0].output_tokens == round(100 * tokens)
    assert "1.0 s and 20 ms a token" in told.assumed[0]


def test_rows_that_a_run_would_hold_are_told_as_held_and_not_as_done():
    write(rows_of(5))
    start = {"start": "1-9", "at": 1.0, "workspace": "legal", "model": "qwen-plus", "id": "legal-4", "most": [10, 10]}
    left([entry(number) for number in range(3)], attempts=[start])
    told = planned(job_of(workspaces={"legal": {}}, retry={"in_doubt": "hold"}))
    assert "3 rows are answered or rejected already" in told.notes
    assert "1 row is held, for a call of it may have been billed: batchrun report run --in-doubt" in told.notes
    assert [lane.rows for lane in told.lanes] == [1]


def test_answers_whose_entries_are_gone_and_a_log_that_is_are_told_before_they_are_paid_for_again():
    """A plan had said that nothing was wrong, and the run after it that rows which were answered are asked again."""
    write(rows_of(5))
    job = job_of(workspaces={"legal": {}})
    run_blocking(job, Wishes(dotenv=None, page=None))
    Path("run/legal/results.jsonl").write_bytes(b"")
    (told,) = (note for note in planned(job).notes if "entries are gone" in note)
    assert told.startswith("5 calls were answered, and their entries are gone (a machine was lost, or lines were taken out): ")
    with run_directory.locked(Path("run")):
        assert not [note for note in planned(job).notes if "entries are gone" in note], "they may be about to be written"
    run_blocking(job, Wishes(dotenv=None, page=None))
    Path("run/attempts.log").unlink()
    assert [note for note in planned(job).notes if note.startswith("run/attempts.log is gone: ")]


def test_a_log_that_is_older_than_the_answers_beside_it_is_told_by_a_plan_and_by_the_run_and_by_none_while_it_is_held():
    """Of a run that was copied as it went on, log first, neither said that calls were missing: what they cost was in no doubt."""
    write(rows_of(5))
    job, notes = job_of(workspaces={"legal": {}}), list[str]()
    run_blocking(job, Wishes(dotenv=None, page=None))
    log = Path("run/attempts.log")
    log.write_bytes(b"".join(line for line in log.read_bytes().splitlines(keepends=True) if b"1-4" not in line and b"1-5" not in line))
    with run_directory.locked(Path("run")):
        assert not [note for note in planned(job).notes if "does not tell" in note], "they may have come since it was read"
        assert read_statement("run").unlogged_answers == 0
    said = "run/attempts.log does not tell of the calls of 2 answers (it is older than they are, or lines were taken out): what was called"
    assert [note.startswith(said) for note in planned(job).notes if "does not tell" in note] == [True]
    assert run_blocking(job, Wishes(dotenv=None, page=None, note=notes.append)).statement.unlogged_answers == 2
    assert [note.startswith(said) for note in notes if "does not tell" in note] == [True]
    assert read_statement("run").unlogged_answers == 2
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[-1:]))
    assert [note for note in planned(job).notes if note.startswith("run/attempts.log does not tell of the calls of 5 answers (")]


def test_latencies_and_lengths_are_learnt_from_the_ledger():
    write(rows_of(140))
    left([entry(number) for number in range(40)])
    told = planned(job_of(workspaces={"legal": {"concurrency": 4}}))
    assert told.lanes[0].output_tokens == 100 * 70
    assert told.lanes[0].input_tokens == pytest.approx(100 * 100, rel=0.05)
    assert told.seconds == pytest.approx(100 * 3 / 4, rel=0.02)
    assert "its own answers so far" in told.assumed[0]


def test_once_some_rows_are_answered_a_token_is_taken_to_cost_what_theirs_did():
    """Half of the answers were thought about and found half of their input in a cache: no first forecast could know."""
    write(rows_of(140))
    thought = {"input_tokens": 100, "output_tokens": 70, "cached_tokens": 50, "reasoning_tokens": 60}
    left([entry(number) | ({"usage": thought} if number % 2 else {}) for number in range(40)])
    prices = {"qwen-plus": {"currency": "USD", "tiers": {"input": 10, "output": 20, "thinking": 80, "cached": 2}}}
    told = planned(job_of(workspaces={"legal": {}}, prices=prices))
    (lane,) = told.lanes
    assert lane.cost is not None
    plain, dear = 100 * 10 + 70 * 20, 50 * 10 + 50 * 2 + 70 * 80
    assert float(lane.cost.amount) == pytest.approx(100 * (plain + dear) / 2 / 1e6, rel=0.03)
    assert told.as_json()["cost"] == {"USD": f"{lane.cost.amount:.6f}"}


def test_rows_that_ask_shorter_than_those_answered_cost_what_their_tokens_do():
    """The answers stay as long: priced by the token of both, these had been told at less than half of what their tokens cost."""
    long, short = rows_of(40, prompt="A long note. " * 200), rows_of(140)[40:]
    write([*long, *short])
    left([entry(number) for number in range(40)])
    prices = {"qwen-plus": {"tiers": {"input": 1, "output": 20}}}
    told = planned(job_of(workspaces={"legal": {"budget": {"amount": 5, "max_tokens": 200}}}, prices=prices))
    (lane,) = told.lanes
    assert lane.cost is not None
    assert lane.input_tokens < 10 * lane.rows
    assert lane.cost.amount == Decimal(lane.input_tokens + lane.output_tokens * 20) / 1_000_000
    (note,) = [each for each in told.notes if "budget" in each]
    assert note.endswith(f"the run would spend about {lane.cost.amount.normalize():.4f} CNY")


@pytest.mark.parametrize("answered", [0, 12, 40])
@pytest.mark.parametrize("longest", [0, 300, 30_000])
def test_what_rows_have_in_metadata_is_no_input_however_long_it_is(monkeypatch, answered, longest):
    """Their prompts differ tenfold, and a token of each is 1.25 of what its letters are taken for; of some few the metadata is long."""
    monkeypatch.setenv("A_KEY", "sk-fake-a")
    dice = random.Random(7)
    prompts = ["word " * dice.randint(20, 200) for _ in range(600)]
    rows = [row | {"prompt": prompts[number]} for number, row in enumerate(rows_of(600))]
    if longest:
        rows = [row | {"metadata": {"page": "x" * round(longest * dice.random() ** 8)}} for row in rows]
    write(rows)
    tokens = [1.25 * (len(prompt) / 4 + 5) for prompt in prompts]
    if answered:
        usage = {"output_tokens": 70, "cached_tokens": 0, "reasoning_tokens": 0}
        left([entry(number) | {"usage": {"input_tokens": round(tokens[number]), **usage}} for number in range(answered)])
    told = planned(job_of(workspaces={"legal": {"endpoint": NOWHERE, "api_key_env": "A_KEY"}}))
    expected = sum(tokens[answered:]) / (1 if answered else 1.25)
    assert told.lanes[0].input_tokens == pytest.approx(expected, rel=0.1)


def test_a_lane_without_answers_learns_from_those_of_its_model():
    write([*rows_of(40), *rows_of(100, "sales")])
    left([entry(number) for number in range(40)])
    told = planned(job_of(workspaces={"legal": {}, "sales": {"concurrency": 4}}))
    assert told.seconds == pytest.approx(100 * 3 / 4, rel=0.02)


def test_what_is_taken_from_elsewhere_is_told_with_whose_answers_it_is_taken_for_where_those_are_not_all():
    write([*rows_of(140), *rows_of(100, "sales")])
    left([entry(number) for number in range(40)])
    told = planned(job_of(workspaces={"legal": {}, "sales": {}}))
    assert [each.partition(" are taken")[0] for each in told.assumed] == ["answers of legal qwen-plus", "answers of sales qwen-plus"]
    left([])
    (all_alike,) = planned(job_of(workspaces={"legal": {}, "sales": {}})).assumed
    assert all_alike.startswith("answers are taken to take ")


@pytest.mark.parametrize(
    ("parameters", "tokens"),
    [({}, 70), ({"max_tokens": 200}, 70), ({"max_tokens": 20}, 20), ({"max_tokens": 20, "n": 2}, 40), ({"max_completion_tokens": 7}, 7)],
)
def test_once_max_tokens_is_lowered_answers_are_taken_to_be_as_short_as_it_lets_them_be(parameters, tokens):
    """They had been taken to be as long as those before, whatever a person did about it."""
    write(rows_of(140))
    left([entry(number) for number in range(40)])
    told = planned(job_of(workspaces={"legal": {"parameters": parameters}}))
    assert told.lanes[0].output_tokens == 100 * tokens


def test_a_max_tokens_that_some_rows_have_shortens_no_others_answers():
    rows = rows_of(140)
    write([*rows[:20], *(row | {"parameters": {"max_tokens": 30}} for row in rows[20:40]), *rows[40:]])
    left([entry(number, output=30 if number >= 20 else 70) for number in range(40)])
    assert planned(job_of(workspaces={"legal": {}})).lanes[0].output_tokens == 100 * 50


@pytest.mark.parametrize("took", [0, 3, 30])
def test_failures_seen_in_the_log_cost_time_again_as_long_as_they_took(took):
    """A refusal that comes at once holds no slot, and one that nobody answers holds it to its end; the last rows have some more waits."""
    write(rows_of(540))
    log: list[dict[str, object]] = [{"opening": 1, "at": 0}]
    for number in range(100):
        log.append({"start": f"1-{number}", "at": 0, "workspace": "legal", "model": "qwen-plus", "id": f"legal-{number}", "most": [1, 1]})
        log.append({"end": f"1-{number}", "at": took if number % 2 else 3, "verdict": "again" if number % 2 else "answered"})
    left([entry(number) for number in range(40)], attempts=log)
    told = planned(job_of(workspaces={"legal": {"concurrency": 4}}))
    assert told.seconds == pytest.approx(500 * (3 + took) / 4, rel=0.2)


def test_answers_that_tell_no_tokens_are_no_measure_of_those_to_come():
    write(rows_of(40))
    left([entry(number, latency_ms=3000 if number % 2 else 90_000) | ({} if number % 2 else {"usage": None}) for number in range(30)])
    told = planned(job_of(workspaces={"legal": {"concurrency": 1}}))
    assert told.assumed == ("answers are taken to take 3.0 s and to have 70 tokens, after its own answers so far",)


def test_what_is_assumed_of_lanes_that_differ_is_told_from_the_least_to_the_most():
    write([*rows_of(40), *rows_of(40, "sales")])
    left([entry(number, latency_ms=1000) for number in range(20)])
    left([entry(number, "sales", latency_ms=4000, output=140) for number in range(20)], "sales")
    told = planned(job_of(workspaces={"legal": {}, "sales": {}}))
    assert told.assumed == ("answers are taken to take 1.0 to 4.0 s and to have 70 to 140 tokens, after its own answers so far",)


def test_an_outage_that_is_over_slows_no_plan():
    """Of sixty calls that hung until they were given up, a plan would tell twice as much time for the rows that are left."""
    write(rows_of(140))
    log: list[dict[str, object]] = [{"opening": 1, "at": 0}]
    for number in range(100):
        log.append({"start": f"1-{number}", "at": 0, "workspace": "legal", "model": "qwen-plus", "id": f"legal-{number}", "most": [1, 1]})
        hangs = 20 <= number < 80
        log.append({"end": f"1-{number}", "at": 600 if hangs else 3, "verdict": "again" if hangs else "answered"})
    left([entry(number) for number in range(40)], attempts=log)
    assert planned(job_of(workspaces={"legal": {"concurrency": 4}})).seconds == pytest.approx(100 * 3 / 4, rel=0.02)


def test_answers_that_did_not_fit_are_paid_for_as_often_as_so_far():
    """Each is asked for again, and billed: of a run in which half of the rows were, a plan had told a third less than it took."""
    write(rows_of(140))
    log: list[dict[str, object]] = [{"opening": 1, "at": 0}]
    for number in range(60):
        start = {"workspace": "legal", "model": "qwen-plus", "id": f"legal-{number % 40}", "most": [1, 1]}
        log.append({"start": f"1-{number}", "at": 0, **start})
        usage = {"input_tokens": 80, "output_tokens": 63, "cached_tokens": 0, "reasoning_tokens": 0}
        ended = {"verdict": "answered"} if number < 40 else {"verdict": "reasked", "usage": usage}
        log.append({"end": f"1-{number}", "at": 3, **ended})
    left([entry(number) for number in range(40)], attempts=log)
    (lane,) = planned(job_of(workspaces={"legal": {}}, prices={"qwen-plus": {"tiers": {"input": 1, "output": 20}}})).lanes
    assert lane.output_tokens == 100 * (70 + 63 / 2)
    assert lane.input_tokens == pytest.approx(100 * (100 + 80 / 2), rel=0.05)
    assert lane.cost is not None
    assert lane.cost.amount == Decimal(lane.input_tokens + lane.output_tokens * 20) / 1_000_000


def test_of_answers_of_which_none_fitted_so_far_a_plan_takes_none_to_be_longer_than_those_that_will():
    """There is nothing yet to hold their lengths against."""
    write(rows_of(100))
    log: list[dict[str, object]] = [{"opening": 1, "at": 0}]
    usage = {"input_tokens": 5000, "output_tokens": 5000, "cached_tokens": 0, "reasoning_tokens": 0}

    for number in range(40):
        log.append({"start": f"1-{number}", "at": 0, "workspace": "legal", "model": "qwen-plus", "id": f"legal-{number}", "most": [1, 1]})
        log.append({"end": f"1-{number}", "at": 3, "verdict": "reasked", "usage": usage})
    job = job_of(workspaces={"legal": {"concurrency": 50, "tpm": 20_000}})
    left([], attempts=log[:1])
    at_once = planned(job).seconds
    left([], attempts=log)
    # Nine calls of ten at the most are taken to be made again.
    assert at_once < planned(job).seconds < 12 * at_once


def test_slots_that_a_quota_has_room_for_are_told_by_what_a_row_has_in_tokens():
    write(rows_of(140))
    left([entry(number) for number in range(40)])
    (lane,) = planned(job_of(workspaces={"legal": {"concurrency": 1, "tpm": 102_000}})).lanes
    # Ten rows of 170 tokens a second, of three seconds each, and a tenth to spare.
    assert lane.help == "raise workspaces.legal.concurrency from 1 to about 33: then its quota is what limits"


@pytest.mark.parametrize("throttles", [0, 1, 3])
def test_a_few_throttles_that_no_rate_was_found_from_are_no_quota_to_a_plan(throttles):
    """A fifth of the calls had a plan of a thousand rows say five hours and a half for thirteen minutes, limited by requests."""
    write(rows_of(140))
    log: list[dict[str, object]] = [{"opening": 1, "at": 0}]
    for number in range(40 + throttles):
        log.append({"start": f"1-{number}", "at": 0, "workspace": "legal", "model": "qwen-plus", "id": f"legal-{number}", "most": [1, 1]})
        log.append({"end": f"1-{number}", "at": 1, "verdict": "throttled" if number < throttles else "answered"})
    left([entry(number) for number in range(40)], attempts=log)
    told = planned(job_of(workspaces={"legal": {"concurrency": 4}}))
    assert told.lanes[0].limited_by == "concurrency"
    assert told.seconds == pytest.approx(100 * 3 / 4, rel=0.02)


def test_a_rate_that_an_earlier_opening_found_is_taken_for_the_quota():
    write(rows_of(140))
    left([entry(number) for number in range(40)])
    pools = {"legal simulator qwen-plus": {"attempts": {"rate": 0.5}}}
    Path("run/learnt.json").write_text(json.dumps({"pools": pools}))
    told = planned(job_of(workspaces={"legal": {"concurrency": 4}}))
    assert told.seconds == pytest.approx(200, rel=0.05)
    assert told.lanes[0].limited_by == "rpm of the account"


def test_a_quota_that_the_job_names_is_planned_by_whatever_an_earlier_opening_found():
    write(rows_of(140))
    left([entry(number) for number in range(40)])
    pools = {"main simulator qwen-plus": {"attempts": {"rate": 50.0}, "tokens": {"rate": 1.0}}}
    Path("run/learnt.json").write_text(json.dumps({"pools": pools}))
    accounts = {"main": {"quotas": {"qwen-plus": {"rpm": 30, "tpm": 10_000_000}}}}
    told = planned(job_of(workspaces={"legal": {"concurrency": 4, "account": "main"}}, accounts=accounts))
    assert told.seconds == pytest.approx(200, rel=0.05)


def test_a_missed_deadline_and_hours_that_are_waited_for_are_noted():
    write(rows_of(140))
    left([entry(number) for number in range(40)])
    job = job_of(
        job={"input": "in.jsonl", "output": "run", "deadline": "2026-11-23T22:00:30+00:00"},
        workspaces={"legal": {"concurrency": 4, "window": "23:00-23:30 UTC"}},
    )
    told = planned(job)
    assert told.seconds == pytest.approx(3600 + 75, abs=5)
    missed, closed = told.notes[-2:]
    assert missed.startswith("the deadline 2026-11-23 22:00")
    assert "would be missed" in missed
    assert "legal: closed for a while" in closed


@pytest.mark.parametrize(("window", "closes"), [("21:00-22:01 UTC", True), ("21:00-22:30 UTC", False), ("23:00-23:30 UTC", True)])
def test_of_hours_it_is_noted_where_the_run_would_wait_for_them_and_nowhere_else(window, closes):
    write(rows_of(140))
    left([entry(number) for number in range(40)])
    told = planned(job_of(workspaces={"legal": {"concurrency": 4, "window": window}}))
    assert any("closed for a while" in note for note in told.notes) is closes
    assert told.exit_code == 0


def test_a_deadline_that_has_passed_is_told_as_such_with_when_the_run_would_be_done_where_anything_is_left():
    write(rows_of(40))
    job = job_of(job={"input": "in.jsonl", "output": "run", "deadline": "2020-01-01T08:00:00+00:00"}, workspaces={"legal": {}})
    (told,) = (note for note in planned(job).notes if "deadline" in note)
    assert told.startswith("the deadline 2020-01-01 08:00 (UTC) has passed: as forecast, the run takes until 2026-11-23 22:00")
    left([entry(number) for number in range(40)])
    assert not any("deadline" in note for note in planned(job).notes)


def test_a_run_that_takes_longer_than_any_calendar_goes_is_told_as_such_with_its_deadline_and_its_budget():
    write(rows_of(1000))
    job = job_of(
        job={"input": "in.jsonl", "output": "run", "deadline": "9998-12-31T12:00:00+00:00"},
        workspaces={"legal": {"rpm": 0.001, "budget": {"amount": 0.3}}},
    )
    told = look_ahead(job, datetime(9998, 12, 31, tzinfo=UTC), dotenv=None)
    assert told.at(told.seconds) is None
    assert "the deadline 9998-12-31 12:00 (UTC) would be missed: as forecast, the run takes for more than a year" in told.notes
    (wrong,) = told.obstacles
    assert re.search(r"would be spent after [\d,]+ d \d+ h, at a time beyond any calendar;", wrong.said)


def test_what_a_plan_looks_at_of_results_is_bounded_however_many_workspaces_there_are(monkeypatch):
    """A thousand half-done ones had taken gigabytes, beside the run that they are of."""
    asked: list[int] = []

    def looked(path, most_bytes):
        asked.append(most_bytes)
        return latest_lines(path, most_bytes)

    monkeypatch.setattr(expecting, "latest_lines", looked)
    for workspaces, each in ((2, 2 << 20), (64, 1 << 20)):
        asked.clear()
        names = [f"team-{number}" for number in range(workspaces)]
        write([row for name in names for row in rows_of(1, name)])
        planned(job_of(workspaces={name: {} for name in names}))
        assert asked == [each] * workspaces


def test_the_latest_lines_are_whole_ones(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntwo\nthree\nhalf")
    assert latest_lines(path, 100) == [b"one", b"two", b"three"]
    assert latest_lines(path, 13) == [b"three"]
    assert latest_lines(tmp_path / "none", 100) == ()


PRICED: dict[str, object] = {"qwen-plus": {"tiers": {"input": 1, "output": 1}}}


def affordable(budget, *, rows=1000, job_name="job", more=(), window=None, parameters=MappingProxyType({"max_tokens": 200}), **tables):
    """The obstacles and notes of a plan whose rows cost 100 tokens each, of input and output, after what was answered so far."""
    write([*rows_of(rows), *more])
    left([entry(number, output=100) for number in range(20)])
    job = job_of(
        job={"name": job_name, "input": "in.jsonl", "output": "run"},
        workspaces={"legal": {"concurrency": 4, "window": window, "budget": budget, "parameters": {**parameters}}},
        prices=PRICED,
        **tables,
    )
    told = planned(job)
    return told, [each for each in told.obstacles if "budget" in each.where or "price" in each.said]


def test_a_budget_that_suffices_is_noted_with_what_would_be_spent():
    told, wrong = affordable({"amount": 1})
    assert wrong == []
    (note,) = [each for each in told.notes if "budget" in each]
    assert note.startswith("workspaces.legal.budget = 1 CNY: 0.004 CNY spent so far; the run would spend about 0.")
    assert float(note.split()[-2]) == pytest.approx(980 * 0.0002, rel=0.05)
    assert told.exit_code == 0


def test_a_budget_is_spent_by_no_rows_that_nobody_would_call():
    write([*rows_of(20), *rows_of(20, "hr")])

    def spent(hr):
        job = job_of(job={"input": "in.jsonl", "output": "run", "budget": {"amount": 9}}, workspaces={"legal": {}, "hr": hr})
        (note,) = [each for each in planned(job).notes if each.startswith("job.budget")]
        return float(note.split()[-2])

    assert 2 * spent({"endpoint": "public", "api_key_env": "NO_SUCH_KEY"}) == pytest.approx(spent({}), rel=0.1)


@pytest.mark.parametrize(("amount", "limited_by"), [(1, "concurrency"), (0.03, "budget")])
def test_a_budget_that_pays_for_fewer_calls_at_once_than_there_are_slots_is_told_as_what_limits(amount, limited_by):
    """A row costs 0.0002 CNY, and has 0.005 set aside; "raise workspaces.legal.concurrency" had been told, and half of the time."""
    told, wrong = affordable({"amount": amount, "max_tokens": 5000}, rows=120, parameters={})
    assert wrong == []
    assert told.lanes[0].limited_by == limited_by
    at_once = (min(4, (amount - 0.004 - done * 0.000205) // 0.00502) for done in range(100))
    assert told.seconds == pytest.approx(sum(3 / each for each in at_once), rel=0.1)


def test_a_budget_that_does_not_says_when_and_with_how_many_rows_left_over():
    told, (wrong,) = affordable({"amount": 0.1})
    assert told.exit_code == 4
    assert wrong.where == "workspaces.legal.budget"
    # Twenty rows are paid; 0.096 less one row's bound buy some 477 more, at 0.0002 each.
    assert wrong.rows == pytest.approx(980 - 477, abs=25)
    assert "0.004 CNY spent so far; it would be spent after " in wrong.said
    assert "raise it by about 0.1" in wrong.advice
    assert [note for note in told.notes if "budget" in note] == []


def test_a_budget_that_several_models_share_is_told_with_what_the_dearest_of_their_rows_may_cost():
    write([*rows_of(600), *({**row, "id": f"max-{row['id']}", "model": "qwen-max"} for row in rows_of(600))])
    prices = {model: {"tiers": {"input": price, "output": price}} for model, price in (("qwen-plus", 1), ("qwen-max", 100))}
    budget = {"amount": 0.5, "max_tokens": 1000}
    told = planned(job_of(job={"input": "in.jsonl", "output": "run", "budget": budget}, workspaces={"legal": {}}, prices=prices))
    (wrong,) = [each for each in told.obstacles if each.where == "job.budget"]
    assert "and by 0.1" in wrong.advice, "a thousand tokens at 100 CNY a million, and what is asked"


def test_budgets_of_many_workspaces_take_as_long_as_there_are_of_them():
    """Each had been held against all lanes: of three thousand workspaces that was three quarters of what a plan took."""

    def steps(workspaces):
        names = [f"team-{number}" for number in range(workspaces)]
        write([row for name in names for row in rows_of(1, name)])
        job = job_of(workspaces={name: {"budget": {"amount": 1, "max_tokens": 100}} for name in names})
        return lines_run(lambda: planned(job), "telling/affording.py")

    assert steps(60) < 3 * steps(30)


def test_a_budget_of_a_workspace_that_is_closed_is_spent_in_its_hours():
    at = []
    for window in (None, "00:00-24:00 UTC", "23:00-23:30 UTC"):
        _, (wrong,) = affordable({"amount": 0.02}, window=window)
        at += re.findall(r"would be spent after .*, at (\d\d):(\d\d:\d\d);", wrong.said)
        assert wrong.rows == pytest.approx(980 - 77, abs=25)
    (begins, so_far), *later = at
    assert begins == "22"
    assert later == [("22", so_far), ("23", so_far)]


def test_a_budget_in_tokens_or_of_the_day_is_looked_at_too_and_other_runs_have_their_part_of_it():
    _, (wrong,) = affordable({"tokens": 50_000, "per": "month"})
    assert "a month (Asia/Shanghai)" in wrong.said
    assert "use --wait, which goes on with the next month" in wrong.advice
    assert wrong.rows > 700
    Path(".books.json").write_bytes(_books({"another": 49_900}))
    _, (wrong,) = affordable({"tokens": 50_000, "per": "month"})
    assert wrong.rows == 980
    assert "49,900 tokens of it by other runs" in wrong.said
    assert "is spent, or has too little left for a row" in wrong.said
    Path(".books.json").write_bytes(_books({"another": 49_900}, held=900))
    _, (wrong,) = affordable({"tokens": 50_000, "per": "month"})
    assert wrong.rows == 980
    assert "49,000 tokens of it by other runs, 900 tokens more held by other runs" in wrong.said


def _books(taken, held=0):
    page = f"rehearsed workspace legal | tokens | a month (Asia/Shanghai) | {BEGINS:%Y-%m}"
    parts = {name: Part({page: Decimal(each)}, {page: Decimal(each - held)}, open=held > 0) for name, each in taken.items()}
    return Books("kept", parts).as_bytes()


def test_a_model_without_a_price_is_told_before_it_is_not_called():
    told, (wrong,) = affordable({"amount": 1, "currency": "USD"})
    assert [note for note in told.notes if "budget" in note] == []
    assert wrong.said == "workspaces.legal.budget = 1 USD: qwen-plus has no price in USD: it would not be called"
    assert wrong.rows == 980
    # A price in dollars, made up for one that has its own in CNY, would make a statement that no bill agrees with.
    assert wrong.advice.startswith("name the currency that qwen-plus is priced in as the budget's, if it is priced")


LOOKING = {"prompt": "What is the weather?", "parameters": {"enable_search": True}}
NAMING_A_FILE = {"messages": [{"role": "system", "content": "fileid://file-fe-1"}, {"role": "user", "content": "What is in it?"}]}
SEEING = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.invalid/a.png"}}]}]}


@pytest.mark.parametrize(("kind", "one"), [(LOOKING, "1.25 "), (NAMING_A_FILE, "12.5 "), (SEEING, "0.02")], ids=["search", "file", "image"])
def test_a_plan_sets_as_much_aside_for_rows_that_search_or_name_files_or_pictures_as_the_run_does(kind, one):
    more = [{"id": f"legal-more-{number}", "workspace": "legal", **kind} for number in range(400)]
    _, (wrong,) = affordable({"amount": 0.0135}, more=more)
    assert f"is spent, or has too little left for a row: one may cost {one}" in wrong.said
    assert wrong.rows == 980 + 400


def test_a_plan_says_that_searches_have_a_price_of_their_own_which_is_in_no_amount():
    looking = [{"id": f"legal-more-{number}", "workspace": "legal", **LOOKING} for number in range(500)]
    (note,) = [note for note in affordable({"amount": 100}, more=looking)[0].notes if "search" in note]
    assert note.startswith("about ")
    assert int(note.split()[1]) == pytest.approx(500, rel=0.1)
    assert note.endswith("rows let the provider search, or run code: what it charges for that beside tokens is in no amount and no budget")
    assert not [note for note in affordable({"amount": 100})[0].notes if "search" in note]


def parked_run(**wrong):
    write([*rows_of(3), *rows_of(2, "sales"), *rows_of(4, "hr")])
    job = job_of(workspaces={"legal": {}, "sales": {}, "hr": {}}, simulator=wrong)
    run_blocking(job, Wishes(dotenv=None, page=None))
    return job


def parked_notes(job):
    return [note for note in planned(job).notes if note.startswith("parked when the run last ended")]


def test_a_plan_tells_what_the_last_opening_parked_once_a_reason_with_what_to_do():
    job = parked_run(workspaces={"legal": {"wrong_key": True}, "hr": {"wrong_key": True}})
    told = planned(job)
    (note,) = parked_notes(job)
    assert re.match(r"parked when the run last ended, and .*: (legal, hr|hr, legal), 7 rows: 401 invalid_api_key: ", note)
    assert "check the key in the variable that api_key_env of this workspace names" in note
    assert (told.exit_code, [each.rows for each in told.lanes if each.seconds is not None]) == (0, [4, 3])
    shown = forecast_table(told, 80)
    assert note in shown


def test_a_plan_is_silent_of_parks_that_have_no_rows_left_and_of_those_it_finds_itself():
    job = parked_run(workspaces={"legal": {"wrong_key": True}})
    write([*rows_of(2, "sales"), *rows_of(4, "hr")])
    assert parked_notes(job) == []
    write(rows_of(5))
    job = job_of(job={"input": "in.jsonl", "output": "spent", "budget": {"tokens": 1}}, workspaces={"legal": {}})
    assert run_blocking(job, Wishes(dotenv=None, page=None)).parked[0].failure.code == "budget_spent"
    assert parked_notes(job) == []


def test_a_park_of_an_account_is_told_with_the_rows_of_all_its_workspaces():
    write([*rows_of(3), *rows_of(2, "sales"), *rows_of(4, "hr")])
    workspaces = {"legal": {"account": "main"}, "sales": {"account": "main"}, "hr": {}}
    job = job_of(workspaces=workspaces, accounts={"main": {}}, simulator={"accounts": {"main": {"balance": 0.0}}})
    run_blocking(job, Wishes(dotenv=None, page=None))
    (note,) = parked_notes(job)
    assert note.startswith("parked when the run last ended, and taken here for mended: main, 5 rows: 400 Arrearage: ")


def test_what_a_description_tells_of_parks_may_be_anything():
    job = parked_run(workspaces={"legal": {"wrong_key": True}})
    described = run_directory.read_description(Path("run"))
    assert described is not None
    for parked in (7, [7, None], [{"scope": 1, "name": ["x"], "code": {}}], {"legal": 1}, None):
        run_directory.write_description(Path("run"), described | {"ended": {"parked": parked}})
        assert parked_notes(job) == []


def test_a_schema_that_a_run_would_refuse_is_refused_by_a_plan():
    write(rows_of(1))
    with pytest.raises(JobError, match=r"answers\.schema"):
        planned(job_of(workspaces={"legal": {}}, answers={"schema": "nowhere.json"}))


def test_a_plan_of_a_table_says_how_it_becomes_json_lines():
    Path("in.jsonl").write_text("id,prompt\n1,Hello\n2,Good morning\n")
    found = planned(job_of(workspaces={"legal": {}})).obstacles
    assert [each.where for each in found] == ["in.jsonl, line 2 (and 1 more)", "in.jsonl, line 1"]
    assert found[1].advice.startswith("a table with headings (CSV) is made JSON lines by: python3 -c")
    assert found[0].advice == "correct the lines; the run sets them aside and goes on"


def test_of_lines_that_are_no_rows_for_many_reasons_a_plan_tells_the_most_frequent_and_counts_the_rest():
    bad = [b"true", b"[]", b"7", b"{}", b'{"prompt": ""}', b'{"prompt": "x", "id": true}', b'{"prompt": "x", "model": ""}', b"nonsense"]
    Path("in.jsonl").write_bytes(b"\n".join([b'{"prompt": "x"}', *bad]) + b"\n")
    (*_, rest), told = obstacles(job_of(workspaces={"legal": {}}))
    assert rest == ("the input", 3)
    assert told.obstacles[-1].said == "lines that are no row for other reasons"
    assert sum(each.rows for each in told.obstacles) == len(bad)


@pytest.mark.parametrize(("names", "way_out"), [(("legal",), "the job's workspaces are legal; "), ((), "give it a table for each")])
def test_a_plan_of_rows_of_unknown_workspaces_says_which_the_job_has_or_how_it_gets_them(names, way_out):
    write([*rows_of(1, "sales"), *rows_of(1, "hr")])
    found = planned(job_of(workspaces={name: {} for name in names})).obstacles
    assert [way_out in each.advice for each in found if " is not one of the job's" in each.said] == [True, True]
