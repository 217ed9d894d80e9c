"""A thread is busy while it runs and while others keep it from running, and not while it waits for anything else."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from batchrun.edge.processor import busy_clock


def spin(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_a_thread_that_shares_its_processor_is_as_busy_as_one_that_has_it_alone():
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mine)})
    rivals = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        spin(0.2)  # They have begun by then.
        with busy_clock() as busy:
            began, busy_before, ran_before = time.monotonic(), busy(), time.thread_time()
            spin(0.5)
            took, was_busy, ran = time.monotonic() - began, busy() - busy_before, time.thread_time() - ran_before
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()
        os.sched_setaffinity(0, mine)
    assert was_busy >= 0.9 * took
    assert ran <= 0.7 * took


def test_a_thread_that_sleeps_is_not_busy():
    with busy_clock() as busy:
        began, before = time.monotonic(), busy()
        time.sleep(0.3)
        was_busy, took = busy() - before, time.monotonic() - began
    assert was_busy <= took - 0.29, "what others kept it from running for after it was woken, and no more"


@pytest.mark.parametrize("told", ["0 0 0\n", None])
def test_where_the_system_does_not_tell_a_thread_is_busy_while_it_runs(tmp_path, told):
    place = tmp_path / "schedstat"
    if told is not None:
        place.write_text(told)
    with busy_clock(str(place)) as busy:
        assert busy is time.thread_time
