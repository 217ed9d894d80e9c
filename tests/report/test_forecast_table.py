"""A forecast on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from batchrun.core.columns import width
from batchrun.core.counted import duration
from batchrun.core.model import Money
from batchrun.core.scheduling.holds import Hold, What, Whose
from batchrun.core.scheduling.prospects import Forecast, Obstacle, Prospect
from batchrun.report.forecast import clock, forecast_table

BEGINS = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
SLOTS, TPM = Hold(Whose.WORKSPACE, What.CONCURRENCY), Hold(Whose.POOL, What.TPM)


def test_there_is_a_line_a_lane_and_a_total_with_chinese_names_in_line():
    told = Forecast(
        BEGINS,
        (
            Prospect("legal", "qwen-plus", 1200, 1_234_567, 89, 75.0, SLOTS, 0.98, "raise it", Money("CNY", Decimal("1234.56789"))),
            Prospect("市场部", "qwen-max", 3, 60, 7, 7260.0, TPM, 0.5, cost=Money("USD", Decimal(3))),
            Prospect("sales", "qwen-max", 4, 80, 9),
        ),
        (
            Obstacle("in.jsonl, line 3", 2, "not JSON", "correct it"),
            Obstacle("in.jsonl, line 7", 1, "an array", "correct it"),
            Obstacle("workspace sales", 4, "there is no API key", "set it"),
        ),
        ("answers are taken to take 2 s",),
        ("a note",),
    )
    assert forecast_table(told).splitlines() == [
        "workspace  model       rows      input  output          CNY      USD  limited by          finishes in  finishes at",
        "─" * 114,
        "legal      qwen-plus  1,200  1,234,567      89   1,234.5679           concurrency          1 min 15 s     22:01:15",
        "市场部     qwen-max       3         60       7                3.0000  tpm of the account   2 h 01 min    Tue 00:01",
        "sales      qwen-max       4         80       9      unknown  unknown  parked                        -            -",
        "─" * 114,
        "total                 1,207  1,234,707     105  1,234.5679+  3.0000+                       2 h 01 min    Tue 00:01",
        "answers are taken to take 2 s",
        "money is what these tokens cost at today's prices (batchrun prices), calls that are made again in them as often as so far",
        "cost unknown: 4 rows of qwen-max: no price is known; prices can be given in [prices]",
        "a note",
        "faster: legal qwen-plus: raise it",
        "WRONG: in.jsonl, line 3: not JSON (2 rows)",
        "WRONG: in.jsonl, line 7: an array (1 row)",
        "  correct it",
        "WRONG: workspace sales: there is no API key (4 rows)",
        "  set it",
    ]


def test_on_a_terminal_of_eighty_columns_no_line_of_the_table_is_broken():
    hold, price = Hold(Whose.LANE, What.CONCURRENCY), Money("CNY", Decimal("12.3456"))
    told = Forecast(BEGINS, tuple(Prospect("w", name, 12_345, 1_234_567, 89_000, 7500.0, hold, cost=price) for name in ("qwen-max", "q")))
    *table, finishes = forecast_table(told, 80).splitlines()[:9]
    assert max(map(width, table)) <= 80
    assert finishes == "finishes at Tue 00:05"
    # When each finishes is a column of its own as soon as there is room for it.
    least = min(room for room in range(80, 120) if "finishes at Tue 00:05" not in forecast_table(told, room).splitlines())
    assert max(map(width, forecast_table(told, least).splitlines()[:8])) == least


def test_where_no_price_is_known_that_is_said_and_no_amount_is_shown():
    told = Forecast(BEGINS, (Prospect("legal", "own-model", 1, 60, 7, 1.0, SLOTS), Prospect("sales", "own-model", 0, 0, 0)))
    heading, *lines = forecast_table(told).splitlines()
    assert heading.split()[3:6] == ["input", "output", "limited"]
    assert "cost unknown: 1 row of own-model: no price is known; prices can be given in [prices]" in lines
    assert (told.as_json()["cost"], told.as_json()["unpriced_rows"]) == ({}, 1)


def test_what_would_help_many_workspaces_alike_is_told_once():
    def lane(name: str, model: str = "m", of: str = "concurrency") -> Prospect:
        return Prospect(name, model, 1, 1, 1, 1.0, SLOTS, 0.9, f"raise workspaces.{name}.{of} above 4")

    told = forecast_table(Forecast(BEGINS, (*(lane(f"w{number}") for number in range(50)), lane("a", of="rpm"), lane("a", "n", of="rpm"))))
    assert [line for line in told.splitlines() if line.startswith("faster")] == [
        "faster: w0 m, w1 m, w2 m, 47 others: raise workspaces.NAME.concurrency above 4",
        "faster: a m, a n: raise workspaces.a.rpm above 4",
    ]


def test_nothing_left_is_said_and_so_is_nothing_wrong():
    assert forecast_table(Forecast(BEGINS, ())).splitlines()[0] == "no row is left to do"
    assert "nothing is wrong" in forecast_table(Forecast(BEGINS, ()))


def test_where_nothing_would_be_asked_for_something_is_wrong_it_is_not_said_to_be_done():
    told = forecast_table(Forecast(BEGINS, (), obstacles=(Obstacle("in.jsonl, line 1", 3, "not JSON", "correct the lines"),)))
    assert told.splitlines() == ["no row would be asked", "WRONG: in.jsonl, line 1: not JSON (3 rows)", "  correct the lines"]


def test_advice_for_many_lanes_is_cut_and_says_so():
    lanes = tuple(Prospect(f"w{number}", "m", 1, 1, 1, 1.0, SLOTS, 1.0, f"raise {number}") for number in range(20))
    helps = [line for line in forecast_table(Forecast(BEGINS, lanes)).splitlines() if line.startswith("faster")]
    assert len(helps) == 7
    assert helps[-1] == "faster: 14 more pieces of advice stand in --json"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (86_390, "1 d 0 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_are_said_as_a_person_says_them(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("hours", "shown"), [(1, "23:00:00"), (3, "Tue 01:00"), (24 * 10, "2026-12-03 22:00")], ids=["today", "tomorrow", "far off"]
)
def test_a_moment_has_its_day_or_its_date_where_it_needs_it(hours, shown):
    assert clock(BEGINS + timedelta(hours=hours), BEGINS) == shown


def test_an_end_that_no_calendar_reaches_is_said():
    told = Forecast(BEGINS, (Prospect("legal", "m", 1, 1, 1, 1e14, SLOTS),))
    assert "beyond any calendar" in forecast_table(told)
    assert told.as_json()["finishes_at"] is None


def test_where_nothing_would_stand_still_no_more_than_that_is_said_for_a_note_may_tell_what_is_wrong():
    """Beneath a parameter that was mistyped it had been said that nothing is wrong."""
    told = forecast_table(Forecast(BEGINS, (), notes=("parameters hold max_token: is max_tokens meant?",)))
    said = "no row would be parked or rejected, as far as shows without a call; batchrun doctor asks the endpoints"
    assert told.splitlines()[-1] == said
    assert said not in forecast_table(Forecast(BEGINS, (), obstacles=(Obstacle("in.jsonl", 3, "not JSON", "correct the lines"),)))
