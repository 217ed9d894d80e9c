"""What a wire format is to the rest of the house: where it is spoken, what it can carry, how a request is written and an answer read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from batchrun.core.classes import value
from batchrun.core.protocols.reading import Dialect


@value
class WireFormat:
    """One protocol. A request body is in batchrun's own form throughout: an OpenAI chat request."""

    name: str
    """As the job file names it."""
    path: str
    """Added to the endpoint's base URL for this protocol."""
    dialect: Dialect
    """How its answers are read."""
    unfit: Callable[[dict[str, Any]], str | None]
    """Why a request cannot be carried, and which protocol can; None where it can."""
    encode: Callable[[dict[str, Any], bool], bytes]
    """Writes a request that can be carried; as a stream, if True."""
    stream_headers: Mapping[str, str] = field(default_factory=dict)
    """What asks for a stream, besides the body."""
