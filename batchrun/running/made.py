"""Requests that are written: what of one is the same however often it is sent, and those that are to be sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from batchrun.core.classes import slotted
from batchrun.core.ledger.attempts import Bound
from batchrun.core.limits.estimates import Estimate, Size
from batchrun.core.model import Request, Row
from batchrun.core.protocols.reading import Dialect
from batchrun.core.rows.routes import NoRoute, Route
from batchrun.running.terms import Terms, terms_of

MOST_KEPT_BYTES = 8 << 20
"""Of requests that wait to be sent again: beyond that, rows are read and written anew."""
_BESIDE_ITS_BODY = 4 << 10
"""Bytes of memory that a request takes, about, besides what it says."""


@dataclass(slots=True, eq=False)
class Lane:
    """What all rows of a workspace and model share."""

    text_way: Route | NoRoute
    media_way: Route | NoRoute
    begun_key: Callable[[], blake2b]
    """Gives what each of their idempotency keys is made of first, hashed once for all of them."""
    headers: Mapping[str, str]
    """Those that the job names."""
    authorization: str
    estimate: Estimate
    total: float
    """Seconds a call may take."""
    least_tpm: float | None
    most_tokens: int | None
    """The limit that a budget puts into rows that set none."""
    _terms: Terms | None = None
    """Of its plain rows."""

    def terms(self, row: Row) -> Terms:
        """What a row's settings come to; a plain one has those of all plain ones."""
        if not row.is_plain:
            return terms_of(row.model, row.body, self.most_tokens)
        if self._terms is None:
            self._terms = terms_of(row.model, row.body, self.most_tokens)
        return self._terms


class Made(NamedTuple):
    """A request that is written: the same in every attempt for its row, until its answer is refused and the row is asked otherwise."""

    row: Row
    request: Request
    most: Bound
    size: Size
    lane: Lane
    dialect: Dialect
    asks: int
    """How often the row had been asked again."""
    tools: bool
    too_large: bool

    @property
    def weight(self) -> int:
        """Bytes of memory that keeping it takes, about."""
        return 2 * len(self.request.body) + _BESIDE_ITS_BODY


@slotted
class Kept:
    """Those that are to be sent again, by their rows' ordinals, in memory that does not grow with how many they are."""

    made: dict[int, Made] = field(default_factory=dict)
    _bytes: int = 0

    def keep(self, ordinal: int, made: Made) -> None:
        """Keep one; those that were kept first make room."""
        self.take(ordinal)
        self.made[ordinal] = made
        self._bytes += made.weight
        while self._bytes > MOST_KEPT_BYTES:
            self._bytes -= self.made.pop(next(iter(self.made))).weight

    def forget(self, workspace: str) -> None:
        """Keep none of a workspace's."""
        for ordinal in [ordinal for ordinal, made in self.made.items() if made.row.workspace == workspace]:
            self.take(ordinal)

    def take(self, ordinal: int) -> Made | None:
        """Take a row's out, where it was kept."""
        made = self.made.pop(ordinal, None)
        if made is not None:
            self._bytes -= made.weight
        return made
