"""Folders whose names another system wrote."""

from __future__ import annotations

from unicodedata import normalize

import pytest

from batchrun.core.ledger.folders import written_in


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5"])
def test_a_folder_is_its_workspaces_in_whatever_encoding_its_name_is(encoding):
    assert written_in("法務".encode(encoding), "法務") == encoding
    assert written_in("法務".encode(encoding), "法律") is None


def test_letters_in_two_parts_are_the_same_name():
    assert written_in(normalize("NFD", "Ärger").encode(), "Ärger") == "another form of Unicode"


def test_a_name_of_plain_letters_is_in_no_other_encoding():
    assert written_in(b"legal", "hr") is None
