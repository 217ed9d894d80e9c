"""On which line of a job file a key stands."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.jobs.places import lines_of
from tests.steps import lines_run

JOB = '''# A comment.
[job]
input = [
    "a.jsonl",  # [defaults]
    { path = "b.jsonl", workspace = "legal" },
]
name = """
concurrency = 3
"""

[defaults]
concurrency = 0
retry.backoff.first = 1

[workspaces."市场部".limits."qwen3.5-plus"]
rpm = -1
[[simulator.faults]]
kind = "hang"
[[simulator.faults]]
kind = "thortle"
[retry]
backoff = { first = 1 }
'''


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("job",), 2),
        (("job", "input"), 3),
        (("job", "input", 1, "path"), 3),
        (("job", "name"), 7),
        (("job", "concurrency"), 2),
        (("defaults", "concurrency"), 12),
        (("defaults", "retry", "backoff", "first"), 13),
        (("workspaces", "市场部", "limits", "qwen3.5-plus", "rpm"), 16),
        (("workspaces", "市场部", "limits", "qwen3.5-plus"), 15),
        (("simulator", "faults", 0, "kind"), 18),
        (("simulator", "faults", 1, "kind"), 20),
        (("simulator", "faults", 1, "rate"), 19),
        (("accounts", "main"), None),
        (("workspaces",), 15),
        (("workspaces", "市场部"), 15),
        (("defaults", "retry"), 13),
        (("simulator",), 17),
        (("retry", "backoff", "max"), 22),
    ],
)
def test_a_key_is_found_on_its_line_and_what_is_missing_on_that_of_its_table(place, line):
    assert lines_of(JOB, [place]) == [line]
    assert lines_of(JOB.replace("\n", "\r\n"), [place]) == [line]


def test_a_very_long_statement_or_file_is_told_without_lines_rather_than_looked_through_for_long():
    long = "a = [\n" + "1,\n" * 5000 + "]\nb = 1\n"
    assert lines_of(long, [("b",), ("a",)]) == [None, None]
    assert lines_of("a = 1\n" + "\n" * 30_000, [("a",)]) == [None]


@given(st.text(st.sampled_from("ab[]{}=.\"'#\n\r ,1\\"), max_size=60))
def test_every_file_that_is_toml_is_looked_through(text):
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    count = text.count("\n") + 1
    assert all(line is not None and 1 <= line <= count for line in lines_of(text, [(key,) for key in tables]))


def test_a_mistake_in_each_of_hundreds_of_tables_is_found_without_a_look_at_all_of_them():
    """Of three thousand generated workspaces with the same mistake it was told after a minute and more."""

    def lines(workspaces):
        text = "".join(f'[workspaces.w{number}]\nrpm = "many"\n' for number in range(workspaces))
        places = [("workspaces", f"w{number}", "rpm") for number in range(workspaces)]
        found = []
        run = lines_run(lambda: found.extend(lines_of(text, places)), "core/jobs/places.py")
        assert found == [2 * number + 2 for number in range(workspaces)]
        return run / workspaces

    assert lines(200) < 1.2 * lines(20)
