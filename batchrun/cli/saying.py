"""The last words of a run: said to whoever still listens; the exit code is the same where nobody does, but where a file would have."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from batchrun.core.columns import folded
from batchrun.edge.standard_streams import lead_nowhere

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a file that can take no more fails with."""


def room() -> int | None:
    """Columns of the terminal that the result is shown on; None where it goes elsewhere, and may be as wide as it is."""
    if not sys.stdout.isatty():
        return None
    from shutil import get_terminal_size  # noqa: PLC0415 - nothing is imported before it is needed

    return get_terminal_size().columns


@contextmanager
def while_anybody_reads() -> Iterator[None]:
    """Print in the block; a pipe whose reader has gone (``| head``) is no failure, and what is printed there from then on is lost."""
    try:
        yield
    except BrokenPipeError:
        lead_nowhere(1)


def tell(text: str, *, err: bool = False) -> None:
    """Print *text*, with its lines broken between words where the terminal that it goes to is narrower; to nobody where nobody reads."""
    put(_fitted(text, err=err), err=err)


def put(said: str | bytes, *, err: bool = False, nl: bool = True) -> None:
    """Print what was *said* as it stands; to nobody where nobody reads."""
    try:
        click.echo(said, err=err, nl=nl)
    except BrokenPipeError:
        lead_nowhere(2 if err else 1)


def _fitted(text: str, *, err: bool) -> str:
    with suppress(OSError, ValueError):
        stream = sys.stderr if err else sys.stdout
        if stream.isatty() and (columns := os.get_terminal_size(stream.fileno()).columns):
            return folded(text, columns)
    return text


def say(text: str | bytes, *, err: bool = False) -> None:
    """Print *text*; a pipe whose reader is gone, or a terminal that was closed, is no failure of what is told.

    A file that can take no more is one where the result goes to it: raises OSError.
    """
    try:
        click.echo(_fitted(text, err=err) if isinstance(text, str) else text, err=err)
    except OSError as error:
        lead_nowhere(2 if err else 1)
        if error.errno in FULL and not err:
            raise
