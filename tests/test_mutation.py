"""What is broken on purpose, and the tests that should notice, are there: a module that was split or moved is not forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation import GROUPS, LEFT_OUT

_ROOT = Path(__file__).parents[1]


def is_there(test: str) -> bool:
    """Whether a file or a folder of tests is there, and the test in it that is named behind."""
    path, _, name = test.partition("::")
    return (_ROOT / path).exists() and (not name or f"def {name.partition('[')[0]}(" in (_ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", GROUPS)
def test_the_code_and_the_tests_of_a_group_are_there(name):
    assert [code for code in GROUPS[name].code if not [*(_ROOT / "batchrun").glob(code)]] == []
    assert [test for test in GROUPS[name].tests if not is_there(test)] == []


@pytest.mark.parametrize("left_out", LEFT_OUT)
def test_a_test_that_is_left_out_is_there(left_out):
    assert is_there(left_out)
