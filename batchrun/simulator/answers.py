"""What a model says: which kind of answer a chat asks for, its length, and the tokens it costs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson

from batchrun.core.classes import value
from batchrun.core.model import Usage
from batchrun.simulator import media, phrasing, tokens
from batchrun.simulator.caching import Cached
from batchrun.simulator.dice import Draw

Body = dict[str, Any]

_READ = 6_000
"""Characters of a text that an answer is made from: a long document costs the simulator no more than a short one."""

_SOUND_A_TOKEN = 4
"""Tokens of sound that a token of text takes to say."""
_OF_A_FILE, _OF_A_SEARCH = 5_000, 2_000
"""Input tokens of an uploaded file that a message names, and of what a search found: billed with the prompt."""
_LINE = 300
"""Characters of a line within which it says what it asks for."""
_KIND = re.compile(
    r"(?P<translate>translat|翻译|译成|译为)"
    r"|(?P<classify>classif|categori[sz]e|\blabels?\b|sentiment|分类|归类|类别|标签|情感)"
    r"|(?P<extract>\bjson\b|extract|提取|抽取)"
    r"|(?P<summarise>summar|tl;?dr|in short|总结|概括|摘要|概述)"
)


@value
class Choice:
    """One of the answers to a chat."""

    content: str
    finish_reason: str
    reasoning: str = ""
    tool_calls: tuple[Body, ...] = ()


@value
class Answer:
    """Everything a model says to one chat, and what it costs."""

    choices: tuple[Choice, ...]
    usage: Usage
    explicit_cache: bool = False
    """The call marked what is to be kept in the cache: its usage then itemises the cache."""
    spoken: bool = False
    """The words come as sound too."""
    likely: int | None = None
    """How many alternatives to each token are told; None where its likelihood is not."""


def compose(body: Body, draw: Draw, *, thinking: bool, cached: Cached) -> Answer:
    """Answer a chat whose parameters were checked. The same body and draw give the same answer."""
    messages: list[Body] = body["messages"]
    tools = body.get("tools")
    seen = media.tokens(messages)
    searches = int(body.get("enable_search") is True)
    beside = _OF_A_FILE * sum(tokens.text_of(message.get("content")).count("fileid://") for message in messages) + _OF_A_SEARCH * searches
    asked = tokens.prompt(messages) + sum(seen) + (tokens.count(orjson.dumps(tools).decode()) if tools else 0) + beside
    choices = tuple(_choice(body, draw, place, thinking=thinking) for place in range(body.get("n") or 1))
    reasoned = sum(tokens.count(choice.reasoning) for choice in choices)
    written = sum(tokens.count(choice.content) + calls_tokens(choice.tool_calls) for choice in choices)
    modalities = body.get("modalities")
    spoken = isinstance(modalities, list) and "audio" in modalities
    sound = _SOUND_A_TOKEN * written if spoken else 0
    usage = Usage(
        asked,
        max(1, reasoned + written + sound),
        min(cached.read, asked),
        reasoned,
        cache_creation_tokens=max(0, min(cached.written, asked - cached.read)),
        image_tokens=seen.image,
        audio_tokens=seen.audio,
        video_tokens=seen.video,
        output_audio_tokens=sound,
        searches=searches,
    )
    likely = (body.get("top_logprobs") or 0) if body.get("logprobs") is True else None
    return Answer(choices, usage, cached.explicit, spoken, likely)


def calls_tokens(calls: Iterable[Body]) -> int:
    """What calls of functions cost, whole or so far."""
    return sum(tokens.count(call["function"]["name"] + call["function"]["arguments"]) + 8 for call in calls)


def _choice(body: Body, draw: Draw, place: int, *, thinking: bool) -> Choice:
    system, prompt = _asked(body["messages"])
    pick = draw.pick(7919) + place
    if (function := _forced_tool(body)) is not None:
        return Choice("", "stop", tool_calls=(_tool_call(function, prompt, draw, place),))
    reasoning = phrasing.reasoning(prompt[:_READ], pick) if thinking else ""
    if (budget := body.get("thinking_budget")) is not None:
        reasoning = tokens.cut(reasoning, budget)
    if functions := _named_tools(body, prompt[:_READ]):
        calls = tuple(_tool_call(function, prompt, draw, place, index) for index, function in enumerate(functions))
        return Choice("", "tool_calls", reasoning, calls)
    content = _before(body.get("stop"), _content(body, system, prompt, pick))
    return _within(Choice(content, "stop", reasoning), body.get("max_tokens"), body.get("max_completion_tokens"))


def _before(stop: object, content: str) -> str:
    """Nothing from the first stop word on; stops that are given as token ids are none that this model has."""
    words = [word for word in (stop if isinstance(stop, list) else [stop]) if isinstance(word, str) and word]
    return content[: min((content.find(word) for word in words if word in content), default=len(content))]


def _within(choice: Choice, most: int | None, most_in_all: int | None) -> Choice:
    """Cut an answer to its bounds: max_tokens is for the answer alone, max_completion_tokens for the reasoning too."""
    reasoning = choice.reasoning if most_in_all is None else tokens.cut(choice.reasoning, most_in_all)
    bounds = [bound for bound in (most, most_in_all and most_in_all - tokens.count(reasoning)) if bound is not None]
    content = tokens.cut(choice.content, min(bounds)) if bounds else choice.content
    whole = content == choice.content and reasoning == choice.reasoning
    return Choice(content, "stop" if whole else "length", reasoning)


def _asked(messages: list[Body]) -> tuple[str, str]:
    """What the system was told, and the last thing the user said."""
    system = "\n".join(tokens.text_of(message.get("content")) for message in messages if message.get("role") == "system")
    spoken = [tokens.text_of(message.get("content")) for message in messages if message.get("role") == "user"]
    return system, spoken[-1] if spoken else tokens.text_of(messages[-1].get("content"))


def _content(body: Body, system: str, prompt: str, pick: int) -> str:
    match body.get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": {"properties": dict(properties)}}}:
            return _json(_by_schema(properties, _instruction(prompt)[1]))
        case {"type": "json_object" | "json_schema"}:
            instruction, text = _instruction(prompt)
            return _json(phrasing.fields(phrasing.field_names(f"{system}\n{instruction}"), text))
    match body.get("translation_options"):
        case {"target_lang": str(language)}:
            return phrasing.translation(prompt[:_READ], to_chinese=language.lower() in {"chinese", "zh", "中文"}, pick=pick)
    return _by_instruction(system, prompt, pick)


def _by_instruction(system: str, prompt: str, pick: int) -> str:
    instruction, text = _instruction(prompt)
    kind = _kind(instruction)
    asked = instruction if kind else system
    match kind or _kind(system):
        case "translate":
            return phrasing.translation(text, to_chinese=not phrasing.is_chinese(text), pick=pick)
        case "classify":
            return phrasing.label(asked, text, pick)
        case "extract":
            return _json(phrasing.fields(phrasing.field_names(asked), text))
        case "summarise":
            return phrasing.summary(text)
    return phrasing.paragraph(prompt[:_READ], pick)


def _kind(instruction: str) -> str | None:
    found = _KIND.search(instruction[:_LINE].lower())
    return found and found.lastgroup


def _instruction(prompt: str) -> tuple[str, str]:
    """Tell what is asked from the text that it is asked about: the line (or, in a single line, the clause) that asks for something."""
    lines = prompt[:_READ].strip().split("\n")
    if len(lines) == 1:
        clause, colon, rest = re.sub(r"[:：]\s*", "\0", lines[0], count=1).partition("\0")
        return (clause, rest) if colon and _kind(clause) and rest.strip() else (lines[0], lines[0])
    asking = next((place for place, line in enumerate(lines) if _kind(line)), None)
    if asking is None:
        return "", prompt[:_READ]
    rest = "\n".join(lines[:asking] + lines[asking + 1 :]).strip()
    labels = [line for line in lines if re.match(r"(labels?|categories|fields?|keys?|类别|标签|字段)", line.strip(), re.IGNORECASE)]
    return "\n".join([lines[asking], *labels]), rest or prompt[:_READ]


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _by_schema(properties: Body, text: str) -> Body:
    """An object that fits a schema's properties, by name where that is possible and by type where it is not."""
    guessed = phrasing.fields([str(name) for name in properties], text) if properties else {}
    return {name: _fitting(schema, guessed.get(name), text) for name, schema in properties.items()}


def _fitting(schema: object, guess: Any, text: str) -> Any:
    number = isinstance(guess, (int, float))
    match schema:
        case {"enum": [first, *more]}:
            return next((one for one in (first, *more) if str(one).lower() in text.lower()), first)
        case {"type": "object", "properties": dict(inner)}:
            return _by_schema(inner, text)
        case {"type": str(kind)}:
            made: dict[str, Any] = {
                "string": "" if guess is None else str(guess),
                "integer": int(guess) if number else len(phrasing.sentences(text)),
                "number": guess if number else len(phrasing.sentences(text)),
                "boolean": bool(guess),
                "array": list(dict.fromkeys(phrasing.terms(text))),
            }
            return made.get(kind, guess)
    return guess


def _offered(body: Body) -> list[Body]:
    """The functions among a chat's tools that have a name."""
    tools = body.get("tools")
    offered = [tool.get("function") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return [one for one in offered if isinstance(one, dict) and isinstance(one.get("name"), str)]


def _forced_tool(body: Body) -> Body | None:
    """The function that tool_choice names, if it is among the tools."""
    match body.get("tool_choice"):
        case {"function": {"name": str(name)}}:
            return next((one for one in _offered(body) if one["name"] == name), None)
    return None


def _named_tools(body: Body, prompt: str) -> list[Body]:
    """The functions that the user's words name, the likeliest first; one alone unless calls may be made side by side."""
    if body.get("tool_choice") == "none" or body["messages"][-1].get("role") != "user":
        return []
    said, heard = phrasing.words(prompt), prompt.lower()
    scored = [(_likeness(function, said, heard), function) for function in _offered(body)]
    named = [function for score, function in sorted(scored, key=lambda each: -each[0]) if score >= 1]
    return named if body.get("parallel_tool_calls") is True else named[:1]


def _likeness(function: Body, said: set[str], heard: str) -> float:
    """From 1 on the function is meant: its name stands there, all the words of its name, or half of those that describe it."""
    name, described = function["name"], phrasing.words(str(function.get("description") or ""))
    if name and name.lower() in heard:
        return 3
    parts = phrasing.words(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    if parts and parts <= said:
        return 2
    common = described & said | {word for word in described if not word.isascii() and word in heard}
    return 2 * len(common) / len(described) if len(common) >= min(2, len(described)) and described else 0


def _tool_call(function: Body, prompt: str, draw: Draw, place: int, index: int = 0) -> Body:
    match function.get("parameters"):
        case {"properties": dict(properties)}:
            arguments = _by_schema(properties, prompt[:_READ])
        case _:
            arguments = {}
    called = {"name": function["name"], "arguments": _json(arguments)}
    suffix = f"{place or ''}{f'{index:02d}' if index else ''}"
    return {"function": called, "index": index, "id": f"{draw.call_id}{suffix}", "type": "function"}
