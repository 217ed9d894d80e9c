"""What a run says at its end beside its statement."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrun.core.ledger import unanswered
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.totals import Totals
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.rows.reasons import Reason
from batchrun.core.scheduling.scheduler import ParkedScope
from batchrun.report.ending import ending_told
from batchrun.running.wishes import MOST_UNREADABLE, Ending

PAGE = Path("runs/night/report.html")


def told(totals, *, holding="", **more):
    statement = Statement("run", "night", rejected_input=more.pop("rejected_input", 0))
    statement.lanes["legal", "qwen-plus"] = totals
    return list(ending_told(Ending(statement, **more), "batchrun run night.toml", "runs/night", ["legal", "sales"], holding=holding))


def test_a_run_that_is_done_says_where_its_results_are():
    assert told(Totals(answered=3), page=PAGE) == [
        "results: runs/night/WORKSPACE/results.jsonl",
        f"page: {PAGE}",
    ]


def test_answers_to_what_the_rows_no_longer_say_are_told_of_at_the_end_where_all_seems_to_be_done():
    """Of an export with the ids of yesterday's, a run that is quiet had said that every row is answered, and no more."""
    kept = "3 answered rows, or the settings they are asked under, have changed since: they keep their answers; what is to be asked anew "
    assert told(Totals(answered=3), changed=3)[0] == f"{kept}is given another id, or the run another output"


def test_of_many_that_are_parked_for_the_same_reason_some_are_told_in_full():
    def parked(name, code):
        return ParkedScope(Scope.WORKSPACE, name, Failure(Fault.PARK, Scope.WORKSPACE, code, "no key", "set it"), 3)

    scopes = [parked(f"w{number}", "missing_key") for number in range(50)] + [parked("x", "InvalidApiKey")]
    lines = [line for line in told(Totals(pending=153), parked=tuple(scopes)) if line.startswith("parked: ")]
    assert len(lines) == 8
    assert told(Totals(pending=153), parked=tuple(scopes)).count("set it") == 0
    assert "\n".join(told(Totals(pending=153), parked=tuple(scopes))).count("set it") == 2, "once for each reason"
    names = ", ".join(f"w{number}" for number in range(6, 26))
    assert lines[6] == f"parked: 44 more for the same reason, missing_key, 132 rows: {names}, …"
    assert "workspace x, 3 rows: InvalidApiKey" in lines[7]


def test_what_stands_still_what_failed_and_what_is_left_are_told_with_what_to_do():
    failure = Failure(Fault.PARK, Scope.WORKSPACE, "InvalidApiKey", "Invalid API-key provided.", "set LEGAL_KEY", status=401)
    lines = told(
        Totals(answered=3, rejected=4, exhausted=2, pending=9),
        rejected_input=2,
        no_rows=(Reason(2, "in.jsonl, line 4", "workspace 'legall' is not one of the job's (nearest: 'legal')"),),
        parked=(ParkedScope(Scope.WORKSPACE, "legal", failure, 9),),
        unreadable=tuple(f"row {number}" for number in (0, 1, 1, 2, 3, 1, 4, 5, 6)),
        held=2,
        stopped_by="SIGTERM",
    )
    lists = "batchrun report runs/night --in-doubt lists them"
    again = "send them again with: batchrun run night.toml --send-in-doubt"
    assert lines == [
        "no row: 2 lines, the first in.jsonl, line 4: workspace 'legall' is not one of the job's (nearest: 'legal')",
        "no row: the job's workspaces are legal, sales",
        "parked: workspace legal, 9 rows: 401 InvalidApiKey: Invalid API-key provided.\n  set LEGAL_KEY",
        *(f"not read: row {number}" + " (3 rows)" * (number == 1) for number in range(5)),
        "not read: 2 more rows",
        "4 rows rejected, 2 exhausted: why stands in runs/night/WORKSPACE/errors.jsonl",
        "once that is mended, ask rejected rows again with: batchrun run night.toml --retry-rejected",
        f"2 rows are held, for a call of theirs may have been billed: {lists}; {again}",
        "stopped by SIGTERM: 7 rows are left; go on with: batchrun run night.toml",
        "results: runs/night/WORKSPACE/results.jsonl",
    ]


def test_what_is_to_be_typed_next_sends_no_row_that_is_held():
    """Rows were held by an option, and the command that was told to go on with was one without it: it paid for them again."""
    lines = told(Totals(answered=3, rejected=4, pending=9), held=2, stopped_by="SIGTERM", holding="--hold-in-doubt")
    typed = [line.partition("with: ")[2] for line in lines if "with: " in line]
    assert typed == [
        "batchrun run night.toml --hold-in-doubt --retry-rejected",
        "batchrun run night.toml --send-in-doubt",
        "batchrun run night.toml --hold-in-doubt",
    ]
    exhausted = told(Totals(exhausted=4), holding="--hold-in-doubt")
    assert "ask exhausted rows again with: batchrun run night.toml --hold-in-doubt" in exhausted
    held = told(Totals(exhausted=4), held=4)
    assert [line.partition("with: ")[2] for line in held if "with: " in line] == ["batchrun run night.toml --send-in-doubt"]


def test_a_run_that_was_stopped_while_it_asked_failed_rows_again_says_so_though_none_is_pending():
    """Its end had read as if all of them had been asked, and failed."""
    assert told(Totals(answered=3, rejected=1, exhausted=4), stopped_by="SIGINT")[-2:] == [
        "stopped by SIGINT: not all rows that had failed before were asked again",
        "results: runs/night/WORKSPACE/results.jsonl",
    ]
    assert "failed before" not in "".join(told(Totals(answered=3, pending=2), held=2, stopped_by="SIGINT")), "all that is left is held"


def test_exhausted_rows_and_those_that_are_left_are_asked_by_one_command_that_is_told_once():
    assert [line for line in told(Totals(exhausted=2, pending=3)) if "with: " in line] == [
        "3 rows are left; go on with: batchrun run night.toml"
    ]


def test_what_finds_no_connection_to_one_endpoint_is_told_together_and_to_two_apart():
    def unmet(name, where="no connection to http://llm.example"):
        failure = Failure(Fault.PARK, Scope.LANE, "connection_refused", where, "start it")
        return ParkedScope(Scope.LANE, name, failure, 2)

    lines = told(Totals(pending=6), parked=(unmet("w10 m"), unmet("w9 m"), unmet("hr m", "no connection to http://other.example")))
    assert lines[:2] == [
        "parked: w9 m, w10 m, 4 rows: connection_refused: no connection to http://llm.example\n  start it",
        "parked: workspace and model hr m, 2 rows: connection_refused: no connection to http://other.example\n  start it",
    ]


def test_a_run_that_is_done_while_its_input_grew_says_that_there_is_more_and_how_it_is_asked():
    assert told(Totals(answered=3), grown=("in/a.jsonl", "in/b.jsonl"))[0] == (
        "more stands in the input than when the run was opened (in/a.jsonl, in/b.jsonl): go on with: batchrun run night.toml"
    )


def test_of_rows_that_could_not_be_read_none_goes_without_a_word():
    each_its_own = [f"in.jsonl: the line at byte {number}" for number in range(MOST_UNREADABLE)]
    lines = [line for line in told(Totals(pending=1000), unreadable=tuple(each_its_own)) if line.startswith("not read")]
    assert lines == [*(f"not read: {reason}" for reason in each_its_own[:5]), "not read: 95 more rows, at the least"]
    lines = [line for line in told(Totals(pending=1000), unreadable=("the disk failed",) * MOST_UNREADABLE) if line.startswith("not read")]
    assert lines == ["not read: the disk failed (100 rows or more)"]


@pytest.mark.parametrize("code", ["Arrearage\x1b[2J", "connection_refused"])
@pytest.mark.parametrize("model", ["", " of\u202e a row"])
@pytest.mark.parametrize("more", [(), tuple(map(str, range(9)))], ids=["two", "many"])
def test_what_an_endpoint_says_of_a_park_or_a_row_calls_its_model_moves_no_cursor(code, model, more):
    failure = Failure(Fault.PARK, Scope.WORKSPACE, code, "no\x1b[2J\nresults: all of them", "set it\x07")
    parked = [ParkedScope(Scope.WORKSPACE, f"{name}{model}", failure, 3) for name in ("legal", "sales", *more)]
    for line in told(Totals(pending=6), parked=tuple(parked)):
        assert all(part.isprintable() for part in line.split("\n  "))


def test_why_most_rows_failed_is_told_on_the_screen_with_what_to_do():
    def failed(workspace, code, rows, advice="try again"):
        return {unanswered.Reason(workspace, "exhausted", code, None): unanswered.Told(rows, f"{code} it was\x1b[2J", advice)}

    failures = failed("legal", "dns", 5) | failed("sales", "dns", 6) | failed("legal", "reset", 1) | failed("legal", "tls_handshake", 2)
    lines = told(Totals(exhausted=23), failures=failures | failed("legal", "proxy", 9))
    assert lines == [
        "exhausted: legal, sales, 11 rows: dns: dns it was\N{REPLACEMENT CHARACTER}[2J\n  try again",
        "exhausted: legal, 9 rows: proxy: proxy it was\N{REPLACEMENT CHARACTER}[2J\n  try again",
        "exhausted: legal, 2 rows: tls_handshake: tls_handshake it was\N{REPLACEMENT CHARACTER}[2J\n  try again",
        "1 more reason stands in errors.jsonl",
        "23 rows exhausted: why stands in runs/night/WORKSPACE/errors.jsonl",
        "ask exhausted rows again with: batchrun run night.toml",
    ]


def test_a_message_that_some_rows_were_told_is_not_told_of_all():
    def failed(workspace, rows, message, others=0):
        return {unanswered.Reason(workspace, "rejected", "E", 400): unanswered.Told(rows, message, "mend it", others)}

    def line(failures):
        return told(Totals(rejected=9), failures=failures)[0]

    assert line(failed("legal", 6, "Role must be", others=2)) == (
        "rejected: legal, 6 rows: 400 E: Role must be (some were told something else)\n  mend it"
    )
    both = failed("legal", 2, "Role must be") | failed("sales", 7, "Range of n", others=4)
    assert line(both) == "rejected: legal, sales, 9 rows: 400 E: Range of n (some were told something else)\n  mend it"
    assert "something else" not in line(failed("legal", 2, "Role must be") | failed("sales", 3, "Role must be"))


def test_one_row_is_told_as_one_and_results_that_are_not_there_are_not_pointed_to():
    assert told(Totals(pending=1), stopped_by="SIGINT") == ["stopped by SIGINT: 1 row is left; go on with: batchrun run night.toml"]


def test_more_reasons_than_the_screen_shows_are_on_the_page_where_there_is_one():
    reasons = {unanswered.Reason("legal", "rejected", f"code-{n}", 400): unanswered.Told(1, "no", "mend it") for n in range(5)}
    assert "2 more reasons stand on the page" in told(Totals(rejected=5), failures=reasons, page=PAGE)
    assert "2 more reasons stand in errors.jsonl" in told(Totals(rejected=5), failures=reasons)


def test_rows_that_failed_and_no_longer_stand_in_the_input_are_not_said_to_be_asked_again():
    gone = "{} in the input, and cannot be asked again".format
    assert "exhausted rows again" in "".join(told(Totals(answered=3, exhausted=3), failed_and_gone={"exhausted": 2}))
    lines = told(Totals(answered=3, exhausted=3), failed_and_gone={"exhausted": 3})
    assert (gone("3 of them no longer stand") in lines, [line for line in lines if "rows again" in line]) == (True, [])
    lines = told(Totals(answered=3, rejected=1, exhausted=1), failed_and_gone={"rejected": 1})
    assert gone("1 of them no longer stands") in lines
    assert [line for line in lines if "rows again" in line] == ["ask exhausted rows again with: batchrun run night.toml"]
