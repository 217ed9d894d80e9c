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

It is counted in refusals and not by time, for where all goes well they are minutes apart: the latest hundred or so count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log

from batchrun.core.classes import slotted

_FORGETS = 0.99
"""What each refusal makes of what was counted before."""
_TIMES = 1.5
"""How much larger a capped lane's part of the refusals is than its part of what is sent, at the least."""
_SURE, _STILL = 4.0, 1.0
"""The logarithm of how unlikely chance must be: one in fifty; and one in three, for one that is known to be capped."""
_TIMES_THE_REST = 4.0
"""How much more often several capped lanes are refused than the rest, for what they send, at the least."""
_TOO_LARGE = 1e60
_WEIGHS = 1.5
"""The power of a call's tokens that it weighs: of two calls, a window that is well used refuses the heavier as many times more often."""
_FOUND = 0.04
"""Of the latest calls: no more are refused where a quota is found."""


@dataclass(slots=True, eq=False)
class Suspect:
    """What one lane sent, and how often it was refused, in the units of its pool."""

    calls: float = 0.0
    tokens: float = 0.0
    weight: float = 0.0
    """What its calls weigh."""
    refused: float = 0.0
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
    """Of one pool."""

    suspects: list[Suspect] = field(default_factory=list)
    unit: float = 1.0
    """What counts as one now: rather than that all that was counted fades, what comes weighs more."""
    refused_share: float = 0.0
    """Of the latest calls of lanes that are not capped, and of the lane that was refused."""

    def sent(self, suspect: Suspect, tokens: float) -> None:
        """An attempt goes."""
        suspect.calls += self.unit
        suspect.tokens += self.unit * tokens
        suspect.weight += self.unit * tokens**_WEIGHS

    def refused(self, suspect: Suspect, *, of_tokens: bool = True) -> bool:
        """Count a refusal; say whether it is the lane's own, as far as counts can tell.

        Of attempts it is told by how full windows are (`fullness.py`) whether most of a pool are capped.
        """
        self.unit /= _FORGETS
        if self.unit > _TOO_LARGE:
            self._rescale()
        suspect.refused += self.unit
        others = [each for each in self.suspects if each is not suspect and not each.is_capped]
        all_refused = suspect.refused + sum(each.refused for each in others)
        other_calls = sum(each.calls for each in others)
        shares = _share(suspect.calls, other_calls), _share(suspect.tokens, sum(each.tokens for each in others))
        suspect.share = _share(suspect.calls, sum(each.calls for each in self.suspects if each is not suspect))
        self.refused_share = all_refused / max(self.unit, suspect.calls + other_calls)
        suspect.is_usual = max(shares) <= _TIMES * min(shares)
        is_larger = of_tokens and shares[1] > _TIMES * shares[0] and self.refused_share <= _FOUND
        suspect.expected = _share(suspect.weight, sum(each.weight for each in others)) if is_larger else 0.0
        share, part = max(*shares, suspect.expected), suspect.refused / all_refused
        sure = all_refused / self.unit * _divergence(part, share)
        suspect.is_capped = part > _TIMES * share and sure > (_STILL if suspect.is_capped else _SURE)
        if of_tokens and (suspect.is_usual or suspect.expected) and not suspect.is_capped:
            suspect.is_capped = self._is_one_of_several(suspect, [*others, suspect])
        return suspect.is_capped

    def _is_one_of_several(self, suspect: Suspect, suspects: list[Suspect]) -> bool:
        """Whether *suspect* is one of those that are refused where the rest hardly ever is: where it is most, none of them stands out.

        That some seem so by chance is the likelier the more ways there are to choose as many. Rows that cost more are refused more often:
        of lanes whose rows do, it is told by what these weigh.
        """
        suspects = sorted((each for each in suspects if each.calls), key=lambda each: each.refused / each.calls, reverse=True)
        all_calls, all_tokens = sum(each.calls for each in suspects), sum(each.tokens for each in suspects)
        all_weight, all_refused = sum(each.weight for each in suspects), sum(each.refused for each in suspects)
        calls = tokens = weight = refused = ways = 0.0
        surest, most = 0, _SURE
        for place, each in enumerate(suspects[:-1], 1):
            calls, tokens = calls + each.calls, tokens + each.tokens
            weight, refused = weight + each.weight, refused + each.refused
            ways += log((len(suspects) - place + 1) / place)
            of_calls, of_tokens, part = calls / all_calls, tokens / all_tokens, refused / all_refused
            are_alike = max(of_calls, of_tokens) <= _TIMES * min(of_calls, of_tokens)
            share = max(of_calls, of_tokens, 0.0 if are_alike else weight / all_weight)
            sure = all_refused / self.unit * _divergence(part, share) - ways
            stands_out = part * (1.0 - share) > _TIMES_THE_REST * share * (1.0 - part)
            if sure > most and stands_out:
                surest, most = place, sure
        return suspect in suspects[:surest]

    def _rescale(self) -> None:
        for each in self.suspects:
            each.calls, each.tokens = each.calls / self.unit, each.tokens / self.unit
            each.weight, each.refused = each.weight / self.unit, each.refused / self.unit
        self.unit = 1.0


def _share(own: float, others: float) -> float:
    return own / (own + others) if own + others > 0.0 else 1.0


def _divergence(part: float, share: float) -> float:
    """How unlikely it is, for each refusal, that chance makes a *part* of one that has such a *share* (Chernoff, 1952)."""
    if share <= 0.0 or share >= 1.0:
        # One that sends next to nothing, of thousands of refusals, is rounded away.
        return 0.0
    rest = (1.0 - part) * log((1.0 - part) / (1.0 - share)) if part < 1.0 else 0.0
    return part * log(part / share) + rest
