"""The books: what runs beside each other have spent of budgets that come anew, and what they hold of them for calls to come.

Rules

- What a run has *taken* of a page is what it may have spent in all: it borrows before it sends, in small lots, and never sends beyond.
  So the sum of what all runs have taken is never more than the cap, however many are under way and whatever kills them.
- When a run ends, what it has taken becomes what it has spent. A run that was killed keeps what it had taken until its ledger was read:
  then that decides, with what is in doubt at its bound.
- What was spent stays counted, whatever is done to directories: of one that is removed, of one that another run takes the place of, and
  what a copy does not tell that holds less than the ledger in whose place it stands. What no directory tells stands under names that none
  can have.
- The ledgers are the truth. The books can be deleted and are made again from them; that they were lost shows by their *name*, which each
  making chooses anew.

A page is named by `Cap.key`: whose budget it is, its unit, its period, and which day or month.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from batchrun.core.classes import slotted

FORMAT = 1
_NOTHING = Decimal(0)
_KEPT_MONTHS = 3
_HARDLY_MISSED = 64
"""A lot may be one part in so many of what is left, though less is needed."""
_FINEST = 10**6
"""Of a lot's amount: what is divided must not grow digits until sums are rounded."""
_LARGEST = 10**18


@slotted
class Part:
    """One run's part."""

    taken: dict[str, Decimal] = field(default_factory=dict)
    """By page."""
    spent: dict[str, Decimal] = field(default_factory=dict)
    """Of that, what was settled when the run last wrote."""
    open: bool = False
    """A process has it, or had it when it was killed."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Of the run's ledger when a page was last read from it, opened or settled, in bytes: another size means that there is more to read."""
    run: str = ""
    """Which run it is, whatever its directory is called; empty where older books do not tell."""
    stands_in: tuple[str, ...] = ()
    """As it was read: the directories whose ledgers tell all that is told here."""

    def settle(self, spent: Mapping[str, Decimal], size: int) -> None:
        """Take note that this is what was spent of these pages when the ledger had so many bytes, and that no process has the run.

        Other pages stay as they were, for runs that know of them; what they tell is to be read again.
        """
        self.open = False
        self.taken |= spent
        self.spent |= spent
        self.sizes = {page: size for page in self.taken if page in spent} | {
            page: each for page, each in self.sizes.items() if page not in spent and each == size
        }

    def known(self, page: str, size: int) -> Decimal:
        """What its ledger must tell of *page*, being so many bytes long; all that was taken, where it is a copy of before that.

        An opening writes to the ledger before it sends anything.
        """
        before = self.sizes.get(page, -1)
        if size < before or (self.open and size == before):
            return self.taken.get(page, _NOTHING)
        return self.spent.get(page, _NOTHING) if self.open else _NOTHING

    def idle(self, page: str) -> Decimal:
        """What it holds for calls to come, or under way."""
        return self.taken.get(page, _NOTHING) - self.spent.get(page, _NOTHING) if self.open else _NOTHING


@slotted
class Books:
    """What is written down of all runs of one folder, by the names of their directories."""

    name: str
    runs: dict[str, Part] = field(default_factory=dict)

    def others(self, run: str, page: str) -> Decimal:
        """What the other runs have taken of *page*."""
        return sum((part.taken.get(page, _NOTHING) for name, part in self.runs.items() if name != run), _NOTHING)

    def others_hold(self, run: str, page: str) -> Decimal:
        """What of that they hold for calls to come, or under way, and may give back."""
        return sum((part.idle(page) for name, part in self.runs.items() if name != run), _NOTHING)

    def holders(self, run: str, page: str) -> list[str]:
        """Which other runs hold some of *page* that they may give back."""
        return [name for name, part in self.runs.items() if name != run and part.idle(page) > 0]

    def make_way(self, name: str, run: str) -> None:
        """Let *name* be that of *run*: what another had under it counts apart, until its directory is found elsewhere."""
        standing = self.runs.get(name)
        if run and standing is not None and standing.run not in {"", run}:
            del self.runs[name]
            apart = f"{name}/{standing.run}"
            if apart in self.runs:
                self._keep(apart, standing.taken)
            else:
                self.runs[apart] = standing

    def move(self, name: str, run: str, there: Collection[str]) -> None:
        """Let what *run*, which is called *name* now, has under a name that no directory has any more be of *name*: it would count twice.

        *there* are the names that directories have. Where the books know of *name*, what has gone was a copy, and may have spent as well.
        """
        gone = next((other for other, part in self.runs.items() if part.run == run and other not in there), None)
        if run and gone is not None and name not in self.runs:
            self.runs[name] = self.runs.pop(gone)

    def tell(self, name: str, spent: Mapping[str, Decimal], size: int) -> None:
        """Before it is written down that the ledger in *name*, of so many bytes, tells so much: keep what was known and it does not tell.

        A ledger that has grown may tell less: a call that was under way came to less than was set aside for it.
        """
        if (part := self.runs.get(name)) is not None:
            less = {page: part.known(page, size) - amount for page, amount in spent.items()}
            self._keep(f"{name}/", {page: by for page, by in less.items() if by > 0})

    def _keep(self, name: str, amounts: Mapping[str, Decimal]) -> None:
        for page, amount in amounts.items():
            part = self.runs.setdefault(name, Part())
            part.taken[page] = part.taken.get(page, _NOTHING) + amount
            part.spent[page] = part.spent.get(page, _NOTHING) + amount

    def lot(self, run: str, page: str, cap: Decimal) -> Decimal:
        """What *run* may well take at once of *page*: others hardly miss it, and it need not ask for every call."""
        room = self._room(run, page, cap)
        return room * _FINEST // _HARDLY_MISSED / _FINEST if 0 < room < _LARGEST else _NOTHING

    def lend(self, run: str, page: str, cap: Decimal, need: Decimal, wish: Decimal) -> Decimal:
        """Let *run* take more of *page*: what it wishes, or what there is, if that is what it needs; otherwise nothing."""
        part = self.runs[run]
        had = part.taken.get(page, _NOTHING)
        room = self._room(run, page, cap)
        lent = min(max(need, wish), room) if room >= need else _NOTHING
        part.taken[page] = had + lent
        return lent

    def _room(self, run: str, page: str, cap: Decimal) -> Decimal:
        return cap - self.runs[run].taken.get(page, _NOTHING) - self.others(run, page)

    def forget_before(self, month: str) -> None:
        """Drop the pages of months long gone, and the runs that have no other; *month* is the present one, ``2026-11``."""
        oldest = oldest_kept(month)
        for part in self.runs.values():
            for pages in (part.taken, part.spent, part.sizes):
                for page in [page for page in pages if page.rpartition(" | ")[2] < oldest]:
                    del pages[page]
        # A run a night, each in a directory of its own, would stay here for ever, and be read and written for every call.
        for name in [name for name, part in self.runs.items() if not (part.taken or part.spent or part.sizes)]:
            del self.runs[name]

    def as_bytes(self) -> bytes:
        """Return the file's content."""
        runs = {
            name: {"open": part.open, "run": part.run, "sizes": part.sizes, "taken": _told(part.taken), "spent": _told(part.spent)}
            for name, part in sorted(self.runs.items())
        }
        return orjson.dumps({"format": FORMAT, "name": self.name, "runs": runs}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def oldest_kept(month: str) -> str:
    """The oldest month of which there are pages in the present *month*."""
    year, number = map(int, month.split("-"))
    whole = year * 12 + number - 1 - _KEPT_MONTHS
    return f"{whole // 12:04}-{whole % 12 + 1:02}"


def read_books(content: bytes) -> Books | None:
    """Read what `Books.as_bytes` gave; None where that is not what stands there."""
    try:
        told = orjson.loads(content)
        if told["format"] != FORMAT or not isinstance(told["name"], str):
            return None
        return Books(told["name"], {name: _part(each) for name, each in told["runs"].items()})
    except (KeyError, TypeError, AttributeError, ValueError, InvalidOperation):
        return None


def _part(told: Any) -> Part:
    if not isinstance(told["open"], bool) or not all(isinstance(size, int) for size in told["sizes"].values()):
        raise TypeError
    return Part(_amounts(told["taken"]), _amounts(told["spent"]), told["open"], dict(told["sizes"]), str(told.get("run", "")))


def _amounts(told: Any) -> dict[str, Decimal]:
    amounts = {page: Decimal(amount) for page, amount in told.items()}
    if not all(amount.is_finite() and amount >= 0 for amount in amounts.values()):
        raise ValueError
    return amounts


def _told(amounts: dict[str, Decimal]) -> dict[str, str]:
    return {page: format(amount, "f") for page, amount in sorted(amounts.items())}
