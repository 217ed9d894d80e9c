"""``batchrun``, and ``python -m batchrun`` where scripts are not on the path: the command line, and the end of its process.

Once a verb has said and written all that it has to, its process ends at once. To take the interpreter down module by module would cost a
report or a run a sixth of a second of CPU, or more; and a signal that came meanwhile would kill it: what is done would count as failed.
Nor is it looked through for cycles of references again and again while its modules are read in: that took a twentieth of what a run begins
with.
"""

from __future__ import annotations

import os
import sys

from batchrun.cli import main as command_line
from batchrun.edge.garbage import seldom_collected


def main() -> None:
    """Carry out the command line, and end the process, whose code it raises where its last words cannot be written."""
    try:
        with seldom_collected():
            command_line()
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        try:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        except (OSError, ValueError):
            # Python says so on its way out, and has a code for it.
            raise ended from None
        os._exit(ended.code)


if __name__ == "__main__":
    main()
