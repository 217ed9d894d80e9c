r"""The regular expressions of a JSON Schema, searched for in an answer so long and no longer.

Python's own have no end where an expression can take a text apart in very many ways, ``^(\w+\s?)*$`` say, and nothing else goes on
meanwhile. Those of `regex` mean the same, take most such texts at once, and can be given up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

SECONDS = 0.25
"""Of the processor, for one search. Usual ones take some microseconds."""

_Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], Iterator[Any]]
_braces = re.compile(r"(?s)(\\N\{[^}]*\}|\\.|\{\d*,?\d*\})|\{").sub
"""What Python takes for themselves is the beginning of what `regex` calls fuzzy."""


class UnfinishedError(Exception):
    """An expression was not searched for to the end; says which."""


def bounded(kind: Any) -> Any:
    """Make a class of validators of the *kind* that a dialect has, which raise UnfinishedError where a search takes too long.

    Not bounded are the expressions in parts that stand beside a schema's ``unevaluatedProperties`` (in its ``allOf``, say), where the
    library looks for what they have evaluated.
    """
    import jsonschema  # noqa: PLC0415

    keywords = {"pattern": _pattern, "patternProperties": _pattern_properties}
    resting = {
        word: _of_the_rest(kind.VALIDATORS[word]) for word in ("additionalProperties", "unevaluatedProperties") if word in kind.VALIDATORS
    }
    return jsonschema.validators.extend(kind, keywords | resting)  # type: ignore[no-untyped-call]  # it has no types


def _pattern(validator: Any, pattern: str, value: Any, _schema: Mapping[str, Any]) -> Iterator[Any]:
    import jsonschema  # noqa: PLC0415

    if validator.is_type(value, "string") and not _found(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], value: Any, _schema: Mapping[str, Any]) -> Iterator[Any]:
    if validator.is_type(value, "object"):
        for pattern, schema in patterns.items():
            for name, each in value.items():
                if _found(pattern, name):
                    yield from validator.descend(each, schema, path=name, schema_path=pattern)


def _of_the_rest(keyword: _Keyword) -> _Keyword:
    """Have a keyword for properties that no other is for be told by name which ones an expression is for."""

    def told(validator: Any, rest: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
        if (patterns := schema.get("patternProperties")) and validator.is_type(value, "object"):
            named = {name: True for name in value if any(_found(pattern, name) for pattern in patterns)}
            schema = {**schema, "patternProperties": {}, "properties": {**named, **schema.get("properties", {})}}
        yield from keyword(validator, rest, value, schema)

    return told


def _found(pattern: str, text: str) -> bool:
    try:
        return _searching(pattern)(text, timeout=SECONDS) is not None
    except TimeoutError:
        raise UnfinishedError(pattern) from None


@cache
def _searching(pattern: str) -> Callable[..., object]:
    """Give what searches; raises re.error where Python knows no such expression, which is what a dialect's own check goes by."""
    import regex  # noqa: PLC0415 - few schemas have any

    re.compile(pattern)
    return regex.compile(_braces(lambda found: found[1] or r"\{", pattern), regex.VERSION0).search
