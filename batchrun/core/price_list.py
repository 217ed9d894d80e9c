"""The prices that are shipped: dated rows, each with where it was read and how sure it is. Money a million tokens.

Chinese prices are those of Model Studio's page on prices as it stood about April 2026, Singapore's are the dollars that the same page gives
as renminbi at about 7.339, so to the cent. Prices of dated snapshots, of the newest generation and of the finance cloud were not found:
what is not here is unknown, and a job can name it. "K" is 1,024 tokens and "M" a million, as the models' context lengths are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache

_K, _M = 1024, 1_000_000
CHINA, SINGAPORE = "cn", "intl"
_PAGE = "Model Studio, page on prices, about 2026-04"
_SINGAPORE_PAGE = "Model Studio, page on prices, about 2026-04; dollars by division"
_FIRST = date(2025, 3, 1)
"""The prices of the spring of 2025 were the same for the models that were sold then."""


@dataclass(frozen=True, slots=True)
class Tier:
    """What a million tokens cost of a request whose whole input is in the tier; a tier takes in the whole request."""

    up_to: int | None
    """Input tokens, inclusive; None in the last tier."""
    input: Decimal
    output: Decimal
    thinking: Decimal | None = None
    """Of all output of an answer that reasoned; as other output, where it is None."""


@dataclass(frozen=True, slots=True)
class PriceRow:
    """What a model costs from a day on."""

    model: str
    region: str | None
    """None: wherever it is called."""
    currency: str
    since: date
    tiers: tuple[Tier, ...]
    source: str
    sure: bool = True
    """Whether it was read as such, and not worked out."""
    cached: Decimal = Decimal("0.2")
    """Of the input price: what was found in the implicit cache."""
    cache_hit: Decimal = Decimal("0.1")
    """Of the input price: what was found in the explicit cache."""
    cache_write: Decimal = Decimal("1.25")
    """Of the input price: what was written to the explicit cache."""
    audio_input: Decimal | None = None
    image_input: Decimal | None = None
    """Images and videos."""
    output_of_media: Decimal | None = None
    """Text that answers an image, a sound or a video."""
    audio_output: Decimal | None = None
    """Sound that comes out; the text beside it is free."""


_CHINA = """
qwen3-max            32K 2.5 10         128K 4 16          252K 7 28
qwen-max             - 2.4 9.6
qwen3.6-plus         256K 2 12          1M 8 48
qwen3.5-plus         128K 0.8 4.8       256K 2 12          1M 4 24
qwen-plus            128K 0.8 2 8       256K 2.4 20 24     1M 4.8 48 64
qwen-flash           128K 0.15 1.5      256K 0.6 6         1M 1.2 12
qwen3.5-flash        128K 0.2 2         256K 0.8 8         1M 1.2 12
qwen-turbo           - 0.3 0.6 3
qwq-plus             - 1.6 4
qwen-long            - 0.5 2
qwen3-vl-plus        32K 1 10           128K 1.5 15        256K 3 30
qwen3-vl-flash       32K 0.15 1.5       128K 0.3 3         256K 0.6 6
qwen-vl-max          - 1.6 4
qwen-vl-plus         - 0.8 2
qvq-max              - 8 32
qvq-plus             - 2 5
qwen-omni-turbo      - 0.4 1.6
qwen3-omni-flash     - 1.8 6.9
"""
_SINGAPORE = """
qwen-plus            256K 0.4 1.2 4     1M 1.2 3.6 12
qwen-flash           256K 0.05 0.4      1M 0.25 2
qwen3-max            32K 1.2 6          128K 2.4 12        252K 3 15
qwen-max             - 1.6 6.4
qwen-turbo           - 0.05 0.2 0.5
qwq-plus             - 0.8 2.4
qvq-max              - 1.2 4.8
qwen3-vl-plus        32K 0.2 1.6        128K 0.3 2.4       256K 0.6 4.8
"""
_OF_MEDIA = {
    ("qwen-omni-turbo", CHINA): ("25", "1.5", "4.5", "50"),
    ("qwen3-omni-flash", CHINA): ("15.8", "3.3", "12.7", "62.6"),
}
"""Audio input, image input, text that answers media, audio output."""


@cache
def shipped() -> tuple[PriceRow, ...]:
    """Every shipped row."""
    return (
        *_rows(_CHINA, CHINA, "CNY", _PAGE, sure=True),
        *_rows(_SINGAPORE, SINGAPORE, "USD", _SINGAPORE_PAGE, sure=False),
    )


def _rows(text: str, region: str, currency: str, source: str, *, sure: bool) -> tuple[PriceRow, ...]:
    return tuple(_row(line.split(), region, currency, source, sure=sure) for line in text.strip().splitlines())


def _row(words: list[str], region: str, currency: str, source: str, *, sure: bool) -> PriceRow:
    model, tiers = words[0], []
    starts = [place for place, word in enumerate(words) if word == "-" or word[-1] in "KM"]
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        tiers.append(Tier(_tokens(words[start]), *map(Decimal, words[start + 1 : end])))
    row = PriceRow(model, region, currency, _FIRST, tuple(tiers), source, sure)
    if (model, region) not in _OF_MEDIA:
        return row
    audio, image, text, sound = map(Decimal, _OF_MEDIA[model, region])
    return replace(row, audio_input=audio, image_input=image, output_of_media=text, audio_output=sound)


def _tokens(word: str) -> int | None:
    return None if word == "-" else int(word[:-1]) * (_K if word[-1] == "K" else _M)
