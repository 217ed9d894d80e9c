"""Answers that may not be what they seem: some that came under the request id of another row's, some of another model than was asked."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from batchrun.core.classes import value
from batchrun.core.counted import counted
from batchrun.core.ledger.digests import Digests
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.entry_reading import answered_by
from batchrun.core.rows.names import id_digest

_SHOWN = 5
"""Pairs of models that are told apart: a gateway may number its own."""


@value
class _Like:
    """How many answers are alike in something, and where the first of them stands."""

    count: int
    first: str


class Suspects:
    """What is told of all answers together; holds a few bytes of each, however many are suspect."""

    def __init__(self, simulated: Collection[str] = ()) -> None:
        """*simulated* are workspaces that the simulator answers: begun anew, it gives the same rows the same ids again."""
        self._simulated = simulated
        self._requests = Digests()
        self._repeated: _Like | None = None
        """Came under the request id of another row's."""
        self._by_others: dict[tuple[str, str], _Like] = {}
        """Name another model than was asked, by what was asked and what is named."""

    def look_at(self, entry: Entry, line: bytes, place: str) -> None:
        """Take note of an entry, its line, and where that stands."""
        if entry.outcome == "answered" and entry.request_id is not None and entry.workspace not in self._simulated:
            name = id_digest("", entry.request_id)
            if self._requests.get(name):
                self._repeated = _one_more(self._repeated, place)
            else:
                self._requests.put(name, 1)
        if (other := answered_by(line)) is not None:
            asked = entry.model, other
            if asked not in self._by_others and len(self._by_others) >= _SHOWN:
                asked = entry.model, "one of further models"
            self._by_others[asked] = _one_more(self._by_others.get(asked), place)

    def told(self) -> Iterator[tuple[str, str]]:
        """Where the first of each kind stands, and what is to be said of them."""
        if self._repeated is not None:
            answers = counted(
                self._repeated.count, "answer has the request id of another row's", "answers have the request ids of other rows'"
            )
            why = "the endpoint, or a cache or gateway on the way, gave one answer to several rows, and the provider has billed it once"
            yield self._repeated.first, f"{answers}, this one first: {why}"
        for (asked, other), like in self._by_others.items():
            answers = counted(like.count, "answer names", "answers name")
            yield like.first, f"{answers} {other}, where {asked} was asked, this one first: counted, and priced, as {asked}"


def _one_more(like: _Like | None, place: str) -> _Like:
    return _Like(1, place) if like is None else _Like(like.count + 1, like.first)
