"""What changed in a job between two openings, by name."""

from __future__ import annotations

from batchrun.core.jobs.changes import changes, more_rows, told

JOB = {
    "job": {"name": "night", "input": ["a.jsonl"]},
    "defaults": {"model": "qwen-plus", "parameters": {"seed": 1}, "concurrency": 8},
    "workspaces": {"legal": {"api_key_env": "A", "rpm": 60}, "sales": {}},
}


def changed(**tables):
    return {**JOB, **tables}


def test_a_job_that_is_the_same_has_no_changes():
    assert changes(JOB, JOB) == ((), ())
    assert [*told(JOB, JOB)] == []


def test_limits_keys_and_budgets_are_named_apart_from_what_is_asked():
    workspaces = {"legal": {"api_key_env": "B", "rpm": 90, "budget": {"tokens": 5}}, "sales": {"model": "qwen-max"}}
    now = changed(workspaces=workspaces, defaults={"model": "qwen-plus", "parameters": {"seed": 2}, "concurrency": 4})
    asked, others = changes(JOB, now)
    assert asked == ("defaults.parameters", "workspaces.sales.model")
    assert others == ("defaults.concurrency", "workspaces.legal.api_key_env", "workspaces.legal.budget", "workspaces.legal.rpm")
    first, second = told(JOB, now)
    assert "defaults.parameters, workspaces.sales.model: rows that are left are asked so, answered ones keep their answers" in first
    assert second.endswith("it holds from now on")


def test_headers_are_one_value_and_a_part_of_what_is_asked():
    now = changed(defaults={"model": "qwen-plus", "parameters": {"seed": 1}, "concurrency": 8, "headers": {"X-Team": "law"}})
    assert changes(JOB, now) == (("defaults.headers",), ())


def test_a_schema_that_came_or_went_with_its_whole_table_is_a_part_of_what_is_asked():
    """It was told to hold from now on, as a limit does, and that rows that are answered are not held to it was not."""
    now = changed(answers={"schema": {"type": "object"}, "reasks": 1})
    assert changes(JOB, now) == changes(now, JOB) == (("answers.reasks", "answers.schema"), ())


def test_a_price_that_was_only_read_elsewhere_is_no_other_price():
    def priced(**told):
        return changed(
            prices={"qwen-plus": [{"tiers": [{"input": "1", "output": "2"}], "since": "2026-01-01", "source": "a.toml", **told}]}
        )

    assert changes(priced(), priced(source="b.toml")) == ((), ())
    assert changes(priced(), priced(source="b.toml", since="2026-02-01")) == ((), ("prices.qwen-plus",))
    assert changes(JOB, priced()) == ((), ("prices",))


def test_many_changes_are_counted_and_what_is_no_job_says_nothing():
    now = changed(workspaces={f"w{number}": {} for number in range(20)})
    assert next(iter(told(JOB, now))).endswith("and 16 more: it holds from now on")
    assert changes(None, JOB) == changes("x", JOB) == ((), ())


def test_rows_are_counted_against_those_of_the_last_opening():
    assert more_rows({"legal": {"m": 3}, "sales": {"m": 2}}, {("legal", "m"): 7}) == 2
    assert more_rows({"legal": {"m": 3}}, {("legal", "m"): 1}) == -2
    assert more_rows(None, {}) is more_rows({"legal": {"m": "3"}}, {}) is None
