"""What rows are like: a sample of them is read, and nothing is called.

It tells what they may cost at the most, and of rows of which none was answered yet, what they will. Their input is told by their letters.
How long an answer will be is an assumption by the model's name (`core/limits/priors.py`), within what each row lets it have; but where the
simulator is what will be asked, it is asked, without a socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson
from pydantic import SecretStr

from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.ledger.attempts import Bound, most_asked
from batchrun.core.ledger.brought_in import most_of_files
from batchrun.core.limits.estimates import Estimate, Size
from batchrun.core.limits.priors import first_output
from batchrun.core.model import Row, Usage
from batchrun.core.protocols.usage import usage_of
from batchrun.core.rows.families import thinks
from batchrun.core.rows.parts import in_parts, media_of
from batchrun.edge.source import RowChanged, Source
from batchrun.running.budgets import most_tokens
from batchrun.running.terms import Terms, terms_of
from batchrun.telling.lengths import Lengths, lengths_of

_MOST_ROWS, _LEAST_ROWS, _MOST_OF_ALL = 200, 8, 4_000
"""That are read of a lane, and of all lanes together, as far as each may have the least."""
_A_MESSAGE = 5.0
"""Tokens beside its text: ``<|im_start|>``, a role, a line feed, ``<|im_end|>`` and another (ChatML, which Qwen's models read)."""
_KEY = "sk-sim-sample"

Read = list[tuple[int, Row]]
"""Rows by their ordinals."""


class Most(NamedTuple):
    """What a lane's rows may cost at the most, as those tell that were read."""

    bounds: frozenset[Bound]
    looking: int = 0
    """Of the rows that were read: those for which the provider may search, or run code."""
    read: int = 0


class Sample(NamedTuple):
    """What a lane's rows are like."""

    lengths: Lengths
    """Of input."""
    output: float
    """Tokens of an answer."""
    answered: bool
    """Whether that is what the simulator answers to them."""
    calls: tuple[Usage, ...]
    """What calls for some of them are taken to use."""


def some_of(source: Source, rows: Sequence[int], *, lanes: int) -> Read:
    """Read some of a lane's *rows*, evenly picked, where there are *lanes*; those that are not what they were are left out."""
    return [*_read(source, rows, max(_LEAST_ROWS, min(_MOST_ROWS, _MOST_OF_ALL // lanes)))]


def most_of(job: Job, workspace: Workspace, model: str, read: Read) -> Most:
    """What rows that were *read* may cost at the most, as a run sets it aside for them, but for what a route adds to the body."""
    limit = most_tokens(job, workspace.name, model)
    terms = [terms_of(model, row.body, limit) for _, row in read]
    bounds = frozenset(_bound(row, each) for (_, row), each in zip(read, terms, strict=True))
    return Most(bounds, sum(each.most_brought_in > 0 for each in terms), len(read))


def _bound(row: Row, terms: Terms) -> Bound:
    messages, written = row.body["messages"], orjson.dumps(row.body)
    media = [*media_of(messages)]
    text = len(written) - sum(len(each.url) for each in media)
    asked = text + terms.most_brought_in + most_of_files(written, parts=in_parts(messages))
    return Bound(most_asked(asked, [each.kind for each in media]), terms.most_output)


def sampled(job: Job, workspace: Workspace, model: str, source: Source, read: Read, estimate: Estimate) -> Sample:
    """Tell what a lane's rows are like by those that were *read*."""
    asked = [asked_of(row, estimate) for _, row in read]
    lengths = lengths_of(measured(source, read, estimate)) or Lengths(0.0, estimate.tokens_a_byte)
    most = most_tokens(job, workspace.name, model)
    if workspace.endpoint.simulated and (answers := [*_answers(job, workspace.name, [row for _, row in read], most)]):
        return Sample(lengths, sum(each.output_tokens for each in answers) / len(answers), answered=True, calls=(*answers,))
    answers_of = [first_output(model, terms_of(model, row.body, most).limit) for _, row in read]
    calls = (*(_call(row, *tokens) for (_, row), *tokens in zip(read, asked, answers_of, strict=True)),)
    return Sample(lengths, sum(answers_of) / len(answers_of) if answers_of else first_output(model), answered=False, calls=calls)


def measured(source: Source, read: Read, estimate: Estimate) -> list[tuple[int, float]]:
    """Bytes of the line, and input tokens, of rows that were *read*."""
    return [(source.line_bytes(ordinal), asked_of(row, estimate)) for ordinal, row in read]


def _call(row: Row, asked: float, answered: float) -> Usage:
    """What a call for a row is taken to use: all that it answers costs what thinking does, where it thinks."""
    output = round(answered)
    return Usage(round(asked), output, reasoning_tokens=output if thinks(row.model, row.body) else 0)


def input_of(row: Row | RowChanged, estimate: Estimate) -> float:
    """Input tokens of a row, as the run will tell by the letters of what is sent; none of one that is not what it was."""
    if isinstance(row, RowChanged):
        return 0.0
    media = [*media_of(row.body["messages"])]
    written = orjson.dumps(row.body)
    text = len(written) - sum(len(each.url) for each in media)
    return estimate.input_of(Size.of(len(written.decode()) - (len(written) - text), text, len(media)))


def asked_of(row: Row, estimate: Estimate) -> float:
    """Input tokens of a row: of its text, media and tools, and of what stands around each message. JSON is nothing that a model reads."""
    messages = row.body["messages"]
    texts = [part for message in messages for part in _texts(message.get("content"))]
    if tools := row.body.get("tools"):
        texts.append(orjson.dumps(tools).decode())
    letters, in_bytes = (sum(map(len, each)) for each in (texts, (text.encode("utf-8", "surrogatepass") for text in texts)))
    return estimate.input_of(Size.of(letters, in_bytes, len([*media_of(messages)]))) + _A_MESSAGE * len(messages)


def _texts(content: Any) -> Iterator[str]:
    parts = content if isinstance(content, list) else [content]
    for part in parts:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            yield text


def _read(source: Source, rows: Sequence[int], most: int) -> Iterator[tuple[int, Row]]:
    count = min(most, len(rows))
    for place in range(count):
        ordinal = rows[(2 * place + 1) * len(rows) // (2 * count)]
        if isinstance(row := source.read(ordinal), Row):
            yield ordinal, row


def _answers(job: Job, workspace: str, rows: Sequence[Row], most: int | None) -> Iterator[Usage]:
    """What the simulator's answers to *rows* use, but for those that it does not answer by the plain route."""
    ask = _simulator(job, workspace)
    for row in rows:
        terms = terms_of(row.model, row.body, most)
        usage = usage_of(orjson.loads(ask(orjson.dumps(terms.sent(row.body, [])))).get("usage")) if not terms.stream else None
        if usage is not None:
            yield usage


def _simulator(job: Job, workspace: str) -> Callable[[bytes], Any]:
    """One of its own, that refuses nobody for a quota, a bill or a planned fault."""
    from batchrun.simulator.plan import Call  # noqa: PLC0415 - a sixteenth of what a plan imports, and most call somebody else
    from batchrun.simulator.scenario import Scenario, SimulatedWorkspace  # noqa: PLC0415
    from batchrun.simulator.service import Service  # noqa: PLC0415

    told = job.simulator
    kind = SimulatedWorkspace(api_key=SecretStr(_KEY))
    service = Service(Scenario(seed=told.seed, latency=told.latency, models=told.models, cloud=told.cloud, workspaces={workspace: kind}))
    headers = {"authorization": f"Bearer {_KEY}", "content-type": "application/json"}
    return lambda body: service.answer(Call("POST", "/compatible-mode/v1/chat/completions", headers, body), 0.0).body
