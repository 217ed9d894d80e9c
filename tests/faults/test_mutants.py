"""The table of edits that must be caught is kept up; `python -m tests.faults.mutants` makes them all, and has them caught."""

from __future__ import annotations

import ast

import pytest

from tests.faults.mutants import ROOT, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_an_edit_can_be_made_to_the_package_as_it_is_and_what_has_to_catch_it_is_there(mutant):
    before = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert ast.dump(ast.parse(mutant.of(before))) != ast.dump(ast.parse(before))
    for test in mutant.caught_by:
        place, _, name = test.partition("::")
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / place).read_text(encoding="utf-8")


def test_every_edit_has_a_name_of_its_own_and_a_test_that_catches_it():
    assert len({each.name for each in mutants()}) == len(mutants()) >= 50
    assert all(each.caught_by for each in mutants())
