"""The page in a real browser: nothing leaves it, nothing from a ledger runs in it, and everybody can read it."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from decimal import Decimal
from io import BytesIO

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright
from pypdf import PdfReader

from batchrun.core.ledger.totals import Totals
from batchrun.report.page.document import page as page_of
from batchrun.telling.publishing import publish
from batchrun.telling.reporting import reported
from tests.report.test_page import subject
from tests.report.written import MODELS, NIGHT, Night, departments, hostile, job_of, write_night

CHROMIUM = "/usr/bin/chromium"
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update
--disable-sync""".split()  # noqa: SIM905 - read as one line of a shell
BY = ("day", "metadata.project")
PHONE, LAPTOP = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
THREE = departments(3)
NIGHTS = {
    "three": Night(THREE, rows=150, seconds=4100, job=job_of(THREE), pending=40, failing=0.05),
    "sixty": Night(departments(60), rows=60, models=MODELS, unpriced=MODELS[5:], job=job_of(departments(60)), failing=0.05),
    "hostile": hostile(
        Night(["legal", "ا" * 60, "sales"], rows=60, failing=0.3, pending=3, name="\u202e</title><script>window.hacked=1</script>")
    ),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of each night, and one department's of the first."""
    root = tmp_path_factory.mktemp("pages")
    found = {}
    for name, night in NIGHTS.items():
        directory = write_night(root / name, night)
        found[name] = root / f"{name}.html"
        publish(reported([directory], by=BY, with_course=True), found[name], by=BY)
    found["own"] = root / "own.html"
    publish(reported([root / "three"], by=BY, only="legal", with_course=True), found["own"], by=BY, only="legal", language="zh")
    return found


@pytest.fixture(scope="module")
def browser():
    """One browser for all; Debian's chromium, which `.ci/run` installs."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@contextmanager
def shown(browser, path, *, viewport=LAPTOP, **settings):
    """A page that is open, with what it asked for and what it complained of."""
    context = browser.new_context(viewport=viewport, **settings)
    page = context.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        page.goto(path.as_uri())
        yield page, asked, said
    finally:
        context.close()


def open_everything(page):
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    expect(page.locator(".numbers:not(:has(table))")).to_have_count(0)


@pytest.mark.parametrize("name", [*NIGHTS, "own"])
def test_nothing_leaves_the_page_whatever_is_done_with_it(browser, pages, name):
    with shown(browser, pages[name]) as (page, asked, said):
        page.click("#language")
        page.click("#theme")
        open_everything(page)
        page.locator(".sort:visible").first.click()
        assert asked == [pages[name].as_uri()]
        assert said == []


def test_the_policy_stops_what_would_leave_and_what_would_run(browser, pages):
    with socket.create_server(("127.0.0.1", 0)) as server, shown(browser, pages["three"]) as (page, _, _):
        server.setblocking(False)
        outcome = page.evaluate(
            """async (url) => {
                const image = new Image();
                const failed = new Promise((done) => { image.onerror = () => done('stopped'); image.onload = () => done('loaded'); });
                image.src = url;
                const script = document.createElement('script');
                script.textContent = 'window.hacked = 1';
                document.body.append(script);
                const fetched = await fetch(url).then(() => 'sent', () => 'stopped');
                return [await failed, fetched, navigator.sendBeacon(url), String(window.hacked)];
            }""",
            f"http://127.0.0.1:{server.getsockname()[1]}/",
        )
        assert outcome[:2] == ["stopped", "stopped"]
        assert outcome[3] == "undefined"
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    ("name", "scheme", "viewport"),
    [
        ("three", "light", LAPTOP),
        ("three", "dark", PHONE),
        ("sixty", "dark", LAPTOP),
        ("hostile", "dark", PHONE),
        ("own", "light", LAPTOP),
    ],
)
def test_axe_finds_no_barrier(browser, pages, name, scheme, viewport):
    with shown(browser, pages[name], viewport=viewport, color_scheme=scheme, reduced_motion="reduce") as (page, _, _):
        if name != "sixty":
            # Of the plots one is enough: the tables are alike, and long.
            page.evaluate("document.querySelectorAll('details:not(figure ~ figure details)').forEach((each) => { each.open = true })")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", [*NIGHTS, "own"])
def test_no_width_makes_the_page_scroll_sideways(browser, pages, name):
    with shown(browser, pages[name], viewport=PHONE) as (page, _, _):
        page.evaluate("document.querySelectorAll('details:not(.numbers)').forEach((each) => { each.open = true })")
        for _ in range(2):
            page.click("#language")
            for width in (320, 390, 820, 1440):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["three", "hostile", "own"])
def test_a_phone_shows_all_that_is_said_of_a_failure_without_scrolling_sideways(browser, pages, name):
    with shown(browser, pages[name], viewport=PHONE) as (page, _, _):
        cells = "[...document.querySelectorAll('.stacked th, .stacked td')].filter((each) => each.checkVisibility())"
        edges = page.evaluate(f"{cells}.map((each) => [each.getBoundingClientRect().left, each.getBoundingClientRect().right])")
        assert edges
        assert all(left >= 0 and right <= PHONE["width"] for left, right in edges)
        assert page.evaluate(
            "[...document.querySelectorAll('.scroll:has(.stacked)')].every((each) => each.scrollWidth <= each.clientWidth)"
        )
        # Laid out as it is, it is a table to those who have it read out.
        assert page.get_by_role("cell").count() >= len(edges) - page.locator(".stacked tbody tr").count()


def test_a_table_that_goes_on_beyond_the_edge_fades_there_until_it_has_been_scrolled(browser, pages):
    with shown(browser, pages["three"], viewport=PHONE) as (page, _, _):
        region = page.locator("#who .scroll")
        assert "more" in region.get_attribute("class").split()
        region.evaluate("(each) => { each.scrollLeft = each.scrollWidth }")
        expect(page.locator("#who .scroll.more")).to_have_count(0)
        page.set_viewport_size(LAPTOP)
        region.evaluate("(each) => { each.scrollLeft = 0 }")
        expect(page.locator(".scroll.more")).to_have_count(0)


def test_what_is_folded_away_leaves_no_heading_alone_on_paper(browser, pages):
    with shown(browser, pages["sixty"]) as (page, _, _):
        folded = page.locator("#what summary").inner_text()
        assert page.locator("#what details[open]").count() == 0
        page.emulate_media(media="print")
        assert page.locator("#what summary").is_hidden()
        page.evaluate("document.querySelector('#what details').open = true")
        assert page.locator("#what summary").inner_text() == folded


def test_names_that_are_script_are_shown_as_what_they_are(browser, pages):
    with shown(browser, pages["hostile"]) as (page, _, said):
        open_everything(page)
        page.click("#language")
        assert page.evaluate("window.hacked") is None
        assert said == []
        assert "<script>window.hacked=1</script>" in page.title()
        assert "\\u202e" in page.title()
        assert "</script><script>window.hacked=1</script>" in page.locator("#wrong").inner_text()
        assert page.locator("img, iframe, object").count() == 0
        # The plots name models too.
        assert "</script>" in page.locator("#how .readout").nth(2).inner_text()


def test_the_switch_says_everything_in_the_other_language_and_back(browser, pages):
    with shown(browser, pages["three"]) as (page, _, _):
        before = page.locator("body").inner_text()
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.locator("[data-l='who']").get_attribute("aria-label") == "Who spent what"
        page.click("#language")
        chinese = page.locator("body").inner_text()
        assert page.evaluate("document.documentElement.lang") == "zh-Hans"
        for sentence in (
            "谁花了多少",
            "未完成：还有 40 行在等待，且有事项需要人工处理。",
            "Token 随时间变化",
            "最忙的一分钟",
            "研发" if "研发中心" in before else "业务空间",
        ):
            assert sentence in chinese
        assert page.locator("[data-l='who']").get_attribute("aria-label") == "谁花了多少"
        for sentence in ("Who spent what", "Times in", "rows wait", "Median"):
            assert sentence not in chinese
        page.click("#language")
        assert page.locator("body").inner_text() == before


def test_the_switch_tells_one_as_one_too(browser, tmp_path):
    one = Totals(pending=1, rejected=1, calls=1, retries=1, in_doubt=1, in_doubt_cost={"CNY": Decimal(1)}, unpriced_calls=1)
    path = tmp_path / "one.html"
    path.write_text(page_of(subject(("legal", "m", one), ("sales", "m", Totals(answered=1)))), encoding="utf-8")
    with shown(browser, path) as (page, _, _):
        before = page.locator("body").inner_text()
        assert "Not done: 1 row is still waiting." in before
        page.click("#language")
        assert "还有 1 行在等待" in page.locator("body").inner_text()
        page.click("#language")
        assert page.locator("body").inner_text() == before


def test_a_page_in_chinese_opens_in_it(browser, pages):
    with shown(browser, pages["own"]) as (page, _, _):
        said = page.locator("body").inner_text()
        assert "业务空间 legal" in said
        assert "限流与重试随时间变化" in said
        assert "marketing" not in said


def test_tables_are_sorted_and_searched_from_the_keyboard(browser, pages):
    with shown(browser, pages["sixty"]) as (page, _, _):
        calls = page.locator("#who thead .sort").nth(4)
        calls.focus()
        page.keyboard.press("Enter")
        column = "[...document.querySelectorAll('#who tbody tr:not([hidden])')].map((row) => Number(row.cells[5].dataset.v))"
        values = page.evaluate(column)
        assert values == sorted(values, reverse=True)
        assert page.locator("#who th[aria-sort='descending']").count() == 1
        page.keyboard.press("Space")
        assert page.evaluate(column) == sorted(values)
        page.locator("#who .find").focus()
        page.keyboard.type("人力")
        assert page.locator("#who tbody tr:visible").count() == len([each for each in departments(60) if "人力" in each])


@pytest.mark.parametrize("viewport", [LAPTOP, PHONE])
def test_a_long_table_leaves_what_comes_after_it_near_with_its_headings_and_its_total_in_sight(browser, pages, viewport):
    with shown(browser, pages["sixty"], viewport=viewport) as (page, _, _):
        region = page.locator("#who .scroll")
        assert region.bounding_box()["height"] < viewport["height"] * 0.75
        region.evaluate("(each) => { each.scrollTop = 700 }")
        (top, bottom), heads, total = (
            region.evaluate(f"(each) => {{ const box = {within}.getBoundingClientRect(); return [box.top, box.bottom] }}")
            for within in ("each", "each.querySelector('thead th')", "each.querySelector('tfoot th')")
        )
        assert (top <= heads[0] < heads[1] < bottom, top < total[0] < total[1] <= bottom) == (True, True)
        page.emulate_media(media="print")
        assert region.bounding_box()["height"] == page.locator("#who table").bounding_box()["height"]


def test_a_plot_reads_its_values_to_the_arrow_keys_and_has_them_in_a_table(browser, pages):
    with shown(browser, pages["three"], timezone_id="America/New_York") as (page, _, _):
        open_everything(page)
        figure = page.locator("figure").first
        rows = figure.locator(".numbers tbody tr").all_inner_texts()
        figure.locator("[data-plot]").focus()
        page.keyboard.press("Home")
        assert figure.locator(".readout").get_attribute("aria-live") == "polite"
        readout = figure.locator(".readout").inner_text().split("\n")
        # The run's own zone, wherever its reader is.
        assert readout[0] == "2026-11-24 22:00:00"
        first = rows[0].split("\t")
        assert first[0] == readout[0]
        assert first[1:] == [value for value in readout[1:] if value not in THREE]
        page.keyboard.press("ArrowRight")
        assert figure.locator(".readout").inner_text().split("\n")[0] > readout[0]


WRITTEN = """window.written = [];
const fillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...at) { window.written.push(text); fillText.call(this, text, ...at); };"""


def test_a_run_of_one_short_call_has_axes_that_can_be_read(browser, tmp_path):
    """The clock stood at each of ten ticks within the one second, and nothing under the one answer's time."""
    directory = write_night(tmp_path / "one", Night(["legal"], rows=1, seconds=0, failing=0, streamed=False))
    publish(reported([directory], with_course=True), tmp_path / "one.html")
    with shown(browser, tmp_path / "one.html") as (page, _, said):
        page.add_init_script(WRITTEN)
        page.reload()
        written = page.evaluate("window.written")
    assert said == []
    clocks = [each for each in written if each.startswith("22:00:0")]
    assert clocks == ["22:00:00", "22:00:01"]
    assert [each for each in written if each.endswith((" ms", " s"))]


def test_the_numbers_of_a_plot_are_those_of_the_statement(browser, pages):
    with shown(browser, pages["three"]) as (page, _, _):
        plot = page.evaluate("JSON.parse(document.getElementById('numbers').textContent).plots.tokens")
    statement = reported([pages["three"].with_suffix("")]).statement
    tokens = {each: statement.total(each).input_tokens + statement.total(each).output_tokens for each in THREE}
    assert {series["name"]: sum(series["counts"]) for series in plot["series"]} == tokens
    assert plot["from"] <= NIGHT + plot["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_plots_are_drawn_in_the_light_of_the_page(browser, pages, scheme):
    ink = """() => [...document.querySelectorAll('canvas')].map((canvas) => {
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        const found = new Set();
        for (let n = 0; n < pixels.length; n += 4) if (pixels[n + 3] === 255) found.add(`${pixels[n]},${pixels[n + 1]},${pixels[n + 2]}`);
        return [...found];
    })"""
    blue = {"light": "0,114,178", "dark": "75,163,227"}
    with shown(browser, pages["three"], color_scheme=scheme) as (page, _, _):
        assert page.locator("canvas").count() == 5
        assert all(blue[scheme] in colours for colours in page.evaluate(ink))
        page.click("#theme")
        other = {"light": "dark", "dark": "light"}[scheme]
        assert all(blue[other] in colours for colours in page.evaluate(ink))


def test_paper_is_light_and_holds_the_whole_page(browser, pages):
    with shown(browser, pages["three"], color_scheme="dark") as (page, _, _):
        page.evaluate(
            """addEventListener('beforeprint', () => {
                const widths = [...document.querySelectorAll('.uplot')].map((each) => each.clientWidth);
                window.printed = [getComputedStyle(document.body).backgroundColor, Math.max(...widths)];
            })"""
        )
        paper = page.pdf(prefer_css_page_size=True, print_background=False)
        assert paper.startswith(b"%PDF")
        # A4 less its margins is 703 px wide.
        assert page.evaluate("window.printed") == ["rgb(247, 247, 245)", 690]
        page.emulate_media(media="print")
        assert page.locator(".switches").is_hidden()


def test_a_table_that_goes_on_on_another_sheet_of_paper_has_its_headings_there_too(browser, pages):
    with shown(browser, pages["sixty"]) as (page, _, _):
        sheets = [sheet.extract_text() for sheet in PdfReader(BytesIO(page.pdf(prefer_css_page_size=True))).pages]
    headings = ["Workspace", "Share", "Cost", "Input", "Output", "Answered"]
    first, second = sheets[:2]
    assert "Who spent what" in first
    assert "Who spent what" not in second
    for sheet in (first, second):
        assert all(heading in sheet for heading in headings), sheet
    # A sheet that nothing but a table begins on begins with its headings.
    assert second.split()[:2] == headings[:2]


def test_nothing_moves_for_a_reader_who_wants_it_still(browser, pages):
    with shown(browser, pages["three"], reduced_motion="reduce") as (page, _, _):
        moving = "[...document.querySelectorAll('*')].filter((each) => parseFloat(getComputedStyle(each).transitionDuration) > 0).length"
        assert page.evaluate(moving) == 0
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_without_javascript_all_tables_stand_there(browser, pages):
    with shown(browser, pages["three"], java_script_enabled=False) as (page, _, _):
        assert page.locator("#who tbody tr").count() == 3
        assert "The plots need JavaScript" in page.locator("#how").inner_text()


def test_with_one_key_after_the_other_all_that_can_be_worked_is_reached(browser, pages):
    with shown(browser, pages["three"]) as (page, _, _):
        reached = []
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.className || document.activeElement.tagName"))
        assert reached[:6] == ["language", "theme", "card", "card", "card", "card"]
        assert {"sort", "scroll", "SUMMARY"} <= set(reached)
