"""The official SDKs at the versions that people run, each in an environment of its own, built once and kept in ``.environments``."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.building import install, once

_ROOT = Path(__file__).parents[2] / ".environments"
_HERE = Path(__file__).parent


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
UVLOOP = Sdk("uvloop", "0.22.1")
"""No SDK: what the extra `fast` installs, kept in the same way."""


def python_of(sdk: Sdk) -> Path:
    """The interpreter that has *sdk*: this one if it does, else that of an environment, which is built if it is not there."""
    return Path(sys.executable) if _is_here(sdk) else built(sdk) / "bin" / "python"


def built(sdk: Sdk, root: Path = _ROOT, build: Callable[[Path, Sdk], None] | None = None) -> Path:
    """The environment of *sdk* in *root*. Of two sessions that want it at once, one builds it and the other waits."""
    marks = f"python=={platform.python_version()}\n{sdk.pin}\n"
    return once(root / sdk.name, marks, lambda place: (build or _build)(place, sdk))


def _is_here(sdk: Sdk) -> bool:
    try:
        return importlib.metadata.version(sdk.package) == sdk.version
    except importlib.metadata.PackageNotFoundError:
        return False


def _build(place: Path, sdk: Sdk) -> None:
    install(place, sdk.pin)


if __name__ == "__main__":
    for every in EVERY:
        python_of(every)
    built(UVLOOP)
