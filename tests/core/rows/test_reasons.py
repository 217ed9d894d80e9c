"""Why lines are no rows: counted by kind, the most frequent first, bounded whatever the lines are."""

from __future__ import annotations

import codecs
import subprocess
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.rows.reasons import MOST_SHOWN, Reason, Reasons, described, told
from batchrun.core.rows.rows import Inherited, NotARow, read_line


def reasons_of(*said):
    reasons = Reasons()
    for line, each in enumerate(said, 1):
        reasons.add("rows.jsonl", line, each)
    return reasons


def why(line, *workspaces):
    read = read_line(line, {name: Inherited("qwen-plus", {}, b"") for name in workspaces}, None)
    assert isinstance(read, NotARow)
    return read.reason


@pytest.mark.parametrize(("workspaces", "more"), [(12, ""), (13, " and 1 more"), (1_012, " and 1,000 more")])
def test_of_many_workspaces_a_dozen_is_named_and_the_others_are_counted(workspaces, more):
    names = [f"w{number}" for number in range(workspaces)]
    reasons = reasons_of(why(b'{"workspace": "legal", "prompt": "a"}', "support"))
    assert list(told(1, reasons.most_frequent(), names))[-1] == f"the job's workspaces are {', '.join(names[:12])}{more}"


def test_a_workspace_that_was_renamed_is_one_reason_with_its_count_and_the_name_that_was_meant():
    reasons = reasons_of(*[why(b'{"workspace": "legall", "prompt": "a"}', "legal", "support")] * 58)
    assert list(told(58, reasons.most_frequent(), ["legal", "support"])) == [
        "58 lines, the first rows.jsonl, line 1: workspace 'legall' is not one of the job's (nearest: 'legal')",
        "the job's workspaces are legal, support",
    ]


def test_a_job_without_workspaces_is_told_how_it_gets_those_that_its_rows_name():
    reasons = reasons_of(why(b'{"workspace": "legal", "prompt": "a"}', "default"))
    assert "give it a table for each that rows name, [workspaces.NAME]" in [*told(1, reasons.most_frequent(), ["default"])][-1]


def test_two_unknown_workspaces_are_two_reasons_whatever_numbers_are_in_their_names():
    team = [why(b'{"workspace": "team-%d", "prompt": "a"}' % number, "legal") for number in (1, 2, 2)]
    found = [(each.lines, each.place) for each in reasons_of(*team).most_frequent()]
    assert found == [(2, "rows.jsonl, line 2"), (1, "rows.jsonl, line 1")]


def test_ids_that_stand_twice_are_one_reason_whatever_they_are():
    shown = ["'a-1'", '"it\'s"', f"'{'x' * 79}…"]
    twice = [f"id {each} stands already at rows.jsonl line {line}" for line, each in enumerate(shown, 1)]
    assert reasons_of(*twice).most_frequent() == [Reason(3, "rows.jsonl, line 1", twice[0])]


def test_what_differs_in_numbers_alone_is_one_reason():
    broken = [why(text, "legal") for text in (b'{"prompt": 1', b'{"a"', b'{"prompt": 12')]
    assert len(reasons_of(*broken).most_frequent()) < 3
    assert [each.lines for each in reasons_of("a line of 1,200,300 bytes", "a line of 7 bytes").most_frequent()] == [2]


def test_a_lone_line_is_told_by_its_place():
    assert list(told(1, reasons_of("a blank line").most_frequent(), ["legal"])) == ["rows.jsonl, line 1: a blank line"]


def test_an_object_or_an_array_over_several_lines_is_told_how_to_be_made_json_lines():
    for first in (b"[", b"{", b'[{"prompt": "a"}]'):
        lines = list(told(1, reasons_of(why(first, "legal")).most_frequent()))
        (hint,) = lines[1:]
        assert hint == (
            "a line must be one whole JSON object: jq -c writes one that stands over several lines so, and jq -c '.[]' those of an array; "
            "the last line of a file that is still being written may be half of one: run the same command again once it is whole"
        )


@pytest.mark.parametrize("between", [",", ";", "\t"])
@pytest.mark.parametrize("begins", [b"", codecs.BOM_UTF8], ids=["plain", "as Excel saves it"])
def test_a_table_is_told_how_to_be_made_json_lines_and_what_is_told_does_it(tmp_path, begins, between):
    # Of the last column this row has nothing: a cell that is empty says nothing, and no model is named so.
    (tmp_path / "rows.csv").write_bytes(begins + 'id,workspace,prompt,model\r\n7,legal,"你好，\n世界",\r\n'.replace(",", between).encode())
    reasons = Reasons()
    for number, line in enumerate((tmp_path / "rows.csv").read_bytes().removeprefix(begins).splitlines(), 1):
        reasons.add("rows.csv", number, why(line, "legal"))
    *_, hint = told(3, reasons.most_frequent())
    says, command = hint.split(": ", 1)
    assert says == "a table with headings (CSV) is made JSON lines by"
    with (tmp_path / "rows.csv").open() as table:
        made = subprocess.run(command, shell=True, stdin=table, capture_output=True, check=True).stdout
    row = read_line(made, {"legal": Inherited("qwen-plus", {}, b"")}, None)
    assert not isinstance(row, NotARow)
    assert (row.id, row.model, row.body()["messages"][0]["content"]) == ("7", "qwen-plus", "你好，\n世界")


@pytest.mark.parametrize(
    ("line", "says", "asked"),
    [
        ({"instruction": "总结", "input": "It's 5\n", "output": "x"}, "instructions (Alpaca) are made rows by", ["总结\n\nIt's 5\n"]),
        ({"instruction": "Sum up", "input": "", "output": "x"}, "instructions (Alpaca) are made rows by", ["Sum up"]),
        (
            {"id": "a", "conversations": [{"from": f, "value": v} for f, v in (("system", "s"), ("human", "你"), ("gpt", "b"))]},
            "conversations (ShareGPT) are made rows, each asked for its last answer anew, by",
            ["s", "你"],
        ),
        (
            {"conversations": [{"from": f, "value": v} for f, v in (("human", "a"), ("gpt", "b"), ("human", "c"))]},
            "conversations (ShareGPT) are made rows, each asked for its last answer anew, by",
            ["a", "b", "c"],
        ),
    ],
)
def test_lines_of_a_data_set_to_train_by_are_told_how_to_be_made_rows_and_what_is_told_does_it(line, says, asked):
    written = orjson.dumps(line)
    *_, hint = told(1, reasons_of(why(written, "legal")).most_frequent())
    said, command = hint.split(": ", 1)
    assert said == says
    made = subprocess.run(command, shell=True, input=written + b"\n", capture_output=True, check=True).stdout
    row = read_line(made, {"legal": Inherited("qwen-plus", {}, b"")}, "legal")
    assert not isinstance(row, NotARow)
    messages = row.body()["messages"]
    assert [message["content"] for message in messages] == asked
    assert messages[-1]["role"] == "user"


@pytest.mark.parametrize(
    "line",
    [
        {"id": None, "prompt": "你好\n", "标签": 1, "metadata": {"split": "test"}, "source's": None},
        {"prompt": "a", "label": "it's; b"},
        {"custom_id": "a", "body": {"messages": [{"role": "user", "content": "你好\n"}]}, "label": 1},
    ],
)
def test_lines_with_columns_of_their_own_are_told_how_these_become_metadata_and_what_is_told_does_it(line):
    written = orjson.dumps(line)
    *_, hint = told(1, reasons_of(why(written, "legal")).most_frequent())
    said, command = hint.split(": ", 1)
    assert said == "columns of your own are put into metadata by"
    made = subprocess.run(command, shell=True, input=written + b"\n", capture_output=True, check=True).stdout
    row = read_line(made, {"legal": Inherited("qwen-plus", {}, b"")}, "legal")
    assert not isinstance(row, NotARow)
    own = {name: cell for name, cell in line.items() if name not in {"id", "custom_id", "prompt", "body", "metadata"}}
    assert row.value["metadata"] == own | line.get("metadata", {})
    assert row.body()["messages"][0]["content"] in {"你好\n", "a"}


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_told_how_to_be_made_null_and_what_is_told_does_it_and_changes_nothing_else(word):
    """Programs that write a table by json.dumps write so what a cell has nothing of."""
    written = f'{{"id": 12345678901234567, "prompt": "1,234 NaN", "metadata": {{"amount": {word}, "paid": "0,10"}}}}'.encode()
    *_, hint = told(1, reasons_of(why(written, "legal")).most_frequent())
    said, command = hint.split(": ", 1)
    assert said == "NaN and Infinity, which pandas' to_json writes as null and json.dumps does not, are made null by"
    made = subprocess.run(command, shell=True, input=written + b"\n\n", capture_output=True, check=True).stdout
    row = read_line(made, {"legal": Inherited("qwen-plus", {}, b"")}, "legal")
    assert not isinstance(row, NotARow)
    assert row.value == {"id": 12345678901234567, "prompt": "1,234 NaN", "metadata": {"amount": None, "paid": "0,10"}}


@pytest.mark.parametrize("line", [{"promt": "a"}, {"question": "a"}, {"prompt": "a", "temperature": 1}, {"prompt": "a", "system": "b"}])
def test_of_a_line_that_lacks_something_else_nothing_is_said_of_metadata_and_a_command(line):
    assert len([*told(1, reasons_of(why(orjson.dumps(line), "legal")).most_frequent())]) == 1


def test_half_a_line_that_was_piped_in_is_no_file_to_wait_for():
    """Standard input is kept as it came, and the same command takes no other rows in its place."""
    reasons = Reasons()
    reasons.add("-", 2, why(b'{"prompt": 1', "legal"))
    place, hint = told(1, reasons.most_frequent())
    assert place.startswith("-, line 2: ")
    assert hint == "a line must be one whole JSON object; where the last one is half of one, what was piped in had ended too early"


@pytest.mark.parametrize(
    "headings", ["id,prompt", "text,label", "ticket;prompt", "name\tprompt", "full_text,id", '"id","prompt"', '"text";"id"']
)
def test_a_table_is_known_whatever_its_first_heading_begins_with_and_in_quotes_or_not(headings):
    (hint,) = [*told(1, reasons_of(why(headings.encode(), "legal")).most_frequent())][1:]
    assert hint.startswith("a table with headings (CSV) is made JSON lines by: ")


@pytest.mark.parametrize("line", ['{"prompt": "a"},', '{"prompt": "a"}{"prompt": "b"}', '["a"],', '{"prompt": tru}'])
def test_a_first_line_that_is_an_object_with_something_wrong_is_no_table(line):
    assert len([*told(1, reasons_of(why(line.encode(), "legal")).most_frequent())]) == 1


def test_a_broken_line_among_others_is_no_table():
    reasons = Reasons()
    reasons.add("rows.jsonl", 7, said := why(b"}", "legal"))
    assert list(told(1, reasons.most_frequent())) == [f"rows.jsonl, line 7: {said}"]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("not JSON: unexpected character at column 1", "a table with headings"),
        ("not JSON: unexpected character, expected a JSON value at column 1", "a table with headings"),
        ("not JSON: unexpected character at column 12", None),
        ("not JSON: invalid literal at column 1", "a table with headings"),
        ("not JSON: byte order mark (BOM) is not supported at column 1", "a byte order mark"),
        ("not JSON: UTF-8 byte order mark (BOM) is not supported at column 1", "a byte order mark"),
    ],
)
def test_a_file_of_another_kind_is_known_by_what_any_version_of_the_parser_says_of_it(said, hint):
    """And by what an older one said that the run began with."""
    hints = list(told(1, reasons_of(said).most_frequent()))[1:]
    assert (hints == []) if hint is None else hints[0].startswith(hint)


def test_text_in_another_encoding_is_told_how_to_be_made_utf_8():
    lines = list(told(1, reasons_of(why('{"prompt": "你好"}'.encode("gbk"), "legal")).most_frequent()))
    assert lines[1:] == ["the input must be UTF-8: iconv -f GB18030 -t UTF-8 makes it of GBK"]


def test_a_mark_between_files_that_were_put_together_is_told_how_to_be_taken_away():
    line = b'\xef\xbb\xbf{"prompt": "a"}'
    [_, hint] = told(1, reasons_of(why(line, "legal")).most_frequent())
    taken = subprocess.run(["sh", "-c", hint[hint.index("sed ") :].partition(" takes")[0]], input=line, capture_output=True, check=True)
    assert taken.stdout == b'{"prompt": "a"}'


@given(st.lists(st.text(max_size=20), max_size=60))
def test_every_line_is_counted_and_no_more_kinds_are_told_than_a_person_reads(said):
    reasons = reasons_of(*said)
    shown = reasons.most_frequent()
    lines = list(told(reasons.lines, shown))
    assert reasons.lines == len(said)
    assert len(shown) <= MOST_SHOWN
    counted = sum(each.lines for each in shown)
    assert lines[len(shown) :] == ([f"{len(said) - counted:,} more for other reasons"] if counted < len(said) else [])


def test_a_file_of_nothing_but_different_mistakes_is_counted_in_bounded_memory():
    reasons = reasons_of(*(f"workspace 'w{number}' is not one of the job's" for number in range(3000)))
    assert reasons.lines == 3000
    assert len(reasons._kinds) == 1000  # the bound is what is held
    assert list(told(reasons.lines, reasons.most_frequent()))[-1] == "2,995 more for other reasons"


def test_of_a_description_only_what_is_a_reason_is_read_and_without_one_nothing_is_told():
    whole: dict[str, Any] = {"lines": 2, "place": "rows.jsonl, line 1", "said": "no prompt"}
    wrong = [{**whole, "lines": True}, {**whole, "lines": "2"}, {**whole, "place": None}, {**whole, "said": 7}, {}, None, "x"]
    assert described([*wrong, whole]) == [Reason(**whole)]
    assert described(whole) == []
    assert list(told(3, [], ["legal"])) == []
