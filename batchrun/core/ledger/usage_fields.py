"""Tokens as a ledger's line tells them, and read back: in entries, and in those lines of attempts.log whose call has no entry.

The four counts that nearly every call has are always told, the rarer ones (images, sounds, caches written, searches) where they are not 0,
and that the answer reasoned where no count of it does; ``raw`` is the provider's own object as it came, for whoever doubts how it was
understood.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from batchrun.core.ledger.entry import NotAnEntryError
from batchrun.core.ledger.fields import count
from batchrun.core.model import Usage

_RARER = ("cache_creation_tokens", "image_tokens", "audio_tokens", "video_tokens", "output_audio_tokens", "searches")
_OF_REASONING = "uncounted_reasoning"
_TOLD = (*_RARER, _OF_REASONING)
_rarer = attrgetter(*_TOLD)
_NONE_OF_THEM = (0,) * len(_TOLD)
_USUALLY = 5
"""Fields of a usage: four counts and what the provider said."""


def usage_fields(usage: Usage) -> dict[str, Any]:
    """Return *usage* as a line tells it: four counts, others where there is anything to tell, and the provider's object as ``raw``."""
    fields: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    if (rarer := _rarer(usage)) != _NONE_OF_THEM:
        fields.update((name, number) for name, number in zip(_TOLD, rarer, strict=True) if number)
    fields["raw"] = usage.raw
    return fields


def read_usage(fields: Any) -> Usage | None:
    """Read back what `usage_fields` wrote, None as None.

    Raises NotAnEntryError, a ValueError, for a count that is none; KeyError or TypeError where it is no such object.
    """
    if fields is None:
        return None
    counts = fields["input_tokens"], fields["output_tokens"], fields["cached_tokens"], fields["reasoning_tokens"]
    # What `count` does, without a call each: a resume reads millions.
    for each in counts:
        if type(each) is not int or each < 0:
            raise NotAnEntryError("a token count that is none")
    if len(fields) == _USUALLY and "raw" in fields:
        return Usage(*counts, fields["raw"])
    rarer = {name: count(fields[name]) for name in _RARER if name in fields}
    return Usage(*counts, fields.get("raw"), **rarer, uncounted_reasoning=fields.get(_OF_REASONING) is True)
