"""The bill as the provider's console exports it: a line of CSV a day, workspace, model and amount type, with tokens and money.

The instance id stands in either of the provider's forms (its billing pages): until 2025-12-16 its first part was the billing type, since
then it is the API key's id. The columns' names are those of the console's bill details; the names of the amount types other than
``input_token`` and ``output_token`` are guesses. The day is that of China, and of the moment when a call came.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import field, replace
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from io import StringIO
from typing import Literal
from zoneinfo import ZoneInfo

from batchrun.core.classes import slotted
from batchrun.core.model import Usage
from batchrun.core.money.pricing import standard_prices

Form = Literal["2024", "2025"]
"""The year in which the form of the instance id began."""

_CHINA = ZoneInfo("Asia/Shanghai")
_REGION = "cn"
_HEADINGS = (
    *("账期", "账单日期", "账号ID", "产品名称", "产品Code", "实例ID", "标签", "计费项", "地域"),
    *("用量", "用量单位", "应付金额", "币种"),
)
_EXPLICIT_HIT = {"prompt_tokens_details": {"cache_type": "ephemeral"}}


@slotted
class _Owed:
    tokens: int = 0
    amount: Decimal | None = field(default_factory=Decimal)
    """None where a call's price is unknown."""
    currency: str = ""


class Export:
    """Adds answered calls up by day, at the provider's list prices."""

    def __init__(self) -> None:
        self._prices = standard_prices()
        self._owed: dict[tuple[date, str, str, str], _Owed] = defaultdict(_Owed)

    def charge(self, workspace: str, model: str, usage: Usage, at: float, *, explicit_cache: bool = False) -> None:
        """One answered call that came at *at*."""
        day = datetime.fromtimestamp(at, _CHINA).date()
        kinds = {kind: tokens for kind, tokens in _itemised(model, usage) if tokens}
        for kind, tokens in kinds.items():
            self._owed[day, workspace, model, kind].tokens += tokens
        self._price(day, workspace, model, usage, list(kinds), explicit_cache=explicit_cache)

    def csv(self, form: Form = "2025") -> str:
        """Everything so far, headings first."""
        written = StringIO()
        writer = csv.writer(written)
        writer.writerow(_HEADINGS)
        for (day, workspace, model, kind), owed in sorted(self._owed.items()):
            writer.writerow(
                [
                    *(
                        f"{day:%Y-%m}",
                        day.isoformat(),
                        "1000000000000001",
                        "大模型服务平台百炼",
                        "sfm",
                        _instance(workspace, model, kind, form),
                    ),
                    *(f"key:workspace value:{workspace}", kind, "cn-beijing", owed.tokens, "token"),
                    *("" if owed.amount is None else f"{owed.amount:f}", owed.currency),
                ]
            )
        return written.getvalue()

    def _price(self, day: date, workspace: str, model: str, usage: Usage, kinds: list[str], *, explicit_cache: bool) -> None:
        told = replace(usage, raw=_EXPLICIT_HIT) if explicit_cache else usage
        cost = self._prices.cost(model, _REGION, told, day)
        if cost is None:
            for kind in kinds:
                self._owed[day, workspace, model, kind].amount = None
            return
        for charge in cost.charges:
            owed = self._owed[day, workspace, model, _beside(charge.meter, kinds)]
            owed.currency = cost.currency
            if owed.amount is not None:
                owed.amount += charge.list_amount


def _itemised(model: str, usage: Usage) -> Iterator[tuple[str, int]]:
    """Tokens by amount type: media apart for the models that price them apart, thought-out answers as a whole."""
    apart = "-omni-" in model
    heard, seen = (usage.audio_tokens, usage.image_tokens + usage.video_tokens) if apart else (0, 0)
    yield "input_token", usage.input_tokens - usage.cached_tokens - usage.cache_creation_tokens - heard - seen
    yield "cached_token", usage.cached_tokens
    yield "cache_creation_token", usage.cache_creation_tokens
    yield "audio_input_token", heard
    yield "image_input_token", seen
    said = usage.output_audio_tokens if apart else 0
    yield "audio_output_token", said
    yield "thinking_output_token" if usage.reasoning_tokens else "output_token", usage.output_tokens - said


def _beside(meter: str, kinds: list[str]) -> str:
    """The line that a charge is added to: its own, or one of the same side of the call."""
    if meter in kinds:
        return meter
    return next((kind for kind in kinds if ("output" in kind) == ("output" in meter)), kinds[0])


def _instance(workspace: str, model: str, kind: str, form: Form) -> str:
    first = "text_token" if form == "2024" else f"12{int.from_bytes(sha256(workspace.encode()).digest()[:3], 'big')}"
    return f"{first};llm-{workspace};{model};{kind};app"
