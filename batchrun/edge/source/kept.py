"""The index kept beside the spools, so that a later opening need not make the pass again, and can tell which rows came and went.

Two files: ``index.bin`` holds the lines that were set aside and the arrays, as they are in memory; ``index.json``, written last, says what
they are of. An index is of these contents, by their digests, read under these workspaces and limits, by this format; whatever else it was
made of, and whatever was torn, cut or put there by others, is recognised by that or by its digest, and the index is made again.

The contents are not read again where the file system says that they are the same files, unchanged: by device, inode, size and both times.
A change within the same tick of its clock leaves no trace there, so a file that had changed shortly before the pass is read again, once.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from time import time_ns
from typing import IO, Any, cast

import orjson

from batchrun.core.rows.index import Index
from batchrun.core.rows.rows import Inherited
from batchrun.edge.source.files import File, Files
from batchrun.edge.source.lines import chunks
from batchrun.edge.source.progress import Progress
from batchrun.edge.source.scan import Counts, Scanned, SetAside
from batchrun.edge.source.spool import write_whole

FORMAT = 2
_READING = 3
"""Of which lines are rows: it changes where that does."""
MOST_SET_ASIDE_BYTES = 16 << 20
"""Of lines set aside: an input of which more is no row is not worth keeping an index of."""
_TICKS_NS = 2_000_000_000
"""The coarsest clock of a file system that is met (FAT's)."""


class Keeper:
    """Keeps the index of *files* in *directory*: everything that decides what the index is, is named here.

    Where it is *read_only*, an index that stands there is used, and nothing is written.
    """

    def __init__(
        self, directory: Path, files: Files, workspaces: Mapping[str, Inherited], max_line_bytes: int, *, read_only: bool = False
    ) -> None:
        self._read_only = read_only
        self._told, self._arrays = directory / "index.json", directory / "index.bin"
        self._files = files
        self._began_ns = time_ns()
        self._stats = [_stat(file) for file in files]
        self._key = settings_key(files, workspaces, max_line_bytes)
        self._salts = salts_of(workspaces)
        # Copied into one, for what the parser's own writer returns holds four thousand bytes, however few it has written.
        self._set_aside = bytearray()
        self._is_too_much = False

    def read(self, tell: Callable[[SetAside], None], progress: Progress) -> Scanned | None:
        """Return what a pass would make, its lines that are no rows told to *tell*; None where the pass has to be made."""
        told = _told(self._told, self._key)
        if told is None or len(told["files"]) != len(self._files):
            return None
        digests = tuple(self._digest(*each, told["at"], progress) for each in zip(self._files, self._stats, told["files"], strict=True))
        if digests != tuple(of["blake2b"] for of in told["files"]):
            progress.expect(sum(file.size for file in self._files))
            return None
        try:
            with self._arrays.open("rb") as file:
                blob, arrays = read_arrays(file, told)
            aside = [SetAside(**orjson.loads(line)) for line in blob.splitlines()]
            scanned = Scanned(Index.of_parts(told["index"], arrays), Counts(**told["counts"]), digests, _settings(told))
        except (OSError, EOFError, KeyError, TypeError, ValueError):
            return None
        for each in aside:
            tell(each)
        known = all(stat == of["stat"] and _settled(stat, told["at"]) for stat, of in zip(self._stats, told["files"], strict=True))
        if not known and not self._read_only:
            # What was read again to be sure of it is known from now on.
            parts = {name: told[name] for name in ("index", "counts", "set_aside_bytes", "blake2b")}
            self._tell(digests, {**parts, "settings": scanned.settings})
        return scanned

    def watching(self, tell: Callable[[SetAside], None]) -> Callable[[SetAside], None]:
        """Give what takes the lines set aside in the pass: they are kept, and handed on."""

        def told(line: SetAside) -> None:
            if not self._is_too_much:
                self._set_aside += orjson.dumps(asdict(line), option=orjson.OPT_APPEND_NEWLINE)
                if len(self._set_aside) > MOST_SET_ASIDE_BYTES:
                    self._is_too_much = True
                    self._set_aside.clear()
            tell(line)

        return told

    def write(self, scanned: Scanned) -> None:
        """Keep what a pass has made; what cannot be kept is made again next time."""
        blob = bytes(self._set_aside)
        self._set_aside.clear()
        if self._read_only or self._is_too_much:
            return
        told, arrays = scanned.index.parts()
        whole = blake2b(blob, digest_size=16)
        for each in arrays:
            whole.update(each)
        with suppress(OSError):
            write_whole(self._arrays, [blob, *arrays])
            parts = {"index": told, "counts": asdict(scanned.counts), "set_aside_bytes": len(blob), "blake2b": whole.hexdigest()}
            self._tell(scanned.digests, {**parts, "settings": scanned.settings})

    def _tell(self, digests: Iterable[str], parts: Mapping[str, Any]) -> None:
        # What has changed since it was looked at has another stat, or one that has not settled: it is not taken for the same.
        files = [{"blake2b": digest, "stat": stat} for stat, digest in zip(self._stats, digests, strict=True)]
        told = {**parts, "format": FORMAT, "byteorder": sys.byteorder, "key": self._key, "at": self._began_ns, "files": files}
        told["salts"] = self._salts
        with suppress(OSError):
            write_whole(self._told, [orjson.dumps(told)])

    @staticmethod
    def _digest(file: File, stat: list[int] | None, of: Mapping[str, Any], at: int, progress: Progress) -> str:
        if stat is not None and stat == of["stat"] and _settled(stat, at):
            progress.add(stat[2])
            return str(of["blake2b"])
        content = blake2b(digest_size=16)
        for chunk in chunks(file):
            content.update(chunk)
            progress.add(len(chunk))
        return content.hexdigest()


def salts_of(workspaces: Mapping[str, Inherited]) -> dict[str, str]:
    """What stands for the settings that the rows of each workspace are asked under."""
    return {name: each.salt.hex() for name, each in workspaces.items()}


def settings_key(files: Files, workspaces: Mapping[str, Inherited], max_line_bytes: int) -> str:
    """Digest of all but the contents that decides which lines are rows, of which lanes, and with which digests."""
    known = [[name, each.model, each.salt.hex()] for name, each in sorted(workspaces.items())]
    # The path too, for lines that are set aside are told by it.
    named = [[file.shown, file.workspace] for file in files]
    return blake2b(orjson.dumps([_READING, known, named, max_line_bytes]), digest_size=16).hexdigest()


def _stat(file: File) -> list[int] | None:
    try:
        found = file.content.stat()
    except OSError:
        return None
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _settled(stat: Sequence[int] | None, at: int) -> bool:
    return stat is not None and max(stat[3], stat[4]) < at - _TICKS_NS


def _told(path: Path, key: str) -> dict[str, Any] | None:
    try:
        told: dict[str, Any] = orjson.loads(path.read_bytes())
        fits = (told["format"], told["byteorder"], told["key"]) == (FORMAT, sys.byteorder, key)
        whole = all(of.keys() == {"blake2b", "stat"} for of in told["files"])
        return told if fits and whole and isinstance(told["at"], int) else None
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None


def _settings(told: Mapping[str, Any]) -> dict[str, int]:
    """Names and places; none of an index that an earlier version kept."""
    settings = told.get("settings", {})
    if not isinstance(settings, dict) or not all(type(place) is int for place in settings.values()):
        raise ValueError
    return settings


def read_arrays(file: IO[bytes], told: Mapping[str, Any]) -> tuple[bytes, list[array[int]]]:
    """Read the set-aside lines and the arrays; raises ValueError or EOFError where they are not what was written."""
    shape = Index.shape(told["index"])
    size = told["set_aside_bytes"] + sum(array(code).itemsize * count for code, count in shape)
    if os.fstat(file.fileno()).st_size != size:
        raise EOFError
    blob = file.read(told["set_aside_bytes"])
    whole = blake2b(blob, digest_size=16)
    arrays = []
    for code, count in shape:
        numbers = array(code)
        numbers.fromfile(cast("Any", file), count)
        whole.update(numbers)
        arrays.append(numbers)
    if whole.hexdigest() != told["blake2b"]:
        raise ValueError
    return blob, arrays
