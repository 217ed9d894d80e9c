"""Tables on a terminal: whole where there is room, closer where there is less, folded where there is little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.columns import width
from batchrun.report.drawn import drawn, ruled

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


@pytest.mark.parametrize("room", [10, 16])
def test_a_table_with_one_name_a_line_is_not_folded(room):
    lines = [["day", "calls"], ["2026-11-24", "1,200"], ["total", "1,200"]]
    rule = "─" * room
    assert ruled(lines, {0}, room) == ["day        calls", rule, "2026-11-24 1,200", rule, "total      1,200"]


@given(st.lists(st.tuples(st.text(st.characters(categories=["L"]), min_size=1, max_size=9), st.sampled_from(["a", "bb"])), min_size=1))
def test_whatever_the_room_every_line_is_there_with_its_numbers_under_one_another(names):
    lines = [["w", "m", "n"], *([*name, str(number)] for number, name in enumerate(names)), ["total", "", str(len(names))]]
    for room in (None, 1, 12, 20):
        told = ruled(lines, {0, 1}, room)
        ends = [line for line in told if line[-1:].isdigit()]
        assert [line.split()[-1] for line in ends] == [*map(str, range(len(names))), str(len(names))]
        assert len({width(line) for line in ends}) == 1


def test_a_table_of_nothing_but_its_total_has_one_rule():
    assert ruled([["day", "calls"], ["total", "0"]], {0}) == ["day    calls", "─" * 12, "total      0"]


def test_words_begin_at_their_left_and_numbers_end_at_their_right():
    assert drawn([["a", "1", "word"], ["bb", "22", "w"]], {0, 2}) == ["a    1  word", "bb  22  w"]
