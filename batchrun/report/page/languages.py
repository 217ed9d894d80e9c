"""The languages that the page speaks."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
HTML_LANGUAGE = MappingProxyType({"en": "en", "zh": "zh-Hans"})
