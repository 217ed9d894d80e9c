"""Pictures, sounds and films as tokens, in both dialects' usage and on the bill; and what is too large."""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.simulator import media
from batchrun.simulator.service import Call, Service
from tests.simulator.fixtures import CHAT, MARKETING, MULTIMODAL, NOW, answered, chat, compat_events, native, scenario


def png(width: int, height: int) -> str:
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0"
    return "data:image/png;base64," + b64encode(header).decode()


def jpeg(width: int, height: int) -> str:
    remark = b"\xff\xe1" + struct.pack(">H", 5000) + bytes(4998)
    frame = b"\xff\xc0" + struct.pack(">HBHH", 17, 8, height, width) + bytes(10)
    return "data:image/jpeg;base64," + b64encode(b"\xff\xd8" + remark + frame).decode()


def wav(seconds: float) -> str:
    rate = 32_000
    data = bytes(int(seconds * rate))
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate // 2, rate, 2, 16)
    return (
        "data:audio/wav;base64," + b64encode(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVE" + form + b"data\0\0\0\0" + data).decode()
    )


def cost(part: dict[str, Any]) -> tuple[int, int, int]:
    return media.tokens([{"role": "user", "content": [part]}])


@pytest.mark.parametrize("made", [png, jpeg])
@pytest.mark.parametrize(
    ("width", "height", "patches"),
    [(28, 28, 4), (280, 280, 100), (1000, 600, 36 * 21), (100_000, 100_000, 16_384), (1, 2000, 71)],
)
def test_a_picture_costs_its_patches_and_two_more_within_bounds(made, width, height, patches):
    width, height = min(width, 65_535), min(height, 65_535)
    for part in ({"image": made(width, height)}, {"type": "image_url", "image_url": {"url": made(width, height)}}):
        assert cost(part) == (patches + 2, 0, 0)


def test_a_sound_costs_its_seconds_and_what_cannot_be_seen_costs_a_fixed_number():
    assert cost({"audio": wav(3.5)}) == (0, 100, 0)
    assert cost({"type": "input_audio", "input_audio": {"data": wav(0.1), "format": "wav"}}) == (0, 25, 0)
    assert cost({"audio": "https://example.invalid/a.mp3"}) == cost({"audio": "data:;base64,AAAA"}) == (0, 750, 0)
    assert cost({"image": "https://example.invalid/a.png"}) == cost({"image": "data:image/webp;base64,AAAA"}) == (1227, 0, 0)
    assert cost({"type": "video_url", "video_url": {"url": "https://example.invalid/a.mp4"}}) == (0, 0, 1440)
    assert cost({"type": "video", "video": [png(280, 280)] * 4}) == (0, 0, 202)
    assert cost({"text": "no medium"}) == (0, 0, 0)


@given(st.binary(max_size=80))
def test_any_bytes_have_a_cost(data):
    for start in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF0000WAVE"):
        url = "data:x/y;base64," + b64encode(start + data).decode()
        assert cost({"image": url})[0] >= 6
        assert cost({"audio": url})[1] >= 25


def test_media_are_itemised_alike_in_both_dialects_and_on_the_bill():
    service = Service(scenario())
    compat_parts = [
        {"type": "image_url", "image_url": {"url": png(280, 280)}},
        {"type": "video", "video": [png(280, 280)] * 4},
        {"type": "text", "text": "What is this?"},
    ]
    own_parts = [{"image": png(280, 280)}, {"video": [png(280, 280)] * 4}, {"text": "What is this?"}]
    compat = answered(service, chat(model="qwen3-vl-plus", messages=[{"role": "user", "content": compat_parts}]))["usage"]
    own = answered(service, native(own_parts, path=MULTIMODAL, model="qwen3-vl-plus"))["usage"]
    assert compat["prompt_tokens"] == own["input_tokens"]
    assert compat["prompt_tokens_details"] == {"cached_tokens": 0, "image_tokens": 102, "video_tokens": 202, "text_tokens": 8}
    assert own["input_tokens_details"] == {"image_tokens": 102, "video_tokens": 202, "text_tokens": 8}
    assert (own["image_tokens"], own["video_tokens"]) == (102, 202)
    total = service.bill()["total"]
    assert (total["image_tokens"], total["video_tokens"]) == (204, 404)
    assert total["input_tokens"] == 2 * own["input_tokens"]


def test_a_sound_on_the_compatible_route_is_itemised():
    part = {"type": "input_audio", "input_audio": {"data": wav(2), "format": "wav"}}
    asked = chat(
        model="qwen3.5-omni-plus", messages=[{"role": "user", "content": [part]}], stream=True, stream_options={"include_usage": True}
    )
    usage = compat_events(Service(scenario()).answer(asked, NOW).body)[-1]["usage"]
    assert usage["prompt_tokens_details"]["audio_tokens"] == 50


def test_a_data_url_is_refused_beyond_ten_mebibytes():
    url = "data:image/png;base64," + "A" * (10_485_760 - 22)
    asked = [native([{"image": one}], path=MULTIMODAL, model="qwen-vl-plus") for one in (url, url + "A")]
    plans = [Service(scenario()).answer(call, NOW) for call in asked]
    assert [plan.status for plan in plans] == [200, 400]
    assert orjson.loads(plans[1].body)["message"] == "Exceeded limit on max bytes per data-uri item : 10485760'"


def test_a_body_is_refused_beyond_sixteen_mebibytes_unless_it_holds_base64():
    words = {"model": "qwen-plus", "messages": [{"role": "user", "content": "a" * (16 * 1024 * 1024)}]}
    plan = Service(scenario()).answer(Call("POST", CHAT, {"authorization": f"Bearer {MARKETING}"}, orjson.dumps(words)), NOW)
    assert (plan.status, orjson.loads(plan.body)["error"]["code"]) == (413, "BadRequest.TooLarge")
    item = [{"image": "data:image/png;base64," + "A" * (20 * 1024 * 1024)}]
    assert Service(scenario()).answer(native(item, path=MULTIMODAL, model="qwen-vl-plus"), NOW).status == 413
    pictures = [{"image": "data:image/png;base64," + "A" * 9_000_000}] * 2
    assert Service(scenario()).answer(native(pictures, path=MULTIMODAL, model="qwen-vl-plus"), NOW).status == 200
