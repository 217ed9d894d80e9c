"""What tests of statements fold: rows of two workspaces, an answer and failures; and what calls know of attempts."""

from __future__ import annotations

from dataclasses import replace

from batchrun.core.ledger.attempts import Bound
from batchrun.core.ledger.numbered import FOUND
from batchrun.core.model import Call, Failure, Reply, Row, Scope, Usage

MOST = Bound(10, 20)
LANES = [("法务", "qwen-plus"), ("法务", "qwen-max"), ("sales", "qwen-plus")]
ROWS = [Row(f"r-{number}", *LANES[number % 3], {}, "0" * 16) for number in range(5)]
# One id in two workspaces: each is a row of its own.
ROWS.append(replace(ROWS[0], workspace="sales"))


def failed(fault, *, usage=None, in_doubt=False, reply=None):
    return Failure(fault, Scope.ROW, "code", "message", "advice", in_doubt=in_doubt, usage=usage, reply=reply)


def refused(fault, usage):
    return failed(fault, usage=usage, in_doubt=usage is None, reply=Reply("{", "stop", usage))


CALL = Call("1-1", 1, 0.0, 1)
ANSWER = Reply("a", "stop", Usage(3, 4, cached_tokens=2, image_tokens=1, searches=5))


def known_of(calls):
    """All that is known of attempts, by opening: their marks, and the checksums that are wanted still, by number."""
    return {
        opening: (
            bytes(each.marks).rstrip(b"\0"),
            {number: row for number, mark in enumerate(each.marks) if not mark & FOUND and (row := each.row_of(number))},
        )
        for opening, each in calls._numbered.openings.items()
    }
