"""What hears: calls under way that no worker waits for, of which the run's next turn reads what came since the last."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from batchrun.ports import Attempt, Begun


class Hearing:
    """Of the calls of one run; *wake* is told that something came."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.begun: dict[Attempt, Begun] = {}
        """The calls."""
        self._wake = wake
        self._heard_of: deque[Attempt] = deque()
        """Those of them of which something came since the last turn."""

    def came(self, attempt: Attempt, at: float) -> None:
        """Take note that something came of *attempt*, at a time of the loop."""
        attempt.ended = at
        if not self._heard_of:
            self._wake()
        self._heard_of.append(attempt)

    def read(self, ended: list[Attempt]) -> list[Attempt]:
        """Read the answers that came, and add their attempts to *ended*; give those of which more has to be waited for."""
        unfinished, wrong = [], None
        while self._heard_of:
            attempt = self._heard_of.popleft()
            try:
                attempt.result = self.begun[attempt].taken(attempt.ended)
            except BaseException as error:  # noqa: BLE001 - raised when the others are read, which are paid for all the same
                wrong = wrong or error
                continue
            if attempt.result is None:
                unfinished.append(attempt)
            else:
                del self.begun[attempt]
                ended.append(attempt)
        if wrong is not None:
            raise wrong
        return unfinished

    def abort(self) -> Iterator[Attempt]:
        """End all calls, which leaves starts without an end, and give each one's attempt."""
        for attempt, call in self.begun.items():
            call.abort()
            yield attempt
