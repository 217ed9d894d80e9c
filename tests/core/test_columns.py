"""Text on a terminal: how wide it stands, and where its lines are broken."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.columns import folded, width

WORDS = st.text(st.sampled_from("abc,.-=预算"), min_size=1, max_size=12)
LINES = st.builds(
    lambda indent, words, gaps: " " * indent + "".join(word + " " * gap for word, gap in zip(words, gaps, strict=False)).rstrip(" "),
    st.integers(0, 4),
    st.lists(WORDS, max_size=20),
    st.lists(st.sampled_from([1, 1, 1, 2, 5]), min_size=20, max_size=20),
)


@given(st.lists(LINES, min_size=1, max_size=4), st.integers(8, 80))
def test_lines_are_broken_between_words_alone_and_none_is_wider_that_need_not_be(lines, columns):
    for line in lines:
        told = folded(line, columns).split("\n")
        assert [word for part in told for word in part.split()] == line.split()
        indent = len(line) - len(line.lstrip(" "))
        for part in told:
            assert width(part) <= columns or len(part.split()) == 1
            assert not part.strip(" ") or len(part) - len(part.lstrip(" ")) == indent
        for part, after in pairwise(told if "  " not in line.strip(" ") else ()):
            assert width(part) + 1 + width(after.split()[0]) > columns, "it had room for one more"
    assert folded("\n".join(lines), columns) == "\n".join(folded(line, columns) for line in lines)


def test_a_mark_upon_a_letter_takes_no_column():
    assert [width(text) for text in ("ฝ่ายกฎหมาย", "ที่ปรึกษา", "e\u0301", "预算", "한국", "שיווק", "مَكتب")] == [9, 6, 1, 4, 4, 5, 4]


def test_what_fits_stays_as_it_is_and_a_command_that_does_not_is_whole_in_a_line_of_its_own():
    assert folded("  a  table   row  ", 20) == "  a  table   row  "
    assert folded("go on with: batchrun/a/very/long/path and so on", 14) == "go on with:\nbatchrun/a/very/long/path\nand so on"
    assert folded("a table by: python3 -c 'a = b; c(d)', it's said", 16) == "a table by:\npython3 -c 'a = b; c(d)',\nit's said"
    assert folded("", 8) == ""
    assert folded("预算 已花费", 8) == "预算\n已花费"
