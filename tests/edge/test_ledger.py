"""The ledger as it is written: a line's fields, files of workspaces, the order of lines, and what whoever follows is given."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from batchrun.core.errors import LedgerError
from batchrun.core.ledger.attempts import Bound, Ended, Opened, closed_line, opened_line, read_attempt
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.usual import UsualAnswer, spelt_out
from batchrun.core.model import Answered, Call, Exhausted, Failure, Fault, Money, Rejected, Reply, Scope, Usage
from batchrun.edge.history import Attempts
from batchrun.edge.history import entries as entries_of
from batchrun.edge.ledger import Files, Ledger
from batchrun.edge.run_directory import open_to_append
from tests.edge.test_run_directory import files_no_larger_than
from tests.edge.written import answered, row


def test_entries_go_to_the_files_of_their_own_workspace_and_stand_there_after_a_flush(tmp_path):
    failure = Failure(Fault.AGAIN, Scope.ROW, "internal_error", "m", "a")
    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        for name in ("a", "b", "a", "c"):
            ledger.append(answered(f"of-{name}", name), 0.0)
            ledger.append(Exhausted(row(f"of-{name}", name), failure, None), 0.0)
        ledger.flush()
        for name, count in (("a", 2), ("b", 1), ("c", 1)):
            for file in ("results", "errors"):
                lines = (tmp_path / name / f"{file}.jsonl").read_bytes().splitlines()
                assert [orjson.loads(line)["id"] for line in lines] == [f"of-{name}"] * count


def priced(workspace, model, usage, at):
    return (
        Money("CNY", Decimal(f"{usage.input_tokens}.{usage.output_tokens}"))
        if (workspace, model, at) == ("legal", "qwen-plus", 1.0)
        else None
    )


def test_an_entry_says_what_its_call_cost_when_it_began_and_one_without_a_call_or_tokens_costs_nothing_known(tmp_path):
    usage = Usage(7, 3)
    paid = Failure(Fault.REJECT, Scope.ROW, "schema_mismatch", "m", "a", usage=usage)
    unpaid = replace(paid, usage=None)
    call = Call("1-1", 1, 1.0, 12)
    with Ledger(Files(tmp_path, open_to_append), 1, price=priced) as ledger:
        ledger.append(answered("r-1"), 0.0)
        for failure, made in ((paid, call), (paid, None), (unpaid, call), (paid, replace(call, started_at=2.0))):
            ledger.append(Rejected(row("r-2"), failure, made), 0.0)
    files = [(tmp_path / "legal" / f"{name}.jsonl").read_bytes() for name in ("results", "errors")]
    read = [read_entry(line).cost for file in files for line in file.splitlines(keepends=True)]
    assert read == [Money("CNY", Decimal("7.3")), Money("CNY", Decimal("7.3")), None, None, None]


def test_the_log_says_what_a_call_cost_when_it_began_whose_tokens_stand_in_no_entry(tmp_path):
    failure = Failure(Fault.REASK, Scope.ROW, "schema_mismatch", "m", "a", usage=Usage(7, 3))
    with Ledger(Files(tmp_path, open_to_append), 1, price=priced) as ledger:
        for at, result in ((1.0, failure), (2.0, failure), (1.0, replace(failure, usage=None))):
            name = ledger.start(row("r-1"), Bound(9, 9), at)
            ledger.end(name, "reasked", result, at + 1.0)
    ends = [line for line in Attempts(tmp_path / "attempts.log") if isinstance(line, Ended)]
    assert [(end.name, end.cost, end.usage) for end in ends] == [
        ("1-1", Money("CNY", Decimal("7.3")), Usage(7, 3)),
        ("1-2", None, Usage(7, 3)),
        ("1-3", None, None),
    ]


@pytest.mark.parametrize("raw", [False, True])
def test_the_providers_body_stands_in_an_entry_where_it_was_asked_for(tmp_path, raw):
    with Ledger(Files(tmp_path, open_to_append), 1, raw=raw) as ledger:
        ledger.append(Answered(row("r-1"), Reply("an answer", "stop", None, body=b'{"id":"chatcmpl-1"}'), Call("1-1", 1, 1.0, 12)), 0.0)
    told = orjson.loads((tmp_path / "legal" / "results.jsonl").read_bytes())
    assert told.get("response") == ({"id": "chatcmpl-1"} if raw else None)


def test_a_large_answer_is_told_and_let_go_of_though_nothing_more_is_written(tmp_path):
    told: list[str] = []

    def follow(noted, _came, _ordinals) -> None:
        told.extend(each.name for each in noted if isinstance(each, UsualAnswer))

    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        ledger.be_followed(follow)
        names = []
        for size in (10, 2_000_000):
            asked = replace(row(f"r-{size}"), ordinal=size)
            names.append(name := ledger.start(asked, Bound(9, 9), 1.0))
            ledger.flush()
            outcome = Answered(asked, Reply("a" * size, "stop", Usage(7, 3)), Call(name, 1, 1.0, 12))
            ledger.append(outcome, 0.0)
            ledger.flush()
            ledger.end(name, "answered", outcome.reply, 2.0)
            ledger.tell()
            assert told == (names if size > 10 else [])
        ends = [line.name for line in Attempts(tmp_path / "attempts.log") if isinstance(line, Ended)]
        assert ends == names, "what is told is written"


def test_what_is_followed_is_what_is_read_and_never_more_than_what_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr("batchrun.core.ledger.untold._TOGETHER", 1)
    lines, entries = [], []

    def follow(noted, came, _ordinals) -> None:
        more, answers, _ = spelt_out(noted)
        lines.extend(more)
        entries.extend([*answers, *came])
        assert [*Attempts(tmp_path / "attempts.log")][: len(lines)] == lines
        assert [*entries_of(tmp_path / "legal" / "results.jsonl", "legal")][: len(entries)] == entries

    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        ledger.be_followed(follow)
        ledger.opened(1.0)
        for number in range(1, 100):
            asked = replace(row(f"r-{number}"), ordinal=None if number % 2 else number)
            name = ledger.start(asked, Bound(9, 9), 1.0)
            ledger.tell()
            assert len(lines) < 2 * number, "its start is not written yet"
            ledger.flush()
            ledger.tell()
            outcome = Answered(asked, Reply("an answer", "stop", Usage(7, 3)), Call(name, 1, 1.0, 12))
            ledger.append(outcome, 0.0)
            ledger.tell()
            ledger.flush()
            ledger.tell()
            assert len(entries) < number, "its end is not written yet"
            ledger.end(name, "answered", outcome.reply, 2.0)
            ledger.tell()
        given = len(entries)
        assert 0 < given < 99
        assert ledger.followed() is None
        ledger.hand_over()
        assert (len(entries), len(lines)) == (99, 199)
        assert ledger.followed() is not None
        failed = ledger.start(row("r-1"), Bound(9, 9), 3.0)
        ledger.flush()
        ledger.end(failed, "again", Failure(Fault.AGAIN, Scope.ROW, "internal_error", "m", "a"), 4.0)
        assert ledger.followed() is None
        ledger.hand_over()
        assert (len(entries), len(lines), ledger.followed() is None) == (99, 201, False)
        ledger.append(answered("r-2"), 0.0)
        with files_no_larger_than((tmp_path / "legal" / "results.jsonl").stat().st_size + 10), pytest.raises(LedgerError):
            ledger.hand_over()
        assert len(entries) == 99
        assert ledger.followed() is None


def test_a_call_that_was_billed_and_has_no_entry_tells_its_rows_metadata_and_one_that_was_not_tells_none(tmp_path):
    of = replace(row("r-1"), metadata={"a": 1})
    billed = Failure(Fault.REASK, Scope.ROW, "no_json", "m", "a", status=200, usage=Usage(7, 3))
    with Ledger(Files(tmp_path, open_to_append), 4) as ledger:
        names = [ledger.start(of, Bound(7, 8), float(number)) for number in range(2)]
        ledger.end(names[0], "reasked", billed, 5.5)
        ledger.end(names[1], "again", Failure(Fault.AGAIN, Scope.ROW, "internal_error", "m", "a"), 6.5)
    told = Ended("4-1", "reasked", False, Usage(7, 3), None, 5.5, "no_json", 200, {"a": 1}, True)
    assert [line for line in Attempts(tmp_path / "attempts.log") if isinstance(line, Ended)] == [
        told,
        Ended("4-2", "again", in_doubt=False, usage=None, at=6.5, code="internal_error"),
    ]


def test_the_end_of_an_answer_is_written_with_the_next_line_in_the_order_in_which_things_were(tmp_path):
    log = tmp_path / "attempts.log"
    reply = Reply("x", "stop", Usage(7, 3))
    with Ledger(Files(tmp_path, open_to_append), 1) as ledger:
        names = [ledger.start(row(f"r-{number}"), Bound(7, 8), 1.0) for number in range(3)]
        ledger.flush()
        before = log.read_bytes()
        ledger.end(names[0], "answered", reply, 2.0)
        ledger.end(names[1], "answered", reply, 2.0)
        ledger.flush()
        assert log.read_bytes() == before
        ledger.end(names[2], "answered", replace(reply, usage=None), 2.0)
        ledger.flush()
        assert [line.name for line in Attempts(log) if isinstance(line, Ended)] == names
        ledger.end(ledger.start(row("r-4"), Bound(7, 8), 3.0), "answered", reply, 4.0)
    assert [line.name for line in Attempts(log) if isinstance(line, Ended)] == [*names, "1-4"]


def test_an_opening_that_ends_well_says_so_where_calls_are_promised_and_says_when_it_began(tmp_path):
    for boot in (None, "a-start"):
        directory = tmp_path / str(boot)
        directory.mkdir()
        with Ledger(Files(directory, open_to_append), 7, boot=boot, wall_time=lambda: 9.5) as ledger:
            ledger.opened(1.5)
            assert read_attempt((directory / "attempts.log").read_bytes()) == Opened(7, boot, 1.5)
            assert ledger.promise(row("r-1"), Bound(7, 8)) is (boot is None)
        lines = (directory / "attempts.log").read_bytes().splitlines(keepends=True)
        assert lines == [opened_line(7, 1.5, boot), *([closed_line(9.5)] if boot else [])]


def test_each_file_is_opened_once_and_none_is_open_any_more_when_the_ledger_is_left(tmp_path):
    opened = []

    def open_file(path) -> int:
        opened.append(path.relative_to(tmp_path).as_posix())
        return open_to_append(path)

    before = set(Path("/proc/self/fd").iterdir())
    for again in (False, True):
        opened.clear()
        with Ledger(Files(tmp_path, open_file), 1) as ledger:
            for number in range(3):
                ledger.start(row(f"r-{number}"), Bound(7, 8), 1.0)
                for name in ("legal", "sales"):
                    ledger.append(answered(f"r-{number}", name), 0.0)
                ledger.flush()
            if again:
                (tmp_path / "sales" / "results.jsonl").unlink()
                with pytest.raises(LedgerError, match="moved or deleted"):
                    ledger.__exit__(None, None, None)
        assert sorted(opened) == ["attempts.log", "legal/results.jsonl", "sales/results.jsonl"]
        assert set(Path("/proc/self/fd").iterdir()) <= before
