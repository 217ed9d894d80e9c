"""A finished run made without a network: its ledger is written as the engine writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from batchrun.core.ledger.attempts import Bound
from batchrun.core.ledger.statement import Statement
from batchrun.core.model import Answered, Call, Failure, Fault, Outcome, Rejected, Reply, Row, Scope, Usage
from batchrun.edge import run_directory
from batchrun.edge.ledger import Files, Ledger
from batchrun.running.statements import read_statement, write_usage

WORKSPACES = ("法务", "sales")
MODEL = "qwen-plus"
ROWS = 12
REFUSED = Failure(Fault.REJECT, Scope.ROW, "InvalidParameter", "the provider's words", "mend the row", status=400)


def row(workspace: str, number: int) -> Row:
    return Row(f"行-{number}", workspace, MODEL, {}, f"{number:016x}", {"项目": "q3\u2028"})


def outcome(row: Row, call: Call, number: int) -> Outcome:
    if number % 6 == 5:
        return Rejected(row, REFUSED, call)
    return Answered(row, Reply(f"答案 {number}: 😀\n", "stop", Usage(100 + number, 10 + number)), call)


def made_run(directory: Path, order: Sequence[int] = range(ROWS), *, run: str = "run") -> Statement:
    """Make the run directory; every sixth row of each workspace is rejected. Returns its statement."""
    counted = {name: {MODEL: len(order)} for name in WORKSPACES}
    with run_directory.locked(directory), Ledger(Files(directory, run_directory.open_to_append), 1) as ledger:
        described = {"format": run_directory.FORMAT, "run": run, "name": "night", "rows": counted, "rejected_input": 0}
        run_directory.write_description(directory, described)
        ledger.opened(0.0)
        for number in order:
            for name in WORKSPACES:
                each = row(name, number)
                attempt = ledger.start(each, Bound(200, 50), 0.0)
                became = outcome(each, Call(attempt, 1, 0.0, 12), number)
                ledger.append(became, 0.0)
                result = became.reply if isinstance(became, Answered) else became.failure
                ledger.end(attempt, "answered" if isinstance(became, Answered) else "rejected", result, 1.0)
        ledger.flush()
    statement = read_statement(directory)
    write_usage(directory, statement)
    return statement
