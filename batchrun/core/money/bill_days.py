"""The days of a bill's lines, whichever way the console, a program or a spreadsheet writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

_DAY = re.compile(r"(\d{4})(?:[-/.年](\d{1,2})[-/.月](\d{1,2})日?|(\d{2})(\d{2}))(?:\D.*)?")
_YEAR_LAST = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2})\b")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})")
"""With how far its clock is from UTC: Z, or +08:00."""
_OF_A_SPREADSHEET = re.compile(r"\d{5}(?:\.\d+)?|\d{1,2}月\d{1,2}日|\d{1,2}[- ][A-Za-z]{3,9}(?:[- ,]+\d{2,4})?")
"""Days since 1899, and days without their year, or with the month's name."""
_AS_EXPORTED = "a spreadsheet writes so: give the file as it was exported"
_MONTHS = 12


class NoDayError(ValueError):
    """Why a day cannot be told."""


class Days:
    """Reads the days of one export. *is_month_first* says how it writes those whose year stands last, and is asked once, if at all."""

    def __init__(self, zone: ZoneInfo, is_month_first: Callable[[], bool | None]) -> None:
        self._zone = zone
        self._is_month_first = is_month_first
        self._asked: list[bool | None] = []

    def read(self, text: str) -> date:
        """Give the day; a moment that tells how far its clock is from UTC is of the day that it is in the zone. Raises NoDayError."""
        try:
            if _MOMENT.fullmatch(text):
                return datetime.fromisoformat(text).astimezone(self._zone).date()
            if (match := _DAY.fullmatch(text)) is not None:
                return date(*(int(part) for part in match.groups() if part))
            if (match := _YEAR_LAST.match(text)) is not None:
                return self._of_year_last(text, *map(int, match.groups()))
        except (ValueError, OverflowError) as error:
            if isinstance(error, NoDayError):
                raise
        way_out = _AS_EXPORTED if _OF_A_SPREADSHEET.fullmatch(text) else "export the bill by day (统计周期: 按天)"
        raise NoDayError(f"day {text!r}: no day; {way_out}")

    def _of_year_last(self, text: str, first: int, second: int, year: int) -> date:
        if year < 100 or (is_month_first := self._as_written()) is None:
            raise NoDayError(f"day {text!r}: day and month cannot be told apart; {_AS_EXPORTED}")
        return date(year, first, second) if is_month_first else date(year, second, first)

    def _as_written(self) -> bool | None:
        if not self._asked:
            self._asked.append(self._is_month_first())
        return self._asked[0]


def is_month_first(texts: Iterable[str]) -> bool | None:
    """Whether the month stands first in those of *texts* whose year stands last; None where none of them tells it, or two differ."""
    parts = ((int(match[1]), int(match[2])) for match in map(_YEAR_LAST.match, texts) if match is not None)
    found = {second > _MONTHS for first, second in parts if (first > _MONTHS) is not (second > _MONTHS)}
    return found.pop() if len(found) == 1 else None
