"""``python -m tests.compiled [ARGUMENT …]``: make the compiled build, and run the whole suite, or what pytest is told, on it.

The wheel is laid over a copy of the tree: there the tests, and the processes that they start, find its modules first. The tests of the
build itself are left out. It takes minutes more than the suite.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.compiled.building import copied, unpacked, wheel

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="compiled-") as folder:
        tree = copied(Path(folder) / "tree")
        unpacked(wheel(tree), tree)
        modules = len(list((tree / "batchrun").rglob("*.so")))
        sys.stdout.write(f"{modules} modules are compiled\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", "pytest", *(sys.argv[1:] or ["-n", "auto", "--dist", "worksteal"]), "--ignore=tests/compiled"]
        done = subprocess.run(command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, check=False)
    sys.exit(done.returncode)
