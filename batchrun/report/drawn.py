"""Lines of cells drawn as a table for a terminal: as wide as they are, or, where there is less room, closer together, folded, wrapped."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from batchrun.core.columns import padded, width

_INDENT, _DEEPER = "  ", "    "


def drawn(lines: Sequence[Sequence[str]], left: Container[int], gap: int = 2) -> list[str]:
    """Put the cells of *lines* under one another; the columns *left* hold words, and begin at their left, the others end at their right."""
    widths = _widths(lines)
    return [(" " * gap).join(_cells(line, widths, left)).rstrip() for line in lines]


def fitted(lines: Sequence[Sequence[str]], left: Container[int], room: int | None) -> list[list[str]]:
    """Draw each of *lines* as one line; where that is wider than *room*, what does not fit under the rest, in columns of its own.

    Only a cell wider than *room* is wider.
    """
    told = drawn(lines, left)
    return [[line] for line in told] if room is None or _width(told) <= room else _wrapped(lines, left, room)


def ruled(lines: Sequence[Sequence[str]], left: Container[int], room: int | None = None) -> list[str]:
    """Draw a heading, lines and a total, with rules between them.

    Where that is wider than *room*, a name in the first column stands in a line of its own, once above all that follow under it.
    """
    if room is None or 1 not in left or _width(drawn(lines, left, gap=1)) <= room:
        return _with_rules(fitted(lines, left, room), room)
    cells = _wrapped(*_without_names(lines, left), room)
    return _with_rules([*_named(lines, cells)], room)


def least_width(lines: Sequence[Sequence[str]], left: Container[int]) -> int:
    """How much room `ruled` needs to leave each line whole, where the second column holds words too."""
    return _width(drawn(*_without_names(lines, left), gap=1))


def _without_names(lines: Sequence[Sequence[str]], left: Container[int]) -> tuple[list[list[str]], set[int]]:
    """All but the first column, which stands above; and which of the others hold words."""
    own = {column - 1 for column in range(1, len(lines[0])) if column in left}
    return [[_INDENT + line[1] if line[1] else line[0], *line[2:]] for line in lines], own


def _named(lines: Sequence[Sequence[str]], cells: Sequence[list[str]]) -> Iterator[list[str]]:
    above = ""
    for line, under in zip(lines, cells, strict=True):
        if line[1] and line[0] != above:
            above = line[0]
            yield [above, *under]
        else:
            yield under


def _wrapped(lines: Sequence[Sequence[str]], left: Container[int], room: int) -> list[list[str]]:
    """Each of *lines* as one line or more, cut between the same columns all of them."""
    parts = [
        drawn(
            [[_DEEPER * (first > 0) + line[first], *line[first + 1 : end]] for line in lines],
            {column - first for column in range(first, end) if column in left},
            gap=1,
        )
        for first, end in _cut(_widths(lines), room)
    ]
    return [[part[number] for part in parts if part[number]] for number in range(len(lines))]


def _cut(widths: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """From which column to which each part reaches, so that it is no wider than *room*."""
    first, taken = 0, 0
    for column, columns in enumerate(widths):
        if column > first and taken + 1 + columns > room:
            yield first, column
            first, taken = column, len(_DEEPER) + columns
        else:
            taken += columns + (column > first)
    yield first, len(widths)


def _with_rules(told: Sequence[Sequence[str]], room: int | None) -> list[str]:
    """*told* is the heading, each line, and the total, each of one line or more."""
    widest = max(map(_width, told))
    rule = "─" * min(widest, room or widest)
    between = [line for each in told[1:-1] for line in each]
    return [*told[0], rule, *between, *([rule] if between else []), *told[-1]]


def _width(told: Sequence[str]) -> int:
    return max(map(width, told))


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(width(line[column]) for line in lines) for column in range(len(lines[0]))]


def _cells(line: Sequence[str], widths: Sequence[int], left: Container[int]) -> Iterator[str]:
    for place, (cell, columns) in enumerate(zip(line, widths, strict=True)):
        yield padded(cell, columns) if place in left else " " * (columns - width(cell)) + cell
