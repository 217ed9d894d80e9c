from __future__ import annotations

import subprocess
import sys
import time

import orjson
import pytest

from batchrun.core.protocols.json_body import Document, Unreadable, parse
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.core.rows.rows import Inherited, NotARow, read_line
from batchrun.core.rows.weight import MOST_WEIGHT, too_heavy, weight

_LARGEST = 16 << 20
_UNITS = {
    "empty lists": b"[]",
    "objects of one": b'{"":0}',
    "lists in a hundred lists": b"[" * 100 + b"]" * 100,
    "short texts": b'"ab"',
    "signs beyond the first plane": '"😀"'.encode(),
}
_MEASURE = """
import sys
from batchrun.core.protocols.json_body import parse
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
unit = sys.stdin.buffer.read()
body = b'{"choices": [' + b",".join([unit] * (int(sys.argv[1]) // (len(unit) + 1) - 20)) + b"]}"
before = resident()
kept = parse(body)
print(type(kept).__name__, resident() - before)
"""


@pytest.mark.parametrize("unit", _UNITS.values(), ids=_UNITS.keys())
def test_no_answer_takes_more_memory_than_two_answers_worth_of_values(unit):
    told = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(_LARGEST)], input=unit, capture_output=True, check=True, timeout=60
    ).stdout.split()  # fmt: skip
    assert int(told[1]) < 2 * MOST_WEIGHT, told


def test_the_shortest_text_that_weighs_too_much_is_not_passed_over_for_its_length():
    most = MOST_WEIGHT // weight(b"{},")
    assert not too_heavy(b"[%b{}]" % (b"{}," * (most - 2)))
    assert too_heavy(b"[%b{}]" % (b"{}," * (most + 1)))


def test_what_stands_in_strings_weighs_nothing():
    text = orjson.dumps({"choices": [orjson.dumps([[], {}, [{"a": 1}]] * 400_000).decode()]})
    assert weight(text) > MOST_WEIGHT
    assert not too_heavy(text)
    assert isinstance(parse(text), Document)


def test_log_probabilities_of_eight_thousand_tokens_are_taken():
    other = {"token": " the", "logprob": -0.0012345, "bytes": [32, 116, 104, 101]}
    token = {**other, "top_logprobs": [other] * 20}
    body = orjson.dumps({"choices": [{"logprobs": {"content": [token] * 8_000}}]})
    assert len(body) > 8 << 20
    assert isinstance(parse(body), Document)


def test_a_body_that_is_too_heavy_is_told_as_such_before_it_is_read():
    began = time.thread_time()
    assert parse(b'{"a": [' + b"[]," * 5_000_000 + b"0]}") == Unreadable("too_many_values")
    assert time.thread_time() - began < 2


def test_a_line_of_lists_in_lists_is_no_row():
    deep = b"[" * 100 + b"]" * 100
    line = b'{"prompt": "x", "metadata": [' + b",".join([deep] * 40_000) + b"]}"
    assert read_line(line, {"w": Inherited("m", {}, b"")}, "w") == NotARow("its values would take more than 128 MiB of memory")


@pytest.mark.parametrize(
    "delta",
    [
        {"delta": {"tool_calls": [{"index": "N"}]}},
        {"index": "N"},
        {"delta": {"N": []}},
        {"delta": {"content": ""}, "logprobs": {"content": [{}] * 50}},
        {"delta": {"audio": {"N": []}}},
        {"delta": {"content": "ab"}},
    ],
)
def test_what_is_kept_of_a_stream_is_weighed(delta):
    """In a thousand events, with a new name or index in each, that are six hundred thousand bytes and more: or next to nothing is kept."""
    reading, kept = Reading(OPENAI.dialect, {}), 0
    said = orjson.dumps({"choices": [delta] * 20})
    for number in range(1000):
        told = said.replace(b'"N":', b'"n%d":' % number).replace(b'"N"', b"%d" % number)
        reading.feed(b"data: " + told + b"\n\n")
        assert reading.weight() >= kept
        kept = reading.weight()
    assert kept > 600_000 or kept <= 70 * 1024


def test_a_plain_body_in_small_pieces_is_put_together_when_it_is_weighed():
    reading = Reading(OPENAI.dialect, {})
    for _ in range(1000):
        reading.feed(b'{"')
    assert reading.weight() == 2000
    assert len(reading._pieces) == 1
