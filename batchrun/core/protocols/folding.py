"""Folds the deltas of a stream into messages: the same for both dialects, whose deltas differ only in what stands around them.

Where deltas are cumulative (the native dialect without ``incremental_output``) the latest says it all; otherwise each adds to the ones
before it. Tool calls go by their ``index``; their name and id come once, their arguments in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Fields = dict[str, Any]

_TEXTS = ("content", "reasoning_content", "refusal")
_FOLDED = (*_TEXTS, "tool_calls", "audio")
_SOUNDS = frozenset({"data", "transcript"})


@dataclass(slots=True)
class _Call:
    fields: Fields = field(default_factory=dict)
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Choice:
    """One choice of an answer, on its way."""

    cumulative: bool = False
    spoken: bool = False
    finish_reason: str | None = None
    _texts: dict[str, list[str]] = field(default_factory=dict)
    _listed: bool = False
    """Its content comes in parts, as the multimodal route has it."""
    _calls: dict[int, _Call] = field(default_factory=dict)
    _audio: Fields = field(default_factory=dict)
    _sounds: dict[str, list[str]] = field(default_factory=dict)
    _rest: Fields = field(default_factory=dict)
    _logprobs: list[Any] = field(default_factory=list)

    def take(self, delta: Fields) -> None:
        """Add a delta, or put a cumulative one in the place of those before; never raises."""
        for name in _TEXTS:
            self._text(name, delta.get(name))
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            for place, call in enumerate(calls):
                if isinstance(call, dict):
                    self._call(place, call)
        audio = delta.get("audio")
        if isinstance(audio, dict):
            self._sound(audio)
        self._rest.update((name, value) for name, value in delta.items() if value is not None and name not in _FOLDED)

    def ends(self, reason: object) -> None:
        """Note a finish reason; the native dialect writes the string ``null`` until there is one."""
        if isinstance(reason, str) and reason not in {"", "null"}:
            self.finish_reason = reason

    def weighs(self, logprobs: object) -> None:
        """Keep the log probabilities that came beside a delta."""
        match logprobs:
            case {"content": list(tokens)}:
                if self.cumulative:
                    self._logprobs.clear()
                self._logprobs += tokens

    def as_fields(self, index: int) -> Fields:
        """Give the choice as a plain answer has it."""
        message: Fields = {"role": "assistant", **self._rest}
        content = "".join(self._texts.get("content", ()))
        message["content"] = ([{"text": content}] if content else []) if self._listed else content
        for name in _TEXTS[1:]:
            if name in self._texts:
                message[name] = "".join(self._texts[name])
        if self._calls:
            message["tool_calls"] = [_called(call, index) for index, call in sorted(self._calls.items())]
        if self._audio or self._sounds:
            message["audio"] = {**self._audio, **{name: "".join(pieces) for name, pieces in self._sounds.items()}}
        fields: Fields = {"index": index, "message": message, "finish_reason": self.finish_reason}
        return fields | ({"logprobs": {"content": self._logprobs}} if self._logprobs else {})

    def _text(self, name: str, value: object) -> None:
        if isinstance(value, list):
            self._listed = True
            value = "".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))
        if isinstance(value, str) and value:
            self.spoken = True
            if self.cumulative:
                self._texts[name] = [value]
            else:
                self._texts.setdefault(name, []).append(value)

    def _call(self, place: int, delta: Fields) -> None:
        index = delta.get("index")
        call = self._calls.setdefault(index if isinstance(index, int) else place, _Call())
        self.spoken = True
        call.fields.update((name, value) for name, value in delta.items() if value and name not in {"function", "index"})
        function = delta.get("function")
        if not isinstance(function, dict):
            return
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(name, str) and name:
            call.name = name
        if isinstance(arguments, str):
            if self.cumulative:
                call.arguments.clear()
            call.arguments.append(arguments)

    def _sound(self, delta: Fields) -> None:
        self.spoken = True
        for name, value in delta.items():
            if isinstance(value, str) and name in _SOUNDS:
                self._sounds.setdefault(name, []).append(value)
            elif value is not None and name not in _SOUNDS:
                self._audio[name] = value


def _called(call: _Call, index: int) -> Fields:
    return {"index": index, "type": "function", **call.fields, "function": {"name": call.name, "arguments": "".join(call.arguments)}}


@dataclass(slots=True)
class Choices:
    """The choices of one answer, by their index."""

    expected: int = 1
    """How many were asked for."""
    cumulative: bool = False
    _all: dict[int, Choice] = field(default_factory=dict)

    def at(self, index: object) -> Choice:
        """Give the choice *index*, or the only one where there is no index."""
        place = index if isinstance(index, int) else 0
        choice = self._all.get(place)
        if choice is None:
            choice = self._all[place] = Choice(self.cumulative)
        return choice

    @property
    def spoken(self) -> bool:
        """Whether any of them has said anything."""
        return any(choice.spoken for choice in self._all.values())

    @property
    def whole(self) -> bool:
        """Whether all that were asked for have ended."""
        return len(self._all) >= self.expected and all(choice.finish_reason for choice in self._all.values())

    def as_fields(self) -> list[Fields]:
        """Give them as a plain answer has them."""
        return [choice.as_fields(index) for index, choice in sorted(self._all.items())]


def expected_choices(asked: Fields) -> int:
    """How many choices a request asks for."""
    count = asked.get("n")
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 1
