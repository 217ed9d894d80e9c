"""An outage: the calls of a lane fail one after another, whatever its rows are. It then tries with one at a time, and waits in between.

A row has a few attempts. An endpoint that is down, or the way there, fails hundreds of calls in a second: minutes of it would use up the
attempts of a whole night's rows. So:

- Failures in a row, with nothing else between them, begin an outage. Whatever else the provider says, an answer or a refusal, ends it.
- Only what fails soon counts, and a connection that never stood; within half a minute all that is no time-out, for gateways may take their
  time. Calls that hang hold their slots for as long, and use up little; and long rows may well run into a timeout one after another.
- While it lasts one call tries, then all wait a little, longer each time. What has not failed soon was taken: then the others go again.
  Where failures take longer than that, one more tries every few seconds until then.
- As long as there are rows that were never sent, one of those tries: a row that failed waits until another one that was sent after it is
  answered. So an outage takes one attempt of a row, however long it lasts, whether or not it was seen to begin, and however many answers
  come meanwhile to calls that went before it; and a stretch of rows that fail by themselves is over once one behind it is answered.
- Where all rows were sent, and the lane has had answers, only a row's first call counts as an attempt while nothing that was sent after it
  is answered. Rows that fail by themselves, and are all that is left of a lane, look like an outage. But most of them had failed before,
  and others that were sent after them were answered: where that is so of more than half of those that were sent, every call counts.
- A call that found no connection did not meet the provider: that is no attempt of its row's, whether an outage lasts or not. Any other
  failure is one, for a row may be its cause; the pauses are short then for some minutes, so that a stretch of such rows is gone through,
  unless the provider asks for longer ones.
- What else would park the lane at once (a certificate, a proxy, a web page, a status that no provider's word comes with) is a failure like
  these where the lane has had answers: a firewall refuses one row for its text, a gateway says 404 for a minute, and neither is the end of
  a night. Nor does a web page reject a row there, whatever its status: a gateway may send it to all rows for a minute.
- That a key, a model or a bill is refused by name is believed at once where nothing that it concerns ever had an answer, and taken back
  when a call is answered that was under way then, of whichever lane: of several gateways one may not know a new key for a second, or take
  another's for it. Where the lane has had answers, or another of the same workspace or account, one call tries now and then, and the
  refusal is believed after two minutes: providers refuse good keys for a minute, and a run that has no other lane would end there. Whatever
  else the provider says meanwhile is the end of it, and with any other failure the two minutes begin anew. If others that it concerns are
  answered all the while, it is believed of this lane alone. No such refusal is an attempt of its row's.
- One that lasts too long parks the lane; sooner where the lane never had an answer from its endpoint, in an earlier opening neither, for
  then the endpoint is likely to be named wrongly;
  later (the job says when) where it had, and finds no connection any more: a line comes back by itself, and waiting for it costs nothing.
  A gateway comes back before those behind it: how long it fails counts from when it was met again.
"""

from __future__ import annotations

import math
from dataclasses import field, replace

from batchrun.core.classes import slotted
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.protocols.failures import BY_STATUS, known, refused_by_a_page, unsigned
from batchrun.core.protocols.mishaps import ASKED_AGAIN, BEFORE_ANY_CALL, TIMED_OUT

IN_A_ROW = 20
"""Failures that begin one."""
SOON = 5.0
"""Seconds within which a call fails that counts."""
AT_LENGTH = 30.0
"""The same, where it is no time-out."""
_TIMES_TAKEN = 1.5
"""Times what failures take: a call that is under way for longer was taken."""
TOO_LONG, TOO_LONG_AT_FIRST = 3600.0, 120.0
"""Seconds after which it parks the lane that is connected and has failures alone, and one that never had an answer."""
BELIEVED = 120.0
"""Seconds after which refusals of all that a lane sends park it, though it had answers."""
_FIRST_PAUSE, _LONGEST_PAUSE, _LONGEST_BY_ROWS = 1.0, 8.0, 2.0
"""Seconds between two that try; at the most, and where rows may be the cause."""
_BY_ROWS = 300.0
"""Seconds of failures after which hardly rows are the cause; and each further call may be billed, and stands in doubt."""
_LONGEST_ASKED = 60.0
"""Seconds that are waited between two because a ``Retry-After`` asks for it; a row's own backoff keeps to all of that."""


def never_met(failure: Failure) -> bool:
    """Whether no connection stood, so that the provider knows nothing of the call."""
    return failure.status is None and failure.code in BEFORE_ANY_CALL


def timed_out(failure: Failure) -> bool:
    """Whether the row may be why a call failed that took long."""
    if failure.status is None:
        return failure.code in TIMED_OUT
    line = known(failure.status, failure.code) or BY_STATUS.get(failure.status)
    return line is not None and line.in_doubt


def counts(failure: Failure, seconds: float) -> bool:
    """Whether a call that failed after so many *seconds* may be an outage's."""
    return seconds <= SOON or never_met(failure) or (seconds <= AT_LENGTH and not timed_out(failure))


IN_THE_WAY = (
    "it is tried again, for other rows of this workspace and model were answered: if this one never is, a firewall or a gateway between "
    "here and the provider refuses it, for its text as a rule: ask whoever runs that, or rephrase the row; if none is any more: "
)
"""Stands before what such a refusal advises."""


def passing(failure: Failure) -> Failure:
    """What *failure* is in a lane that has had answers: one that may pass, where nothing says that it is the provider's own."""
    if unsigned(failure) or refused_by_a_page(failure):
        return replace(failure, fault=Fault.AGAIN, scope=Scope.ROW, advice=IN_THE_WAY + failure.advice.removesuffix(ASKED_AGAIN))
    if failure.fault is Fault.PARK and never_met(failure):
        return replace(failure, fault=Fault.AGAIN, scope=Scope.ROW)
    return failure


@slotted
class Outage:
    """Of one lane, if there is one; told the time."""

    in_a_row: int = IN_A_ROW
    failed: int = 0
    """Failures in a row."""
    lasts: bool = False
    latest: Failure | None = None
    """What a person is told of."""
    _since: float | None = None
    """When the first of them came."""
    _met_since: float | None = None
    """When the first came of those since the latest that found no connection."""
    refused_since: float = math.inf
    """When the first refusal came that would park."""
    _first_calls: list[float] = field(default_factory=list)
    """When those went that failed, were their rows' first, and went after any that was answered."""
    _sent: int = 0
    """The most rows that were sent and not done since the provider said something else."""
    _resumes_at: float = -math.inf
    _tried_at: float | None = None
    """When a call was let through after the pause: the latest of those that try."""
    _first_tried_at: float = math.inf
    """When the first of them was."""
    _takes: float = 0.0
    """The longest that a failure took."""
    _pause: float = _FIRST_PAUSE

    def free_at(self, now: float) -> float:
        """When the next call may go while it lasts: *now*, or later."""
        at = self._resumes_at if self._tried_at is None else self._tried_at + SOON
        return max(now, at)

    def launch(self, now: float) -> None:
        """A call goes while it lasts: the first one tries; and others do, where it may be long until that fails."""
        if self._tried_at is None:
            self._tried_at = self._first_tried_at = now
        elif now <= self._first_tried_at + _TIMES_TAKEN * self._takes:
            self._tried_at = now

    def unsent(self, launched_at: float) -> None:
        """A call was not made after all: if it was to try, the next one is."""
        if self._tried_at == launched_at:
            self._tried_at = None

    def fail(self, failure: Failure, now: float, launched_at: float, jitter: float) -> None:
        """A call failed that was launched then; *jitter* is uniform in [0, 1)."""
        self.refused_since = math.inf
        if not counts(failure, now - launched_at):
            return
        self._takes = max(self._takes, now - launched_at)
        self.failed, self.latest = self.failed + 1, failure
        if self._since is None:
            self._since = now
        if never_met(failure):
            self._met_since = None
        elif self._met_since is None:
            self._met_since = now
        if self.failed < self.in_a_row or (self.lasts and (self._tried_at is None or launched_at < self._first_tried_at)):
            return
        self.lasts, self._tried_at = True, None
        by_rows = not never_met(failure) and self.lasts_for(now) < _BY_ROWS
        longest = _LONGEST_BY_ROWS if by_rows else _LONGEST_PAUSE
        asked = min(failure.retry_after or 0.0, _LONGEST_ASKED)
        self._resumes_at = now + max(min(self._pause, longest) * (0.5 + jitter / 2), asked)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def refuse(self, failure: Failure, now: float, launched_at: float, jitter: float) -> bool:
        """A call was refused as all others would be; whether they have been for so long that it is to be believed."""
        self.latest = failure
        self.refused_since = min(self.refused_since, now)
        if not self.lasts or (self._tried_at is not None and launched_at >= self._first_tried_at):
            self.lasts, self._tried_at = True, None
            self._resumes_at = now + self._pause * (0.5 + jitter / 2)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return now - self.refused_since >= BELIEVED

    def failed_first(self, launched_at: float, good_at: float) -> None:
        """A row's first call failed that went then; the latest that was answered went at *good_at*."""
        self._first_calls = [at for at in (*self._first_calls, launched_at) if at > good_at]

    def is_to_blame(self, good_at: float, sent: int) -> bool:
        """Whether it, and not its row, is why a call failed.

        Two of the rows that were *sent* and are not done, and half of them and of those given up since, must have had no call before the
        latest that was answered.
        """
        self._sent = max(self._sent, sent)
        return sum(at > good_at > -math.inf for at in self._first_calls) >= max(2, self._sent / 2)

    def end(self) -> None:
        """The provider said something else."""
        self.refused_since, self._sent = math.inf, 0
        self.failed, self.lasts, self.latest, self._since = 0, False, None, None
        self._met_since, self._takes = None, 0.0
        self._resumes_at, self._tried_at, self._pause = -math.inf, None, _FIRST_PAUSE

    def forget_since(self) -> None:
        """Nothing was sent for a while: that is no time of failures."""
        self._since, self._met_since, self.refused_since = None, None, math.inf

    def lasts_for(self, now: float) -> float:
        """Seconds since its first failure; none where there is no outage."""
        return now - self._since if self.lasts and self._since is not None else 0.0

    def met_for(self, now: float) -> float:
        """The same, of the failures since the latest that found no connection."""
        return now - self._met_since if self.lasts and self._met_since is not None else 0.0
