"""What can be had of a quota of tokens; `python -m tests.benchmarks.limits --informed` tells it of every bar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.simulator.quotas import Caps, Meter
from tests.benchmarks.bars import known_tokens, seen, tokens, unknown
from tests.benchmarks.clairvoyant import admitted, clairvoyant, used
from tests.benchmarks.informed import informed
from tests.benchmarks.play import Play

KINDS = ("sliding", "aligned")
COSTS = st.lists(st.integers(1, 100), min_size=1, max_size=60)
STEP = 1 / 16


def somebody(caps, costs, waits):
    """When each row comes of one who keeps the order and waits as long as he pleases, and then tries at every step until it is taken."""
    meter, now = Meter(caps), 0.0
    for cost, wait in zip(costs, waits, strict=False):
        now += wait * STEP
        while meter.refuses(now, cost):
            now += STEP
        meter.count(now, cost, now)
        yield now


@given(COSTS, st.lists(st.integers(0, 40), min_size=60, max_size=60), st.sampled_from(KINDS), st.sampled_from((1, 6)))
def test_nobody_who_keeps_the_order_has_a_row_taken_earlier_than_the_clairvoyant(costs, waits, kind, period):
    caps = Caps(tokens=120, token_period=period, window=kind)
    assert all(best <= other for best, other in zip(admitted(caps, costs), somebody(caps, costs, waits), strict=True))


@given(COSTS, st.sampled_from(KINDS), st.sampled_from((1, 6)))
def test_the_provider_takes_each_row_when_the_clairvoyant_sends_it(costs, kind, period):
    caps = Caps(tokens=120, token_period=period, window=kind)
    meter = Meter(caps)
    for at, cost in zip(admitted(caps, costs), costs, strict=True):
        assert meter.refuses(at, cost) is None
        meter.count(at, cost, at)


@given(COSTS, st.sampled_from(KINDS), st.sampled_from((1, 6)))
def test_a_ceiling_is_never_more_than_the_quota(costs, kind, period):
    caps = Caps(tokens=120, token_period=period, window=kind)
    assert 0 < used(caps, costs, list(admitted(caps, costs))) <= 1 + 1e-9


BARS = [
    *(known_tokens(1_000_000, 6, kind, "admission", 4.0) for kind in KINDS),
    known_tokens(1_000_000, 6, "sliding", "completion", 4.0),
    *(unknown(tokens(100_000, 60, kind), "100000 tpm, 60 s", 1.0) for kind in KINDS),
]


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: bar.name)
def test_no_line_of_the_table_is_above_its_ceiling(bar):
    play = Play(bar.world)
    assert seen(bar, play.run()).used <= clairvoyant(bar, play.drawn, play.report)


def test_who_knows_the_quota_uses_more_than_who_finds_it_and_no_more_than_who_knows_the_rows():
    bar = unknown(tokens(100_000, 60), "100000 tpm, 60 s", 1.0)
    play = Play(bar.world)
    report = play.run()
    knowing = informed(bar, play.drawn)
    assert knowing.refused <= bar.refused
    assert seen(bar, report).used < knowing.used <= clairvoyant(bar, play.drawn, report)
