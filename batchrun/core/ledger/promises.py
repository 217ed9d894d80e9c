"""How many calls may be made before attempts.log says so again: written down ahead, and synced before they are sent.

The end of a log goes with the machine that it was not synced on. What was written down ahead stays, so what went is bounded: no more calls
of a workspace and model than were promised, less those whose lines are there, and no more tokens.

Rules: a call counts with what it can be billed for at the most, before it is sent; one that goes beyond what stands on the disk waits until
more does; a promise is looked over once a second, made as large as some seconds of what went on, and taken back as far where less did.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from batchrun.core.ledger.attempts import Bound, Promise

_AHEAD = 3
"""Times the calls since the last look, and _FEWEST more of the largest."""
_FEWEST = 4
_LOOSE = 4
"""Times as much left as is wanted, and a promise is taken back."""


class Amount(NamedTuple):
    """Calls, and tokens at the most."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def and_(self, other: Amount, times: int = 1) -> Amount:
        """This, and *times* the *other*."""
        return Amount(
            self.calls + times * other.calls,
            self.input_tokens + times * other.input_tokens,
            self.output_tokens + times * other.output_tokens,
        )

    def within(self, other: Amount) -> bool:
        """Whether it is no more than the *other*, in nothing."""
        return self.calls <= other.calls and self.input_tokens <= other.input_tokens and self.output_tokens <= other.output_tokens


NOTHING = Amount()


@dataclass(slots=True)
class _Lane:
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    largest: Amount = NOTHING
    looked: Amount = NOTHING
    """What had been made when it was last looked."""
    promised: Amount = NOTHING
    coming: Amount | None = None
    """What will be promised once it is on the disk."""

    def made(self) -> Amount:
        return Amount(self.calls, self.input_tokens, self.output_tokens)


@dataclass(slots=True)
class Promises:
    """Those of one opening."""

    _lanes: dict[tuple[str, str], _Lane] = field(default_factory=dict)
    _lively: dict[tuple[str, str], _Lane] = field(default_factory=dict)
    """Lanes in which something went on lately."""

    def count(self, workspace: str, model: str, most: Bound) -> bool:
        """Count a call; False where it may not be sent before `due` was written, synced, and told to `stand`."""
        lane = self._lively.get((workspace, model)) or self._enlivened(workspace, model)
        lane.calls += 1
        lane.input_tokens += most.input_tokens
        lane.output_tokens += most.output_tokens
        promised = lane.promised
        return lane.calls <= promised.calls and lane.input_tokens <= promised.input_tokens and lane.output_tokens <= promised.output_tokens

    def due(self) -> list[Promise]:
        """What is to be written now. A promise that shrinks holds at once."""
        written = []
        for (workspace, model), lane in list(self._lively.items()):
            made = lane.made()
            grown = made.and_(lane.looked, -1)
            lane.looked = made
            if grown.calls:
                lane.largest = Amount(1, *map(max, lane.largest[1:], (-(-tokens // grown.calls) for tokens in grown[1:])))
            else:
                del self._lively[workspace, model]
            ahead = NOTHING.and_(lane.largest, _FEWEST).and_(grown, _AHEAD)
            if made.and_(ahead).within(lane.promised) and lane.promised.within(made.and_(ahead, _LOOSE)):
                continue
            lane.coming = wished = made.and_(ahead, 2 if grown.calls else 1)
            lane.promised = Amount(*map(min, lane.promised, wished))
            written.append(Promise(workspace, model, *wished))
        return written

    def stand(self) -> None:
        """What was due is on the disk."""
        for lane in self._lanes.values():
            if lane.coming is not None:
                lane.promised, lane.coming = lane.coming, None

    def _enlivened(self, workspace: str, model: str) -> _Lane:
        lane = self._lively[workspace, model] = self._lanes.setdefault((workspace, model), _Lane())
        return lane
