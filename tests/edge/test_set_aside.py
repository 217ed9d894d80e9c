"""rejected-input.jsonl: there while there is something in it, and always of a whole pass."""

from __future__ import annotations

import orjson
import pytest

from batchrun.core.errors import JobError, LedgerError
from batchrun.edge.set_aside import collecting
from batchrun.edge.source import SetAside
from tests.edge.test_run_directory import files_no_larger_than, mode


def aside(number, reason="not JSON"):
    return SetAside("输入.jsonl", number, 10 * number, reason, None, None, "0" * 16)


def collected(path, *lines, error=None):
    with collecting(path) as collect:
        for line in lines:
            collect(line)
        if error is not None:
            raise error


def numbers(path):
    return [orjson.loads(line)["line"] for line in path.read_bytes().splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rejected-input.jsonl"


def test_lines_set_aside_stand_there_in_order_for_the_owner_alone(path):
    collected(path, aside(3), aside(7, "id '一' stands already"))
    assert orjson.loads(path.read_bytes().splitlines()[1]) == {
        "file": "输入.jsonl",
        "line": 7,
        "offset": 70,
        "reason": "id '一' stands already",
        "id": None,
        "workspace": None,
        "digest": "0" * 16,
    }
    assert (mode(path), [each.name for each in path.parent.iterdir()]) == (0o600, [path.name])


def test_a_pass_that_sets_nothing_aside_leaves_no_file(path):
    collected(path)
    assert list(path.parent.iterdir()) == []


def test_each_pass_makes_the_file_anew(path):
    collected(path, aside(1), aside(2))
    with collecting(path) as collect:
        collect(aside(5))
        assert numbers(path) == [1, 2], "the older one stands until the pass is done"
    assert numbers(path) == [5]
    with collecting(path):
        pass
    assert not path.exists()


@pytest.mark.parametrize("error", [JobError("the input is broken"), OSError("of the reader"), KeyboardInterrupt()], ids=type)
def test_a_pass_that_ends_in_an_error_raises_it_and_leaves_the_file_of_an_earlier_one(path, error):
    collected(path, aside(1))
    with pytest.raises(type(error)) as raised:
        collected(path, aside(2), error=error)
    assert raised.value is error
    assert numbers(path) == [1]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_folder_that_is_not_there_is_a_ledger_error(tmp_path):
    with (
        pytest.raises(LedgerError, match=r"rejected-input\.jsonl: cannot be written: No such file"),
        collecting(tmp_path / "no" / "rejected-input.jsonl"),
    ):
        pass


@pytest.mark.parametrize("lines", [1, 1000])
def test_a_disk_that_fills_up_is_a_ledger_error_and_leaves_the_file_of_an_earlier_pass(path, lines):
    collected(path, aside(1))
    with files_no_larger_than(50), pytest.raises(LedgerError, match="cannot be written"):
        collected(path, *map(aside, range(lines)))
    assert numbers(path) == [1]
