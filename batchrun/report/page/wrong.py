"""What went wrong: why rows failed and what to do, what slowed calls down, what is in doubt, what was paid for in vain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from batchrun.core.ledger.totals import Part
from batchrun.core.ledger.unanswered import Told
from batchrun.report.page.chinese import worded
from batchrun.report.page.figures import money, whole
from batchrun.report.page.markup import Child, Markup, h, name
from batchrun.report.page.spending import cut, lane
from batchrun.report.page.subject import Subject
from batchrun.report.page.tables import Cell, Column, count, table, text
from batchrun.report.page.words import Said, Words

_MOST_REASONS = 40
_FEW = 8
"""Rows of a detail that is not folded away."""
_NAMED = 3
"""Workspaces that are named beside a reason."""


def wrong(subject: Subject, words: Words) -> Markup:
    """The whole section."""
    parts = [
        _reasons(subject, words),
        _trouble(subject, words),
        _flight(subject, words),
        _doubt(subject, words),
        _waste(subject, words),
        _savings(subject, words),
    ]
    quiet = not (subject.course.reasons() or subject.course.trouble)
    said = "nothing_wrong" if subject.total.calls else "no_call"
    lead = h("p", words.say(said), class_="lead") if quiet and not subject.total.in_doubt else None
    return h("section", h("h2", words.say("wrong")), lead, parts, _unread(subject, words), id="wrong")


def _reasons(subject: Subject, words: Words) -> Child:
    grouped: dict[tuple[str, str, int | None], dict[str, Told]] = {}
    for reason, told in subject.course.reasons().items():
        grouped.setdefault((reason.outcome, reason.code, reason.status), {})[reason.workspace] = told
    if not grouped:
        return None
    ranked = sorted(grouped.items(), key=lambda each: (-_rows(each[1]), each[0][1]))
    columns = [Column(words.say("reason"), number=False), Column(words.say("rows")), *_where_column(subject, words)]
    columns.append(Column(words.say("advice"), number=False, sorts=False, kind="wide"))
    rows = []
    for (outcome, code, status), where in ranked[:_MOST_REASONS]:
        most = max(where.values(), key=lambda told: told.rows - told.others)
        what = [h("code", name(code or "–")), f" {status}" if status else "", h("span", words.say(outcome), class_="sub")]
        advice = worded(most.advice, words.language) if most.advice else None
        message = h("span", worded(most.message, words.language, 200), class_="sub") if most.message else None
        differ = any(told.others or told.message != most.message for told in where.values())
        others = h("span", words.say("said_otherwise"), class_="sub") if differ else None
        rows.append(
            [
                text(what),
                count(_rows(where)),
                *_where({key: told.rows for key, told in where.items()}, subject, words),
                text([advice, message, others]),
            ]
        )
    return [h("h3", words.say("reasons")), table(words, "reasons", columns, rows, stacked=True), _more(len(ranked), words)]


def _more(reasons: int, words: Words) -> Markup | None:
    """That there are more than are told."""
    if reasons <= _MOST_REASONS:
        return None
    return h("p", words.say("more_reasons", n=whole(reasons - _MOST_REASONS)), class_="note")


def _rows(where: Mapping[str, Told]) -> int:
    return sum(told.rows for told in where.values())


def _where_column(subject: Subject, words: Words) -> list[Column]:
    """A workspace's own page needs none."""
    return [Column(words.say("where"), number=False, sorts=False)] if subject.workspace is None else []


def _where(where: Mapping[str, int], subject: Subject, words: Words) -> list[Cell]:
    """The workspaces that have most of it."""
    if subject.workspace is not None:
        return []
    ranked = sorted(where.items(), key=lambda each: (-each[1], each[0]))
    shown: list[Child] = [h("span", name(key, 32), h("span", f"{rows:,}"), class_="line") for key, rows in ranked[:_NAMED]]
    if len(ranked) > _NAMED:
        shown.append(h("span", words.say("and_more", n=whole(len(ranked) - _NAMED)), class_="sub"))
    return [text(shown)]


def _trouble(subject: Subject, words: Words) -> Child:
    grouped: dict[tuple[str, str], Counter[str]] = {}
    for trouble, calls in subject.course.trouble.items():
        grouped.setdefault((trouble.verdict, trouble.code), Counter())[trouble.workspace] += calls
    if not grouped:
        return None
    ranked = sorted(grouped.items(), key=lambda each: (-each[1].total(), each[0]))
    columns = [Column(words.say("reason"), number=False), Column(words.say("verdict"), number=False), Column(words.say("calls"))]
    columns += _where_column(subject, words)
    rows = [
        [
            text(h("code", name(code or "–"))),
            text(words.say(f"verdict_{verdict}")),
            count(where.total()),
            *_where(where, subject, words),
        ]
        for (verdict, code), where in ranked[:_MOST_REASONS]
    ]
    lead, shown = h("p", words.say("way_lead"), class_="lead"), table(words, "way", columns, rows, stacked=True)
    return [h("h3", words.say("way")), lead, shown, _more(len(ranked), words)]


def _flight(subject: Subject, words: Words) -> Child:
    part = subject.total.in_flight
    if not part.calls:
        return None
    told = {"n": whole(part.calls), "input": whole(part.input_tokens), "output": whole(part.output_tokens)}
    lead = h("p", words.say("flight_lead", money=_in_money(part), **told))
    return [h("h3", words.say("in_flight")), h("div", lead, class_="box wait")]


def _doubt(subject: Subject, words: Words) -> Child:
    total = subject.total
    if not total.in_doubt:
        return None if total.in_flight.calls else h("p", words.say("no_doubt"), class_="note")
    told = {"n": whole(total.in_doubt), "input": whole(total.in_doubt_input_tokens), "output": whole(total.in_doubt_output_tokens)}
    lead = h("p", words.say("doubt_lead", money=_in_money(total.waste()["in_doubt"]), **told))
    where = {key: totals for key, totals in subject.lanes.items() if totals.in_doubt}
    columns = [Column(words.say("workspace"), number=False), Column(words.say("model"), number=False), Column(words.say("in_doubt"))]
    columns += [Column(words.say("input")), Column(words.say("output"))]
    ranked = dict(sorted(where.items(), key=lambda each: -each[1].in_doubt))
    rows = [
        [*lane(key, label), count(each.in_doubt), count(each.in_doubt_input_tokens), count(each.in_doubt_output_tokens)]
        for key, label, each in cut(ranked, words)
    ]
    where_told = h("details", h("summary", words.say("by_lane")), table(words, "doubt", columns, rows), open=len(rows) <= _FEW)
    return [h("h3", words.say("doubt")), h("div", lead, class_="box wait"), where_told]


def _in_money(part: Part) -> Said:
    """What calls can cost at the most, as far as that is known."""
    if not part.cost:
        return Said("nothing", {})
    amount = money(part.cost)
    if part.unpriced_calls:
        return Said("doubt_money_more", {"amount": amount, "n": whole(part.unpriced_calls)})
    return Said("doubt_money", {"amount": amount})


def _waste(subject: Subject, words: Words) -> Child:
    found = {key: part for key, part in subject.total.waste().items() if part.calls and key != "in_doubt"}
    if not found:
        return None
    columns = [Column(words.say("kind"), number=False), Column(words.say("calls")), Column(words.say("input")), Column(words.say("output"))]
    columns.append(Column(words.say("cost")))
    rows = []
    for key, part in found.items():
        paid = money(part.cost, more=part.unpriced_calls > 0) or words.say("unknown")
        counts = [count(part.calls), count(part.input_tokens), count(part.output_tokens)]
        rows.append([text(words.say(f"waste_{key}")), *counts, Cell(paid, float(sum(part.cost.values())))])
    return [h("h3", words.say("waste")), table(words, "waste", columns, rows)]


def _savings(subject: Subject, words: Words) -> Child:
    found = {key: saved for key, saved in subject.total.savings().items() if any(saved.values())}
    if not found:
        return None
    columns = [Column(words.say("kind"), number=False), Column(words.say("cost"))]
    rows = [[text(words.say(f"saved_{key}")), Cell(money(saved), float(sum(saved.values())))] for key, saved in found.items()]
    return [h("h3", words.say("savings")), h("div", table(words, "savings", columns, rows), class_="narrow")]


def _unread(subject: Subject, words: Words) -> Child:
    notes = []
    if subject.statement.unreadable_attempts:
        notes.append(h("p", words.say("unreadable", n=whole(subject.statement.unreadable_attempts)), class_="note"))
    if subject.statement.unlogged_answers:
        notes.append(h("p", words.say("unlogged", n=whole(subject.statement.unlogged_answers)), class_="note"))
    if subject.statement.openings_again:
        notes.append(h("p", words.say("again"), class_="note"))
    if subject.course.untimed:
        notes.append(h("p", words.say("untimed", n=whole(subject.course.untimed)), class_="note"))
    return notes
