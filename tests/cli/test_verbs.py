"""The command line as a whole: what is asked for that is not there."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from batchrun.cli import batchrun, main
from batchrun.cli import prices as verb


@pytest.mark.parametrize(("typed", "meant"), [("rn", "did you mean 'run'? One of run, doctor"), ("status", "one of run, doctor")])
def test_a_verb_that_is_none_is_answered_with_the_nearest_and_all(typed, meant):
    said = CliRunner().invoke(batchrun, [typed, "job.toml"])
    assert said.exit_code == 2
    assert f"No such command '{typed}': {meant}" in said.stderr


def test_memory_that_runs_out_while_something_is_told_is_one_line_and_the_code_of_what_can_be_gone_on_with(monkeypatch, capsys):
    def starved(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(verb.prices, "callback", starved)
    monkeypatch.setattr(sys, "argv", ["batchrun", "prices"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    assert capsys.readouterr().err == "batchrun: there was no memory left: give it more, and run the same command again\n"


def test_a_verb_that_is_interrupted_is_one_line_and_the_code_of_what_was_stopped(monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verb.prices, "callback", interrupted)
    monkeypatch.setattr(sys, "argv", ["batchrun", "prices"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    assert capsys.readouterr().err == "batchrun: stopped by SIGINT; the same command goes on, or does it again\n"


def test_the_package_itself_is_the_command_where_no_script_is_on_the_path():
    said = subprocess.run([sys.executable, "-m", "batchrun", "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("batchrun ")
