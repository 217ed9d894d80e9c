"""One kind of tokens of a lane, over its days: a chain, for what was called on one day may stand in the bill on the next.

What leaves a day over midnight comes to the next, what is in doubt comes from outside, and what remains must be nothing. The tokens that
may cross each midnight are reached as intervals from the first day to the last, and chosen backwards, the smallest that will do. Where no
choice settles the whole chain, the shortest pieces of it that settle are, and a day that belongs to none stands with its difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from batchrun.core.classes import slotted


@slotted
class Day:
    """One kind of one day, as a link of the chain."""

    difference: int
    """What is billed, less what was counted."""
    doubt: int
    rounding: int
    late: int
    """Called near the midnight that ends it."""
    early: int
    """Called near the midnight that begins it."""


def explained(chain: Sequence[Day], early: int, late: int) -> list[tuple[int, int]]:
    """Say of each day what came over midnight, and what doubt, rounding or nothing must explain.

    As many as *early* may have gone to before the first day, as many as *late* to after the last.
    """
    whole = _settled(chain, 0, early, late, shortest=False)
    if whole is not None:
        return whole
    found: list[tuple[int, int]] = []
    while len(found) < len(chain):
        piece = _settled(chain, len(found), early, late, shortest=True)
        found += piece or [(0, chain[len(found)].difference)]
    return found


def _settled(chain: Sequence[Day], first: int, early: int, late: int, *, shortest: bool) -> list[tuple[int, int]] | None:
    """Settle the days from *first* on, to the last or to the earliest that can be the end; None where that cannot be."""
    # What may have crossed each midnight: more than nothing where it went on to the next day, less where it came back from there.
    reached = [(-early if first == 0 else 0, 0)]
    for number in range(first, len(chain)):
        link, last = chain[number], number + 1 == len(chain)
        low, high = reached[-1]
        low, high = low - link.difference - link.rounding, high - link.difference + link.doubt + link.rounding
        end = (max(low, 0), min(high, late if last else 0))
        if end[0] <= end[1] and (last or shortest):
            return _chosen(chain[first : number + 1], [*reached, end])
        if not last:
            reached.append((max(low, -chain[number + 1].early), min(high, link.late)))
            if reached[-1][0] > reached[-1][1]:
                return None
    return None


def _chosen(links: Sequence[Day], reached: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Choose backwards what crossed each midnight, the least that the days after it leave possible."""
    crossed = [_nearest_to_none(*reached[-1])]
    for link, (low, high) in zip(reversed(links), reversed(reached[:-1]), strict=True):
        after = crossed[-1] + link.difference
        crossed.append(_nearest_to_none(max(low, after - link.doubt - link.rounding), min(high, after + link.rounding)))
    crossed.reverse()
    moved = [came - went for came, went in pairwise(crossed)]
    return [(midnight, link.difference - midnight) for midnight, link in zip(moved, links, strict=True)]


def _nearest_to_none(low: int, high: int) -> int:
    return max(low, min(0, high))
