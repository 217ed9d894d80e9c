"""A run directory that leads elsewhere, is somebody else's, or goes away under the run: refused before any call, or ended with one line."""

from __future__ import annotations

import glob
import gzip
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.core.errors import JobError, LedgerError, RunDamagedError
from batchrun.core.jobs.job import Job
from batchrun.core.jobs.names import RUN_DIRECTORY_NAMES
from batchrun.edge.source import would_lead_into, would_match
from batchrun.edge.trust import look_over
from batchrun.running.one_run import Wishes, run_blocking
from batchrun.running.opening import refuse_its_own
from batchrun.running.statements import read_statement
from batchrun.telling.checking import checked
from batchrun.telling.foresight import look_ahead
from batchrun.telling.reconciling import reconciled
from tests.faults.children import entries, jsonl
from tests.steps import lines_run

WORKSPACES = ("marketing", "legal")
FILES = ("results.jsonl", "errors.jsonl", "usage.json")


def job(place: Path, *, rows: int = 4, latency: float = 0.0, **tables) -> Job:
    source = place / "rows.jsonl"
    if not source.exists():
        jsonl(source, [{"id": f"{name}-{n}", "workspace": name, "prompt": "hello"} for n in range(rows) for name in WORKSPACES])
    return Job.model_validate(
        {
            "job": {"input": str(source), "output": str(place / "run"), "name": "night"} | tables.pop("job", {}),
            "defaults": {"endpoint": "simulator", "model": "qwen-plus", "concurrency": 1},
            "workspaces": {name: {} for name in WORKSPACES},
            "simulator": {"latency": {"median": latency, "sigma": 0}},
            **tables,
        }
    )


def calls(place: Path) -> int:
    log = place / "run" / "attempts.log"
    return log.read_bytes().count(b"\n") if log.exists() and log.is_file() else 0


@pytest.fixture
def done(tmp_path):
    """A run of which half is answered."""
    run_blocking(job(tmp_path), Wishes(dotenv=None))
    return tmp_path


def a_link_of_a_workspace(run: Path) -> None:
    shutil.rmtree(run / "legal")
    (run / "legal").symlink_to("marketing")


def a_link_out(run: Path) -> None:
    shutil.move(run / "legal", run.parent / "elsewhere")
    (run / "legal").symlink_to(run.parent / "elsewhere")


def links(name: str) -> Callable[[Path], None]:
    def harm(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(run.parent / "precious")

    return harm


def a_pipe(run: Path) -> None:
    (run / "legal" / "results.jsonl").unlink()
    os.mkfifo(run / "legal" / "results.jsonl")


def one_file_twice(run: Path) -> None:
    (run / "legal" / "results.jsonl").unlink()
    os.link(run / "marketing" / "results.jsonl", run / "legal" / "results.jsonl")


HARMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a workspace that leads to another": (a_link_of_a_workspace, "legal: is a link"),
    "a workspace that leads out": (a_link_out, "legal: is a link"),
    "answers that lead out": (links("legal/results.jsonl"), "legal/results.jsonl: is a link"),
    "errors that lead out": (links("legal/errors.jsonl"), "legal/errors.jsonl: is a link"),
    "a log that leads out": (links("attempts.log"), "attempts.log: is a link"),
    "a description that leads out": (links("run.json"), "run.json: is a link"),
    "a description on its way that leads out": (links(".run.json.new"), ".run.json.new: is a link"),
    "lines set aside that lead out": (links(".rejected-input.jsonl.new"), "is a link"),
    "what was learnt leads out": (links("learnt.json"), "learnt.json: is a link"),
    "a pipe for answers": (a_pipe, "legal/results.jsonl: is a pipe"),
    "two workspaces with one file": (one_file_twice, "results.jsonl: is the same file as"),
}


@pytest.mark.parametrize(("harm", "says"), HARMS.values(), ids=HARMS.keys())
def test_a_run_directory_that_leads_elsewhere_is_refused_before_any_call(done, harm, says):
    (done / "precious").write_bytes(b"not the run's")
    harm(done / "run")
    before = calls(done)
    with pytest.raises(RunDamagedError, match=r": (remove|put|is)") as refused:
        run_blocking(job(done), Wishes(dotenv=None))
    assert says in str(refused.value)
    assert calls(done) == before
    assert (done / "precious").read_bytes() == b"not the run's"


@pytest.mark.parametrize("name", [name for name, (_, says) in HARMS.items() if "is a link" in says])
def test_what_no_run_goes_on_with_is_damage_to_a_check(done, name):
    """It had been told to be whole, with a link that "is not followed", and was."""
    shutil.copy(done / "run" / "legal" / "results.jsonl", done / "precious")
    HARMS[name][0](done / "run")
    found = checked(done / "run", repair=False)
    assert (found.whole, sum("is a link" in each.what for each in found.findings if each.damage)) == (False, 1)


@pytest.mark.parametrize("name", ["legal/results.jsonl", "legal/errors.jsonl", "attempts.log", "run.json"])
def test_a_ledger_that_was_compressed_to_make_room_is_refused_before_what_is_answered_is_paid_for_again(done, name):
    """All rows of the workspace had been asked again, with a note; with the whole directory compressed, of the run, and without one."""
    path, before = done / "run" / name, calls(done)
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes() if path.exists() else b""))
    path.unlink(missing_ok=True)
    (done / "bill.csv").write_text("instance id,date,usage\n")
    for look in (
        lambda: run_blocking(job(done), Wishes(dotenv=None)),
        lambda: look_ahead(job(done), datetime.now(UTC), dotenv=None),
        lambda: read_statement(done / "run"),
        lambda: reconciled([done / "run"], [done / "bill.csv"], ZoneInfo("Asia/Shanghai"), ids={}, kinds={}),
    ):
        with pytest.raises(RunDamagedError, match=rf"{name}\.gz: is a file of the ledger that was compressed: unpack it"):
            look()
    found = checked(done / "run", repair=False)
    assert (found.whole, [each.place for each in found.findings if "compressed" in each.what]) == (False, [f"{name}.gz"])
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    assert run_blocking(job(done), Wishes(dotenv=None)).exit_code == 0, "with a copy beside it"
    assert calls(done) == before + 2, "but for the opening's own lines"


def test_a_link_deeper_than_a_run_writes_is_none_of_its_own(done):
    (done / "run" / "legal" / "notes").mkdir()
    (done / "run" / "legal" / "notes" / "here").symlink_to(done)
    assert run_blocking(job(done), Wishes(dotenv=None)).exit_code == 0
    assert checked(done / "run", repair=False).whole


@pytest.mark.parametrize("name", ["attempts.log", "run.json", "learnt.json", "legal/results.jsonl", "legal/usage.json"])
def test_nothing_waits_for_a_pipe_in_the_place_of_a_file_of_a_run(done, name):
    """A check, a report, a plan, a reconciliation, and a run beside it with a budget by the day, had waited for ever."""
    (done / "run" / name).unlink()
    os.mkfifo(done / "run" / name)
    (done / "bill.csv").write_text("instance id,date,usage\n")
    by_the_day = {"budget": {"tokens": 10**9, "per": "day"}}
    beside = job(done, job={"output": str(done / "beside")}, workspaces=dict.fromkeys(WORKSPACES, by_the_day))
    asked = (
        lambda: checked(done / "run", repair=False),
        lambda: read_statement(done / "run"),
        lambda: look_ahead(job(done), datetime.now(UTC), dotenv=None),
        lambda: reconciled([done / "run"], [done / "bill.csv"], ZoneInfo("Asia/Shanghai"), ids={}, kinds={}),
        lambda: run_blocking(beside, Wishes(dotenv=None)),
    )
    # What has no run.json is no run to those beside it.
    for ask in asked[:-1] if name == "run.json" else asked:
        with pytest.raises(RunDamagedError, match=f"{name}: is a pipe, a socket or a device, and no file of a run: remove it"):
            ask()


def test_a_lock_that_leads_out_is_refused_and_what_it_leads_to_stays_as_it_is(tmp_path):
    (tmp_path / "precious").write_bytes(b"not the run's")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(JobError, match="symbolic links"):
        run_blocking(job(tmp_path), Wishes(dotenv=None))
    assert (tmp_path / "precious").read_bytes() == b"not the run's"


def test_a_run_directory_may_itself_be_a_link_to_where_there_is_room(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    assert run_blocking(job(tmp_path), Wishes(dotenv=None)).exit_code == 0
    assert len(entries(tmp_path / "disk")) == 8


def test_a_run_directory_that_is_itself_a_link_is_whole_to_a_check_which_mends_the_mode_of_what_it_leads_to(done):
    """It was told to be damage, which a person was to remove, though runs go on in it."""
    run, place = done / "run", done / "elsewhere"
    run.rename(place)
    run.symlink_to(place)
    assert checked(run, repair=False).findings == []
    place.chmod(0o755)
    assert [(each.place, each.mended) for each in checked(run, repair=True).findings] == [(".", True)]
    assert place.stat().st_mode & 0o777 == 0o700


def test_files_of_another_user_are_refused_and_the_way_out_is_said(done):
    look_over(done / "run")
    with pytest.raises(RunDamagedError, match=f"belongs to user {os.geteuid()}, and this run to user 54321: .*chown"):
        look_over(done / "run", owner=54321)


def test_all_that_a_run_makes_is_private_and_has_a_name_that_no_workspace_can_take(done):
    with (done / "rows.jsonl").open("a") as rows:
        rows.write('{"id": "no row"}\n')
    run_blocking(job(done), Wishes(dotenv=None))
    made = [path for path in (done / "run").rglob("*") if path.is_file() or path.is_dir()]
    assert {path: oct(path.stat().st_mode & 0o777) for path in made} == {path: "0o700" if path.is_dir() else "0o600" for path in made}
    assert {path.name for path in (done / "run").iterdir()} - set(WORKSPACES) <= RUN_DIRECTORY_NAMES


@pytest.mark.parametrize("name", ["run/rows.jsonl", "run/*/results.jsonl", "run/../run/marketing/results.jsonl", "link.jsonl"])
def test_an_input_in_the_runs_own_directory_is_a_mistake(done, name):
    shutil.copy(done / "rows.jsonl", done / "run" / "rows.jsonl")
    (done / "link.jsonl").symlink_to(done / "run" / "rows.jsonl")
    before = calls(done)
    with pytest.raises(JobError, match="own directory"):
        run_blocking(job(done, job={"input": str(done / name)}), Wishes(dotenv=None))
    assert calls(done) == before


@pytest.mark.parametrize("name", ["rows.jsonl", "*.jsonl", "../*/rows.jsonl"])
def test_a_folder_that_holds_the_input_is_no_output_and_nothing_is_made_in_it(tmp_path, name):
    refused = job(tmp_path, job={"input": str(tmp_path / name), "output": str(tmp_path)})
    with pytest.raises(JobError, match="own directory"):
        run_blocking(refused, Wishes(dotenv=None))
    assert [*tmp_path.iterdir()] == [tmp_path / "rows.jsonl"]


PATTERNS = ["**/*.jsonl", "**", "*/*/results.jsonl", "r*/**/*", "../*/run/**/r*.jsonl", "[r]un/?ar*/*", "run/**/input/*.jsonl"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_that_files_of_the_run_will_match_is_a_mistake_before_there_are_any(tmp_path, monkeypatch, pattern):
    monkeypatch.chdir(tmp_path)
    refused = job(tmp_path, job={"input": pattern, "output": "run"})
    for look in (lambda: run_blocking(refused, Wishes(dotenv=None)), lambda: look_ahead(refused, datetime.now(UTC), dotenv=None)):
        with pytest.raises(JobError, match="names files of this run's own directory too"):
            look()
    assert [*tmp_path.iterdir()] == [tmp_path / "rows.jsonl"]


@pytest.mark.parametrize("pattern", ["*.jsonl", "r*.jsonl", "[!r]*/*.jsonl", "**/rows.jsonl", "./**/*ows*"])
def test_a_pattern_that_files_of_the_run_never_match_is_taken_at_each_opening(tmp_path, monkeypatch, pattern):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    job(tmp_path / "a")
    job(tmp_path)
    for _ in range(2):
        ending = run_blocking(job(tmp_path, job={"input": pattern, "output": "run"}), Wishes(dotenv=None))
        assert ending.statement.total().answered > 0


PARTS = st.sampled_from(["a", "b.jsonl", ".c", "run", "ab"])
PIECES = st.sampled_from(["**", "*", "a*", "?", "*.jsonl", "[ab]", "[!a]*", ".*", "run", "a"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(PARTS, min_size=1, max_size=4), min_size=1, max_size=4), st.lists(PIECES, min_size=1, max_size=4))
def test_a_pattern_is_told_to_match_what_glob_will_find(paths, pieces):
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.chdir(name)
        for parts in paths:
            with suppress(OSError):
                Path(*parts[:-1]).mkdir(parents=True, exist_ok=True)
                Path(*parts).touch()
        pattern = "./" * len(paths[0]) + "/".join(pieces)
        matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 - as the job's are
        # As a job's files are found: none is one that older Pythons find as "a/" by "a/**".
        found = {os.path.abspath(each) for each in matches if not each.endswith("/")}  # noqa: PTH100
        files = [path for path in Path(name).rglob("*") if path.is_file()]
        if glob.has_magic(pattern) and not os.path.lexists(pattern):
            assert {str(path) for path in files if would_match(pattern, str(path))} == {str(path) for path in files} & found
            folders = {str(folder) for path in files if str(path) in found for folder in path.parents}
            assert all(would_lead_into(pattern, folder) for folder in folders)


@pytest.mark.parametrize("name", ["in/{}.jsonl", "in/{}/*.jsonl", "{}-*.jsonl"])
def test_inputs_of_many_workspaces_are_not_each_held_against_all_that_a_run_may_leave(tmp_path, name):
    def lines(workspaces: int) -> float:
        names = [f"w-{number}" for number in range(workspaces)]
        inputs = [{"path": str(tmp_path / name.format(each)), "workspace": each} for each in names]
        of_many = job(tmp_path, job={"input": inputs}, workspaces={each: {} for each in names})
        return lines_run(lambda: refuse_its_own(of_many, tmp_path / "run"), "source/inputs.py", "running/opening.py") / workspaces

    assert lines(80) < 1.5 * lines(20)


def test_an_input_that_leads_round_in_a_circle_is_told_as_one_that_cannot_be_read(tmp_path):
    (tmp_path / "round.jsonl").symlink_to(tmp_path / "round.jsonl")
    with pytest.raises(JobError, match="Too many levels of symbolic links"):
        run_blocking(job(tmp_path, job={"input": str(tmp_path / "round.jsonl")}), Wishes(dotenv=None))


def test_the_answers_of_one_run_may_be_the_input_of_another(done):
    jsonl(done / "next.jsonl", [{"id": entry["id"], "workspace": entry["workspace"], "prompt": "more"} for entry in entries(done / "run")])
    shutil.copy(done / "next.jsonl", done / "run" / "next.jsonl")
    following = job(done, job={"input": str(done / "run" / "next.jsonl"), "output": str(done / "following")})
    assert run_blocking(following, Wishes(dotenv=None)).exit_code == 0


def moved(run: Path) -> None:
    run.rename(run.with_name("moved"))


def replaced(run: Path) -> None:
    results = run / "marketing" / "results.jsonl"
    results.rename(results.with_suffix(".1"))
    results.touch()


def cut(run: Path) -> None:
    os.truncate(run / "marketing" / "results.jsonl", 0)


@pytest.mark.parametrize(
    ("harm", "what"),
    [(shutil.rmtree, "moved or deleted"), (moved, "moved or deleted"), (replaced, "moved or deleted"), (cut, "written to, or cut,")],
    ids=["deleted", "moved", "rotated", "cut"],
)  # fmt: skip
def test_a_run_whose_files_go_away_under_it_stops_within_seconds_and_says_so(tmp_path, harm, what):
    """It would go on to the end, otherwise, and write what it pays for to nowhere."""
    harmed: list[int] = []

    async def after_three(outcome) -> None:
        harmed.append(1)
        if len(harmed) == 3:
            harm(tmp_path / "run")

    with pytest.raises(LedgerError, match=f"could not be synced: it was {what}.* while the run was writing to it"):
        run_blocking(job(tmp_path, rows=100, latency=0.1), Wishes(dotenv=None, hand_on=after_three))
    assert len(harmed) < 100
