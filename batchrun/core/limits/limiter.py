"""What bounds the attempts of a lane, a workspace or a pool: attempts a minute, tokens a minute, how fast both may grow, and pauses.

Theory of operation. `Pace` keeps or finds each rate; `Ramp` lets the first minute of a run climb; `Limiter` joins them and reads refusals.
Which rate a refusal is about is said by its code: the provider names tokens, growth, capacity (no rate: many in a row pause) or attempts.

A refusal that comes alone needs no pause: a known quota's pace goes a little further under it, a found one's falls back. Refusals in a row
begin an *episode*, and so does the first one of all where no quota is known. An episode takes in all that was in flight by then. It pauses,
then lets one attempt through: a refusal comes back quickly, an answer may take minutes, so what was not refused in a few times a refusal's
usual time was taken. Each attempt that is refused doubles the pause, up to eight seconds; how long that went on tells `Pace` the window.

What is refused for its tokens waits for room in the window they are counted in: a large row finds it, and no time is lost by it. Where a
wider quota is known, refusals in a row are somebody else's peak once, and a limit of one's own when they come again within a minute.
Complaints of growth halve the speed of the climb, which goes on from what was taken of late; they are never a rate's fault. Who limits
growth refuses all that comes until its period ends, so it takes half of the latest attempts: fewer come whatever the growth, and slow
nothing. Each minute without them halves how much they slowed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from math import inf

from batchrun.core.limits.buckets import Bucket, Latest
from batchrun.core.limits.pace import LEAST_MARGIN, LEAST_TOKEN_MARGIN, Pace
from batchrun.core.limits.reckoning import Reckoning

_TOKEN_CODES = frozenset({"insufficient_quota", "throttling.allocationquota"})
_GROWTH_CODES = frozenset({"limit_burst_rate", "throttling.burstrate"})
_CAPACITY_CODES = frozenset({"throttling.resourceexhausted", "throttling.concurrency", "throttling.serviceoverloaded"})

_FIRST_RATE, _FIRST_BURST, _DOUBLES_IN, _SLOWEST = 50.0, 16.0, 0.5, 30.0
_KNOWN_FIRST_RATE, _KNOWN_DOUBLES_IN = 200.0, 0.1
"""Where a quota is known, nothing needs to be found: connections must not all be opened at once, and a thousand of them take half a second.
Growth that a provider complains of is counted over more seconds than either ramp takes."""
_FORGIVES = 60.0
"""Seconds without a complaint of growth after which the next slows the climb by half as much."""
_NO_RAMP = 1e5
"""Attempts a second that no ramp need hold back."""
_IDLE = 30.0
"""Seconds without an attempt after which growth begins anew."""
_REFUSED_WITHIN, _MOST_REFUSED_WITHIN = 0.3, 5.0
"""Seconds until a refusal comes back: taken for usual before the first, and at the most."""
_PATIENCE, _KNOWN_PATIENCE = 2, 6
"""Refusals in a row that begin an episode: where a rate was found, it may be a climb's end; where one is known, it may be chance."""
_COLD_PATIENCE = 3
"""The same where nothing was found yet."""
_ROWS_PATIENCE = 3
"""The same where a rate was found of rows that differ in what they cost: one that is dearer than was expected may be refused twice."""
_GROWTH_PATIENCE = 8
"""The same of growth, not in a row but of the latest."""
_CAPACITY_PATIENCE = 8
"""The same where capacity is wanting: slots are taken away first."""
_LATEST, _LATEST_SHARE = 20.0, 0.5
"""How many attempts are the latest, and how many of them are refused where a window is full."""
_ROWS_OF_NOISE = 40
"""More of them, for each one that is refused whatever the rate."""
_IN_A_ROW, _IN_A_ROW_GAPS = 0.02, 2.5
"""A refused attempt was launched right after the refusal before it: within so many seconds, or so many usual gaps."""
_WIDER_STILL = 1.05
"""What each refusal of an attempt that was in flight at the one before widens a known quota's margin by."""
_RECURS = 60.0
"""Seconds after an episode in which another is no chance."""
_LONGEST_PAUSE = 8.0
_GAPS = 6
"""Usual gaps that a pause is at least, where a window of a minute is full, which it stays for long."""


class About(Enum):
    """What a refusal is about."""

    ATTEMPTS = "attempts"
    TOKENS = "tokens"
    GROWTH = "growth"
    CAPACITY = "capacity"
    """Too much at once, or too little of the provider's: no rate's fault."""


def about(code: str) -> About:
    """What the refusal with this code is about."""
    return _SUBJECTS.get(code.lower(), About.ATTEMPTS)


_SUBJECTS = {
    **dict.fromkeys(_TOKEN_CODES, About.TOKENS),
    **dict.fromkeys(_GROWTH_CODES, About.GROWTH),
    **dict.fromkeys(_CAPACITY_CODES, About.CAPACITY),
}


@dataclass(frozen=True, slots=True)
class Quota:
    """What the job says that may be called in a minute; None where it says nothing."""

    rpm: float | None = None
    tpm: float | None = None


NO_QUOTA = Quota()


@dataclass(slots=True)
class Ramp:
    """How fast attempts may grow in number: it doubles every half second, and more slowly once the provider complained of it."""

    first_rate: float = _FIRST_RATE
    _doubles_in: float = _DOUBLES_IN
    bucket: Bucket | None = None
    """None where nothing is held back, as long as attempts go on."""
    latest: float = -math.inf
    """When the latest attempt went."""
    _grown_at: float = 0.0
    _complained_at: float = 0.0

    def free_at(self, now: float) -> float:
        """When the next attempt may go."""
        bucket = self._at(now)
        return now if bucket is None else bucket.free_at(now)

    def pay(self, now: float) -> None:
        """One attempt goes."""
        bucket = self._at(now)
        if bucket is not None:
            bucket.pay(now, 1.0)
        self.latest = now

    def pay_back(self) -> None:
        """One attempt that paid was not made."""
        if self.bucket is not None:
            self.bucket.pay_back(1.0)

    def too_fast(self, now: float, lately: float) -> None:
        """The provider complained of growth: go on from what it took *lately*, in attempts a second, and grow at half the speed."""
        rate = max(1.0, lately)
        believed = self._doubles_in * 0.5 ** ((now - self._complained_at) / _FORGIVES)
        self._doubles_in, self._complained_at = min(_SLOWEST, 2 * max(believed, _DOUBLES_IN)), now
        self.bucket, self._grown_at = Bucket(rate, 1.0), now

    def _at(self, now: float) -> Bucket | None:
        if now - self.latest > _IDLE:
            first = Bucket(self.first_rate, _FIRST_BURST, now - _FIRST_BURST / self.first_rate)
            self.bucket, self._grown_at, self.latest = first, now, now
        elif self.bucket is not None and now > self._grown_at:
            rate = self.bucket.rate * 2.0 ** ((now - self._grown_at) / self._doubles_in)
            self._grown_at = now
            if rate > _NO_RAMP:
                self.bucket = None
            else:
                self.bucket.change(now, rate, max(1.0, rate * _DOUBLES_IN / 10))
        return self.bucket


@dataclass(slots=True)
class _Episode:
    """A throttle episode."""

    of: Pace | None
    """What is too fast; None where it is growth, or only a pause that was asked for."""
    since: float
    resumes_at: float
    """Nothing goes before this."""
    pauses: int = 1
    tried_at: float | None = None
    """When an attempt was let through after the pause."""
    shut_at: float = -math.inf
    """When the latest attempt was launched that was refused."""


@dataclass(slots=True)
class Limiter:
    """What one quota holder may do; told the time."""

    attempts: Pace
    tokens: Pace
    under_known: bool = False
    """A wider quota is known: a refusal may be chance."""
    ramp: Ramp = field(default_factory=Ramp)
    episodes: int = 0
    _episode: _Episode | None = None
    _asked_until: float = -math.inf
    """A provider's Retry-After: it holds whatever becomes of the episode that it came in."""
    _strikes: int = 0
    _fell_at: float = -math.inf
    """Attempts launched before this were refused for what has been mended since."""
    _ended_at: float = -math.inf
    _refused_within: float = _REFUSED_WITHIN
    _tried: float = 0.0
    _shut_out: float = 0.0
    """Of the latest attempts: how many were made, and refused."""
    _refunded: float = 0.0
    """Tokens of the latest attempt that cost none."""

    def free_at(self, now: float, tokens: float = 1.0) -> float:
        """When the next attempt may go, which is expected to cost *tokens*: *now*, or later."""
        if now < self._asked_until:
            return self.waits_until
        episode = self._episode
        if episode is not None:
            if episode.tried_at is None:
                return max(now, episode.resumes_at)
            taken_at = episode.tried_at + 3 * self._refused_within
            if now < taken_at:
                return taken_at
            self._end(episode, now)
        ramp, attempts, held_tokens = self.ramp, self.attempts, self.tokens
        at = now if ramp.bucket is None and now - ramp.latest <= _IDLE else ramp.free_at(now)
        if (attempts.quota != inf or attempts.held != inf) and (free := attempts.free_at(now, 1.0)) > at:
            at = free
        if (held_tokens.quota != inf or held_tokens.held != inf) and (free := held_tokens.free_at(now, tokens)) > at:
            at = free
        return at

    def pay(self, now: float, tokens: float) -> None:
        """An attempt goes that is expected to cost *tokens*."""
        ramp = self.ramp
        if ramp.bucket is None and now - ramp.latest <= _IDLE:
            ramp.latest = now
        else:
            ramp.pay(now)
        self.attempts.pay(now, 1.0)
        self.tokens.pay(now, tokens)
        self._tried += 1.0
        if self._tried > _LATEST:
            self._tried, self._shut_out = self._tried / 2, self._shut_out / 2
        if self._episode is not None and self._episode.tried_at is None:
            self._episode.tried_at = now

    def reprice(self, launched_at: float, paid: float, tokens: float) -> None:
        """An attempt under way that was expected to cost *paid* tokens is expected to cost *tokens*."""
        pace = self.tokens
        pace.pay_back(paid - tokens)
        if pace.reckoning is not None:
            pace.reckoning.reprice(launched_at, paid, tokens)

    def settle(self, launched_at: float, paid: float, tokens: float) -> None:
        """An attempt that was expected to cost *paid* tokens cost *tokens*."""
        pace = self.tokens
        pace.pay_back(paid - tokens)
        if pace.reckoning is not None:
            pace.reckoning.settle(launched_at, paid, tokens)
        if not tokens:
            self._refunded = paid

    def unsent(self, launched_at: float) -> None:
        """An attempt that paid was not made; its tokens were settled already. If it was let through to try, the next one is."""
        self.attempts.pay_back(1.0)
        self.ramp.pay_back()
        if self._episode is not None and self._episode.tried_at == launched_at:
            self._episode.tried_at = None

    def took(self, now: float, launched_at: float, tokens: float) -> None:
        """The provider took an attempt of so many tokens; `settle` is apart."""
        self.attempts.took(now, 1.0)
        self.tokens.took(now, tokens)
        if launched_at >= self._fell_at:
            self._strikes = 0
        episode = self._episode
        if episode is not None and episode.tried_at is not None and launched_at >= episode.tried_at:
            self._end(episode, now)

    def refused(self, now: float, launched_at: float, code: str, retry_after: float | None, jitter: float) -> None:
        """The provider refused an attempt; *jitter* is uniform in [0, 1)."""
        self.attempts.uncount(launched_at, 1.0)
        self._refused_within += 0.2 * (min(_MOST_REFUSED_WITHIN, max(0.1, now - launched_at)) - self._refused_within)
        if retry_after:
            self._wait(now, now + retry_after)
        self._shut_out += 1.0
        if self._episode is not None:
            self._refused_again(self._episode, now, launched_at, jitter)
        elif self._is_shut(code):
            if about(code) is About.GROWTH:
                self._slow_climb(now, jitter)
            else:
                self._pause(self._about(code), now, jitter)
            self._fell_at = now
        elif launched_at < self._fell_at:
            if about(code) not in {About.CAPACITY, About.GROWTH}:
                self._about(code).refused_too(now, _WIDER_STILL, self._refunded)
        else:
            self._refused_first(now, launched_at, code, jitter)
        self._refunded = 0.0

    def learnt(self, _now: float) -> dict[str, dict[str, float]]:
        """Return what was found of attempts and tokens, to be kept; nothing of what is as the job says."""
        found = {name: pace.learnt() for name, pace in self._paces()}
        return {name: values for name, values in found.items() if values}

    def teach(self, kept: object, now: float) -> None:
        """Begin with what an earlier opening found; a quota that the job names goes before it."""
        for name, pace in self._paces():
            values = kept.get(name) if isinstance(kept, dict) else None
            if isinstance(values, dict):
                pace.teach(values, now)

    def _paces(self) -> tuple[tuple[str, Pace], ...]:
        return ("attempts", self.attempts), ("tokens", self.tokens)

    @property
    def has_found(self) -> bool:
        """Whether refusals have shown a rate."""
        return self.attempts.is_found or self.tokens.is_found

    @property
    def waits_until(self) -> float:
        """Until when a pause lasts, an episode's or one that was asked for; in the past where there is none."""
        return self._asked_until if self._episode is None else max(self._asked_until, self._episode.resumes_at)

    def forget(self) -> None:
        """Let go of what refusals taught: a wider quota explains them."""
        self.attempts.forget()
        self.tokens.forget()
        self._episode, self._strikes = None, 0

    def _refused_first(self, now: float, launched_at: float, code: str, jitter: float) -> None:
        subject = about(code)
        if subject is About.GROWTH:
            return
        if subject is About.CAPACITY:
            self._strikes += 1
            if self._strikes >= _CAPACITY_PATIENCE:
                self._begin(None, now, now + 0.5 + jitter / 2)
                self._fell_at = now
            return
        pace = self.tokens if subject is About.TOKENS else self.attempts
        if launched_at - self._fell_at > max(_IN_A_ROW, _IN_A_ROW_GAPS * self._gap(pace, now)):
            self._strikes = 0
        self._strikes += 1
        if pace.found is not None:
            pace.ease(now, launched_at, self._refunded)
            if pace.found.has_fallen or self._strikes >= _ROWS_PATIENCE:
                self._pause(pace, now, jitter)
        elif self._strikes >= self._patience(pace):
            self._pause(pace, now, jitter)
        elif pace.quota < math.inf or (self._strikes == 1 and not self._is_chance(pace, now)):
            pace.ease(now, launched_at, self._refunded)
        self._fell_at = now

    def _slow_climb(self, now: float, jitter: float) -> None:
        self.ramp.too_fast(now, self.attempts.trail.sum(now, 5.0) / 5.0)
        self._begin(None, now, now + 0.5 + jitter / 2)

    def _is_chance(self, pace: Pace, now: float) -> bool:
        # A large row is refused alone again and again, at any rate: of tokens nothing is noise.
        return (pace is self.attempts or not pace.is_found) and pace.is_chance(now)

    def _pause(self, pace: Pace, now: float, jitter: float) -> None:
        self._begin(pace, now, now + (1 + jitter) * max(0.5, min(pace.gap(now), _LONGEST_PAUSE / 2)))

    def _gap(self, pace: Pace, now: float) -> float:
        """Seconds between two attempts: as the rate has it, or as they lately went where nothing bounds it."""
        return pace.gap(now) or 5.0 / max(1.0, self.attempts.trail.sum(now, 5.0))

    def _is_shut(self, code: str) -> bool:
        """Whether most of the latest attempts were refused, and nothing is known: no more need be sent for it to show.

        Growth is slowed by then whatever is known.
        """
        subject, pace = about(code), self._about(code)
        cold = subject is not About.CAPACITY and not pace.is_found and not self._is_known(pace)
        patience = _GROWTH_PATIENCE if subject is About.GROWTH else _COLD_PATIENCE
        return (cold or subject is About.GROWTH) and self._shut_out >= max(patience, _LATEST_SHARE * self._tried)

    def _about(self, code: str) -> Pace:
        return self.tokens if about(code) is About.TOKENS else self.attempts

    def _patience(self, pace: Pace) -> int:
        if pace.is_found:
            return _PATIENCE + math.ceil(_ROWS_OF_NOISE * pace.noise)
        return _KNOWN_PATIENCE if self._is_known(pace) else _COLD_PATIENCE

    def _is_known(self, pace: Pace) -> bool:
        return self.under_known or pace.quota < math.inf

    def _refused_again(self, episode: _Episode, now: float, launched_at: float, jitter: float) -> None:
        if episode.of is not None and launched_at < episode.since:
            episode.of.refused_with_it(1.0 if episode.of is self.attempts else self._refunded)
        if episode.tried_at is not None and launched_at >= episode.tried_at:
            episode.shut_at = launched_at
            least = 0.0
            if episode.of is not None:
                episode.of.note_full(now, launched_at)
                if episode.of.found is not None:
                    episode.of.found.refused_again(now, self._refunded)
                least = _GAPS * episode.of.gap(now) if episode.of.counts_minutes else 0.0
            pause = min(_LONGEST_PAUSE, max(least, 2.0**episode.pauses)) * (0.5 + jitter / 2)
            episode.pauses, episode.tried_at, episode.resumes_at = episode.pauses + 1, None, max(episode.resumes_at, now + pause)

    def _begin(self, pace: Pace | None, now: float, until: float) -> None:
        if pace is not None:
            pace.note_full(now, first=True)
        self.episodes += 1
        self._episode = _Episode(pace, now, until)

    def _wait(self, now: float, until: float) -> None:
        self._asked_until = max(self._asked_until, until)
        if self._episode is None:
            self._begin(None, now, until)
        else:
            self._episode.resumes_at = max(self._episode.resumes_at, until)

    def _end(self, episode: _Episode, now: float) -> None:
        tried_at = episode.tried_at if episode.tried_at is not None else now
        recurs = episode.since - self._ended_at < _RECURS
        if episode.of is not None and (recurs or not self._is_known(episode.of)):
            episode.of.find(tried_at, max(0.0, episode.shut_at - episode.since))
        self._fell_at = tried_at
        if episode.of is not None:
            self._ended_at = tried_at
        self._strikes = 0
        self._tried = self._shut_out = 0.0
        self._episode = None


def limiter(quota: Quota, *, under_known: bool = False) -> Limiter:
    """A limiter for *quota*; *under_known* says that a wider quota is known, so that a single refusal means little."""
    ramp = Ramp() if quota.rpm is None and not under_known else Ramp(_KNOWN_FIRST_RATE, _KNOWN_DOUBLES_IN)
    return Limiter(_pace(quota.rpm, LEAST_MARGIN), _pace(quota.tpm, LEAST_TOKEN_MARGIN, reckoned=True), under_known, ramp)


def _pace(a_minute: float | None, least_margin: float, *, reckoned: bool = False) -> Pace:
    if a_minute is None:
        return Pace(latest=None if reckoned else Latest(), differs=reckoned)
    return Pace(a_minute / 60.0, least_margin=least_margin, reckoning=Reckoning() if reckoned else None)
