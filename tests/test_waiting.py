"""What waits holds nothing of what it has waited for."""

from __future__ import annotations

import weakref
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from batchrun.waiting import Workers


class Something:
    """What a worker is given; its answer may be large."""


def test_a_worker_that_rests_holds_nothing_of_its_latest_step():
    async def step(_given: object) -> None:
        await checkpoint()

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
