"""Signals that come where a verb does not hear them: in the second that its imports take, and to a run whenever it does not listen itself.

An exception in the midst of an import ends in a traceback, or in a crash within an extension (seen). Nothing is begun by then that a killed
process could not leave as it is, so that the process says what it ends for, and ends.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from batchrun.core.errors import StoppedError

_STDERR = 2


def heed(*, run: bool) -> None:
    """End in one line when asked to stop. A *run* takes SIGTERM for that too, and no notice of a terminal that is closed."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_run if run else _end)
    if run:
        signal.signal(signal.SIGTERM, _end_run)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def imported() -> None:
    """Let Ctrl-C be the KeyboardInterrupt again that verbs know of."""
    if signal.getsignal(signal.SIGINT) in {_end_run, _end}:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def begun() -> None:
    """End a run in one line wherever it does not listen itself, as once its account is made: what is told of it may have no reader."""
    for number, before in ((signal.SIGTERM, _end_run), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is before:
            signal.signal(number, _end_begun)


def end_held_up(number: int) -> NoReturn:
    """End in one line though the kernel holds the process up."""
    why = "held up by the kernel, as by a disk or a share that does not answer"
    _say_and_end(f"stopped by {signal.Signals(number).name}, and {why}; the same command goes on, or does it again")


def _end_begun(number: int, _frame: FrameType | None) -> NoReturn:
    _say_and_end(f"stopped by {signal.Signals(number).name}; the same command goes on, or does it again")


def _end_run(number: int, _frame: FrameType | None) -> NoReturn:
    _say_and_end(f"{signal.Signals(number).name}: stopped before any call; go on with the same command")


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    _say_and_end(f"stopped by {signal.Signals(number).name}; the same command does it again")


def _say_and_end(text: str) -> NoReturn:
    with suppress(OSError):
        os.write(_STDERR, f"batchrun: {text}\n".encode())
    os._exit(StoppedError.exit_code)
