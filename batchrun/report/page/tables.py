"""Tables that can be sorted and searched, and are read by a screen reader as what they are."""

from __future__ import annotations

from collections.abc import Sequence

from batchrun.core.classes import value
from batchrun.report.page.markup import Child, Markup, h
from batchrun.report.page.words import Words

SEARCHED_FROM = 12
"""Rows from which on a table has a field to find some."""
LONG_FROM = 40
"""Rows from which on a table is looked through in a window of its own: what comes after it would be pages away."""
DENSE_FROM = 10
"""Columns from which on they stand closer, so that a laptop shows all of them."""


@value
class Cell:
    """What a cell shows, and what it is sorted by; None where it shows text that sorts as it reads."""

    shown: Child
    value: float | None = None
    number: bool = True


@value
class Column:
    """The head of a column."""

    head: Child
    number: bool = True
    sorts: bool = True
    kind: str = ""
    """Its class: ``wide`` takes what room is left, ``minor`` is left out on narrow paper."""


def text(shown: Child) -> Cell:
    """A cell of text."""
    return Cell(shown, number=False)


def count(value: int) -> Cell:
    """A cell of a count; nothing is shown as a quiet dash."""
    return Cell(f"{value:,}" if value else h("span", "–", class_="none"), value)


def table(
    words: Words, label: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *,
    foot: Sequence[Cell] = (), searched: bool = False, stacked: bool = False,
) -> Markup:  # fmt: skip
    """Make a table whose first column names its rows; *label* is the key of what it is about.

    On a phone the cells of a *stacked* one stand below each other: what is read in it is text, which nobody looks for beyond an edge.
    """
    as_row = _role(stacked, "row")
    head = h("tr", [_head(column) for column in columns], role=as_row)
    body = [
        h("tr", [_cell(cell, columns[place], first=not place, stacked=stacked) for place, cell in enumerate(row)], role=as_row)
        for row in rows
    ]
    last = h("tfoot", h("tr", [_cell(cell, columns[place], first=not place) for place, cell in enumerate(foot)])) if foot else None
    groups = h("thead", head, role=_role(stacked, "rowgroup")), h("tbody", body, role=_role(stacked, "rowgroup"))
    kind = "stacked" if stacked else "dense" if len(columns) >= DENSE_FROM else None
    drawn = h("table", groups, last, class_=kind, role=_role(stacked, "table"))
    shape = "scroll long" if len(rows) >= LONG_FROM else "scroll"
    region = h("div", drawn, class_=shape, role="group", tabindex=0, aria_label=words.plain(label), data_l=label)
    return Markup((_search(words) if searched and len(rows) >= SEARCHED_FROM else "") + region)


def _role(stacked: bool, role: str) -> str | None:  # noqa: FBT001 - as short as what it stands in
    """A table that is laid out as something else is still read out as one where it says so itself."""
    return role if stacked else None


def _search(words: Words) -> Markup:
    return h("label", words.say("find"), " ", h("input", type="search", class_="find", autocomplete="off"), class_="controls search")


def _head(column: Column) -> Markup:
    kind = _kind(column)
    if not column.sorts:
        return h("th", column.head, scope="col", class_=kind)
    return h("th", h("button", column.head, type="button", class_="sort"), scope="col", class_=kind, aria_sort="none")


def _cell(cell: Cell, column: Column, *, first: bool, stacked: bool = False) -> Markup:
    value = None if cell.value is None else f"{cell.value:.10g}"
    if first:
        return h("th", cell.shown, scope="row", class_=_kind(column), role=_role(stacked, "rowheader"))
    label = h("span", column.head, class_="head") if stacked else None
    return h("td", label, cell.shown, class_=_kind(column), data_v=value, role=_role(stacked, "cell"))


def _kind(column: Column) -> str | None:
    return " ".join(filter(None, ("n" if column.number else "", column.kind))) or None
