"""Which files the job names, and whether each may be read.

Everything that makes an input unusable is said at once, before any of it is read. How a file is packed is told by its first bytes.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path

from batchrun.core.classes import value
from batchrun.core.errors import Mistake
from batchrun.core.jobs.words import nearest_file
from batchrun.core.rows.index import MAX_FILES
from batchrun.core.rows.rows import Inherited
from batchrun.edge.source.mistakes import STDIN, printable, refuse_of_a_disk, unusable, where

GZIP = (b"\x1f\x8b",)
ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + number, 0x2A, 0x4D, 0x18]) for number in range(16)))
"""How compressed files begin; zstd's with a frame, or with one that is to be skipped (RFC 8878, 3.1.2), as pzstd and seekable files do."""
_MOST_NEIGHBOURS = 1000
"""That are looked at for a mistyped name."""
_READABLE = "must be JSON lines in UTF-8, plain or compressed with gzip or zstd"
_UTF_16 = ("UTF-16 text", ": iconv -f UTF-16 -t UTF-8 makes it of this")
_OF_A_FRAME = ": pandas makes it of this: pandas.read_{}(path).to_json(new_path, orient='records', lines=True, force_ascii=False)"
_FOREIGN = {
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"{\x00": ("UTF-16 text", ": iconv -f UTF-16LE -t UTF-8 makes it of this"),
    b"\x00{": ("UTF-16 text", ": iconv -f UTF-16BE -t UTF-8 makes it of this"),
    b"PK\x03\x04": ("a zip archive", ": unpack it, or if it is a sheet of Excel save that as CSV UTF-8 first"),
    b"BZh": ("a bzip2 file", ": bunzip2 -k unpacks it"),
    b"\xfd7zXZ": ("an xz file", ": unxz -k unpacks it"),
    b"7z\xbc\xaf": ("a 7z archive", ": unpack it"),
    b"PAR1": ("a Parquet file", _OF_A_FRAME.format("parquet")),
    b"ARROW1": ("an Arrow file", _OF_A_FRAME.format("feather")),
    b"version ": ("a pointer of Git LFS, or no JSON at all", ": git lfs pull fetches the file itself"),
    **dict.fromkeys((b"<!DOCTYP", b"<!doctyp", b"<html"), ("a web page", ": one was saved in its place: fetch it again")),
}
"""Kinds of files by how they begin, and what may follow what an input must be."""

_TAR, _TAR_FROM = b"ustar", 257
"""What says that a file is one, and where."""


@value
class InputFile:
    """One input as the job names it: a path, a glob, or ``-`` for standard input."""

    path: str
    workspace: str | None = None
    """The workspace of its lines that name none; the job's own default where this is None."""


@value
class Found:
    """An input file before it is known where its lines can be read."""

    shown: str
    workspace: str | None
    size: int
    mtime_ns: int
    head: bytes
    """Its first bytes, which tell how it is packed."""


def find(inputs: Sequence[InputFile], workspaces: Mapping[str, Inherited], default_workspace: str | None) -> tuple[list[Found], list[str]]:
    """Look at every path the inputs name; every one that cannot be used is said at once."""
    taken: dict[object, Found] = {}
    mistakes: list[Mistake] = []
    twice: list[str] = []
    for looked in _looks(inputs, workspaces, default_workspace):
        match looked:
            case Mistake():
                mistakes.append(looked)
            case same, found:
                earlier = taken.setdefault(same, found)
                if earlier.workspace != found.workspace:
                    mistakes.append(_two_workspaces(earlier, found))
                elif earlier is not found:
                    twice.append(found.shown)
    if len(taken) > MAX_FILES:
        mistakes.append(Mistake("input", f"{len(taken):,} files", f"must be at most {MAX_FILES:,}: join some"))
    if mistakes:
        raise unusable(mistakes)
    return list(taken.values()), [f"named more than once, read once: {', '.join(twice[:3])}{', …' * (len(twice) > 3)}"] if twice else []


def named(paths: Sequence[str]) -> list[str]:
    """The files that the job's *paths* and patterns name, as they name them; whether one is there, or may be read, is not looked at."""
    return [path for each in paths for path in _paths(each) if path != STDIN and "\0" not in path]


def would_match(pattern: str, path: str) -> bool:
    """Whether a job's *pattern* names *path* as soon as there is such a file; a path that is no pattern names itself alone."""
    return _is_pattern(pattern) and _match(_parts(path), _parts(pattern))


def would_lead_into(pattern: str, folder: str) -> bool:
    """Whether a job's *pattern* may name anything in *folder*: most do not, and need not be held against each file that may come there."""
    return _is_pattern(pattern) and _match(_parts(folder), _parts(pattern), or_beyond=True)


def _parts(path: str) -> Sequence[str]:
    return Path(os.path.abspath(path)).parts  # noqa: PTH100 - it may lead up again, over what is not there


def _match(parts: Sequence[str], patterns: Sequence[str], *, or_beyond: bool = False) -> bool:
    """As glob does: ``**`` stands for any folders, and what begins with a dot is named by its dot alone."""
    if not parts or not patterns:
        return not parts and (or_beyond or not patterns)
    if patterns[0] == "**":
        whole = len(parts) == 1 and {*patterns} == {"**"}
        if not parts[0].startswith(".") and (whole or _match(parts[1:], patterns, or_beyond=or_beyond)):
            return True
        return _match(parts, patterns[1:], or_beyond=or_beyond)
    if parts[0].startswith(".") and not patterns[0].startswith("."):
        return False
    return fnmatch(parts[0], patterns[0]) and _match(parts[1:], patterns[1:], or_beyond=or_beyond)


def _looks(
    inputs: Sequence[InputFile], workspaces: Mapping[str, Inherited], default_workspace: str | None
) -> Iterator[tuple[object, Found] | Mistake]:
    for each in inputs:
        if each.workspace is not None and each.workspace not in workspaces:
            yield Mistake(where(each.path), f"workspace {each.workspace!r}", "must be one of the job's workspaces")
        paths = _paths(each.path)
        if paths != [each.path] and (unmatched := _unmatched(each.path, any_match=bool(paths))):
            yield unmatched
        for path in paths:
            yield _look(path, each.workspace or default_workspace)


def _two_workspaces(earlier: Found, later: Found) -> Mistake:
    found = f"workspace {later.workspace!r} for a file that is already named with workspace {earlier.workspace!r}"
    return Mistake(where(later.shown), found, f"must be named once: see {where(earlier.shown)}; to ask its rows in both, name a copy of it")


def _paths(path: str) -> list[str]:
    if not _is_pattern(path):
        return [path]
    matches = glob.glob(path, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    # Of a file "a", older Pythons find "a/" by "a/**", which newer ones do not.
    return sorted(match for match in matches if not match.endswith("/") and not os.path.isdir(match))  # noqa: PTH112 - of a Path it raises where it may not look


def _is_pattern(path: str) -> bool:
    # A file whose very name holds brackets is that file, not a pattern.
    return "\0" not in path and not os.path.lexists(path) and glob.has_magic(path)


def _unmatched(pattern: str, *, any_match: bool) -> Mistake | None:
    """What is wrong with a pattern: it matches no file, or may leave out some, unseen, beside those that it matches."""
    if not (shut := printable(_shut(pattern))):
        return None if any_match else Mistake(where(pattern), "a pattern that no file matches", "must match at least one file")
    must = "what it leaves out there cannot be known" if any_match else "must match at least one file"
    wanted = f"{must}: let this user read and enter {shut!r}, or name files elsewhere"
    return Mistake(where(pattern), f"a pattern in a folder that cannot be looked into ({shut}: Permission denied)", wanted)


def _shut(pattern: str) -> str:
    """Name the first folder that *pattern* leads into and that this user may not read or enter; nothing where there is none."""
    parts = Path(pattern).parts
    for depth, part in enumerate(parts):
        folder = str(Path(*parts[:depth]))
        for each in glob.iglob(folder, recursive=True) if glob.has_magic(folder) else [folder]:  # noqa: PTH207 - as in _paths
            try:
                os.stat(f"{each}/.")  # noqa: PTH116 - a Path leaves the dot out, without which nobody enters
                if glob.has_magic(part) or "**" in parts[:depth]:
                    os.scandir(each).close()
            except PermissionError:
                return each
            except OSError:
                continue
    return ""


def _look(path: str, workspace: str | None) -> tuple[object, Found] | Mistake:
    """Tell which file a path leads to, whatever it is called there, and how it begins."""
    if path == STDIN:
        return STDIN, Found(STDIN, workspace, 0, 0, b"")
    if "\0" in path or printable(path) != path:
        return Mistake(where(path), "a name that is not UTF-8 text", "must be a name that a report can hold: rename it")
    try:
        status = Path(path).stat()
        # A pipe must not be opened: that would wait for its writer.
        head = _head(path) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        refuse_of_a_disk(path, error)
        wanted = "must be a file that is there and may be read" + (_meant(path) or _looked_for(path))
        return Mistake(where(path), f"a path that cannot be read ({error.strerror})", wanted)
    return _unfit(path, status.st_mode, head) or (
        (status.st_dev, status.st_ino),
        Found(path, workspace, status.st_size, status.st_mtime_ns, head),
    )


def _meant(path: str) -> str:
    """Name the file beside it that was probably meant."""
    place = Path(path)
    try:
        if place.is_symlink():
            return f"; it is a link to {printable(str(place.readlink()))!r}, which is not there"
        beside = (each.name for each in islice(place.parent.iterdir(), _MOST_NEIGHBOURS) if each.suffix != ".toml")
        near = None if place.exists() else nearest_file(place.name, beside)
    except OSError:
        return ""
    return f"; did you mean {printable(str(place.with_name(near)))!r}?" if near else ""


def _looked_for(path: str) -> str:
    """Say where a relative path begins: a job may be run from another directory than it was written for."""
    try:
        return "" if Path(path).is_absolute() else f"; it was looked for in {printable(str(Path.cwd()))}, where the command was run"
    except OSError:
        return ""


def _head(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(8)


def _unfit(path: str, mode: int, head: bytes) -> Mistake | None:
    if stat.S_ISDIR(mode):
        return Mistake(where(path), "a directory", f'must be files: "{path.rstrip("/")}/*.jsonl"')
    if not stat.S_ISREG(mode):
        return Mistake(where(path), "a pipe or a device", 'must be a file; pipe into batchrun and name "-" instead')
    if mistake := foreign(path, head):
        return mistake
    kind = _misnamed(path, head)
    return Mistake(where(path), kind, _READABLE) if kind else None


def foreign(path: str, head: bytes) -> Mistake | None:
    """What is wrong with a file that begins with *head*, where it is of a kind that batchrun does not read."""
    kinds = (Mistake(where(path), kind, _READABLE + way) for magic, (kind, way) in _FOREIGN.items() if head.startswith(magic))
    return next(kinds, None)


def foreign_inside(path: str, begins: bytes) -> Mistake | None:
    """The same of what was unpacked, if it was packed; *begins* is some kilobytes of it."""
    if begins.startswith(GZIP + ZSTD):
        return Mistake(where(path), "a file that was compressed twice", f"{_READABLE}, once: unpack it")
    if begins.startswith(_TAR, _TAR_FROM) and b"\0" in begins[:_TAR_FROM]:
        return Mistake(where(path), "a tar archive", f"{_READABLE}: tar -xf unpacks it")
    return foreign(path, begins)


def _misnamed(path: str, head: bytes) -> str | None:
    for suffix, magic in ((".gz", GZIP), (".zst", ZSTD)):
        if path.lower().endswith(suffix) and not head.startswith(magic):
            return f"a file named {suffix} that does not begin like one"
    return None
