from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pyarrow import parquet as pq

from batchrun.core.errors import JobError, LedgerError
from batchrun.edge.run_directory import beside
from batchrun.edge.table_file import Row, write_csv, write_parquet

COLUMNS = {"name": "text", "amount": "number", "at": "moment"}
AT = datetime(2026, 11, 25, 16, tzinfo=UTC)
ROWS: list[Row] = [
    {"name": '法务, "x"\n', "amount": Decimal("1E-12"), "at": AT},
    {"name": None, "amount": None, "at": None},
    {"name": "sales", "amount": Decimal("123456789012345678.00000000000000000001"), "at": AT},
]


def test_csv_is_exact_without_exponents_each_number_has_a_point_and_nothing_is_an_empty_field(tmp_path):
    with beside(tmp_path / "x.csv") as file:
        write_csv(file, list(COLUMNS), [*ROWS, {"name": "7", "amount": Decimal("1E+3"), "at": None}])
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["name", "amount", "at"],
            ['法务, "x"\n', "0.000000000001", "2026-11-25T16:00:00Z"],
            ["", "", ""],
            ["sales", "123456789012345678.00000000000000000001", "2026-11-25T16:00:00Z"],
            ["7", "1000.0", ""],
        ]


def test_a_spreadsheet_knows_the_script_and_takes_no_name_for_a_formula(tmp_path):
    names = ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "\uff1dHYPERLINK(1)", "\uff0b1", "\uff0d1", "\uff20x", "法务"]
    with beside(tmp_path / "x.csv") as file:
        write_csv(file, ["name"], [{"name": name} for name in names], for_spreadsheets=True, marked=True)
    raw = (tmp_path / "x.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert raw.decode("utf-8-sig").splitlines()[1:] == [*(f"'{name}" for name in names[:-1]), "法务"]


def test_parquet_holds_the_same_exactly(tmp_path):
    with beside(tmp_path / "x.parquet") as file:
        write_parquet(file, COLUMNS, ROWS)
    table = pq.read_table(tmp_path / "x.parquet")
    assert [str(each.type) for each in table.schema] == ["string", "decimal128(38, 20)", "timestamp[us, tz=UTC]"]
    assert table.to_pylist() == ROWS


def test_parquet_of_no_rows_has_its_columns(tmp_path):
    with beside(tmp_path / "x.parquet") as file:
        write_parquet(file, COLUMNS, [])
    assert pq.read_table(tmp_path / "x.parquet").column_names == list(COLUMNS)


def test_a_number_that_would_lose_a_digit_is_refused_and_leaves_no_file(tmp_path):
    rows: list[Row] = [{"name": "x", "amount": Decimal("1E-21"), "at": None}]
    with pytest.raises(JobError, match="CSV takes it"), beside(tmp_path / "x.parquet") as file:
        write_parquet(file, COLUMNS, rows)
    assert list(tmp_path.iterdir()) == []


def test_without_pyarrow_the_way_out_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(JobError, match=r"pip install 'batchrun\[parquet\]'"), beside(tmp_path / "x.parquet") as file:
        write_parquet(file, COLUMNS, ROWS)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_told_and_the_old_file_stays(tmp_path):
    (tmp_path / "x.csv").write_text("old")

    def rows():
        yield {"name": "x"}
        raise OSError(28, "No space left on device")

    with pytest.raises(LedgerError, match="No space left on device"), beside(tmp_path / "x.csv") as file:
        write_csv(file, ["name"], rows())
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
    with pytest.raises(LedgerError, match="cannot be written"), beside(tmp_path / "none" / "x.csv") as file:
        write_csv(file, ["name"], [])
