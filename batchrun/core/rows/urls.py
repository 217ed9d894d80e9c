"""How a medium's contents are named in a row: by a path of this machine, by a URL that the provider fetches, or by a data URL."""

from __future__ import annotations

import re
from urllib.parse import unquote

MAX_DATA_URL_BYTES = 10_485_760
"""Of one data URL, its base64 included; a longer one gets "Exceeded limit on max bytes per data-uri item"."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""Two characters at least: ``C:`` begins a path, if one of another system."""


def is_local(url: str) -> bool:
    """Whether *url* is a path: it has no scheme, or ``file:``.

    A name that begins like a scheme (``plan:2.png``) is taken for one; ``./plan:2.png`` is not.
    """
    scheme = _SCHEME.match(url)
    return scheme is None or scheme[0].lower() == "file:"


def local_path(url: str) -> str:
    """The path that a local *url* names. A ``file:`` URL may be relative: what follows it is the path, its %-escapes undone."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return url
    rest = url[scheme.end() :]
    rest = rest.removeprefix("//")
    rest = rest.removeprefix("localhost") if rest.startswith("localhost/") else rest
    # As the operating system's own names come to Python: bytes that are no UTF-8 stay what they are.
    return unquote(rest, errors="surrogateescape")


def unfit_data_url(url: str) -> str | None:
    """Say why *url* is a data URL that the provider would refuse; None for one that fits, and for every other url."""
    if url[:5].lower() != "data:" or len(url) <= MAX_DATA_URL_BYTES // 4:
        return None
    # The shorter ones need no count: a character is four bytes at most.
    size = len(url.encode(errors="surrogatepass"))
    return f"a data URL of {size:,} bytes: at most {MAX_DATA_URL_BYTES:,} may be" if size > MAX_DATA_URL_BYTES else None
