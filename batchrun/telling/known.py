"""Answers in the ledger that tell what those to come will be like: a lane's own, or those of its model, for thousands of lanes at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from batchrun.core.model import Usage
from batchrun.telling.costing import thinned


class Answer(NamedTuple):
    """An answer in the ledger: what it took and cost, and which row's it is."""

    seconds: float
    ordinal: int
    usage: Usage


class Known:
    """Some answers, and in what words a person is told which; what they tell is worked out once for all lanes that go by them."""

    def __init__(self, answers: Sequence[Answer], told: str) -> None:
        self.answers = answers
        self.told = told

    @cached_property
    def latencies(self) -> Sequence[float]:
        """Seconds that they took, in order."""
        return sorted(each.seconds for each in self.answers)

    @cached_property
    def means(self) -> tuple[float, float]:
        """Tokens of input and of output, of one of them."""
        return means_of(self.answers)

    @cached_property
    def calls(self) -> tuple[Usage, ...]:
        """Some that are like their own."""
        return thinned([each.usage for each in self.answers])


NOTHING_KNOWN = Known((), "")


def means_of(answers: Sequence[Answer]) -> tuple[float, float]:
    """Tokens of input and of output, of one of *answers*."""
    count = max(1, len(answers))
    return sum(each.usage.input_tokens for each in answers) / count, sum(each.usage.output_tokens for each in answers) / count
