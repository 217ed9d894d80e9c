"""HTML that is escaped unless it was made here: what comes from outside is text, whatever it looks like."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from html import escape

from batchrun.core.columns import width

_VOID = frozenset({"meta", "input", "br", "col"})
_KEPT_APART = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of what nobody sees, and of what turns the text around it about: a name must look like what it is."""
LONGEST = 60
SHORT, MIDDLING = 16, 30
"""Columns."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Iterable["Child"] | None


def h(tag: str, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Make an element; an attribute that is None or False is left out, ``class_`` is ``class`` and ``data_v`` is ``data-v``."""
    told = "".join(_attribute(name, value) for name, value in attributes.items() if value is not None and value is not False)
    return Markup(f"<{tag}{told}>" if tag in _VOID else f"<{tag}{told}>{inner(children)}</{tag}>")


def inner(child: Child) -> Markup:
    """The HTML of *child*: text escaped, lists one after the other."""
    if child is None:
        return Markup("")
    if isinstance(child, str):
        return child if isinstance(child, Markup) else Markup(escape(child, quote=False))
    return Markup("".join(map(inner, child)))


def visible(text: str) -> str:
    """*text* with what cannot be seen, and what changes the direction of writing, written out."""
    return "".join(f"\\u{ord(character):04x}" if unicodedata.category(character) in _KEPT_APART else character for character in text)


def name(text: str, most: int = LONGEST) -> Markup:
    """A name from outside: apart in its direction of writing, cut to *most* characters, whole in its title."""
    seen = visible(text)
    if len(seen) <= most:
        # A short one stays on one line, so that a column is as wide as its names.
        columns = width(seen)
        return h("bdi", seen, class_="short" if columns <= SHORT else "middling" if columns <= MIDDLING else None)
    return h("bdi", f"{seen[: most - 1]}…", title=seen)


def _attribute(name: str, value: object) -> str:
    spelt = name.rstrip("_").replace("_", "-")
    return f" {spelt}" if value is True else f' {spelt}="{escape(str(value))}"'
