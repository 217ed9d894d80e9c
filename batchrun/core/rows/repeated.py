"""A key that stands twice in an object: JSON leaves open which of the two counts, so a line that has one is no row.

That none does is known by counting: each key has a colon, and what stands twice in a text stands once in what was read of it. Where the
count is another, or colons may be spelt as escapes, the text is gone through.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from batchrun.core.rows.unfit import BATCH_OWN, PLAIN_FIELDS, shown
from batchrun.core.rows.weight import STRINGS

_NAMED = PLAIN_FIELDS | BATCH_OWN | {"role", "content"}
"""Keys that are told by name wherever they stand: others may be a person's, and say something."""
_TOKENS = re.compile(STRINGS.pattern + rb"|[{}\[\]:]")
_SPELT = re.compile(rb"\\u003[aA]")
"""A colon as an escape."""


def colons(text: bytes) -> int:
    """How many stand in *text*: in a third of the time that `bytes.count` takes where they are few."""
    return len(text) - len(text.replace(b":", b""))


def says_all_once(text: bytes, value: Any) -> bool:
    """Whether it is plain that no object of *text* names a key twice; *value* was read of it, or are the values of several texts."""
    return colons(text) == colons(orjson.dumps(value)) and (b"\\" not in text or _SPELT.search(text) is None)


def repeated_key(text: bytes) -> str | None:
    """Say which key stands twice, and where; of one that no row has by itself, only within which field."""
    objects: list[dict[str, int]] = []
    field, last = "", None
    for token in _TOKENS.finditer(text):
        match token[0]:
            case b"{" | b"[":
                objects.append({})
            case b"}" | b"]":
                objects.pop()
            case b":":
                assert last is not None
                key, at = orjson.loads(last[0]), last.start()
                if len(objects) == 1:
                    field = key
                if (earlier := objects[-1].setdefault(key, at)) != at:
                    return _told(key, "" if len(objects) == 1 else field, _column(text, earlier), _column(text, at))
            case _:
                last = token
    return None


def _told(key: str, field: str, first: int, second: int) -> str:
    named = shown(key) if not field or key in _NAMED else "a key"
    within = f" in {field if field in _NAMED else shown(field)}" if field else ""
    return f"{named} stands twice{within}, at columns {first} and {second}: which of them is meant cannot be told"


def _column(text: bytes, at: int) -> int:
    return len(text[:at].decode()) + 1
