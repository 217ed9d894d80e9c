"""Pictures, sounds and films in messages, and the tokens they cost: 28 x 28 pixels a token, 25 tokens a second of sound."""

from __future__ import annotations

import binascii
import math
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

_PATCH = 28
_FEWEST, _MOST = 4, 16_384
"""Patches of a picture, whatever its size."""
_AROUND = 2
"""Tokens that mark where a picture begins and ends."""
_IMAGE = 1_227
"""A picture of about 980 x 980 pixels, where its size cannot be seen."""
_SOUND = 750
"""Half a minute, where its length cannot be seen."""
_SOUND_A_SECOND = 25
_WAV_HEADER_BYTES = 44
_FILM = 1_440
_FRAMES_A_PATCH = 2
"""Two frames of a film share their patches."""
_LOOKED_AT = 256 * 1024
"""Characters of base64 within which a file's header is looked for."""


class MediaTokens(NamedTuple):
    """What the parts of messages that are no text cost."""

    image: int = 0
    audio: int = 0
    video: int = 0


class Medium(NamedTuple):
    """One part of a message that is no text."""

    kind: str
    """``image``, ``audio`` or ``video``."""
    sources: tuple[str, ...]
    """URLs, ``data:`` ones among them; more than one for a film that is given by its frames."""


def media(messages: Iterable[dict[str, Any]]) -> Iterator[Medium]:
    """The media of messages in either dialect, in their order."""
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if (medium := _medium(part)) is not None:
                yield medium


def _medium(part: object) -> Medium | None:
    match part:
        case {"image_url": {"url": str(source)}} | {"image_url": str(source)} | {"image": str(source)}:
            return Medium("image", (source,))
        case {"input_audio": {"data": str(source)}} | {"audio": str(source)}:
            return Medium("audio", (source,))
        case {"video_url": {"url": str(source)}} | {"video": str(source)}:
            return Medium("video", (source,))
        case {"video": list(frames)}:
            return Medium("video", tuple(frame for frame in frames if isinstance(frame, str)))
    return None


def tokens(messages: Iterable[dict[str, Any]]) -> MediaTokens:
    """What all the media of *messages* cost together."""
    spent = Counter[str]()
    for medium in media(messages):
        spent[medium.kind] += _cost(medium)
    return MediaTokens(spent["image"], spent["audio"], spent["video"])


def _cost(medium: Medium) -> int:
    match medium:
        case Medium("image", (source,)):
            return _patches(source) + _AROUND
        case Medium("audio", (source,)):
            return _sound(source)
        case Medium("video", (_,)):
            return _FILM
    return math.ceil(sum(_patches(frame) for frame in medium.sources) / _FRAMES_A_PATCH) + _AROUND


def _patches(source: str) -> int:
    size = picture_size(_start(source))
    if size is None:
        return _IMAGE - _AROUND
    width, height = (max(1, round(side / _PATCH)) for side in size)
    return min(max(width * height, _FEWEST), _MOST)


def _sound(source: str) -> int:
    start = _start(source)
    rate = _bytes_a_second(start)
    if rate is None:
        return _SOUND
    length = len(source.partition(",")[2].rstrip("=")) * 3 // 4 - _WAV_HEADER_BYTES
    return max(1, math.ceil(length / rate)) * _SOUND_A_SECOND


def _start(source: str) -> bytes:
    """The first bytes of what a data URL holds; none of any other."""
    head, comma, data = source.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        return b""
    try:
        return binascii.a2b_base64(data[:_LOOKED_AT].encode("ascii", "ignore"))
    except binascii.Error:
        return b""


def picture_size(start: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, as the header of a PNG or a JPEG tells them."""
    if start.startswith(b"\x89PNG\r\n\x1a\n") and start[12:16] == b"IHDR" and len(start) >= 24:
        width, height = struct.unpack(">II", start[16:24])
        return (width, height)
    if start.startswith(b"\xff\xd8"):
        return _jpeg_size(start)
    return None


def _jpeg_size(start: bytes) -> tuple[int, int] | None:
    """Step over the segments to the one that begins a frame (SOF)."""
    place = 2
    while place + 9 <= len(start) and start[place] == 0xFF:
        marker, length = start[place + 1], int.from_bytes(start[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", start[place + 5 : place + 9])
            return (width, height)
        place += 2 + max(length, 2)
    return None


def _bytes_a_second(start: bytes) -> int | None:
    """Of a WAV file, as its format chunk says."""
    if not (start.startswith(b"RIFF") and start[8:12] == b"WAVE"):
        return None
    found = start.find(b"fmt ")
    if found < 0 or len(start) < found + 20:
        return None
    return int.from_bytes(start[found + 16 : found + 20], "little") or None
