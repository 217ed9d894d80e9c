"""Things with their number, as people read it."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """``1 row``, ``12,345 rows``; *many* where more than one is not said with an s at its end."""
    return f"1 {one}" if count == 1 else f"{count:,} {many or f'{one}s'}"
