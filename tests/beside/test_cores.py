"""A second process is for a second core: one that the process may run on, and that its control groups give it time for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchrun.beside.cores import cores

FREE = float(len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("mine", "told", "found"),
    [
        ("0::/", {}, FREE),
        ("0::/", {"cpu.max": "max 100000\n"}, FREE),
        ("0::/", {"cpu.max": "50000 100000\n"}, 0.5),
        ("0::/of/it", {"of/it/cpu.max": "max 100000\n", "of/cpu.max": "75000 100000\n"}, 0.75),
        ("0::/of/it", {"cpu.max": "50000 100000\n"}, 0.5),
        ("4:cpu,cpuacct:/it\n0::/", {"cpu,cpuacct/it/cpu.cfs_quota_us": "25000\n", "cpu,cpuacct/it/cpu.cfs_period_us": "100000\n"}, 0.25),
        ("4:cpu,cpuacct:/", {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, FREE),
        ("4:cpuset:/", {"cpuset/cpu.cfs_quota_us": "1\n", "cpuset/cpu.cfs_period_us": "100000\n"}, FREE),
        ("0::/", {"cpu.max": "what is this"}, FREE),
        ("", {"cpu.max": "50000 100000"}, FREE),
        ("0::/of/\udcff\u2028it", {"cpu.max": "50000 100000\n"}, 0.5),
    ],
)
def test_cores_are_those_that_it_may_run_on_and_no_more_than_its_groups_give_time_for(tmp_path, mine, told, found):
    for name, text in told.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "mine").write_bytes(os.fsencode(mine))
    assert cores(tmp_path / "groups", tmp_path / "mine") == found


def test_where_nothing_is_told_of_groups_all_cores_count(tmp_path):
    assert cores(tmp_path, Path("/nowhere")) == FREE
