"""``batchrun schema``: what a job file may say, for an editor."""

from __future__ import annotations

import click
import orjson

from batchrun.cli.saying import put
from batchrun.core.jobs.job import job_schema

_ABOUT = """\
Print the JSON Schema of the job file, for an editor to complete and check it.

Exits with 0.
"""


@click.command(help=_ABOUT)
def schema() -> None:
    """Carry out ``batchrun schema``."""
    put(orjson.dumps(job_schema(), option=orjson.OPT_INDENT_2))
