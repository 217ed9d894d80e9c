"""How an answer or a refusal goes out: its headers, its form on its route, and what planned trouble makes of it on the way."""

from __future__ import annotations

from dataclasses import replace

from batchrun.core.classes import value
from batchrun.simulator import bodies, native_bodies, planned_errors
from batchrun.simulator.admission import Asked
from batchrun.simulator.answers import Answer
from batchrun.simulator.bodies import Envelope
from batchrun.simulator.dice import Draw
from batchrun.simulator.parameters import style_of
from batchrun.simulator.plan import Plan, Wire
from batchrun.simulator.refusal import Refusal
from batchrun.simulator.scenario import Mishap, PlannedFault

JSON = "application/json"
_EVENTS = "text/event-stream;charset=UTF-8"
_FIRST_TOKEN = (0.15, 0.25)
"""The first event comes after this share of an answer's time at least, and up to so much of it later."""

_CUT_SHORT = {
    Mishap.RESET: Wire.RESET,
    Mishap.TORN: Wire.TORN,
    Mishap.CUT: Wire.CUT,
    Mishap.HANG: Wire.HANG,
    Mishap.WRONG_LENGTH: Wire.MISCOUNTED,
    Mishap.STREAM_CUT: Wire.EVENTS_CUT,
    Mishap.STALL: Wire.EVENTS_STALL,
}


@value
class Given:
    """An answer and the call it was made for, so that it can be given again."""

    answer: Answer
    draw: Draw
    at: float


def told(asked: Asked, given: Given, seconds: float, fault: PlannedFault | None) -> Plan:
    """An answer that takes *seconds* in the form it was asked for, and what *fault* makes of it."""
    finished = fault is None or fault.kind is not Mishap.NO_FINISH
    return _delivered(_streamed(asked, given, seconds, fault, finished) if asked.stream else _whole(asked, given, seconds, finished), fault)


def _whole(asked: Asked, given: Given, seconds: float, finished: bool) -> Plan:  # noqa: FBT001 - private, read at its one call
    request_id = given.draw.request_id
    if asked.route.native:
        style = style_of(asked.body, asked.family, asked.route)
        body = native_bodies.completion(given.answer, style, request_id, finished=finished)
    else:
        body = bodies.completion(given.answer, Envelope(asked.model, request_id, int(given.at)), finished=finished)
    return Plan(200, headers(given.draw, given.at, seconds), body, seconds)


def _streamed(
    asked: Asked,
    given: Given,
    seconds: float,
    fault: PlannedFault | None,
    finished: bool,  # noqa: FBT001 - private, read at its one call
) -> Plan:
    least, range_ = _FIRST_TOKEN
    first = seconds * (least + range_ * given.draw.fraction(b"first token"))
    events = _broken(_events(asked, given, finished=finished), asked, given, fault)
    named = headers(given.draw, given.at, first, events=True)
    return Plan(200, named, b"".join(events), first, Wire.EVENTS, seconds - first)


def _events(asked: Asked, given: Given, *, finished: bool) -> list[bytes]:
    request_id = given.draw.request_id
    if asked.route.native:
        style = style_of(asked.body, asked.family, asked.route)
        return native_bodies.events(given.answer, style, request_id, finished=finished)
    match asked.body.get("stream_options"):
        case {"include_usage": True}:
            with_usage = True
        case _:
            with_usage = False
    envelope = Envelope(asked.model, request_id, int(given.at), repeats=asked.family.repeats)
    return bodies.events(given.answer, envelope, with_usage=with_usage, finished=finished)


def _broken(events: list[bytes], asked: Asked, given: Given, fault: PlannedFault | None) -> list[bytes]:
    """A stream in whose middle an error comes has its first half and the error, and nothing after."""
    if fault is None or fault.kind not in {Mishap.STREAM_ERROR, Mishap.STREAM_NATIVE_ERROR}:
        return events
    refusal, half = planned_errors.named(fault), events[: (len(events) + 1) // 2]
    if asked.route.native or fault.kind is Mishap.STREAM_NATIVE_ERROR:
        number = len(half) + 1 if asked.route.native else 1
        return [*half, refusal.frame(given.draw.request_id, number)]
    return [*half, refusal.compat_frame()]


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
            return replace(plan, wire=_CUT_SHORT.get(kind, plan.wire))


def refused(refusal: Refusal, draw: Draw, now: float, delay: float, *, native: bool, events: bool = False) -> Plan:
    """An error answer. Natively, a 400 comes inside a good stream where *events* were asked for."""
    if native and events and refusal.status == 400:
        return Plan(200, headers(draw, now, delay, events=True), refusal.frame(draw.request_id), delay)
    named = headers(draw, now, delay, door=refusal.by_the_door)
    return Plan(refusal.status, named, refusal.body(draw.request_id, native=native), delay)


def in_200(refusal: Refusal, draw: Draw, now: float, delay: float, *, native: bool) -> Plan:
    """An error's body under a status that denies it."""
    return replace(refused(refusal, draw, now, delay, native=native), status=200)


def mislabelled(refusal: Refusal, draw: Draw, now: float, delay: float, *, native: bool) -> Plan:
    """An event's text that says it is JSON."""
    text = refusal.frame(draw.request_id) if native else refusal.compat_frame()
    return Plan(refusal.status, headers(draw, now, delay), text, delay)


def headers(draw: Draw, now: float, delay: float, *, door: bool = False, events: bool = False) -> dict[str, str]:
    """The headers of recorded answers of 2024 to 2026. There is no Retry-After and no x-ratelimit-* among them."""
    took = str(int(delay * 1000))
    gateway = {
        "x-dashscope-call-gateway": "true",
        "x-dashscope-finished": "false" if events else "true",
        "x-dashscope-timeout": "600",
    }
    return {
        "vary": "Origin,Access-Control-Request-Method,Access-Control-Request-Headers, Accept-Encoding",
        "x-request-id": draw.request_id,
        **({} if door else gateway),
        "content-type": _EVENTS if events else JSON,
        "req-cost-time": took,
        "req-arrive-time": str(int(now * 1000)),
        "resp-start-time": str(int((now + delay) * 1000)),
        "x-envoy-upstream-service-time": took,
        "server": "istio-envoy",
    }
