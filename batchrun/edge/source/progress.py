"""How far a pass has come, in bytes."""

from __future__ import annotations

from collections.abc import Callable


class Progress:
    """Tells bytes done and bytes in all, whenever some were done; what *tell* raises ends the pass."""

    def __init__(self, tell: Callable[[int, int], None] | None, expected: int) -> None:
        self._tell = tell
        self._done = 0
        self._expected = expected

    def expect(self, size: int) -> None:
        """Note that there is more to do than was known."""
        self._expected += size

    def add(self, size: int) -> None:
        """Note what was done."""
        self._done += size
        if self._tell is not None:
            self._tell(self._done, max(self._done, self._expected))

    @property
    def ahead(self) -> float:
        """How many times what is done there is in all, as far as is known."""
        return max(1.0, self._expected / self._done) if self._done else 1.0
