"""When calls are told that their time is up, on a virtual clock: each at its own end, and none for a time in which nobody could read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import anyio
import pytest

from batchrun.edge.transport.watch import LATE, Watch, overslept
from tests.virtual_time import VirtualLoop, run_virtually


@dataclass(eq=False)
class Call:
    ends: float
    over: list[tuple[str, float]] = field(default_factory=list)

    def expire(self, code: str) -> None:
        self.over.append((code, asyncio.get_running_loop().time()))


def loop() -> VirtualLoop:
    found = asyncio.get_running_loop()
    assert isinstance(found, VirtualLoop)
    return found


@pytest.mark.parametrize(("late", "given_back"), [(0.0, 0.0), (LATE, 0.0), (LATE + 0.5, 2 * LATE + 0.5), (60.0, 60.0 + LATE)])
def test_a_timer_that_rings_late_gives_back_what_it_was_late_and_a_moment_to_read(late, given_back):
    assert overslept(7.0, 7.0 + late) == given_back


def test_each_call_ends_in_its_time_and_one_that_has_ended_or_is_watched_no_more_does_not():
    async def main():
        watch, (first, done, last, later) = Watch(), (Call(10.0), Call(11.0), Call(12.0), Call(30.0))
        for each in (first, done, last):
            watch.add(each)
        watch.remove(done)
        await anyio.sleep(20.0)
        watch.add(later)
        await anyio.sleep(5.0)
        watch.close()
        await anyio.sleep(60.0)
        return [each.over for each in (first, done, last, later)]

    assert run_virtually(main) == [[("total_timeout", 10.0)], [], [("total_timeout", 12.0)], []]


def test_a_call_that_is_watched_after_all_others_were_let_go_ends_in_its_time():
    async def main():
        watch, first, second = Watch(), Call(10.0), Call(25.0)
        watch.add(first)
        watch.close()
        await anyio.sleep(15.0)
        watch.add(second)
        await anyio.sleep(60.0)
        return first.over, second.over

    assert run_virtually(main) == ([], [("total_timeout", 25.0)])


def test_a_process_that_was_stopped_gives_every_call_back_the_time_and_a_moment_to_read_what_has_come():
    async def main():
        watch, calls = Watch(), [Call(10.0), Call(12.0), Call(90.0)]
        for each in calls:
            watch.add(each)
        await anyio.sleep(5.0)
        loop().pass_by(65.0)
        await anyio.sleep(0.5)
        assert [each.over for each in calls] == [[], [], []]
        await anyio.sleep(200.0)
        return [each.over for each in calls]

    given_back = 60.0 + LATE
    assert run_virtually(main) == [[("total_timeout", ends + given_back)] for ends in (10.0, 12.0, 90.0)]
