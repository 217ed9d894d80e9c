"""The package's public names are the same for a program and for a type checker."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import batchrun
from batchrun.core import errors


def test_a_name_that_the_package_does_not_have_is_refused_by_python_and_by_the_type_checker():
    """An ignore of nothing is a mistake for mypy: it would be one, were every name taken for one of the package's."""
    with pytest.raises(ImportError, match="Outcom"):
        from batchrun import Outcom  # type: ignore[attr-defined]  # noqa: F401, PLC0415 - what a user mistypes


def test_every_public_name_is_there_and_a_type_checker_is_told_whence_it_comes():
    tree = ast.parse(Path(batchrun.__file__).read_text(encoding="utf-8"))
    [told] = [node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)]
    places = {name.name: each.module for each in told.body if isinstance(each, ast.ImportFrom) for name in each.names}
    assert places == batchrun._PLACES
    assert sorted(places) == sorted(batchrun.__all__)
    assert all(getattr(batchrun, name) is not None for name in batchrun.__all__)


def _named_in(hint: Any) -> Iterator[type]:
    """The package's own classes that a hint names."""
    for each in (hint, *get_args(hint)):
        if isinstance(each, type) and each.__module__.startswith("batchrun."):
            yield each
        elif each is not hint:
            yield from _named_in(each)


def _made_of(*first: type) -> set[type]:
    """Classes, and those of all that stands in them, and in that."""
    found, left = set[type](), [*first]
    while left:
        if (one := left.pop()) not in found:
            found.add(one)
            left += [inner for hint in get_type_hints(one).values() for inner in _named_in(hint)]
    return found


def _given_by(functions: Iterable[Any]) -> set[type]:
    return {named for each in functions for named in _named_in(get_type_hints(each)["return"])}


def test_whatever_a_program_is_handed_has_a_name_that_it_can_import():
    public = {getattr(batchrun, name) for name in batchrun.__all__}
    assert _made_of(*get_args(batchrun.Outcome), batchrun.Progress) <= public
    assert _given_by(each for each in public if inspect.isfunction(each)) <= public
    assert _given_by((batchrun.Coming.__anext__, batchrun.Statement.total)) <= public
    assert {named for name in ("statement", "parked") for named in _named_in(get_type_hints(batchrun.Ending)[name])} <= public
    assert {each for each in vars(errors).values() if isinstance(each, type) and each.__module__ == errors.__name__} <= public


def test_the_version_stands_in_the_package_and_is_the_one_that_is_installed():
    assert importlib.metadata.version("batchrun") == batchrun.__version__
