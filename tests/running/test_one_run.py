"""A run whose summaries cannot be written, or whose ending goes wrong half-way: rows come first, and what is changed is told."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel
import orjson
import pytest
from anyio._backends._asyncio import WorkerThread

from batchrun import Ending, run, run_blocking
from batchrun.core.errors import JobError, LedgerError, RunDamagedError
from batchrun.core.jobs.job import Job
from batchrun.core.ledger.seal import sealed
from batchrun.core.ledger.usage_fields import usage_fields
from batchrun.core.model import Usage
from batchrun.core.progress import Progress
from batchrun.edge import run_directory, signals
from batchrun.running.wishes import Wishes
from batchrun.telling.checking import checked
from batchrun.telling.foresight import look_ahead
from batchrun.telling.publishing import grown
from batchrun.telling.reporting import reported


def job_in(tmp_path, model="qwen-plus", **tables):
    rows = [{"id": f"r-{n}", "workspace": ("legal", "sales")[n % 2], "model": model, "prompt": f"Note {n}."} for n in range(12)]
    (tmp_path / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    told = {
        "job": {"name": "night", "input": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "run")},
        "defaults": {"endpoint": "simulator", "model": "qwen-plus"},
        "workspaces": {"legal": {}, "sales": {}},
        "simulator": {"seed": 1, "latency": {"median": 0.01, "sigma": 0.1}},
    }
    return Job.model_validate(told | tables)


def test_a_digit_of_run_json_that_is_another_is_damage_after_the_run_has_ended_too(tmp_path):
    run_blocking(job_in(tmp_path), Wishes(dotenv=None, page=None))
    described = tmp_path / "run" / "run.json"
    assert run_directory.read_description(tmp_path / "run") is not None
    content = described.read_bytes()
    changed = content.replace(b'"qwen-plus": 6', b'"qwen-plus": 9', 1)
    assert changed != content
    described.write_bytes(changed)
    with pytest.raises(RunDamagedError, match="was changed after it was written"):
        run_directory.read_description(tmp_path / "run")


def test_a_run_whose_directory_another_system_named_is_not_begun_anew_beside_it(tmp_path):
    """A terminal in GB18030 made it, and cron goes on with it in UTF-8: all of its rows would be paid for twice."""
    job = job_in(tmp_path, job={"name": "night", "input": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "夜间")})
    run_blocking(job, Wishes(dotenv=None, page=None))
    other = tmp_path / os.fsdecode("夜间".encode("gb18030"))
    (tmp_path / "夜间").rename(other)
    for opening in (lambda: run_blocking(job, Wishes(dotenv=None, page=None)), lambda: look_ahead(job, datetime.now(UTC), dotenv=None)):
        with pytest.raises(RunDamagedError, match="stands beside it, a run whose directory another system gave this name to"):
            opening()
    other.rename(tmp_path / "夜间")
    assert run_blocking(job, Wishes(dotenv=None, page=None)).statement.total().calls == 12


@pytest.mark.parametrize("first", ["simulator", "http://127.0.0.1:1/v1"])
def test_answers_of_the_simulator_and_of_an_endpoint_never_stand_in_one_run(tmp_path, first):
    """Whose rows are answered by a rehearsal are asked for real in a directory of its own, and a real run takes in no made-up answer."""
    keyed = {name: {"api_key_env": "NO_SUCH_KEY"} for name in ("legal", "sales")}
    run_blocking(job_in(tmp_path, workspaces=keyed), Wishes(dotenv=None, page=None))
    described = run_directory.read_description(tmp_path / "run") or {}
    described["job"]["defaults"]["endpoint"] = first
    run_directory.write_description(tmp_path / "run", described)
    before = (tmp_path / "run" / "run.json").read_bytes()
    asked = {"endpoint": "public" if first == "simulator" else "simulator", "model": "qwen-plus"}
    now = job_in(tmp_path, workspaces=keyed, defaults=asked)
    told = "the simulator answered here, and public is to be asked now: give the job an output of its own, or remove that directory"
    if first != "simulator":
        told = f"{first} was asked here, and the simulator is to answer now: give the job an output of its own"
    for look in (
        lambda: run_blocking(now, Wishes(dotenv=None, page=None)),
        lambda: look_ahead(now, datetime.now(UTC).astimezone(), dotenv=None),
    ):
        with pytest.raises(RunDamagedError) as refused:
            look()
        assert str(refused.value) == f"{tmp_path / 'run'}: legal, sales: {told}"
    assert (tmp_path / "run" / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("ended", "mixes"),
    [
        ({}, True),
        ({"verdict": "again", "code": "timeout", "status": None, "doubt": True}, True),
        ({"verdict": "again", "code": "x", "status": 200, "usage": usage_fields(Usage(9, 9)), "cost": None}, True),
        ({"verdict": "park", "code": "invalid_api_key", "status": 401}, False),
    ],
)
def test_a_call_that_may_have_been_billed_and_has_no_entry_is_mixed_with_no_rehearsal(tmp_path, ended, mixes):
    """A run that was killed before its first answer: what it may owe is no play money, and of a real day's budget."""
    keyed = {name: {"api_key_env": "NO_SUCH_KEY"} for name in ("legal", "sales")}
    real = job_in(tmp_path, workspaces=keyed, defaults={"endpoint": "public", "model": "qwen-plus"})
    run_blocking(real, Wishes(dotenv=None, page=None))
    lines = [
        {"opening": 1, "at": 5.0},
        {"start": "1-1", "at": 5.0, "workspace": "legal", "model": "qwen-plus", "id": "r-0", "most": [9, 9]},
    ]
    lines += [{"end": "1-1", "at": 6.0} | ended] if ended else []
    (tmp_path / "run" / "attempts.log").write_bytes(b"".join(sealed(orjson.dumps(line)) for line in lines))
    rehearsal = job_in(tmp_path, workspaces=keyed)
    if mixes:
        with pytest.raises(RunDamagedError, match="legal: public was asked here, and the simulator is to answer now"):
            run_blocking(rehearsal, Wishes(dotenv=None, page=None))
    else:
        assert run_blocking(rehearsal, Wishes(dotenv=None, page=None)).statement.total().answered == 12


def test_a_workspace_without_an_entry_may_be_asked_elsewhere(tmp_path):
    """A rehearsal that never came to it has nothing of it that could be taken for real."""
    unlisted = {"model": "qwen-max", "models": ["qwen-max"]}
    run_blocking(job_in(tmp_path, workspaces={"legal": {}, "sales": unlisted}), Wishes(dotenv=None, page=None))
    asked = job_in(tmp_path, workspaces={"legal": {}, "sales": {"endpoint": "public", "api_key_env": "NO_SUCH_KEY"}})
    ending = run_blocking(asked, Wishes(dotenv=None, page=None))
    assert [(each.name, each.failure.code) for each in ending.parked] == [("sales", "missing_key")]


def test_what_is_learnt_that_cannot_be_kept_costs_no_row_and_is_told_once(tmp_path, monkeypatch):
    monkeypatch.setattr("batchrun.running.planning._KEPT_EVERY", 0.01)
    (tmp_path / "run" / "learnt.json" / "in the way").mkdir(parents=True)
    notes: list[str] = []
    ending = run_blocking(job_in(tmp_path), Wishes(dotenv=None, page="en", note=notes.append))
    assert ending.statement.total().answered == 12
    assert (tmp_path / "run" / "legal" / "usage.json").is_file()
    assert ending.page is not None
    told = [note for note in notes if "learnt.json" in note]
    assert len(told) == 1
    assert "cannot be written" in told[0]


def test_a_strict_run_names_all_that_would_be_parked_a_workspace_as_such_and_a_model_with_its_own(tmp_path):
    (tmp_path / ".env").write_text("SALES_KEY=sk-fake\n")
    workspaces = {"legal": {"api_key_env": "LEGAL_KEY"}, "sales": {"api_key_env": "SALES_KEY", "models": ["qwen-max"]}}
    job = job_in(tmp_path, defaults={"endpoint": "http://127.0.0.1:9/v1", "model": "qwen-max"}, workspaces=workspaces)
    with pytest.raises(JobError, match="not started, for --strict was given") as refused:
        run_blocking(job, Wishes(dotenv=tmp_path / ".env", page=None, strict=True))
    assert [each.where for each in refused.value.mistakes] == ["workspaces.legal", "workspaces.sales, model qwen-plus"]
    assert not (tmp_path / "run" / "attempts.log").exists()


def test_a_file_in_the_place_of_a_workspaces_directory_ends_the_run_in_words(tmp_path):
    """Of a workspace that made no call, the first that is written is its usage."""
    job = job_in(tmp_path, "qwen-max", workspaces={"legal": {}, "sales": {"models": ["qwen-plus"]}})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "sales").write_bytes(b"")
    with pytest.raises(LedgerError, match="sales"):
        run_blocking(job, Wishes(dotenv=None, page=None))


def test_a_workspace_that_was_taken_out_before_its_first_call_is_not_told_for_ever_that_its_rows_are_pending(tmp_path):
    run_blocking(
        job_in(tmp_path, workspaces={"legal": {}, "sales": {"models": ["qwen-max"], "model": "qwen-max"}}), Wishes(dotenv=None, page=None)
    )
    usage = tmp_path / "run" / "sales" / "usage.json"
    older = usage.read_bytes()
    mine = shutil.copytree(usage.parent, tmp_path / "run" / "sales before") / "usage.json"
    assert orjson.loads(older)["total"]["pending"] == 6
    run_blocking(job_in(tmp_path, workspaces={"legal": {}}), Wishes(dotenv=None, page=None))
    told = orjson.loads(usage.read_bytes())
    assert (told["workspace"], told["total"]["pending"], told["models"]) == ("sales", 0, {})
    assert not checked(tmp_path / "run", repair=False).findings
    usage.write_bytes(older)
    (found,) = checked(tmp_path / "run", repair=True).findings
    assert "is older than the ledger" in found.what
    assert orjson.loads(usage.read_bytes()) == told
    assert mine.read_bytes() == older


def test_signals_lead_to_what_they_did_before_wherever_a_run_does_not_listen_itself(tmp_path):
    def own(number, _frame):
        raise AssertionError(number)

    told: dict[str, object] = {}

    def note(text):
        told[text] = signal.getsignal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, own)
    try:
        for model in ("qwen-plus", "qwen-max"):
            job = job_in(tmp_path, defaults={"endpoint": "simulator", "model": model}, stop={"grace": len(model)})
            run_blocking(job, Wishes(dotenv=None, page=None, handle_signals=True, note=note))
            assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)
    # Told once the directory is read, and before the run is heard.
    assert [handler for text, handler in told.items() if "changed in the job" in text] == [own, own]


@pytest.mark.parametrize(("at", "exit_code", "stopped_by"), [(12, 0, None), (1, 4, "SIGTERM")])
def test_a_signal_that_comes_with_the_last_answer_has_stopped_nothing(tmp_path, at, exit_code, stopped_by):
    heard, handed_on = anyio.Event(), []

    async def hand_on(outcome):
        handed_on.append(outcome)
        if len(handed_on) == at:
            signal.raise_signal(signal.SIGTERM)
            await heard.wait()

    def note(text):
        if "no new calls" in text:
            heard.set()

    one_at_a_time = {name: {"concurrency": 1} for name in ("legal", "sales")}
    wishes = Wishes(dotenv=None, page=None, handle_signals=True, hand_on=hand_on, note=note)
    ending = run_blocking(job_in(tmp_path, workspaces=one_at_a_time), wishes)
    assert (ending.exit_code, ending.stopped_by) == (exit_code, stopped_by)
    assert (ending.statement.total().pending == 0) == (stopped_by is None)


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_a_run_that_is_stopped_says_how_long_what_is_in_flight_has_and_of_nothing_that_nothing_is(tmp_path, calls):
    """Of a run that waited for its hours it had been "0 in flight have 120 s"."""
    told: list[str] = []
    soon = datetime.now(UTC) + timedelta(hours=2)
    closed = {"window": f"{soon:%H}:00-{soon:%H}:59 UTC"}
    workspaces = {name: {"concurrency": 1} | (closed if place >= calls else {}) for place, name in enumerate(("legal", "sales"))}

    async def show(observe):
        while sum(each.in_flight for each in observe().workspaces) < calls:
            await anyio.lowlevel.checkpoint()
        signal.raise_signal(signal.SIGTERM)

    wishes = Wishes(dotenv=None, page=None, handle_signals=True, wait=True, note=told.append, show=show)
    slow = {"seed": 1, "latency": {"median": 0.2, "sigma": 0.1}}
    ending = run_blocking(job_in(tmp_path, workspaces=workspaces, stop={"grace": 30}, simulator=slow), wishes)
    assert (ending.exit_code, ending.stopped_by) == (4, "SIGTERM")
    how = {0: ", and none is in flight", 1: "; 1 in flight has 30 s; once more stops at once"}
    assert f"SIGTERM: no new calls{how.get(calls, '; 2 in flight have 30 s; once more stops at once')}" in told


def test_what_a_programs_own_loop_does_at_a_signal_it_does_again_once_a_run_that_listened_is_over(tmp_path):
    """As a web server stops by one: it had heard none any more, and nothing but a kill had ended it."""

    async def main() -> None:
        heard = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, heard.set)
        await run(job_in(tmp_path), Wishes(dotenv=None, page=None, handle_signals=True))
        signal.raise_signal(signal.SIGTERM)
        with anyio.fail_after(10):
            await heard.wait()
        loop.remove_signal_handler(signal.SIGTERM)

    asyncio.run(main())


@pytest.mark.parametrize("beside", [True, False])
def test_a_signal_is_for_all_runs_of_a_program_that_go_on_at_once_and_those_that_outlast_another_still_hear_it(tmp_path, beside):
    """Ctrl-C had reached the latest alone, and none once one was over; after them all it had led nowhere."""

    def own(number, _frame):
        raise AssertionError(number)

    one_at_a_time = {name: {"concurrency": 1} for name in ("legal", "sales")}
    for name in ("one", "other"):
        (tmp_path / name).mkdir()

    async def both() -> list[Ending]:
        under_way, heard, raised = anyio.Event(), anyio.Event(), list[signal.Signals]()

        async def meanwhile(_outcome):
            under_way.set()
            if beside:
                await heard.wait()

        async def hand_on(_outcome):
            await (under_way.wait() if beside else asyncio.wait((one,)))
            if not raised:
                # Once: both lanes' first outcomes may come at a time, and a second signal stops at once.
                raised.append(signal.SIGTERM)
                signal.raise_signal(signal.SIGTERM)
            await heard.wait()

        def note(text):
            if "no new calls" in text:
                heard.set()

        wishes = Wishes(dotenv=None, page=None, handle_signals=True)
        one = asyncio.ensure_future(run(job_in(tmp_path / "one", workspaces=one_at_a_time), replace(wishes, hand_on=meanwhile)))
        other = await run(job_in(tmp_path / "other", workspaces=one_at_a_time), replace(wishes, hand_on=hand_on, note=note))
        return [await one, other]

    before = signal.signal(signal.SIGTERM, own)
    try:
        endings = asyncio.run(both())
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [ending.stopped_by for ending in endings] == ["SIGTERM" if beside else None, "SIGTERM"]


def test_a_loop_hears_signals_though_another_was_left_in_the_midst_of_hearing_them():
    """As in a process that was forked while a run listened: it has a loop of its own, and what the other did is in its memory still."""
    held_up, told = signals.HeldUp(lambda: None, lambda: None), list[str]()

    async def hear() -> None:
        async with anyio.create_task_group() as beside:
            beside.start_soon(signals.watch, lambda _name: beside.cancel_scope.cancel(), lambda: None, held_up)
            await anyio.lowlevel.checkpoint()
            signal.raise_signal(signal.SIGTERM)
            with anyio.fail_after(10):
                await anyio.sleep_forever()

    before = signal.signal(signal.SIGTERM, lambda _number, _frame: told.append("the program"))
    left = asyncio.new_event_loop()
    try:
        watching = left.create_task(signals.watch(told.append, lambda: None, held_up))
        left.run_until_complete(anyio.lowlevel.checkpoint())
        asyncio.run(hear())
        watching.cancel()
        left.run_until_complete(asyncio.wait((watching,)))
        signal.raise_signal(signal.SIGTERM)
        assert told == ["the program"]
    finally:
        left.close()
        signal.signal(signal.SIGTERM, before)


def test_rows_that_were_appended_while_a_run_was_under_way_are_not_taken_for_answered_and_the_next_opening_asks_them(tmp_path):
    """It had ended with code 0, for which every row is answered: what a producer wrote meanwhile was nobody's."""
    job, late = job_in(tmp_path), [{"id": "late", "workspace": "legal", "prompt": "One more note."}]

    def hand_on(_outcome):
        if late:
            with (tmp_path / "rows.jsonl").open("ab") as rows:
                rows.write(orjson.dumps(late.pop()) + b"\n")

    ending = run_blocking(job, Wishes(dotenv=None, hand_on=hand_on))
    assert (ending.exit_code, ending.grown) == (4, (str(tmp_path / "rows.jsonl"),))
    assert (ending.statement.total().answered, ending.statement.total().pending) == (12, 0)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "more stands in the input now" in page
    assert 'class="verdict good"' not in page
    more = f"more stands in the input than when {tmp_path / 'run'} was opened ({tmp_path / 'rows.jsonl'}): the same command goes on with it"
    assert [*grown(reported([tmp_path / "run"]))] == [more]
    assert [*grown(reported([tmp_path / "run"]), "legal")] == [], "nobody knows whether it is its rows"
    ending = run_blocking(job, Wishes(dotenv=None))
    assert (ending.exit_code, ending.grown, ending.statement.total().answered) == (0, (), 13)
    assert 'class="verdict good"' in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert [*grown(reported([tmp_path / "run"]))] == []


def test_rows_that_could_not_be_read_are_none_that_are_done(tmp_path):
    """An input that is cut while the run goes on: it had been told to have all of its rows, and that some are left."""
    seen: list[Progress] = []

    async def hand_on(_outcome):
        os.truncate(tmp_path / "rows.jsonl", 0)

    async def show(observe):
        try:
            await anyio.sleep_forever()
        finally:
            seen.append(observe())

    one_at_a_time = {name: {"concurrency": 1} for name in ("legal", "sales")}
    wishes = Wishes(dotenv=None, page=None, hand_on=hand_on, show=show)
    ending = run_blocking(job_in(tmp_path, workspaces=one_at_a_time), wishes)
    total = ending.statement.total()
    assert (ending.exit_code, total.answered + total.pending, total.pending > 5) == (4, 12, True)
    assert (seen[-1].done, seen[-1].unread, seen[-1].rows) == (total.answered, total.pending, 12)
    assert all(each.done + each.unread == each.rows == 6 for each in seen[-1].workspaces)


class OutOfRoomError(Exception):
    """A caller's own."""


def _raise(*_given):
    raise OutOfRoomError


async def _raise_beside(_given):
    raise OutOfRoomError


async def _raise_later(_given):
    await anyio.sleep(0.02)  # so that several outcomes are being handed on at once
    raise OutOfRoomError


@pytest.mark.parametrize(
    ("function", "raises"),
    [
        ("note", _raise),
        ("on_index", _raise),
        ("show", _raise_beside),  # what shows a run is cancelled at its end, which may come within milliseconds
        ("hand_on", _raise_later),
        ("hand_on", _raise),
    ],
)
def test_what_a_function_of_the_caller_raises_comes_out_as_it_is_and_the_run_can_be_gone_on_with(tmp_path, function, raises):
    job = job_in(tmp_path)
    with (tmp_path / "rows.jsonl").open("ab") as rows:
        rows.write(b"no row, of which a note is made\n")
    with pytest.raises(OutOfRoomError):
        run_blocking(job, Wishes(dotenv=None, page=None, **{function: raises}))
    ending = run_blocking(job, Wishes(dotenv=None, page=None))
    assert (ending.exit_code, ending.statement.total().answered) == (3, 12)


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
def test_a_function_of_the_caller_may_end_the_program_and_no_group_of_errors_comes_out_for_it(tmp_path, end):
    def note(text):
        raise end(text)

    job = job_in(tmp_path)
    (tmp_path / "rows.jsonl").write_bytes(b"no row, of which a note is made")
    with pytest.raises(end, match="line is no row"):
        run_blocking(job, Wishes(dotenv=None, page=None, note=note))


def _end(_given):
    sys.exit(7)


async def _end_later(_given):
    await anyio.sleep(0.001)
    sys.exit(7)


@pytest.mark.parametrize("ends", [{"note": _end}, {"hand_on": _end}, {"show": _end_later}], ids=lambda ends: next(iter(ends)))
def test_a_program_that_a_function_of_the_caller_ends_waits_for_no_thread_of_a_loop_that_was_broken_off(tmp_path, ends):
    """A task that raises it breaks asyncio's loop off: nothing told the threads of it to end, and the process waited for them for ever."""
    job = job_in(tmp_path)
    with (tmp_path / "rows.jsonl").open("ab") as rows:
        rows.write(b"no row, of which a note is made")
    others = {*threading.enumerate()}
    with pytest.raises(SystemExit, match="7"):
        asyncio.run(run(job, Wishes(dotenv=None, page=None, **ends)))
    begun = {*threading.enumerate()} - others
    for thread in begun:
        thread.join(5)
    still = [thread for thread in begun if isinstance(thread, WorkerThread) and thread.is_alive()]
    for thread in still:
        thread.stop()
    assert still == []


def test_a_description_that_is_taken_away_under_a_run_keeps_no_later_one_out(tmp_path):
    async def hand_on(_outcome):
        (tmp_path / "run" / "run.json").unlink(missing_ok=True)

    ending = run_blocking(job_in(tmp_path), Wishes(dotenv=None, page="en", hand_on=hand_on))
    assert ending.statement.total().answered == 12
    assert run_blocking(job_in(tmp_path), Wishes(dotenv=None, page=None)).exit_code == 0


def test_a_held_row_whose_line_names_another_model_since_is_told_as_held(tmp_path):
    resets = {"simulator": {"seed": 1, "latency": {"median": 0.01, "sigma": 0.1}, "faults": [{"kind": "reset", "rate": 1.0}]}}
    hold = Wishes(dotenv=None, page=None, in_doubt="hold")
    assert run_blocking(job_in(tmp_path, **resets), hold).held == 12
    ending = run_blocking(job_in(tmp_path, "qwen-flash", **resets), hold)
    assert (ending.held, ending.statement.total().pending, ending.exit_code) == (12, 12, 4)


def test_a_rejected_row_in_doubt_that_was_to_be_asked_again_is_told_as_rejected_and_not_as_held(tmp_path):
    def failing(kind, **more):
        simulator = {"seed": 1, "latency": {"median": 0.01, "sigma": 0.1}, "faults": [{"kind": kind, "rate": 1.0, **more}]}
        return job_in(tmp_path, simulator=simulator, retry={"max_attempts": 1})

    assert run_blocking(failing("reset"), Wishes(dotenv=None, page=None)).statement.total().rows_in_doubt == 12
    rejected = run_blocking(failing("error", code="InvalidParameter"), Wishes(dotenv=None, page=None))
    assert (rejected.statement.total().rejected, rejected.exit_code) == (12, 3)
    held = run_blocking(failing("reset"), Wishes(dotenv=None, page=None, in_doubt="hold", retry_rejected=True))
    assert (held.held, held.statement.total().rejected, held.exit_code) == (0, 12, 3)


def test_absurd_figures_that_a_person_wrote_where_limits_are_kept_neither_end_a_run_nor_make_it_crawl(tmp_path):
    job, kept = job_in(tmp_path), tmp_path / "run" / "learnt.json"
    lanes = {name: {"qwen-plus": {"ratio": 1.0, "tokens_a_byte": 0.3, "output": 9.0, "answers": 2**64 - 1}} for name in ("legal", "sales")}
    slow = {"attempts": {"rate": 1e-6, "window": 60.0}, "tokens": {"rate": 1e-300, "window": 60.0}, "at_once": 2**64 - 1}
    kept.parent.mkdir()
    kept.write_bytes(orjson.dumps({"lanes": lanes, "pools": {f"{name} simulator qwen-plus": slow for name in lanes}}))
    told = look_ahead(job, datetime.now(UTC), dotenv=None)
    assert told.seconds is not None
    assert told.seconds < 60
    assert run_blocking(job, Wishes(dotenv=None, page=None)).statement.total().answered == 12
    found = orjson.loads(kept.read_bytes())
    assert found["lanes"]["legal"]["qwen-plus"]["answers"] == 6
    assert not any(found["pools"].values())


def test_what_was_learnt_is_kept_by_a_run_that_is_shorter_than_it_takes_to_be_kept_on_the_way(tmp_path):
    run_blocking(job_in(tmp_path), Wishes(dotenv=None, page=None))
    assert orjson.loads((tmp_path / "run" / "learnt.json").read_bytes())
