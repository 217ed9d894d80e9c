"""A run within a program that is asynchronous itself: its outcomes as they come, cancelled, left early, handed on."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import anyio
import anyio.lowlevel
import orjson
import pytest

import batchrun
from batchrun import Wishes, outcomes, read_statement, run, run_blocking
from batchrun.core.errors import JobError, RunInUseError
from batchrun.running import one_run
from batchrun.running.coming import Coming
from batchrun.running.opening import opened
from tests.running.test_one_run import job_in

QUIETLY = Wishes(dotenv=None, page=None)


class OwnError(Exception):
    """A program's."""


def test_what_a_program_raises_while_it_iterates_over_outcomes_comes_out_as_it_is_and_the_run_goes_on_later(tmp_path):
    job = job_in(tmp_path)
    raised = OwnError("no room for it")
    raised.__cause__ = because = KeyError("r-1")

    async def first() -> None:
        async with outcomes(job, QUIETLY) as stream:
            async for _ in stream:
                raise raised

    with pytest.raises(OwnError) as ended:
        anyio.run(first)
    assert ended.value is raised
    assert ended.value.__cause__ is because
    assert ended.value.__context__ is None
    assert run_blocking(job, QUIETLY).statement.total().answered == 12


def test_a_function_among_the_wishes_gets_each_outcome_before_it_is_handed_out_of_the_block_and_what_it_raises_comes_out(tmp_path):
    """Wishes that write each answer to a database, say, are the same for `run` and for `outcomes`."""
    job, taken = job_in(tmp_path), list[str]()

    async def take(outcome):
        taken.append(outcome.row.id)
        if len(taken) > 12:
            raise OwnError

    async def main() -> None:
        async with outcomes(job, replace(QUIETLY, hand_on=take)) as stream:
            async for outcome in stream:
                assert outcome.row.id in taken

    asyncio.run(main())
    assert sorted(taken) == sorted(f"r-{n}" for n in range(12))
    (tmp_path / "run").rename(tmp_path / "before")
    with pytest.raises(OwnError):
        asyncio.run(main())


def test_what_ends_a_run_comes_out_where_its_outcomes_are_iterated_over(tmp_path):
    job = job_in(tmp_path)
    (tmp_path / "rows.jsonl").unlink()

    async def main() -> None:
        async with outcomes(job, QUIETLY) as stream:
            async for _ in stream:
                pass

    with pytest.raises(JobError, match=r"rows\.jsonl"):
        anyio.run(main)


class EndOfAll(BaseException):
    """What nobody holds up, as a cancellation is."""


@pytest.mark.parametrize(("raised", "comes_out"), [(None, JobError), (OwnError, JobError), (EndOfAll, EndOfAll)])
def test_what_ended_a_run_comes_out_before_an_error_of_the_block_and_never_before_what_ends_all(tmp_path, raised, comes_out):
    job = job_in(tmp_path)
    (tmp_path / "rows.jsonl").unlink()

    async def main() -> None:
        async with outcomes(job, QUIETLY) as stream:
            await asyncio.wait((stream._under_way,))
            if raised is not None:
                raise raised

    with pytest.raises(comes_out) as ended:
        anyio.run(main)
    assert raised is None or isinstance(ended.value if comes_out is raised else ended.value.__context__, raised)


def test_a_run_whose_task_somebody_else_cancels_ends_no_block_that_does_not_ask_for_more(tmp_path):
    """As a program does that cancels all tasks of its loop but its own."""
    job = job_in(tmp_path)

    async def main() -> str:
        async with outcomes(job, QUIETLY) as stream:
            await anext(stream)
            stream._under_way.cancel()
            await asyncio.wait((stream._under_way,))
        return "went on"

    assert anyio.run(main) == "went on"
    assert run_blocking(job, QUIETLY).statement.total().answered == 12


def test_whoever_hands_outcomes_on_from_a_generator_of_his_own_may_leave_that_where_it_stands(tmp_path):
    """As a web service does whose client is gone: its generator is closed by the loop, in a task that is another."""
    job = job_in(tmp_path)

    async def handed_on():
        async with outcomes(job, QUIETLY) as stream:
            async for outcome in stream:
                yield outcome.row.id

    async def main() -> int:
        async for _ in handed_on():
            break
        gc.collect()
        # Another run in the same directory begins once the first has ended; nothing that goes on here is cancelled.
        while True:
            try:
                ending = await run(job, QUIETLY)
            except RunInUseError:
                await anyio.sleep(0.01)
            else:
                return ending.statement.total().answered

    assert asyncio.run(main()) == 12


def test_a_run_that_is_cancelled_has_left_nothing_behind_that_still_works_on_its_directory(tmp_path, monkeypatch):
    opening, goes_on, left = threading.Event(), threading.Event(), []

    @contextmanager
    def slowly(*job, **how):
        with opened(*job, **how) as found:
            opening.set()
            goes_on.wait(10)
            try:
                yield found
            finally:
                left.append("the opening")

    monkeypatch.setattr(one_run, "opened", slowly)

    async def main() -> None:
        under_way = asyncio.create_task(run(job_in(tmp_path), QUIETLY))  # noqa: TID251 - as a program of asyncio's does
        while not opening.is_set():  # noqa: ASYNC110 - a thread sets it
            await anyio.sleep(0.005)
        under_way.cancel()
        await asyncio.wait((under_way,), timeout=0.1)
        assert not under_way.done()
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        assert left == ["the opening"]

    asyncio.run(main())


def test_a_run_that_is_cancelled_while_it_reads_its_input_reads_no_more_of_it(tmp_path):
    """Of ten million rows it may be most of a minute that nobody waits for any longer."""
    job, cancelled, looks = job_in(tmp_path), threading.Event(), []
    row = orjson.dumps({"workspace": "legal", "prompt": "Note. " * 100}) + b"\n"
    (tmp_path / "rows.jsonl").write_bytes(row * 1000)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def turns(left: int) -> None:
            loop.call_soon(*((turns, left - 1) if left else (cancelled.set,)))

        def cancel() -> None:
            under_way.cancel()
            turns(20)

        def on_index(done: int, _expected: int) -> None:
            looks.append(done)
            loop.call_soon_threadsafe(cancel)
            assert cancelled.wait(20)

        under_way = asyncio.create_task(run(job, replace(QUIETLY, on_index=on_index)))  # noqa: TID251 - as a program of asyncio's does
        with pytest.raises(asyncio.CancelledError):
            await under_way

    asyncio.run(main())
    assert len(looks) == 1
    assert looks[0] < len(row) * 500
    assert run_blocking(job, QUIETLY).statement.total().answered == 1000


def test_a_run_whose_tasks_are_all_cancelled_but_the_one_that_waits_for_it_ends_as_cancelled(tmp_path):
    """As by a program's own way to shut down."""
    job = job_in(tmp_path)

    async def main() -> None:
        waiting = asyncio.current_task()

        async def hand_on(_outcome):
            for each in asyncio.all_tasks() - {waiting}:
                each.cancel()

        with pytest.raises(asyncio.CancelledError):
            await run(job, replace(QUIETLY, hand_on=hand_on))

    asyncio.run(main())
    assert run_blocking(job, QUIETLY).statement.total().answered == 12


@pytest.mark.parametrize("function", ["hand_on", "show"])
def test_what_a_function_of_the_caller_waited_for_and_somebody_cancelled_comes_out_as_cancelled(tmp_path, function):
    """As a connection's task that is closed under it: neither a bug of the run's own, nor a run that has done what it could."""
    job = job_in(tmp_path, simulator={"seed": 1, "latency": {"median": 0.05, "sigma": 0.1}})

    async def waits(_given):
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    wish: dict[str, Any] = {function: waits}
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run(job, replace(QUIETLY, **wish)))
    assert run_blocking(job, QUIETLY).statement.total().answered == 12


def test_a_block_that_is_cancelled_while_it_is_left_waits_for_its_run_all_the_same(tmp_path):
    job = job_in(tmp_path)

    async def main() -> None:
        async def block() -> None:
            async with outcomes(job, QUIETLY) as stream:
                await anext(stream)
                began.set()
                await anyio.sleep(60)

        for cancels in (1, 3):
            began = asyncio.Event()
            task = asyncio.create_task(block())  # noqa: TID251 - as a program of asyncio's does
            await began.wait()
            for _ in range(cancels):
                task.cancel()
                await anyio.lowlevel.checkpoint()
            with pytest.raises(asyncio.CancelledError):
                await task
            (tmp_path / "run").rename(tmp_path / f"run-{cancels}")
        with anyio.move_on_after(0.5) as scope:
            began = asyncio.Event()
            await block()
        assert scope.cancelled_caught
        await run(job, QUIETLY)

    asyncio.run(main())
    assert read_statement(tmp_path / "run").total().answered == 12


def test_how_a_run_ended_is_told_once_there_are_no_more_outcomes_and_several_may_share_them(tmp_path):
    job = job_in(tmp_path, workspaces={"legal": {}, "sales": {"models": ["qwen-max"], "model": "qwen-max"}})

    async def main() -> None:
        got: list[str] = []

        async def take_some() -> None:
            async for outcome in stream:
                got.append(outcome.row.id)
                await anyio.lowlevel.checkpoint()

        async with outcomes(job, QUIETLY) as stream:
            async with asyncio.TaskGroup() as takers:
                for _ in range(3):
                    takers.create_task(take_some())
            assert (stream.ending.exit_code, [each.name for each in stream.ending.parked]) == (4, ["sales qwen-plus"])
        assert sorted(got) == sorted(f"r-{n}" for n in range(0, 12, 2))

    asyncio.run(main())


def test_no_outcome_is_lost_with_whoever_gives_up_waiting_for_it_just_as_it_comes(tmp_path):
    """As programs do that wait for so long and no longer: `asyncio.wait_for(anext(stream), 1)`."""
    job, asked = job_in(tmp_path), [f"r-{n}" for n in range(100)]
    rows = [{"id": row_id, "workspace": "legal", "prompt": "Note."} for row_id in asked]
    (tmp_path / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))

    async def main() -> None:
        got: list[str] = []
        async with outcomes(job, QUIETLY) as stream:
            for turns in itertools.cycle(range(1, 9)):
                waiting = asyncio.create_task(anext(stream))  # noqa: TID251 - as a program of asyncio's does
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                waiting.cancel()
                try:
                    got.append((await waiting).row.id)
                except asyncio.CancelledError:
                    continue
                except StopAsyncIteration:
                    break
        assert sorted(got) == sorted(asked)

    asyncio.run(main())


def test_how_a_run_ended_is_an_ending_or_an_error_that_says_why_there_is_none_and_never_nothing(tmp_path):
    job = job_in(tmp_path)

    async def left_early() -> None:
        async with outcomes(job, QUIETLY) as stream:
            async for _ in stream:
                with pytest.raises(RuntimeError, match="outcomes are still to come"):
                    _ = stream.ending
                break
        with pytest.raises(RuntimeError, match="left before its end: read_statement"):
            _ = stream.ending

    async def to_the_end() -> None:
        async with outcomes(job, QUIETLY) as stream:
            async for _ in stream:
                pass
        assert stream.ending.statement.total().answered == 12

    asyncio.run(left_early())
    asyncio.run(to_the_end())
    told = Coming.__dict__["ending"].fget
    assert get_type_hints(told)["return"] is one_run.Ending, "a program need not ask whether it is there"


def test_what_ends_a_run_ends_the_iteration_and_is_not_only_told_after_the_block(tmp_path):
    job, reached = job_in(tmp_path), False
    (tmp_path / "rows.jsonl").unlink()

    async def main() -> None:
        nonlocal reached
        async with outcomes(job, QUIETLY) as stream:
            async for _ in stream:
                pass
            reached = True

    with pytest.raises(JobError, match=r"rows\.jsonl"):
        asyncio.run(main())
    assert not reached


def test_a_loop_that_runs_already_and_one_that_is_another_librarys_are_told_with_the_way_out(tmp_path):
    job = job_in(tmp_path)

    async def as_in_a_notebook() -> int:
        with pytest.raises(RuntimeError, match="await run"):
            run_blocking(job, QUIETLY)
        return (await asyncio.to_thread(run_blocking, job, QUIETLY)).statement.total().answered

    assert asyncio.run(as_in_a_notebook()) == 12
    with pytest.raises(RuntimeError, match="asyncio"):
        run(job, QUIETLY).send(None)


@pytest.mark.parametrize("given", ["jobs/night.toml", Path("jobs/night.toml"), {"job": {"input": "rows.jsonl"}}])
def test_what_is_no_job_is_refused_with_what_makes_one_of_it(given):
    """As by whoever takes the command line's word for it: ``batchrun run jobs/night.toml``."""

    async def main() -> None:
        async with outcomes(given, QUIETLY) as stream:
            await anext(stream)

    for call in (lambda: run_blocking(given, QUIETLY), lambda: asyncio.run(main())):
        with pytest.raises(JobError, match=rf"^a Job is wanted, and not a {type(given).__name__}: load_job .* Job\.model_validate"):
            call()


def test_signals_that_are_to_be_heard_elsewhere_than_on_the_main_thread_are_refused_in_words_before_anything_is_done(tmp_path):
    job = job_in(tmp_path)

    async def in_another_thread() -> None:
        with pytest.raises(RuntimeError, match="the main thread alone"):
            await asyncio.to_thread(run_blocking, job, replace(QUIETLY, handle_signals=True))

    asyncio.run(in_another_thread())
    assert not (tmp_path / "run").exists()


def test_two_runs_go_on_beside_each_other_in_one_loop_and_two_of_one_directory_do_not(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one, other = job_in(tmp_path / "a"), job_in(tmp_path / "b")

    async def main() -> None:
        runs = (run(one, QUIETLY), run(other, QUIETLY), run(one, QUIETLY))
        first, second, third = await asyncio.gather(*runs, return_exceptions=True)  # noqa: TID251 - as a program of asyncio's does
        refused = [each for each in (first, third) if isinstance(each, RunInUseError)]
        assert len(refused) == 1
        assert isinstance(second, one_run.Ending)
        assert second.statement.total().answered == 12

    asyncio.run(main())


def test_public_names_are_offered_by_completion_and_each_is_there():
    assert set(batchrun.__all__) <= set(dir(batchrun))
    assert [name for name in batchrun.__all__ if not hasattr(batchrun, name)] == []
    assert issubclass(JobError, batchrun.BatchrunError)
