"""What a refusal is about, told by the provider's code.

A provider answers 429 to four different complaints, and each calls for something else: too many attempts (slow the attempts), too many
tokens (slow the tokens), too steep a growth (climb more slowly, and leave the rates alone), too little capacity (no rate helps). A code
that is not in the table is taken for one of attempts: that is what providers most often limit, and the mildest to be wrong about.
"""

from __future__ import annotations

from enum import Enum


class About(Enum):
    """What a refusal is about."""

    ATTEMPTS = "attempts"
    TOKENS = "tokens"
    GROWTH = "growth"
    CAPACITY = "capacity"
    """Too much at once, or too little of the provider's: no rate's fault."""


OF_CAPACITY = "throttling.serviceoverloaded"
"""A code that is about capacity."""
_SUBJECTS = {
    **dict.fromkeys(("insufficient_quota", "throttling.allocationquota"), About.TOKENS),
    **dict.fromkeys(("limit_burst_rate", "throttling.burstrate"), About.GROWTH),
    **dict.fromkeys(("throttling.resourceexhausted", "throttling.concurrency", "throttling.aborted", OF_CAPACITY), About.CAPACITY),
}


def about(code: str) -> About:
    """What the refusal with this code is about."""
    return _SUBJECTS.get(code.lower(), About.ATTEMPTS)
