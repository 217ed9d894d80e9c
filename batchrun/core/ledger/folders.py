"""Whose entries a folder of a run holds, where its name is its workspace's, written as another system writes names.

A terminal in GB18030 and a job of cron in UTF-8 write one name in other bytes; one that was on a Mac may have letters in two parts.
"""

from __future__ import annotations

from unicodedata import normalize

_ENCODINGS = ("utf-8", "gb18030", "big5", "shift_jis", "euc_kr", "cp1252")


def written_in(folder: bytes, workspace: str) -> str | None:
    """How the name of *folder*, which is none of *workspace* here, is its name all the same; None where it is another's."""
    for encoding in _ENCODINGS:
        try:
            name = folder.decode(encoding)
        except UnicodeDecodeError:
            continue
        if name == workspace:
            return encoding
        if normalize("NFC", name) == normalize("NFC", workspace):
            return "another form of Unicode"
    return None
