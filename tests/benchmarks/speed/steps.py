"""Where a row's steps go: how many of the interpreter's instructions each part of `batchrun run` takes, whatever else the machine does.

Such steps are what most of a row's time is. They are counted and not timed, so a busy machine changes little: it lets fewer answers come
at a time, and takes more turns, which the event loop and the engine show. What C code does in one step (parsing, hashing, the kernel) is
not among them.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson

from tests.benchmarks.speed import rows
from tests.benchmarks.speed.contestants import BATCHRUN, WITHOUT_UVLOOP
from tests.benchmarks.speed.endpoint import PLAIN, serving

PARTS = {
    "limits": ("core/limits",),
    "following": (
        "running/following", "core/scheduling/past", "core/ledger/doubt", "core/ledger/numbered", "core/ledger/fold",
        "core/ledger/totals", "core/ledger/course", "core/ledger/durations", "core/ledger/attribution", "core/ledger/lost_lines",
        "core/ledger/counting", "core/ledger/apart", "core/ledger/timeline", "core/ledger/watched", "core/ledger/unanswered",
    ),
    "ledger": ("edge/ledger", "core/ledger", "running/money", "core/money"),
    "wire": ("edge/transport",),
    "answer read": ("core/protocols/usage", "core/protocols/re", "core/protocols/json_body", "core/protocols/error_body"),
    "request made": ("running/preparing", "running/made", "running/terms", "core/protocols"),
    "row read": ("edge/source", "core/rows"),
    "scheduling": ("core/scheduling",),
    "engine": ("engine", "ports", "hearing", "waiting", "waking", "running", "core/model", "edge"),
}  # fmt: skip
"""Where their code stands; the first that fits. Whatever stands outside is the event loop's."""
_COUNTED = """
import json, sys
from collections import Counter
import batchrun.cli.run
from batchrun.cli import main
steps = Counter()
def count(frame, event, argument):
    if event == "opcode":
        steps[frame.f_code.co_filename] += 1
    return count
def begin(frame, event, argument):
    frame.f_trace_opcodes, frame.f_trace_lines = True, False
    return count
sys.settrace(begin)
try:
    main()
finally:
    sys.settrace(None)
    with open("steps.json", "w") as file:
        json.dump(steps, file)
"""


def steps(folder: Path, in_flight: int, few: int = 500, many: int = 2_500, answer: bytes = PLAIN, *, paid: bool = False) -> Counter[str]:
    """Steps a row, by part; what a run of *few* rows takes is taken off. All have the same *answer*, and may be *paid* from budgets."""
    folder.mkdir(exist_ok=True)
    with serving(folder, answer=answer) as url:
        less, more = (_of_a_run(folder / str(count), url, in_flight, count, paid=paid) for count in (few, many))
    a_row: Counter[str] = Counter()
    for path in more:
        a_row[_part(path)] += (more[path] - less[path]) / (many - few)  # type: ignore[assignment]  # counters hold fractions, too
    return a_row


def _of_a_run(folder: Path, url: str, in_flight: int, count: int, *, paid: bool) -> Counter[str]:
    folder.mkdir()
    names = rows.write(folder / "rows.jsonl", count, 4)
    rows.job(folder / "job.toml", folder / "rows.jsonl", folder / "run", url, names, in_flight, paid=paid)
    command = [sys.executable, "-c", WITHOUT_UVLOOP + _COUNTED, "run", "job.toml", "--quiet"]
    subprocess.run(command, cwd=folder, env=BATCHRUN.variables(), check=True, timeout=600, stdout=subprocess.DEVNULL)
    return Counter(orjson.loads((folder / "steps.json").read_bytes()))


def _part(path: str) -> str:
    _, found, place = path.rpartition("/batchrun/")
    if not found:
        return "event loop"
    return next((name for name, places in PARTS.items() if place.startswith(places)), "event loop")
