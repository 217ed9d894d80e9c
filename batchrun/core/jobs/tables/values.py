"""What tables of a job are made of: the table itself, and the values that more than one of them holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from batchrun.core.jobs.hours import read_hours
from batchrun.core.jobs.words import IN_SINGLE_QUOTES, in_plain, said, shown, wrong


class Table(BaseModel):
    """What all tables of a job share: nothing is guessed, nothing is ignored, nothing changes later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True, defer_build=True, serialize_by_alias=True
    )


def as_list(value: Any) -> Any:
    """A lone value where a list may stand is a list of it."""
    return value if isinstance(value, list | tuple) else [value]


_VARIABLE = re.compile(r"\$\{?[A-Za-z_]\w*\}?")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def _path(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise wrong(shown(text), "a path, without control characters" + f"; {IN_SINGLE_QUOTES}" * bool(text.strip()))
    if text.startswith("~"):
        # Only a shell makes it a person's folder; a run directory of this name invites somebody to remove it by a shell.
        raise wrong(shown(text), 'a path as it is, without "~": "/home/NAME/…", or one from where the command is run')
    if variable := _VARIABLE.match(text):
        raise wrong(shown(text), f"a path as it is: {variable[0]} is a shell's to fill in, or one from where the command is run")
    if url := _URL.match(text):
        # The rest may be signed, and is not shown.
        allowed = 'a path on this machine: fetch what is to be read, or pipe it in (input = "-"), and copy results away when they are there'
        raise wrong(f"a URL ({url[0]}…)", allowed)
    return text


def read_by(read: Callable[[str], object]) -> AfterValidator:
    """Take a text that *read* takes, as it is; of one that it would take in plain punctuation that is told."""

    def check(text: str) -> str:
        try:
            read(text)
        except PydanticCustomError:
            if (plain := in_plain(text)) == text or not _is_taken(read, plain):
                raise
            raise wrong(shown(text), f"plain punctuation, as a plain keyboard writes it: {shown(plain)}") from None
        return text

    return AfterValidator(check)


def _is_taken(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except PydanticCustomError:
        return False
    return True


AtLeastOne = Annotated[int, Field(ge=1, le=2**64 - 1), said("an integer of at least 1")]
Seconds = Annotated[float, Field(gt=0), said("a number of seconds greater than 0")]
SecondsOrNone = Annotated[float, Field(ge=0), said("a number of seconds, 0 or more")]
PerMinute = Annotated[float, Field(ge=0.001, le=1e12), said("a number of at least 0.001")]
Flag = Annotated[bool, said("true or false")]
FilePath = Annotated[str, AfterValidator(_path)]
Window = Annotated[str, said('hours and their time zone, such as "22:00-08:00 Asia/Shanghai"'), read_by(read_hours)]
WINDOWS = ["22:00-08:00 Asia/Shanghai", "Mon-Fri 22:00-08:00, Sat-Sun 00:00-24:00 Asia/Shanghai"]
