"""A key that was mended while the run is under way: its file is read again when what stands still is tried again, if it has changed.

What the environment has cannot change under a process, and goes before the file. A key that was missing stays so: its rows are not tried.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from batchrun.core.errors import JobError
from batchrun.core.jobs.job import Workspace
from batchrun.edge.environment import Keys, read_keys
from batchrun.running.noticed import shared_keys


class Renewal:
    """The keys of *workspaces*, which were *keys* when they were read from the file *dotenv*."""

    def __init__(self, workspaces: Mapping[str, Workspace], keys: Keys, dotenv: Path | None, note: Callable[[str], None]) -> None:
        self._workspaces = workspaces
        self._keys = dict(keys)
        self._dotenv = dotenv
        self._note = note
        self._in_file: Keys = {}
        self._stat: tuple[int, ...] | None = None

    def of(self, workspace: str) -> SecretStr | None:
        """Give the key that the file has by now, where that is another; None where it is not, or there is none that could be one."""
        self._look()
        key = self._in_file.get(workspace)
        if not isinstance(key, SecretStr) or key == self._keys.get(workspace):
            return None
        self._keys[workspace] = key
        self._note(f"{workspace}: {self._dotenv} has another key by now: it is used from here on")
        for told in shared_keys({name: each for name, each in self._keys.items() if each == key}, self._keys.keys()):
            self._note(told)
        return key

    def _look(self) -> None:
        """Read the file, where it has changed: a thousand workspaces may be tried again at once."""
        stat = None
        with suppress(OSError):
            found = self._dotenv.stat() if self._dotenv else None
            stat = found and (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if stat == self._stat:
            return
        self._stat, self._in_file = stat, {}
        try:
            self._in_file = read_keys(self._workspaces.values(), os.environ, self._dotenv)
        except JobError as error:  # Whoever edits it may not have done yet.
            self._note(f"no key was read again: {' '.join(str(error).split())}")
