"""What was spent on what: each call once, where it belongs, whatever is asked for; against a count of every call by itself."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.core.ledger import attribution
from batchrun.core.ledger.attempts import Bound, ended_line, read_attempt, started_line
from batchrun.core.ledger.attribution import OTHERS, Groups, checked
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.totals import Totals
from batchrun.core.model import Answered, Call, Charges, Exhausted, Failure, Fault, Money, Rejected, Reply, Row, Scope, Usage

MOST = Bound(50, 60)
SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2026, 11, 25, 16, tzinfo=UTC).timestamp()
"""Of the 26th in Shanghai."""
BY = ("workspace", "model", "day", "hour", "metadata.project")


def at_hours(hours):
    return MIDNIGHT + 3600 * hours


@dataclass(frozen=True)
class Made:
    """A call, and how it ended."""

    verdict: str
    at: float
    usage: Usage | None
    cost: Money | None
    doubt: bool = False


def failed(fault, usage=None, *, in_doubt=False, reply=None):
    return Failure(fault, Scope.ROW, "code", "message", "advice", in_doubt=in_doubt, usage=usage, reply=reply)


def priced(usage, price, discount):
    if price is None:
        return None
    meters = (("input_token", usage.input_tokens, price), ("output_token", usage.output_tokens, 3 * price))
    amount = sum(tokens * each / 1_000_000 * (1 - discount) for _, tokens, each in meters)
    return Money("CNY", Decimal(amount), Charges(meters, discount))


USAGES = st.builds(Usage, st.integers(0, 50), st.integers(0, 60))
PRICES = st.none() | st.sampled_from([Decimal("0.8"), Decimal("2.4"), Decimal("0.15")])
MIDDLE = st.sampled_from(["again", "throttled", "reasked", "again-billed", "again-doubt", "reasked-doubt"])
LAST = st.sampled_from(["answered", "cut", "rejected", "rejected-billed", "exhausted", "exhausted-billed", "killed", "answered-doubt"])
CALLS = st.tuples(st.lists(MIDDLE, max_size=3), LAST)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["法务", "sales"]),
        st.sampled_from(["qwen-plus", "qwen-max"]),
        st.sampled_from([None, {}, {"project": "q3"}, {"project": "q4", "x": 1}]),
        CALLS,
        st.lists(st.tuples(st.floats(-40, 40), USAGES, PRICES, st.sampled_from([Decimal(0), Decimal("0.25")])), min_size=4, max_size=4),
    ),
    max_size=12,
)


class World:
    """A ledger and every call of it by itself."""

    def __init__(self, rows):
        self.log: list[bytes] = []
        self.entries: dict[str, list[bytes]] = defaultdict(list)
        self.calls: list[tuple[Row, Made]] = []
        self.ends: list[tuple[Row, str, float, bool]] = []
        self.rows = Counter((workspace, model) for workspace, model, *_ in rows)
        for number, (workspace, model, metadata, (middle, last), numbers) in enumerate(rows):
            row = Row(f"r-{number}", workspace, model, {}, "0" * 16, metadata)
            for kind, each in zip([*middle, last], numbers, strict=False):
                self._call(row, kind, *each)

    def _call(self, row, kind, hours, usage, price, discount):
        verdict, _, how = kind.replace("cut", "answered-cut").partition("-")
        # Entries keep milliseconds.
        at = round(at_hours(hours), 3)
        name, cost = f"1-{len(self.calls)}", priced(usage, price, discount)
        self.log.append(started_line(name, at, row, MOST))
        result, billed = self._result(verdict, how, usage)
        doubt = verdict == "killed" or how == "doubt"
        self.calls.append((row, Made(verdict, at, usage if billed else None, cost if billed else None, doubt)))
        if verdict == "killed":
            return
        if verdict in {"answered", "rejected", "exhausted"}:
            kinds = {"answered": Answered, "rejected": Rejected, "exhausted": Exhausted}
            outcome = kinds[verdict](row, result, Call(name, 1, at, 7))
            self.entries["results" if verdict == "answered" else "errors"].append(
                write_entry(outcome, "batchrun", raw=False, cost=cost if billed else None)
            )
            self.ends.append((row, verdict, at, how == "cut"))
        self.log.append(ended_line(name, at, verdict, result, cost if billed else None, metadata=row.metadata))

    @staticmethod
    def _result(verdict, how, usage) -> tuple[Any, bool]:
        match verdict, how:
            case "answered", "doubt":
                return Reply("a", "stop", None), False
            case "answered", _:
                return Reply("a", "length" if how == "cut" else "stop", usage), True
            case "reasked", "doubt":
                return failed(Fault.REASK, in_doubt=True, reply=Reply("a", "stop", None)), False
            case "reasked", _:
                return failed(Fault.REASK, usage, reply=Reply("a", "stop", usage)), True
            case _:
                billed = how == "billed"
                return failed(Fault.AGAIN, usage if billed else None, in_doubt=how == "doubt"), billed

    def fold(self, by=BY[2:], zone=SHANGHAI, **options) -> Statement:
        fold = Fold("run", "job", by=by, zone=zone, most=lambda *_call: Money("CNY", Decimal("0.5")), **options)
        fold.attempts(map(read_attempt, self.log))
        for workspace in ("sales", "法务"):
            for name in ("errors", "results"):
                read = map(read_entry, self.entries[name])
                fold.entries(entry for entry in read if entry.workspace == workspace and options.get("only") in {None, workspace})
        return fold.close({lane: count for lane, count in self.rows.items() if options.get("only") in {None, lane[0]}})


def label(name, row, at, zone=SHANGHAI, *, known=True):
    local = datetime.fromtimestamp(at, zone)
    match name:
        case "workspace":
            return row.workspace
        case "model":
            return row.model
        case "day":
            return f"{local:%Y-%m-%d}"
        case "hour":
            return f"{local:%Y-%m-%dT%H:00}+08:00"
        case _:
            return (row.metadata or {}).get("project", "") if known else None


def counted(world, by):
    """What each group holds, counted call by call."""
    groups: dict[Any, Any] = defaultdict(Counter)
    entered = {row.id for row, *_ in world.ends}
    for row, made in world.calls:
        known = made.verdict != "killed" or row.id in entered
        group = groups[tuple(label(name, row, made.at, known=known) for name in by)]
        if made.usage is not None:
            group["input"] += made.usage.input_tokens
            group["output"] += made.usage.output_tokens
            group["billed"] += 1
            group["unpriced"] += made.cost is None
            group["cost"] += made.cost.amount if made.cost else 0
            kinds = {"reasked": "reasked", "rejected": "refused", "exhausted": "refused", "answered": "", "again": "retried"}
            if kind := kinds[made.verdict]:
                group[f"{kind}_output"] += made.usage.output_tokens
                group[f"{kind}_cost"] += made.cost.amount if made.cost else 0
        group["doubt"] += made.doubt
    for row, outcome, at, cut in world.ends:
        group = groups[tuple(label(name, row, at) for name in by)]
        group[outcome] += 1
        group["truncated"] += cut
    return {key: +counts for key, counts in groups.items() if +counts}


def found(totals: Totals) -> Any:
    counts: Any = Counter()
    counts.update(
        input=totals.input_tokens,
        output=totals.output_tokens,
        billed=totals.billed_calls,
        unpriced=totals.unpriced_calls,
        cost=totals.cost.get("CNY", 0),
        doubt=totals.in_doubt,
        answered=totals.answered,
        rejected=totals.rejected,
        exhausted=totals.exhausted,
        truncated=totals.truncated.calls,
    )
    for kind in ("reasked", "refused", "retried"):
        part = totals.waste()[kind]
        counts[f"{kind}_output"], counts[f"{kind}_cost"] = part.output_tokens, part.cost.get("CNY", 0)
    return +counts


@given(ROWS, st.permutations(BY), st.integers(1, len(BY)))
@settings(deadline=None, max_examples=50)
def test_every_call_and_row_stands_once_where_it_belongs_whatever_is_asked(rows, order, many):
    world, by = World(rows), tuple(order[:many])
    groups = world.fold().by(by).groups
    assert {key: found(totals) for key, totals in groups.items() if found(totals)} == counted(world, by)


@given(ROWS)
@settings(deadline=None, max_examples=50)
def test_cost_is_additive_over_rows_and_what_it_is_made_of_adds_up_to_it(rows):
    whole = World(rows).fold()
    alone = Statement("run", "job", attribution=Groups(BY[2:], SHANGHAI).attribution)
    for row in rows:
        alone.add(World([row]).fold())
    assert whole.total().as_json() == alone.total().as_json()
    for by in permutations(BY, 2):
        assert whole.by(by).as_json() == alone.by(by).as_json()
    for totals in (whole.total(), *whole.attribution.groups.values()):
        made_of = sum(meter.cost(tokens) for meter, tokens in totals.meters.items()) + sum(totals.undivided.values())
        assert made_of == sum(totals.cost.values())


@given(ROWS)
@settings(deadline=None, max_examples=50)
def test_a_report_made_again_says_the_same_and_asking_changes_nothing(rows):
    world = World(rows)
    first = world.fold()
    told = first.as_json(), first.attribution.as_json()
    for by in permutations(BY, 3):
        first.by(by)
    again = world.fold()
    assert (first.as_json(), first.attribution.as_json()) == told == (again.as_json(), again.attribution.as_json())


@given(ROWS, st.sampled_from(["sales", "法务"]))
@settings(deadline=None, max_examples=50)
def test_a_workspaces_own_fold_is_its_part_of_the_whole_and_nothing_else(rows, name):
    world = World(rows)
    own, whole = world.fold(only=name), world.fold()
    assert own.total().as_json() == whole.total(name).as_json()
    assert set(own.workspaces()) <= {name}
    assert own.attribution.groups.keys() == {key for key in whole.attribution.groups if key[0] == name}


# Whose a call is


def only_group(world, by, **options):
    groups = world.fold(by=(by,), **options).by([by]).groups
    return {key[0]: found(totals) for key, totals in groups.items() if found(totals)}


def row_of(metadata, *kinds, hours=(0.0,) * 4):
    numbers = [(hour, Usage(3, 4), None, Decimal(0)) for hour in hours]
    return ("sales", "qwen-plus", metadata, (list(kinds[:-1]), kinds[-1]), numbers)


def older(line):
    """As it was before lines had checksums."""
    return re.sub(rb',"crc32":"[0-9a-f]+"', b"", line)


def test_a_killed_calls_doubt_goes_where_its_rows_entry_does():
    world = World([row_of({"project": "q3"}, "again", "killed")])
    assert only_group(world, "metadata.project") == {None: Counter(doubt=1)}
    row = world.calls[0][0]
    world.entries["results"].append(
        write_entry(Answered(row, Reply("a", "stop", Usage(1, 1)), Call("2-1", 1, MIDNIGHT, 7)), "batchrun", raw=False)
    )
    assert only_group(world, "metadata.project") == {"q3": Counter(doubt=1, answered=1, input=1, output=1, billed=1, unpriced=1)}


def test_what_older_lines_do_not_tell_is_unknown_and_not_none():
    world = World([row_of({"project": "q3"}, "reasked", "answered"), row_of({}, "answered")])
    world.log = [older(line).replace(b',"metadata":{"project":"q3"}', b"") for line in world.log]
    groups = only_group(world, "metadata.project")
    assert groups.keys() == {None, "q3", ""}
    assert groups[None] == Counter(input=3, output=4, billed=1, unpriced=1, reasked_output=4)


@pytest.mark.parametrize(
    ("metadata", "path", "label"),
    [
        ({"a": {"b": "x"}}, "a.b", "x"),
        ({"a": {"b": {"c": 1}}}, "a.b.c", "1"),
        ({"a.b": "whole", "a": {"b": "x"}}, "a.b", "whole"),
        ({"a": {"b.c": True}}, "a.b.c", "true"),
        ({"a": {"z": 1, "b": [1]}}, "a", '{"b":[1],"z":1}'),
        ({"a": None}, "a", ""),
        ({"a": 1}, "a.b", ""),
        ("text", "a", ""),
        (None, "a", ""),
    ],
)
def test_metadata_is_found_in_tables_and_told_as_text(metadata, path, label):
    assert only_group(World([row_of(metadata, "answered")]), f"metadata.{path}").keys() == {label}


def test_a_very_long_value_keeps_its_beginning_and_is_no_others():
    rows = [row_of({"a": "x" * 5000 + end}, "answered") for end in ("1", "2", "2")]
    groups = only_group(World(rows), "metadata.a")
    assert sorted(counts["answered"] for counts in groups.values()) == [1, 2]
    assert {len(key) <= 200 and key.startswith("x" * 100) for key in groups} == {True}


@pytest.mark.parametrize(("size", "label"), [(200, "x" * 200), (201, "x" * 190 + "…"), (5000, "x" * 190 + "…")])
def test_a_value_is_told_whole_up_to_two_hundred_characters_and_no_label_is_longer(size, label):
    (found_label,) = only_group(World([row_of({"a": "x" * size}, "answered")]), "metadata.a")
    assert found_label[:191] == label[:191]
    assert len(found_label) == (200 if size == 200 else 199)


def test_the_hour_that_comes_twice_is_two_and_in_the_order_of_time():
    before = datetime(2026, 10, 25, 0, 59, tzinfo=UTC).timestamp()
    rows = [row_of(None, "answered", hours=[(before + 60 * minutes - MIDNIGHT) / 3600] * 4) for minutes in (0, 1, 60, 61)]
    fold = World(rows).fold(by=("hour", "day"), zone=BERLIN)
    assert {key[0]: totals.answered for key, totals in fold.by(["hour"]).groups.items()} == {
        "2026-10-25T02:00+02:00": 1,
        "2026-10-25T02:00+01:00": 2,
        "2026-10-25T03:00+01:00": 1,
    }
    assert list(fold.by(["hour"]).groups) == [("2026-10-25T02:00+02:00",), ("2026-10-25T02:00+01:00",), ("2026-10-25T03:00+01:00",)]
    assert [key for (key,) in fold.by(["day"]).groups] == ["2026-10-25"]


def test_what_was_called_nobody_knows_when_comes_after_all_hours():
    groups = Groups(["hour"], SHANGHAI)
    for at in (None, at_hours(5), at_hours(4)):
        groups.of("legal", "qwen-plus", at, None).calls += 1
    hours = [hour for _, _, hour in groups.attribution.collapsed(("workspace", "model", "hour")).groups]
    assert hours == ["2026-11-26T04:00+08:00", "2026-11-26T05:00+08:00", None]


def test_a_day_ends_at_the_zones_midnight_to_the_millisecond():
    rows = [row_of(None, "answered", hours=[hours] * 4) for hours in (-1 / 3_600_000, 0)]
    world = World(rows)
    assert list(only_group(world, "day")) == ["2026-11-25", "2026-11-26"]
    assert list(only_group(world, "day", zone=ZoneInfo("UTC"))) == ["2026-11-25"]


@pytest.mark.parametrize(("zone", "minutes"), [("Asia/Kolkata", 150), ("Asia/Kathmandu", 135), ("Pacific/Chatham", -345)])
def test_a_day_ends_at_midnight_where_that_is_at_no_full_hour_too(zone, minutes):
    """*minutes* after the one of Shanghai."""
    rows = [row_of(None, "answered", hours=[minutes / 60 + beside] * 4) for beside in (-1 / 3600, 0)]
    assert list(only_group(World(rows), "day", zone=ZoneInfo(zone))) == ["2026-11-25", "2026-11-26"]


def test_an_entry_that_does_not_tell_when_it_was_made_has_no_day():
    world = World([row_of(None, "answered")])
    world.log.clear()
    line = older(world.entries["results"][0])
    start = line.index(b'"started_at"')
    world.entries["results"] = [line[:start] + line[line.index(b'"latency_ms"') :]]
    assert only_group(world, "day").keys() == {None}


def test_more_values_than_there_is_room_for_stand_together_and_the_sums_stay(monkeypatch):
    monkeypatch.setattr(attribution, "MOST_GROUPS", 5)
    world = World([row_of({"customer": str(number)}, "answered") for number in range(12)])
    folded = world.fold(by=("metadata.customer",)).by(["metadata.customer"])
    assert folded.crowded
    assert folded.groups[OTHERS,].answered == 12 - (len(folded.groups) - 2)  # beside OTHERS, that of the calls
    assert folded.total().answered == 12
    assert len(folded.groups) <= 6


@pytest.mark.parametrize("by", ["metadata.", "metadata", "week", "", "Workspace", "metadata.\ud800"])
def test_what_is_no_dimension_is_refused(by):
    with pytest.raises(ValueError, match="is wanted"):
        checked([by])


def test_a_dimension_is_taken_once_and_one_that_is_none_is_named():
    assert checked(["day", "workspace", "day", "metadata.a.b", "hour", "model"]) == ("day", "workspace", "metadata.a.b", "hour", "model")
    with pytest.raises(ValueError, match=r"^'week': workspace, model, day, hour or metadata\.KEY is wanted$"):
        checked(["day", "week"])


def test_json_tells_each_groups_labels_and_counts_in_their_order():
    world = World([row_of({"project": label}, "answered") for label in ("b", "a", "b")])
    told = world.fold(by=("metadata.project",)).by(["metadata.project", "model"])
    groups = [{"of": {"metadata.project": label, "model": "qwen-plus"}, **told.groups[label, "qwen-plus"].as_json()} for label in "ab"]
    unknown = {"of": {"metadata.project": None, "model": "qwen-plus"}, **told.groups[None, "qwen-plus"].as_json()}
    assert told.as_json() == {
        "by": ["metadata.project", "model"],
        "zone": "Asia/Shanghai",
        "others": False,
        "groups": [*groups, unknown],
    }
    assert [group["answered"] for group in told.as_json()["groups"]] == [1, 2, 0]


def test_attributions_that_add_up_to_more_values_than_there_is_room_for_say_so_and_lose_nothing(monkeypatch):
    monkeypatch.setattr(attribution, "MOST_GROUPS", 4)
    folded = [
        World([row_of({"customer": f"{run}-{number}"}, "answered") for number in range(3)]).fold(by=("metadata.customer",))
        for run in range(3)
    ]
    assert not any(each.attribution.crowded for each in folded)
    whole = folded[0]
    for each in folded[1:]:
        whole.add(each)
    assert whole.attribution.as_json()["others"]
    assert whole.attribution.total().answered == 9
    assert whole.by(["workspace", "metadata.customer"]).groups["sales", OTHERS].answered == 6
    again = Statement("run", "job", attribution=Groups(["metadata.customer"]).attribution)
    again.add(whole)
    assert again.attribution.crowded, "it says so though none of its own were too many"


def test_calls_of_more_lanes_and_quarters_of_an_hour_than_are_kept_at_hand_are_counted_all_the_same(monkeypatch):
    monkeypatch.setattr(attribution, "_MOST_FOUND", 3)
    groups = Groups(["hour"], SHANGHAI)
    moments = [at_hours(quarter / 4) for quarter in range(20)]
    for at in (*moments, *moments):
        groups.of("sales", "m", at, None).calls += 1
    assert [totals.calls for totals in groups.attribution.groups.values()] == [8] * 5
    assert list(groups.attribution.groups)[:2] == [("sales", "m", "2026-11-26T00:00+08:00"), ("sales", "m", "2026-11-26T01:00+08:00")]


@pytest.mark.parametrize("at", [None, 1e18, float("-1e17")])
def test_a_call_at_no_moment_that_a_calendar_knows_has_no_day(at):
    groups = Groups(["day"], SHANGHAI)
    groups.of("sales", "m", at, None).calls += 1
    assert list(groups.attribution.groups) == [("sales", "m", None)]
