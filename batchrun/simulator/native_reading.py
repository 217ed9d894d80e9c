"""A native body put into the words of a chat, so that one set of checks and one model serve both dialects."""

from __future__ import annotations

from typing import Any

from batchrun.simulator import refusals
from batchrun.simulator.refusal import Refusal
from batchrun.simulator.routes import Route

Body = dict[str, Any]


def chat_of(raw: Body, route: Route, *, stream: bool) -> Body | Refusal:
    """``parameters`` and ``input`` side by side. What stands beside them in *raw* is dropped without an error, as the provider does."""
    match raw.get("parameters"):
        case None:
            given: Body = {}
        case dict(parameters):
            given = parameters
        case _:
            return refusals.UNREADABLE
    match raw.get("input"):
        case dict(asked):
            return {**given, "model": raw["model"], "messages": _messages(asked, route), "stream": stream}
        case None:
            return refusals.NO_INPUT
    return refusals.UNREADABLE


def _messages(asked: Body, route: Route) -> Any:
    """A prompt is what a user says after all else; the multimodal route knows none."""
    messages, prompt = asked.get("messages"), asked.get("prompt")
    if messages is not None or prompt is None or route is Route.MULTIMODAL:
        return messages
    return [{"role": "user", "content": prompt}]
