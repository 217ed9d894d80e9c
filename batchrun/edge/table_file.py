"""Tables as files: CSV, or Parquet where pyarrow is there. They are written to a file that is closed then."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from io import TextIOWrapper
from itertools import islice
from typing import IO, Any

from batchrun.core.errors import JobError
from batchrun.core.ledger.totals import plain

PRECISION, SCALE = 38, 20
"""Of numbers in Parquet: a decimal128 that holds eighteen digits before the point and twenty behind it."""
_ROWS_AT_ONCE = 10_000
_BEGIN_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the first in full width, which a spreadsheet in Chinese or Japanese takes for them."""

Row = Mapping[str, str | Decimal | datetime | None]


def write_csv(
    file: IO[bytes], heading: Sequence[str], rows: Iterable[Row], *, for_spreadsheets: bool = False, marked: bool = False
) -> None:
    """Write *rows* with the columns of *heading*; nothing is an empty field.

    *for_spreadsheets* has no text that they would take for a formula. Otherwise every number has a point, by which programs that guess a
    column's type from its values know a decimal. *marked* begins with the mark by which spreadsheets know UTF-8, and a program's reader
    takes for a letter of the first column's name.
    """
    with TextIOWrapper(file, "utf-8-sig" if marked else "utf-8", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(heading)
        written: Callable[[Any], str] = _harmless if for_spreadsheets else _pointed
        writer.writerows([written(row[name]) for name in heading] for row in rows)


def write_parquet(file: IO[bytes], columns: Mapping[str, str], rows: Iterable[Row]) -> None:
    """Write *rows*; *columns* are ``text``, ``number`` (exact) or ``moment`` (in UTC). Raises JobError without pyarrow."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        from pyarrow import parquet as pq  # noqa: PLC0415
    except ImportError:
        raise JobError("Parquet needs pyarrow, which is not there: pip install 'batchrun[parquet]', or write .csv") from None
    types = {"text": pa.string(), "number": pa.decimal128(PRECISION, SCALE), "moment": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    with pq.ParquetWriter(file, schema) as writer:
        left = iter(rows)
        while some := [dict(row) for row in islice(left, _ROWS_AT_ONCE)]:
            try:
                writer.write_table(pa.Table.from_pylist(some, schema=schema))
            except pa.ArrowInvalid as error:
                raise JobError(f"a number is too long for Parquet ({error}); CSV takes it") from None


def _field(value: str | Decimal | datetime | None) -> str:
    match value:
        case None:
            return ""
        case Decimal():
            return plain(value)
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value


def _pointed(value: str | Decimal | datetime | None) -> str:
    field = _field(value)
    return f"{field}.0" if isinstance(value, Decimal) and "." not in field else field


def _harmless(value: str | Decimal | datetime | None) -> str:
    field = _field(value)
    return f"'{field}" if isinstance(value, str) and field.startswith(_BEGIN_FORMULAS) else field
