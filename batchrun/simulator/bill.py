"""The simulator's own account of what it answered, kept apart from everything a client could have counted itself."""

from __future__ import annotations

from collections import defaultdict, deque
from operator import attrgetter
from typing import Any, NamedTuple

from batchrun.core.model import Usage

_USED = (
    *("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cache_creation_tokens"),
    *("image_tokens", "audio_tokens", "video_tokens", "output_audio_tokens", "searches"),
)
"""Of a usage; all but the first two and the last itemise those."""
_COUNTS = ("calls", *_USED)
_used = attrgetter(*_USED)


class Bill:
    """What each workspace owes for each model, in calls and tokens."""

    def __init__(self) -> None:
        self._owed: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * len(_COUNTS))

    def charge(self, workspace: str, model: str, usage: Usage) -> None:
        """One answered call. Details itemise a total: cached tokens are among the input's, reasoning tokens among the output's."""
        owed = self._owed[workspace, model]
        for place, amount in enumerate((1, *_used(usage))):
            owed[place] += amount

    def told(self) -> dict[str, Any]:
        """``{"total": counts, "workspaces": {workspace: {"total": counts, "models": {model: counts}}}}``."""
        workspaces: dict[str, dict[str, dict[str, int]]] = defaultdict(dict)
        for (workspace, model), owed in sorted(self._owed.items()):
            workspaces[workspace][model] = dict(zip(_COUNTS, owed, strict=True))
        return {
            "total": _sum(list(self._owed.values())),
            "workspaces": {
                name: {"total": _sum([list(counts.values()) for counts in models.values()]), "models": models}
                for name, models in workspaces.items()
            },
        }


def _sum(rows: list[list[int]]) -> dict[str, int]:
    return {name: sum(row[place] for row in rows) for place, name in enumerate(_COUNTS)}


class CallNote(NamedTuple):
    """One call to a chat route, as the journal keeps it."""

    at: float
    workspace: str
    """Empty where the key was nobody's."""
    sha: bytes
    """SHA-256 of the body."""
    idempotency_key: str = ""
    model: str = ""
    """Empty where the call did not come as far as its model."""
    status: int = 0
    code: str = ""
    """The error's code, the planned fault's kind, ``repeated`` for an answer given before, or empty."""
    billed: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_creation_tokens: int = 0
    explicit_cache: bool = False
    """What the call found or wrote in the cache was asked for."""
    path: str = ""
    """Of the route."""
    request_id: str = ""
    """Of the answer that was made."""


class Journal:
    """The latest calls in the order they came, a bounded number of them."""

    def __init__(self, most: int) -> None:
        self._notes: deque[CallNote] = deque(maxlen=most)
        self.calls = 0
        """How many there were in all."""

    def note(self, note: CallNote) -> None:
        """Keep a call; beyond the bound the oldest is forgotten."""
        self.calls += 1
        self._notes.append(note)

    def told(self) -> list[dict[str, Any]]:
        """The kept calls as plain values, numbered from 1 by ``seq``, the body's digest in hexadecimal."""
        forgotten = self.calls - len(self._notes)
        return [{"seq": seq, **note._asdict(), "sha": note.sha.hex()} for seq, note in enumerate(self._notes, forgotten + 1)]
