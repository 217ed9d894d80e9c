from __future__ import annotations

import ast
import asyncio
import errno
import gc
import inspect
import itertools
import logging
import random
import re
import shutil
import socket
import ssl
import subprocess
import time
import tracemalloc
import warnings
from base64 import b64encode
from pathlib import Path

import aiohttp
import anyio
import anyio.lowlevel
import orjson
import pytest

from batchrun.core.model import Failure, Fault, Reply, Request, Scope
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.reading import Reading
from batchrun.core.rows.weight import MOST_WEIGHT
from batchrun.core.scheduling.outages import never_met
from batchrun.edge import transport as transport_module
from batchrun.edge.transport import Page, Transport
from batchrun.edge.transport.mishaps import code_of
from tests.edge import fault_server as server

KEY = "sk-fake-marketing"
ODD_KEY = "qX9/weird+key==marketing"
AGAIN, PARK, REJECT, THROTTLED = Fault.AGAIN, Fault.PARK, Fault.REJECT, Fault.THROTTLED
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def reading() -> Reading:
    return Reading(OPENAI.dialect, {})


def transport(*, connect=1.0, idle=0.2, total=2.0, connections=4, proxy="none", max_response_bytes=65_536) -> Transport:
    return Transport(connect=connect, idle=idle, total=total, connections=connections, proxy=proxy, max_response_bytes=max_response_bytes)


def request(url: str, key: str = KEY, body: bytes = b'{"model":"qwen-plus"}') -> Request:
    return Request(url, {"Authorization": f"Bearer {key}"}, body)


def ask(fault: server.Fault, *, key: str = KEY, posts: int = 1, body: bytes = b"{}", tls: ssl.SSLContext | None = None, **settings):
    """The results of *posts* requests, one after the other over one transport."""

    async def main() -> list[Reply | Failure]:
        async with server.serving(fault, tls=tls) as endpoint, transport(**settings) as wire:
            return [await wire.post(request(endpoint.url, key, body), reading()) for _ in range(posts)]

    return anyio.run(main)


def failure_of(fault: server.Fault, **settings) -> Failure:
    [result] = ask(fault, **settings)
    assert isinstance(result, Failure), result
    return result


PACKED_HEADER = "Content-Encoding: gzip"


@pytest.mark.parametrize(
    "when", [("Retry-After: 3",), ("Date: Fri, 27 Nov 2026 01:00:00 GMT", "Retry-After: Fri, 27 Nov 2026 01:00:03 GMT")]
)
def test_a_refusal_says_the_providers_code_and_when_to_come_back(when):
    body = orjson.dumps({"error": {"code": "limit_requests", "message": "You exceeded your current requests list."}, "request_id": "r-9"})
    failure = failure_of(server.says(server.http(body, *when, status="429 Too Many Requests")))
    assert (failure.fault, failure.code, failure.retry_after, failure.request_id) == (THROTTLED, "limit_requests", 3.0, "r-9")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_says_where_it_leads_and_is_not_followed(status):
    async def main():
        async with server.serving(server.keeps(server.http())) as other:
            moved = server.says(server.http(b"", f"Location: {other.url}?token=hidden", status=f"{status} Moved"))
            async with server.serving(moved) as endpoint, transport() as wire:
                return await wire.post(request(endpoint.url), reading()), endpoint.url, other.url, other.connections

    failure, called, other, followed = anyio.run(main)
    assert (failure.code, failure.scope, failure.in_doubt, followed) == ("redirect", Scope.WORKSPACE, False, 0)
    assert failure.message == f"the endpoint answered {status} with a redirect to {other} (called: {called})"
    assert "hidden" not in repr(failure)


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed", "410 Gone", "308 Permanent Redirect"])
def test_of_an_address_that_is_not_there_the_url_is_told_that_was_called_and_what_the_provider_s_are(status):
    failure = failure_of(server.says(server.http(b"<html>", status=status)))
    assert re.search(r" \(called: http://127\.0\.0\.1:\d+/v1/chat/completions\)$", failure.message)
    if not status.startswith("3"):
        assert "public (dashscope.aliyuncs.com), finance (dashscope-finance.aliyuncs.com)" in failure.advice


def test_of_a_web_page_for_an_answer_its_title_is_told_and_the_url_that_was_called():
    failure = failure_of(server.says(server.http(f"<html><title>Sign in, {KEY}</title>".encode())))
    assert re.fullmatch(
        r"the answer is a web page: Sign in, \*\*\* \(called: http://127\.0\.0\.1:\d+/v1/chat/completions\)", failure.message
    )


def test_a_url_that_is_told_holds_no_query_and_no_key():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        failure = post_once(f"{base}/{KEY}/v1?token=hidden")
    assert f"{base}/***/v1: " in failure.message
    assert "hidden" not in failure.message


def test_a_refused_connection_was_never_asked():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        failure = post_once(f"http://127.0.0.1:{taken.getsockname()[1]}/v1/chat/completions")
    assert (failure.code, failure.fault, failure.in_doubt) == ("connection_refused", AGAIN, False)
    assert "127.0.0.1" in failure.message
    assert "refused" in failure.message


def test_a_connection_that_never_stands_was_never_asked():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(3):  # fills the backlog, so that the kernel lets further connections wait
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(full.getsockname())
        failure = post_once(f"http://127.0.0.1:{full.getsockname()[1]}/", connect=0.1)
        for one in waiting:
            one.close()
    assert (failure.code, failure.fault, failure.in_doubt) == ("connect_timeout", AGAIN, False)


def test_a_total_time_that_ends_before_the_connection_stands_leaves_no_doubt():
    async def main():
        async with server.serving(server.hangs()) as endpoint, transport(connect=5, total=0.1) as wire:
            return await wire.post(request(endpoint.url.replace("http:", "https:")), reading())

    failure = anyio.run(main)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.in_doubt) == ("total_timeout", False)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example"])
def test_a_name_that_does_not_resolve_was_never_asked(host):
    failure = post_once(f"http://{host}/v1/chat/completions")
    assert (failure.code, failure.fault, failure.in_doubt) == ("dns", AGAIN, False)


@pytest.mark.parametrize(
    "url", ["", "not a url", "ftp://host/", "http://", "http://[::1", "http://host:99999/", "http://user:secret@host/v1"]
)
def test_an_endpoint_that_cannot_be_called_parks_its_workspace(url):
    failure = post_once(url)
    assert (failure.code, failure.fault, failure.scope, failure.in_doubt) == ("invalid_url", PARK, Scope.WORKSPACE, False)
    assert "secret" not in repr(failure)


def get_once(url: str, **settings) -> Failure:
    async def main():
        async with transport(**settings) as wire:
            return await wire.get(url, {})

    result = anyio.run(main)
    assert isinstance(result, Failure), result
    return result


def post_once(url: str, **settings) -> Failure:
    async def main():
        async with transport(**settings) as wire:
            return await wire.post(request(url), reading())

    result = anyio.run(main)
    assert isinstance(result, Failure), result
    return result


def test_an_answer_that_unpacks_to_gigabytes_is_never_held_and_not_asked_for_again():
    packed = server.bomb(256 * 1_048_576)
    tracemalloc.start()
    failure = failure_of(server.says(server.http(packed, PACKED_HEADER)), max_response_bytes=1_048_576)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (failure.code, failure.fault, failure.in_doubt) == ("response_too_large", REJECT, True)
    assert peak < 16 * 1_048_576


@pytest.mark.parametrize("fault", [server.says(), server.resets(), server.says(server.http(server.ANSWER[:-9], length=9_999)), None])
def test_a_call_that_failed_holds_nothing_of_its_row_until_cycles_are_sought(fault):
    async def main() -> int:
        async with server.serving(fault or server.hangs()) as endpoint, transport() as wire:
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
                url = endpoint.url if fault else f"http://127.0.0.1:{taken.getsockname()[1]}/"
                for number in range(8):
                    assert isinstance(await wire.post(request(url, body=b"x" * (1_000_000 + number)), reading()), Failure)
                    await anyio.sleep(0.01)  # The server is rid of its end by then, too.
                    endpoint.requests.clear()
            return tracemalloc.get_traced_memory()[0]

    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        held = anyio.run(main)
    finally:
        tracemalloc.stop()
        gc.enable()
    assert held < 3_000_000


def test_an_endless_answer_ends_at_the_largest_size():
    failure = failure_of(server.pours(HEAD + b"\r\n", b"x" * 65_536), total=0.5)
    assert (failure.code, failure.fault) == ("response_too_large", REJECT)


def test_a_large_answer_may_be_silent_for_a_while_after_others_had_their_turn():
    body = server.ANSWER.replace("好".encode(), b"x" * 700_000)

    async def pauses(_, writer):
        for piece in (server.http(body)[:400_000], server.http(body)[400_000:]):
            writer.write(piece)
            await writer.drain()
            await anyio.sleep(0.1)

    [reply] = ask(pauses, max_response_bytes=1_048_576, idle=0.5)
    assert isinstance(reply, Reply)
    assert len(reply.content) == 700_000


def test_an_endless_refusal_is_read_as_far_as_is_taken():
    head = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\n\r\n"
    failure = failure_of(server.pours(head, b"no entry " * 1_000), total=0.5)
    assert (failure.fault, failure.scope, failure.in_doubt) == (PARK, Scope.WORKSPACE, False)
    assert failure.message.startswith("no entry")


BROKEN = (server.says, server.hangs, server.resets)


@pytest.mark.parametrize("breaks", BROKEN)
@pytest.mark.parametrize(
    ("status", "fault", "in_doubt"),
    [
        ("401 No", PARK, False),
        ("429 Wait", THROTTLED, False),
        ("413 Large", REJECT, False),
        ("503 Busy", AGAIN, True),
        ("400 Bad", AGAIN, False),
    ],
)
def test_a_refusal_whose_body_breaks_off_is_one_by_its_status_and_was_not_billed(breaks, status, fault, in_doubt):
    """But for a 400, which may be about the row or the account: only its code tells, so it is asked for again."""
    failure = failure_of(breaks(server.http(b'{"error": {"mess', "Retry-After: 7", status=status, length=500)))
    assert (failure.fault, failure.in_doubt) == (fault, in_doubt)

    assert failure.status == int(status[:3])
    assert failure.retry_after == (None if status.startswith("400") else 7.0)


@pytest.mark.parametrize("status", ["413 Large", "429 Too Many Requests", "400 Bad Request"])
@pytest.mark.parametrize("body_bytes", [100_000, 10 << 20])
def test_a_refusal_that_comes_before_its_request_was_sent_whole_is_read_though_the_rest_is_reset(status, body_bytes):
    async def refuses(reader: server.Reader, writer: server.Writer) -> None:
        await reader.readexactly(1_000)
        writer.write(server.http(b"{}", "Connection: close", status=status))
        # With all that came unread: the system answers what is still on its way with a reset.
        writer.close()

    async def main() -> list[Reply | Failure]:
        async with await asyncio.start_server(refuses, "127.0.0.1", 0, limit=1_000) as listening, transport() as wire:
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
            return [await wire.post(request(url, body=b" " * body_bytes), reading()) for _ in range(4)]

    for failure in anyio.run(main):
        assert isinstance(failure, Failure)
        assert (failure.code, failure.in_doubt) == (f"http_{status[:3]}", False)


def test_a_refusal_that_comes_in_pieces_is_told_as_one_that_comes_whole():
    said = server.http(orjson.dumps({"error": {"code": "arrears", "message": "Your account is overdue."}}), status="400 Bad Request")

    async def in_pieces(_, writer):
        for at in range(0, len(said), 70):
            writer.write(said[at : at + 70])
            await writer.drain()
            await anyio.sleep(0.01)

    told = failure_of(server.says(said))
    assert told.message == "Your account is overdue."
    assert failure_of(in_pieces) == told


def test_an_answer_of_more_values_than_there_is_memory_for_is_not_asked_for_again_and_may_have_been_billed():
    class Heavy(Reading):
        def weight(self) -> int:
            return MOST_WEIGHT + 1

    async def main():
        large = server.http(server.ANSWER.replace("好".encode(), b"x" * 700_000))
        async with server.serving(server.keeps(large)) as endpoint, transport(max_response_bytes=1 << 20) as wire:
            return await wire.post(request(endpoint.url), Heavy(OPENAI.dialect, {}))

    failure = anyio.run(main)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.fault, failure.in_doubt, failure.status) == ("too_many_values", REJECT, True, 200)


def test_an_answer_that_is_no_http_is_told_with_what_is_wrong_with_it():
    failure = failure_of(server.pours(HEAD + b"X-A: ", b"a" * 65_536))
    assert (failure.code, "no end of what is no body" in failure.message) == ("bad_http", True), failure.message


@pytest.mark.parametrize("posts", [1, 2])
def test_what_stands_in_trailers_is_no_header_of_the_answer_nor_of_the_next(posts):
    end = b"0\r\nContent-Encoding: br\r\nX-Request-Id: trailer\r\nKeep-Alive: timeout=0\r\n\r\n"
    results = ask(server.keeps(server.chunked(b" " + server.ANSWER, end=end)), posts=posts)
    assert [(result.content, result.request_id) for result in results if isinstance(result, Reply)] == [("好", "r-1")] * posts


def test_of_a_header_that_is_said_twice_the_first_counts_however_it_is_spelled():
    refused = server.http(b"{}", "RETRY-AFTER: 3", "Retry-After: 4", "retry-after: 5", "retry-After: 6", status="429 No")
    assert failure_of(server.says(refused)).retry_after == 3.0


def test_an_interim_head_says_nothing_of_the_answer_behind_it():
    early = b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: br\r\nRetry-After: 9\r\n\r\n"
    [result] = ask(server.says(early + server.http(b" " + server.ANSWER)))
    assert isinstance(result, Reply), result


def test_a_header_that_is_no_text_is_no_mishap():
    refused = server.http(b"{}", status="429 Too Many Requests").replace(b"Content-Type", b"X-Request-Id: \xff\xfe\r\nContent-Type", 1)
    assert failure_of(server.says(refused)).code == "http_429"


def test_of_many_calls_the_first_are_sent_before_the_last_are_connected():
    calls, connected = 80, []

    async def main():
        async def counts(_: server.Reader, writer: server.Writer) -> None:
            connected.append(endpoint.connections)
            writer.write(server.http())

        async with (
            server.serving(counts) as endpoint,
            transport(connections=calls, connect=10, idle=10, total=20) as wire,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(calls):
                tasks.start_soon(wire.post, request(endpoint.url), reading())
        return endpoint.connections

    assert anyio.run(main) == calls
    assert connected[0] <= calls // 2, f"{connected[0]} of {calls} stood when the first was sent"


@pytest.mark.parametrize(("total", "code"), [(20, None), (1.2, "total_timeout")])
def test_a_call_that_waits_for_its_turn_to_connect_has_all_its_time_for_connecting_and_no_more_than_its_total(total, code):
    """Thousands begin at once, and a busy loop takes longer than *connect* to come to the last: nothing of the network is slow."""

    async def main():
        results = list[Reply | Failure]()

        async def post() -> None:
            results.append(await wire.post(request(endpoint.url), reading()))

        async with (
            server.serving(server.says(server.http())) as endpoint,
            transport(connect=1, idle=10, total=total) as wire,
            anyio.create_task_group() as tasks,
        ):
            openings = wire._pool._openings
            openings._begun = 1 << 20  # More are never begun in one turn.
            tasks.start_soon(post)
            await anyio.sleep(1.5)
            openings._later.call()
        return results

    [result] = anyio.run(main)
    assert getattr(result, "code", None) == code, result


def test_more_than_a_hundred_calls_are_under_way_at_once():
    calls, results = 130, list[Reply | Failure]()

    async def main():
        all_asked = anyio.Event()

        async def waits_for_all(_: server.Reader, writer: server.Writer) -> None:
            if len(endpoint.requests) == calls:
                all_asked.set()
            await all_asked.wait()
            writer.write(server.http())

        async def post() -> None:
            results.append(await wire.post(request(endpoint.url), reading()))

        async with (
            server.serving(waits_for_all) as endpoint,
            transport(connections=calls, connect=10, idle=10, total=20) as wire,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(calls):
                tasks.start_soon(post)

    anyio.run(main)
    assert [type(result) for result in results] == [Reply] * calls


def test_while_a_model_thinks_the_system_keeps_a_connection_known_to_what_stands_between():
    async def main() -> tuple[int, int, int]:
        async with server.serving(server.keeps(server.http())) as endpoint, transport() as wire:
            await wire.post(request(endpoint.url), reading())
            [connection] = wire._pool._open
            held = connection._transport.get_extra_info("socket")
            asked = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            idle, every, times = (held.getsockopt(socket.IPPROTO_TCP, name) for name in asked)
            return held.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), max(idle, every), idle + every * times

    on, silent, gives_up = anyio.run(main)
    assert on
    assert silent <= 60, "some forget a connection after two minutes"
    assert gives_up >= 600, "an answer may still come until total is over"


def test_a_connection_whose_other_end_is_there_no_more_is_not_told_as_a_call_that_took_too_long():
    assert code_of(OSError(errno.ETIMEDOUT, "said")) == "connection_reset"
    assert code_of(TimeoutError()) == "total_timeout"


@pytest.mark.parametrize(
    ("answer", "brings"),
    [
        (server.http(), Reply),
        (server.http(b"", status="429 Too Many Requests"), Failure),
        (server.http(b"{}", status="400 Bad Request"), Failure),
        (server.http(b'{"error": {"code": "limit_requests", "message": "slow"}}'), Failure),
    ],
)
def test_connections_are_used_again_after_a_refusal_too(answer, brings):
    async def main():
        async with server.serving(server.keeps(answer)) as endpoint, transport() as wire:
            for _ in range(3):
                assert isinstance(await wire.post(request(endpoint.url), reading()), brings)
            return endpoint.connections

    assert anyio.run(main) == 1


@pytest.mark.parametrize(
    "fails",
    [
        *(
            server.http(b"", status=status)
            for status in ("302 Found", "403 No", "404 No", "421 No", "500 Oops", "502 Bad", "503 No", "529 Too much")
        ),
        server.http(b'{"error": {"code": "internal_error", "message": "CUDA error"}}', status="500 Oops"),
        server.http(b'{"error": {"code": "internal_error", "message": "CUDA error"}}'),
        server.http(b'{"error": {"code": "invalid_api_key", "message": "no"}}', status="401 No"),
        server.http(b"<html>Sign in</html>"),
        server.http(b'data: {"error": {"message": "CUDA error"}}\n\n'),
        server.http(b""),
    ],
)
@pytest.mark.parametrize("begun", [False, True], ids=["waited for", "begun"])
@pytest.mark.parametrize(
    ("failing", "over"),
    [({1}, [1, 2, 2, 2]), ({2}, [1, 1, 1, 1]), ({2, 3}, [1, 1, 1, 2]), ({2, 4}, [1, 1, 1, 1]), ({1, 2}, [1, 2, 3, 3])],
    ids=lambda each: f"{each} fail" if isinstance(each, set) else "",
)
def test_a_connection_that_leads_to_a_server_that_fails_is_not_used_again(fails, begun, failing, over):
    """One that had answered may have failed by chance, and is asked once more."""
    endpoint = server.Server(0)

    async def some_fail(_reader: server.Reader, writer: server.Writer) -> None:
        writer.write(fails if len(endpoint.requests) in failing else server.http())

    async def ask(wire: Transport) -> Reply | Failure:
        came: list[float] = []
        call = wire.begin(request(endpoint.url), reading(), came.append) if begun else None
        if call is None:
            return await wire.post(request(endpoint.url), reading())
        while not came:
            await anyio.lowlevel.checkpoint()
        return call.taken(came[0]) or await call.rest()

    async def main():
        nonlocal endpoint
        async with server.serving(some_fail) as endpoint, transport(connections=1) as wire:
            return [(type(await ask(wire)), endpoint.connections) for _ in range(4)]

    brings = [Failure if number in failing else Reply for number in range(1, 5)]
    assert anyio.run(main) == list(zip(brings, over, strict=True))


def failures_and_connections(fails) -> tuple[int, int]:
    """Of 400 calls, eight at a time, to what *fails* some of them, told the number of the connection and that of its request."""
    requests: dict[server.Writer, tuple[int, int]] = {}

    async def answers(_reader: server.Reader, writer: server.Writer) -> None:
        number, asked = requests.get(writer, (len(requests), 0))
        requests[writer] = number, asked + 1
        is_broken = fails(number, asked)
        # What fails does it soon, and what answers takes a moment.
        for _ in range(0 if is_broken else 20):
            await anyio.lowlevel.checkpoint()
        writer.write(server.http(b"", status="503 Busy") if is_broken else server.http())

    async def main() -> tuple[int, int]:
        results: list[Reply | Failure] = []
        async with server.serving(answers) as endpoint, transport(connections=8) as wire, anyio.create_task_group() as tasks:

            async def posts() -> None:
                results.extend([await wire.post(request(endpoint.url), reading()) for _ in range(50)])

            for _ in range(8):
                tasks.start_soon(posts)
        return sum(isinstance(result, Failure) for result in results), len(requests)

    return anyio.run(main)


@pytest.mark.parametrize(
    ("fails", "most"),
    [(lambda number, _: number % 4 == 0, 6), (lambda number, asked: number % 4 == 0 and asked > 5, 8)],
    ids=["from the beginning", "later"],
)
def test_of_several_servers_behind_one_address_one_that_is_broken_gets_few_calls(fails, most):
    failures, _ = failures_and_connections(fails)
    assert 2 <= failures <= most


def test_a_service_that_fails_some_calls_by_chance_is_called_over_few_new_connections():
    dice = random.Random(5)
    failures, connections = failures_and_connections(lambda *_: dice.random() < 0.1)
    assert failures > 30
    assert connections < 8 + failures / 4


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (b'{"error": {"code": "limit_requests", "message": "You exceeded your current requests list."}}', "limit_requests"),
        (b'{"choices": [{"index": 0, "delta": {"content": "\xff"}, "finish_reason": "stop"}]}', "not_utf8"),
    ],
)
def test_what_a_stream_has_said_to_its_end_is_told_though_its_wire_breaks_then_be_it_no_answer(event, code):
    failure = failure_of(server.says(server.chunked(b"data: " + event + b"\n\n", end=b"")))
    assert (failure.code, failure.reply is not None) == (code, code == "not_utf8")


@pytest.mark.parametrize("fault", [server.keeps(server.http()), server.resets(), server.says(server.http(b"", status="500 Broken"))])
def test_a_call_that_has_ended_is_watched_no_more_and_holds_nothing_for_its_total_time(fault):
    async def main():
        async with server.serving(fault) as endpoint, transport(total=60) as wire:
            await wire.post(request(endpoint.url), reading())
            came: list[float] = []
            if (begun := wire.begin(request(endpoint.url), reading(), came.append)) is not None:
                while not came:
                    await anyio.lowlevel.checkpoint()
                if begun.taken(came[0]) is None:
                    await begun.rest()
            return [len(watch._watched) for watch in wire._watches.values()]

    assert anyio.run(main) == [0]


def test_a_pooled_connection_that_the_server_closed_is_in_doubt_and_not_asked_again_behind_our_back():
    async def main():
        answered: list[bool] = []

        async def closes_when_asked_again(_, writer):
            if answered:
                writer.close()
                return
            answered.append(True)
            writer.write(server.http())

        async with server.serving(closes_when_asked_again) as endpoint, transport() as wire:
            await wire.post(request(endpoint.url), reading())
            return await wire.post(request(endpoint.url), reading()), endpoint

    failure, endpoint = anyio.run(main)
    assert (failure.code, failure.fault, failure.in_doubt) == ("disconnected", AGAIN, True)
    assert (len(endpoint.requests), endpoint.connections) == (2, 1)


def test_an_answer_behind_an_answer_is_never_another_rows():
    stray = server.ANSWER.replace("好".encode(), b"stray")
    results = ask(server.keeps(server.http(), server.http(stray)), posts=4)
    assert [result.content for result in results if isinstance(result, Reply)] == ["好"] * 4


def test_an_answer_that_comes_late_and_unasked_is_never_another_rows():
    stray = server.ANSWER.replace("好".encode(), b"stray")

    async def main():
        ends: list[server.Writer] = []

        async def answers(_, writer):
            ends.append(writer)
            writer.write(server.http())

        async with server.serving(answers) as endpoint, transport() as wire:
            first = await wire.post(request(endpoint.url), reading())
            [resting] = wire._pool._open
            ends[0].write(server.http(stray))
            while resting.reusable:
                await anyio.lowlevel.checkpoint()
            return first, await wire.post(request(endpoint.url), reading()), endpoint.connections

    first, second, connections = anyio.run(main)
    assert [first.content, second.content, connections] == ["好", "好", 2]


@pytest.mark.parametrize("known", ["to be gone", "to be going"])
def test_a_connection_that_its_server_ended_while_it_lay_unused_is_not_written_to(known):
    async def main():
        ends: list[server.Writer] = []

        async def answers(_, writer):
            ends.append(writer)
            writer.write(server.http())

        async with server.serving(answers) as endpoint, transport() as wire:
            await wire.post(request(endpoint.url), reading())
            [resting] = wire._pool._open
            ends[0].write_eof()
            # Between the two lies a turn of the loop.
            while resting in wire._pool._open if known == "to be gone" else not resting._transport.is_closing():
                await anyio.lowlevel.checkpoint()
            return await wire.post(request(endpoint.url), reading()), endpoint.connections

    reply, connections = anyio.run(main)
    assert isinstance(reply, Reply)
    assert connections == 2


@pytest.mark.parametrize("cut", [server.http, server.chunked])
def test_answers_that_come_in_pieces_over_many_connections_at_once_are_each_their_own(cut):
    calls, piece = 12, 7_919
    answers = [server.ANSWER.replace("好".encode(), b"%c" % (97 + number) * 100_000) for number in range(calls)]
    results: dict[int, Reply | Failure] = {}

    async def main():
        async def in_pieces(_: server.Reader, writer: server.Writer) -> None:
            whole = cut(answers[int(endpoint.requests[-1].rpartition(b"\r\n")[2])])
            for at in range(0, len(whole), piece):
                writer.write(whole[at : at + piece])
                await writer.drain()
                await anyio.lowlevel.checkpoint()

        async def post(number: int) -> None:
            results[number] = await wire.post(request(endpoint.url, body=b"%d" % number), reading())

        async with (
            server.serving(in_pieces) as endpoint,
            transport(connections=calls, idle=5, total=10, max_response_bytes=1 << 20) as wire,
            anyio.create_task_group() as tasks,
        ):
            for number in range(calls):
                tasks.start_soon(post, number)

    anyio.run(main)
    contents = [result.content for _, result in sorted(results.items()) if isinstance(result, Reply)]
    assert contents == [chr(97 + number) * 100_000 for number in range(calls)]


def test_a_cancelled_post_is_cancelled_and_leaves_no_connection():
    async def main():
        async with server.serving(server.hangs()) as endpoint, transport(idle=30, total=30) as wire:
            with anyio.move_on_after(0.1) as scope:
                await wire.post(request(endpoint.url), reading())
            await anyio.lowlevel.checkpoint()
            return scope.cancelled_caught, len(wire._pool._open), wire._pool._left

    assert anyio.run(main) == (True, 0, 4)


def test_a_post_is_begun_over_a_free_connection_of_its_own_key_or_not_at_all():
    async def main():
        came: list[float] = []
        async with server.serving(server.keeps(server.http())) as endpoint, transport() as wire:
            asked = request(endpoint.url)
            assert wire.begin(asked, reading(), came.append) is None
            waited_for = await wire.post(asked, reading())
            assert wire.begin(request(endpoint.url, ODD_KEY), reading(), came.append) is None
            call = wire.begin(asked, reading(), came.append)
            assert call is not None
            assert wire.begin(asked, reading(), came.append) is None, "the connection is out"
            while not came:
                await anyio.lowlevel.checkpoint()
            assert call.taken(came[0]) == waited_for
            return len(came), len(endpoint.requests), endpoint.connections, wire._pool._left

    assert anyio.run(main) == (1, 2, 1, 4)


@pytest.mark.parametrize(
    "packed", [server.http(server.PACKED, PACKED_HEADER), server.chunked(server.PACKED, headers=PACKED_HEADER + "\r\n")]
)
def test_of_a_begun_post_a_packed_answer_that_came_whole_is_taken_without_a_wait(packed):
    async def main():
        came: list[float] = []
        async with server.serving(server.keeps(packed)) as endpoint, transport() as wire:
            waited_for = await wire.post(request(endpoint.url), reading())
            call = wire.begin(request(endpoint.url), reading(), came.append)
            assert call is not None
            while not came:
                await anyio.lowlevel.checkpoint()
            return waited_for, call.taken(came[0])

    waited_for, taken = anyio.run(main)
    assert isinstance(taken, Reply)
    assert taken == waited_for


def in_parts(*parts: bytes, pause: float = 0.01, then: server.Fault | None = None) -> server.Fault:
    """Say the first answer whole, and of any other a part now and then; or do something else *then*."""
    answers: list[None] = []

    async def fault(reader: server.Reader, writer: server.Writer) -> None:
        answers.append(None)
        if len(answers) == 1:
            writer.write(server.http())
        elif then is not None:
            await then(reader, writer)
        else:
            for part in parts:
                writer.write(part)
                await anyio.sleep(pause)

    return fault


def begun(fault: server.Fault, **settings):
    """What a post that was begun tells of: whether it could be taken at once, what it came to, and in how many seconds it was told of."""

    async def main():
        came: list[float] = []
        async with server.serving(fault) as endpoint, transport(**settings) as wire:
            await wire.post(request(endpoint.url), reading())
            began = anyio.current_time()
            call = wire.begin(request(endpoint.url), reading(), came.append)
            assert call is not None
            while not came:
                await anyio.lowlevel.checkpoint()
            at_once = call.taken(came[0])
            return at_once is not None, at_once or await call.rest(), came[0] - began

    return anyio.run(main)


@pytest.mark.parametrize("answer", [server.http(), server.chunked(server.ANSWER[:50], server.ANSWER[50:])], ids=["plain", "chunks"])
@pytest.mark.parametrize(
    "cuts", [(-len(server.ANSWER),), (-90,), (20, 150, -100, -3)], ids=["head and body", "half of the body", "everywhere"]
)
def test_of_a_begun_post_a_plain_answer_that_comes_in_parts_is_told_of_when_it_is_whole(answer, cuts):
    places = [0, *(cut % len(answer) for cut in cuts), len(answer)]
    at_once, result, _ = begun(in_parts(*(answer[begin:end] for begin, end in itertools.pairwise(places)), pause=0.001))
    assert at_once
    assert isinstance(result, Reply)


def test_of_a_begun_post_a_stream_is_told_of_from_its_first_event_on():
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}\n\n'
    chunks = [b"%x\r\n%b\r\n" % (len(each), each) for each in (event, b"data: [DONE]\n\n")]
    at_once, result, seconds = begun(in_parts(head, chunks[0], chunks[1] + b"0\r\n\r\n", pause=0.05), idle=5, total=5)
    assert not at_once
    assert isinstance(result, Reply)
    assert result.first_token_ms is not None
    assert 0.04 < seconds < result.first_token_ms / 1000 + 0.04


def test_of_a_begun_post_an_answer_that_is_long_on_its_way_is_told_of_in_a_moment_and_its_silence_is_counted():
    head = server.http()[: -len(server.ANSWER)]
    at_once, result, seconds = begun(in_parts(head, server.ANSWER, pause=0.3), idle=2, total=5)
    assert (at_once, type(result)) == (False, Reply)
    assert seconds < 0.3
    at_once, failure, _ = begun(in_parts(then=server.hangs(head)), idle=0.3, total=50)
    assert isinstance(failure, Failure)
    assert (at_once, failure.code) == (False, "read_timeout")


def test_a_begun_post_that_is_ended_leaves_no_connection_and_tells_nothing():
    async def main():
        came: list[float] = []

        async def once(reader, writer):
            if len(endpoint.requests) == 1:
                writer.write(server.http())
            else:
                await server.hangs()(reader, writer)

        async with server.serving(once) as endpoint, transport() as wire:
            await wire.post(request(endpoint.url), reading())
            call = wire.begin(request(endpoint.url), reading(), came.append)
            assert call is not None
            call.abort()
            call.abort()
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            return came, len(wire._pool._open), wire._pool._left

    assert anyio.run(main) == ([], 0, 4)


def test_a_body_of_many_mebibytes_is_sent_whole():
    body = orjson.dumps({"image": "x" * 5_000_000})

    async def main():
        async with server.serving(server.keeps(server.http())) as endpoint, transport() as wire:
            with warnings.catch_warnings(action="error"):
                result = await wire.post(request(endpoint.url, body=body), reading())
            return result, endpoint.requests[0]

    result, sent = anyio.run(main)
    assert isinstance(result, Reply)
    assert sent.endswith(body)


def test_a_connection_on_which_half_a_request_is_still_to_be_written_serves_no_other():
    """The endpoint answers before it has read the body, and reads no more of it."""

    async def main():
        connections = []

        async def answers(reader, writer):
            connections.append(writer)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(server.http())

        listening = await asyncio.start_server(answers, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        async with transport() as wire:
            results = [await wire.post(request(url, body=body), reading()) for body in (b"x" * 16_000_000, b"{}")]
            left = [connection for connection in wire._pool._open if not connection.reusable]
        listening.close()
        for writer in connections:
            writer.transport.abort()
        return results, len(connections), left

    results, connections, left = anyio.run(main)
    assert [result.content for result in results] == ["好"] * 2
    assert (connections, left) == (2, []), "what nobody reads any more is not kept, nor the connection"


def test_what_is_sent_is_one_plain_post():
    async def main():
        async with server.serving(server.keeps(server.http(server.ANSWER, "Set-Cookie: a=b"))) as endpoint, transport() as wire:
            await wire.post(request(endpoint.url), reading())
            await wire.post(request(endpoint.url), reading())
            return endpoint.requests

    requests = anyio.run(main)
    lines = requests[1].split(b"\r\n")
    names = sorted(line.split(b":")[0].lower() for line in lines[1:-2])
    assert lines[0] == b"POST /v1/chat/completions HTTP/1.1"
    assert names == [b"accept", b"accept-encoding", b"authorization", b"content-length", b"content-type", b"host", b"user-agent"]
    assert b"Accept-Encoding: gzip, deflate" in lines
    assert b"Content-Type: application/json" in lines


ECHOES = {
    "in a message": lambda key: server.says(server.http(orjson.dumps({"error": {"message": f"bad key {key}"}}), status="401 No")),
    "in a code": lambda key: server.says(server.http(orjson.dumps({"code": f"Bad.{key}", "message": "no"}), status="401 No")),
    "in a request id": lambda key: server.says(server.http(b"{}", f"x-request-id: {key}", status="401 No")),
    "at the cut of a long text": lambda key: server.says(server.http(b"x" * 490 + key.encode(), status="401 No")),
    "in a status line": lambda key: server.says(f"HTTP/1.1 {key} OK\r\n\r\n".encode()),
    "in a header that is none": lambda key: server.says(HEAD + key.encode() + b"\r\n\r\n"),
    "in a redirect": lambda key: server.says(server.http(b"", f"Location: http://{key}/", status="307 No")),
    "in an error under 200": lambda key: server.says(server.http(orjson.dumps({"error": {"message": f"bad key {key}"}}))),
    "nowhere, and a reset": lambda _: server.resets(),
    "nowhere, and silence": lambda _: server.hangs(),
    "nowhere, and half a body": lambda _: server.says(server.http(server.ANSWER[:-9], length=9_999)),
}


def test_a_page_that_has_moved_is_not_followed_and_cookies_are_not_kept():
    async def main():
        async with server.serving(server.keeps(server.http())) as other:
            moved = server.keeps(server.http(b"", f"Location: {other.url}", "Set-Cookie: session=of-another; Path=/", status="302 Found"))
            async with server.serving(moved) as endpoint, transport() as wire:
                pages = [await wire.get(endpoint.url, {"Authorization": f"Bearer {KEY}"}) for _ in range(2)]
                return [page.status for page in pages if isinstance(page, Page)], other.connections, endpoint.requests

    statuses, followed, requests = anyio.run(main)
    assert (statuses, followed, len(requests)) == ([302, 302], 0, 2)
    assert not any(b"cookie" in sent.lower() for sent in requests)


@pytest.mark.parametrize("key", [KEY, ODD_KEY])
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
def test_a_page_tells_no_key_whatever_comes_of_it(echo, key, caplog):
    caplog.set_level(logging.DEBUG)

    async def main():
        async with server.serving(echo(key)) as endpoint, transport() as wire:
            return await wire.get(endpoint.url, {"Authorization": f"Bearer {key}"})

    page = anyio.run(main)
    everything = repr(page) + caplog.text
    for shape in ("Authorization", key[:8], b64encode(key.encode()).decode()):
        assert shape not in everything


@pytest.mark.parametrize("turns", range(16))
def test_a_page_that_is_given_up_by_a_busy_machine_leaves_no_connection_behind(turns):
    async def main():
        async with server.serving(server.resets()) as endpoint, transport(idle=0.01) as wire:
            busy = asyncio.create_task(busy_after())  # noqa: TID251 - it is to have its turns beside those of a server
            page = await wire.get(endpoint.url, {})
            await busy
            return page

    async def busy_after() -> None:
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        time.sleep(0.02)  # noqa: ASYNC251 - that is what is tried

    page = anyio.run(main)
    assert isinstance(page, Failure)
    assert not page.in_doubt
    gc.collect()


@pytest.mark.parametrize("key", [KEY, ODD_KEY])
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
def test_no_failure_and_no_log_line_holds_the_key(echo, key, caplog):
    caplog.set_level(logging.DEBUG)
    failure = failure_of(echo(key), key=key)
    everything = repr(failure) + str(failure) + repr(failure.body) + caplog.text
    for shape in ("Authorization", key, key[:8], b64encode(key.encode()).decode()):
        assert shape not in everything


def test_a_request_shows_no_key():
    assert KEY not in repr(request("http://127.0.0.1/"))


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory) -> ssl.SSLContext:
    openssl = shutil.which("openssl")
    assert openssl, "this test makes its certificate with the openssl command"
    place: Path = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run([openssl, "req", "-x509", *kind, *files, *subject], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(place / "cert.pem", place / "key.pem")
    return context


def test_a_certificate_that_nobody_vouches_for_parks_the_workspace_before_anything_is_sent(self_signed):
    async def main():
        async with server.serving(server.keeps(server.http()), tls=self_signed) as endpoint, transport() as wire:
            return await wire.post(request(endpoint.url), reading()), endpoint.requests

    failure, requests = anyio.run(main)
    assert (failure.code, failure.fault, failure.scope, failure.in_doubt) == ("tls", PARK, Scope.WORKSPACE, False)
    assert "self-signed certificate" in failure.message
    assert "SSL_CERT_FILE" in failure.advice
    assert requests == []


def test_a_server_without_tls_under_https_fails_the_handshake():
    async def main():
        async with server.serving(server.hangs(), greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as endpoint, transport() as wire:
            return await wire.post(request(endpoint.url.replace("http:", "https:")), reading())

    failure = anyio.run(main)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.fault, failure.in_doubt) == ("tls_handshake", AGAIN, False)
    assert "wrong version number" in failure.message


def through(proxy: server.Fault, url: str, named="http://clerk:hush@127.0.0.1:{port}"):
    """The result of a request to *url* through *proxy*, and what the proxy was sent."""

    async def main():
        async with server.serving(proxy) as seen, transport(proxy=named.format(port=seen.port)) as wire:
            return await wire.post(request(url), reading()), seen.requests

    return anyio.run(main)


def test_a_proxy_is_used_and_told_its_own_password():
    reply, [sent] = through(server.keeps(server.http()), "http://endpoint.invalid/v1")
    assert isinstance(reply, Reply)
    assert sent.startswith(b"POST http://endpoint.invalid/v1 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " + b64encode(b"clerk:hush") in sent


@pytest.mark.parametrize(
    ("status", "code", "leads_to"),
    [
        ("407 No", "proxy_refused", PARK),
        ("403 No", "proxy_refused", PARK),
        ("302 There", "proxy_refused", PARK),
        ("502 Bad", "proxy", AGAIN),
        ("429 Slow", "proxy", AGAIN),
        ("408 Late", "proxy", AGAIN),
    ],
)
def test_a_tunnel_that_is_not_dug_was_never_asked_and_never_shows_the_password_or_the_key(status, code, leads_to):
    failure, [sent] = through(server.says(f"HTTP/1.1 {status}\r\n\r\n".encode()), "https://endpoint.invalid/v1")
    assert isinstance(failure, Failure)
    assert (failure.code, failure.fault, failure.in_doubt) == (code, leads_to, False)
    for shape in ("hush", b64encode(b"clerk:hush").decode(), "Authorization"):
        assert shape not in repr(failure)
    assert KEY.encode() not in sent


@pytest.mark.parametrize("says", [b"", b"\x00\x01 garbage\r\n\r\n", b"HTTP/1.1 20", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"])
@pytest.mark.parametrize("ends", [server.says, server.resets], ids=["closes", "resets"])
def test_what_a_proxy_does_in_a_connections_place_leaves_the_row_unsent(says, ends):
    failure, requests = through(ends(says), "https://endpoint.invalid/v1")
    assert (failure.code, failure.fault, failure.in_doubt) == ("proxy", AGAIN, False)
    assert never_met(failure)
    assert b"sk-" not in b"".join(requests)


@pytest.mark.parametrize("named", ["socks5://clerk:hush@127.0.0.1:1080", "http://[::1", "127.0.0.1:8080"])
def test_a_proxy_that_cannot_be_used_parks(named):
    failure = post_once("http://127.0.0.1:9/v1", proxy=named)
    assert (failure.code, failure.fault, failure.in_doubt) == ("invalid_proxy", PARK, False)
    assert "refused" not in failure.message, "nobody was asked"
    assert never_met(failure), "of workspaces that are parked by it all are told together"
    assert "hush" not in repr(failure)


def test_a_proxy_that_is_not_there_is_tried_again():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        failure = post_once("http://endpoint.invalid/v1", proxy=f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert (failure.code, failure.fault, failure.in_doubt) == ("proxy", AGAIN, False)


@pytest.mark.parametrize("asks", [post_once, get_once], ids=["a call", "the doctor"])
def test_a_proxy_whose_name_nobody_knows_is_told_as_the_proxys_and_not_as_the_endpoints(asks):
    """The endpoint's host was said to be mistyped, with all that the provider has, to whoever had no line to the company's proxy."""
    failure = asks("http://127.0.0.1:9/v1", proxy="http://clerk:hush@proxy.invalid:3128")
    assert (failure.code, failure.in_doubt) == ("proxy", False)
    assert "through proxy.invalid:3128" in failure.message
    assert "hush" not in repr(failure)
    assert asks("http://endpoint.invalid/v1").code == "dns"


@pytest.mark.parametrize(
    ("no_proxy", "requests_through_it"), [("", 1), ("127.0.0.1", 0), ("127.0.0.1:{port}", 0), ("elsewhere.example", 1)]
)
def test_the_environments_proxy_is_used_but_for_the_hosts_it_spares(monkeypatch, no_proxy, requests_through_it):
    async def main():
        async with server.serving(server.keeps(server.http())) as endpoint, server.serving(server.keeps(server.http())) as proxy:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("no_proxy", no_proxy.format(port=endpoint.port))
            async with transport(proxy="environment") as wire:
                await wire.post(request(endpoint.url), reading())
            return len(proxy.requests)

    assert anyio.run(main) == requests_through_it


def test_without_a_proxy_in_the_job_the_environments_is_left_alone(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    [reply] = ask(server.keeps(server.http()))
    assert isinstance(reply, Reply)


@pytest.mark.parametrize("path", sorted(Path(transport_module.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_of_aiohttp_only_what_it_offers_by_name_is_used(path):
    """Where this fails for a new version of aiohttp: what went away must be done in another way, not reached for inside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [(node.module, alias.name) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    used = {f"aiohttp.{node.attr}" for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "aiohttp"}
    used |= {f"{module}.{name}" for module, name in imports if module and module.split(".")[0] == "aiohttp"}
    offered = {f"aiohttp.{name}" for name in aiohttp.__all__} | {"aiohttp.abc.AbstractResolver", "aiohttp.abc.ResolveResult"}
    assert used - offered == set()


def test_a_connection_is_opened_by_what_the_connector_offers():
    """`TCPConnector.connect` takes a request, traces and a timeout, and gives what has a transport and can be closed."""
    assert [*inspect.signature(aiohttp.TCPConnector.connect).parameters] == ["self", "req", "traces", "timeout"]


def test_a_pool_without_a_connection_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        transport(connections=0)
