"""The compiled build of this tree: made in a clean copy of it, by the libraries of this environment."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NOT_THE_TREE = shutil.ignore_patterns(
    ".git", ".venv*", ".environments", "runs", ".*_cache", ".hypothesis", "__pycache__", "*.so", "*.egg-info"
)
_PATIENCE = 3600
"""Seconds that a compiler may take."""


class NotBuiltError(Exception):
    """The compiled build can not be made here; says why."""


def copied(into: Path) -> Path:
    """A copy of the tree, without what git does not know either."""
    shutil.copytree(ROOT, into, ignore=_NOT_THE_TREE)
    return into


def wheel(tree: Path, *, compiled: bool = True) -> Path:
    """The wheel of *tree*, in its ``dist``."""
    asked = {"HATCH_BUILD_HOOK_ENABLE_CUSTOM": "1"} if compiled else {}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HATCH_")}
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=tree, env={**kept, **asked}, capture_output=True, text=True, timeout=_PATIENCE, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NotBuiltError(f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
    (found,) = (tree / "dist").glob("*.whl")
    return found


def unpacked(wheel: Path, over: Path) -> Path:
    """*over*, with what *wheel* installs laid over it: an import from there is of the wheel's modules."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(over)
    return over


def digest() -> str:
    """Of all that the compiled build is made of."""
    seen = hashlib.sha256()
    for path in sorted([*(ROOT / "batchrun").rglob("*.py"), ROOT / "pyproject.toml", ROOT / ".ci" / "compiled.py"]):
        seen.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return seen.hexdigest()[:12]
