"""Lines of cells drawn as a table for a terminal: as wide as they are, or, where there is less room, closer together and folded."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from batchrun.core.columns import padded, width

_INDENT = "  "


def drawn(lines: Sequence[Sequence[str]], left: Container[int], gap: int = 2) -> list[str]:
    """Put the cells of *lines* under one another; the columns *left* hold words, and begin at their left, the others end at their right."""
    widths = [max(width(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [(" " * gap).join(_cells(line, widths, left)).rstrip() for line in lines]


def ruled(lines: Sequence[Sequence[str]], left: Container[int], room: int | None = None) -> list[str]:
    """Draw a heading, lines and a total, with rules between them.

    Where that is wider than *room*, a name in the first column stands in a line of its own, once above all that follow under it.
    """
    whole, close = drawn(lines, left), drawn(lines, left, gap=1)
    if room is None or _width(whole) <= room:
        return _with_rules(whole, 1)
    if _width(close) <= room or 1 not in left:
        return _with_rules(close, 1, room)
    own = {column - 1 for column in range(1, len(lines[0])) if column in left} | {0}
    cells = drawn([[_INDENT + line[1] if line[1] else line[0], *line[2:]] for line in lines], own, gap=1)
    return _with_rules([*_folded(lines, cells)], 2, room)


def _folded(lines: Sequence[Sequence[str]], cells: Sequence[str]) -> Iterator[str]:
    above = ""
    for line, drawn_line in zip(lines, cells, strict=True):
        if line[1] and line[0] != above:
            yield (above := line[0])
        yield drawn_line


def _with_rules(told: Sequence[str], heading: int, room: int | None = None) -> list[str]:
    rule = "─" * min(_width(told), room or _width(told))
    between = told[heading:-1]
    return [*told[:heading], rule, *between, *([rule] if between else []), told[-1]]


def _width(told: Sequence[str]) -> int:
    return max(map(width, told))


def _cells(line: Sequence[str], widths: Sequence[int], left: Container[int]) -> Iterator[str]:
    for place, (cell, columns) in enumerate(zip(line, widths, strict=True)):
        yield padded(cell, columns) if place in left else " " * (columns - width(cell)) + cell
