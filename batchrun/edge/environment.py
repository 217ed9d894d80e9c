"""The workspaces' keys: read from the environment or a .env file, and shown to nobody.

Rules:

1. The environment goes before the file. Neither is changed, and nothing in the file is expanded.
2. A key is a `SecretStr` from the first moment. No message, repr or cause of an error holds a character of what was read.
3. A key that no header could carry is a mistake, told by its kind: an HTTP library would put it into its own complaint.
"""

from __future__ import annotations

import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dotenv.parser import Binding, parse_stream
from pydantic import SecretStr

from batchrun.core.classes import value
from batchrun.core.errors import JobError, Mistake

if TYPE_CHECKING:
    from batchrun.core.jobs.job import Workspace

_UTF_16 = BOM_UTF16_LE, BOM_UTF16_BE
_ALLOWED = "the key alone, as the console shows it: visible ASCII characters, without spaces or quotes"


@value
class Missing:
    """No key was found for a workspace."""

    variable: str
    why: str
    """For a person: ``is set neither in the environment nor in .env``."""


Keys = Mapping[str, SecretStr | Missing]
"""By workspace; workspaces that the simulator answers are not among them."""


@value
class _Found:
    text: SecretStr
    place: str


def read_keys(workspaces: Iterable[Workspace], environ: Mapping[str, str], dotenv: Path | None) -> Keys:
    """Find each workspace's key in *environ*, else in the file *dotenv*; one that is not there, or is empty, is `Missing`.

    Raises JobError where the file cannot be read or understood, and with a `Mistake` for each value that cannot be a key.
    """
    variables = _variables(workspaces)
    in_file = _read(dotenv) if variables else {}
    found = {variable: _find(variable, environ, in_file, dotenv) for variable in dict.fromkeys(variables.values())}
    mistakes = tuple(mistake for variable, one in found.items() if isinstance(one, _Found) for mistake in _mistakes(variable, one))
    if mistakes:
        raise JobError("a key cannot be used as it is written (none is shown here)", mistakes)
    keys = {variable: one.text if isinstance(one, _Found) else one for variable, one in found.items()}
    return {name: keys[variable] for name, variable in variables.items()}


def hidden_keys(workspaces: Iterable[Workspace], environ: Mapping[str, str], dotenv: Path | None) -> dict[str, str]:
    """The variables, by workspace, that have another key in the file *dotenv* than in *environ*, which goes before it.

    Raises JobError as `read_keys` does.
    """
    variables = _variables(workspaces)
    in_file = _read(dotenv) if variables else {}
    both = {name: each for name, each in variables.items() if environ.get(each) and in_file.get(each)}
    return {name: each for name, each in both.items() if environ[each] != in_file[each].get_secret_value()}


def _variables(workspaces: Iterable[Workspace]) -> dict[str, str]:
    """In which variable the key of each workspace is looked for; what the simulator answers needs none."""
    return {one.name: one.api_key_env for one in workspaces if one.api_key_env is not None and not one.endpoint.simulated}


def _read(dotenv: Path | None) -> dict[str, SecretStr]:
    if dotenv is None:
        return {}
    try:
        content = dotenv.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        # A folder of this name is a virtual environment, as a rule.
        return {}
    except OSError as error:
        raise JobError(f"{dotenv}: cannot be read: {error.strerror}") from None
    values = {}
    for binding in parse_stream(io.StringIO(_decoded(content, dotenv))):
        if binding.error or _is_stray(binding):
            blank = len(binding.original.string) - len(binding.original.string.lstrip())
            line = binding.original.line + binding.original.string[:blank].count("\n")
            raise _malformed(dotenv, line, "is not NAME=VALUE")
        if binding.key is not None:
            values[binding.key] = SecretStr(binding.value or "")
    return values


def _is_stray(binding: Binding) -> bool:
    """Whether a line is a lone word that names no variable: a key without its name, or another kind of file."""
    return binding.key is not None and binding.value is None and not binding.key.isidentifier()


def _decoded(content: bytes, dotenv: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        how = "is UTF-16, as PowerShell writes: save it as UTF-8" if content.startswith(_UTF_16) else "is not UTF-8"
    # Raised out here: the decoder's error holds the whole file, and would hang on to this one as its context.
    raise _malformed(dotenv, line, how)


def _malformed(dotenv: Path, line: int, how: str) -> JobError:
    return JobError(f"{dotenv}: line {line} {how} (the line is not shown: it may hold a key)")


def _find(variable: str, environ: Mapping[str, str], in_file: Mapping[str, SecretStr], dotenv: Path | None) -> _Found | Missing:
    if variable in environ:
        found = _Found(SecretStr(environ[variable]), "environment")
    elif variable in in_file:
        found = _Found(in_file[variable], str(dotenv))
    else:
        return Missing(variable, _unset(dotenv) + _written_otherwise(variable, (*environ, *in_file)))
    if found.text.get_secret_value():
        return found
    hides = found.place == "environment" and variable in in_file
    return Missing(variable, f"is empty in the {found.place}, which goes before {dotenv}" if hides else f"is empty in {_the(found.place)}")


def _unset(dotenv: Path | None) -> str:
    if dotenv is None:
        return "is not set in the environment"
    if dotenv.is_dir():
        return f"is not set in the environment, and {dotenv} is a folder"
    if dotenv.exists():
        return f"is set neither in the environment nor in {dotenv}"
    try:
        folder = str(dotenv.absolute().parent).encode(errors="backslashreplace").decode()
    except OSError:
        folder = "the folder where the command was run"
    return f"is not set in the environment, and no {dotenv.name} stands in {folder}"


def _written_otherwise(variable: str, names: Iterable[str]) -> str:
    """Tell which of *names* has the variable's letters. One with others may be another department's, and is not told."""
    letters = _letters(variable)
    other = next((name for name in names if name.isidentifier() and _letters(name) == letters), None)
    return f" ({other} is)" if other else ""


def _letters(name: str) -> str:
    return name.replace("_", "").casefold()


def _the(place: str) -> str:
    return "the environment" if place == "environment" else place


def _mistakes(variable: str, found: _Found) -> Iterable[Mistake]:
    kind = _unfit(found.text.get_secret_value())
    return () if kind is None else (Mistake(f"{found.place}: {variable}", kind, _ALLOWED),)


def _unfit(key: str) -> str | None:
    """Say what kind of wrong *key* is, without a character of it."""
    match key:
        case _ if key.strip() != key:
            return "a value with white space around it" if key.strip("\r\n") == key else "a value with a line break at its end"
        case _ if key[0] in "\"'" or key[-1] in "\"'":
            return "a value with quotes around it"
        case _ if not key.isascii():
            return "a value with characters that are not ASCII"
        case _ if not key.isprintable():
            return "a value with control characters"
        case _ if " " in key:
            return "a value with a space in it"
    return None
