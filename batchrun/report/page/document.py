"""The page as one file: markup, style, script and numbers, with a policy that lets nothing in or out.

Its scripts and styles are named in the policy by their digests, so that nothing else runs or draws, whatever a name in a ledger says.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

import orjson

from batchrun.report.page.doneness import done
from batchrun.report.page.languages import HTML_LANGUAGE, Language
from batchrun.report.page.markup import Markup, h, visible
from batchrun.report.page.plots import how
from batchrun.report.page.spending import what, who
from batchrun.report.page.subject import Subject
from batchrun.report.page.summary import answers, head
from batchrun.report.page.words import Words, all_words
from batchrun.report.page.wrong import wrong


def _asset(name: str) -> str:
    return files("batchrun.report.page").joinpath("assets", name).read_text(encoding="utf-8").strip()


# Read with the code that they fit: a run makes its page hours later, and may have been upgraded meanwhile.
_STYLE = _asset("uplot/uPlot.min.css") + _asset("page.css")
_SCRIPTS = _asset("uplot/uPlot.iife.min.js"), _asset("page.js")


def page(subject: Subject, language: Language = "en") -> str:
    """Give the whole page; the same ledger gives the same bytes, but for the time it was made."""
    words = Words(language)
    plots, numbers = how(subject, words)
    sections = [answers(subject, words), who(subject, words), what(subject, words), done(subject, words), wrong(subject, words), plots]
    told = {"zone": subject.zone.key, "words": all_words(), "languages": dict(HTML_LANGUAGE), "plots": numbers}
    top = h(
        "head",
        Markup('<meta charset="utf-8">'),
        h("meta", http_equiv="Content-Security-Policy", content=_policy()),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", name="color-scheme", content="light dark"),
        h("meta", name="referrer", content="no-referrer"),
        h(
            "title",
            " · ".join(visible(part) for part in (subject.workspace, subject.runs[0].name if subject.runs else "", "batchrun") if part),
        ),
        h("style", Markup(_STYLE)),
    )
    body = h(
        "body",
        h("div", head(subject, words), h("main", sections), _foot(subject, words), class_="page"),
        h("script", Markup(_data(told)), type="application/json", id="numbers"),
        [h("script", Markup(script)) for script in _SCRIPTS],
    )
    return f"<!doctype html>\n{h('html', top, body, lang=HTML_LANGUAGE[language])}\n"


def _foot(subject: Subject, words: Words) -> Markup:
    keys = ["about_words", "about_ledger", *(["about_own"] if subject.workspace is not None else []), "about_offline"]
    return h("footer", h("h2", words.say("about")), [h("p", words.say(key)) for key in keys])


def _policy() -> str:
    allowed = " ".join(_digest(script) for script in _SCRIPTS)
    return f"default-src 'none'; script-src {allowed}; style-src {_digest(_STYLE)}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _data(told: object) -> str:
    """JSON that cannot end its element, nor begin a comment in it, whatever stands in it."""
    return orjson.dumps(told).decode().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
