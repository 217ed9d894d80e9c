"""What is asked in such a night: short and long, cached by itself and by request, thought about, and to be answered as JSON."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

WORKSPACES = tuple(f"department-{number:02}" for number in range(12))
MODELS = ("qwen-plus", "qwen-max", "qwen-flash", "qwen-turbo", "qwen3-max")
_SENTENCES = (
    "The pump at the northern site was taken out of service for two hours after its pressure fell.",
    "夜班的工程师更换了滤芯，压力在十分钟内恢复正常。",
    "A second reading at four o'clock showed no difference, and the report was closed.",
    "The supplier has promised a new seal for the end of the week, at no cost.",
)
_JSON = "Extract what matters as JSON with the fields summary and keywords: "
SCHEMA = '[answers]\nreasks = 2\n[answers.schema]\ntype = "object"\nrequired = ["summary", "keywords"]\n'


def plain(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of every kind but those whose answers are checked."""
    dice = random.Random(seed)
    for number in range(count):
        yield {"id": f"p-{number}", "workspace": WORKSPACES[number % len(WORKSPACES)], **_plain(number, dice)}


def structured(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Rows whose answers are to be JSON; each third does not say so, and is asked again."""
    dice = random.Random(seed)
    for number in range(count):
        asked = (_JSON if number % 3 else "Sum this up: ") + _text(dice, 2)
        workspace = WORKSPACES[dice.randrange(len(WORKSPACES))]
        yield {"id": f"s-{number}", "workspace": workspace, "model": MODELS[dice.randrange(3)], "prompt": asked}


def _plain(number: int, dice: random.Random) -> dict[str, Any]:
    model = MODELS[dice.randrange(len(MODELS))]
    parameters = {"max_tokens": dice.choice([20, 80, 200])}
    text = {"prompt": f"Note {number}: {_text(dice, dice.randint(1, 6))} Sum this up."}
    match number % 20:
        case 0 | 1 | 2:  # The same long beginning in each workspace: found in the cache from the second time on.
            return {"model": model, "parameters": parameters, "messages": [_manual(), {"role": "user", "content": text["prompt"]}]}
        case 3:
            return {"model": model, "parameters": parameters, "messages": [_kept(number % 3), {"role": "user", "content": text["prompt"]}]}
        case 4 | 5:
            return {"model": "qwen-plus", "parameters": {**parameters, "enable_thinking": True, "thinking_budget": 60}, **text}
        case 6 if number % 60 == 6:  # Beyond the first tier.
            return {"model": "qwen3-max", "parameters": parameters, "prompt": f"Note {number}: {_long()} Sum this up."}
    return {"model": model, "parameters": parameters, **text}


def _manual() -> dict[str, Any]:
    return {"role": "system", "content": "You know this manual by heart. " + " ".join(_SENTENCES) * 30}


def _kept(which: int) -> dict[str, Any]:
    """A beginning that the row has the provider keep."""
    text = f"Manual {which}. " + " ".join(_SENTENCES) * 40
    return {"role": "system", "content": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]}


def _long() -> str:
    return " ".join(_SENTENCES) * 520


def _text(dice: random.Random, sentences: int) -> str:
    return " ".join(dice.choice(_SENTENCES) for _ in range(sentences))
