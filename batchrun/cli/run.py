"""``batchrun run``: carries a job out, or goes on with it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click
import orjson

from batchrun.cli import at_first
from batchrun.cli.options import page_option
from batchrun.cli.saying import room, say
from batchrun.core.progress import Progress
from batchrun.edge import progress, signals
from batchrun.edge.aside import Aside
from batchrun.edge.job_file import load_job
from batchrun.report.ending import ending_told
from batchrun.report.page.languages import Language
from batchrun.report.table import table
from batchrun.running.begun_elsewhere import refuse_begun_elsewhere
from batchrun.running.one_run import run_blocking
from batchrun.running.wishes import NO_WISHES, Wishes

_ABOUT = """\
Send every row of the job's input that has no answer yet, and write answers and usage per workspace.

The same command goes on where a killed or stopped run was. Ctrl-C finishes what is in flight and stops; a second one stops at once.
"""


@click.command(epilog="Exit codes: see batchrun --help.", help=_ABOUT)
@click.argument("job_file", type=click.Path(path_type=Path), metavar="JOB.toml")
@click.option("--strict", is_flag=True, help="Refuse to start over bad input lines, missing keys or unlisted models (exit 2).")
@click.option("--retry-rejected", is_flag=True, help="Ask rejected rows again too.")
@click.option(
    "--hold-in-doubt/--send-in-doubt",
    "hold",
    default=None,
    help="Hold rows of which a call may have been billed, or send them again. Without either: as the job's [retry] in_doubt says, or send.",
)
@click.option(
    "--wait", is_flag=True, help="When only parked rows, or rows outside their window, are left, wait for them instead of ending."
)
@click.option(
    "--quiet",
    is_flag=True,
    help="No progress and no notes while it runs: only how it ended, and errors. With --json only errors.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the statement as JSON; how the run ended is told on standard error.")
@page_option
@click.option("--env-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Read keys from here instead of .env.")
def run(  # noqa: PLR0913 - an argument an option
    *,
    job_file: Path,
    strict: bool,
    retry_rejected: bool,
    hold: bool | None,
    wait: bool,
    quiet: bool,
    as_json: bool,
    page: Language | None,
    env_file: Path | None,
) -> None:
    """Carry out ``batchrun run``."""
    signals.outlive_the_terminal()
    job = load_job(job_file)
    refuse_begun_elsewhere(job, job_file)
    with _told_on_the_way(quiet=quiet) as told:
        wishes = replace(
            told,
            strict=strict,
            retry_rejected=retry_rejected,
            in_doubt=None if hold is None else "hold" if hold else "send",
            wait=wait,
            handle_signals=True,
            dotenv=env_file or Path(".env"),
            page=page,
        )
        at_first.begun()
        ending = run_blocking(job, wishes)
    same = [*(["--env-file", str(env_file)] if env_file else []), *["--strict"] * strict, *["--wait"] * wait]
    command = ["batchrun", "run", str(job_file), *same]
    holding = "--hold-in-doubt" if hold and job.retry.in_doubt != "hold" else ""
    last_words = ending_told(ending, shlex.join(command), job.run_directory, job.workspaces, holding=holding)
    try:
        say(orjson.dumps(ending.statement.as_json(), option=orjson.OPT_INDENT_2) if as_json else table(ending.statement, room=room()))
    finally:
        _tell(last_words, as_json=as_json, quiet=quiet)
    sys.exit(ending.exit_code)


def _tell(last_words: Iterable[str], *, as_json: bool, quiet: bool) -> None:
    if as_json:
        with Aside(sys.stderr) as beside:  # Nobody may read it: a program reads the JSON, and waits for the end.
            beside.writelines(f"{line}\n" for line in last_words if not quiet)
    else:
        for line in last_words:
            say(line, err=True)


@contextmanager
def _told_on_the_way(*, quiet: bool) -> Iterator[Wishes]:
    """Give wishes by which notes and progress go to standard error, and hold nothing up; none do where it is *quiet*."""
    with Aside(sys.stderr) as aside, closing(progress.ReadingBar(aside)) as bar:

        def tell(text: str) -> None:
            bar.close()
            progress.note(text, aside)

        async def show(observe: Callable[[], Progress]) -> None:
            bar.close()
            await progress.show(observe, aside, lambda: datetime.now().astimezone())

        yield NO_WISHES if quiet else Wishes(note=tell, show=show, on_index=bar.show)
