"""What was spent on what: totals by any of workspace, model, day, hour and the rows' own metadata.

A call belongs to the day and hour at which it began, as clocks of the zone show it; an hour carries its offset, so that the one that
comes twice when clocks go back is two. A row belongs where the call of its last entry does. What the ledger does not tell has the label
None (the metadata of calls whose rows have no entry yet); a row without the asked-for metadata has an empty one.

Memory grows with the groups, not with the rows, and the groups are bounded: beyond MOST_GROUPS new values of metadata are put together
under OTHERS. Sums stay exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from datetime import datetime
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from batchrun.core.classes import slotted
from batchrun.core.ledger.totals import Totals
from batchrun.core.natural import Natural, natural

DEFAULT_ZONE = "Asia/Shanghai"
"""Where the provider's days begin: a report's days are then those of the bill."""
MOST_GROUPS = 10_000
OTHERS = "(others)"
LANE = ("workspace", "model")

Label = str | None
Key = tuple[Label, ...]

_WANTED = "workspace, model, day, hour or metadata.KEY is wanted"
_LONGEST_LABEL = 200
_QUARTER = 900
"""Seconds. No zone changes its clocks but at a quarter of an hour."""
_MOST_FOUND = 4096


def checked(by: Iterable[str]) -> tuple[str, ...]:
    """Return the dimensions *by*, each once; raise ValueError for what is none, or no text: an argument may be any bytes."""
    found = tuple(dict.fromkeys(by))
    for name in found:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise ValueError(f"{name!a}: {_WANTED}, in UTF-8")
        if name not in {*LANE, "day", "hour"} and not (name.startswith("metadata.") and name != "metadata."):
            raise ValueError(f"{name!r}: {_WANTED}")
    return found


@slotted
class Attribution:
    """Totals by the labels of each dimension."""

    by: tuple[str, ...]
    zone: str
    groups: dict[Key, Totals] = field(default_factory=dict)
    crowded: bool = False
    """Whether there were too many values of metadata: those that came last stand under OTHERS."""

    def add(self, other: Attribution) -> None:
        """Add *other*, which is by the same dimensions in the same zone."""
        for key, totals in other.groups.items():
            self.begun(key).add(totals)
        self.crowded |= other.crowded

    def begun(self, key: Key) -> Totals:
        """The totals at *key*, begun where there are none and there is room; else those that stand for others."""
        if len(self.groups) >= MOST_GROUPS and key not in self.groups:
            common = tuple(OTHERS if name.startswith("metadata.") else label for name, label in zip(self.by, key, strict=True))
            self.crowded |= common != key
            key = common
        return self.groups.setdefault(key, Totals())

    def collapsed(self, by: Iterable[str]) -> Attribution:
        """Add up all dimensions but those *by*, in their order. Changes nothing; raises ValueError for one that is not here."""
        wanted = tuple(by)
        places = [self.by.index(name) for name in wanted]
        groups: dict[Key, Totals] = {}
        for key, totals in self.groups.items():
            # Into totals of their own: those here are not to change.
            groups.setdefault(tuple(key[place] for place in places), Totals()).add(totals)
        return Attribution(wanted, self.zone, dict(sorted(groups.items(), key=lambda each: _order(wanted, each[0]))), self.crowded)

    def total(self) -> Totals:
        """Add all up."""
        total = Totals()
        for totals in self.groups.values():
            total.add(totals)
        return total

    def as_json(self) -> dict[str, Any]:
        """Return the groups in their order: labels by dimension, then counts by name."""
        groups = [{"of": dict(zip(self.by, key, strict=True)), **totals.as_json()} for key, totals in self.groups.items()]
        return {"by": list(self.by), "zone": self.zone, "others": self.crowded, "groups": groups}


def _order(by: tuple[str, ...], key: Key) -> tuple[tuple[bool, float, Natural], ...]:
    """Names in their natural order, hours by time (their text goes wrong where clocks go back), what is unknown last."""
    return tuple(
        (label is None, _instant(label) if name == "hour" and label else 0.0, natural(label or ""))
        for name, label in zip(by, key, strict=True)
    )


def _instant(hour: str) -> float:
    return datetime.fromisoformat(hour).timestamp()


class Groups:
    """Finds the totals that a call or a row belongs to, and begins them where there are none."""

    def __init__(self, by: Iterable[str] = (), zone: ZoneInfo | None = None) -> None:
        """Always by workspace and model, then *by* what else is named."""
        self._zone = zone or ZoneInfo(DEFAULT_ZONE)
        names = tuple(dict.fromkeys((*LANE, *by)))
        self.attribution = Attribution(names, self._zone.key)
        self._labels: list[Callable[[float | None, Any], Label]] = [self._labeller(name) for name in names[2:]]
        self.wants_metadata = any(name.startswith("metadata.") for name in names)
        self._times: dict[tuple[str, int], Label] = {}
        self._found: dict[tuple[str, str, float | None], Totals] = {}
        """By workspace, model and quarter of an hour, where nothing else tells groups apart: calls are millions, these are few."""

    def __getstate__(self) -> dict[str, Any]:
        # What is made of functions is made anew.
        return {"zone": self._zone.key, "attribution": self.attribution}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["attribution"].by, ZoneInfo(state["zone"]))  # type: ignore[misc]  # no other class stands between
        self.attribution = state["attribution"]

    def of(self, workspace: str, model: str, at: float | None, metadata: Any, *, known: bool = True) -> Totals:
        """The totals of a call that began *at*; *known* says whether its row's *metadata* is."""
        if not self.wants_metadata:
            place = workspace, model, None if at is None else at // _QUARTER
            totals = self._found.get(place)
            if totals is None:
                if len(self._found) >= _MOST_FOUND:
                    self._found.clear()
                totals = self._found[place] = self._of(workspace, model, at, None)
            return totals
        return self._of(workspace, model, at, (metadata,) if known else None)

    def _of(self, workspace: str, model: str, at: float | None, told: tuple[Any] | None) -> Totals:
        key: Key = (workspace, model, *[label(at, told) for label in self._labels])
        return self.attribution.groups.get(key) or self.attribution.begun(key)

    def _labeller(self, name: str) -> Callable[[float | None, Any], Label]:
        if name in {"day", "hour"}:
            return lambda at, _told: None if at is None else self._time(name, at)
        path = name.removeprefix("metadata.")
        return lambda _at, told: None if told is None else _label(_found(told[0], path))

    def _time(self, name: str, at: float) -> Label:
        place = name, int(at // _QUARTER)
        if place not in self._times:
            self._times[place] = self._clock(name, place[1] * _QUARTER)
        return self._times[place]

    def _clock(self, name: str, at: int) -> Label:
        try:
            told = datetime.fromtimestamp(at, self._zone).isoformat(timespec="minutes")
        except (ValueError, OverflowError, OSError):
            return None
        # The moment's own offset, which a full hour before it need not have.
        return told[:10] if name == "day" else f"{told[:14]}00{told[16:]}"


def _found(metadata: Any, path: str) -> Any:
    """What stands at *path* in *metadata*; a key that has a point in it goes before a table in a table."""
    if not isinstance(metadata, Mapping):
        return None
    if path in metadata:
        return metadata[path]
    head, point, rest = path.partition(".")
    return _found(metadata.get(head), rest) if point else None


def _label(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if len(text) <= _LONGEST_LABEL:
        return text
    return f"{text[: _LONGEST_LABEL - 10]}…{blake2b(text.encode(errors='replace'), digest_size=4).hexdigest()}"
