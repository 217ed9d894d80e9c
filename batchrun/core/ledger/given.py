"""What a resume needs of an output file's line, taken out of it by whoever reads the file: in this process, or in one beside it.

Of a sealed answer that is a few names and numbers, those among them by which its row and its call are found. Any other line is given as
it is. A line that is given tells what the line itself tells a resume.
"""

from __future__ import annotations

import re
from typing import cast

from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.sealed_answer import entry_of_sealed, sealed_answer
from batchrun.core.rows.index import id_digest, row_crc

_usual_attempt = re.compile(r"([1-9][0-9]{0,8})-([1-9][0-9]{0,8})", re.ASCII).fullmatch

Answer = tuple[str, str, str, str, str, bool, int, int, int, int]
"""Of an answer: id, workspace, model, digest, attempt, whether tokens were told; then its row's name and checksum, and its attempt's
opening and number, which are 0 where it is not named as usual."""
Given = bytes | Answer


def given(line: bytes) -> Given:
    """Take out of a line what a resume needs, or leave it as it is: of a sealed answer, tokens, cost and times are not looked at.

    Its seal says that all of them are as they were written.
    """
    told = sealed_answer(line)
    if told is None:
        return line
    usual = _usual_attempt(told[4])
    opening, number = usual.groups() if usual else (0, 0)
    return (*told, id_digest(told[1], told[0]), row_crc(told[1], told[0]), int(opening), int(number))


def read_given(line: Given) -> Entry:
    """Read what was given: an entry without what was not looked at; raise NotAnEntryError for a line that is none."""
    return entry_of_sealed(line[:6]) if type(line) is tuple else read_entry(cast("bytes", line))
