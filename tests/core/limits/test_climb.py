"""How a rate that was found climbs: a step, kept up for a window, and then by the cube of the seconds; while it is used, and no further."""

from __future__ import annotations

from math import inf

import pytest

from batchrun.core.limits.buckets import Trail
from batchrun.core.limits.climb import Climb
from batchrun.core.limits.use import Use

HELD = 10.0


def climbing(seconds: float, *, sent: float = 1.0, answered: float = 1.0, quota: float = inf) -> tuple[Climb, list[float]]:
    """A climb of so many *seconds*, a tenth of one at a time, of which such a share is sent and answered; and its rates."""
    climb, rates = Climb(quota), []
    for tenth in range(-200, round(10 * seconds) + 1):
        now = tenth / 10
        if tenth == -200:
            climb.hold(now, HELD)
            climb.until = 0.0
        rates.append(climb.rate(now))
        if rates[-1] < inf:
            climb.use.trail.add(now, sent * rates[-1] / 10)
            climb.use.taken.add(now, answered * rates[-1] / 10)
    return climb, rates[200:]


def test_a_climb_is_a_step_of_a_few_percent_for_one_window_and_then_twice_as_much_in_twenty_one_seconds():
    climb, rates = climbing(40.0)
    window = climb.windows.window
    assert rates[0] == HELD
    during = rates[5 : round(10 * window)]
    assert set(during) == {during[0]}
    assert 1.03 * HELD <= during[0] <= 1.06 * HELD
    assert rates[round(10 * (window + 21))] == pytest.approx(2 * HELD, rel=0.05)


def test_the_rate_of_seconds_ago_is_what_it_climbed_from_and_never_less_than_what_was_held():
    climb, rates = climbing(30.0)
    assert climb.before(0.0) == rates[-1]
    assert climb.before(5.0) == pytest.approx(rates[-51], rel=0.05)
    assert climb.before(100.0) == HELD


@pytest.mark.parametrize(("sent", "answered"), [(0.75, 1.0), (1.0, 0.3)])
def test_a_rate_that_is_not_sent_or_not_answered_does_not_climb(sent, answered):
    assert set(climbing(40.0, sent=sent, answered=answered)[1]) == {HELD}


def test_a_rate_of_which_a_tenth_is_not_sent_and_half_not_answered_does_climb():
    assert climbing(40.0, sent=0.9, answered=0.5)[1][-1] > 2 * HELD


def test_where_nobody_looked_for_longer_a_climb_goes_on_by_a_second():
    climb, _ = climbing(20.0)
    before = climb._climbed
    climb.use.trail.add(50.0, 1000.0)
    climb.use.taken.add(50.0, 1000.0)
    climb.rate(50.0)
    assert climb._climbed == before + 1.0


def test_a_climb_that_reaches_a_known_quota_is_over_and_that_one_holds_again():
    climb, rates = climbing(40.0, quota=12.0)
    assert max(rate for rate in rates if rate < inf) < 12.0
    assert rates[-1] == climb.held == inf
    assert climb.counted(40.0) == 12.0


def test_a_usual_attempt_costs_what_a_refused_one_did_only_until_something_is_answered():
    answers = Trail()
    use = Use(answers=answers)
    use.expect(500.0)
    assert use.typical == 500.0
    answers.add(1.0, 400.0)
    use.expect(9000.0)
    assert use.typical == 500.0
    of_one_each = Use()
    of_one_each.expect(500.0)
    assert of_one_each.typical == 1.0
