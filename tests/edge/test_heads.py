"""Heads that say their length again, a header in several lines, or no encoding: taken wherever they are cut; never where lengths differ."""

from __future__ import annotations

import anyio
import pytest

from batchrun.core.model import Failure, Reply, Request
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport import Transport
from batchrun.edge.transport.heads import mended
from tests.edge import fault_server as server

SIZE = len(server.ANSWER)
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def head(*lines: str, end: str = "\r\n") -> bytes:
    return end.join(["HTTP/1.1 200 OK", *lines, "", ""]).encode()


SAME = {
    "twice": head(f"Content-Length: {SIZE}", f"Content-Length: {SIZE}"),
    "thrice, in any case, with others between": head(
        f"content-length:{SIZE}", "X-A: b", f"CONTENT-LENGTH:  {SIZE} ", f"Content-Length: {SIZE}"
    ),
    "twice in a line": head(f"Content-Length: {SIZE}, {SIZE}"),
    "twice, behind hints": HINTS + head(f"Content-Length: {SIZE}", f"Content-Length: {SIZE}"),
    "twice, with line feeds alone": head(f"Content-Length: {SIZE}", f"Content-Length: {SIZE}", end="\n"),
}
FOLDED = {
    "a header in two lines": head("X-A: b", " c", f"Content-Length: {SIZE}"),
    "in three, with tabs and blanks": head(f"Content-Length: {SIZE}", "X-A: b \t", "\t c", " ", "X-B: d"),
    "a length in the second line": head("Content-Length:", f" {SIZE}"),
    "behind hints, with line feeds alone": HINTS + head(f"Content-Length: {SIZE}", "X-A:", " b", end="\n"),
    "and its length twice": head(f"Content-Length: {SIZE}", "X-A: b", " c", f"Content-Length: {SIZE}"),
}
NO_ENCODING = {
    "an encoding that is none": head("Transfer-Encoding: identity", f"Content-Length: {SIZE}"),
    "behind the length, in capitals": head(f"Content-Length: {SIZE}", "TRANSFER-ENCODING:IDENTITY ", "X-A: b"),
    "an encoding that is not named": head("Transfer-Encoding:", f"Content-Length: {SIZE}"),
    "no encoding, behind hints, with line feeds alone": HINTS + head("transfer-encoding: identity", f"Content-Length: {SIZE}", end="\n"),
    "no encoding, and its length twice": head(f"Content-Length: {SIZE}", "Transfer-Encoding: identity", f"Content-Length: {SIZE}"),
}
OTHER = {
    "one that is beside chunks that are none": head(f"Content-Length: {SIZE}", "Transfer-Encoding: chunked"),
    "two": head(f"Content-Length: {SIZE}", "Content-Length: 3"),
    "two in a line": head(f"Content-Length: {SIZE}, 3"),
    "two of three": head(f"Content-Length: {SIZE}", f"Content-Length: {SIZE}", f"Content-Length: 0{SIZE}"),
    "no numbers": head("Content-Length: x", "Content-Length: x"),
    "negative ones": head("Content-Length: -1", "Content-Length: -1"),
    "nothing": head("Content-Length:", "Content-Length:"),
    "two in two lines": head(f"Content-Length: {SIZE}", " 3"),
    "two, and a header in two lines": head(f"Content-Length: {SIZE}", "X-A: b", " c", "Content-Length: 3"),
    "two, and another mistake": head(f"Content-Length: {SIZE}", f"Content-Length: {SIZE}", "nonsense"),
}
TAKEN = SAME | FOLDED | NO_ENCODING


def asked(said: bytes, *, posts: int = 1, cut: int | None = None) -> tuple[list[Reply | Failure], int]:
    """What each of so many posts brings where *said* is the answer, which comes in two pieces if it is *cut*."""

    async def answers(_: server.Reader, writer: server.Writer) -> None:
        writer.write(said[:cut])
        if cut is not None:
            await writer.drain()
            await anyio.sleep(0.005)
            writer.write(said[cut:])

    async def main() -> tuple[list[Reply | Failure], int]:
        async with (
            server.serving(answers) as endpoint,
            Transport(connect=5, idle=5, total=5, connections=1, proxy="none", max_response_bytes=65_536) as wire,
        ):
            request = Request(endpoint.url, {"Authorization": "Bearer sk-fake-marketing"}, b"{}")
            results = [await wire.post(request, Reading(OPENAI.dialect, {})) for _ in range(posts)]
            return results, endpoint.connections

    return anyio.run(main)


@pytest.mark.parametrize("said", TAKEN.values(), ids=TAKEN.keys())
def test_an_answer_whose_head_is_one_of_these_is_taken_as_soon_as_it_is_whole_and_its_connection_used_again(said):
    results, connections = asked(said + server.ANSWER, posts=3)
    assert [result.content for result in results if isinstance(result, Reply)] == ["好"] * 3
    assert connections == 1


@pytest.mark.parametrize("said", TAKEN.values(), ids=TAKEN.keys())
def test_wherever_such_a_head_is_cut_it_is_read_the_same(said):
    whole = said + server.ANSWER
    # A head that is cut in the midst of a line that names two lengths is refused by the parser before the second has come.
    places = range(1, len(said) + 1) if b"," not in said else [9, len(said)]
    for cut in places:
        [result], _ = asked(whole, cut=cut)
        assert isinstance(result, Reply), (cut, result)


@pytest.mark.parametrize("said", OTHER.values(), ids=OTHER.keys())
def test_an_answer_of_which_nobody_knows_where_it_ends_is_refused_and_in_doubt(said):
    [result], _ = asked(said + server.ANSWER)
    assert isinstance(result, Failure)
    assert (result.code, result.in_doubt) == ("bad_http", True)


def test_what_a_body_says_is_no_head():
    body = b"\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"
    assert mended(head(f"Content-Length: {len(body)}") + body) is None
    twice = head("Content-Length: 9", "Content-Length: 9")
    assert mended(twice + body) == head("Content-Length: 9") + body
    assert mended(head("X-A: b") + b" {\n }") is None


def test_a_header_in_several_lines_is_one():
    said = head("X-Request-Id: r-", "\t7", f"Content-Length: {SIZE}", "Connection:", "  close")
    results, connections = asked(said + server.ANSWER, posts=2)
    assert [result.request_id for result in results] == ["r- 7"] * 2
    assert connections == 2
