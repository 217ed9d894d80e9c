"""Progress on stderr, drawn by a timer: bars where it is a terminal, a plain line every so often where it is not."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, TextIO

import anyio
from tqdm import tqdm

from batchrun.core.columns import cut, folded, padded, printable, width
from batchrun.core.counted import counted
from batchrun.core.pauses import pause_after
from batchrun.core.progress import Progress, WorkspaceProgress

DRAW_EVERY = 0.2
LINE_EVERY = 15.0
_BAR = "{desc} {share:3}%|{bar}| {told}"
_TOTAL = "{desc} {share:3}%|{bar}| {told} {took}{left}{notes}"
_LEAST_BAR = 10
"""Columns of a bar; what is told beside it gives way."""
_SHARE, _TIMES = len(" 100%|| "), len(" 00:00, 00:00 left")
_ERASE_BELOW = "\r\x1b[J"
_FIXED = frozenset({"dumb", "unknown"})
"""Terminals on which nothing can be drawn over (an editor's shell, some consoles of build servers)."""
_LINES_KEPT = 4
"""Of the terminal, for the total, what stood there, and the prompt."""


async def show(observe: Callable[[], Progress], stream: TextIO = sys.stderr) -> None:
    """Draw what *observe* gives until cancelled; a last time on the way out. A stream that is gone ends the drawing, never the run."""
    with suppress(OSError):
        await (_bars if stream.isatty() and os.environ.get("TERM") not in _FIXED else _lines)(observe, stream)


def note(text: str, stream: TextIO = sys.stderr) -> None:
    """Write *text* as a line of its own: above the bars, while some are drawn on *stream*. No endpoint's words move the cursor."""
    told = f"note: {printable(text)}"
    with suppress(OSError), _Bar.external_write_mode(file=stream):
        stream.write(f"{folded(told, _size_of(stream).columns) if stream.isatty() else told}\n")


async def _bars(observe: Callable[[], Progress], stream: TextIO) -> None:
    bars = _Bars(observe(), stream)
    try:
        while True:
            began = anyio.current_time()
            bars.draw(observe())
            await anyio.sleep(pause_after(anyio.current_time() - began, DRAW_EVERY))
    finally:
        bars.draw(observe())
        bars.close()


async def _lines(observe: Callable[[], Progress], stream: TextIO) -> None:
    rate = _Rate()
    rate.of(observe())
    try:
        while True:
            await anyio.sleep(LINE_EVERY)
            _write_line(observe(), rate, stream)
    finally:
        _write_line(observe(), rate, stream)


def _write_line(progress: Progress, rate: _Rate, stream: TextIO) -> None:
    rows, tokens = rate.of(progress)
    throttled = sum(each.throttled for each in progress.workspaces)
    share = 100 * progress.done / progress.rows if progress.rows else 100.0
    notes = [f"{progress.in_flight:,} in flight"]
    notes += [f"throttled in {counted(throttled, 'workspace')}"] if throttled else []
    notes += [f"{counted(progress.parked, 'row')} parked"] if progress.parked else []
    notes += [f"{counted(progress.closed, 'row')} outside their window"] if progress.closed else []
    notes += [f"{counted(progress.held, 'row')} held"] if progress.held else []
    notes += [f"{progress.failed:,} failed"] if progress.failed else []
    notes += [f"{progress.to_retry:,} to be tried again"] if progress.to_retry else []
    notes += ["draining"] if progress.draining else []
    stream.write(
        f"{progress.done:,} of {counted(progress.rows, 'row')} ({share:.1f} %), {rows:.1f} rows/s, {tokens:,.0f} tokens/s, "
        f"{', '.join(notes)}\n"
    )
    stream.flush()


class _Rate:
    """Rows and tokens a second since the progress was first looked at, on the loop's clock."""

    def __init__(self) -> None:
        self._first: tuple[float, Progress] | None = None

    def left(self, progress: Progress) -> str:
        """How long the rows take that nothing stops, at the pace so far; nothing of a run that ends before them."""
        if progress.draining:
            return ""
        rows, _ = self.of(progress)
        going = progress.rows - progress.done - progress.held - progress.parked - progress.closed
        told = tqdm.format_interval(going / rows) if rows > 0 and (going > 0 or progress.done == progress.rows) else "?"
        return f", {told} left"

    def took(self) -> str:
        """How long it was looked at."""
        return tqdm.format_interval(anyio.current_time() - self._first[0]) if self._first else "?"

    def of(self, progress: Progress) -> tuple[float, float]:
        now = anyio.current_time()
        if self._first is None:
            self._first = (now, progress)
        since, first = self._first
        seconds = max(now - since, 1e-9)
        if now == since:
            return 0.0, 0.0
        return (progress.done - first.done) / seconds, (progress.tokens - first.tokens) / seconds


class _Bar(tqdm):  # type: ignore[type-arg]  # generic in its stubs only
    monitor_interval = 0  # No thread: everything is drawn by the timer.
    told = notes = took = left = ""

    @property
    def format_dict(self) -> dict[str, Any]:
        # The share is cut and not rounded: 100 % is said of what is done.
        share = 100 * self.n // self.total if self.total else 100
        return {**super().format_dict, "share": share, "told": self.told, "took": self.took, "left": self.left, "notes": self.notes}


class ReadingBar:
    """Shows how much of the input was read, where that takes longer than a moment; off a terminal, a line every so often.

    `show` may be called from another thread, `close` more than once.
    """

    def __init__(self, stream: TextIO = sys.stderr, clock: Callable[[], float] = monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._bar = _Bar(
            desc="reading the input", unit="B", unit_scale=True, delay=1.0, leave=False, file=stream, disable=not stream.isatty()
        )
        self._told_at = clock()

    def show(self, done: int, expected: int) -> None:
        """Take bytes read and bytes in all; the latter may grow."""
        with suppress(OSError):
            if not self._bar.disable:
                self._bar.total = expected
                self._bar.update(done - self._bar.n)
            elif self._clock() - self._told_at >= LINE_EVERY:
                self._told_at = self._clock()
                self._stream.write(f"reading the input: {done / 1e6:,.0f} of {expected / 1e6:,.0f} MB\n")
                self._stream.flush()

    def close(self) -> None:
        """Take the bar away."""
        with suppress(OSError):
            self._bar.close()


class _Bars:
    """One bar a workspace while they fit; else those with most left to do, and one for the others; and the total."""

    def __init__(self, first: Progress, stream: TextIO) -> None:
        self._stream = stream
        self._rate = _Rate()
        self._rate.of(first)
        self._bars: list[_Bar] = []
        self._lay_out(first, _size_of(stream))

    def _lay_out(self, progress: Progress, size: os.terminal_size) -> None:
        self._size = size
        room = max(1, size.lines - _LINES_KEPT)
        ranked = sorted(progress.workspaces, key=lambda each: each.done - each.rows)
        shown = {each.name for each in (ranked if len(ranked) <= room else ranked[: room - 1])}
        self._names = [each.name for each in progress.workspaces if each.name in shown]
        hidden = len(progress.workspaces) - len(self._names)
        labels = [*self._names, *([f"{hidden:,} others"] if hidden else []), "total"]
        labels = [cut(label, max(12, size.columns // 4)) for label in labels]
        self._label = max(map(width, labels))
        self._bars = [
            _Bar(desc=padded(label, self._label), position=place, bar_format=_BAR, file=self._stream, dynamic_ncols=True, total=1)
            for place, label in enumerate(labels)
        ]
        self._bars[-1].bar_format = _TOTAL

    def _fit(self, progress: Progress) -> None:
        """Begin anew where the window has another size than the bars were made for: it broke their lines."""
        if (size := _size_of(self._stream)) == self._size:
            return
        for bar in self._bars:
            bar.disable = True  # It is drawn no more, and goes without a word.
        self._stream.write(_ERASE_BELOW)  # The cursor rests on the first bar.
        self._lay_out(progress, size)

    def draw(self, progress: Progress) -> None:
        self._fit(progress)
        by_name = {each.name: each for each in progress.workspaces}
        groups = [[by_name.pop(name)] for name in self._names]
        groups += [list(by_name.values())] if by_name else []
        counts = [_count(group) for group in groups] + [f"{progress.done:,}/{progress.rows:,}"]
        digits, notes = max(map(len, counts)), [_note(group) for group in groups]
        # All of one width, so that all bars are: their lengths are compared by eye.
        told = [f"{count.rjust(digits)}, {note.ljust(max(map(len, notes)))}" for count, note in zip(counts, notes, strict=False)]
        for bar, group, text in zip(self._bars, groups, told, strict=False):
            _set(bar, sum(each.done for each in group), sum(each.rows for each in group), text)
        self._bars[-1].took, self._bars[-1].left = self._rate.took(), self._rate.left(progress)
        room = self._size.columns - self._label - _SHARE - _LEAST_BAR - digits - _TIMES
        _set(self._bars[-1], progress.done, progress.rows, counts[-1].rjust(digits), self._notes(progress, room))
        self._stream.write("\r")  # What the terminal shows of a key (^C) wraps no line there, which would move all bars.

    def _notes(self, progress: Progress, room: int) -> str:
        """What is told of the whole, as much as there is room for: what says least gives way first."""
        rows, tokens = self._rate.of(progress)
        flying, flow, pace = f", {progress.in_flight:,} in flight", f", {tokens:,.0f} tokens/s", f", {rows:,.1f} rows/s"
        held = f", {progress.held:,} held" if progress.held else ""
        failed = f", {progress.failed:,} failed" if progress.failed else ""
        notes = [", draining" * progress.draining, pace, flow, flying, held, failed]
        for dispensable in (flow, flying, pace):
            if len("".join(notes)) > room:
                notes.remove(dispensable)
        return "".join(notes)

    def close(self) -> None:
        for bar in self._bars:
            bar.close()


def _size_of(stream: TextIO) -> os.terminal_size:
    """Columns and lines of the terminal that is drawn on: standard output may be another, or none."""
    with suppress(OSError):
        size = os.get_terminal_size(stream.fileno())
        if size.lines and size.columns:
            return size
    return shutil.get_terminal_size()


def _set(bar: _Bar, done: int, rows: int, told: str, notes: str = "") -> None:
    bar.total, bar.n, bar.told, bar.notes = rows, done, told, notes
    bar.refresh()


def _count(workspaces: Sequence[WorkspaceProgress]) -> str:
    return f"{sum(each.done for each in workspaces):,}/{sum(each.rows for each in workspaces):,}"


def _note(workspaces: Sequence[WorkspaceProgress]) -> str:
    notes = [f"{sum(each.in_flight for each in workspaces):,} in flight"]
    failed, to_retry = sum(each.failed for each in workspaces), sum(each.to_retry for each in workspaces)
    notes += [f"{failed:,} failed"] if failed else []
    notes += [f"{to_retry:,} to retry"] if to_retry else []
    notes += ["throttled"] if any(each.throttled for each in workspaces) else []
    parked, closed = sum(each.parked for each in workspaces), sum(each.closed for each in workspaces)
    notes += [f"{parked:,} parked"] if parked else []
    notes += [f"{closed:,} closed"] if closed else []
    return ", ".join(notes)
