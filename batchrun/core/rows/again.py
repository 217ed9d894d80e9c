"""A line that was a row when it was indexed, read again when its turn comes.

It was checked then, and its digest says that it still is that very line: so it is parsed, and not checked a second time.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from batchrun.core.model import named_tuple
from batchrun.core.rows.rows import JSON_SPACE, Inherited, Line
from batchrun.core.rows.weight import too_heavy

if TYPE_CHECKING:
    from collections.abc import Mapping


class Rereader:
    """Reads lines of the files of one run. Hashes are begun once a workspace."""

    def __init__(self, workspaces: Mapping[str, Inherited]) -> None:
        self._known = {
            name: (inherited, blake2b(digest_size=8, key=inherited.salt).copy, name.encode()) for name, inherited in workspaces.items()
        }

    def line(self, line: bytes, default_workspace: str | None, digest: int) -> Line | None:
        """Read the *line* with this digest; None where it is another."""
        text = line.strip(JSON_SPACE)
        if too_heavy(text):
            return None
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        name = value.get("workspace", default_workspace) if type(value) is dict else None
        if type(name) is not str or (known := self._known.get(name)) is None:
            return None
        inherited, salted, encoded = known
        mixed = salted()
        mixed.update(text)
        mixed.update(encoded)
        if int.from_bytes(mixed.digest()) != digest:
            return None
        asked, row_id = (value["body"], value.get("custom_id")) if "body" in value else (value, value.get("id"))
        if row_id is not None and type(row_id) is not str:
            row_id = str(row_id)
        return named_tuple(Line, (row_id, name, asked.get("model") or inherited.model, digest, value, inherited))
