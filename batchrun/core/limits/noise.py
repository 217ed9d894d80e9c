"""Refusals that are no rate's doing, and how they are told from a quota.

Theory of operation. Some endpoints refuse one call in fifty whatever is sent. Who takes each for a quota goes slower and slower, for
nothing. Two things tell such noise from a quota that is full.

*Before any rate was found*, a full window refuses one attempt after the other; a few in a hundred are chance.

*Where a rate is held*, a refusal breaks the hold, and the rate falls. If holds at lower and lower rates are broken again and again, and
the share that is refused is small and stays, no lower rate mends it: the rate goes back to what it was before the first of them, and from
then on twice that share is taken for chance, of all refusals, those too that come with others: a window that is full refuses several one
after the other. A hold that passes with less of it halves the difference; what shows that the rate was at fault after all halves it.

Other processes may fill the same window, and then a rate that is a little lower mends nothing either, for they take what is left. Would
each of them take the others' refusals for chance, each would bear with twice as many, and make them, ever more. So where a quota is all
callers', more than finding it costs is believed only once the rate has fallen far, in vain.

Of tokens each refusal is read. One that came alone though its row had room, by all that is known of the window, breaks no hold: five of
these in a hold that passes, and half of its refusals, show how often it comes. Else a rate of tokens goes back as a rate of attempts does,
where it has fallen the further the fewer were refused; but to none from before an episode: the quota has fallen then. Where others fill the
same window it is only by this that chance is known to come, and then it is asked who had room.

A larger share is no chance for it: then a pool tries half of what was taken (`scheduling/chance.py`).
"""

from __future__ import annotations

import math

from batchrun.core.classes import slotted

_COLD_TRIES, _COLD_REFUSALS, _COLD_SHARE = 400, 3, 0.02
"""Attempts that count where nothing was found; refusals among them that are nothing; and the share of them that is chance."""
_BROKEN_HOLDS, _LOWER, _MOST, _JUDGED_BY = 3, 0.95, 0.1, 100
"""What noise shows in: so many holds broken in a row, at a rate that is so much lower by then; so small a share; of so many attempts."""
_LITTLE, _FAR = 0.016, 0.7
"""The share where others may fill the same window, until the rate has come down to such a part."""

_LOWER_BY, _HAD_ROOM = 1.5, 5
"""The same of rows, which differ in what they cost: the share that a rate has fallen by, times the refusals since; and refusals of what had
room, in one hold, that show how often it comes."""
_FEWEST = 0.004
"""The least share of rows that are refused whatever the rate: fewer are none, for then the first refusal in a hold is no chance either."""


@slotted
class Noise:
    """Of one pace."""

    of_rows: bool = False
    """A rate of tokens, and not of attempts."""
    has_others: bool = False
    """Processes that nobody here knows of may fill the same window."""
    share: float = 0.0
    """Of the attempts: what is refused whatever the rate."""
    tries: int = 0
    refusals: int = 0
    """Since the rate was last set."""
    beside: int = 0
    """Refusals that came with one of these."""
    _had_room: int = 0
    """Refusals of what surely had room."""
    _judged: bool = False
    """The latest hold was looked at."""
    _broken: int = 0
    """Holds in a row that a refusal broke."""
    _fell_from: float = math.inf
    """The rate before the first of them."""

    def is_chance_yet(self) -> bool:
        """Whether a refusal may be chance, where nothing was found yet."""
        if self.tries > _COLD_TRIES:
            self.tries, self.refusals = self.tries // 2, self.refusals // 2
        return self.refusals <= _COLD_REFUSALS or self.refusals <= (_COLD_SHARE + 2 * self.share) * self.tries

    @property
    def so_far(self) -> float:
        """The share, or that of the attempts since the rate was set, if it is more, and they are enough to judge by."""
        return max(self.share, min(_MOST, self.refusals / self.tries)) if self.tries >= _JUDGED_BY else self.share

    def had_room(self) -> bool:
        """Count a refusal of what surely had room; say whether it may be chance: not, if many are refused."""
        self._had_room += 1
        return self.refusals <= 1 + _MOST * self.tries

    @property
    def is_usual(self) -> bool:
        """Whether no more was refused than is refused whatever the rate."""
        return self.share > 0.0 and self._all_refusals <= 1 + 2 * self.share * self.tries

    @property
    def _all_refusals(self) -> int:
        """Of attempts those too that came with others; of rows that are, one dear row is refused again and again."""
        return self.refusals if self.of_rows else self.refusals + self.beside

    def broke(self, held: float) -> float | None:
        """A refusal broke the hold of a rate; the rate to go back to, where that turns out to be no rate's doing."""
        self._broken += 1
        if self._broken < _BROKEN_HOLDS or self.tries < _JUDGED_BY or not self._is_lower(held):
            return None
        share = self.refusals / self.tries
        if share > self._most_at(held):
            return None
        self.share = max(self.share, share)
        self._broken = 0
        return max(self._fell_from, held)

    def _most_at(self, held: float) -> float:
        """The largest share that is noise, where it was refused at such a rate too."""
        return _LITTLE if self.has_others and held > _FAR * self._fell_from else _MOST

    def _is_lower(self, held: float) -> bool:
        """Whether fewer were refused at such a rate than at the one before, if the rate was at fault."""
        return held <= _LOWER * self._fell_from and (not self.of_rows or (1 - held / self._fell_from) * self.refusals >= _LOWER_BY)

    def begin_anew(self) -> None:
        """Go on from another rate than the one that holds were broken at: the quota itself has fallen since."""
        self._broken = 0

    def climbed(self, held: float) -> None:
        """A refusal ended the climb from a rate, and broke no hold."""
        self._broken, self._fell_from = 0, held

    def begin_hold(self, rate: float) -> None:
        """A rate is set."""
        self._judged = False
        if not self._broken:
            self._fell_from = rate
            self.tries = self.refusals = self.beside = self._had_room = 0

    def end_hold(self) -> None:
        """A hold came to its end: what was refused in it is all the noise there is."""
        if self._judged:
            return
        self._judged, self._broken = True, 0
        if self.tries >= _JUDGED_BY:
            refused = self._all_refusals / self.tries
            if self._had_room >= max(_HAD_ROOM, self.refusals / 2) and refused <= _MOST:
                self.share = max(self.share, self._had_room / self.tries)
            self.share = min(self.share, (self.share + refused) / 2)
            if self.of_rows and self.share < _FEWEST:
                self.share = 0.0
        self.tries = self.refusals = self.beside = self._had_room = 0
