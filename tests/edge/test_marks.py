"""How far files have been read, and whether that part of them is still what it was: what cannot be looked at is not taken for it."""

from __future__ import annotations

import pytest

from batchrun.edge import marks


def changed(path):
    path.write_bytes(b"abX\n" + path.read_bytes()[4:])


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def gone(path):
    path.unlink()


def no_file_to_read(path):
    path.unlink()
    path.mkdir()


def grown(path):
    path.write_bytes(path.read_bytes() + b"more")


@pytest.mark.parametrize(("happens", "stands"), [(grown, True), (changed, False), (cut, False), (gone, False), (no_file_to_read, False)])
def test_a_part_that_was_read_stands_only_where_it_can_be_read_as_it_was(tmp_path, happens, stands):
    (tmp_path / "a").write_bytes(b"abc\n")
    first = marks.marked(tmp_path, {"a": 4}, {})
    (tmp_path / "a").write_bytes(b"abc\ndefg\n")
    marked = marks.marked(tmp_path, {"a": 9}, first)
    assert marks.all_stand(tmp_path, marked)
    happens(tmp_path / "a")
    assert marks.all_stand(tmp_path, marked) is stands
    assert marks.all_stand(tmp_path, marked, marked), "what is known to stand is not looked at"
