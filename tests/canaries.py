"""No test of the command line passes that wrote a key: what a child process was given as one is searched for in all that it left.

A key is any value of a variable that a test added to a child's environment, and that is long enough for one. It is searched for as it is,
by its beginning, in base64, as a URL and as Python write it: in the command line, in all that the child said, and in every file of every
run directory where it ran.
"""

from __future__ import annotations

import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

_LEAST = 12
_NO_KEYS = {"PYTHONPATH", "PATH", "SSL_CERT_FILE", "HOME"}


@dataclass
class Child:
    """One ``batchrun`` that a test started, and what it said."""

    arguments: list[str]
    place: Path
    keys: list[str]
    said: list[bytes] = field(default_factory=list)


@dataclass
class Watch:
    """What has been searched in this session."""

    children: list[Child] = field(default_factory=list)
    searched_children: int = 0
    searched_bytes: int = 0
    keys: set[str] = field(default_factory=set)


WATCH = Watch()
_start, _communicate = subprocess.Popen.__init__, subprocess.Popen.communicate


def watch_children() -> None:
    """From here on, note the children that are started."""

    def start(self: Any, args: Any, *more: Any, **settings: Any) -> None:
        given = settings.get("env") or {}
        keys = [value for name, value in given.items() if os.environ.get(name) != value and name not in _NO_KEYS and len(value) >= _LEAST]
        arguments = [os.fsdecode(each) for each in args] if isinstance(args, list | tuple) else [str(args)]
        if keys and any("batchrun" in each for each in arguments):
            self.child = Child(arguments, Path(settings.get("cwd") or "."), keys)
            WATCH.children.append(self.child)
        _start(self, args, *more, **settings)

    def communicate(self: Any, *more: Any, **settings: Any) -> Any:
        said = _communicate(self, *more, **settings)
        if child := getattr(self, "child", None):
            child.said += [each.encode() if isinstance(each, str) else each for each in said if each]
        return said

    subprocess.Popen.__init__ = start  # type: ignore[method-assign]  # every way to start a child comes here
    subprocess.Popen.communicate = communicate  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def no_key_is_written_anywhere() -> Iterator[None]:
    """Search all that this test's children left."""
    WATCH.children.clear()
    yield
    leaks = [leak for child in WATCH.children for leak in _leaks(child)]
    assert leaks == []


def _leaks(child: Child) -> Iterator[str]:
    texts = [("its command line", "\0".join(child.arguments).encode()), *(("what it said", each) for each in child.said)]
    for lock in child.place.rglob("run.lock"):
        texts += [(str(path), path.read_bytes()) for path in lock.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    shapes = {shape for key in child.keys for shape in _shapes(key)}
    WATCH.searched_children += 1
    WATCH.searched_bytes += sum(len(text) for _, text in texts)
    WATCH.keys.update(child.keys)
    for where, text in texts:
        if any(shape in text for shape in shapes):
            yield f"a key, or the beginning of one, stands in {where}"


def _shapes(key: str) -> list[bytes]:
    middles = [b64encode(b"\0" * before + key.encode()).decode()[4:20] for before in range(3)]
    return [each.encode() for each in (key[:_LEAST], quote(key, safe="")[:20], repr(key)[1:21], *middles)]
