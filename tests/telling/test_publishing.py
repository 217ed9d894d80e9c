"""A run leaves its page, and a report makes it again."""

from __future__ import annotations

import orjson
import pytest
from click.testing import CliRunner

from batchrun import run_blocking
from batchrun.cli.report import report
from batchrun.core.jobs.job import Job
from batchrun.core.ledger.attribution import LANE
from batchrun.core.ledger.course import Course, Standstill
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.totals import Totals
from batchrun.running.one_run import Wishes
from batchrun.telling.publishing import note_ending, publish, standing_still
from batchrun.telling.reporting import Report, Taken

WORKSPACES = {"legal": {"models": ["qwen-plus"]}, "sales": {"models": ["qwen-flash"]}}


def job_in(tmp_path, **more):
    rows = [
        {"id": f"r-{n}", "workspace": ("legal", "sales")[n % 2], "model": ("qwen-plus", "qwen-flash")[n % 2], "prompt": f"Note {n}."}
        for n in range(12)
    ]
    (tmp_path / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    tables = {
        "job": {"name": "night", "input": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "run")},
        "defaults": {"endpoint": "simulator"},
        "workspaces": WORKSPACES,
        "simulator": {"seed": 1, "latency": {"median": 0.01, "sigma": 0.1}},
    }
    return Job.model_validate(tables | more)


@pytest.mark.parametrize(("language", "title"), [("en", "Who spent what"), ("zh", "谁花了多少")])
def test_a_run_leaves_its_page_in_the_language_that_was_asked_for(tmp_path, language, title):
    ending = run_blocking(job_in(tmp_path), Wishes(dotenv=None, page=language))
    page = tmp_path / "run" / "report.html"
    assert ending.page == page
    html = page.read_text(encoding="utf-8")
    assert f">{title}</span></h2>" in html
    assert f"{ending.statement.total().input_tokens:,}" in html
    assert page.stat().st_mode & 0o777 == 0o600
    assert orjson.loads((tmp_path / "run" / "run.json").read_bytes())["ended"]["parked"] == []


def test_a_run_that_was_told_not_to_leaves_no_page(tmp_path):
    ending = run_blocking(job_in(tmp_path), Wishes(dotenv=None, page=None))
    assert ending.page is None
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_report_makes_the_page_again_and_a_departments_own_beside_its_results(tmp_path):
    run_blocking(job_in(tmp_path), Wishes(dotenv=None, page=None))
    whole = CliRunner().invoke(report, [str(tmp_path / "run"), "--html"])
    assert whole.exit_code == 0, whole.output
    assert "legal" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    own = CliRunner().invoke(report, [str(tmp_path / "run"), "--workspace", "sales", "--language", "zh", "--html"])
    assert own.exit_code == 0, own.output
    html = (tmp_path / "run" / "sales" / "report.html").read_text(encoding="utf-8")
    assert "业务空间 sales" in html
    assert "legal" not in html


def test_what_is_parked_stands_on_the_page_of_the_run_and_is_gone_with_the_next(tmp_path):
    wrong = {**WORKSPACES, "sales": {"models": ["qwen-max"]}}
    first = run_blocking(job_in(tmp_path, workspaces=wrong), Wishes(dotenv=None))
    assert first.page is not None
    assert "Parked until a person acts" in first.page.read_text(encoding="utf-8").partition('id="numbers"')[0]
    second = run_blocking(job_in(tmp_path), Wishes(dotenv=None))
    assert second.page is not None
    html = second.page.read_text(encoding="utf-8").partition('id="numbers"')[0]
    assert "Done: every row is answered." in html
    assert "Parked until a person acts" not in html


class Summed(Statement):
    """A statement that counts how often it is added up."""

    sums = 0

    def total(self, workspace=None):
        Summed.sums += 1
        return super().total(workspace)


def test_a_page_of_many_parked_scopes_adds_the_run_up_no_more_often_than_one_of_few(tmp_path):
    taken = Taken(tmp_path, "r", "night")
    counts = []
    for parked in (1, 500):
        scopes = [{"scope": "workspace", "name": f"w{number}", "rows": 1, "code": "missing_key"} for number in range(parked)]
        (tmp_path / "run.json").write_bytes(orjson.dumps({"format": 1, "name": "night", "ended": {"at": "", "parked": scopes}}))
        statement = Summed("r", "night", {("w0", "qwen-plus"): Totals(pending=500)})
        before = Summed.sums
        publish(Report(statement, [taken], course=Course()), tmp_path / "report.html", by=LANE)
        counts.append(Summed.sums - before)
        assert "w0" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert counts[0] == counts[1]


def test_a_department_is_shown_neither_what_is_parked_of_one_whose_name_begins_like_its_own_nor_what_its_account_was_told(tmp_path):
    parked = ("workspace legal", "lane legal qwen-plus", "lane legal-eu qwen-max", "workspace legal-eu", "account main", "account other")
    names = [each.split(" ", 1) for each in parked]
    scopes = [{"scope": scope, "name": name, "rows": 9, "message": f"of {name}", "advice": "mend it"} for scope, name in names]
    job = {"workspaces": {"legal": {"account": "main"}, "legal-eu": {"account": "other"}}}
    (tmp_path / "run.json").write_bytes(orjson.dumps({"format": 1, "name": "night", "job": job, "ended": {"at": "", "parked": scopes}}))
    report = Report(Statement("r", "night", {("legal", "qwen-plus"): Totals(pending=5)}), [Taken(tmp_path, "r", "night")], course=Course())
    told = [(each.name, each.rows, each.message, each.advice) for each in standing_still(report, "legal")]
    own = ("legal", "legal qwen-plus")
    assert told == [*((name, 9, f"of {name}", "mend it") for name in own), ("main", 5, "", "mend it")]


@pytest.mark.parametrize(
    ("accounts", "told"),
    [
        ({"legal": None, "hr": None}, [(9, "the bill")]),
        ({"legal": None, "hr": "legal"}, [(5, "")]),
        ({"legal": "legal", "hr": "legal"}, [(5, "")]),
        ({"legal": "main", "hr": "legal"}, []),
    ],
)
def test_a_department_is_shown_no_rows_of_others_though_their_account_has_its_name(tmp_path, accounts, told):
    scope = {"scope": "account", "name": "legal", "rows": 9, "code": "Arrearage", "message": "the bill", "advice": "pay it"}
    job = {"workspaces": {name: {"account": account} if account else {} for name, account in accounts.items()}}
    (tmp_path / "run.json").write_bytes(orjson.dumps({"format": 1, "name": "night", "job": job, "ended": {"at": "", "parked": [scope]}}))
    report = Report(Statement("r", "night", {("legal", "qwen-plus"): Totals(pending=5)}), [Taken(tmp_path, "r", "night")], course=Course())
    assert [(each.rows, each.message) for each in standing_still(report, "legal")] == told


def test_why_lines_are_no_row_stands_on_the_page_of_a_run_and_on_no_departments(tmp_path):
    why = [{"said": "workspace 'finance' is not one of the job's", "place": "in.jsonl, line 7", "lines": 3}]
    (tmp_path / "run.json").write_bytes(orjson.dumps({"format": 1, "name": "night", "rejected_input": 3, "rejected_for": why}))
    lanes = {("legal", "qwen-plus"): Totals(answered=5)}
    report = Report(Statement("r", "night", lanes, rejected_input=3), [Taken(tmp_path, "r", "night")], course=Course())
    for only, stands in ((None, True), ("legal", False)):
        publish(report, tmp_path / "report.html", by=LANE, only=only)
        assert ("finance" in (tmp_path / "report.html").read_text(encoding="utf-8")) is stands


def test_how_a_run_ended_makes_no_description_of_one_that_was_taken_away(tmp_path):
    note_ending(tmp_path, (), None)
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("html", 200, "correct endpoint of this workspace"),
        ("tls", None, "check the host in the workspace's endpoint"),
        ("redirect", 302, "put the URL that really answers"),
        ("invalid_api_key", 401, "check the key in the variable"),
    ],
)
def test_of_a_run_that_was_killed_while_a_lane_stood_still_it_is_told_what_to_do(tmp_path, code, status, advice):
    statement, course = Statement("run", "job"), Course()
    statement.lane("legal", "qwen-plus").pending = 7
    course.standstills["legal", "qwen-plus"] = Standstill("legal", "qwen-plus", code, status, 0.0)
    [parked] = standing_still(Report(statement, [Taken(tmp_path, "run", "job")], course=course))
    assert (parked.rows, parked.code, parked.status) == (7, code, status)
    assert parked.advice.startswith(advice)
