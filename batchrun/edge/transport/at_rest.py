"""Connections at rest that have served one endpoint and key, and whether those that it keeps do live.

Some endpoints, and what stands before them, close a connection a moment after each answer and say nothing of it (``Connection: close``,
RFC 9112, 9.6). A request that is on its way by then is lost, and in doubt: nobody here can tell whether it was read. Where several are
lost so, a connection is given out again only when it has lain for longer than such an endpoint takes to close it: what it closes is never
written to, and what lives is used as before. Once enough have served again, all is as it was. A restart, which breaks as many at once,
costs some new connections; losses by chance, one in a hundred, are seldom taken for it.
"""

from __future__ import annotations

from batchrun.edge.transport.connections import Connection

_SOON = 1.0
"""Seconds from an answer to the loss of the next request, at the most: what breaks later was not closed for its answer."""
_OF_A_LOSS, _TOO_MANY = 16, 48
"""Calls over such connections that must be answered to make up for one that was lost; and when that is too much."""
_LEAST_REST, _FIRST_PROOF, _LONGEST_PROOF = 0.1, 64, 4096


class AtRest(list[Connection]):
    """Those of one endpoint and key, the latest last."""

    __slots__ = ("_proof", "missing", "settles")

    def __init__(self) -> None:
        super().__init__()
        self.settles = 0.0
        """Seconds that one must have lain before it is given out; as a rule none."""
        self.missing = 0
        """How many are to be answered until no loss counts any more."""
        self._proof = _FIRST_PROOF

    def lost(self, seconds: float) -> None:
        """A request was lost so many *seconds* after the answer before it."""
        if seconds > _SOON:
            return
        if not self.settles:
            self.missing += _OF_A_LOSS
            if self.missing < _TOO_MANY:
                return
            # Each time longer: of some endpoints it is only every other connection.
            self.missing, self._proof = self._proof, min(4 * self._proof, _LONGEST_PROOF)
        self.settles = max(self.settles, _LEAST_REST, 2 * seconds)

    def served(self) -> None:
        """One of several that are `missing` was answered."""
        self.missing -= 1
        if not self.missing:
            self.settles = 0.0

    def settled(self, now: float) -> Connection | None:
        """Give the one that has lain longest, if that is long enough."""
        while self and now >= self[0].rests_since + self.settles:
            found = self.pop(0)
            if found.reusable and now <= found.rests_until:
                return found
            found.close()
        return None
