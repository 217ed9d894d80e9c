"""What is known of each attempt of a run once it has ended, by its opening and number: a byte of most, for a run has millions.

An attempt is named ``3-17``: the opening that made it, and which of its calls it was. Numbers are given one by one, so what is known of an
opening's attempts stands in an array, a number's place being the number itself:

- its *mark*: whether its end says that an entry was written, and whether such an entry was found in the output files. Written and not
  found is a paid answer that is gone; found twice is damage;
- a checksum of the row for which it was made: an entry that names the attempt for another row is damage. It is wanted until the entry is
  found, for another one that names the attempt is damage then whatever its row is: of most attempts it is never noted, or let go of. So
  checksums stand in pages of some thousand, and those of which none is wanted take up nothing.

Names come from files, and files can be damaged: a name that is none, or a number far beyond all others, is known to nobody, and no memory
is set aside for it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import TypeAlias

from batchrun.core.classes import slotted
from batchrun.core.ledger.attempts import opening_of
from batchrun.core.ledger.entry import Entry
from batchrun.core.rows.names import row_crc

WRITTEN, FOUND = 1, 2
"""Marks: its end says that its entry was written; its entry was found."""
_FARTHEST = 1 << 20
"""Attempts are numbered one by one: a number farther ahead than this is damage, and no reason to set memory aside."""
_LONGEST_NUMBER = 9
PAGE = 1 << 12
"""Attempts whose checksums stand together."""
_FEW = 48
"""Checksums of a page that take up less by themselves than the page would."""

Page: TypeAlias = "array[int] | dict[int, int]"
"""Checksums (`row_crc`) by place, 0 where none is wanted: of all, or of a few."""


@slotted
class Attempts:
    """Those of one opening, by number."""

    opening: int
    marks: bytearray = field(default_factory=bytearray)
    _pages: dict[int, Page] = field(default_factory=dict)
    """Those that any is wanted of."""
    _found: dict[int, int] = field(default_factory=dict)
    """How many entries were found of a page's attempts when it was last tidied up."""

    def reach(self, number: int) -> None:
        """Have room for *number*, and for half as many more as there was room for."""
        if number >= len(self.marks):
            self.marks.extend(bytes(max(number + 1 - len(self.marks), len(self.marks) // 2)))

    def begin(self, number: int, row: int) -> None:
        """Take note that an attempt starts, which is made for a *row*, by its checksum."""
        self.marks[number] = 0
        at, place = divmod(number, PAGE)
        page = self._pages.get(at)
        if page is None:
            page = self._pages[at] = {}
        elif len(page) == _FEW:
            page = self.whole_page(at)
        page[place] = row

    def row_of(self, number: int) -> int:
        """The checksum of the row that an attempt was made for; 0 where that is not known, or not wanted any more."""
        page = self._pages.get(number // PAGE)
        if page is None:
            return 0
        place = number % PAGE
        return page.get(place, 0) if isinstance(page, dict) else page[place]

    def whole_page(self, at: int) -> array[int]:
        """The page of all numbers that are *at* times `PAGE` and some, with a place for each: for whoever notes most of them itself."""
        page = self._pages.get(at)
        if isinstance(page, array):
            return page
        whole = array("I", bytes(4 * PAGE))
        for place, row in (page or {}).items():
            whole[place] = row
        self._pages[at] = whole
        return whole

    def tidy(self) -> None:
        """Let go of checksums that are not wanted any more, of pages in which entries were found since this was done last."""
        for at, page in [*self._pages.items()]:
            found = self.marks.count(FOUND, at * PAGE, (at + 1) * PAGE)
            if found != self._found.get(at, 0):
                self._found[at] = found
                if wanted := {} if found == PAGE else self._wanted(at, page):
                    self._pages[at] = wanted
                else:
                    del self._pages[at], self._found[at]

    def _wanted(self, at: int, page: Page) -> Page:
        marks, places = self.marks[at * PAGE : (at + 1) * PAGE], page.items() if isinstance(page, dict) else enumerate(page)
        wanted = {place: row for place, row in places if row and not marks[place] & FOUND}
        return wanted if len(wanted) <= _FEW else page

    def contradicted_by(self, entry: Entry, number: int) -> str | None:
        """What an entry that names this *number* contradicts; None where nothing does."""
        if self.marks[number] & FOUND:
            return f"names the attempt {entry.attempt}, which another entry names already"
        if (row := self.row_of(number)) and row != row_crc(entry.workspace, entry.id):
            return f"names the attempt {entry.attempt}, which was made for another row"
        return None


Place = tuple[Attempts | None, int]
"""Where an attempt is known: its opening's, and its number there; None where it is not."""
NOWHERE: Place = None, 0


class Numbered:
    """The attempts of all openings."""

    def __init__(self) -> None:
        self.openings: dict[int, Attempts] = {}
        self.named: dict[str, Attempts] = {}
        """The same, as attempts name them: ``3`` of ``3-17``, but ``03`` too where a damaged line has it."""
        self._sought: str | None = None
        self._place: Place = NOWHERE
        """Of the attempt that was sought last."""

    def reach(self, name: str) -> Place:
        """Find an attempt that starts, and have room for it; NOWHERE for a name that is none."""
        return self._find(name, reach=True)

    def note_found(self, names: Iterable[str]) -> bool:
        """Take note of attempts that start, and whose entries are found; False where one's name is none."""
        # As a rule they are of one opening, whose attempts are looked up once then.
        latest, attempts = "", None
        for name in names:
            opening, _, number = name.partition("-")
            if opening != latest or attempts is None or len(number) > _LONGEST_NUMBER or not (number.isdecimal() and number.isascii()):
                attempts, at = self.reach(name)
                if attempts is None:
                    return False
                latest = opening
            elif (at := int(number)) >= len(attempts.marks) and self.reach(name)[0] is None:
                return False
            attempts.marks[at] = FOUND
        return True

    def find(self, name: str | None) -> Place:
        """Find an attempt that an entry names; NOWHERE for one that no start was seen of."""
        # An entry is asked about, and then told: the second look-up is of the very same text.
        if name is not self._sought:
            self._sought, self._place = name, NOWHERE if name is None else self._find(name, reach=False)
        return self._place

    def forget_the_last(self) -> None:
        """Look the attempt that was sought last up again when it is asked for: there will be more of them."""
        self._sought, self._place = None, NOWHERE

    def opening_of(self, name: str | None) -> int:
        """The opening in which an attempt was made, as far as its name tells; 0 where it tells none."""
        attempts, _ = self.find(name)
        return attempts.opening if attempts is not None else opening_of(name or "")

    def missing(self) -> Iterator[str]:
        """Name the attempts whose ends say that an entry was written, and whose entry was not found."""
        for opening, attempts in self.openings.items():
            if WRITTEN in attempts.marks:
                yield from (f"{opening}-{number}" for number, mark in enumerate(attempts.marks) if mark == WRITTEN)

    def _find(self, name: str, *, reach: bool) -> Place:
        opening, _, number = name.partition("-")
        if not (number.isdecimal() and number.isascii()) or len(number) > _LONGEST_NUMBER:
            return NOWHERE
        at, attempts = int(number), self.named.get(opening) or self._of_opening(opening, reach=reach)
        if attempts is None:
            return NOWHERE
        if at >= (known := len(attempts.marks)):
            if not reach or at >= known + _FARTHEST:
                return NOWHERE
            attempts.reach(at)
        return attempts, at

    def _of_opening(self, name: str, *, reach: bool) -> Attempts | None:
        if not (name.isdecimal() and name.isascii()):
            return None
        opening = int(name)
        attempts = self.openings.setdefault(opening, Attempts(opening)) if reach else self.openings.get(opening)
        if attempts is not None:
            self.named[name] = attempts
        return attempts
