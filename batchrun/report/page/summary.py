"""The top of the page: whose it is, and the four answers that an owner asks first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from batchrun.report.page.figures import bar, moment, money, percent, whole
from batchrun.report.page.markup import Child, Markup, h, name, visible
from batchrun.report.page.subject import Subject, rows_of
from batchrun.report.page.words import Words

_FIRST = 3
"""Workspaces that are named."""


def head(subject: Subject, words: Words) -> Markup:
    """The title, the time and the verdict."""
    return h("header", _switches(words), h("p", words.say("kicker"), class_="kicker"), _title(subject, words), _facts(subject, words))


def answers(subject: Subject, words: Words) -> Markup:
    """Four cards: spent, by whom, done, trouble; each leads to its section."""
    cards = (
        _card(words, "spent", "who", _spent(subject, words)),
        _card(words, "what" if subject.workspace else "spent_by", "who", _by_whom(subject, words)),
        _card(words, "done", "done", _done(subject, words)),
        _card(words, "trouble", "wrong", _trouble(subject, words)),
    )
    made_up = _say_verdict(words, "wait", subject.made_up, 0) if subject.made_up else None
    return h("div", _verdict(subject, words), made_up, h("div", cards, class_="cards"))


def _switches(words: Words) -> Markup:
    language = h(
        "button", words.say("language"), type="button", id="language", aria_label=words.plain("language_label"), data_l="language_label"
    )
    return h("div", language, h("button", words.say("dark"), type="button", id="theme"), class_="controls switches")


def _title(subject: Subject, words: Words) -> Markup:
    titles = dict.fromkeys(run.name for run in subject.runs)
    title = [name(each, 100) for each in islice(titles, 1)]
    more = len(titles) - 1
    rest = [" ", words.say("and_more", n=whole(more))] if more > 0 else []
    whose = h("p", words.say("of_workspace", workspace=visible(subject.workspace)), class_="whose") if subject.workspace else None
    return Markup(h("h1", title, rest) + (whose or ""))


def _facts(subject: Subject, words: Words) -> Markup:
    return h("p", [h("span", fact) for fact in _told(subject, words)], class_="facts")


def _told(subject: Subject, words: Words) -> Iterator[Child]:
    course = subject.course
    if course.began is not None and course.ended is not None:
        yield words.say("period", begin=moment(course.began, subject.zone), end=moment(course.ended, subject.zone))
    yield words.say("zone", zone=subject.zone.key)
    if len(subject.runs) == 1:
        yield [words.say("run"), " ", name(subject.runs[0].run, 12)]
    else:
        yield words.say("of_runs", n=whole(len(subject.runs)))
    yield words.say("made", at=subject.made_at.astimezone(subject.zone).strftime("%Y-%m-%d %H:%M"))


def _verdict(subject: Subject, words: Words) -> Markup:
    total = subject.total
    failed = total.rejected + total.exhausted
    if total.pending:
        return _say_verdict(
            words, "bad" if subject.needs_a_person else "wait", "not_done_parked" if subject.needs_a_person else "not_done", total.pending
        )
    if failed:
        return _say_verdict(words, "wait", "finished_with_failures", failed)
    if lines := subject.statement.rejected_input:
        return _say_verdict(words, "wait" if total.answered else "bad", "all_done_but_lines" if total.answered else "no_row_at_all", lines)
    if any(run.grown for run in subject.runs):
        return _say_verdict(words, "wait", "all_done_but_grown", total.answered)
    return _say_verdict(words, "good", "all_done" if total.answered else "nothing_to_do", total.answered)


def _say_verdict(words: Words, kind: str, key: str, count: int) -> Markup:
    mark = "✓" if kind == "good" else "!"
    return h("p", h("span", mark, class_="mark", aria_hidden="true"), " ", words.say(key, n=whole(count)), class_=f"verdict {kind}")


def _card(words: Words, key: str, section: str, told: Iterable[Child]) -> Markup:
    return h("a", h("span", words.say(key), class_="label"), told, class_="card", href=f"#{section}")


def _spent(subject: Subject, words: Words) -> Iterator[Child]:
    total = subject.total
    for currency, value in sorted(total.cost.items()):
        figure, _, unit = money({currency: value}, more=total.unpriced_calls > 0).rpartition(" ")
        yield h("span", figure, " ", h("small", unit), class_="figure")
    if not total.cost:
        yield h("span", words.say("unknown") if total.unpriced_calls else "0", class_="figure")
    yield h("span", words.say("tokens_in_out", input=whole(total.input_tokens), output=whole(total.output_tokens)), class_="sub")
    if total.unpriced_calls:
        key = "unpriced" if total.cost else "all_unpriced"
        yield h("span", words.say(key, n=whole(total.unpriced_calls)), class_="sub warn")
    if total.searches:
        yield h("span", words.say("searches", n=whole(total.searches)), class_="sub warn")


def _by_whom(subject: Subject, words: Words) -> Iterator[Child]:
    """The first workspaces; on a workspace's own page, its models."""
    parts = subject.of_models if subject.workspace else subject.of_workspaces
    rows = [
        h("span", name(part, 24), h("span", percent(subject.share(parts[part])), class_="n"), class_="pair")
        for part in islice(parts, _FIRST)
    ]
    yield h("span", rows, class_="list") if rows else h("span", "–", class_="figure")
    if len(parts) > _FIRST:
        yield h("span", words.say("and_more", n=whole(len(parts) - _FIRST)), class_="sub")


def _done(subject: Subject, words: Words) -> Iterator[Child]:
    total = subject.total
    rows = rows_of(total)
    yield h("span", percent(total.answered / rows) if rows else "–", class_="figure")
    yield bar([(total.answered / rows, "good", ""), ((total.rejected + total.exhausted) / rows, "bad", "")] if rows else [])
    yield h("span", words.say("of_rows", answered=whole(total.answered), n=whole(rows)), class_="sub")


def _trouble(subject: Subject, words: Words) -> Iterator[Child]:
    total = subject.total
    failed = total.rejected + total.exhausted
    yield h("span", whole(failed), " ", h("small", words.say("rows_failed", n=whole(failed))), class_="figure")
    yield h("span", words.say("retries_throttles", retries=whole(total.retries), throttles=whole(total.throttles)), class_="sub")
    if total.in_flight.calls:
        yield h("span", whole(total.in_flight.calls), " ", words.say("calls_in_flight", n=whole(total.in_flight.calls)), class_="sub")
    if total.in_doubt:
        yield h("span", whole(total.in_doubt), " ", words.say("calls_in_doubt", n=whole(total.in_doubt)), class_="sub warn")
