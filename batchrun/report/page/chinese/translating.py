"""A text in Chinese: whole sentences by a table, what has numbers, names or other sentences in it by patterns."""

from __future__ import annotations

import re

from batchrun.report.page.chinese.advice import ADVICE
from batchrun.report.page.chinese.failures import MESSAGES, OF_FAILURES
from batchrun.report.page.chinese.lines import LINES, OF_LINES
from batchrun.report.page.markup import Markup, h, name, visible

_WHOLE = {**ADVICE, **MESSAGES, **LINES}
_PATTERNS = [(re.compile(pattern, re.DOTALL), said) for pattern, said in (*OF_FAILURES, *OF_LINES)]
_MOST_LEVELS = 6
"""Sentences within each other."""
_LONGEST = 1000
"""Characters: batchrun says nothing that is longer, and a provider may say anything, over which a pattern takes its time."""


def chinese(text: str, levels: int = _MOST_LEVELS) -> str | None:
    """*text* in Chinese; None where there is no translation of all that batchrun says in it."""
    if (known := _WHOLE.get(text)) is not None:
        return known
    for pattern, said in _PATTERNS if levels and len(text) <= _LONGEST else ():
        if found := pattern.fullmatch(text):
            parts = {key: _part(key, part, levels - 1) for key, part in found.groupdict(default="").items()}
            if None not in parts.values():
                return said.format(**parts)
    return None


def _part(key: str, part: str, levels: int) -> str | None:
    """A part of a sentence: one whose name begins with ``said`` is a sentence, with ``may`` it may be one; others stay."""
    if key.startswith("said"):
        return chinese(part, levels)
    return (chinese(part, levels) or part) if key.startswith("may") else part


def worded(text: str, language: str, most: int | None = None) -> Markup:
    """*text* as an element that the switch can change; what it cannot change stays as it is, cut to *most* characters.

    Without *most* it is batchrun's own, and marked as English where there is no Chinese of it.
    """
    other = chinese(text)
    if other is None:
        return h("span", visible(text), lang="en") if most is None else name(text, most)
    shown = {"en": _cut(text, most), "zh": _cut(other, most)}
    return h("span", shown[language], data_en=shown["en"], data_zh=shown["zh"])


def _cut(text: str, most: int | None) -> str:
    seen = visible(text)
    return seen if most is None or len(seen) <= most else f"{seen[: most - 1]}…"
