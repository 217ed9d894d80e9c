"""What holds for every test."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import Phase, settings

from tests.canaries import WATCH, no_key_is_written_anywhere, watch_children

__all__ = ["no_key_is_written_anywhere"]

# A machine that is busy with something else is no falsifying example.
settings.register_profile("suite", deadline=None, print_blob=True)
# Every test is run anew for each fault that is put into the code: few examples, the same ones each time, and none is made smaller.
_PHASES = (Phase.explicit, Phase.generate)
settings.register_profile("mutation", deadline=None, max_examples=20, derandomize=True, database=None, phases=_PHASES)
settings.load_profile("mutation" if os.environ.get("HYPOTHESIS_PROFILE") == "mutation" else "suite")
watch_children()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell begins what it puts into the background so, and the processes of the tests would be deaf to a Ctrl-C as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many workers again as there are cores: tests of real processes and sockets wait for a third of their time."""
    cores = os.cpu_count() or 1
    return cores + (cores + 1) // 2


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was searched for keys."""
    if WATCH.searched_children:
        terminalreporter.write_line(
            f"keys: {len(WATCH.keys)} searched for in {WATCH.searched_bytes:,} bytes that {WATCH.searched_children} children left"
        )
