"""Inputs of any size, and the ledger of a run that has answered them."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from random import Random
from typing import IO

import orjson

from batchrun.core.jobs.job import Job, settings_salt
from batchrun.core.ledger.attempts import Bound, ended_line, opened_line, started_line
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.model import Answered, Call, Reply, Usage
from batchrun.core.rows.rows import Inherited, Line, read_line
from batchrun.running.opening import _asked

_WORDS = "the customer asks for a refund of order and was told to wait 客户 询问 退款 naïve café summary please answer in two lines"
_TEXTS = 1000
AT = 1.8e9


def write_input(path: Path, rows: int, row_bytes: int, workspaces: int) -> None:
    """Write *rows* rows of about *row_bytes*, sorted by workspace: ``w-0`` first."""
    texts = [_text(Random(seed), row_bytes - 55) for seed in range(_TEXTS)]
    with path.open("wb", buffering=1 << 20) as file:
        for number in range(rows):
            file.write(b'{"id":"t-%d","workspace":"w-%d","prompt":%b}\n' % (number, number * workspaces // rows, texts[number % _TEXTS]))


def write_job(folder: Path, url: str, workspaces: int, *, concurrency: int = 8, more: str = "") -> Path:
    """Write a job over ``in.jsonl`` of *folder*, whose run directory is ``run``."""
    tables = "".join(f'[workspaces.w-{number}]\napi_key_env = "W{number}_KEY"\n' for number in range(workspaces))
    text = (
        f'[job]\nname = "size"\ninput = "{folder}/in.jsonl"\noutput = "{folder}/run"\n{more}'
        f'[defaults]\nmodel = "qwen-plus"\nendpoint = "here"\nconcurrency = {concurrency}\n[endpoints.here]\nbase_url = "{url}"\n{tables}'
    )
    path = folder / "job.toml"
    path.write_text(text)
    return path


def keys(workspaces: int) -> dict[str, str]:
    """Give the environment's part of such a job: fakes, that name their workspaces."""
    return {f"W{number}_KEY": f"sk-fake-w-{number}" for number in range(workspaces)}


def write_ledger(job: Job, rows: int) -> None:
    """Write what a run of *job* leaves that has answered the first *rows* rows of its input."""
    directory, workspaces = Path(job.run_directory), job.workspaces_resolved()
    inherited = {name: Inherited(each.model, _asked(each), settings_salt(each)) for name, each in workspaces.items()}
    directory.mkdir()
    with ExitStack() as open_files:
        log = open_files.enter_context(_new(directory / "attempts.log"))
        files = {name: open_files.enter_context(_new(directory / name / "results.jsonl")) for name in workspaces}
        log.write(opened_line(1, AT))
        with Path(job.inputs[0].path).open("rb") as lines:
            for number, line in enumerate(islice(lines, rows), 1):
                read = read_line(line, inherited, None)
                assert isinstance(read, Line)
                row, name = read.row(read.id or ""), f"1-{number}"
                log.write(started_line(name, AT, row, Bound(700, 400)))
                call = Call(name, 1, AT + number / 500, 1200)
                files[row.workspace].write(write_entry(Answered(row, _REPLY, call), "batchrun", raw=False))
                log.write(ended_line(name, AT, "answered", _REPLY))


def _new(path: Path) -> IO[bytes]:
    path.parent.mkdir(exist_ok=True)
    return path.open("wb", buffering=1 << 20)


def _text(dice: Random, size: int) -> bytes:
    words: list[str] = []
    while sum(map(len, words)) + len(words) < size:
        words.append(dice.choice(_WORDS.split()))
    return orjson.dumps(" ".join(words))


_USAGE = Usage(150, 40, raw={"prompt_tokens": 150, "completion_tokens": 40, "total_tokens": 190})
_REPLY = Reply("The customer asks for a refund and is answered politely. " * 6, "stop", _USAGE, request_id="req-00000000-aaaa-bbbb-cccc")
