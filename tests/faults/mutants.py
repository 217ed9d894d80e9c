"""What a run must never do, done on purpose, and caught: ``python -m tests.faults.mutants [WORD...]``.

Each edit of `mutants.toml` is made to a copy of the package, and the tests that it names are run there: every one of them has to fail, and
all of them have to pass where nothing is edited. With words, only the edits that have one of them in their name or bar.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COPIED = ("batchrun", "tests", "jobs", "samples", "pyproject.toml", "README.md")
_SOME_FAILED = 1
"""What pytest ends with where tests ran, and one of them failed: what cannot be collected or imported is caught by nobody."""


@dataclass(frozen=True)
class Mutant:
    """One edit, and the tests that must fail for it."""

    name: str
    bar: str
    """The promise that it breaks, by its number in the list of bars."""
    file: str
    old: str
    new: str
    caught_by: tuple[str, ...]

    def of(self, text: str) -> str:
        """*text* with the edit made."""
        assert text.count(self.old) == 1, f"{self.name}: stands {text.count(self.old)} times in {self.file}, and not once"
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Judged:
    """What one test said of one mutant."""

    mutant: Mutant
    test: str
    caught: bool
    seconds: float
    said: str


def mutants(words: Iterable[str] = ()) -> list[Mutant]:
    """Read the table."""
    told = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["mutant"]
    found = [Mutant(**{**each, "caught_by": tuple(each["caught_by"])}) for each in told]
    wanted = [word.lower() for word in words]
    return [each for each in found if not wanted or any(word in f"{each.bar.lower()} {each.name.lower()}".split(" ") for word in wanted)]


def copied(place: Path) -> Path:
    """A copy of all that tests need, at *place*."""
    for name in _COPIED:
        if (ROOT / name).is_dir():
            # With its bytecode, where there is some: tests start many processes, and each would compile all of it anew.
            shutil.copytree(ROOT / name, place / name)
        else:
            shutil.copy2(ROOT / name, place / name)
    return place


def tested(copy: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run *tests* in *copy*."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(pytest, cwd=copy, env=environment, capture_output=True, text=True, timeout=900, check=False)


def judged(mutant: Mutant) -> list[Judged]:
    """Make the edit, and run what has to catch it."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        copy = copied(Path(name))
        path = copy / mutant.file
        path.write_text(mutant.of(path.read_text(encoding="utf-8")), encoding="utf-8")
        _must_import(copy, mutant)
        return [_judged_by(copy, mutant, test) for test in mutant.caught_by]


def _must_import(copy: Path, mutant: Mutant) -> None:
    module = mutant.file.removesuffix(".py").replace("/", ".")
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"], env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{mutant.name}: {mutant.file} cannot be imported, which anything would catch:\n{done.stderr}"


def _judged_by(copy: Path, mutant: Mutant, test: str) -> Judged:
    began = time.monotonic()
    done = tested(copy, test)
    return Judged(mutant, test, done.returncode == _SOME_FAILED, time.monotonic() - began, done.stdout[-2000:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="of names or bars: R3 fsync")
    parser.add_argument("--at-once", type=int, default=1)
    wished = parser.parse_args()
    chosen, began = mutants(wished.words), time.monotonic()
    if not chosen:
        parser.error(f"no edit has one of {', '.join(wished.words)} among the words of its name or bar")
    with tempfile.TemporaryDirectory(prefix="unedited-") as name:
        passed = tested(copied(Path(name)), *dict.fromkeys(test for each in chosen for test in each.caught_by))
    if passed.returncode:
        raise SystemExit(f"without any edit, tests fail:\n{passed.stdout[-4000:]}")
    print(f"{len(chosen)} mutants; unedited, all their tests pass ({time.monotonic() - began:.0f} s)\n", flush=True)
    survived: set[str] = set()
    with ThreadPoolExecutor(wished.at_once) as threads:
        for verdicts in threads.map(judged, chosen):
            for each in verdicts:
                survived |= set() if each.caught else {each.mutant.name}
                how = "caught by" if each.caught else "SURVIVED "
                print(f"{each.mutant.bar:4} {each.mutant.name:75} {how} {each.test} ({each.seconds:.1f} s)", flush=True)
                if not each.caught:
                    print(each.said, flush=True)
    caught = len(chosen) - len(survived)
    print(f"\n{caught} of {len(chosen)} caught, each by every test that is named for it; {time.monotonic() - began:.0f} s")
    raise SystemExit(1 if survived else 0)


if __name__ == "__main__":
    main()
