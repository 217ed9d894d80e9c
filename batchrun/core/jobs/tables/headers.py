"""Headers that a job puts into every request: what may be one is told when the job is read.

They are for what a provider or a gateway of one's own takes by header and by nothing else. None of them can be one that batchrun writes
itself, so no job says under which key a row is sent; and none is one that holds a secret, for a job file is no place for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, ValidationError

from batchrun.core.jobs.words import Wrong, quoted, shown

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"[!-~](?:[ -~]{0,1998}[!-~])?")
"""Visible ASCII, blanks only within: what every server and gateway takes as it is."""
_OWN = frozenset(
    {
        *("accept", "accept-encoding", "content-encoding", "content-length", "content-type", "host", "idempotency-key", "user-agent"),
        *("connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
        *("x-dashscope-async", "x-dashscope-ossresourceresolve", "x-dashscope-sse"),
    }
)
"""Those that batchrun writes where they are needed, that say how bytes are framed, or that change in what form an answer comes."""
_SECRET = re.compile(r"auth|cookie|token|secret|passw|api-?key|credential", re.IGNORECASE)
_ITS_WORKSPACE = "x-dashscope-workspace"


def _headers(headers: dict[str, str]) -> dict[str, str]:
    wrongs = [unfit for name, value in headers.items() if (unfit := _unfit(name, value))]
    spelt = [name.lower() for name in headers]
    wrongs += [
        Wrong((name,), shown(headers[name]), "the name once: case makes no other") for name in headers if spelt.count(name.lower()) > 1
    ]
    return _or_raise(headers, wrongs)


def _of_all(headers: dict[str, str]) -> dict[str, str]:
    return _or_raise(
        headers,
        [
            Wrong((name,), shown(value), "no header of all workspaces: each names its own under [workspaces.NAME]")
            for name, value in headers.items()
            if name.lower() == _ITS_WORKSPACE
        ],
    )


def _or_raise(headers: dict[str, str], wrongs: list[Wrong]) -> dict[str, str]:
    if wrongs:
        raise ValidationError.from_exception_data("headers", [one.details() for one in wrongs], hide_input=True)
    return headers


def _unfit(name: str, value: str) -> Wrong | None:
    if not _NAME.fullmatch(name):
        return Wrong((name,), quoted(name[:100]), "the name of a header: letters, digits and hyphens")
    if name.lower() in _OWN:
        return Wrong((name,), shown(value), "no header that batchrun writes itself, or that would change how answers come")
    if _SECRET.search(name):
        return Wrong(
            (name,), "a value that is not shown", "no header that holds a secret: a key stands in the variable that api_key_env names"
        )
    if value and not _VALUE.fullmatch(value):
        return Wrong((name,), shown(value), "up to 2,000 visible ASCII characters, with blanks between them; empty to leave it out")
    return None


def laid_over(upper: Mapping[str, str], lower: Mapping[str, str]) -> dict[str, str]:
    """Lay *upper* over *lower*, name by name whatever the case; what is empty is left out."""
    own = {name.lower() for name in upper}
    merged = {name: value for name, value in lower.items() if name.lower() not in own} | dict(upper)
    return {name: value for name, value in merged.items() if value}


Headers = Annotated[dict[str, str], AfterValidator(_headers)]
HeadersOfAll = Annotated[dict[str, str], AfterValidator(_headers), AfterValidator(_of_all)]
