"""How far under a known quota of attempts is kept, and what refusals make of that.

Theory of operation. A call every so many seconds, evenly, is within a quota over windows of every kind; half a percent under it is enough
as long as nothing lies between. But a network holds some calls up longer than others, and then two come close together: some come too
early by chance, and are refused. How far apart they must be is a property of the network, and stays: so what refusals teach of it is
learnt at once and forgotten slowly. Each of them widens the margin by half, each attempt that was taken narrows it by two in ten thousand.
So of n calls no more than some 0.05 % n + 8 are refused, beside those in flight at each, while the margin is under two percent.

A network explains no more than that. What is refused beyond it may be no pace's fault, and is not followed as far: a refusal widens the
margin by a quarter, an attempt narrows it by three thousandths of that. So of n calls no more than some 0.35 % n + 21 are refused while it
is under its widest, a tenth: what is refused still is no pace's fault. It may be the quota's, which somebody named too high, or others use
a part of: that is told from chance over all lanes of a pool (`scheduling/chance.py`).
"""

from __future__ import annotations

from dataclasses import field

from batchrun.core.classes import slotted

LEAST_MARGIN, LEAST_TOKEN_MARGIN, MOST_MARGIN = 0.005, 0.001, 0.1
"""What stays unused of attempts, of tokens (which are reckoned too), and at the most."""
_OF_NETWORK = 0.02
"""What a network that holds calls up explains of it."""
_WIDER, _NARROWER = 1.5, 1 - 0.0002
_WIDER_BEYOND, _NARROWER_BEYOND = 1.25, 1 - 0.25 * 0.003
"""What a refusal, and an attempt that was taken, make of the margin: of one that a network explains, and of a wider one."""


@slotted
class Margin:
    """The share of a quota that stays unused."""

    least: float = LEAST_MARGIN
    """Before anything was refused."""
    share: float = field(init=False)
    quota_is_doubted: bool = False
    """What is refused was shown to be the rate's doing: if the widest margin does not help, the quota is lower than it was named."""

    def __post_init__(self) -> None:
        self.share = self.least

    def widen(self, times: float | None = None) -> None:
        """An attempt was refused; so many *times* as wide, where it was in flight at another."""
        if times is None:
            times = _WIDER if self.share < _OF_NETWORK else _WIDER_BEYOND
        self.share = min(MOST_MARGIN, self.share * times)

    def narrow(self) -> None:
        """An attempt was taken."""
        self.share = max(self.least, self.share * (_NARROWER if self.share <= _OF_NETWORK else _NARROWER_BEYOND))

    @property
    def is_in_vain(self) -> bool:
        """Whether the quota is doubted, and no margin helps."""
        return self.quota_is_doubted and self.share == MOST_MARGIN

    def teach(self, share: object) -> None:
        """Begin with what was kept; what is no such number is passed over."""
        if isinstance(share, float) and self.least <= share <= MOST_MARGIN:
            self.share = share
