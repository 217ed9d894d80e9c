"""The simulator on a socket: what the official SDK sees, and what each fault is on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from pathlib import Path

import anyio
import anyio.lowlevel
import openai
import orjson
import pytest
from pydantic import SecretStr

from batchrun.simulator.scenario import Latency, Mishap, PlannedFault, SimulatedWorkspace
from batchrun.simulator.server import serve
from batchrun.simulator.service import Call, Service
from tests.simulator.fixtures import CHAT, LEGAL, MARKETING, TEXT, ask, chat, openai_client, raw, request, scenario

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


def _allow_open_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))


def meets(kind: str, **measure) -> Service:
    return Service(scenario(PlannedFault(kind=Mishap(kind), **(measure or {"every": 1}))))


async def test_the_official_sdk_gets_a_chat_whose_usage_is_the_bill_to_the_token():
    service = Service(scenario())
    spent = [0, 0]
    async with openai_client(service) as client:
        for number in range(5):
            answer = await ask(client, f"What is {number} plus {number}?")
            assert answer.choices[0].message.content
            assert answer.choices[0].finish_reason == "stop"
            assert answer.id == f"chatcmpl-{answer._request_id}"
            spent = [spent[0] + answer.usage.prompt_tokens, spent[1] + answer.usage.completion_tokens]
    owed = service.bill()["workspaces"]["marketing"]["models"]["qwen-plus"]
    assert [owed["calls"], owed["input_tokens"], owed["output_tokens"]] == [5, *spent]


async def test_the_sdk_reads_a_stream_with_its_usage_last():
    service = Service(scenario())
    async with openai_client(service) as client:
        chunks = [chunk async for chunk in await ask(client, model="qwq-plus", stream=True, stream_options={"include_usage": True})]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    thought = "".join(
        chunk.choices[0].delta.reasoning_content or ""
        for chunk in chunks
        if chunk.choices and "reasoning_content" in chunk.choices[0].delta.model_extra
    )
    assert said
    assert thought
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == service.bill()["total"]["output_tokens"]


async def test_the_sdk_lists_the_models():
    async with openai_client(Service(scenario(models=("qwen-plus", "qwen-max")))) as client:
        assert [model.id async for model in client.models.list()] == ["qwen-plus", "qwen-max"]


@pytest.mark.parametrize(
    ("service", "key", "model", "error", "code"),
    [
        (Service(scenario()), "sk-fake-other", "qwen-plus", openai.AuthenticationError, "invalid_api_key"),
        (Service(scenario()), LEGAL, "qwen-max", openai.PermissionDeniedError, "Model.AccessDenied"),
        (Service(scenario()), MARKETING, "qwen-min", openai.NotFoundError, "model_not_found"),
        (meets("throttle"), MARKETING, "qwen-plus", openai.RateLimitError, "limit_requests"),
        (meets("token_quota"), MARKETING, "qwen-plus", openai.RateLimitError, "insufficient_quota"),
        (meets("arrearage"), MARKETING, "qwen-plus", openai.BadRequestError, "Arrearage"),
        (meets("internal"), MARKETING, "qwen-plus", openai.InternalServerError, "internal_error"),
        (meets("unavailable"), MARKETING, "qwen-plus", openai.InternalServerError, "ModelUnavailable"),
    ],
)
async def test_the_sdk_raises_the_error_of_the_real_service(service, key, model, error, code):
    async with openai_client(service, key) as client:
        with pytest.raises(error) as caught:
            await ask(client, model=model)
    assert caught.value.code == code
    assert len(caught.value.request_id) == 36


@pytest.mark.parametrize("kind", ["reset", "torn", "cut", "not_json", "wrong_length", "empty"])
async def test_the_sdk_gets_no_answer_from_a_broken_delivery(kind):
    service = meets(kind)
    async with openai_client(service) as client:
        with contextlib.suppress(openai.APIConnectionError, orjson.JSONDecodeError, ValueError):
            answer = await ask(client)
            assert not getattr(answer, "choices", None)
    assert service.bill()["total"]["calls"] == 1


def parted(answer: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return status, dict(line.split(b": ", 1) for line in lines), body


async def delivered(service: Service) -> tuple[bytes, dict[bytes, bytes], bytes]:
    async with serve(service) as base:
        return parted(await raw(base.port, chat()))


def _open_descriptors() -> int:
    return len([*Path("/dev/fd").iterdir()])


async def test_whoever_is_cancelled_while_it_begins_to_listen_leaves_no_socket_open():
    async def listens() -> None:
        async with serve(Service(scenario())):
            await anyio.sleep_forever()

    before = _open_descriptors()
    for turns in range(8):
        begun = asyncio.create_task(listens())  # noqa: TID251 - as a program of asyncio's does
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        begun.cancel()
        await asyncio.wait((begun,))
    assert _open_descriptors() == before


async def test_a_reset_is_a_reset_and_not_an_end():
    service = meets("reset")
    async with serve(service) as base:
        reader, writer = await asyncio.open_connection("127.0.0.1", base.port)
        with contextlib.closing(writer):
            writer.write(request(chat()))
            with pytest.raises(ConnectionResetError):
                await reader.read()
    assert service.bill()["total"]["calls"] == 1


async def test_a_torn_answer_promises_more_than_comes():
    _, headers, body = await delivered(meets("torn"))
    assert 0 < len(body) < int(headers[b"content-length"])


async def test_a_cut_answer_is_chunked_without_its_last_chunk():
    _, headers, body = await delivered(meets("cut"))
    size, _, rest = body.partition(b"\r\n")
    assert headers[b"transfer-encoding"] == b"chunked"
    assert b"content-length" not in headers
    assert len(rest) == int(size, 16) + 2
    assert not body.endswith(b"0\r\n\r\n")


async def test_a_wrong_length_promises_less_than_comes():
    _, headers, body = await delivered(meets("wrong_length"))
    assert 0 < int(headers[b"content-length"]) < len(body)
    orjson.loads(body)


async def test_a_hang_sends_nothing_until_the_client_goes_away_and_is_billed():
    service = meets("hang")
    async with serve(service) as base, await anyio.connect_tcp("127.0.0.1", base.port) as stream:
        await stream.send(request(chat()))
        with anyio.move_on_after(0.3) as waited:
            await stream.receive()
        assert waited.cancelled_caught
    assert service.bill()["total"]["calls"] == 1


async def test_a_slow_body_comes_in_many_pieces_and_whole():
    service = Service(scenario(PlannedFault(kind=Mishap.SLOW, every=1, seconds=0.4)))
    async with serve(service) as base, await anyio.connect_tcp("127.0.0.1", base.port) as stream:
        began = time.monotonic()
        await stream.send(request(chat()))
        pieces = [piece async for piece in stream]
    assert len(pieces) > 5
    assert time.monotonic() - began > 0.35
    _, headers, body = parted(b"".join(pieces))
    assert len(body) == int(headers[b"content-length"])
    orjson.loads(body)


@pytest.mark.parametrize(
    ("kind", "status", "kept"),
    [
        ("html", b"200", lambda headers, body: headers[b"content-type"].startswith(b"text/html") and b"<html>" in body),
        ("redirect", b"307", lambda headers, body: headers[b"location"].startswith(b"/moved/") and body == b""),
        ("empty", b"200", lambda headers, body: headers[b"content-length"] == b"0" and body == b""),
        ("no_finish", b"200", lambda _, body: "finish_reason" not in orjson.loads(body)["choices"][0]),
    ],
)
async def test_what_something_in_between_says_is_what_comes(kind, status, kept):
    line, headers, body = await delivered(meets(kind))
    assert line.split()[1] == status
    assert kept(headers, body)


async def test_calls_sent_ahead_on_one_connection_are_answered_in_their_order():
    service = Service(scenario(latency=Latency(median=0.01)))
    calls = [chat(f"{number}") for number in range(20)]
    async with serve(service) as base, await anyio.connect_tcp("127.0.0.1", base.port) as stream:
        await stream.send(b"".join(request(call, close=call is calls[-1]) for call in calls))
        came = b"".join([piece async for piece in stream])
    assert came.count(b"HTTP/1.1 200 OK") == 20
    shas = [note["sha"] for note in service.calls()]
    assert len(set(shas)) == 20
    assert [note["at"] for note in service.calls()] == sorted(note["at"] for note in service.calls())


async def test_a_chunked_request_is_read_whatever_its_pieces():
    service = Service(scenario())
    body = chat().body
    head = f"POST /compatible-mode/v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer {MARKETING}\r\nTransfer-Encoding: chunked\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:10], body[10:]))
    whole = head.encode() + b"Connection: close\r\n\r\n" + chunks + b"0\r\n\r\n"
    async with serve(service) as base, await anyio.connect_tcp("127.0.0.1", base.port) as stream:
        for place in range(0, len(whole), 7):
            await stream.send(whole[place : place + 7])
        assert (await stream.receive()).startswith(b"HTTP/1.1 200 OK")


async def test_a_client_that_waits_for_continue_is_told_to_go_on():
    async with serve(Service(scenario())) as base, await anyio.connect_tcp("127.0.0.1", base.port) as stream:
        call = chat(headers={"expect": "100-continue"})
        whole = request(call)
        await stream.send(whole.removesuffix(call.body))
        assert await stream.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await stream.send(call.body)
        assert (await stream.receive()).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"x" * 70_000, b"400"),
        (b"GET /nowhere HTTP/1.0\r\n\r\n", b"404"),
    ],
)
async def test_what_is_no_proper_request_is_refused_and_the_connection_closed(sent, status):
    async with serve(Service(scenario())) as base, await anyio.connect_tcp("127.0.0.1", base.port) as stream:
        await stream.send(sent)
        came = b"".join([piece async for piece in stream])
    assert came.split()[1] == status


async def test_bill_and_calls_are_told_over_http_without_a_key():
    service = Service(scenario())
    async with serve(service) as base:
        await raw(base.port, chat())
        bill, calls = [parted(await raw(base.port, Call("GET", f"/simulator/{name}", {}, b"")))[2] for name in ("bill", "calls")]
    assert orjson.loads(bill) == service.bill()
    assert [note["workspace"] for note in orjson.loads(calls)] == ["marketing"]


async def test_leaving_closes_hanging_and_waiting_connections_at_once():
    service = Service(scenario(PlannedFault(kind=Mishap.HANG, every=2), latency=Latency(median=600)))
    streams = []
    async with serve(service) as base:
        for number in range(20):
            streams.append(await anyio.connect_tcp("127.0.0.1", base.port))
            await streams[-1].send(request(chat(f"{number}")))
        while service.bill()["total"]["calls"] < 20:
            await anyio.lowlevel.checkpoint()
    with anyio.fail_after(5):
        for stream in streams:
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
            await stream.aclose()


async def test_two_thousand_connections_at_once_are_all_answered():
    """All are open, and all have asked, before the first is answered."""
    _allow_open_files(4_500)
    service = Service(scenario(latency=Latency(median=1.0, sigma=0)))
    async with serve(service) as base:
        clients = []
        for number in range(2000):
            client = socket.create_connection(("127.0.0.1", base.port))
            client.sendall(request(chat(f"{number}")))
            clients.append(client)
        status = []
        for client in clients:
            await anyio.wait_readable(client)
            status.append(client.recv(12))
        for client in clients:
            client.close()
    assert set(status) == {b"HTTP/1.1 200"}
    assert service.bill()["total"]["calls"] == 2000


async def test_a_workspace_in_arrears_is_refused_while_others_go_on():
    workspaces = {
        "late": SimulatedWorkspace(api_key=SecretStr("sk-fake-late"), in_arrears=True),
        "marketing": SimulatedWorkspace(api_key=SecretStr(MARKETING)),
    }
    service = Service(scenario(workspaces=workspaces))
    async with openai_client(service, "sk-fake-late") as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(client)
    assert caught.value.code == "Arrearage"
    async with openai_client(service) as client:
        assert (await ask(client)).choices


async def test_a_body_that_is_too_large_is_refused_in_its_routes_dialect():
    for path, keys in ((TEXT, ["code", "message", "request_id"]), (CHAT, ["error", "request_id"])):
        async with serve(Service(scenario())) as base, await anyio.connect_tcp("127.0.0.1", base.port) as stream:
            await stream.send(f"POST {path} HTTP/1.1\r\ncontent-length: {64 * 1024 * 1024 + 1}\r\n\r\n".encode())
            came = b"".join([piece async for piece in stream])
        assert came.startswith(b"HTTP/1.1 413")
        assert list(orjson.loads(came.partition(b"\r\n\r\n")[2])) == keys
