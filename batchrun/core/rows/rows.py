"""An input line becomes a row, or the reason why it is none.

Rules:

1. Any bytes give a `Line` or a `NotARow`, never an exception.
2. A reason names fields and, shortened and escaped, an unknown field or workspace; it never quotes a value of the row.
3. Nothing that is read here can fail to be written later, or be another when it is: what orjson reads and cannot write back (deep
   nesting), and what it reads as something else (an integer of more than 64 bits), is refused.
4. Index time and launch time share this one checker; the wire body is built at launch only, and shares no dict with the defaults.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from batchrun.core.classes import value
from batchrun.core.model import Row
from batchrun.core.rows.names import made_ids
from batchrun.core.rows.repeated import repeated_key, says_all_once
from batchrun.core.rows.unfit import (
    BATCH_OWN,
    unfit_batch,
    unfit_depth,
    unfit_id,
    unfit_integers,
    unfit_model,
    unfit_plain,
    unfit_workspace,
    why_not_json,
)
from batchrun.core.rows.weight import MOST_WEIGHT, STRINGS, too_heavy

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REASON_CHARACTERS = 300
MAX_VALUES = 1_000_000
"""A line of empty lists takes thirty times its bytes as Python's objects: 64 MiB of them fill a machine."""

JSON_SPACE = b" \t\r\n"
_SETTINGS = frozenset({"parameters", "stream", "body"})
_KINDS = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "true or false", type(None): "null"}


@value
class Inherited:
    """What a row takes from its workspace where it says nothing itself."""

    model: str | None
    parameters: Mapping[str, Any]
    salt: bytes
    """Stands for the settings a row is asked under, mixed into its digest; at most 64 bytes (blake2b's key)."""

    def __post_init__(self) -> None:
        if len(self.salt) > blake2b.MAX_KEY_SIZE:
            raise ValueError(f"a salt of {len(self.salt)} bytes: at most {blake2b.MAX_KEY_SIZE}")


@value
class NotARow:
    """A line that is no row: *reason* says why, in at most 300 characters."""

    reason: str
    id: str | None = None
    """The line's id, where it has a valid one."""
    workspace: str | None = None
    """The line's workspace, where the job knows it."""


class Line(NamedTuple):
    """A line that is a row, read and checked."""

    id: str | None
    """None where the line gives none: see `made_id`."""
    workspace: str
    model: str
    digest: int
    """64 bits of the line, its workspace and the workspace's salt."""
    value: dict[str, Any]
    inherited: Inherited

    def made_id(self) -> str:
        """Name a line that has no id by its workspace and content, whatever the order of its keys and wherever it stands."""
        return made_ids([self.workspace], [self.value])[0]

    def body(self) -> dict[str, Any]:
        """Build the chat request: what the line says, then what its workspace adds."""
        model, value, defaults = self.model, self.value, self.inherited.parameters
        if "body" in value:
            body = {**value["body"]}
            body.update((key, default) for key, default in defaults.items() if key not in body)
            body["model"] = model
            return body
        body = {**self._plain_body(), **(value.get("parameters") or {})}
        if value.get("stream") is not None:
            body["stream"] = value["stream"]
        return body

    def _plain_body(self) -> dict[str, Any]:
        """The same of a line that says nothing but its messages."""
        value = self.value
        messages = value.get("messages") or [{"role": "user", "content": value["prompt"]}]
        return {"model": self.model, "messages": messages, **self.inherited.parameters}

    def row(self, row_id: str, ordinal: int | None = None, line_bytes: int = 0) -> Row:
        """Make the line ready to be asked under *row_id*; *ordinal* is its place in the index, where it has one."""
        _, workspace, model, digest, value, _ = self
        is_plain = _SETTINGS.isdisjoint(value)
        body = self._plain_body() if is_plain else self.body()
        return Row(row_id, workspace, model, body, hex_digest(digest), value.get("metadata"), is_plain, ordinal, line_bytes)


def hex_digest(digest: int) -> str:
    """Write a 64-bit digest as entries carry it: 16 hex digits."""
    return digest.to_bytes(8, "big").hex()


def read_line(line: bytes, workspaces: Mapping[str, Inherited], default_workspace: str | None) -> Line | NotARow:
    """Read one input line, with or without its line end; *default_workspace* is for a line that names none."""
    text = line.strip(JSON_SPACE)
    value = _object(text)
    if isinstance(value, NotARow):
        return value
    batch = not BATCH_OWN.isdisjoint(value)
    name: Any = value.get("workspace", default_workspace)
    asked: Any = value.get("body") if batch else value
    reason = (
        (unfit_batch(value) if batch else unfit_plain(value))
        or unfit_workspace(name, workspaces)
        or unfit_model(asked.get("model"), workspaces[name].model)
    )
    row_id = value.get("custom_id") if batch else value.get("id")
    if reason is not None:
        known_id = None if unfit_id(row_id, "id") else str(row_id)
        known_name = name if isinstance(name, str) and name in workspaces else None
        return NotARow(reason[:MAX_REASON_CHARACTERS], known_id, known_name)
    inherited = workspaces[name]
    model: Any = asked.get("model") or inherited.model
    return Line(None if row_id is None else str(row_id), name, model, _digest(text, name, inherited.salt), value, inherited)


def _object(text: bytes) -> dict[str, Any] | NotARow:
    """What a line holds, where it is an object, not too large, whose keys each stand there once."""
    if len(text) > MAX_VALUES and _holds_too_many(text):
        return NotARow(f"more than {MAX_VALUES:,} values")
    if too_heavy(text):
        return NotARow(f"its values would take more than {MOST_WEIGHT >> 20} MiB of memory")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return NotARow(why_not_json(text, error)[:MAX_REASON_CHARACTERS])
    if not isinstance(value, dict):
        return NotARow(f"{_KINDS[type(value)]}: a line must be one JSON object")
    reason = unfit_depth(text, value) or unfit_integers(text, value) or (None if says_all_once(text, value) else repeated_key(text))
    return NotARow(reason[:MAX_REASON_CHARACTERS]) if reason else value


def _digest(text: bytes, workspace: str, salt: bytes) -> int:
    # A JSON object has no beginning that is one too, so nothing need stand between the line and the name.
    mixed = blake2b(text, digest_size=8, key=salt)
    mixed.update(workspace.encode())
    return int.from_bytes(mixed.digest())


def _holds_too_many(text: bytes) -> bool:
    """Whether more values stand in *text* than may, before a single one is made: commas are counted, those of its strings left out."""
    return text.count(b",") >= MAX_VALUES and STRINGS.sub(b"", text).count(b",") >= MAX_VALUES
