"""Decides what the simulated provider answers to a call: a pure machine, told the time, that knows no socket, clock or dice.

Its rules:

1. The floors answer in the provider's order (`admission.py`), then rate limits, parameters, the model.
2. A call is billed when its answer is made, that is while its plan is made, whatever then becomes of it on the way: reset, torn, cut,
   spoiled, never delivered, or asked for by a client that has gone. Refused calls (4xx, 5xx) are never billed, nor is what something
   between client and provider said (an HTML page, a redirect).
3. Everything that chance decides follows from the seed, the workspace, the body and how often it came before (`dice.py`), and planned
   faults count each workspace's calls apart: how the calls of several workspaces interleave changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import orjson

from batchrun.simulator import bodies, parameters, refusals, tokens
from batchrun.simulator.admission import Admission, Asked
from batchrun.simulator.answers import Answer, compose
from batchrun.simulator.bill import Bill, CallNote, Journal
from batchrun.simulator.dice import Dice, Draw
from batchrun.simulator.plan import Call, Plan, Wire
from batchrun.simulator.refusals import FAILURES, THROTTLES, Refusal
from batchrun.simulator.scenario import Mishap, PlannedFault, Scenario
from batchrun.simulator.trouble import Trouble

__all__ = ["Call", "Plan", "Service", "Wire"]

_CHAT = "/compatible-mode/v1/chat/completions"
_MODELS = "/compatible-mode/v1/models"
_BILL = "/simulator/bill"
_CALLS = "/simulator/calls"

_REFUSED = 0.05
"""A refusal takes this share of the time that an answer would have taken."""
_CACHED_PREFIX = 1_024
"""Tokens that a system message must have to be found in the provider's implicit cache."""
_CACHE_BLOCK = 256
_JSON = "application/json"
_EVENTS = "text/event-stream;charset=UTF-8"
_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Network sign-in required</h1></body></html>\n"

_CUT_SHORT = {
    Mishap.RESET: Wire.RESET,
    Mishap.TORN: Wire.TORN,
    Mishap.CUT: Wire.CUT,
    Mishap.HANG: Wire.HANG,
    Mishap.WRONG_LENGTH: Wire.MISCOUNTED,
}


@dataclass(frozen=True, slots=True)
class _Given:
    """An answer and the call it was made for, so that it can be given again."""

    answer: Answer
    draw: Draw
    at: float


class Service:
    """A simulated provider with its bill and its journal."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._admission = Admission(scenario)
        self._trouble = Trouble(scenario.faults)
        self._dice = Dice(scenario.seed)
        self._prefixes: set[bytes] = set()
        self._given: dict[tuple[str, str, bytes], _Given] = {}
        self._bill = Bill()
        self._journal = Journal(scenario.journal)

    def bill(self) -> dict[str, Any]:
        """Everything billed so far: ``{"total": counts, "workspaces": {name: {"total": counts, "models": {model: counts}}}}``.

        Counts are calls, input_tokens, output_tokens, cached_tokens and reasoning_tokens.
        """
        return self._bill.told()

    def calls(self) -> list[dict[str, Any]]:
        """The latest calls to the chat route, in the order they came: the fields of `CallNote`."""
        return self._journal.told()

    def answer(self, call: Call, now: float) -> Plan:
        """Decide about one call that came at *now*, in seconds since the epoch. Never raises, whatever the call holds."""
        match call.method, call.path.partition("?")[0]:
            case "POST", path if path == _CHAT:
                return self._chat(call, now)
            case "GET", path if path == _MODELS:
                return self._model_list(call, now)
            case "GET", path if path == _BILL:
                return Plan(200, {"content-type": _JSON}, orjson.dumps(self.bill()), 0.0)
            case "GET", path if path == _CALLS:
                return Plan(200, {"content-type": _JSON}, orjson.dumps(self.calls()), 0.0)
        return self._refuse(refusals.NO_SUCH_PATH, self._dice.draw("", call.body), now)

    def too_large(self, now: float) -> Plan:
        """The answer to a request whose body nobody wants to read to its end."""
        return self._refuse(refusals.TOO_LARGE, self._dice.draw("", b""), now)

    def _model_list(self, call: Call, now: float) -> Plan:
        workspace = self._admission.workspace(call)
        draw = self._dice.draw(workspace or "", call.body)
        if workspace is None:
            return self._refuse(refusals.WRONG_KEY, draw, now)
        return Plan(200, _headers(draw, now, 0.0), bodies.model_list(self.scenario.models, int(now)), 0.0)

    def _chat(self, call: Call, now: float) -> Plan:
        workspace = self._admission.workspace(call)
        draw = self._dice.draw(workspace or "", call.body)
        note = CallNote(at=now, workspace=workspace or "", idempotency_key=call.headers.get("idempotency-key", ""), sha=draw.sha)
        match self._admission.admit(call, workspace):
            case Refusal() as refusal:
                return self._turn_away(refusal, draw, note)
            case asked:
                return self._admitted(asked, draw, note._replace(model=asked.model))

    def _admitted(self, asked: Asked, draw: Draw, note: CallNote) -> Plan:
        match self._behind(asked, draw):
            case Refusal() as refusal:
                return self._turn_away(refusal, draw, note)
            case fault:
                return self._reach(asked, fault, draw, note)

    def _behind(self, asked: Asked, draw: Draw) -> Refusal | PlannedFault | None:
        """What a call meets that was admitted: a rate limit, a mistake in its parameters, or another planned fault."""
        throttle = self._trouble.throttle(asked.workspace, asked.model, draw)
        if throttle is not None:
            return THROTTLES[throttle.kind]
        if (mistake := parameters.first_mistake(asked.body, asked.model)) is not None:
            return mistake
        fault = self._trouble.later(asked.workspace, asked.model, draw)
        return fault if fault is None else FAILURES.get(fault.kind, fault)

    def _reach(self, asked: Asked, fault: PlannedFault | None, draw: Draw, note: CallNote) -> Plan:
        """Let a call through to its model, or to what stands in front of it."""
        kind = fault and fault.kind
        delay = self._latency(draw)
        if kind is Mishap.HTML:
            self._journal.note(note._replace(status=200, code=kind))
            return Plan(200, {"content-type": "text/html; charset=utf-8", "server": "nginx"}, _PAGE, delay)
        if kind is Mishap.REDIRECT:
            self._journal.note(note._replace(status=307, code=kind))
            return Plan(307, {"location": f"/moved{_CHAT}", "server": "nginx"}, b"", delay)
        given, repeated = self._given_to(asked, draw, note)
        self._journal.note(
            note._replace(
                status=200,
                code=kind or ("repeated" if repeated else ""),
                billed=not repeated,
                input_tokens=given.answer.usage.input_tokens,
                output_tokens=given.answer.usage.output_tokens,
            )
        )
        return _delivered(_told(asked, given, delay, finished=kind is not Mishap.NO_FINISH), fault)

    def _given_to(self, asked: Asked, draw: Draw, note: CallNote) -> tuple[_Given, bool]:
        """The answer, billed; or the one given before under the same key, if the scenario honours keys, and True."""
        remembered = (note.workspace, note.idempotency_key, note.sha)
        honoured = self.scenario.honour_idempotency_key and bool(note.idempotency_key)
        if honoured and (before := self._given.get(remembered)) is not None:
            return before, True
        thinking = parameters.thinks(asked.body, asked.model)
        given = _Given(compose(asked.body, draw, thinking=thinking, cached_tokens=self._cached(asked)), draw, note.at)
        self._bill.charge(asked.workspace, asked.model, given.answer.usage)
        if honoured:
            self._given[remembered] = given
        return given, False

    def _cached(self, asked: Asked) -> int:
        """Tokens of the system message, in whole blocks, if this workspace and model met the same long one before."""
        system = "\n".join(tokens.text_of(one.get("content")) for one in asked.body["messages"] if one.get("role") == "system")
        length = tokens.count(system)
        if length < _CACHED_PREFIX:
            return 0
        prefix = blake2b(f"{asked.workspace}\0{asked.model}\0{system}".encode("utf-8", "replace"), digest_size=16).digest()
        known = prefix in self._prefixes
        self._prefixes.add(prefix)
        return length // _CACHE_BLOCK * _CACHE_BLOCK if known else 0

    def _latency(self, draw: Draw) -> float:
        return draw.lognormal(self.scenario.latency.median, self.scenario.latency.sigma)

    def _turn_away(self, refusal: Refusal, draw: Draw, note: CallNote) -> Plan:
        self._journal.note(note._replace(status=refusal.status, code=refusal.code))
        return self._refuse(refusal, draw, note.at)

    def _refuse(self, refusal: Refusal, draw: Draw, now: float) -> Plan:
        delay = self._latency(draw) * _REFUSED
        headers = _headers(draw, now, delay, door=refusal.by_the_door)
        return Plan(refusal.status, headers, refusal.body(draw.request_id), delay)


def _told(asked: Asked, given: _Given, delay: float, *, finished: bool) -> Plan:
    """An answer in the form it was asked for."""
    request_id, created = given.draw.request_id, int(given.at)
    if asked.body.get("stream") is not True:
        body = bodies.completion(given.answer, model=asked.model, request_id=request_id, created=created, finished=finished)
        return Plan(200, _headers(given.draw, given.at, delay), body, delay)
    match asked.body.get("stream_options"):
        case {"include_usage": True}:
            with_usage = True
        case _:
            with_usage = False
    events = bodies.stream(
        given.answer, model=asked.model, request_id=request_id, created=created, with_usage=with_usage, finished=finished
    )
    return Plan(200, _headers(given.draw, given.at, delay) | {"content-type": _EVENTS, "x-dashscope-finished": "false"}, events, delay)


def _delivered(plan: Plan, fault: PlannedFault | None) -> Plan:
    """What a fault makes of an answer on its way."""
    match fault:
        case None:
            return plan
        case PlannedFault(kind=Mishap.NOT_JSON):
            return replace(plan, body=plan.body[len(plan.body) // 2 :])
        case PlannedFault(kind=Mishap.EMPTY):
            return replace(plan, body=b"")
        case PlannedFault(kind=Mishap.SLOW, seconds=seconds):
            return replace(plan, wire=Wire.DRIP, spread=seconds)
        case PlannedFault(kind=kind):
            return replace(plan, wire=_CUT_SHORT.get(kind, Wire.WHOLE))


def _headers(draw: Draw, now: float, delay: float, *, door: bool = False) -> dict[str, str]:
    """The headers of recorded answers of 2024 to 2026. There is no Retry-After and no x-ratelimit-* among them."""
    took = str(int(delay * 1000))
    gateway = {"x-dashscope-call-gateway": "true", "x-dashscope-finished": "true", "x-dashscope-timeout": "600"}
    return {
        "vary": "Origin,Access-Control-Request-Method,Access-Control-Request-Headers, Accept-Encoding",
        "x-request-id": draw.request_id,
        **({} if door else gateway),
        "content-type": _JSON,
        "req-cost-time": took,
        "req-arrive-time": str(int(now * 1000)),
        "resp-start-time": str(int((now + delay) * 1000)),
        "x-envoy-upstream-service-time": took,
        "server": "istio-envoy",
    }
