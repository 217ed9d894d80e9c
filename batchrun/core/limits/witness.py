"""What refusals say, looked at afterwards, of how a provider counts: over which window, and whether when calls come or when answers end.

Theory of operation. A window that is full refuses; so whichever window the provider counts over was full at every refusal, and the others
were full only by chance. That is seen badly in the moment, while much of what went is only guessed; and a row is refused just when too
little was guessed. So it is looked at once nearly all of it is known, three seconds later or up to a minute: then the tapes are asked, for
each window that there may be, whether it was full when the row was refused, the row included; once of what went, and once of the answers
that ended. What is still under way counts as what is expected of it: while answers are slow it is much of what went, and who left it out
would find windows full of answers alone. Each refusal adds to a count for each of them, and older ones fade.

What is under way for long is dearer than was expected. So a window is called full by what is known and expected; but that it was not full
is only believed if that holds though what is still under way came to three times as much.

Then the verdict. A window that was full at most refusals explains them; of those that explain them as well as any, the longest one is
taken, since a full long window may have full short ones in it. So is a longer one that may have been full at all of them, where the one
that is believed in surely was not. What is believed stands as long as it explains at least half of what the
best does, or nearly all of it where answers explain them too: it is not given up for a little. And it stands as long as it, or a longer
one, may have been full at all refusals.

Refusals of one moment tell the same, and are looked at once.

Where the quota itself is to be found, "full" has no meaning: what refusals show there is told in `fuller.py`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import field
from math import inf
from typing import NamedTuple

from batchrun.core.classes import slotted
from batchrun.core.limits.counting import WINDOWS, Counting
from batchrun.core.limits.room import Room
from batchrun.core.limits.tape import LONGEST, Tape

LARGER = 1.1
"""Times a window's quota: what such a row costs shows that the window is longer, if it is taken."""
_LOOKED_AT_AFTER, _AT_THE_LATEST = 3.0, 60.0
"""Seconds after a refusal at which it is looked at, if what was under way is known by then; and whatever is known."""
_AT_MOST_TIMES = 3.0
"""What was expected of a row that is still under way then: what it may come to."""
_STILL_GUESSED = 0.1
"""Of what was guessed at a refusal: as little of it says nothing more."""
_NOTHING = 1.0
"""Tokens: what rounding may leave of what is known."""
_ASKED_AGAIN = 0.5
"""Seconds until it is asked again how much is known."""
APART = 0.5
"""Seconds between two refusals that are looked at."""
_FORGETS = 0.1
"""Of what refusals showed, at each further one."""
_FULL, _FULL_OF_ANSWERS = 0.99, 0.985
"""Of a window's quota: what makes it full, the refused row included, or the answers that came."""
_LOOKS, _EXPLAINS, _FAILS, _BETTER = 4.0, 0.8, 0.5, 0.9
"""Refusals that a verdict needs, and the share of them for which a window was full, where it is the one, where it is not, and where it is
not because answers explain all of them."""
_AS_WELL = 0.98


class Refusal(NamedTuple):
    """One that is to be looked at."""

    launched_at: float
    refused_at: float
    rate: float
    cost: float
    """What the row costs at the most."""
    mean: float
    """What it is expected to."""
    guessed: float = 0.0
    """What was expected of the rows that were under way."""


@slotted
class Refusals:
    """Those that were not looked at yet."""

    went: Tape
    _waiting: deque[Refusal] = field(default_factory=deque)
    _asked_at: float = -inf
    """When it was last asked how much is known."""

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._waiting)

    def add(self, refusal: Refusal) -> None:
        """Remember one, if it is not of the same moment as the one before."""
        if not self._waiting or refusal.launched_at - self._waiting[-1].launched_at >= APART:
            guessed = self.went.amount(refusal.launched_at, LONGEST).guessed
            self._waiting.append(refusal._replace(guessed=guessed))

    def due(self, now: float) -> Refusal | None:
        """Return the first one if it can be looked at by now; there is one."""
        first = self._waiting[0]
        if now - first.refused_at < _LOOKED_AT_AFTER or now - self._asked_at < _ASKED_AGAIN:
            return None
        if now - first.refused_at < _AT_THE_LATEST and not self._is_known(first):
            self._asked_at = now
            return None
        return self._waiting.popleft()

    def _is_known(self, refusal: Refusal) -> bool:
        """Whether it is what nearly all that was under way at a refusal did cost."""
        return self.went.amount(refusal.launched_at, LONGEST).guessed <= max(_STILL_GUESSED * refusal.guessed, _NOTHING)


@slotted
class Witness:
    """Of the latest refusals: how many there were, and for how many each window was full."""

    room: Room
    _looks: float = 0.0
    _full: list[float] = field(default_factory=lambda: [0.0] * len(WINDOWS))
    _may_be_full: list[float] = field(default_factory=lambda: [0.0] * len(WINDOWS))
    _full_of_answers: list[float] = field(default_factory=lambda: [0.0] * len(WINDOWS))

    def forget(self) -> None:
        """Begin anew: another window is believed in."""
        self._looks = 0.0
        self._full, self._may_be_full, self._full_of_answers = ([0.0] * len(WINDOWS) for _ in range(3))

    @property
    def has_seen_enough(self) -> bool:
        """Whether there were as many refusals as a verdict needs."""
        return self._looks >= _LOOKS

    def look_at(self, refusal: Refusal) -> None:
        """Note which windows were full at a refusal."""
        at, ended_at, rate, cost, _, _ = refusal
        went, ended = self.room.went, self.room.ended
        self._looks += 1.0 - _FORGETS * self._looks
        for place, seconds in enumerate(WINDOWS):
            known, guessed, _ = went.amount(at, seconds)
            least = _FULL * rate * seconds - cost - known
            self._may_be_full[place] += (_AT_MOST_TIMES * guessed >= least) - _FORGETS * self._may_be_full[place]
            full = guessed >= least
            self._full[place] += full - _FORGETS * self._full[place]
            # An answer counted when the refusal was made that only came here after it.
            full = ended.sum(ended_at, seconds + ended_at - at) >= _FULL_OF_ANSWERS * rate * seconds
            self._full_of_answers[place] += full - _FORGETS * self._full_of_answers[place]

    def verdict(self, rate: float, largest: float) -> int | None:
        """Say which window to count over from now on, and note in what is believed how it counts; None where the window stays.

        The *largest* row that was taken goes into the window, whichever it is.
        """
        if self._looks < _LOOKS:
            return None
        counting, went = self.room.counting, _longest(self._full, least_rung(rate, largest))
        answers = self._longest_of_answers(counting)
        best = max(self._full[went], self._full_of_answers[answers])
        if best < _EXPLAINS * self._looks:
            return None if counting.at_end else self._longer(counting)
        by_went, by_answers = self._full[went] >= _AS_WELL * best, self._full_of_answers[answers] >= _AS_WELL * best
        if not counting.at_end and max(self._may_be_full[counting.rung :]) >= _AS_WELL * best:
            return went if by_went and went > counting.rung else self._longer(counting)
        if self._in_use(counting) < (_BETTER if by_answers else _FAILS) * best:
            # Where both explain it, what was concluded before stands, or the longer of the two windows.
            counting.at_end = by_answers and (counting.at_end or not by_went or answers > went)
            return answers if counting.at_end else went
        return went if by_went and went > counting.rung and not counting.at_end else None

    def _longer(self, counting: Counting) -> int | None:
        """A longer window that may have been full at all refusals, where the one that is believed in surely was not at most of them."""
        if self._may_be_full[counting.rung] >= _FAILS * self._looks:
            return None
        longest = _longest(self._may_be_full, counting.rung)
        return longest if self._may_be_full[longest] >= _AS_WELL * self._looks else None

    def _in_use(self, counting: Counting) -> float:
        """For how many refusals the window that is believed in was full."""
        return (self._full_of_answers if counting.at_end else self._full)[counting.rung]

    def _longest_of_answers(self, counting: Counting) -> int:
        answers = _longest(self._full_of_answers, 0)
        in_use = self._full_of_answers[counting.rung]
        return counting.rung if in_use >= _AS_WELL * self._full_of_answers[answers] else answers


def least_rung(rate: float, largest: float) -> int:
    """The shortest window that a row as large as was taken goes into."""
    return next((place for place, seconds in enumerate(WINDOWS) if largest <= LARGER * rate * seconds), len(WINDOWS) - 1)


def _longest(full: list[float], least: int) -> int:
    """The longest window, from the *least* on, that explains refusals as well as any."""
    best = max(full[least:])
    return max(place for place, count in enumerate(full) if place >= least and count >= _AS_WELL * best)
