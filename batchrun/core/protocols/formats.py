"""The wire formats there are, by their names in a job."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from batchrun.core.protocols.dashscope_multimodal import DASHSCOPE_MULTIMODAL
from batchrun.core.protocols.dashscope_text import DASHSCOPE_TEXT
from batchrun.core.protocols.openai import OPENAI
from batchrun.core.protocols.wire_format import WireFormat

FORMATS: Mapping[str, WireFormat] = MappingProxyType({each.name: each for each in (OPENAI, DASHSCOPE_TEXT, DASHSCOPE_MULTIMODAL)})
