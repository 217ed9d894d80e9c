"""Tables written to files: CSV, or Parquet where pyarrow is there. A file is whole or not there: it is written beside and renamed."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from batchrun.core.errors import JobError, LedgerError
from batchrun.core.ledger.totals import plain

PRECISION, SCALE = 38, 20
"""Of numbers in Parquet: a decimal128 that holds eighteen digits before the point and twenty behind it."""
_ROWS_AT_ONCE = 10_000

Row = Mapping[str, str | Decimal | datetime | None]


def write_csv(path: Path, heading: Sequence[str], rows: Iterable[Row], *, for_spreadsheets: bool = False) -> None:
    """Write *rows* with the columns of *heading*; nothing is an empty field. Raises LedgerError where *path* cannot be written.

    *for_spreadsheets* has the mark by which they know UTF-8, and no text that they would take for a formula. Otherwise every number has a
    point, by which programs that guess a column's type from its values know a decimal.
    """
    with _beside(path) as file, TextIOWrapper(file, "utf-8-sig" if for_spreadsheets else "utf-8", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(heading)
        written: Callable[[Any], str] = _harmless if for_spreadsheets else _pointed
        writer.writerows([written(row[name]) for name in heading] for row in rows)


def write_parquet(path: Path, columns: Mapping[str, str], rows: Iterable[Row]) -> None:
    """Write *rows*; *columns* are ``text``, ``number`` (exact) or ``moment`` (in UTC).

    Raises LedgerError where *path* cannot be written, JobError without pyarrow.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        from pyarrow import parquet as pq  # noqa: PLC0415
    except ImportError:
        raise JobError(f"{path}: Parquet needs pyarrow, which is not there: pip install 'batchrun[parquet]', or write .csv") from None
    types = {"text": pa.string(), "number": pa.decimal128(PRECISION, SCALE), "moment": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    with _beside(path) as file, pq.ParquetWriter(file, schema) as writer:
        for some in _in_batches(rows):
            try:
                writer.write_table(pa.Table.from_pylist([dict(row) for row in some], schema=schema))
            except pa.ArrowInvalid as error:
                raise JobError(f"{path}: a number is too long for Parquet ({error}); CSV takes it") from None


def _in_batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    for row in rows:
        some.append(row)
        if len(some) == _ROWS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


@contextmanager
def _beside(path: Path) -> Iterator[IO[bytes]]:
    beside = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                with os.fdopen(descriptor, "wb", closefd=False) as file:
                    yield file
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            beside.replace(path)
            _sync_names(path.parent)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise LedgerError(f"{path}: cannot be written: {error.strerror}; the rows are safe, this file can be made again") from None


def _sync_names(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
    return f"'{field}" if isinstance(value, str) and field.startswith(("=", "+", "-", "@", "\t", "\r")) else field
