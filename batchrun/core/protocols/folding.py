"""Folds the deltas of a stream into messages: the same for both dialects, whose deltas differ only in what stands around them.

Where deltas are cumulative (the native dialect without ``incremental_output``, and some models on every route) the latest says it all;
otherwise each adds to the ones before it. Tool calls go by their ``index``; their name and id come once, their arguments in pieces, as do
those of a ``function_call``, as such calls were told before there were several. Some servers give no call an index, or all of them the
same: what names a function under another id begins another call.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

import orjson

from batchrun.core.classes import slotted
from batchrun.core.protocols.usage import usage_of_answer
from batchrun.core.rows.weight import weight

Fields = dict[str, Any]

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
_FOLDED = (*_TEXTS, "tool_calls", "function_call", "audio")
_OF_A_TEXT = frozenset({"type", "text"})
_SOUNDS = frozenset({"data", "transcript"})
_OF_A_CHOICE, _OF_A_CALL, _OF_A_PIECE = 1024, 768, 64
"""Bytes of memory, about."""
_UNASKED = 64
"""Choices beyond those that were asked for which are taken in all the same."""


def beside_its_text(part: Fields) -> Fields:
    """What a part of a content says besides: a picture, where the words of a page stand."""
    return {name: said for name, said in part.items() if said and name not in _OF_A_TEXT}


def heft(value: object) -> int:
    """Bytes of memory that a parsed *value* takes, about."""
    return weight(orjson.dumps(value)) if isinstance(value, dict | list) else _OF_A_PIECE


@slotted
class _Call:
    fields: Fields = field(default_factory=dict)
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def ended_by(self, said: object, *, numbered: bool) -> bool:
        """Whether a piece that names a function, under the id that it *said*, is of another call."""
        own = self.fields.get("id")
        if said and own:
            return bool(said != own)
        return bool(self.name) and not numbered and any(self.arguments)

    def as_fields(self) -> Fields:
        """Give the function that is called as a plain answer has it."""
        return {"name": self.name, "arguments": "".join(self.arguments)}


@slotted
class Choice:
    """One choice of an answer, on its way."""

    cumulative: bool = False
    pieces: int = 0
    """How many it has been told of what the answer says."""
    finish_reason: str | None = None
    weight: int = _OF_A_CHOICE
    """Bytes of memory that what is kept of it takes, about."""
    _texts: dict[str, list[str]] = field(default_factory=dict)
    _listed: bool = False
    """Its content comes in parts, as the multimodal route has it."""
    _parts: list[Fields] = field(default_factory=list)
    """What those say beside text: places of words, sounds."""
    _calls: dict[int, _Call] = field(default_factory=dict)
    _turns: dict[int, int] = field(default_factory=dict)
    """Which of the calls an index, or a place among others, means now, where that is another than the one of that number."""
    _latest: int = 0
    _function: _Call | None = None
    _audio: Fields = field(default_factory=dict)
    _sounds: dict[str, list[str]] = field(default_factory=dict)
    _rest: Fields = field(default_factory=dict)
    _logprobs: list[Any] = field(default_factory=list)

    def take(self, delta: Fields) -> bool:
        """Add a delta, or put a cumulative one in the place of those before, and tell whether it said anything; never raises."""
        before = self.pieces
        for name in _TEXTS:
            self._text(name, delta.get(name))
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            alone = len(calls) == 1 and not self.cumulative
            for place, call in enumerate(calls):
                if isinstance(call, dict):
                    self._call(None if alone else place, call)
        function = delta.get("function_call")
        if isinstance(function, dict):
            self._function = self._function or _Call()
            self._piece(self._function, function)
        audio = delta.get("audio")
        if isinstance(audio, dict):
            self._sound(audio)
        for name, value in delta.items():
            if value is not None and name not in _FOLDED:
                self._rest[name] = value
                self.weight += heft(value)
        return self.pieces > before

    def ends(self, reason: object) -> None:
        """Note a finish reason; the native dialect writes the string ``null`` until there is one."""
        if isinstance(reason, str) and reason not in {"", "null"}:
            self.finish_reason = reason

    def weighs(self, logprobs: object) -> None:
        """Keep the log probabilities that came beside a delta."""
        match logprobs:
            case {"content": list(tokens)}:
                if self.cumulative:
                    self.weight -= heft(self._logprobs)
                    self._logprobs.clear()
                self._logprobs += tokens
                self.weight += heft(tokens)

    def as_fields(self, index: int) -> Fields:
        """Give the choice as a plain answer has it."""
        message: Fields = {"role": "assistant", **self._rest}
        content = "".join(self._texts.get("content", ()))
        message["content"] = [*([{"text": content}] if content else ()), *self._parts] if self._listed else content
        for name in _TEXTS[1:]:
            if name in self._texts:
                message[name] = "".join(self._texts[name])
        if self._calls:
            message["tool_calls"] = [_called(call, index) for index, call in sorted(self._calls.items())]
        if self._function is not None:
            message["function_call"] = self._function.as_fields()
        if self._audio or self._sounds:
            message["audio"] = {**self._audio, **{name: "".join(pieces) for name, pieces in self._sounds.items()}}
        fields: Fields = {"index": index, "message": message, "finish_reason": self.finish_reason}
        return fields | ({"logprobs": {"content": self._logprobs}} if self._logprobs else {})

    def _text(self, name: str, value: object) -> None:
        if isinstance(value, list):
            value = self._joined([part for part in value if isinstance(part, dict)])
        if isinstance(value, str) and value:
            self.pieces += 1
            self.weight += _keep(self._texts.setdefault(name, []), value, instead=self.cumulative)

    def _joined(self, parts: list[Fields]) -> str:
        """Join the texts of *parts*, and keep what else they say."""
        self._listed = True
        if others := [other for part in parts if (other := beside_its_text(part))]:
            self.pieces += 1
            self.weight += heft(others) - (heft(self._parts) if self.cumulative else 0)
            self._parts = others if self.cumulative else self._parts + others
        return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))

    def _call(self, place: int | None, delta: Fields) -> None:
        """Take a piece of a call: the only one of its delta where it has no *place*."""
        function = delta.get("function")
        function = function if isinstance(function, dict) else {}
        before = len(self._calls)
        self._latest = self._which(place, delta, named=bool(function.get("name")))
        call = self._calls.setdefault(self._latest, _Call())
        self.weight += _OF_A_CALL * (len(self._calls) - before)
        for field_name, value in delta.items():
            if value and field_name not in {"function", "index"}:
                call.fields[field_name] = value
                self.weight += heft(value)
        self._piece(call, function)

    def _which(self, place: int | None, delta: Fields, *, named: bool) -> int:
        """The number of the call that a piece is of: by its index, its id, its place among others, or else it is of the latest."""
        index, said = delta.get("index"), delta.get("id")
        told = index if isinstance(index, int) else place
        found = self._latest if told is None else self._turns.get(told, told)
        if not isinstance(index, int) and said:
            found = next((number for number, call in self._calls.items() if call.fields.get("id") == said), found)
        if named and not self.cumulative and found in self._calls and self._calls[found].ended_by(said, numbered=isinstance(index, int)):
            found = max(self._calls) + 1
            if told is not None:
                self._turns[told] = found
        return found

    def _piece(self, call: _Call, function: Fields) -> None:
        self.pieces += 1
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(name, str) and name:
            call.name = name
        if isinstance(arguments, str):
            self.weight += _keep(call.arguments, arguments, instead=self.cumulative)

    def _sound(self, delta: Fields) -> None:
        self.pieces += 1
        for name, value in delta.items():
            if isinstance(value, str) and name in _SOUNDS:
                self.weight += _keep(self._sounds.setdefault(name, []), value, instead=False)
            elif value is not None and name not in _SOUNDS:
                self._audio[name] = value
                self.weight += heft(value)


def latest_usage(before: object, told: object, *, spoke: bool) -> object:
    """What a stream has told of its cost once a chunk has *told* so much of it, and said something or not.

    One that tells nothing takes no place of one that does: some gateways write an object of nulls, of noughts, or an empty one into their
    chunks.
    What was told before more was said is less than what is billed, and is no cost.
    """
    if usage_of_answer(told) is not None:
        return told
    return before if before and not spoke else told


def _keep(pieces: list[str], piece: str, *, instead: bool) -> int:
    """Put *piece* behind the others, or in their place; gives the bytes by which they have grown."""
    gone = sum(_OF_A_PIECE + 2 * len(each) for each in pieces) if instead else 0
    if instead:
        pieces.clear()
    pieces.append(piece)
    return _OF_A_PIECE + 2 * len(piece) - gone


def _called(call: _Call, index: int) -> Fields:
    return {"index": index, "type": "function", **call.fields, "function": call.as_fields()}


@slotted
class Choices:
    """The choices of one answer, by their index."""

    expected: int = 1
    """How many were asked for."""
    cumulative: bool = False
    _all: dict[int, Choice] = field(default_factory=dict)

    def take(self, told: object) -> bool:
        """Take in the choices that a chunk tells: what is new of each or, as some servers have it, all; whether any says something."""
        spoke = False
        for place, each in enumerate(told if isinstance(told, list) else ()):
            if isinstance(each, dict):
                choice, said = self._at(each.get("index"), place), each.get("delta") or each.get("message")
                if isinstance(said, dict) and choice.take(said):
                    spoke = True
                choice.weighs(each.get("logprobs"))
                choice.ends(each.get("finish_reason"))
        return spoke

    def _at(self, index: object, place: int) -> Choice:
        """Give the choice *index*, or that at its *place* among those told together; one too many is given and forgotten."""
        place = index if isinstance(index, int) else place
        choice = self._all.get(place)
        if choice is None:
            choice = Choice(self.cumulative)
            if len(self._all) < self.expected + _UNASKED:
                self._all[place] = choice
        return choice

    @property
    def weight(self) -> int:
        """Bytes of memory that what is kept of them takes, about."""
        return sum(choice.weight for choice in self._all.values())

    @property
    def spoken(self) -> bool:
        """Whether any of them has said anything."""
        return any(choice.pieces for choice in self._all.values())

    @property
    def ended(self) -> bool:
        """Whether all that have come have ended."""
        return bool(self._all) and all(choice.finish_reason for choice in self._all.values())

    @property
    def whole(self) -> bool:
        """Whether all that were asked for have ended."""
        return len(self._all) >= self.expected and self.ended

    def as_fields(self) -> list[Fields]:
        """Give them as a plain answer has them."""
        return [choice.as_fields(index) for index, choice in sorted(self._all.items())]


def expected_choices(asked: Fields) -> int:
    """How many choices a request asks for."""
    count = asked.get("n")
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 1
