"""The bars of shared pools that are quick enough for the suite; `python -m tests.benchmarks.pools` has them all."""

from __future__ import annotations

from batchrun.core.limits.limiter import NO_QUOTA, Quota
from batchrun.simulator.quotas import Caps
from tests.benchmarks.pools import head_of_line, twelve


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
