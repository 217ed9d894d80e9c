"""Threads that are waited for so long and no longer."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import pytest

from batchrun.edge.threads import Threads


async def together(threads: Threads, count: int, step: Callable[[], object], seconds: float) -> list[object]:
    """What becomes of so many steps that are begun together."""
    came: list[object] = []

    async def each() -> None:
        try:
            came.append(await threads.take(step, seconds))
        except TimeoutError as error:
            came.append(type(error))

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(each)
    return came


@pytest.mark.parametrize("seconds", [0.05, 0.1])
def test_a_step_that_hangs_keeps_its_place_until_it_ends_and_whoever_waits_for_one_is_given_up_in_time(seconds):
    back, begun = threading.Event(), []

    def hangs() -> str:
        begun.append(threading.get_ident())
        back.wait(30)
        return "ended"

    async def main() -> None:
        threads = Threads(2)
        with anyio.fail_after(20):
            for _ in range(2):
                assert await together(threads, 5, hangs, seconds) == [TimeoutError] * 5
                assert len(begun) == 2
            back.set()
            assert await together(threads, 5, hangs, 10) == ["ended"] * 5

    anyio.run(main)


def test_a_step_that_fails_or_that_nobody_waits_for_before_it_begins_leaves_its_place(monkeypatch):
    def fails() -> None:
        raise KeyError("its own")

    def not_begun(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        threads = Threads(1)
        with anyio.fail_after(20):
            with monkeypatch.context() as none:
                none.setattr(threading.Thread, "start", not_begun)
                with pytest.raises(RuntimeError, match="new thread"):
                    await threads.take(fails, 10)
            for _ in range(3):
                with pytest.raises(KeyError, match="its own"):
                    await threads.take(fails, 10)
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await threads.take(fails, 10)
                assert scope.cancelled_caught
            assert await threads.take(lambda: "ended", 10) == "ended"

    anyio.run(main)
