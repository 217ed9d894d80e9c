"""An input line becomes a row, or the reason why it is none.

Rules:

1. Any bytes give a `Line` or a `NotARow`, never an exception.
2. A reason names fields and, shortened and escaped, an unknown field or workspace; it never quotes a value of the row.
3. Nothing that is read here can fail to be written later: what orjson reads and cannot write back (deep nesting) is refused.
4. Index time and launch time share this one checker; the wire body is built at launch only, and shares no dict with the defaults.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import blake2b
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import orjson

from batchrun.core.model import Row
from batchrun.core.rows.index import digests_of
from batchrun.core.rows.weight import MOST_WEIGHT, STRINGS, brackets, too_heavy

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Mapping, Sequence

MAX_ID_CHARACTERS = 512
MAX_MODEL_CHARACTERS = 256
MAX_REASON_CHARACTERS = 300
MAX_DEPTH = 128
"""orjson reads 1,024 levels and writes 254: a row between the two would be asked and paid for, and its entry could not be written."""
MAX_VALUES = 1_000_000
"""A line of empty lists takes thirty times its bytes as Python's objects: 64 MiB of them fill a machine."""
BATCH_URL = "/v1/chat/completions"

JSON_SPACE = b" \t\r\n"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ROLES = frozenset({"system", "user", "assistant", "tool", "developer", "function"})
_PLAIN_FIELDS = frozenset({"id", "workspace", "prompt", "messages", "model", "parameters", "stream", "metadata"})
_ASKS = frozenset({"prompt", "messages", "body"})
_SETTINGS = frozenset({"parameters", "stream", "body"})
_FLAT_FIELDS = frozenset({"id", "workspace", "prompt", "model"})
_BATCH_OWN = frozenset({"custom_id", "method", "url", "body"})
_BATCH_FIELDS = _BATCH_OWN | {"workspace", "metadata"}
_KINDS = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "true or false", type(None): "null"}
_Named = tuple[list[str | None], list[str | None]]
"""Ids, and the models that lines name themselves."""
_Begun: TypeAlias = "tuple[tuple[str, str] | None, Callable[[], Any], bytes]"
"""Of rows: their lane, how their digests begin, and what these end with."""
_NOWHERE: _Begun = None, blake2b(digest_size=8).copy, b""
_CONTENT = ".content must be text or a non-empty list of parts; only an assistant with tool_calls may go without"


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a row takes from its workspace where it says nothing itself."""

    model: str | None
    parameters: Mapping[str, Any]
    salt: bytes
    """Stands for the settings a row is asked under, mixed into its digest; at most 64 bytes (blake2b's key)."""

    def __post_init__(self) -> None:
        if len(self.salt) > blake2b.MAX_KEY_SIZE:
            raise ValueError(f"a salt of {len(self.salt)} bytes: at most {blake2b.MAX_KEY_SIZE}")


@dataclass(frozen=True, slots=True)
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
        named = blake2b(self.workspace.encode(), digest_size=8)
        named.update(orjson.dumps(self.value, option=orjson.OPT_SORT_KEYS))
        return f"r-{named.hexdigest()}"

    def body(self) -> dict[str, Any]:
        """Build the chat request: what the line says, then what its workspace adds."""
        _, _, model, _, value, inherited = self
        defaults = inherited.parameters
        if "body" in value:
            body = {**value["body"]}
            body.update((key, default) for key, default in defaults.items() if key not in body)
            body["model"] = model
            return body
        messages = value.get("messages") or [{"role": "user", "content": value["prompt"]}]
        body = {"model": model, "messages": messages, **defaults, **(value.get("parameters") or {})}
        if value.get("stream") is not None:
            body["stream"] = value["stream"]
        return body

    def is_plain(self) -> bool:
        """Whether it sets nothing that its workspace does not."""
        return _SETTINGS.isdisjoint(self.value)

    def row(self, row_id: str, ordinal: int | None = None) -> Row:
        """Make the line ready to be asked under *row_id*; *ordinal* is its place in the index, where it has one."""
        _, workspace, model, digest, value, _ = self
        return Row(row_id, workspace, model, self.body(), hex_digest(digest), value.get("metadata"), self.is_plain(), ordinal)


class Seen(NamedTuple):
    """Lines that were glanced at."""

    lanes: list[tuple[str, str] | None]
    """Workspace and model, the same object each time; None of a line that is to be looked at with care."""
    row_ids: Sequence[str | None]
    digests: array[int]


class Glances:
    """Reads lines of the usual forms quickly, for a pass over millions of them: the same as `read_line`, or nothing.

    What is glanced at is a row with an id of its own. Whatever else a line may be, there is no glance of it, and `read_line` tells. Lines
    are read many at a time: what holds of all of them is asked once.
    """

    def __init__(self, workspaces: Mapping[str, Inherited], default_workspace: str | None) -> None:
        self._workspaces = workspaces
        self._default = default_workspace
        self._begun: dict[tuple[str, str | None], _Begun] = {}
        """By workspace and a row's own model."""
        self._lanes: dict[tuple[str, str], tuple[str, str]] = {}

    def of(self, lines: Sequence[bytes]) -> Seen:
        """Glance at *lines*, with or without their line ends."""
        texts = [line.strip(JSON_SPACE) for line in lines]
        values = _values(texts)
        row_ids, models = _flat(values) or _named(texts, values)
        names = [value.get("workspace", self._default) if type(value) is dict else None for value in values]
        begun = [
            _NOWHERE if row_id is None or type(name) is not str else self._begun.get((name, model)) or self._begin(name, model)
            for row_id, name, model in zip(row_ids, names, models, strict=True)
        ]
        mixed = [text + ends for text, (_, _, ends) in zip(texts, begun, strict=True)]
        return Seen([lane for lane, _, _ in begun], row_ids, digests_of([begin() for _, begin, _ in begun], mixed))

    def _begin(self, name: str, own_model: str | None) -> _Begun:
        inherited = self._workspaces.get(name)
        if inherited is None or (model := own_model or inherited.model) is None:
            return _NOWHERE
        lane = self._lanes.setdefault((name, model), (name, model))
        begun = self._begun[name, own_model] = lane, blake2b(digest_size=8, key=inherited.salt).copy, name.encode()
        return begun


def _values(texts: Sequence[bytes]) -> list[Any]:
    """What lines hold; None for one that deserves a careful look before it is read, or that cannot be."""
    if max(map(len, texts)) <= MAX_VALUES:
        try:
            return [*map(orjson.loads, texts)]
        except orjson.JSONDecodeError:
            pass
    return [*map(_value, texts)]


def _value(text: bytes) -> Any:
    try:
        return orjson.loads(text) if len(text) <= MAX_VALUES else None
    except orjson.JSONDecodeError:
        return None


def _flat(values: Sequence[Any]) -> _Named | None:
    """The ids and models of lines that are text and no more, all of them fit but perhaps for their workspaces; None where any is not so."""
    if {*map(type, values)} != {dict} or not all(map(_FLAT_FIELDS.issuperset, {*map(tuple, values)})):
        return None
    told: Any = [[*map(dict.get, values, repeat(name))] for name in ("id", "model", "prompt")]
    row_ids, models, prompts = told
    if {*map(type, row_ids)} != {str} or {*map(type, prompts)} != {str} or not {*map(type, models)} <= {str, type(None)}:
        return None
    if not all(prompts) or any(map(str.isspace, prompts)) or not all(row_ids) or any(map(str.isspace, row_ids)):
        return None
    if max(map(len, row_ids)) > MAX_ID_CHARACTERS or not "".join(row_ids).isprintable():
        return None
    return (row_ids, models) if all(model is None or _plain_name(model, MAX_MODEL_CHARACTERS) for model in {*models}) else None


def _named(texts: Sequence[bytes], values: Sequence[Any]) -> _Named:
    """The same of lines of any form; nothing of each that is not fit."""
    seen = [_seen(*each) or (None, None) for each in zip(texts, values, strict=True)]
    return [row_id for row_id, _ in seen], [model for _, model in seen]


def _seen(text: bytes, value: Any) -> tuple[str, str | None] | None:
    """The id and the model of a line that is fit but perhaps for its workspace; nothing of one that is not clear to be."""
    if type(value) is not dict:
        return None
    row_id, model, prompt = value.get("id"), value.get("model"), value.get("prompt")
    if _PLAIN_FIELDS.issuperset(value):
        fit = not (
            _unfit_depth(text, value)
            or _unfit_question(prompt, value.get("messages"))
            or _unfit_parameters(value.get("parameters"))
            or _unfit_stream(value, "stream")
        )
    else:
        fit = not (_BATCH_OWN.isdisjoint(value) or _unfit_depth(text, value) or _unfit_batch(value))
        row_id, model = value.get("custom_id"), value["body"].get("model") if fit else None
    if not fit or row_id is None or not _plain_name(row_id, MAX_ID_CHARACTERS):
        return None
    return (row_id, model) if model is None or _plain_name(model, MAX_MODEL_CHARACTERS) else None


def _plain_name(name: Any, most: int) -> bool:
    """Whether *name* is text without anything that would have to be looked at twice."""
    return type(name) is str and 0 < len(name) <= most and name.isprintable() and not name.isspace()


def hex_digest(digest: int) -> str:
    """Write a 64-bit digest as entries carry it: 16 hex digits."""
    return digest.to_bytes(8, "big").hex()


def read_line(line: bytes, workspaces: Mapping[str, Inherited], default_workspace: str | None) -> Line | NotARow:
    """Read one input line, with or without its line end; *default_workspace* is for a line that names none."""
    text = line.strip(JSON_SPACE)
    if len(text) > MAX_VALUES and _holds_too_many(text):
        return NotARow(f"more than {MAX_VALUES:,} values")
    if too_heavy(text):
        return NotARow(f"its values would take more than {MOST_WEIGHT >> 20} MiB of memory")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return NotARow(_why_not_json(text, error)[:MAX_REASON_CHARACTERS])
    if not isinstance(value, dict):
        return NotARow(f"{_KINDS[type(value)]}: a line must be one JSON object")
    batch = not _BATCH_OWN.isdisjoint(value)
    name: Any = value.get("workspace", default_workspace)
    asked: Any = value.get("body") if batch else value
    reason = (
        _unfit_depth(text, value)
        or (_unfit_batch(value) if batch else _unfit_plain(value))
        or _unfit_workspace(name, workspaces)
        or _unfit_model(asked.get("model"), workspaces[name])
    )
    row_id = value.get("custom_id") if batch else value.get("id")
    if reason is not None:
        known_id = None if _unfit_id(row_id, "id") else str(row_id)
        known_name = name if isinstance(name, str) and name in workspaces else None
        return NotARow(reason[:MAX_REASON_CHARACTERS], known_id, known_name)
    inherited = workspaces[name]
    model: Any = asked.get("model") or inherited.model
    return Line(None if row_id is None else str(row_id), name, model, _digest(text, name, inherited.salt), value, inherited)


def _digest(text: bytes, workspace: str, salt: bytes) -> int:
    # A JSON object has no beginning that is one too, so nothing need stand between the line and the name.
    mixed = blake2b(text, digest_size=8, key=salt)
    mixed.update(workspace.encode())
    return int.from_bytes(mixed.digest())


def _holds_too_many(text: bytes) -> bool:
    """Whether more values stand in *text* than may, before a single one is made: commas are counted, those of its strings left out."""
    return text.count(b",") >= MAX_VALUES and STRINGS.sub(b"", text).count(b",") >= MAX_VALUES


_TYPOGRAPHIC = "“”„‟‘’«»：，；｛｝［］【】＂＇"
"""What word processors and Chinese keyboards write in the place of JSON's own punctuation."""


def _why_not_json(text: bytes, error: orjson.JSONDecodeError) -> str:
    """Put orjson's complaint into words; its messages are constants and quote nothing of the line."""
    if not text:
        return "a blank line"
    try:
        letters = text.decode()
    except UnicodeDecodeError as broken:
        return f"not UTF-8: a wrong byte at position {broken.start + 1}"
    if b"\x00" in text:
        return f"not JSON: NUL bytes, the first at position {text.index(0) + 1}"
    said = "a lone surrogate escape (half a character)" if "surrogate" in error.msg else error.msg
    hint = "; the line holds carriage returns: lines must end in LF or CRLF" if b"\r" in text else ""
    if (found := letters[error.colno - 1 : error.colno]) and found in _TYPOGRAPHIC:
        hint = f', where {found} stands: JSON wants plain " : , {{ }} and [ ], as a plain keyboard writes them'
    return f"not JSON: {said} at column {error.colno}{hint}"


def _unfit_depth(text: bytes, value: dict[str, Any]) -> str | None:
    # Counting brackets costs next to nothing and settles it for all but code and tables.
    if brackets(text) <= MAX_DEPTH or not _deeper_than(value, MAX_DEPTH):
        return None
    return f"nested deeper than {MAX_DEPTH} levels"


def _deeper_than(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper_than(each, levels - 1) for each in inner)


def _unfit_plain(value: dict[str, Any]) -> str | None:
    return (
        _unfit_fields(value, _PLAIN_FIELDS)
        or ("id" in value and _unfit_id(value["id"], "id"))
        or _unfit_question(value.get("prompt"), value.get("messages"))
        or _unfit_parameters(value.get("parameters"))
        or _unfit_stream(value, "stream")
        or None
    )


def _unfit_batch(value: dict[str, Any]) -> str | None:
    body = value.get("body")
    if not isinstance(body, dict):
        # Said before anything else, so that the caller may rely on an object wherever there is no reason.
        return "body is missing: a line with custom_id, method or url is in OpenAI Batch form and has a body, an object"
    return (
        _unfit_fields(value, _BATCH_FIELDS)
        or ("custom_id" in value and _unfit_id(value["custom_id"], "custom_id"))
        or (value.get("method", "POST") != "POST" and "method must be POST")
        or (value.get("url", BATCH_URL) != BATCH_URL and f"url must be {BATCH_URL}: batchrun asks chat models only")
        or _unfit_messages(body.get("messages"), "body.messages")
        or _unfit_stream(body, "body.stream")
        or None
    )


def _unfit_fields(value: dict[str, Any], allowed: frozenset[str]) -> str | None:
    if allowed.issuperset(value):
        return None
    unknown = next(name for name in value if name not in allowed)
    nearest = _nearest(unknown, allowed)
    meant = f" (nearest: {nearest})" if nearest else ""
    asks = "" if nearest or not _ASKS.isdisjoint(value) else "; what is asked stands in prompt (text) or messages (a list)"
    return f'unknown field {_shown(unknown)}{meant}{asks}; fields of your own go into "metadata"'


def _unfit_id(row_id: Any, field: str) -> str | None:
    if type(row_id) is int:
        return None
    if not isinstance(row_id, str) or not row_id or row_id.isspace():
        return f"{field} must be a non-empty string or an integer; leave it out and one is made"
    if len(row_id) > MAX_ID_CHARACTERS:
        return f"{field} has {len(row_id)} characters: at most {MAX_ID_CHARACTERS} may be"
    if not row_id.isprintable() and _CONTROL.search(row_id):
        return f"{field} holds a control character"
    return None


def _unfit_question(prompt: Any, messages: Any) -> str | None:
    # null is "nothing" here: tables written out as JSONL have a null in every column that a line does not use.
    if messages is not None:
        return "both prompt and messages: give one" if prompt is not None else _unfit_messages(messages, "messages")
    if prompt is None:
        return "no prompt: give prompt (text) or messages (a list)"
    if not isinstance(prompt, str) or not prompt or prompt.isspace():
        return "prompt must be text that is not blank"
    return None


def _unfit_messages(messages: Any, field: str) -> str | None:
    if not isinstance(messages, list) or not messages:
        return f"{field} must be a non-empty list"
    for number, message in enumerate(messages):
        reason = _unfit_message(message)
        if reason is not None:
            return f"{field}[{number}]{reason}"
    return None


def _unfit_message(message: Any) -> str | None:
    if not isinstance(message, dict):
        return " must be an object with role and content"
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in _ROLES:
        return f".role must be one of {', '.join(sorted(_ROLES))}"
    if isinstance(content, str):
        return None
    if isinstance(content, list):
        return None if content and all(isinstance(part, dict) for part in content) else _CONTENT
    calls = role == "assistant" and (message.get("tool_calls") or message.get("function_call"))
    return None if content is None and calls else _CONTENT


def _unfit_parameters(parameters: Any) -> str | None:
    if parameters is None:
        return None
    if not isinstance(parameters, dict):
        return "parameters must be an object"
    for name in ("model", "messages"):
        if name in parameters:
            return f"parameters must not hold {name}: it stands beside them"
    return _unfit_stream(parameters, "parameters.stream")


def _unfit_stream(settings: dict[str, Any], field: str) -> str | None:
    stream = settings.get("stream")
    if stream is None or isinstance(stream, bool):
        return None
    return f"{field} must be true or false"


def _unfit_workspace(name: Any, workspaces: Mapping[str, Inherited]) -> str | None:
    if isinstance(name, str):
        if name in workspaces:
            return None
        nearest = _nearest(name, workspaces)
        same = ", the same letters written another way" if nearest and _folded(nearest) == _folded(name) else ""
        meant = f" (nearest: {_shown(nearest)}{same})" if nearest else ""
        return f"workspace {_shown(name)} is not one of the job's{meant}"
    if name is None:
        return "no workspace: name one in the line, or one for the whole input in the job"
    return "workspace must be a string: the name of one of the job's workspaces"


def _unfit_model(model: Any, inherited: Inherited) -> str | None:
    if model is None:
        return None if inherited.model else "no model: name one in the line, or a default in the job"
    if not isinstance(model, str) or not model or model.isspace():
        return "model must be a non-empty string"
    if len(model) > MAX_MODEL_CHARACTERS or _CONTROL.search(model):
        return f"model must be at most {MAX_MODEL_CHARACTERS} characters, none of them a control character"
    return None


def _shown(name: str) -> str:
    """Quote a name so that it fits a line, with all that does not print escaped."""
    quoted = repr(name[:40])
    return quoted if len(name) <= 40 and len(quoted) <= 60 else quoted[:60] + "…"


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that was probably meant: upper case and Unicode forms set apart, then a slip or two."""
    # Only names of about this length, and not many: a million lines of nonsense must not take hours.
    alike = {_folded(each): each for each in sorted(known) if abs(len(each) - len(name)) <= 4}
    found = get_close_matches(_folded(name), sorted(alike)[:64], n=1) if alike else []
    return alike[found[0]] if found else None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
