"""A content part of one spelling spelt the other way, without loss: OpenAI's, as the compatible route takes it, and DashScope's own.

What a part says beside its text or medium is kept. What is put together as neither spelling has it is given back as None, for whoever asks
to refuse it or to send it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from batchrun.core.rows.parts import KEYS, LONGEST_PATH, PLAIN, WRAPPED, Medium, text_of

_SAID = KEYS | {"text"}
_MIME_OF_FORMAT = {"mp3": "mpeg", "m4a": "mp4"}
_FORMAT_OF_MIME = {"mpeg": "mp3", "x-wav": "wav", "vnd.wave": "wav", "mp4": "m4a"}
_AUDIO_FORMATS = frozenset({"wav", "mp3", "flac", "ogg", "m4a", "aac", "amr"})


def text_only(content: Any) -> str | None:
    """Join *content* to one text where it is nothing but text; None where it is anything else.

    Texts are joined without anything between, as the Qwen chat templates do. A part's cache_control has no place in a text and is lost.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    read = [_read(part) for part in content]
    texts = [part.value for part in read if part is not None and part.kind == "text"]
    return "".join(texts) if len(texts) == len(content) else None


def to_openai(part: Any) -> dict[str, Any] | None:
    """Spell *part* as the OpenAI-compatible route takes it; None where it is no text, image, video or sound.

    What else the part says (``min_pixels``, ``fps``, ``cache_control``) is kept. A native sound gets the ``format`` that its url tells.
    """
    match _read(part):
        case _Part("text", text, _, beside):
            return {"type": "text", "text": text, **beside}
        case _Part("video", [*frames], _, beside):
            return {"type": "video", "video": frames, **beside}
        case _Part("audio", str(data), within, beside):
            return {"type": "input_audio", "input_audio": {"data": data, **_format_of(data), **within}, **beside}
        case _Part(kind, url, within, beside):
            return {"type": f"{kind}_url", f"{kind}_url": {"url": url, **within}, **beside}
    return None


def to_native(part: Any) -> dict[str, Any] | None:
    """Spell *part* as DashScope's native route takes it; None where it is no text, image, video or sound.

    What else the part says is kept, but for what this route has no place for: OpenAI's ``detail`` of an image, and the ``format`` of a
    sound, which its data URL then tells.
    """
    match _read(part):
        case _Part("audio", str(data), within, beside):
            return {"audio": _native_sound(data, within.get("format")), **_without(within, "format"), **beside}
        case _Part(kind, value, within, beside):
            return {kind: value, **_without(within, "detail"), **beside}
    return None


class _Part(NamedTuple):
    kind: Literal["text", "image", "audio", "video"]
    value: Any
    """A text, a url, or the frames of a video: a list of urls."""
    within: Mapping[str, Any]
    """What stands beside the url in the object that holds it."""
    beside: Mapping[str, Any]
    """What stands beside them all."""


def _read(part: Any) -> _Part | None:
    """Take *part* apart; None where its type is unknown or it is not put together as its type is."""
    if not isinstance(part, dict):
        return None
    said = [key for key in part if key in _SAID]
    if len(said) != 1 or part.get("type") not in (None, *said):
        return None
    key = said[0]
    beside = _without(part, key, "type")
    return _read_wrapped(key, part[key], beside) if key in WRAPPED else _read_plain(key, part[key], beside)


def _read_wrapped(key: str, value: Any, beside: dict[str, Any]) -> _Part | None:
    inner, kind = WRAPPED[key]
    wrapped = {inner: value} if isinstance(value, str) else value
    if not isinstance(wrapped, dict) or not isinstance(wrapped.get(inner), str):
        return None
    # What is lifted out of here in the other spelling must not pass for a part's own content there.
    return _Part(kind, wrapped[inner], _without(wrapped, inner, "type", *_SAID), beside)


def _read_plain(key: str, value: Any, beside: dict[str, Any]) -> _Part | None:
    frames = key == "video" and isinstance(value, list) and all(isinstance(url, str) for url in value)
    return _Part(PLAIN.get(key, "text"), value, {}, beside) if frames or isinstance(value, str) else None


def _without(said: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name not in names}


def _native_sound(data: str, written: Any) -> str:
    """*data* as a url that tells its own type, for the native route has no ``format``."""
    medium = Medium("audio", data, text_of(written))
    url = medium.as_data_url if medium.is_bare_base64 else data
    if medium.format is None or not url.startswith("data:;"):
        return url
    return f"data:audio/{_MIME_OF_FORMAT.get(medium.format, medium.format)}{url.removeprefix('data:')}"


def _format_of(url: str) -> dict[str, str]:
    """The format that *url* tells by its type or its ending, as input_audio wants it; nothing where it tells none."""
    head = url[:LONGEST_PATH].lower()
    if head.startswith("data:"):
        told = head.partition(";")[0].removeprefix("data:").removeprefix("audio/")
    else:
        told = head.partition("?")[0].rpartition(".")[2]
    name = _FORMAT_OF_MIME.get(told, told)
    return {"format": name} if name in _AUDIO_FORMATS else {}
