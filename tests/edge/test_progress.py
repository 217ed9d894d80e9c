"""What a person sees while a run is under way: lines in a log, bars on a terminal."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import re
import termios
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from batchrun.cli.saying import say, tell
from batchrun.core.columns import width
from batchrun.core.progress import Progress, Rate, WorkspaceProgress
from batchrun.edge.aside import Aside
from batchrun.edge.progress import LINE_EVERY, ReadingBar, note, show
from batchrun.edge.progress.bars import size_of
from tests.virtual_time import VirtualLoop, run_virtually

NAMES = ("市场部", "legal", "客户支持与培训")


class Terminal(io.StringIO):
    """A terminal that remembers what is written to it; its size is that of a real one."""

    encoding = "utf-8"

    def __init__(self, descriptor):
        super().__init__()
        self._descriptor = descriptor

    def isatty(self):
        return True

    def fileno(self):
        return self._descriptor

    def lines(self):
        """What stands on each line in the end: the last text that was written to it."""
        shown, line = {}, 0
        for part in re.split(r"(\n|\x1b\[A|\r)", self.getvalue()):
            if part == "\n":
                line += 1
            elif part == "\x1b[A":
                line -= 1
            elif part not in {"", "\r"}:
                shown[line] = part
        return [shown[line].rstrip() for line in sorted(shown) if shown[line].strip()]

    def screen(self):
        """What stands on each line in the end, column by column; of names that take one column a letter."""
        rows: list[list[str]] = [[]]
        line = column = 0
        for part in re.split(r"(\n|\x1b\[A|\r)", self.getvalue()):
            match part:
                case "\n":
                    line, column = line + 1, 0
                    rows += [[]] * (line == len(rows))
                case "\x1b[A":
                    line -= 1
                case "\r":
                    column = 0
                case _:
                    rows[line] = [*rows[line][:column], *" " * (column - len(rows[line])), *part, *rows[line][column + len(part) :]]
                    column += len(part)
        return [text for text in ("".join(row).rstrip() for row in rows) if text], column


class Gone(io.StringIO):
    """A stream whose reader has left."""

    def __init__(self, *, terminal):
        super().__init__()
        self.terminal, self.refused = terminal, 0

    def isatty(self):
        return self.terminal

    def write(self, _text):
        self.refused += 1
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def of(name, done=0, rows=100, in_flight=2, *, throttled=False, parked=0, closed=0):
    return WorkspaceProgress(name, rows, done, in_flight, throttled, parked, closed)


def three(done=0, tokens=0, **more):
    return Progress((of(NAMES[0], done), of(NAMES[1], done, throttled=True), of(NAMES[2], 0, 1000, 0, parked=600)), tokens, **more)


def shown(observe, stream, *, seconds):
    """Show *observe*, told the time, on *stream* for some seconds of virtual time."""

    async def main():
        with anyio.move_on_after(seconds) as scope:
            await show(lambda: observe(anyio.current_time()), stream)
        return scope.cancelled_caught

    return run_virtually(main)


@pytest.fixture
def terminal():
    ours, theirs = os.openpty()

    def of_size(lines=24, columns=120):
        termios.tcsetwinsize(theirs, (lines, columns))
        return Terminal(theirs)

    yield of_size
    os.close(ours)
    os.close(theirs)


# Lines


def test_where_there_is_no_terminal_a_line_comes_every_so_often_and_one_at_the_end():
    stream = io.StringIO()
    shown(lambda now: three(int(now), int(100 * now)), stream, seconds=2 * LINE_EVERY + 5)
    tail = "4 in flight, throttled in 1 workspace, 600 rows parked, about"
    assert stream.getvalue().splitlines() == [
        f"30 of 1,200 rows (2.5 %), 2.0 rows/s, 100 tokens/s, {tail} 4 min 45 s left",
        f"60 of 1,200 rows (5.0 %), 2.0 rows/s, 100 tokens/s, {tail} 4 min 30 s left",
        f"70 of 1,200 rows (5.8 %), 2.0 rows/s, 100 tokens/s, {tail} 4 min 25 s left",
    ]


def test_where_there_is_no_terminal_each_line_tells_the_time():
    """Of a log that cron keeps nobody could tell when a department had come to stand still."""
    stream = io.StringIO()
    times = iter(datetime(2026, 12, 1, 0, 0, tzinfo=UTC) + timedelta(seconds=LINE_EVERY * number) for number in (-1, 0, 1))

    async def main() -> None:
        with anyio.move_on_after(2 * LINE_EVERY + 5):
            await show(lambda: three(int(anyio.current_time()), 0), stream, lambda: next(times))

    run_virtually(main)
    begins = [re.split(r": \d+ of 1,200 rows", line)[0] for line in stream.getvalue().splitlines()]
    assert begins == ["2026-11-30 23:59:45", "2026-12-01 00:00:00", "2026-12-01 00:00:15"]


def test_a_rate_is_of_this_opening_and_what_was_done_before_it_is_not_in_it():
    stream = io.StringIO()
    shown(lambda now: Progress((of("legal", 50 + int(now) // 3),), 0), stream, seconds=LINE_EVERY + 0.1)
    assert stream.getvalue().startswith("55 of 100 rows (55.0 %), 0.3 rows/s, 0 tokens/s, 2 in flight, about 2 min 15 s left\n")


def closed_for(seconds):
    """A run whose window opens after so long; from then on it takes two rows a second."""

    def observe(now):
        open_for = max(0, now - seconds)
        legal = of("legal", int(2 * open_for), 10_000) if open_for else of("legal", 0, 10_000, 0, closed=10_000)
        return Progress((legal,), int(100 * open_for))

    return observe


def test_the_hours_until_a_window_opens_are_one_line_and_no_part_of_how_fast_the_run_goes(terminal):
    log, bars = io.StringIO(), terminal()
    for stream in (log, bars):
        shown(closed_for(8 * LINE_EVERY), stream, seconds=10 * LINE_EVERY + 0.1)
    assert log.getvalue().splitlines()[:-1] == [
        "0 of 10,000 rows (0.0 %), 0.0 rows/s, 0 tokens/s, 0 in flight, 10,000 rows outside their window",
        "30 of 10,000 rows (0.3 %), 2.0 rows/s, 100 tokens/s, 2 in flight, about 1 h 23 min left",
        "60 of 10,000 rows (0.6 %), 2.0 rows/s, 100 tokens/s, 2 in flight, about 1 h 23 min left",
    ]
    assert re.search(r" 02:30, 1:2\d:\d\d left, 2\.0 rows/s", bars.lines()[-1])


def test_a_workspace_that_opens_beside_a_slow_one_is_not_told_to_take_as_long_as_that_one_went_alone():
    def observe(now):
        late = closed_for(8 * LINE_EVERY)(now)
        return Progress((of("slow", int(now / 60), 1000), *late.workspaces), 0)

    stream = io.StringIO()
    shown(observe, stream, seconds=12 * LINE_EVERY + 0.1)
    assert stream.getvalue().splitlines()[-2].endswith("2.0 rows/s, 0 tokens/s, 4 in flight, about 1 h 30 min left")


def test_a_run_that_goes_on_and_is_done_before_the_next_line_is_told_of_without_its_wait():
    stream = io.StringIO()
    shown(closed_for(8 * LINE_EVERY), stream, seconds=8 * LINE_EVERY + 10)
    assert stream.getvalue().splitlines()[-1].startswith("20 of 10,000 rows (0.2 %), 2.0 rows/s")


def test_how_fast_a_run_was_before_it_stood_still_is_told_until_it_goes_on():
    def observe(now):
        return Progress((of("legal", 30, closed=70, in_flight=0) if now >= LINE_EVERY else of("legal", int(2 * now)),), 0)

    stream = io.StringIO()
    shown(observe, stream, seconds=LINE_EVERY + 5)
    assert [line.partition(" tokens/s")[0] for line in stream.getvalue().splitlines()] == [
        "30 of 100 rows (30.0 %), 2.0 rows/s, 0",
        "30 of 100 rows (30.0 %), 1.5 rows/s, 0",
    ]


def test_a_line_says_when_a_run_drains_and_how_many_rows_stand_still():
    stream = io.StringIO()
    workspaces = tuple(of(f"w{number}", throttled=number < 2, parked=40 * (number > 2), closed=2 * (number < 3)) for number in range(5))
    shown(lambda _now: Progress(workspaces, 0, draining=True), stream, seconds=1)
    told = stream.getvalue()
    assert told.endswith(", 10 in flight, throttled in 2 workspaces, 80 rows parked, 6 rows outside their window, draining\n")


def test_a_line_tells_of_all_rows_that_are_not_done_what_they_wait_for():
    stream = io.StringIO()
    workspaces = (replace(of("legal"), held=1, unread=2, failed=1_003), replace(of("sales"), held=2, to_retry=4))
    shown(lambda _now: Progress(workspaces, 0, draining=True, set_aside=1), stream, seconds=1)
    told = ", 4 in flight, 3 rows held, 2 rows not read, 1,003 failed, 4 to be tried again, 1 line set aside, draining\n"
    assert stream.getvalue().endswith(told)


def test_a_line_has_one_size_however_many_workspaces_there_are():
    stream = io.StringIO()
    shown(lambda _now: Progress(tuple(of(f"部门{number}") for number in range(60)), 0), stream, seconds=1)
    assert stream.getvalue() == "0 of 6,000 rows (0.0 %), 0.0 rows/s, 0 tokens/s, 120 in flight\n"


def test_lines_that_are_no_rows_are_told_beside_a_share_that_is_of_rows_alone():
    stream = io.StringIO()
    for lines in (1, 1_200):
        shown(lambda _now, lines=lines: Progress((of("legal", 100),), 0, set_aside=lines), stream, seconds=1)
    told = stream.getvalue().splitlines()
    assert [line.rpartition(", ")[2] for line in told] == ["1 line set aside", "1,200 lines set aside"]
    assert all(line.startswith("100 of 100 rows (100.0 %), ") for line in told)


def test_a_line_says_100_of_what_is_done_and_of_nothing_else():
    stream = io.StringIO()
    shown(lambda _now: Progress((WorkspaceProgress("legal", 10_000, 9_999, 1, throttled=False),), 0), stream, seconds=1)
    assert stream.getvalue().startswith("9,999 of 10,000 rows (99.9 %), ")


def test_a_run_of_nothing_is_done():
    stream = io.StringIO()
    shown(lambda _now: Progress((), 0), stream, seconds=1)
    assert stream.getvalue() == "0 of 0 rows (100.0 %), 0.0 rows/s, 0 tokens/s, 0 in flight\n"


# Bars


def test_three_workspaces_have_a_bar_each_under_one_another_and_a_total(terminal):
    stream = terminal()
    shown(lambda now: three(min(50, int(10 * now)), int(1000 * now)), stream, seconds=5.05)
    first, second, third, total = stream.lines()
    assert re.fullmatch(r"市场部          50%\|█+[^ █|]? +\|    50/100, 2 in flight", first)
    assert re.fullmatch(r"legal           50%\|█+[^ █|]? +\|    50/100, 2 in flight, throttled", second)
    assert re.fullmatch(r"客户支持与培训   0%\| +\|   0/1,000, 0 in flight, 600 parked", third)
    assert re.fullmatch(r"total            8%\|█.* +\| 100/1,200 \S+, \S+ left, 19\.8 rows/s, 1,000 tokens/s, 4 in flight", total)
    assert len({width(line[: line.index("%")]) for line in (first, second, third, total)}) == 1, (
        "Chinese names take two columns a character"
    )
    assert all(width(line) <= 120 for line in stream.lines())
    assert len({width(line[: line.rindex("|")]) for line in (first, second, third)}) == 1, "bars are compared by eye"


def test_the_bars_move_while_the_run_goes_on_and_not_at_its_end_alone(terminal):
    stream = terminal()
    totals = []

    def observe(now):
        totals.extend(re.findall(r"(\d+)/1,200", stream.lines()[-1]) if stream.lines() else [])
        return three(int(10 * now))

    shown(observe, stream, seconds=3.05)
    assert len({*totals}) > 10
    assert [*map(int, totals)] == sorted(map(int, totals))


def test_bars_tell_of_rows_that_are_closed_or_held_and_of_lines_that_are_none(terminal):
    stream = terminal(columns=140)
    shown(lambda _now: Progress((replace(of("legal", 10, closed=83), held=7),), 0, set_aside=3), stream, seconds=1)
    legal, total = stream.lines()
    assert legal.endswith(" 10/100, 2 in flight, 83 closed")
    assert total.endswith(", 2 in flight, 7 held, 3 lines set aside")


def test_bars_that_are_written_beside_a_run_are_of_what_the_terminal_can_show(terminal):
    blocks, ascii_only = terminal(), terminal()
    ascii_only.encoding = "ascii"
    for stream in (blocks, ascii_only):
        with Aside(stream) as aside:
            shown(lambda _now: three(50), aside, seconds=1)
    assert "█" in blocks.lines()[0]
    assert "#" in ascii_only.lines()[1]
    assert "█" not in ascii_only.getvalue()


@pytest.mark.parametrize("columns", [60, 80, 100, 140])
def test_however_narrow_the_terminal_and_long_the_names_a_bar_has_its_length_and_nothing_is_cut_in_the_middle(terminal, columns):
    names = ("客户服务与市场运营支持中心华东大区", "customer-support-and-success-department-singapore-apac", "legal")
    stream = terminal(columns=columns)
    observed = Progress(tuple(of(name, 50_000, 1_200_000, 64, throttled=True) for name in names), 9_000_000, draining=True)
    shown(lambda _now: observed, stream, seconds=5.05)
    *workspaces, total = stream.lines()
    assert all(width(line) <= columns for line in stream.lines())
    assert all(line.endswith(" 64 in flight, throttled" if columns >= 80 else "/1,200,000, throttled") for line in workspaces)
    assert re.search(r"\| +150,000/3,600,000 \S+, draining", total)
    assert all(len(line.split("|")[1]) >= 6 for line in stream.lines() if columns >= 80)
    assert ("tokens/s" in total) == (columns == 140)


@pytest.mark.parametrize("columns", range(40, 61))
def test_on_a_narrow_terminal_what_stands_still_or_failed_is_told_before_what_is_in_flight_and_no_word_is_cut(terminal, columns):
    """At forty columns 200 rows were told without what they are: the word behind them, parked, was cut away."""
    stream = terminal(columns=columns)
    workspaces = (of("hr", 20, 200, 4), of("ops", 0, 200, 0, parked=200), replace(of("fin", 33, 200), failed=1))
    shown(lambda _now: Progress(workspaces, 0), stream, seconds=1)
    hr, ops, fin, total = stream.lines()
    assert all(width(line) <= columns for line in stream.lines())
    assert hr.endswith((" 20/200", " 20/200, 4 in flight"))
    assert ops.endswith(("/200, 200 parked", "/200, 0 in flight, 200 parked"))
    assert fin.endswith((" 33/200, 1 failed", " 33/200, 2 in flight, 1 failed"))
    assert total.endswith((" left", " failed"))
    assert ("1 failed" in total) or columns < 50


def test_where_there_is_no_room_for_how_long_it_takes_yet_that_is_left_out_whole(terminal):
    stream = terminal(columns=40)
    shown(lambda _now: Progress((of("localisation", 62, 62), of("support", 27, 60, parked=33)), 0), stream, seconds=1)
    assert stream.lines()[-1].endswith("| 89/122 00:01")


def test_100_percent_is_said_of_what_is_done_and_of_nothing_else(terminal):
    stream = terminal()
    shown(lambda _now: Progress((of("legal", 999_999, 1_000_000), of("sales", 7, 7)), 0), stream, seconds=1)
    assert [re.search(r"(\d+)%", line)[1] for line in stream.lines()] == ["99", "100", "99"]  # type: ignore[index]


def test_of_sixty_workspaces_those_with_most_left_are_shown_and_the_others_as_one_bar(terminal):
    workspaces = tuple(of(f"部门{number}", done=number, in_flight=1, throttled=number == 59) for number in range(60))
    stream = terminal()
    shown(lambda _now: Progress(workspaces, 0), stream, seconds=1)
    lines = stream.lines()
    assert len(lines) == 21
    assert [line.split()[0] for line in lines[:19]] == [f"部门{number}" for number in range(19)]
    assert re.fullmatch(r"41 others +39%\|█+.* +\| +1,599/4,100, 41 in flight, throttled", lines[19])
    assert re.match(r"total +29%\|", lines[20])
    assert "more hidden" not in stream.getvalue()


@pytest.mark.parametrize(("lines", "bars"), [(5, 2), (6, 3), (7, 4), (8, 4), (50, 4)])
def test_bars_fit_the_window_and_every_row_is_in_one_of_them(terminal, lines, bars):
    stream = terminal(lines, 100)
    shown(lambda _now: three(10), stream, seconds=1)
    counts = [re.search(r"(\d+)/(\d+)", line.replace(",", "")) for line in stream.lines()]
    told = [(int(each[1]), int(each[2])) for each in counts if each]
    assert len(told) == len(counts) == bars
    assert tuple(map(sum, zip(*told[:-1], strict=True))) == told[-1] == (20, 1200)


def test_bars_are_made_anew_for_a_window_of_another_size(terminal):
    """The terminal broke their lines, or there is no room for them any more: whatever it made of them is taken away."""
    stream = terminal(24, 100)

    def observe(now):
        if now > 2:
            termios.tcsetwinsize(stream.fileno(), (6, 70))
        return three(10, draining=now > 2)

    shown(observe, stream, seconds=4.05)
    before, *others = stream.getvalue().split("\r\x1b[J")
    assert len(others) == 1, "once a change of size"
    assert before.endswith(("\r", "\x1b[A")), "the cursor rests on the first bar"
    after = Terminal(stream.fileno())
    after.write(others[0])
    assert [line.split()[0] for line in after.lines()] == [NAMES[2], "2", "total"]
    assert all(width(line) <= 70 for line in after.lines())
    assert "00:0" in after.lines()[-1].split("20/1,200 ")[1], "the time goes on"


@pytest.mark.parametrize("name", ["dumb", "unknown"])
def test_a_terminal_on_which_nothing_can_be_drawn_over_has_lines(terminal, monkeypatch, name):
    monkeypatch.setenv("TERM", name)
    stream = terminal()
    shown(lambda _now: three(10), stream, seconds=LINE_EVERY + 1)
    assert stream.getvalue().count("\n") == 2
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("name", ["dumb", "unknown"])
def test_on_a_terminal_on_which_nothing_can_be_drawn_over_reading_the_input_is_told_in_lines_too(terminal, monkeypatch, name):
    monkeypatch.setenv("TERM", name)
    stream, now = terminal(), [0.0]
    bar = ReadingBar(stream, lambda: now[0])
    now[0] = LINE_EVERY
    bar.show(30_000_000, 60_000_000)
    bar.close()
    assert stream.getvalue() == "reading the input: 30 of 60 MB\n"


def test_what_is_left_is_told_of_the_rows_that_nothing_stops(terminal):
    def left(*workspaces):
        stream = terminal()
        states = iter([Progress(tuple(of(f"w{number}") for number in range(len(workspaces))), 0)])
        shown(lambda _now: next(states, Progress(workspaces, 0)), stream, seconds=10)
        return re.search(r" (\S+), (\S+) left", stream.lines()[-1]).groups()  # type: ignore[union-attr]

    assert left(of("w0", 50)) == ("00:10", "00:10")
    assert left(of("w0", 50), of("w1", 0, parked=60, closed=40)) == ("00:10", "00:10")
    assert left(of("w0", 100), of("w1", 0, parked=100)) == ("00:10", "?"), "until a person acts"
    assert left(of("w0", 0)) == ("00:10", "?")
    assert left(of("w0", 100), of("w1", 0)) == ("00:10", "?"), "what came of another, which is done, tells nothing of it"
    assert left(of("w0", 20, parked=80), of("w1", 0)) == ("00:10", "?")
    assert left(of("w0", 100), of("w1", 50)) == ("00:10", "00:03")


def test_of_a_run_that_had_been_done_when_it_was_opened_nothing_is_left(terminal):
    for opened in (Progress((of("w0", 100),), 0), Progress((), 0)):
        stream = terminal()
        shown(lambda _now, opened=opened: opened, stream, seconds=10)
        assert " 00:10, 00:00 left" in stream.lines()[-1]


def test_what_is_left_is_told_by_the_slowest_pace(terminal):
    def left(*paces):
        stream = terminal()
        rows = (1000, 1000)
        states = iter([Progress(tuple(of(f"w{place}", 0, count) for place, count in enumerate(rows)), 0)])
        later = Progress(tuple(replace(of(f"w{place}", done, 1000), pace=paces[place]) for place, done in enumerate((100, 10))), 0)
        shown(lambda _now: next(states, later), stream, seconds=10)
        return re.search(r" (\S+) left", stream.lines()[-1]).group(1)  # type: ignore[union-attr]

    assert left("one", "one") == "02:51", "together eleven rows a second"
    assert left("one", "another") == "16:30", "one of them one a second"
    assert left("one", "") == "02:51", "it stood still meanwhile"


def test_a_run_that_was_asked_to_stop_does_not_say_how_long_its_other_rows_would_take(terminal):
    stream = terminal()
    states = iter([three(), three()])
    shown(lambda _now: next(states, three(100, draining=True)), stream, seconds=10)
    assert "draining" in stream.lines()[-1]
    assert "left" not in stream.lines()[-1]


def test_the_last_state_is_drawn_on_the_way_out(terminal):
    stream = terminal()
    states = iter([three(), three(), three(100, draining=True)])
    shown(lambda _now: next(states), stream, seconds=0.1)
    assert "200/1,200" in stream.lines()[-1]
    assert "draining" in stream.lines()[-1]


@pytest.mark.parametrize("columns", [80, 140])
def test_a_note_stands_on_a_line_of_its_own_above_the_bars(terminal, columns):
    stream = terminal(columns=columns)
    told = {1: "SIGINT: no new calls", 3: "half of the budget is spent"}

    def observe(now):
        if text := told.pop(int(now), None):
            note(text, stream)
        return Progress((of("legal", int(10 * now)), of("sales", int(5 * now))), 0)

    shown(observe, stream, seconds=5.05)
    first, second, *bars = stream.screen()[0]
    assert (first, second) == ("note: SIGINT: no new calls", "note: half of the budget is spent")
    assert [bar.split()[0] for bar in bars] == ["legal", "sales", "total"]
    assert all(bar.count("|") == 2 for bar in bars)


def test_where_no_bars_are_drawn_a_note_is_a_line():
    stream = io.StringIO()
    note("half of the budget is spent", stream)
    assert stream.getvalue() == "note: half of the budget is spent\n"


def test_an_endpoints_words_move_no_cursor_and_make_no_line_of_their_own():
    stream = io.StringIO()
    note("parked: legal: \x1b[2Jno\nnote: all is well", stream)
    assert stream.getvalue() == "note: parked: legal: �[2Jno�note: all is well\n"


def test_what_a_terminal_shows_of_a_key_moves_no_bar(terminal):
    stream = terminal(columns=80)
    columns = []

    def observe(now):
        columns.append(stream.screen()[1])
        return Progress((of("legal", int(10 * now)),), 0)

    shown(observe, stream, seconds=2.05)
    assert len(columns) > 5
    assert not any(columns[2:]), "once the first bars are drawn"


def test_drawing_takes_no_more_than_a_twentieth_of_the_time_however_large_the_run_is(terminal):
    looks = 0

    def seen_slowly(_now):
        nonlocal looks
        looks += 1
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.pass_by(0.25)
        return three()

    shown(seen_slowly, terminal(), seconds=52)
    assert looks == 1 + 10 + 1  # To measure the bars by, every five and a quarter seconds, and on the way out.


def test_a_workspace_and_a_run_without_rows_are_drawn_too(terminal):
    stream = terminal()
    shown(lambda _now: Progress((of("空", rows=0, in_flight=0),), 0), stream, seconds=1)
    assert len(stream.lines()) == 2


# A stream that is gone


@pytest.mark.parametrize("terminal", [True, False])
def test_a_stream_that_is_gone_ends_the_drawing_and_not_the_run(terminal):
    stream = Gone(terminal=terminal)
    assert not shown(lambda _now: three(), stream, seconds=100), "it ended by itself"
    assert stream.refused


def test_reading_the_input_is_told_in_a_line_every_so_often_where_there_is_no_terminal():
    stream, now = io.StringIO(), [0.0]
    bar = ReadingBar(stream, lambda: now[0])
    for second in range(40):
        now[0] = float(second)
        bar.show(second * 1_000_000, 60_000_000)
    bar.close()
    assert stream.getvalue() == "reading the input: 15 of 60 MB\nreading the input: 30 of 60 MB\n"


def test_reading_the_input_is_a_bar_on_a_terminal_and_leaves_nothing_behind():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    bar = ReadingBar(stream)
    assert bar._bar is not None
    bar._bar.delay = 0.0
    bar._bar.mininterval = 0.0
    bar.show(30_000_000, 60_000_000)
    assert "reading the input:  50%" in stream.getvalue()
    bar.close()
    bar.close()
    assert not stream.getvalue().rsplit("\r", 2)[-2].strip()


def test_rows_that_failed_and_those_that_wait_for_another_try_are_seen_while_the_run_goes_on(terminal):
    troubled = Progress((WorkspaceProgress("legal", 100, 40, 2, throttled=False, failed=3, to_retry=1200),), 0)
    stream = terminal(columns=80)
    shown(lambda _now: troubled, stream, seconds=1)
    assert "40/100, 2 in flight, 3 failed, 1,200 to retry" in stream.lines()[0]
    assert ", 3 failed" in stream.lines()[-1]
    log = io.StringIO()
    shown(lambda _now: troubled, log, seconds=LINE_EVERY + 1)
    assert "2 in flight, 3 failed, 1,200 to be tried again" in log.getvalue()


def test_rows_that_could_not_be_read_are_seen_and_nobody_waits_for_them(terminal):
    cut = Progress((WorkspaceProgress("legal", 100, 40, 2, throttled=False, unread=58),), 0)
    stream, log = terminal(columns=80), io.StringIO()
    shown(lambda _now: cut, stream, seconds=1)
    assert "40/100, 2 in flight, 58 not read" in stream.lines()[0]
    shown(lambda _now: cut, log, seconds=LINE_EVERY + 1)
    assert log.getvalue().startswith("40 of 100 rows (40.0 %), 0.0 rows/s, 0 tokens/s, 2 in flight, 58 rows not read\n")
    assert Rate(0, Progress((), 0)).left(10, cut) == 2 / 4, "of the two in flight, at four a second"


def test_on_a_terminal_notes_and_results_are_broken_between_words_and_elsewhere_they_are_lines(terminal, monkeypatch, capsys):
    narrow = terminal(columns=24)
    note("parked: legal, 12 rows: check the key of legal", narrow)
    assert narrow.getvalue() == "note: parked: legal, 12\nrows: check the key of\nlegal\n"
    note("parked: legal, 12 rows: check the key of legal", plain := io.StringIO())
    assert plain.getvalue() == "note: parked: legal, 12 rows: check the key of legal\n"
    for said in (tell, say):
        with monkeypatch.context() as patched:
            patched.setattr("sys.stdout", told := terminal(columns=24))
            said("go on with: batchrun run jobs/departments.toml")
        assert told.getvalue() == "go on with: batchrun run\njobs/departments.toml\n"
        said("go on with: batchrun run jobs/departments.toml")
        assert capsys.readouterr().out == "go on with: batchrun run jobs/departments.toml\n"


def test_a_terminal_that_does_not_know_its_size_is_drawn_on_as_one_that_is_none():
    first, second = os.openpty()
    with os.fdopen(first, "rb"), os.fdopen(second, "w") as terminal:
        assert size_of(terminal) == size_of(io.StringIO())
        termios.tcsetwinsize(second, (7, 33))
        assert size_of(terminal) == os.terminal_size((33, 7))
