"""``batchrun report``: the statement of runs, made from their ledgers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shlex import quote
from zoneinfo import ZoneInfo

import click
import orjson

from batchrun.cli.options import by_option, html_option, language_option, names_option, refuse_what_is_kept, workspace_option, zone_option
from batchrun.cli.run_paths import no_job_files
from batchrun.cli.saying import put, room, tell, while_anybody_reads
from batchrun.core.counted import counted, shortened
from batchrun.core.ledger.attribution import LANE
from batchrun.core.ledger.focus import Focus
from batchrun.core.rows import reasons
from batchrun.edge import run_directory
from batchrun.edge.named_file import STANDARD_OUTPUT
from batchrun.report.doubt import doubt_json, doubt_table
from batchrun.report.page.languages import Language
from batchrun.report.table import money, table
from batchrun.running.statements import BY
from batchrun.telling.publishing import grown, left_json, publish, standing_still, stopped
from batchrun.telling.reading import doubtful_calls
from batchrun.telling.reporting import Into, Report, made_up, named, reported, why_no_rows, write_focus, write_usage_csv
from batchrun.telling.standing import told_as_parked

_EPILOG = """\b
Exit codes
  0  every run that was named is in the sums
  2  an argument is wrong, there is no run directory, or Parquet is asked for
     and pyarrow is not there
  4  a file could not be written
  6  a run could not be read, or a copy of one made calls of its own: it is
     left out, and told; or a log tells of calls twice
"""
_BESIDE = "usage.csv"
_PAGE = "report.html"
"""What --csv writes without a path: in the run directory."""


_ABOUT = """\
Show rows, calls, tokens and money of the run directories RUN, finished or under way: by workspace and model, or as --by says.

Several runs (runs/*) are added up, each once, whatever paths it is named by. A call belongs to the day on which it began. Calls in
flight of a run that is under way stand apart: they are in no doubt yet.
"""


@click.command(epilog=_EPILOG, help=_ABOUT)
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), callback=no_job_files, metavar="RUN...")
@by_option("Add up by workspace, model, day, hour or metadata.KEY (metadata.KEY.KEY within a table); may be given again, in order.")
@zone_option("--zone", "--timezone", "zone", about="Time zone of days and hours; without it that of the provider's bills.")
@workspace_option("The report of this workspace alone: nothing of the others is in it.")
@click.option("--in-doubt", is_flag=True, help="List the calls that may have been billed and left no usage, and what became of their rows.")
@click.option("--json", "as_json", is_flag=True, help="Print the statement as JSON.")
@click.option(
    "--csv",
    "csv_path",
    is_flag=False,
    flag_value=_BESIDE,
    metavar="[PATH]",
    help="Write a line a workspace, model and day (or what --by says) for a spreadsheet; without a path usage.csv in the run directory; "
    "- prints it instead of the table.",
)
@click.option(
    "--focus",
    "focus_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Write the charges in the columns of FOCUS 1.2, by day, or by hour with --by hour; metadata of --by becomes tags. "
    "PATH ends in .csv or .parquet.",
)
@names_option(
    "--id", "ids", metavar="ID=NAME",
    about="The provider's id of a workspace, for --focus: llm-xxx=legal; may be given again, for one id too: names that a workspace had "
    "one after the other.",
)  # fmt: skip
@html_option
@language_option
def report(  # noqa: PLR0913 - an option each
    *, runs: tuple[Path, ...], by: tuple[str, ...], zone: ZoneInfo, only: str | None, in_doubt: bool, as_json: bool,
    csv_path: str | None, focus_path: Path | None, ids: dict[str, tuple[str, ...]], html_path: str | None, language: Language,
) -> None:  # fmt: skip
    """Carry out ``batchrun report``."""
    if not runs:
        taken = [f"{name} took {path} for what it is to write" for name, path in (("--csv", csv_path), ("--html", html_path)) if path]
        raise click.UsageError(": ".join(["Missing argument 'RUN...'", *taken[:1]]))
    table_path, page_path = _path(csv_path, _BESIDE, runs, only), _path(html_path, _PAGE, runs, only)
    printed = _printed_instead(csv_path, html_path, as_json=as_json)
    focus = _focus(focus_path, ids)
    # Days are told apart where a file needs them; hours are parts of days, and do for both.
    needed = ("day",) if ((table_path or page_path) and not by) or (focus and "hour" not in by) else ()
    found = reported(runs, by=(*by, *needed), zone=zone, only=only, focus=focus, with_course=page_path is not None)
    if in_doubt and not printed:
        calls = [call for each in found.taken for call in doubtful_calls(each.path, only)]
        put(orjson.dumps(doubt_json(calls), option=orjson.OPT_INDENT_2) if as_json else doubt_table(calls, room()))
    elif as_json:
        told = found.as_json() | left_json(found, only) | ({"attribution": found.statement.by(by).as_json()} if by else {})
        put(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    elif not printed:
        tell(table(found.statement, by or LANE, room()))
    if table_path is not None:
        with while_anybody_reads():
            write_usage_csv(table_path, found.statement, by or (*LANE, "day"), into=_into(csv_path, _BESIDE))
        _tell_written(table_path)
    if page_path is not None:
        with while_anybody_reads():
            publish(found, page_path, by=by or BY, only=only, language=language, into=_into(html_path, _PAGE))
        _tell_written(page_path)
    if focus_path is not None and focus is not None:
        write_focus(focus_path, focus)
        _tell_focus(focus_path, focus, of_all=only is None)
        if (simulated := made_up(found.taken, only)).all and simulated.where:
            tell(f"{shortened(simulated.where)}: the simulator answered there: what it charges is made up", err=True)
    _tell(found, only)
    sys.exit(0 if found.complete else 6)


def _path(given: str | None, beside: str, runs: tuple[Path, ...], only: str | None) -> Path | None:
    if given is None:
        return None
    if given != beside:
        if not given:
            raise click.BadParameter(f"an empty name, and a file is wanted: {beside}")
        if os.path.isdir(given):  # noqa: PTH112 - of a Path it raises where it may not look
            raise click.BadParameter(f"{given}: is a directory, and a file is wanted: {Path(given) / beside}")
        refuse_what_is_kept(given, beside)
        return Path(given)
    if len(runs) > 1:
        raise click.BadParameter(f"a path is wanted for {beside} where several runs are added up")
    return runs[0] / (only or "") / beside


def _printed_instead(*paths: str | None, as_json: bool) -> bool:
    """Whether a file is asked for on standard output (``-``), in the place of the table: of such things one at a time."""
    wanted = paths.count(STANDARD_OUTPUT) + as_json
    if STANDARD_OUTPUT in paths and wanted > 1:
        raise click.UsageError("standard output takes one of --csv -, --html - and --json: give the others a path")
    return STANDARD_OUTPUT in paths


def _tell_written(path: Path) -> None:
    if str(path) != STANDARD_OUTPUT:
        tell(f"written: {path}", err=True)


def _into(given: str | None, beside: str) -> Into:
    return run_directory.beside if given == beside else named


def _focus(path: Path | None, ids: dict[str, tuple[str, ...]]) -> Focus | None:
    if path is None:
        return None
    if path.suffix not in {".csv", ".parquet"}:
        raise click.BadParameter(f"{path}: a name that ends in .csv or .parquet is wanted", param_hint="--focus")
    by_name: dict[str, str] = {}
    for workspace_id, names in ids.items():
        for name in names:
            if by_name.setdefault(name, workspace_id) != workspace_id:
                told = f"{name} has one id in the whole file, and is given {by_name[name]} and {workspace_id}"
                raise click.BadParameter(told, param_hint="--id")
    return Focus(by_name)


def _tell_focus(path: Path, focus: Focus, *, of_all: bool) -> None:
    """Say what is written, and what could not be: FOCUS has no place for it."""
    tell(f"written: {path}", err=True)
    if of_all and (unused := sorted(focus.unused_ids())):
        tell(f"--id: no charge is of {shortened(unused)}", err=True)
    if focus.unpriced_calls:
        tell(f"not in it: {counted(focus.unpriced_calls, 'call')} with {focus.unpriced_tokens:,} tokens, whose cost is unknown", err=True)
    if focus.searches:
        tell(f"not in it: what {counted(focus.searches, 'web search', 'web searches')} cost beside tokens", err=True)
    if focus.moved:
        where = "were called at several endpoints or for several accounts: all their charges stand at the last"
        tell(f"{shortened(sorted(focus.moved))}: {where}", err=True)
    if focus.undated:
        tell(f"not in it: {money(focus.undated)} of calls that do not tell when they were made", err=True)


def _tell(found: Report, only: str | None) -> None:
    """Say which runs the sums are of, where that is a question."""
    if len(found.taken) != 1 or found.left_out:
        tell(f"{counted(len(found.taken), 'run')}: {', '.join(str(each.path) for each in found.taken)}", err=True)
    if under_way := found.statement.under_way:
        which = "the run is" if len(found.taken) == 1 else f"{under_way:,} of them are"
        tell(f"{which} under way: what is in flight is still to come", err=True)
    lines = found.statement.rejected_input
    for reason in reasons.told(lines, why_no_rows(found.taken) if lines else ()):
        tell(f"no row: {reason}", err=True)
    for line in (*told_as_parked(standing_still(found, only)), *grown(found, only), *stopped(found, only)):
        tell(line, err=True)
    simulated = made_up(found.taken, only)
    if simulated.where and not simulated.all:
        told = "the simulator answered there: its tokens and money are made up, and stand in these sums beside real ones"
        tell(f"{shortened(simulated.where)}: {told}", err=True)
    for each in found.left_out:
        tell(f"not counted: {each.why}", err=True)
    for path in found.overlapping:
        told = "was put together of parts that overlap: calls, retries and doubt that stand there twice are counted twice"
        tell(f"counted twice: {path}/attempts.log {told}; batchrun check {quote(str(path))} --repair takes them out", err=True)
