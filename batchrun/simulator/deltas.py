"""What a stream brings piece by piece, before either dialect has put it in its words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from batchrun.simulator.answers import Choice

_SIZE = 24
"""Characters a piece."""


class Delta(NamedTuple):
    """What is new; one of the three."""

    reasoning: str = ""
    content: str = ""
    tool_call: dict[str, Any] | None = None
    """The first of an index has the id and the name, all have a part of the arguments."""


def deltas(choice: Choice) -> Iterator[Delta]:
    """The pieces of a choice: reasoning first, then what it says, then the calls one after the other."""
    yield from (Delta(reasoning=part) for part in sliced(choice.reasoning))
    yield from (Delta(content=part) for part in sliced(choice.content))
    for call in choice.tool_calls:
        function, index = call["function"], call["index"]
        first = {"name": function["name"], "arguments": ""}
        yield Delta(tool_call={"index": index, "id": call["id"], "type": "function", "function": first})
        for part in sliced(function["arguments"]):
            yield Delta(tool_call={"index": index, "id": "", "type": "function", "function": {"arguments": part}})


def sliced(text: str) -> Iterator[str]:
    """A text in parts as a stream brings them."""
    return (text[start : start + _SIZE] for start in range(0, len(text), _SIZE))
