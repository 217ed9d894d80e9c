import json

from click.testing import CliRunner

from batchrun.cli.schema import schema
from batchrun.core.jobs.job import job_schema


def test_schema_prints_the_schema_of_the_job_file_and_nothing_else():
    shown = CliRunner().invoke(schema)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert json.loads(shown.stdout) == job_schema()
