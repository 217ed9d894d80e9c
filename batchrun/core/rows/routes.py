"""Which protocol a row goes by, and where to.

The job's word comes first. Without one a model that only the native routes serve goes natively, and every other the OpenAI-compatible way.
``protocol = "dashscope"`` means the native route that serves the model: text, or multimodal for models that see or hear and for rows that
hold media; a model that no native route serves goes the OpenAI-compatible way even so.
"""

from __future__ import annotations

from collections.abc import Collection

from batchrun.core.classes import value
from batchrun.core.jobs.endpoints import CLOUDS, Endpoint, cloud_of
from batchrun.core.protocols.formats import FORMATS
from batchrun.core.protocols.wire_format import WireFormat
from batchrun.core.rows import families

EITHER_NATIVE = "dashscope"
PROTOCOLS = (*FORMATS, EITHER_NATIVE)
"""What a job may name."""


@value
class Route:
    """A way to a model."""

    wire_format: WireFormat
    url: str


@value
class NoRoute:
    """There is none."""

    protocol: str
    reason: str
    advice: str


def route(endpoint: Endpoint, protocol: str | None, model: str, *, tuned: bool = False, media: bool = False) -> Route | NoRoute:
    """Find the way to *model* at *endpoint*; *protocol* is the job's word for it, *tuned* says that the job lists it as a deployment."""
    name = _name(protocol, model, tuned=tuned, media=media)
    base = endpoint.bases.get(name)
    if base is not None:
        return Route(FORMATS[name], base + FORMATS[name].path)
    if protocol is None:
        why = f"{model} is not served by the OpenAI-compatible route"
        way_out = "give these rows another model, or the workspace an endpoint that does"
        if cloud_of(endpoint) not in CLOUDS:
            way_out = f'if that server serves it in the OpenAI way, set protocol = "openai"; else {way_out}'
    else:
        why, way_out = f'protocol = "{protocol}" is set', f"that endpoint speaks {one_of(endpoint.bases)}: give it one of these"
    return NoRoute(name, f"{endpoint.name} does not speak {name}, and {why}", way_out)


def one_of(names: Collection[str]) -> str:
    """Write names as a choice: ``openai or dashscope-text``."""
    return " or ".join(names)


def _name(protocol: str | None, model: str, *, tuned: bool, media: bool) -> str:
    if protocol is None:
        protocol = EITHER_NATIVE if tuned or families.native_only(model) else "openai"
    if protocol != EITHER_NATIVE:
        return protocol
    if families.openai_only(model):
        return "openai"
    return "dashscope-multimodal" if media or families.multimodal(model) else "dashscope-text"
