"""batchrun: a file of prompts in, per-workspace results and token usage out, through Model Studio's sub-workspaces.

The house, from the top (an import goes down or stays, never up)::

    cli/                    talks to people: one thin file a verb · __main__.py: the same as python -m batchrun
    running/                joins: a run on one page (one_run.py), and what it is made of: what is wished of it, what an opening finds
                            and keeps, what cannot be sent, prices and budgets, the scheduler's plan, a row to a request, hours and
                            deadline, what happens while it is under way, what it came to, what ended it
    telling/                joins too: what is told of jobs and runs without carrying one out: a job examined (doctor.py) and forecast
                            (foresight.py), a run directory checked, runs reported, their page made, a bill held against them
    report/                 a statement, a diagnosis, a forecast as a table; page/ as a page for a browser
    simulator/server.py     the simulator on a socket
    engine.py               starts what the scheduler says, records what comes back · ports.py: what it is given · waiting.py: what waits ·
                            hearing.py: what calls under way bring · pressing.py: what holds this process up itself · waking.py
    edge/                   touches: input files, media, run directory, ledger, network, terminal, keys, processor
    beside/                 a second process, which reads ahead what is large, so that it is read on two cores
    core/scheduling/        decides: what to send next, what a result leads to; forecast.py runs it ahead
    core/limits/            how fast: quotas known and found, slots, what a row is expected to cost
    core/money/             prices, budgets, the provider's bill
    core/ledger/            the ledger's lines, and what they fold to: doubt, statement, attribution, course, charges
    core/rows/              an input line, its place in the index, its route, its answer checked
    core/protocols/         a wire format each
    core/jobs/              what the user wrote, checked · simulator/service.py
    core/model.py           the nouns · core/errors.py what ends a run · core/classes.py how classes of fields are made

The data's way is one street, walked once::

    input line → source → index → scheduler's lanes → engine → transport (protocol) → Reply | Failure
      → scheduler.settle → Outcome → ledger → statement → report

Public names: `Job` (a job as a value), `load_job` (from a TOML file), `run` (await it), `run_blocking`, `outcomes` (iterate over
outcomes as they come), `Answered`, `Rejected` and `Exhausted` (what an `Outcome` is), `Wishes` (how a run is to be carried out: what the
options of ``batchrun run`` say, and what gets notes, outcomes and `Progress` on the way), `Ending` (how it ended), `read_statement` (of a
run directory) and `BatchrunError` (what ends a run, and all that is raised on purpose). So are what these are made of (`Row`, `Reply`,
`Failure`, `Statement` …, and `Coming`, which `outcomes` gives), for programs that name them, and each kind of error, for those that tell
them apart. They are imported when first asked for: the command line's ``--version`` does not pay for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchrun.core.errors import (
        BatchrunError,
        JobError,
        LedgerError,
        Mistake,
        RunDamagedError,
        RunInUseError,
        RunTooNewError,
        StoppedError,
    )
    from batchrun.core.jobs.job import Job
    from batchrun.core.ledger.statement import Statement
    from batchrun.core.ledger.totals import Totals
    from batchrun.core.model import Answered, Call, Exhausted, Failure, Fault, Outcome, Rejected, Reply, Row, Scope, Usage
    from batchrun.core.progress import Progress, WorkspaceProgress
    from batchrun.core.scheduling.parking import ParkedScope
    from batchrun.edge.job_file import load_job
    from batchrun.running.coming import Coming, outcomes
    from batchrun.running.one_run import read_statement, run, run_blocking
    from batchrun.running.wishes import Ending, Wishes

__version__ = "0.1.0"

__all__ = [
    "Answered", "BatchrunError", "Call", "Coming", "Ending", "Exhausted", "Failure", "Fault", "Job", "JobError", "LedgerError", "Mistake",
    "Outcome", "ParkedScope", "Progress", "Rejected", "Reply", "Row", "RunDamagedError", "RunInUseError", "RunTooNewError", "Scope",
    "Statement", "StoppedError", "Totals", "Usage", "Wishes", "WorkspaceProgress", "load_job", "outcomes", "read_statement", "run",
    "run_blocking",
]  # fmt: skip

_PLACES = {
    **dict.fromkeys(
        ("BatchrunError", "JobError", "LedgerError", "Mistake", "RunDamagedError", "RunInUseError", "RunTooNewError", "StoppedError"),
        "batchrun.core.errors",
    ),
    "Job": "batchrun.core.jobs.job",
    "Statement": "batchrun.core.ledger.statement",
    "Totals": "batchrun.core.ledger.totals",
    **dict.fromkeys(
        ("Answered", "Call", "Exhausted", "Failure", "Fault", "Outcome", "Rejected", "Reply", "Row", "Scope", "Usage"),
        "batchrun.core.model",
    ),
    **dict.fromkeys(("Progress", "WorkspaceProgress"), "batchrun.core.progress"),
    "ParkedScope": "batchrun.core.scheduling.parking",
    "load_job": "batchrun.edge.job_file",
    **dict.fromkeys(("Coming", "outcomes"), "batchrun.running.coming"),
    **dict.fromkeys(("read_statement", "run", "run_blocking"), "batchrun.running.one_run"),
    **dict.fromkeys(("Ending", "Wishes"), "batchrun.running.wishes"),
}


if not TYPE_CHECKING:  # A type checker that sees it takes every name for one of the package's, mistyped ones too.

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module 'batchrun' has no attribute {name!r}")
        return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
