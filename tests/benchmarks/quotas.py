"""All that is asked of quotas, in one table: `python -m tests.benchmarks.quotas` prints each bar, what was seen, and whether it is reached.

It takes some minutes. Figures are of virtual time, but for the scheduler's cost, which is CPU. Words after the command choose the bars of
single quotas that have them in their names, and leave the others out (`known 1000000`). What is a command of its own too: `.limits` (single
quotas, beside what can be had of them), `.pools` (shared ones), `.plans` (forecasts against runs). Not in it is what waits for real
seconds: `.sockets` (quotas and the head of line on sockets); `.soak` plays a day and fifty kills.
"""

from __future__ import annotations

import sys

from tests.benchmarks import limits, plans, pools


def main() -> None:
    """Print the table."""
    limits.main(__doc__)
    if len(sys.argv) == 1:
        pools.main()
        plans.main()


if __name__ == "__main__":
    main()
