"""Packed bodies: gzip and deflate undone a bounded piece at a time, so that a small one that unpacks to gigabytes is never held whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from batchrun.edge.transport.mishaps import WireError

_PIECE_BYTES = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS


class Unpacker:
    """Undoes one ``Content-Encoding``; raises WireError for one that was not offered."""

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding in {"gzip", "x-gzip"}
        if not self._gzip and encoding != "deflate":
            raise WireError("bad_http", "an encoding that was not offered")
        self._stream = zlib.decompressobj(_GZIP) if self._gzip else None

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        """Give what *packed*, the next bytes of the body, unpacks to; raises WireError where it is not packed so."""
        try:
            while packed:
                stream = self._stream
                if stream is None:
                    # Some servers leave zlib's frame away.
                    stream = self._stream = zlib.decompressobj() if packed[0] & 15 == 8 else zlib.decompressobj(-zlib.MAX_WBITS)
                yield stream.decompress(packed, _PIECE_BYTES)
                packed = stream.unconsumed_tail
                if stream.eof:
                    # One member may follow another (RFC 1952).
                    packed, self._stream = stream.unused_data, zlib.decompressobj(_GZIP) if self._gzip else None
                    if not self._gzip:
                        return
        except zlib.error:
            raise WireError("bad_http", "it is not packed as it says") from None
