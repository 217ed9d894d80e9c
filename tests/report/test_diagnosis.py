"""A diagnosis on a terminal."""

from __future__ import annotations

import pytest

from batchrun.core.columns import width
from batchrun.core.diagnosis import Examined, Finding, State
from batchrun.report.diagnosis import diagnosis
from tests.steps import lines_run

OK = (Finding("key", State.OK, "taken by the endpoint"), Finding("model", State.OK, "authorised", model="qwen-plus"))
BAD = (Finding("key", State.WRONG, "LEGAL_KEY is not set", "set it to the API key of this workspace"),)


def test_each_finding_has_its_line_and_what_is_wrong_its_advice_below():
    assert diagnosis([Examined("客服", "public", OK), Examined("legal", "public", BAD)]).splitlines() == [
        "客服   ok     key               taken by the endpoint",
        "       ok     model  qwen-plus  authorised",
        "legal  WRONG  key               LEGAL_KEY is not set",
        "                                set it to the API key of this workspace",
        "",
        "1 of 2 workspaces ready",
    ]


def test_what_probes_have_cost_is_told_and_nothing_of_it_where_none_was_made():
    told = diagnosis([Examined(name, "public", OK, spent) for name, spent in (("legal", 1_200), ("hr", 34))])
    assert "the probes cost 1,234 tokens, which stand in no run's statement" in told
    assert "probes" not in diagnosis([Examined("legal", "public", OK)])


def test_the_way_out_of_what_is_only_noted_is_told_too():
    """As of a key that the environment hides: nothing is wrong yet, and whoever mended the file is refused again and again."""
    noted = (Finding("key", State.NOTE, "that of the environment", "unset LEGAL_KEY to have the one in .env used"), *OK)
    assert [line.strip() for line in diagnosis([Examined("legal", "public", noted)]).splitlines()[:3]] == [
        "legal      key               that of the environment",
        "unset LEGAL_KEY to have the one in .env used",
        "ok  key               taken by the endpoint",
    ]


def test_a_long_name_stands_above_its_findings_and_widens_no_others():
    name = "customer-support-and-success-department-singapore"
    assert diagnosis([Examined(name, "public", BAD), Examined("legal", "public", OK)]).splitlines()[:3] == [
        name,
        "       WRONG  key               LEGAL_KEY is not set",
        "                                set it to the API key of this workspace",
    ]


def test_of_many_workspaces_those_that_are_fine_are_named_in_a_line():
    told = diagnosis([*(Examined(f"w{number}", "public", OK) for number in range(1050)), Examined("legal", "public", BAD)]).splitlines()
    assert told == [
        "legal  WRONG  key    LEGAL_KEY is not set",
        "                     set it to the API key of this workspace",
        "ok in all: w0, w1, w2, w3, w4, w5 and 1,044 others",
        "",
        "1,050 of 1,051 workspaces ready",
    ]


def test_a_diagnosis_of_many_workspaces_is_no_more_work_for_each_of_them_than_one_of_few():
    def work(workspaces: int) -> float:
        examined = [Examined(f"w{number}", "public", OK) for number in range(workspaces)]
        return lines_run(lambda: diagnosis(examined)) / workspaces

    assert work(400) <= work(100)


def test_nothing_is_said_to_stand_against_a_run_where_something_could_not_be_told():
    unknown = (Finding("key", State.UNKNOWN, "http://llm.example/v2/models is not there", "run doctor with --probe"),)
    assert diagnosis([Examined("legal", "public", OK)]).endswith("1 of 1 workspace ready: nothing stands against a run")
    told = diagnosis([Examined("legal", "public", OK), Examined("hr", "local", unknown)])
    assert told.endswith("2 of 2 workspaces ready: nothing that is known stands against a run; see what is marked ?")


@pytest.mark.parametrize("room", [60, 50, 40])
def test_a_narrow_terminal_breaks_no_line_of_a_diagnosis(room):
    told = diagnosis([Examined("客服", "public", OK), Examined("legal", "public", BAD)], room).splitlines()
    assert [line.split()[-1] for line in told if "taken" in line or "authorised" in line] == ["endpoint", "authorised"]
    assert max(width(line) for line in told if "set it to" not in line) <= room
