"""Performs calls with the dashscope package: a case a line on standard input, its outcome a line on standard output.

Run by the interpreter that has the package; knows nothing of batchrun. A case is ``{"call", "base_url", "api_key", "arguments"}``, the call
being Generation, AioGeneration or MultiModalConversation, or Client for what version 2 has besides. An outcome is what a program sees:
the fields of the response, or of each response of a stream, or the class (and fields) of what was raised.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

dashscope = importlib.import_module("dashscope")
aiohttp = importlib.import_module("aiohttp")
requests = importlib.import_module("requests")
errors = importlib.import_module("dashscope.common.error")

Json = dict[str, Any]

ERRORS = (errors.DashScopeException, aiohttp.ClientError, requests.RequestException, LookupError, TypeError, ValueError)
PATIENCE = 20
FIELDS = ("status_code", "code", "message", "request_id", "output", "usage")


def perform(case: Json) -> Json:
    """One case, one call."""
    if case["call"] == "Client":
        return with_client(case)
    api = getattr(dashscope, case["call"])
    arguments = {**case["arguments"], "api_key": case["api_key"], "base_address": case["base_url"], "request_timeout": PATIENCE}
    if case["call"].startswith("Aio"):
        return asyncio.run(awaited(api, arguments))
    responses: list[Json] = []
    try:
        answer = api.call(**arguments)
        if not arguments.get("stream"):
            return told(answer)
        for response in answer:
            responses.append(told(response))  # noqa: PERF401 - what came before an error counts
    except ERRORS as error:
        return {"raised": type(error).__name__, "responses": responses}
    return {"responses": responses}


async def awaited(api: Any, arguments: Json) -> Json:
    """The same of the asynchronous calls, whose session lives as long as their loop."""
    responses: list[Json] = []
    try:
        answer = await api.call(**arguments)
        if not arguments.get("stream"):
            return told(answer)
        async for response in answer:
            responses.append(told(response))  # noqa: PERF401 - what came before an error counts
    except ERRORS as error:
        return {"raised": type(error).__name__, "responses": responses}
    finally:
        await dashscope.close_shared_aio_session()
    return {"responses": responses}


def with_client(case: Json) -> Json:
    """The same with version 2's client, which raises."""
    client = dashscope.Client(api_key=case["api_key"], base_url=case["base_url"], max_retries=case["retries"], timeout=PATIENCE)
    chunks: list[Json] = []
    try:
        answer = client.chat.completions.create(**case["arguments"])
        if not case["arguments"].get("stream"):
            plain: Json = answer.model_dump(mode="json")
            return plain
        for chunk in answer:
            chunks.append(chunk.model_dump(mode="json"))  # noqa: PERF401 - what came before an error counts
    except dashscope.v2.DashScopeError as error:
        fields = {name: getattr(error, name) for name in ("code", "status_code", "message", "request_id")}
        return {"raised": type(error).__name__, **fields, "chunks": chunks}
    finally:
        client.close()
    return {"chunks": chunks}


def told(response: Any) -> Json:
    """The fields of a response and its header's request id, copied: the SDK goes on writing to those of a stream."""
    fields: Json = json.loads(json.dumps({name: getattr(response, name) for name in FIELDS}))
    headers = {name.lower(): value for name, value in response.headers.items()}
    return {**fields, "header": headers.get("x-request-id")}


def main() -> None:
    """Perform case after case until standard input ends. The first line says which version does it."""
    sys.stdout.write(json.dumps({"version": importlib.import_module("dashscope.version").__version__}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(perform(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
