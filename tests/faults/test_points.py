"""A few of the points at which a run calls the kernel; `python -m tests.faults.points` is the full form."""

from __future__ import annotations

import pytest

from tests.faults.inject import Point
from tests.faults.points import struck


@pytest.mark.parametrize(
    ("call", "number", "way", "code"),
    [
        ("mkdir", 2, "full from then on", 4),
        ("openat", 18, "fails once", 4),
        ("write", 7, "killed", -9),
        ("write", 12, "full from then on", 4),
        ("fdatasync", 1, "fails once", 4),
        ("rename", 4, "killed", -9),
        ("openat", 1, "ENFILE once", 2),
        ("openat", 8, "ESTALE from then on", 2),
        ("openat", 15, "EROFS from then on", 4),
        ("openat", 26, "EMFILE from then on", 4),
        ("openat", 36, "ENOTCONN once", 4),
        ("openat", 13, "full from then on", 4),
        ("rename", 2, "killed", -9),
        ("rename", 2, "fails once", 0),
    ],
)
def test_a_run_that_is_struck_says_so_and_goes_on(tmp_path, call, number, way, code):
    ended = struck(tmp_path, Point(call, number), way)
    assert (ended.struck, ended.code) == (True, code)
