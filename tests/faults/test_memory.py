"""Where memory runs out: the call that it ran out for fails, the others go on; and a run that it ends goes on like a killed one."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import anyio
import pytest

from batchrun import read_statement
from batchrun.core.model import Failure, Fault, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport
from batchrun.telling.checking import checked
from tests.edge import fault_server as server
from tests.faults import children

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
