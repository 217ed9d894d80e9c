"""``batchrun prices``: what tokens cost, and where that is from."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import click
import orjson

from batchrun.core.price_list import shipped
from batchrun.edge.job_file import load_job
from batchrun.money import listed
from batchrun.report.prices import price_table, prices_json


@click.command()
@click.argument("job_file", type=click.Path(path_type=Path), metavar="[JOB.toml]", required=False)
@click.option("--model", "models", multiple=True, metavar="NAME", help="Only this model; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def prices(*, job_file: Path | None, models: tuple[str, ...], as_json: bool) -> None:
    """List what models cost, for a million tokens: the shipped prices or, with JOB.toml, what applies in that job.

    A model that is not listed has no known price: its cost is told as unknown, never as nothing. The job's own prices stand in [prices],
    its discounts in [accounts]. Thinking is the price of all output of an answer that reasoned. Of the input price, 20 % is paid for what
    the provider found in its cache, and half of all for calls to the batch endpoint.

    Exits with 0, or 2 where the job is wrong.
    """
    job = load_job(job_file) if job_file else None
    rows = listed(job) if job is not None else [(row, Decimal(0)) for row in shipped()]
    chosen = [each for each in rows if not models or each[0].model in models]
    for model in models:
        if all(row.model != model for row, _ in chosen):
            click.echo(f"note: {model} has no known price", err=True)
    click.echo(orjson.dumps(prices_json(chosen), option=orjson.OPT_INDENT_2) if as_json else price_table(chosen))
