"""Outcomes as tests of the ledger write them."""

from __future__ import annotations

from batchrun.core.model import Answered, Call, Outcome, Reply, Row, Usage


def row(name: str, workspace: str = "legal") -> Row:
    return Row(name, workspace, "qwen-plus", {}, "0" * 16)


def answered(name: str, workspace: str = "legal", content: str = "an answer") -> Outcome:
    return Answered(row(name, workspace), Reply(content, "stop", Usage(7, 3)), Call("1-1", 1, 1.0, 12))
