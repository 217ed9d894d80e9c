"""Virtual environments for what tests run beside batchrun: the SDKs, uvloop and the servers from PyPI.

Each is made by the first that wants it; `.ci/run` has them made while it does what needs one core.
"""

from __future__ import annotations

import fcntl
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_PATIENCE = 600
"""Seconds that a step of a build may take."""


def install(place: Path, *wanted: str) -> None:
    """An environment at *place*, empty before, with what these words make pip install.

    It is this interpreter's pip that does it, where it has one: another, unpacked for one call, takes as long as what it installs.
    """
    here = importlib.util.find_spec("pip") is not None
    _run(sys.executable, "-m", "venv", "--clear", *(["--without-pip"] if here else []), str(place))
    python = str(place / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python] if here else [python, "-m", "pip"]
    _run(*pip, "--disable-pip-version-check", "install", "--quiet", *wanted)


def once(place: Path, marks: str, build: Callable[[Path], None]) -> Path:
    """*place*, built if it is not there with these *marks*. Of two sessions that want it at once, one builds it and the other waits."""
    marker = place / "pins.txt"
    place.parent.mkdir(exist_ok=True)
    (place.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists() or marker.read_text(encoding="utf-8") != marks:
            build(place)
            marker.write_text(marks, encoding="utf-8")  # Last: a build that broke off has none.
    return place


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}"[-3000:])
