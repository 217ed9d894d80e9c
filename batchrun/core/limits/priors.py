"""How long answers are taken to be before any was seen: by what a model is for, and cut at what the job lets them have.

Lengths of answers are lognormal, near enough; so a cap well above most of them hardly shortens the mean, and one well below is the mean.
The medians are assumptions (what short questions and summaries of a page bring), stated in every forecast that rests on them, and gone as
soon as ten answers were seen.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_SPREAD = 0.8
"""The deviation of the logarithm of an answer's length."""
_TEXT = 150.0
_MEDIANS = (
    (("qwq", "qvq", "thinking", "-r1", "reason"), 1_500.0),
    (("coder", "code"), 400.0),
    (("-mt-", "ocr"), 250.0),
    (("vl", "omni", "audio", "asr"), 120.0),
)
"""Tokens, by what stands in a model's name; the first that does."""


def first_output(model: str, most: float | None = None) -> float:
    """Tokens of an answer of *model* in the mean, where a request lets it have *most*."""
    median = next((tokens for words, tokens in _MEDIANS if any(word in model for word in words)), _TEXT)
    if most is None:
        return median * math.exp(_SPREAD**2 / 2)
    # The mean of a lognormal that is cut at *most* (its limited expected value).
    place = (math.log(most) - math.log(median)) / _SPREAD
    normal = NormalDist()
    return min(most, median * math.exp(_SPREAD**2 / 2) * normal.cdf(place - _SPREAD) + most * (1.0 - normal.cdf(place)))
