"""Packed bodies come out whole, wherever they were cut, and in pieces that are bounded."""

from __future__ import annotations

import gzip
import itertools
import zlib

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchrun.edge.transport.mishaps import WireError
from batchrun.edge.transport.unpacking import Unpacker, packing_of
from batchrun.edge.transport.unpacking import unpacked as at_once

PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": lambda body: gzip.compress(body[: len(body) // 2]) + gzip.compress(body[len(body) // 2 :]),
    "deflate": zlib.compress,
}
EACH = pytest.mark.parametrize(("encoding", "pack"), PACKERS.items(), ids=PACKERS.keys())


def unpacked(encoding: str, *packed: bytes) -> list[bytes]:
    unpacker = Unpacker(encoding)
    return [piece for each in packed for piece in unpacker.pieces(each)]


@EACH
@given(body=st.binary(max_size=200) | st.binary(min_size=1, max_size=9).map(lambda few: few * 40_000), cuts=st.lists(st.integers(0, 900)))
def test_what_was_packed_comes_out_wherever_it_was_cut(encoding, pack, body, cuts):
    packed = pack(body)
    places = sorted({0, len(packed), *(min(cut, len(packed)) for cut in cuts)})
    pieces = unpacked(encoding, *(packed[start:end] for start, end in itertools.pairwise(places)))
    assert b"".join(pieces) == body
    assert max(map(len, pieces), default=0) <= 65_536


@EACH
@given(
    body=st.binary(max_size=200) | st.binary(min_size=1, max_size=9).map(lambda few: few * 40_000),
    end=st.integers(-12, 0), behind=st.binary(max_size=20), most=st.integers(1, 400_000),
)  # fmt: skip
def test_what_is_unpacked_at_once_is_what_is_unpacked_in_pieces(encoding, pack, body, end, behind, most):
    packed = pack(body)
    packed = packed[: len(packed) + end] + behind
    assume(packing_of(encoding, packed) is not None)
    found = at_once(encoding, packed, most)
    if found is not None:
        assert len(found) <= most
        assert found == b"".join(unpacked(encoding, packed))
    elif encoding == "gzip" and not end and not behind:
        assert len(body) >= most


def test_nothing_is_left_behind_where_a_piece_is_just_full():
    for count in range(65_400, 66_200, 3):
        body = b" " * count
        assert b"".join(unpacked("deflate", zlib.compress(body, wbits=-15))) == body, count


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "", "x"])
def test_an_encoding_that_was_not_offered_is_not_guessed(encoding):
    with pytest.raises(WireError, match="bad_http"):
        Unpacker(encoding)


@pytest.mark.parametrize(
    ("header", "packing"),
    [
        *((header, None) for header in ("", " ", "identity", "none", "utf-8", "UTF8", "binary", "identity, identity")),
        *(("GZIP", "gzip"), ("x-gzip", "x-gzip"), (" deflate ", "deflate"), ("gzip, identity", "gzip"), ("identity,gzip", "gzip")),
        *(("br", "br"), ("Zstd", "zstd"), ("gzip, br", "gzip, br"), ("gzip,gzip", "gzip"), ("compress", "compress")),
    ],
)
@pytest.mark.parametrize("start", [b"\x1f\x8b\x08", b"\x1f", b"\x78\x9c", b"\xab\x56"])
def test_what_a_header_calls_a_packing_is_one_and_nothing_else(header, packing, start):
    assert packing_of(header, start) == packing


@pytest.mark.parametrize("header", ["gzip", "x-gzip", "deflate", "br", "zstd", "gzip, br", "identity"])
@pytest.mark.parametrize("start", [b"{", b'{"choices"'])
def test_an_answer_that_is_not_packed_is_none_whatever_its_header_says(header, start):
    assert packing_of(header, start) is None


@pytest.mark.parametrize("start", [b"data: {", b"event: error", b"id:1", b": alive", b"<html>", b" {", b"\n{", b"\xef\xbb\xbf{"])
def test_of_gzip_the_first_byte_tells_whether_it_is(start):
    assert packing_of("gzip", start) is None
    assert packing_of("deflate", start) == "deflate", "it may begin with any of these"


@given(body=st.dictionaries(st.text(), st.text()).map(orjson.dumps) | st.text(max_size=200).map(str.encode), level=st.integers(0, 9))
def test_no_packed_answer_begins_as_one_that_is_not(body, level):
    answer = b"{" + body
    for packed in (gzip.compress(answer, level), zlib.compress(answer, level), zlib.compress(answer, level, wbits=-15)):
        assert packed[:1] != b"{"
    assert gzip.compress(body, level)[:1] == b"\x1f"


@EACH
@given(noise=st.binary(min_size=9, max_size=99).filter(lambda noise: noise[0] & 15 != 8))
def test_what_is_not_packed_so_brings_bytes_or_a_mishap_and_raises_nothing_else(encoding, pack, noise):
    found: list[bytes | str] = []
    try:
        found += unpacked(encoding, noise)
    except WireError as error:
        found.append(error.code)
    assert found == ["bad_http"] or all(isinstance(piece, bytes) for piece in found)
