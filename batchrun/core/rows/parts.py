"""What a message's content parts say about images, sounds and videos, in both spellings a row may use.

OpenAI: ``{"type": "image_url", "image_url": {"url": …}}``, ``{"type": "video_url", …}``, ``{"type": "video", "video": [frames]}``,
``{"type": "input_audio", "input_audio": {"data": …, "format": …}}``, ``{"type": "text", "text": …}``. DashScope: ``{"image": …}``,
``{"video": … or [frames]}``, ``{"audio": …}``, ``{"text": …}``. A lone string may stand for the object that holds it.

Rules:

1. Any list may be given for messages, and any value for a part: what is no medium is passed over, for the provider to judge.
2. Nothing given is ever changed. What is given back shares with it only what had no reason to differ.
3. A medium is found by its key, whatever the part's type says: no local path slips through to the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

MAX_DATA_URL_BYTES = 10_485_760
"""Of one data URL, its base64 included; a longer one gets "Exceeded limit on max bytes per data-uri item"."""

Kind = Literal["image", "audio", "video"]
Messages = list[dict[str, Any]]

_WRAPPED: dict[str, tuple[str, Kind]] = {
    "image_url": ("url", "image"),
    "video_url": ("url", "video"),
    "input_audio": ("data", "audio"),
}
_PLAIN: dict[str, Kind] = {"image": "image", "video": "video", "audio": "audio"}
_KEYS = frozenset({*_WRAPPED, *_PLAIN})
_SAID = _KEYS | {"text"}

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""Two characters at least: ``C:`` begins a path, if one of another system."""
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")
_LONGEST_NAME = 255
_LONGEST_PATH = 4096
_MIME_OF_FORMAT = {"mp3": "mpeg", "m4a": "mp4"}
_FORMAT_OF_MIME = {"mpeg": "mp3", "x-wav": "wav", "vnd.wave": "wav", "mp4": "m4a"}
_AUDIO_FORMATS = frozenset({"wav", "mp3", "flac", "ogg", "m4a", "aac", "amr"})


class Medium(NamedTuple):
    """An image, a sound or a video that a part names, or one frame (an image) of a video that is given as a list."""

    kind: Kind
    url: str
    """As written: a URL, a path, a data URL, or bare base64."""
    format: str | None = None
    """Of a sound, where it is written beside it: ``wav``."""

    @property
    def is_bare_base64(self) -> bool:
        """Whether this is the sound itself as the OpenAI API takes it, raw base64 beside its format: see `as_data_url`.

        Told by its length and its letters: no file name is longer than 255 bytes, and a path that has a dot is no base64.
        """
        return (
            self.format is not None
            and len(self.url) > _LONGEST_NAME
            and _BASE64.fullmatch(self.url, 0, min(len(self.url), _LONGEST_PATH)) is not None
        )

    @property
    def is_local(self) -> bool:
        """Whether it must be read from this machine's disk before it can be sent."""
        return is_local(self.url) and not self.is_bare_base64

    @property
    def as_data_url(self) -> str:
        """Bare base64 with what the provider wants before it."""
        return f"data:;base64,{''.join(self.url.split())}"


def media_of(messages: Sequence[Any]) -> Iterator[Medium]:
    """Find every medium of *messages*, in their order."""
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            for part in content:
                for place in _places(part):
                    yield place.medium


def in_parts(messages: Sequence[Any]) -> bool:
    """Whether any of *messages* has parts, among which alone there can be media."""
    for message in messages:  # noqa: SIM110 - a generator costs more than all its looks
        if type(message) is dict and type(message.get("content")) is list:
            return True
    return False


def has_media(messages: Sequence[Any]) -> bool:
    """Whether *messages* hold any medium; text alone costs a look at its type."""
    return any(True for _ in media_of(messages))


def with_urls(messages: Messages, replace: Callable[[Medium], str]) -> Messages:
    """Copy *messages* with each medium's url as *replace* gives it, in the spelling it had; messages without media are shared."""
    return [_message_with_urls(message, replace) for message in messages]


def is_local(url: str) -> bool:
    """Whether *url* is a path: it has no scheme, or ``file:``.

    A name that begins like a scheme (``plan:2.png``) is taken for one; ``./plan:2.png`` is not.
    """
    scheme = _SCHEME.match(url)
    return scheme is None or scheme[0].lower() == "file:"


def local_path(url: str) -> str:
    """The path that a local *url* names. A ``file:`` URL may be relative: what follows it is the path, its %-escapes undone."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return url
    rest = url[scheme.end() :]
    rest = rest.removeprefix("//")
    rest = rest.removeprefix("localhost") if rest.startswith("localhost/") else rest
    # As the operating system's own names come to Python: bytes that are no UTF-8 stay what they are.
    return unquote(rest, errors="surrogateescape")


def unfit_data_url(url: str) -> str | None:
    """Say why *url* is a data URL that the provider would refuse; None for one that fits, and for every other url."""
    if url[:5].lower() != "data:" or len(url) <= MAX_DATA_URL_BYTES // 4:
        return None
    # The shorter ones need no count: a character is four bytes at most.
    size = len(url.encode(errors="surrogatepass"))
    return f"a data URL of {size:,} bytes: at most {MAX_DATA_URL_BYTES:,} may be" if size > MAX_DATA_URL_BYTES else None


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


# Where the media of a part stand


class _Place(NamedTuple):
    holder: Any
    key: Any
    medium: Medium


def _parts(message: Any) -> list[Any]:
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, list) else []


def _places(part: Any) -> Iterator[_Place]:
    if not isinstance(part, dict) or _KEYS.isdisjoint(part):
        return
    for key, (inner, kind) in _WRAPPED.items():
        match part.get(key):
            case str(url):
                yield _Place(part, key, Medium(kind, url))
            case dict() as holder if isinstance(holder.get(inner), str):
                yield _Place(holder, inner, Medium(kind, holder[inner], _text(holder.get("format"))))
    for key, kind in _PLAIN.items():
        match part.get(key):
            case str(url):
                yield _Place(part, key, Medium(kind, url))
            case [*frames] if kind == "video":
                yield from (_Place(part[key], number, Medium("image", url)) for number, url in enumerate(frames) if isinstance(url, str))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _message_with_urls(message: dict[str, Any], replace: Callable[[Medium], str]) -> dict[str, Any]:
    parts = _parts(message)
    changed = [_part_with_urls(part, replace) for part in parts]
    return message if all(new is old for new, old in zip(changed, parts, strict=True)) else {**message, "content": changed}


def _part_with_urls(part: Any, replace: Callable[[Medium], str]) -> Any:
    if next(_places(part), None) is None:
        return part
    # What holds a url is copied, and nothing else needs to be.
    fresh = {key: copy(value) if key in _KEYS else value for key, value in part.items()}
    for holder, key, medium in _places(fresh):
        holder[key] = replace(medium)
    return fresh


# From one spelling to the other


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
    return _read_wrapped(key, part[key], beside) if key in _WRAPPED else _read_plain(key, part[key], beside)


def _read_wrapped(key: str, value: Any, beside: dict[str, Any]) -> _Part | None:
    inner, kind = _WRAPPED[key]
    wrapped = {inner: value} if isinstance(value, str) else value
    if not isinstance(wrapped, dict) or not isinstance(wrapped.get(inner), str):
        return None
    # What is lifted out of here in the other spelling must not pass for a part's own content there.
    return _Part(kind, wrapped[inner], _without(wrapped, inner, "type", *_SAID), beside)


def _read_plain(key: str, value: Any, beside: dict[str, Any]) -> _Part | None:
    frames = key == "video" and isinstance(value, list) and all(isinstance(url, str) for url in value)
    return _Part(_PLAIN.get(key, "text"), value, {}, beside) if frames or isinstance(value, str) else None


def _without(said: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name not in names}


def _native_sound(data: str, written: Any) -> str:
    """*data* as a url that tells its own type, for the native route has no ``format``."""
    medium = Medium("audio", data, _text(written))
    url = medium.as_data_url if medium.is_bare_base64 else data
    if medium.format is None or not url.startswith("data:;"):
        return url
    return f"data:audio/{_MIME_OF_FORMAT.get(medium.format, medium.format)}{url.removeprefix('data:')}"


def _format_of(url: str) -> dict[str, str]:
    """The format that *url* tells by its type or its ending, as input_audio wants it; nothing where it tells none."""
    head = url[:_LONGEST_PATH].lower()
    if head.startswith("data:"):
        told = head.partition(";")[0].removeprefix("data:").removeprefix("audio/")
    else:
        told = head.partition("?")[0].rpartition(".")[2]
    name = _FORMAT_OF_MIME.get(told, told)
    return {"format": name} if name in _AUDIO_FORMATS else {}
