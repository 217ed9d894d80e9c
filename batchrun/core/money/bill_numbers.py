"""The numbers of a bill's lines, whichever of point and comma a spreadsheet has put before their decimals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation

_NARROW = str.maketrans("\uff0c\uff0e\uff0d", ",.-")
"""Full-width letters, typed or converted."""
_SPACES = re.compile("[ \u00a0\u2009\u202f]")
"""That separate thousands."""
_EITHER = re.compile(r"-?[1-9]\d{0,2}([,.])\d{3}")
"""``1,234``: a thousand and more, or one and a part."""
_BY_THOUSANDS = {mark: re.compile(rf"-?\d{{1,3}}(\{mark}\d{{3}})+([,.](?!\{mark})\d+)?") for mark in ",."}
_OTHER = {",": ".", ".": ","}
_WAY_OUT = "save the file with a point before decimals, and without separators of thousands"


class NoNumberError(ValueError):
    """Why a number cannot be told."""


class Numbers:
    """Reads the numbers of one export. *marks* gives what these have before their decimals (`marks_of`), and is asked once, if at all.

    Whose fields are *between_commas* takes a comma for a separator of thousands where nothing in it tells: a spreadsheet that writes
    decimals behind commas puts semicolons between fields.
    """

    def __init__(self, marks: Callable[[], frozenset[str]], *, between_commas: bool) -> None:
        self._marks = marks
        self._asked: list[frozenset[str]] = []
        self._between_commas = between_commas

    @property
    def has_decimal_commas(self) -> bool:
        """Whether a number was read so."""
        return [*map(sorted, self._asked)] == [[","]]

    def read(self, text: str, what: str) -> Decimal:
        """Give the number that *text* is, of which a message says *what* it is of; raises NoNumberError."""
        plain = _plain(text)
        try:
            number = Decimal(self._pointed(plain))
        except (InvalidOperation, NoNumberError) as error:
            raise NoNumberError(f"{what} {text!r}: {error if isinstance(error, NoNumberError) else 'no number'}") from None
        if not number.is_finite() or abs(number.adjusted()) > 30:
            raise NoNumberError(f"{what} {text!r}: no number that can be")
        return number

    def _pointed(self, plain: str) -> str:
        """The same without separators of thousands, and with a point before its decimals."""
        either = _EITHER.fullmatch(plain)
        if "," not in plain and either is None:
            return plain
        marks = self._as_written()
        told = not marks and self._between_commas
        if either and either[1] == "," and len(marks) != 1 and not told:
            least, most = plain.replace(",", "."), plain.replace(",", "")
            raise NoNumberError(f"is that {least} or {most}? Nothing else in the file tells; {_WAY_OUT}")
        decimal = "," if marks == {","} else "."
        thousands = _OTHER[decimal]
        if thousands in plain and not _BY_THOUSANDS[thousands].fullmatch(plain):
            # In another place it would change the number by its size.
            raise NoNumberError("no number")
        return plain.replace(thousands, "").replace(decimal, ".")

    def _as_written(self) -> frozenset[str]:
        if not self._asked:
            self._asked.append(self._marks())
        return self._asked[0]


def marks_of(texts: Iterable[str]) -> frozenset[str]:
    """What stands before the decimals of *texts*, where that is clear: a point, a comma, both by turns, or nothing."""
    return frozenset(mark for mark in map(_mark_of, texts) if mark)


def _mark_of(text: str) -> str | None:
    plain = _plain(text)
    marks = [letter for letter in plain if letter in ",."]
    if not marks or _EITHER.fullmatch(plain) or not plain.lstrip("-")[:1].isdigit():
        return None
    if len(marks) > 1:
        # Of several, what stands but once and last is before decimals; where all are one, they separate thousands.
        return marks[-1] if marks.count(marks[-1]) == 1 else _OTHER[marks[-1]]
    return marks[0]


def _plain(text: str) -> str:
    return _SPACES.sub("", text.translate(_NARROW))
