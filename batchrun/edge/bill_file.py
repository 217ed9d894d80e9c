"""A bill export read: CSV as the provider's console saves it, or as a spreadsheet saved it again.

UTF-8 with or without its mark, UTF-16 with one, or GBK (GB18030); Chinese or English headings, in any order, after any preamble; commas,
semicolons or tabs between fields. A line that is not understood is handed on with its number: none is dropped.
"""

from __future__ import annotations

import csv
import re
import stat
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

from batchrun.core.errors import JobError
from batchrun.core.money.bill import BillLine, OtherLine, Understood, UnreadableLine, read_instance
from batchrun.core.money.bill_days import Days, NoDayError, is_month_first
from batchrun.core.money.bill_numbers import NoNumberError, Numbers, marks_of

_LONGEST_PREAMBLE = 50
_HEADINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "instance": ("instanceid", "instance", "实例id", "资产/资源实例id", "资源实例id", "资源id", "resourceid"),
        "day": (
            "billingdate",
            "date",
            "账单日期",
            "日期",
            "consumedate",
            "消费日期",
            "消费时间",
            "consumptiontime",
            "usagestarttime",
            "开始时间",
        ),
        "usage": ("usage", "用量", "使用量", "usageamount", "quantity"),
        "unit": ("usageunit", "用量单位", "使用量单位", "unit", "单位"),
        "amount": ("pretaxamount", "应付金额", "payableamount", "amountpayable", "应付金额(含税)", "优惠后金额", "afterdiscountamount"),
        "currency": ("currency", "币种", "货币", "货币单位"),
        "product": ("productname", "product", "产品", "产品名称", "productdetail", "产品明细", "商品名称"),
    }
)
"""By what is looked for, the best first; as `_plain` writes them."""
_NEEDED = ("instance", "day", "usage")
_PRODUCTS = ("百炼", "modelstudio", "bailian", "大模型", "dashscope", "sfm")
_TOTALS = frozenset({"合计", "总计", "小计", "汇总", "total", "subtotal", "sum", "grandtotal"})
_CURRENCIES = {name: code for code, names in (("CNY", "rmb 人民币 元 人民币元 ¥ ￥"), ("USD", "美元 美金 $ us$")) for name in names.split()}
_OF_A_CURRENCY = re.compile("[\u00a5\uffe5$元]|CNY|RMB|USD?", re.IGNORECASE)
_NARROW = str.maketrans("\uff08\uff09\uff1a\uff1b\uff0c\uff0e\uff0d", "():;,.-")
"""Chinese brackets, colons and what else stands in ids and numbers that were typed or converted with full-width letters."""
_UNIT = re.compile(
    r"(?:每|per|/)?([\d,]*)(k|m|千|万|百万|thousand|million)?(?:个)?tokens?|(千|万|百万)(?:个)?(?:词元|令牌)|(?:个)?(?:词元|令牌)"
)
_TIMES = {None: 1, "": 1, "k": 1000, "千": 1000, "thousand": 1000, "万": 10_000, "m": 10**6, "百万": 10**6, "million": 10**6}

_NO_CSV = {
    b"PK\x03\x04": "a zip archive, or a sheet of Excel: unpack it, or save the sheet as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "a sheet of Excel: save it as CSV UTF-8",
    b"\x1f\x8b\x08": "packed with gzip: unpack it",
    b"%PDF": "a PDF: export the bill's details by billable item (计费项) and day as CSV",
}
"""What else comes out of a console or a spreadsheet, by its first bytes."""

Read = BillLine | OtherLine | UnreadableLine | Understood


def read_bill(path: Path, zone: ZoneInfo) -> Iterator[Read]:
    """Read the export at *path* line by line; raise JobError where it is none.

    A moment that tells how far its clock is from UTC is of the day that it is in *zone*; any other is as it stands.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise JobError(f"{path}: is no file but a pipe or a device, and a bill is read twice: write it to a file")
        _refuse_what_is_no_csv(path)
        encoding = _encoding(path)
        days = Days(zone, lambda: is_month_first(fields["day"] for _, fields in _read(path, encoding)))
        numbers = _numbers(path, encoding)
        for at, fields in _read(path, encoding):
            yield _line(fields, str(path), at, days, numbers)
        if numbers.has_decimal_commas:
            yield Understood(str(path), "commas stand before decimals there, and points between thousands")
    except OSError as error:
        raise JobError(f"{path}: cannot be read: {error.strerror}") from None
    except csv.Error as error:
        raise JobError(f"{path}: not CSV: {error}") from None


def _numbers(path: Path, encoding: str) -> Numbers:
    def marks() -> frozenset[str]:
        lines = (fields for _, fields in _read(path, encoding))
        return marks_of(text for fields in lines for text in (fields["usage"], _bare(fields["amount"])))

    with path.open(encoding=encoding, errors="replace", newline="") as file:
        delimiter, _, _ = _header([*islice(file, _LONGEST_PREAMBLE)], path)
    return Numbers(marks, between_commas=delimiter == ",")


def _refuse_what_is_no_csv(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(max(map(len, _NO_CSV)))
    for begins, what in _NO_CSV.items():
        if start.startswith(begins):
            raise JobError(f"{path}: is no CSV but {what}")


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(2) in {BOM_UTF16_LE, BOM_UTF16_BE}:
            return "utf-16"
        file.seek(0)
        try:
            for line in file:
                line.decode()
        except UnicodeDecodeError:
            return "gb18030"
    return "utf-8-sig"


def _read(path: Path, encoding: str) -> Iterator[tuple[int, _Fields]]:
    """Each line that is not empty, with its number."""
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        first = list(islice(file, _LONGEST_PREAMBLE))
        delimiter, number, columns = _header(first, path)
        reader = csv.reader(chain(first[number:], file), delimiter=delimiter)
        for fields in reader:
            at = number + reader.line_num
            cells = [_cell(field) for field in fields]
            if any(cells):
                yield at, _Fields(cells, columns)


def _header(first: Sequence[str], path: Path) -> tuple[str, int, dict[str, int]]:
    """The delimiter, how many lines there are with the heading, and where each column stands."""
    for number, line in enumerate(first, 1):
        for delimiter in (",", "\t", ";"):
            found = _columns(next(csv.reader([line], delimiter=delimiter), []))
            if all(name in found for name in _NEEDED):
                return delimiter, number, found
    raise JobError(
        f"{path}: is no bill export: a heading with the instance id (实例ID), the day (账单日期) and the usage (用量) is wanted among the "
        f"first {_LONGEST_PREAMBLE} lines; export the bill's details by billable item (计费项) and day"
    )


def _columns(headings: Sequence[str]) -> dict[str, int]:
    plain = [_plain(heading) for heading in headings]
    return {name: plain.index(spelling) for name, wanted in _HEADINGS.items() for spelling in reversed(wanted) if spelling in plain}


def _plain(text: str) -> str:
    return re.sub(r"[\s_\-]+", "", _cell(text)).translate(_NARROW).lower()


def _cell(text: str) -> str:
    """A field without what consoles and spreadsheets put around long numbers: tabs, an apostrophe, ``="…"``."""
    text = text.strip()
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    return text.removeprefix("'").strip()


class _Fields:
    """The fields of one line, by what they are."""

    def __init__(self, cells: Sequence[str], columns: Mapping[str, int]) -> None:
        self.cells, self._columns = cells, columns

    def __getitem__(self, name: str) -> str:
        place = self._columns.get(name)
        return self.cells[place] if place is not None and place < len(self.cells) else ""


def _digest(cells: Sequence[str]) -> bytes:
    return blake2b("\x1f".join(cells).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class _NotReadError(ValueError):
    """Why a line cannot be understood."""


def _line(fields: _Fields, file: str, at: int, days: Days, numbers: Numbers) -> Read:
    if _is_total(fields):
        return OtherLine(file, at, "totals")
    product = fields["product"]
    instance = read_instance(fields["instance"].translate(_NARROW))
    if instance is None and product and not any(name in _plain(product) for name in _PRODUCTS):
        return OtherLine(file, at, f"another product: {product}")
    try:
        times = _unit(fields["unit"])
        if times is None and "token" in _plain(fields["unit"]):
            raise _NotReadError(f"unit {fields['unit']!r}: how many tokens that is cannot be told")  # noqa: TRY301
        if times is None:
            return OtherLine(file, at, f"not tokens: {fields['unit']}")
        if instance is None:
            raise _NotReadError(f"instance id {fields['instance']!r}: neither of the forms with workspace, model and amount type")  # noqa: TRY301
        tokens, step, shortened = _tokens(fields["usage"], times, numbers)
        amount = _amount(fields["amount"], numbers)
        return BillLine(
            file,
            at,
            days.read(fields["day"]),
            instance,
            tokens,
            _plain(fields["unit"]),
            _digest(fields.cells),
            step,
            shortened,
            amount,
            _currency(fields["currency"]),
        )
    except (_NotReadError, NoDayError, NoNumberError) as error:
        return UnreadableLine(file, at, str(error))


def _is_total(fields: _Fields) -> bool:
    first = next(cell for cell in fields.cells if cell)
    return not fields["instance"] and _plain(first).rstrip(":") in _TOTALS


def _unit(text: str) -> int | None:
    """Tokens in one of the unit; None for what is no tokens. Without a unit it is tokens."""
    plain = _plain(text)
    if not plain:
        return 1
    match = _UNIT.fullmatch(plain)
    if match is None:
        return None
    count, times, other = match.groups()
    return int((count or "").replace(",", "") or 1) * _TIMES[times or other]


def _tokens(text: str, times: int, numbers: Numbers) -> tuple[int, int, bool]:
    """The tokens, what the last digit stands for where that is more than one, and whether the number was written with an exponent."""
    number = numbers.read(text, "usage")
    tokens = number * times
    if tokens < 0:
        raise _NotReadError(f"usage {text!r}: less than nothing, as a refund or a correction is: it is in no sum here, nor is its amount")
    if tokens != tokens.to_integral_value():
        raise _NotReadError(f"usage {text!r}: no whole number of tokens")
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # A number that is none was refused above.
    step = int(Decimal(times).scaleb(exponent)) if exponent >= -len(str(times)) else 0
    return int(tokens), step if step > 1 else 0, "e" in text.lower()


def _amount(text: str, numbers: Numbers) -> Decimal | None:
    bare = _bare(text)
    return numbers.read(bare, "amount") if bare.strip("- ") else None


def _bare(text: str) -> str:
    return _OF_A_CURRENCY.sub("", text)


def _currency(text: str) -> str:
    """As a job writes it, whatever the console calls it."""
    plain = _plain(text)
    return _CURRENCIES.get(plain, plain.upper())
