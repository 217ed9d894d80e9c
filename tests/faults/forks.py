"""Runs of a small job as forks of a process that has imported all there is, with strace attached to them.

A process of its own for each run takes four times as long, nearly all of it to import what the one before had imported: there are more than
a thousand points. Whoever forks must be one thread and no more: commands are, a session of tests is not.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from batchrun.cli import main
from tests.faults.inject import Ended, ended_as, injecting
from tests.peers.peer import program

_PATIENCE = 600
"""Seconds that a run may take, on however busy a machine."""


def run(home: Path, inject: str) -> Ended:
    """Run the job of *home* with strace's *inject*, as `inject.run` does."""
    log, said = home / "strace.log", home / "said"

    def carry_out() -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        sys.argv = ["batchrun", "run", str(home / "job.toml"), "--quiet"]
        main()

    child = _forked(carry_out, home, said)
    os.waitpid(child, os.WUNTRACED)
    command = [program("strace", "strace"), "-f", "-qq", "-o", str(log), *injecting(home, inject), "-p", str(child)]
    with subprocess.Popen(command) as tracer:
        while "TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_text(encoding="ascii"):
            assert tracer.poll() is None, "strace did not get hold of the run"
            time.sleep(0.002)
        os.kill(child, signal.SIGCONT)
        code = _ended(child)
    return ended_as(home, code, said.read_text(errors="replace"), log)


def held(what: Callable[[Path], None], home: Path) -> None:
    """Call *what* in a fork; raises AssertionError with all that it said where it fails."""
    said = home / "said"
    assert _ended(_forked(lambda: what(home), home, said)) == 0, said.read_text(errors="replace")


def _forked(what: Callable[[], None], home: Path, said: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.chdir(home)
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        what()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:  # noqa: BLE001 - nothing of this process's may go on in its fork
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _ended(child: int) -> int:
    """Wait for the end of *child*, and give its exit code: negative where a signal ended it."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError(f"there was no end in {_PATIENCE} s")
