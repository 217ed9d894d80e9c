"""Wishes as a program makes them, keeps them and hands them on."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from batchrun import JobError, Outcome, Wishes, read_statement, run_blocking
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.totals import Totals
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.scheduling.scheduler import ParkedScope
from batchrun.running.wishes import Ending
from tests.running.test_one_run import job_in

PARKED = ParkedScope(Scope.LANE, "legal qwen-plus", Failure(Fault.PARK, Scope.LANE, "c", "m", "a"), 1)


def test_a_run_can_be_carried_out_by_another_process_of_a_pool_which_hands_back_how_it_ended(tmp_path):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        ending = pool.submit(run_blocking, job_in(tmp_path), Wishes(dotenv=None, page=None)).result()
    assert ending.statement.total().answered == 12
    assert ending.statement.total() == read_statement(tmp_path / "run").total()


def test_outcomes_are_handed_to_a_plain_function_as_to_one_that_is_awaited_whatever_they_give(tmp_path):
    """As a file's `write` gives how much it has written: a run that took that for what is awaited would end with calls in doubt."""
    taken: list[Outcome] = []

    async def take(outcome):
        taken.append(outcome)

    async def take_and_count(outcome):
        taken.append(outcome)
        return len(taken)

    def count(outcome):
        taken.append(outcome)
        return len(taken)

    for number, hand_on in enumerate((taken.append, take, take_and_count, count), 1):
        (directory := tmp_path / str(number)).mkdir()
        ending = run_blocking(job_in(directory), Wishes(dotenv=None, page=None, hand_on=hand_on))
        assert (ending.statement.total().answered, ending.statement.total().in_doubt, len(taken)) == (12, 0, 12 * number)


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"in_doubt": "held"}, "Wishes: in_doubt = 'held': 'send' or 'hold', or None"),
        ({"page": "fr"}, "Wishes: page = 'fr': 'en' or 'zh', or None"),
    ],
)
def test_a_wish_that_means_nothing_is_refused_before_anything_is_asked(wish, told):
    """Rows that were to be held would be sent, and paid for again; a page would be found out not to be one when all is done."""
    with pytest.raises(JobError, match=f"^{re.escape(told)}$"):
        Wishes(**wish)


class Asynchronous:
    """A program's, which tells somebody far away."""

    async def tell(self, *_told):
        raise AssertionError


@pytest.mark.parametrize("wish", ["note", "on_index"])
@pytest.mark.parametrize("function", [Asynchronous().tell, partial(Asynchronous.tell, Asynchronous())])
def test_what_is_told_where_nothing_is_awaited_is_not_told_to_an_asynchronous_function_which_would_never_run(wish, function):
    with pytest.raises(JobError, match=f"^Wishes: {wish} is an asynchronous function: a plain one is wanted"):
        Wishes(**{wish: function})


@pytest.mark.parametrize("named", [str, Path])
def test_a_file_of_keys_is_named_by_text_or_by_a_path_as_a_job_file_is(tmp_path, named):
    (tmp_path / "keys.env").write_bytes(b"LEGAL_KEY='not whole\n")
    keyed = {"legal": {"endpoint": "http://127.0.0.1:1/v1", "api_key_env": "LEGAL_KEY"}, "sales": {}}
    with pytest.raises(JobError, match=r"keys\.env: line 1 is not NAME=VALUE"):
        run_blocking(job_in(tmp_path, workspaces=keyed), Wishes(dotenv=named(tmp_path / "keys.env"), page=None))


@pytest.mark.parametrize(
    ("totals", "more", "code"),
    [
        (Totals(answered=3), {}, 0),
        (Totals(answered=3, rejected=1), {}, 3),
        (Totals(answered=3, exhausted=1), {}, 3),
        (Totals(answered=3, exhausted=1), {"stopped_by": "SIGINT"}, 4),
        (Totals(answered=3, rejected=1), {"held": 1}, 4),
        (Totals(answered=3, rejected=1), {"unreadable": ("gone",)}, 4),
        (Totals(answered=3), {"grown": ("in.jsonl",)}, 4),
        (Totals(answered=3, exhausted=1), {"parked": (PARKED,)}, 4),
        (Totals(answered=3, pending=1), {}, 4),
    ],
)
def test_an_ending_has_the_exit_code_of_the_worst_that_came_of_any_row(totals, more, code):
    assert Ending(Statement("run", "night", {("legal", "qwen-plus"): totals}), **more).exit_code == code


def test_lines_that_are_no_rows_are_told_by_the_exit_code_of_a_run_that_answered_all_others():
    assert Ending(Statement("run", "night", {("legal", "qwen-plus"): Totals(answered=3)}, rejected_input=1)).exit_code == 3
