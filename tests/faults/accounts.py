"""What a run's ledger says held against what the simulator's journal says, call by call."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from batchrun.running.statements import read_statement
from batchrun.telling.checking import checked
from batchrun.telling.reading import doubtful_calls

KINDS = ("input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Account:
    """Counts of one campaign."""

    rows: int
    calls: int
    """That reached the simulator."""
    billed: int
    in_doubt: int
    doubtful_billed: int
    """Billed calls whose answers are in no entry."""


def entries_of(directory: Path, file: str = "results.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(directory.glob(f"*/{file}")) for line in path.read_bytes().splitlines()]


def settled(directory: Path, rows: list[dict[str, Any]], journal: list[dict[str, Any]]) -> Account:
    """Hold that no row was lost or answered twice, and that statement and bill are equal to the token but for the calls in doubt.

    A billed call is in doubt where its answer is in no entry. By its Idempotency-Key it is found to be of a row of which attempts.log has
    as many calls in doubt.
    """
    entries = entries_of(directory)
    answered = Counter((entry["workspace"], entry["id"]) for entry in entries)
    assert set(answered) == {(row["workspace"], row["id"]) for row in rows}, "no row is lost"
    assert max(answered.values()) == 1, "none is answered twice"
    found = checked(directory, repair=False)
    assert found.whole, found.findings

    run = json.loads((directory / "run.json").read_bytes())["run"]
    key_of = {(entry["workspace"], entry["id"]): _key(run, entry) for entry in entries}
    assert {call["idempotency_key"] for call in journal} == set(key_of.values()), "a row has one key, whoever sends it"
    doubts = Counter(key_of[call.started.workspace, call.started.row_id] for call, _ in doubtful_calls(directory))
    known = {entry["request_id"].removeprefix("chatcmpl-") for entry in entries}
    billed = [call for call in journal if call["billed"]]
    unknown = [call for call in billed if call["request_id"] not in known]
    of_row = Counter(call["idempotency_key"] for call in unknown)
    assert all(count <= doubts[key] for key, count in of_row.items()), "each billed call that nobody has the answer of is in doubt"

    statement = read_statement(directory)
    for workspace in statement.workspaces():
        totals = statement.total(workspace)
        for kind in KINDS:
            stated, doubt = getattr(totals, kind), getattr(totals, f"in_doubt_{kind}")
            bill = sum(call[kind] for call in billed if call["workspace"] == workspace)
            taken_off = sum(call[kind] for call in unknown if call["workspace"] == workspace)
            assert stated <= bill <= stated + doubt, (workspace, kind)
            assert stated == bill - taken_off, (workspace, kind)
    total = statement.total()
    assert len(billed) - len(rows) <= total.in_doubt
    assert len(journal) <= total.calls
    return Account(len(rows), len(journal), len(billed), total.in_doubt, len(unknown))


def _key(run: str, entry: dict[str, Any]) -> str:
    named = "\0".join([run, entry["workspace"], entry["id"], entry["digest"]])
    return blake2b(named.encode(), digest_size=16).hexdigest()
