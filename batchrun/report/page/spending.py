"""Who spent what, and on what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import TypeVar

from batchrun.core.ledger.attribution import LANE
from batchrun.core.ledger.totals import Totals
from batchrun.report.amounts import amount
from batchrun.report.page.figures import bar, percent, places, whole
from batchrun.report.page.markup import Child, Markup, h, name, visible
from batchrun.report.page.subject import COLOURS, Subject
from batchrun.report.page.tables import Cell, Column, count, table, text
from batchrun.report.page.words import Words

_Key = TypeVar("_Key")

MOST_ROWS = 400
"""Of a table: what is beyond is added up in one. A page is read by people."""
FOLDED_FROM = 25
"""Workspaces and models from which on their table is folded away."""


def who(subject: Subject, words: Words) -> Markup:
    """By workspace, with the models that each spent on; on a workspace's own page, by model alone."""
    if subject.workspace is not None:
        return Markup("")
    columns = [
        Column(words.say("workspace"), number=False),
        Column(words.say("share"), number=False, sorts=False, kind="wide"),
        *_spent_columns(subject, words),
        Column(words.say("calls"), kind="minor"),
        Column(words.say("answered")),
    ]
    decimals = _decimals(subject, subject.of_workspaces)
    models = _models_of(subject)
    rows = [
        [
            text(label),
            Cell(_share_bar(subject, models.get(key or "", {}), totals), float(subject.weight(totals))),
            *_spent(subject, totals, decimals, words),
            count(totals.calls),
            count(totals.answered),
        ]
        for key, label, totals in cut(subject.of_workspaces, words)
    ]
    foot = [text(words.say("total")), text(""), *_spent(subject, subject.total, decimals, words)]
    foot += [count(subject.total.calls), count(subject.total.answered)]
    tokens = "who_lead_tokens" if subject.currencies else "who_lead_unknown"
    lead = words.say("who_lead" if subject.currency or not subject.weight(subject.total) else tokens)
    shown = table(words, "who", columns, rows, foot=foot, searched=True)
    return h(
        "section", h("h2", words.say("who")), h("p", lead, class_="lead"), _legend(subject, words), shown, _plus(subject, words), id="who"
    )


def what(subject: Subject, words: Words) -> Markup:
    """By model; then each workspace and model."""
    title = h("h2", words.say("what" if subject.workspace is None else "who"))
    parts = [h("p", words.say("what_lead"), class_="lead"), _by_model(subject, words), [_by(name, subject, words) for name in subject.by]]
    if subject.workspace is None:
        parts.append(_lanes(subject, words))
    else:
        parts.append(_plus(subject, words))
    anchor = h("span", id="who") if subject.workspace is not None else None
    return h("section", anchor, title, parts, id="what")


def _by_model(subject: Subject, words: Words) -> Markup:
    decimals = _decimals(subject, subject.of_models)
    columns = [
        Column(words.say("model"), number=False),
        Column(words.say("share"), number=False, sorts=False, kind="wide"),
        *_spent_columns(subject, words),
        Column(words.say("cached"), kind="minor"),
        Column(words.say("reasoning"), kind="minor"),
        Column(words.say("answered")),
    ]
    if subject.currency:
        columns.append(Column(words.say("per_thousand"), kind="minor"))
    rows = []
    for key, label, totals in cut(subject.of_models, words):
        colour = subject.colours.get(key or "", COLOURS)
        row = [
            text(h("span", h("span", class_=f"swatch c{colour}"), label, class_="keyed")),
            Cell(bar([(subject.share(totals), f"c{colour}", "")]), float(subject.weight(totals))),
            *_spent(subject, totals, decimals, words),
            count(totals.cached_tokens),
            count(totals.reasoning_tokens),
            count(totals.answered),
        ]
        if subject.currency:
            row.append(_each(subject.weight(totals) * 1000 / totals.answered if totals.answered and not totals.unpriced_calls else None))
        rows.append(row)
    return table(words, "what", columns, rows)


def _by(dimension: str, subject: Subject, words: Words) -> Markup:
    """By day, hour or the rows' own metadata: as told in that order, or the dearest first."""
    groups = {key[0]: totals for key, totals in subject.statement.by([dimension]).groups.items()}
    if dimension in LANE or len(groups) <= (dimension == "day"):
        return Markup("")
    timely = dimension in {"day", "hour"}
    parts = groups if timely else subject.ranked(groups)
    most = max((subject.weight(totals) for totals in parts.values()), default=Decimal(0))
    decimals = _decimals(subject, parts)
    title = words.say(f"by_{dimension}") if timely else words.say("by_metadata", key=visible(dimension.removeprefix("metadata.")))
    columns = [Column(words.say(dimension) if timely else visible(dimension.removeprefix("metadata.")), number=False)]
    columns += [
        Column(words.say("share"), number=False, sorts=False, kind="wide"),
        *_spent_columns(subject, words),
        Column(words.say("answered")),
    ]
    told = {(label,): totals for label, totals in parts.items() if totals.billed_calls or totals.in_doubt or totals.answered}
    rows = [
        [
            text(_group(key[0], words) if key else label),
            Cell(bar([(min(float(subject.weight(totals) / most), 1.0), "c0", "")] if most else []), float(subject.weight(totals))),
            *_spent(subject, totals, decimals, words),
            count(totals.answered),
        ]
        for key, label, totals in cut(told, words)
    ]
    return Markup(h("h3", title) + table(words, "what", columns, rows, searched=True))


def _group(label: str | None, words: Words) -> Child:
    if label is None:
        return h("span", words.say("not_told"), class_="quiet")
    return name(label) if label else h("span", words.say("no_value"), class_="quiet")


def _lanes(subject: Subject, words: Words) -> Markup:
    if len(subject.lanes) <= 1:
        return Markup("")
    decimals = _decimals(subject, subject.lanes)
    columns = [
        Column(words.say("workspace"), number=False),
        Column(words.say("model"), number=False),
        *_spent_columns(subject, words),
        *(Column(words.say(key), kind=kind) for key, kind in _COUNTS),
    ]
    rows = []
    for key, label, totals in cut(subject.lanes, words):
        rows.append([*lane(key, label), *_spent(subject, totals, decimals, words), *(count(getattr(totals, key)) for key, _ in _COUNTS)])
    shown = table(words, "lanes", columns, rows, searched=True)
    return h("details", h("summary", words.say("lanes")), shown, open=len(subject.lanes) <= FOLDED_FROM)


_COUNTS = (
    ("calls", ""),
    ("retries", "minor"),
    ("throttles", "minor"),
    ("answered", ""),
    ("rejected", ""),
    ("exhausted", ""),
    ("pending", ""),
)


def _spent_columns(subject: Subject, words: Words) -> list[Column]:
    costs = [Column(words.say("cost_in", currency=visible(currency))) for currency in subject.currencies]
    return [*(costs or [Column(words.say("cost"))]), Column(words.say("input")), Column(words.say("output"))]


def _spent(subject: Subject, totals: Totals, decimals: Mapping[str, int], words: Words) -> list[Cell]:
    costs = [_cost(totals, currency, decimals[currency], words) for currency in subject.currencies]
    return [*(costs or [_cost(totals, "", 2, words)]), count(totals.input_tokens), count(totals.output_tokens)]


def _cost(totals: Totals, currency: str, decimals: int, words: Words) -> Cell:
    """An amount; marked where it leaves calls out, and unknown where it would be nothing but such calls."""
    value = totals.cost.get(currency)
    if value is None:
        if totals.unpriced_calls and not totals.cost:
            return Cell(h("span", words.say("unknown"), class_="warn"), -1)
        return count(0)
    plus = h("span", "+", class_="warn plus") if totals.unpriced_calls else None
    return Cell([h("span", amount(value, decimals), title=f"{value:f} {currency}"), plus], float(value))


def _each(value: Decimal | None) -> Cell:
    return count(0) if value is None else Cell(amount(value, places([value])), float(value))


def _decimals(subject: Subject, parts: Mapping[_Key, Totals]) -> dict[str, int]:
    return {
        currency: places(totals.cost[currency] for totals in parts.values() if currency in totals.cost) for currency in subject.currencies
    }


def cut(parts: Mapping[_Key, Totals], words: Words) -> Iterator[tuple[_Key | None, Markup, Totals]]:
    """Give the first parts, each with its key and its name, and the rest as one."""
    for key, totals in islice(parts.items(), MOST_ROWS):
        yield key, name(key) if isinstance(key, str) else Markup(""), totals
    if len(parts) > MOST_ROWS:
        rest = Totals()
        for totals in islice(parts.values(), MOST_ROWS, None):
            rest.add(totals)
        yield None, words.say("rest", n=whole(len(parts) - MOST_ROWS)), rest


def lane(key: tuple[str, str] | None, label: Markup) -> list[Cell]:
    """A workspace and a model; or what is beyond those that are told, in one."""
    return [text(name(key[0])), text(name(key[1]))] if key else [text(label), text("")]


def _models_of(subject: Subject) -> dict[str, dict[str, Totals]]:
    found: dict[str, dict[str, Totals]] = {}
    for (workspace, model), totals in subject.lanes.items():
        found.setdefault(workspace, {})[model] = totals
    return found


def _share_bar(subject: Subject, models: Mapping[str, Totals], totals: Totals) -> Child:
    """As long as the workspace's part of the dearest one's, which stands first, in the colours of its models."""
    most = subject.weight(next(iter(subject.of_workspaces.values())))
    if not most:
        return bar([])
    parts: dict[int, list[str]] = {}
    weights: dict[int, Decimal] = {}
    for model, each in models.items():
        colour = subject.colours[model]
        parts.setdefault(colour, []).append(visible(model))
        weights[colour] = weights.get(colour, Decimal(0)) + subject.weight(each)
    drawn = [(float(weights[colour] / most), f"c{colour}", ", ".join(parts[colour][:4])) for colour in sorted(parts)]
    return [bar(drawn), h("span", percent(subject.share(totals)), class_="share")]


def _legend(subject: Subject, words: Words) -> Markup:
    if len(subject.of_models) < 2:
        return Markup("")
    keys: list[Sequence[Child]] = [
        (h("span", class_=f"swatch c{place}"), name(model, 32)) for place, model in enumerate(islice(subject.of_models, COLOURS))
    ]
    if len(subject.of_models) > COLOURS:
        keys.append((h("span", class_=f"swatch c{COLOURS}"), words.say("other_models")))
    return h("ul", [h("li", key) for key in keys], class_="legend")


def _plus(subject: Subject, words: Words) -> Markup:
    return h("p", words.say("plus_hint"), class_="note") if subject.total.unpriced_calls else Markup("")
