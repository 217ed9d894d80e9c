"""How many calls one opening may have made that no line tells of any more, for the end of its log was lost with the machine.

A process that dies loses no line: what it wrote is with the kernel. A machine that dies takes along what was not synced, and the lines of
attempts.log are synced a second late. So calls are promised ahead, in lines that are synced before the calls are sent (`promises.py`): no
more calls of a workspace and model than were promised, less those whose lines are there, can have been made.

Lines may be missing where the opening did not say that it ended well, and the machine has been started anew since, or some of its lines
cannot be read (which is what a file system leaves where pages were lost).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from batchrun.core.classes import slotted
from batchrun.core.ledger.attempts import Bound, Promise, Started


@slotted
class Opening:
    """What it promised, and what its lines tell."""

    number: int = 0
    boot: str | None = None
    """In which start of which machine it was made; None where it promised nothing."""
    closed: bool = False
    unreadable: int = 0
    """Lines."""
    at: float = 0.0
    """Wall time of its last promise, seconds since the epoch."""
    promised: dict[tuple[str, str], Promise] = field(default_factory=dict)
    """The last of each workspace and model: it counts from the opening's beginning."""
    told: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """Calls, and their input and output tokens at the most, by workspace and model: those that began in it."""

    def count(self, workspace: str, model: str, most: tuple[int, int], calls: int = 1) -> None:
        """Count calls that began, which may cost so much together."""
        told = self.told.get((workspace, model))
        if told is None:
            told = self.told[workspace, model] = [0, 0, 0]
        told[0] += calls
        told[1] += most[0]
        told[2] += most[1]

    def lost_its_end(self, boot: str | None) -> bool:
        """Whether lines may be missing, now that the machine has been started as *boot*."""
        return self.boot is not None and not self.closed and (self.boot != boot or self.unreadable > 0)

    def untold(self) -> Iterator[Started]:
        """Calls that may have been made and have no line, as large as they may have been together."""
        for (workspace, model), promise in self.promised.items():
            calls, *tokens = (max(0, may - did) for may, did in zip(promise[2:], self.told.get((workspace, model), (0, 0, 0)), strict=True))
            for number in range(calls):
                share = Bound(*(each // calls + (number < each % calls) for each in tokens))
                yield Started(f"{self.number}-", workspace, model, "", share, self.at)
