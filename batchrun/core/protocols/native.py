"""What the two native DashScope routes share: how a request is laid out, and how an answer and a stream's frames are read.

A request is ``{"model", "input": {"messages"}, "parameters"}``: everything that is neither model nor messages is a parameter. An answer is
``{"output", "usage", "request_id"}``, its output ``choices`` (``result_format = "message"``, which is asked for) or ``text``. A frame of a
stream is such an answer too, with the finish reason ``"null"`` until the last, and with the usage so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

import orjson

from batchrun.core.classes import slotted
from batchrun.core.model import Failure, Reply, named_tuple
from batchrun.core.protocols.error_body import complaint_of, error_in_200, request_id_of
from batchrun.core.protocols.folding import Choices, expected_choices, heft, latest_usage
from batchrun.core.protocols.reading import Dialect
from batchrun.core.protocols.replies import Around, broken_off, reply_of, request_id_in, sourced
from batchrun.core.protocols.usage import usage_of, usage_of_answer
from batchrun.core.rows.families import repeats

Fields = dict[str, Any]

STREAM_HEADERS = {"X-DashScope-SSE": "enable", "Accept": "text/event-stream"}

_NOT_PARAMETERS = frozenset({"model", "messages", "stream", "stream_options"})
_SPOKEN = ("modalities", "audio")


def unfit_parameters(body: Fields) -> str | None:
    """Why the parameters of a request cannot go this way."""
    if any(body.get(name) for name in _SPOKEN):
        return 'modalities and audio ask for a spoken answer, which the native routes do not give: protocol = "openai" can'
    return None


def request(body: Fields, messages: Iterable[Fields], *, stream: bool) -> bytes:
    """Write a request whose *messages* are in the route's own spelling."""
    parameters = {"result_format": "message", **{name: value for name, value in body.items() if name not in _NOT_PARAMETERS}}
    if stream and parameters.get("incremental_output") is None:
        # Else each frame repeats all that was said so far.
        parameters["incremental_output"] = True
    return orjson.dumps({"model": body["model"], "input": {"messages": list(messages)}, "parameters": parameters})


def _read(status: int, headers: Mapping[str, str], fields: Fields, line: bytes) -> Reply | Failure:
    usage = usage_of(fields.get("usage"))
    if said := complaint_of(fields, line):
        return error_in_200(status, headers, said, usage)
    around = named_tuple(Around, (status, usage, request_id_of(headers) or request_id_in(fields), line, broken_off(headers)))
    output = fields.get("output")
    reply = reply_of(choices_of(output), around)
    return sourced(reply, output.get("search_info")) if isinstance(output, dict) else reply


def choices_of(output: object) -> object:
    """The choices of an output; one of ``result_format = "text"`` is a choice without saying so."""
    if not isinstance(output, dict):
        return None
    text = output.get("text")
    if output.get("choices") or not isinstance(text, str):
        return output.get("choices")
    message = {name: output[name] for name in ("reasoning_content", "tool_calls") if output.get(name)}
    return [{"finish_reason": output.get("finish_reason"), "message": {"role": "assistant", "content": text, **message}}]


@slotted
class _Fold:
    """Frames to a plain native answer."""

    choices: Choices
    _request_id: Any = None
    _usage: Any = None
    _output: Fields = field(default_factory=dict)
    _weight: int = 0

    @property
    def weight(self) -> int:
        return self.choices.weight + self._weight

    @property
    def counted(self) -> bool:
        return usage_of_answer(self._usage) is not None

    def take(self, chunk: Fields) -> None:
        self._request_id = chunk.get("request_id") or self._request_id
        output = chunk.get("output")
        spoke = isinstance(output, dict) and self._takes(output)
        self._usage = latest_usage(self._usage, chunk.get("usage"), spoke=spoke)

    def _takes(self, output: Fields) -> bool:
        """Take in what a frame says, and tell whether that is anything."""
        for name, value in output.items():
            if name not in {"choices", "text", "finish_reason"}:
                self._output[name] = value
                self._weight += heft(value)
        return self.choices.take(choices_of(output))

    def answer(self) -> Fields:
        around = {"usage": self._usage, "request_id": self._request_id}
        output = {**self._output, "choices": self.choices.as_fields()}
        return {"output": output, **{name: value for name, value in around.items() if value}}


def _fold(asked: Fields) -> _Fold:
    cumulative = asked.get("incremental_output") is False or repeats(asked.get("model"))
    return _Fold(Choices(expected_choices(asked), cumulative=cumulative))


NATIVE = Dialect(_read, _fold)
