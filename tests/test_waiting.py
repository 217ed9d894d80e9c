"""What waits holds nothing of what it has waited for, and may be cancelled whenever that is."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from batchrun.waiting import Workers


class Something:
    """What a worker is given; its answer may be large."""


async def step(_given: object) -> None:
    await checkpoint()


async def resting(tasks: anyio.abc.TaskGroup, broken: Callable[[object], None]) -> Workers:
    """Workers of which two have taken a step, and rest."""
    workers = Workers(lambda: None, broken)
    workers.begin(tasks)
    for given in ("one", "two"):
        workers.start(step, given)  # type: ignore[arg-type]
    await anyio.wait_all_tasks_blocked()
    return workers


def test_a_worker_that_rests_holds_nothing_of_its_latest_step():
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            workers = Workers(lambda: None, lambda _given: None)
            workers.begin(tasks)
            for _ in range(3):
                given: Any = Something()
                held = weakref.ref(given)
                workers.start(step, given)
                del given
                await anyio.wait_all_tasks_blocked()
                assert held() is None
            workers.dismiss()

    anyio.run(main)


def test_a_run_that_is_cancelled_in_the_turn_in_which_it_ends_has_its_workers_end_and_no_error():
    async def main() -> None:
        with anyio.CancelScope() as run:
            async with anyio.create_task_group() as tasks:
                workers = await resting(tasks, lambda _given: None)
                run.cancel()
                workers.dismiss()
        assert run.cancelled_caught

    anyio.run(main)


def test_a_step_that_is_to_be_taken_when_those_who_rest_are_cancelled_is_broken_off():
    broken: list[object] = []

    async def main() -> None:
        with anyio.CancelScope() as run:
            async with anyio.create_task_group() as tasks:
                workers = await resting(tasks, broken.append)
                run.cancel()
                workers.start(step, "the next")  # type: ignore[arg-type]

    anyio.run(main)
    assert broken == ["the next"]
