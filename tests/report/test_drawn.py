"""Tables on a terminal: whole where there is room, closer where there is less, folded, then wrapped, where there is little."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.columns import width
from batchrun.core.money.price_list import shipped
from batchrun.report.drawn import drawn, ruled
from batchrun.report.prices import price_table

LINES = [
    ["workspace", "model", "answered", "CNY"],
    ["legal", "qwen-max", "35", "0.0236"],
    ["legal", "qwen-plus", "23", "0.0044"],
    ["客户支持与培训中心", "qwen-plus", "1,000", "12.0000"],
    ["total", "", "1,058", "12.0280"],
]


def test_a_table_for_which_there_is_room_is_as_wide_as_it_is():
    assert ruled(LINES, {0, 1}) == ruled(LINES, {0, 1}, room=48) == [
        "workspace           model      answered      CNY",
        "─" * 48,
        "legal               qwen-max         35   0.0236",
        "legal               qwen-plus        23   0.0044",
        "客户支持与培训中心  qwen-plus     1,000  12.0000",
        "─" * 48,
        "total                             1,058  12.0280",
    ]  # fmt: skip


def test_a_table_that_is_a_little_too_wide_is_drawn_closer_together():
    assert ruled(LINES, {0, 1}, room=47)[0] == "workspace          model     answered     CNY"
    assert max(map(width, ruled(LINES, {0, 1}, room=45))) == 45


def test_a_table_that_is_too_wide_has_each_workspace_once_above_its_models():
    assert ruled(LINES, {0, 1}, room=44) == [
        "workspace",
        "  model     answered     CNY",
        "─" * 28,
        "legal",
        "  qwen-max        35  0.0236",
        "  qwen-plus       23  0.0044",
        "客户支持与培训中心",
        "  qwen-plus    1,000 12.0000",
        "─" * 28,
        "total          1,058 12.0280",
    ]


def test_what_does_not_fit_stands_under_the_rest_in_columns_of_its_own():
    lines = [
        [*line[:2], *words]
        for line, words in zip(
            LINES, (["calls", "limited by"], ["36", "its slots"], ["9", ""], ["12", "its quota"], ["57", ""]), strict=True
        )
    ]
    lines = [[*line, each[3]] for line, each in zip(lines, LINES, strict=True)]
    assert ruled(lines, {0, 1, 3}, room=24) == [
        "workspace",
        "  model     calls",
        "    limited by     CNY",
        "─" * 22,
        "legal",
        "  qwen-max     36",
        "    its slots   0.0236",
        "  qwen-plus     9",
        "                0.0044",
        "客户支持与培训中心",
        "  qwen-plus    12",
        "    its quota  12.0000",
        "─" * 22,
        "total          57",
        "               12.0280",
    ]  # fmt: skip


@pytest.mark.parametrize("room", [10, 15])
def test_a_table_with_one_name_a_line_is_wrapped_without_being_folded(room):
    lines = [["day", "calls"], ["2026-11-24", "1,200"], ["total", "1,200"]]
    assert ruled(lines, {0}, 16) == ["day        calls", "─" * 16, "2026-11-24 1,200", "─" * 16, "total      1,200"]
    rule = "─" * 10
    assert ruled(lines, {0}, room) == ["day", "    calls", rule, "2026-11-24", "    1,200", rule, "total", "    1,200"]
    assert ruled(lines, {0}, 5)[2] == "─" * 5


def test_where_a_table_is_wrapped_what_is_empty_takes_no_line():
    lines = [["day", "calls", "limited by"], ["2026-11-24", "1,200", "rpm"], ["total", "1,200", ""]]
    rule = "─" * 16
    assert ruled(lines, {0, 2}, 16) == [
        *("day        calls", "    limited by", rule, "2026-11-24 1,200", "    rpm", rule, "total      1,200"),
    ]


NAME = st.text(st.characters(categories=["L"]), min_size=1, max_size=9)
LENGTHS = st.lists(st.integers(0, 9), min_size=9, max_size=9)


@given(st.lists(st.tuples(NAME, NAME, LENGTHS), min_size=1), st.integers(24, 120), st.booleans())
def test_whatever_the_room_no_line_is_wider_and_every_number_is_there_once_under_the_others_of_its_column(names, room, two):
    """Each number says which it is."""
    own = 2 if two else 1
    named = [["w", "m"], *([each, other] for each, other, _ in names), ["total", ""]]
    lengths = [[0] * 9, *(each for *_, each in names), [0] * 9]
    lines = [
        [*name[:own], *(f"{'9' * length}#{row}.{column};" for column, length in enumerate(each))]
        for row, (name, each) in enumerate(zip(named, lengths, strict=True))
    ]
    told = ruled(lines, range(own), room)
    assert max(map(width, told)) <= room
    found = [(*map(int, each.groups()), width(line[: each.end()])) for line in told for each in re.finditer(r"#(\d+)\.(\d+);", line)]
    assert [(row, column) for row, column, _ in found] == [(row, column) for row in range(len(lines)) for column in range(9)]
    assert len({(column, end) for _, column, end in found}) == 9


def test_a_table_of_nothing_but_its_total_has_one_rule():
    assert ruled([["day", "calls"], ["total", "0"]], {0}) == ["day    calls", "─" * 12, "total      0"]


def test_words_begin_at_their_left_and_numbers_end_at_their_right():
    assert drawn([["a", "1", "word"], ["bb", "22", "w"]], {0, 2}) == ["a    1  word", "bb  22  w"]


@pytest.mark.parametrize("room", [100, 80, 60, 40])
def test_the_list_of_prices_fits_its_terminal_and_no_price_is_lost(room):
    listed = [(row, Decimal("0.25")) for row in shipped()]
    told = price_table(listed, room).splitlines()
    sources = next(place for place, line in enumerate(told) if line.startswith("CNY, "))
    assert max(map(width, told[:sources])) <= room
    words = [sorted(word for word in each.split() if "─" not in word) for each in (price_table(listed), "\n".join(told))]
    assert words[0] == words[1]
