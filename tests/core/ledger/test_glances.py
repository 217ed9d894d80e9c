"""What is glanced at in a log is what a close look at each of its lines tells: calls known by either are the same, part for part."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import (
    Bound,
    Line,
    Promise,
    ReadIn,
    closed_line,
    ended_line,
    opened_line,
    promised_line,
    read_attempt,
    started_line,
)  # fmt: skip
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.glances import glances, line_of
from batchrun.core.ledger.glancing import Blocks
from batchrun.core.ledger.seal import sealed
from batchrun.core.model import Failure, Fault, Reply, Row, Scope, Usage
from tests.core.ledger.folded import known_of

AT = 1793541600.25
MOST = Bound(10, 20)
USAGE = Usage(3, 4, raw={"prompt_tokens": 3})
ANSWER, UNTOLD = Reply("yes", "stop", USAGE), Reply("yes", "stop", None)
BUSY = Failure(Fault.AGAIN, Scope.ROW, "ServiceUnavailable", "busy", "wait", status=503)
BROKEN = Failure(Fault.AGAIN, Scope.ROW, "reset", "torn", "wait", in_doubt=True)
PAID = Failure(Fault.REJECT, Scope.ROW, "misfit", "no", "mend", status=200, usage=USAGE)


class Text:
    """A log as it stands, in blocks of a few lines."""

    def __init__(self, lines: list[bytes], together: int) -> None:
        self.lines = lines
        self.together = together

    def __iter__(self) -> Iterator[Line]:
        yield from map(read_attempt, self.lines)
        yield from self.after_blocks()

    def blocks(self) -> Iterator[bytes]:
        lines = iter(self.lines)
        while some := [*islice(lines, self.together)]:
            yield b"".join(some)

    def after_blocks(self) -> Iterator[Line]:
        yield ReadIn("this-start")


def start(name, row="r-1", workspace="legal", model="qwen-plus", at=AT, most=MOST):
    return started_line(name, at, Row(row, workspace, model, {}, "0" * 16), most)


def end(name, verdict="answered", result=ANSWER, at=AT):
    return ended_line(name, at, verdict, result)


names = st.builds("{}-{}".format, st.sampled_from([1, 1, 1, 2, 3]), st.integers(1, 9)) | st.sampled_from(
    ["1-0", "01-1", "1-01", "1-999999999", "1-2000000", "1234567890-1", "1-1234567890", "x-1", "1", "", "1-1-1", "²-1"]
)
texts = st.sampled_from(["r-1", "r-2", "r-3", "行-1", "naïve", 'a "quoted" one', "back\\slash", "", "\x7f", "line\u2028end", "\x00"])
moments = st.sampled_from([AT, 0.0, 1e22, 1.5e-7, -1.0, 12, 1793541600.1234567])
counts = st.sampled_from([0, 1, 700, 2**40, 10**17])
starts = st.builds(start, names, texts, st.sampled_from(["legal", "法务"]), texts, moments, st.builds(Bound, counts, counts))
plain_starts = st.builds(start, names, texts)
verdicts = [("answered", ANSWER), ("answered", UNTOLD), ("again", BUSY), ("again", BROKEN), ("rejected", PAID), ("parked", BUSY)]
ends = st.builds(lambda name, told, at: end(name, told[0], told[1], at), names, st.sampled_from(verdicts), moments)
plain_ends = st.builds(end, names)
others = st.one_of(
    st.builds(opened_line, st.integers(1, 4), st.just(AT), st.sampled_from([None, "this-start", "another"])),
    st.builds(lambda calls: promised_line([Promise("legal", "qwen-plus", calls, 500, 900)], AT), st.integers(0, 30)),
    st.just(closed_line(AT)),
    st.sampled_from([b"\n", b"\0\0\0\n", b"{}\n", b"not json\n", b"\r\n", sealed(b'{"start":"1-1"}'), sealed(b'{"end":"1-1","at":1.0}')]),
)
whole = st.one_of(plain_starts, plain_starts, plain_ends, plain_ends, starts, ends, others)


MEMORY = [line for opening in (1, 2, 3) for line in (start(f"{opening}-20"), end(f"{opening}-20"))]
"""After which there is room for what is known of the calls of each opening."""


@st.composite
def changed(draw):
    """A line of which a byte was lost, doubled or made another, its seal as it was or made for it."""
    line = draw(st.one_of(plain_starts, plain_ends, starts, ends))
    place = draw(st.integers(0, len(line) - 2))
    put = draw(st.sampled_from([b"", b"1", b'"', b"\\", b"\xff", b"\x00", b" ", b",", b"}", b"x"]))
    line = line[:place] + put + line[place + draw(st.integers(0, 1)) :]
    if draw(st.booleans()) and line.count(b',"crc32":"') == 1:
        line = sealed(line.partition(b',"crc32":"')[0] + b"}")
    return line.replace(b"\n", b"") + b"\n"


def told(known: Calls) -> dict[str, object]:
    """All that calls know, part for part, but for what they were read from."""
    parts = {name: part for name, part in vars(known).items() if name not in {"_log", "_numbered"}}
    order = [*known._open], [*known._numbered.openings]
    attempts = known_of(known), [each.opening for each in known._numbered.openings.values()]
    under_way = {name: (begun, where and where.opening, at) for name, (begun, where, at) in known._open.items()}
    return parts | {"_openings": attempts, "_open": under_way, "order": order}


@settings(max_examples=400)
@given(st.lists(st.one_of(whole, whole, changed()), max_size=40), st.integers(1, 12), st.booleans(), st.booleans())
@example([start("1-1"), start("1-1"), end("1-1")], 9, False, True)
@example([start("1-1"), end("2-1")], 9, False, True)
@example([start("1-1").replace(b'"r-1"', b'"r-2"')], 9, False, True)
@example([start("1-1"), end("1-1").replace(b".25", b".5")], 9, False, True)
@example([opened_line(1, AT, "b"), start("1-1"), start("1-2"), end("1-1"), end("1-2"), start("1-1", "r-2")], 9, False, True)
@example([start("1-1"), start("2-1", "r-2"), end("1-1"), end("2-1"), start("1-2")], 9, False, True)
def test_calls_glanced_at_are_known_as_those_that_were_read_line_by_line(lines, together, last_line_is_whole, begun_before):
    if lines and last_line_is_whole:
        lines[-1] = lines[-1].removesuffix(b"\n") or b"\0"
    text = Text([*(MEMORY if begun_before else ()), *lines], together)
    assert isinstance(text, Blocks)
    glanced, read = Calls(), Calls()
    glanced.take_all(text)
    for _ in read.take(text):
        pass
    assert told(glanced) == told(read)
    for number in range(1, 4):
        entry = Entry("r-1", "legal", "qwen-plus", "answered", "0" * 16, f"1-{number}", USAGE)
        assert glanced.wrong(entry) == read.wrong(entry)
    assert [*glanced.in_doubt()] == [*read.in_doubt()]
    assert glanced.suspects() == read.suspects()


@given(st.lists(st.one_of(whole, changed()), max_size=12))
def test_no_line_is_lost_at_a_glance_and_none_is_made(lines):
    found = glances(b"".join(lines))
    seen = [other or line_of(text, seal) for text, *_, seal, other in found]
    assert seen == lines


@given(st.lists(st.one_of(plain_starts, plain_ends, starts, ends, others), max_size=40))
def test_rows_are_as_suspect_for_whoever_asks_late_as_for_whoever_asked_first(lines):
    early, late = Calls(), Calls()
    early.suspects()
    for line in lines:
        early.take_all([read_attempt(line)])
        late.take_all([read_attempt(line)])
    assert early.suspects() == late.suspects()


@pytest.mark.parametrize("workspace", ["legal", "法务"])
def test_usual_lines_are_not_read_as_json(workspace, monkeypatch):
    lines = [line for number in range(1, 50) for line in (start(f"1-{number}", f"行-{number}", workspace), end(f"1-{number}"))]
    read = []

    def noted(line: bytes) -> Line:
        read.append(line)
        return read_attempt(line)

    monkeypatch.setattr("batchrun.core.ledger.glancing.read_attempt", noted)
    calls = Calls()
    calls.take_all(Text(lines, 1000))
    assert len(read) < 12, "the first, and where memory is set aside for more"
    assert bytes(calls._numbered.openings[1].marks[1:50]) == b"\1" * 49
