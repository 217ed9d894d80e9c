"""Whose turn it is with the books of budgets: what needs them while another process has them waits, and the event loop does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio

from batchrun.edge.books_file import BooksFile

T = TypeVar("T")


class Turn:
    """Takes steps that raise BlockingIOError where another process has the books in *file*."""

    def __init__(self, file: BooksFile) -> None:
        self._file = file
        self._one_waits = anyio.Lock()

    def take(self, step: Callable[[], T]) -> T:
        """Give what *step* does, once it is its turn. Blocks."""
        while True:
            try:
                return step()
            except BlockingIOError:
                self.wait()

    async def come(self, step: Callable[[], T]) -> T:
        """Do the same, and let the event loop go on meanwhile."""
        while True:
            try:
                return step()
            except BlockingIOError:
                await self.free()

    async def free(self) -> None:
        """Wait, in one thread however many do, until no other process has the books. Cancelled, nobody waits for that thread."""
        async with self._one_waits:
            await anyio.to_thread.run_sync(self.wait, abandon_on_cancel=True)

    def wait(self) -> None:
        """Wait until no other process has the books. Blocks."""
        with self._file.locked():
            pass
