"""How many calls a provider takes at once: found, used to the last, shared by weight, each in virtual time; and one limit by itself."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from gc import get_referents, is_tracked
from sys import getsizeof

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.at_once import AtOnce
from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.scheduling.holds import Hold, What, Whose, hold_of
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import LanePlan, Scheduler, Ticket, Verdict
from tests.laboratory import Events, Result, answer, ended, lane, launched

BUSY = Failure(Fault.THROTTLED, Scope.LANE, "Throttling.Concurrency", "the provider's words", "wait")


class Capped:
    """Refuses what is more than so many at once, of all or of one workspace; and *noise* of the others by chance.

    An answer takes *seconds*, or half more or less. *then* is how many are taken from some moment on.
    """

    def __init__(
        self, most: float, noise: float = 0.0, seconds: float = 1.0, refusal: Failure = BUSY, *,
        own: Mapping[str, int] | None = None, then: tuple[float, float] = (math.inf, 0.0), seed: int = 5,
    ) -> None:  # fmt: skip
        self.dice = random.Random(seed)
        self.most, self.noise, self.seconds, self.refusal = most, noise, seconds, refusal
        self.own, self.then = own or {}, then
        self.ends: list[tuple[float, str]] = []
        self.under_way: Counter[str] = Counter()
        self.events: Events | None = None
        self.refused = self.calls = 0
        self.busy: defaultdict[str, float] = defaultdict(float)
        """Seconds of slots, by workspace, of what began in the last nine tenths of a play."""
        self.since = 0.0

    def __call__(self, ticket: Ticket) -> tuple[Result, float]:
        assert self.events is not None
        now, name = self.events.now, ticket.workspace
        while self.ends and self.ends[0][0] <= now:
            self.under_way[heapq.heappop(self.ends)[1]] -= 1
        self.calls += 1
        most = self.then[1] if now >= self.then[0] else self.most
        if len(self.ends) >= most or self.under_way[name] >= self.own.get(name, math.inf) or self.dice.random() < self.noise:
            self.refused += 1
            return self.refusal, 0.05
        seconds = self.seconds * self.dice.uniform(0.5, 1.5)
        heapq.heappush(self.ends, (now + seconds, name))
        self.under_way[name] += 1
        self.busy[name] += seconds if now >= self.since else 0.0
        return Reply("an answer", "stop", Usage(10, 100)), seconds

    def play(self, lanes: list[LanePlan], answers: float) -> float:
        """Go on for the time of so many answers, one after the other; the calls that were under way in the mean, after a tenth of it."""
        until = answers * self.seconds
        self.since = until / 10
        self.events = Events(Scheduler(lanes, RetryPolicy()), self)
        self.events.run(until)
        return sum(self.busy.values()) / (until - self.since)

    @property
    def refused_share(self) -> float:
        return self.refused / self.calls


def sharing(weights: list[float], *, rows: int = 1_000_000, slots: int = 64) -> list[LanePlan]:
    """Lanes of one account."""
    return [replace(lane(f"w{number}", rows, slots, account="one"), weight=weight) for number, weight in enumerate(weights)]


@pytest.mark.parametrize("seconds", [1.0, 10.0, 60.0, 1800.0])
@pytest.mark.parametrize("most", [1, 5, 16, 40])
def test_a_cap_on_calls_at_once_is_used_to_the_last_however_long_answers_take(most, seconds):
    endpoint = Capped(most, seconds=seconds)
    assert endpoint.play([lane(rows=1_000_000, slots=64)], 400) >= 0.98 * most
    assert endpoint.refused <= 0.03 * endpoint.calls + 60


def fairness(endpoint: Capped, weights: list[float]) -> float:
    """Of what each had for its weight (Jain, Chiu and Hawe, 1984): 1 where it is the same, 1/n where one has all."""
    had = [endpoint.busy[f"w{number}"] / weight for number, weight in enumerate(weights)]
    return sum(had) ** 2 / len(had) / sum(each * each for each in had)


@pytest.mark.parametrize(("seconds", "seed"), [(2.0, 1), (60.0, 2), (1800.0, 1)])
@pytest.mark.parametrize(
    ("most", "weights"), [(4, [1.0, 1.0]), (16, [1.0] * 4), (16, [1.0, 2.0, 3.0, 1.0]), (60, [1.0, 2.0, 3.0]), (20, [1.0, 3.0] * 10)]
)
def test_workspaces_share_a_cap_on_calls_at_once_by_their_weights_and_use_all_of_it(most, weights, seconds, seed):
    endpoint = Capped(most, seconds=seconds, seed=seed)
    assert endpoint.play(sharing(weights), 300) >= 0.98 * most
    assert fairness(endpoint, weights) >= 0.98
    assert endpoint.refused <= 0.05 * endpoint.calls + 60


@pytest.mark.parametrize("seconds", [2.0, 1800.0])
@pytest.mark.parametrize(
    ("most", "own"), [(math.inf, [5, 5]), (math.inf, [5, 10, 64]), (math.inf, [16] * 4), (60, [5, 64, 64, 64]), (60, [30] * 4)]
)
def test_a_cap_of_a_workspaces_own_holds_back_no_other_whoever_has_one_too(most, own, seconds):
    endpoint = Capped(most, seconds=seconds, own={f"w{number}": each for number, each in enumerate(own)})
    assert endpoint.play(sharing([1.0] * len(own)), 200) >= 0.97 * min(most, sum(own))
    assert endpoint.refused <= 0.06 * endpoint.calls + 100


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("seconds", [60.0, 1800.0])
@pytest.mark.parametrize(("before", "after"), [(16, 60), (60, 16)])
def test_where_a_provider_takes_more_or_fewer_calls_at_once_than_before_that_is_found_soon(before, after, seconds, lanes):
    endpoint = Capped(before, seconds=seconds, then=(150 * seconds, after))
    mean = (before * 120 + after * 150) / 270
    assert endpoint.play(sharing([1.0] * lanes), 300) >= 0.96 * mean
    assert endpoint.refused_share <= 0.08


def test_a_batch_of_four_workspaces_takes_hardly_longer_than_the_calls_that_are_taken_at_once():
    endpoint = Capped(16, seconds=1830.0)
    lanes = [replace(each, has_rates=False) for each in sharing([1.0] * 4, rows=400, slots=100)]
    endpoint.play(lanes, 10_000)
    assert endpoint.events is not None
    assert all(each.verdict.final or each.verdict is Verdict.THROTTLED for each in endpoint.events.settled)
    ends = [each.at for each in endpoint.events.settled]
    seconds = sum(each.at - each.ticket.launched_at for each in endpoint.events.settled if each.verdict.final)
    assert max(ends) <= 1.03 * seconds / 16
    assert endpoint.refused_share <= 0.1


@pytest.mark.parametrize("code", ["Throttling.AllocationQuota", "limit_requests", "Throttling"])
def test_where_a_provider_counts_no_rate_whatever_it_refuses_is_for_want_of_capacity(code):
    endpoint = Capped(16, seconds=1800.0, refusal=replace(BUSY, code=code))
    lanes = [replace(lane(name, 1_000_000, 64, account="one"), has_rates=False) for name in ("legal", "sales")]
    assert endpoint.play(lanes, 200) >= 0.98 * 16
    assert endpoint.refused_share <= 0.1
    assert endpoint.events is not None
    assert endpoint.events.scheduler.lessons.learnt() == {"one qwen-plus": {"at_once": pytest.approx(16, abs=1)}}, "and no rate"


@pytest.mark.parametrize("code", ["Throttling.AllocationQuota", "limit_requests"])
def test_no_rate_is_found_of_a_provider_that_counts_none_whenever_it_refuses(code):
    lanes = [replace(lane(name, 1_000_000, 8, account="one"), has_rates=False) for name in ("legal", "sales")]
    scheduler = Scheduler(lanes, RetryPolicy())

    def respond(_ticket: Ticket) -> tuple[Result, float]:
        return (replace(BUSY, code=code), 0.05) if events.now % 5.0 > 2.5 else (Reply("an answer", "stop", Usage(10, 100)), 0.2)

    events = Events(scheduler, respond)
    events.run(200.0)
    assert events.verdicts()[Verdict.ANSWERED] > 400
    assert not any(each.limiter.has_found or each.pool.limiter.has_found for each in scheduler._lanes.values())


def test_what_a_workspace_that_is_done_leaves_of_a_cap_on_calls_at_once_another_uses_at_once():
    endpoint = Capped(16, seconds=60.0)
    lanes = [lane(rows=300, slots=64, account="one"), lane("sales", 1_000_000, 64, account="one")]
    endpoint.play(lanes, 360)
    assert endpoint.events is not None
    done = endpoint.events.done_at("legal")
    assert done < 3 * 3600.0
    answered = sum(each.verdict.final and done + 120.0 <= each.at < done + 1320.0 for each in endpoint.events.settled)
    assert answered * 60.0 / 1200.0 >= 0.9 * 16


@pytest.mark.parametrize("noise", [0.01, 0.03])
@pytest.mark.parametrize("lanes", [1, 4])
def test_a_few_refusals_by_chance_take_hardly_a_call_away_and_pause_nothing(noise, lanes):
    endpoint = Capped(math.inf, noise)
    assert endpoint.play(sharing([1.0] * lanes, slots=32), 200) >= 0.95 * 32 * lanes
    assert endpoint.events is not None
    assert not any(each.limiter.has_found or each.limiter.episodes for each in endpoint.events.scheduler._lanes.values())


@pytest.mark.parametrize("noise", [0.06, 0.2])
@pytest.mark.parametrize("seconds", [2.0, 1800.0])
@pytest.mark.parametrize(("most", "lanes"), [(math.inf, 1), (math.inf, 3), (16, 3)])
def test_many_refusals_by_chance_take_hardly_a_call_away_either_whether_there_is_a_cap_or_not(most, lanes, seconds, noise):
    endpoint = Capped(most, noise, seconds)
    assert endpoint.play(sharing([1.0] * lanes, slots=20), 200) >= 0.9 * min(most, 20 * lanes)
    assert endpoint.refused_share <= noise + (0.02 if most == math.inf else 0.2)


def test_another_workspace_is_not_slowed_by_one_that_is_refused_for_capacity():
    endpoint = Capped(math.inf, own={"w0": 4})
    endpoint.play(sharing([1.0, 1.0]), 300)
    assert endpoint.busy["w1"] >= 0.98 * 64 * 270


def test_the_calls_that_are_taken_at_once_are_kept_and_the_next_opening_begins_with_them():
    endpoint = Capped(16, seconds=10.0)
    endpoint.play(sharing([1.0, 1.0]), 20)
    assert endpoint.events is not None
    again = Scheduler(sharing([1.0, 1.0]), RetryPolicy())
    again.lessons.teach(endpoint.events.scheduler.lessons.learnt(), 0.0)
    endpoint = Capped(16, seconds=10.0)
    endpoint.events = Events(again, endpoint)
    endpoint.events.run(9.0)
    assert endpoint.calls - endpoint.refused >= 16
    assert endpoint.refused == 0


def test_a_lane_that_waits_for_the_calls_that_its_account_may_have_at_once_is_told_so_and_the_end_of_any_wakes_it():
    scheduler = Scheduler(sharing([1.0, 1.0]), RetryPolicy())
    scheduler.lessons.teach({"one qwen-plus": {"at_once": 3}}, 0.0, steady=True)
    tickets = launched(scheduler, 0.0)
    assert [ticket.workspace for ticket in tickets] == ["w0", "w1", "w0"]
    assert {hold_of(each, 0.0) for each in scheduler._lanes.values()} == {Hold(Whose.POOL, What.CONCURRENCY)}
    for ticket in tickets[:2]:
        ended(scheduler, ticket, answer(), 1.0)
    assert len(launched(scheduler, 1.0)) == 2


def test_a_lane_that_was_held_back_by_what_was_its_accounts_goes_on_as_soon_as_that_is_seen():
    scheduler = Scheduler(sharing([1.0, 1.0], slots=4), RetryPolicy())
    out, went = launched(scheduler, 0.0), []
    for second, place in enumerate((6, 1, 2, 0, 5, 0, 3)):
        ended(scheduler, out.pop(place), BUSY, second + 1.0)
        went = launched(scheduler, second + 1.0)
        out += went
    assert [ticket.workspace for ticket in went] == ["w0", "w1"], "w1 had waited for the end of a call of its own"


def test_the_end_of_a_workspaces_last_row_wakes_those_that_wait_for_the_calls_that_their_account_may_have_at_once():
    scheduler = Scheduler([replace(each, account="one") for each in (lane("w0", 1, 4), lane("w1", 10, 4))], RetryPolicy())
    scheduler.lessons.teach({"one qwen-plus": {"at_once": 1}}, 0.0, steady=True)
    (last,) = launched(scheduler, 0.0)
    assert last.workspace == "w0"
    scheduler.settle(last, answer(), 1.0, 0.5)
    assert launched(scheduler, 1.0) == [], "its outcome is being handed on"
    scheduler.release(last)
    assert [ticket.workspace for ticket in launched(scheduler, 2.0)] == ["w1"]


@pytest.mark.parametrize("passed", [0.0, 0.3])
def test_calls_of_one_moment_that_are_all_refused_lower_the_limit_once_however_soon_that_is(passed):
    limit = AtOnce()
    places = [limit.sent(1.0, under_way) for under_way in range(1, 33)]
    for place in places[8:]:
        limit.refused(1.0 + passed, 1.0, place)
        limit.count_refused(1.0, place)
    assert limit.limit == 8


@pytest.mark.parametrize("kept", [None, 3, {}, {"at_once": 0}, {"at_once": "16"}, {"at_once": 1.5}])
def test_what_makes_no_sense_is_not_taken_up(kept):
    limit = AtOnce()
    limit.teach(kept)
    assert limit.limit == math.inf
    assert limit.learnt() == {}


def test_what_is_to_be_steady_neither_falls_nor_tries_more():
    limit = AtOnce()
    limit.teach({"at_once": 4}, steady=True)
    for second in range(1000):
        place = limit.sent(second, 4)
        if second % 3:
            limit.took(second + 0.5, second, place, 4)
        else:
            limit.refused(second + 0.5, second, place)
            limit.count_refused(second, place)
    assert limit.limit == 4


# One limit by itself.


class Calls:
    """Launches calls under one limit, and ends them."""

    def __init__(self) -> None:
        self.limit, self.now = AtOnce(), 0.0
        self.places: list[tuple[float, int]] = []

    def launch(self, count: int) -> None:
        for _ in range(count):
            self.places.append((self.now, self.limit.sent(self.now, len(self.places) + 1)))

    def refuse(self, count: int) -> None:
        """The latest of those under way, in the order in which they were sent."""
        for _ in range(count):
            self._refused(*self.places.pop(len(self.places) - count))
            count -= 1

    def _refused(self, launched_at: float, place: int) -> None:
        self.limit.refused(self.now, launched_at, place)
        self.limit.count_refused(launched_at, place)

    def answer(self, count: int) -> None:
        """The eldest of those under way; another one goes for each."""
        for _ in range(count):
            launched_at, place = self.places[0]
            self.limit.took(self.now, launched_at, place, len(self.places))
            self.places.pop(0)
            while len(self.places) < min(self.limit.limit, 100):
                self.launch(1)


def found(most: int = 16, burst: int = 40) -> Calls:
    """A limit that was found."""
    calls = Calls()
    calls.launch(burst)
    calls.now = 0.1
    calls.refuse(burst - most)
    return calls


@pytest.mark.parametrize("most", [1, 2, 16, 38])
def test_the_first_calls_that_are_refused_tell_how_many_were_taken(most):
    assert found(most, most + 10).limit.limit == most


@pytest.mark.parametrize(("tried", "refused", "is_found"), [(0, 2, False), (0, 3, True), (96, 5, False), (94, 6, True)])
def test_three_refusals_that_are_more_than_one_in_twenty_are_no_chance(tried, refused, is_found):
    calls = Calls()
    calls.launch(tried)
    for _ in range(refused):
        calls.launch(1)
        calls.refuse(1)
    assert (calls.limit.limit < math.inf) is is_found


def test_where_as_many_are_refused_as_before_the_limit_was_lowered_that_is_taken_back_and_so_many_are_borne_with():
    calls, lowest = found(), 16.0
    calls.now = 1.0
    for number in range(400):
        calls.answer(1)
        if number % 5 == 0:
            calls.refuse(1)
            calls.launch(1)
        lowest = min(lowest, calls.limit.limit)
    assert lowest < 16, "it was lowered"
    assert calls.limit.limit == 16
    calls.now += 1.0
    calls.launch(30)
    calls.refuse(30)
    assert calls.limit.limit <= 16


def test_of_levels_that_differ_the_middle_one_tells_how_many_are_taken():
    calls = Calls()
    calls.launch(8)
    calls.refuse(1)
    calls.launch(33)
    calls.now = 0.1
    calls.refuse(24)
    assert calls.limit.limit == 16


def test_one_more_is_tried_after_half_a_minute_and_an_answer_for_each_call():
    calls = found()
    calls.now = 20.0
    calls.answer(60)
    assert calls.limit.limit == 16
    calls.now = 30.2
    calls.answer(1)
    assert calls.limit.limit == 17
    few = found()
    few.now = 40.0
    few.answer(15)
    assert few.limit.limit == 16
    few.answer(1)
    assert few.limit.limit == 17


def test_each_time_that_no_more_is_taken_twice_as_many_answers_are_waited_for_up_to_forty():
    calls, waited = found(), []
    for _ in range(5):
        calls.now += 40.0
        answers = 0
        while calls.limit.limit == 16:
            calls.answer(1)
            answers += 1
        waited.append(answers)
        calls.refuse(1)
    assert waited == [16, 32, 40, 40, 40]


def test_what_is_tried_and_refused_costs_one_call_and_what_was_taken_stays():
    calls = found()
    calls.now = 40.0
    calls.answer(40)
    assert len(calls.places) == 17
    calls.now = 40.1
    calls.refuse(1)
    assert calls.limit.limit == 16


def test_where_more_is_taken_twice_as_many_more_are_tried_each_time():
    calls, limits = found(), []
    calls.now = 40.0
    calls.answer(40)
    for _ in range(5):
        limits.append(int(calls.limit.limit))
        calls.now += 5.1
        calls.answer(1)
    assert limits == [17, 19, 23, 31, 47]


def test_of_what_is_tried_that_stays_which_was_not_refused():
    calls = found()
    calls.now = 40.0
    calls.answer(40)
    for _ in range(3):
        calls.now += 5.1
        calls.answer(1)
    assert calls.limit.limit == 31
    calls.refuse(5)
    assert calls.limit.limit == 26


def test_a_call_that_was_sent_later_and_taken_at_a_clearly_higher_level_shows_that_there_is_no_such_limit():
    calls = Calls()
    calls.launch(40)
    early = calls.places[16:20]
    del calls.places[16:20]
    for launched_at, place in early:
        calls._refused(launched_at, place)
    assert calls.limit.limit == 16
    launched_at, place = calls.places[-1]
    calls.limit.took(0.5, launched_at, place, len(calls.places))
    assert calls.limit.limit == math.inf
    assert calls.limit.is_refuted


@given(
    st.lists(st.tuples(st.sampled_from(["launch", "answer", "refuse"]), st.integers(1, 5), st.floats(0, 40)), max_size=80),
)
def test_a_limit_is_never_less_than_one_and_is_kept_to(events):
    calls = Calls()
    for kind, count, passed in events * 3:
        calls.now += passed
        if kind == "launch":
            calls.launch(int(min(count, max(0, calls.limit.limit - len(calls.places)))))
        elif kind == "answer":
            calls.answer(min(count, len(calls.places)))
        else:
            calls.refuse(min(count, len(calls.places)))
        assert calls.limit.limit >= 1


def test_a_limit_that_never_met_a_refusal_keeps_next_to_no_room_for_any():
    """Each lane has one, and each pool: an empty deque takes 760 bytes, of tens of thousands most of which never see one."""
    held = [each for each in get_referents(AtOnce()) if is_tracked(each) and not isinstance(each, type)]
    assert sum(map(getsizeof, held)) < 100
