"""What a refusal is about."""

from __future__ import annotations

import pytest

from batchrun.core.limits.refusals import About, about


@pytest.mark.parametrize(
    ("code", "subject"),
    [
        ("limit_requests", About.ATTEMPTS),
        ("Throttling.RateQuota", About.ATTEMPTS),
        ("", About.ATTEMPTS),
        ("insufficient_quota", About.TOKENS),
        ("Throttling.AllocationQuota", About.TOKENS),
        ("limit_burst_rate", About.GROWTH),
        ("Throttling.BurstRate", About.GROWTH),
        ("Throttling.Concurrency", About.CAPACITY),
        ("Throttling.Aborted", About.CAPACITY),
        ("ResourceExhausted", About.ATTEMPTS),
    ],
)
def test_a_code_says_what_a_refusal_is_about(code, subject):
    assert about(code) is subject
