"""Why a line is no row, or would be none: what is wrong with its text, its fields and what they hold, in words for a person.

A reason names fields and, shortened and escaped, an unknown field or workspace; it never quotes a value of the row.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from batchrun.core.rows.meant import folded, nearest_of
from batchrun.core.rows.weight import brackets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import orjson

MAX_ID_CHARACTERS = 512
MAX_MODEL_CHARACTERS = 256
MAX_DEPTH = 128
"""orjson reads 1,024 levels and writes 254: a row between the two would be asked and paid for, and its entry could not be written."""
_INTEGERS = range(-(1 << 63), 1 << 64)
"""What orjson reads as it is written; a longer one becomes a float, and with it an order number another one."""
BATCH_URL = "/v1/chat/completions"

PLAIN_FIELDS = frozenset({"id", "workspace", "prompt", "messages", "model", "parameters", "stream", "metadata"})
BATCH_OWN = frozenset({"custom_id", "method", "url", "body"})
"""Each of them makes a line one in OpenAI Batch form."""
PARAMETERS = frozenset(
    {
        *("temperature", "top_p", "top_k", "seed", "n", "stop", "max_tokens", "max_completion_tokens", "modalities", "audio"),
        *("presence_penalty", "frequency_penalty", "repetition_penalty", "logprobs", "top_logprobs", "response_format", "result_format"),
        *("tools", "tool_choice", "parallel_tool_calls", "enable_thinking", "thinking_budget", "enable_search", "search_options"),
        *("stream_options", "incremental_output", "extra_body", "reasoning_effort", "preserve_thinking", "max_input_tokens"),
        *("translation_options", "enable_code_interpreter", "vl_high_resolution_images"),
    }
)
"""What is asked of a model beside its messages, as it is written in the provider's examples."""
_ELSEWHERE: dict[str, tuple[type, str]] = {
    "system": (str, 'a system prompt is the first of messages: {"role": "system", "content": …}'),
    "input": (dict, "what DashScope's calls have in it, messages or a prompt, stands in the line itself"),
}
"""What is looked for under another name: of which kind, and where it stands."""
_BATCH_FIELDS = BATCH_OWN | {"workspace", "metadata"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ROLES = frozenset({"system", "user", "assistant", "tool", "developer", "function"})
_ASKS = frozenset({"prompt", "messages", "body"})
_CONTENT = ".content must be text or a non-empty list of parts; only an assistant with tool_calls may go without"
_TYPOGRAPHIC = "“”„‟‘’«»：，；｛｝［］【】＂＇"
"""What word processors and Chinese keyboards write in the place of JSON's own punctuation."""
_NO_WORDS = re.compile(r"(nan|inf(?:inity)?|None|undefined|True|False)\b", re.IGNORECASE)
"""What JSON has not: tables and programs write it where there is no number, or nothing."""


def why_not_json(text: bytes, error: orjson.JSONDecodeError) -> str:
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
    elif found == "'":
        hint = ", where ' stands: JSON wants \", as json.dumps writes it and str does not"
    elif word := _NO_WORDS.match(letters, error.colno - 1):
        right = word[1].lower() if word[1].lower() in {"true", "false"} else "null"
        hint = f", where {word[1]} stands: JSON has no such word, and wants {right}"
    elif letters.startswith('"') and error.msg.startswith("unexpected content"):
        hint = ", behind text in quotes: a row is an object, in { }"
    return f"not JSON: {said} at column {error.colno}{hint}"


def unfit_depth(text: bytes, value: dict[str, Any]) -> str | None:
    """Deeper than what is read here can be written."""
    # Counting brackets costs next to nothing and settles it for all but code and tables.
    if brackets(text) <= MAX_DEPTH or not _deeper_than(value, MAX_DEPTH):
        return None
    return f"nested deeper than {MAX_DEPTH} levels"


def _deeper_than(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper_than(each, levels - 1) for each in inner)


def unfit_integers(text: bytes, value: dict[str, Any]) -> str | None:
    """An integer that would be sent, or come back, as another."""
    # Next to no line has a float as large: only of one that has is the text read by digits.
    large = [name for name, each in value.items() if _holds_large((each,))]
    if not large:
        return None
    long = list[bool]()
    json.loads(text, parse_int=lambda digits: long.append(len(digits) > 20 or int(digits) not in _INTEGERS))
    named = large[0] if large[0] in PLAIN_FIELDS | BATCH_OWN else shown(large[0])
    return f"{named} has an integer of more than 64 bits: write it as text" if any(long) else None


def _holds_large(values: Iterable[Any]) -> bool:
    """Whether there is a float that may have been an integer, at any depth."""
    for each in values:
        kind = type(each)
        if kind is str:
            continue
        if kind is float and abs(each) >= 1 << 63:
            return True
        if (kind is dict and _holds_large(each.values())) or (kind is list and _holds_large(each)):
            return True
    return False


def unfit_plain(value: dict[str, Any]) -> str | None:
    """What is wrong with a line in the plain form, but for its workspace and model."""
    return (
        _unfit_fields(value, PLAIN_FIELDS)
        or ("id" in value and unfit_id(value["id"], "id"))
        or unfit_question(value.get("prompt"), value.get("messages"))
        or unfit_parameters(value.get("parameters"))
        or unfit_stream(value, "stream")
    )


def unfit_batch(value: dict[str, Any]) -> str | None:
    """What is wrong with a line in OpenAI Batch form, but for its workspace and model."""
    body = value.get("body")
    if not isinstance(body, dict):
        # Said before anything else, so that the caller may rely on an object wherever there is no reason.
        return "body is missing: a line with custom_id, method or url is in OpenAI Batch form and has a body, an object"
    return (
        _unfit_fields(value, _BATCH_FIELDS)
        or ("custom_id" in value and unfit_id(value["custom_id"], "custom_id"))
        or (value.get("method", "POST") != "POST" and "method must be POST")
        or _unfit_url(value.get("url", BATCH_URL))
        or _unfit_messages(body.get("messages"), "body.messages")
        or unfit_stream(body, "body.stream")
    )


def _unfit_url(url: Any) -> str | None:
    if url == BATCH_URL:
        return None
    chats = isinstance(url, str) and url.endswith("/chat/completions")
    return f"url must be {BATCH_URL}: " + ("where that is, the job's endpoint says" if chats else "batchrun asks chat models only")


def _unfit_fields(value: dict[str, Any], allowed: frozenset[str]) -> str | None:
    if allowed.issuperset(value):
        return None
    unknown = next(name for name in value if name not in allowed)
    if unknown in PARAMETERS:
        where = "parameters" if "parameters" in allowed else "body"
        return f'unknown field {shown(unknown)}; what is set for the model goes into "{where}"'
    if "messages" in allowed and unknown in _ELSEWHERE and isinstance(value[unknown], _ELSEWHERE[unknown][0]):
        return f"unknown field {shown(unknown)}; {_ELSEWHERE[unknown][1]}"
    if "body" in allowed and unknown in PLAIN_FIELDS:
        return f"unknown field {shown(unknown)}; beside a body, custom_id names the row, and all that is asked stands in the body"
    nearest = nearest_of(unknown, allowed)
    meant = f" (nearest: {nearest})" if nearest else ""
    asks = "" if nearest or not _ASKS.isdisjoint(value) else "; what is asked stands in prompt (text) or messages (a list)"
    return f'unknown field {shown(unknown)}{meant}{asks}; fields of your own go into "metadata"'


def unfit_id(row_id: Any, field: str) -> str | None:
    """What is wrong with an id that stands in *field*."""
    if type(row_id) is int:
        return None
    if type(row_id) is float:
        return f'{field} must be a non-empty string or an integer, and has a point: pandas makes integers of a column by astype("Int64")'
    if not isinstance(row_id, str) or not row_id or row_id.isspace():
        return f"{field} must be a non-empty string or an integer; leave it out and one is made"
    if len(row_id) > MAX_ID_CHARACTERS:
        return f"{field} has {len(row_id)} characters: at most {MAX_ID_CHARACTERS} may be"
    if not row_id.isprintable() and _CONTROL.search(row_id):
        return f"{field} holds a control character"
    return None


def unfit_question(prompt: Any, messages: Any) -> str | None:
    """What is wrong with what is asked."""
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


def unfit_parameters(parameters: Any) -> str | None:
    """What is wrong with the parameters of a line."""
    if parameters is None:
        return None
    if not isinstance(parameters, dict):
        return "parameters must be an object"
    for name in ("model", "messages"):
        if name in parameters:
            return f"parameters must not hold {name}: it stands beside them"
    return unfit_stream(parameters, "parameters.stream")


def unfit_stream(settings: dict[str, Any], field: str) -> str | None:
    """What is wrong with what is said of streaming."""
    stream = settings.get("stream")
    if stream is None or isinstance(stream, bool):
        return None
    return f"{field} must be true or false"


def unfit_workspace(name: Any, workspaces: Collection[str]) -> str | None:
    """What is wrong with the workspace that is named, where it is not one of the job's *workspaces*."""
    if isinstance(name, str):
        if name in workspaces:
            return None
        nearest = nearest_of(name, workspaces)
        same = ", the same letters written another way" if nearest and folded(nearest) == folded(name) else ""
        meant = f" (nearest: {shown(nearest)}{same})" if nearest else ""
        return f"workspace {shown(name)} is not one of the job's{meant}"
    if name is None:
        return "no workspace: name one in the line, or one for the whole input in the job"
    return "workspace must be a string: the name of one of the job's workspaces"


def unfit_model(model: Any, default: str | None) -> str | None:
    """What is wrong with the model that is named, if one is; *default* is its workspace's."""
    if model is None:
        return None if default else "no model: name one in the line, or a default in the job"
    if not isinstance(model, str) or not model or model.isspace():
        return "model must be a non-empty string"
    if len(model) > MAX_MODEL_CHARACTERS or _CONTROL.search(model):
        return f"model must be at most {MAX_MODEL_CHARACTERS} characters, none of them a control character"
    return None


def shown(name: str) -> str:
    """Quote a name so that it fits a line, with all that does not print escaped."""
    quoted = repr(name[:40])
    return quoted if len(name) <= 40 and len(quoted) <= 60 else quoted[:60] + "…"
