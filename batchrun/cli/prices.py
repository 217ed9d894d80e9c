"""``batchrun prices``: what tokens cost, and where that is from; ``batchrun prices import``: another table taken in."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from time import time
from typing import Any

import click
import orjson

from batchrun.cli.saying import put, room, tell
from batchrun.core.counted import counted
from batchrun.core.errors import JobError
from batchrun.core.jobs.job import Job
from batchrun.core.jobs.words import slip_of
from batchrun.core.money.litellm_prices import Difference, NotTaken, differences, taken
from batchrun.core.money.price_list import shipped
from batchrun.core.money.pricing import region_of, standard_prices
from batchrun.edge.job_file import load_job
from batchrun.report.prices import price_table, prices_json, prices_toml
from batchrun.running.money import day_of, listed, prices_of

_LIST = "list"


class _ListsUnlessTold(click.Group):
    """``prices JOB.toml`` is short for ``prices list JOB.toml``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if args and args[0] in own else [_LIST, *args])


_ABOUT = """\
List what models cost, for a million tokens: the shipped prices or, with JOB.toml, what applies in that job.

`batchrun prices list --help` tells how, `batchrun prices import --help` how another table of prices is taken in.
"""


@click.group(cls=_ListsUnlessTold, subcommand_metavar="[list] [JOB.toml] | import", help=_ABOUT)
def prices() -> None:
    """Carry out ``batchrun prices``."""


_LIST_ABOUT = """\
List what models cost, for a million tokens: the shipped prices or, with JOB.toml, what applies in that job today.

A model that is not listed has no known price: its cost is told as unknown, never as nothing. The job's own prices stand in [prices],
or in the files that [job] prices names, its discounts in [accounts]. Thinking is the price of all output of an answer that reasoned.
Of the input price, 20 % is paid for what the provider found in its cache by itself, 125 % for what a row had it write to the cache and
10 % for what it finds there again, and half of all for calls to the batch endpoint. Where caches, or sounds and pictures, have prices of
their own, these stand beneath. A price holds from its day until the next one.

Exits with 0, or 2 where the job is wrong.
"""


@prices.command(_LIST, short_help="List what models cost.", help=_LIST_ABOUT)
@click.argument("job_file", type=click.Path(path_type=Path), metavar="[JOB.toml]", required=False)
@click.option("--model", "models", multiple=True, metavar="NAME", help="Only this model; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_prices(*, job_file: Path | None, models: tuple[str, ...], as_json: bool) -> None:
    """Carry out ``batchrun prices list``."""
    job = load_job(job_file) if job_file else None
    rows = listed(job) if job is not None else [(row, Decimal(0)) for row in shipped()]
    chosen = [each for each in rows if not models or each[0].model in models]
    asked = models or (_named(job) if job is not None else ())
    for model in asked:
        if all(row.model != model for row, _ in chosen):
            where = "; batchrun prices lists the models that have one" if job is None else _in_this_job(model, job)
            meant = slip_of(model, {row.model for row, _ in rows})
            tell(f"note: {model} has no known price{where}" + f': is "{meant}" meant?' * (meant is not None), err=True)
    if as_json:
        put(orjson.dumps(prices_json(chosen), option=orjson.OPT_INDENT_2))
    elif chosen:
        tell(price_table(chosen, room()))
    if not rows and not asked:  # Its rows name the models.
        where = ", ".join(sorted({row.region for row in shipped() if row.region is not None}))
        tell(
            f"note: no price applies where this job calls: those that are shipped hold in {where}; [prices] can give its models some",
            err=True,
        )


def _in_this_job(model: str, job: Job) -> str:
    prices, regions_called = prices_of(job), {region_of(each.endpoint) for each in job.workspaces_resolved().values()}
    if begins := [since for region in regions_called if (since := prices.begins(model, region, day_of(time())))]:
        return f" in this job yet: the first begins to hold on {min(begins)}"
    regions = sorted({row.region for row in shipped() if row.model == model and row.region is not None})
    elsewhere = f": those that are shipped hold in {', '.join(regions)}" if regions else ""
    return f" in this job{elsewhere}; [prices] can give it one"


def _named(job: Job) -> list[str]:
    """The models that *job* itself names; rows may name others."""
    workspaces = job.workspaces_resolved().values()
    named = {model for each in workspaces for model in (each.model, *(each.models or ()), *each.deployments)}
    return sorted(named - {None})


_IMPORT_ABOUT = """\
Make tables of [prices] of the dashscope/ entries in LiteLLM's table: in dollars, for endpoint "intl".

They go to standard output: keep them in a file that jobs name as [job] prices = "FILE.toml", or copy them into a job. What could not
be taken, and where the table differs from the shipped prices, with the likely reason, goes to standard error.

Exits with 0, or 2 where FILE is no such table.
"""


@prices.command("import", short_help="Take in what LiteLLM's table says of them.", help=_IMPORT_ABOUT)
@click.option("--litellm", "file", required=True, type=click.Path(path_type=Path), metavar="FILE", help="LiteLLM's table of prices, JSON.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DAY",
    help="The first day that the prices hold, as the provider's bills count days; today.",
)
@click.option("--model", "models", multiple=True, metavar="NAME", help="Only this model; may be given again.")
def import_prices(*, file: Path, since: datetime | None, models: tuple[str, ...]) -> None:
    """Carry out ``batchrun prices import``."""
    today = day_of(time())
    day = since.date() if since else today
    rows, left = taken(_table(file), day, f"LiteLLM's table, taken in on {today}")
    if models:
        rows, left = [row for row in rows if row.model in models], [each for each in left if each.model in models]
    put(prices_toml(rows), nl=False)
    _tell(len(rows), left, list(differences(rows, standard_prices(), max(day, _newest()))))


def _newest() -> date:
    return max(row.since for row in shipped())


def _tell(count: int, left: list[NotTaken], found: list[Difference]) -> None:
    lines = [f"{counted(count, 'model')} taken, {counted(len(left), 'entry', 'entries')} left"]
    lines += [f"left: {each.model}: {each.why}" for each in left]
    lines += [f"differs: {each.model}: {each.what}: {each.theirs}, shipped {each.ours} ({each.why})" for each in found]
    tell("\n".join(lines), err=True)


def _table(file: Path) -> dict[str, Any]:
    try:
        table = orjson.loads(file.read_bytes())
    except OSError as error:
        raise JobError(f"{file}: cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError:
        table = None
    if not isinstance(table, dict) or not any(name.startswith("dashscope/") for name in table):
        raise JobError(f"{file}: is no table of LiteLLM's with dashscope/ entries (model_prices_and_context_window.json)")
    return table
