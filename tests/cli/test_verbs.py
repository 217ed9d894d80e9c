"""The command line as a whole: what is asked for that is not there."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from batchrun.cli import batchrun


@pytest.mark.parametrize(("typed", "meant"), [("rn", "did you mean 'run'? One of run, doctor"), ("status", "one of run, doctor")])
def test_a_verb_that_is_none_is_answered_with_the_nearest_and_all(typed, meant):
    said = CliRunner().invoke(batchrun, [typed, "job.toml"])
    assert said.exit_code == 2
    assert f"No such command '{typed}': {meant}" in said.stderr
