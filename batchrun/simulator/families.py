"""What the provider's pages say of its models, by the beginning of their names (API reference and error page, 2025-12; prices, 2026-04).

These tables are the simulator's own: a client that had them wrong would not be caught by a provider that asked the client.
"""

from __future__ import annotations

import re
from enum import Enum

from batchrun.core.classes import value
from batchrun.simulator.routes import Route

_ALL = frozenset(Route)
_TEXT = frozenset({Route.COMPAT, Route.TEXT})
_VISION = frozenset({Route.COMPAT, Route.MULTIMODAL})
_AUDIO = frozenset({Route.MULTIMODAL})
_OMNI = frozenset({Route.COMPAT})


class Thinking(Enum):
    """When a model reasons before it answers."""

    NEVER = "never"
    ASKED = "asked"
    DEFAULT = "default"
    ALWAYS = "always"


@value
class Family:
    """How a family of models is called and how it answers."""

    routes: frozenset[Route]
    thinking: Thinking = Thinking.NEVER
    stream_only: bool = False
    thinks_in_streams_only: bool = False
    """The rule of 2025 for Qwen3; later models lift it."""
    message: bool = False
    """Native answers have choices with messages unless asked otherwise; else a text."""
    increments: bool = False
    """A native stream's events hold what is new unless asked otherwise; else all there is so far."""
    repeats: bool = False
    """A stream's events hold all there is so far on every route, whatever they are asked (API reference of Qwen-MT)."""
    itemised: bool = False
    """Native usage of an answer about media has a total and details."""
    most_output: int = 32_768
    """Tokens; the bound of max_tokens."""
    most_input: int = 983_616
    """Tokens; a longer prompt is refused."""

    @property
    def native_only(self) -> bool:
        """Whether the compatible route does not know the family."""
        return Route.COMPAT not in self.routes

    @property
    def takes_media(self) -> bool:
        """Whether a message may hold a picture, a sound or a film."""
        return self.routes != _TEXT

    def thinks(self, asked: object) -> bool:
        """Whether the model reasons, given the call's ``enable_thinking``."""
        match self.thinking:
            case Thinking.NEVER:
                return False
            case Thinking.ALWAYS:
                return True
            case Thinking.ASKED:
                return asked is True
            case Thinking.DEFAULT:
                return asked is not False


_TUNED = Family(_ALL - _OMNI, Thinking.ASKED, message=True, itemised=True)
_UNKNOWN = Family(_ALL, Thinking.ASKED, message=True, itemised=True)
"""Models that only a scenario names."""

_QWEN3 = 65_536
_FAMILIES: tuple[tuple[re.Pattern[str], Family], ...] = tuple(
    (re.compile(pattern), family)
    for pattern, family in (
        (r"qwq-", Family(_TEXT, Thinking.ALWAYS, stream_only=True, message=True, increments=True)),
        (r"qvq-", Family(_VISION, Thinking.ALWAYS, stream_only=True, message=True, increments=True, itemised=True)),
        (r"qwen3(\.\d)?-omni-", Family(_OMNI, Thinking.ASKED, stream_only=True, most_output=_QWEN3)),
        (r"qwen(2\.5)?-omni-", Family(_OMNI, stream_only=True)),
        (r"qwen3-livetranslate-", Family(_OMNI, stream_only=True)),
        (r"glm-4\.5(-|$)", Family(_TEXT, Thinking.DEFAULT, stream_only=True, message=True, increments=True)),
        (r"qwen2?-audio", Family(_AUDIO, message=True)),
        (r"qwen3-vl-.*-thinking", Family(_VISION, Thinking.ALWAYS, message=True, increments=True, itemised=True, most_output=_QWEN3)),
        (r"qwen3-vl-", Family(_VISION, Thinking.ASKED, message=True, increments=True, itemised=True, most_output=_QWEN3)),
        (r"qwen-vl-ocr", Family(_VISION, message=True, itemised=True, most_output=8_192)),
        (r"qwen(2\.5)?-vl-", Family(_VISION, message=True, most_output=8_192)),
        (r"qwen3\.\d-", Family(_ALL, Thinking.DEFAULT, message=True, itemised=True, most_output=_QWEN3)),
        (r"qwen3-max", Family(_TEXT, Thinking.ASKED, message=True, increments=True, most_output=_QWEN3)),
        (r"qwen3-(coder-|.*-instruct)", Family(_TEXT, message=True, increments=True, most_output=_QWEN3)),
        (
            r"qwen3-.*-thinking",
            Family(_TEXT, Thinking.ALWAYS, stream_only=True, message=True, increments=True, most_output=_QWEN3),
        ),
        (
            r"qwen3-",
            Family(_TEXT, Thinking.DEFAULT, thinks_in_streams_only=True, message=True, increments=True, most_output=_QWEN3),
        ),
        (r"qwen-(plus|flash|turbo)", Family(_TEXT, Thinking.ASKED, thinks_in_streams_only=True)),
        (r"qwen-max", Family(_TEXT, most_output=8_192, most_input=30_720)),
        (r"qwen-mt-(plus|turbo)(-|$)", Family(_TEXT, repeats=True, most_output=8_192)),
        (r"qwen-mt-", Family(_TEXT, most_output=8_192)),
        (r"qwen-long", Family(_TEXT, message=True)),
    )
)


def family(model: str, *, tuned: bool = False) -> Family:
    """The facts about a model; *tuned* for a deployment, whatever its name."""
    if tuned:
        return _TUNED
    return next((each for pattern, each in _FAMILIES if pattern.match(model)), _UNKNOWN)
