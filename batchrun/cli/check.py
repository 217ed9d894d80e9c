"""``batchrun check``: a run directory held against itself."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import orjson

from batchrun.cli.run_paths import no_job_files
from batchrun.cli.saying import put, tell
from batchrun.core.counted import counted
from batchrun.telling.checking import checked
from batchrun.telling.findings import Checked

_EPILOG = """\b
Exit codes
  0  the run is whole, or was mended
  2  it is no run directory
  4  a file of it could not be read or written
  5  it is in use by another process
  6  it is damaged
"""


_ABOUT = """\
Verify the run directory RUN: each line and its checksum, each row accounted for once, sums, modes; nothing is called.

A row whose entry is moved aside is pending again: the next run asks it, and its first call stands in doubt.
"""


@click.command(epilog=_EPILOG, help=_ABOUT)
@click.argument("directory", type=click.Path(path_type=Path), callback=no_job_files, metavar="RUN")
@click.option("--repair", is_flag=True, help="Move damaged lines into a file beside theirs, and make sums anew. No byte is deleted.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def check(*, directory: Path, repair: bool, as_json: bool) -> None:
    """Carry out ``batchrun check``."""
    found = checked(directory, repair=repair)
    if as_json:
        put(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2))
    else:
        _show(found)
    sys.exit(0 if found.whole else 6)


def _show(found: Checked) -> None:
    for each in found.findings:
        mark = "mended" if each.mended else "damage" if each.damage else "note"
        tell(f"{mark}: {each.place}: {each.what}")
    if found.statement is not None:
        total = found.statement.total()
        told = ("answered", "rejected", "exhausted", "pending")
        rows = ", ".join(f"{count:,} {name}" for name in told if (count := getattr(total, name)) or name == "answered")
        tell(f"{counted(found.lines, 'entry', 'entries')} looked at; rows: {rows}; calls in doubt: {total.in_doubt:,}")
    damaged = sum(1 for each in found.findings if each.damage and not each.mended)
    way_out = "--repair moves damaged lines aside; no byte is deleted" if found.can_be_mended else "that is for a person to put right"
    tell("the run is whole" if found.whole else f"{counted(damaged, 'time')} damaged: {way_out}")
