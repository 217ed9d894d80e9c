"""``batchrun report``: the statement of runs, made from their ledgers."""

from __future__ import annotations

import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import orjson

from batchrun.cli.options import by_option, workspace_option, zone_option
from batchrun.core.attribution import LANE
from batchrun.reading import doubtful_calls
from batchrun.report.doubt import doubt_json, doubt_table
from batchrun.report.table import table
from batchrun.reporting import Report, reported

_EPILOG = """\b
Exit codes
  0  every run that was named is in the sums
  2  an argument is wrong, or there is no run directory
  6  a run could not be read: it is left out, and told
"""


@click.command(epilog=_EPILOG)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@by_option("Add up by workspace, model, day, hour or metadata.KEY (metadata.KEY.KEY within a table); may be given again, in order.")
@zone_option("--zone", "--timezone", "zone", about="Whose days and hours; that of the provider's bills, where none is given.")
@workspace_option("The report of this workspace alone: nothing of the others is in it.")
@click.option("--in-doubt", is_flag=True, help="List the calls that may have been billed and left no usage, and what became of their rows.")
@click.option("--json", "as_json", is_flag=True, help="Print the statement as JSON.")
def report(*, runs: tuple[Path, ...], by: tuple[str, ...], zone: ZoneInfo, only: str | None, in_doubt: bool, as_json: bool) -> None:
    """Show rows, calls, tokens and money of the run directories RUN, finished or under way: by workspace and model, or as --by says.

    Of several (runs/*) the sums, each run once, whatever paths it is named by. A call belongs to the day on which it began. While a run is
    under way its calls in flight stand under "in doubt".
    """
    found = reported(runs, by=by, zone=zone, only=only)
    if in_doubt:
        calls = [call for each in found.taken for call in doubtful_calls(each.path, only)]
        click.echo(orjson.dumps(doubt_json(calls), option=orjson.OPT_INDENT_2) if as_json else doubt_table(calls))
    elif as_json:
        told = found.as_json() | ({"attribution": found.statement.by(by).as_json()} if by else {})
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    else:
        click.echo(table(found.statement, by or LANE))
    _tell(found)
    sys.exit(0 if found.complete else 6)


def _tell(found: Report) -> None:
    """Say on stderr which runs the sums are of, where that is a question."""
    if len(found.taken) != 1 or found.left_out:
        click.echo(f"{len(found.taken):,} runs: {', '.join(str(each.path) for each in found.taken)}", err=True)
    for each in found.left_out:
        click.echo(f"not counted: {each.why}", err=True)
