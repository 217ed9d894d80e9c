"""``python -m tests.nights``: play a larger night, hold it against its bill, and print its figures."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.nights.night import play
from tests.nights.test_night import CHECKS

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.nights", description=__doc__)
    for number, (named, usual) in {"rows": ("ROWS", 6000), "kills": ("KILLS", 5), "seed": ("SEED", 7)}.items():
        parser.add_argument(number, metavar=named, nargs="?", type=int, default=usual, help=f"{usual}")
    wished = parser.parse_args()
    rows, kills, seed = wished.rows, wished.kills, wished.seed
    with tempfile.TemporaryDirectory() as folder:
        night = play(Path(folder), rows=rows, kills=kills, seed=seed)
        sys.stdout.write(json.dumps(night.figures(), indent=2, ensure_ascii=False) + "\n")
        for check in CHECKS:
            check(night)
            sys.stdout.write(f"held: {check.__name__.removeprefix('test_').replace('_', ' ')}\n")
