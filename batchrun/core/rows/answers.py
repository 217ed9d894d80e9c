"""Whether an answer holds to what was asked, and how a row is asked again that got one that does not.

Checked are the content against the job's JSON Schema (draft 2020-12 unless ``$schema`` names another; only references within the schema
are followed) and the arguments of tool calls, which must be JSON. An answer that was cut at its length is refused without asking again: it
would be cut again, and paid for again. So is one that the schema's expressions cannot be searched for in within bounds: the next would be
no better.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field, replace
from typing import Any

import orjson

from batchrun.core.classes import slotted
from batchrun.core.errors import JobError, Mistake
from batchrun.core.model import Failure, Fault, Reply, Scope
from batchrun.core.rows.patterns import UnfinishedError, bounded

Messages = list[dict[str, Any]]

_FENCE = "```"
_fence_begins = re.compile(rf"{_FENCE}[a-zA-Z]*\s*\n").match
_LONGEST_COMPLAINT = 300
_LONGEST_PLACE = 100
_MOST_COMPLAINTS = 3
_OF_EVERY_TYPE: tuple[Any, ...] = ({"a": 0}, ["a"], "a", 0, 0.5, True, None)
_SURELY_WRITABLE = 200
"""Brackets, and so levels at the most."""
_UNFINISHED = "schema_unfinished"
_BILLED = "; the row is asked again only with --retry-rejected, because each try is billed"
_UNFINISHED_ADVICE = (
    "the answer stands beside this failure: simplify this pattern of [answers] schema, which can take one text apart in very many ways, or "
    f"leave it out{_BILLED}"
)
_ADVICE = (
    "look at the content beside this failure: say in the prompt what is wanted, loosen [answers] schema, or raise max_tokens where it is "
    f"cut{_BILLED}"
)


class Schema:
    """A JSON Schema, ready to check answers."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Take *document* in; raises JobError where it is no schema, or refers to another."""
        # Imported here: it costs as much as all the rest together, and few jobs have a schema.
        import jsonschema  # noqa: PLC0415
        import referencing  # noqa: PLC0415

        if not isinstance(document.get("$schema", ""), str):
            raise _no_schema("$schema: must be a URL")
        kind = jsonschema.validators.validator_for(document, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(dict(document))
            # An empty registry: nothing is fetched from anywhere.
            # Its dialect is told once: at each reference to its top, it would be looked up again, and found without bounds.
            untold = {word: told for word, told in document.items() if word != "$schema"}
            self._validator = bounded(kind)(untold, registry=referencing.Registry())
            # Nothing may be refused for the schema's own sake once answers are paid for.
            for part in [*_followed(document, kind)]:
                _tried(self._validator.evolve(schema=part))
            for _ in self._validator.iter_errors({}):
                pass
        except jsonschema.SchemaError as error:
            where = "/".join(map(str, error.absolute_path)) or "its top"
            raise _no_schema(f"{where}: {error.message[:_LONGEST_COMPLAINT]}") from None
        except re.error as error:
            raise _no_schema(f"{error.pattern!r:.{_LONGEST_COMPLAINT}} is not a 'regex'") from None
        except jsonschema.exceptions.UnknownType as error:
            raise _no_schema(f"{error.type!r:.{_LONGEST_COMPLAINT}} is no type") from None
        except (referencing.exceptions.Unresolvable, ValueError) as error:
            raise _no_schema(f"a $ref leads nowhere in it: {str(error)[:_LONGEST_COMPLAINT]}") from None
        except RecursionError:
            raise _no_schema("a $ref leads back to itself, or it is nested too deeply") from None

    def complaints(self, value: Any) -> list[str]:
        """Say what in *value* does not fit, the worst first, a few at most; raises UnfinishedError where that would take too long."""
        try:
            errors = sorted(self._validator.iter_errors(value), key=lambda error: len(error.absolute_path))
        except RecursionError:
            return ["$: nested too deeply"]
        return [f"{_place(error.absolute_path)}: {error.message}" for error in errors[:_MOST_COMPLAINTS]]


def _followed(document: Mapping[str, Any], kind: Any) -> Iterator[Mapping[str, Any]]:
    """Every schema within one, and within what its references lead to.

    Raises what `referencing` raises for a reference that leads out of it, or nowhere, and JobError where it leads to what is no schema:
    what stands beside those that the dialect knows of (``#/components/schemas/…``) nobody has checked.
    """
    import jsonschema  # noqa: PLC0415
    import referencing  # noqa: PLC0415

    dialect = referencing.jsonschema.specification_with(kind.META_SCHEMA["$schema"])
    top = dialect.create_resource(document)
    waiting = [(top, referencing.Registry().resolver_with_root(top))]
    seen: set[int] = set()
    while waiting:
        schema, resolver = waiting.pop()
        if id(schema.contents) in seen or not isinstance(schema.contents, Mapping):
            continue
        seen.add(id(schema.contents))
        yield schema.contents
        for word in ("$ref", "$dynamicRef"):
            if isinstance(where := schema.contents.get(word), str):
                found = resolver.lookup(where)
                try:
                    kind.check_schema(found.contents)
                except jsonschema.SchemaError as error:
                    place = "/".join(map(str, (where, *error.absolute_path)))
                    raise _no_schema(f"{place}: {error.message[:_LONGEST_COMPLAINT]}") from None
                waiting.append((dialect.create_resource(found.contents), found.resolver))
        waiting += [(inner, resolver.in_subresource(inner)) for inner in schema.subresources()]


def _tried(validator: Any) -> None:
    """Raise what checking any value comes to for the sake of the schema itself: a pattern or a type that its dialect lets pass."""
    import referencing  # noqa: PLC0415

    for value in _OF_EVERY_TYPE:
        # Where its references lead is seen to by itself: here they start at the top.
        with suppress(referencing.exceptions.Unresolvable):
            for _ in validator.iter_errors(value):
                pass


def _no_schema(why: str) -> JobError:
    return JobError("the job cannot be started:", (Mistake("answers.schema", "no JSON Schema that can be used", why),))


def _place(path: Any) -> str:
    return ("$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path))[:_LONGEST_PLACE]


@slotted
class _Talk:
    """What has been said about a row's answers in this opening."""

    asks: int = 0
    """How often it was asked again."""
    said: Messages = field(default_factory=list)
    """The latest answer that was refused, and why: the next ask shows it to the model."""


@slotted
class Answers:
    """Checks the answers of a run, and knows which rows are being asked again. What it remembers lasts for one opening."""

    schema: Schema | None
    reasks: int
    """How often one row may be asked again."""
    talks: dict[int, _Talk] = field(default_factory=dict)
    """Of the rows that are asked again, by their ordinals."""

    def asked(self, ordinal: int) -> tuple[int, Messages]:
        """How often the row was asked again so far, and the messages that its next ask has besides its own."""
        talk = self.talks.get(ordinal)
        return (talk.asks, talk.said) if talk is not None else (0, [])

    def forget(self, ordinal: int) -> None:
        """The row is done, one way or another."""
        self.talks.pop(ordinal, None)

    def checking(self, ordinal: int, *, tools: bool) -> Callable[[Reply], Reply | Failure] | None:
        """Give the check for the row's answer, *tools* having been offered to it or not; None where any answer will do."""
        return (lambda reply: self._check(ordinal, reply)) if tools or self.schema is not None else None

    def _check(self, ordinal: int, reply: Reply) -> Reply | Failure:
        code, complaints, parsed = "schema_mismatch", [], None
        if reply.tool_calls:
            code, complaints = "bad_tool_arguments", [said for call in reply.tool_calls if (said := _unfit_call(call))]
        elif self.schema is not None:
            try:
                complaints, parsed = _judged(self.schema, reply.content)
            except UnfinishedError as error:
                code, complaints = _UNFINISHED, [f"whether it fits was not found out in time: pattern {str(error)!r}"]
        if complaints:
            return self._refused(ordinal, reply, code, "; ".join(said[:_LONGEST_COMPLAINT] for said in complaints[:_MOST_COMPLAINTS]))
        self.talks.pop(ordinal, None)
        return reply if parsed is None else replace(reply, parsed=parsed)

    def _refused(self, ordinal: int, reply: Reply, code: str, why: str) -> Failure:
        talk = self.talks.setdefault(ordinal, _Talk())
        unfinished = code == _UNFINISHED
        again = talk.asks < self.reasks and reply.finish_reason != "length" and not unfinished
        if again:
            talk.asks += 1
            talk.said = _reproach(reply, why)
        else:
            del self.talks[ordinal]
        return Failure(
            Fault.REASK if again else Fault.REJECT,
            Scope.ROW,
            code,
            why,
            _UNFINISHED_ADVICE if unfinished else _ADVICE,
            status=200,
            request_id=reply.request_id,
            in_doubt=reply.usage is None,
            usage=reply.usage,
            reply=reply,
        )


def _reproach(reply: Reply, why: str) -> Messages:
    """What the next ask adds. A refused tool call is only asked for anew: an answer to a call that cannot be read would be no chat."""
    if reply.tool_calls:
        return []
    wanted = f"This answer does not fit what was asked for ({why}). Answer again, with nothing but the corrected JSON."
    return [{"role": "assistant", "content": reply.content}, {"role": "user", "content": wanted}]


def _judged(schema: Schema, content: str) -> tuple[list[str], Any]:
    try:
        value = orjson.loads(_unfenced(content))
    except orjson.JSONDecodeError as error:
        return [f"$: not JSON ({error.msg} at line {error.lineno}, column {error.colno})" if content.strip() else "$: empty"], None
    return ["$: nested too deeply"] if _too_deep(content, value) else schema.complaints(value), value


def _unfenced(content: str) -> str:
    """Take JSON out of the block of Markdown that models wrap it in, asked not to or not.

    Not by one expression for both fences: that looks for the second behind each blank of an answer that ends in nothing else.
    """
    block = content.strip()
    begins = _fence_begins(block)
    return block[begins.end() : -len(_FENCE)] if begins and block.endswith(_FENCE) else content


def _too_deep(content: str, value: object) -> bool:
    """Whether no entry could hold *value*: orjson reads 1,024 levels and writes 254."""
    if content.count("{") + content.count("[") <= _SURELY_WRITABLE:
        return False
    try:
        orjson.dumps([[[[value]]]])
    except orjson.JSONEncodeError:
        return True
    return False


def _unfit_call(call: object) -> str | None:
    match call:
        case {"function": {"name": name, "arguments": str(arguments)}}:
            try:
                orjson.loads(arguments or "{}")
            except orjson.JSONDecodeError as error:
                return f"the arguments of {name!r:.80} are not JSON ({error.msg} at column {error.colno})"
            return None
        case {"function": {"arguments": dict()}}:
            return None
    return "a tool call without a function and its arguments"
