"""What a row is expected to cost in tokens before it is asked, learnt from what rows like it did cost.

The input is told by its letters: Chinese, Japanese and Korean ones weigh more than the rest, and a running ratio for each workspace and
model learns how far that is off (its tokenizer, its JSON, its images). A large row teaches it as much as small ones of the same size
together: what a request has besides its text, which small rows consist of, would else make large ones look cheap. The output is taken to be
as long as the lane's answers were in the mean, or as long as the row lets it be: what is expected is neither too much nor too little,
whatever a row's size, and how much is kept free because single rows are off is the reckoning's to learn (`reckoning.py`).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from batchrun.core.classes import slotted
from batchrun.core.model import Usage, named_tuple

_WIDE, _NARROW = 0.65, 0.25
"""Tokens a letter, near enough to Qwen's vocabulary: three bytes of UTF-8, and fewer."""
_OF_MEDIA = 1_500.0
"""Of an image of usual size, or anything else that is no text."""
_FIRST_OUTPUT = 512.0
"""Of an answer, before any was seen."""
_LEARNS, _LEARNS_LENGTH = 0.05, 0.01
"""Of each row: of its input, and of how long its answer is, of which single ones tell less. The first answers count more, and each counts
less where more are under way: short answers come first, and long ones last, of all that went in one minute."""
_LEAST_RATIO, _MOST = 1e-3, 1e9
"""That are believed of what was kept, which a person may have edited: a ratio, and tokens of an answer or answers."""
_MOST_MORE, _MOST_MORE_A_BYTE = 0.45, 0.2
"""Of a token that was expected, and tokens for a byte of a line: what one row makes it more at the most."""


class Size(NamedTuple):
    """What can be seen of a request before it is sent."""

    tokens: float
    """That its letters and its media make, before a ratio was learnt."""
    most_output: int | None = None
    """Tokens that the request lets the answer have."""

    @classmethod
    def of(cls, letters: int, in_bytes: int, media: int = 0, most_output: int | None = None) -> Self:
        """That of a text, JSON included, of so many letters, which are so many bytes in UTF-8, with images, sounds and videos."""
        wide = (in_bytes - letters) / 2 if in_bytes > letters else 0.0
        return named_tuple(cls, (_WIDE * wide + _NARROW * (letters - wide) + _OF_MEDIA * media, most_output))


@slotted
class Estimate:
    """What one workspace's rows for one model are expected to cost."""

    ratio: float = 1.0
    """Tokens that the provider counts for one that the letters make."""
    tokens_a_byte: float = 0.3
    """Of a line of the input: what is known of a row before it is read."""
    output: float = _FIRST_OUTPUT
    """Tokens of an answer."""
    answers: int = 0
    """That were seen."""
    _usual_input: float = 0.0
    _usual_bytes: float = 0.0

    def of_line(self, line_bytes: int) -> float:
        """What a row is expected to cost whose line has so many bytes."""
        return line_bytes * self.tokens_a_byte + self.output

    def input_of(self, size: Size) -> float:
        """Input tokens of a request."""
        return self.ratio * size.tokens

    def of(self, size: Size) -> float:
        """What a request is expected to cost."""
        return self.input_of(size) + self.output_of(size)

    def output_of(self, size: Size) -> float:
        """Output tokens of a request."""
        output, cap = self.output, size.most_output
        return output if cap is None or output <= cap else cap

    def learn(self, size: Size, line_bytes: int, usage: Usage, under_way: int = 0) -> None:
        """Take in what a request did cost, while so many of its kind are *under way*."""
        by_letters, cost = size.tokens, float(usage.input_tokens)
        expected = self.ratio * by_letters
        if expected > 0.0 and cost > 0.0:
            times, usual = cost / expected, self._usual_input
            self._usual_input = usual = usual + _LEARNS * (by_letters - usual) if usual else by_letters
            more = _LEARNS * by_letters / usual * (times - 1.0)
            self.ratio *= 1.0 + (more if more < _MOST_MORE else _MOST_MORE)
        if line_bytes > 0:
            in_bytes, usual = float(line_bytes), self._usual_bytes
            self._usual_bytes = usual = usual + _LEARNS * (in_bytes - usual) if usual else in_bytes
            more = _LEARNS / usual * (cost - self.tokens_a_byte * in_bytes)
            self.tokens_a_byte += more if more < _MOST_MORE_A_BYTE else _MOST_MORE_A_BYTE
        self.answers += 1
        latest = _LEARNS_LENGTH if _LEARNS_LENGTH * under_way <= 1.0 else 1.0 / under_way
        learns = 1.0 / self.answers
        self.output += (learns if learns > latest else latest) * (usage.output_tokens - self.output)

    def as_json(self) -> dict[str, Any]:
        """Return what was learnt, to be kept."""
        return {"ratio": self.ratio, "tokens_a_byte": self.tokens_a_byte, "output": self.output, "answers": self.answers}

    @classmethod
    def from_json(cls, kept: object) -> Estimate:
        """Take up what was kept; what cannot be read is learnt anew."""
        try:
            ratio, tokens_a_byte, output = (float(kept[name]) for name in ("ratio", "tokens_a_byte", "output"))  # type: ignore[index]
            estimate = cls(ratio, tokens_a_byte, output, int(kept["answers"]))  # type: ignore[index]
        except (KeyError, TypeError, ValueError, OverflowError):
            return cls()
        reasonable = _LEAST_RATIO < ratio < 100 and 0 <= tokens_a_byte < 10 and 0 <= output < _MOST and 0 <= estimate.answers < _MOST
        return estimate if reasonable else cls()
