"""Options that more than one verb, or more than one output of a verb, takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from batchrun.core.attribution import DEFAULT_ZONE, checked
from batchrun.core.hours import A_ZONE

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


def _zone(_ctx: click.Context, _option: click.Parameter, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # OSError: a folder of zones, or a name that no disk takes.
        raise click.BadParameter(f"{name!r}: {A_ZONE} is wanted") from None


def _by(_ctx: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return checked(name.strip() for text in texts for name in text.split(","))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _pairs(_ctx: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, meaning = text.partition("=")
        if not (name and equals and meaning):
            raise click.BadParameter(f"{text!r}: NAME=MEANING is wanted")
        if pairs.setdefault(name, meaning) != meaning:
            raise click.BadParameter(f"{name} means {pairs[name]} and {meaning}")
    return pairs
