"""A second process that is killed while it reads ahead."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from batchrun.beside.process import Beside


def kill_after(parts: int, ahead: type[Beside], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the other process of *ahead* killed once so many parts of it were read; gives the parts, one added for each reading."""
    taken, read = ahead._read, list[int]()

    def killed_after_parts(self: Any) -> Any:
        if len(read) == parts:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            while self._notes.read(1 << 10):
                pass  # As if it had been killed before it told of more.
        read.append(len(read))
        return taken(self)

    monkeypatch.setattr(ahead, "_read", killed_after_parts)
    return read
