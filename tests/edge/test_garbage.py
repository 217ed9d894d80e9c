"""The collector of cycles works less while a run lasts, and as it did before afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from batchrun.edge.garbage import seldom_collected


class Knot:
    def __init__(self):
        self.itself = self


def test_the_collector_is_as_it_was_whatever_ended_the_block():
    before = gc.get_threshold(), gc.get_freeze_count()

    def fail():
        with seldom_collected():
            assert gc.get_threshold() > before[0]
            assert gc.get_freeze_count() > before[1]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert gc.get_threshold() == before[0]
    assert gc.get_freeze_count() <= before[1]


def test_of_several_blocks_at_a_time_the_last_that_ends_leaves_the_collector_as_the_first_had_found_it():
    """As of threads that carry out a run each: the second had taken the first one's settings for the program's own, and left them."""
    before = gc.get_threshold(), gc.get_freeze_count()
    first, second = seldom_collected(), seldom_collected()
    with first:
        during = gc.get_threshold()
        second.__enter__()
    try:
        assert gc.get_threshold() == during
        assert gc.get_freeze_count() > before[1]
    finally:
        second.__exit__(None, None, None)
    assert gc.get_threshold() == before[0]
    assert gc.get_freeze_count() <= before[1]


def test_what_a_program_has_frozen_before_it_runs_a_job_stays_frozen():
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        with seldom_collected():
            pass
        assert gc.get_freeze_count() > 0.9 * before
    finally:
        gc.unfreeze()


def test_cycles_that_come_and_go_while_it_lasts_take_no_more_memory_the_longer_it_does():
    with seldom_collected():
        knots = [weakref.ref(Knot()) for _ in range(50_000)]
        assert sum(knot() is not None for knot in knots) < 25_000


_COUNTED = """
import gc
from batchrun.__main__ import main
gc.callbacks.append(lambda phase, _told: phase == "stop" or print("looked through"))
main()
"""


def test_a_command_is_hardly_looked_through_while_its_modules_are_read_in(tmp_path):
    command = [sys.executable, "-c", _COUNTED, "run", "there-is-none.toml"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert (ended.returncode, b"no such file" in ended.stderr) == (2, True)
    assert ended.stdout.count(b"looked through") < 20
