"""What the tests of the edge share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that is open to all, as pytest's own are not."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o777)
    yield made
    for path in made.iterdir():
        if not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(made)
