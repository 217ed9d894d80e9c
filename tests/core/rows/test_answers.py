"""What an answer must hold to, and how a row whose answer does not is asked again."""

from __future__ import annotations

import socket
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.errors import JobError
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.model import Answered, Call, Failure, Fault, Reply, Row, Scope, Usage
from batchrun.core.rows.answers import Answers, Schema

LABEL = Schema({"type": "object", "required": ["label"], "properties": {"label": {"enum": ["good", "bad"]}}})
GOOD, BAD = '{"label": "good"}', '{"label": "ugly"}'


def said(content, finish_reason="stop", **more):
    return Reply(content, finish_reason, Usage(7, 3), "r-1", **more)


def checked(answers, reply, ordinal=0, *, tools=False):
    check = answers.checking(ordinal, tools=tools)
    assert check is not None
    return check(reply)


def refusal(answers, reply, ordinal=0, *, tools=False):
    result = checked(answers, reply, ordinal, tools=tools)
    assert isinstance(result, Failure), result
    return result


def mistake(document):
    with pytest.raises(JobError) as refused:
        Schema(document)
    (found,) = refused.value.mistakes
    assert found.where == "answers.schema"
    return found.allowed


# Schemas


def test_a_schema_is_of_2020_12_unless_it_names_another_draft():
    pair = {"prefixItems": [{"type": "string"}], "items": False}
    assert Schema(pair).complaints(["a"]) == []
    assert Schema(pair).complaints(["a", 1])
    old = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}], "additionalItems": False}
    assert Schema(old).complaints(["a"]) == []
    assert Schema(old).complaints(["a", 1])
    assert mistake({"items": [{"type": "string"}]}).startswith("items: ")


def test_references_within_a_schema_are_followed():
    tree = Schema(
        {"$defs": {"node": {"properties": {"inner": {"$ref": "#/$defs/node"}, "name": {"type": "string"}}}}, "$ref": "#/$defs/node"}
    )
    assert tree.complaints({"inner": {"inner": {"name": "a"}}}) == []
    assert tree.complaints({"inner": {"inner": {"name": 1}}}) == ["$.inner.inner.name: 1 is not of type 'string'"]
    named = Schema({"$id": "https://example.invalid/a", "$defs": {"z": {"$id": "b", "type": "string"}}, "items": {"$ref": "b"}})
    assert named.complaints([1]) == ["$[0]: 1 is not of type 'string'"]


@pytest.mark.parametrize("place", ["items", "not"])
def test_a_schema_that_refers_to_another_is_refused_before_any_call_and_nothing_is_fetched(place):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.01)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/schema.json"
        assert url in mistake({"properties": {"a": {place: {"$ref": url}}}})
        with pytest.raises(TimeoutError):
            listener.accept()


def shared(schema):
    return {"properties": {"a": {"$ref": "#/components/schemas/a"}}, "components": {"schemas": {"a": schema}}}


def test_a_schema_may_keep_others_where_its_dialect_does_not_look():
    own = {"$ref": "#/components/schemas/a"}
    schema = Schema(shared({"type": "object", "properties": {"b": own}, "additionalProperties": False}))
    assert schema.complaints({"a": {"b": {"b": {}}}}) == []
    assert schema.complaints({"a": {"b": {"c": 1}}})
    assert Schema(shared(True)).complaints({"a": 1}) == []


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"properties": {"a": {"type": "strin"}}}, "properties/a/type: 'strin' is not valid"),
        ({"type": 5}, "type: 5 is not"),
        ({"properties": []}, "properties: [] is not of type 'object'"),
        ({"properties": {"a": {"pattern": "("}}}, "properties/a/pattern: '(' is not a 'regex'"),
        ({"$ref": 5}, "$ref: 5 is not of type 'string'"),
        ({"$schema": 7}, "$schema: must be a URL"),
        ({"$schema": ["http://json-schema.org/draft-07/schema#"]}, "$schema: must be a URL"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "a $ref leads nowhere"),
        ({"properties": {"a": {"$ref": "#none"}}}, "a $ref leads nowhere"),
        ({"properties": {"a": {"$ref": "other.json"}}}, "a $ref leads nowhere in it: other.json"),
        ({"x": {"$ref": "https://example.invalid/"}, "items": {"$ref": "#/x"}}, "a $ref leads nowhere in it: https://example.invalid/"),
        ({"items": {"$dynamicRef": "#none"}}, "a $ref leads nowhere"),
        ({"$ref": "#"}, "a $ref leads back to itself"),
        ({"$id": "http://[", "items": {"$id": "a", "$ref": "b"}}, "a $ref leads nowhere"),
        # What stands where no dialect looks: it had ended the run in a traceback, with the first answer that was held against it.
        (shared({"type": "strin"}), "#/components/schemas/a/type: 'strin' is not valid"),
        (shared({"pattern": "["}), "#/components/schemas/a/pattern: '[' is not a 'regex'"),
        (shared({"minLength": "a"}), "#/components/schemas/a/minLength: 'a' is not of type 'integer'"),
        (shared({"properties": 3}), "#/components/schemas/a/properties: 3 is not of type 'object'"),
        (shared([]), "#/components/schemas/a: [] is not of type"),
        ({"items": {"$ref": "#/x/0"}, "x": [{"not": {"type": "strin"}}]}, "#/x/0/not/type: 'strin' is not valid"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "items": {"patternProperties": {"[": {}}}}, "'[' is not a 'regex'"),
        ({"$schema": "http://json-schema.org/draft-03/schema#", "properties": {"a": {"type": "strin"}}}, "'strin' is no type"),
    ],
    ids=str,
)
def test_what_is_no_schema_is_a_mistake_of_the_job_that_names_its_place(document, told):
    found = mistake(document)
    assert told in found
    assert len(found) < 500


def test_what_only_looks_like_a_reference_is_none():
    schema = Schema({"properties": {"$ref": {"type": "string"}}, "enum": [{"$ref": "https://example.invalid/"}]})
    assert schema.complaints({"$ref": "https://example.invalid/"}) == []


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=400), max_size=30), st.integers(1, 400))
def test_complaints_are_few_and_short_whatever_the_answer(texts, size):
    schema = Schema({"additionalProperties": {"type": "integer"}, "items": {"type": "integer"}})
    for content in (texts, {text * size: text for text in texts}):
        answers = Answers(schema, 1)
        result = checked(answers, said(orjson.dumps(content).decode()))
        if isinstance(result, Failure):
            assert len(result.message) <= 1000
            assert len(orjson.dumps(answers.asked(0)[1][1])) <= 8000


def test_a_complaint_says_what_is_wrong_behind_a_place_of_any_length():
    schema = Schema({"additionalProperties": {"type": "integer"}})
    assert refusal(Answers(schema, 1), said(orjson.dumps({"k" * 10_000: "a"}).decode())).message.endswith(
        "kkk: 'a' is not of type 'integer'"
    )


# Checks


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        f"  {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}```",
        f"\n```JSON\r\n{GOOD}\n```  \n",
        '```json\n{"label":\n"good"}\n\n```',
        f"``` \n\n{GOOD} ```",
    ],
)
def test_json_that_fits_is_parsed_in_a_block_of_markdown_too(content):
    result = checked(Answers(LABEL, 2), said(content))
    assert isinstance(result, Reply)
    assert (result.parsed, result.content) == ({"label": "good"}, content)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (BAD, "$.label: 'ugly' is not one of ['good', 'bad']"),
        ("{}", "$: 'label' is a required property"),
        ("[]", "$: [] is not of type 'object'"),
        ("", "$: empty"),
        (" \n", "$: empty"),
        ("Sure! Here it is:", "$: not JSON ("),
        (f"Sure!\n```json\n{GOOD}\n```", "$: not JSON ("),
        (f"```json\n{GOOD}\n``", "$: not JSON ("),
        (f"```json\n{GOOD} ok", "$: not JSON ("),
        (GOOD[:-1], "$: not JSON ("),
        (f"{GOOD} {GOOD}", "$: not JSON ("),
        ('{"label": NaN}', "$: not JSON ("),
        ('{"label": 1e400}', "$: not JSON ("),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(content, complaint):
    failure = refusal(Answers(LABEL, 2), said(content))
    assert failure.message.startswith(complaint)
    assert (failure.fault, failure.scope, failure.code, failure.status) == (Fault.REASK, Scope.ROW, "schema_mismatch", 200)


@pytest.mark.parametrize("runaway", [" ", "\n", "\n "])
def test_a_block_that_ends_in_nothing_but_blanks_is_looked_through_once(runaway):
    """Models that are held to JSON write blanks until they are cut."""
    began = time.thread_time()
    failure = refusal(Answers(LABEL, 2), said('```json\n{"label": ' + runaway * 100_000, "length"))
    assert time.thread_time() - began < 1
    assert failure.message.startswith("$: not JSON (")


@pytest.mark.parametrize("levels", [200, 245, 300, 900, 2000])
def test_an_answer_nested_deeper_than_an_entry_can_be_is_refused_and_one_that_can_be_written_is_kept(levels):
    row, call = Row("r", "w", "m", {}, "0" * 16), Call("1-1", 1, 0.0, 1)
    result = checked(Answers(Schema({}), 0), said("[" * levels + "]" * levels))
    if isinstance(result, Reply):
        assert levels <= 245
        assert all(write_entry(Answered(row, result, call), form, raw=False) for form in ("batchrun", "openai-batch"))
    else:
        assert levels > 245
        assert "nested too deeply" in result.message or "not JSON" in result.message


def test_an_answer_that_a_recursive_schema_cannot_follow_to_its_end_is_refused():
    tree = Schema({"$defs": {"t": {"items": {"$ref": "#/$defs/t"}}}, "$ref": "#/$defs/t"})
    assert "nested too deeply" in refusal(Answers(tree, 0), said("[" * 245 + "]" * 245)).message


def test_without_a_schema_and_without_tools_there_is_nothing_to_check():
    assert Answers(None, 2).checking(0, tools=False) is None


def test_a_plain_answer_of_a_row_with_tools_is_taken_as_it_is():
    reply = said("no JSON at all")
    assert checked(Answers(None, 2), reply, tools=True) is reply


def calls(*arguments):
    return [{"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": each}} for each in arguments]


@pytest.mark.parametrize("arguments", ['{"city": "杭州"}', "{}", "", {"city": "x"}])
def test_tool_calls_whose_arguments_are_json_are_taken(arguments):
    reply = said("", "tool_calls", tool_calls=calls("{}", arguments))
    assert checked(Answers(LABEL, 2), reply, tools=True) is reply, "and the schema is not for them"


@pytest.mark.parametrize(
    ("tool_calls", "told"),
    [
        (calls('{"city": '), "the arguments of 'look_up' are not JSON"),
        (calls("{}", "city"), "the arguments of 'look_up' are not JSON"),
        (["look_up"], "a tool call without a function"),
        ([{"function": {"name": "look_up"}}], "a tool call without a function"),
        ([{"function": {"name": "n" * 10_000, "arguments": "{"}}] * 100, "the arguments of 'nnn"),
    ],
)
def test_tool_calls_whose_arguments_are_no_json_are_asked_for_anew_and_nothing_is_added_to_the_talk(tool_calls, told):
    answers = Answers(None, 1)
    failure = refusal(answers, said("", "tool_calls", tool_calls=tool_calls), tools=True)
    assert failure.message.startswith(told)
    assert len(failure.message) < 1000
    assert (failure.fault, failure.code) == (Fault.REASK, "bad_tool_arguments")
    assert answers.asked(0) == (1, [])


# Asking again


@pytest.mark.parametrize("reasks", [0, 1, 3])
def test_a_row_is_asked_again_as_often_as_the_job_says_and_then_rejected_with_what_was_paid_for(reasks):
    answers = Answers(LABEL, reasks)
    for ask in range(reasks):
        assert refusal(answers, said(BAD)).fault is Fault.REASK
        assert answers.asked(0)[0] == ask + 1
    last = said(BAD)
    failure = refusal(answers, last)
    assert (failure.fault, failure.reply, failure.usage, failure.request_id) == (Fault.REJECT, last, Usage(7, 3), "r-1")
    assert "--retry-rejected" in failure.advice
    assert answers.asked(0) == (0, [])


def test_the_next_ask_shows_the_model_its_latest_answer_and_what_was_wrong_with_it():
    answers = Answers(LABEL, 3)
    for content in ("nonsense", BAD):
        refusal(answers, said(content))
    asks, (shown, told) = answers.asked(0)
    assert (asks, shown) == (2, {"role": "assistant", "content": BAD})
    assert told["role"] == "user"
    assert "$.label: 'ugly' is not one of" in told["content"]


@pytest.mark.parametrize("asked_before", [False, True])
def test_an_answer_cut_at_its_length_is_rejected_and_not_paid_for_again(asked_before):
    answers = Answers(LABEL, 3)
    if asked_before:
        refusal(answers, said(BAD))
    failure = refusal(answers, said('{"label": "go', "length"))
    assert (failure.fault, failure.reply is not None) == (Fault.REJECT, True)
    assert answers.asked(0) == (0, [])


def test_a_whole_answer_at_its_length_that_fits_is_taken():
    assert isinstance(checked(Answers(LABEL, 3), said(GOOD, "length")), Reply)


def test_a_refused_answer_without_usage_is_in_doubt():
    failure = refusal(Answers(LABEL, 1), Reply(BAD, "stop", None))
    assert (failure.in_doubt, failure.usage) == (True, None)
    assert not refusal(Answers(LABEL, 1), said(BAD)).in_doubt


ROUNDS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([GOOD, BAD, "nonsense"]), st.sampled_from(["stop", "length"])), max_size=40)


@given(ROUNDS, st.integers(0, 3))
def test_rows_never_mix_and_nothing_is_remembered_of_a_row_that_is_done(rounds, reasks):
    answers = Answers(LABEL, reasks)
    asks = dict.fromkeys(range(5), 0)
    latest: dict[int, str] = {}
    for ordinal, content, finish_reason in rounds:
        result = checked(answers, said(content, finish_reason), ordinal)
        again = isinstance(result, Failure) and result.fault is Fault.REASK
        assert again == (content != GOOD and finish_reason == "stop" and asks[ordinal] < reasks)
        asks[ordinal] = asks[ordinal] + 1 if again else 0
        latest[ordinal] = content
        for each, asked in asks.items():
            said_before = answers.asked(each)
            assert said_before[0] == asked
            assert [message["content"] for message in said_before[1][:1]] == ([latest[each]] if asked else [])
    assert len(answers.talks) == sum(asked > 0 for asked in asks.values())
