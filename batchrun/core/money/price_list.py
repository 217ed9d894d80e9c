"""The prices that are shipped: dated rows, each with where it was read and how sure it is. Money a million tokens.

Chinese prices are those of Model Studio's page on prices as it stood about April 2026, Singapore's are the dollars that the same page gives
as renminbi at about 7.339, so to the cent. Those of the spring of 2025 stand before them, for runs of that time; a price holds until the
next one of its model, though the day of a change is only known to lie between the two readings. Prices of dated snapshots, of the newest
generation in China and of the finance cloud were not found: what is not here is unknown, and a job can name it. "K" is 1,000 tokens and "M"
a million: the page says so since September 2026 at the latest ("128K 即 128,000 Token"), though the models' context lengths count a K as
1,024. It has the last tier of qwen3-max end at 256K since July, where it was 252K.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache

from batchrun.core.classes import value

_K, _M = 1_000, 1_000_000
CHINA, SINGAPORE = "cn", "intl"


@value
class Tier:
    """What a million tokens cost of a request whose whole input is in the tier; a tier takes in the whole request."""

    up_to: int | None
    """Input tokens, inclusive; None in the last tier."""
    input: Decimal
    output: Decimal
    thinking: Decimal | None = None
    """Of all output of an answer that reasoned; as other output, where it is None."""
    cached: Decimal | None = None
    """What was found in the implicit cache; the row's share of the input price, where it is None, as with the next two."""
    cache_hit: Decimal | None = None
    """What was found in the explicit cache."""
    cache_write: Decimal | None = None
    """What was written to the explicit cache."""


@value
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


@value
class _Page:
    """A page of prices as it was read."""

    region: str
    currency: str
    since: date
    source: str
    lines: str
    sure: bool = True


_PAGES = (
    _Page(
        CHINA,
        "CNY",
        date(2024, 11, 1),
        "Model Studio, page on models, about 2024-11",
        """
qwen-max             - 20 60
""",
    ),
    _Page(
        CHINA,
        "CNY",
        date(2025, 3, 1),
        "Model Studio, page on models, about 2025-03",
        """
qwen-max             - 2.4 9.6
qwen-plus            - 0.8 2
qwen-turbo           - 0.3 0.6
""",
    ),
    _Page(
        CHINA,
        "CNY",
        date(2026, 4, 1),
        "Model Studio, page on prices, about 2026-04",
        """
qwen3-max            32K 2.5 10         128K 4 16          256K 7 28
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
""",
    ),
    _Page(
        SINGAPORE,
        "USD",
        date(2026, 4, 1),
        "Model Studio, page on prices, about 2026-04; dollars by division",
        """
qwen-plus            256K 0.4 1.2 4     1M 1.2 3.6 12
qwen-flash           256K 0.05 0.4      1M 0.25 2
qwen3-max            32K 1.2 6          128K 2.4 12        256K 3 15
qwen-max             - 1.6 6.4
qwen-turbo           - 0.05 0.2 0.5
qwq-plus             - 0.8 2.4
qvq-max              - 1.2 4.8
qwen3-vl-plus        32K 0.2 1.6        128K 0.3 2.4       256K 0.6 4.8
""",
        sure=False,
    ),
    _Page(
        SINGAPORE,
        "USD",
        date(2026, 8, 27),
        "QwenCloud, page on prices, 2026-08-27",
        """
qwen3.8-flash        - 0.15 0.47
""",
    ),
)
_OF_MEDIA = {
    ("qwen-omni-turbo", CHINA): ("25", "1.5", "4.5", "50"),
    ("qwen3-omni-flash", CHINA): ("15.8", "3.3", "12.7", "62.6"),
}
"""Audio input, image input, text that answers media, audio output."""


@cache
def shipped() -> tuple[PriceRow, ...]:
    """Every shipped row."""
    return tuple(_row(line.split(), page) for page in _PAGES for line in page.lines.strip().splitlines())


def _row(words: list[str], page: _Page) -> PriceRow:
    model, tiers = words[0], []
    starts = [place for place, word in enumerate(words) if word == "-" or word[-1] in "KM"]
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        tiers.append(Tier(_tokens(words[start]), *map(Decimal, words[start + 1 : end])))
    row = PriceRow(model, page.region, page.currency, page.since, tuple(tiers), page.source, page.sure)
    if (model, page.region) not in _OF_MEDIA:
        return row
    audio, image, text, sound = map(Decimal, _OF_MEDIA[model, page.region])
    return replace(row, audio_input=audio, image_input=image, output_of_media=text, audio_output=sound)


def _tokens(word: str) -> int | None:
    return None if word == "-" else int(word[:-1]) * (_K if word[-1] == "K" else _M)
