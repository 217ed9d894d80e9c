"""A row's name, which is its workspace and its id, as a number: 64 bits to find it by, 32 to tell whether a call was made for it."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from sys import byteorder
from typing import Any
from zlib import crc32

import orjson

_number = int.from_bytes
_update, _digest = blake2b.update, blake2b.digest


def id_digest(workspace: str, row_id: str) -> int:
    """64 bits of a row's name; the same id in two workspaces is two names."""
    named = _begun(workspace)()
    named.update(row_id.encode())
    return _number(named.digest(), "big")


def made_ids(workspaces: Iterable[str], values: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name lines that have no id by their workspaces and contents, whatever the order of their keys and wherever they stand."""
    begun = [blake2b(workspace.encode(), digest_size=8) for workspace in workspaces]
    deque(map(_update, begun, [orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for value in values]), maxlen=0)
    digests = b"".join(map(_digest, begun)).hex()
    return [f"r-{digests[at : at + 16]}" for at in range(0, len(digests), 16)]


def row_crc(workspace: str, row_id: str) -> int:
    """32 bits of a row's name, to tell whether a call was made for it; never 0."""
    return crc32(f"{workspace}\0{row_id}".encode()) or 1


def id_digests(workspace: str, row_ids: Sequence[bytes]) -> array[int]:
    """The `id_digest` of each of *row_ids*, which are encoded and of one *workspace*."""
    begun = _begun(workspace)
    return digests_of([begun() for _ in row_ids], row_ids)


def names_of(lanes: Iterable[tuple[str, str] | None], row_ids: Iterable[str | None]) -> array[int]:
    """The `id_digest` of each row in a lane; any number for what is in none."""
    begun = [_begun("" if lane is None else lane[0])() for lane in lanes]
    return digests_of(begun, [(row_id or "").encode() for row_id in row_ids])


def digests_of(begun: Sequence[Any], texts: Iterable[bytes]) -> array[int]:
    """Digests of 8 bytes, each *begun* by itself, of *texts*."""
    deque(map(_update, begun, texts), maxlen=0)
    return numbers_of(b"".join(map(_digest, begun)))


def numbers_of(digests: bytes) -> array[int]:
    """Digests of 8 bytes, one after the other, as numbers: what stands first in one counts most."""
    found = array("Q", digests)
    if byteorder == "little":
        found.byteswap()
    return found


def row_crcs(workspace: str, row_ids: Iterable[bytes]) -> array[int]:
    """The `row_crc` of each of *row_ids*, which are encoded."""
    begun = crc32(f"{workspace}\0".encode())
    return array("I", [crc32(row_id, begun) or 1 for row_id in row_ids])


@lru_cache(maxsize=4096)
def _begun(workspace: str) -> Callable[[], Any]:
    return blake2b(f"{workspace}\0".encode(), digest_size=8).copy
