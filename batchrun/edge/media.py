"""Local images, sounds and videos: read, checked, and made into data URLs.

Rules

1. Any text for a path gives a data URL or a `Failure`, never an exception: a row's words must not end the run.
2. Nothing outside the root is opened. The path is resolved first, links and ``..`` included; then it is walked from the root one name at
   a time, and no link is followed any more: one that is put there in between is refused, too.
3. What is judged is what was read: type and size are those of the bytes that came from the one descriptor, not of an earlier look.
4. A message names the path, shortened and escaped; it never quotes what stands in the file.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from batchrun.core.jobs.words import without_keys_in
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.protocols.mishaps import ASKED_AGAIN
from batchrun.core.rows.parts import Kind, Medium
from batchrun.core.rows.urls import MAX_DATA_URL_BYTES, local_path

MAX_FILE_BYTES = MAX_DATA_URL_BYTES // 4 * 3 - 1
"""A larger file cannot fit into a data URL; of one just as large the URL decides, for the name of its type counts too."""

_CHUNK = 256 << 10
_HEAD = 64
_LONGEST_SHOWN = 120

# A folder that may only be passed through will do, where the system knows the difference.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe must not be waited for, nor a terminal become this process's own.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC

_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
"""Not the row's fault, nor the file's: it must not be rejected for what the next minute mends."""

_ADVICE = {
    "media_missing": (
        "correct the path in the row or put the file there; a relative path starts at the input file's folder, and content in base64 "
        "begins with data:image/png;base64, (or its own type)"
    ),
    "media_outside_root": "correct the path in the row, put the file into that folder, or have [media] root name one that holds it",
    "media_too_large": "make the file smaller, or put an http(s) URL into the row, which the provider fetches itself",
    "media_unreadable": "correct the path in the row, or make it a file that may be read",
    "media_type": "correct the path in the row, or convert the file",
}
_PASSES = "usually passes: it is tried again; if it stays, look at the disk and at the limit of open files (ulimit -n)"


class MediaRoot:
    """The folder that no local path may leave; `read` gets one file of it, `look` tells whether it would."""

    def __init__(self, root: Path) -> None:
        self._named = root

    @cached_property
    def _root(self) -> str:
        """Where it leads, found out by whoever reads first: that may take as long as a read does."""
        return os.path.realpath(self._named)

    def read(self, medium: Medium, beside: Path) -> str | Failure:
        """Read the file that *medium* names and give it as a data URL; a relative path starts at *beside*, the input file's folder.

        Blocks as long as the disk does: call it in a worker thread. Calls may overlap; each holds one file open, and twice to three times
        its size in memory.
        """
        read = self._read(medium, beside, MAX_FILE_BYTES + 1)
        return _failure(medium, read) if isinstance(read, _Unfit) else read

    def look(self, medium: Medium, beside: Path) -> Failure | None:
        """What `read` would refuse the file over that *medium* names, as far as its first bytes tell. Blocks as that does."""
        read = self._read(medium, beside, _HEAD)
        return _failure(medium, read, then="") if isinstance(read, _Unfit) else None

    def _read(self, medium: Medium, beside: Path, most: int) -> str | _Unfit:
        content = self._resolved(beside / local_path(medium.url), most)
        return content if isinstance(content, _Unfit) else _data_url(medium.kind, content)

    def _resolved(self, path: Path, most: int) -> bytes | _Unfit:
        try:
            return self._content(os.path.realpath(path), most)
        except OSError as error:
            return _refused(error)
        except ValueError:  # NUL, or half a surrogate pair
            return _Unfit("media_missing", "is a name that no file can have")
        except RecursionError:  # os.path.realpath of Python 3.11 follows links by calling itself
            return _Unfit("media_unreadable", "leads through too many links")

    def _content(self, resolved: str, most: int = MAX_FILE_BYTES + 1) -> bytes | _Unfit:
        root, names = _names(self._root), _names(resolved)
        if names[: len(root)] != root:
            return _Unfit("media_outside_root", f"leads out of the folder that holds the media, {_named(self._root)}")
        with _opened(self._root, names[len(root) :]) as descriptor:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISREG(mode):
                return _beginning(descriptor, most)
            return _Unfit("media_unreadable", f"is {'a folder' if stat.S_ISDIR(mode) else 'a pipe or a device'}, not a file")


def not_in_time(medium: Medium) -> Failure:
    """What a medium comes to that nobody has waited for any longer."""
    return _failure(medium, _Unfit("media_unreadable", "was not read within timeouts.total", passing=True))


# Reading


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


@contextmanager
def _opened(root: str, names: Sequence[str]) -> Iterator[int]:
    """Walk from *root* by *names*, the last of which is the file, and hold it open for reading."""
    descriptor = os.open(root, _FOLDER)
    try:
        for left, name in enumerate(names, 1 - len(names)):
            outer = descriptor
            descriptor = os.open(name, _FOLDER if left else _FILE, dir_fd=outer)
            os.close(outer)
        yield descriptor
    finally:
        os.close(descriptor)


def _beginning(descriptor: int, most: int) -> bytes:
    content = bytearray()
    while piece := os.read(descriptor, min(_CHUNK, most - len(content))):
        content += piece
    return bytes(content)


def _refused(error: OSError) -> _Unfit:
    if error.errno in _MISSING:
        return _Unfit("media_missing", f"cannot be found ({error.strerror})")
    return _Unfit("media_unreadable", f"cannot be read ({error.strerror})", passing=error.errno in _PASSING)


# Judging


class _Type(NamedTuple):
    kind: Kind
    mime: str
    begins: re.Pattern[bytes]


def _type(kind: Kind, mime: str, begins: bytes) -> _Type:
    return _Type(kind, mime, re.compile(begins, re.DOTALL))


_TYPES = (
    _type("image", "image/png", rb"\x89PNG\r\n\x1a\n"),
    _type("image", "image/jpeg", rb"\xff\xd8\xff"),
    _type("image", "image/gif", rb"GIF8[79]a"),
    _type("image", "image/webp", rb"RIFF....WEBP"),
    _type("image", "image/bmp", rb"BM....\0\0\0\0"),
    _type("image", "image/tiff", rb"II\*\0|MM\0\*"),
    _type("image", "image/heic", rb"....ftyp(?:hei[cxms]|hev[cx]|mif1|msf1)"),
    _type("audio", "audio/wav", rb"RIFF....WAVE"),
    _type("audio", "audio/mpeg", rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"),
    _type("audio", "audio/aac", rb"\xff[\xf0\xf1\xf8\xf9]"),
    _type("audio", "audio/flac", rb"fLaC"),
    _type("audio", "audio/ogg", rb"OggS"),
    _type("audio", "audio/amr", rb"#!AMR"),
    _type("video", "video/quicktime", rb"....(?:ftypqt  |moov|mdat|wide)"),
    # A recorder may give its sound alone the general brand of a film, and WebM knows no other: both stand here twice.
    _type("video", "video/mp4", rb"....ftyp(?:M4V|mp4|iso|3g|dash|avc1|f4v|MSNV)"),
    _type("audio", "audio/mp4", rb"....ftyp(?:M4[AB] |mp4|iso|3g|dash)"),
    _type("video", "video/webm", rb"\x1aE\xdf\xa3.{0,52}webm"),
    _type("audio", "audio/webm", rb"\x1aE\xdf\xa3.{0,52}webm"),
    _type("video", "video/x-matroska", rb"\x1aE\xdf\xa3"),
    _type("video", "video/x-msvideo", rb"RIFF....AVI "),
    _type("video", "video/x-flv", rb"FLV\x01"),
)
_TAKEN: dict[Kind, str] = {
    "image": "png, jpeg, gif, webp, bmp, tiff, heic",
    "audio": "wav, mp3, aac, m4a, flac, ogg, amr",
    "video": "mp4, mov, avi, mkv, webm, flv",
}


def _data_url(kind: Kind, content: bytes) -> str | _Unfit:
    types = [each for each in _TYPES if each.begins.match(content[:_HEAD])]
    mime = next((each.mime for each in types if each.kind == kind), None)
    if mime is None:
        what = "is empty" if not content else f"is {types[0].mime}" if types else "does not begin like any"
        return _Unfit("media_type", f"{what}, where the row needs one of these: {_TAKEN[kind]}")
    prefix = f"data:{mime};base64,"
    if len(prefix) + -(-len(content) // 3) * 4 > MAX_DATA_URL_BYTES:
        return _Unfit("media_too_large", f"is too large: at most some {MAX_FILE_BYTES:,} bytes, {MAX_DATA_URL_BYTES:,} as a data URL")
    return prefix + b64encode(content).decode("ascii")


# Telling


class _Unfit(NamedTuple):
    code: str
    what: str
    """Follows the name of the file."""
    passing: bool = False


def _failure(medium: Medium, unfit: _Unfit, then: str = ASKED_AGAIN) -> Failure:
    fault, advice = (Fault.AGAIN, _PASSES) if unfit.passing else (Fault.REJECT, _ADVICE[unfit.code] + then)
    return Failure(fault, Scope.ROW, unfit.code, f"the {medium.kind} {_named(medium.url)} {unfit.what}", advice)


def _named(path: str) -> str:
    """Quote *path* so that it fits a line, what does not print escaped; its end says more than its middle."""
    quoted = repr(without_keys_in(path))
    return quoted if len(quoted) <= _LONGEST_SHOWN else f"{quoted[:50]}…{quoted[-60:]}"
