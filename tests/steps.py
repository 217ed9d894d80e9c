"""How much work a call is, told without a clock: the lines of code that it runs through."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable


def lines_run(call: Callable[[], object], *files: str) -> int:
    """Lines of *files* that *call* runs through, each as often as it does: of all files where none are named.

    Nothing is collected meanwhile: it comes when it comes, and others hear of it in lines of their own.
    """
    lines = 0

    def count(frame, event, _argument):
        nonlocal lines
        lines += event == "line"
        return count if not files or frame.f_code.co_filename.endswith(files) else None

    before, collects = sys.gettrace(), gc.isenabled()
    gc.disable()
    sys.settrace(count)
    try:
        call()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return lines
