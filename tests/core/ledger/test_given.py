"""What is given of an output file's lines is what a closer look at each tells, and nothing of a line that is not as it was written."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial

from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchrun.core.ledger import given as giving
from batchrun.core.ledger.entry import Entry, NotAnEntryError
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.given import Given, given_of_read, look_at
from batchrun.core.ledger.seal import all_whole, is_whole, sealed
from batchrun.core.model import Answered, Call, Failure, Fault, Rejected, Reply, Row, Scope, Usage
from batchrun.core.rows.names import id_digest, row_crc

NOTHING = (0,) * 6
USUAL_ATTEMPT = re.compile(r"[1-9][0-9]{0,8}-[1-9][0-9]{0,8}", re.ASCII)
REPLY = Reply('He said: "yes"\n', "stop", Usage(10, 5, raw={"prompt_tokens": 10}), request_id="q")
BUSY = Failure(Fault.REJECT, Scope.ROW, "InvalidParameter", "no", "mend", status=400)


def answer(row_id="r-1", workspace="legal", model="qwen-plus", attempt="1-1", digest="0123456789abcdef", form="batchrun") -> bytes:
    row = Row(row_id, workspace, model, {}, digest, {"ticket": row_id})
    return write_entry(Answered(row, REPLY, Call(attempt, 1, 1793541600.25, 900)), form, raw=False)


def sealed_with(line: bytes, old: bytes, new: bytes) -> bytes:
    """Change a line and seal it as if it had been written so."""
    return sealed(line.partition(b',"crc32"')[0].replace(old, new, 1) + b"}")


usual = st.builds(
    answer, st.sampled_from(["r-1", "行-2", "\n", "x" * 300]), st.just("legal"), st.sampled_from(["qwen-plus", "max", ""]),
    st.builds("{}-{}".format, st.integers(1, 3), st.integers(1, 999_999_999)), st.from_regex(r"\A[0-9a-f]{16}\Z"),
)  # fmt: skip
odd = st.sampled_from(
    [
        answer(workspace="other"),
        answer(form="openai-batch"),
        *(answer(attempt=name) for name in ("", "1", "01-1", "1-1\n1-2", "1-²", "1-1000000000", "x-1")),
        *(answer(digest=digest) for digest in ("", "0" * 15, "0" * 17, "0123456789ABCDEF", "0123456789abcde ", "0123456789abcdeg")),
        write_entry(Rejected(Row("r-1", "legal", "max", {}, "0" * 16), BUSY, Call("1-1", 1, 1.0, 1)), "batchrun", raw=False),
        *(sealed_with(answer(), b'"r-1"', other) for other in (b"1", b"null", b'["r-1"]', b'"\\ud800"')),
        *(sealed_with(answer(), b'"qwen-plus"', other) for other in (b"1", b"{}")),
        *(sealed_with(answer(), b'"legal"', other) for other in (b"true", b"[]")),
        *(sealed_with(answer(), old, b'"x":') for old in (b'"metadata":', b'"attempt":', b'"digest":')),
        sealed_with(answer(), b'"id":"r-1"', b'"id":"r-1","outcome":"answered"'),
        sealed_with(answer(), b"{", b"["),
        sealed_with(answer(), b'"id":', b'"id":"r-9","id":'),
        answer().replace(b"\n", b"\r\n"),
        *(b"", b"\n", b"{}\n", b"null\n", b"not json\n", b"\xff\n", sealed(b"[1}")),
    ]
)


@st.composite
def changed(draw):
    """A line of which a byte was lost, doubled or made another, its seal as it was or made for it."""
    line = draw(usual)
    place = draw(st.integers(0, len(line) - 2))
    line = line[:place] + draw(st.sampled_from([b"", b"1", b'"', b"\\", b"\xff", b"\x00", b" "])) + line[place + draw(st.integers(0, 1)) :]
    return sealed(line.partition(b',"crc32"')[0] + b"}") if draw(st.booleans()) else line


def told(line: bytes) -> tuple[object, ...]:
    """What a closer look says is to be given of a line of ``legal``, its model by name."""
    try:
        entry = look_at(line)
    except NotAnEntryError:
        return NOTHING
    if not is_usual(entry, line):
        return NOTHING
    return numbers(entry)


def numbers(entry: Entry) -> tuple[object, ...]:
    opening, _, call = (entry.attempt or "").partition("-")
    row = row_crc("legal", entry.id), id_digest("legal", entry.id), int(entry.digest, 16)
    return *row, int(opening), int(call), entry.model


def is_named(entry: Entry) -> bool:
    named = USUAL_ATTEMPT.fullmatch(entry.attempt or "") and re.fullmatch("[0-9a-f]{16}", entry.digest)
    return bool(named and entry.workspace == "legal")


def is_usual(entry: Entry, line: bytes) -> bool:
    own = b'"outcome":' not in line and b'"custom_id":' not in line and line.endswith(b"\n")
    return bool(own and is_named(entry) and not entry.unknown and b'"crc32":' in line and is_whole(line) and not line.endswith(b"\r\n"))


def shown(found: Given) -> list[tuple[object, ...]]:
    return [(*each[:5], found.models[each[5]]) if each[0] else each for each in found]


@settings(max_examples=300)
@given(st.lists(st.one_of(usual, usual, odd, changed()), max_size=30), st.sampled_from([(128, 8, 1), (4, 1), (1,)]))
@example([answer(), answer(attempt="1-1\n1-2"), answer()], (128, 8, 1))
def test_what_is_given_of_lines_is_what_a_closer_look_at_each_tells(lines, at_once):
    found = Given()
    giving._give(found, partial(found.take, "legal"), lines, *at_once)
    assert shown(found) == [told(line) for line in lines]
    again = Given.of(found.packed())
    assert (again.models, [*again]) == (found.models, [*found])


@given(st.lists(st.one_of(usual, usual, odd, changed()), max_size=30))
def test_what_is_given_of_entries_is_what_each_tells_whatever_it_says_of_its_row(lines):
    entries = []
    for line in lines:
        with suppress(NotAnEntryError):
            entries.append(read_entry(line))
    assert shown(given_of_read("legal", entries)) == [numbers(entry) if is_named(entry) else NOTHING for entry in entries]


@given(st.lists(st.one_of(usual, odd, changed()), max_size=8))
def test_lines_are_whole_together_where_each_of_them_is(lines):
    assert all_whole(lines) == all(is_whole(line) and line[-22:].count(b"\r") == 0 for line in lines)


def test_of_a_workspace_that_no_line_can_name_no_line_is_given():
    assert [*giving.given("\udcff", [answer()])] == [NOTHING]


def test_what_is_given_comes_in_parts_whose_lines_are_at_hand():
    lines = [answer(f"r-{number}") for number in range(giving.TOGETHER + 5)]
    found = [*giving.parts("legal", lines)]
    assert [len(part.given) for part in found] == [giving.TOGETHER, 5]
    assert found[1].line(4) == lines[-1]
