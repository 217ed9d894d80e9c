"""Performs calls with the openai package: a case a line on standard input, its outcome a line on standard output.

Run by the interpreter that has the package; knows nothing of batchrun. A case is ``{"base_url", "api_key", "arguments"}`` and, where the
SDK is to try again, ``"retries"``. An outcome is what a program sees: the answer's parts, or the class and fields of what was raised.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import openai

Json = dict[str, Any]

TRANSPORT = importlib.import_module("httpx" if openai.__version__.startswith("1.") else "httpx2")
"""What the SDK sends with; while a stream is read, its errors come through."""
ERRORS = (openai.OpenAIError, TRANSPORT.HTTPError, ValueError, TypeError)


def perform(case: Json) -> Json:
    """One case, one call."""
    arguments = case["arguments"]
    retries = case.get("retries", 0)
    with openai.OpenAI(api_key=case["api_key"], base_url=case["base_url"], max_retries=retries, timeout=20) as client:
        try:
            answer = client.chat.completions.create(**arguments)
        except ERRORS as error:
            return raised(error)
        return streamed(answer) if arguments.get("stream") else completed(answer)


def completed(answer: Any) -> Json:
    """A plain answer; a body that was no JSON comes through the SDK as a bare string."""
    if isinstance(answer, str):
        return {"text": answer}
    return {
        "id": answer.id,
        "request_id": answer._request_id,
        "model": answer.model,
        "choices": [choice(one) for one in answer.choices or []],
        "usage": answer.usage and answer.usage.to_dict(),
        "strays": [dict(answer.model_extra)] if answer.choices is None else [],
    }


def choice(one: Any) -> Json:
    """One choice; reasoning is a field the SDK does not know and passes on."""
    message = one.message
    return {
        "role": message.role,
        "content": message.content,
        "reasoning": getattr(message, "reasoning_content", None),
        "tool_calls": [call.to_dict() for call in message.tool_calls or []],
        "finish_reason": one.finish_reason,
        "logprobs": likelihoods(one),
    }


def likelihoods(one: Any) -> list[Json]:
    """Each token of a choice (or of what is new of it) with its likelihood, where they were asked for."""
    told = one.logprobs
    return [token.to_dict() for token in told.content or []] if told else []


def streamed(answer: Any) -> Json:
    """A stream read to its end or to what it raised, its deltas joined by choice."""
    told: Json = {"request_id": answer.response.headers.get("x-request-id"), "chunks": 0, "usage": None, "usages": 0, "strays": []}
    choices: dict[int, Json] = {}
    try:
        for chunk in counted(answer, told):
            for one in chunk.choices:
                join(choices.setdefault(one.index, empty()), one)
    except ERRORS as error:
        told |= raised(error)
    return told | {"choices": [choices[index] for index in sorted(choices)]}


def counted(answer: Any, told: Json) -> Iterator[Any]:
    """The chunks that hold choices; what else comes (usage, a frame of another protocol) is noted."""
    for chunk in answer:
        told["chunks"] += 1
        if chunk.choices is None:
            told["strays"].append(dict(chunk.model_extra))
            continue
        told["id"] = chunk.id
        if chunk.usage is not None:
            told["usages"] += 1
            told["usage"] = chunk.usage.to_dict()
        yield chunk


def empty() -> Json:
    """A choice of which nothing came yet."""
    return {"content": "", "reasoning": "", "tool_calls": [], "finish_reason": None, "logprobs": []}


def join(whole: Json, one: Any) -> None:
    """Add a choice's delta to what came of it before."""
    whole["content"] += one.delta.content or ""
    whole["reasoning"] += getattr(one.delta, "reasoning_content", None) or ""
    for call in one.delta.tool_calls or []:
        join_call(whole["tool_calls"], call)
    whole["logprobs"] += likelihoods(one)
    whole["finish_reason"] = one.finish_reason or whole["finish_reason"]


def join_call(calls: list[Json], piece: Any) -> None:
    """Add a piece of a call: its first names the function, the others go on with the arguments."""
    if piece.index == len(calls):
        calls.append(piece.to_dict())
    else:
        calls[piece.index]["function"]["arguments"] += piece.function.arguments or ""


def raised(error: Exception) -> Json:
    """What a program that catches the error can read of it."""
    response = getattr(error, "response", None)
    return {
        "raised": type(error).__name__,
        "status_code": getattr(error, "status_code", None),
        "code": getattr(error, "code", None),
        "type": getattr(error, "type", None),
        "param": getattr(error, "param", None),
        "message": str(error),
        "request_id": getattr(error, "request_id", None),
        "wire": response.text if response is not None else None,
    }


def main() -> None:
    """Perform case after case until standard input ends. The first line says which version does it."""
    sys.stdout.write(json.dumps({"version": openai.__version__}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(perform(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
