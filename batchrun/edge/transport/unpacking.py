"""Packed bodies: gzip and deflate undone a bounded piece at a time, so that a small one that unpacks to gigabytes is never held whole.

Some gateways undo a packing and leave its header, or write the header twice. Such an answer was paid for: its first byte tells.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import lru_cache

from batchrun.edge.transport.mishaps import WireError

_PIECE_BYTES = 1 << 16
_MOST_MEMBERS = 64
"""Of one gzip body: what is left is copied at each."""
_GZIP = 16 + zlib.MAX_WBITS
_GZIPS = frozenset({"gzip", "x-gzip"})

_PACKINGS = frozenset(
    {*("gzip", "x-gzip", "deflate", "br", "zstd", "dcb", "dcz"), *("compress", "x-compress", "exi", "pack200-gzip", "aes128gcm")}
)
"""All that a ``Content-Encoding`` may name (IANA, HTTP Content Coding Registry), but for ``identity``."""


_OF_WHAT_IS_READ = frozenset(b"{<:dei \r\n\xef")
"""JSON, a web page, an event stream, blanks or a byte order mark begin with one of these, and no gzip does."""


def packing_of(content_encoding: str, start: bytes) -> str | None:
    """How a body that begins with *start* is packed by its header: None where it is not, whatever the header says.

    Some servers write ``utf-8`` there, or nothing.
    """
    packing = _named(content_encoding)
    # Deflate could begin with any of these but a bracket: it would be of a text that begins with a letter from H to O.
    plain = start[:1] == b"{" or (packing in _GZIPS and start[:1] != b"" and start[0] in _OF_WHAT_IS_READ)
    return None if plain else packing or None


@lru_cache(maxsize=64)
def _named(content_encoding: str) -> str:
    return ", ".join(dict.fromkeys(each for part in content_encoding.lower().split(",") if (each := part.strip()) in _PACKINGS))


def unpacked(content_encoding: str, body: bytes, most_bytes: int) -> bytes | None:
    """What a *body* that came whole unpacks to, if that is one member of gzip and no more than so many bytes; None: `Unpacker` tells."""
    packing = packing_of(content_encoding, body)
    if packing is None:
        return body
    if packing not in _GZIPS:
        return None
    stream = zlib.decompressobj(_GZIP)
    try:
        found = stream.decompress(body, most_bytes)
    except zlib.error:
        return None
    return found if stream.eof and not stream.unused_data else None


class Unpacker:
    """Undoes one ``Content-Encoding``; raises WireError for one that was not offered."""

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding in _GZIPS
        if not self._gzip and encoding != "deflate":
            raise WireError("bad_http", "an encoding that was not offered")
        self._stream = zlib.decompressobj(_GZIP) if self._gzip else None
        self._members = 0

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        """Give what *packed*, the next bytes of the body, unpacks to; raises WireError where it is not packed so."""
        full = False
        try:
            # A piece that is full may leave more of itself behind, though all that was packed is taken.
            while packed or full:
                stream = self._stream
                if stream is None:
                    # Some servers leave zlib's frame away.
                    stream = self._stream = zlib.decompressobj() if packed[0] & 15 == 8 else zlib.decompressobj(-zlib.MAX_WBITS)
                piece = stream.decompress(packed, _PIECE_BYTES)
                yield piece
                packed, full = stream.unconsumed_tail, len(piece) == _PIECE_BYTES
                if stream.eof:
                    packed, full = self._next(stream.unused_data), False
        except zlib.error:
            raise WireError("bad_http", "it is not packed as it says") from None

    def _next(self, behind: bytes) -> bytes:
        """Begin with what stands *behind* an end: of gzip, one member may follow another (RFC 1952); of deflate, nothing counts."""
        if not self._gzip:
            return b""
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise WireError("bad_http", "members without end")
        self._stream = zlib.decompressobj(_GZIP)
        return behind
