"""The bars of shared pools that are quick enough for the suite; `python -m tests.benchmarks.pools` has them all."""

from __future__ import annotations

from batchrun.core.limits.quota import NO_QUOTA, Quota
from batchrun.simulator.quotas import Caps
from tests.benchmarks.pools import House, Play, Tenant, head_of_line, twelve


def test_twelve_workspaces_share_a_known_pool_by_weight_and_use_it_up():
    fair, use = twelve(Quota(tpm=1_200_000), Caps(tokens=1_200_000, token_period=60))
    assert fair >= 0.99
    assert use >= 0.975


def test_twelve_workspaces_find_the_pools_quota_share_it_by_weight_and_use_it_up():
    fair, use = twelve(NO_QUOTA, Caps(tokens=1_200_000, token_period=60))
    assert fair >= 0.99
    assert use >= 0.98


def test_a_workspace_that_is_throttled_to_a_crawl_costs_the_others_no_time():
    assert max(head_of_line().values()) <= 0.01


def test_a_workspace_with_a_cap_that_some_of_its_rows_are_too_large_for_uses_it_with_the_others():
    """1,500 of its tokens go in six seconds: three quarters of them if rows of 570 are to fit, and some have more than 1,500."""
    own, account = Caps(tokens=1_500, token_period=6), Caps(tokens=60_000, token_period=6)
    tenants = [Tenant(f"w{place}", 20_000, 500, own=own if place == 0 else None) for place in range(12)]
    seen = Play(House(tenants, account, Quota(tpm=600_000), seconds=900.0)).run()
    assert seen.between("w0", 120.0, 900.0) >= 0.5 * 780 * 1_500 / 6
