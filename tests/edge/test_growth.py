"""An input that a producer goes on writing while it is run."""

from __future__ import annotations

import os

import pytest

from batchrun.edge.source.growth import Growth


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.jsonl").write_text("{}\n")


def test_a_file_that_was_appended_to_and_one_that_came_under_a_pattern_are_growth(tmp_path):
    growth = Growth(["in/*.jsonl", "-"])
    assert growth.since() == []
    with (tmp_path / "in" / "b.jsonl").open("a") as file:
        file.write("{}\n")
    (tmp_path / "in" / "c.jsonl").write_text("{}\n")
    (tmp_path / "in" / "c.txt").write_text("{}\n")
    assert growth.since() == ["in/b.jsonl", "in/c.jsonl"]


def test_a_file_that_went_was_cut_touched_or_replaced_and_one_that_has_another_name_are_none(tmp_path):
    growth = Growth(["in/*.jsonl"])
    (tmp_path / "tomorrow").write_text("{}\n" * 9)
    (tmp_path / "tomorrow").rename(tmp_path / "in" / "a.jsonl")
    (tmp_path / "in" / "b.jsonl").write_text("")
    os.utime(tmp_path / "in" / "b.jsonl", (1, 1))
    assert growth.since() == []
    (tmp_path / "in" / "b.jsonl").rename(tmp_path / "in" / "of-another-name.jsonl")
    assert growth.since() == []
    (tmp_path / "in" / "of-another-name.jsonl").unlink()
    assert growth.since() == []


def test_a_file_that_could_not_be_looked_at_for_a_moment_when_it_was_named_is_none(tmp_path):
    """A run that had answered every row had ended as one that is to be gone on with, and told that more stood in its input."""
    share = tmp_path / "share"
    share.mkdir()
    (share / "c.jsonl").write_text("{}\n")
    (tmp_path / "in" / "c.jsonl").symlink_to(share / "c.jsonl")
    away = share.rename(tmp_path / "away")
    growth = Growth(["in/*.jsonl"])
    away.rename(share)
    assert growth.since() == []


def test_one_file_by_two_names_is_one(tmp_path):
    growth = Growth(["in/a.jsonl", "in/../in/a.jsonl"])
    assert growth.since() == []
    os.link(tmp_path / "in" / "a.jsonl", tmp_path / "in" / "again.jsonl")
    assert Growth(["in/a.jsonl"]).since() == []
    assert growth.since() == []
