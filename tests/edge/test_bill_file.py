"""Every form in which a bill export comes, and every line of it that is not understood, named."""

from __future__ import annotations

import gzip
import os
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from batchrun.core.errors import JobError
from batchrun.core.money.bill import BillLine, OtherLine, UnreadableLine, read_instance
from batchrun.edge.bill_file import read_bill

CHINA = ZoneInfo("Asia/Shanghai")
CHINESE = "账期,账单日期,产品名称,实例ID,标签,计费项,用量,用量单位,应付金额,币种"
ENGLISH = "Billing Cycle,Billing Date,Product Name,Instance ID,Tags,Billing Item,Usage,Usage Unit,Pretax Amount,Currency"
KEYED = "12345;llm-x;qwen-max;output_token;app"
TYPED = "text_token;llm-x;qwen-max;output_token;app"


def a_line(instance=KEYED, *, day="2026-11-24", usage="1234", unit="token", amount="0.5", product="大模型服务平台百炼"):
    return f'2026-11,{day},{product},{instance},key:a value:b; key:c value:d,output_token,"{usage}",{unit},{amount},CNY'


def read(tmp_path, text, encoding="utf-8"):
    file = tmp_path / "bill.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return list(read_bill(file, CHINA))


def the_line(tmp_path, **fields):
    (found,) = read(tmp_path, f"{CHINESE}\n{a_line(**fields)}\n")
    return found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_encoding_of_a_chinese_console_is_read(tmp_path, encoding, newline):
    # UTF-16 is written with its mark, here as the other kind of machine does.
    text = newline.join([CHINESE, a_line(), ""])
    (found,) = read(tmp_path, f"\ufeff{text}" if encoding == "utf-16-be" else text, encoding)
    assert isinstance(found, BillLine)
    assert (found.day, found.tokens, found.amount, found.currency, found.line) == (date(2026, 11, 24), 1234, Decimal("0.5"), "CNY", 2)


def test_an_encoding_is_told_by_the_whole_file_and_not_by_its_beginning(tmp_path):
    many = "\n".join([ENGLISH, *[a_line(product="Model Studio")] * 20_000, a_line("i-1", product="云服务器")])
    *others, last = read(tmp_path, many, "gbk")
    assert len(others) == 20_000
    assert all(isinstance(each, BillLine) for each in others)
    assert isinstance(last, OtherLine)
    assert last.what == "another product: 云服务器"


def test_a_mark_before_a_heading_in_quotes_and_bytes_of_no_encoding_hide_no_line(tmp_path):
    assert isinstance(read(tmp_path, f'"用量","账单日期","实例ID"\n7,2026-11-24,"{KEYED}"', "utf-8-sig")[0], BillLine)
    assert isinstance(read(tmp_path, f"{CHINESE}\n{a_line()}".encode("gbk").replace("大".encode("gbk"), b"\xff"))[0], BillLine)


def test_of_several_amounts_that_count_is_to_be_paid_wherever_it_stands(tmp_path):
    for headings in ("应付金额,优惠后金额", "优惠后金额,应付金额"):
        amounts = headings.replace("应付金额", "0.5").replace("优惠后金额", "0.6")
        (found,) = read(tmp_path, f"账单日期,实例ID,用量,{headings}\n2026-11-24,{KEYED},7,{amounts}\n")
        assert isinstance(found, BillLine)
        assert found.amount == Decimal("0.5")


@pytest.mark.parametrize("headings", [CHINESE, ENGLISH, CHINESE.replace("实例ID", "资产/资源实例ID"), ENGLISH.replace(" ", "")])
def test_chinese_and_english_headings_are_known(tmp_path, headings):
    (found,) = read(tmp_path, f"{headings}\n{a_line()}\n")
    assert isinstance(found, BillLine)
    assert found.instance == ("llm-x", "qwen-max", "output_token", "12345")


def test_columns_may_stand_in_any_order_and_a_preamble_may_come_first(tmp_path):
    text = f"Account,1234\n\nExported,2026-11-25\nUsage,Instance ID,Billing Date\n77,{TYPED},2026-11-24\n"
    (found,) = read(tmp_path, text)
    assert isinstance(found, BillLine)
    assert (found.tokens, found.line, found.amount, found.instance.key_id) == (77, 5, None, None)


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
def test_tabs_commas_and_semicolons_separate_fields(tmp_path, delimiter):
    (found,) = read(tmp_path, f'Usage{delimiter}Instance ID{delimiter}Billing Date\n77{delimiter}"{KEYED}"{delimiter}20261124\n')
    assert isinstance(found, BillLine)


SEMICOLONS = "Usage;Unit;Instance ID;Billing Date;Payable Amount"


def amounts(tmp_path, *lines: tuple[str, str], unit: str = "1k tokens", delimiter: str = ";") -> list[object]:
    """Tokens and amount of each line, or why it cannot be read, and last what the file was taken to mean."""
    told = [SEMICOLONS, *(f'"{usage}";{unit};"{KEYED}";2026-11-24;"{amount}"' for usage, amount in lines)]
    text = "\n".join(told)
    if delimiter != ";":
        text = text.replace(KEYED, "ID").replace(";", delimiter).replace("ID", KEYED).replace(f"Instance {KEYED}", "Instance ID")
    found = read(tmp_path, text)
    return [
        (each.tokens, each.amount) if isinstance(each, BillLine) else each.why if isinstance(each, UnreadableLine) else each.what
        for each in found
    ]


def test_a_comma_before_three_digits_is_what_the_other_numbers_of_the_file_say_it_is(tmp_path):
    """Read as a thousand and more what is one and a part would be a bill of a thousand times the money."""
    commas = "commas stand before decimals there, and points between thousands"
    assert amounts(tmp_path, ("1,234", "1,234"), ("2,000", "0,0236")) == [
        (1234, Decimal("1.234")), (2000, Decimal("0.0236")), commas
    ]  # fmt: skip
    assert amounts(tmp_path, ("1.234,5", "1.234"), ("1,23457E+03", "1.234.567,8")) == [
        (1_234_500, Decimal(1234)), (1_234_570, Decimal("1234567.8")), commas
    ]  # fmt: skip
    for text in ("0.0236", "1,234.5", "1,234,567"):
        of_it = Decimal(text.replace(",", ""))
        assert amounts(tmp_path, ("1,234", "1,234"), ("1", text)) == [(1_234_000, Decimal(1234)), (1000, of_it)]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_comma_that_nothing_tells_is_asked_for_and_not_guessed(tmp_path, delimiter):
    why = "usage '1,234': is that 1.234 or 1234? Nothing else in the file tells; save the file with a point before decimals, and without"
    for other, as_read in (("5", (5000, Decimal(7))), ("", None)):
        told = amounts(tmp_path, ("1,234", "7"), *[(other, "7")] * bool(other), delimiter=delimiter)
        assert str(told[0]).startswith(why)
        assert told[1:] == ([as_read] if as_read else [])
    both = amounts(tmp_path, ("1,234", "7"), ("0,5", "0.5"), delimiter=delimiter)
    assert str(both[0]).startswith(why)
    assert both[1] == "usage '0,5': no number"


def test_between_commas_a_comma_separates_thousands_unless_another_number_says_otherwise(tmp_path):
    """Who writes decimals behind commas has semicolons between fields."""
    assert amounts(tmp_path, ("1,234", "7"), delimiter=",") == [(1_234_000, Decimal(7))]
    assert amounts(tmp_path, ("1,234", "0,07"), delimiter=",")[0] == (1234, Decimal("0.07"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\x14\x00rest", "a zip archive, or a sheet of Excel: unpack it, or save the sheet as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a sheet of Excel: save it as CSV UTF-8"),
        (gzip.compress(b"Usage,Instance ID,Billing Date", mtime=0), "packed with gzip: unpack it"),
        (b"%PDF-1.7", "a PDF: export the bill's details"),
    ],
)
def test_what_else_comes_out_of_a_console_or_a_spreadsheet_is_told_by_its_name(tmp_path, content, said):
    with pytest.raises(JobError, match="is no CSV but ") as refused:
        read(tmp_path, content)
    assert said in str(refused.value)


def test_a_file_without_a_heading_that_is_needed_is_no_export(tmp_path):
    with pytest.raises(JobError, match="is no bill export: a heading with the instance id"):
        read(tmp_path, "a,b,c\n1,2,3\n")
    with pytest.raises(JobError, match="is no bill export"):
        read(tmp_path, b"")
    with pytest.raises(JobError, match="cannot be read"):
        list(read_bill(tmp_path / "none.csv", CHINA))
    with pytest.raises(JobError, match="cannot be read: Is a directory"):
        list(read_bill(tmp_path, CHINA))
    with pytest.raises(JobError, match="not CSV: field larger than"):
        read(tmp_path, CHINESE + '\n"' + "a line without its other quote\n" * 10_000)


@pytest.mark.parametrize(
    ("usage", "unit", "tokens", "step"),
    [
        ("1234", "token", 1234, 0),
        ("1234", "", 1234, 0),
        ("1234", "Tokens", 1234, 0),
        ("1,234,567", "token", 1_234_567, 0),
        ("\uff11\uff0c\uff12\uff13\uff14\uff0c\uff15\uff16\uff17", "token", 1_234_567, 0),
        ("1\u202f234\u202f567", "token", 1_234_567, 0),
        ("1234.000000", "token", 1234, 0),
        ("1.234567E+06", "token", 1_234_567, 0),
        ("1.23E+06", "token", 1_230_000, 10_000),
        ("1.234", "1K tokens", 1234, 0),
        ("1.234", "千tokens", 1234, 0),
        ("1.234000", "千token", 1234, 0),
        ("12.3", "Ktoken", 12_300, 100),
        ("1,234.5", "1,000 tokens", 1_234_500, 100),
        ("1.5", "百万tokens", 1_500_000, 100_000),
        ("2", "万token", 20_000, 10_000),
        ("0", "token", 0, 0),
        ("0.000", "1K tokens", 0, 0),
        ("'1234", "token", 1234, 0),
        ('=""1234""', "token", 1234, 0),
        ("\t'1234 \t", "token", 1234, 0),
        ("1234", "个词元", 1234, 0),
        ("1.234", "千词元", 1234, 0),
        ("2", "百万个令牌", 2_000_000, 1_000_000),
    ],
)
def test_numbers_and_units_become_tokens(tmp_path, usage, unit, tokens, step):
    found = the_line(tmp_path, usage=usage, unit=f'"{unit}"')
    assert isinstance(found, BillLine), found
    assert (found.tokens, found.step) == (tokens, step)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"usage": "1.2"}, "usage '1.2': no whole number of tokens"),
        ({"usage": "-5"}, "usage '-5': less than nothing, as a refund or a correction is: it is in no sum here, nor is its amount"),
        ({"usage": ""}, "usage '': no number"),
        ({"usage": "12,34"}, "usage '12,34': no number"),
        ({"usage": "NaN"}, "usage 'NaN': no number that can be"),
        ({"usage": "1e99999"}, "usage '1e99999': no number that can be"),
        ({"day": "2026-11"}, "day '2026-11': no day; export the bill by day"),
        ({"day": "11/12/2026"}, "day '11/12/2026': day and month cannot be told apart; a spreadsheet writes so: give the file as"),
        ({"day": "2.11.26 0:00"}, "day '2.11.26 0:00': day and month cannot be told apart"),
        ({"day": "2026-13-01"}, "day '2026-13-01': no day"),
        ({"day": ""}, "day '': no day"),
        ({"instance": "i-bp1"}, "instance id 'i-bp1': neither of the forms"),
        ({"instance": ""}, "instance id '': neither of the forms"),
        ({"amount": "free"}, "amount 'free': no number"),
        ({"unit": "Token(千)"}, "unit 'Token(千)': how many tokens that is cannot be told"),
    ],
)
def test_a_line_that_is_not_understood_is_named_with_its_reason(tmp_path, fields, why):
    found = the_line(tmp_path, **fields)
    assert isinstance(found, UnreadableLine), found
    assert found.why.startswith(why)
    assert found.line == 2


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-30T16:00:00Z", date(2026, 12, 1)),
        ("2026-11-30T15:59:59Z", date(2026, 11, 30)),
        ("2026-11-30 16:30+00:00", date(2026, 12, 1)),
        ("2026-12-01T00:00:00+0800", date(2026, 12, 1)),
        ("2026-11-30T23:00:00.5-0100", date(2026, 12, 1)),
        ("2026-11-30 16:00:00", date(2026, 11, 30)),
        ("2026-12-01 00:00:00 (UTC+8)", date(2026, 12, 1)),
    ],
)
def test_a_moment_that_tells_its_clocks_distance_from_utc_is_of_the_day_that_it_was_there(tmp_path, moment, day):
    """The first of a month, as a program's export has it, is the last of the one before in UTC."""
    assert the_line(tmp_path, day=moment).day == day


@pytest.mark.parametrize("write", ["{1}/{0}/2026", "{0}/{1}/2026", "{1}.{0}.2026", "{0:02}-{1:02}-2026 0:00"])
@pytest.mark.parametrize("telling", [0, 2])
def test_one_day_behind_the_twelfth_tells_how_a_spreadsheet_wrote_all_of_an_export(tmp_path, write, telling):
    days = [(11, 2), (11, 11), (12, 1)]
    days.insert(telling, (12, 13))
    found = read(tmp_path, "\n".join([CHINESE, *(a_line(day=write.format(*day)) for day in days), a_line(day="2026-12-02")]))
    assert [each.day for each in found] == [*(date(2026, *day) for day in days), date(2026, 12, 2)]


@pytest.mark.parametrize("days", [["11/12/2026", "1/2/2026"], ["30/11/2026", "11/30/2026"], ["30/11/26", "1/11/26"], ["31/31/2026"]])
def test_days_of_which_no_line_tells_how_they_are_written_or_two_differ_are_not_understood(tmp_path, days):
    found = read(tmp_path, "\n".join([CHINESE, *(a_line(day=day) for day in days)]))
    assert all(each.why.startswith(f"day {day!r}: day and month cannot be told apart") for each, day in zip(found, days, strict=True))


@pytest.mark.parametrize("day", ["46356", "46356.5", "11月30日", "30-Nov-26", "30 Nov 2026"])
def test_what_a_spreadsheet_shows_in_a_days_place_is_told_as_that(tmp_path, day):
    assert the_line(tmp_path, day=day).why == f"day {day!r}: no day; a spreadsheet writes so: give the file as it was exported"


@pytest.mark.parametrize("moment", ["2026-11-31T16:00:00Z", "0001-01-01T00:00:00+14:00", "2026-11-30T16:00:00+99:00"])
def test_a_moment_that_is_none_is_told(tmp_path, moment):
    assert "no day" in the_line(tmp_path, day=moment).why


@pytest.mark.parametrize(
    "day", ["2026-11-24", "2026/11/24", "20261124", "2026-11-24 13:00:00", "2026年11月24日", "2026/1/2", "\t2026-11-24"]
)
def test_days_are_read_as_they_are_written(tmp_path, day):
    found = the_line(tmp_path, day=day)
    assert isinstance(found, BillLine), found
    assert found.day == (date(2026, 1, 2) if day == "2026/1/2" else date(2026, 11, 24))


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"product": "云服务器ECS", "instance": "i-bp1", "unit": "小时"}, "another product: 云服务器ECS"),
        ({"unit": "张"}, "not tokens: 张"),
        ({"unit": "秒"}, "not tokens: 秒"),
    ],
)
def test_what_is_no_tokens_of_a_model_is_told_as_that(tmp_path, fields, what):
    found = the_line(tmp_path, **fields)
    assert isinstance(found, OtherLine), found
    assert found.what == what


def test_what_is_billed_for_a_model_counts_whatever_its_product_is_called(tmp_path):
    assert isinstance(the_line(tmp_path, product="千问"), BillLine)


def test_empty_lines_and_totals_are_no_lines_of_tokens(tmp_path):
    text = f"{CHINESE}\n\n{a_line()}\n,,,,,,,,,\n合计,,,,,,1234,,0.5,CNY\n,小计：,,,,,9,,,\nTotal:,,,,,,,,,\n"
    line, *totals = read(tmp_path, text)
    assert isinstance(line, BillLine)
    assert [(each.line, getattr(each, "what", None)) for each in totals] == [(5, "totals"), (6, "totals"), (7, "totals")]


def test_a_total_with_an_instance_id_is_a_line(tmp_path):
    text = CHINESE.replace("账期", "小计") + "\n" + a_line().replace("2026-11,", "小计,", 1) + "\n"
    assert isinstance(read(tmp_path, text)[0], BillLine)


def test_full_width_separators_of_an_instance_id_are_those_of_its_own(tmp_path):
    found = the_line(tmp_path, instance=KEYED.replace(";", "\uff1b"))
    assert isinstance(found, BillLine), found
    assert found.instance == read_instance(KEYED)


@pytest.mark.parametrize("written", ["{}", "\t{}", '"=""{}"""', "'{}"])
def test_what_protects_ids_from_spreadsheets_is_taken_off(tmp_path, written):
    found = the_line(tmp_path, instance=written.format(KEYED))
    assert isinstance(found, BillLine), found
    assert found.instance.key_id == "12345"


def test_a_quoted_field_may_hold_commas_and_line_breaks(tmp_path):
    text = f"{CHINESE}\n{a_line().replace('key:a', 'key:a')}\n".replace("key:a value:b; key:c value:d", '"key:a, b\nkey:c"')
    first, second = read(tmp_path, text + a_line() + "\n")
    assert isinstance(first, BillLine)
    assert isinstance(second, BillLine)
    assert second.line == 4


@pytest.mark.parametrize(
    ("amount", "read_as"),
    [
        *(("¥1,234.50", "1234.50"), ("￥0.1", "0.1"), ("-", None), ("", None), ("-3", "-3"), ("-¥ 3", "-3"), ("¥ -", None)),
        *(("CNY 0.003602", "0.003602"), ("0.003602元", "0.003602"), ("1,234.50 RMB", "1234.50"), ("US$5", "5"), ("5 usd", "5")),
    ],
)
def test_amounts_are_exact(tmp_path, amount, read_as):
    found = the_line(tmp_path, amount=f'"{amount}"')
    assert isinstance(found, BillLine), found
    assert found.amount == (None if read_as is None else Decimal(read_as))


@pytest.mark.parametrize(
    ("told", "currency"),
    [
        ("CNY", "CNY"),
        ("cny", "CNY"),
        ("RMB", "CNY"),
        ("人民币", "CNY"),
        ("元", "CNY"),
        ("￥", "CNY"),
        ("USD", "USD"),
        ("美元", "USD"),
        ("", ""),
    ],
)
def test_a_currency_is_the_one_that_a_job_names_whatever_the_console_calls_it(tmp_path, told, currency):
    (found,) = read(tmp_path, f"{CHINESE}\n{a_line().removesuffix('CNY')}{told}\n")
    assert isinstance(found, BillLine), found
    assert found.currency == currency


def test_a_short_line_is_not_understood(tmp_path):
    (found,) = read(tmp_path, f"{CHINESE}\n2026-11,2026-11-24\n")
    assert isinstance(found, UnreadableLine)


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_and_not_waited_for_because_a_bill_is_read_twice(tmp_path):
    """As `--bill <(zcat bill.csv.gz)` is one: what had been read to tell its encoding would be gone."""
    os.mkfifo(tmp_path / "bill.csv")
    with pytest.raises(JobError, match=r"bill\.csv: is no file but a pipe or a device"):
        list(read_bill(tmp_path / "bill.csv", CHINA))
