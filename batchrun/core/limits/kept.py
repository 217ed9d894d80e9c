"""What is believed of the limits that an earlier opening kept: a person may have edited them, and a slip makes a run crawl for ever.

What takes a figure up passes over what is none. Here those are left out that nothing ever found: rates at which the smallest attempt would
wait for longer than is ever waited, or that no quota is as large as, and more calls at once than anybody makes.
"""

from __future__ import annotations

from typing import Any

from batchrun.core.limits.use import NEVER_LONGER

_SMALLEST = {"attempts": 1.0, "tokens": 10.0}
"""Units: tokens are those that stand around a message, and an answer of one."""
_LARGEST = 1e12 / 60
"""Units a second."""
_MOST_AT_ONCE = 1_000_000


def believed(pool: object) -> dict[str, Any]:
    """What was kept of a *pool*, without what cannot have been found."""
    return {name: told for name, told in pool.items() if _may_be(name, told)} if isinstance(pool, dict) else {}


def _may_be(name: object, told: object) -> bool:
    match name, told:
        case "attempts" | "tokens", {"rate": rate}:
            return isinstance(rate, float) and _SMALLEST[str(name)] / NEVER_LONGER <= rate <= _LARGEST
        case "at_once", limit:
            return isinstance(limit, int) and limit <= _MOST_AT_ONCE
    return True
