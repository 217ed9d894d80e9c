"""The command line as a whole: what is asked for that is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchrun.cli import batchrun, main
from batchrun.cli import prices as verb
from batchrun.core.errors import BatchrunError, JobError
from batchrun.edge.job_file import load_job
from tests.edge.rights import open_to_all, somebody_who_is_not_root


@pytest.mark.parametrize(("typed", "meant"), [("rn", "did you mean 'run'? One of run, doctor"), ("status", "one of run, doctor")])
def test_a_verb_that_is_none_is_answered_with_the_nearest_and_all(typed, meant):
    said = CliRunner().invoke(batchrun, [typed, "job.toml"])
    assert said.exit_code == 2
    assert f"No such command '{typed}': {meant}" in said.stderr


@pytest.mark.parametrize(
    ("typed", "meant"), [("--strict run job.toml", "run"), ("--json report runs/night", "report"), ("-q plan x", "plan")]
)
def test_an_option_that_stands_before_its_verb_is_told_where_it_stands(typed, meant):
    """``--json report`` was asked whether --version is meant."""
    said = CliRunner().invoke(batchrun, typed.split())
    assert said.exit_code == 2
    assert f"' before a command: what {meant} takes stands behind it, batchrun {meant} …\n" in said.stderr
    assert "Did you mean" not in said.stderr
    assert "Did you mean '--version'?" in CliRunner().invoke(batchrun, ["--verison", "run"]).stderr


@pytest.mark.parametrize("typed", ["jobs/night.toml", "resume", "continue"])
def test_a_job_or_that_it_is_to_go_on_in_the_place_of_a_verb_is_answered_with_run(typed):
    said = CliRunner().invoke(batchrun, [typed, "job.toml"])
    assert said.exit_code == 2
    assert f"'{typed}': batchrun run JOB.toml carries a job out, and goes on with one that was stopped.\n" in said.stderr


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


@pytest.mark.parametrize("asked", ["--version", "--help"])
def test_the_version_and_the_help_are_told_without_reading_in_what_a_verb_needs(asked):
    code = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); from batchrun.cli import main; main()"
    said = subprocess.run([sys.executable, "-c", code, asked], capture_output=True, text=True, check=True).stderr
    assert not {"aiohttp", "asyncio", "dataclasses", "importlib.metadata", "orjson", "pydantic"} & {*said.split()}


def test_a_process_ends_as_soon_as_it_has_said_everything_and_is_not_taken_down_first():
    """What is taken down module by module is killed by a signal that comes meanwhile, as if it were not done."""
    code = "import atexit; atexit.register(print, 'taken down'); from batchrun.__main__ import main; main()"
    said = subprocess.run([sys.executable, "-c", code, "schema"], capture_output=True, text=True, check=True).stdout
    assert json.loads(said)["title"]


@pytest.mark.parametrize("arguments", [["prices"], ["prices", "--json"], ["schema"], ["--help"], ["run", "--help"]], ids=" ".join)
def test_a_standard_output_that_can_take_no_more_is_one_line_and_an_exit_code(arguments):
    with Path("/dev/full").open("wb") as full:
        said = subprocess.run([sys.executable, "-m", "batchrun", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert said.stderr == "batchrun: standard output cannot be written: No space left on device\n"
    assert said.returncode == 4


RUN = """
[job]
input = "in.jsonl"
output = "runs/市场部"
[defaults]
model = "qwen-plus"
endpoint = "simulator"
[workspaces."市场部"]
[simulator]
latency = { median = 0.0 }
"""


def told(folder, *arguments, output="runs/市场部", stdout=subprocess.PIPE, **environment):
    """What a verb says whose job and rows have Chinese names."""
    (folder / "job.toml").write_text(RUN.replace("runs/市场部", output), encoding="utf-8")
    (folder / "in.jsonl").write_text('{"workspace": "市场部", "prompt": "Hi"}\n', encoding="utf-8")
    command, around = [sys.executable, "-m", "batchrun", *arguments], {**os.environ, **environment}
    return subprocess.run(command, cwd=folder, env=around, stdout=stdout, stderr=subprocess.PIPE, check=False)


@pytest.mark.parametrize("asked", [[], ["--json"], ["--json", "--quiet"]], ids=" ".join)
def test_a_run_whose_statement_cannot_be_written_says_so_and_its_command_tells_it_again(tmp_path, asked):
    """A program that reads the statement would take nothing for it."""
    with Path("/dev/full").open("wb") as full:
        said = told(tmp_path, "run", "job.toml", *asked, stdout=full)
    *last_words, last = said.stderr.decode().splitlines()
    assert (last, said.returncode) == ("batchrun: standard output cannot be written: No space left on device", 4)
    assert ("results: runs/市场部/WORKSPACE/results.jsonl" in last_words) is ("--quiet" not in asked)
    again = told(tmp_path, "run", "job.toml", "--json", "--quiet")
    assert (json.loads(again.stdout)["total"]["calls"], again.returncode, again.stderr) == (1, 0, b"")


@pytest.mark.parametrize(("encoding", "shown"), [("latin-1", "???"), ("cp1252", "???"), ("gbk", "市场部"), ("utf-8", "市场部")])
def test_a_terminal_of_another_encoding_ends_no_run_that_was_carried_out(tmp_path, encoding, shown):
    for asked in (["run", "job.toml"], ["report", "runs/市场部"]):
        said = told(tmp_path, *asked, PYTHONIOENCODING=encoding)
        assert (said.returncode, b"Traceback" in said.stderr) == (0, False), said.stderr
        assert shown in said.stdout.decode(encoding)


def test_a_directory_whose_name_the_systems_encoding_cannot_write_is_one_line_with_the_way_out(tmp_path):
    said = told(tmp_path, "run", "job.toml", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert said.returncode == 2
    assert b"cannot be written in ascii, the system's encoding: set LC_ALL=C.UTF-8, or PYTHONUTF8=1" in said.stderr
    assert said.stderr.count(b"\n") == 1


def test_a_workspace_whose_name_the_systems_encoding_cannot_write_is_told_before_anything_is_called(tmp_path):
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    said = told(tmp_path, "run", "job.toml", output="runs/one", **ascii_alone)
    assert said.returncode == 2, said.stderr
    assert b"cannot be written in ascii, the system's encoding: set LC_ALL=C.UTF-8, or PYTHONUTF8=1" in said.stderr
    assert not (tmp_path / "runs" / "one" / "attempts.log").exists()
    assert told(tmp_path, "run", "job.toml", output="runs/one").returncode == 0


def test_how_a_run_ended_is_told_beside_its_json_unless_that_is_to_be_quiet(tmp_path):
    (tmp_path / "job.toml").write_text(
        '[job]\ninput = "in.jsonl"\n[defaults]\nmodel = "qwen-plus"\n[workspaces.legal]\napi_key_env = "NO_KEY"\n'
    )
    (tmp_path / "in.jsonl").write_text('{"workspace": "legal", "prompt": "Hi"}\n')
    command = [sys.executable, "-m", "batchrun", "run", "job.toml", "--json"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (told.returncode, json.loads(told.stdout)["total"]["pending"]) == (4, 1)
    assert "parked: workspace legal, 1 row: missing_key: there is no API key" in told.stderr
    quiet = subprocess.run([*command, "--quiet"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (quiet.returncode, json.loads(quiet.stdout)["total"]["pending"], quiet.stderr) == (4, 1, "")


def test_why_rows_failed_is_told_where_no_page_is_written_and_the_command_that_goes_on_is_the_whole_one(tmp_path):
    (tmp_path / "a job.toml").write_text(
        '[job]\ninput = "in.jsonl"\noutput = "a run"\n[defaults]\nmodel = "qwen-vl-plus"\nendpoint = "simulator"\n'
    )
    (tmp_path / "keys.env").write_text("")
    (tmp_path / "in.jsonl").write_text('{"messages": [{"role": "user", "content": [{"image": "none.png"}]}]}\n' * 2)
    command = [sys.executable, "-m", "batchrun", "run", "a job.toml", "--page", "none", "--quiet", "--env-file", "keys.env"]
    for _ in range(2):
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        first, _, *others = ended.stderr.splitlines()
        assert ended.returncode == 3
        assert first == "rejected: default, 2 rows: media_missing: the image 'none.png' cannot be found (No such file or directory)"
        assert others == [
            "2 rows rejected: why stands in a run/WORKSPACE/errors.jsonl",
            "once that is mended, ask rejected rows again with: batchrun run 'a job.toml' --env-file keys.env --retry-rejected",
        ]
    assert not (tmp_path / "a run" / "report.html").exists()
    waiting = subprocess.run([*command, "--wait", "--strict"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert waiting.stderr.endswith(
        "ask rejected rows again with: batchrun run 'a job.toml' --env-file keys.env --strict --wait --retry-rejected\n"
    ), "without it, the run would end where this one had waited"


@pytest.mark.parametrize("verb", ["check", "report", "reconcile"])
def test_a_job_file_in_the_place_of_a_run_directory_is_told_with_the_command_that_is_meant(tmp_path, verb):
    given = [verb, "job.toml", *(["--bill", "bill.csv"] if verb == "reconcile" else [])]
    (tmp_path / "bill.csv").touch()
    found = told(tmp_path, *given)
    beginning = "batchrun: job.toml: is a job file, and a run directory is wanted: "
    begin = "runs/市场部, which is not there: begin it with python -m batchrun run job.toml\n"
    assert (found.returncode, found.stderr.decode()) == (2, beginning + begin)
    (tmp_path / "runs" / "市场部").mkdir(parents=True)
    found = told(tmp_path, *given)
    assert (found.returncode, found.stderr.decode()) == (2, f"{beginning}python -m batchrun {verb} 'runs/市场部'\n")


def test_several_job_files_are_told_together_and_one_that_cannot_be_read_all_the_same(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(f'[job]\ninput = "x"\noutput = "{tmp_path}/{name}"\n')
        (tmp_path / name).mkdir()
    said = CliRunner().invoke(batchrun, ["report", str(tmp_path / "a.toml"), str(tmp_path / "b.toml")]).exception
    assert (
        str(said)
        == f"{tmp_path}/a.toml, {tmp_path}/b.toml: are job files, and run directories are wanted: batchrun report {tmp_path}/a {tmp_path}/b"
    )
    (tmp_path / "b.toml").write_text("[job")
    said = CliRunner().invoke(batchrun, ["check", str(tmp_path / "b.toml")]).exception
    assert str(said) == f"{tmp_path}/b.toml: is a job file, and a run directory is wanted: name what the job's output names"


def test_a_job_file_whose_run_stands_where_this_user_may_not_look_is_told_all_the_same():
    with open_to_all() as folder:
        (folder / "closed").mkdir(mode=0o000)
        (folder / "job.toml").write_text(f'[job]\ninput = "x"\noutput = "{folder}/closed/run"\n')
        load_job(folder / "job.toml")  # What reads it is read in by somebody who may.
        with somebody_who_is_not_root():
            said = CliRunner().invoke(batchrun, ["report", str(folder / "job.toml")]).exception
        assert isinstance(said, JobError)
        assert f"a run directory is wanted: {folder}/closed/run, which is not there" in str(said)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("run job.toml", "round: cannot be used as a run directory: Too many levels of symbolic links"),
        ("plan job.toml", "round/run.json: cannot be read: Too many levels of symbolic links"),
        ("report round", "round/run.json: cannot be read: Too many levels of symbolic links"),
        ("reconcile round --bill bill.csv", "round/run.json: cannot be read: Too many levels of symbolic links"),
    ],
)
def test_a_run_directory_that_is_a_link_which_leads_round_in_a_circle_is_told(tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "in.jsonl").write_text('{"prompt": "hello"}\n')
    (tmp_path / "bill.csv").write_text("instance id,date,usage\n")
    (tmp_path / "job.toml").write_text(
        '[job]\ninput = "in.jsonl"\noutput = "round"\n[defaults]\nendpoint = "simulator"\nmodel = "qwen-plus"\n'
    )
    said = CliRunner().invoke(batchrun, arguments.split()).exception
    assert isinstance(said, BatchrunError)
    assert str(said).startswith(told)


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_folder_that_was_removed_under_the_command_is_one_line_with_the_way_out(tmp_path, verb):
    (tmp_path / "job.toml").write_text('[job]\ninput = "in.jsonl"\n[defaults]\nendpoint = "simulator"\nmodel = "qwen-plus"\n')
    (tmp_path / "gone").mkdir()
    # As the command's own script does, no import looks into that folder: Python ends in ways of its own there.
    main = "from os import rmdir; rmdir('../gone'); from batchrun.cli import main; main()"
    command = [sys.executable, "-P", "-c", main, verb, "../job.toml"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path / "gone", env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "batchrun: the folder that the command is run in was removed: go into one that is there (cd), and run it again\n",
    )


def test_a_run_directory_in_the_place_of_a_job_file_is_told_as_such(tmp_path):
    assert told(tmp_path, "run", "job.toml", "--quiet").returncode == 0
    found = told(tmp_path, "run", "runs/市场部")
    said = "runs/市场部: a job file's name ends in .toml, and this is a run directory: name the job file whose output it is"
    assert (found.returncode, found.stderr.decode()) == (2, f"batchrun: {said}\n")


_HELPS = """
import json, sys
from click.testing import CliRunner
from batchrun.cli import batchrun
print(json.dumps([CliRunner().invoke(batchrun, [*asked.split(), "--help"]).stdout for asked in sys.argv[1:]]))
"""


VERBS = ["", "run", "plan", "doctor", "report", "check", "reconcile", "prices", "prices list", "prices import", "simulate", "schema"]


@pytest.mark.parametrize("asked", VERBS)
def test_help_fits_a_terminal_of_eighty_columns(asked):
    told = CliRunner().invoke(batchrun, [*asked.split(), "--help"], terminal_width=80).stdout
    assert [line for line in told.splitlines() if len(line) > 80] == []


def test_help_is_the_same_where_python_leaves_docstrings_out():
    whole, without = (
        json.loads(subprocess.run([sys.executable, level, "-c", _HELPS, *VERBS], capture_output=True, text=True, check=True).stdout)
        for level in ("-I", "-OO")
    )
    assert without == whole
    assert all(len(told.splitlines()[2]) > 20 for told in whole), "what each does"
