"""How a sentence is said: in one language, with what is put in, and so that the page's own switch can say it in the other.

The page's script reads the braces of `sentences.py` in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from batchrun.report.page.languages import LANGUAGES, Language
from batchrun.report.page.markup import Markup, h
from batchrun.report.page.sentences import SAID

_PUT_IN = re.compile(r"\{(?P<name>\w+)(?::(?P<one>[^|{}]*)\|(?P<many>[^|{}]*))?\}")


class Said(NamedTuple):
    """A sentence that is put into another one."""

    key: str
    put_in: Mapping[str, str]


class Words:
    """Says things in one language so that the page's own switch can say them in the other."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._place = LANGUAGES.index(language)

    def plain(self, key: str, /, **put_in: str | Said) -> str:
        """Give a sentence as text."""

        def said(found: re.Match[str]) -> str:
            each = put_in[found["name"]]
            if found["one"] is not None:
                return found["one"] if each == "1" else found["many"]
            return self.plain(each.key, **each.put_in) if isinstance(each, Said) else each

        return _PUT_IN.sub(said, SAID[key][self._place])

    def say(self, key: str, /, **put_in: str | Said) -> Markup:
        """Give a sentence as an element that the switch can change; what is put in is text, whatever it looks like."""
        # A tuple is an array there: the script takes one for a sentence.
        told = orjson.dumps(put_in, default=tuple).decode() if put_in else None
        return h("span", self.plain(key, **put_in), data_t=key, data_a=told)


def all_words() -> dict[str, dict[str, str]]:
    """Give every sentence, by language and key."""
    return {language: {key: said[place] for key, said in SAID.items()} for place, language in enumerate(LANGUAGES)}
