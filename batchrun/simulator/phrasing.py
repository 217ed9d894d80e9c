"""Words made from words: what a small model might say about a text, in the text's language, with nothing but regular expressions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_ENGLISH_WORD = re.compile(r"[A-Za-z][A-Za-z'-]{3,}")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_CHINESE_BREAK = re.compile(r"[^\u3400-\u9fff]+|[的了是在和与及等对中为有我你他它们这那把被就都也很到从请将并或什么怎]")
_DULL = frozenset(
    """
    about above after also answer because been before being below between could does each from following given have into
    just like made make more most much only other over please said same should some such than that their them then there
    these they this those through under very want were what when where which while whose will with would your
    """.split()  # noqa: SIM905 - sixty quoted words would say less
)
_NAMED_LABELS = re.compile(
    r"(?:labels?|categor(?:y|ies)|class(?:es)?|options?|one of|类别|标签|分类|选项)[^:：\n,，]{0,40}[:：]\s*(?P<list>[^\n]{1,400})",
    re.IGNORECASE,
)
_CHOICE = re.compile(
    r"(?:\b(?:one of|either|into|as)\b|为|成)[:：]?(?P<list>[\w\s'-]{1,40}(?:[,，、/|][\w\s'-]{1,40}){1,20})", re.IGNORECASE
)
_NAMED_FIELDS = re.compile(r"(?:fields?|keys?|properties|columns?|字段|键|属性)[^:：\n]{0,30}[:：]\s*(?P<list>[^\n]{1,400})", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s*(?:[,，、/|;；]|\bor\b|\band\b|或者?|和)\s*", re.IGNORECASE)
_EDGES = " \t\"'`“”‘’「」[](){}.。!！?？:："
_DATE = re.compile(r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?")
_EMAIL = re.compile(r"[\w.+-]{1,60}@[\w-]{1,60}\.[\w.]{1,30}\w")
_NUMBER = re.compile(r"\d[\d,]{0,20}(?:\.\d{1,9})?")
_NAME = re.compile(r"\b[A-Z][a-z]{1,20}(?: [A-Z][a-z]{1,20}){1,2}\b")


def is_chinese(text: str) -> bool:
    """Whether a text is written in Chinese for the most part; quoted Latin names do not change that."""
    start = text[:600]
    return len(_CHINESE.findall(start)) * 4 > len(start.strip())


def sentences(text: str) -> list[str]:
    """The sentences of a text, trimmed."""
    return [sentence.strip() for sentence in _SENTENCE_END.split(text) if sentence.strip()]


def terms(text: str, most: int = 3) -> list[str]:
    """What a text is about: its most frequent long words, the earliest first among equals; never none."""
    if is_chinese(text):
        found = Counter(run for run in _CHINESE_BREAK.split(text) if 2 <= len(run) <= 8)
    else:
        found = Counter(word.lower() for word in _ENGLISH_WORD.findall(text) if word.lower() not in _DULL)
    chosen = [term for term, _ in found.most_common(most)] or [text.strip()[:12].strip(_EDGES) or "this"]
    return [chosen[place % len(chosen)] for place in range(most)]


def words(text: str) -> set[str]:
    """The words of a text that mean something, in lower case: English ones of four letters and more, runs of Chinese."""
    english = {word.lower().removesuffix("s") for word in _ENGLISH_WORD.findall(text.replace("_", " ")) if word.lower() not in _DULL}
    return english | {run for run in _CHINESE_BREAK.split(text) if 2 <= len(run) <= 8}


def summary(text: str) -> str:
    """The leading sentences: a third of the text, one at least and three at most."""
    every = sentences(text)
    lead = every[: max(1, min(3, len(every) // 3))]
    return ("" if is_chinese(text) else " ").join(lead)[:600] or text[:200]


def label(instruction: str, text: str, pick: int) -> str:
    """One of the labels on offer, one that the text itself names if there is one; else a sentiment."""
    offered = _NAMED_LABELS.search(instruction) or _CHOICE.search(instruction)
    labels = _listed(offered.group("list")) if offered else []
    if not labels:
        labels = ["正面", "负面", "中性"] if is_chinese(instruction or text) else ["positive", "negative", "neutral"]
    lowered = text.lower()
    return next((one for one in labels if one.lower() in lowered), labels[pick % len(labels)])


def field_names(instruction: str) -> list[str]:
    """The fields an instruction asks for by name."""
    named = _NAMED_FIELDS.search(instruction)
    return _listed(named.group("list")) if named else []


def _listed(text: str) -> list[str]:
    parts = [part.strip(_EDGES) for part in _SEPARATOR.split(text)]
    return [part for part in dict.fromkeys(parts) if part and len(part) <= 40][:20]


def fields(names: Sequence[str], text: str) -> dict[str, Any]:
    """A value from the text for each name, guessed by the name; without names what can be told of any text."""
    if not names:
        return {
            "summary": summary(text),
            "keywords": list(dict.fromkeys(terms(text, 4))),
            "dates": _DATE.findall(text)[:5],
            "numbers": [_as_number(number) for number in _NUMBER.findall(text)[:5]],
        }
    spare = terms(text, len(names))
    return {name: _field(name.lower(), text, spare[place]) for place, name in enumerate(names)}


def _field(name: str, text: str, spare: str) -> Any:
    for hints, pattern in (
        (("date", "day", "日期", "时间"), _DATE),
        (("mail", "邮箱", "邮件"), _EMAIL),
        (("name", "person", "customer", "author", "company"), _NAME),
    ):
        if any(hint in name for hint in hints):
            found = pattern.search(text)
            return found.group() if found else None
    if any(hint in name for hint in ("amount", "price", "total", "count", "number", "quantity", "金额", "价格", "数量")):
        number = _NUMBER.search(text)
        return _as_number(number.group()) if number else None
    if any(hint in name for hint in ("summary", "description", "摘要", "描述")):
        return summary(text)
    return spare


def _as_number(text: str) -> float:
    plain = text.replace(",", "")
    return float(plain) if "." in plain else int(plain)


_TO_CHINESE = (
    "这一句说的是{0}与{1}。",
    "文中提到{0}，并由此谈到{2}。",
    "就{1}而言，{0}是关键。",
)
_TO_ENGLISH = (
    "This sentence is about {0} and {1}.",
    "The text mentions {0} and goes on to {2}.",
    "As far as {1} is concerned, {0} is what matters.",
)


def translation(text: str, *, to_chinese: bool, pick: int) -> str:
    """A sentence in the other language for each of the text's, built around its terms: the length of a translation, not its truth."""
    templates = _TO_CHINESE if to_chinese else _TO_ENGLISH
    made = [templates[(pick + place) % 3].format(*terms(sentence)) for place, sentence in enumerate(sentences(text)[:12])]
    return ("" if to_chinese else " ").join(made or [templates[0].format(*terms(text))])


_ABOUT_CHINESE = (
    "{0}可以从{1}说起。{first}这一点与{2}相互影响：先弄清{0}的目的，再看{1}的条件，最后核对{2}的结果。",
    "关于{0}，关键在于{1}。实践中通常先确认{2}，再逐步推进，并保留每一步的记录。{first}",
    "简单地说，{0}取决于{1}和{2}。{first}如果条件变化，应当重新评估{0}。",
)
_ABOUT_ENGLISH = (
    "{0} is best approached through {1}. {first} From there, {2} follows: settle the purpose of {0} first, then what {1} demands.",
    "The short answer on {0}: it depends on {1}. In practice one confirms {2} first and then proceeds step by step. {first}",
    "Three things matter here: {0}, {1} and {2}. {first} Where they conflict, {0} usually decides.",
)


def paragraph(text: str, pick: int) -> str:
    """A short paragraph about a text."""
    about = terms(text)
    first = (sentences(text) or [""])[0][:160]
    templates = _ABOUT_CHINESE if is_chinese(text) else _ABOUT_ENGLISH
    said = templates[pick % 3].format(*about, first=first)
    return said[:1].upper() + said[1:]


def reasoning(text: str, pick: int) -> str:
    """What a thinking model might say to itself first."""
    one, two, three = terms(text)
    if is_chinese(text):
        return f"用户的问题涉及{one}和{two}。先看{one}：需要明确它的范围。再看{two}，它与{three}有关。" + (
            "综合起来可以回答了。" * (1 + pick % 3)
        )
    thought = f"The user asks about {one} and {two}. First, what is {one} here? Then {two}, which bears on {three}."
    return thought + " That should be enough to answer." * (1 + pick % 3)
