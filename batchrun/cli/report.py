"""``batchrun report``: the statement of a run, made from its ledger."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from batchrun.opening import read_statement
from batchrun.report.table import table


@click.command(epilog="Exit codes: 0, 2 no run directory, 6 a damaged one.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print the statement as JSON.")
def report(*, directory: Path, as_json: bool) -> None:
    """Show rows, calls and tokens by workspace and model of the run directory RUN, finished or under way.

    While a run is under way its calls in flight stand under "in doubt".
    """
    statement = read_statement(directory)
    click.echo(orjson.dumps(statement.as_json(), option=orjson.OPT_INDENT_2) if as_json else table(statement))
