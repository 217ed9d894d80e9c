"""That reports take memory by groups and not by rows; `python -m tests.benchmarks.reports` has the large ones."""

from __future__ import annotations

import orjson

from tests.benchmarks.reports import MODELS, WORKSPACES, reported, write_night


def test_a_report_of_six_times_the_rows_takes_no_more_memory_and_adds_all_up(tmp_path):
    small, large = write_night(tmp_path / "small", 2_000, 0), write_night(tmp_path / "large", 12_000, 1)
    options = ("--by", "workspace,day", "--json")
    few, many = reported([small], *options), reported([large], *options)
    assert many.peak_mb < few.peak_mb + 4
    for cost, rows in ((few, 2_000), (many, 12_000)):
        told = orjson.loads(cost.output)
        total = told["total"]
        assert total["answered"] + total["rejected"] + total["exhausted"] + total["pending"] == rows
        assert len(told["workspaces"]) == len(WORKSPACES)
        assert set(told["workspaces"][WORKSPACES[0]]["models"]) == set(MODELS)
        assert sum(group["input_tokens"] for group in told["attribution"]["groups"]) == total["input_tokens"]
