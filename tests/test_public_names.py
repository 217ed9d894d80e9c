"""The package's public names are the same for a program and for a type checker."""

from __future__ import annotations

import ast
import importlib.metadata
from pathlib import Path

import pytest

import batchrun


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


def test_the_version_stands_in_the_package_and_is_the_one_that_is_installed():
    assert importlib.metadata.version("batchrun") == batchrun.__version__
