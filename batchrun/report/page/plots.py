"""How it went: the numbers of each plot, which the page's script draws, and the quantiles and quotas as tables."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from itertools import islice
from typing import Any

from batchrun.core.classes import value
from batchrun.core.jobs.stated import StatedQuota
from batchrun.core.ledger.durations import GAMMA, Durations
from batchrun.core.ledger.timeline import Timeline
from batchrun.report.page.figures import bar, percent, seconds, whole, width
from batchrun.report.page.markup import Child, Markup, h, name, visible
from batchrun.report.page.subject import COLOURS, Subject
from batchrun.report.page.tables import Cell, Column, count, table, text
from batchrun.report.page.words import Said, Words

_QUANTILES = (("median", 0.5), ("90 %", 0.9), ("95 %", 0.95), ("99 %", 0.99))
_MOST_QUOTAS = 60


@value
class Plot:
    """What the script is told of one plot."""

    key: str
    kind: str
    """``stack``, ``steps`` or ``spread``."""
    numbers: Mapping[str, Any]


def how(subject: Subject, words: Words) -> tuple[Markup, dict[str, Any]]:
    """The section, and the numbers of its plots by name."""
    wide = width(subject.course.timeline.width)
    plots = [plot for plot in (_tokens(subject), _trouble(subject)) if plot is not None]
    spreads = [("latency", "plot_latency", subject.course.latency()), ("first", "plot_first", subject.course.first_token())]
    figures: list[Child] = [_figure(plot, words, width=wide) for plot in plots]
    for key, title, of_lanes in spreads:
        models = _by_model(of_lanes, subject)
        if models:
            plot = Plot(key, "spread", _spread(models, subject))
            plots.append(plot)
            figures.append([_figure(plot, words), _quantiles(title, models, words)])
    quotas = _quotas(subject)
    if quotas:
        plot = Plot("quota", "steps", _use(quotas, subject))
        plots.append(plot)
        figures.append([_figure(plot, words, width=width(subject.course.minutes.width)), _busiest(quotas, subject, words)])
    if not plots:
        return Markup(""), {}
    script = h("noscript", h("p", words.say("no_script"), class_="note"))
    section = h("section", h("h2", words.say("how")), script, figures, id="how")
    return section, {plot.key: {"kind": plot.kind, **plot.numbers} for plot in plots}


def _figure(plot: Plot, words: Words, **put_in: Said) -> Markup:
    title, note = f"plot_{plot.key}", f"plot_{plot.key}_note"
    drawn = h("div", class_="plot", id=f"plot-{plot.key}", data_plot=plot.key, data_title=title)
    data = h("details", h("summary", words.say("data_table")), h("div", class_="data"), class_="numbers controls")
    caption = h("figcaption", h("strong", words.say(title)), h("span", words.say(note, **put_in), class_="sub"))
    return h("figure", caption, drawn, data)


def _tokens(subject: Subject) -> Plot | None:
    """By workspace, the largest ones apart; on a workspace's own page, input and output."""
    timeline = subject.course.timeline
    moments = timeline.moments()
    series: list[dict[str, Any]]
    if subject.workspace is not None:
        series = [
            {"key": kind, "counts": timeline.counts((subject.workspace, kind)), "colour": place}
            for place, kind in enumerate(("input", "output"))
        ]
    else:
        spent = {each: _sum(timeline, [(each, "input"), (each, "output")], len(moments)) for each in subject.of_workspaces}
        first = sorted(spent, key=lambda each: -sum(spent[each]))
        apart = first[:COLOURS]
        series = [{"name": visible(each), "counts": spent[each], "colour": place} for place, each in enumerate(apart)]
        if rest := first[len(apart) :]:
            series.append(
                {
                    "key": "others",
                    "counts": [sum(column) for column in zip(*(spent[each] for each in rest), strict=True)],
                    "colour": COLOURS,
                }
            )
    if not any(any(each["counts"]) for each in series):
        return None
    return Plot("tokens", "stack", {"width": timeline.width, "from": moments[0], "unit": "plot_tokens_y", "series": series})


def _trouble(subject: Subject) -> Plot | None:
    timeline = subject.course.timeline
    length = len(timeline.moments())
    of = {kind: _sum(timeline, [(each, kind) for each in subject.statement.workspaces()], length) for kind in ("throttled", "again")}
    if not any(map(any, of.values())):
        return None
    series = [{"key": f"verdict_{kind}", "counts": of[kind], "colour": colour} for kind, colour in (("throttled", 1), ("again", 0))]
    return Plot(
        "trouble",
        "stack",
        {"width": timeline.width, "from": timeline.moments()[0], "unit": "plot_trouble_y", "plain": True, "series": series},
    )


def _sum(timeline: Timeline, keys: Iterable[Hashable], length: int) -> list[int]:
    total = [0] * length
    for key in keys:
        for place, counted in enumerate(timeline.counts(key)):
            total[place] += counted
    return total


def _by_model(of_lanes: Mapping[tuple[str, str], Durations], subject: Subject) -> dict[str, Durations]:
    models = {model: Durations() for model in subject.of_models}
    for (_, model), durations in of_lanes.items():
        if model in models:
            models[model].merge(durations)
    return {model: durations for model, durations in models.items() if durations.count}


def _spread(models: Mapping[str, Durations], subject: Subject) -> dict[str, Any]:
    """The share of a model's answers in each bucket: what was asked once is drawn as large as what was asked a million times."""
    shown = dict(islice(models.items(), COLOURS))
    lowest = min(durations.buckets()[0][0] for durations in shown.values())
    highest = max(durations.buckets()[-1][0] for durations in shown.values())
    series = []
    for model, durations in shown.items():
        found = dict(durations.buckets())
        counts = [found.get(bucket, 0) for bucket in range(lowest, highest + 1)]
        series.append({"name": visible(model), "counts": counts, "colour": subject.colours.get(model, COLOURS)})
    return {"gamma": GAMMA, "from": lowest, "unit": "plot_share_y", "series": series}


def _quantiles(key: str, models: Mapping[str, Durations], words: Words) -> Markup:
    heads: list[Child] = [words.say("median"), *(head for head, _ in _QUANTILES[1:])]
    columns = [Column(words.say("model"), number=False), Column(words.say("answers")), *map(Column, heads), Column(words.say("longest"))]
    rows = []
    for model, durations in models.items():
        found = [durations.quantile(share) or 0.0 for _, share in _QUANTILES] + [durations.greatest]
        rows.append([text(name(model)), count(durations.count), *(Cell(seconds(each), each) for each in found)])
    return table(words, key, columns, rows)


def _quotas(subject: Subject) -> dict[tuple[StatedQuota, str], int]:
    """The quotas that calls were counted against, with what they allow in a minute; the fullest first."""
    minutes = subject.course.minutes
    found: dict[tuple[StatedQuota, str], int] = {}
    for key in minutes.keys():  # noqa: SIM118 - not a mapping
        quota, kind = _quota_of(key)
        allowed = quota.rpm if kind == "calls" else quota.tpm
        if allowed and (subject.workspace is None or quota.workspace == subject.workspace):
            found[quota, kind] = allowed
    ranked = sorted(found.items(), key=lambda each: -minutes.most(each[0]) / each[1])
    return dict(ranked[:_MOST_QUOTAS])


def _quota_of(key: Hashable) -> tuple[StatedQuota, str]:
    assert isinstance(key, tuple)
    quota, kind = key
    assert isinstance(quota, StatedQuota)
    return quota, str(kind)


def _use(quotas: Mapping[tuple[StatedQuota, str], int], subject: Subject) -> dict[str, Any]:
    minutes = subject.course.minutes
    series = [
        {
            "name": _plain(quota),
            "key": "quota_rpm" if kind == "calls" else "quota_tpm",
            "counts": minutes.counts((quota, kind)),
            "of": allowed,
            "colour": place,
        }
        for place, ((quota, kind), allowed) in enumerate(islice(quotas.items(), COLOURS))
    ]
    return {"width": minutes.width, "from": minutes.moments()[0], "unit": "plot_quota_y", "series": series}


def _plain(quota: StatedQuota) -> str:
    return " · ".join(visible(part) for part in (quota.account or quota.workspace, quota.model) if part)


def _busiest(quotas: Mapping[tuple[StatedQuota, str], int], subject: Subject, words: Words) -> Markup:
    minutes = subject.course.minutes
    columns = [Column(words.say("quota"), number=False), Column(words.say("kind"), number=False), Column(words.say("limit"))]
    columns += [
        Column(words.say("busiest", width=width(minutes.width))),
        Column(words.say("share"), number=False, sorts=False, kind="wide"),
    ]
    columns.append(Column(words.say("mean")))
    rows = []
    for (quota, kind), allowed in quotas.items():
        counts = [each for each in minutes.counts((quota, kind)) if each]
        most, mean = (each * 60 / minutes.width for each in (minutes.most((quota, kind)), sum(counts) / len(counts) if counts else 0))
        share = most / allowed
        drawn = [bar([(min(share, 1.0), "bad" if share > 1 else "good", "")]), h("span", percent(share), class_="share")]
        label = words.say("quota_rpm" if kind == "calls" else "quota_tpm")
        told = [whole(round(most)), percent(mean / allowed)]
        rows.append(
            [text(name(_plain(quota))), text(label), count(allowed), Cell(told[0], most), Cell(drawn, share), Cell(told[1], mean / allowed)]
        )
    return table(words, "quota", columns, rows, searched=True)
