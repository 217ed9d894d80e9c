"""How what is wrong in a job is told: in the words of its file, never with a key.

Every check of a job ends in a `Wrong` or in the error that `wrong` makes; pydantic's own errors become the same in `rewording`.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
import unicodedata
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Iterable

Loc = tuple[str | int, ...]

IN_SINGLE_QUOTES = "what holds a backslash stands in single quotes: 'C:\\data\\in.jsonl'"
HIDDEN = "something that looks like an API key"

_KEY = re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9._-]{16,}")
_BEGINS_LIKE_A_KEY = re.compile(r"(?<![A-Za-z0-9])sk-\S")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER = re.compile(r"[0-9]+")
_SUFFIXES = re.compile(r"(?<=.)(?:\.[A-Za-z]+)+$")
_SLIP = 0.87
"""How alike a name and a slip of it are at the least: "qwen-mxa" is one of "qwen-max", "qwen-vl-plus" none of "qwen-plus"."""
_PLAIN = str.maketrans({**dict.fromkeys("‐‑‒–—―−~〜至", "-"), "、": ","})
_LONGEST_SHOWN = 60
_MOST_LISTED = 40
_MOST_MEANT = 20
"""Names of which it is looked for what was meant."""


class Wrong(NamedTuple):
    """One thing wrong at *loc*, the keys that lead to it from the top of the job."""

    loc: Loc
    found: str
    allowed: str

    def details(self) -> InitErrorDetails:
        """As pydantic takes it; the input is told as *found*, so that the error carries nothing that was hidden."""
        return InitErrorDetails(type=wrong(self.found, self.allowed), loc=self.loc, input=self.found)


def within(loc: Loc, wrongs: Iterable[Wrong]) -> bool:
    """Whether *loc* is the place of one of these *wrongs*, or leads on from there."""
    return any(loc[: len(each.loc)] == each.loc for each in wrongs)


def wrong(found: str, allowed: str) -> PydanticCustomError:
    """What a validator raises where *allowed* should stand."""
    return PydanticCustomError("job", "{allowed}", {"found": found, "allowed": allowed})


def said(allowed: str) -> WrapValidator:
    """Tell every mistake of a plain value as *allowed*: a wrong type and a passed bound have the same way out."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise wrong(shown(value), allowed + (", without quotes" if _fits_unquoted(value, handler) else "")) from None

    return WrapValidator(check)


def _fits_unquoted(value: Any, handler: ValidatorFunctionWrapHandler) -> bool:
    """Whether *value* is a text that would be taken as the number, or the truth, that it spells."""
    if not isinstance(value, str) or len(value) > _LONGEST_SHOWN:
        return False
    try:
        handler(tomllib.loads(f"it = {value}")["it"])
    except (tomllib.TOMLDecodeError, ValidationError):
        return False
    return True


def quoted(text: str) -> str:
    """*text* as TOML writes it, what cannot be seen made visible."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in json.dumps(text, ensure_ascii=False))


def shown(value: Any) -> str:  # noqa: PLR0911 - a kind a line
    """*value* as the job file writes it, shortened; nothing that begins like a key is shown."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 64:
            return "an integer of more than 64 bits"
        case int() | float():
            return repr(value)
        case Decimal():
            return str(value)[:_LONGEST_SHOWN]
        case str() if _BEGINS_LIKE_A_KEY.search(value):
            return HIDDEN
        case str():
            return quoted(value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "…")
        case dict() | BaseModel():
            return "a table"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"


def in_plain(text: str) -> str:
    """*text* in the punctuation and digits of a plain keyboard, where a Chinese one or a word processor has written others."""
    return unicodedata.normalize("NFKC", text).translate(_PLAIN)


def key_path(loc: Iterable[str | int]) -> str:
    """The way to a value as TOML writes it: ``workspaces.legal.limits."qwen3.5-plus"``, ``job.input[1].path``."""
    path = ""
    for step in loc:
        match step:
            case int():
                path += f"[{step}]"
            case _:
                name = step if _BARE.fullmatch(step) else quoted(step)
                path += f".{name}" if path else name
    return path


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of *names* that was probably meant, capitals aside."""
    by_fold = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), by_fold, n=1)
    return by_fold[close[0]] if close else None


def nearest_file(name: str, names: Iterable[str]) -> str | None:
    """The one of *names* of files that was probably meant: what they end in makes no two alike."""
    suffix = _SUFFIXES.search(name)
    kind = suffix[0] if suffix else ""
    by_stem = {_SUFFIXES.sub("", known): known for known in sorted(names, key=lambda known: known.endswith(kind))}
    return by_stem.get(nearest(_SUFFIXES.sub("", name), by_stem) or "")


def slip_of(name: str, names: Iterable[str]) -> str | None:
    """The one of *names* of which *name* is a slip of the fingers: a letter or two are off, and no number in it is another."""
    alike = {each.casefold(): each for each in names if _NUMBER.findall(each) == _NUMBER.findall(name)}
    close = difflib.get_close_matches(name.casefold(), alike, n=1, cutoff=_SLIP)
    return alike[close[0]] if close else None


def one_of(name: str, names: Iterable[str]) -> str:
    """Ask for the nearest of *names*, then list them, the nearest first; of a thousand, as many as a person reads."""
    names = list(names)
    meant = nearest(name, names)
    if meant is None:
        return "one of " + _listed(names)
    return f"did you mean '{meant}'? One of " + _listed([meant, *(known for known in names if known != meant)])


class Names:
    """The names that something in a job may have, for whoever finds another there.

    Which was meant is looked for once of each name, and of the first that are none: a job of thousands of workspaces may be wrong in all.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)
        self._told: dict[str, str] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __bool__(self) -> bool:
        return bool(self._names)

    def one_of(self, name: str) -> str:
        """Ask for one of them in the place of *name*."""
        if name not in self._told and len(self._told) < _MOST_MEANT:
            self._told[name] = one_of(name, self._names)
        return self._told.get(name) or "one of " + _listed([*self._names])


def _listed(names: list[str]) -> str:
    rest = len(names) - _MOST_LISTED
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:_MOST_LISTED])} and {rest:,} others"


def without_keys_in(text: str) -> str:
    """*text* with everything in it that looks like an API key struck out."""
    return _KEY.sub(f"({HIDDEN})", text)


def without_keys(value: Any, leaks: list[Wrong], loc: Loc = ()) -> Any:
    """*value* as plain tables, lists and scalars, in which nothing looks like an API key any more; each place goes to *leaks*.

    This comes before any check, so that no later error can show what was there.
    """
    match value:
        case BaseModel():
            return without_keys(value.model_dump(exclude_unset=True, by_alias=True), leaks, loc)
        case dict():
            return {_name_without_key(key, leaks, loc): without_keys(inner, leaks, (*loc, _hidden(key))) for key, inner in value.items()}
        case list() | tuple():
            return [without_keys(inner, leaks, (*loc, place)) for place, inner in enumerate(value)]
        case PurePath():
            return without_keys(str(value), leaks, loc)
        case str() if _KEY.search(value):
            leaks.append(_leak(loc))
            return HIDDEN
    return value


def _name_without_key(name: Any, leaks: list[Wrong], loc: Loc) -> Any:
    hidden = _hidden(name)
    if hidden != name:
        leaks.append(_leak((*loc, hidden)))
    return hidden


def _hidden(name: Any) -> Any:
    return HIDDEN if isinstance(name, str) and _KEY.search(name) else name


def _leak(loc: Loc) -> Wrong:
    return Wrong(loc, HIDDEN, "no key stands in a job file: api_key_env names the environment variable that holds it")
