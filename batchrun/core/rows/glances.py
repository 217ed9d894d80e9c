"""Lines of the usual forms read quickly, many at a time, for a pass over millions of them: the same as `read_line`, or nothing."""

from __future__ import annotations

from hashlib import blake2b
from itertools import compress, repeat
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import orjson

from batchrun.core.rows.names import digests_of, made_ids
from batchrun.core.rows.own_settings import OwnSettings
from batchrun.core.rows.repeated import colons, says_all_once
from batchrun.core.rows.rows import JSON_SPACE, MAX_VALUES, Inherited
from batchrun.core.rows.unfit import (
    BATCH_OWN,
    MAX_ID_CHARACTERS,
    MAX_MODEL_CHARACTERS,
    PLAIN_FIELDS,
    unfit_batch,
    unfit_depth,
    unfit_integers,
    unfit_parameters,
    unfit_question,
    unfit_stream,
)

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Mapping, Sequence

_FLAT_FIELDS = frozenset({"id", "workspace", "prompt", "model"})
_TEXT, _NOTHING = {str}, {type(None)}
_MADE = ""
"""Stands for an id that is to be made."""
_Columns: TypeAlias = "tuple[list[str | None], list[Any], list[Any]]"
"""Ids, None of a line that is to be looked at with care; workspaces; the models that lines name themselves."""
_Begun: TypeAlias = "tuple[tuple[str, str] | None, Callable[[], Any], bytes]"
"""Of rows: their lane, how their digests begin, and what these end with."""
_NOWHERE: _Begun = None, blake2b(digest_size=8).copy, b""


class Seen(NamedTuple):
    """Lines that were glanced at."""

    lanes: list[tuple[str, str] | None]
    """Workspace and model, the same object each time; None of a line that is to be looked at with care."""
    row_ids: Sequence[str | None]
    """Made ids among them, as the first row with each has it."""
    digests: array[int]
    settings: list[tuple[int, str]]
    """Names of `OwnSettings`, each with the place of the first of all lines that has it."""


class Glances:
    """Reads lines of the usual forms quickly, for a pass over millions of them: the same as `read_line`, or nothing.

    Whatever else a line may be, there is no glance of it, and `read_line` tells. Lines are read many at a time: what holds of all of them
    is asked once.
    """

    def __init__(self, workspaces: Mapping[str, Inherited], default_workspace: str | None) -> None:
        self._workspaces = workspaces
        self._default = default_workspace
        self._begun: dict[tuple[str, str | None], _Begun] = {}
        """By workspace and a row's own model."""
        self._settings = OwnSettings()
        self._lanes: dict[tuple[str, str], tuple[str, str]] = {}

    def of(self, lines: Sequence[bytes]) -> Seen:
        """Glance at *lines*, with or without their line ends."""
        texts = [line.strip(JSON_SPACE) for line in lines]
        values = _values(texts)
        flat = _flat(texts, values, self._default)
        row_ids, names, models = flat or _fit(texts, values, self._default)
        known = self._begun.get
        begun = [
            _NOWHERE if row_id is None else known(named) or self._begin(*named)
            for row_id, named in zip(row_ids, zip(names, models, strict=True), strict=True)
        ]
        lanes = [lane for lane, _, _ in begun]
        if _MADE in row_ids:
            row_ids = _with_made(row_ids, lanes, values)
        mixed = [text + ends for text, (_, _, ends) in zip(texts, begun, strict=True)]
        settings = [] if flat else self._own_settings(lanes, values)
        return Seen(lanes, row_ids, digests_of([begin() for _, begin, _ in begun], mixed), settings)

    def _own_settings(self, lanes: Sequence[tuple[str, str] | None], values: Sequence[Any]) -> list[tuple[int, str]]:
        asked = [value.get("parameters") or value.get("body") or () if lane else () for lane, value in zip(lanes, values, strict=True)]
        if self._settings.knows_all(asked):
            return []
        return [(place, name) for place, each in enumerate(asked) for name in self._settings.new_in(each)]

    def _begin(self, name: str, own_model: str | None) -> _Begun:
        inherited = self._workspaces.get(name)
        if inherited is None or (model := own_model or inherited.model) is None:
            return _NOWHERE
        lane = self._lanes.setdefault((name, model), (name, model))
        begun = self._begun[name, own_model] = lane, blake2b(digest_size=8, key=inherited.salt).copy, name.encode()
        return begun


def _with_made(row_ids: Sequence[str | None], lanes: Sequence[tuple[str, str] | None], values: Sequence[Any]) -> list[str | None]:
    to_make = [row_id == _MADE and lane is not None for row_id, lane in zip(row_ids, lanes, strict=True)]
    made = iter(made_ids([lane[0] for lane in compress(lanes, to_make) if lane], compress(values, to_make)))
    return [next(made) if is_made else row_id for row_id, is_made in zip(row_ids, to_make, strict=True)]


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


def _flat(texts: Sequence[bytes], values: Sequence[Any], default: str | None) -> _Columns | None:
    """Of lines that are text and no more, all of them fit but perhaps for their workspaces; None where any is not so."""
    if {*map(type, values)} != {dict}:
        return None
    columns: Any = [[*map(dict.get, values, repeat(name))] for name in ("id", "workspace", "model", "prompt")]
    kinds = [{*map(type, column)} for column in columns]
    row_ids, names, models, prompts = columns
    if kinds[0] not in (_TEXT, _NOTHING) or not kinds[1] | kinds[2] <= _TEXT | _NOTHING or kinds[3] != _TEXT:
        return None
    strings = sum(map(_strings, columns, kinds))
    made = kinds[0] == _NOTHING
    if not _is_flat(texts, values, strings, made=made):
        return None
    if not _plain_texts(prompts) or not (made or (_plain_texts(row_ids) and _plain_names(row_ids))):
        return None
    if kinds[2] != _NOTHING and not all(model is None or _plain_name(model, MAX_MODEL_CHARACTERS) for model in {*models}):
        return None
    if kinds[1] != _TEXT:
        names = [*map(dict.get, values, repeat("workspace"), repeat(default))]
    return [_MADE] * len(values) if made else row_ids, names, models


def _is_flat(texts: Sequence[bytes], values: Sequence[dict[str, Any]], strings: int, *, made: bool) -> bool:
    """Whether lines, of whose usual fields so many are text, have no other, and each of them once."""
    keys = sum(map(len, values))
    if keys != strings and (made or not all(map(_FLAT_FIELDS.issuperset, {*map(tuple, values)}))):
        return False
    # Where the texts themselves have no colon, each there is one of a key's.
    joined = b"".join(texts)
    return colons(joined) == keys or says_all_once(joined, values)


def _strings(column: list[Any], kinds: set[type]) -> int:
    """How many of these are text; the others are nothing."""
    return len(column) if kinds == _TEXT else [*map(type, column)].count(str)


def _plain_texts(texts: list[str]) -> bool:
    return all(texts) and not any(map(str.isspace, texts))


def _plain_names(row_ids: list[str]) -> bool:
    return max(map(len, row_ids)) <= MAX_ID_CHARACTERS and "".join(row_ids).isprintable()


def _fit(texts: Sequence[bytes], values: Sequence[Any], default: str | None) -> _Columns:
    """The same of lines of any form; nothing of each that is not fit."""
    seen = [_seen(text, value, default) for text, value in zip(texts, values, strict=True)]
    fit = [place for place, each in enumerate(seen) if each is not None]
    if not says_all_once(b"".join([texts[place] for place in fit]), [values[place] for place in fit]):
        seen = [None if each is None or not says_all_once(texts[place], values[place]) else each for place, each in enumerate(seen)]
    told = [each or (None, None, None) for each in seen]
    return [each[0] for each in told], [each[1] for each in told], [each[2] for each in told]


def _seen(text: bytes, value: Any, default: str | None) -> tuple[str, str, str | None] | None:
    """The id, the workspace and the model of a line that is fit but perhaps for its workspace; nothing of one that is not clear to be."""
    if type(value) is not dict:
        return None
    name, row_id, model = value.get("workspace", default), value.get("id", _MADE), value.get("model")
    if PLAIN_FIELDS.issuperset(value):
        fit = not (
            unfit_depth(text, value)
            or unfit_integers(text, value)
            or unfit_question(value.get("prompt"), value.get("messages"))
            or unfit_parameters(value.get("parameters"))
            or unfit_stream(value, "stream")
        )
        own = "id" in value
    else:
        fit = not (BATCH_OWN.isdisjoint(value) or unfit_depth(text, value) or unfit_integers(text, value) or unfit_batch(value))
        row_id, model = value.get("custom_id", _MADE), value["body"].get("model") if fit else None
        own = "custom_id" in value
    if not fit or type(name) is not str or (own and not _plain_name(row_id, MAX_ID_CHARACTERS)):
        return None
    return (row_id, name, model) if model is None or _plain_name(model, MAX_MODEL_CHARACTERS) else None


def _plain_name(name: Any, most: int) -> bool:
    """Whether *name* is text without anything that would have to be looked at twice."""
    return type(name) is str and 0 < len(name) <= most and name.isprintable() and not name.isspace()
