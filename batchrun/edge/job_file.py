"""A job file read: TOML bytes become a `Job`, or every mistake in them at once."""

from __future__ import annotations

import codecs
import stat
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from batchrun.core.columns import printable
from batchrun.core.errors import JobError, Mistake
from batchrun.core.jobs.job import Job
from batchrun.core.jobs.no_toml import way_out
from batchrun.core.jobs.places import lines_of
from batchrun.core.jobs.words import key_path, nearest_file, without_keys_in
from batchrun.core.rows.answers import Schema

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MOST_BYTES = 32 << 20
_MOST_OF_A_SOURCE = 200
"""Letters that a job may say of where prices were read."""
_SCHEMA = "answers", "schema"
_SINCE = "2025-01-01"
"""As a table of prices has it that does not tell since when it holds."""


class _Read(NamedTuple):
    """A file that makes up the job, as it was read."""

    path: Path
    text: str


class _Said(NamedTuple):
    """A table of a model's prices, and where it stands: in which file, the job's own being None, and as which of a list."""

    table: Any
    file: _Read | None
    place: tuple[int, ...]


_Prices = dict[str, list[_Said]]
"""By model; of those of which any file of prices tells."""


def load_job(path: str | Path) -> Job:
    """Read the job file at *path*.

    Raises JobError where it cannot be read, is no TOML, or says what no job may say: then with a `Mistake` for each thing wrong.
    Relative paths in the job stay as they are: relative to where the command runs.
    """
    path = Path(path)
    if path.suffix != ".toml":
        raise JobError(f"{path}: a job file's name ends in .toml{_instead(path)}")
    try:
        text = _text(path)
        tables, prices = _with_prices(_tables(text, path), path)
        return _checked(tables, prices, _Read(path, text))
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


def _instead(path: Path) -> str:
    try:
        # Python 3.14's `is_dir` takes what cannot be looked at for none.
        return _those_in(path) if stat.S_ISDIR(path.stat().st_mode) else _meant(path)
    except (FileNotFoundError, NotADirectoryError):
        return _meant(path)
    except OSError as error:
        return _hidden_by(error)


def _hidden_by(error: OSError) -> str:
    return f", and what stands there cannot be looked at: {error.strerror}"


def _those_in(directory: Path) -> str:
    if (directory / "run.json").is_file():
        return ", and this is a run directory: name the job file whose output it is"
    names = sorted(str(each) for each in directory.glob("*.toml"))
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return f"; in this directory stand {', '.join(names[:5])}{more}" if names else ""


def _meant(path: Path) -> str:
    try:
        names = [near.name for near in path.parent.glob("*.toml")]
        is_input = ".jsonl" in path.suffixes and path.is_file()
    except OSError as error:
        return _hidden_by(error)
    if is_input:
        return f', and this is an input, which a job names: [job] input = "{path}"'
    name = nearest_file(path.name, names)
    return f"; did you mean '{path.with_name(name)}'?" if name else ""


def _tables(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise JobError(f"{path}: not TOML: {without_keys_in(str(error))}{way_out(str(error), text)}") from None
    except ValueError:
        # int() alone raises a bare one: it reads no number of more than a few thousand digits.
        raise JobError(f"{path}: not TOML: a number is too long") from None


def _with_prices(tables: dict[str, Any], path: Path) -> tuple[dict[str, Any], _Prices]:
    """Lay the tables of the files that [job] prices names over one another, and the job's own over them; say which stand where."""
    named = (tables.get("job") or {}).get("prices") if isinstance(tables.get("job"), dict) else None
    files = [name for name in (named if isinstance(named, list) else [named]) if isinstance(name, str)]
    own = tables.get("prices", {})
    found: _Prices = {}
    for name in files:
        if _is_missing(Path(name)):
            where = "" if Path(name).is_absolute() else f"; it was looked for in {printable(str(Path.cwd()))}, where the command was run"
            raise JobError(f"{path}: job.prices: {name}: no such file{where}")
        file = _Read(Path(name), _text(Path(name)))
        given = _tables(file.text, file.path)
        if given.keys() - {"prices"} or not isinstance(given.get("prices"), dict):
            raise JobError(f"{path}: job.prices: {name}: holds tables of [prices] and nothing else, as batchrun prices import writes them")
        for model, told in given["prices"].items():
            found[model] = _laid_over(found.get(model, []), _each(_read_in(told, name), file))
    if not found or not isinstance(own, dict):
        return tables, {}
    for model in found.keys() & own.keys():
        found[model] = _laid_over(found[model], _each(own[model], None))
    return {**tables, "prices": {**own, **{model: _as_written(each) for model, each in found.items()}}}, found


def _each(told: Any, file: _Read | None) -> list[_Said]:
    listed = told and isinstance(told, list)
    return [_Said(each, file, (place,)) for place, each in enumerate(told)] if listed else [_Said(told, file, ())]


def _laid_over(below: list[_Said], above: list[_Said]) -> list[_Said]:
    """What is said *above* in the place of what stood *below*, but for the regions of which it says nothing.

    What stood for all of them stays for those as well, where it does not begin to hold later, and so would go before what is said above.
    """
    regions, first = {_told(each, "region") for each in above}, min((_told(each, "since") or _SINCE for each in above), default=_SINCE)
    if None in regions:
        return above
    kept = (each for each in below if _told(each, "region") not in regions)
    return [*(each for each in kept if _told(each, "region") or (_told(each, "since") or _SINCE) <= first), *above]


def _told(said: _Said, name: str) -> str | None:
    told = said.table.get(name) if isinstance(said.table, dict) else None
    return None if told is None else str(told)


def _as_written(said: list[_Said]) -> Any:
    return said[0].table if len(said) == 1 and not said[0].place else [each.table for each in said]


def _is_missing(path: Path) -> bool:
    """Whether nothing is there; of what this user may not look at, that is told by whoever reads it."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False
    return False


def _read_in(told: Any, name: str) -> Any:
    """A model's table, or its list of them: where they do not say where they were read, it was in the file of that name."""
    match told:
        case dict():
            return {"source": name[-_MOST_OF_A_SOURCE:], **told}
        case list():
            return [_read_in(each, name) for each in told]
    return told


def _checked(tables: dict[str, Any], prices: _Prices, file: _Read) -> Job:
    match tables.get("job"):
        case dict() as named:
            tables["job"] = {"name": file.path.stem, **named}
    job: Job | None = None
    found: list[ErrorDetails] = []
    try:
        job = Job.model_validate(tables)
    except ValidationError as error:
        found = error.errors(include_url=False)
    by_file: dict[_Read, list[ErrorDetails]] = {}
    for details in found:
        where, loc = _stands(details["loc"], prices)
        by_file.setdefault(where or file, []).append({**details, "loc": loc})
    mistakes = [mistake for each, some in by_file.items() for mistake in _mistakes(some, each)]
    # What is wrong within it as a part of the job may be a key, which no complaint of a schema hides.
    if not any(details["loc"][:2] == _SCHEMA for details in found):
        mistakes += _of_the_schema(tables.get("answers"), file)
    if job is not None and not mistakes:
        return job
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    raise JobError(f"{file.path}: {count}; nothing was called", tuple(mistakes))


def _of_the_schema(answers: Any, file: _Read) -> Iterator[Mistake]:
    match answers:
        case {"schema": dict(written)}:
            try:
                Schema(written)
            except JobError as error:
                [line] = lines_of(file.text, [_SCHEMA])
                for mistake in error.mistakes:
                    yield mistake._replace(where=f"{file.path}: {mistake.where}", line=line)


def _stands(loc: tuple[str | int, ...], prices: _Prices) -> tuple[_Read | None, tuple[str | int, ...]]:
    """In which file of prices a mistake stands, if it is in none of the job's own tables, and where there."""
    said = prices.get(str(loc[1])) if len(loc) > 1 and loc[0] == "prices" else None
    if said is None:
        return None, loc
    match loc[2:]:
        case (int(place), *rest) if place < len(said):
            return said[place].file, (*loc[:2], *said[place].place, *rest)
    return said[-1].file, loc


def _mistakes(found: Sequence[ErrorDetails], file: _Read) -> Iterator[Mistake]:
    lines = lines_of(file.text, [details["loc"] for details in found])
    for details, line in zip(found, lines, strict=True):
        where = f"{file.path}: {key_path(details['loc'])}"
        yield Mistake(where=where, found=details["ctx"]["found"], allowed=details["msg"], line=line)
