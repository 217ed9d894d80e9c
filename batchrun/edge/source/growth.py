"""Whether the input has grown since it was found: lines that were appended to a file, and files that came under a pattern.

A run has the rows that it was opened with. What a producer has written since is asked when it is opened again, which nobody would do who
was told that every row is answered. A file that another was put in the place of is none that has grown: that may be tomorrow's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from batchrun.edge.source.inputs import named


class Growth:
    """Of what *paths* and patterns name, from now on."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._named = {*named(paths)}
        self._sizes = {path: (file, size) for path, file, size in _seen(self._named)}

    def since(self) -> list[str]:
        """Name the files that are larger than they were, and those that were not there."""
        files = {file for file, _ in self._sizes.values()}
        return [path for path, file, size in _seen(named(self._paths)) if self._is_more(path, file, size, files)]

    def _is_more(self, path: str, file: tuple[int, int], size: int, files: set[tuple[int, int]]) -> bool:
        if path not in self._sizes:
            # One that was named and could not be looked at for a moment was there: its lines are those that were read.
            return path not in self._named and file not in files
        before, then = self._sizes[path]
        return file == before and size > then


def _seen(paths: Iterable[str]) -> Iterator[tuple[str, tuple[int, int], int]]:
    for path in paths:
        with suppress(OSError):
            found = Path(path).stat()
            yield path, (found.st_dev, found.st_ino), found.st_size
