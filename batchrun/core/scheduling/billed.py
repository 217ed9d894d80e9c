"""Calls of a row that may well have been billed and brought no answer: few are made, for each may cost as much as an answer.

A row that takes the provider longer than it gives itself, or longer than the job waits, does so again: the provider's page says of its
time-outs to try again once or twice. So they have a bound of their own, beside that of attempts. What counts is

- a failure that tells what it cost;
- a time-out, the provider's, a gateway's or the job's, of a call that is in doubt;
- an answer that is none, for it says nothing or was broken off, whatever it tells of its tokens;
- any other failure of a call in doubt that did not come soon.

What fails soon is in doubt too where no provider's word comes with it, a gateway's 503 for one. But there was hardly time to make an
answer, and a storm of those passes: the row has all its attempts for it. Nor does a failure count that is an outage's, and not its row's.
"""

from __future__ import annotations

from dataclasses import replace

from batchrun.core.model import Failure
from batchrun.core.scheduling.outages import SOON, timed_out

OF_NO_USE = (
    "if answers are long, set stream = true, which gives them longer, lower max_tokens, or raise idle and total under [timeouts], or the "
    "time that a gateway on the way allows (nginx: proxy_read_timeout), where those cut them off; then run the same command again: it asks "
    "the row again, as often as max_billed under [retry] says, and not at all with --hold-in-doubt"
)
"""What to do about a row of which no more calls are made."""


def may_have_cost(failure: Failure, seconds: float) -> bool:
    """Whether a call that failed after so many *seconds* may well have been billed."""
    made = failure.reply is not None or seconds > SOON or timed_out(failure)
    return failure.usage is not None or (failure.in_doubt and made)


def given_up(failure: Failure, calls: int) -> Failure:
    """The latest *failure* of a row of which so many *calls* may have been billed, and no more are made for that."""
    told = "1 call that may have been billed" if calls == 1 else f"{calls} calls that may each have been billed"
    return replace(failure, message=f"given up after {told}: {failure.message}", advice=OF_NO_USE)


class Billed:
    """How many such calls each row of an opening has had that is not done."""

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}

    def count(self, ordinal: int, most: int) -> int:
        """Count one more of a row's; gives how many those are once they are *most*, and 0 before."""
        calls = self._calls[ordinal] = self._calls.get(ordinal, 0) + 1
        return calls if calls >= most else 0

    def forget(self, ordinal: int) -> None:
        """The row is done."""
        self._calls.pop(ordinal, None)
