"""A forecast as text for a terminal: a line a lane, then what it rests on, what would help, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest

from batchrun.core.counted import counted, duration
from batchrun.core.scheduling.prospects import Forecast, Prospect
from batchrun.report.amounts import amount
from batchrun.report.drawn import least_width, ruled

_HEADS = ("workspace", "model", "rows", "input", "output")
_ENDS = ("limited by", "finishes in", "finishes at")
_NEVER = "-"
_MOST_ADVICE = 6


def forecast_table(forecast: Forecast, room: int | None = None) -> str:
    """Return a line a workspace and model that has rows left, and a total, for a terminal of *room* columns; then the notes.

    Where that is too narrow for all columns, when each finishes is left out: in how long is told.
    """
    if not forecast.lanes:
        none = "no row would be asked" if forecast.obstacles else "no row is left to do"
        return "\n".join([none, *_notes(forecast)])
    currencies = sorted(forecast.cost)
    lines = [
        [*_HEADS, *currencies, *_ENDS],
        *(_lane(each, forecast, currencies) for each in forecast.lanes),
        _total(forecast, currencies),
    ]
    words = {0, 1, len(_HEADS) + len(currencies)}
    if room is None or least_width(lines, words) <= room:
        told = ruled(lines, words, room)
    else:
        told = [*ruled([line[:-1] for line in lines], words, room), f"finishes at {lines[-1][-1]}"]
    return "\n".join([*told, *_notes(forecast)])


def clock(at: datetime | None, begins_at: datetime) -> str:
    """*at* as a clock on the wall shows it, with its day where that is another, and its date where that is far off."""
    if at is None:
        return "beyond any calendar"
    if at.date() == begins_at.date():
        return f"{at:%H:%M:%S}"
    return f"{at:%a %H:%M}" if at - begins_at < timedelta(days=6) else f"{at:%Y-%m-%d %H:%M}"


def _lane(each: Prospect, forecast: Forecast, currencies: Sequence[str]) -> list[str]:
    ends = [_NEVER, _NEVER] if each.seconds is None else _ends(each.seconds, forecast)
    tokens = [f"{each.rows:,}", f"{each.input_tokens:,}", f"{each.output_tokens:,}"]
    return [each.workspace, each.model, *tokens, *(_cost(each, currency) for currency in currencies), each.limited_by, *ends]


def _cost(each: Prospect, currency: str) -> str:
    if each.cost is None:
        return "unknown" if each.rows else ""
    return amount(each.cost.amount) if each.cost.currency == currency else ""


def _total(forecast: Forecast, currencies: Sequence[str]) -> list[str]:
    sums = [sum(getattr(each, name) for each in forecast.lanes) for name in ("rows", "input_tokens", "output_tokens")]
    more = "+" if forecast.unpriced_rows else ""
    costs = (f"{amount(forecast.cost[currency])}{more}" for currency in currencies)
    return ["total", "", *(f"{each:,}" for each in sums), *costs, "", *_ends(forecast.seconds, forecast)]


def _ends(seconds: float, forecast: Forecast) -> list[str]:
    return [duration(seconds), clock(forecast.at(seconds), forecast.begins_at)]


def _notes(forecast: Forecast) -> Iterator[str]:
    yield from forecast.assumed
    yield from _money(forecast)
    yield from forecast.notes
    helps = _helps(forecast.lanes)
    yield from (f"faster: {_names(lanes)}: {text}" for text, lanes in list(helps.items())[:_MOST_ADVICE])
    if len(helps) > _MOST_ADVICE:
        yield f"faster: {len(helps) - _MOST_ADVICE:,} more pieces of advice stand in --json"
    for wrong, following in zip_longest(forecast.obstacles, forecast.obstacles[1:]):
        yield f"WRONG: {wrong.where}: {wrong.said} ({counted(wrong.rows, 'row')})"
        # What is to be done is said once of those that follow each other.
        if following is None or following.advice != wrong.advice:
            yield f"  {wrong.advice}"
    if not forecast.obstacles:
        # A note may tell of what is: that a parameter is mistyped, say.
        fine = "no row would be parked or rejected, as far as shows" if forecast.notes else "nothing is wrong that can be seen"
        yield f"{fine} without a call; batchrun doctor asks the endpoints"


def _money(forecast: Forecast) -> Iterator[str]:
    """What the amounts are, and are not."""
    if forecast.cost:
        yield "money is what these tokens cost at today's prices (batchrun prices), calls that are made again in them as often as so far"
    if unpriced := sorted({each.model for each in forecast.lanes if each.cost is None and each.rows}):
        rows = counted(forecast.unpriced_rows, "row")
        yield f"cost unknown: {rows} of {_names(unpriced)}: no price is known; prices can be given in [prices]"


def _helps(lanes: Sequence[Prospect]) -> dict[str, list[str]]:
    """What would help which lanes; what would help several workspaces in the same way is told once, of ``workspaces.NAME``."""
    alike: dict[str, list[Prospect]] = {}
    for each in lanes:
        if each.help:
            alike.setdefault(each.help.replace(f"workspaces.{each.workspace}.", "workspaces.NAME."), []).append(each)
    return {
        text if len({each.workspace for each in helped}) > 1 else helped[0].help: [f"{each.workspace} {each.model}" for each in helped]
        for text, helped in alike.items()
    }


def _names(lanes: Sequence[str]) -> str:
    return ", ".join(lanes if len(lanes) <= 4 else [*lanes[:3], f"{len(lanes) - 3:,} others"])
