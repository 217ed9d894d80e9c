"""A provider's bill, as its export tells it: lines of tokens by day, workspace id, model and kind, added up as they are read.

The instance id of a line is a list with semicolons. Both of its forms are read (the provider's billing pages):

- from 2024-09-07 ``text_token;llm-xxx;qwen-max;output_token;app``: billing type, workspace id, model, amount type, channel
- from 2025-12-16 ``12xxx;llm-xxx;qwen-max;output_token;app``: API key id, then the same; without the key id for calls of the console

Of the amount types only ``input_token`` and ``output_token`` are told by those pages. The other spellings here are guesses; one that is
not known is kept as it stands, for a person to say what it means.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import field
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from batchrun.core.classes import slotted, value

INPUT_KINDS = ("input_token", "cached_token", "cache_creation_token", "audio_input_token", "image_input_token")
OUTPUT_KINDS = ("output_token", "thinking_output_token", "audio_output_token")
KINDS = (*INPUT_KINDS, *OUTPUT_KINDS)
"""Kinds of tokens, each of which can have a price of its own; they add up to what a call used."""

_SPELLINGS = {
    "input_token": ("input", "prompt_token", "text_input_token", "input_text_token"),
    "cached_token": (
        *("cache_token", "input_token_cache", "cached_input_token", "input_cached_token", "cache_input_token", "input_cache_token"),
        *("cache_hit_token", "input_token_cache_hit", "cache_read_token", "input_token_cache_read"),
    ),
    "cache_creation_token": (
        *("input_token_cache_creation", "cache_creation_input_token", "cache_write_token", "input_token_cache_write"),
        *("cache_create_token", "input_token_cache_create"),
    ),
    "audio_input_token": ("input_audio_token", "audio_token"),
    "image_input_token": ("input_image_token", "image_token", "vision_input_token", "video_input_token", "input_video_token"),
    "output_token": ("output", "completion_token", "text_output_token", "output_text_token"),
    "thinking_output_token": (
        "output_token_thinking",
        "thinking_token",
        "output_thinking_token",
        "reasoning_token",
        "output_token_reasoning",
    ),
    "audio_output_token": ("output_audio_token",),
}
_BY_SPELLING = {spelling: kind for kind, others in _SPELLINGS.items() for spelling in (kind, *others)}
_PLACES_KEPT = 3


def kind_of(amount_type: str) -> str | None:
    """The kind of tokens that an amount type means, whole lots (batch) or not; None for a spelling that is not known."""
    words = [word for word in amount_type.strip().lower().replace("-", "_").replace("tokens", "token").split("_") if word != "batch"]
    return _BY_SPELLING.get("_".join(words))


class Instance(NamedTuple):
    """What the instance id of a line names."""

    workspace_id: str
    model: str
    amount_type: str
    key_id: str | None
    """None where the form has no place for it; empty for calls of the console."""


def read_instance(text: str) -> Instance | None:
    """Read an instance id of either form; None for anything else."""
    parts = [part.strip() for part in text.split(";")]
    # Called from the console there is no key id: the part is empty, or left out.
    if len(parts) == 4 and parts[0].startswith("llm-"):
        parts = ["", *parts]
    if len(parts) != 5 or not all(parts[1:4]):
        return None
    first, workspace_id, model, amount_type, _ = parts
    return Instance(workspace_id, model, amount_type, None if first.endswith("_token") else first)


@value
class BillLine:
    """One line of tokens."""

    file: str
    line: int
    day: date
    instance: Instance
    tokens: int
    unit: str
    said: bytes
    """A digest of all that stands in it."""
    step: int = 0
    """Tokens that its last digit stands for, where that is more than one; such a number may have been rounded."""
    shortened: bool = False
    """Written with an exponent, as spreadsheets save long numbers: its step is its own, whatever other lines show."""
    amount: Decimal | None = None
    """What is to be paid for it."""
    currency: str = ""


@value
class OtherLine:
    """A line that is no tokens of a model: a total, another product, pictures or seconds."""

    file: str
    line: int
    what: str


@value
class UnreadableLine:
    """A line that should be tokens of a model and cannot be understood."""

    file: str
    line: int
    why: str


@value
class Understood:
    """What a whole export was taken to mean."""

    file: str
    what: str


@slotted
class Billed:
    """The tokens of one day, workspace id, model and kind."""

    tokens: int = 0
    lines: int = 0
    places: list[str] = field(default_factory=list)
    """Where the first of its lines stand."""
    keys: Counter[str] = field(default_factory=Counter)
    """Tokens by API key id, where the lines tell it."""
    amounts: dict[str, Decimal] = field(default_factory=dict)
    coarse: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Lines by file and unit, where the unit is more than a token."""
    shortened: int = 0
    """Tokens that numbers with an exponent may be off by."""


class Bill:
    """Adds up one export or several, one after the other. *kinds* says what spellings mean that are not known here.

    A line that stands in several exports, word for word, is one of the bill whose exports overlap, and counts once: as often as in the one
    that has it most often.
    """

    def __init__(self, kinds: Mapping[str, str] = MappingProxyType({})) -> None:
        self._kinds = kinds
        self._file = ""
        self._here: Counter[bytes] = Counter()
        """How often a line stood in the export that is read."""
        self._before: Counter[bytes] = Counter()
        """How often it did in one that was read before, at the most."""
        self._told_here: set[tuple[date, Instance]] = set()
        self._told_before: set[tuple[date, Instance]] = set()
        """What lines tell of that stood in the export that is read, and in those before."""
        self._finest: dict[tuple[str, str], int] = {}
        self.cells: dict[tuple[date, str, str, str], Billed] = defaultdict(Billed)
        """By day, workspace id, model and kind, or amount type where that is not known."""
        self.unreadable: list[UnreadableLine] = []
        self.others: Counter[str] = Counter()
        """Lines that are no tokens of a model, by what they are."""
        self.understood: dict[str, str] = {}
        """What exports were taken to mean, by file."""
        self.again: Counter[str] = Counter()
        """Lines that stood in an export before theirs, by file."""
        self.otherwise: Counter[str] = Counter()
        """Lines that count though an export before theirs has one of the same day and instance, which says something else."""

    def add(self, line: BillLine | OtherLine | UnreadableLine | Understood) -> None:
        """Take in a line."""
        match line:
            case BillLine():
                if self._stood_before(line):
                    self.again[line.file] += 1
                else:
                    self._add(line)
            case OtherLine():
                self.others[line.what] += 1
            case UnreadableLine():
                self.unreadable.append(line)
            case Understood():
                self.understood[line.file] = line.what

    def rounding(self, billed: Billed) -> int:
        """Tokens that *billed* may be off by, for its numbers were shortened.

        Where any line of a file tells its unit to the token, all of that unit do: only zeros were left off.
        """
        return billed.shortened + sum(count * (self._finest[place] // 2) for place, count in billed.coarse.items())

    def _stood_before(self, line: BillLine) -> bool:
        if line.file != self._file:
            self._before |= self._here
            self._told_before |= self._told_here
            self._file, self._here, self._told_here = line.file, Counter(), set()
        told = line.day, line.instance
        self._here[line.said] += 1
        self._told_here.add(told)
        if self._here[line.said] <= self._before[line.said]:
            return True
        self.otherwise[line.file] += told in self._told_before
        return False

    def _add(self, line: BillLine) -> None:
        spelling = line.instance.amount_type
        kind = self._kinds.get(spelling) or kind_of(spelling) or spelling
        billed = self.cells[line.day, line.instance.workspace_id, line.instance.model, kind]
        billed.tokens += line.tokens
        billed.lines += 1
        if len(billed.places) < _PLACES_KEPT:
            billed.places.append(f"{line.file}, line {line.line}")
        if line.instance.key_id is not None:
            billed.keys[line.instance.key_id] += line.tokens
        if line.amount is not None:
            billed.amounts[line.currency] = billed.amounts.get(line.currency, Decimal()) + line.amount
        self._note_step(line, billed)

    def _note_step(self, line: BillLine, billed: Billed) -> None:
        if line.shortened:
            billed.shortened += line.step // 2
            return
        place = line.file, line.unit
        self._finest[place] = min(self._finest.get(place, line.step), line.step)
        if line.step:
            billed.coarse[place] += 1
