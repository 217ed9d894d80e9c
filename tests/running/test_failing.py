"""What ended a run is told as it is: what ran out where that is all, and a bug as one."""

from __future__ import annotations

import pytest

from batchrun.core.errors import StoppedError
from batchrun.running.failing import told


def raised_anew(error: Exception) -> Exception:
    """*error*, out of a group that it tells of from then on, as it is where a group is opened and what it holds is raised."""
    error.__context__ = ExceptionGroup("of a task group", [error])
    return error


@pytest.mark.parametrize("bug", [ValueError("a bug"), RuntimeError("a bug"), TypeError("a bug")], ids=lambda bug: type(bug).__name__)
def test_a_bug_that_tells_of_the_group_it_came_in_is_told_as_it_is(bug):
    error = raised_anew(bug)
    assert told(error) is error
    group = ExceptionGroup("another", [error])
    assert told(group) is group


def test_that_memory_ran_out_is_told_in_one_sentence_however_it_comes():
    for error in (MemoryError(), raised_anew(MemoryError()), ExceptionGroup("", [MemoryError(), raised_anew(MemoryError())])):
        assert isinstance(told(error), StoppedError)
    mixed = ExceptionGroup("", [MemoryError(), ValueError("a bug")])
    assert told(mixed) is mixed
