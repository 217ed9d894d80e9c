"""Lines of the usual forms read quickly, many at a time, for a pass over millions of them: the same as `read_line`, or nothing."""

from __future__ import annotations

from hashlib import blake2b
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import orjson

from batchrun.core.rows.names import digests_of
from batchrun.core.rows.rows import JSON_SPACE, MAX_VALUES, Inherited
from batchrun.core.rows.unfit import (
    BATCH_OWN,
    MAX_ID_CHARACTERS,
    MAX_MODEL_CHARACTERS,
    PLAIN_FIELDS,
    unfit_batch,
    unfit_depth,
    unfit_parameters,
    unfit_question,
    unfit_stream,
)

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Mapping, Sequence

_FLAT_FIELDS = frozenset({"id", "workspace", "prompt", "model"})
_Named = tuple[list[str | None], list[str | None]]
"""Ids, and the models that lines name themselves."""
_Begun: TypeAlias = "tuple[tuple[str, str] | None, Callable[[], Any], bytes]"
"""Of rows: their lane, how their digests begin, and what these end with."""
_NOWHERE: _Begun = None, blake2b(digest_size=8).copy, b""


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
    if PLAIN_FIELDS.issuperset(value):
        fit = not (
            unfit_depth(text, value)
            or unfit_question(prompt, value.get("messages"))
            or unfit_parameters(value.get("parameters"))
            or unfit_stream(value, "stream")
        )
    else:
        fit = not (BATCH_OWN.isdisjoint(value) or unfit_depth(text, value) or unfit_batch(value))
        row_id, model = value.get("custom_id"), value["body"].get("model") if fit else None
    if not fit or row_id is None or not _plain_name(row_id, MAX_ID_CHARACTERS):
        return None
    return (row_id, model) if model is None or _plain_name(model, MAX_MODEL_CHARACTERS) else None


def _plain_name(name: Any, most: int) -> bool:
    """Whether *name* is text without anything that would have to be looked at twice."""
    return type(name) is str and 0 < len(name) <= most and name.isprintable() and not name.isspace()
