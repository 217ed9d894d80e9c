"""What rows ask of a model under names that no example of the provider has: mistyped, it may be, or an endpoint's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from batchrun.core.rows.unfit import PARAMETERS

WRAPPER = "extra_body"
HEEDED = PARAMETERS - {WRAPPER}
"""What endpoints look at where it stands."""
_MOST_NAMES = 1000
"""That are told apart; nobody has as many settings."""
_LONGEST = 64


class OwnSettings:
    """Finds such names in lines that are looked at one after the other: each in the first that has it."""

    def __init__(self) -> None:
        self._known = {*HEEDED, "model", "messages", "stream"}

    def of(self, value: Mapping[str, Any]) -> Sequence[str]:
        """Names that a line, which is a row, has and none before it had."""
        return self.new_in(value.get("parameters") or value.get("body") or ())

    def knows_all(self, asked: Iterable[Iterable[str]]) -> bool:
        """Whether `new_in` has nothing of any."""
        return all(map(self._known.issuperset, asked))

    def new_in(self, asked: Iterable[str]) -> Sequence[str]:
        """The same of the parameters, or the body, of a line."""
        if len(self._known) > _MOST_NAMES:
            return ()
        found = [name for name in asked if name not in self._known and len(name) <= _LONGEST]
        self._known.update(found)
        return found
