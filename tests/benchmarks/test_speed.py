"""What the measure of speed rests on; `python -m tests.benchmarks.speed` measures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.speed import rows
from tests.benchmarks.speed.contestants import BARE, BATCHRUN, NAIVE, SMALL, WIRE, Task
from tests.benchmarks.speed.endpoint import ANSWERS, greedy, lognormal, serving
from tests.benchmarks.speed.measure import Weighed, Weight, alternate, weigh
from tests.benchmarks.speed.steps import PARTS, steps


def test_the_greedy_ideal_gives_each_call_the_first_free_slot():
    assert greedy([1.0, 2.0, 3.0, 1.0], 2) == 4.0
    assert greedy([0.5] * 8, 4) == 1.0


def test_the_start_is_taken_off_what_a_row_costs():
    start, run = Weight(0.3, 10, 0.5, 4), Weight(0.3 + 1e-4 * 1_000, 20, 1.0, 4)
    assert Weighed(NAIVE, SMALL + 1_000, [start], [run]).micros() == [pytest.approx(100)]


def test_each_contestant_answers_every_row_on_no_more_connections_than_it_was_given(tmp_path):
    with serving(tmp_path, lognormal(220, 0.02, 0.5)) as url:
        for weighed in alternate([NAIVE, BATCHRUN, WIRE, BARE], 220, 4, url, 16, 1, tmp_path):
            assert weighed.runs[0].connections <= 16, weighed
            assert weighed.runs[0].cpu > 0


def test_batchrun_is_weighed_on_asyncios_own_loop_though_uvloop_be_installed(tmp_path):
    (tmp_path / "uvloop.py").write_text("raise RuntimeError", encoding="utf-8")
    names, source = rows.write(tmp_path / "rows.jsonl", 20, 1), tmp_path / "rows.jsonl"
    beside_it = replace(BATCHRUN, environment={"PYTHONPATH": str(tmp_path)})
    with serving(tmp_path) as url:
        assert weigh(beside_it, Task(source, 20, names, tmp_path, url, 4), tmp_path / "work").connections


def test_an_answer_as_the_service_gives_it_is_hardly_dearer_to_read_than_a_plain_one(tmp_path):
    plain, served = (steps(tmp_path / called, 64, few=100, many=400, answer=answer) for called, answer in ANSWERS.items())
    assert served["wire"] < 1.15 * plain["wire"], (plain, served)


def test_no_row_takes_many_more_of_the_interpreters_steps_than_it_did(tmp_path):
    """Some 7,000 in the parts that take as many however few answers a busy machine lets come in one turn: a fifth more is to be meant."""
    counted = steps(tmp_path, 64, few=100, many=700)
    assert counted.keys() == {*PARTS, "event loop"}
    assert sum(count for part, count in counted.items() if part not in {"event loop", "engine"}) < 8_500, counted


def test_a_row_that_a_budget_pays_for_takes_few_more_steps_than_one_that_costs_nothing(tmp_path):
    """A fifth more, and not two thirds: what its price is made of is looked up for many rows at once."""
    free, paid = (sum(steps(tmp_path / str(paid), 64, few=100, many=300, paid=paid).values()) for paid in (False, True))
    assert paid < 1.4 * free, (free, paid)
