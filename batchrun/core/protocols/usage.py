"""Reads a usage object of either dialect: what a call cost in tokens, whichever of the provider's many shapes says it.

``prompt_tokens`` and ``completion_tokens`` (OpenAI-compatible) or ``input_tokens`` and ``output_tokens`` (native) are the whole. Every
other number itemises one of the two, in a ``…_details`` object, or beside them in older answers; none is ever added to them.
``text_tokens`` is not read: recorded answers have it with and without the reasoning.
"""

from __future__ import annotations

from typing import Any

from batchrun.core.model import Usage

_ABSURD = 1_000_000_000
"""Tokens. No call has used as many: the number is a mistake, and must not become money."""
_NOTHING: dict[str, Any] = {}
_RARER = frozenset(
    {"reasoning_tokens", "cache_creation_input_tokens", "cache_creation", "image_tokens", "audio_tokens", "video_tokens", "plugins"}
)
"""What a usual answer in text does not tell."""
_OTHER_DETAILS = frozenset({"input_tokens_details", "output_tokens_details"})


def usage_of(reported: object) -> Usage | None:
    """Tokens as the provider reported them; None where they are missing or cannot be true, and then in doubt."""
    if not isinstance(reported, dict):
        return None
    asked, answered = reported.get("prompt_tokens"), reported.get("completion_tokens")
    if not (type(asked) is int and type(answered) is int and 0 <= asked < _ABSURD and 0 <= answered < _ABSURD):
        asked = _whole(reported, "prompt_tokens", "input_tokens")
        answered = _whole(reported, "completion_tokens", "output_tokens")
        if asked is None or answered is None:
            return None
    of_asked, of_answered = reported.get("prompt_tokens_details", _NOTHING), reported.get("completion_tokens_details", _NOTHING)
    if not (type(of_asked) is type(of_answered) is dict and _OTHER_DETAILS.isdisjoint(reported)):
        of_asked = _details(reported, "prompt_tokens_details", "input_tokens_details")
        of_answered = _details(reported, "completion_tokens_details", "output_tokens_details")
    if _RARER.isdisjoint(reported) and _RARER.isdisjoint(of_asked) and _RARER.isdisjoint(of_answered):
        return Usage(asked, answered, _part("cached_tokens", asked, of_asked, reported), 0, reported)
    return Usage(
        asked,
        answered,
        _part("cached_tokens", asked, of_asked, reported),
        _part("reasoning_tokens", answered, of_answered, reported),
        reported,
        cache_creation_tokens=_cache_creation(of_asked, asked),
        image_tokens=_part("image_tokens", asked, of_asked, reported),
        audio_tokens=_part("audio_tokens", asked, of_asked, reported),
        video_tokens=_part("video_tokens", asked, of_asked, reported),
        output_audio_tokens=_part("audio_tokens", answered, of_answered, _NOTHING),
        searches=_searches(reported.get("plugins")),
    )


def usage_of_answer(reported: object) -> Usage | None:
    """Read the same of an answer: there is none without any token, and a gateway that writes so has not counted."""
    return counted(usage_of(reported))


def counted(usage: Usage | None) -> Usage | None:
    """Give *usage* back where there are any tokens in it."""
    return usage if usage is not None and usage.input_tokens + usage.output_tokens else None


def _whole(reported: dict[str, Any], name: str, other: str) -> int | None:
    count = reported.get(name)
    if type(count) is int and 0 <= count < _ABSURD:
        return count
    return _tokens(count if type(count) is float else reported.get(other))


def _tokens(count: object) -> int | None:
    if type(count) is float and count.is_integer():
        # JSON knows one kind of number, and some servers write all of them so.
        count = int(count)
    # What JSON has for an integer is an int and nothing that is derived from it: a bool is none here.
    return count if type(count) is int and 0 <= count < _ABSURD else None


def _details(reported: dict[str, Any], name: str, other: str) -> dict[str, Any]:
    """The itemisation of one whole: both names stand in one answer, each with a part of the truth."""
    one, two = reported.get(name, _NOTHING), reported.get(other)
    if two is None and type(one) is dict:
        return one
    one = one if type(one) is dict else _NOTHING
    return {**one, **two} if type(two) is dict else one


def _part(name: str, whole: int, place: dict[str, Any], other: dict[str, Any]) -> int:
    """A part of *whole* tokens, from the first place that has it; 0 where it is larger than the whole: a mistake earns no discount."""
    # Seven are asked for in every answer, and most are in none: that is told first.
    count = place.get(name)
    if not (type(count) is int and 0 <= count < _ABSURD) and (count is None or (count := _tokens(count)) is None):
        count = other.get(name)
        if count is None or (count := _tokens(count)) is None:
            return 0
    return count if count <= whole else 0


def _cache_creation(of_asked: dict[str, Any], asked: int) -> int:
    count = _part("cache_creation_input_tokens", asked, of_asked, _NOTHING)
    by_lifetime = of_asked.get("cache_creation")
    if count or not isinstance(by_lifetime, dict):
        return count
    total = sum(_tokens(each) or 0 for each in by_lifetime.values())
    return total if total <= asked else 0


def _searches(plugins: object) -> int:
    match plugins:
        case {"search": {"count": int(count)}} if 0 <= count < _ABSURD:
            return int(count)
    return 0
