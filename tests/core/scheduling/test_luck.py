"""How many failures are a row's own: as many as it has attempts, and more while rows are answered that had failed too."""

from __future__ import annotations

import pytest

from batchrun.core.scheduling.luck import Luck

ROWS = 100_000


def after(rows: int, failures: int, of_ten: int = 10) -> tuple[Luck, int]:
    """So many rows were answered, of every ten of which some had failed so often; how many are left."""
    luck, left = Luck(ROWS), ROWS
    for number in range(rows):
        if number % 10 < of_ten:
            luck.answered(failures, left)
        left -= 1
    return luck, left


@pytest.mark.parametrize(("failures", "of_ten", "most"), [(0, 10, 6), (1, 1, 6), (1, 2, 8), (1, 5, 13), (1, 10, 20), (4, 10, 62)])
def test_a_row_has_as_many_attempts_as_make_it_no_likelier_that_it_is_given_up_by_chance(failures, of_ten, most):
    """A sixth power of a tenth; within one in ten, for it goes by what is worse, the latest few or many."""
    luck, left = after(10_000, failures, of_ten)
    assert most <= luck.most(6, left) <= 1.1 * most + 1


def test_it_is_never_more_than_rows_that_fail_by_themselves_are_given_up_after():
    luck, left = after(1_000, 100)
    assert luck.most(6, left) == luck.most(6, left) == 86
    assert luck.most(1, left) == 15


def test_one_row_that_was_lucky_proves_nothing():
    luck = Luck(ROWS)
    luck.answered(1, ROWS)
    assert luck.most(6, ROWS) == 6


def test_some_tens_of_rows_show_that_an_endpoint_fails_and_a_thousand_that_it_does_no_more():
    luck, left = after(1_000, 0)
    for failed in range(1, 101):
        luck.answered(3, left)
        left -= 1
        assert failed < 30 or luck.most(6, left) >= 20
    assert 7 <= luck.most(6, left - 200) <= 30, "it may have come and gone: two hundred show nothing"
    assert luck.most(6, left - 5_000) == 6


def test_rows_that_are_given_up_are_none_that_were_answered():
    """However many there are of them."""
    luck, left = after(100, 1)
    before = luck.most(6, left)
    for _ in range(50):
        luck.gave_up()
        left -= 1
    assert luck.most(6, left) == before
    assert luck.most(6, left - 50) < before
