"""Whose certificates are trusted: those that the system or ``SSL_CERT_FILE`` names, read again where that file has changed since.

aiohttp reads them once, when it is imported. A company that changes the authority of its proxy at night would end a run whose machine has
had the new one all along.
"""

from __future__ import annotations

import ssl
from pathlib import Path

_Mark = tuple[int, int, int] | None


class Authorities:
    """Those of one run."""

    def __init__(self) -> None:
        self._mark = _mark()
        self.context: ssl.SSLContext | None = None
        """What a connection is opened with; None: what aiohttp has read."""

    def renewed(self) -> bool:
        """Whether others are trusted now than when this was last asked; it blocks for as long as it takes to read them."""
        before, self._mark = self._mark, _mark()
        if self._mark == before:
            return False
        # As aiohttp makes its own.
        self.context = ssl.create_default_context()
        self.context.set_alpn_protocols(("http/1.1",))
        return True


def _mark() -> _Mark:
    """What tells a file of certificates from what it becomes; of a folder of them OpenSSL reads what it needs when it needs it."""
    named = ssl.get_default_verify_paths().cafile
    try:
        found = Path(named).stat() if named else None
    except OSError:
        return None
    return None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns)
