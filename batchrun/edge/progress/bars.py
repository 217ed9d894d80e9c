"""Bars on a terminal: one a workspace while they fit, and the total."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import sleep
from types import FrameType
from typing import Any, TextIO

import anyio
from tqdm import tqdm

from batchrun.core.columns import cut, padded, width
from batchrun.core.counted import counted
from batchrun.core.pauses import pause_after
from batchrun.core.progress import Progress, Rate, WorkspaceProgress

DRAW_EVERY = 0.2
_BAR = "{desc} {share:3}%|{bar}| {told}"
_TOTAL = "{desc} {share:3}%|{bar}| {told} {took}{left}{notes}"
_LEAST_BAR = 10
"""Columns of a bar; what is told beside it gives way."""
_SHARE, _TIMES = len(" 100%|| "), len(" 00:00, 00:00 left")
_UNTIL_WRITTEN = 0.05
"""Seconds that what is told beside a run takes to be on the terminal."""
_ERASE_BELOW = "\r\x1b[J"
_LINES_KEPT = 4
"""Of the terminal, for the total, what stood there, and the prompt."""


async def draw(observe: Callable[[], Progress], stream: TextIO) -> None:
    """Draw what *observe* gives until cancelled; a last time on the way out. Raises OSError where the terminal is gone."""
    bars = _Bars(observe(), stream)
    with _left_standing(bars):
        try:
            while True:
                began = anyio.current_time()
                bars.draw(observe())
                await anyio.sleep(pause_after(anyio.current_time() - began, DRAW_EVERY))
        finally:
            bars.draw(observe())
            bars.close()


@contextmanager
def _left_standing(bars: _Bars) -> Iterator[None]:
    """Have Ctrl-Z step below the bars: the cursor rests on the first, and what the shell says would be written over them."""

    def stop(number: int, _frame: FrameType | None) -> None:
        bars.step_below()
        sleep(_UNTIL_WRITTEN)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # It goes on behind this.
        signal.signal(number, stop)

    is_heard = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    if is_heard:
        signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        if is_heard:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)


class Bar(tqdm):  # type: ignore[type-arg]  # generic in its stubs only
    """A bar, with what is told beside it."""

    monitor_interval = 0  # No thread: everything is drawn by the timer.
    told = notes = took = left = ""

    @property
    def format_dict(self) -> dict[str, Any]:
        """What it is drawn from."""
        # The share is cut and not rounded: 100 % is said of what is done.
        share = 100 * self.n // self.total if self.total else 100
        return {**super().format_dict, "share": share, "told": self.told, "took": self.took, "left": self.left, "notes": self.notes}


def reading_bar(stream: TextIO) -> Bar:
    """A bar of bytes, which is drawn where the reading takes longer than a moment, and leaves nothing behind."""
    return Bar(desc="reading the input", unit="B", unit_scale=True, delay=1.0, leave=False, file=stream)


class _Bars:
    """One bar a workspace while they fit; else those with most left to do, and one for the others; and the total."""

    def __init__(self, first: Progress, stream: TextIO) -> None:
        self._stream = stream
        self._began = anyio.current_time()
        self._rate = Rate(self._began, first)
        self._bars: list[Bar] = []
        self._lay_out(first, size_of(stream))

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
            Bar(desc=padded(label, self._label), position=place, bar_format=_BAR, file=self._stream, dynamic_ncols=True, total=1)
            for place, label in enumerate(labels)
        ]
        self._bars[-1].bar_format = _TOTAL

    def _fit(self, progress: Progress) -> None:
        """Begin anew where the window has another size than the bars were made for: it broke their lines."""
        if (size := size_of(self._stream)) == self._size:
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
        digits = max(map(len, counts))
        beside = self._size.columns - self._label - _SHARE - digits
        notes = [_note(group) for group in groups]
        if max(map(len, notes), default=0) >= beside - 1:
            notes = [_note(group, with_flying=False) for group in groups]
        # All of one width, so that all bars are: their lengths are compared by eye.
        told = [f"{count.rjust(digits)}{note.ljust(max(map(len, notes)))}" for count, note in zip(counts, notes, strict=False)]
        for bar, group, text in zip(self._bars, groups, told, strict=False):
            _set(bar, sum(each.done for each in group), sum(each.rows for each in group), text)
        took, left = self._times(progress)
        # A word that is cut says nothing, or something else.
        self._bars[-1].took, self._bars[-1].left = (took, left) if len(f" {took}{left}") < beside else (took, "")
        _set(self._bars[-1], progress.done, progress.rows, counts[-1].rjust(digits), self._notes(progress, beside))
        self._stream.write("\r")  # What the terminal shows of a key (^C) wraps no line there, which would move all bars.

    def step_below(self) -> None:
        """Leave the bars as they stand; they are drawn anew where the cursor is then."""
        self._stream.write("\n" * len(self._bars))

    def _times(self, progress: Progress) -> tuple[str, str]:
        """How long it was looked at, and how long it takes yet: nothing of a run that ends before its rows."""
        now = anyio.current_time()
        self._rate.look(now, progress)
        left = self._rate.left(now, progress)
        told = "" if progress.draining else f", {'?' if left is None else tqdm.format_interval(left)} left"
        return tqdm.format_interval(now - self._began), told

    def _notes(self, progress: Progress, room: int) -> str:
        """What is told of the whole, as much as there is room for: what says least gives way first."""
        rows, tokens = self._rate.of(anyio.current_time(), progress)
        flying, flow, pace = f", {progress.in_flight:,} in flight", f", {tokens:,.0f} tokens/s", f", {rows:,.1f} rows/s"
        held = f", {progress.held:,} held" if progress.held else ""
        failed = f", {progress.failed:,} failed" if progress.failed else ""
        aside = f", {counted(progress.set_aside, 'line')} set aside" if progress.set_aside else ""
        notes = [", draining" * progress.draining, pace, flow, flying, held, failed, aside]
        for dispensable in (flow, flying, pace):
            if len("".join(notes)) > room - _LEAST_BAR - _TIMES:
                notes.remove(dispensable)
        times = f" {self._bars[-1].took}{self._bars[-1].left}"
        while notes and len(times + "".join(notes)) >= room - 1:
            notes.pop()
        return "".join(notes)

    def close(self) -> None:
        for bar in self._bars:
            bar.close()


def _set(bar: Bar, done: int, rows: int, told: str, notes: str = "") -> None:
    bar.total, bar.n, bar.told, bar.notes = rows, done, told, notes
    bar.refresh()


def _count(workspaces: Sequence[WorkspaceProgress]) -> str:
    return f"{sum(each.done for each in workspaces):,}/{sum(each.rows for each in workspaces):,}"


def _note(workspaces: Sequence[WorkspaceProgress], *, with_flying: bool = True) -> str:
    """What is told of them, but the calls in flight where there is no room for that."""
    notes = [f"{sum(each.in_flight for each in workspaces):,} in flight"] if with_flying else []
    failed, to_retry = sum(each.failed for each in workspaces), sum(each.to_retry for each in workspaces)
    notes += [f"{failed:,} failed"] if failed else []
    notes += [f"{to_retry:,} to retry"] if to_retry else []
    notes += ["throttled"] if any(each.throttled for each in workspaces) else []
    parked, closed = sum(each.parked for each in workspaces), sum(each.closed for each in workspaces)
    notes += [f"{parked:,} parked"] if parked else []
    notes += [f"{closed:,} closed"] if closed else []
    unread = sum(each.unread for each in workspaces)
    notes += [f"{unread:,} not read"] if unread else []
    return "".join(f", {note}" for note in notes)


def size_of(stream: TextIO) -> os.terminal_size:
    """Columns and lines of the terminal that is drawn on: standard output may be another, or none."""
    with suppress(OSError):
        size = os.get_terminal_size(stream.fileno())
        if size.lines and size.columns:
            return size
    return shutil.get_terminal_size()
