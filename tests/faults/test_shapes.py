"""What has another shape than it should: rows, answers and job files, each through all that a run does with it.

No row is lost or asked twice, each that is not answered has its reason, and what is stated is what was billed, within the doubt. What a
reader makes of bytes is tried in `fuzz.py` and in `tests/core/protocols/test_fuzz.py`; here is what comes of it.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from batchrun import run
from batchrun.core.errors import BatchrunError
from batchrun.core.jobs.job import Job
from batchrun.edge.job_file import load_job
from batchrun.running.statements import BY, read_statement
from batchrun.running.wishes import Ending, Wishes
from batchrun.telling.checking import checked
from batchrun.telling.foresight import look_ahead
from tests.core.jobs.test_job import FULL
from tests.edge import fault_server as server
from tests.faults.shapes import ODD, Raw, bent, dumped, toml_of

KEYS = {"openai": "sk-fake-openai-shapes-1", "dashscope": "sk-fake-dashscope-shapes-2"}
DICE = st.randoms(use_true_random=True)
"""By seeds, for an endpoint draws while calls are under way; the same ones each time, and nothing is made smaller."""
EACH = settings(deadline=None, max_examples=12, derandomize=True, database=None, phases=(Phase.generate,))
WORDS = (
    *("content", "messages", "prompt", "role", "id", "custom_id", "body", "model", "text", "image", "image_url", "url", "type", "video"),
    *("audio", "parameters", "stream", "max_tokens", "n", "metadata", "workspace", "tool_calls", "modalities", "stream_options", "tools"),
)
USER = {"role": "user", "content": "Say yes."}
CALL = {"id": "c1", "type": "function", "index": 0, "function": {"name": "f", "arguments": '{"a": 1}'}}
SEEN = [{"image": "a.png"}, {"text": "What?"}]
HEARD = [
    {"type": "image_url", "image_url": {"url": "a.png", "detail": "low"}},
    {"type": "input_audio", "input_audio": {"data": "data:audio/wav;base64,AAAA", "format": "wav"}},
    {"type": "video", "video": ["https://x.example/1.png", "a.png"], "fps": 2},
    {"type": "text", "text": "What?", "cache_control": {"type": "ephemeral"}},
]
ROWS: list[dict[str, Any]] = [
    {"id": "", "prompt": "Say yes.", "metadata": {"project": "q3", "n": [1, {"x": 2.5}]}},
    {"prompt": "Say yes.", "stream": True, "parameters": {"max_tokens": 5, "seed": 7, "stop": ["a"], "enable_search": True}},
    {
        "id": "",
        "messages": [
            {"role": "system", "content": "Be brief."},
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "4"},
        ],
        "model": "qwen-max",
        "parameters": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "n": 2},
    },
    {
        "custom_id": "",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "qwen-plus", "messages": [USER], "max_tokens": 5, "stream": False, "enable_thinking": True, "thinking_budget": 9},
        "metadata": {"project": "q3"},
    },
    {"id": "", "model": "qwen-vl-plus", "messages": [{"role": "user", "content": SEEN}]},
    {"id": "", "model": "qwen-vl-plus", "messages": [{"role": "user", "content": HEARD}]},
]
"""A row of each form that the README tells; each gets an id of its own, and a workspace."""


class Asked(NamedTuple):
    """What a call asks for."""

    workspace: str
    stream: bool
    answers: int


class Billed(Counter[tuple[str, str]]):
    """What the provider counts, by workspace and kind."""

    def call(self, asked: Asked, dice: random.Random) -> dict[str, Any]:
        """Bill a call that is answered; gives its usage object."""
        of_input, of_output = dice.randint(1, 9), dice.randint(1, 5)
        self[asked.workspace, "input_tokens"] += of_input
        self[asked.workspace, "output_tokens"] += of_output
        details = {"prompt_tokens_details": {"cached_tokens": dice.randint(0, of_input)}}
        if asked.workspace == "dashscope":
            return {"input_tokens": of_input, "output_tokens": of_output, **details}
        return {"prompt_tokens": of_input, "completion_tokens": of_output, "total_tokens": of_input + of_output, **details}


def asked_by(request: bytes) -> Asked:
    head, _, body = request.partition(b"\r\n\r\n")
    said = json.loads(body)
    (workspace,) = (name for name, key in KEYS.items() if key.encode() in head)
    stream = said.get("stream") is True or b"X-DashScope-SSE" in head
    wanted = (said.get("parameters") or {} if workspace == "dashscope" else said).get("n")
    return Asked(workspace, stream, wanted if type(wanted) is int and 0 < wanted < 100 else 1)


def frames(asked: Asked, usage: dict[str, Any]) -> list[Any]:
    """A whole answer: one object, or the events of a stream."""
    choices = [
        {"index": n, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes", "tool_calls": [CALL]}}
        for n in range(asked.answers)
    ]
    if asked.workspace == "dashscope":
        last = {"output": {"choices": choices}, "usage": usage, "request_id": "r-1"}
        first = {"output": {"choices": [{"index": 0, "finish_reason": "null", "message": {"content": ""}}]}, "request_id": "r-1"}
        return [first, last] if asked.stream else [last]
    envelope = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "qwen-plus"}
    if not asked.stream:
        return [{**envelope, "choices": choices, "usage": usage}]
    deltas = [{"index": each["index"], "finish_reason": None, "delta": each["message"]} for each in choices]
    ends = [{"index": each["index"], "finish_reason": "stop", "delta": {}} for each in choices]
    return [*({**envelope, "choices": some} for some in (deltas, ends)), {**envelope, "choices": [], "usage": usage}]


def sent(asked: Asked, said: list[Any]) -> bytes:
    texts = [dumped(each).replace(b"\n", b" ") for each in said]
    if not asked.stream:
        return server.http(texts[0])
    events = b"".join(b"data: " + text + b"\n\n" for text in texts) + b"data: [DONE]\n\n" * (asked.workspace == "openai")
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(events) + events


async def carried_out(place: Path, lines: list[bytes], answer: Callable[[Asked], bytes], **tables: Any) -> Ending:
    """Run *lines* to the end against an endpoint that gives *answer*."""
    (place / "in.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (place / "keys").write_text("".join(f"{name.upper()}_KEY={key}\n" for name, key in KEYS.items()))

    async def answers(_reader: server.Reader, writer: server.Writer) -> None:
        writer.write(answer(asked_by(endpoint.requests[-1])))

    async with server.serving(answers) as endpoint:
        workspaces = {name: {"api_key_env": f"{name.upper()}_KEY", "protocol": name} for name in KEYS}
        job = {
            "job": {"name": "shapes", "input": str(place / "in.jsonl"), "output": str(place / "run")},
            "defaults": {"model": "qwen-plus", "endpoint": f"http://127.0.0.1:{endpoint.port}/compatible-mode/v1", "concurrency": 16},
            "workspaces": workspaces,
            "retry": {"max_attempts": 3, "backoff": {"first": 0.001, "max": 0.002}},
            "stop": {"probe_every": 0.2},
        }
        return await run(Job.model_validate(job | tables), Wishes(dotenv=place / "keys", page=None))


def entries_of(directory: Path, name: str) -> list[dict[str, Any]]:
    lines = [(path.parent.name, line) for path in directory.glob(f"*/{name}.jsonl") for line in path.read_bytes().splitlines()]
    return [{"in": workspace, **json.loads(line)} for workspace, line in lines]


def hold(place: Path, ending: Ending, rows: int) -> list[dict[str, Any]]:
    """Each of so many rows has one outcome, which the ledger tells as the run did; gives the entries of those without an answer."""
    total = ending.statement.total()
    assert (total.answered + total.rejected + total.exhausted, total.pending, ending.parked) == (rows, 0, ())
    entries = {name: entries_of(place / "run", name) for name in ("results", "errors")}
    ids = [(entry["in"], entry.get("custom_id", entry["id"])) for some in entries.values() for entry in some]
    assert len({*ids}) == len(ids) == rows
    assert read_statement(place / "run", by=BY).as_json() == ending.statement.as_json()
    assert not [each for each in checked(place / "run", repair=False).findings if each.damage]
    return entries["errors"]


def a_row(dice: random.Random, number: int) -> dict[str, Any]:
    row = copy.deepcopy(dice.choice(ROWS))
    return {**row, **{name: f"r-{number}" for name in ("id", "custom_id") if name in row}, "workspace": dice.choice([*KEYS])}


@EACH
@given(DICE)
def test_a_row_of_any_shape_is_asked_once_or_set_aside_or_rejected_with_its_reason(tmp_path_factory, dice):
    place, billed = tmp_path_factory.mktemp("rows"), Billed()
    (place / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    rows = [a_row(dice, number) for number in range(50)]
    lines = [dumped(bent(dice, row, words=WORDS) if number % 8 else row) for number, row in enumerate(rows)]

    def answer(asked: Asked) -> bytes:
        billed[asked.workspace, "calls"] += 1
        return sent(asked, frames(asked, billed.call(asked, dice)))

    ending = anyio.run(lambda: carried_out(place, lines, answer))
    told = place / "run" / "rejected-input.jsonl"
    aside = [json.loads(line) for line in told.read_bytes().splitlines()] if told.exists() else []
    assert all(each["reason"] and lines[each["line"] - 1] for each in aside)
    errors = hold(place, ending, sum(1 for line in lines if line.strip()) - len(aside))
    assert all(each["outcome"] == "rejected" and each["failure"]["message"] and each["failure"]["advice"] for each in errors)
    assert ending.statement.total().calls == ending.statement.total().answered
    for (name, kind), count in billed.items():
        assert getattr(ending.statement.total(name), kind) == count, (name, kind)


ERRORS = {
    "openai": {"error": {"message": "Too many requests", "type": "x", "code": "limit_requests", "param": None}, "request_id": "r-1"},
    "dashscope": {"code": "Throttling.RateQuota", "message": "slow down", "request_id": "r-1"},
}
OF_TOKENS = ("usage", "input_tokens", "output_tokens", "prompt_tokens", "completion_tokens")
OF_ANSWERS = ("content", "choices", "message", "delta", "finish_reason", "output", "text", "error", "code", "index", "id", "tool_calls")


@EACH
@given(DICE, st.sampled_from(["batchrun", "openai-batch"]), st.booleans())
def test_an_answer_of_any_shape_is_an_answer_or_a_failure_and_the_account_stays_exact(tmp_path_factory, dice, form, lies):
    """Where the tokens of an answer are bent too, it *lies*, and what it was billed for is not to be known: all the rest holds."""
    place, billed = tmp_path_factory.mktemp("answers"), Billed()
    spared, words = ((), (*OF_ANSWERS, *OF_TOKENS)) if lies else (OF_TOKENS, OF_ANSWERS)
    rows = [{"id": f"r-{n}", "workspace": [*KEYS][n % 2], "prompt": "Say yes.", "stream": n % 4 > 1} for n in range(60)]

    def answer(asked: Asked) -> bytes:
        billed[asked.workspace, "calls"] += 1
        if dice.random() < 0.2:
            status = dice.choice(("400 Bad", "418 Teapot", "429 Slow", "500 Oops", "503 Busy"))
            return server.http(dumped(bent(dice, ERRORS[asked.workspace], spared, words)), status=status)
        said = frames(asked, billed.call(asked, dice))
        if dice.random() < 0.7:
            at = dice.randrange(len(said))
            said[at] = bent(dice, said[at], spared, words)
        if dice.random() < 0.2:
            dice.shuffle(said)
        return sent(asked, said)

    ending = anyio.run(lambda: carried_out(place, [*map(dumped, rows)], answer, output={"form": form, "raw": dice.random() < 0.5}))
    hold(place, ending, len(rows))
    for name in KEYS:
        total = ending.statement.total(name)
        assert total.calls == billed[name, "calls"]
        for kind in ("input_tokens", "output_tokens"):
            stated, doubt = getattr(total, kind), getattr(total, f"in_doubt_{kind}")
            assert stated >= 0
            assert lies or stated <= billed[name, kind] <= stated + doubt, (name, kind)


IN_TOML = (
    b"inf",
    b"nan",
    b"2026-11-24T08:00:00+08:00",
    b"07:32:00",
    b"9999-12-31",
    b"0x10",
    b"1_000",
    b"'''a\nb'''",
    b'"public"',
    b'"legal"',
)
MEANT = (
    0,
    1,
    0.001,
    1e-9,
    1e12,
    1e300,
    2**63 - 1,
    2**64,
    -1,
    "legal",
    "main",
    "own",
    "qwen-plus",
    "*",
    "simulator",
    "CNY",
    "day",
    "a.jsonl",
    "x",
)
"""Values that fit somewhere."""
KEY_WORDS = ("name", "input", "output", "model", "models", "budget", "rpm", "amount", "tokens", "per", "path", "legal", "account", "schema")


@settings(EACH, max_examples=120)
@given(DICE)
def test_a_job_of_any_shape_is_planned_or_told_with_its_mistakes(tmp_path_factory, dice):
    place = tmp_path_factory.mktemp("jobs")
    for name in ("a.jsonl", "b.jsonl"):
        (place / name).write_bytes(b'{"prompt":"x","workspace":"legal"}\n{"prompt":"y","workspace":"marketing"}\n')
    odd = dice.choice((MEANT, (*ODD, *map(Raw, IN_TOML))))
    content = toml_of(bent(dice, FULL, ("output",), KEY_WORDS, odd))
    (place / "x.toml").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        said = mistaken()
    if said is not None:
        assert str(said)
        assert said.exit_code in {2, 6}
        assert all(each.where and each.found and each.allowed for each in getattr(said, "mistakes", ()))


def mistaken() -> BatchrunError | None:
    """What is told of the job in the folder one stands in; None where it is planned."""
    try:
        look_ahead(load_job("x.toml"), datetime.now(UTC), dotenv=None)
    except BatchrunError as error:
        return error
    return None


def test_what_is_bent_differs_is_one_line_and_spares_what_it_is_to_spare():
    dice = random.Random(1)
    rows = [a_row(dice, 1) for _ in range(400)]
    found = [dumped(bent(dice, row, ("workspace",), WORDS)) for row in rows]
    assert len({*found}) > 300
    assert not any(b"\n" in text for text in found)
    assert all(dumped(row["workspace"]) in text for row, text in zip(rows, found, strict=True))
