"""A job file read: TOML bytes become a `Job`, or every mistake in them at once."""

from __future__ import annotations

import codecs
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from batchrun.core.errors import JobError, Mistake
from batchrun.core.jobs.job import Job
from batchrun.core.jobs.places import lines_of
from batchrun.core.jobs.words import IN_SINGLE_QUOTES, key_path, nearest, without_keys_in

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MOST_BYTES = 32 << 20
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_ALONE = re.compile(r"\r(?!\n)")
_TYPOGRAPHIC = "“”„‟‘’«»＂＇＝，：［］｛｝【】、。"
"""What word processors and Chinese keyboards write in the place of TOML's own punctuation."""
_WAYS_OUT: tuple[tuple[str, Callable[[str], object], str], ...] = (
    ("", lambda rest: rest[0] in _TYPOGRAPHIC, "LETTER stands there: TOML wants plain punctuation, as a plain keyboard writes it"),
    ("Invalid value", re.compile("(True|False)\\b").match, "TOML writes true and false in small letters"),
    ("Invalid value", lambda rest: rest[0].isalpha(), "text stands in quotes"),
    ("", re.compile(r"[^\W\d_a-zA-Z]").match, 'a name with other letters than A to Z stands in quotes: [workspaces."法务部"]'),
    ("Expected newline or end of document", re.compile(",").match, "no comma ends a line"),
    ("Invalid initial character", re.compile("}").match, "no comma stands before }"),
    ("Expected '='", re.compile(":").match, "TOML writes a key and its value as key = value"),
    *((said, bool, IN_SINGLE_QUOTES) for said in ("Invalid hex", "Unescaped", "Escaped character")),
)
"""What a person probably has to change, by how TOML's complaint begins and what stands where it points to."""


def load_job(path: str | Path) -> Job:
    """Read the job file at *path*.

    Raises JobError where it cannot be read, is no TOML, or says what no job may say: then with a `Mistake` for each thing wrong.
    Relative paths in the job stay as they are: relative to where the command runs.
    """
    path = Path(path)
    if path.suffix != ".toml":
        raise JobError(f"{path}: a job file's name ends in .toml{_those_in(path) if path.is_dir() else _meant(path)}")
    try:
        text = _text(path)
        return _checked(_with_prices(_tables(text, path), path), path, text)
    except RecursionError:
        raise JobError(f"{path}: nested too deeply for a job") from None


def _text(path: Path) -> str:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise JobError(f"{path}: is no file but a pipe or a device")
        if found.st_size > _MOST_BYTES:
            raise JobError(f"{path}: {found.st_size:,} bytes are no job file: at most {_MOST_BYTES:,} are read")
        content = path.read_bytes()
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:2]:
            raise JobError(f"{path}: UTF-16 text; a job file is saved as UTF-8")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise JobError(f"{path}: no such file{_meant(path)}") from None
    except OSError as error:
        raise JobError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise JobError(f"{path}: line {line} is not UTF-8; a job file is saved as UTF-8") from None


def _those_in(directory: Path) -> str:
    if (directory / "run.json").is_file():
        return ", and this is a run directory: name the job file whose output it is"
    names = sorted(str(each) for each in directory.glob("*.toml"))
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return f"; in this directory stand {', '.join(names[:5])}{more}" if names else ""


def _meant(path: Path) -> str:
    try:
        names = [near.name for near in path.parent.glob("*.toml")]
    except OSError:
        return ""
    name = nearest(path.name, names) or nearest(path.name + ".toml", names)
    return f"; did you mean '{path.with_name(name)}'?" if name else ""


def _tables(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise JobError(f"{path}: not TOML: {without_keys_in(str(error))}{_mended_by(str(error), text)}") from None
    except ValueError:
        # int() alone raises a bare one: it reads no number of more than a few thousand digits.
        raise JobError(f"{path}: not TOML: a number is too long") from None


def _mended_by(complaint: str, text: str) -> str:
    """The way out, where TOML's complaint does not say it."""
    if _ALONE.search(text):
        return "; its lines end in CR alone, as on old Macs: save it with LF"
    if "\0" in text:
        return "; NUL bytes stand in it, and it may not be whole: write it anew"
    found = _PLACE.search(complaint)
    if found is None:
        return ""
    line = "".join(text.splitlines()[int(found[1]) - 1 :][:1])
    rest = line[int(found[2]) - 1 :]
    ways = (f"; {way}" for begins, about, way in _WAYS_OUT if rest and complaint.startswith(begins) and about(rest))
    return next(ways, "").replace("LETTER", rest[:1])


def _with_prices(tables: dict[str, Any], path: Path) -> dict[str, Any]:
    """Lay what the job says of prices over the tables of the files that [job] prices names, model by model."""
    named = (tables.get("job") or {}).get("prices") if isinstance(tables.get("job"), dict) else None
    files = [name for name in (named if isinstance(named, list) else [named]) if isinstance(name, str)]
    found: dict[str, Any] = {}
    for name in files:
        given = _tables(_text(Path(name)), Path(name))
        if given.keys() - {"prices"} or not isinstance(given.get("prices"), dict):
            raise JobError(f"{path}: job.prices: {name}: holds tables of [prices] and nothing else, as batchrun prices import writes them")
        found |= given["prices"]
    own = tables.get("prices", {})
    return {**tables, "prices": {**found, **own}} if found and isinstance(own, dict) else tables


def _checked(tables: dict[str, Any], path: Path, text: str) -> Job:
    match tables.get("job"):
        case dict() as named:
            tables["job"] = {"name": path.stem, **named}
    try:
        return Job.model_validate(tables)
    except ValidationError as error:
        found = error.errors(include_url=False)
    lines = lines_of(text, [details["loc"] for details in found])
    mistakes = tuple(_mistake(details, path, line) for details, line in zip(found, lines, strict=True))
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    raise JobError(f"{path}: {count}; nothing was called", mistakes)


def _mistake(details: ErrorDetails, path: Path, line: int | None) -> Mistake:
    return Mistake(where=f"{path}: {key_path(details['loc'])}", found=details["ctx"]["found"], allowed=details["msg"], line=line)
