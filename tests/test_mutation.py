"""What is broken on purpose, and the tests that should notice, are there: a module that was split or moved is not forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation import GROUPS, LEFT_OUT

_ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", GROUPS)
def test_the_code_and_the_tests_of_a_group_are_there(name):
    assert [code for code in GROUPS[name].code if not [*(_ROOT / "batchrun").glob(code)]] == []
    assert [test for test in GROUPS[name].tests if not (_ROOT / test).exists()] == []


@pytest.mark.parametrize("left_out", LEFT_OUT)
def test_a_test_that_is_left_out_is_there(left_out):
    path, _, test = left_out.partition("::")
    assert f"def {test.partition('[')[0]}(" in (_ROOT / path).read_text(encoding="utf-8")
