"""The layers of the house: an import goes down or stays; the rooms of the edge, a module or a folder each, do not know each other."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "batchrun"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
FLOORS = [
    ("core.classes", "core.model", "core.errors", "core.columns", "core.counted", "core.pauses", "core.progress"),
    ("core", "simulator"),
    ("core.scheduling", "core.ledger.fold", "core.ledger.apart"),
    ("beside",),
    ("engine", "edge", "ports", "hearing", "pressing", "waiting", "waking"),
    ("report", "simulator.server", "running", "telling"),
    ("cli",),
    ("__main__",),
]


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def floor_of(name):
    best = max(
        ((len(place), floor) for floor, places in enumerate(FLOORS) for place in places if name == place or name.startswith(place + ".")),
        default=None,
    )
    assert best is not None, f"{name} stands in no room of the house"
    return best[1]


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path):
    return tuple(_imports(path))


def _imports(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("batchrun"):
            found = node.module.removeprefix("batchrun").removeprefix(".")
            for alias in node.names:
                inner = f"{found}.{alias.name}".removeprefix(".")
                yield inner if (PACKAGE / (inner.replace(".", "/") + ".py")).exists() else found


@pytest.fixture(scope="module", autouse=True)
def forgotten():
    """What was parsed for these tests is of no use to others, and is looked through whenever Python looks for rubbish."""
    yield
    tree_of.cache_clear()


def wrong(paths, look):
    """What *look* finds in each of these modules, of those where it finds something: four tests of all modules, not one for each."""
    return {name_of(path): found for path in paths if (found := look(path))}


def test_an_import_goes_down_or_stays():
    def above(path):
        return [found for found in imports(path) if found and floor_of(found) > floor_of(name_of(path))]

    assert wrong(MODULES, above) == {}


def test_edge_rooms_do_not_know_each_other():
    def others(path):
        own = ".".join(name_of(path).split(".")[:2])
        return [found for found in imports(path) if found.startswith(("edge", "engine")) and not (found + ".").startswith(own + ".")]

    assert wrong(sorted((PACKAGE / "edge").rglob("*.py")), others) == {}


WORLD = {"time", "random", "secrets", "os", "io", "socket", "asyncio", "anyio", "aiohttp", "logging", "threading", "tempfile", "uuid"}


def test_the_core_asks_the_world_nothing():
    def asked(path):
        names = {alias.name.split(".")[0] for node in ast.walk(tree_of(path)) if isinstance(node, ast.Import) for alias in node.names}
        names |= {(node.module or "").split(".")[0] for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom)}
        return names & WORLD

    assert wrong(sorted((PACKAGE / "core").rglob("*.py")), asked) == {}


def test_nothing_is_added_to_what_was_read_before_an_await():
    """``total += await …`` reads the total first, and forgets what others have added by the time it is written."""

    def added(path):
        return [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.AugAssign) and awaits(node)]

    assert wrong(MODULES, added) == {}


def awaits(node):
    return any(isinstance(each, ast.Await) for each in ast.walk(node.value))


def test_no_module_comes_to_itself_by_what_it_imports():
    """Nor in a type's name alone: two modules that need each other to be read are one."""
    names = {name_of(path) for path in MODULES}
    reached = {name_of(path): {found for found in imports(path) if found in names} for path in MODULES}
    while grown := [name for name, known in reached.items() if not known >= {far for near in known for far in reached[near]}]:
        for name in grown:
            reached[name] = reached[name].union(*(reached[near] for near in reached[name]))
    assert [name for name, known in reached.items() if name in known] == []
