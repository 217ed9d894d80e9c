"""The last words of a run: said to whoever still listens; the exit code is the same where nobody does."""

from __future__ import annotations

import os
import shutil
import sys

import click


def room() -> int | None:
    """Columns of the terminal that the result is shown on; None where it goes elsewhere, and may be as wide as it is."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say(text: str | bytes, *, err: bool = False) -> None:
    """Print *text*; a pipe whose reader is gone, or a terminal that was closed, is no failure of what is told."""
    try:
        click.echo(text, err=err)
    except OSError:
        # What the stream still holds would be written again, and fail again, when Python ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2 if err else 1)
        os.close(nowhere)
