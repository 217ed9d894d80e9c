"""A call as it came, and the plan of its answer: what the simulator's decisions and its socket say to each other."""

from __future__ import annotations

from dataclasses import field
from enum import Enum

from batchrun.core.classes import value


class Wire(Enum):
    """How a plan's bytes are delivered."""

    WHOLE = "whole"
    RESET = "reset"
    """No byte, the connection is reset."""
    TORN = "torn"
    """Content-Length tells the truth, half of it comes, the connection closes."""
    CUT = "cut"
    """A chunked body whose last chunks never come; the connection closes."""
    HANG = "hang"
    """No byte, until the client goes away."""
    MISCOUNTED = "miscounted"
    """Content-Length is half of what comes, and the connection stays open."""
    DRIP = "drip"
    """Content-Length tells the truth, and `Plan.spread` seconds pass until it has all come."""
    EVENTS = "events"
    """Chunked: each server-sent event by itself, `Plan.spread` seconds from the first to the last."""
    EVENTS_CUT = "events_cut"
    """As EVENTS, but only the first half of them; then the connection closes."""
    EVENTS_STALL = "events_stall"
    """As EVENTS, but after the first half nothing more comes until the client goes away."""


@value
class Call:
    """One HTTP request as it came."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    """Names in lower case. Holds the API key: kept out of every repr."""
    body: bytes = field(repr=False)


@value
class Plan:
    """What a call is answered, when, and how it travels."""

    status: int
    headers: dict[str, str]
    """Without those that frame the body."""
    body: bytes
    delay: float
    """Seconds until the first byte."""
    wire: Wire = Wire.WHOLE
    spread: float = 0.0
    """Seconds from the first byte to the last, where the body comes in pieces."""
