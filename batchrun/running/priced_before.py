"""By what calls of earlier openings were priced: where their workspaces called, whose these were, and what the job said of prices.

An answer's entry keeps the prices that it was paid at. A call that left none may have been billed all the same, at the prices that held
when it was made, and the job may have others since: a batch's, say, at half. So run.json keeps what held before, and until which opening,
as often as that changes. Each of these is a job that says nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from batchrun.core.jobs.job import Job

FIELD = "priced_before"
"""Of run.json."""
_JOB = {"name": "before", "input": "-"}
_OF_ALL = ("endpoint",)
_OF_ONE = ("endpoint", "account", "api_key_env")
"""A name of a variable is no secret, and no workspace stands without one."""
_OF_ACCOUNTS = ("discount", "discounts")

Before = dict[str, Any]
"""``through``, the last opening; and ``job``."""


def kept(described: Mapping[str, Any], job: Mapping[str, Any], made: int) -> list[Before]:
    """What run.json is to keep from now on, when the run it described is opened with *job*, after *made* openings; jobs are as dumped."""
    before = [*_told(described)]
    held = described.get("job")
    if not made or not isinstance(held, Mapping) or (was := of_prices(held)) == of_prices(job):
        return before
    # What nothing was called by is no news: an opening that made no call is numbered as the one after it.
    return before if before and before[-1]["through"] >= made else [*before, {"through": made, "job": was}]


def jobs_before(described: Mapping[str, Any]) -> list[tuple[int, Callable[[], Job | None]]]:
    """What held to which opening, the earliest first, to be read; that gives None where this batchrun would not take it any more."""
    return [(each["through"], partial(_read, each["job"])) for each in _told(described)]


def _told(described: Mapping[str, Any]) -> Iterator[Before]:
    found = described.get(FIELD)
    for each in found if isinstance(found, list) else ():
        if isinstance(each, dict) and isinstance(each.get("through"), int) and "job" in each:
            yield each


def of_prices(job: Mapping[str, Any]) -> dict[str, Any]:
    """What decides in a *job* what a call costs."""
    told = {
        "job": _JOB,
        "defaults": _only(job.get("defaults", {}), _OF_ALL),
        "accounts": {name: _only(table, _OF_ACCOUNTS) for name, table in job.get("accounts", {}).items()},
        "endpoints": job.get("endpoints", {}),
        "workspaces": {name: _only(table, _OF_ONE) for name, table in job.get("workspaces", {}).items()},
        "prices": job.get("prices", {}),
    }
    return {name: table for name, table in told.items() if table}


def _only(table: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: table[key] for key in keys if key in table}


def _read(job: object) -> Job | None:
    try:
        return Job.model_validate(job)
    except ValidationError:
        return None
