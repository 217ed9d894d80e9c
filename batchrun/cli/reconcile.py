"""``batchrun reconcile``: the provider's bill held against the ledgers of runs."""

from __future__ import annotations

import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import orjson

from batchrun.cli.options import names_option, pairs_option, zone_option
from batchrun.cli.run_paths import no_job_files
from batchrun.cli.saying import put, room, tell
from batchrun.core.money.bill import KINDS
from batchrun.report.reconcile import reconciliation_table
from batchrun.telling.reconciling import reconciled

_EPILOG = """\b
Exit codes
  0  it closes: equal to the token, or every difference is explained by calls
     in doubt (within their bound), midnight or rounding
  2  an argument is wrong, a directory is no run, a file is no bill export
  3  it does not close: something differs without an explanation, others
     called, or a line of the bill was not understood
  6  a run directory is damaged
"""


_ABOUT = """\
Hold the provider's bill against the run directories RUN: by day, workspace, model and kind of tokens.

Differences are explained where the ledgers can: calls in doubt, calls near midnight that stand on the next day, numbers that were
rounded, calls by others. What is left is listed with the bill's lines. A bill has no request ids: whose a single call was, and whether
two mistakes cancel out within one line, cannot be told. Name every run of the days that are compared: what another run called counts
as others'.

Money is compared by workspace and model, and keeps the bill open only with --money: a job may not know of each discount and coupon.

The bill's instance ids hold workspace ids: --id names their workspaces.
"""


@click.command(epilog=_EPILOG, help=_ABOUT)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), callback=no_job_files, metavar="RUN...")
@click.option(
    "--bill",
    "bills",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A bill's details, exported as CSV by billable item and day; may be given again: what stands in two files counts once.",
)
@zone_option("--timezone", "--zone", "zone", about="Where the bill's days begin and end.")
@names_option(
    "--id", "ids", metavar="ID=NAME",
    about="The workspace of a workspace id of the bill: llm-xxx=legal; may be given again, for one id too: names that a workspace had one "
    "after the other, or several that are one there, are compared as one.",
)  # fmt: skip
@pairs_option(
    "--kind", "kinds", metavar="TYPE=KIND",
    about=f"What an amount type of the bill means that is not known: one of {', '.join(KINDS)}; may be given again.",
)  # fmt: skip
@click.option(
    "--allow-others", is_flag=True, help="Others call these workspaces too: what only they can have used does not keep the bill open."
)
@click.option("--money", is_flag=True, help="Money must agree too, where tokens do: to the rounding of the bill's lines.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON, every line of it.")
def reconcile(
    *,
    runs: tuple[Path, ...],
    bills: tuple[Path, ...],
    zone: ZoneInfo,
    ids: dict[str, tuple[str, ...]],
    kinds: dict[str, str],
    allow_others: bool,
    money: bool,
    as_json: bool,
) -> None:
    """Carry out ``batchrun reconcile``."""
    if unknown := sorted(set(kinds.values()) - set(KINDS)):
        raise click.BadParameter(f"{', '.join(unknown)}: one of {', '.join(KINDS)} is wanted", param_hint="--kind")
    found = reconciled(runs, bills, zone, ids=ids, kinds=kinds, others_allowed=allow_others, money_decides=money)
    if as_json:
        put(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2))
    else:
        tell(reconciliation_table(found, room()))
    sys.exit(0 if found.closes else 3)
