"""What a run needs to begin, and no more."""

from __future__ import annotations

import subprocess
import sys

_LATER = (
    "batchrun.simulator.server",
    "batchrun.simulator.service",
    "batchrun.telling.publishing",
    "batchrun.telling.reporting",
    "jsonschema",
    "tqdm",
)


def test_a_run_begins_without_the_simulator_the_page_and_other_things_that_it_may_never_need():
    asked = f"import sys, batchrun.cli.run; print(*(name for name in {_LATER} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout.split()
    assert loaded == []
