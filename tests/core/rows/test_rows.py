"""What is a row, and what every other line is told it lacks."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.rows.glances import Glances
from batchrun.core.rows.rows import MAX_REASON_CHARACTERS, Inherited, Line, NotARow, read_line
from tests.steps import lines_run

WORKSPACES = {
    "marketing": Inherited("qwen-plus", {"temperature": 0.2, "max_tokens": 400}, b"settings"),
    "legal": Inherited("qwen-plus", {"temperature": 0.2, "max_tokens": 400}, b"settings"),
    "café": Inherited("qwen-plus", {}, b""),
    "bare": Inherited(None, {}, b""),
}
SECRET = "the merger with Contoso"
USER = {"role": "user", "content": SECRET}


def read(line: object, default: str | None = "marketing") -> Line | NotARow:
    return read_line(line if isinstance(line, bytes) else orjson.dumps(line), WORKSPACES, default)


def row(line: object) -> Line:
    found = read(line)
    assert isinstance(found, Line), found
    return found


def asks(**fields: object) -> dict[str, object]:
    return {"prompt": SECRET, **fields}


def batch(**fields: object) -> dict[str, object]:
    return {"custom_id": "t-3", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [USER]}, **fields}


def messages(*given: object) -> dict[str, object]:
    return {"id": "t-1", "messages": list(given)}


NOT_ROWS: dict[str, tuple[object, str]] = {
    "empty": (b"", "blank line"),
    "only spaces": (b" \t\r", "blank line"),
    "not JSON at all": (b"Summarise the merger", "not JSON: unexpected character"),
    "cut short": (b'{"prompt": "the merger', "not JSON: unexpected end"),
    "NaN": (b'{"prompt": "x", "metadata": NaN}', "not JSON: unexpected character"),
    "Infinity": (b'{"prompt": "x", "metadata": Infinity}', "not JSON: unexpected character"),
    "an integer of 5,000 digits": (b'{"prompt": "x", "metadata": 1' + b"0" * 5000 + b"}", "not JSON: number is infinity"),
    "an order number of 26 digits": (
        b'{"prompt": "x", "metadata": {"order": [20261128220014000000000001]}}',
        "metadata has an integer of",
    ),
    "an id of 20 digits": (b'{"id": 18446744073709551616, "prompt": "x"}', "id has an integer of more than 64 bits: write it as text"),
    "a long negative integer": (b'{"prompt": "x", "parameters": {"seed": -9223372036854775809}}', "parameters has an integer of"),
    "a long integer in a batch line": (orjson.dumps(batch(metadata=[])).replace(b"[]", b"2" * 20), "metadata has an integer of"),
    "a long integer in a field of one's own": (b'{"prompt": "x", "order": 99999999999999999999}', "'order' has an integer of"),
    "a lone surrogate": (b'{"prompt": "x\\ud800"}', "lone surrogate"),
    "a wrong byte": (b'{"prompt": "\xff"}', "not UTF-8: a wrong byte at position 13"),
    "a surrogate in UTF-8": (b'{"prompt": "\xed\xa0\x80"}', "not UTF-8"),
    "a colon of a Chinese keyboard": ('{"prompt"：“x”}'.encode(), "at column 10, where ： stands: JSON wants plain"),
    "quotes of a word processor": ("{“prompt”: “x”}".encode(), "at column 2, where “ stands: JSON wants plain"),
    "NUL": (b'{"prompt": "x"}\x00', "NUL bytes, the first at position 16"),
    "a control character in text": (b'{"prompt": "a\x0bb"}', "control character"),
    "UTF-16": ('{"prompt": "x"}'.encode("utf-16"), "not UTF-8"),
    "a mark in the middle of a file": (b'\xef\xbb\xbf{"prompt": "x"}', "BOM"),
    "nested 200,000 deep": (b'{"prompt": "x", "metadata": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "depth"),
    "nested 300 deep": (b'{"prompt": "x", "metadata": ' + b"[" * 300 + b"]" * 300 + b"}", "nested deeper than 128"),
    "a million keys": (b"{" + b",".join(b'"%d":0' % n for n in range(1_000_000)) + b"}", "unknown field '0'"),
    "a million lists": (b'{"prompt": "x", "metadata": [' + b"[]," * 1_000_000 + b"0]}", "more than 1,000,000 values"),
    "a million fields of a field": (b'{"metadata": {' + b",".join(b'"%d":{}' % n for n in range(1_000_001)) + b"}}", "more than 1,000,000"),
    "an array": ([asks()], "an array: a line must be one JSON object"),
    "a number": (b"7", "a number"),
    "a string": (b'"x"', "a string"),
    "null": (b"null", "null"),
    "true": (b"true", "true or false"),
    "two objects": (b'{"prompt": "x"}{"prompt": "y"}', "unexpected content after document"),
    "two objects between carriage returns": (b'{"prompt": "x"}\r{"prompt": "y"}', "carriage returns"),
    "a comment": (b'{"prompt": "x"} // mine', "unexpected content after document"),
    "a trailing comma": (b'{"prompt": "x",}', "trailing comma"),
    "not a number": (b'{"prompt":"x","metadata":{"v":NaN}}', "column 31, where NaN stands: JSON has no such word, and wants null"),
    "without end": (b'{"prompt":"x","metadata":{"v":-Infinity}}', ", where Infinity stands: JSON has no such word, and wants null"),
    "Python's nothing": (b'{"prompt":"x","metadata":None}', ", where None stands: JSON has no such word, and wants null"),
    "Python's truth": (b'{"prompt":"x","stream":True}', ", where True stands: JSON has no such word, and wants true"),
    "single quotes": (b"{'prompt': 'x'}", "at column 2, where ' stands: JSON wants \", as json.dumps writes it and str does not"),
    "a key twice": (b'{"prompt": "x", "prompt": "y"}', "'prompt' stands twice, at columns 2 and 17"),
    "a key twice, deep": (b'{"prompt": "x", "metadata": {"the merger": 1, "the merger": 1}}', "a key stands twice in metadata"),
    "no fields": ({}, "no prompt"),
    "null id": (asks(id=None), "id must be a non-empty string or an integer"),
    "true id": (asks(id=True), "id must be a non-empty string or an integer"),
    "float id": (asks(id=1.5), "id must be a non-empty string or an integer"),
    "empty id": (asks(id=""), "id must be a non-empty string or an integer"),
    "blank id": (asks(id=" "), "id must be a non-empty string or an integer"),
    "an object as id": (asks(id={}), "id must be a non-empty string or an integer"),
    "long id": (asks(id="x" * 513), "id has 513 characters: at most 512"),
    "id with a newline": (asks(id="a\nb"), "id holds a control character"),
    "id with an escape": (asks(id="a\x9bb"), "id holds a control character"),
    "null custom_id": (batch(custom_id=None), "custom_id must be"),
    "unknown workspace": (asks(workspace="Legall"), "workspace 'Legall' is not one of the job's (nearest: 'legal')"),
    "workspace in capitals": (asks(workspace="LEGAL"), "(nearest: 'legal', the same letters written another way)"),
    "workspace's Unicode twin": (asks(workspace="cafe\u0301"), "the same letters written another way"),
    "workspace as a path": (asks(workspace="../x"), "workspace '../x' is not one of the job's"),
    "workspace as a device": (asks(workspace="CON"), "workspace 'CON' is not one of the job's"),
    "workspace of 300 characters": (asks(workspace="w" * 300), "w'… is not one of the job's"),
    "workspace with an escape": (asks(workspace="\x1b[31m\u202e"), r"'\x1b[31m\u202e'"),
    "null workspace": (asks(workspace=None), "no workspace"),
    "workspace as a number": (asks(workspace=3), "workspace must be a string"),
    "workspace as a list": (asks(workspace=["legal"]), "workspace must be a string"),
    "prompt and messages": (asks(messages=[USER]), "both prompt and messages"),
    "empty prompt": ({"prompt": ""}, "prompt must be text"),
    "blank prompt": ({"prompt": " \n\u3000"}, "prompt must be text"),
    "prompt as a list": ({"prompt": [SECRET]}, "prompt must be text"),
    "no messages": (messages(), "messages must be a non-empty list"),
    "messages as text": ({"messages": SECRET}, "messages must be a non-empty list"),
    "a message as text": (messages(USER, SECRET), "messages[1] must be an object"),
    "wrong role": (messages({"role": "human", "content": SECRET}), "messages[0].role must be one of assistant, "),
    "role as a list": (messages({"role": ["user"], "content": SECRET}), "messages[0].role"),
    "text as role": (messages({"role": SECRET, "content": "user"}), "messages[0].role"),
    "content as a number": (messages(USER, {"role": "user", "content": 5}), "messages[1].content must be"),
    "no content": (messages({"role": "user"}), "messages[0].content must be"),
    "empty parts": (messages({"role": "user", "content": []}), "messages[0].content must be"),
    "a part as text": (messages({"role": "user", "content": [SECRET]}), "messages[0].content must be"),
    "a silent assistant": (messages({"role": "assistant", "content": None}), "messages[0].content must be"),
    "an assistant's content as a number": (
        messages({"role": "assistant", "content": 5, "tool_calls": [{}]}),
        "messages[0].content must be",
    ),
    "a user with tool_calls alone": (messages({"role": "user", "tool_calls": [{}]}), "messages[0].content must be"),
    "model as a number": (asks(model=5), "model must be a non-empty string"),
    "empty model": (asks(model=""), "model must be a non-empty string"),
    "blank model": (asks(model=" \t"), "model must be a non-empty string"),
    "long model": (asks(model="m" * 257), "model must be at most 256"),
    "model with a newline": (asks(model="a\nb"), "none of them a control character"),
    "no model": (asks(workspace="bare"), "no model: name one in the line, or a default in the job"),
    "parameters as a list": (asks(parameters=[1]), "parameters must be an object"),
    "model in parameters": (asks(parameters={"model": "x"}), "parameters must not hold model"),
    "messages in parameters": (asks(parameters={"messages": []}), "parameters must not hold messages"),
    "stream as a word": (asks(stream="yes"), "stream must be true or false"),
    "stream as a list": (asks(parameters={"stream": []}), "parameters.stream must be true or false"),
    "unknown field": (asks(promt="x"), "unknown field 'promt' (nearest: prompt)"),
    "a field of the user's own": (asks(customer="x"), "unknown field 'customer'; fields of your own go into \"metadata\""),
    "a prompt by another name": (
        b'{"workspace": "legal", "text": "a"}',
        "unknown field 'text'; what is asked stands in prompt (text) or messages (a list); fields of your own",
    ),
    "a parameter": (asks(temperature=0.2), "unknown field 'temperature'; what is set for the model goes into \"parameters\""),
    "a parameter beside a body": (batch(temperature=0.2), 'goes into "body"'),
    "a field without end": (asks(**{"f" * 10_000: 1}), "unknown field '" + "f" * 40),
    "no body": ({"custom_id": "t-3", "prompt": SECRET}, "body is missing"),
    "body as text": (batch(body=SECRET), "body is missing"),
    "body without messages": (batch(body={"model": "x"}), "body.messages must be a non-empty list"),
    "id in batch form": (batch(id="x"), "unknown field 'id'; beside a body, custom_id names the row"),
    "messages beside a body": (batch(messages=[USER]), "all that is asked stands in the body"),
    "an id as tables with gaps have it": (asks(id=12.0), 'and has a point: pandas makes integers of a column by astype("Int64")'),
    "method GET": (batch(method="GET"), "method must be POST"),
    "the URL with its host": (
        batch(url="https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions"),
        "url must be /v1/chat/completions: where that is, the job's endpoint says",
    ),
    "a system prompt beside": (asks(system=SECRET), "unknown field 'system'; a system prompt is the first of messages: "),
    "a call of DashScope's": ({"model": "m", "input": {"messages": [USER]}}, "unknown field 'input'; what DashScope's calls have in it"),
    "a text as input": ({"model": "m", "input": SECRET}, "unknown field 'input'; what is asked stands in prompt"),
    "another URL": (batch(url="/v1/embeddings"), "url must be /v1/chat/completions: batchrun asks chat models only"),
    "a URL as a number": (batch(url=7), "url must be /v1/chat/completions: batchrun asks chat models only"),
    "stream in batch form": (batch(body={"messages": [USER], "stream": 1}), "body.stream must be true or false"),
}


@pytest.mark.parametrize("kind", NOT_ROWS)
def test_a_line_that_is_no_row_is_told_what_it_lacks_and_never_quoted(kind):
    line, reason = NOT_ROWS[kind]
    found = read(line)
    assert isinstance(found, NotARow)
    assert reason in found.reason
    assert "merger" not in found.reason
    assert len(found.reason) <= MAX_REASON_CHARACTERS
    assert found.reason.isprintable()


def test_text_in_quotes_that_does_not_end_is_told_as_a_line_that_was_cut_and_not_as_one_behind_which_more_stands():
    found = read(b'"id","prompt')
    assert isinstance(found, NotARow)
    assert "behind text in quotes" in found.reason
    cut = read(b'"Summarise')
    assert isinstance(cut, NotARow)
    assert "behind" not in cut.reason


def test_a_line_refused_for_something_else_still_tells_its_id_and_workspace():
    assert read({"id": 7, "workspace": "legal", "prompt": ""}) == NotARow("prompt must be text that is not blank", "7", "legal")


def test_an_id_or_a_workspace_that_is_itself_wrong_is_not_handed_on():
    found = read({"id": "a\nb", "workspace": "../x", "prompt": "hello"})
    assert isinstance(found, NotARow)
    assert (found.id, found.workspace) == (None, None)


def test_lines_that_name_the_same_workspace_which_the_job_has_not_have_the_nearest_looked_for_once():
    """Of three hundred workspaces, a million such lines had taken two minutes more."""
    line = orjson.dumps({"workspace": "no-such-1", "prompt": "hello"})
    many = {f"team-{number}": WORKSPACES["legal"] for number in range(300)} | {"no-such-2": WORKSPACES["legal"]}

    def told() -> None:
        found = read_line(line, many, None)
        assert isinstance(found, NotARow)
        assert "(nearest: 'no-such-2')" in found.reason

    first, second = (lines_run(told, "difflib.py", "rows/unfit.py", "rows/meant.py") for _ in range(2))
    assert first > 1000
    assert second < 100


def test_lines_that_name_the_same_workspace_which_the_job_has_not_are_not_each_held_against_all_that_it_has():
    """Of ten thousand workspaces each such line had taken half a millisecond."""

    class Looked(dict[str, Inherited]):
        times = 0

        def __iter__(self):
            self.times += 1
            return super().__iter__()

    many = Looked({f"team-{number}": WORKSPACES["legal"] for number in range(300)})
    for _ in range(5):
        assert isinstance(read_line(orjson.dumps({"workspace": "no-team", "prompt": "hello"}), many, None), NotARow)
    assert many.times == 1


def test_a_line_without_workspace_and_without_a_default_is_refused():
    found = read({"prompt": "hello"}, default=None)
    assert isinstance(found, NotARow)
    assert "no workspace" in found.reason


ROWS: dict[str, object] = {
    "a prompt": asks(),
    "line ends and spaces": b'  {"prompt": "x"} \r\n',
    "an id with path signs": asks(id="../a/b"),
    "a line separator in text": asks(id="a", metadata="\u2028\u2029\x7f"),
    "an id with what is no control character and does not print": asks(id="Order\xa07\u200b\u2028"),
    "parts": messages({"role": "user", "content": [{"type": "text", "text": "x"}]}),
    "an assistant that called a tool": messages(USER, {"role": "assistant", "tool_calls": [{}]}, {"role": "tool", "content": ""}),
    "an assistant that called a function": messages(USER, {"role": "assistant", "content": None, "function_call": {"name": "f"}}),
    "every role": messages(*({"role": role, "content": "x"} for role in ("system", "developer", "user", "assistant", "tool", "function"))),
    "nulls for what is not used": asks(messages=None, model=None, parameters=None, metadata=None),
    "odd parameters": asks(parameters={"max_tokens": -1, "stream": False, "seed": 2**63}),
    "the longest integers": asks(metadata=[2**64 - 1, -(2**63), "9" * 40, {"large": 1e300, "small": -1.5e19}]),
    "text full of brackets": asks(metadata="[{" * 1000),
    "text of a million commas": asks(metadata='a,"b",' * 1_000_000),
    "nested 100 deep": b'{"prompt": "x", "metadata": ' + b"[" * 100 + b"]" * 100 + b"}",
    "OpenAI Batch": batch(),
    "OpenAI Batch without its envelope": {"body": {"messages": [USER]}},
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_can_be_asked_and_written(kind):
    made = row(ROWS[kind]).row("t-1")
    assert made.body["model"] == "qwen-plus"
    assert made.body["messages"]
    assert orjson.loads(orjson.dumps(made))["body"] == made.body


def test_an_integer_id_is_the_same_id_as_its_digits():
    assert row(asks(id=1)).id == row(asks(id="1")).id == "1"


def test_the_body_of_a_prompt_is_a_user_message_and_the_row_overrides_its_workspace():
    body = row(asks(parameters={"seed": 7, "temperature": 0})).body()
    assert list(body.items()) == [
        ("model", "qwen-plus"),
        ("messages", [USER]),
        ("temperature", 0),
        ("max_tokens", 400),
        ("seed", 7),
    ]


def test_a_batch_body_stays_as_written_and_takes_only_what_it_lacks():
    body = row(batch(body={"max_tokens": 9, "messages": [USER], "model": "qwen-max"}, metadata={"n": 1})).body()
    assert list(body.items()) == [("max_tokens", 9), ("messages", [USER]), ("model", "qwen-max"), ("temperature", 0.2)]
    assert list(row(batch()).body()) == ["messages", "temperature", "max_tokens", "model"]


def test_changing_one_body_changes_neither_the_defaults_nor_the_next_body():
    line = row(batch())
    line.body()["temperature"] = 2
    line.body().pop("messages")
    assert line.body()["temperature"] == 0.2
    assert line.body()["messages"] == [USER]
    assert WORKSPACES["marketing"].parameters == {"temperature": 0.2, "max_tokens": 400}


def test_the_digest_tells_line_workspace_and_settings_apart_and_nothing_else():
    line = orjson.dumps(asks())
    here, there = read_line(line, WORKSPACES, "marketing"), read_line(b" " + line + b"\r\n", WORKSPACES, "marketing")
    assert isinstance(here, Line)
    assert isinstance(there, Line)
    assert here.digest == there.digest
    assert here.row("t").digest == f"{here.digest:016x}"
    salted = {"marketing": Inherited("qwen-plus", {}, b"others")}
    others = [read_line(line, WORKSPACES, "legal"), read_line(line, salted, "marketing"), row(asks(prompt=SECRET + "."))]
    assert all(isinstance(other, Line) and other.digest != here.digest for other in others)


def test_a_salt_too_long_for_the_digest_is_refused_where_it_is_given():
    with pytest.raises(ValueError, match="at most 64"):
        Inherited(None, {}, b"x" * 65)


def test_a_made_id_knows_workspace_and_content_but_not_the_order_of_keys():
    one, other = row(b'{"prompt": "x", "model": "m"}'), row(b'{ "model":"m","prompt":"x"}')
    assert one.made_id() == other.made_id()
    assert one.made_id().startswith("r-")
    assert len(one.made_id()) == 18
    assert one.id is None
    assert row({"prompt": "x", "workspace": "legal"}).made_id() != row({"prompt": "x"}).made_id()
    assert row({"prompt": "y", "model": "m"}).made_id() != one.made_id()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["id", "workspace", "prompt", "messages", "model", "parameters", "metadata", "custom_id", "method", "url", "body", "role", "content"],
)
NEAR_ROWS = st.dictionaries(
    FIELDS, JSON | st.sampled_from(["user", "legal", "POST"]) | st.lists(st.dictionaries(FIELDS, JSON)) | st.dictionaries(FIELDS, JSON)
)


@given(
    st.binary() | JSON.map(json.dumps).map(str.encode) | NEAR_ROWS.map(json.dumps).map(str.encode), st.sampled_from([None, "legal", "bare"])
)
def test_any_bytes_are_a_row_or_have_a_reason(line, default):
    match read_line(line, WORKSPACES, default):
        case NotARow(reason):
            assert 0 < len(reason) <= MAX_REASON_CHARACTERS
            assert reason.isprintable()
        case made:
            orjson.dumps(made.row(made.id or made.made_id()))


def glance(glances: Glances, line: bytes) -> tuple[object, ...] | None:
    ((lane, row_id, digest),) = zip(*glances.of([line])[:3], strict=True)
    return None if lane is None else (lane, row_id, digest)


def glance_and_line(line: bytes, default: str | None = "marketing") -> tuple[object, object]:
    seen, read = glance(Glances(WORKSPACES, default), line), read_line(line, WORKSPACES, default)
    return seen, ((read.workspace, read.model), read.id or read.made_id(), read.digest) if isinstance(read, Line) else None


@pytest.mark.parametrize("kind", [*NOT_ROWS, *ROWS])
def test_a_glance_at_a_line_of_any_kind_tells_the_same_as_a_careful_look_or_nothing(kind):
    line = NOT_ROWS[kind][0] if kind in NOT_ROWS else ROWS[kind]
    written = line if isinstance(line, bytes) else orjson.dumps(line)
    seen, careful = glance_and_line(written)
    assert seen in {None, careful}
    with_id, careful = glance_and_line(written.replace(b"{", b'{"id":"t-9",', 1))
    assert with_id in {None, careful}


@given(
    st.binary() | JSON.map(json.dumps).map(str.encode) | NEAR_ROWS.map(json.dumps).map(str.encode), st.sampled_from([None, "legal", "bare"])
)
def test_a_glance_at_any_bytes_tells_the_same_as_a_careful_look_or_nothing(line, default):
    seen, careful = glance_and_line(line, default)
    assert seen in {None, careful}


FIT = st.fixed_dictionaries(
    {"id": st.sampled_from(["t-1", "编号", "x" * 512]), "prompt": st.sampled_from(["Ask.", " so"])},
    optional={"workspace": st.sampled_from(["legal", "café"]), "model": st.sampled_from(["qwen-max", None])},
)
NO_IDS: list[object] = ["", " ", 7, "a\nb", "x" * 513, None]
NO_PROMPTS: list[object] = ["", " \n", 7, ["Ask."], None]
NO_MODELS: list[object] = ["", 7, ["max"], "a\nb"]
NO_WORKSPACES: list[object] = ["nobody", 7, ["legal"], {}]
OTHERS: list[object] = [
    *(asks(id=each) for each in NO_IDS),
    *({"id": "t-1", "prompt": each} for each in NO_PROMPTS),
    *(asks(id="t-1", model=each) for each in NO_MODELS),
    *(asks(id="t-1", workspace=each) for each in NO_WORKSPACES),
    *({"id": "t-1"}, {"prompt": "Ask."}, [], "text", 7, None, messages(USER), batch(), asks(id="t-1", mood="good")),
]


@given(st.lists(st.one_of(FIT, FIT, FIT, NEAR_ROWS, st.sampled_from(OTHERS)).map(json.dumps).map(str.encode), min_size=1, max_size=8))
def test_lines_are_seen_together_as_each_is_alone(lines):
    lines = [*lines, b"not json"] if len(lines) % 2 else lines
    glances = Glances(WORKSPACES, "marketing")
    alone = [glance(Glances(WORKSPACES, "marketing"), line) for line in lines]
    assert [*map(glance, [glances] * len(lines), lines)] == alone
    seen = glances.of(lines)
    assert [each if each[0] else None for each in zip(*seen[:3], strict=True)] == alone


@pytest.mark.parametrize(
    "line",
    [
        asks(id="t-1"),
        asks(id="编号", workspace="café", model="qwen-max"),
        asks(id="a", parameters={"seed": 1}, stream=True, metadata=[1]),
        messages(USER),
        batch(),
        batch(body={"model": "qwen-max", "messages": [USER]}),
    ],
)
def test_a_row_of_a_usual_form_is_seen_at_a_glance(line):
    seen, careful = glance_and_line(orjson.dumps(line) + b"\r\n")
    assert seen == careful is not None
