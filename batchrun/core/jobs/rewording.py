"""Pydantic's complaints about a job, in the words of the job file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from batchrun.core.jobs.words import Loc, Wrong, key_path, one_of, quoted, shown, within, without_keys_in
from batchrun.core.rows.unfit import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic_core import ErrorDetails

_NAMED_TABLES = frozenset({"accounts", "endpoints", "limits", "prices", "quotas", "workspaces"})
_ANY_NAME = dict.fromkeys(("limits", "prices", "quotas"), '"MODEL"')
"""How a heading names any of them, where it is not NAME."""

_ALLOWED = {
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type"), "a table"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "finite_number": "a finite number",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "an integer"),
    "string_type": "a string",
    "tuple_type": "a list",
}
_TABLES = {
    "budget": 'a table: { amount = 20, currency = "CNY" } or { tokens = 5_000_000 }',
    "backoff": "a table: { first = 1, max = 60 }",
    "input": 'a path: "rows.jsonl", or a table: { path = "rows.jsonl", workspace = "legal" }',
}
"""Written as a number where it is taken for one, or that may be more than a table."""


def reworded(error: ValidationError, root: type[BaseModel], raw: Any) -> Iterator[Wrong]:
    """Pydantic's mistakes about *raw*, read as a *root*, in the words of the job file."""
    told = [*misplaced(root, raw)]
    yield from told
    for details in error.errors(include_url=False):
        loc = _as_written(details["loc"], raw)
        match details["type"]:
            case _ if within(loc, told):
                continue
            case "extra_forbidden":
                yield Wrong(loc, "an unknown key", _known_keys(details, root))
            case "missing":
                yield Wrong(loc, "nothing", _needed(details, root))
            case "model_type" if loc[-2:-1] and loc[-2] in _NAMED_TABLES and (headings := _headings_of(loc, root)):
                yield Wrong(loc, shown(details["input"]), f"a table; {loc[-1]} stands under {headings}")
            case _:
                yield Wrong(loc, *_found_and_allowed(details))


def misplaced(root: type[BaseModel], raw: Any) -> Iterator[Wrong]:
    """Tables that stand where one with a name should, and are what such a one holds, as in ``[workspaces] budget = …``."""
    for kind in sorted(_NAMED_TABLES & {*_names_of(root)}):
        tables = raw.get(kind) if isinstance(raw, dict) else None
        table = _table_at(root, (kind, ""))
        known = _names_of(table) if table else []
        for name, inner in tables.items() if isinstance(tables, dict) else ():
            if name in known and isinstance(inner, dict) and inner and not any(key in known for key in inner):
                yield Wrong((kind, name), "a table", f"a name here; {name} stands under {_headings_of((kind, name), root)}")


def _headings_of(loc: Loc, root: type[BaseModel]) -> str:
    """The headings under which what stands at *loc*, in the place of a table with a name, is a key."""
    return _headings_with(str(loc[-1]), _table_at(root, loc[:-2]) or root, loc[:-2], root)


def _found_and_allowed(details: ErrorDetails) -> tuple[str, str]:
    told = details.get("ctx", {})
    if "found" in told and "allowed" in told:
        return told["found"], told["allowed"]
    if details["type"] in {"enum", "literal_error"}:
        return shown(details["input"]), one_of(str(details["input"]), re.findall(r"'([^']+)'", told["expected"]))
    names = [step for step in details["loc"] if isinstance(step, str)]
    if details["type"] in {"dict_type", "model_type"} and names and names[-1] in _TABLES:
        return shown(details["input"]), _TABLES[names[-1]]
    if details["type"] == "dict_type" and names and names[-1] in _NAMED_TABLES and isinstance(details["input"], list):
        heading = key_path(names) + f".{_ANY_NAME.get(names[-1], 'NAME')}"
        return shown(details["input"]), f"a table for each, under a heading with its name: [{heading}]"
    if details["type"] == "tuple_type" and isinstance(details["input"], str):
        return shown(details["input"]), f"a list: [{shown(details['input'])}]"
    message = details["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return shown(details["input"]), _ALLOWED.get(details["type"], without_keys_in(message))


def _as_written(loc: Loc, raw: Any) -> Loc:
    """*loc* without the steps that the file does not have: a lone input stands for a list of tables."""
    if loc[-1:] == ("[key]",):
        return loc[:-1]
    written: list[str | int] = []
    for step in loc:
        match raw:
            case dict() if isinstance(step, str):
                raw = raw.get(step)
            case dict():
                continue
            case list() if isinstance(step, int):
                raw = raw[step]
            case None:
                pass
            case _:
                break
        written.append(step)
    return tuple(written)


def _known_keys(details: ErrorDetails, root: type[BaseModel]) -> str:
    *above, name = details["loc"]
    parents = tuple(above)
    table = _table_at(root, parents)
    names = _names_of(table) if table else []
    known = f"no such key; {one_of(str(name), names)}" if names else "no such key; nothing is set here"
    if name == "api_key":
        known = f"no key stands in a job file, but the name of the variable that holds it: {known}"
    wanted = "parameters" if name in PARAMETERS else str(name)
    if name in PARAMETERS and "parameters" in names:
        known = f"no such key; what is set for the model stands in parameters: parameters = {{ {name} = … }}"
    elif table and (headings := _headings_with(wanted, table, parents, root)):
        known = f"no such key here; {wanted} stands under {headings}"
        if wanted != name:
            known = f"no such key here; what is set for the model stands in parameters, under {headings}: parameters = {{ {name} = … }}"
    if isinstance(details["input"], dict) and parents[-2:-1] and parents[-2] in _NAMED_TABLES:
        known += f"; a name with a dot is quoted: {parents[-2]}.{quoted(f'{parents[-1]}.{name}')}"
    return known


def _headings_with(name: str, table: type[BaseModel], parents: Loc, root: type[BaseModel]) -> str:
    """The headings of the job file under which *name* is a key: those within *table*, at *parents*, else those of the whole file."""
    if parents[:1] == ("simulator",):
        return ""
    within, everywhere = dict(_tables_in(table, parents)), dict(_tables_in(root))
    for tables in (within, everywhere):
        if headings := [f"[{heading}]" for heading, inner in tables.items() if name in _names_of(inner)]:
            return " or ".join(headings)
    return next((f"a heading of its own, [{heading}]" for heading in everywhere if heading.split(".")[0] == name), "")


def _tables_in(table: type[BaseModel], parents: Loc = ()) -> Iterator[tuple[str, type[BaseModel]]]:
    """The headings of the tables in *table*, and what they are; a simulator's keys are no other table's."""
    for name in _names_of(table):
        for below in ("", f".{_ANY_NAME.get(name, 'NAME')}"):
            found = _table_at(table, [name, below] if below else [name])
            if found and name != "simulator":
                # Of several tables at one place a heading means the latest, without its number.
                yield key_path((*(step for step in parents if isinstance(step, str)), name)) + below, found


def _needed(details: ErrorDetails, root: type[BaseModel]) -> str:
    *parents, name = details["loc"]
    table = _table_at(root, parents)
    field = table.model_fields.get(str(name)) if table else None
    return f"needed: {field.description}" if field and field.description else "needed"


def _names_of(table: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in table.model_fields.items()]


def _table_at(root: type[BaseModel], loc: Iterable[str | int]) -> type[BaseModel] | None:
    kind: Any = root
    for step in loc:
        kind = _below(_bare(kind), step)
    kind = _bare(kind)
    if get_origin(kind) in {list, tuple}:
        kind = _bare(get_args(kind)[0])  # A lone table may stand where a list of them may.
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _below(kind: Any, step: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(step))
        return field.annotation if field else None
    match get_origin(kind), get_args(kind):
        case (origin, (_, inner)) if origin in {dict, Mapping}:
            return inner
        case (origin, (inner, *_)) if origin in {list, tuple} and isinstance(step, int):
            return inner
    return None


def _bare(kind: Any) -> Any:
    """*kind* without ``Annotated`` and ``| None``."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        some = [inner for inner in get_args(kind) if inner is not NoneType]
        return _bare(some[0]) if len(some) == 1 else None
    return kind
