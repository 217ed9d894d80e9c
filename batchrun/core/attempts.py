"""The lines of attempts.log: each attempt noted before it is sent and when it ends, so that a crash leaves its doubt behind.

An attempt that starts and never ends, or that broke after it was sent, may have been billed. Its start line says how much that can be
at the most: a token is at least one byte of the body, and the answer ends at the limit the request sets, or at ASSUMED_OUTPUT_TOKENS
where it sets none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from batchrun.core.entry import read_usage, usage_fields
from batchrun.core.model import Failure, Reply, Row, Usage
from batchrun.core.parts import Kind

ASSUMED_OUTPUT_TOKENS = 32_768
"""The longest answer, reasoning included, that a call without a limit is taken to be billed for."""

MOST_TOKENS_OF_MEDIA: Mapping[Kind, int] = MappingProxyType({"image": 16_384, "audio": 131_072, "video": 131_072})
"""What one image costs at its highest resolution (vl_high_resolution_images), and what fits a model's context of a sound or a video."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Tokens that a call can be billed for at the most."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The run was opened: later attempts are named after this number."""

    opening: int


@dataclass(frozen=True, slots=True)
class Started:
    """An attempt is about to be sent."""

    name: str
    workspace: str
    model: str
    row_id: str
    bound: Bound


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt came back."""

    name: str
    verdict: str
    in_doubt: bool
    usage: Usage | None
    """Tokens of an attempt that has no entry of its own."""


def bound(body: Mapping[str, Any], text_bytes: int, media: Iterable[Kind] = ()) -> Bound:
    """Bound what a chat request can cost whose body has *text_bytes*, its *media* left out."""
    limit = body.get("max_completion_tokens")
    if not isinstance(limit, int):
        limit = body.get("max_tokens")
        # max_tokens caps the answer and not the reasoning, which has a cap of its own where it is asked for.
        thinking = body.get("thinking_budget", ASSUMED_OUTPUT_TOKENS) if body.get("enable_thinking") is not False else 0
        limit = limit + (thinking if isinstance(thinking, int) else ASSUMED_OUTPUT_TOKENS) if isinstance(limit, int) else None
    choices = body.get("n", 1)
    each = limit if limit is not None and limit > 0 else ASSUMED_OUTPUT_TOKENS
    asked = text_bytes + sum(MOST_TOKENS_OF_MEDIA[kind] for kind in media)
    return Bound(asked, each * (choices if isinstance(choices, int) and choices > 0 else 1))


def opened_line(opening: int, at: float) -> bytes:
    """Return the line that begins an opening; *at* is wall time."""
    return orjson.dumps({"opening": opening, "at": at}, option=orjson.OPT_APPEND_NEWLINE)


def started_line(name: str, at: float, row: Row, most: Bound) -> bytes:
    """Return the line written before an attempt is sent."""
    fields = {"start": name, "at": at, "workspace": row.workspace, "model": row.model, "id": row.id}
    return orjson.dumps(fields | {"most": [most.input_tokens, most.output_tokens]}, option=orjson.OPT_APPEND_NEWLINE)


def ended_line(name: str, at: float, verdict: str, result: Reply | Failure) -> bytes:
    """Return the line written when an attempt has come back."""
    fields: dict[str, Any] = {"end": name, "at": at, "verdict": verdict}
    if isinstance(result, Failure):
        fields |= {"code": result.code, "status": result.status}
        # A final failure's usage stands in its entry.
        if result.usage is not None and verdict not in {"rejected", "exhausted"}:
            fields["usage"] = usage_fields(result.usage)
        if result.in_doubt and result.usage is None:
            fields["doubt"] = True
    elif result.usage is None:
        fields["doubt"] = True
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def read_attempt(line: bytes) -> Opened | Started | Ended | None:
    """Read a line back; None for one that cannot be read (the file is never synced: a lost machine can leave such lines)."""
    try:
        fields = orjson.loads(line)
        if "start" in fields:
            most = Bound(int(fields["most"][0]), int(fields["most"][1]))
            return Started(fields["start"], fields["workspace"], fields["model"], fields["id"], most)
        if "end" in fields:
            return Ended(fields["end"], fields["verdict"], fields.get("doubt", False), read_usage(fields.get("usage")))
        return Opened(int(fields["opening"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None
