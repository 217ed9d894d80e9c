"""How many calls may be made before attempts.log says so again: written down ahead, and synced before they are sent.

The end of a log goes with the machine that it was not synced on. What was written down ahead stays, so what went is bounded: no more calls
of a workspace and model than were promised, less those whose lines are there, and no more tokens.

Rules: a call counts with what it can be billed for at the most, before it is sent; one that goes beyond what stands on the disk waits until
more does; what was written before a sync began stands once it has ended, and nothing else; a promise is looked over once a second, made as
large as some seconds of what went on, and taken back as far where less did. Where a call waits, more is promised to its lane at once, and
the others are left alone: looked over after a moment in which nothing could go, they would be promised next to nothing, and wait in turn.
"""

from __future__ import annotations

from dataclasses import field
from typing import NamedTuple

from batchrun.core.classes import slotted
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


@slotted
class _Lane:
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    largest: Amount = NOTHING
    looked: Amount = NOTHING
    """What had been made when it was last looked."""
    promised: Amount = NOTHING
    coming: list[tuple[int, Amount]] = field(default_factory=list)
    """What will be promised once it is on the disk, the latest last, each with which of all that was written it comes with."""

    def made(self) -> Amount:
        return Amount(self.calls, self.input_tokens, self.output_tokens)

    def grown(self) -> tuple[Amount, Amount]:
        """What was made, and what of it since it was last looked."""
        made = self.made()
        return made, made.and_(self.looked, -1)

    def ahead(self, grown: Amount) -> Amount:
        """What is promised beyond what was made, where so much went on."""
        if grown.calls:
            self.largest = Amount(1, *map(max, self.largest[1:], (-(-tokens // grown.calls) for tokens in grown[1:])))
        return NOTHING.and_(self.largest, _FEWEST).and_(grown, _AHEAD)

    def covers(self) -> bool:
        return self.made().within(self.promised)


@slotted
class Promises:
    """Those of one opening."""

    _lanes: dict[tuple[str, str], _Lane] = field(default_factory=dict)
    _lively: dict[tuple[str, str], _Lane] = field(default_factory=dict)
    """Lanes in which something went on lately."""
    _coming: dict[tuple[str, str], _Lane] = field(default_factory=dict)
    """Lanes for which something was written that does not stand yet."""
    _waiting: dict[tuple[str, str], _Lane] = field(default_factory=dict)
    """Lanes that had a call which is not promised, since that was last seen to."""
    written: int = 0
    """How often anything was written: told to `stand`, once a sync has ended that began after it."""

    def count(self, workspace: str, model: str, most: Bound) -> bool:
        """Count a call; False where it may not be sent before its lane `covers` it."""
        lane = self._lively.get((workspace, model)) or self._enlivened(workspace, model)
        asked, answered = most
        most_calls, most_asked, most_answered = lane.promised
        # Whether it is covered, without a call for each.
        lane.calls = calls = lane.calls + 1
        lane.input_tokens = asked = lane.input_tokens + asked
        lane.output_tokens = answered = lane.output_tokens + answered
        return (calls <= most_calls and asked <= most_asked and answered <= most_answered) or self._short(workspace, model, lane)

    def covers(self, workspace: str, model: str) -> bool:
        """Whether all calls of a lane that were counted are promised, on the disk."""
        return self._lanes[workspace, model].covers()

    def due(self) -> list[Promise]:
        """What is to be written now. A promise that shrinks holds at once."""
        self.written += 1
        promises = []
        for (workspace, model), lane in list(self._lively.items()):
            made, grown = lane.grown()
            lane.looked = made
            if not grown.calls:
                del self._lively[workspace, model]
            ahead = lane.ahead(grown)
            if made.and_(ahead).within(lane.promised) and lane.promised.within(made.and_(ahead, _LOOSE)):
                continue
            wished = made.and_(ahead, 2 if grown.calls else 1)
            lane.promised = Amount(*map(min, lane.promised, wished))
            promises.append(self._written(workspace, model, lane, wished))
        return promises

    def due_at_once(self) -> list[Promise]:
        """What is to be written for lanes that wait for it: they are not looked over, so what went on is still told over a second."""
        self.written += 1
        promises = []
        short, self._waiting = self._waiting, {}
        for (workspace, model), lane in short.items():
            if not lane.covers():
                made, grown = lane.grown()
                coming = lane.coming[-1][1] if lane.coming else lane.promised
                wished = Amount(*map(max, made.and_(lane.ahead(grown), 2), coming))
                promises.append(self._written(workspace, model, lane, wished))
        return promises

    def _written(self, workspace: str, model: str, lane: _Lane, wished: Amount) -> Promise:
        self._coming[workspace, model] = lane
        lane.coming.append((self.written, wished))
        return Promise(workspace, model, *wished)

    def stand(self, written: int) -> None:
        """What had been *written* by then is on the disk."""
        for key, lane in list(self._coming.items()):
            stood = [wished for of, wished in lane.coming if of <= written]
            if stood:
                lane.coming = lane.coming[len(stood) :]
                # Whether what was written since is on the disk too nobody knows: no more is sent than either lets.
                lane.promised = Amount(*map(min, stood[-1], stood[-1], *[wished for _, wished in lane.coming]))
                if not lane.coming:
                    del self._coming[key]

    def _short(self, workspace: str, model: str, lane: _Lane) -> bool:
        self._waiting[workspace, model] = lane
        return False

    def _enlivened(self, workspace: str, model: str) -> _Lane:
        lane = self._lively[workspace, model] = self._lanes.setdefault((workspace, model), _Lane())
        return lane
