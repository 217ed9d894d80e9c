"""Options that more than one verb, or more than one output of a verb, takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click
from pydantic_core import PydanticCustomError

from batchrun.core.jobs.hours import read_zone
from batchrun.core.ledger.attribution import DEFAULT_ZONE, checked
from batchrun.report.page.languages import LANGUAGES

_KEPT = frozenset({".jsonl", ".log", ".json", ".lock", ".checkpoint", ".toml", ".gz", ".zst"})
"""How the names end of jobs, inputs and what a run keeps: in the place of paid answers a slip would put a table."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def zone_option(*names: str, about: str) -> Callable[[_Command], _Command]:
    """A time zone, as a ZoneInfo; that of the provider's bill where none is given."""
    return click.option(*names, default=DEFAULT_ZONE, show_default=True, metavar="ZONE", callback=_zone, help=about)


def workspace_option(about: str) -> Callable[[_Command], _Command]:
    """One workspace, whose report shows nothing of the others."""
    return click.option("--workspace", "only", metavar="NAME", help=about)


def by_option(about: str) -> Callable[[_Command], _Command]:
    """Dimensions, as a tuple of their names."""
    return click.option("--by", multiple=True, metavar="WHAT", callback=_by, help=about)


def pairs_option(*names: str, metavar: str, about: str) -> Callable[[_Command], _Command]:
    """Pairs of names, as a dict."""
    return click.option(*names, multiple=True, metavar=metavar, callback=_pairs, help=about)


def names_option(*names: str, metavar: str, about: str) -> Callable[[_Command], _Command]:
    """Pairs of names, the first of which may stand in several: a dict of what it means, in the order given."""
    return click.option(*names, multiple=True, metavar=metavar, callback=_names, help=about)


def html_option(command: _Command) -> _Command:
    """A page to be written: its path, its name alone where it goes into the run directory, None where none is wanted."""
    about = "Write the page, for a browser; without a path report.html in the run directory; - prints it."
    return click.option("--html", "html_path", is_flag=False, flag_value="report.html", metavar="[PATH]", help=about)(command)


def language_option(command: _Command) -> _Command:
    """The language that a page opens in; its reader may switch."""
    return click.option("--language", type=click.Choice(LANGUAGES), default=LANGUAGES[0], help="What the page opens in.")(command)


def page_option(command: _Command) -> _Command:
    """The language of the page that is written at the end; None where none is wanted."""

    def chosen(_ctx: click.Context, _option: click.Parameter, name: str) -> str | None:
        return None if name == "none" else name

    about = "Write report.html at the end, in this language; its reader may switch."
    return click.option(
        "--page", type=click.Choice([*LANGUAGES, "none"]), default=LANGUAGES[0], show_default=True, callback=chosen, help=about
    )(command)


def refuse_what_is_kept(given: str, instead: str, *, own: Collection[str] = ()) -> None:
    """Refuse to write a file that is named as one that nobody wants to lose, be it by a link; *own* are endings that it may have."""
    if Path(os.path.realpath(given)).suffix in _KEPT.difference(own):
        raise click.BadParameter(f"{given}: is named as a job, an input or what a run keeps is: a name such as {instead} is wanted")


def _zone(_ctx: click.Context, _option: click.Parameter, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(read_zone(name))
    except PydanticCustomError as error:
        raise click.BadParameter(f"{name!r}: {error.message()}") from None


def _by(_ctx: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return checked(name.strip() for text in texts for name in text.split(","))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _pairs(_ctx: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for name, meaning in map(_pair, texts):
        if pairs.setdefault(name, meaning) != meaning:
            raise click.BadParameter(f"{name} means {pairs[name]} and {meaning}")
    return pairs


def _names(_ctx: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for name, meaning in map(_pair, texts):
        found.setdefault(name, {})[meaning] = None
    return {name: (*meanings,) for name, meanings in found.items()}


def _pair(text: str) -> tuple[str, str]:
    name, equals, meaning = text.partition("=")
    if not (name and equals and meaning):
        raise click.BadParameter(f"{text!r}: NAME=MEANING is wanted")
    return name, meaning
