"""`batchrun report` on run directories: one, many, one workspace's; what it writes, and what it says of what it cannot read."""

from __future__ import annotations

import csv
import fcntl
import os
import re
import shutil
import socket
from collections import defaultdict
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest
from click.testing import CliRunner
from pyarrow import parquet as pq

from batchrun.cli.report import report
from batchrun.core.errors import JobError, LedgerError, RunDamagedError
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.seal import sealed
from batchrun.core.model import Usage
from batchrun.edge import run_directory
from batchrun.edge.job_file import load_job
from batchrun.running.money import described_job
from batchrun.running.statements import read_statement
from batchrun.telling.reading import DoubtfulCalls, doubtful_calls
from batchrun.telling.reconciling import reconciled
from batchrun.telling.reporting import reported
from tests.core.ledger.test_attribution import MIDNIGHT, World, at_hours
from tests.edge.rights import open_to_all, somebody_who_is_not_root
from tests.focus_spec import violations
from tests.report.test_page import text_of
from tests.report.written import Night, write_night
from tests.runs import write_run

PRICE = Decimal("0.8")


def row(workspace, project, *kinds, hours=0.0, price: Decimal | None = PRICE):
    numbers = [(hours, Usage(30, 40), price, Decimal("0.25"))] * 4
    return (workspace, "qwen-plus", {"project": project}, (list(kinds[:-1]), kinds[-1]), numbers)


NIGHT = [
    row("legal", "q3", "again", "answered", hours=-1),
    row("legal", "q3", "reasked", "cut"),
    row("legal", "q4", "rejected-billed"),
    row("sales", "q3", "killed"),
    row("sales", "q3", "answered", price=None),
]


def night(directory, run="run-1", rows=NIGHT, job=None):
    world = World(rows)
    files: dict[str, list[bytes]] = defaultdict(list)
    for name, lines in world.entries.items():
        for line in lines:
            files[f"{orjson.loads(line)['workspace']}/{name}.jsonl"].append(line)
    count = {each[0]: {"qwen-plus": sum(other[0] == each[0] for other in rows)} for each in rows}
    return write_run(directory, run, world.log, files, rows=count, job=job)


def end(directory, **how):
    """Have the last opening of a run end of itself, and not as one that was killed."""
    described = orjson.loads((directory / "run.json").read_bytes())
    ended = {"at": "2026-11-26T00:00:00+00:00", "stopped_by": None, "parked": [], "grown": []} | how
    (directory / "run.json").write_bytes(orjson.dumps(described | {"ended": ended}))
    return directory


def ask(*arguments, code=0):
    result = CliRunner().invoke(report, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result


def lines_of(path, encoding="utf-8-sig"):
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file))


def test_of_a_run_that_a_process_holds_calls_in_flight_are_no_doubt_on_the_screen_as_data_in_the_list_and_on_the_page(tmp_path):
    directory = night(tmp_path / "night")
    assert orjson.loads(ask(directory, "--json").stdout)["under_way"] is False
    with run_directory.locked(directory):
        shown = ask(directory)
        assert "the run is under way: what is in flight is still to come" in shown.stderr
        assert "in flight: 1 call is under way" in shown.stdout
        assert "in doubt" not in shown.stdout
        told = orjson.loads(ask(directory, "--json").stdout)
        assert (told["under_way"], told["total"]["in_doubt"], told["total"]["in_flight"]["calls"]) == (True, 0, 1)
        assert "it is in flight: the run is under way" in ask(directory, "--in-doubt").stdout
        ask(directory, "--html")
    assert "1 call was under way when this page was made" in (directory / "report.html").read_text()
    assert "in doubt: 1 call may have been billed" in ask(directory).stdout


def flight_in_the_list(directory):
    return [told.why for told, _ in doubtful_calls(directory)]


def flight_in_the_statement(directory):
    total = read_statement(directory).total()
    return [Calls.IN_FLIGHT] * total.in_flight.calls + [Calls.KILLED] * total.in_doubt


@pytest.mark.parametrize("is_held_by_another", [True, False])
@pytest.mark.parametrize(("look", "reader"), [(flight_in_the_list, DoubtfulCalls), (flight_in_the_statement, Fold)])
def test_calls_are_in_flight_where_one_process_held_the_run_while_it_was_read_and_in_doubt_where_its_holder_is_gone(
    tmp_path, monkeypatch, look, reader, is_held_by_another
):
    """A holder that was killed left its calls in doubt, whoever has taken the run up since."""
    directory, real = night(tmp_path / "night"), reader.attempts
    assert look(directory) == [Calls.KILLED]
    with ExitStack() as held:
        held.enter_context(run_directory.locked(directory))
        assert look(directory) == [Calls.IN_FLIGHT]

        def read(self, lines):
            real(self, lines)
            if is_held_by_another:
                (directory / "run.lock").write_text(f"process {os.getppid()} on {socket.gethostname()}\n")
            else:
                held.close()

        monkeypatch.setattr(reader, "attempts", read)
        assert look(directory) == [Calls.KILLED]


def test_calls_in_doubt_are_listed_with_what_became_of_their_rows_since(tmp_path):
    kinds = (("killed", "answered"), ("killed", "rejected"), ("killed",))
    rows = [row(workspace, "q3", *each) for workspace, each in zip(("legal", "sales", "hr"), kinds, strict=True)]
    directory = night(tmp_path / "night", rows=rows)
    listed = orjson.loads(ask(directory, "--in-doubt", "--json").stdout)
    assert {each["workspace"]: each["row"] for each in listed} == {"legal": "answered", "sales": "rejected", "hr": "pending"}
    (own,) = orjson.loads(ask(directory, "--in-doubt", "--workspace", "sales", "--json").stdout)
    assert (own["workspace"], own["row"]) == ("sales", "rejected")


def test_sums_of_made_up_and_real_money_say_so(tmp_path):
    """A rehearsal that stands beside the month's runs was added to what a department pays, without a word."""

    def of(run, **endpoints):
        tables = {name: {"endpoint": endpoint, "api_key_env": "K"} for name, endpoint in endpoints.items()}
        return night(tmp_path / run, run, job={"job": {"input": "rows.jsonl"}, "workspaces": tables})

    said = "the simulator answered there: its tokens and money are made up, and stand in these sums beside real ones"
    real, rehearsed = of("real", legal="public", sales="public"), of("rehearsed", legal="simulator", sales="simulator")
    mixed = of("mixed", legal="simulator", sales="public")
    assert f"{rehearsed}: {said}" in ask(real, rehearsed).stderr.splitlines()
    assert f"{rehearsed}, {mixed} (legal): {said}" in ask(rehearsed, mixed).stderr.splitlines()
    for runs in ([real], [rehearsed], [mixed, "--workspace", "legal"], [mixed, "--workspace", "sales"]):
        assert said not in ask(*runs).stderr


def test_a_page_of_what_the_simulator_answered_says_that_its_money_is_made_up(tmp_path):
    """It is the page for whoever pays, and a rehearsal's looked like a month's."""

    def of(run, **endpoints):
        tables = {name: {"endpoint": endpoint, "api_key_env": "K"} for name, endpoint in endpoints.items()}
        return night(tmp_path / run, run, job={"job": {"input": "rows.jsonl"}, "workspaces": tables})

    real, rehearsed = of("real", legal="public", sales="public"), of("rehearsed", legal="simulator", sales="simulator")
    mixed = of("mixed", legal="simulator", sales="public")
    wholly, partly = 'data-t="made_up"', 'data-t="partly_made_up"'
    for arguments, says in (
        ([real], (False, False)),
        ([rehearsed], (True, False)),
        ([real, rehearsed], (False, True)),
        ([mixed], (False, True)),
        ([mixed, "--workspace", "legal"], (True, False)),
        ([mixed, "--workspace", "sales"], (False, False)),
    ):
        page = ask(*arguments, "--html", "-").stdout
        assert (wholly in page, partly in page) == says, arguments


def test_a_run_is_told_by_workspace_and_model_with_what_was_wasted_saved_and_is_unknown(tmp_path):
    shown = ask(night(tmp_path / "night")).stdout.splitlines()
    assert " ".join(shown[0].split()) == "workspace model answered rejected pending calls retries reasks in doubt input output CNY"
    assert shown[2].split()[:6] == ["legal", "qwen-plus", "2", "1", "0", "5"]
    assert shown[3].split()[-1] == "unknown"
    notes = "\n".join(shown[6:])
    for told in (
        "reasked: 1 answer did not fit and was asked for again; of the tokens above they are 30 input and 40 output, 0.0001 CNY",
        "refused: 1 call of a row that was rejected or exhausted was billed",
        "truncated: 1 answer ended at the limit of its length",
        # 50 tokens written to a cache, at 1, and 60 of thinking, at 8.
        "in doubt: 1 call may have been billed beyond this: at most 50 input and 60 output tokens, 0.0005 CNY",
        "saved: 0.0001 CNY by discounts",
        "cost unknown: 1 call with 70 tokens has no known price: in no sum; prices can be given in [prices]",
    ):
        assert told in notes


def test_by_names_the_columns_in_their_order_and_comes_in_json_too(tmp_path):
    directory = night(tmp_path / "night")
    shown = ask(directory, "--by", "metadata.project,day", "--by", "workspace").stdout.splitlines()
    assert shown[0].split()[:3] == ["metadata.project", "day", "workspace"]
    assert not any("no row has it" in line for line in shown)
    assert ask(directory, "--by", "metadata.projekt").stdout.splitlines()[-1] == "metadata.projekt: no row has it in its metadata"
    assert [line.split()[:3] for line in shown[2:7]] == [
        ["q3", "2026-11-25", "legal"],
        ["q3", "2026-11-26", "legal"],
        ["q3", "2026-11-26", "sales"],
        ["q4", "2026-11-26", "legal"],
        ["unknown", "2026-11-26", "sales"],
    ]
    told = orjson.loads(ask(directory, "--by", "day", "--zone", "UTC", "--json").stdout)
    assert [(group["of"], group["answered"]) for group in told["attribution"]["groups"]] == [({"day": "2026-11-25"}, 3)]
    assert told["attribution"]["zone"] == "UTC"
    assert told["total"]["waste"]["truncated"]["cost"] == {"CNY": "0.00009"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--by", "week"], "workspace, model, day, hour or metadata.KEY is wanted"),
        (["--by", "metadata.\udcb2"], "'metadata.\\udcb2': workspace, model, day, hour or metadata.KEY is wanted"),
        (["--zone", "Mars/Base"], "a time zone, such as"),
        (["--focus", "x.xlsx"], "ends in .csv or .parquet"),
        (["--id", "llm-1"], "NAME=MEANING is wanted"),
        (["--focus", "x.csv", "--id", "a=legal", "--id", "b=legal"], "legal has one id in the whole file, and is given a and b"),
    ],
)
def test_a_wrong_argument_is_told_with_what_is_wanted(tmp_path, arguments, told):
    assert told in ask(night(tmp_path / "night"), *arguments, code=2).output


def test_usage_csv_has_a_line_a_day_and_an_unknown_cost_is_empty(tmp_path):
    directory = night(tmp_path / "night")
    ask(directory, "--csv")
    lines = lines_of(directory / "usage.csv")
    assert [(line["workspace"], line["day"], line["answered"], line["cost_CNY"]) for line in lines] == [
        *(("legal", day, answered, cost) for day, answered, cost in [("2026-11-25", "1", "0.00009"), ("2026-11-26", "1", "0.00027")]),
        ("sales", "2026-11-26", "1", ""),
    ]
    assert (lines[2]["unpriced_calls"], lines[2]["unpriced_tokens"], lines[2]["cost_USD"]) == ("1", "70", "")
    assert (lines[1]["saved_by_discount_CNY"], lines[1]["refused_cost_CNY"], lines[1]["truncated_calls"]) == ("0.00009", "0.00009", "1")
    ask(directory, "--csv", tmp_path / "projects.csv", "--by", "metadata.project")
    assert [line["metadata.project"] for line in lines_of(tmp_path / "projects.csv")] == ["q3", "q4", "unknown"]


def test_usage_csv_has_no_line_that_tells_nothing(tmp_path):
    directory = night(tmp_path / "night", rows=[row("legal", "q3", "answered"), row("sales", "q4", "answered")])
    for by, labels in (("metadata.project", ["q3", "q4"]), ("workspace", ["legal", "sales"])):
        ask(directory, "--csv", tmp_path / "by.csv", "--by", by)
        assert [line[by] for line in lines_of(tmp_path / "by.csv")] == labels


@pytest.mark.parametrize(("option", "beside"), [("--csv", "usage.csv"), ("--html", "report.html")])
def test_an_empty_name_for_a_file_as_a_variable_that_is_not_set_gives_it_is_a_mistake(tmp_path, option, beside):
    said = ask(night(tmp_path / "night"), option, "", code=2)
    assert f"an empty name, and a file is wanted: {beside}" in said.stderr
    assert said.stdout == ""


@pytest.mark.parametrize(("option", "beside"), [("--csv", "usage.csv"), ("--html", "report.html")])
def test_a_directory_that_is_named_for_a_file_is_a_mistake_and_not_a_full_disk(tmp_path, option, beside):
    said = ask(night(tmp_path / "night"), option, tmp_path, code=2).stderr
    assert f"{tmp_path}: is a directory, and a file is wanted: {tmp_path}/{beside}" in said


@pytest.mark.parametrize("option", ["--csv", "--html"])
@pytest.mark.parametrize("kept", ["legal/results.jsonl", "attempts.log", "run.json", "../rows.jsonl", "../job.toml", "../link.csv"])
def test_no_report_is_put_in_the_place_of_answers_a_log_an_input_or_a_job(tmp_path, option, kept):
    directory = night(tmp_path / "night")
    for name in ("rows.jsonl", "job.toml"):
        (tmp_path / name).write_text("a person's own")
    (tmp_path / "link.csv").symlink_to(directory / "legal" / "errors.jsonl")
    before = (directory / kept).read_bytes()
    said = ask(directory, option, directory / kept, code=2).stderr
    assert f"{directory / kept}: is named as a job, an input or what a run keeps is" in said
    assert (directory / kept).read_bytes() == before


@pytest.mark.parametrize(("option", "begins"), [("--csv", "\ufeffworkspace,"), ("--focus", "BilledCost,"), ("--html", "<!doctype")])
def test_what_a_person_names_to_be_written_to_stays_what_it_is_a_pipe_a_link_or_a_file(tmp_path, option, begins):
    """As root, /dev/null and /dev/stdout would be gone for the whole machine."""
    directory = night(tmp_path / "night")
    pipe, link, file = (tmp_path / f"{name}.csv" for name in ("pipe", "link", "file"))
    os.mkfifo(pipe)
    link.symlink_to(file)
    with os.fdopen(os.open(pipe, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0) as reader:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 1 << 20)
        ask(directory, option, pipe)
        assert (reader.read(100) or b"").decode("utf-8", "replace").startswith(begins)
    file.write_text("old")
    ask(directory, option, link)
    assert (pipe.is_fifo(), link.is_symlink(), file.is_file()) == (True, True, True)
    assert file.read_text("utf-8").startswith(begins)
    ask(directory, option, tmp_path / "none.csv" / "x.csv", code=1)


@pytest.mark.parametrize("option", ["--csv", "--html"])
def test_a_run_that_is_taken_for_the_path_of_an_option_before_it_is_told_as_such(option):
    assert f"Missing argument 'RUN...': {option} took runs/night" in ask(option, "runs/night", code=2).stderr
    assert "took" not in ask("--json", code=2).stderr


@pytest.mark.parametrize("option", ["--csv", "--html"])
def test_a_file_is_printed_instead_of_the_table_where_its_name_is_a_dash(tmp_path, option):
    """But for the mark by which spreadsheets know UTF-8: whatever reads a pipe takes that for a letter."""
    directory = end(night(tmp_path / "night"))
    ask(directory, option, tmp_path / "file")
    printed = ask(directory, option, "-")
    assert printed.stderr == ""
    made_at = re.compile(r"\d\d:\d\d(:\d\d)?")
    assert made_at.sub("", printed.stdout) == made_at.sub("", (tmp_path / "file").read_text("utf-8-sig"))
    assert not Path("-").exists()
    for other in ("--json", "--csv -", "--html -"):
        if not other.startswith(option):
            assert "standard output takes one" in ask(directory, option, "-", *other.split(), code=2).stderr


def test_a_link_in_a_run_directory_is_not_followed_by_what_is_written_there_without_a_name(tmp_path):
    directory = night(tmp_path / "night")
    (tmp_path / "others").write_text("theirs")
    for name in ("usage.csv", "report.html"):
        (directory / name).symlink_to(tmp_path / "others")
    ask(directory, "--csv", "--html")
    assert (tmp_path / "others").read_text() == "theirs"
    assert not (directory / "usage.csv").is_symlink()


def test_what_stands_still_is_told_beside_the_statement_with_what_to_do_and_to_each_workspace_its_own(tmp_path):
    directory = write_night(tmp_path / "night", Night(["legal", "sales"], rows=10, pending=7))
    parked = (
        "parked: sales qwen-max, 7 rows: 403 Model.AccessDenied: Model access denied.\n  ask the account's owner to authorise the model"
    )
    assert parked in ask(directory).stderr
    assert parked in ask(directory, "--workspace", "sales").stderr
    assert "parked" not in ask(directory, "--workspace", "legal").stderr
    done = write_night(tmp_path / "done", Night(["legal"], rows=10))
    assert "parked" not in ask(done).stderr
    for arguments, rows in (
        ([directory], [7]),
        ([directory, "--workspace", "sales"], [7]),
        ([directory, "--workspace", "legal"], []),
        ([done], []),
    ):
        (*told,) = orjson.loads(ask(*arguments, "--json").stdout)["parked"]
        assert [each["rows"] for each in told] == rows
        for each in told:
            assert (each["scope"], each["name"], each["status"], each["code"]) == ("lane", "sales qwen-max", 403, "Model.AccessDenied")
            assert each["advice"].startswith("ask the account's owner")


def test_what_a_signal_has_stopped_is_told_on_the_screen_and_to_a_program_as_on_the_page(tmp_path):
    """That rows were pending was all that either said: `run` itself had told why on a terminal that is gone."""
    directory = night(tmp_path / "night")
    assert orjson.loads(ask(directory, "--json").stdout)["stopped"] == []
    end(directory, stopped_by="SIGTERM")
    assert f"{directory} was stopped by SIGTERM: the same command goes on with it\n" in ask(directory).stderr
    assert orjson.loads(ask(directory, "--json").stdout)["stopped"] == [{"path": str(directory), "by": "SIGTERM"}]
    assert "the run was stopped by SIGTERM" in ask(directory, "--workspace", "legal").stderr
    assert orjson.loads(ask(directory, "--json", "--workspace", "legal").stdout)["stopped"] == [{"by": "SIGTERM"}]


def test_a_run_that_was_killed_with_rows_left_is_told_as_such_until_it_goes_on_or_ends_of_itself(tmp_path):
    """It had not come to say why they are left: nothing but their number told of it."""
    killed, other = night(tmp_path / "killed"), end(night(tmp_path / "other", run="run-2"))
    done = night(tmp_path / "done", run="run-3", rows=[row("legal", "q3", "answered")])
    told = "was killed, or could not write any more: the same command goes on with it"
    assert f"{killed} {told}\n" in ask(killed).stderr
    assert [line for line in ask(killed, other, done).stderr.splitlines() if told in line] == [f"{killed} {told}"]
    assert f"the run {told}\n" in ask(killed, "--workspace", "sales").stderr
    assert told not in ask(killed, "--workspace", "legal").stderr, "its rows are done"
    with run_directory.locked(killed):
        assert told not in ask(killed).stderr
    assert told not in ask(end(killed)).stderr


def test_input_that_has_grown_is_told_to_a_program_too(tmp_path):
    directory = night(tmp_path / "night")
    assert orjson.loads(ask(directory, "--json").stdout)["grown"] == []
    end(directory, grown=["rows.jsonl"])
    assert orjson.loads(ask(directory, "--json").stdout)["grown"] == [{"path": str(directory), "input": ["rows.jsonl"]}]
    assert orjson.loads(ask(directory, "--json", "--workspace", "legal").stdout)["grown"] == [], "nobody knows whether it is its rows"


def test_of_several_runs_what_stands_still_is_told_with_the_run_that_it_is_of_but_on_a_departments_own(tmp_path):
    names = ["skunkworks-1", "skunkworks-2"]
    directories = [write_night(tmp_path / each, Night(["legal", "sales"], rows=10, pending=7)) for each in names]
    second = directories[1] / "run.json"
    second.write_bytes(orjson.dumps(orjson.loads(second.read_bytes()) | {"run": "run-2"}))
    said = ask(*directories, "--html", tmp_path / "all.html").stderr
    page = text_of((tmp_path / "all.html").read_text(encoding="utf-8"))
    for directory in directories:
        assert f"parked: {directory}: sales qwen-max, 7 rows: 403 Model.AccessDenied" in said
        assert str(directory) in [each["path"] for each in orjson.loads(ask(*directories, "--json").stdout)["parked"]]
        assert f"{directory} : sales qwen-max" in page
    ask(*directories, "--html", tmp_path / "own.html", "--workspace", "sales")
    own = (tmp_path / "own.html").read_text(encoding="utf-8")
    assert "sales qwen-max workspace and model" in text_of(own)
    assert "skunkworks" not in own


def test_focus_is_valid_adds_up_and_says_what_is_not_in_it(tmp_path):
    directory = night(tmp_path / "night")
    result = ask(directory, "--focus", tmp_path / "focus.csv", "--by", "metadata.project", "--id", "llm-9=legal")
    assert "not in it: 1 call with 70 tokens, whose cost is unknown" in result.stderr
    rows = [{name: value or None for name, value in line.items()} for line in lines_of(tmp_path / "focus.csv", "utf-8")]
    assert violations(list(rows[0]), rows) == []
    assert sum(Decimal(line["BilledCost"] or 0) for line in rows) == reported([directory]).statement.total().cost["CNY"]
    assert {(line["SubAccountId"], line["Tags"]) for line in rows} == {("llm-9", '{"project":"q3"}'), ("llm-9", '{"project":"q4"}')}


def test_focus_gives_a_workspace_that_was_renamed_one_id_and_tells_of_a_name_that_no_charge_has(tmp_path):
    """A mistyped name had left the workspace without its id, and what was to be joined by that was joined with nothing."""
    nights = [night(tmp_path / name, name, [row(name, "q3", "answered")]) for name in ("mkt", "marketing")]
    ids = ("--id", "llm-1=mkt", "--id", "llm-1=marketing")
    found = ask(*nights, "--focus", tmp_path / "focus.csv", *ids)
    rows = lines_of(tmp_path / "focus.csv", "utf-8")
    assert {(line["SubAccountId"], line["SubAccountName"]) for line in rows} == {("llm-1", "mkt"), ("llm-1", "marketing")}
    assert "--id" not in found.stderr
    assert "--id: no charge is of leagl" in ask(*nights, "--focus", tmp_path / "focus.csv", *ids, "--id", "llm-2=leagl").stderr
    own = ask(*nights, "--focus", tmp_path / "focus.csv", *ids, "--workspace", "mkt")
    assert "marketing" not in own.output


def test_focus_of_what_the_simulator_answered_says_that_its_charges_are_made_up(tmp_path):
    def told(name: str, endpoint: str) -> str:
        tables = {each: {"endpoint": endpoint, "api_key_env": "K"} for each in ("legal", "sales")}
        job = {"job": {"input": "in.jsonl"}, "workspaces": tables}
        return str(ask(night(tmp_path / name, run=name, job=job), "--focus", tmp_path / "focus.csv").stderr)

    assert "the simulator answered there: what it charges is made up" in told("rehearsed", "simulator")
    assert "made up" not in told("real", "public")


def test_focus_tells_what_calls_cost_that_do_not_tell_when_they_were_made_and_of_none_where_all_do(tmp_path):
    directory = night(tmp_path / "night", rows=[row("legal", "q3", "answered"), row("sales", "q3", "answered")])
    whole = ask(directory, "--focus", tmp_path / "whole.csv")
    assert "when they were made" not in whole.stderr
    path = directory / "legal" / "results.jsonl"
    path.write_bytes(re.sub(rb',"(crc32|started_at)":"[^"]*"', b"", path.read_bytes()))
    found = ask(directory, "--focus", tmp_path / "dated.csv")
    cost = [sum(Decimal(line["BilledCost"]) for line in lines_of(tmp_path / f"{name}.csv", "utf-8")) for name in ("whole", "dated")]
    assert f"not in it: {cost[0] - cost[1]:.4f} CNY of calls that do not tell when they were made" in found.stderr


def test_focus_tells_of_a_workspace_that_the_job_names_no_more_where_it_was_called_and_of_one_that_moved_that_it_did(tmp_path):
    def job(endpoint, *names):
        workspaces = {name: {"api_key_env": f"{name.upper()}_KEY", "account": "main"} for name in names}
        return {"job": {"input": "in.jsonl"}, "defaults": {"endpoint": endpoint}, "accounts": {"main": {}}, "workspaces": workspaces}

    def charged(**described):
        told = orjson.loads((directory / "run.json").read_bytes()) | described
        (directory / "run.json").write_bytes(orjson.dumps(told))
        said = ask(directory, "--focus", tmp_path / "focus.csv").stderr
        rows = lines_of(tmp_path / "focus.csv", "utf-8")
        return {(line["SubAccountName"], line["RegionId"], line["BillingAccountId"]) for line in rows}, "legal: were called" in said

    directory = night(tmp_path / "night")
    renamed = [{"through": 1, "job": job("intl", "legal")}]
    assert charged(job=job("intl", "law"), priced_before=renamed) == ({("legal", "ap-southeast-1", "main")}, False)
    assert charged(job=job("public", "legal"), priced_before=renamed) == ({("legal", "cn-beijing", "main")}, True)
    assert charged(job=job("intl", "legal"), priced_before=renamed) == ({("legal", "ap-southeast-1", "main")}, False)


def test_what_searches_cost_beside_their_tokens_is_said_to_be_left_out(tmp_path):
    searched = [(0.0, Usage(30, 40, searches=2), PRICE, Decimal(0))] * 4
    directory = night(tmp_path / "night", rows=[("legal", "qwen-plus", {}, ([], "answered"), searched)])
    found = ask(directory, "--focus", tmp_path / "focus.csv")
    assert "not in it: what 2 web searches cost beside tokens" in found.stderr
    assert "searches: answers tell of 2 web searches, for which the provider charges" in ask(directory).stdout


def test_focus_as_parquet_says_what_the_csv_says(tmp_path):
    directory = night(tmp_path / "night")
    ask(directory, "--focus", tmp_path / "focus.csv", "--by", "hour")
    ask(directory, "--focus", tmp_path / "focus.parquet", "--by", "hour")
    table = pq.read_table(tmp_path / "focus.parquet")
    lines = lines_of(tmp_path / "focus.csv", "utf-8")
    assert table.column_names == list(lines[0])
    assert [str(each.normalize()) for each in table["BilledCost"].to_pylist()] == [
        str(Decimal(line["BilledCost"]).normalize()) for line in lines
    ]


ROOT = Path(__file__).parents[2]
JOBS = sorted((ROOT / "jobs").rglob("*.toml"))


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_the_job_that_a_run_describes_is_read_back_for_its_prices(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    job = load_job(path)
    described = {"job": job.model_dump(mode="json", exclude_unset=True, by_alias=True)}
    assert described_job(orjson.loads(orjson.dumps(described))) == job


def test_a_run_of_an_older_version_is_read_as_far_as_its_lines_tell(tmp_path):
    """Lines had no checksum at first, then no cost, and no metadata of calls without an entry."""
    directory = night(tmp_path / "night")
    for path in directory.rglob("*.*l*"):
        if path.suffix in {".jsonl", ".log"}:
            path.write_bytes(re.sub(rb',"(crc32|charges|discount)":("[^"]*"|{[^}]*})', b"", path.read_bytes()))
    undivided = orjson.loads(ask(directory, "--json", "--focus", tmp_path / "focus.csv").stdout)
    rows = [{name: value or None for name, value in line.items()} for line in lines_of(tmp_path / "focus.csv", "utf-8")]
    assert violations(list(rows[0]), rows) == []
    assert {row["ChargeCategory"] for row in rows} == {"Adjustment"}
    assert sum(Decimal(row["BilledCost"] or 0) for row in rows) == Decimal(undivided["total"]["cost"]["CNY"])
    for path in [directory / "attempts.log", *directory.glob("*/*.jsonl")]:
        path.write_bytes(re.sub(rb',"cost":(null|{[^}]*})|,"metadata":{[^}]*}', b"", path.read_bytes()))
    told = orjson.loads(ask(directory, "--json", "--by", "metadata.project").stdout)
    assert (told["total"]["cost"], told["total"]["unpriced_calls"], told["total"]["answered"]) == ({}, 5, 3)
    assert {group["of"]["metadata.project"] for group in told["attribution"]["groups"]} == {"", None}


def test_why_lines_are_no_row_is_told_the_most_frequent_reason_of_all_runs_first(tmp_path):
    for name, lines, said in (("a", 2, "a blank line"), ("b", 7, "workspace 'lgal' is not one of the job's (nearest: 'legal')")):
        night(tmp_path / name, run=name)
        description = orjson.loads((tmp_path / name / "run.json").read_bytes()) | {"rejected_input": lines + 1}
        description["rejected_for"] = [{"lines": lines, "place": f"{name}.jsonl, line 3", "said": said}, "foreign", {"lines": "7"}]
        (tmp_path / name / "run.json").write_bytes(orjson.dumps(description))
    said = ask(tmp_path / "a", tmp_path / "b")
    assert "11 input lines are no row" in said.stdout
    assert [line for line in said.stderr.splitlines() if line.startswith("no row: ")] == [
        "no row: 7 lines, the first b.jsonl, line 3: workspace 'lgal' is not one of the job's (nearest: 'legal')",
        "no row: 2 lines, the first a.jsonl, line 3: a blank line",
        "no row: 2 more for other reasons",
    ]


# One workspace


def test_a_workspaces_report_has_nothing_of_the_others_in_any_output(tmp_path):
    directory = night(tmp_path / "night")
    description = orjson.loads((directory / "run.json").read_bytes()) | {"rejected_input": 7}
    description["rejected_for"] = [{"lines": 6, "place": "rows.jsonl, line 2", "said": "workspace 'sales ' is not one of the job's"}]
    (directory / "run.json").write_bytes(orjson.dumps(description))
    wanted = [directory, "--workspace", "legal", "--by", "workspace,metadata.project"]
    files = ["--csv", tmp_path / "own.csv", "--focus", tmp_path / "own-focus.csv"]
    result = ask(*wanted, *files)
    told = [result.stdout, ask(*wanted, "--json").stdout, *(path.read_text("utf-8") for path in tmp_path.glob("own*"))]
    assert len(told) == 4
    assert "sales" not in result.stderr
    assert all("legal" in each and "sales" not in each for each in told)
    assert orjson.loads(told[1])["rejected_input"] == 0
    whole = reported([directory]).statement.total("legal").as_json()
    assert orjson.loads(told[1])["total"] == whole


def test_a_workspace_that_no_run_has_is_told_without_naming_the_others(tmp_path):
    first, second = night(tmp_path / "a"), night(tmp_path / "b", "run-2")
    for paths in ([first], [first, second]):
        with pytest.raises(JobError, match="--workspace hr: ") as error:
            reported(paths, only="hr")
        assert "legal" not in str(error.value)
        assert "no workspace of that name" in str(error.value)


# Many runs


def test_runs_are_added_up_each_once_and_named(tmp_path):
    one = night(tmp_path / "1")
    night(tmp_path / "2", "run-2", NIGHT[:2])
    copy = tmp_path / "copy-of-1"
    shutil.copytree(one, copy)
    (tmp_path / "accounts.jsonl").write_text("no directory is no run")
    paths = sorted(tmp_path.iterdir())
    result = ask(*paths, "--json")
    told = orjson.loads(result.stdout)
    assert [each["run"] for each in told["runs"]] == ["run-1", "run-2"]
    assert [(each["path"], each["repeated"]) for each in told["left_out"]] == [(str(copy), True)]
    assert told["total"]["answered"] == 5
    assert told["total"]["cost"] == {"CNY": "0.00063"}
    assert told["workspaces"]["legal"]["total"]["pending"] == 0
    assert "2 runs: " in result.stderr
    assert "holds the same run" in result.stderr


def test_of_a_run_and_its_older_copy_the_longer_is_counted_whatever_the_order(tmp_path):
    older, newer = night(tmp_path / "older", rows=NIGHT[:2]), night(tmp_path / "newer")
    for paths in ([older, newer], [newer, older]):
        found = reported(paths)
        assert [each.path for each in found.taken] == [newer]
        assert found.complete


def called_again(directory, row_id="r-new"):
    """Have a run directory be opened once more, and make a call."""
    path = directory / "attempts.log"
    most = [50, 60]
    for fields in (
        {"opening": 9, "at": MIDNIGHT},
        {"start": "9-1", "at": MIDNIGHT, "workspace": "legal", "model": "qwen-plus", "id": row_id, "most": most},
    ):
        with path.open("ab") as file:
            file.write(sealed(orjson.dumps(fields)))
    return directory


def test_a_copy_that_made_calls_of_its_own_is_told_as_not_counted_and_not_taken_for_a_copy(tmp_path):
    """What two departments' machines went on with, each from the same copy, was paid twice: a sum of one of them is not all."""
    one = night(tmp_path / "1")
    shutil.copytree(one, tmp_path / "2")
    called_again(called_again(one), "r-2")
    called_again(tmp_path / "2", "r-other")
    for paths in ([one, tmp_path / "2"], [tmp_path / "2", one]):
        result = ask(*paths, "--json", code=6)
        told = orjson.loads(result.stdout)
        assert [(each["path"], each["repeated"]) for each in told["left_out"]] == [(str(tmp_path / "2"), False)]
        assert "made calls of its own" in result.stderr
        assert [each["path"] for each in told["runs"]] == [str(one)]


def test_of_a_copy_whose_log_cannot_be_read_it_is_said_that_nobody_knows_whether_it_made_calls_of_its_own(tmp_path):
    one = night(tmp_path / "1")
    shutil.copytree(one, tmp_path / "2")
    (tmp_path / "2" / "attempts.log").unlink()
    (tmp_path / "2" / "attempts.log").symlink_to("attempts.log")
    result = ask(one, tmp_path / "2", code=6)
    assert "whether it made calls of its own cannot be told: " in result.stderr


def test_a_copy_that_was_opened_again_and_made_no_call_is_counted_with_the_run_it_is_of(tmp_path):
    one = night(tmp_path / "1")
    shutil.copytree(one, tmp_path / "2")
    called_again(one)
    with (tmp_path / "2" / "attempts.log").open("ab") as file:
        file.write(sealed(orjson.dumps({"opening": 7, "at": MIDNIGHT})))
    assert reported([one, tmp_path / "2"]).complete


def held_against_no_bill(*directories):
    return reconciled(directories, [], ZoneInfo("Asia/Shanghai"), ids={}, kinds={})


def test_a_run_and_its_copy_are_not_both_held_against_a_bill(tmp_path):
    one, other = night(tmp_path / "1"), night(tmp_path / "2")
    with pytest.raises(JobError, match=r"2: holds the same run as .*1: its calls would be counted twice; name one of them"):
        held_against_no_bill(one, other)
    assert held_against_no_bill(one, night(tmp_path / "3", "run-3")).total().counted == 2 * held_against_no_bill(one).total().counted > 0


def test_one_path_given_twice_is_one_run(tmp_path):
    directory = night(tmp_path / "1")
    found = reported([directory, tmp_path / "." / "1", tmp_path / "1" / ".." / "1"])
    assert len(found.taken) == 1
    assert found.statement.total().answered == 3


def test_of_a_folder_of_runs_it_is_told_which_stand_in_it(tmp_path):
    night(tmp_path / "runs" / "2"), night(tmp_path / "runs" / "1", "run-2")
    with pytest.raises(JobError, match=re.escape(f"such as {tmp_path}/runs/1, or all of them, {tmp_path}/runs/*")):
        reported([tmp_path / "runs"])
    with pytest.raises(JobError, match="name the directory that the job's output names"):
        reported([tmp_path])


def test_runs_in_which_a_workspace_has_no_rows_are_no_part_of_its_report_by_their_names_either(tmp_path):
    mine = write_night(tmp_path / "mine", Night(["legal"], rows=10))
    others = write_night(tmp_path / "skunkworks", Night(["sales"], rows=10, pending=7))
    told = orjson.loads((others / "run.json").read_bytes())
    (others / "run.json").write_bytes(orjson.dumps(told | {"run": "run-2", "name": "skunkworks"}))
    both = [others, mine]
    shown = ask(*both, "--workspace", "legal", "--html", tmp_path / "own.html")
    assert "skunkworks" not in shown.output
    assert "skunkworks" not in (tmp_path / "own.html").read_text(encoding="utf-8")
    assert ask(*both, "--workspace", "legal", "--json").stdout == ask(mine, "--workspace", "legal", "--json").stdout
    assert "skunkworks" in ask(*both, "--html", tmp_path / "all.html").stderr
    with pytest.raises(JobError, match="no workspace of that name has rows there"):
        reported(both, only="nobody")


def test_a_damaged_run_is_left_out_whole_named_and_the_exit_code_says_so(tmp_path):
    good, bad = night(tmp_path / "1"), night(tmp_path / "2", "run-2")
    with (bad / "sales" / "results.jsonl").open("ab") as file:
        file.write(b"{}\n")
    (tmp_path / "3").mkdir()
    shutil.copy(bad / "run.json", tmp_path / "4-torn.json")
    result = ask(good, bad, tmp_path / "3", code=6)
    assert "results.jsonl: line 2" in result.stderr
    assert "is no run directory" in result.stderr
    assert reported([good, bad]).statement.total().as_json() == reported([good]).statement.total().as_json()
    with pytest.raises(RunDamagedError):
        reported([bad])


def test_where_an_opening_was_refused_or_has_made_no_call_yet_nothing_is_missing_in_the_sums_of_the_runs_beside_it(tmp_path):
    good, unbegun = night(tmp_path / "1"), tmp_path / "2"
    told = f"{unbegun}: no run was begun there yet: nothing was called"
    with run_directory.locked(unbegun):
        assert f"not counted: {told}\n" in ask(good, unbegun).stderr
    assert f"not counted: {told}\n" in ask(good, unbegun).stderr
    with pytest.raises(JobError, match=re.escape(told)):
        reported([unbegun])
    (unbegun / "sales").mkdir()
    (unbegun / "sales" / "results.jsonl").touch()
    assert "is no run directory" in ask(good, unbegun, code=6).stderr


@pytest.mark.parametrize(
    "described", [b"{", b"[]", b'{"format":1}', b'{"format":1,"run":"r","name":"n","rows":{"legal":7}}', b'{"format":9}']
)
def test_a_description_that_cannot_be_read_is_damage_and_not_a_bug(tmp_path, described):
    good, bad = night(tmp_path / "1"), night(tmp_path / "2", "run-2")
    (bad / "run.json").write_bytes(described)
    found = reported([good, bad])
    assert [each.path for each in found.left_out] == [bad]
    assert not found.complete
    for asked in (lambda: reported([bad]), lambda: held_against_no_bill(good, bad)):
        with pytest.raises(RunDamagedError):
            asked()


def test_no_run_among_the_paths_is_told(tmp_path):
    (tmp_path / "x").write_text("")
    for paths in ([tmp_path / "x", tmp_path / "x"], [tmp_path / "x"]):
        with pytest.raises(JobError, match="no run directory"):
            reported(paths)


def test_the_sum_of_many_runs_is_the_sum_of_their_reports_by_anything(tmp_path):
    paths = [night(tmp_path / str(number), f"run-{number}", NIGHT[number:] + NIGHT[:2]) for number in range(4)]
    by = ("day", "metadata.project")
    whole = reported(paths, by=by).statement
    for names in (("workspace",), ("day",), ("metadata.project", "day")):
        sums: dict[object, Decimal] = defaultdict(Decimal)
        for path in paths:
            for key, totals in reported([path], by=by).statement.by(names).groups.items():
                sums[key] += totals.cost.get("CNY", Decimal(0))
        assert {key: totals.cost.get("CNY", Decimal(0)) for key, totals in whole.by(names).groups.items()} == sums
    assert at_hours(0) == MIDNIGHT


def test_of_several_runs_one_whose_name_is_mistyped_is_told_and_the_sums_are_not_said_to_be_whole(tmp_path):
    first, second = night(tmp_path / "first"), night(tmp_path / "second", run="run-2")
    (tmp_path / "notes.txt").write_text("what stands beside runs is passed over")
    assert "not counted" not in ask(first, second, tmp_path / "notes.txt").stderr
    shown = ask(first, second, tmp_path / "thrid", code=6)
    assert f"not counted: {tmp_path / 'thrid'}: is not there" in shown.stderr
    with pytest.raises(JobError, match="there is no run directory among them"):
        reported([tmp_path / "thrid", tmp_path / "furth"])


def test_runs_in_a_folder_that_this_user_may_not_enter_are_left_out_and_told_and_job_files_there_are_no_traceback():
    with open_to_all() as folder:
        (folder / "closed").mkdir(mode=0o000)
        hidden = [folder / "closed" / name for name in ("one", "two")]
        with somebody_who_is_not_root():
            said = ask(*hidden, code=6).stderr
            (left, *_) = [line for line in said.splitlines() if line.startswith("not counted")]
            assert left.startswith(f"not counted: {hidden[0]}: cannot be read: Permission denied")
            with pytest.raises(LedgerError, match=r"closed/job\.toml/run\.json: cannot be read: Permission denied"):
                report.main([str(folder / "closed" / "job.toml")], standalone_mode=False)


def test_a_file_is_put_in_the_place_of_a_link_that_leads_round_in_a_circle(tmp_path):
    directory = night(tmp_path / "night")
    for option in ("--csv", "--html", "--focus"):
        link = tmp_path / f"round{option}.csv"
        link.symlink_to(link)
        ask(directory, option, link)
        assert link.read_bytes()
