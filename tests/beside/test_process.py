"""What another process makes comes here, whatever else this one has open."""

from __future__ import annotations

import marshal
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from batchrun.beside import process
from batchrun.beside.process import FROM_BYTES, Beside, is_worth_it

_MORE_THAN_SELECT_KNOWS = 1100


def numbers(told: Mapping[str, Any]) -> Iterator[bytes]:
    """What the other process does."""
    yield from map(marshal.dumps, range(told["most"]))


def test_it_is_heard_of_however_many_files_are_open(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * _MORE_THAN_SELECT_KNOWS, limits[1]))
        for _ in range(_MORE_THAN_SELECT_KNOWS):
            stack.callback(os.close, os.open(os.sep, os.O_RDONLY))
        other, came = stack.enter_context(Beside(tmp_path, f"{__name__}:{numbers.__name__}", {"most": 3})), []
        while (part := other.next()) is not None:
            came.append(part)
            other.taken()
    assert came == [0, 1, 2]


@pytest.mark.parametrize("program", [None, "", "/usr/bin/uwsgi", "/opt/app/nightly"])
def test_a_program_that_is_no_interpreter_is_never_begun_again(monkeypatch, program):
    """As one that PyInstaller or the like has made is not, nor a web server that Python is built into: it would begin its own work anew."""
    monkeypatch.setattr(process, "cores", lambda: 2)
    assert is_worth_it(FROM_BYTES)
    monkeypatch.setattr(sys, "executable", program)
    assert not is_worth_it(FROM_BYTES)


def test_a_program_that_is_frozen_is_never_begun_again_whatever_its_name(monkeypatch):
    monkeypatch.setattr(process, "cores", lambda: 2)
    monkeypatch.setattr(sys, "executable", "/opt/app/pythia")
    assert is_worth_it(FROM_BYTES)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert not is_worth_it(FROM_BYTES)
