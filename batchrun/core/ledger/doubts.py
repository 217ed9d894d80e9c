"""Calls in doubt, as many as there are rows where a provider tells no usage: each is kept as the bytes of a line, and made anew when asked.

As objects they would take four times as much, and while a checkpoint is written of them as much again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from batchrun.core.ledger.attempts import Bound, Ended, Started


class Doubtful(NamedTuple):
    """A call that may have been billed, and why that is not known."""

    started: Started
    why: str
    ended: Ended | None = None
    """Without its usage: what tells some is in no doubt."""


@dataclass(slots=True)
class Doubts:
    """Some of them, in the order in which they were added."""

    _lines: bytearray = field(default_factory=bytearray)

    def add(self, started: Started, why: str, ended: Ended | None = None) -> None:
        """Keep one."""
        end = ended and [ended.name, ended.verdict, ended.in_doubt, ended.at, ended.code, ended.status, ended.metadata, ended.has_metadata]
        try:
            self._lines += _line(started, why, end)
        except TypeError:
            # Nested deeper than a line can be written: somebody has put it there, and nothing is known of how it ended.
            self._lines += _line(started, "its end tells too much", None)

    def __iter__(self) -> Iterator[Doubtful]:
        begin = 0
        while (end := self._lines.find(b"\n", begin)) >= 0:
            yield _read(self._lines[begin:end])
            begin = end + 1


def _line(started: Started, why: str, end: Sequence[Any] | None) -> bytes:
    return orjson.dumps([[*started], why, end], default=list, option=orjson.OPT_APPEND_NEWLINE)


def _read(line: bytearray) -> Doubtful:
    (name, workspace, model, row_id, most, at), why, end = orjson.loads(line)
    started = Started(name, workspace, model, row_id, Bound(*most), at)
    if end is None:
        return Doubtful(started, why)
    ended_name, verdict, in_doubt, ended_at, *told = end
    return Doubtful(started, why, Ended(ended_name, verdict, in_doubt, None, None, ended_at, *told))
