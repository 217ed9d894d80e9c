"""Run directories as runs leave them, written without a run: a night with its failures, at any size, the same each time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from batchrun.core.ledger.attempts import Bound, ended_line, opened_line, started_line
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.model import Answered, Call, Charges, Exhausted, Failure, Fault, Money, Rejected, Reply, Row, Scope, Usage

NIGHT = datetime(2026, 11, 24, 14, 0, tzinfo=UTC).timestamp()
MODELS = ("qwen-plus", "qwen-flash", "qwen-max", "qwen-vl-plus", "qwq-plus", "qwen-long", "qwen-omni-turbo")
PRICES = {"qwen-plus": (0.8, 2), "qwen-flash": (0.15, 1.5), "qwen-max": (2.4, 9.6), "qwen-vl-plus": (1.5, 4.5), "qwq-plus": (1.6, 4)}

THROTTLED = Failure(Fault.THROTTLED, Scope.LANE, "limit_requests", "You exceeded your current requests limit.", "", status=429)
BROKEN = Failure(Fault.AGAIN, Scope.ROW, "timeout_idle", "no byte for 120 s", "nothing: it is tried again", in_doubt=True)
SERVICE = Failure(Fault.AGAIN, Scope.ROW, "InternalError", "Internal server error.", "nothing: it is tried again", status=500)
INSPECTED = Failure(
    Fault.REJECT, Scope.ROW, "DataInspectionFailed", "Output data may contain inappropriate content.",
    "content inspection stopped this row: rephrase its prompt; if it was the answer that was stopped, the same row may pass; "
    "the row runs at the next start with --retry-rejected",
    status=400,
)  # fmt: skip
TOO_LONG = Failure(
    Fault.REJECT, Scope.ROW, "InvalidParameter", "Range of input length should be [1, 129024]",
    "mend the row: the message says which parameter", status=400,
)  # fmt: skip
DENIED = Failure(
    Fault.PARK, Scope.LANE, "Model.AccessDenied", "Model access denied.",
    "ask the account's owner to authorise the model for this workspace; then run the same command again: the rows are still pending",
    status=403,
)  # fmt: skip


@dataclass(frozen=True)
class Night:
    """What kind of run is written."""

    workspaces: Sequence[str]
    rows: int = 600
    """In each workspace."""
    models: Sequence[str] = MODELS[:3]
    seconds: float = 8 * 3600
    failing: float = 0.02
    """The share of rows that fail for good; three times as many calls are throttled or tried again."""
    unpriced: Sequence[str] = ()
    streamed: bool = True
    pending: int = 0
    """In the last workspace, parked."""
    job: dict[str, Any] = field(default_factory=dict)
    text: str = "The answer."
    stopped: bool = True
    """Whether the run noted its end."""
    name: str = "nightly-summaries"
    failures: Sequence[Failure] = (INSPECTED, INSPECTED, TOO_LONG, SERVICE)


def write_night(directory: Path, night: Night) -> Path:
    """Write a run directory; returns it."""
    directory.mkdir(parents=True, exist_ok=True)
    dice = random.Random(7)
    counts: dict[str, dict[str, int]] = {}
    with (directory / "attempts.log").open("wb", buffering=1 << 20) as log:
        log.write(opened_line(1, NIGHT))
        number = 0
        for place, workspace in enumerate(night.workspaces):
            folder = directory / workspace
            folder.mkdir(exist_ok=True)
            with (folder / "results.jsonl").open("wb", 1 << 20) as results, (folder / "errors.jsonl").open("wb", 1 << 20) as errors:
                share = 1 / (place + 1) ** 0.7
                for row in _rows(workspace, max(1, int(night.rows * share)), night.models, dice):
                    counts.setdefault(workspace, {}).setdefault(row.model, 0)
                    counts[workspace][row.model] += 1
                    number, lines, entry, answered = _asked(row, number, night, dice)
                    log.write(lines)
                    (results if answered else errors).write(entry)
        if night.pending:
            last, model = night.workspaces[-1], night.models[-1]
            counts[last][model] = counts[last].get(model, 0) + night.pending
            log.write(_parked(last, model, number + 1))
    (directory / "run.json").write_bytes(orjson.dumps(_described(night, counts)))
    return directory


def _rows(workspace: str, count: int, models: Sequence[str], dice: random.Random) -> Iterator[Row]:
    for number in range(count):
        model = models[min(int(dice.expovariate(1.2)), len(models) - 1)]
        yield Row(f"{workspace[:20]}-{number:07}", workspace, model, {}, f"{number:016x}", {"project": f"project-{number % 4}"})


def _asked(row: Row, number: int, night: Night, dice: random.Random) -> tuple[int, bytes, bytes, bool]:
    at = NIGHT + dice.random() ** 1.3 * night.seconds
    lines: list[bytes] = []
    while dice.random() < 3 * night.failing:
        failure = dice.choice((THROTTLED, THROTTLED, SERVICE, BROKEN))
        number += 1
        lines += _call(row, number, at, failure.fault.value, failure)
        at += 1 + dice.random() * 20
    number += 1
    usage = _usage(dice)
    cost = _cost(row.model, usage, night)
    call = Call(f"1-{number}", 1 + len(lines) // 2, at, int(dice.lognormvariate(7.2 + 0.1 * (len(row.model) % 5), 0.5)))
    if dice.random() < night.failing:
        failure = dice.choice(night.failures)
        verdict = "rejected" if failure.fault is Fault.REJECT else "exhausted"
        lines += _call(row, number, at, verdict, failure)
        outcome = Rejected(row, failure, call) if verdict == "rejected" else Exhausted(row, failure, call)
        return number, b"".join(lines), write_entry(outcome, "batchrun", raw=False), False
    first = int(call.latency_ms * dice.uniform(0.05, 0.4)) if night.streamed else None
    finish = "length" if dice.random() < 0.01 else "stop"
    reply = Reply(night.text, finish, usage, request_id=f"req-{number}", first_token_ms=first)
    lines += _call(row, number, at, "answered", reply, seconds=call.latency_ms / 1000)
    return number, b"".join(lines), write_entry(Answered(row, reply, call), "batchrun", raw=False, cost=cost), True


def _call(row: Row, number: int, at: float, verdict: str, result: Reply | Failure, seconds: float = 1.0) -> list[bytes]:
    ended = ended_line(f"1-{number}", at + seconds, verdict, result, metadata=row.metadata)
    return [started_line(f"1-{number}", at, row, Bound(2000, 800)), ended]


def _parked(workspace: str, model: str, number: int) -> bytes:
    row = Row("parked", workspace, model, {}, "0" * 16)
    return b"".join(_call(row, number, NIGHT + 60, "parked", DENIED))


def _usage(dice: random.Random) -> Usage:
    asked, told = int(dice.lognormvariate(6, 0.8)), int(dice.lognormvariate(5.3, 0.7))
    return Usage(asked, told, asked // 2 if dice.random() < 0.2 else 0, told // 3 if dice.random() < 0.1 else 0)


def _cost(model: str, usage: Usage, night: Night) -> Money | None:
    if model in night.unpriced or model not in PRICES:
        return None
    asked, told = (Decimal(str(price)) for price in PRICES[model])
    meters = (("input_token", usage.input_tokens, asked), ("output_token", usage.output_tokens, told))
    amount = sum((tokens * price / 1_000_000 for _, tokens, price in meters), Decimal(0))
    return Money("CNY", amount, Charges(meters, saved=usage.cached_tokens * asked / 2_000_000))


def _described(night: Night, counts: dict[str, dict[str, int]]) -> dict[str, Any]:
    described = {"format": 1, "run": "c340743de9dc496f979b7311bdfb10e5", "name": night.name, "batchrun": "0.1.0", "rejected_input": 3}
    described["rejected_for"] = [{"lines": 3, "place": "rows.jsonl, line 7", "said": "workspace '<b>lgal' is not one of the job's"}]
    described |= {"opened_at": "2026-11-24T14:00:00+00:00", "input": [], "rows": counts, "job": night.job}
    if night.stopped:
        last = night.workspaces[-1]
        scope = {"scope": "lane", "name": f"{last} {night.models[-1]}", "rows": night.pending, "code": DENIED.code, "status": 403}
        scope |= {"message": DENIED.message, "advice": DENIED.advice}
        described["ended"] = {"at": "2026-11-24T22:00:00+00:00", "stopped_by": None, "parked": [scope] if night.pending else []}
    return described


def departments(count: int) -> list[str]:
    """Names as companies give them, in English and Chinese."""
    words = (
        "marketing",
        "legal",
        "support",
        "研发中心",
        "localisation",
        "operations",
        "市场部",
        "finance",
        "research-and-development",
        "人力资源部",
    )
    return [words[place] if place < len(words) else f"{words[place % len(words)]}-{place // len(words) + 1}" for place in range(count)]


def job_of(workspaces: Iterable[str]) -> dict[str, Any]:
    """A job with an account's quotas, workspaces' own and budgets."""
    tables = {name: {"account": "main", "rpm": 60 + 40 * place} for place, name in enumerate(workspaces)}
    first, *_ = tables
    tables[first] |= {"budget": {"amount": "0.5", "currency": "CNY"}, "limits": {"qwen-plus": {"budget": {"tokens": 900_000}}}}
    quotas = {model: {"rpm": 120, "tpm": 90_000} for model in MODELS[:2]}
    return {"job": {"budget": {"amount": "20", "currency": "CNY"}}, "accounts": {"main": {"quotas": quotas}}, "workspaces": tables}


def hostile(night: Night) -> Night:
    """The same night with failures that say what nobody should."""
    script = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
    failures = [replace(INSPECTED, code=f"{script}{n}", message=script * 4, advice=f"\u202e{script}") for n in range(3)]
    return replace(night, failures=failures, models=(*night.models, script.replace(" ", ""), "m" * 256))
