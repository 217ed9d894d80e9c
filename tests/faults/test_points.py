"""A few of the points at which a run calls the kernel; `python -m tests.faults.points` is the full form."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.end_to_end.test_run import BATCHRUN
from tests.faults.children import ROOT
from tests.faults.inject import Point, budgeted_job, goes_on, run, small_job
from tests.faults.points import struck
from tests.peers.peer import program


@pytest.mark.parametrize(
    ("call", "number", "way", "code"),
    [
        ("mkdir", 2, "full from then on", 4),
        ("openat", 19, "fails once", 4),
        ("write", 7, "killed", -9),
        ("write", 12, "full from then on", 4),
        ("fdatasync", 1, "fails once", 4),
        ("rename", 4, "killed", -9),
        ("openat", 1, "ENFILE once", 2),
        ("openat", 9, "ESTALE from then on", 4),
        ("openat", 16, "EROFS from then on", 4),
        ("openat", 27, "EMFILE from then on", 4),
        ("openat", 37, "ENOTCONN once", 4),
        ("openat", 14, "full from then on", 4),
        ("rename", 2, "killed", -9),
        ("rename", 2, "fails once", 0),
    ],
)
def test_a_run_that_is_struck_says_so_and_goes_on(tmp_path, call, number, way, code):
    ended = struck(tmp_path, Point(call, number), way)
    assert (ended.struck, ended.code) == (True, code)
    goes_on(tmp_path)


@pytest.mark.parametrize(
    ("call", "number", "way"), [("openat", 35, "full from then on"), ("flock", 5, "fails once"), ("openat", 38, "ESTALE once")],
    ids=["its own hold on the books", "the books' lock", "the folder of the runs beside it"],
)  # fmt: skip
def test_a_run_whose_books_cannot_be_kept_says_so_before_any_call_and_goes_on(tmp_path, call, number, way):
    ended = struck(tmp_path, Point(call, number), way, budgeted_job)
    assert (ended.struck, ended.code, ended.called) == (True, 4, False)
    assert "the books of budgets cannot be kept" in ended.said
    goes_on(tmp_path)


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_run_whose_share_is_unplugged_is_told_as_that_by_its_plan_as_by_the_run(tmp_path, command):
    """A plan had ended as by a bug of its own."""
    job = small_job(tmp_path)
    assert run(tmp_path).code == 0
    strikes = ["-P", str(tmp_path / "run"), "-e", "trace=openat,newfstatat", "-e", "inject=openat,newfstatat:error=ENOTCONN"]
    tracer = [program("strace", "strace"), "-f", "-qq", "-o", str(tmp_path / "strace.log"), *strikes]
    done = subprocess.run([*tracer, *BATCHRUN, command, str(job)], cwd=ROOT, capture_output=True, text=True, check=False)
    why = "cannot be used as a run directory: Transport endpoint is not connected; give the job another output, or mend this one"
    assert (done.returncode, done.stderr) == (4, f"batchrun: {tmp_path}/run: {why}\n")


def test_the_full_form_strikes_forks_of_one_process_and_each_goes_on():
    """A command, and not called from here: a session of tests is more than one thread."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.points", "--call", "pwrite64"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 injections, 3 met, 0 wrong" in done.stdout
