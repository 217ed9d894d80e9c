"""Tokens in a line, written and read back."""

from __future__ import annotations

import orjson
from hypothesis import given

from batchrun.core.ledger.usage_fields import read_usage, usage_fields
from tests.core.ledger.outcomes import USAGES


@given(USAGES)
def test_usage_reads_back_as_it_was_written(usage):
    assert read_usage(orjson.loads(orjson.dumps(usage_fields(usage)))) == usage
