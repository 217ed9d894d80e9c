"""batchrun: a file of prompts in, per-workspace results and token usage out, through Model Studio's sub-workspaces.

The house, from the top (an import goes down or stays, never up)::

    cli/                    talks to people: one thin file a verb
    one_run.py              joins: one run on one page; beside it what it is made of: opening.py (what a run directory and the input
                            say), parks.py (what cannot be sent), money.py (prices), budgets.py and bookkeeping.py (what may be
                            spent, also by the day and over runs), planning.py (the scheduler and what was learnt), preparing.py (a
                            row to a request), closing.py (windows and deadline), simulated.py (the simulator in this process)
    doctor.py foresight.py  join too: a job examined, and forecast, before it runs (affording.py: against its budgets);
                            reconciling.py: a bill held against runs after it; reporting.py: the statements of runs added up;
                            publishing.py: their page; checking.py: a run directory held against itself; reading.py: a ledger read
                            back, into whatever folds it; checkpoints.py: from where it was read to
    report/                 a statement, a diagnosis, a forecast as a table; page/ as a page for a browser
    simulator/server.py     the simulator on a socket
    engine.py               waits: starts what the scheduler says, records what comes back
    edge/                   touches: input files, media, run directory, ledger, network, terminal, keys
    core/scheduler.py       decides: what to send next, what a result leads to; lanes.py what it moves about; parking.py
                            what stands still; alarms.py when; decisions.py what it says; forecast.py runs it ahead
    core/statement.py       ledger entries folded to totals; course.py: how it went; attribution.py: by day, hour and metadata too;
                            focus.py: as charges in FOCUS's columns
    core/                   retry, limiter (pace, buckets, reckoning, tape), slots, estimates, routes, protocols/, answers, hours, rows,
                            index, entry, job · simulator/service.py
    core/model.py           the nouns · core/errors.py what ends a run

The data's way is one street, walked once::

    input line → source → index → scheduler's lanes → engine → transport (protocol) → Reply | Failure
      → scheduler.settle → Outcome → ledger → statement → report

Public names: `Job` (a job as a value), `load_job` (from a TOML file), `run` (await it), `run_blocking`, `outcomes` (iterate over
outcomes as they come) and `read_statement` (of a run directory). They are imported when first asked for: the command line's
``--version`` does not pay for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchrun.core.job import Job
    from batchrun.edge.job_file import load_job
    from batchrun.one_run import outcomes, read_statement, run, run_blocking

__all__ = ["Job", "load_job", "outcomes", "read_statement", "run", "run_blocking"]

_PLACES = {
    "Job": "batchrun.core.job",
    "load_job": "batchrun.edge.job_file",
    "outcomes": "batchrun.one_run",
    "read_statement": "batchrun.one_run",
    "run": "batchrun.one_run",
    "run_blocking": "batchrun.one_run",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'batchrun' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
