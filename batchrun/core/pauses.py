"""How long to leave alone what costs the more to look at the larger a run is."""

from __future__ import annotations

_TIMES_AS_LONG = 20


def pause_after(took: float, least: float) -> float:
    """Seconds until the next look: *least*, or as many as keep looks that take so long below a twentieth of the time."""
    return max(least, _TIMES_AS_LONG * took)
