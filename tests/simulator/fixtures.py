"""What the simulator's tests share: a scenario of two workspaces, a chat as a call, and clients."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import anyio
import openai
import orjson
from pydantic import SecretStr

from batchrun.simulator.scenario import Latency, PlannedFault, Scenario, SimulatedWorkspace
from batchrun.simulator.server import serve
from batchrun.simulator.service import Call, Service

CHAT = "/compatible-mode/v1/chat/completions"
TEXT = "/api/v1/services/aigc/text-generation/generation"
MULTIMODAL = "/api/v1/services/aigc/multimodal-generation/generation"
NOW = 1_760_000_000.0
MARKETING = "sk-fake-marketing"
LEGAL = "sk-fake-legal"


def scenario(*faults: PlannedFault, **settings: Any) -> Scenario:
    workspaces = {
        "marketing": SimulatedWorkspace(api_key=SecretStr(MARKETING)),
        "legal": SimulatedWorkspace(api_key=SecretStr(LEGAL), models=("qwen-plus",)),
    }
    return Scenario(**{"latency": Latency(median=0), "workspaces": workspaces, "faults": faults, **settings})


def chat(prompt: str = "Why is the sky blue?", *, key: str = MARKETING, headers: dict[str, str] | None = None, **fields: Any) -> Call:
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": prompt}], **fields}
    return Call("POST", CHAT, {"authorization": f"Bearer {key}", **(headers or {})}, orjson.dumps(body))


def native(
    prompt: Any = "Why is the sky blue?",
    *,
    path: str = TEXT,
    key: str = MARKETING,
    model: Any = "qwen-plus",
    stream: bool = False,
    headers: dict[str, str] | None = None,
    **parameters: Any,
) -> Call:
    """A call in DashScope's own dialect; a prompt that is no text stands for the content of the user's message."""
    content = prompt if isinstance(prompt, list) or path == TEXT else [{"text": prompt}]
    messages = parameters.pop("messages", [{"role": "user", "content": content}])
    body = {"model": model, "input": {"messages": messages}, "parameters": parameters}
    asked = {"accept": "text/event-stream"} if stream else {}
    return Call("POST", path, {"authorization": f"Bearer {key}", **asked, **(headers or {})}, orjson.dumps(body))


def compat_events(body: bytes) -> list[Any]:
    """The chunks of a compatible stream, its end left out."""
    assert body.endswith(b"data: [DONE]\n\n")
    return [orjson.loads(event.removeprefix(b"data: ")) for event in body.split(b"\n\n")[:-2]]


def native_events(body: bytes) -> list[Any]:
    """The data of a native stream's events, which are numbered from 1 and good."""
    events = []
    for number, event in enumerate(body.split(b"\n\n")[:-1], 1):
        named, kind, status, data = event.split(b"\n")
        assert (named, kind, status) == (b"id:%d" % number, b"event:result", b":HTTP_STATUS/200")
        events.append(orjson.loads(data.removeprefix(b"data:")))
    return events


def answered(service: Service, call: Call, now: float = NOW) -> Any:
    plan = service.answer(call, now)
    assert plan.status == 200, plan
    return orjson.loads(plan.body)


@asynccontextmanager
async def openai_client(service: Service, key: str = MARKETING):
    async with (
        serve(service) as base,
        openai.AsyncOpenAI(api_key=key, base_url=f"{base.url}/compatible-mode/v1", max_retries=0, timeout=10) as client,
    ):
        yield client


async def ask(client: openai.AsyncOpenAI, prompt: str = "Why is the sky blue?", **fields: Any) -> Any:
    fields.setdefault("model", "qwen-plus")
    return await client.chat.completions.create(messages=[{"role": "user", "content": prompt}], **fields)


async def raw(port: int, call: Call, *, most: int = 1 << 20) -> bytes:
    """Send one call over a plain socket and read until the server closes; errors of the socket come through."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request(call))
        came = b""
        while len(came) < most:
            try:
                came += await stream.receive()
            except anyio.EndOfStream:
                break
        return came


def request(call: Call, *, close: bool = True) -> bytes:
    lines = [f"{call.method} {call.path} HTTP/1.1", "host: simulator", f"content-length: {len(call.body)}"]
    lines += [f"{name}: {value}" for name, value in call.headers.items()] + (["connection: close"] if close else [])
    return "\r\n".join([*lines, "", ""]).encode() + call.body
