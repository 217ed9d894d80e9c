"""A pause that the provider asks for with a `Retry-After`: how much of it is believed, and what goes first after it.

Theory of operation. A pause is waited for, whatever else is made of the refusal that asked for it. But some providers name an hour whatever
they count over, and who believed them would stand still although he could send. So no more than a minute is believed at first. What is said
is put to the test: before all of it has passed, one attempt is let through to try. If it is refused they mean it, and twice as long is
believed from then on; if it is taken, half as long. Who is always right is waited for in full after three tries that cost a refusal each;
who is always wrong, for a second.

After any pause one attempt goes alone (`episodes.py`), and the others follow once it must have been taken. A provider that is refused to
by everybody, all night, is not sent as many calls after each pause as are launched until the first refusal is back.
"""

from __future__ import annotations

import math

from batchrun.core.classes import slotted

_AT_FIRST, _LEAST, _MOST = 60.0, 1.0, 600.0
"""Seconds that are believed."""


@slotted
class Asked:
    """The latest such pause of one quota holder; told the time."""

    lasts: bool = False
    """One was asked for, and nobody saw its end yet."""
    until: float = -math.inf
    """When it ends, as far as it is believed."""
    _said_until: float = -math.inf
    """When it was said to end, where no attempt that went before that was taken."""
    _believes: float = _AT_FIRST

    def wait(self, now: float, launched_at: float, seconds: float) -> None:
        """The refusal of an attempt that was launched then asks for so many *seconds*."""
        said_until = now + seconds
        if launched_at < self.until:
            # It was under way when the pause was asked for, and shows nothing of whether that is meant.
            said_until = max(self._said_until, said_until)
        elif launched_at < self._said_until:
            self._believes = min(_MOST, 2 * self._believes)
        self._said_until = said_until
        self.until = max(self.until, now + min(seconds, self._believes))
        self.lasts = True

    def took(self, launched_at: float) -> None:
        """An attempt that was launched then, after a pause, was taken."""
        if self.until <= launched_at < self._said_until:
            self._believes, self._said_until = max(_LEAST, self._believes / 2), -math.inf
