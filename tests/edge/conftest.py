"""What the tests of the edge share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.rights import open_to_all


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that is open to all, as pytest's own are not."""
    with open_to_all() as made:
        yield made
