"""Which connections are given out again, for how long they may lie unused, and who gets the next one."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace

import anyio
import pytest
from anyio.lowlevel import checkpoint

from batchrun.core.model import Failure, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport
from batchrun.edge.transport.at_rest import AtRest
from batchrun.edge.transport.mishaps import WireError
from batchrun.edge.transport.pool import Pool
from batchrun.edge.transport.turns import Few
from tests.edge import fault_server as server
from tests.own_time import run_in_own_time
from tests.virtual_time import run_virtually


@dataclass(eq=False)
class Still:
    """A connection that stands."""

    rests_since: float = -math.inf
    rests_until: float = 0.0
    ended: bool = True
    reusable: bool = True
    unheard: bool = False
    how: list[str] = field(default_factory=list)

    def patience(self, most):
        return most

    def close(self):
        self.reusable = False
        self.how.append("closed")

    def abort(self):
        self.reusable = False
        self.how.append("aborted")


@dataclass
class Place:
    """A target."""

    free: AtRest = field(default_factory=AtRest)

    def opening(self, _trusted):
        return None


def pooled(main, most=9):
    """Carry *main* out with a pool and a target of it, on a virtual clock."""

    async def within():
        place = Place()
        pool = Pool(asyncio.get_running_loop(), most, {("origin", "key"): place.free})
        try:
            return await main(pool, place)
        finally:
            await pool.close()

    return run_virtually(within)


def given(pool, place):
    return pool.take(place, anyio.current_time())


@pytest.mark.parametrize("transport", [None, SimpleNamespace(is_closing=lambda: True)])
def test_a_connection_that_is_gone_before_anything_is_written_to_it_is_told_as_one_that_was_lost_and_counts_no_more(transport):
    closed: list[None] = []

    class Opener:
        async def connect(self, *_how):
            return SimpleNamespace(transport=transport, close=partial(closed.append, None))

        async def close(self):
            pass

    async def main(pool, place):
        await pool.connector.close()
        pool.connector = Opener()
        with pytest.raises(WireError) as lost:
            await pool.opened(place)
        return lost.value.code, closed, pool._left

    assert pooled(main) == ("disconnected", [None], 9)


def test_a_free_connection_is_given_to_nobody_while_as_many_are_out_as_may_be():
    async def main(pool, place):
        rests = Still(rests_until=9.0)
        place.free.append(rests)
        pool._left = 0
        none = given(pool, place)
        pool._left = 1
        return none, given(pool, place) is rests, pool._left

    assert pooled(main) == (None, True, 0)


@pytest.mark.parametrize(("seconds", "again"), [(29.9, True), (30.1, False)])
def test_a_connection_that_lay_unused_for_half_a_minute_is_closed_and_not_given_out(seconds, again):
    async def main(pool, place):
        rests = Still()
        pool._left -= 1
        pool.give_back(place, rests)
        # Its timer is told nothing of it: it is looked at when it is asked for.
        pool._sweeper.cancel()
        await anyio.sleep(seconds)
        return given(pool, place) is rests, rests.how, pool._left

    assert pooled(main) == (again, [] if again else ["closed"], 8 if again else 9)


def test_connections_that_nobody_asks_for_are_closed_within_a_minute_and_then_nothing_is_looked_at():
    async def main(pool, place):
        early, late, latest = Still(), Still(), Still()
        pool._left -= 3
        pool.give_back(place, early)
        await anyio.sleep(25)
        pool.give_back(place, late)
        await anyio.sleep(25)
        pool.give_back(place, latest)
        await anyio.sleep(11)
        then = early.how, late.how, [*latest.how], [*place.free]
        await anyio.sleep(30)
        return then == (["closed"], ["closed"], [], [latest]), latest.how, place.free, pool._sweeper

    assert pooled(main) == (True, ["closed"], [], None)


@pytest.mark.parametrize(("ended", "reusable", "how"), [(False, True, ["aborted"]), (True, False, ["closed"]), (True, True, [])])
def test_a_connection_is_given_back_as_it_was_left(ended, reusable, how):
    async def main(pool, place):
        left = Still(ended=ended, reusable=reusable)
        pool._left -= 1
        pool.give_back(place, left)
        return left.how, place.free == [left], pool._left

    assert pooled(main) == (how, not how, 9)


@pytest.mark.parametrize("gives_up", ["while it waits", "when it was called"])
def test_whoever_gives_up_waiting_keeps_nobody_behind_it_from_the_next_connection(gives_up):
    async def main(pool, place):
        got = []

        async def wait(number, patience):
            with contextlib.suppress(TimeoutError):
                async with patience:
                    got.append((number, await pool.opened(place)))

        only = Still()
        pool._left -= 1
        patience = [asyncio.timeout(None), asyncio.timeout(60)]
        async with anyio.create_task_group() as tasks:
            for number in range(2):
                tasks.start_soon(wait, number, patience[number])
            await checkpoint()
            patience[0].reschedule(anyio.current_time() - 1)
            if gives_up == "while it waits":
                await checkpoint()
                await checkpoint()
            pool.give_back(place, only)
        return got == [(1, only)], pool._left, [*pool._waiting]

    assert pooled(main, most=1) == (True, 0, [])


def begun(count, gives_up=()):
    """Which of so many openings begin, in the order in which they do, with the turn of the event loop; some give up before it is theirs."""

    async def main():
        loop, openings = asyncio.get_running_loop(), Few(asyncio.get_running_loop(), 8)
        turn = 0
        those: list[tuple[int, int]] = []
        scopes = [anyio.CancelScope() for _ in range(count)]

        def next_turn():
            nonlocal turn
            turn += 1
            if len(those) + len(gives_up) < count:
                loop.call_soon(next_turn)

        async def begin(number):
            with scopes[number]:
                await openings.begin()
                those.append((number, turn))

        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(begin, number)
            await checkpoint()
            for number in gives_up:
                scopes[number].cancel()
            next_turn()
        return those

    return run_virtually(main)


def test_of_many_openings_a_few_begin_in_each_turn_of_the_loop_in_the_order_in_which_they_came():
    those = begun(100)
    a_turn = Counter(turn for _, turn in those)
    assert [number for number, _ in those] == [*range(100)]
    assert max(a_turn.values()) == 8
    assert max(a_turn) <= 100 // 8 + 3


@pytest.mark.parametrize("gives_up", [[*range(8, 20)], [50], [99]])
def test_who_gives_up_before_its_opening_begins_leaves_its_place_to_the_next(gives_up):
    those = begun(100, gives_up)
    assert [number for number, _ in those] == [number for number in range(100) if number not in gives_up]
    assert max(turn for _, turn in those) <= 100 // 8 + 3


@pytest.mark.parametrize(
    ("says", "rests"), [("timeout=5, max=100", 4.0), ("max=9, Timeout = 1", 0.5), ("timeout=0", 0.0), ("timeout=75", 30.0)]
)
def test_a_connection_that_its_endpoint_says_it_closes_sooner_is_not_given_out_so_late(says, rests):
    async def main() -> list[int]:
        connections = []
        async with (
            server.serving(server.keeps(server.http(server.ANSWER, f"Keep-Alive: {says}"))) as endpoint,
            Transport(connect=5, idle=5, total=5, connections=1, proxy="none", max_response_bytes=65_536) as wire,
        ):
            for after in (0.0, rests - 0.1, rests + 0.1):
                if after > 0:
                    await anyio.sleep(after)
                assert isinstance(await wire.post(Request(endpoint.url, {}, b"{}"), Reading(OPENAI.dialect, {})), Reply)
                connections.append(endpoint.connections)
        return connections

    assert run_in_own_time(main) == ([1, 1, 2] if rests else [1, 2, 3])


def served(pool, place, connection):
    """*connection* brings an answer, and is given back."""
    pool._left -= 1
    pool.give_back(place, connection)


def lost(pool, place, connection):
    """A request is written to *connection*, and nothing comes."""
    pool._left -= 1
    connection.ended, connection.unheard = False, True
    pool.give_back(place, connection)


async def lose(pool, place, connections=3, after=0.02):
    """So many requests are lost soon after the answers before them."""
    for _ in range(connections):
        served(pool, place, Still())
        taken = given(pool, place)
        await anyio.sleep(after)
        pool._left += 1
        lost(pool, place, taken)


@pytest.mark.parametrize(("after", "rests"), [(0.02, 0.1), (0.3, 0.6)])
def test_where_requests_are_lost_soon_after_answers_a_connection_is_given_out_when_it_has_lain_for_longer_than_that(after, rests):
    async def main(pool, place):
        await lose(pool, place, after=after)
        first, second = Still(), Still()
        served(pool, place, first)
        await anyio.sleep(rests - 0.01)
        served(pool, place, second)
        too_early = given(pool, place)
        await anyio.sleep(0.02)
        return too_early, given(pool, place) is first, given(pool, place), [*place.free] == [second]

    assert pooled(main) == (None, True, None, True)


def test_of_connections_that_lie_a_while_those_that_their_endpoint_has_closed_are_not_given_out():
    async def main(pool, place):
        await lose(pool, place)
        closed, lives = Still(), Still()
        served(pool, place, closed)
        served(pool, place, lives)
        closed.reusable = False
        await anyio.sleep(0.2)
        return given(pool, place) is lives, closed.how, pool._left

    assert pooled(main) == (True, ["closed"], 8)


@pytest.mark.parametrize(
    ("lost_ones", "after", "first"), [(2, 0.02, False), (9, 1.1, False), (9, 0.02, True)], ids=["few", "late", "on new ones"]
)
def test_what_was_not_lost_for_the_answer_before_it_keeps_no_connection_from_being_given_out(lost_ones, after, first):
    async def main(pool, place):
        if first:
            for _ in range(lost_ones):
                lost(pool, place, Still())
        else:
            await lose(pool, place, lost_ones, after)
        rests = Still()
        served(pool, place, rests)
        return given(pool, place) is rests

    assert pooled(main)


def test_losses_among_many_answers_keep_no_connection_from_being_given_out():
    async def main(pool, place):
        for _ in range(50):
            await lose(pool, place, 1)
            for _ in range(16):
                served(pool, place, Still(rests_until=1.0))
        return place.free.settles

    assert pooled(main) == 0.0


def test_once_enough_connections_have_served_again_all_is_as_it_was_and_the_next_time_it_takes_more():
    async def main(pool, place):
        took = []
        for _ in range(5):
            await lose(pool, place)
            count = 0
            while place.free.settles:
                served(pool, place, Still(rests_until=1.0))
                count += 1
            took.append(count)
            place.free.clear()
        await lose(pool, place)
        for _ in range(9999):
            served(pool, place, Still())
        return took, place.free.settles > 0

    assert pooled(main) == ([64, 256, 1024, 4096, 4096], True), "that a new one serves tells nothing of those that are kept"


class Wire:
    """What stands under a connection."""

    def __init__(self, stand: set[Wire]) -> None:
        self.stand = stand
        stand.add(self)

    def is_closing(self):
        return False

    def get_extra_info(self, _name):
        return None

    def set_protocol(self, connection):
        self.connection = connection

    def close(self):
        if self in self.stand:
            self.stand.remove(self)
            self.connection.connection_lost(None)

    abort = close


def test_a_restart_that_breaks_all_connections_at_once_counts_once_and_the_longest_to_live_tells():
    async def main(pool, place):
        for _ in range(50):
            served(pool, place, Still())
        under_way = [given(pool, place) for _ in range(50)]
        await anyio.sleep(0.2)
        pool._left += 50
        for connection in under_way:
            lost(pool, place, connection)
        lost(pool, place, Still(rests_since=anyio.current_time()))
        return place.free.settles, place.free.missing

    assert pooled(main, most=50) == (0.4, 64)


def test_connections_that_lie_before_they_are_given_out_are_few_beyond_those_that_may_be_out():
    stand: set[Wire] = set()

    class Opener:
        async def connect(self, *_how):
            wire = Wire(stand)
            return SimpleNamespace(transport=wire, close=wire.close)

        async def close(self):
            pass

    async def main(pool, place):
        await pool.connector.close()
        pool.connector = Opener()
        await lose(pool, place)
        made = [await pool.opened(place)]
        pool.give_back(place, made[0])
        for _ in range(60):
            made.append(await pool.opened(place))
            pool.give_back(place, made[-1])
        then = len(stand)
        await anyio.sleep(0.2)
        return then, given(pool, place) is made[0], given(pool, place) is made[1]

    assert pooled(main) == (9 + 32, True, True), "those that have lain longest are kept"


def test_an_endpoint_that_closes_each_connection_a_moment_after_its_answer_loses_few_requests():
    async def closes(_: server.Reader, writer: server.Writer) -> None:
        writer.write(server.http())
        await anyio.sleep(0.05)
        writer.transport.abort()

    async def main() -> list[str]:
        async with (
            server.serving(closes) as endpoint,
            Transport(connect=5, idle=5, total=5, connections=1, proxy="none", max_response_bytes=65_536) as wire,
        ):
            results = [await wire.post(Request(endpoint.url, {}, b"{}"), Reading(OPENAI.dialect, {})) for _ in range(50)]
        return [result.code if isinstance(result, Failure) else "" for result in results]

    assert run_in_own_time(main) == ["", "disconnected"] * 3 + [""] * 44


@pytest.mark.parametrize("then", [server.hangs(), server.says(b"HTTP/1.1 200 OK\r\nContent-"), server.says(server.http(b"{", length=9))])
def test_a_call_that_timed_out_or_broke_in_its_answer_says_nothing_of_connections_that_are_kept(then):
    endpoint = server.Server(0)

    async def every_other(reader: server.Reader, writer: server.Writer) -> None:
        await (then if len(endpoint.requests) % 2 == 0 else server.keeps(server.http()))(reader, writer)

    async def main() -> tuple[int, int]:
        nonlocal endpoint
        async with (
            server.serving(every_other) as endpoint,
            Transport(connect=5, idle=5, total=0.5, connections=1, proxy="none", max_response_bytes=65_536) as wire,
        ):
            results = [await wire.post(Request(endpoint.url, {}, b"{}"), Reading(OPENAI.dialect, {})) for _ in range(20)]
        return endpoint.connections, sum(isinstance(result, Failure) for result in results)

    assert run_in_own_time(main) == (10, 10)
