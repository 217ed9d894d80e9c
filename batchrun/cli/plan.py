"""``batchrun plan``: what a run would do and how long it would take, before a call is made."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
import orjson

from batchrun.cli.saying import put, room, tell
from batchrun.edge.job_file import load_job
from batchrun.edge.progress import ReadingBar
from batchrun.report.forecast import forecast_table
from batchrun.running.begun_elsewhere import refuse_begun_elsewhere
from batchrun.telling.foresight import look_ahead

_ABOUT = """\
Forecast the run: rows, tokens and money by workspace and model, what limits each, when it would be done, and what is wrong.

Makes no call and changes nothing; the job may be running meanwhile. It goes by what earlier openings of the run have seen (latencies,
lengths, throttles, rates), and by what was spent of its budgets, by other runs too: it says which would run out, when, and with how many
rows left over. Exit 0: nothing is wrong; 4: a run would park or reject something; 2: the job cannot be started; 6: its directory is
damaged, or another run's.
"""


@click.command(help=_ABOUT)
@click.argument("job_file", type=click.Path(path_type=Path), metavar="JOB.toml")
@click.option("--json", "as_json", is_flag=True, help="Print the forecast as JSON.")
@click.option("--env-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Read keys from here instead of .env.")
def plan(*, job_file: Path, as_json: bool, env_file: Path | None) -> None:
    """Carry out ``batchrun plan``."""
    job = load_job(job_file)
    refuse_begun_elsewhere(job, job_file)
    with closing(ReadingBar()) as bar:
        forecast = look_ahead(job, datetime.now(UTC).astimezone(), dotenv=env_file or Path(".env"), on_index=bar.show)
    if as_json:
        put(orjson.dumps(forecast.as_json(), option=orjson.OPT_INDENT_2))
    else:
        tell(forecast_table(forecast, room()))
    sys.exit(forecast.exit_code)
