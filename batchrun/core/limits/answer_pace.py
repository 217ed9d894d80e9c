"""How quick answers come: seconds for each token, and by how much that may be chance."""

from __future__ import annotations

import math

from batchrun.core.classes import slotted

_OVERHEAD_TOKENS = 30.0
"""What a call takes beside its answer, in tokens of the answer."""


@slotted
class AnswerPace:
    """Of some answers: a ratio of sums, with the standard error of one (Cochran, Sampling Techniques, 6.3)."""

    answers: int = 0
    _seconds: float = 0.0
    _tokens: float = 0.0
    _squares: float = 0.0
    _products: float = 0.0
    _squared_tokens: float = 0.0

    def add(self, seconds: float, output_tokens: float) -> None:
        """An answer came."""
        tokens = output_tokens + _OVERHEAD_TOKENS
        self.answers += 1
        self._seconds += seconds
        self._tokens += tokens
        self._squares += seconds * seconds
        self._products += seconds * tokens
        self._squared_tokens += tokens * tokens

    @property
    def a_token(self) -> float:
        """Seconds; of no answers infinitely many."""
        return self._seconds / self._tokens if self.answers else math.inf

    @property
    def error(self) -> float:
        """Seconds a token, up or down, that are usual by chance."""
        pace = self.a_token
        rest = self._squares - 2.0 * pace * self._products + pace * pace * self._squared_tokens
        return math.sqrt(max(0.0, rest)) / self._tokens if self.answers else math.inf


def chance(one: AnswerPace, other: AnswerPace) -> float:
    """By how much the two usually differ by chance, in seconds a token."""
    return math.hypot(one.error, other.error)
