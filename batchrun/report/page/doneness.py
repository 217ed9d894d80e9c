"""Is it done: rows answered and left, what is parked, what the budgets have left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from batchrun.core.jobs.stated import TOKENS, StatedBudget, budgets_of
from batchrun.core.ledger.totals import Totals
from batchrun.core.rows.reasons import told
from batchrun.report.amounts import amount
from batchrun.report.page.chinese import worded
from batchrun.report.page.figures import bar, percent, whole
from batchrun.report.page.markup import Child, Markup, h, name, visible
from batchrun.report.page.spending import MOST_ROWS, cut
from batchrun.report.page.subject import Parked, Subject, rows_of
from batchrun.report.page.tables import Cell, Column, count, table, text
from batchrun.report.page.words import Words

_MILLION = Decimal(1_000_000)
_WHOLE = 400
"""Characters of a workspace and a model: which one stands still is told whole."""
_FIRST = 10
"""Unfinished workspaces that are not folded away."""


def done(subject: Subject, words: Words) -> Markup:
    """The whole section."""
    lead = words.say("done_lead", answered=whole(subject.total.answered), rows=whole(rows_of(subject.total)))
    parts = [_endings(subject, words), _parked(subject, words), _unfinished(subject, words), _budgets(subject, words)]
    return h("section", h("h2", words.say("is_done")), h("p", lead, class_="lead"), parts, id="done")


def _endings(subject: Subject, words: Words) -> Iterator[Markup]:
    for run in subject.runs if subject.total.pending else ():
        if run.stopped_by:
            yield h("p", _which(run.where), words.say("stopped_by", signal=visible(run.stopped_by)))
        elif not run.finished:
            yield h("p", _which(run.where), words.say("under_way"))
    if subject.statement.rejected_input and subject.workspace is None:
        yield h("p", words.say("set_aside", n=whole(subject.statement.rejected_input)), class_="warn")
        if why := [*told(subject.statement.rejected_input, subject.no_rows)]:
            yield h("ul", [h("li", worded(each, words.language)) for each in why], class_="quiet")


def _which(run: str) -> Child:
    """The run that something is said of, where there are several."""
    return [h("code", name(run, _WHOLE)), ": "] if run else None


def _parked(subject: Subject, words: Words) -> list[Markup]:
    """What needs a person, and what only waits for its hours."""
    parts = []
    for key, kind, scopes in (("parked", "bad", subject.needs_a_person), ("closed", "wait", subject.closed)):
        if scopes:
            told = [_scope(each, kind, words) for each in scopes[:MOST_ROWS]]
            parts.append(h("div", h("h3", words.say(key)), told, _more(len(scopes), words)))
    return parts


def _more(count: int, words: Words) -> Markup | None:
    """That there are more than are told."""
    return h("p", words.say("and_more", n=whole(count - MOST_ROWS)), class_="note") if count > MOST_ROWS else None


def _scope(parked: Parked, kind: str, words: Words) -> Markup:
    scope = words.say(f"parked_{parked.scope}" if parked.scope in {"lane", "workspace", "account"} else "parked_lane")
    status = f" {parked.status}" if parked.status else ""
    head = h(
        "p",
        _which(parked.run),
        h("strong", name(parked.name, _WHOLE)),
        " ",
        h("span", scope, class_="quiet"),
        h("span", words.say("rows_wait", n=whole(parked.rows)), class_="right"),
    )
    told = h("p", h("code", name(parked.code), status), " ", worded(parked.message, words.language, 300), class_="quiet")
    return h("div", head, h("p", worded(parked.advice, words.language)) if parked.advice else None, told, class_=f"box {kind}")


def _unfinished(subject: Subject, words: Words) -> Markup | None:
    """The workspaces that have not all their answers; the others are only counted."""
    left = {key: totals for key, totals in subject.of_workspaces.items() if totals.answered < rows_of(totals)}
    if not left:
        return None
    columns = [Column(words.say("workspace"), number=False), Column(words.say("progress"), number=False, sorts=False, kind="wide")]
    columns += [Column(words.say(key)) for key in ("answered", "rejected", "exhausted", "pending")]
    worst = dict(sorted(left.items(), key=lambda each: -each[1].pending - each[1].rejected - each[1].exhausted))
    rows = [_progress(label, totals) for _, label, totals in cut(worst, words)]
    others = len(subject.of_workspaces) - len(left)
    note = h("p", words.say("others_done", n=whole(others)), class_="note") if others else None
    shown = table(words, "is_done", columns, rows[:_FIRST])
    if rest := rows[_FIRST:]:
        more = h("summary", words.say("more_unfinished", n=whole(len(left) - _FIRST)))
        shown = Markup(shown + h("details", more, table(words, "is_done", columns, rest, searched=True)))
    return Markup(shown + (note or ""))


def _progress(workspace: Markup, totals: Totals) -> list[Cell]:
    rows = rows_of(totals)
    drawn = bar([(totals.answered / rows, "good", ""), ((totals.rejected + totals.exhausted) / rows, "bad", "")])
    shown = [drawn, h("span", percent(totals.answered / rows), class_="share")]
    counts = [count(getattr(totals, key)) for key in ("answered", "rejected", "exhausted", "pending")]
    return [text(workspace), Cell(shown, totals.answered / rows), *counts]


def _budgets(subject: Subject, words: Words) -> Markup | None:
    """What was spent of each budget; a workspace's own page has its own ones only."""
    stated = [each for each in budgets_of(subject.job) if subject.workspace in {None, each.workspace}]
    if not stated or len(subject.runs) > 1:
        return None
    columns = [
        Column(words.say("budget"), number=False),
        Column(words.say("progress"), number=False, sorts=False, kind="wide"),
        Column(words.say("used")),
        Column(words.say("limit")),
    ]
    rows = [_budget(each, subject, words) for each in stated[:MOST_ROWS]]
    notes = ["budget_doubt"] if any(totals.in_doubt for totals in _paid_by(stated, subject)) else []
    notes += ["budget_shared"] if any(each.per != "run" for each in stated) else []
    shown = table(words, "budgets", columns, rows, searched=True) + (_more(len(stated), words) or "")
    return Markup(h("h3", words.say("budgets")) + shown + "".join(h("p", words.say(note), class_="note") for note in notes))


def _paid_by(budgets: Sequence[StatedBudget], subject: Subject) -> Iterator[Totals]:
    """The workspaces and models that one of *budgets* pays for."""
    for (workspace, model), totals in subject.statement.lanes.items():
        if any(each.workspace in {None, workspace} and each.model in {None, model} for each in budgets):
            yield totals


def _counted(budget: StatedBudget, totals: Totals) -> Decimal:
    """What calls have taken of *budget*: those in doubt at the most, and those without a price as it says that they count."""
    taken = Decimal(0)
    for asked, answered, cost in (
        (totals.input_tokens, totals.output_tokens, totals.cost),
        (totals.in_doubt_input_tokens, totals.in_doubt_output_tokens, totals.in_doubt_cost),
    ):
        assumed = (asked * budget.unpriced[0] + answered * budget.unpriced[1]) / _MILLION
        taken += Decimal(asked + answered) if budget.unit == TOKENS else cost.get(budget.unit, assumed)
    return taken


def _budget(budget: StatedBudget, subject: Subject, words: Words) -> list[Cell]:
    spent = sum((_counted(budget, totals) for totals in _paid_by([budget], subject)), Decimal(0))
    whose = name(budget.workspace) if budget.workspace else words.say("of_job")
    what = [" · ", name(budget.model)] if budget.model else []
    decimals = 0 if budget.unit == TOKENS else 2 if budget.amount >= 10 else 4
    limit: list[Child] = [amount(budget.amount, decimals), " ", visible(budget.unit)]
    if budget.per == "run":
        share = float(spent / budget.amount) if budget.amount else 1.0
        drawn = [bar([(min(share, 1.0), "bad" if share >= 0.95 else "good", "")]), h("span", percent(share), class_="share")]
        part = Cell(drawn, share)
    else:
        limit += [" ", words.say("per_day" if budget.per == "day" else "per_month")]
        part = Cell("–", -1)
    return [text([whose, what]), part, Cell(amount(spent, decimals), float(spent)), Cell(limit, float(budget.amount))]
