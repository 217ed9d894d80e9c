"""What the client of dashscope 2 makes of the simulator: it raises, by the code first and then by the status."""

from __future__ import annotations

import pytest

from tests.sdk.test_dashscope_errors import REFUSALS
from tests.sdk.test_openai_answers import UUID

pytestmark = pytest.mark.kind("client")

CLASSES = {
    "wrong key": "AuthenticationError",
    "denied model": "PermissionDeniedError",
    "free tier gone": "PermissionDeniedError",
    "not bought": "PermissionDeniedError",
    "overdue account": "PermissionDeniedError",
    "unknown model": "NotFoundError",
    "inspection": "ContentFilterError",
    "too large": "RequestTooLargeError",
    "too many requests": "RateLimitError",
    "growing too fast": "RateLimitError",
    "too many tokens": "RateLimitError",
    "internal error": "InternalServerError",
    "unavailable": "ServiceUnavailableError",
}


def test_a_plain_answer_has_content_an_ending_and_its_tokens(dashscope_client):
    answer = dashscope_client.create()
    assert "raised" not in answer, answer
    assert UUID.fullmatch(answer["request_id"])
    [choice] = answer["choices"]
    assert choice["message"]["content"]
    assert choice["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == answer["usage"]["input_tokens"] + answer["usage"]["output_tokens"]


def test_a_stream_ends_once_with_all_its_tokens(dashscope_client):
    outcome = dashscope_client.create(stream=True)
    assert "raised" not in outcome, outcome
    chunks = outcome["chunks"]
    assert "".join(chunk["choices"][0]["delta"]["content"] or "" for chunk in chunks)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks].index("stop") == len(chunks) - 1
    assert len({chunk["request_id"] for chunk in chunks}) == 1
    assert chunks[-1]["usage"]["output_tokens"] == max(chunk["usage"]["output_tokens"] for chunk in chunks)


@pytest.mark.parametrize("name", CLASSES)
def test_a_refusal_is_raised_with_the_class_of_its_code(dashscope_client, name):
    arguments, expected = REFUSALS[name]
    outcome = dashscope_client.create(**arguments)
    seen = {field: outcome[field] for field in ("raised", "status_code", "code", "message")}
    assert seen == {"raised": CLASSES[name], "status_code": expected.status, "code": expected.code, "message": expected.message}
    assert UUID.fullmatch(outcome["request_id"])


@pytest.mark.parametrize(
    ("workspace", "raised", "code"),
    [
        ("stream_error", "ContentFilterError", "DataInspectionFailed"),
        ("stream_native_error", "RateLimitError", "Throttling.AllocationQuota"),
    ],
)
def test_an_error_in_a_stream_is_raised_after_what_came(dashscope_client, workspace, raised, code):
    outcome = dashscope_client.create(workspace=workspace, stream=True)
    assert [outcome["raised"], outcome["code"]] == [raised, code]
    assert outcome["chunks"]
    assert outcome["request_id"] == outcome["chunks"][0]["request_id"]


def test_an_error_under_status_200_is_an_error(dashscope_client):
    outcome = dashscope_client.create(workspace="error_in_200")
    assert [outcome["raised"], outcome["status_code"], outcome["code"]] == ["InternalServerError", 200, "InternalError"]


@pytest.mark.parametrize(("workspace", "status"), [("client-passing", 429), ("client-failing", 500), ("client-dropped", 200)])
def test_a_429_a_500_and_a_dropped_connection_are_tried_again(dashscope_client, workspace, status):
    name = dashscope_client.own(workspace)
    assert dashscope_client.create(workspace=name, retries=1)["choices"]
    assert [call["status"] for call in dashscope_client.simulator.calls(name)] == [status, 200]


@pytest.mark.parametrize("workspace", ["inspection", "free_tier"])
def test_a_400_and_a_403_are_not_tried_again(dashscope_client, workspace):
    before = len(dashscope_client.simulator.calls(workspace))
    assert dashscope_client.create(workspace=workspace, retries=2)["raised"]
    assert len(dashscope_client.simulator.calls(workspace)) == before + 1
