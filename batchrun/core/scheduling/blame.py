"""Whose refusals are: a workspace's own, which the provider holds to less than its account, or those of the pool that it shares.

Theory of operation. A pool that is full refuses whoever comes: each lane is refused as often as it has its share of what is sent. A lane
that has a cap of its own is refused more often than that, and goes on to be. So it is counted what each lane sends, and how often it is
refused; a lane whose part of the refusals is larger than its part of what is sent, by more than chance makes it, is *capped*: its refusals
are its own. Caps of several lanes are seen one after the other: those that are known to be capped are not compared with. Where most of a
pool are capped none of them stands out, and they are looked for together: those that are refused, beside a rest that hardly ever is.

The larger a row is, the more often it is refused: so what a lane sends is counted in calls and in tokens, and the larger part counts. A
window of tokens that is well used has room for a small row nearly always, and for a large one seldom: so a lane of large rows is compared
by what its calls *weigh*, which grows faster than their tokens; but only as long as no more is refused than finding a quota costs. A lane
with a cap has more refused than that while it looks for it.

It is counted in refusals and not by time, for where all goes well they are minutes apart: the latest hundred or so count. The only one
of a lane among these proves nothing: whose it would be was not said before it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, log

from batchrun.core.classes import slotted

_FORGETS = 0.99
"""What each refusal makes of what was counted before."""
_TIMES = 1.5
"""How much larger a capped lane's part of the refusals is than its part of what is sent, at the least."""
_SURE, _STILL = 4.0, 1.0
"""The logarithm of how unlikely chance must be: one in fifty; and one in three, for one that is known to be capped."""
_ONE_ALONE = 1.1
"""Refusals of a lane that prove nothing of it: one of them has to be the first, however unlikely each is where there are many."""
_TIMES_THE_REST = 4.0
"""How much more often several capped lanes are refused than the rest, for what they send, at the least."""
_TOO_LARGE = 1e60
_WEIGHS = 1.5
"""The power of a call's tokens that it weighs: of two calls, a window that is well used refuses the heavier as many times more often."""
_FOUND = 0.04
"""Of the latest calls: no more are refused where a quota is found."""


@dataclass(slots=True, eq=False)
class Sums:
    """What was sent, and how often it was refused, in the units of a pool."""

    calls: float = 0.0
    tokens: float = 0.0
    weight: float = 0.0
    """What the calls weigh."""
    refused: float = 0.0

    def add(self, other: Sums, times: float = 1.0) -> None:
        """Count what *other* has, so many *times*."""
        self.calls += times * other.calls
        self.tokens += times * other.tokens
        self.weight += times * other.weight
        self.refused += times * other.refused

    def without(self, other: Sums) -> Sums:
        """What is left beside *other*."""
        return Sums(self.calls - other.calls, self.tokens - other.tokens, self.weight - other.weight, self.refused - other.refused)


@dataclass(slots=True, eq=False)
class Suspect(Sums):
    """Of one lane."""

    is_capped: bool = False
    """Its refusals are its own."""
    share: float = 0.0
    """Of the latest calls of all lanes."""
    expected: float = 0.0
    """The part of all refusals for tokens that is its where the pool is to blame; 0 where its rows are no larger than those of others, or
    more is refused than a quota costs that is found."""
    is_usual: bool = True
    """Its rows cost about as much as those of the others."""


@slotted
class Blame:
    """Of one pool. What its lanes come to is kept: a refusal looks at all of them only where most may be capped."""

    suspects: list[Suspect] = field(default_factory=list)
    unit: float = 1.0
    """What counts as one now: rather than that all that was counted fades, what comes weighs more."""
    refused_share: float = 0.0
    """Of the latest calls of lanes that are not capped, and of the lane that was refused."""
    _calls: float = 0.0
    """Of all lanes."""
    _free: Sums = field(default_factory=Sums)
    """Of lanes that are not capped."""

    def sent(self, suspect: Suspect, tokens: float) -> None:
        """An attempt goes."""
        unit, free = self.unit, self._free
        paid, weight = unit * tokens, unit * tokens**_WEIGHS
        suspect.calls += unit
        suspect.tokens += paid
        suspect.weight += weight
        self._calls += unit
        if not suspect.is_capped:
            free.calls += unit
            free.tokens += paid
            free.weight += weight

    def judge(self, suspect: Suspect, *, is_capped: bool) -> None:
        """Take its refusals for a lane's own from now on, or no more."""
        if is_capped is not suspect.is_capped:
            suspect.is_capped = is_capped
            self._free.add(suspect, -1.0 if is_capped else 1.0)

    def refused(self, suspect: Suspect, *, of_tokens: bool = True) -> bool:
        """Count a refusal; say whether it is the lane's own, as far as counts can tell.

        Of attempts it is told by how full windows are (`fullness.py`) whether most of a pool are capped.
        """
        self.unit /= _FORGETS
        if self.unit > _TOO_LARGE:
            self._rescale()
        suspect.refused += self.unit
        self._free.refused += 0.0 if suspect.is_capped else self.unit
        these = self._with(suspect)
        shares = _share(suspect.calls, these.calls), _share(suspect.tokens, these.tokens)
        suspect.share = _share(suspect.calls, self._calls)
        self.refused_share = these.refused / max(self.unit, these.calls)
        suspect.is_usual = max(shares) <= _TIMES * min(shares)
        is_larger = of_tokens and shares[1] > _TIMES * shares[0] and self.refused_share <= _FOUND
        suspect.expected = _share(suspect.weight, these.weight) if is_larger else 0.0
        share, part = max(*shares, suspect.expected), suspect.refused / these.refused
        sure = these.refused / self.unit * _divergence(part, share)
        is_sure = sure > _STILL if suspect.is_capped else sure > _SURE and suspect.refused > _ONE_ALONE * self.unit
        is_capped = part > _TIMES * share and is_sure
        if of_tokens and (suspect.is_usual or suspect.expected) and not is_capped:
            is_capped = self._is_one_of_several(suspect, these)
        self.judge(suspect, is_capped=is_capped)
        return is_capped

    def _with(self, suspect: Suspect) -> Sums:
        """What the lanes come to that are not capped, and *suspect*."""
        if not suspect.is_capped:
            return self._free
        these = Sums()
        these.add(self._free)
        these.add(suspect)
        return these

    def _is_one_of_several(self, suspect: Suspect, these: Sums) -> bool:
        """Whether *suspect* is one of those that are refused where the rest hardly ever is: where it is most, none of them stands out.

        That some seem so by chance is the likelier the more ways there are to choose as many. Rows that cost more are refused more often:
        of lanes whose rows do, it is told by what these weigh.
        """
        suspects = [each for each in self.suspects if each.calls and not (each.is_capped or each is suspect)]
        suspects.append(suspect)
        suspects.sort(key=lambda each: each.refused / each.calls, reverse=True)
        count, refusals = len(suspects), these.refused / self.unit
        surest, most = 0, _SURE
        some, ways, place = Sums(), 0.0, 0
        for place, each in enumerate(suspects[:-1], 1):
            some.add(each)
            ways += log((count - place + 1) / place)
            if (sure := refusals * _stand_out(some, these) - ways) > most:
                surest, most = place, sure
            if 2 * place <= count and refusals * -log(max(some.calls / these.calls, some.tokens / these.tokens)) - ways <= most:
                # Those beyond send more still, and may be chosen in more ways, until nearly all are.
                break
        others, ways = Sums(), 0.0
        for left, each in enumerate(reversed(suspects[max(place, count - place) + 1 :]), 1):
            others.add(each)
            ways += log((count - left + 1) / left)
            if (sure := refusals * _stand_out(these.without(others), these) - ways) > most:
                surest, most = count - left, sure
        return suspect in suspects[:surest]

    def _rescale(self) -> None:
        for each in (*self.suspects, self._free):
            each.calls, each.tokens = each.calls / self.unit, each.tokens / self.unit
            each.weight, each.refused = each.weight / self.unit, each.refused / self.unit
        self._calls /= self.unit
        self.unit = 1.0


def _share(own: float, of_all: float) -> float:
    return own / of_all if of_all > 0.0 else 1.0


def _stand_out(some: Sums, these: Sums) -> float:
    """How unlikely it is, for each refusal, that chance has *some* of *these* refused so often; -inf where it is not often."""
    of_calls, of_tokens, part = some.calls / these.calls, some.tokens / these.tokens, some.refused / these.refused
    are_alike = max(of_calls, of_tokens) <= _TIMES * min(of_calls, of_tokens)
    share = max(of_calls, of_tokens, 0.0 if are_alike else some.weight / these.weight)
    stand_out = part * (1.0 - share) > _TIMES_THE_REST * share * (1.0 - part)
    return _divergence(part, share) if stand_out else -inf


def _divergence(part: float, share: float) -> float:
    """How unlikely it is, for each refusal, that chance makes a *part* of one that has such a *share* (Chernoff, 1952)."""
    if share <= 0.0 or share >= 1.0:
        # One that sends next to nothing, of thousands of refusals, is rounded away.
        return 0.0
    rest = (1.0 - part) * log((1.0 - part) / (1.0 - share)) if part < 1.0 else 0.0
    return part * log(part / share) + rest
