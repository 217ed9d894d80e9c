"""A quota, as a job says it or leaves it to be found; and the limiter and the paces that keep to it."""

from __future__ import annotations

from math import inf

from batchrun.core.classes import value
from batchrun.core.limits.attempts import Attempts
from batchrun.core.limits.buckets import Latest, Trail
from batchrun.core.limits.climb import Climb
from batchrun.core.limits.limiter import Limiter
from batchrun.core.limits.margin import LEAST_TOKEN_MARGIN, Margin
from batchrun.core.limits.noise import Noise
from batchrun.core.limits.pace import Pace
from batchrun.core.limits.ramp import KNOWN_DOUBLES_IN, KNOWN_FIRST_RATE, Ramp
from batchrun.core.limits.tokens import KnownTokens, UnknownTokens
from batchrun.core.limits.use import Use


@value
class Quota:
    """What the job says that may be called in a minute; None where it says nothing."""

    rpm: float | None = None
    tpm: float | None = None

    def seconds(self, tokens: float) -> float:
        """How long it takes to make up for an attempt of so many tokens."""
        return max(60.0 / self.rpm if self.rpm else 0.0, 60.0 * tokens / self.tpm if self.tpm else 0.0)


NO_QUOTA = Quota()


def limiter(quota: Quota, *, under_known: bool = False, has_others: bool = False) -> Limiter:
    """A limiter for *quota*.

    *under_known* says that a wider quota is known, so that a single refusal means little; *has_others* that processes which nobody here
    knows of may call in this one.
    """
    ramp = Ramp() if quota.rpm is None and not under_known else Ramp(KNOWN_FIRST_RATE, KNOWN_DOUBLES_IN)
    rpm, tpm = (inf if each is None else each / 60.0 for each in (quota.rpm, quota.tpm))
    return Limiter(pace_of_attempts(rpm, has_others=has_others), pace_of_tokens(tpm), under_known, ramp)


def pace_of_attempts(quota: float = inf, *, has_others: bool = False) -> Pace:
    """A pace of attempts a second, whose quota is known or to be found."""
    climb, margin = Climb(quota, Use(Latest() if quota == inf else None), Noise(has_others=has_others)), Margin()
    return Pace(climb, margin, Attempts(climb, margin))


def pace_of_tokens(quota: float = inf) -> Pace:
    """A pace of tokens a second, whose quota is known or to be found."""
    climb = Climb(quota, Use(answers=Trail()), Noise(of_rows=True))
    margin = Margin() if quota == inf else Margin(LEAST_TOKEN_MARGIN)
    return Pace(climb, margin, UnknownTokens(climb, margin) if quota == inf else KnownTokens(climb, margin))
