"""What bounds the attempts of a lane, a workspace or a pool: attempts a minute, tokens a minute, how fast both may grow, and pauses.

Theory of operation. A `Limiter` joins four things, and an attempt goes when none of them says wait: two rates (`pace.py`), one of attempts
and one of tokens; the growth of the first minute (`ramp.py`); and a pause, while attempts are refused in a row (`episodes.py`).

All that it decides by itself is what a refusal leads to. Whom it concerns is told by its code (`refusals.py`). Whether it may be chance is
told by how many there were before it (`strikes.py`). Then one of three things happens:

- *A refusal that comes alone* pauses nothing: the rate goes a little further under a known quota, or falls back from a climb.
- *Refusals in a row* begin an episode, and so do the first ones of all where no quota is known. When it is over, the pace is told how long
  refusals lasted, which shows over what window the provider counts, and sets its rate anew.
- *What was under way* at a refusal and is refused as well belongs to it, and is not counted as another.
- *A row refused alone* that had room, by all that is known of the window, is chance: a quota that has fallen refuses the next one too.
  Where several share a window, each is told of a part of what is refused of it, and the next one may be told to another: there it is chance
  only once lower and lower rates have shown that some are refused whatever the rate (`noise.py`).

Where a quota is known (the job's, or a wider one's that this one stands under), refusals in a row are somebody else's peak once, and a
limit of one's own when they come again within a minute: only then is a rate set that is lower than the known one.

What is refused for its tokens need not pause: a large row waits for room in the window that tokens are counted in, and then finds it.
A pause that the provider asks for is waited for whatever else is made of the refusal (`asked.py`), and hides nothing that it teaches.
Complaints of growth are never a rate's fault: they slow the climb. Want of capacity is none either: many in a row pause.
"""

from __future__ import annotations

import math
from dataclasses import field

from batchrun.core.classes import slotted
from batchrun.core.limits.asked import Asked
from batchrun.core.limits.episodes import Episode, resumes_at, resumes_at_rate
from batchrun.core.limits.pace import Pace
from batchrun.core.limits.ramp import IDLE, Ramp
from batchrun.core.limits.refusals import About, about
from batchrun.core.limits.strikes import CAPACITY_PATIENCE, COLD_PATIENCE, LATEST, Strikes, more_in_a_row, patience

_WIDER_STILL = 1.05
"""What each refusal of an attempt that was in flight at the one before widens a known quota's margin by."""
_USUAL = 2.0
"""Times a usual row: what one costs at the most whose refusal says that the next one is refused as well."""
_RECURS = 60.0
"""Seconds after an episode in which another is no chance."""


@slotted
class Limiter:
    """What one quota holder may do; told the time."""

    attempts: Pace
    tokens: Pace
    under_known: bool = False
    """A wider quota is known: a refusal may be chance."""
    ramp: Ramp = field(default_factory=Ramp)
    counts: bool = True
    """What goes is counted, for a rate to be found by. Not where it never will be: of a rate's refusals somebody else is told."""
    is_alone: bool = True
    """Nobody else fills the same window: what is sent shows whether a rate is at fault for refusals at all."""
    episodes: int = 0
    ended_at: float = -math.inf
    """When the latest episode of a rate was over: what was refused before that is what the rate was set by."""
    _episode: Episode | None = None
    _asked: Asked = field(default_factory=Asked)
    """The pause that a provider asked for: it holds whatever becomes of the episode that it came in."""
    _strikes: Strikes = field(default_factory=Strikes)
    _fell_at: float = -math.inf
    """Attempts launched before this were refused for what has been mended since."""
    _next_at: float = math.inf
    """When the first attempt was launched after that."""
    _refunded: float = 0.0
    """Tokens of the latest attempt that cost none."""
    _is_open: bool = False
    """Nothing but how fast they grow holds attempts back, as long as none is refused."""

    def free_at(self, now: float, tokens: float = 1.0) -> float:
        """When the next attempt may go, which is expected to cost *tokens*: *now*, or later."""
        ramp = self.ramp
        if self._is_open and ramp.bucket is None and now - ramp.latest <= IDLE:
            return now
        if self._asked.lasts and (until := self._paused_until(now)) > now:
            return until
        episode = self._episode
        if episode is not None:
            within = self._strikes.within
            if not episode.is_over(now, within):
                return episode.free_at(now, within)
            self._end(episode, now)
        attempts, held_tokens = self.attempts, self.tokens
        at = now if ramp.bucket is None and now - ramp.latest <= IDLE else ramp.free_at(now)
        if attempts.is_bounded and (free := attempts.free_at(now, 1.0)) > at:
            at = free
        if held_tokens.is_bounded and (free := held_tokens.free_at(now, tokens)) > at:
            at = free
        self._is_open = not (attempts.is_bounded or held_tokens.is_bounded or self._asked.lasts or self._episode)
        return at

    def pay(self, now: float, tokens: float) -> None:
        """An attempt goes that is expected to cost *tokens*."""
        ramp = self.ramp
        if ramp.bucket is None and now - ramp.latest <= IDLE:
            ramp.latest = now
        else:
            ramp.pay(now)
        if self.counts:
            if self._episode is not None or self.attempts.holds:
                # Neither a pause nor a rate that is a guess: what goes all at once after it is all refused.
                self.tokens.make_up_for_nothing(now)
            if self._next_at == math.inf:
                self._next_at = now
            self.attempts.pay(now, 1.0)
            self.tokens.pay(now, tokens)
            strikes = self._strikes
            strikes.tried = tried = strikes.tried + 1.0
            if tried > LATEST:
                strikes.fade()
        if self._episode is not None:
            self._episode.launch(now)

    def reprice(self, launched_at: float, paid: float, tokens: float) -> None:
        """An attempt under way that was expected to cost *paid* tokens is expected to cost *tokens*."""
        if self.counts:
            pace = self.tokens
            pace.pay_back(paid - tokens)
            if pace.room is not None:
                pace.room.reprice(launched_at, paid, tokens)

    def settle(self, launched_at: float, paid: float, tokens: float, expected: float | None = None) -> None:
        """An attempt that was expected to cost *paid* tokens cost *tokens*; by now, such a one is *expected* to cost so much."""
        if self.counts:
            pace = self.tokens
            pace.pay_back(paid - tokens)
            if pace.room is not None:
                pace.room.settle(launched_at, paid, tokens, expected)
        if not tokens:
            self._refunded = paid
        elif launched_at < self._fell_at:
            self.tokens.correct(launched_at, tokens - paid)

    def unsent(self, launched_at: float) -> None:
        """An attempt that paid was not made; its tokens were settled already. If it was let through to try, the next one is."""
        self.attempts.pay_back(1.0)
        self.ramp.pay_back()
        if self._episode is not None:
            self._episode.unsent(launched_at)

    def refused_by_chance(self, launched_at: float) -> None:
        """The provider refused an attempt whatever the rate is: it is as if it had not been made. Its tokens were settled already."""
        self.unsent(launched_at)
        if self.attempts.use.latest is not None:
            self.attempts.use.latest.drop(launched_at)

    def hold_at_least(self, now: float, rate: float) -> None:
        """So many attempts a second were surely taken."""
        if self.attempts.climb.rate(now) < rate:
            self.attempts.hold(now, rate)
            self._episode = None

    def blame_rate(self) -> None:
        """Take note that refusals of attempts were shown to be their rate's doing."""
        self.attempts.blame_rate()

    def took(self, now: float, launched_at: float, tokens: float) -> None:
        """The provider took an attempt of so many tokens; `settle` is apart."""
        if self.counts:
            attempts = self.attempts
            if attempts.holds or attempts.margin.share > attempts.margin.least:
                # Otherwise there is nothing to learn of it: all cost one.
                attempts.took(now, 1.0)
            self.tokens.took(now, tokens)
        if launched_at >= self._fell_at:
            self._strikes.in_a_row = 0
        episode = self._episode
        if episode is not None and episode.was_try(launched_at):
            self._end(episode, now)

    def refused(self, now: float, launched_at: float, code: str, retry_after: float | None, jitter: float) -> None:
        """The provider refused an attempt; *jitter* is uniform in [0, 1)."""
        self._is_open = False
        self.attempts.uncount(launched_at, 1.0)
        if retry_after:
            self._asked.wait(now, launched_at, retry_after)
        self._strikes.refused(now - launched_at)
        subject = about(code)
        pace = self.tokens if subject is About.TOKENS else self.attempts
        if self._episode is not None:
            self._episode.refused(now, launched_at, 1.0 if self._episode.of is self.attempts else self._refunded, jitter)
        elif self._strikes.is_shut(subject, is_cold=not pace.is_found and not self._is_known(pace)):
            self._shut(subject, pace, now, jitter)
        elif launched_at >= self._fell_at:
            self._refused_first(subject, pace, now, launched_at, jitter)
        elif subject not in {About.CAPACITY, About.GROWTH}:
            pace.count_beside()
            pace.refused_too(now, _WIDER_STILL, self._refunded)
        self._refunded = 0.0

    def learnt(self) -> dict[str, dict[str, float]]:
        """Return what was found of attempts and tokens, to be kept; nothing of what is as the job says."""
        found = {name: pace.learnt() for name, pace in self._paces()}
        return {name: values for name, values in found.items() if values}

    def teach(self, kept: object, now: float) -> None:
        """Begin with what an earlier opening found; a quota that the job names goes before it."""
        self._is_open = False
        for name, pace in self._paces():
            values = kept.get(name) if isinstance(kept, dict) else None
            if isinstance(values, dict):
                pace.teach(values, now)

    def _paces(self) -> tuple[tuple[str, Pace], ...]:
        return ("attempts", self.attempts), ("tokens", self.tokens)

    def was_try(self, launched_at: float) -> bool:
        """Whether what was launched then is to show if a window is still full."""
        return self._episode is not None and self._episode.was_try(launched_at)

    def try_again(self, launched_at: float) -> None:
        """What was let through to try, if it was that, was refused for another's sake, and shows nothing: the next one tries.

        Of attempts whose rate was found it is as likely that chance refused it: then the episode is over.
        """
        episode = self._episode
        if episode is not None and not (episode.of is self.attempts and self.attempts.is_found):
            episode.unsent(launched_at)

    def climbs(self, now: float, code: str) -> bool:
        """Whether more goes than was found of what a refusal is about."""
        subject = about(code)
        pace = self.tokens if subject is About.TOKENS else self.attempts
        return subject not in {About.CAPACITY, About.GROWTH} and pace.is_found and pace.rate(now) > pace.held

    @property
    def has_found(self) -> bool:
        """Whether refusals have shown a rate."""
        return self.attempts.is_found or self.tokens.is_found

    def may_explain(self, now: float, launched_at: float, code: str) -> bool:
        """Whether its window may have been full when an attempt was refused, of which it is yet to be told."""
        subject = about(code)
        if subject is About.TOKENS:
            return self.tokens.may_be_full(now, launched_at, self._refunded)
        return subject is not About.ATTEMPTS or self.attempts.may_be_full(now, launched_at, 1.0)

    @property
    def waits_until(self) -> float:
        """Until when a pause lasts, an episode's or one that was asked for; in the past where there is none."""
        return self._asked.until if self._episode is None else max(self._asked.until, self._episode.resumes_at)

    def forget(self) -> None:
        """Let go of what refusals taught: a wider quota explains them."""
        self.attempts.forget()
        self.tokens.forget()
        self._episode, self._strikes.in_a_row = None, 0

    def begin_anew(self) -> None:
        """Let go of what refusals of attempts taught, and grow as at first: they were no rate's doing."""
        self.attempts.begin_anew()
        self.ramp.begin_anew()
        self._is_open, self._episode = False, None
        self._strikes.forget()

    def _shut(self, subject: About, pace: Pace, now: float, jitter: float) -> None:
        """Most of the latest attempts were refused."""
        pace.use.expect(self._refunded)
        if subject is About.GROWTH:
            self.ramp.too_fast(now, self.attempts.use.trail.sum(now, 5.0) / 5.0)
            self._begin(None, now, resumes_at(now, jitter))
        else:
            self._pause(pace, now, jitter)
        self._fell_at = now

    def _refused_first(self, subject: About, pace: Pace, now: float, launched_at: float, jitter: float) -> None:
        """An attempt was refused that was launched after all that was done about those before it."""
        if subject is About.GROWTH:
            return
        if subject is About.CAPACITY:
            self._strikes.in_a_row += 1
            if self._strikes.in_a_row >= CAPACITY_PATIENCE:
                self._begin(None, now, resumes_at(now, jitter))
                self._fell_at = now
            return
        pace.use.expect(self._refunded)
        # Room in the window of a known quota keeps the next one back for a while. A large row may be refused again and again.
        is_known, is_usual = pace.room is not None and pace.quota < pace.held == math.inf, self._refunded <= _USUAL * pace.use.typical
        is_next = is_known and is_usual and launched_at <= self._next_at
        self._strikes.add(launched_at - self._fell_at, self._gap(pace, now), is_next=is_next)
        if pace.rule.reads_each:
            self._read(pace, now, launched_at, jitter)
        else:
            self._count(pace, now, launched_at, jitter)
        self._fell_at, self._next_at = now, math.inf

    def _read(self, pace: Pace, now: float, launched_at: float, jitter: float) -> None:
        """Each refusal shows something by itself; some, that the quota has fallen. But chance comes alone."""
        in_a_row, tells_room = self._strikes.in_a_row, self.is_alone or pace.noise > 0.0
        by_chance = more_in_a_row(pace.noise_so_far) if tells_room else 0
        if in_a_row <= 1 + by_chance:
            had_room = tells_room and pace.rule.had_room(now, launched_at, self._refunded)
            if pace.is_chance(now, had_room=had_room):
                return
        pace.ease(now, launched_at, self._refunded)
        if pace.rule.has_fallen or in_a_row >= COLD_PATIENCE + by_chance:
            self._pause(pace, now, jitter)

    def _count(self, pace: Pace, now: float, launched_at: float, jitter: float) -> None:
        """A refusal may be chance; several in a row are none."""
        strikes = self._strikes.in_a_row
        if strikes >= patience(is_found=pace.is_found, is_known=self._is_known(pace), noise=pace.noise):
            self._pause(pace, now, jitter)
        elif pace.quota < pace.held == math.inf or (strikes == 1 and not pace.is_chance(now)):
            pace.ease(now, launched_at, self._refunded)
            if pace.rule.has_fallen:
                self._pause(pace, now, jitter)
        elif strikes > 1:
            pace.count_beside()

    def _gap(self, pace: Pace, now: float) -> float:
        """Seconds between two attempts: as the rate has it, or as they lately went where nothing bounds it."""
        return pace.gap(now) or 5.0 / max(1.0, self.attempts.use.trail.sum(now, 5.0))

    def _is_known(self, pace: Pace) -> bool:
        return self.under_known or pace.quota < math.inf

    def _pause(self, pace: Pace, now: float, jitter: float) -> None:
        self._begin(pace, now, resumes_at_rate(now, jitter, pace.gap(now)))

    def _begin(self, pace: Pace | None, now: float, until: float) -> None:
        if pace is not None:
            pace.begin_episode(now)
        self.episodes += 1
        self._episode = Episode(pace, now, until)

    def _paused_until(self, now: float) -> float:
        """When the pause ends that was asked for; if it has, the next attempt tries."""
        asked = self._asked
        if now < asked.until:
            return self.waits_until
        asked.lasts = False
        if self._episode is None:
            self._begin(None, now, now)
        return now

    def _end(self, episode: Episode, now: float) -> None:
        tried_at = episode.tried_at if episode.tried_at is not None else now
        self._asked.took(tried_at)
        if episode.of is not None and not episode.of.was_chance(tried_at, episode.lasted):
            if episode.since - self.ended_at < _RECURS or not self._is_known(episode.of):
                episode.of.find(tried_at, episode.lasted)
                if episode.of.climb.is_cold:
                    self.ramp.begin_anew()
            self.ended_at = tried_at
        self._fell_at = tried_at
        self.tokens.make_up_for_nothing(now)
        self._strikes.forget()
        self._episode = None
