"""The way out of a job file that is no TOML, where TOML's complaint does not say it: what people write who know other formats better."""

from __future__ import annotations

import re
from collections.abc import Callable

from batchrun.core.jobs.words import IN_SINGLE_QUOTES

_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_ALONE = re.compile(r"\r(?!\n)")
_TYPOGRAPHIC = "“”„‟‘’«»＂＇＝，：；［］｛｝（）【】、。０１２３４５６７８９"
"""What word processors and Chinese keyboards write in the place of TOML's own punctuation, and of digits."""
_NO_PLAIN_SPACE = "\u00a0\u2002\u2003\u2009\u200b\u202f\u3000\ufeff"
"""What they, and web pages, write in the place of a space."""
_WAYS_OUT: tuple[tuple[str, Callable[[str], object], str], ...] = (
    ("", lambda rest: rest[0] in _TYPOGRAPHIC, "LETTER stands there: TOML wants plain punctuation, as a plain keyboard writes it"),
    ("", lambda rest: rest[0] in _NO_PLAIN_SPACE, "a space of another kind stands there (CODE): write a plain one"),
    ("Invalid statement", re.compile(";|//").match, "a comment begins with #"),
    ("Invalid statement", re.compile("{").match, "a job file is TOML, and no JSON: batchrun schema tells its keys, jobs/ has some to copy"),
    ("Invalid value", re.compile("(True|False)\\b").match, "TOML writes true and false in small letters"),
    ("Invalid value", lambda rest: rest[0].isalpha(), "text stands in quotes"),
    ("", re.compile(r"[^\W\d_a-zA-Z]").match, 'a name with other letters than A to Z stands in quotes: [workspaces."法务部"]'),
    ("Expected newline or end of document", re.compile(",").match, "no comma ends a line"),
    ("Invalid initial character", re.compile("}").match, "no comma stands before }"),
    ("Expected '='", re.compile(":").match, "TOML writes a key and its value as key = value"),
    *((said, bool, IN_SINGLE_QUOTES) for said in ("Invalid hex", "Unescaped", "Escaped character")),
)
"""What a person probably has to change, by how TOML's complaint begins and what stands where it points to."""
_OF_LINES = (
    (
        "Expected newline",
        re.compile(r"=\s*[\d_.]+\s*[A-Za-z%]+\s*(#.*)?$"),
        "a number stands without a unit: 600 for 600 s, 5_000_000 for 5M",
    ),
    ("Expected newline", re.compile(r"=\s*\d{1,3}(,\d{3})+\s*(#.*)?$"), "a number has no commas: 5_000_000"),
    ("Invalid initial character", re.compile(r"[{,]\s*(#.*)?$"), "a table in braces stands on one line, or under a heading of its own"),
)
"""The same, by what the whole line is like."""
_TWICE = ("Cannot overwrite a value", "Cannot declare", "Duplicate inline table key")
"""How complaints begin that point behind what stands there for the second time."""


def way_out(complaint: str, text: str) -> str:
    """What mends a *text* of which that is TOML's *complaint*, with a semicolon before it; empty where nobody knows."""
    if _ALONE.search(text):
        return "; its lines end in CR alone, as on old Macs: save it with LF"
    if "\0" in text:
        return "; NUL bytes stand in it, and it may not be whole: write it anew"
    if complaint.startswith(_TWICE):
        return "; what has that name stands above already: leave one of the two, and put a table's keys under one heading"
    found = _PLACE.search(complaint)
    if found is None:
        return ""
    line = "".join(text.splitlines()[int(found[1]) - 1 :][:1])
    rest = line[int(found[2]) - 1 :]
    for begins, like, way in _OF_LINES:
        if complaint.startswith(begins) and like.search(line):
            return f"; {way}"
    ways = (f"; {way}" for begins, about, way in _WAYS_OUT if rest and complaint.startswith(begins) and about(rest))
    return next(ways, "").replace("LETTER", rest[:1]).replace("CODE", f"U+{ord(rest[0]):04X}" if rest else "")
