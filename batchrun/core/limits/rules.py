"""What a pace goes by: one rule for each kind of quota, all asked the same.

A pace (`pace.py`) keeps the account of what went and pays it from a bucket. What else keeps an attempt back, and what a refusal leads to,
differs by what is limited and by whether the limit is known:

- `attempts.Attempts`: attempts, which all cost one. A known quota has a margin under it; one that is found is read from the windows.
- `tokens.KnownTokens`: a known quota of tokens, reckoned with.
- `tokens.UnknownTokens`: tokens of which nothing was found yet: bounded by nothing, and noted as attempts are. Once a rate is held it is
  followed by `tokens.FoundTokens`: a quota of tokens that was found, reckoned with. So is a known one that turns out to be lower.

Rules decide and remember; they set no rate. What they return is the rate to hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from batchrun.core.limits.buckets import Bucket
from batchrun.core.limits.counting import Counting
from batchrun.core.limits.room import Room

UNDER = 0.98
"""Of a quota that was found: where the rate is held."""


class Rule(Protocol):
    """Of one pace; told the time. Rates are units a second."""

    counting: Counting
    """How the provider is taken to count; of attempts, nothing is to be known of that."""
    room: Room | None
    """What is reckoned of the window, and keeps an attempt back besides the rate; None where all cost one."""

    @property
    def reads_each(self) -> bool:
        """Whether each refusal shows something by itself, and not only how many there are in a row."""

    @property
    def has_fallen(self) -> bool:
        """Whether the latest refusal cannot be of the quota that was found."""

    def makes_up_for(self, rate: float) -> float:
        """The longest wait for something else, in seconds, that may be made up for at such a rate."""

    def took(self, now: float, amount: float) -> None:
        """The provider took an attempt of *amount*."""

    # What is refused. Costs are what was expected.

    def may_be_full(self, now: float, launched_at: float, cost: float) -> bool:
        """Whether the window may have been full when one was, by what is known of it; it is yet to be told of that."""

    def had_room(self, now: float, launched_at: float, cost: float) -> bool:
        """Whether one surely had room, if what was found holds; it is yet to be told of that."""

    def refused(self, now: float, launched_at: float, cost: float, bucket: Bucket | None) -> float | None:
        """One attempt was; the rate to hold from now on, None where the one that holds goes on."""

    def refused_too(self, now: float, times: float, cost: float) -> None:
        """One was that was under way at another refusal: go further under a known quota, so many *times*."""

    def note_full(self, now: float, launched_at: float = math.inf, *, first: bool = False) -> None:
        """Remember what the windows held; it may be the *first* refusal of an episode."""

    def refused_again(self, now: float, launched_at: float, cost: float) -> None:
        """One was that was let through to try, in an episode."""

    def held_before(self, now: float) -> float | None:
        """The rate before the latest refusal, if that had room by what was found, and the window holds about as much by now."""

    def fell(self, now: float, lasted: float) -> float:
        """An episode is over, whose refusals *lasted* so many seconds; the rate to hold."""

    def corrected(self, more: float) -> None:
        """What the minute held at the first refusal came to so much *more* than it was thought to, as answers showed since."""

    # The rate that is held.

    def when_held(self, now: float) -> Rule:
        """The rule that is gone by once a rate is held."""

    def begin_hold(self, now: float) -> float:
        """A rate is held from now on; for how many seconds, before it climbs."""

    def when_forgotten(self) -> Rule:
        """The rule that is gone by once what was found is let go of."""

    # What is kept.

    def learnt(self) -> dict[str, float]:
        """Return what was found, to be kept."""

    def teach(self, kept: Mapping[str, object], now: float) -> float | None:
        """Begin with what was kept; the rate to hold, if one was. What is no such number is passed over."""

    def keep_steady(self) -> None:
        """Learn nothing more from what is taken: nobody is there to refuse anything."""
