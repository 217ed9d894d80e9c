"""Where memory runs out: the call that it ran out for fails, the others go on; and a run that it ends goes on like a killed one."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections import deque
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from batchrun import read_statement
from batchrun.core.errors import StoppedError
from batchrun.core.jobs.job import Job
from batchrun.core.model import Failure, Fault, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport
from batchrun.running.one_run import Wishes, run_blocking
from batchrun.telling.checking import checked
from tests.edge import fault_server as server
from tests.end_to_end.test_run import calls, environment, rows_of, simulator, write_job
from tests.faults import children
from tests.faults.accounts import entries_of, settled

_HEALTHY, _HEAVY = 60, 10


class Exhausting(Reading):
    """A reading for which there is no memory, at one of its steps."""

    def __init__(self, step: str) -> None:
        super().__init__(OPENAI.dialect, {})
        self.step = step

    def feed(self, piece: bytes) -> None:
        if self.step == "feed":
            raise MemoryError
        super().feed(piece)

    def result(self, status, headers):
        if self.step == "result":
            raise MemoryError
        return super().result(status, headers)


@pytest.mark.parametrize("step", ["feed", "result"])
def test_no_memory_for_one_answer_is_that_calls_failure_and_in_doubt(step):
    async def main() -> tuple[Reply | Failure, Reply | Failure]:
        async with (
            server.serving(server.keeps(server.http())) as endpoint,
            Transport(connect=1, idle=1, total=2, connections=1, proxy="none", max_response_bytes=65_536) as wire,
        ):
            request = Request(endpoint.url, {}, b"{}")
            return await wire.post(request, Exhausting(step)), await wire.post(request, Reading(OPENAI.dialect, {}))

    failure, reply = anyio.run(main)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.fault, failure.in_doubt) == ("no_memory", Fault.AGAIN, True)
    assert isinstance(reply, Reply)


class Unwritable(dict[str, str]):
    """Headers for which there is no memory when they are written."""

    def items(self):
        raise MemoryError


def test_no_memory_to_write_a_request_is_that_calls_failure_and_in_doubt_and_its_connection_is_given_up():
    async def main() -> tuple[Reply | Failure, list[Reply | Failure], int, int]:
        came = deque[float]()
        async with (
            server.serving(server.keeps(server.http())) as endpoint,
            Transport(connect=1, idle=1, total=2, connections=1, proxy="none", max_response_bytes=65_536) as wire,
        ):
            said = {"Authorization": "Bearer sk-fake-writing"}
            request = Request(endpoint.url, said, b"{}")
            replies = [await wire.post(request, Reading(OPENAI.dialect, {}))]
            call = wire.begin(Request(endpoint.url, Unwritable(said), b"{}"), Reading(OPENAI.dialect, {}), came.append)
            assert call is not None
            assert not came
            while not came:
                await checkpoint()
            assert call.taken(came.popleft()) is None
            failure = await call.rest()
            replies.append(await wire.post(request, Reading(OPENAI.dialect, {})))
            return failure, replies, endpoint.connections, len(came)

    failure, replies, connections, came = anyio.run(main)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.fault, failure.in_doubt) == ("no_memory", Fault.AGAIN, True)
    assert [type(reply) for reply in replies] == [Reply, Reply]
    assert (connections, came) == (2, 0)


def _write(place: Path, port: int) -> None:
    paths = {"healthy": ("good", 4), "heavy": ("large", _HEAVY)}
    tables = [
        f'[workspaces.{name}]\napi_key_env = "KEY_{name}"\nconcurrency = {slots}\nendpoint = "http://127.0.0.1:{port}/{path}/v1"\n'
        for name, (path, slots) in paths.items()
    ]
    (place / "job.toml").write_text(
        f'[job]\ninput = "rows.jsonl"\noutput = "{place}/run"\n[defaults]\nmodel = "m"\n[retry]\nmax_attempts = 2\n'
        "backoff = { first = 0.05, max = 0.1 }\n" + "".join(tables)
    )
    rows = [("healthy", number) for number in range(_HEALTHY)] + [("heavy", number) for number in range(_HEAVY)]
    children.jsonl(place / "rows.jsonl", [{"id": f"{name}-{number}", "workspace": name, "prompt": "hello"} for name, number in rows])


def _run(place: Path, address_space: int | None) -> subprocess.CompletedProcess[bytes]:
    def limit() -> None:
        if address_space is not None:
            resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

    keys = {f"KEY_{name}": f"sk-fake-canary-{name}-0123456789" for name in ("healthy", "heavy")}
    return subprocess.run(
        [*children.BATCHRUN, "run", "job.toml", "--quiet"], cwd=place, env=children.environment(keys), capture_output=True, timeout=200,
        check=False, preexec_fn=limit,
    )  # fmt: skip


def test_large_answers_of_a_workspace_take_no_more_memory_than_the_readme_says(tmp_path):
    """However many of them come at once, and though each is read, parsed and written."""
    slots, usual = 24, 80
    with children.server("-m", "tests.faults.endpoints") as where:
        (tmp_path / "job.toml").write_text(
            '[job]\ninput = "rows.jsonl"\noutput = "run"\n[workspaces.heavy]\nmodel = "m"\napi_key_env = "KEY_heavy"\n'
            f'concurrency = {slots}\nendpoint = "http://127.0.0.1:{where["port"]}/large/v1"\n'
        )
        children.jsonl(tmp_path / "rows.jsonl", [{"id": f"r-{number}", "workspace": "heavy", "prompt": "hello"} for number in range(slots)])
        keys = {"KEY_heavy": "sk-fake-canary-heavy-0123456789"}
        exit_code, most_mib = children.measured(tmp_path, "run", "job.toml", "--quiet", keys=keys)
    assert exit_code == 0
    assert children.count_of(tmp_path / "run") == slots
    assert most_mib < usual + 20 * 16


@pytest.mark.timeout(300)
def test_a_run_that_may_have_no_more_memory_loses_nothing_and_goes_on_when_it_may(tmp_path):
    """Some calls fail for it, of others too; or a library that does not bear it ends the process. Either way the next run has them all."""
    with children.server("-m", "tests.faults.endpoints") as where:
        _write(tmp_path, where["port"])
        ended = _run(tmp_path, 300 << 20)
        assert ended.returncode != 0, "the limit was not met"
        again = _run(tmp_path, None)
    assert again.returncode == 0, again.stderr
    ids = [entry["id"] for entry in children.entries(tmp_path / "run")]
    assert len(ids) == len(set(ids)) == _HEALTHY + _HEAVY
    assert checked(tmp_path / "run", repair=False).whole
    total = read_statement(tmp_path / "run").total()
    assert (total.answered, total.pending) == (_HEALTHY + _HEAVY, 0)


_LOSES_A_STEP = """
import asyncio, sys, threading
from pathlib import Path
from batchrun.edge.job_file import load_job
from batchrun.running.one_run import Wishes, run_blocking

def fails():
    raise MemoryError

async def lose(observe):
    while not observe().workspaces[0].done:
        await asyncio.sleep(0.001)
    if sys.argv[1] == "thread":
        threading.Thread(target=fails).start()
    else:
        asyncio.get_running_loop().call_soon(fails)
    await asyncio.sleep(60)

run_blocking(load_job(Path("job.toml")), Wishes(handle_signals=True, show=lose))
"""


@pytest.mark.parametrize("where", ["loop", "thread"])
def test_a_run_that_loses_a_step_for_want_of_memory_ends_at_once_in_one_line_and_goes_on_like_a_killed_one(tmp_path, where):
    with simulator(tmp_path, latency=0.05) as url:
        asked = rows_of(400)
        write_job(tmp_path, url, asked)
        said = subprocess.run(
            [sys.executable, "-c", _LOSES_A_STEP, where], cwd=tmp_path, env=environment(), capture_output=True, timeout=60, check=False
        )
        assert (said.returncode, said.stderr.count(b"\n"), said.stderr.startswith(b"batchrun: there was no memory")) == (4, 1, True)
        assert 0 < len(entries_of(tmp_path / "run")) < len(asked)
        again = subprocess.run([*children.BATCHRUN, "run", "job.toml", "--quiet"], cwd=tmp_path, env=environment(), timeout=60, check=False)
        assert again.returncode == 0
        settled(tmp_path / "run", asked, calls(url))


_MAY_HAVE_NO_THREADS = """
import asyncio, sys, threading
from pathlib import Path
from batchrun.cli import main
from batchrun.core.errors import StoppedError
from batchrun.edge.job_file import load_job
from batchrun.running.one_run import Wishes, run_blocking

def no_more():
    threading.stack_size(1 << 46)  # The system has no such a stack to give.

async def soon(observe):
    while not observe().workspaces[0].done:
        await asyncio.sleep(0.001)
    no_more()

if sys.argv[1] == "midway":
    try:
        run_blocking(load_job(Path("job.toml")), Wishes(handle_signals=True, show=soon))
    except StoppedError as error:
        print(f"batchrun: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
else:
    no_more()
    main()
"""


@pytest.mark.parametrize("asked", [["run", "job.toml"], ["midway"]])
def test_a_run_that_may_begin_no_more_threads_ends_in_one_line_and_goes_on_when_it_may(tmp_path, asked):
    with simulator(tmp_path, latency=0.05) as url:
        rows = rows_of(400)
        write_job(tmp_path, url, rows)
        command = [sys.executable, "-c", _MAY_HAVE_NO_THREADS, *asked]
        said = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, timeout=60, check=False)
        assert (said.returncode, said.stderr.count(b"\n"), said.stderr[:36]) == (4, 1, b"batchrun: no thread could be begun: ")
        again = subprocess.run([*children.BATCHRUN, "run", "job.toml", "--quiet"], cwd=tmp_path, env=environment(), timeout=60, check=False)
        assert again.returncode == 0
        settled(tmp_path / "run", rows, calls(url))


def of_its_own(of: type[BaseException] | None) -> BaseException:
    error = RuntimeError("a scope is left out of its turn")
    error.__cause__ = None if of is None else of()
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (of_its_own(MemoryError), StoppedError),
        (RuntimeError("can't allocate lock"), StoppedError),
        (RuntimeError("can't start new thread"), StoppedError),
        (SystemError("<function f> returned NULL without setting an exception"), StoppedError),
        (TypeError("open: path should be string, bytes or os.PathLike, not PosixPath"), StoppedError),
        (TypeError("stat: path should be string, bytes, os.PathLike or integer, not PosixPath"), StoppedError),
        (TypeError("stat: path should be string, bytes, os.PathLike or integer, not dict"), TypeError),
        (TypeError("f() takes no arguments"), TypeError),
        (SystemError("bad argument to internal function"), SystemError),
        (ExceptionGroup("both", [MemoryError(), RuntimeError("can't start new thread")]), StoppedError),
        (ExceptionGroup("a bug too", [MemoryError(), RuntimeError("can't start new thread"), ValueError()]), ExceptionGroup),
        (of_its_own(None), RuntimeError),
    ],
)
def test_what_fails_in_a_way_of_its_own_because_memory_ran_out_is_told_as_that_and_nothing_else_is(tmp_path, error, expected):
    async def show(_observe):
        raise error

    (tmp_path / "rows.jsonl").write_text('{"prompt": "hello"}\n' * 40)
    job = Job.model_validate(
        {
            "job": {"input": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "run")},
            "defaults": {"endpoint": "simulator", "model": "qwen-plus"},
            "simulator": {"latency": {"median": 0.3, "sigma": 0}},
        }
    )
    with pytest.raises(expected) as ended:
        run_blocking(job, Wishes(dotenv=None, show=show))
    told = "no thread could be begun" if "thread" in repr(error) else "no memory left"
    assert (told in str(ended.value)) == (expected is StoppedError)
