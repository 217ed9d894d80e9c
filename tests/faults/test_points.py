"""A few of the points at which a run calls the kernel; `python -m tests.faults.points` is the full form."""

from __future__ import annotations

import pytest

from tests.faults.inject import Point
from tests.faults.points import struck


@pytest.mark.parametrize(
    ("call", "number", "way", "code"),
    [
        ("mkdir", 2, "full from then on", 4),
        ("openat", 12, "fails once", 4),
        ("write", 7, "killed", -9),
        ("write", 12, "full from then on", 4),
        ("fdatasync", 1, "fails once", 4),
        ("rename", 2, "killed", -9),
        ("openat", 1, "ENFILE once", 2),
        ("openat", 7, "ESTALE from then on", 2),
        ("openat", 9, "EROFS from then on", 4),
        ("openat", 20, "EMFILE from then on", 4),
        ("openat", 30, "ENOTCONN once", 4),
    ],
)
def test_a_run_that_is_struck_says_so_and_goes_on(tmp_path, call, number, way, code):
    ended = struck(tmp_path, Point(call, number), way)
    assert (ended.struck, ended.code) == (True, code)
