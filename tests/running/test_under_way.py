"""What stands beside a run while it is under way."""

from __future__ import annotations

import threading

import anyio

from batchrun.core.ledger.attempts import Closed, read_attempt
from batchrun.edge import run_directory
from batchrun.edge.ledger import Files, Ledger
from batchrun.running.under_way import UnderWay, closing_beside


def test_a_ledger_that_there_is_no_thread_to_close_in_is_closed_all_the_same(tmp_path, monkeypatch):
    def not_begun(_thread):
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        ledger = Ledger(Files(tmp_path, run_directory.open_to_append), 1, boot="this one")
        async with closing_beside(ledger, UnderWay()):
            ledger.opened(1.0)
            monkeypatch.setattr(threading.Thread, "start", not_begun)

    anyio.run(main)
    last = (tmp_path / "attempts.log").read_bytes().splitlines(keepends=True)[-1]
    assert isinstance(read_attempt(last), Closed)
