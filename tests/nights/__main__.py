"""``python -m tests.nights [ROWS [KILLS [SEED]]]``: play a larger night, hold it against its bill, and print its figures."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.nights.night import play
from tests.nights.test_night import CHECKS

if __name__ == "__main__":
    rows, kills, seed = (int(word) for word in [*sys.argv[1:], *("6000", "5", "7")[len(sys.argv) - 1 :]])
    with tempfile.TemporaryDirectory() as folder:
        night = play(Path(folder), rows=rows, kills=kills, seed=seed)
        sys.stdout.write(json.dumps(night.figures(), indent=2, ensure_ascii=False) + "\n")
        for check in CHECKS:
            check(night)
            sys.stdout.write(f"held: {check.__name__.removeprefix('test_').replace('_', ' ')}\n")
