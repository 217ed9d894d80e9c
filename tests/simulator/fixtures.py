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
