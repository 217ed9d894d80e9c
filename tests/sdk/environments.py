"""The official SDKs at the versions that people run, each in an environment of its own, built once and kept in ``.environments``."""

from __future__ import annotations

import fcntl
import importlib.metadata
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).parents[2] / ".environments"
_HERE = Path(__file__).parent
_PATIENCE = 600
"""Seconds that a step of a build may take."""


class Sdk(NamedTuple):
    """One SDK at one version."""

    package: str
    version: str

    @property
    def name(self) -> str:
        """As tests and the summary call it: ``openai-1.109.1``."""
        return f"{self.package}-{self.version}"

    @property
    def pin(self) -> str:
        """As pip takes it."""
        return f"{self.package}=={self.version}"

    @property
    def driver(self) -> Path:
        """The script that performs calls with this SDK."""
        return _HERE / f"{self.package}_driver.py"


OPENAI_1 = Sdk("openai", "1.109.1")
OPENAI_3 = Sdk("openai", "3.54.0")
DASHSCOPE_1 = Sdk("dashscope", "1.25.24")
DASHSCOPE_2 = Sdk("dashscope", "2.0.2")
EVERY = (OPENAI_1, OPENAI_3, DASHSCOPE_1, DASHSCOPE_2)


def python_of(sdk: Sdk) -> Path:
    """The interpreter that has *sdk*: this one if it does, else that of an environment, which is built if it is not there."""
    return Path(sys.executable) if _is_here(sdk) else built(sdk) / "bin" / "python"


def built(sdk: Sdk, root: Path = _ROOT, build: Callable[[Path, Sdk], None] | None = None) -> Path:
    """The environment of *sdk* in *root*. Of two sessions that want it at once, one builds it and the other waits."""
    place = root / sdk.name
    marker, pins = place / "pins.txt", f"python=={platform.python_version()}\n{sdk.pin}\n"
    with _alone(root, sdk):
        if not marker.exists() or marker.read_text(encoding="utf-8") != pins:
            shutil.rmtree(place, ignore_errors=True)
            (build or _build)(place, sdk)
            marker.write_text(pins, encoding="utf-8")  # Last: a build that broke off has none.
    return place


def _is_here(sdk: Sdk) -> bool:
    try:
        return importlib.metadata.version(sdk.package) == sdk.version
    except importlib.metadata.PackageNotFoundError:
        return False


def _build(place: Path, sdk: Sdk) -> None:
    _run(sys.executable, "-m", "venv", str(place))
    _run(str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", sdk.pin)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


@contextmanager
def _alone(root: Path, sdk: Sdk) -> Iterator[None]:
    root.mkdir(exist_ok=True)
    (root / ".gitignore").write_text("*\n", encoding="utf-8")
    with (root / f"{sdk.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
