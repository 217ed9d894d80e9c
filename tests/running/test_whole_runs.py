"""One run from its first opening to its last, whatever becomes of it between them, held against what its provider counted.

Openings, ledgers, budgets and books are the real ones, on real files; the provider is a function and the clock a number. A process is
killed between any two steps of a turn, or in the midst of a write: what it had written is all that is left of it.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from batchrun.core.errors import RunDamagedError
from batchrun.core.jobs.job import Job
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.statement import Statement
from batchrun.core.model import Failure, Reply, Row
from batchrun.edge import run_directory
from batchrun.edge.ledger import Files, Ledger
from batchrun.ports import Prepared
from batchrun.running import checkpoints
from batchrun.running.bookkeeping import Bookkeeper
from batchrun.running.budgets import each_purse, purses_of, take_up
from batchrun.running.money import pricer, prices_of
from batchrun.running.opening import Opening, opened
from batchrun.running.planning import Learnt, schedule
from batchrun.running.preparing import Preparer
from batchrun.running.statements import BY, read_statement
from batchrun.running.summing_up import sum_up
from batchrun.telling.checking import checked
from tests.running.process import KilledError, Process, Tools
from tests.running.world import World
from tests.virtual_time import run_virtually

Named = tuple[str, str]
"""A row, by its workspace and id."""


class WholeRun(World):
    """One run directory, and the processes that open it."""

    def __init__(self, home: Path, dice: random.Random) -> None:
        super().__init__(home, dice)
        self.kills = self.left = 0
        self.again = False
        """Whether rejected rows are asked again."""
        self.is_refused = False

    def open(self, *, kill: bool, steps: int) -> None:
        """Open the run, and end it after so many turns, or when it has nothing more to do."""
        job = self.job()
        self.directory.mkdir(parents=True, exist_ok=True)
        anew = self._read_anew(job) if (self.directory / "run.json").exists() else None
        with ExitStack() as stack:
            stack.enter_context(run_directory.locked(self.directory))
            found = self._opened(stack, job, self.directory)
            if anew is not None:
                assert (found if isinstance(found, str) else self._seen(found)) == anew
            self.is_refused = isinstance(found, str)
            if isinstance(found, str):
                assert f"{self.gone()} answered rows" in found
                return
            try:
                run_virtually(lambda: self._carry_out(job, found, kill=kill, steps=steps))
            except KilledError:
                self.kills += 1
        self.hold_against()

    def _opened(self, stack: ExitStack, job: Job, directory: Path) -> Opening | str:
        """What an opening finds, or why there is none."""
        try:
            return stack.enter_context(
                opened(job, job.workspaces_resolved(), directory, strict=False, retry_rejected=self.again, hold_in_doubt=self.hold)
            )
        except RunDamagedError as error:
            return str(error).replace(str(directory), "DIR")

    def _read_anew(self, job: Job) -> Any:
        """What an opening sees for which nothing was kept."""
        with ExitStack() as stack:
            found = self._opened(stack, job, self._copy(without_index=self.dice.random() < 0.5))
            return found if isinstance(found, str) else self._seen(found)

    def _copy(self, *, without_index: bool = False) -> Path:
        copy = self.home / "copy" / "night"
        shutil.rmtree(copy.parent, ignore_errors=True)
        shutil.copytree(self.directory, copy)
        for path in copy.glob("*.checkpoint"):
            path.unlink()
        if without_index:
            shutil.rmtree(copy / "input", ignore_errors=True)
        return copy

    @staticmethod
    def _seen(opening: Opening) -> Any:
        plan, lanes = opening.plan, opening.plan.lanes()
        return lanes, {lane: [*plan.rows(lane)] for lane in lanes}, plan.rows_of_the_run(), plan.held(), opening.number

    def gone(self) -> int:
        """Answered rows that the input has no more: none of them, or that many."""
        answered = {*self._answered()}
        assert not answered & self.input()
        return len(answered)

    def input(self) -> set[Named]:
        """The rows of the input, as an opening of a run that has done nothing names them."""
        (self.home / "looked").mkdir()
        with ExitStack() as stack:
            opening = self._opened(stack, self.job(), self.home / "looked")
            assert isinstance(opening, Opening)
            read = [opening.source.read(ordinal) for ordinal in range(len(opening.source.index))]
        shutil.rmtree(self.home / "looked")
        found = {(row.workspace, row.id) for row in read if isinstance(row, Row)}
        assert len(found) == len(read)
        return found

    async def _carry_out(self, job: Job, opening: Opening, *, kill: bool, steps: int) -> None:
        workspaces = job.workspaces_resolved()
        prices, learnt = prices_of(job), Learnt()
        purses = purses_of(job, workspaces, opening.plan.lanes(), prices)
        take_up(job, purses, self.directory)
        notes: list[str] = []
        keeper = Bookkeeper(self.directory, each_purse(purses), notes.append, wall_time=lambda: self.clock)
        books = keeper.open()
        books.__enter__()
        scheduler = schedule(job, workspaces, opening, learnt, wait=False, hold_in_doubt=self.hold, purses=purses)
        keys = {name: SecretStr(f"sk-fake-{name}") for name in workspaces}
        prepare = Preparer(job, keys, None, run=opening.run, source=opening.source, schema=None, learnt=learnt)
        files = Files(self.directory, run_directory.open_to_append)
        ledger = Ledger(files, opening.number, price=pricer(prices, workspaces), wall_time=lambda: self.clock)
        if opening.followed is not None:
            ledger.be_followed(opening.followed.take)
        ledger.opened(self.clock)
        process = Process(self.directory, self.dice, Tools(scheduler, prepare, ledger, files, keeper), self._call, self.clock)
        try:
            process.go(steps, kill=kill)
        except KilledError:
            files.close()
            keeper._close = lambda: None  # type: ignore[method-assign]
            books.__exit__(None, None, None)
            raise
        finally:
            self.clock = process.clock
        with ledger:
            pass
        came_to = sum_up(opening, ledger, scheduler.parked(), None, None)
        books.__exit__(None, None, None)
        anew = self._statement_anew()
        assert came_to.statement.as_json() == anew.as_json()

    def _statement_anew(self) -> Statement:
        return read_statement(self._copy(), by=BY, course=Course())

    # What must hold whenever no process is at work.

    def _entries(self, name: str) -> list[dict[str, Any]]:
        paths = sorted(self.directory.glob(f"*/{name}.jsonl"))
        lines = [(path.parent.name, line) for path in paths for line in path.read_bytes().split(b"\n")]
        return [{**json.loads(line), "in": workspace} for workspace, line in lines if _is_json(line)]

    def _answered(self) -> Counter[Named]:
        found = self._entries("results")
        assert all(entry["workspace"] == entry["in"] for entry in found)
        return Counter((entry["workspace"], entry["id"]) for entry in found)

    def hold_against(self) -> None:
        answered = self._answered()
        assert max(answered.values(), default=1) == 1, "a row is answered twice"
        latest = {(entry["workspace"], entry["id"]): entry["outcome"] for entry in self._entries("errors")}
        failed = {row: outcome for row, outcome in latest.items() if row not in answered}
        asked = self.input()
        universe = asked | {*answered} | {*failed}
        statement = self._statement_anew()
        assert statement.as_json() == read_statement(self.directory, by=BY).as_json()
        for workspace in {*statement.workspaces(), *(name for name, _ in universe)}:
            total = statement.total(workspace)
            rows = [row for row in universe if row[0] == workspace]
            told = (total.answered, total.rejected, total.exhausted, total.pending)
            done = [row for row in rows if row in answered]
            rejected, exhausted = ([row for row in rows if failed.get(row) == what] for what in ("rejected", "exhausted"))
            expected = len(done), len(rejected), len(exhausted), len(rows) - len(done) - len(rejected) - len(exhausted)
            assert told == expected, (workspace, told, expected)
            for kind in ("input_tokens", "output_tokens"):
                stated, doubt = getattr(total, kind), getattr(total, f"in_doubt_{kind}")
                bill = self.provider.billed[workspace, kind]
                assert stated <= bill <= stated + doubt, (workspace, kind, stated, bill, doubt)
        self.left = len(asked - {*answered} - {row for row, outcome in failed.items() if outcome == "rejected"})
        assert statement.total().calls >= self.provider.calls
        found = checked(self.directory, repair=False)
        assert all("cut off" in each.what or not each.damage for each in found.findings), found.findings

    def _call(self, ready: Prepared, at: float) -> Reply | Failure:
        assert not self._answered()[ready.row.workspace, ready.row.id], "an answered row is sent again"
        assert ready.request.headers["Authorization"] == f"Bearer sk-fake-{ready.row.workspace}"
        result = self.provider.call(ready, at)
        self.hold_budgets(ready.row.workspace, at)
        return result


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def played(home: Path, dice: random.Random, openings: int = 4) -> WholeRun:
    """Play one run to its end."""
    run = WholeRun(home, dice)
    for _ in range(openings):
        run.again = dice.random() < 0.2
        run.open(kill=dice.random() < 0.6, steps=dice.randint(1, 8))
        for _ in range(dice.randint(0, 3)):
            dice.choice((run.edit, run.edit, run.change))()
        run.clock += dice.choice((0.0, 5.0, 86_400.0, -86_400.0))
    run.budgets.clear()
    run.hold = run.again = False
    for _ in range(12):
        run.open(kill=False, steps=60)
        if run.is_refused or not run.left:
            break
    return run


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=15)
@given(st.randoms(use_true_random=False))
def test_whatever_becomes_of_a_run_no_row_is_lost_or_answered_twice_no_budget_overspent_and_the_bill_is_statement_and_doubt(
    tmp_path_factory, dice
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "FROM_BYTES", dice.choice((1, checkpoints.FROM_BYTES)))
        run = played(tmp_path_factory.mktemp("whole"), dice)
    assert run.is_refused or not run.left
