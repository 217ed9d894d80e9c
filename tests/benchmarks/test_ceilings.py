"""What can be had of a quota of tokens; `python -m tests.benchmarks.limits --informed` tells it of every bar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.simulator.quotas import Caps, Meter
from tests.benchmarks.bars import changed, known_tokens, seen, tokens, unknown
from tests.benchmarks.clairvoyant import admitted, clairvoyant
from tests.benchmarks.informed import informed
from tests.benchmarks.play import Play, Taken

KINDS = ("sliding", "aligned")
COSTS = st.lists(st.integers(1, 100), min_size=1, max_size=60)
WAITS = st.lists(st.integers(0, 40), min_size=60, max_size=60)
STEP = 1 / 16


def somebody(caps, costs, waits):
    """When each row comes of one who keeps the order and waits as long as he pleases, and then tries at every step until it is taken."""
    meter, now = Meter(caps), 0.0
    for cost, wait in zip(costs, waits, strict=False):
        now += wait * STEP
        while meter.refuses(now, cost):
            now += STEP
        meter.count(now, cost, now)
        yield Taken(now, cost)


@given(COSTS, WAITS, st.integers(0, 59), st.sampled_from(KINDS), st.sampled_from((1, 6)))
def test_nobody_has_a_row_taken_earlier_than_the_clairvoyant_has_those_of_the_same_order(costs, waits, first, kind, period):
    caps = Caps(tokens=120, token_period=period, window=kind)
    went = list(somebody(caps, costs, waits))
    before, span = went[:first], went[first:]
    since = before[-1].at if before else 0.0
    ahead = admitted(caps, [cost for _, cost in span], since, before)
    assert all(best.at <= other.at for best, other in zip(ahead, span, strict=True))


@given(COSTS, WAITS, st.integers(0, 59), st.sampled_from(KINDS), st.sampled_from((1, 6)))
def test_the_provider_takes_each_row_when_the_clairvoyant_sends_it(costs, waits, first, kind, period):
    caps = Caps(tokens=120, token_period=period, window=kind)
    before = list(somebody(caps, costs[:first], waits))
    meter = Meter(caps)
    for at, cost in before:
        meter.count(at, cost, at)
    for at, cost in admitted(caps, costs[first:], before[-1].at if before else 0.0, before):
        assert meter.refuses(at, cost) is None
        meter.count(at, cost, at)


BARS = [
    *(known_tokens(1_000_000, 6, kind, "admission", 4.0) for kind in KINDS),
    *(unknown(tokens(100_000, 60, kind), "100000 tpm, 60 s", 1.0) for kind in KINDS),
    *(bar for kind in KINDS for bar in changed(tokens(300_000, 6, kind), "300000 tpm, 6 s")),
]


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: bar.name)
def test_no_line_of_the_table_is_above_its_ceiling(bar):
    play = Play(bar.world)
    report = play.run()
    assert seen(bar, report).used <= clairvoyant(bar, report) <= 1 + bar.world.caps.token_period / (report.finished - bar.since)


def test_who_knows_the_quota_uses_more_than_who_finds_it_and_no_more_than_who_knows_the_rows():
    bar = unknown(tokens(100_000, 60), "100000 tpm, 60 s", 1.0)
    play = Play(bar.world)
    report = play.run()
    knowing, others = informed(bar, play.drawn)
    assert knowing.refused <= bar.refused
    assert seen(bar, report).used < knowing.used <= clairvoyant(bar, others)
