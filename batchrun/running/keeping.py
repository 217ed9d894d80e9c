"""What the next opening has to know, kept while this one goes on: killed after eight hours, a run is gone on with in seconds.

Now and then what was appended since the last time is read back, in a thread beside the run, and a checkpoint is written: no line is read
twice, and the closing has but the last of it to read. It takes a small share of the run's time at the most, however large the run is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anyio

from batchrun.core.errors import BatchrunError
from batchrun.core.scheduling.past import Past
from batchrun.running.checkpoints import Checkpoint

KEPT_EVERY = 60.0
"""Seconds between two checkpoints, at the least."""
_TIMES_AS_LONG = 20
"""As one took passes before the next."""


class KeptPast:
    """What an opening has read of the ledger, taken on as the ledger grows: of nothing that only this opening wishes."""

    def __init__(self, checkpoint: Checkpoint, past: Past, ends: Mapping[str, int]) -> None:
        self._checkpoint = checkpoint
        self._past: Past | None = past
        self._ends = ends

    def go_on(self, ends: Mapping[str, int] | None = None) -> None:
        """Read on to *ends*, or to the end, and keep it, where that is worth it. Blocks."""
        ends = self._checkpoint.ends() if ends is None else ends
        if self._past is None or not self._checkpoint.is_worth_it(ends):
            return
        past, self._past = self._past, None
        try:
            self._checkpoint.go_on(past, self._ends, ends)
        except BatchrunError:
            # What contradicts itself is told by whoever reads all of it: the closing, and the next opening.
            return
        self._past, self._ends = past, ends

    async def keep(self, flush: Callable[[], None]) -> None:
        """Keep it now and then, until cancelled; after *flush*, no file of the ledger tells of what another has yet to be told."""
        pause = KEPT_EVERY
        while True:
            await anyio.sleep(pause)
            flush()
            began = anyio.current_time()
            await anyio.to_thread.run_sync(self.go_on, self._checkpoint.ends())
            pause = max(KEPT_EVERY, _TIMES_AS_LONG * (anyio.current_time() - began))
