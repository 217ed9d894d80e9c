"""``batchrun doctor``: whether a job's workspaces are ready, before anything is spent."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import anyio
import click
import orjson

from batchrun.cli.saying import put, room, tell
from batchrun.core.diagnosis import asked_of_the_owner
from batchrun.edge.job_file import load_job
from batchrun.report.diagnosis import diagnosis
from batchrun.telling.doctor import examine

_ABOUT = """\
Check each workspace's key, endpoint, models and quotas, and list what to ask the account's owner for.

Looks at the models that the job names. Without --probe nothing is spent. Exit 0: nothing is wrong (what could not be told is marked
"?"); 4: a run would park rows; 2: the job is wrong.
"""


@click.command(help=_ABOUT)
@click.argument("job_file", type=click.Path(path_type=Path), metavar="JOB.toml")
@click.option("--probe", is_flag=True, help="Ask each model for one token: the only sure test of an authorisation. It is billed.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--env-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Read keys from here instead of .env.")
def doctor(*, job_file: Path, probe: bool, as_json: bool, env_file: Path | None) -> None:
    """Carry out ``batchrun doctor``."""
    examined = anyio.run(partial(examine, load_job(job_file), probe=probe, dotenv=env_file or Path(".env")))
    if as_json:
        told = {"workspaces": [each.as_json() for each in examined], "to_ask_for": asked_of_the_owner(examined)}
        put(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    else:
        tell(diagnosis(examined, room()))
    sys.exit(4 if any(each.wrong for each in examined) else 0)
