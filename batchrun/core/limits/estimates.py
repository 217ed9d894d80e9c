"""What a row is expected to cost in tokens before it is asked, learnt from what rows like it did cost.

The input is told by its letters: Chinese, Japanese and Korean ones weigh more than the rest, and a running ratio for each workspace and
model learns how far that is off (its tokenizer, its JSON, its images). The output is taken to be as long as all but one in twenty of the
lane's answers were, or as long as the row lets it be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batchrun.core.model import Usage

_WIDE, _NARROW = 0.65, 0.25
"""Tokens a letter, near enough to Qwen's vocabulary: three bytes of UTF-8, and fewer."""
_OF_MEDIA = 1_500.0
"""Of an image of usual size, or anything else that is no text."""
_FIRST_OUTPUT = 512.0
"""Of an answer, before any was seen."""
_LEARNS = 0.05
_MOST_TIMES, _MOST_A_BYTE = 10.0, 4.0
"""Tokens for one that was expected, and for a byte of a line: what is further off says no more."""
_STEP = 1.25
_LOG_STEP = math.log(_STEP)
_LOOKED_AT_EVERY, _SHARE_MORE = 16, 8
"""Answers after which it is looked at anew how long they are, and the share of all that it takes at the least."""
_KEEPS = 400.0
"""Answers that the lengths are taken from; older ones fade."""
_MOST = 0.95


class Size(NamedTuple):
    """What can be seen of a request before it is sent."""

    letters: int
    """Of its text, JSON included."""
    bytes: int
    """Of the same in UTF-8."""
    media: int = 0
    """Images, sounds and videos."""
    most_output: int | None = None
    """Tokens that the request lets the answer have."""


@dataclass(slots=True)
class Lengths:
    """How long answers were: a histogram whose steps grow by a quarter, and which forgets."""

    counts: dict[int, float] = field(default_factory=dict)
    total: float = 0.0

    def add(self, tokens: int) -> None:
        """Take in one answer."""
        step = math.ceil(math.log(tokens) / _LOG_STEP) if tokens > 1 else 0
        self.counts[step] = self.counts.get(step, 0.0) + 1.0
        self.total += 1.0
        if self.total > _KEEPS:
            self.counts = {step: count / 2 for step, count in self.counts.items() if count > 0.1}
            self.total = sum(self.counts.values())

    def most(self) -> float:
        """The length that all but one in twenty stay under."""
        if not self.total:
            return _FIRST_OUTPUT
        above = self.total * (1 - _MOST)
        for step in sorted(self.counts, reverse=True):
            above -= self.counts[step]
            if above < 0:
                return float(_STEP**step)
        return _FIRST_OUTPUT


@dataclass(slots=True)
class Estimate:
    """What one workspace's rows for one model are expected to cost."""

    ratio: float = 1.0
    """Tokens that the provider counts for one that the letters make."""
    tokens_a_byte: float = 0.3
    """Of a line of the input: what is known of a row before it is read."""
    lengths: Lengths = field(default_factory=Lengths)
    _most: float = _FIRST_OUTPUT
    _unseen: int = 0
    """Answers since it was looked at how long they are."""

    def of_line(self, line_bytes: int) -> float:
        """What a row is expected to cost whose line has so many bytes."""
        return line_bytes * self.tokens_a_byte + self._most

    def input_of(self, size: Size) -> float:
        """Input tokens of a request."""
        letters, size_bytes, media, _ = size
        wide = (size_bytes - letters) / 2 if size_bytes > letters else 0.0
        return self.ratio * (_WIDE * wide + _NARROW * (letters - wide) + _OF_MEDIA * media)

    def of(self, size: Size) -> float:
        """What a request is expected to cost."""
        return self.input_of(size) + self.output_of(size)

    def output_of(self, size: Size) -> float:
        """Output tokens of a request."""
        most, cap = self._most, size.most_output
        return most if cap is None or most <= cap else cap

    def learn(self, size: Size, line_bytes: int, usage: Usage) -> None:
        """Take in what a request did cost."""
        expected, cost = self.input_of(size), usage.input_tokens
        if expected > 0 and cost > 0:
            times = cost / expected
            self.ratio *= 1.0 + _LEARNS * ((times if times < _MOST_TIMES else _MOST_TIMES) - 1.0)
        if line_bytes > 0:
            a_byte = cost / line_bytes
            self.tokens_a_byte += _LEARNS * ((a_byte if a_byte < _MOST_A_BYTE else _MOST_A_BYTE) - self.tokens_a_byte)
        self.lengths.add(usage.output_tokens)
        self._unseen += 1
        if self._unseen >= _LOOKED_AT_EVERY or self._unseen >= self.lengths.total / _SHARE_MORE:
            self._unseen, self._most = 0, self.lengths.most()

    def as_json(self) -> dict[str, Any]:
        """Return what was learnt, to be kept."""
        return {
            "ratio": self.ratio,
            "tokens_a_byte": self.tokens_a_byte,
            "lengths": {str(step): count for step, count in self.lengths.counts.items()},
        }

    @classmethod
    def from_json(cls, kept: object) -> Estimate:
        """Take up what was kept; what cannot be read is learnt anew."""
        try:
            counts = {int(step): float(count) for step, count in kept["lengths"].items()}  # type: ignore[index]
            lengths = Lengths(counts, sum(counts.values()))
            estimate = cls(float(kept["ratio"]), float(kept["tokens_a_byte"]), lengths, lengths.most())  # type: ignore[index]
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls()
        return estimate if 0 < estimate.ratio < 100 and 0 <= estimate.tokens_a_byte < 10 else cls()
