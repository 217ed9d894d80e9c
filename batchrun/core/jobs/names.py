"""What a workspace, an account, a model and a variable may be called.

A workspace's name becomes a directory on whatever disk the run stands, so it must be one on all of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

from batchrun.core.jobs.words import quoted, shown, wrong

RUN_DIRECTORY_NAMES = frozenset(
    {
        *("run.json", "attempts.log", "rejected-input.jsonl", "report.html", "usage.csv", "run.lock", "input"),
        *("learnt.json", "books.lock", "index.bin", "index.json"),
        *("plan.checkpoint", "statement.checkpoint", "course.checkpoint", "budgets.checkpoint"),
    },
)
"""What a run directory holds beside its workspaces' directories, in lower case."""

_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})
"""Names that are no file on Windows, whatever their suffix (learn.microsoft.com, "Naming Files, Paths, and Namespaces")."""

_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0") | {
    chr(point) for start, end in ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF)) for point in range(start, end + 1)
}
"""Letters and marks that nobody sees (Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties): two names would look the same."""

_NAME = "letters and digits of any script, '-', '_' and '.', not beginning with '.' or '-' nor ending in '.', at most 64 characters"
_KEY_OF = "DASHSCOPE_API_KEY"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PUT_AROUND = re.compile(r"(\W+|\W*(env|os\.environ)\W+)[A-Z][A-Z0-9_]*\W*")
"""A variable as shells and other programs' files name it: ``$KEY``, ``${KEY}``, ``%KEY%``, ``env:KEY``, ``os.environ/KEY``."""
_VARIABLE_ALLOWED = 'the name of the environment variable that holds the key, such as "LEGAL_DASHSCOPE_API_KEY"'


def fold(name: str) -> str:
    """*name* as a disk that knows neither capitals nor Unicode forms keeps it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _name(text: str) -> str:
    odd = next((c for place, c in enumerate(text) if not _fits(c, first=place == 0)), None)
    if odd is not None:
        raise wrong(f"a name with {quoted(odd)}", _NAME)
    if not text or text[0] in ".-" or text[-1] == ".":
        raise wrong("an empty name" if not text else f"the name {shown(text)}", _NAME)
    if len(text) > 64 or len(text.encode()) > 200:
        raise wrong(f"a name of {len(text)} characters and {len(text.encode())} bytes", _NAME + " and 200 bytes of UTF-8")
    if unicodedata.normalize("NFC", text) != text:
        raise wrong("a name that takes its accents apart", f"the same name in Unicode's composed form (NFC), {_NAME}")
    return text


def _fits(character: str, *, first: bool) -> bool:
    kind = unicodedata.category(character)
    seen = kind[0] == "L" or kind == "Nd" or (kind[0] == "M" and not first)
    return character in "-_." or (seen and character not in _UNSEEN)


def _workspace_name(text: str) -> str:
    if fold(text).split(".")[0] in _DEVICES:
        raise wrong(f"the name {shown(text)}", "another name: this one is a device on Windows, not a directory")
    if fold(text) in RUN_DIRECTORY_NAMES:
        raise wrong(f"the name {shown(text)}", "another name: the run directory has a file of this name")
    return text


def _title(text: str) -> str:
    if not text or len(text) > 100 or text[0] == "." or not text.isprintable() or set("/\\") & set(text):
        raise wrong(shown(text), "a name of at most 100 visible characters, without '/' or '\\' and not beginning with '.'")
    return text


def _model_name(text: str) -> str:
    if not text or len(text) > 256 or not text.isprintable() or " " in text:
        raise wrong(shown(text), 'a model\'s name, such as "qwen-plus"')
    return text


def _variable_name(text: str) -> str:
    """Refuse what may be a key without showing it: whoever pastes one here has a terminal and a log."""
    if text.startswith("sk-"):
        raise wrong("a value that looks like a key", f"looks like a key; write {_VARIABLE_ALLOWED}")
    if not _VARIABLE.fullmatch(text) or _scrambled(text):
        alone = "; it stands alone, without $ or what else is put around it elsewhere" if _PUT_AROUND.fullmatch(text) else ""
        raise wrong("a value that is no variable's name (not shown: it may be a key)", _VARIABLE_ALLOWED + alone)
    return text


@lru_cache(maxsize=4)
def variables_for(workspaces: tuple[str, ...]) -> Mapping[str, str]:
    """Propose a variable for the key of each workspace, one that a job takes and that no other workspace's has: environments know ASCII."""
    proposed: dict[str, str] = {}
    taken = set[str]()
    for place, workspace in enumerate(workspaces, 1):
        letters = "".join(letter if letter.isalnum() else "_" for letter in workspace.upper()).lstrip("0123456789_")
        variable = f"{letters}_{_KEY_OF}"
        if not workspace.isascii() or not letters or len(variable) > 64 or variable in taken:
            variable = f"{_KEY_OF}_{place}"
        taken.add(variable)
        proposed[workspace] = variable
    return proposed


def _scrambled(text: str) -> bool:
    return len(text) >= 20 and "_" not in text and any(c.isdigit() for c in text)


Name = Annotated[str, AfterValidator(_name)]
WorkspaceName = Annotated[str, AfterValidator(_name), AfterValidator(_workspace_name)]
JobName = Annotated[str, AfterValidator(_title)]
ModelName = Annotated[str, AfterValidator(_model_name)]
VariableName = Annotated[str, AfterValidator(_variable_name)]
