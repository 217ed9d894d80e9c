"""``python -m batchrun``: the command line, for an environment whose scripts are not on the path."""

from __future__ import annotations

from batchrun.cli import main

main()
