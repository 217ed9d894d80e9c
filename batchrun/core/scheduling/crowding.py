"""How many calls of a pool the provider takes at once; and whether it is that for which a lane is refused, or a limit of the lane's own.

Theory of operation. A limit on calls at once refuses whoever comes while it is full, and nobody else; and of each call that is refused it
is known how many were under way with it, of its lane and of its pool. Where the pool had as many under way before, and they were taken, the
refusal is the lane's own; where the lane had, it is the pool's. Where neither had, the lane is to blame until a second lane is refused: a
workspace may have a limit of its own, which must not hold back the others. From then on the pool is, unless its limit was found wrong, or
the lane tries whether it may have more. Where both had, a limit has changed: it is taken for the pool's, which others use too.
"""

from __future__ import annotations

from dataclasses import field

from batchrun.core.classes import slotted
from batchrun.core.limits.at_once import AtOnce


@slotted
class Crowd:
    """The calls of one pool."""

    at_once: AtOnce = field(default_factory=AtOnce)
    under_way: int = 0
    is_full: bool = False
    """The pool was seen to wait for the end of one of them."""
    _refused: AtOnce | None = None
    """Of the lane that was the first to be refused."""
    _refuses_several: bool = False

    def is_to_blame(self, own: AtOnce, own_place: int, place: int) -> bool:
        """Whether the refusal of a call is the pool's, of whose lane this is its *own* limit; with the places that both gave it."""
        if self._refused is None:
            self._refused = own
        self._refuses_several = self._refuses_several or self._refused is not own
        if not self._refuses_several or own.is_trying:
            return False
        return not own.explains(own_place) or (self.at_once.explains(place) and not self.at_once.is_refuted)
