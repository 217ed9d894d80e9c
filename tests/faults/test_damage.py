"""Damage of every kind is found, named, and refused or moved aside: never is a statement wrong, and never is a byte lost."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from batchrun.cli import batchrun
from batchrun.core.errors import JobError, LedgerError, RunDamagedError, RunInUseError
from batchrun.core.jobs.job import Job
from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Answered, Call, Reply, Row, Usage
from batchrun.edge import run_directory
from batchrun.edge.ledger import Files, Ledger
from batchrun.running.one_run import Wishes, run_blocking
from batchrun.running.statements import read_statement
from batchrun.telling.checking import checked
from tests.edge.rights import open_to_all, somebody_who_is_not_root
from tests.edge.test_run_directory import files_no_larger_than
from tests.faults.accounts import entries_of
from tests.faults.damage import DAMAGE
from tests.faults.made_run import ROWS, WORKSPACES, made_run

HARMLESS = {"line ends of another system", "a digit of usage.json is another"}
"""Nothing that a statement is made of was changed."""
IN_DOUBT = {"a line is gone", "a bit of attempts.log is flipped", "a line of attempts.log is cut"}
"""The statement says what it does not know."""
TWICE = {"a row is answered twice, by two attempts"}
"""Found where rows are known by their ids: by a check, and when the run is opened."""
LEFT = {"the files of two workspaces are swapped", "the file of another run", "a run of a newer version"}
"""A person has to put them right."""


def state(directory):
    return {path: path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file() and path.name != "run.lock"}


def covers(statement, truth):
    """Whether the truth is between the statement and the statement with its doubt."""
    told, true = statement.total(), truth.total()
    bounds = ((getattr(told, kind), getattr(true, kind), getattr(told, f"in_doubt_{kind}")) for kind in ("input_tokens", "output_tokens"))
    return all(stated <= billed <= stated + doubt for stated, billed, doubt in bounds)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found_and_no_statement_is_wrong(tmp_path, kind):
    truth = made_run(tmp_path / "run")
    assert checked(tmp_path / "run", repair=False).findings == []
    DAMAGE[kind](tmp_path / "run")
    before = state(tmp_path / "run")
    if kind in HARMLESS:
        assert read_statement(tmp_path / "run").as_json() == truth.as_json()
    elif kind in IN_DOUBT:
        told = read_statement(tmp_path / "run")
        assert covers(told, truth) or told.unreadable_attempts, "what is not known is said"
        assert told.total().in_doubt or told.unreadable_attempts
    elif kind not in TWICE:
        with pytest.raises(RunDamagedError) as refused:
            read_statement(tmp_path / "run")
        assert "line " in str(refused.value) or "run.json" in str(refused.value)
    if kind != "a run of a newer version":
        found = checked(tmp_path / "run", repair=False)
        assert found.findings or kind in HARMLESS
        assert found.whole == (kind == "line ends of another system" or "attempts.log" in kind)
    assert state(tmp_path / "run") == before, "looking changes nothing"


@pytest.mark.parametrize("kind", [kind for kind in DAMAGE if kind not in LEFT])
def test_what_is_mended_loses_no_byte_and_the_statement_holds_again(tmp_path, kind):
    truth = made_run(tmp_path / "run")
    DAMAGE[kind](tmp_path / "run")
    before = state(tmp_path / "run")
    assert checked(tmp_path / "run", repair=True).whole
    again = checked(tmp_path / "run", repair=False)
    assert again.whole, again.findings
    if "run.json" not in kind:
        told = read_statement(tmp_path / "run")
        assert covers(told, truth) or told.unreadable_attempts
        assert told.total().answered + told.total().rejected + told.total().pending == len(WORKSPACES) * ROWS
    after = state(tmp_path / "run")
    for path, content in before.items():
        if path.suffix in {".jsonl", ".log"}:
            kept = content_lines(after.get(path, b"")) + content_lines(after.get(Path(f"{path}.damaged"), b""))
            assert not content_lines(content) - kept, "every line stands in its file or beside it"


@pytest.mark.parametrize("kind", ["a byte order mark", "a byte order mark between two lines"])
def test_an_answer_behind_a_byte_order_mark_stays_one_once_that_is_taken_off(tmp_path, kind):
    made_run(tmp_path / "run")
    answered = read_statement(tmp_path / "run").total().answered
    DAMAGE[kind](tmp_path / "run")
    assert checked(tmp_path / "run", repair=True).whole
    assert read_statement(tmp_path / "run").total().answered == answered


def content_lines(content):
    return Counter(line.removeprefix(b"\xef\xbb\xbf") for line in content.splitlines())


@pytest.mark.parametrize(("aside", "room"), [(b"", 1000), (b"x" * 50_000 + b"\n", 50_100)])
def test_a_repair_that_the_disk_has_no_room_for_leaves_all_as_it_was_and_takes_up_no_room(tmp_path, aside, room):
    """Half of a large file stood there under a name that nobody looks for, and the disk stayed full."""
    made_run(tmp_path / "run")
    DAMAGE["a line is cut in its middle"](tmp_path / "run")
    side = tmp_path / "run" / WORKSPACES[0] / "results.jsonl.damaged"
    side.write_bytes(aside)
    before = state(tmp_path / "run")
    with files_no_larger_than(room), pytest.raises(LedgerError, match="cannot be made anew: File too large; nothing is lost"):
        checked(tmp_path / "run", repair=True)
    assert state(tmp_path / "run") == before
    assert checked(tmp_path / "run", repair=True).whole
    assert side.read_bytes().startswith(aside)


@pytest.mark.parametrize("kind", sorted(LEFT))
def test_what_only_a_person_can_put_right_is_left_as_it_is(tmp_path, kind):
    made_run(tmp_path / "run")
    DAMAGE[kind](tmp_path / "run")
    before = state(tmp_path / "run")
    done = CliRunner().invoke(batchrun, ["check", str(tmp_path / "run"), "--repair"])
    assert (getattr(done.exception, "exit_code", done.exit_code), state(tmp_path / "run")) == (6, before)


@pytest.mark.parametrize(("kind", "times"), [("a line stands twice", "1 time"), ("a block of zeros in the middle", "2 times")])
def test_check_says_last_how_often_a_run_is_damaged_and_what_to_do(tmp_path, kind, times):
    made_run(tmp_path / "run")
    DAMAGE[kind](tmp_path / "run")
    told = CliRunner().invoke(batchrun, ["check", str(tmp_path / "run")])
    last = f"{times} damaged: --repair moves damaged lines aside; no byte is deleted"
    assert (told.exit_code, told.output.splitlines()[-1]) == (6, last)


@pytest.mark.parametrize("repair", [[], ["--repair"]])
def test_check_advises_no_repair_of_what_only_a_person_can_put_right(tmp_path, repair):
    """It had been advised for a link, and by the very repair that had just left it as it was."""
    made_run(tmp_path / "run")
    (tmp_path / "run" / "sales" / "results.jsonl").rename(tmp_path / "elsewhere")
    (tmp_path / "run" / "sales" / "results.jsonl").symlink_to(tmp_path / "elsewhere")
    told = CliRunner().invoke(batchrun, ["check", str(tmp_path / "run"), *repair])
    assert (told.exit_code, told.output.splitlines()[-1]) == (6, "1 time damaged: that is for a person to put right")


def test_check_says_what_it_found_and_mends_it(tmp_path):
    made_run(tmp_path / "run")
    runner = CliRunner()
    assert runner.invoke(batchrun, ["check", str(tmp_path / "run")]).output.splitlines()[-1] == "the run is whole"
    DAMAGE["a block of zeros in the middle"](tmp_path / "run")
    (tmp_path / "run" / "sales" / "results.jsonl").chmod(0o644)
    told = runner.invoke(batchrun, ["check", str(tmp_path / "run"), "--json"])
    found = json.loads(told.stdout)
    assert (told.exit_code, found["whole"]) == (6, False)
    assert "法务/results.jsonl line 5" in [each["place"] for each in found["findings"] if each["damage"]]
    assert "sales/results.jsonl" in [each["place"] for each in found["findings"] if not each["damage"]]
    mended = runner.invoke(batchrun, ["check", str(tmp_path / "run"), "--repair"])
    assert (mended.exit_code, "mended: 法务/results.jsonl line 5: not an entry" in mended.output) == (0, True)
    assert (tmp_path / "run" / "sales" / "results.jsonl").stat().st_mode & 0o777 == 0o600
    last = runner.invoke(batchrun, ["check", str(tmp_path / "run")])
    assert last.exit_code == 0
    assert "its entry is not in the ledger: it counts as in doubt" in last.output


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_log_that_was_put_together_of_parts_that_overlap_is_found_told_and_mended(tmp_path, end):
    """A copy that was put before the log, as its loss asks for, where the log had been put back already: its calls count twice."""
    made_run(tmp_path / "run")
    log = tmp_path / "run" / "attempts.log"
    lines, truth = log.read_bytes().splitlines(), read_statement(tmp_path / "run")
    log.write_bytes(end.join([*lines, *lines, b""]))
    found = checked(tmp_path / "run", repair=False)
    openings = [number for number, line in enumerate(lines, 1) if line.startswith(b'{"opening"')]
    told = [(each.place, each.what) for each in found.findings if each.damage]
    assert [place for place, _ in told if place.startswith("attempts.log")] == [
        f"attempts.log line {len(lines) + each}" for each in openings
    ]
    assert all(f"is line {number} again" in what for number, (_, what) in zip(openings, told, strict=False))
    assert not found.whole
    runner = CliRunner()
    reported = runner.invoke(batchrun, ["report", str(tmp_path / "run")])
    assert reported.exit_code == 6
    assert "counted twice: " in reported.output
    several = runner.invoke(batchrun, ["report", str(tmp_path / "run"), str(tmp_path / "run"), "--json"])
    assert several.exit_code == 6
    assert json.loads(several.stdout)["openings_again"] == len(openings)
    (tmp_path / "bill.csv").write_text("Usage,Instance ID,Billing Date\n7,12345;llm-x;qwen-max;output_token;app,2026-11-24\n")
    reconciled = runner.invoke(batchrun, ["reconcile", str(tmp_path / "run"), "--bill", str(tmp_path / "bill.csv")])
    assert isinstance(reconciled.exception, RunDamagedError)
    assert checked(tmp_path / "run", repair=True).whole
    assert [line.rstrip() for line in log.read_bytes().splitlines()] == lines
    assert log.with_name("attempts.log.damaged").read_bytes().splitlines() == lines
    assert read_statement(tmp_path / "run").as_json() == truth.as_json()
    assert runner.invoke(batchrun, ["report", str(tmp_path / "run")]).exit_code == 0


def test_a_run_that_was_refused_before_its_first_call_is_whole_and_one_whose_log_was_taken_away_is_not(tmp_path):
    """It had been told to be damaged: ``--strict`` without a key, or too few files that may be open, leave a directory without a log."""
    unkeyed = {"legal": {"api_key_env": "NO_SUCH_KEY", "endpoint": "public"}}
    told = {"job": {"name": "night", "input": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "run")}, "workspaces": unkeyed}
    (tmp_path / "rows.jsonl").write_text('{"id": "r-1", "workspace": "legal", "model": "qwen-plus", "prompt": "Note."}\n')
    with pytest.raises(JobError, match="--strict"):
        run_blocking(Job.model_validate(told), Wishes(strict=True, dotenv=None))
    found = checked(tmp_path / "run", repair=False)
    whole = "is not there: the run was not started, or ended before its first call"
    assert ([(each.place, each.what) for each in found.findings], found.whole) == ([("attempts.log", whole)], True)
    gone = ("attempts.log", "is not there: calls and doubt are not known", True)
    # What tells of calls: how the run ended, what they came to, their answers.
    run_blocking(Job.model_validate(told), Wishes(dotenv=None, page=None))
    made_run(tmp_path / "summed")
    made_run(tmp_path / "answered")
    for path in (*(tmp_path / "summed").glob("*/*.jsonl"), *(tmp_path / "answered").glob("*/usage.json")):
        path.unlink()
    for name in ("run", "summed", "answered"):
        (tmp_path / name / "attempts.log").unlink()
        assert gone in [(each.place, each.what, each.damage) for each in checked(tmp_path / name, repair=False).findings], name


def test_a_run_that_is_held_is_not_checked_and_what_is_no_run_is_refused(tmp_path):
    made_run(tmp_path / "run")
    runner = CliRunner()
    with run_directory.locked(tmp_path / "run"):
        held = runner.invoke(batchrun, ["check", str(tmp_path / "run")])
    assert getattr(held.exception, "exit_code", None) == 5
    (tmp_path / "empty").mkdir()
    for wrong, meant in {
        tmp_path: f"runs stand in it: name one, such as {tmp_path / 'run'}",
        tmp_path / "run" / "sales": f"it is a part of the run {tmp_path / 'run'}: name that",
        tmp_path / "empty": "name the directory that the job's output names",
    }.items():
        none = runner.invoke(batchrun, ["check", str(wrong)])
        assert getattr(none.exception, "exit_code", None) == 2
        assert str(none.exception) == f"{wrong}: is no run directory: there is no run.json in it; {meant}"
    for wrong, meant in {"rn": f"did you mean '{tmp_path / 'run'}'?", "other": "name the directory that the job's output names"}.items():
        none = runner.invoke(batchrun, ["report", str(tmp_path / wrong)])
        assert str(none.exception) == f"{tmp_path / wrong}: is no run directory: nothing is there; {meant}"


def test_a_folder_whose_name_another_system_wrote_is_no_damage_and_its_answers_are_neither_moved_aside_nor_asked_again(tmp_path):
    """A run of a terminal in GB18030, which cron goes on with in UTF-8."""
    made_run(tmp_path / "run")
    folder = tmp_path / "run" / os.fsdecode("法务".encode("gb18030"))
    (tmp_path / "run" / "法务").rename(folder)
    before = (folder / "results.jsonl").read_bytes()
    told = "is the folder of the workspace 法务, and its name is in gb18030: .* Give it the name '法务', or run batchrun under the "
    for repair in (False, True):
        with pytest.raises(RunDamagedError, match=told):
            checked(tmp_path / "run", repair=repair)
    with pytest.raises(RunDamagedError, match=told):
        read_statement(tmp_path / "run")
    assert (folder / "results.jsonl").read_bytes() == before
    folder.rename(tmp_path / "run" / "法务")
    assert checked(tmp_path / "run", repair=False).whole


@pytest.mark.parametrize("part", [slice(9), slice(-9, None)])
def test_a_log_that_tells_of_some_calls_only_is_told(tmp_path, part):
    made_run(tmp_path / "run")
    log = tmp_path / "run" / "attempts.log"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[part]))
    answers = read_statement(tmp_path / "run").unlogged_answers
    assert answers
    told = [
        (each.place, each.what, each.damage) for each in checked(tmp_path / "run", repair=False).findings if "does not tell" in each.what
    ]
    assert told == [("attempts.log", f"does not tell of the calls of {answers} answers: calls and doubt may be higher", False)]


def test_a_torn_tail_is_told_and_mended_without_being_damage(tmp_path):
    made_run(tmp_path / "run")
    with (tmp_path / "run" / "sales" / "results.jsonl").open("ab") as file:
        file.write(b'{"id":"torn')
    found = checked(tmp_path / "run", repair=False)
    assert found.whole
    assert [each.place for each in found.findings] == ["sales/results.jsonl"]
    assert checked(tmp_path / "run", repair=True).whole
    assert (tmp_path / "run" / "sales" / "results.jsonl.torn").read_bytes() == b'{"id":"torn\n'


def test_zeros_that_a_disk_left_of_the_log_stay_in_it_when_it_is_mended_for_what_stood_there_is_not_known(tmp_path):
    made_run(tmp_path / "run")
    with (tmp_path / "run" / "attempts.log").open("ab") as log:
        log.write(bytes(40))
    assert checked(tmp_path / "run", repair=True).whole
    assert (tmp_path / "run" / "attempts.log").read_bytes().endswith(bytes(40) + b"\n")
    assert read_statement(tmp_path / "run").unreadable_attempts == 1


def test_entries_of_more_rows_than_a_run_has_are_told(tmp_path):
    made_run(tmp_path / "run")
    described = run_directory.read_description(tmp_path / "run") or {}
    (name, model), count = next(((name, model), count) for name, models in described["rows"].items() for model, count in models.items())
    done = read_statement(tmp_path / "run").lanes[name, model]
    for more in (0, 1):
        described["rows"][name][model] = done.answered + done.rejected + done.exhausted - more
        run_directory.write_description(tmp_path / "run", described)
        told = [each.what for each in checked(tmp_path / "run", repair=False).findings if "that the run has" in each.what]
        assert told == ([f"{count} rows of {model} with entries, of {count - 1} that the run has"] if more else [])


def test_rows_that_failed_and_name_another_model_since_are_none_too_many(tmp_path):
    """A run that was killed before it had asked them again was told to have entries of more rows than it has."""
    made_run(tmp_path / "run")
    described = run_directory.read_description(tmp_path / "run") or {}
    for name, models in described["rows"].items():
        described["rows"][name] = {model: count - 2 for model, count in models.items()} | {"qwen-max": 2}
    run_directory.write_description(tmp_path / "run", described)
    assert not [each.what for each in checked(tmp_path / "run", repair=False).findings if "that the run has" in each.what]


@pytest.mark.parametrize("form", ["batchrun", "openai-batch"])
def test_answers_that_came_under_one_request_id_are_told_with_the_first_and_are_no_damage(tmp_path, form):
    """A gateway gives the answer of one row to others: their usage stands in the statement, and once on the bill."""
    requests = ["one", "one", "two", None, None, "one"]
    (tmp_path / "run").mkdir()
    with Ledger(Files(tmp_path / "run", run_directory.open_to_append), 1, form=form) as ledger:
        for number, request in enumerate(requests):
            row = Row(f"r-{number}", ("legal", "sales")[number % 2], "qwen-plus", {}, f"{number:016x}")
            attempt = ledger.start(row, Bound(9, 9), 0.0)
            reply = Reply(f"answer {number}", "stop", Usage(3, 4), request)
            ledger.append(Answered(row, reply, Call(attempt, 1, 0.0, 12)), 0.0)
            ledger.end(attempt, "answered", reply, 1.0)
        ledger.flush()
    found = checked(tmp_path / "run", repair=False)
    told = [each for each in found.findings if "request id" in each.what]
    assert (found.whole, [each.place for each in told], [each.damage for each in told]) == (True, ["sales/results.jsonl line 1"], [False])
    assert told[0].what.startswith("2 answers have the request ids of other rows', this one first: ")


def test_a_simulator_that_was_begun_anew_is_no_gateway_that_gave_one_answer_twice(tmp_path):
    """Two rows of one text, asked in two openings of a rehearsal."""
    tables = {"job": {"input": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "run")}, "simulator": {"latency": {"median": 0}}}
    job = Job.model_validate({**tables, "defaults": {"model": "qwen-plus", "endpoint": "simulator"}})
    for name in ("one", "two"):
        with (tmp_path / "rows.jsonl").open("a") as rows:
            rows.write(f'{{"id": "{name}", "prompt": "the same"}}\n')
        assert run_blocking(job, Wishes(page=None)).exit_code == 0
    assert len({entry["request_id"] for entry in entries_of(tmp_path / "run")}) == 1
    assert checked(tmp_path / "run", repair=False).findings == []


@pytest.mark.parametrize("form", ["batchrun", "openai-batch"])
def test_answers_that_name_another_model_than_was_asked_are_told_by_what_was_asked_and_are_no_damage(tmp_path, form):
    (tmp_path / "run").mkdir()
    with Ledger(Files(tmp_path / "run", run_directory.open_to_append), 1, form=form) as ledger:
        for number, other in enumerate([None, "qwen-plus-latest", "qwen-plus-latest", "qwen-flash", None]):
            row = Row(f"r-{number}", "legal", "qwen-plus", {}, f"{number:016x}", {"answered_by": "the rows' own"})
            attempt = ledger.start(row, Bound(9, 9), 0.0)
            reply = Reply('"answered_by":"nobody"', "stop", Usage(3, 4), f"request-{number}", answered_by=other)
            ledger.append(Answered(row, reply, Call(attempt, 1, 0.0, 12)), 0.0)
            ledger.end(attempt, "answered", reply, 1.0)
        ledger.flush()
    found = checked(tmp_path / "run", repair=False)
    told = {each.place: each.what for each in found.findings if "where qwen-plus was asked" in each.what}
    assert found.whole
    priced = "where qwen-plus was asked, this one first: counted, and priced, as qwen-plus"
    assert told == {
        "legal/results.jsonl line 2": f"2 answers name qwen-plus-latest, {priced}",
        "legal/results.jsonl line 4": f"1 answer names qwen-flash, {priced}",
    }


def test_a_check_tells_of_some_other_models_by_name_and_of_all_further_ones_together(tmp_path):
    """A gateway may number the models that it names: neither what is told nor what is kept grows with the answers."""
    (tmp_path / "run").mkdir()
    with Ledger(Files(tmp_path / "run", run_directory.open_to_append), 1) as ledger:
        for number in range(40):
            row = Row(f"r-{number}", "legal", "qwen-plus", {}, f"{number:016x}", {})
            attempt = ledger.start(row, Bound(9, 9), 0.0)
            reply = Reply("Yes.", "stop", Usage(3, 4), f"request-{number}", answered_by=f"qwen-plus-{number}")
            ledger.append(Answered(row, reply, Call(attempt, 1, 0.0, 12)), 0.0)
            ledger.end(attempt, "answered", reply, 1.0)
        ledger.flush()
    told = [each.what for each in checked(tmp_path / "run", repair=False).findings if "where qwen-plus was asked" in each.what]
    assert [what.split(",")[0] for what in told] == [
        *(f"1 answer names qwen-plus-{number}" for number in range(5)),
        "35 answers name one of further models",
    ]


def test_a_run_on_a_read_only_file_system_is_checked_and_nothing_of_it_is_touched(tmp_path, monkeypatch):
    made_run(tmp_path / "run")
    before = {path: path.stat() for path in sorted([tmp_path / "run", *(tmp_path / "run").rglob("*")])}
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert checked(tmp_path / "run", repair=False).whole
    now = {path: path.stat() for path in sorted([tmp_path / "run", *(tmp_path / "run").rglob("*")])}
    assert {path: (each.st_mtime_ns, each.st_size) for path, each in now.items()} == {
        path: (each.st_mtime_ns, each.st_size) for path, each in before.items()
    }
    with run_directory.locked(tmp_path / "run"), pytest.raises(RunInUseError, match=f"in use by process {os.getpid()} on "):
        checked(tmp_path / "run", repair=False)


def test_a_description_that_is_damaged_again_is_put_aside_beside_the_first(tmp_path):
    """What the first one says of the run, its name above all, may be wanted yet."""
    directory = tmp_path / "run"
    made_run(directory)
    for damaged in (b"the first\n", b"the second\n", b"the third\n"):
        (directory / "run.json").write_bytes(damaged)
        assert checked(directory, repair=True).whole
    assert not (directory / "run.json").exists()
    kept = {path.name: path.read_bytes() for path in directory.glob("run.json*")}
    assert kept == {"run.json.damaged": b"the first\n", "run.json.damaged.2": b"the second\n", "run.json.damaged.3": b"the third\n"}


def test_a_file_that_goes_away_while_a_run_is_checked_is_nothing_to_tell(tmp_path, monkeypatch):
    """A report that is made meanwhile writes beside it, and puts in place what it wrote."""
    made_run(tmp_path / "run")
    listed = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda path, pattern: [*listed(path, pattern), path / ".report.html.new"])
    assert checked(tmp_path / "run", repair=False).findings == []


@pytest.mark.parametrize("mode", [0o600, 0o000])
def test_a_folder_of_a_run_that_cannot_be_looked_into_is_named_with_the_way_out(mode):
    """A check had ended as by a bug of its own, and a report named the whole run."""
    with open_to_all() as folder, somebody_who_is_not_root():
        made_run(folder / "run")
        (closed := folder / "run" / WORKSPACES[1]).chmod(mode)
        try:
            for looks in (lambda: checked(folder / "run", repair=False), lambda: read_statement(folder / "run")):
                with pytest.raises(LedgerError, match=r"/run/sales/\w+\.jsonl: cannot be .*Permission denied: it is to be given \(chown\)"):
                    looks()
        finally:
            closed.chmod(0o700)


def test_a_file_of_another_user_is_told_where_its_mode_can_not_be_mended(tmp_path, monkeypatch):
    """As root's is, whose report stands there."""

    def refused(path, _mode):
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    made_run(tmp_path / "run")
    (tmp_path / "run" / "sales" / "results.jsonl").chmod(0o644)
    monkeypatch.setattr(Path, "chmod", refused)
    found = checked(tmp_path / "run", repair=True)
    (told,) = found.findings
    assert (found.whole, told.place, told.mended, "its mode is to be 600" in told.what) == (True, "sales/results.jsonl", False, True)
