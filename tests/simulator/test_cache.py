"""The explicit context cache: written once, read while it lives, itemised and billed; and searches."""

from __future__ import annotations

from typing import Any

from batchrun.simulator.service import Service
from tests.simulator.fixtures import LEGAL, MARKETING, MULTIMODAL, NOW, answered, chat, native, scenario

LONG = "The rules of the house are known to everyone who lives here. " * 100
KEEP: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}


def messages(question: str, text: str = LONG, **more: Any) -> list[Any]:
    return [
        {"role": "system", "content": [{"type": "text", "text": text, **KEEP}]},
        {"role": "user", "content": [{"type": "text", "text": question, **more}]},
    ]


def details(service: Service, asked: list[Any], now: float = NOW, key: str = MARKETING) -> Any:
    return answered(service, chat(messages=asked, key=key), now)["usage"]["prompt_tokens_details"]


def test_a_marked_beginning_is_written_once_and_read_for_five_minutes_from_its_last_use():
    service = Service(scenario())
    first = details(service, messages("One?"))
    assert list(first) == ["text_tokens", "cache_creation", "cache_creation_input_tokens", "cache_type", "cached_tokens"]
    written = first["cache_creation_input_tokens"]
    assert first["cache_creation"] == {"ephemeral_5m_input_tokens": written}
    assert 1024 <= written < first["text_tokens"]
    for at in (NOW + 299, NOW + 590):
        again = details(service, messages("Two?"), at)
        assert (again["cached_tokens"], again["cache_creation_input_tokens"]) == (written, 0)
    assert details(service, messages("Three?"), NOW + 891)["cached_tokens"] == 0
    assert details(service, messages("Four?"), NOW, key=LEGAL)["cached_tokens"] == 0
    total = service.bill()["total"]
    assert (total["cached_tokens"], total["cache_creation_tokens"]) == (2 * written, 3 * written)


def test_a_longer_beginning_adds_to_what_is_kept():
    service = Service(scenario())
    first = details(service, messages("x"))["cache_creation_input_tokens"]
    more = details(service, messages("And the rules of the garden. " * 200, **KEEP))
    assert more["cached_tokens"] == first
    assert more["cache_creation_input_tokens"] > 1024
    whole = details(service, messages("And the rules of the garden. " * 200, **KEEP))
    assert whole["cached_tokens"] == first + more["cache_creation_input_tokens"] <= whole["text_tokens"]


def test_a_short_beginning_is_not_kept():
    service = Service(scenario())
    for _ in range(2):
        told = details(service, messages("x", "Short."))
        assert (told["cached_tokens"], told["cache_creation_input_tokens"]) == (0, 0)


def test_the_native_usage_itemises_the_cache_too():
    service = Service(scenario())
    parts = [{"text": LONG, **KEEP}, {"text": "One?"}]
    asked = native(parts, path=MULTIMODAL, model="qwen3-vl-plus")
    first, second = (answered(service, asked)["usage"]["prompt_tokens_details"] for _ in range(2))
    assert first["cache_type"] == "ephemeral"
    assert second["cached_tokens"] == first["cache_creation_input_tokens"] >= 1024


def test_a_search_is_told_natively_and_billed():
    service = Service(scenario())
    usage = answered(service, native(enable_search=True))["usage"]
    assert usage["plugins"] == {"search": {"count": 1, "strategy": "turbo"}}
    assert "plugins" not in answered(service, native())["usage"]
    assert service.bill()["total"]["searches"] == 1
    assert usage["input_tokens"] == answered(service, native())["usage"]["input_tokens"] + 2_000, "what it found is input"


def test_the_contents_of_a_file_that_a_message_names_are_billed_as_input():
    service = Service(scenario())
    asked = [{"role": "user", "content": "What does it say?"}]
    plain, *named = (
        answered(service, chat(messages=[{"role": "system", "content": text}, *asked]))["usage"]["prompt_tokens"]
        for text in ("Be brief.", "fileid://a", "fileid://a,fileid://b")
    )
    assert [round(each - plain, -3) for each in named] == [5_000, 10_000]


def test_a_refused_call_leaves_nothing_in_the_cache():
    """What has more tokens than the quota has left is refused only when it was worked out."""
    service = Service(scenario(accounts={"marketing": {"quotas": {"qwen-plus": {"tpm": 2_000}}}}))
    assert service.answer(chat(messages=messages("One? " * 2_000)), NOW).status == 429
    first = details(service, messages("One?"))
    assert (first["cached_tokens"], first["cache_creation_input_tokens"] > 0) == (0, True)
    assert details(service, messages("One?"), NOW + 61)["cached_tokens"] > 0
