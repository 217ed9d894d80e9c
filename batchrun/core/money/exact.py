"""Sums of money are exact, however many digits the program that batchrun is part of allows its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import ROUND_HALF_EVEN, Context, DivisionByZero, InvalidOperation, Overflow, localcontext

_EXACT = Context(prec=28, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])


@contextmanager
def exact() -> Iterator[None]:
    """Reckon by what Python begins with; in the task or thread that enters it, and in those that it begins."""
    with localcontext(_EXACT):
        yield
