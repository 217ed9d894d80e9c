"""Things with their number, times and many names, as people read them."""

from __future__ import annotations

from collections.abc import Sequence

_MOST_NAMED = 20


def counted(count: int, one: str, many: str = "") -> str:
    """``1 row``, ``12,345 rows``; *many* where more than one is not said with an s at its end."""
    return f"1 {one}" if count == 1 else f"{count:,} {many or f'{one}s'}"


def duration(seconds: float) -> str:
    """*seconds* as a person says it: ``12 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    hours = round(seconds / 3600)
    return f"{hours // 24:,} d {hours % 24} h"


def shortened(names: Sequence[str]) -> str:
    """``a, b, c``; of many the first."""
    return ", ".join([*names[:_MOST_NAMED], *["…"] * (len(names) > _MOST_NAMED)])


def sentence(*parts: str) -> str:
    """*parts* with colons between them; a full stop at a part's end gives way to its colon."""
    return ": ".join([*(part.rstrip().removesuffix(".") for part in parts[:-1]), parts[-1]])
