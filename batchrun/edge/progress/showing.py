"""What is seen of a run while it goes on: bars where it is a terminal (`bars.py`), a plain line every so often where it is not."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, TextIO

import anyio

from batchrun.core.columns import folded, printable
from batchrun.core.counted import counted, duration
from batchrun.core.progress import Progress, Rate

if TYPE_CHECKING:
    from batchrun.edge.progress.bars import Bar

LINE_EVERY = 15.0
_FIXED = frozenset({"dumb", "unknown"})
"""Terminals on which nothing can be drawn over (an editor's shell, some consoles of build servers)."""


async def show(observe: Callable[[], Progress], stream: TextIO = sys.stderr, clock: Callable[[], datetime] | None = None) -> None:
    """Draw what *observe* gives until cancelled; a last time on the way out. A stream that is gone ends the drawing, never the run.

    Where it is no terminal, each line tells the time by *clock*: of a log it is asked in the morning when something came to stand still.
    """
    with suppress(OSError):
        if _draws(stream):
            from batchrun.edge.progress.bars import draw  # noqa: PLC0415 - what draws nothing need not wait for tqdm

            await draw(observe, stream)
        else:
            await _lines(observe, stream, clock)


def note(text: str, stream: TextIO = sys.stderr) -> None:
    """Write *text* as a line of its own: above the bars, while some are drawn on *stream*. No endpoint's words move the cursor."""
    told = f"note: {printable(text)}"
    with suppress(OSError):
        if not stream.isatty():
            stream.write(f"{told}\n")
            return
        from batchrun.edge.progress.bars import Bar, size_of  # noqa: PLC0415 - what draws nothing need not wait for tqdm

        with Bar.external_write_mode(file=stream):
            stream.write(f"{folded(told, size_of(stream).columns)}\n")


def _draws(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") not in _FIXED


async def _lines(observe: Callable[[], Progress], stream: TextIO, clock: Callable[[], datetime] | None) -> None:
    rate, told = Rate(anyio.current_time(), observe()), None
    try:
        while True:
            await anyio.sleep(LINE_EVERY)
            progress = _looked_at(observe, rate)
            if not (progress.stands and progress == told):  # A night's wait is one line of a log.
                _write_line(progress, rate, stream, clock)
            told = progress
    finally:
        _write_line(_looked_at(observe, rate), rate, stream, clock)


def _looked_at(observe: Callable[[], Progress], rate: Rate) -> Progress:
    progress = observe()
    rate.look(anyio.current_time(), progress)
    return progress


def _write_line(progress: Progress, rate: Rate, stream: TextIO, clock: Callable[[], datetime] | None) -> None:
    now = anyio.current_time()
    rows, tokens = rate.of(now, progress)
    throttled = sum(each.throttled for each in progress.workspaces)
    # Cut and not rounded: 100 % is said of what is done.
    share = 1000 * progress.done // progress.rows / 10 if progress.rows else 100.0
    notes = [f"{progress.in_flight:,} in flight"]
    notes += [f"throttled in {counted(throttled, 'workspace')}"] if throttled else []
    notes += [f"{counted(progress.parked, 'row')} parked"] if progress.parked else []
    notes += [f"{counted(progress.closed, 'row')} outside their window"] if progress.closed else []
    notes += [f"{counted(progress.held, 'row')} held"] if progress.held else []
    notes += [f"{counted(progress.unread, 'row')} not read"] if progress.unread else []
    notes += [f"{progress.failed:,} failed"] if progress.failed else []
    notes += [f"{progress.to_retry:,} to be tried again"] if progress.to_retry else []
    notes += [f"{counted(progress.set_aside, 'line')} set aside"] if progress.set_aside else []
    left = rate.left(now, progress)
    notes += ["draining"] if progress.draining else [f"about {duration(left)} left"] if left else []
    begins = f"{clock():%Y-%m-%d %H:%M:%S}: " if clock else ""
    stream.write(
        f"{begins}{progress.done:,} of {counted(progress.rows, 'row')} ({share:.1f} %), {rows:.1f} rows/s, {tokens:,.0f} tokens/s, "
        f"{', '.join(notes)}\n"
    )
    stream.flush()


class ReadingBar:
    """Shows how much of the input was read, where that takes longer than a moment; off a terminal, a line every so often.

    `show` may be called from another thread, `close` more than once.
    """

    def __init__(self, stream: TextIO = sys.stderr, clock: Callable[[], float] = monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._told_at = clock()
        self._bar: Bar | None = None
        if _draws(stream):
            from batchrun.edge.progress.bars import reading_bar  # noqa: PLC0415 - what draws nothing need not wait for tqdm

            self._bar = reading_bar(stream)

    def show(self, done: int, expected: int) -> None:
        """Take bytes read and bytes in all; the latter may grow."""
        with suppress(OSError):
            if self._bar is not None:
                self._bar.total = expected
                self._bar.update(done - self._bar.n)
            elif self._clock() - self._told_at >= LINE_EVERY:
                self._told_at = self._clock()
                self._stream.write(f"reading the input: {done / 1e6:,.0f} of {expected / 1e6:,.0f} MB\n")
                self._stream.flush()

    def close(self) -> None:
        """Take the bar away."""
        with suppress(OSError):
            if self._bar is not None:
                self._bar.close()
