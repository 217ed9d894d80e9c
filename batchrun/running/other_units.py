"""What a job says in another unit than its key has, as far as that can be seen: told before a call is made, for it may be meant."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from batchrun.core.counted import duration
from batchrun.core.jobs.job import Job
from batchrun.core.jobs.words import key_path

_HOUR, _DAY = 3600.0, 86400.0
_LESS_THAN_ANY = Decimal("0.02")
"""For a million tokens of output: no model is sold for so little, and by the thousand all are."""


def in_other_units(job: Job) -> Iterator[str]:
    """Say of what in *job* was probably written in another unit."""
    yield from _in_milliseconds(job)
    yield from _by_the_thousand(job)
    yield from _discounts_of_most(job)


def _in_milliseconds(job: Job) -> Iterator[str]:
    """Waits that nobody waits for: what hangs would hold its slot for days."""
    timeouts, stop, backoff = job.timeouts, job.stop, job.retry.backoff
    for path, seconds, most in (
        (("timeouts", "connect"), timeouts.connect, _HOUR),
        (("timeouts", "idle"), timeouts.idle, _DAY),
        (("timeouts", "total"), timeouts.total, _DAY),
        (("stop", "grace"), stop.grace, _DAY),
        (("retry", "backoff", "max"), backoff.max, _DAY / 2),
    ):
        if seconds > most:
            meant = f"if milliseconds are meant, write {seconds / 1000:g}"
            yield f"{key_path(path)} = {seconds:,.0f}: seconds, and so {duration(seconds)}; {meant}"


def _by_the_thousand(job: Job) -> Iterator[str]:
    """Prices of a thousand tokens, as some lists have them: a budget would let a thousand times as much be spent."""
    for model, tables in job.prices.items():
        if prices := [tier.output for table in tables for tier in table.tiers if 0 < tier.output < _LESS_THAN_ANY]:
            meant = f"if it is for a thousand, as some lists have it, write {(1000 * prices[0]).normalize():f}, and all its prices so"
            yield f"{key_path(('prices', model))}: output = {prices[0]}: for a million tokens; {meant}"


def _discounts_of_most(job: Job) -> Iterator[str]:
    """Discounts by which less than half of a price is paid: it may be what is paid that was written, as in 8.5折."""
    for name, account in job.accounts.items():
        for model, share in [("", account.discount), *account.discounts.items()]:
            if 2 * share > 1:
                place = key_path(("accounts", name, "discounts", model) if model else ("accounts", name, "discount"))
                taken = f"{share:%} is taken off, and costs and budgets count {1 - share:%} of a price"
                yield f"{place} = {share}: {taken}; if {share:%} is what is paid, write {1 - share}"
