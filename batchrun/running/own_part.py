"""What the books say of this run: what it may spend of each page, and has spent.

When they are read and written is told in `bookkeeping.py`. A page and its line in the books change together, so that the run never thinks
that it may spend what the books do not have it hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from batchrun.core.money.books import Books, Part, oldest_kept
from batchrun.core.money.budget import Page, Purse
from batchrun.edge.books_file import ledger_bytes, name_of

_NOTHING = Decimal(0)


class OwnPart:
    """Of the run in *directory*, which spends from *purses*."""

    def __init__(self, directory: Path, purses: tuple[Purse, ...]) -> None:
        self.name = name_of(directory)
        self._directory = directory
        self._purses = purses

    def take(self, books: Books, run: str) -> None:
        """Write all of it: that a process has it now, and that it is *run*'s."""
        part = books.runs.setdefault(self.name, Part())
        part.open, part.run = True, run
        part.sizes = dict.fromkeys((key for key, _ in self._pages()), ledger_bytes(self._directory)[0])
        for key, page in self._pages():
            page.allowed = max(page.allowed, page.spent + page.promised)
            part.taken[key], part.spent[key] = page.allowed, page.spent
            self.see_others(books, key, page)

    def see_others(self, books: Books, key: str, page: Page) -> None:
        """Take note of what others have taken of *page*, which the books call so."""
        page.others, page.others_hold = books.others(self.name, key), books.others_hold(self.name, key)

    def forget_before(self, month: str) -> None:
        """Drop the pages of months that the books drop: a run that goes on for a year would write all of its days into them each time."""
        oldest = oldest_kept(month)
        for pages in (purse.pages for purse in self._purses):
            for name in [name for name in pages if name < oldest]:
                del pages[name]

    def within_reach(self, books: Books, purse: Purse, page: Page) -> Decimal:
        """What calls to come may cost of *page*, if it took all that the books have left of it."""
        key, part = purse.cap.key(page.span.name), books.runs[self.name]
        part.taken[key], part.spent[key] = page.allowed, page.spent
        self.see_others(books, key, page)
        return page.left + max(purse.cap.amount - page.allowed - page.others, _NOTHING)

    def borrow(self, books: Books, purse: Purse, page: Page, more: Decimal) -> None:
        """Take so much *more* of *page*, which is within reach, and as much as is under way besides, or a lot, where there is as much."""
        if more > 0:
            self._lend(books, purse, page, more, more + page.promised)

    def take_lot(self, books: Books, purse: Purse, page: Page) -> None:
        """Take a lot of *page* before anything needs it."""
        self._lend(books, purse, page, _NOTHING, _NOTHING)

    def _lend(self, books: Books, purse: Purse, page: Page, least: Decimal, wish: Decimal) -> None:
        key = purse.cap.key(page.span.name)
        books.lend(self.name, key, purse.cap.amount, least, max(wish, books.lot(self.name, key, purse.cap.amount)))
        page.allowed = books.runs[self.name].taken[key]
        self.see_others(books, key, page)

    def holds_idly(self, books: Books) -> bool:
        """Whether the books have it hold what no call is under way for."""
        part = books.runs[self.name]
        return any(not page.promised and (page.allowed > page.spent or part.idle(key)) for key, page in self._pages())

    def give_back(self, books: Books) -> None:
        """Let others have what no call is under way for."""
        part = books.runs[self.name]
        for key, page in self._pages():
            if not page.promised:
                page.allowed = page.spent
            part.taken[key], part.spent[key] = page.allowed, page.spent

    def settle(self, books: Books) -> None:
        """Take note that no process has it any more: what is under way may have been billed."""
        spent = {key: page.spent + page.promised for key, page in self._pages()}
        books.runs[self.name].settle(spent, ledger_bytes(self._directory)[0])

    def spent(self) -> dict[str, Decimal]:
        """What it has spent, by page."""
        return {key: page.spent for key, page in self._pages()}

    def _pages(self) -> Iterator[tuple[str, Page]]:
        return ((purse.cap.key(page.span.name), page) for purse in self._purses for page in purse.pages.values())
