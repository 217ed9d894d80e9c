"""The page as text: what it says, what it leaves out, and that nothing from outside is anything but text."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.jobs.stated import StatedQuota
from batchrun.core.ledger.attempts import Bound
from batchrun.core.ledger.attribution import Attribution
from batchrun.core.ledger.course import Course, Trouble
from batchrun.core.ledger.durations import Durations
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.totals import Part, Totals
from batchrun.core.model import Money
from batchrun.core.protocols import failures
from batchrun.core.scheduling.outages import passing
from batchrun.report.amounts import amount
from batchrun.report.page.chinese import chinese, worded
from batchrun.report.page.document import _data, page
from batchrun.report.page.figures import percent, seconds, short, width
from batchrun.report.page.markup import h, name, visible
from batchrun.report.page.plots import how
from batchrun.report.page.sentences import SAID
from batchrun.report.page.subject import COLOURS, Parked, Ran, Subject
from batchrun.report.page.words import _PUT_IN, Said, Words
from batchrun.running import closing
from batchrun.telling.publishing import publish
from batchrun.telling.reporting import reported
from tests.core.ledger.test_course import entry, seen
from tests.report.written import MODELS, Night, departments, hostile, job_of, write_night
from tests.steps import lines_run

_OF_SUMS = ("plots.py", "subject.py", "statement.py", "spending.py", "summary.py", "doneness.py")
_SPACES = dict.fromkeys((160, 5760, *range(8192, 8203), 8239, 8287, 12288), " ")
EVERYTHING = st.text(st.characters(codec=None), max_size=40)


def written(tmp_path, night, *, only=None, language="en", by=("day",)):
    directory = write_night(tmp_path / "run", night)
    publish(reported([directory], by=by, only=only, with_course=True), directory / "page.html", by=by, only=only, language=language)
    return (directory / "page.html").read_text(encoding="utf-8")


def subject(*lanes, **fields):
    statement = Statement("run-id", "night")
    for workspace, model, totals in lanes:
        statement.lane(workspace, model).add(totals)
    told: dict[str, Any] = {"runs": [Ran("run-id", "night")], "course": Course(), "made_at": datetime(2026, 11, 25, tzinfo=UTC)} | fields
    return Subject(statement=statement, zone=ZoneInfo("Asia/Shanghai"), **told)


class _Text(HTMLParser):
    def __init__(self):
        super().__init__()
        self.said: list[str] = []
        self.tags: list[str] = []
        self._quiet = False

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._quiet = tag in {"script", "style"}

    def handle_endtag(self, tag):
        self._quiet = False

    def handle_data(self, data):
        if not self._quiet:
            self.said.append(data)


def put_in(sentence):
    """What is put into a sentence: its name, and what is said where it is one; None where it is shown itself."""
    return [(found["name"], found["one"]) for found in _PUT_IN.finditer(sentence)]


def text_of(html):
    parser = _Text()
    parser.feed(html)
    return re.sub(r"\s+", " ", " ".join(parser.said))


def test_every_sentence_is_said_in_both_languages_with_the_same_things_put_in():
    for key, said in SAID.items():
        shown, counted = ([{name for name, one in put_in(each) if (one is None) is shown} for each in said] for shown in (True, False))
        assert shown[0] == shown[1], key
        assert shown[0] >= counted[0] - {"n"}, key
        assert not counted[1], key
    assert Words("zh").plain("busiest", width=Said("width_minutes", {"n": "2"})) == "最忙的 2 分钟"


def test_every_sentence_is_said_somewhere():
    """Each stands in every page, in both languages."""
    folder = resources.files("batchrun.report.page")
    rooms = [
        folder / "assets" / "page.js",
        *(each for each in folder.iterdir() if each.name.endswith(".py") and each.name != "sentences.py"),
    ]
    code = "".join(room.read_text(encoding="utf-8") for room in rooms)
    whole, beginnings = set(re.findall(r'"(\w+)"', code)), tuple(set(re.findall(r'f"(\w+_)\{', code)))
    assert [key for key in SAID if key not in whole and not key.startswith(beginnings)] == []


def test_who_knows_nothing_of_tokens_is_told_what_they_are(tmp_path):
    for language, said in (("en", "A token is a piece of text"), ("zh", "Token 是文本的计量单位")):
        assert said in written(tmp_path, Night(["legal"], rows=3), language=language)


def test_one_of_anything_is_told_as_one_and_more_as_more():
    singular, plural = "row|call|line|retry|reason|token|workspace", "rows|calls|lines|retries|reasons|tokens|workspaces"
    for key, (english, _) in SAID.items():
        one, many = (Words("en").plain(key, **{name: count for name, _ in put_in(english)}) for count in ("1", "12"))
        assert not re.search(rf"\b1 (?:[a-z]+ )?(?:{plural})\b", one), one
        assert not re.search(rf"\b12 (?:[a-z]+ )?(?:{singular})\b", many), many
    words = Words("en")
    assert words.plain("doubt_lead", n="1", input="9", output="1", money=Said("doubt_money_more", {"amount": "2 CNY", "n": "1"})) == (
        "1 call may have been billed and left no usage: it was cut off after it was sent, or answered without a count of tokens. The bill "
        "may be higher than this page by 9 input and 1 output token at the most, or 2 CNY and what 1 call without a price costs."
    )
    assert words.plain("others_done", n="1") == "1 other workspace has all answers."
    assert words.plain("others_done", n="2") == "2 other workspaces have all answers."


def test_a_page_of_one_row_and_one_call_says_one():
    one = Totals(pending=1, rejected=1, calls=1, retries=1, throttles=1, in_doubt=1, unpriced_calls=1, input_tokens=1, output_tokens=1)
    said = text_of(page(subject(("legal", "m", one), ("sales", "m", Totals(answered=1)))))
    for sentence in (
        "Not done: 1 row is still waiting.", "1 input and 1 output token ", "1 row failed", "1 call in doubt", "1 retry, 1 throttled call",
        "1 other workspace has all answers.",
    ):  # fmt: skip
        assert sentence in said


@pytest.mark.parametrize(
    ("wide", "said", "in_chinese"),
    [
        (1, "second", "一秒"),
        (5, "5 seconds", " 5 秒"),
        (60, "minute", "一分钟"),
        (90, "90 seconds", " 90 秒"),
        (3600, "hour", "一小时"),
        (172_800, "2 days", " 2 天"),
    ],
)
def test_a_bucket_of_time_is_told_in_its_largest_unit_and_one_is_not_counted(wide, said, in_chinese):
    assert Words("en").plain("busiest", width=width(wide)) == f"Busiest {said}"
    assert Words("zh").plain("busiest", width=width(wide)) == f"最忙的{in_chinese}"
    assert Words("zh").plain("plot_trouble_note", width=width(wide)) == f"每{in_chinese}内未得到回答的调用。"


def test_every_advice_that_the_table_of_failures_gives_is_there_in_chinese():
    advices = {line.advice for line in (*failures.TABLE, *failures.BY_STATUS.values())} | {closing._ADVICE}
    advices.add(failures.classify(406, None, "a web page", is_page=True).advice)
    assert {advice for advice in advices if chinese(advice) is None} == set()
    assert worded("<b>", "zh") == '<span lang="en">&lt;b&gt;</span>'


def test_what_a_run_adds_to_an_advice_is_there_in_chinese_too():
    refused = failures.classify(403, None, "forbidden")
    in_the_way = passing(refused).advice
    assert in_the_way.endswith(refused.advice)
    assert in_the_way != refused.advice
    throttled = failures.classify(429, "limit_requests", "slower").advice
    for advice in (
        in_the_way,
        f"nothing but failures for 60 minutes, whatever the row: {in_the_way}",
        f"throttled for 10 minutes without one answer: a quota may be used up; {throttled}",
    ):
        said = chinese(advice)
        assert said is not None
        assert "the row" not in said
        assert "answer" not in said
    assert chinese("nothing but failures for 60 minutes, whatever the row: what nobody has put into Chinese") is None


def test_what_waits_for_its_hours_needs_no_person():
    waiting = Totals(answered=1, pending=4)
    closed = Parked("workspace", "legal", 4, "window_closed", None, "closed until 22:00", closing._ADVICE)
    said = text_of(page(subject(("legal", "m", waiting), parked=[closed])))
    assert "Not done: 4 rows are still waiting." in said
    assert "Closed until their hours begin" in said
    assert "Parked until a person acts" not in said


def test_a_budget_that_other_runs_share_is_not_held_against_this_run_alone():
    spent = Totals(answered=1, cost={"CNY": Decimal(3)})
    budget = {"amount": "4", "currency": "CNY"}
    own = text_of(page(subject(("legal", "m", spent), job={"workspaces": {"legal": {"budget": budget}}})))
    assert "75.0 %" in own
    daily = text_of(page(subject(("legal", "m", spent), job={"workspaces": {"legal": {"budget": budget | {"per": "day"}}}})))
    assert "75.0 %" not in daily
    assert "4.0000 CNY a day" in daily


def test_what_is_spent_of_a_budget_is_what_the_budget_counts_calls_in_doubt_at_the_most_and_calls_without_a_price_as_it_says():
    doubtful = Totals(answered=1, input_tokens=20, output_tokens=10, cost={"CNY": Decimal(1)})
    doubtful.doubt(Bound(200, 70), Money("CNY", Decimal(2)))
    unpriced = Totals(answered=1, input_tokens=10_000, output_tokens=5_000, unpriced_calls=1)
    unpriced.doubt(Bound(0, 20_000), None)
    tables = {
        "legal": {"budget": [{"amount": "4"}, {"tokens": 400}]},
        "hr": {"budget": {"amount": "2", "unpriced": {"input": "5", "output": "40"}}},
    }
    lanes = (("legal", "m", doubtful), ("hr", "of-ours", unpriced))
    own = text_of(page(subject(*lanes, job={"workspaces": tables})))
    for told in ("75.0 % 3.0000 4.0000 CNY", "75.0 % 300 400 tokens", "52.5 % 1.0500 2.0000 CNY"):
        assert told in own
    assert "Calls in doubt count here at the most" in own
    sure = page(subject(("legal", "m", Totals(answered=1)), job={"workspaces": tables}))
    assert "Calls in doubt count here" not in text_of(sure)


@pytest.mark.parametrize(
    ("left", "ran", "said"),
    [
        (1, Ran("r", "night", stopped_by="SIGTERM"), "The run was stopped by SIGTERM."),
        (1, Ran("r", "night", finished=False), "The run was under way, or was killed"),
        (1, Ran("r", "night"), None),
        (0, Ran("r", "night", stopped_by="SIGTERM"), None),
        (0, Ran("r", "night", finished=False), None),
    ],
)
def test_what_a_run_was_ended_by_is_told_where_rows_are_left(left, ran, said):
    told = text_of(page(subject(("legal", "m", Totals(answered=2, pending=left)), runs=[ran])))
    assert [each for each in ("The run was stopped by SIGTERM.", "The run was under way, or was killed") if each in told] == [said] * bool(
        said
    )


def test_lines_that_are_no_rows_are_told_of_to_who_has_the_whole_input_alone():
    for workspace, lines, is_told in ((None, 2, True), ("legal", 2, False), (None, 0, False)):
        of = subject(("legal", "m", Totals(answered=2)), workspace=workspace)
        of.statement.rejected_input = lines
        assert ('data-t="set_aside"' in page(of)) is is_told


def test_the_workspaces_with_most_left_stand_first_and_of_many_the_others_are_folded_away():
    lanes = [(f"w-{number}", "m", Totals(answered=1, pending=number)) for number in range(1, 14)]
    section = page(subject(*lanes, ("done", "m", Totals(answered=9)))).partition('id="done"')[2].partition("</section>")[0]
    first, _, more = section.partition("<details")
    assert [re.findall(r"w-\d+", text_of(part)) for part in (first, more)] == [
        [f"w-{number}" for number in range(13, 3, -1)],
        ["w-3", "w-2", "w-1"],
    ]
    assert "3 more" in text_of(more)
    assert 'data-t="more_unfinished"' not in page(subject(*lanes[:10]))
    assert 'data-t="others_done"' not in page(subject(*lanes[:10]))
    assert 'data-t="others_done"' in section


def budgets_on(html):
    """The lines of the table of budgets, and the width and the kind of each bar; none where there is no such table."""
    table = html.partition('data-t="budgets"')[2].partition("</table>")[0]
    bars = re.findall(r'<rect x="0.00%" width="([^"]+)" height="100%" class="([^"]+)"', table)
    return [text_of(row).strip() for row in table.split("<tr>")[2:]], bars


def test_of_each_budget_it_is_told_whose_it_is_and_what_its_own_calls_have_spent():
    cny, model_m, model_n = (
        {"currency": "CNY"},
        {"limits": {"m": {"budget": [{"tokens": 1_000}]}}},
        ("n", Totals(input_tokens=9_000, output_tokens=1)),
    )
    lanes = [("legal", "m", Totals(input_tokens=300, output_tokens=45, cost={"CNY": Decimal(3), "USD": Decimal(9)}))]
    lanes += [("legal", *model_n), ("sales", "m", Totals(input_tokens=7, cost={"CNY": Decimal("6.5")}))]
    legal = {"budget": [{"amount": "2.5", **cny}, {"tokens": 10_000, "per": "month"}], **model_m}
    job = {"job": {"budget": [{"amount": "10", **cny}, {"amount": "30", "per": "day", **cny}]}, "workspaces": {"legal": legal, "sales": {}}}
    of_job = ["the whole job 95.0 % 9.50 10.00 CNY", "the whole job – 9.50 30.00 CNY a day"]
    of_legal = ["legal 120.0 % 3.0000 2.5000 CNY", "legal – 9,346 10,000 tokens a month", "legal · m 34.5 % 345 1,000 tokens"]
    html = page(subject(*lanes, job=job))
    assert budgets_on(html) == ([*of_job, *of_legal], [("95.00%", "bad"), ("100.00%", "bad"), ("34.50%", "good")])
    assert "is shared with other runs" in text_of(html)
    assert budgets_on(page(subject(*lanes, job=job, workspace="legal")))[0] == of_legal
    sales = page(subject(*lanes, job=job, workspace="sales"))
    assert (budgets_on(sales)[0], "is shared with other runs" in text_of(sales)) == ([], False)
    assert "is shared with other runs" not in text_of(page(subject(*lanes, job={"workspaces": {"legal": model_m}})))
    assert budgets_on(page(subject(*lanes, job=job, runs=[Ran("a", "night"), Ran("b", "night")])))[0] == []


@given(text=EVERYTHING)
def test_no_text_becomes_an_element_or_an_attribute(text):
    parser = _Text()
    parser.feed(h("p", text, name(text), title=text, data_a=text))
    assert parser.tags == ["p", "bdi"]


@given(text=EVERYTHING)
def test_nothing_that_hides_or_turns_text_about_is_left_in_a_name(text):
    shown = visible(text)
    assert shown.translate(_SPACES).isprintable()
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\ufeff\x00")


def test_a_long_name_is_cut_and_whole_in_its_title():
    assert name("n" * 300) == f'<bdi title="{"n" * 300}">{"n" * 59}…</bdi>'


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0.0 %"), (1e-9, "<0.1 %"), (0.5, "50.0 %"), (0.99999, "99.9 %"), (1, "100.0 %"), (1.8, "180.0 %")]
)
def test_a_share_that_is_neither_nothing_nor_all_is_never_shown_as_that(share, shown):
    assert percent(share) == shown


def test_figures_are_rounded_as_a_reader_expects():
    assert (amount(Decimal("1234.56789"), 2), amount(Decimal("0.00001"), 4), amount(Decimal(0), 4)) == ("1,234.57", "<0.0001", "0.0000")
    assert [seconds(each) for each in (7, 840, 12_345)] == ["7 ms", "0.84 s", "12.3 s"]
    assert [short(each) for each in (999, 15_000, 2_500_000)] == ["999", "15.0 k", "2.5 M"]


@pytest.mark.parametrize(
    ("value", "decimals", "shown"),
    [("0.00005", 4, "<0.0001"), ("0.000050001", 4, "0.0001"), ("0.005", 2, "<0.01"), ("0.0051", 2, "0.01"), ("0", 2, "0.00")],
)
def test_an_amount_that_lies_in_the_middle_between_nothing_and_the_least_that_shows_is_not_shown_as_nothing(value, decimals, shown):
    assert amount(Decimal(value), decimals) == shown


def test_it_opens_with_who_spent_what_whether_it_is_done_and_what_went_wrong(tmp_path):
    three = departments(3)
    html = written(tmp_path, Night(three, rows=200, job=job_of(three), pending=12))
    said = text_of(html)
    statement = reported([tmp_path / "run"]).statement
    total = statement.total()
    opening = said[: said.index("Who spent what")]
    assert "Not done: 12 rows are still waiting, and something needs a person." in opening
    assert f"{total.input_tokens:,} input and {total.output_tokens:,} output tokens" in opening
    assert f"{total.answered:,} of {total.answered + total.rejected + total.exhausted + 12:,} rows" in opening
    assert f"{total.rejected + total.exhausted} rows failed" in opening
    assert f"{total.retries} retries, {total.throttles} throttled calls" in opening
    assert [f"{each} " in opening for each in three] == [True] * 3
    headings = re.findall(r"<h2>.*?>(.*?)<", html)
    assert headings == ["Who spent what", "On what", "Is it done", "What went wrong", "How it went", "About this page"]


def test_every_amount_of_the_statement_stands_on_it(tmp_path):
    html = written(tmp_path, Night(departments(5), rows=150, models=MODELS[:5]))
    for totals in reported([tmp_path / "run"]).statement.lanes.values():
        for value in totals.cost.values():
            assert f'title="{value:f} CNY"' in html
        assert f">{totals.input_tokens:,}<" in html


def test_what_has_no_price_is_unknown_and_a_sum_that_leaves_it_out_is_marked():
    known = Totals(answered=2, calls=2, cost={"CNY": Decimal("1.5")}, input_tokens=9)
    unknown = Totals(answered=3, calls=3, unpriced_calls=3, unpriced_tokens=70, input_tokens=60, output_tokens=10)
    html = page(subject(("legal", "a", known), ("legal", "b", unknown), ("sales", "b", unknown)))
    said = text_of(html)
    assert "1.5000+" in said
    assert "without 6 calls whose price is not known" in said
    rows = re.findall(r'<th scope="row"><bdi class="short">sales</bdi>.*?</tr>', html)
    assert rows
    assert "unknown" in rows[0]
    assert "0.0000" not in said
    assert "web search" not in said
    searched = text_of(page(subject(("legal", "a", Totals(answered=2, calls=2, cost={"CNY": Decimal("1.5")}, searches=3)))))
    assert "without what 3 web searches cost beside tokens" in searched
    alone = text_of(page(subject(("sales", "b", unknown))))
    assert "Tokens by workspace, for their cost is not known" in alone
    assert "the price of no call is known" in alone


def test_what_was_paid_for_and_brought_nothing_is_told_with_what_it_cost_or_that_this_is_unknown():
    retried = Part(calls=2, input_tokens=40, output_tokens=7, cost={"CNY": Decimal("0.25")})
    refused = Part(calls=1, input_tokens=9, output_tokens=3, unpriced_calls=1)
    truncated = Part(calls=3, input_tokens=8, output_tokens=6, unpriced_calls=2, cost={"CNY": Decimal("0.125")})
    totals = Totals(answered=9, calls=9, retried=retried, refused=refused, truncated=truncated)
    said = text_of(page(subject(("legal", "m", totals))))
    assert "billed, and made again 2 40 7 0.2500 CNY" in said
    assert "billed, and the row failed 1 9 3 unknown" in said
    assert "answers cut at their longest 3 8 6 0.1250+ CNY" in said


def test_each_colour_that_the_page_names_is_one_of_its_style():
    style = (resources.files("batchrun.report.page") / "assets" / "page.css").read_text(encoding="utf-8")
    for place in range(COLOURS + 1):
        assert style.count(f"--c{place}: #") == 3
        assert f".swatch.c{place} " in style
        assert f".bar .c{place} " in style
    assert f"--c{COLOURS + 1}" not in style


def test_two_currencies_are_never_added_up():
    lanes = [
        (name, "m", Totals(answered=1, cost={currency: Decimal(amount)}, input_tokens=5))
        for name, currency, amount in (("a", "CNY", "2"), ("b", "USD", "3"))
    ]
    said = text_of(page(subject(*lanes)))
    assert "2.0000 CNY" in said
    assert "3.0000 USD" in said
    assert "5.0000" not in said
    assert "Tokens by workspace; the bar" in said


def test_a_cost_of_nothing_is_not_said_to_be_unknown():
    said = text_of(page(subject(("a", "m", Totals(answered=1, billed_calls=1, cost={"CNY": Decimal(0)}, input_tokens=5)))))
    assert "Tokens by workspace; the bar" in said
    assert "known" not in said


def test_a_message_that_some_rows_were_told_is_not_told_of_all():
    def failed(row_id, message):
        return entry(row_id, "rejected", code="InvalidParameter", status=400, message=message, advice="mend it")

    def told(*messages):
        course = seen(entries=[failed(f"r-{number}", message) for number, message in enumerate(messages)])
        return text_of(page(subject(("legal", "m", Totals(rejected=len(messages))), course=course)))

    assert "mend it Range of n Some of these rows were told something else." in told("Role must be", "Range of n", "Range of n")
    assert "something else" not in told("Role must be", "Role must be")


def test_doubt_is_told_with_its_bound_in_tokens_and_in_money():
    doubt = Totals(in_doubt=3, in_doubt_input_tokens=12_000, in_doubt_output_tokens=98_304, in_doubt_cost={"CNY": Decimal("1.25")})
    said = text_of(page(subject(("legal", "m", doubt))))
    assert "higher than this page by 12,000 input and 98,304 output tokens at the most, or 1.2500 CNY." in said
    assert "in doubt: the provider's bill should be what stands here" in text_of(page(subject(("legal", "m", Totals(answered=1)))))


def test_what_no_line_tells_of_or_two_lines_do_is_told_and_of_a_ledger_that_tells_all_nothing_is():
    found = subject(("legal", "m", Totals(answered=1)))
    assert "attempts.log" not in text_of(page(found))
    found.statement.unreadable_attempts, found.statement.unlogged_answers, found.statement.openings_again = 3, 1, 1
    found.course.untimed = 2
    said = text_of(page(found))
    assert "3 lines of attempts.log could not be read: calls and doubt may be higher by as many." in said
    assert "attempts.log does not tell of the calls of 1 answer: calls and doubt may be higher." in said
    assert "attempts.log was put together of parts that overlap: calls, retries and doubt are too high." in said
    assert "2 calls tell no time, or one that cannot be right, and are in no plot." in said


def test_a_name_stays_on_its_line_by_the_room_it_takes_and_not_by_its_letters():
    assert name("市场运营支持部") == '<bdi class="short">市场运营支持部</bdi>'
    assert name("客户服务与市场运营支持中心") == '<bdi class="middling">客户服务与市场运营支持中心</bdi>'
    assert name("客户服务与市场运营支持中心华东大区") == "<bdi>客户服务与市场运营支持中心华东大区</bdi>"


def test_a_departments_page_shows_nothing_of_the_others(tmp_path):
    names = ["legal", "warehouse-zürich", "人力资源部", "skunkworks"]
    night = Night(names, rows=120, job=job_of(names), pending=9, text="The secret of every answer.", failing=0.2)
    whole = written(tmp_path, night, by=("day", "metadata.project"))
    assert all(each in whole for each in names)
    own = written(tmp_path, night, only="legal", by=("day", "metadata.project"))
    for each in [*names[1:], "secret"]:
        assert each not in own
        assert orjson.dumps(each).decode().strip('"') not in own
    assert "legal" in own
    assert "3 lines, the first rows.jsonl, line 7: workspace '<b>lgal' is not one of the job's" in text_of(whole)
    assert "rejected-input" not in text_of(own)
    assert "lgal" not in own
    assert "main ·" not in text_of(own)
    lines = [orjson.loads(line) for each in names[1:] for line in (tmp_path / "run" / each / "results.jsonl").read_bytes().splitlines()]
    ids = {line["id"] for line in lines} | {line["request_id"] for line in lines}
    assert len(ids) > 200
    assert not {each for each in ids if each in own}
    sums = reported([tmp_path / "run"]).statement
    for totals in (sums.total(), *(sums.total(each) for each in names[1:])):
        assert f"{totals.input_tokens:,}" not in own


def test_a_departments_page_is_the_page_of_a_run_that_never_had_the_others(tmp_path):
    names = ["legal", "warehouse", "skunkworks"]
    night = Night(names, rows=80, job=job_of(names), pending=9, failing=0.2)
    directory = write_night(tmp_path / "run", night)
    own = _own(directory)
    for each in names[1:]:
        shutil.rmtree(directory / each)
    log = directory / "attempts.log"
    mine = {line["start"] for line in map(orjson.loads, log.read_bytes().splitlines()) if line.get("workspace") == "legal"}
    kept = [line for line in log.read_bytes().splitlines() if {orjson.loads(line).get("start"), orjson.loads(line).get("end")} & mine]
    log.write_bytes(b"".join(line + b"\n" for line in kept))
    described = orjson.loads((directory / "run.json").read_bytes())
    described["rows"] = {"legal": described["rows"]["legal"]}
    described["ended"]["parked"] = []
    described["job"]["workspaces"] = {"legal": described["job"]["workspaces"]["legal"]}
    described["rejected_input"] = 0
    (directory / "run.json").write_bytes(orjson.dumps(described))
    assert own == _own(directory)


def _own(directory):
    publish(reported([directory], by=("day", "metadata.project"), only="legal", with_course=True), directory / "own.html", only="legal")
    return re.sub(r"Made \d{4}-\d\d-\d\d \d\d:\d\d|&quot;at&quot;:&quot;[^&]*", "", (directory / "own.html").read_text(encoding="utf-8"))


def test_numbers_cannot_end_their_element_nor_begin_a_comment_in_it():
    assert not set(_data({"name": "<!--<script >&</script >"})) & set("<>&")


def test_a_departments_page_tells_that_its_account_is_parked_and_not_in_the_words_of_the_others_rows(tmp_path):
    names = ["legal", "skunkworks"]
    directory = write_night(tmp_path / "run", Night(names, rows=20, job=job_of(names)))
    described = orjson.loads((directory / "run.json").read_bytes())
    described["rows"]["legal"]["qwen-plus"] += 5
    scope = {
        "scope": "account",
        "name": "main",
        "rows": 905,
        "code": "Arrearage",
        "status": 400,
        "message": "skunkworks owes",
        "advice": "pay the bill",
    }
    described["ended"]["parked"] = [
        scope,
        scope | {"scope": "workspace", "name": "skunkworks"},
        scope | {"scope": "lane", "name": "skunkworks qwen-plus"},
    ]
    (directory / "run.json").write_bytes(orjson.dumps(described))
    publish(reported([directory], by=("day",), only="legal", with_course=True), directory / "own.html", only="legal")
    own = (directory / "own.html").read_text(encoding="utf-8")
    assert "pay the bill" in own
    assert "5 rows wait" in text_of(own)
    assert "skunkworks" not in own
    assert "905" not in own


def test_of_a_killed_run_the_lanes_that_were_refused_are_told_from_the_attempts(tmp_path):
    html = written(tmp_path, Night(["legal", "sales"], rows=30, pending=7, stopped=False))
    said = text_of(html)
    assert "was under way, or was killed" in said
    assert "7 rows wait" in said
    assert "Model.AccessDenied 403" in said


def test_a_run_that_was_all_answered_says_so_and_names_no_trouble():
    said = text_of(page(subject(("legal", "m", Totals(answered=40, calls=40)))))
    assert "Done: every row is answered." in said
    assert "Nothing: every call brought its answer." in said
    assert "Parked" not in said


DENIED = Parked("lane", "legal qwen-plus", 7, "Model.AccessDenied", 403, "Model access denied.", "ask the account's owner")


@pytest.mark.parametrize(
    ("totals", "more", "verdict"),
    [
        (Totals(answered=40), {}, "✓ Done: every row is answered."),
        (Totals(), {}, "✓ There was nothing to do."),
        (Totals(answered=38, rejected=1), {}, "! Finished: 1 row could not be answered."),
        (Totals(answered=38, exhausted=2), {}, "! Finished: 2 rows could not be answered."),
        (Totals(answered=30, rejected=2, pending=8), {}, "! Not done: 8 rows are still waiting."),
        (Totals(pending=7), {"parked": [DENIED]}, "! Not done: 7 rows are still waiting, and something needs a person."),
        (Totals(answered=40), {"lines": 2}, "! Every row is answered; 2 lines of the input are no row."),
        (Totals(), {"lines": 1}, "! Nothing was asked: 1 line of the input is no row, and there is no other."),
        (
            Totals(answered=40),
            {"grown": True},
            "! Every row is answered that was there when the run was opened; more stands in the input now.",
        ),
    ],
)
def test_the_first_that_a_page_says_is_whether_all_is_done(totals, more, verdict):
    found = subject(("legal", "m", totals), parked=more.get("parked", []), runs=[Ran("run-id", "night", grown=more.get("grown", False))])
    found.statement.rejected_input = more.get("lines", 0)
    assert f" run-id Made 2026-11-25 08:00 {verdict} " in text_of(page(found))


@pytest.mark.parametrize(
    ("cost", "calls", "told"),
    [
        ({}, 0, "0 30 input and 6 output tokens"),
        ({"CNY": Decimal("0.5")}, 0, "0.5000 CNY 30 input and 6 output tokens"),
        ({"CNY": Decimal("0.5")}, 2, "0.5000+ CNY 30 input and 6 output tokens without 2 calls whose price is not known"),
        ({}, 3, "unknown 30 input and 6 output tokens the price of no call is known"),
    ],
)
def test_what_was_spent_says_how_many_calls_are_in_none_of_it(cost, calls, told):
    totals = Totals(answered=3, calls=3, input_tokens=30, output_tokens=6, unpriced_calls=calls, unpriced_tokens=12 * calls, cost=cost)
    assert f" Spent {told} By whom " in text_of(page(subject(("legal", "m", totals))))


def test_what_needs_a_person_is_told_with_the_providers_own_words_and_what_to_do():
    said = text_of(page(subject(("legal", "qwen-plus", Totals(pending=7)), parked=[DENIED])))
    assert "7 rows wait ask the account's owner Model.AccessDenied 403 Model access denied. " in said


def test_lines_that_were_no_row_are_not_passed_over_where_every_row_is_answered():
    answered = subject(("legal", "m", Totals(answered=40, calls=40)))
    answered.statement.rejected_input = 2
    assert "Every row is answered; 2 lines of the input are no row." in text_of(page(answered))
    assert "Done: every row" not in text_of(page(answered))


def test_of_several_runs_it_is_told_which_was_stopped_and_which_was_killed_and_of_one_it_is_no_question():
    lane, name = ("legal", "m", Totals(pending=2)), "night"
    runs = [Ran("a", name, where="runs/1"), Ran("b", name, stopped_by="SIGINT", where="runs/2"), Ran("c", name, False, where="runs/3")]
    told = text_of(page(subject(lane, runs=runs)))
    assert "runs/2 : The run was stopped by SIGINT. runs/3 : The run was under way, or was killed, when" in told
    assert "runs/1" not in told
    assert "rows are answered. The run was stopped by SIGINT." in text_of(page(subject(lane, runs=[Ran("b", name, stopped_by="SIGINT")])))


def test_what_cost_the_same_stands_in_the_order_of_names():
    costs = Totals(answered=1, calls=1, cost={"CNY": Decimal(1)})
    html = page(subject(*((name, "m", costs) for name in ("w10", "w2", "w1"))))
    assert re.findall(r"w\d+", text_of(html))[:3] == ["w1", "w2", "w10"]


def test_a_run_of_nothing_has_a_page_too():
    assert "There was nothing to do." in text_of(page(subject()))
    assert "没有需要处理的行" in text_of(page(subject(), "zh"))
    assert "cost is not known" not in text_of(page(subject()))
    assert "No call was made." in text_of(page(subject()))


def test_a_run_of_whose_input_no_line_is_a_row_is_told_as_that_and_not_as_done():
    """Of a file in GBK it had been said, in green, that there was nothing to do, and that nothing went wrong."""
    nothing = subject()
    nothing.statement.rejected_input = 7
    html = page(nothing)
    assert "Nothing was asked: 7 lines of the input are no row, and there is no other." in text_of(html)
    assert "输入中的 7 行均不是有效行" in text_of(page(nothing, "zh"))
    assert 'class="verdict bad"' in html
    assert "every call brought its answer" not in text_of(html)


def test_rows_that_were_never_sent_make_no_day_of_dashes():
    """A picture that cannot be found, say: no call says when, and there is nothing to say of it but that."""
    sent, unsent = Totals(answered=4, calls=4, billed_calls=4, cost={"CNY": Decimal(1)}), Totals(rejected=2)
    found = subject(("legal", "m", sent), ("sales", "v", unsent), by=("day",))
    found.statement.attribution = Attribution(("day",), "Asia/Shanghai", {("2026-11-24",): sent, (None,): unsent})
    assert "By day Day Share Cost, CNY Input tokens Output tokens Answered 2026-11-24" in text_of(page(found))
    assert "not told by the ledger" not in text_of(page(found))
    found.statement.attribution.groups[None,].add(Totals(in_doubt=1))
    assert "not told by the ledger" in text_of(page(found))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_is_made_by_whatever_a_report_can_be_made_by(tmp_path, language):
    """``report --by hour --html`` had ended in a traceback."""
    shown = text_of(
        written(tmp_path, Night(["legal", "sales"], rows=20), language=language, by=("workspace", "model", "day", "hour", "metadata.p"))
    )
    title = "By hour Hour Share" if language == "en" else "按小时 小时 占比"
    assert f"{title} " in shown
    assert re.search(rf"{title} .*? 2026-\d\d-\d\dT\d\d:00\+08:00 ", shown)


def test_of_more_hours_than_a_table_shows_the_rest_is_told_as_one():
    """A month of nights by the hour ended after 400 of them without a word, and its lines came to less than its total."""
    hours = {
        (f"2026-11-{1 + n // 24:02}T{n % 24:02}:00+08:00",): Totals(answered=1, calls=1, billed_calls=1, input_tokens=7) for n in range(450)
    }
    found = subject(("legal", "m", Totals(answered=450, calls=450, billed_calls=450, input_tokens=3150)), by=("hour",))
    found.statement.attribution = Attribution(("hour",), "Asia/Shanghai", hours | {(None,): Totals(rejected=2)})
    shown = text_of(page(found)).partition("By hour")[2]
    assert shown.count("T23:00+08:00 ") == 16
    assert re.search(r"2026-11-17T15:00\+08:00 .*? 50 more .*? 350 .*? 50 ", shown)
    assert "not told by the ledger" not in shown


def test_what_a_table_of_many_workspaces_does_not_show_is_told_as_one_or_counted():
    """Calls in doubt of forty workspaces and models had been listed, and those of others stood in the sum above alone."""
    many = [(f"w-{n:03}", "m", Totals(pending=2, in_doubt=1, in_doubt_input_tokens=3)) for n in range(450)]
    course = Course()
    course.trouble.update(Trouble("w-000", "again", f"code-{n:02}") for n in range(45))
    parked = [Parked("workspace", f"w-{n:03}", 1, "budget_spent") for n in range(403)]
    job = {"workspaces": {f"w-{n:03}": {"budget": {"tokens": 5}} for n in range(407)}}
    shown = text_of(page(subject(*many, course=course, parked=parked, job=job)))
    assert "50 more 50 150 –" in shown.partition("By workspace and model")[2]
    assert re.search(r"w-399 0.0 % – – – 2 50 more 0.0 % – – – 100 ", shown)
    assert "code-39 failed, tried again 1 w-000 1 5 more reasons" in re.sub(r"(What happened|Calls|Where) (?=[a-z\d])", "", shown)
    parks, budgets = shown.partition("Parked until a person acts")[2].split("Budgets", 1)
    assert "w-402" not in parks.partition("Workspace Progress")[0]
    assert "and 3 more" in parks
    assert "and 7 more" in budgets


def test_what_comes_from_a_ledger_is_only_ever_text(tmp_path):
    night = hostile(Night(["legal", "sales"], rows=120, failing=0.3, pending=3))
    for only in (None, "legal"):
        html = written(tmp_path, night, only=only, by=("day", "metadata.project"))
        parser = _Text()
        parser.feed(html)
        assert set(parser.tags).isdisjoint({"img", "iframe", "link", "object", "form", "base"})
        assert parser.tags.count("script") == 3
        assert "<script>window.hacked" not in html
        assert "\u202e" not in html


def test_the_policy_lets_nothing_in_and_names_what_runs_by_its_digest():
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', page(subject()))
    assert policy is not None
    directives = dict(each.strip().split(" ", 1) for each in policy[1].replace("&#x27;", "'").split(";"))
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    assert re.fullmatch(r"('sha256-[A-Za-z0-9+/=]{44}' ?){2}", directives["script-src"])
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", directives["style-src"])


def test_no_element_carries_a_style_or_a_handler_which_the_policy_would_forbid(tmp_path):
    html = written(tmp_path, Night(departments(4), rows=60, pending=3, job=job_of(departments(4))))
    assert not re.search(r"<[^>]* (style|on\w+)=", html)
    assert not re.search(r"""(src|href)="(?!#)""", html)


def test_the_same_ledger_gives_the_same_bytes():
    lanes = [("legal", "m", Totals(answered=1, cost={"CNY": Decimal(1)})), ("sales", "m", Totals(answered=1, cost={"CNY": Decimal(1)}))]
    assert page(subject(*lanes)) == page(subject(*reversed(lanes)))


def test_a_thousand_workspaces_are_cut_to_what_a_reader_reads_and_the_rest_is_added_up():
    lanes = [(f"department-{n:04}", "m", Totals(answered=1, calls=1, cost={"CNY": Decimal(n)}, input_tokens=n)) for n in range(1000)]
    html = page(subject(*lanes, parked=[Parked("workspace", f"department-{n:04}", 1, "E") for n in range(1000)]))
    assert len(html.encode()) < 1_500_000
    assert "600 more" in text_of(html)
    assert f'title="{sum(range(1000))} CNY"' in html


def test_a_page_of_many_models_is_no_more_work_for_each_of_them_than_one_of_few():
    """A job may name as many models as it has rows: what is looked through for each of them takes hours."""

    def work(models: int) -> float:
        course = Course()
        for number in range(models):
            course._latency["legal", f"m-{number}"] = durations = Durations()
            durations.add(100.0 + number)
        of = subject(*(("legal", f"m-{number}", Totals(answered=1, calls=1)) for number in range(models)), course=course)
        return lines_run(lambda: page(of), *_OF_SUMS) / models

    assert work(800) <= work(100)


def test_a_page_of_many_workspaces_is_no_more_work_for_each_of_them_than_one_of_few():
    """The bar of each looks at the dearest one, and not at all of them to find it."""

    def work(workspaces: int) -> float:
        of = subject(*((f"w-{number}", "qwen-plus", Totals(answered=1, calls=1, input_tokens=number)) for number in range(workspaces)))
        return lines_run(lambda: page(of), *_OF_SUMS) / workspaces

    assert work(400) <= work(100)


@pytest.mark.parametrize(("models", "others"), [(1, None), (2, False), (COLOURS, False), (COLOURS + 1, True)])
def test_the_legend_names_each_model_that_has_a_colour_of_its_own_and_the_others_together(models, others):
    lanes = [("legal", f"m-{place}", Totals(answered=1, calls=1, output_tokens=50 - place)) for place in range(models)]
    legend = re.search(r'<ul class="legend">.*?</ul>', page(subject(*lanes)))
    told = None if legend is None else text_of(legend[0]).split()
    named = [f"m-{place}" for place in range(min(models, COLOURS))]
    assert told == (None if others is None else [*named, *["other", "models"] * others])


@pytest.mark.parametrize("only", [None, "legal"])
def test_the_busiest_minute_of_each_quota_is_drawn_and_told_the_fullest_first_and_to_a_department_its_own_alone(only):
    course, begins = Course(), 1_764_000_000
    used = [
        (StatedQuota(None, "hr", None, 50, None), "calls", (5,)),
        (StatedQuota("main", None, "qwen-plus", 100, None), "calls", (50, 0, 30)),
        (StatedQuota(None, "legal", None, 30, 1000), "calls", (36,)),
        (StatedQuota(None, "legal", None, 30, 1000), "tokens", (499,)),
    ]
    for quota, kind, counts in used:
        for minute, counted in enumerate(counts):
            course.minutes.add((quota, kind), begins + 60 * minute, counted)
    section, plots = how(subject(("legal", "qwen-plus", Totals(answered=1)), course=course, workspace=only), Words("en"))
    told = [
        ("legal", "requests a minute 30 36 120.0 % 120.0 %", [36, 0, 0]),
        ("main · qwen-plus", "requests a minute 100 50 50.0 % 40.0 %", [50, 0, 30]),
        ("legal", "tokens a minute 1,000 499 49.9 % 49.9 %", [499, 0, 0]),
        ("hr", "requests a minute 50 5 10.0 % 10.0 %", [5, 0, 0]),
    ]
    shown = [each for each in told if only in {None, each[0]}]
    assert [(each["name"], each["counts"]) for each in plots["quota"]["series"]] == [(quota, counts) for quota, _, counts in shown]
    assert text_of(section).endswith(" Mean " + " ".join(f"{quota} {said}" for quota, said, _ in shown))
    assert [section.count(f'class="{kind}"') for kind in ("bad", "good")] == [1, len(shown) - 1]
    assert 'width="100.00%"' in section, "no bar is longer than its place"


def test_many_runs_make_one_page(tmp_path):
    paths = [write_night(tmp_path / str(n), Night(departments(2), rows=30)) for n in range(2)]
    for n, path in enumerate(paths):
        described = orjson.loads((path / "run.json").read_bytes())
        (path / "run.json").write_bytes(orjson.dumps(described | {"run": f"run-{n}", "name": f"night-{n}"}))
    report = reported(paths, by=("day",), with_course=True)
    publish(report, tmp_path / "page.html")
    said = text_of((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "night-0 and 1 more" in said
    assert "2 runs" in said
    assert report.course is not None
    assert sum(each.count for each in report.course.latency().values()) == report.statement.total().answered


def test_the_end_of_a_night_with_one_workspace_has_no_table_of_lanes_of_others():
    lone = subject(("legal", "m", Totals(answered=1)))
    assert "Every workspace and model" not in text_of(page(lone))
    assert "Every workspace and model" in text_of(
        page(replace(lone, statement=subject(("a", "m", Totals(answered=1)), ("b", "m", Totals(answered=1))).statement))
    )
