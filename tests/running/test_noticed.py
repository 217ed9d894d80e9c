"""What an opening notices, told before the first call."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from datetime import UTC, datetime
from functools import partial

import anyio
import orjson
import pytest
from pydantic import SecretStr

from batchrun.core.diagnosis import State
from batchrun.core.jobs.job import AnswersTable, Job
from batchrun.core.ledger.attempts import opened_line
from batchrun.edge.environment import Missing
from batchrun.running import checkpoints
from batchrun.running.noticed import shared_keys, weights_of_nothing
from batchrun.running.one_run import Wishes, run_blocking
from batchrun.running.statements import read_statement
from batchrun.telling.doctor import examine
from batchrun.telling.foresight import look_ahead

NOW = datetime(2026, 11, 23, 22, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9/v1"
ADVICE = "have the same key: the key decides whose bill a call is on, whatever a row says; give each workspace its own"


def test_workspaces_of_one_key_are_named_and_those_without_rows_or_with_a_key_of_their_own_are_not():
    one, other = SecretStr("sk-fake-one"), SecretStr("sk-fake-other")
    keys: dict[str, SecretStr | Missing] = {
        "legal": one,
        "hr": other,
        "sales": SecretStr("sk-fake-one"),
        "it": other,
        "idle": one,
        "none": Missing("NO_KEY", "is not set"),
    }
    active = {"legal", "hr", "sales", "it", "none"}
    assert [*shared_keys(keys, active)] == [f"legal, sales {ADVICE}", f"hr, it {ADVICE}"]
    assert not [*shared_keys(keys, {"legal", "hr", "none"})]


def test_of_many_workspaces_of_one_key_some_are_named():
    (told,) = shared_keys({f"w{number}": SecretStr("sk-fake-one") for number in range(1000)}, {f"w{number}" for number in range(1000)})
    assert told.startswith("w0, w1, ")
    assert len(told) < 300


def test_a_key_that_is_hidden_by_the_environments_is_told_by_a_run_its_plan_and_the_doctor(tmp_path, monkeypatch):
    """Who mends a key in the file, and has an older one in the shell, is refused again and again."""
    monkeypatch.setenv("LEGAL_KEY", "sk-fake-old")
    monkeypatch.setattr("batchrun.core.scheduling.judging.TOO_LONG_AT_FIRST", 0.1)
    (tmp_path / "in.jsonl").write_text('{"workspace": "legal", "prompt": "Hi"}\n')
    (tmp_path / "keys").write_text("LEGAL_KEY=sk-fake-new\nHR_KEY=sk-fake-hr\n")
    job = Job.model_validate(
        {
            "job": {"input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "run")},
            "defaults": {"endpoint": NOWHERE, "model": "qwen-plus"},
            "retry": {"backoff": {"first": 0.01, "max": 0.01}},
            "workspaces": {name: {"api_key_env": f"{name.upper()}_KEY"} for name in ("legal", "hr")},
        }
    )
    said = f"LEGAL_KEY: the environment has another key than {tmp_path / 'keys'}, and goes before it; unset it to have the file's used"
    told: list[str] = []
    run_blocking(job, Wishes(dotenv=tmp_path / "keys", page=None, note=told.append))
    assert said in told
    assert said in look_ahead(job, NOW, dotenv=tmp_path / "keys").notes
    legal, hr = anyio.run(partial(examine, job, probe=False, dotenv=tmp_path / "keys"))
    assert (legal.findings[0].check, legal.findings[0].state, hr.findings[0].state) == ("key", State.NOTE, State.WRONG)
    assert legal.findings[0].advice == f"unset LEGAL_KEY to have the one in {tmp_path / 'keys'} used"
    (tmp_path / "keys").write_text("LEGAL_KEY=sk-fake-old\nHR_KEY=sk-fake-hr\n")
    assert said not in look_ahead(job, NOW, dotenv=tmp_path / "keys").notes


def test_an_account_that_no_workspace_names_is_told_by_a_run_and_its_plan_for_its_quotas_and_discount_hold_for_none(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"workspace": "legal", "prompt": "Hi"}\n')

    def notes(*, account=None, **accounts):
        job = Job.model_validate(
            {
                "job": {"input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "run")},
                "defaults": {"endpoint": "simulator", "model": "qwen-plus"},
                "workspaces": {"legal": {"account": account} if account else {}},
                "accounts": accounts,
                "simulator": {"latency": {"median": 0.0}},
            }
        )
        planned = [each for each in look_ahead(job, NOW, dotenv=None).notes if each.startswith("accounts.")]
        told: list[str] = []
        run_blocking(job, Wishes(dotenv=None, page=None, note=told.append))
        assert planned == [each for each in told if each.startswith("accounts.")]
        return planned

    said = {"discount": 0.5, "quotas": {"qwen-plus": {"rpm": 60}}}
    why = "no workspace names it, and nobody has its"
    assert notes(main=said, other={"discounts": {"qwen-max": 0.1}}) == [
        f'accounts.main: {why} discount and quotas: say account = "main" in the workspaces that are of it',
        f'accounts.other: {why} discounts: say account = "other" in the workspaces that are of it',
    ]
    assert notes(account="main", main=said) == []
    assert notes(main={}) == []


@pytest.mark.parametrize(
    ("accounts", "alone"),
    [({}, "legal, hr"), ({"legal": "main"}, "legal, hr"), ({"legal": "main", "it": "main"}, "hr"), ({"legal": "main", "hr": "main"}, None)],
)
def test_a_weight_is_told_that_shares_no_quota_with_anybody(accounts, alone):
    tables = {name: {"weight": weight} for name, weight in (("legal", 3), ("hr", 2), ("it", 1))}
    for name, account in accounts.items():
        tables[name]["account"] = account
    job = Job.model_validate(
        {"job": {"input": "in"}, "defaults": {"endpoint": "simulator"}, "workspaces": tables, "accounts": {"main": {}}}
    )
    told = [*weights_of_nothing(job)]
    assert [each.partition(":")[0] for each in told] == ([f"weight of {alone}"] if alone else [])
    assert all("[workspaces.NAME] account" in each for each in told)


def test_a_run_whose_workspaces_share_a_key_says_so_and_shows_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("ONE_KEY", "sk-fake-one")
    monkeypatch.setattr("batchrun.core.scheduling.judging.TOO_LONG_AT_FIRST", 0.1)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"workspace": name, "prompt": "Hi"}) + "\n" for name in ("legal", "hr")))
    job = Job.model_validate(
        {
            "job": {"input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "run")},
            "defaults": {"endpoint": NOWHERE, "model": "qwen-plus"},
            "retry": {"backoff": {"first": 0.01, "max": 0.01}},
            "workspaces": {name: {"api_key_env": "ONE_KEY"} for name in ("legal", "hr")},
        }
    )
    told: list[str] = []
    run_blocking(job, Wishes(note=told.append, page=None))
    assert f"legal, hr {ADVICE}" in told
    assert "sk-fake" not in "".join(told)


@pytest.fixture
def simulated(tmp_path):
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"id": f"r-{number}", "prompt": "Hi"}) + "\n" for number in range(4)))
    return Job.model_validate(
        {
            "job": {"input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "run")},
            "defaults": {"endpoint": "simulator", "model": "qwen-plus"},
            "workspaces": {"legal": {}},
            "simulator": {"seed": 1, "latency": {"median": 0.01, "sigma": 0.1}},
        }
    )


def noted(job: Job, **wishes) -> list[str]:
    told: list[str] = []
    run_blocking(job, Wishes(note=told.append, page=None, dotenv=None, **wishes))
    return told


def test_bad_lines_are_told_to_let_the_others_go_on_only_where_there_are_others(simulated, tmp_path):
    with (tmp_path / "in.jsonl").open("a") as lines:
        lines.write("{\n")
    where = f"(all are in {tmp_path}/run/rejected-input.jsonl)"
    assert noted(simulated)[0] == f"1 input line is no row {where}: the others go on; correct them and run the same command again"
    (tmp_path / "in.jsonl").write_text("{\n[\n")
    shutil.rmtree(tmp_path / "run")
    told = noted(simulated)
    assert told[0] == f"2 input lines are no row {where}: correct them and run the same command again"
    assert "no row stands in the input: there is nothing to do" in told


@pytest.mark.parametrize(
    ("rows", "is_told"),
    [
        ('{"prompt": "Hi"}\n{"prompt": "Ho"}\n', True),
        ('{"prompt": "Hi", "metadata": {}}\n', True),
        ('{"prompt": "Hi", "metadata": {"line": 1}}\n', False),
        ('{"id": 7, "prompt": "Hi"}\n', False),
        ('{"id": "r-0123456789abcdef", "prompt": "Hi"}\n', False),
        ('{"custom_id": "a", "body": {"messages": [{"role": "user", "content": "Hi"}]}}\n', False),
    ],
)
def test_that_answers_cannot_be_joined_to_rows_that_nothing_names_is_told_before_they_are_paid_for(simulated, tmp_path, rows, is_told):
    """They come in another order, under ids that are made."""
    (tmp_path / "in.jsonl").write_text(rows)

    def said(notes) -> bool:
        return any("the first row has neither id nor metadata" in note for note in notes)

    assert said(look_ahead(simulated, NOW, dotenv=None).notes) is is_told
    first, again = noted(simulated), noted(simulated)
    assert (said(first), said(again)) == (is_told, False)
    if is_told:
        given = json.loads((tmp_path / "run/legal/results.jsonl").read_text().splitlines()[0])["id"]
        assert "Ho" in rows or any(given in note for note in first)


def test_a_price_that_does_not_hold_yet_is_told_before_the_first_call_with_its_day(simulated, tmp_path):
    def priced(since):
        tables = [{"currency": "CNY", "since": day, "tiers": {"input": 1, "output": 2}} for day in since]
        return Job.model_validate(simulated.model_dump(exclude_unset=True, by_alias=True) | {"prices": {"house-model": tables}})

    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"id": model, "prompt": "Hi", "model": model}) + "\n" for model in ("house-model", "qwen-plus"))
    )
    told = "house-model: no price is known of it yet: the first begins to hold on 2999-01-01"
    for since, is_told in ((["2999-06-01", "2999-01-01"], True), (["2999-01-01", "2020-01-01"], False)):
        assert [note for note in look_ahead(priced(since), NOW, dotenv=None).notes if "no price" in note] == [told] * is_told
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        assert [note for note in noted(priced(since)) if "no price" in note] == [told] * is_told


def test_settings_in_a_wrapper_that_an_sdk_takes_off_are_told_before_the_first_call(simulated, tmp_path):
    """Model Studio takes no notice of what it does not know: thinking that was to be off would be paid for."""
    body = {"messages": [{"role": "user", "content": "Hi"}], "extra_body": {"enable_thinking": False}}
    rows = [
        {"id": 1, "prompt": "Hi", "model": "qwen-max"},
        {"custom_id": "a", "body": body, "workspace": "legal"},
        {"id": 2, "prompt": "Hi", "model": "qwen-turbo", "parameters": {"enable_thinking": False}},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for notes in (look_ahead(simulated, NOW, dotenv=None).notes, noted(simulated)):
        (note,) = (each for each in notes if "extra_body" in each)
        assert note.startswith("parameters hold extra_body (legal qwen-plus): ")
        assert note.endswith("write it beside the others: parameters = { enable_thinking = false }")


def test_a_mistyped_setting_which_the_provider_would_pass_over_is_told_before_the_first_call(simulated, tmp_path):
    """An answer that was to be of a hundred tokens would be paid for at full length."""
    rows = [
        {"id": 1, "prompt": "Hi", "parameters": {"max_token": 100, "top_k": 3, "reasoning_effort": "low", "chat_template_kwargs": {}}},
        {"custom_id": "a", "body": {"messages": [{"role": "user", "content": "Hi"}], "max_token": 9, "model": "qwen-max", "user": "u"}},
        {"id": 2, "prompt": "Hi", "model": "qwen-turbo", "parameters": {"temprature": 0.1, "min_tokens": 4}},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for notes in (look_ahead(simulated, NOW, dotenv=None).notes, noted(simulated)):
        assert [note.partition(" meant?")[0] for note in notes if note.startswith("parameters hold")] == [
            "parameters hold max_token (legal qwen-plus, legal qwen-max): is max_tokens",
            "parameters hold temprature (legal qwen-turbo): is temperature",
        ]


def test_a_mistyped_setting_of_a_later_row_is_told_before_the_first_call_once_and_whatever_becomes_of_the_row(simulated, tmp_path):
    """A file may have been put together of several: two hundred rows would be paid for before the first that is wrong is told."""
    mistyped = {"parameters": {"max_token": 100, "top_k": 3, "min_tokens": 4}}
    picture = [{"role": "user", "content": [{"image": "none.png"}]}]
    rows = [
        {"id": 1, "prompt": "Hi", "parameters": {"temprature": 0.1}},
        {"id": 2, "prompt": "Hi", "parameters": {"temprature": 0.1}},
        *({"id": number, "prompt": "Hi", **mistyped} for number in range(3, 6)),
        {"id": 6, "messages": picture, "model": "qwen-vl-plus"},
        {"id": 7, "messages": picture, "model": "qwen-vl-plus", "parameters": {"extra_body": {}, "max_token": 1}},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    planned = look_ahead(simulated, NOW, dotenv=None).notes
    told: list[tuple[str, int]] = []
    calls = list[object]()
    wishes = Wishes(note=lambda each: told.append((each, len(calls))), hand_on=calls.append, page=None, dotenv=None)
    run_blocking(simulated, wishes)
    said = sorted(note for note, _ in told if note.startswith("parameters hold"))
    assert said == sorted(note for note in planned if note.startswith("parameters hold"))
    assert {answered for note, answered in told if note in said} == {0}
    begins = [
        "parameters hold extra_body (first in legal 7): ",
        "parameters hold max_token (first in legal 3): ",
        "temprature (legal qwen-plus): is",
    ]
    assert [begin in each for begin, each in zip(begins, said, strict=True)] == [True, True, True], said


def test_a_mistyped_setting_whose_first_row_is_answered_is_told_when_the_turn_of_another_comes(simulated, tmp_path):
    rows = [{"id": number, "prompt": "Hi"} | ({"parameters": {"max_token": 9}} if number in {2, 5} else {}) for number in range(4)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert next(note for note in noted(simulated) if "max_token" in note).startswith("parameters hold max_token (first in legal 2): ")
    assert not [note for note in noted(simulated) if "max_token" in note]
    rows += [{"id": number, "prompt": "Hi"} | ({"parameters": {"max_token": 9}} if number == 5 else {}) for number in (4, 5)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (note,) = (note for note in noted(simulated) if "max_token" in note)
    assert note.startswith("parameters hold max_token (first in legal 5): ")


def test_an_answer_whose_entry_is_gone_is_told_once_and_not_once_more_at_each_opening(simulated, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FROM_BYTES", 1)
    noted(simulated)
    results = tmp_path / "run" / "legal" / "results.jsonl"
    results.write_bytes(b"".join(results.read_bytes().splitlines(keepends=True)[1:]))
    its = "1 call was answered, and its entry is gone (a machine was lost, or lines were taken out): it counts as in doubt, its row is"
    assert [line for line in noted(simulated, in_doubt="hold") if "is gone" in line] == [f"{its} held"]
    assert [line for line in noted(simulated, in_doubt="hold") if "is gone" in line] == [f"{its} held"]
    assert [line for line in noted(simulated) if "is gone" in line] == [f"{its} asked again"]
    assert not [line for line in noted(simulated) if "is gone" in line or "are gone" in line]


@pytest.mark.parametrize("checkpointed", [True, False])
def test_where_no_entry_of_a_run_is_left_that_is_told_before_all_is_paid_for_again_and_what_was_billed_is_in_doubt(
    simulated, tmp_path, monkeypatch, checkpointed
):
    if checkpointed:
        monkeypatch.setattr(checkpoints, "FROM_BYTES", 1)
    noted(simulated)
    before = read_statement(tmp_path / "run").total()
    shutil.rmtree(tmp_path / "run" / "legal")
    doubt = read_statement(tmp_path / "run").total()
    assert (doubt.in_doubt, doubt.answered, doubt.in_doubt_output_tokens >= before.output_tokens > 0) == (4, 0, True)
    told = "4 calls were answered, and their entries are gone (a machine was lost, or lines were taken out): they count as in doubt"
    assert f"{told}, their rows are asked again" in noted(simulated)
    after = read_statement(tmp_path / "run").total()
    assert (after.in_doubt, after.answered) == (4, 4)


@pytest.mark.parametrize("checkpointed", [True, False])
@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        (opened_line(1, 1.0, "another-boot"), b"", "a machine was lost: up to "),
        (
            None,
            b'{"a line of": "a newer version"}\n',
            "the latest opening did not end well, and lines of its attempts.log cannot be read: up to ",
        ),
    ],
)
def test_calls_that_may_stand_in_no_line_are_told_when_they_were_lost_and_for_what_and_not_at_every_later_opening(
    simulated, tmp_path, monkeypatch, first, last, why, checkpointed
):
    if checkpointed:
        monkeypatch.setattr(checkpoints, "FROM_BYTES", 1)
    noted(simulated)
    log = tmp_path / "run" / "attempts.log"
    opened, *calls, _closed = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([first or opened, *calls, last]))
    (told,) = (line for line in noted(simulated) if "may stand in no line" in line)
    assert told.startswith(why)
    assert not [line for line in noted(simulated) if "may stand in no line" in line]
    assert read_statement(tmp_path / "run").total().in_doubt > 0, "it is no less in doubt"


@pytest.mark.parametrize("left", [None, b""])
def test_answers_whose_log_of_calls_is_gone_are_told_for_no_doubt_covers_what_else_was_called(simulated, tmp_path, left):
    noted(simulated)
    log = tmp_path / "run" / "attempts.log"
    log.unlink()
    if left is not None:
        log.write_bytes(left)
    (told,) = (line for line in noted(simulated) if "attempts.log" in line)
    assert told.startswith(f"{log} is gone: what was called before beyond the entries is not known, and may have been billed")


@pytest.mark.parametrize("also_gone", [None, "attempts.log", "legal"])
def test_a_run_whose_description_is_gone_is_told_for_its_rows_go_under_other_keys(simulated, tmp_path, also_gone):
    run, its = (
        tmp_path / "run",
        f"{tmp_path / 'run' / 'run.json'} is gone: a row that was sent before goes under another idempotency key now",
    )
    assert not [line for line in noted(simulated) if "run.json" in line]
    (run / "run.json").unlink()
    if also_gone == "legal":
        shutil.rmtree(run / "legal")
    elif also_gone:
        (run / also_gone).unlink()
    assert [line.startswith(its) for line in noted(simulated) if "run.json" in line] == [True]
    assert not [line for line in noted(simulated) if "run.json" in line]


def test_a_run_whose_name_was_taken_out_of_its_description_is_told_too(simulated, tmp_path):
    noted(simulated)
    path = tmp_path / "run" / "run.json"
    path.write_bytes(orjson.dumps({name: told for name, told in orjson.loads(path.read_bytes()).items() if name not in {"run", "blake2b"}}))
    (told,) = [line for line in noted(simulated) if "run.json" in line]
    assert told.startswith(f"the run's name in {path} is gone: a row that was sent before goes under another idempotency key now")
    assert not [line for line in noted(simulated) if "run.json" in line]


@pytest.mark.parametrize(
    ("edited", "said"),
    [
        ([1], "1 answered row, or the settings it is asked under, has changed since: it keeps its answer"),
        ([1, 2], "2 answered rows, or the settings they are asked under, have changed since: they keep their answers"),
    ],
)
def test_one_row_and_several_that_changed_or_went_are_told_each_as_it_is_said(simulated, tmp_path, edited, said):
    noted(simulated)
    lines = (tmp_path / "in.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "in.jsonl").write_text("".join(line.replace("Hi", "Ho") if number in edited else line for number, line in enumerate(lines)))
    otherwise = "; what is to be asked anew is given another id, or the run another output"
    assert [line for line in noted(simulated) if "answered" in line] == [said + otherwise]
    (tmp_path / "in.jsonl").write_text("".join(line for number, line in enumerate(lines) if number not in edited))
    (told,) = [line for line in noted(simulated) if "answered" in line]
    it = "it stays" if len(edited) == 1 else "they stay"
    assert told.endswith(f"in the input: {it} in the results and in the statement")


def test_an_input_that_is_written_anew_or_packed_otherwise_and_says_the_same_is_what_it_was(simulated, tmp_path):
    """That it was not, and its rows were the same, was told each night of what an export writes."""
    path, content = tmp_path / "in.jsonl", (tmp_path / "in.jsonl").read_bytes()
    for written in (content, gzip.compress(content, 1, mtime=1), gzip.compress(content, 9, mtime=2)):
        path.unlink()
        path.write_bytes(written)
        os.utime(path, ns=(len(written), len(written)))
        assert not [note for note in noted(simulated) if note.startswith("the input")]


@pytest.mark.parametrize(("rows", "became"), [(6, ": it has 2 rows more"), (5, ": it has 1 row more"), (4, "")])
def test_where_nothing_is_kept_of_the_former_input_only_how_many_rows_came_or_went_is_told_of_it(simulated, tmp_path, rows, became):
    noted(simulated)
    (tmp_path / "run" / "input" / "index.json").unlink()
    lines = [json.dumps({"id": f"r-{number}", "prompt": "Hi"}) for number in range(rows)]
    (tmp_path / "in.jsonl").write_text("\n\n".join(lines))
    (told,) = [line for line in noted(simulated) if line.startswith("the input")]
    assert told == f"the input is no longer what it was when this run was last opened{became}"


def test_rows_that_failed_and_were_taken_out_of_the_input_are_told_and_that_they_cannot_be_asked_again(simulated, tmp_path):
    noted(simulated)
    errors, results = (tmp_path / "run" / "legal" / name for name in ("errors.jsonl", "results.jsonl"))
    first, *rest = results.read_bytes().splitlines(keepends=True)
    entry = json.loads(first)
    failure = {
        "fault": "again",
        "code": "internal_error",
        "message": "m",
        "advice": "a",
        "status": 500,
        "request_id": None,
        "in_doubt": False,
    }
    kept = {
        name: entry[name] for name in ("id", "workspace", "model", "attempt", "attempts", "started_at", "latency_ms", "digest", "metadata")
    }
    errors.write_text(json.dumps({**kept, "outcome": "exhausted", "failure": failure, "cost": None}) + "\n")
    results.write_bytes(b"".join(rest))
    lines = (tmp_path / "in.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "in.jsonl").write_text("".join(line for line in lines if json.loads(line)["id"] != entry["id"]))
    gone = "1 row that failed no longer stands in the input: it stays in errors.jsonl and in the statement, and cannot be asked again"
    assert gone in noted(simulated)
    ending = run_blocking(simulated, Wishes(page=None, dotenv=None))
    assert (ending.failed_and_gone, ending.exit_code) == ({"exhausted": 1}, 3)


def test_a_workspace_that_went_and_one_that_came_may_be_one_and_that_is_told_once_before_it_is_paid_for_again(tmp_path, monkeypatch):
    monkeypatch.setenv("ONE_KEY", "sk-fake-one")

    def told(*names: str) -> list[str]:
        rows = (json.dumps({"id": "r-1", "workspace": name, "prompt": "Hi"}) + "\n" for name in names)
        (tmp_path / "in.jsonl").write_text("".join(rows))
        job = Job.model_validate(
            {
                "job": {"input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "run")},
                "defaults": {"endpoint": "simulator", "model": "qwen-plus"},
                "simulator": {"latency": {"median": 0.001}},
                "workspaces": {name: {"api_key_env": "ONE_KEY"} for name in ("legal", "hr", "law", "it")},
            }
        )
        notes: list[str] = []
        run_blocking(job, Wishes(note=notes.append, page=None))
        return [note for note in notes if "new name" in note]

    assert told("legal", "hr") == []
    assert told("legal", "hr", "it") == []
    assert told("legal", "it") == []
    (note,) = told("law", "it")
    assert note.startswith(
        "legal has no rows in the input any more, and law is new there: if that is a new name only, what was answered is"
    )
    assert told("law", "it") == []


def test_a_new_name_that_only_the_job_gives_a_file_is_told_too(tmp_path):
    """The file was what it had been, and nothing was said."""
    for name in ("a", "b"):
        (tmp_path / name).write_text("".join(json.dumps({"id": f"{name}-{number}", "prompt": "Hi"}) + "\n" for number in range(3)))

    def told(*names: str) -> list[str]:
        inputs = [{"path": str(tmp_path / file), "workspace": name} for file, name in zip("ab", names, strict=True)]
        job = Job.model_validate(
            {
                "job": {"input": inputs, "output": str(tmp_path / "run")},
                "defaults": {"endpoint": "simulator", "model": "qwen-plus"},
                "simulator": {"latency": {"median": 0.001}},
                "workspaces": {name: {} for name in names},
            }
        )
        return [note for note in noted(job) if "new name" in note or "no longer what it was" in note]

    assert told("legal", "hr") == told("legal", "hr") == []
    counts, renamed = told("legal", "people")
    assert counts.endswith("3 rows added, 3 taken out, 0 edited")
    assert renamed.startswith("hr has no rows in the input any more, and people is new there: if that is a new name only, what was ")
    assert told("legal", "people") == []


def test_a_file_that_the_job_gives_to_another_workspace_which_has_rows_already_is_told_as_rows_that_came_and_went(tmp_path):
    """They were asked again, and paid for; that answered ones stand there no more was all that was said."""
    for name in "abc":
        (tmp_path / name).write_text("".join(json.dumps({"id": f"{name}-{number}", "prompt": "Hi"}) + "\n" for number in range(3)))

    def told(*names: str) -> list[str]:
        inputs = [{"path": str(tmp_path / file), "workspace": name} for file, name in zip("abc", names, strict=True)]
        job = Job.model_validate(
            {
                "job": {"input": inputs, "output": str(tmp_path / "run")},
                "defaults": {"endpoint": "simulator", "model": "qwen-plus"},
                "simulator": {"latency": {"median": 0.001}},
                "workspaces": {name: {} for name in ("legal", "hr")},
            }
        )
        return [note.rpartition(": ")[2] for note in noted(job) if "no longer what it was" in note]

    assert told("legal", "hr", "legal") == []
    assert told("legal", "hr", "hr") == ["3 rows added, 3 taken out, 0 edited"]
    assert told("legal", "hr", "hr") == []


def test_lines_that_the_job_alone_makes_another_workspaces_are_told_before_its_key_pays_for_them(tmp_path):
    """They were told as rows that came and went, or not at all where one workspace was left and took what named none."""
    of_files: dict[str, list[dict[str, str]]] = {"a": [{}], "b": [{}], "c": [{"workspace": "legal"}, {"workspace": "hr"}, {}]}
    for file, tags in of_files.items():
        rows = ({"id": f"{file}-{number}", "prompt": "Hi", **tag} for number, tag in enumerate(tags * 3))
        (tmp_path / file).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def told(workspaces: str, **inputs: str | None) -> list[str]:
        named = [{"path": str(tmp_path / file)} | ({"workspace": name} if name else {}) for file, name in inputs.items()]
        job = Job.model_validate(
            {
                "job": {"input": named, "output": str(tmp_path / "run")},
                "defaults": {"endpoint": "simulator", "model": "qwen-plus"},
                "simulator": {"latency": {"median": 0.001}},
                "workspaces": {name: {} for name in workspaces.split()},
            }
        )
        return [note for note in noted(job) if "by the job alone" in note]

    way_out = "where that is not meant, name the workspace in the lines, or for their whole input"
    assert told("legal hr", a="legal", b="hr", c=None) == []
    again = f"its key pays for them, and once more for those that were answered; {way_out}"
    assert told("legal hr", c=None, b="legal", a="legal") == [
        f"3 lines that had been rows of hr: rows of legal now, by the job alone; {again}"
    ]
    assert told("legal hr sales", c=None, b="legal", a="legal") == []
    alone = f"3 lines that had been no rows: rows of legal now, by the job alone; its key pays for them; {way_out}"
    assert told("legal", c=None, b="legal", a="legal") == [alone]
    assert told("legal", c=None, b="legal", a="legal") == []


def test_rows_that_edited_lines_give_to_another_workspace_are_told_before_its_key_pays_for_them(tmp_path):
    """A tag that was put right was told as so many rows that came and went, and its answers were paid for by both."""
    job = Job.model_validate(
        {
            "job": {"input": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "run")},
            "defaults": {"endpoint": "simulator", "model": "qwen-plus"},
            "simulator": {"latency": {"median": 0.001}},
            "workspaces": {"legal": {}, "hr": {}},
        }
    )

    def told(*tags: str) -> list[str]:
        rows = [{"id": str(number), "workspace": tag, "prompt": "Hi"} for number, tag in enumerate(tags)]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        foreseen, found = look_ahead(job, NOW, dotenv=None).notes, noted(job)
        told = [[note for note in notes if "the same id" in note] for notes in (foreseen, found)]
        assert told[0] == told[1]
        return told[0]

    paid = "hr's key pays for them, and once more for what was answered"
    assert told("legal", "legal", "hr") == []
    assert told("legal", "hr", "hr") == [f"of the rows added, 1 stood there as rows of legal under the same id: {paid}"]
    assert told("legal", "hr", "hr", "legal") == []


def test_a_schema_that_was_edited_in_its_file_is_told_as_a_change_of_the_job_and_one_that_was_moved_is_none(simulated, tmp_path):
    """Answers that were held to the schema of then stood beside those of now, and nobody was told."""
    path, other = tmp_path / "schema.json", tmp_path / "other.json"
    path.write_text("{}")
    job = simulated.model_copy(update={"answers": AnswersTable.model_validate({"schema": str(path)})})
    noted(job)
    changed = "changed in the job: answers.schema: rows that are left are asked so, answered ones keep their answers"
    other.write_text("{ }")
    assert not [
        note for note in noted(job.model_copy(update={"answers": AnswersTable.model_validate({"schema": str(other)})})) if "changed" in note
    ]
    path.write_text('{"minLength": 3}')
    assert changed in look_ahead(job, NOW, dotenv=None).notes
    assert changed in noted(job)
    assert changed not in noted(job)
