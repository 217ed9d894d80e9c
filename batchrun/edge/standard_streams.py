"""The three standard streams, open in any case: a process may be begun without them (``>&-``, some daemons).

Where one is closed, the next file that is opened takes its descriptor, and whatever is said to a person, by Python or by the kernel's own
libraries, would go into that file.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TextIO, cast


def open_what_is_closed() -> None:
    """Have a closed stream lead nowhere: what is said there is lost, and the run is not. Call it before any file is opened."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It takes the lowest descriptor that is free, which is this one.
            os.set_inheritable(descriptor, True)
    sys.stdin = sys.stdin or _opened(0, "r")
    sys.stdout = sys.stdout or _opened(1, "w")
    sys.stderr = sys.stderr or _opened(2, "w")


def say_what_can_be_said() -> None:
    """Have a letter that standard output's encoding lacks (Latin-1, GBK) stand there as a question mark, rather than end what is told."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        knows_all = codecs.lookup(sys.stdout.encoding).name.startswith("utf")
        sys.stdout.reconfigure(errors="backslashreplace" if knows_all else "replace")


def _opened(descriptor: int, mode: str) -> TextIO:
    return cast("TextIO", os.fdopen(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False))
