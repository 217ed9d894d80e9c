"""What is told from memory at the end of a run, and kept beside it while it goes on, is what its ledger says when it is read."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchrun.core.errors import RunDamagedError
from batchrun.core.ledger import untold
from batchrun.core.ledger.attempts import Bound
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.entry import Form
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.marking import Growth
from batchrun.core.ledger.statement import Statement
from batchrun.core.model import Answered, Call, Exhausted, Failure, Fault, Outcome, Rejected, Reply, Row, Scope, Usage
from batchrun.core.money.pricing import standard_prices
from batchrun.core.rows.index import Index
from batchrun.core.scheduling.past import Past
from batchrun.edge import history, run_directory
from batchrun.edge.job_file import load_job
from batchrun.edge.ledger import Files, Ledger
from batchrun.report.usage_csv import usage_table
from batchrun.running import checkpoints, following
from batchrun.running.checkpoints import Checkpoint
from batchrun.running.following import Followed, followed
from batchrun.running.money import Pricer
from batchrun.running.one_run import Wishes, run_blocking
from batchrun.running.statements import BY, Account, read_statement
from batchrun.telling.reading import read_into
from batchrun.telling.reporting import reported
from tests.running.test_checkpoints import told_of_course, told_of_plan

NIGHT = 1_795_600_000.0
ROWS = [
    Row(f"r-{number}", "legal" if number % 2 else "sales", "qwen-plus", {}, f"{number:016x}", {"team": number}, ordinal=ordinal)
    for number, ordinal in enumerate((0, 1, None, None, 4, 5, None, None))
]
"""Half of them with their places in the index."""
PRICES = standard_prices()


@pytest.fixture(autouse=True)
def any_size_is_worth_it_and_what_is_written_is_given_at_once(monkeypatch):
    monkeypatch.setattr(checkpoints, "FROM_BYTES", 1)
    monkeypatch.setattr(untold, "_TOGETHER", 1)


def failure(fault: Fault, usage: Usage | None = None, *, in_doubt: bool = False, status: int | None = None) -> Failure:
    return Failure(fault, Scope.ROW, "a_code", "the provider's words", "wait", status, in_doubt=in_doubt, usage=usage)


USAGE = Usage(1200, 80, 300, 20, {"prompt_tokens": 1200})
RESULTS: dict[str, tuple[str, Reply | Failure]] = {
    "answered": ("answered", Reply("an answer", "stop", USAGE, "q", first_token_ms=70)),
    "whole": ("answered", Reply("an answ", "length", USAGE, "q", body=b'{"choices":[{"finish_reason":"length"}]}')),
    "cut": ("answered", Reply("an answ", "length", USAGE)),
    "untold": ("answered", Reply("an answer", "stop", None)),
    "rejected": ("rejected", failure(Fault.REJECT, status=400)),
    "refused": ("rejected", failure(Fault.REJECT, USAGE, status=200)),
    "exhausted": ("exhausted", failure(Fault.AGAIN, in_doubt=True)),
    "again": ("again", failure(Fault.AGAIN, status=500)),
    "billed": ("again", failure(Fault.AGAIN, USAGE, status=200)),
    "timed out": ("again", failure(Fault.AGAIN, in_doubt=True)),
    "throttled": ("throttled", failure(Fault.THROTTLED, status=429)),
    "parked": ("parked", failure(Fault.PARK, status=401)),
    "reasked": ("reasked", failure(Fault.REASK, USAGE)),
}
KILLED = "killed"
CALLS = st.lists(
    st.tuples(st.integers(0, len(ROWS) - 1), st.sampled_from([*RESULTS, "answered", "answered", KILLED, "unsent"])), max_size=5,
    unique_by=lambda call: call[0],
)  # fmt: skip
OPENINGS = st.lists(
    st.tuples(st.lists(st.tuples(CALLS, st.booleans()), max_size=4), st.booleans(), st.sampled_from(["batchrun", "openai-batch"])),
    min_size=1, max_size=4,
)  # fmt: skip
"""Turns of an opening, each with whether the run is kept after it; whether the process is killed in the end; and its form."""


def price(_workspace: str, model: str, usage: Usage, at: float):
    found = PRICES.cost(model, "cn", usage, datetime.fromtimestamp(at, ZoneInfo("Asia/Shanghai")).date())
    return found.money() if found else None


@dataclass
class Opened:
    """One opening of a run that is written by the very ledger, and followed."""

    directory: Path
    index: Index
    past: Past
    plan: Checkpoint
    followed: Followed
    number: int
    ledger: Ledger
    at: float
    answered: set[tuple[str, str]]
    ended: set[str] = field(default_factory=set)
    """Rows that have an entry of this opening: it asks none of them again."""

    def turn(self, calls: list[tuple[int, str]]) -> None:
        """As the engine's: what ended is written before its ends are, and starts are written before they are sent."""
        self.ledger.flush()
        self.at += 100.7
        under_way = []
        for place, what in calls:
            row = ROWS[place]
            if (row.workspace, row.id) in self.answered or row.id in self.ended:
                continue
            if what == "unsent":
                self.ended.add(row.id)
                self.ledger.append(Rejected(row, failure(Fault.REJECT), None), 0.0)
            else:
                under_way.append((row, what, self.ledger.start(row, Bound(5000, 900), self.at)))
        self.ledger.flush()
        came = [(row, *RESULTS[what], name) for row, what, name in under_way if what != KILLED]
        for row, verdict, result, name in came:
            outcome = became(row, verdict, result, Call(name, 1, self.at, 1234))
            if outcome is not None:
                self.ledger.append(outcome, 0.0)
                self.ended.add(row.id)
            if isinstance(outcome, Answered):
                self.answered.add((row.workspace, row.id))
        self.ledger.flush()
        for _, verdict, result, name in came:
            self.ledger.end(name, verdict, result, self.at + 1.5)

    def keep(self) -> None:
        self.ledger.hand_over()
        following._write(self.followed._to_be_kept(self.followed._marks(self.ledger.followed())))

    def killed(self) -> None:
        self.ledger._files.close()

    def closed(self) -> tuple[Statement | None, Course]:
        self.ledger.__exit__(None, None, None)
        course = Course()
        return self.followed.close(self.ledger.followed(), course), course


def became(row: Row, verdict: str, result: Reply | Failure, call: Call) -> Outcome | None:
    if isinstance(result, Reply):
        return Answered(row, result, call)
    if verdict == "rejected":
        return Rejected(row, result, call)
    return Exhausted(row, result, call) if verdict == "exhausted" else None


def opened(
    directory: Path, number: int = 1, form: Form = "batchrun", *, job: object = None, price: Pricer = price,
    follow: Callable[[Followed, Past], None] = lambda _followed, _past: None,
) -> Opened:  # fmt: skip
    index = Index()
    for place, row in enumerate(ROWS):
        index.add((row.workspace, row.model), row.id, place, place)
    rows = {"legal": {"qwen-plus": 4}, "sales": {"qwen-plus": 4}}
    described = {"format": 1, "run": "run", "name": "night", "rejected_input": 2, "rows": rows, "job": job or {"job": {"name": "night"}}}
    directory.mkdir(exist_ok=True)
    run_directory.write_description(directory, described)
    for path in directory.rglob("*.*"):
        history.repair_tail(path, keep_zeros=path.name == "attempts.log")
    plan = Checkpoint(directory, "plan", "input", {"index": index})
    past = plan.read_on(lambda: Past(index), keep=True)
    answered = {(row.workspace, row.id) for row in ROWS if past.plan.is_answered(row.workspace, row.id)}
    found = followed(directory, past, plan)
    assert found is not None
    follow(found, past)
    ledger = Ledger(Files(directory, run_directory.open_to_append), number, form=form, price=price, boot="a-boot")
    ledger.be_followed(found.take)
    ledger.opened(NIGHT + 86_400 * number)
    return Opened(directory, index, past, plan, found, number, ledger, NIGHT + 86_400 * number, answered)


def read_anew(directory: Path) -> tuple[Statement, Course]:
    account = Account.of(directory, by=BY)
    read_into(directory, reader := account.watched())
    return cast("Fold", reader.fold).close(account.rows), reader.course


def as_files(statement: Statement) -> object:
    """What is written of a statement when a run ends, and what can be asked of it."""
    usage = {workspace: orjson.dumps(part) for workspace, part in statement.workspaces_json().items()}
    rows = [list(part) for part in usage_table(statement, ("workspace", "model", "day"))]
    return usage, rows, statement.as_json(), statement.by(("day", "workspace")).as_json()


@given(OPENINGS)
@example([([([(0, "rejected"), (1, "parked")], False), ([(0, "answered")], False)], False, "batchrun")])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_a_statement_told_from_memory_is_that_of_a_fresh_reading_whatever_happened_before(tmp_path_factory, openings):
    directory = tmp_path_factory.mktemp("run") / "run"
    for number, (turns, is_killed, form) in enumerate(openings, 1):
        run = opened(directory, number, form)
        for calls, keeps in turns:
            run.turn(calls)
            if keeps:
                run.keep()
        if is_killed:
            run.killed()
        else:
            told, course = run.closed()
            statement, read = read_anew(directory)
            assert told is not None
            assert as_files(told) == as_files(statement)
            assert told_of_course(course) == told_of_course(read)
        whole, again = Past(run.index), Checkpoint(directory, "plan", "input", {"index": run.index})
        read_into(directory, whole)
        assert told_of_plan(again.read_on(lambda: Past(run.index), keep=False)) == told_of_plan(whole)  # noqa: B023 - called at once
        assert again.note is None


@pytest.mark.parametrize("calls", [[(1, "answered"), (5, "parked")], [(5, "parked"), (1, "answered")]])
def test_what_stands_still_in_the_end_is_told_by_the_order_in_which_calls_ended(tmp_path, calls):
    run = opened(tmp_path / "run")
    run.turn(calls)
    course = run.closed()[1]
    assert course.standstills == read_anew(run.directory)[1].standstills
    assert bool(course.standstills) == (calls[-1][1] == "parked")


def test_what_was_written_meanwhile_is_in_the_checkpoints_of_a_run_that_is_killed(tmp_path):
    run = opened(tmp_path / "run")
    run.turn([(0, "answered"), (1, "rejected")])
    run.keep()
    size = sum(run.plan.ends().values())
    run.turn([(2, "answered")])
    run.killed()
    for name, key, outside in (("plan", "input", {"index": run.index}), ("course", None, None)):
        account = Account.of(run.directory, by=BY)
        found = (account.checkpoint(name) if key is None else Checkpoint(run.directory, name, key, outside or {}))._kept()
        assert found is not None
        assert sum(mark.end for mark in found[1].values()) == size


def edited(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"an answer", b"an anvil?", 1))


def of_the_log(path: Path) -> None:
    log = path.parents[1] / "attempts.log"
    log.write_bytes(log.read_bytes().replace(b'"most":[5000', b'"most":[5001', 1))


def added(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"not": "ours"}\n')


@pytest.mark.parametrize("change", [edited, of_the_log, added, lambda path: path.with_name("errors.jsonl").write_bytes(b"")])
def test_a_ledger_that_somebody_else_has_changed_is_read_and_not_told_from_memory(tmp_path, change):
    run = opened(tmp_path / "run")
    run.turn([(0, "answered"), (1, "answered")])
    # What is added to a file that is yet to be synced ends the ledger.
    run.ledger._files.sync_all(run.ledger._files.take_dirty())
    stood = {path: path.read_bytes() for path in run.directory.glob("*.checkpoint")}
    change(run.directory / "sales" / "results.jsonl")
    assert run.closed()[0] is None
    assert {path: path.read_bytes() for path in run.directory.glob("*.checkpoint")} == stood


def test_what_contradicts_itself_is_told_by_reading_and_never_kept(tmp_path):
    run = opened(tmp_path / "run")
    run.turn([(0, "answered")])
    run.ledger.append(Answered(ROWS[0], Reply("another", "stop", USAGE), Call("1-1", 1, NIGHT, 5)), 0.0)
    assert run.ledger._untold is not None
    run.ledger._untold._unended.clear()
    assert run.closed()[0] is None
    assert not list(run.directory.glob("*.checkpoint"))
    with pytest.raises(RunDamagedError, match=r"results\.jsonl: line 2"):
        read_anew(run.directory)


def test_what_was_written_and_not_told_to_the_end_is_read(tmp_path):
    run = opened(tmp_path / "run")
    run.turn([(0, "answered")])
    # An entry whose call's end never came: whoever follows was not given it.
    name = run.ledger.start(ROWS[1], Bound(1, 1), run.at)
    run.ledger.append(Answered(ROWS[1], Reply("an answer", "stop", USAGE), Call(name, 1, run.at, 5)), 0.0)
    assert run.closed()[0] is None


def test_a_file_that_had_grown_before_it_was_opened_is_not_taken_for_what_was_read(tmp_path):
    run = opened(tmp_path / "run")
    run.turn([(0, "answered")])
    assert run.closed()[0] is not None
    run = opened(tmp_path / "run", 2)
    assert run.followed._marks({"attempts.log": Growth(3)}) is None


def test_what_is_kept_of_a_statement_is_caught_up_with_only_where_that_is_soon_done(tmp_path, monkeypatch):
    run = opened(tmp_path / "run")
    run.turn([(0, "answered"), (1, "timed out")])
    run.killed()
    monkeypatch.setattr(following, "CATCH_UP_BYTES", 100)
    run = opened(tmp_path / "run", 2)
    run.turn([(1, "answered")])
    assert run.closed()[0] is None
    assert (run.directory / "plan.checkpoint").exists(), "what the next opening has to know is kept all the same"
    told = read_statement(run.directory, by=BY, course=Course(), keep=True)
    assert as_files(told) == as_files(read_anew(run.directory)[0])


def test_a_report_of_a_run_that_has_ended_reads_nothing_again_and_says_what_a_fresh_reading_says(tmp_path, monkeypatch):
    run = opened(tmp_path / "run")
    run.turn([(0, "answered"), (1, "rejected"), (2, "timed out"), (3, "billed")])
    assert run.closed()[0] is not None
    read: list[int] = []

    def counted(directory, reader, *only, since, read_entry=read_into, **how) -> None:
        read.append(sum(run.plan.ends().values()) - sum(mark.end for mark in since.values()))
        read_entry(directory, reader, *only, since=since, **how)

    monkeypatch.setattr(checkpoints, "read_into", counted)
    anew = read_anew(run.directory)[0]
    for by in ((), ("day",), ("model", "day")):
        told = reported([run.directory], by=by, zone=ZoneInfo("Asia/Shanghai"))
        assert (told.as_json(), told.statement.by(by).as_json()) == (anew.as_json(), anew.by(by).as_json())
    assert read == [0, 0, 0]
    edited(run.directory / "sales" / "results.jsonl")
    with pytest.raises(RunDamagedError, match=r"results\.jsonl: line 1"):
        reported([run.directory])


JOB = """
[job]
name = "kept"
input = "in.jsonl"
output = "run"
[defaults]
model = "qwen-plus"
endpoint = "simulator"
concurrency = 4
[workspaces.w-0]
[workspaces.w-1]
[simulator]
latency = { median = 0.03, sigma = 0.1 }
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    rows = [{"id": f"r-{number}", "workspace": f"w-{number % 2}", "prompt": f"Say {number}."} for number in range(240)]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    (tmp_path / "job.toml").write_text(JOB)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "job.toml"


@contextmanager
def no_reading() -> Iterator[None]:
    """Nothing reads a ledger: what is told is told from memory."""

    def refused(*_asked: object, **_how: object) -> None:
        raise AssertionError("the ledger was read")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchrun.running.summing_up.read_statement", refused)
        yield


def test_a_run_tells_its_statement_from_memory_and_its_files_are_those_of_a_fresh_reading(job, tmp_path):
    with no_reading():
        ended = run_blocking(load_job(job), Wishes())
    assert ended.statement.total().answered == 240
    written = {path: path.read_bytes() for path in (tmp_path / "run").rglob("usage.*")}
    assert len(written) == 3
    for kept in (tmp_path / "run").glob("*.checkpoint"):
        kept.unlink()
    with no_reading():
        again = run_blocking(load_job(job), Wishes())
    assert again.statement.as_json() == ended.statement.as_json() == read_anew(tmp_path / "run")[0].as_json()
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("usage.*")} == written


_RUN = """
import sys
from batchrun.core import pauses
from batchrun.edge.job_file import load_job
from batchrun.running import checkpoints, following
from batchrun.running.one_run import run_blocking
following.KEPT_EVERY, pauses._TIMES_AS_LONG, checkpoints.FROM_BYTES = 0.02, 0, 1
kept = checkpoints.Checkpoint._kept
def told(self, *known):
    found = kept(self, *known)
    if self._path.name == "plan.checkpoint":
        print("from", 0 if found is None else sum(mark.end for mark in found[1].values()), flush=True)
    return found
checkpoints.Checkpoint._kept = told
sys.exit(run_blocking(load_job("job.toml")).exit_code)
"""


def test_a_run_that_is_killed_is_gone_on_with_from_what_was_kept_meanwhile_and_answers_each_row_once(job, tmp_path):
    kept = tmp_path / "run" / "plan.checkpoint"
    command = [sys.executable, "-c", _RUN]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as child:
        while not kept.exists() and child.poll() is None:
            time.sleep(0.002)
        child.kill()
        said, _ = child.communicate()
    assert (child.returncode, said) == (-signal.SIGKILL, b"from 0\n")
    ended = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, timeout=60, check=True)
    assert int(ended.stdout.split()[1]) > 0
    answered = Counter(
        orjson.loads(line)["id"] for path in (tmp_path / "run").glob("*/results.jsonl") for line in path.read_bytes().splitlines()
    )
    assert answered == {f"r-{number}": 1 for number in range(240)}
    statement = read_anew(tmp_path / "run")[0]
    written = {path.parent.name: orjson.loads(path.read_bytes()) for path in (tmp_path / "run").glob("*/usage.json")}
    assert written == statement.workspaces_json()
