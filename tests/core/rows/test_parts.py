"""Media in both spellings: every one is found, replaced where it stands, and spelt the other way without loss."""

import copy
import itertools

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.core.rows.parts import Medium, media_of, with_urls
from batchrun.core.rows.spelling import text_only, to_native, to_openai
from batchrun.core.rows.urls import MAX_DATA_URL_BYTES, is_local, local_path, unfit_data_url

SOUND = "UklGRiQ+AABXQVZF/+" * 20
CACHE = {"cache_control": {"type": "ephemeral"}}
SPELLINGS = [
    ({"type": "image_url", "image_url": {"url": "a.png"}}, [Medium("image", "a.png")]),
    ({"type": "image_url", "image_url": "a.png"}, [Medium("image", "a.png")]),
    ({"type": "video_url", "video_url": {"url": "a.mp4"}, "fps": 2}, [Medium("video", "a.mp4")]),
    ({"type": "video_url", "video_url": "a.mp4"}, [Medium("video", "a.mp4")]),
    ({"type": "video", "video": ["1.jpg", "2.jpg"]}, [Medium("image", "1.jpg"), Medium("image", "2.jpg")]),
    ({"type": "input_audio", "input_audio": {"data": "a.wav", "format": "wav"}}, [Medium("audio", "a.wav", "wav")]),
    ({"type": "input_audio", "input_audio": "a.wav"}, [Medium("audio", "a.wav")]),
    ({"image": "a.png"}, [Medium("image", "a.png")]),
    ({"type": "image", "image": "a.png"}, [Medium("image", "a.png")]),
    ({"video": "a.mp4", "fps": 2}, [Medium("video", "a.mp4")]),
    ({"video": ["1.jpg", "2.jpg"], "fps": 2}, [Medium("image", "1.jpg"), Medium("image", "2.jpg")]),
    ({"audio": "a.wav"}, [Medium("audio", "a.wav")]),
    ({"image": "a.png", "audio": "a.wav"}, [Medium("image", "a.png"), Medium("audio", "a.wav")]),
    ({"type": "unheard_of", "image": "a.png"}, [Medium("image", "a.png")]),
    ({"type": "text", "text": "a.png"}, []),
    ({"text": "a.png"}, []),
    ({"type": "file", "file": {"url": "a.png"}}, []),
    ({"type": "image_url", "image_url": {"href": "a.png"}}, []),
    ({"type": "image_url", "image_url": ["a.png"]}, []),
    ({"type": "video", "video": [None, {"url": "a"}, 7]}, []),
    ({"image": None}, []),
]


def asked(*parts):
    return [{"role": "system", "content": "text"}, {"role": "user", "content": list(parts)}]


# Finding and replacing


@pytest.mark.parametrize(("part", "media"), SPELLINGS)
def test_a_medium_is_found_in_every_spelling(part, media):
    assert list(media_of(asked({"text": "look"}, part))) == media


@pytest.mark.parametrize(("part", "media"), SPELLINGS)
def test_a_medium_is_replaced_where_it_stands_and_nothing_given_changes(part, media):
    messages = asked(part, {"text": "look"})
    before = copy.deepcopy(messages)
    numbers = itertools.count()
    after = with_urls(messages, lambda medium: f"<{next(numbers)} {medium.url}>")
    assert messages == before
    written = orjson.dumps(before).decode()
    for number, medium in enumerate(media):
        written = written.replace(f'"{medium.url}"', f'"<{number} {medium.url}>"', 1)
    assert orjson.dumps(after).decode() == written


def test_messages_without_media_are_not_copied():
    messages = asked({"type": "text", "text": "a"}, {"image": "a.png"})
    after = with_urls([*messages, {"role": "user", "content": [{"text": "b"}]}], lambda _: "data:,")
    assert after[0] is messages[0]
    assert after[1]["content"][0] is messages[1]["content"][0]


@pytest.mark.parametrize("content", ["text with image_url and a.png", None, [], {"image": "a.png"}, ["image"], [None, 7]])
def test_what_is_no_list_of_parts_holds_no_media(content):
    messages = [{"role": "user", "content": content}]
    assert [*media_of(messages)] == []
    assert with_urls(messages, lambda _: "never") == messages
    assert [*media_of([None, 7, "image"])] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "image", "video", "audio", "image_url", "video_url", "input_audio", "url", "data", "format"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON | st.fixed_dictionaries({"content": st.lists(JSON, max_size=4)}), max_size=3))
@settings(max_examples=300)
def test_any_json_can_be_given_and_every_medium_found_is_the_one_replaced(messages):
    before = copy.deepcopy(messages)
    seen: list[Medium] = []

    def noted(medium: Medium) -> str:
        seen.append(medium)
        return "new"

    after = with_urls(messages, noted)
    assert messages == before
    assert seen == list(media_of(messages))
    assert [medium.url for medium in media_of(after)] == ["new"] * len(seen)


@given(JSON)
@settings(max_examples=300)
def test_any_value_is_spelt_or_refused_and_no_medium_is_lost_or_made_by_it(part):
    before = copy.deepcopy(part)
    for spell in (to_openai, to_native):
        spelt = spell(part)
        if spelt is not None:
            assert [medium.url for medium in media_of(asked(spelt))] == [medium.url for medium in media_of(asked(part))]
            assert spell(spelt) == spelt
    assert text_only([part]) is None or text_only([part]) == part["text"]
    assert part == before


# What is local


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("charts/a.png", "charts/a.png"),
        ("/srv/a.png", "/srv/a.png"),
        ("../a b%20c.png", "../a b%20c.png"),
        ("./plan:2.png", "./plan:2.png"),
        ("2026-11-23T10:00.png", "2026-11-23T10:00.png"),
        ("图表/一.png", "图表/一.png"),
        ("C:\\a.png", "C:\\a.png"),
        ("", ""),
        ("file:///srv/a%20b.png", "/srv/a b.png"),
        ("file://localhost/srv/a.png", "/srv/a.png"),
        ("file:/srv/a.png", "/srv/a.png"),
        ("file:a.png", "a.png"),
        ("file://charts/a.png", "charts/a.png"),
        ("file://localhost.png", "localhost.png"),
        ("FILE:///srv/100%.png", "/srv/100%.png"),
        ("file:///srv/%FF.png", "/srv/\udcff.png"),
    ],
)
def test_a_path_and_a_file_url_are_local(url, path):
    assert is_local(url)
    assert local_path(url) == path


@pytest.mark.parametrize(
    "url", ["https://x.example/a.png", "HTTP://x.example", "oss://bucket/a.png", "data:image/png;base64,AA", "data:,", "x+y:z"]
)
def test_any_other_scheme_is_not_local(url):
    assert not is_local(url)
    assert not Medium("image", url).is_local


def test_a_bare_base64_sound_beside_its_format_is_no_path_and_can_be_given_its_prefix():
    (medium,) = media_of(asked({"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}}))
    assert (medium.is_bare_base64, medium.is_local) == (True, False)
    assert medium.as_data_url == f"data:;base64,{SOUND}"
    wrapped = medium._replace(url="\r\n".join(SOUND[start : start + 76] for start in range(0, len(SOUND), 76)))
    assert (wrapped.is_local, wrapped.as_data_url) == (False, f"data:;base64,{SOUND}")


@pytest.mark.parametrize(
    "medium",
    [
        Medium("audio", SOUND),
        Medium("audio", "recordings/call", "wav"),
        Medium("audio", "deep/" * 60 + "call.wav", "wav"),
        Medium("audio", "深/" * 200, "wav"),
    ],
)
def test_a_path_is_not_taken_for_base64(medium):
    assert (medium.is_bare_base64, medium.is_local) == (False, True)


def test_what_is_longer_than_a_file_can_be_called_and_all_letters_of_base64_is_the_sound_itself():
    assert Medium("audio", "A" * 255, "wav").is_local
    assert not Medium("audio", "A" * 256, "wav").is_local


def test_a_data_url_may_be_as_long_as_the_provider_takes_and_not_a_byte_longer():
    head = "data:image/png;base64,"
    fits = head + "A" * (MAX_DATA_URL_BYTES - len(head))
    assert unfit_data_url(fits) is None
    assert unfit_data_url(fits + "A") == "a data URL of 10,485,761 bytes: at most 10,485,760 may be"
    assert unfit_data_url("DATA:" + "字" * (MAX_DATA_URL_BYTES // 3)) == "a data URL of 10,485,764 bytes: at most 10,485,760 may be"
    assert unfit_data_url("data:" + "😀" * (MAX_DATA_URL_BYTES // 4)) == "a data URL of 10,485,765 bytes: at most 10,485,760 may be"
    assert unfit_data_url("https://x.example/" + fits + "A") is None


# From one spelling to the other

BOTH = [
    ({"type": "text", "text": "a"}, {"text": "a"}),
    ({"type": "text", "text": "a", **CACHE}, {"text": "a", **CACHE}),
    ({"type": "image_url", "image_url": {"url": "u"}}, {"image": "u"}),
    (
        {"type": "image_url", "image_url": {"url": "u"}, "min_pixels": 3136, "max_pixels": 9999, **CACHE},
        {"image": "u", "min_pixels": 3136, "max_pixels": 9999, **CACHE},
    ),
    ({"type": "video_url", "video_url": {"url": "u"}, "fps": 2, **CACHE}, {"video": "u", "fps": 2, **CACHE}),
    ({"type": "video", "video": ["u", "v"], "fps": 0.5}, {"video": ["u", "v"], "fps": 0.5}),
    ({"type": "video", "video": []}, {"video": []}),
    ({"type": "input_audio", "input_audio": {"data": "https://x/u.MP3?a=b.c", "format": "mp3"}}, {"audio": "https://x/u.MP3?a=b.c"}),
    ({"type": "input_audio", "input_audio": {"data": "data:audio/wav;base64,AA", "format": "wav"}}, {"audio": "data:audio/wav;base64,AA"}),
    ({"type": "input_audio", "input_audio": {"data": "data:audio/mpeg;base64,A", "format": "mp3"}}, {"audio": "data:audio/mpeg;base64,A"}),
    ({"type": "input_audio", "input_audio": {"data": "oss://b/u"}, **CACHE}, {"audio": "oss://b/u", **CACHE}),
]


@pytest.mark.parametrize(("openai", "native"), BOTH)
def test_each_spelling_becomes_the_other_and_stays_itself(openai, native):
    assert to_native(openai) == native
    assert to_openai(native) == openai
    assert to_openai(openai) == openai
    assert to_native(native) == native


@pytest.mark.parametrize(
    ("written", "openai", "native"),
    [
        ({"type": "image_url", "image_url": "u"}, {"type": "image_url", "image_url": {"url": "u"}}, {"image": "u"}),
        ({"type": "image", "image": "u"}, {"type": "image_url", "image_url": {"url": "u"}}, {"image": "u"}),
        ({"type": "video", "video": "u"}, {"type": "video_url", "video_url": {"url": "u"}}, {"video": "u"}),
        ({"type": None, "text": "a"}, {"type": "text", "text": "a"}, {"text": "a"}),
        (
            {"type": "image_url", "image_url": {"url": "u", "detail": "high", "max_pixels": 9}},
            {"type": "image_url", "image_url": {"url": "u", "detail": "high", "max_pixels": 9}},
            {"image": "u", "max_pixels": 9},
        ),
        (
            {"type": "image_url", "image_url": {"url": "u", "type": "text", "image": "/etc/passwd"}},
            {"type": "image_url", "image_url": {"url": "u"}},
            {"image": "u"},
        ),
    ],
)
def test_a_loose_spelling_is_put_right(written, openai, native):
    assert (to_openai(written), to_native(written)) == (openai, native)


@pytest.mark.parametrize(("data", "url"), [(SOUND, SOUND), (f"data:;base64,{SOUND}", SOUND)])
@pytest.mark.parametrize(("format_", "mime"), [("wav", "wav"), ("mp3", "mpeg"), ("m4a", "mp4")])
def test_a_native_sound_tells_in_its_url_what_its_format_told(data, url, format_, mime):
    part = {"type": "input_audio", "input_audio": {"data": data, "format": format_}}
    assert to_native(part) == {"audio": f"data:audio/{mime};base64,{url}"}


@pytest.mark.parametrize("told", [{}, {"format": None}, {"format": 7}])
def test_a_native_sound_whose_format_nothing_tells_has_none_made_up(told):
    data = f"data:;base64,{SOUND}"
    assert to_native({"type": "input_audio", "input_audio": {"data": data, **told}}) == {"audio": data}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "image_url", "text": "a"},
        {"type": ["text"], "text": "a"},
        {"image": "u", "text": "a"},
        {"text": 7},
        {"image": ["u"]},
        {"video": ["u", 7]},
        {"type": "image_url", "image_url": {"url": None}},
        {"type": "image_url", "image_url": ["u"]},
        {"type": "video_url", "video_url": None},
        {"type": "input_audio", "input_audio": {"format": "wav"}},
        {},
        "text",
        None,
    ],
)
def test_a_part_of_no_known_type_is_neither(part):
    assert to_openai(part) is None
    assert to_native(part) is None
    assert text_only([part]) is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a", "a"),
        ([{"type": "text", "text": "a\n"}, {"text": "b", **CACHE}], "a\nb"),
        ([{"text": "a"}, {"image": "u"}], None),
        (None, None),
        ({"text": "a"}, None),
    ],
)
def test_a_content_of_nothing_but_text_is_one_text(content, text):
    assert text_only(content) == text
