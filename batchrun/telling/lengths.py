"""Input tokens of rows by how long their lines are, for a forecast of a million of them: some are read, and a line is laid through these.

What a line has beside what is asked (its id, metadata, the JSON around them) costs nothing, and may be longer than what is asked. So tokens
are not taken to be as many for each byte: a row has some anyway, and a byte adds what it adds in those that were read, be it nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, linear_regression

from batchrun.core.classes import value


@value
class Lengths:
    """Tokens that each row has, and those that a byte of its line adds."""

    each: float
    a_byte: float

    def of(self, line_bytes: int) -> float:
        """Tokens of a row."""
        return max(0.0, self.each + self.a_byte * max(0, line_bytes))

    def times(self, share: float) -> Lengths:
        """The same, where so many tokens are counted for one."""
        return Lengths(self.each * share, self.a_byte * share)


def lengths_of(rows: Sequence[tuple[int, float]]) -> Lengths | None:
    """What *rows* show, of which these are the bytes and the tokens; None where there are none."""
    if not rows:
        return None
    sizes, tokens = [float(size) for size, _ in rows], [count for _, count in rows]
    if len({*sizes}) > 1:
        a_byte, each = linear_regression(sizes, tokens)
        if a_byte > 0:
            return Lengths(each, a_byte)
    return Lengths(fmean(tokens), 0.0)
