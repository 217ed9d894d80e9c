"""What a model's name says about how it must be called.

Sources: Model Studio's API reference and model pages (December 2025 to autumn 2026) and the page on models in sub-workspaces (2025-03-12).
The rules change with the models; each can be overridden in the job (``protocol``, ``stream``), and a new family that needs none of this
needs no line here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

_NATIVE_ONLY = re.compile(r"qwen2?-audio")
"""The compatible route answers 404 model_not_supported. Omni and ASR models of later years are not among them."""
_TUNED = re.compile(r"(^|[-.])ft-[0-9a-z]", re.IGNORECASE)
"""Deployments of models tuned in Model Studio: ``qwen-turbo-ft-202503…``."""
_OPENAI_ONLY = re.compile(r"omni|livetranslate")
_MULTIMODAL = re.compile(r"(-|^)(vl|ocr|audio|asr|captioner)(-|$)|^qvq|^qwen3\.[5-9]|^qwen[4-9]")
"""Served by multimodal-generation; the hybrids from qwen3.5 on too, text alone included."""
_STREAM_ONLY = re.compile(r"^qwq|^qvq|omni|livetranslate|^glm-4\.5(-|$)")
"""The two last by the API reference of qwen3-livetranslate-flash, and by what plain calls for GLM-4.5 were told, 2025 and 2026."""
_REPEATS = re.compile(r"^qwen-mt-(plus|turbo)(-|$)")
"""Their streams tell the whole translation so far in each event, on every route and whatever they are asked (API reference of Qwen-MT)."""
_NEWER = re.compile(r"^qwen3\.[5-9]|^qwen[4-9]|^deepseek|^glm|^kimi")
"""Think in plain calls too: seen in 2026."""
_THINKS_UNASKED = re.compile(r"^qwen3-\d[\d.]*b(-a\d+b)?$|-thinking(-|$)")
"""Open Qwen3 of April 2025 thinks by default; the ``-thinking`` models always do."""

_ALWAYS_THINKS = re.compile(r"^qwq|^qvq")
_CAN_BE_TOLD = re.compile(r"^qwen3-\d[\d.]*b(-a\d+b)?$|^qwen3\.[5-9]|^qwen[4-9]")
"""Hybrids, open Qwen3 and all from qwen3.5 on."""
_THINKS_WHEN_ASKED = re.compile(
    r"^qwen-(plus|turbo|flash|max|long|vl-plus|vl-max)(-|$)|^qwen3-max(-|$)|^qwen3-vl-(plus|flash)(-|$)|^qwen(2|2\.5)-"
)
"""Commercial hybrids before qwen3.5, which think with ``enable_thinking`` alone, and models that cannot."""


def native_only(model: str) -> bool:
    """Whether the OpenAI-compatible route does not serve *model*."""
    return bool(_NATIVE_ONLY.search(model) or _TUNED.search(model))


def openai_only(model: str) -> bool:
    """Whether the native routes do not serve *model*."""
    return bool(_OPENAI_ONLY.search(model))


def multimodal(model: str) -> bool:
    """Whether *model* is served by the native multimodal route rather than the text route."""
    return bool(_MULTIMODAL.search(model))


def stream_only(model: str) -> bool:
    """Whether *model* answers in streams alone."""
    return _of_a_name(model).stream_only


def repeats(model: object) -> bool:
    """Whether each event of a stream of *model*, as a request names it, says again all that was said before."""
    return isinstance(model, str) and bool(_REPEATS.search(model))


def thinks_only_when_asked(model: str) -> bool:
    """Whether *model* is known not to think unless ``enable_thinking`` asks for it."""
    return _of_a_name(model).thinks_only_when_asked


def thinks_unasked(model: str) -> bool:
    """Whether *model* thinks unless told not to, and can be told."""
    return bool(_CAN_BE_TOLD.search(model))


def thinks(model: str, body: Mapping[str, Any]) -> bool:
    """Whether *model* can be taken to think about a request."""
    told = body.get("enable_thinking")
    habits = _of_a_name(model)
    return told if isinstance(told, bool) else habits.thinks_in_streams or thinks_unasked(model) or bool(_ALWAYS_THINKS.search(model))


def needs_stream(model: str, body: Mapping[str, Any]) -> bool:
    """Whether a request must be streamed to be answered: the model streams only, or thinks, and its family thinks in streams only."""
    if stream_only(model):
        return True
    thinking = body.get("enable_thinking")
    if thinking is None:
        return _of_a_name(model).thinks_in_streams
    return thinking is True and not _NEWER.search(model)


class _Habits(NamedTuple):
    stream_only: bool
    thinks_only_when_asked: bool
    thinks_in_streams: bool


@lru_cache(maxsize=1024)
def _of_a_name(model: str) -> _Habits:
    """What is asked for every row of a model."""
    asked = bool(_THINKS_WHEN_ASKED.search(model)) and "thinking" not in model
    return _Habits(bool(_STREAM_ONLY.search(model)), asked, bool(_THINKS_UNASKED.search(model)))
