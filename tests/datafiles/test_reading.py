"""Files as they come: characters, separators, titles, broken lines, dates, money, phones; nothing of the rest is lost."""

import csv
import io
import random
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from openpyxl import Workbook

from contacts.models import Contact, Identity
from datafiles import blocks, guess, layout, values
from datafiles.kinds import kind_of
from datafiles.services import places, refused, uploads, xlsx
from datafiles.targets import GENDERS, Column, Target
from scrm import clock
from scrm.errors import InvalidError
from scrm.harmless import harmless
from tests.factories import in_brand

ROWS = "会员号,手机,姓名\nM1,13800138001,王小明\nM2,13800138002,李娜\n"


def prepared(path: Path, data: bytes) -> tuple[layout.Layout, blocks.Prepared]:
    path.write_bytes(data)
    found, _rows = layout.detect(data[: layout.HEAD], is_whole=len(data) <= layout.HEAD)
    return found, blocks.prepare(path, found, path.with_name("rows.csv"))


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-le", "utf-16-be"],
)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    found, done = prepared(tmp_path / "f", ROWS.encode(encoding))
    data = done.path.read_bytes()[done.skip :].decode()
    assert data.replace("\r\n", "\n") == ROWS and (done.n_records, done.n_bad) == (3, 0), found


@pytest.mark.parametrize("eol", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_and_line_ends(tmp_path: Path, separator: str, eol: str) -> None:
    found, done = prepared(tmp_path / "f", ROWS.replace(",", separator).replace("\n", eol).encode())
    assert (found.separator, found.n_columns, done.n_records, done.n_bad) == (separator, 3, 3, 0)


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_a_quote_now_and_then_leaves_all_lines_alike(tmp_path: Path, monkeypatch: Any, eol: str) -> None:
    """COPY refuses a file whose lines end differently: blocks that are read slowly end as the quick ones do."""
    monkeypatch.setattr(blocks, "BLOCK", 64)
    rows = (
        [f'M{n},"张, {n}",x' for n in range(4)] + [f"M{n},b,x" for n in range(60)] + ['M,"a, b",x', "M,b,x"]
    )
    _found, done = prepared(tmp_path / "f", ("a,b,c" + eol + eol.join(rows) + eol).encode())
    text = done.path.read_bytes()
    assert (done.n_records, done.n_bad) == (67, 0)
    assert text.count(b"\r\n") == (67 if eol == "\r\n" else 0) and text.count(b"\n") == 67
    mixed = "a,b,c\n" + "1,2,3\n4,5,6\r7,8,9\r\n" * 30
    _found, done = prepared(tmp_path / "f", mixed.encode())
    assert (done.n_records, done.n_bad, done.path.read_bytes().count(b"\r")) == (91, 0, 0)


@pytest.mark.parametrize("encoding", ["gbk", "utf-8"])
def test_characters_far_behind_the_beginning(brand: Any, put: Any, encoding: str) -> None:
    rows = [f"M{n},13800000000,x" for n in range(20_000)] + ["M20000,13800000001,王小明"] * 30
    with in_brand(brand):
        file = put("members", ("no,phone,name\n" + "\n".join(rows) + "\n").encode(encoding))
        assert file.layout["encoding"] == ("gb18030" if encoding == "gbk" else "utf-8")


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_file_with_hardly_anything_but_chinese(encoding: str, separator: str) -> None:
    rows = [separator.join(("姓名", "备注")), *[separator.join(("王小明", "喜欢咖啡和茶上午来"))] * 50]
    found, first = layout.detect("".join(f"{row}\r\n" for row in rows).encode(encoding), is_whole=True)
    assert first[:2] == [["姓名", "备注"], ["王小明", "喜欢咖啡和茶上午来"]]
    assert (found.separator, found.has_headings) == (separator, True)


def test_headings_that_repeat_get_names_of_their_own() -> None:
    found = layout.Layout(n_columns=6)
    assert len(set(layout.headings(found, [["电话", "电话", "电话 (2)", "", "电话", ""]]))) == 6


def test_bytes_of_a_picture_are_no_text() -> None:
    """They can be read as GB18030, and would be a table of one column of nonsense."""
    dice = random.Random(1)
    with pytest.raises(InvalidError):
        layout.detect(dice.randbytes(5000), is_whole=True)


def test_titles_above_the_headings() -> None:
    text = "会员清单,,\n导出时间：2026-01-01,,\n" + ROWS
    found, rows = layout.detect(text.encode(), is_whole=True)
    assert (found.titles, found.has_headings) == (2, True) and layout.headings(found, rows) == [
        "会员号",
        "手机",
        "姓名",
    ]


def test_no_headings() -> None:
    found, rows = layout.detect(b"1001,13800138001\n1002,13800138002\n", is_whole=True)
    assert not found.has_headings and len(layout.headings(found, rows)) == 2


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xff\xfe", b"\x00" * 500, random.Random(4).randbytes(4000)])
def test_what_is_no_table_is_refused_or_has_one_column(data: bytes) -> None:
    try:
        found, _rows = layout.detect(data, is_whole=True)
    except InvalidError:
        return
    assert found.n_columns >= 1


BROKEN = [
    ("M9,1,2,3,4", "cells"), ("M9", "cells"), ('M9,"open,1', "quotes"), ('M9,"a"b,1', "quotes"), ("x" * 1_100_000, "long"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "reason"), BROKEN, ids=[f"{n}-{b[1]}" for n, b in enumerate(BROKEN)])
def test_one_broken_line_loses_only_itself(tmp_path: Path, line: str, reason: str) -> None:
    rows = [f"M{n},1380000{n:04d},名{n}" for n in range(3000)]
    rows.insert(1500, line)
    _found, done = prepared(tmp_path / "f", ("会员号,手机,姓名\n" + "\n".join(rows) + "\n").encode())
    assert (done.n_records, done.n_bad) == (3002, 1)
    told = blocks.bad_file(tmp_path / "rows.csv").read_text()
    assert told.startswith(f'[1502, "{reason}"')
    lines = done.path.read_text().split("\n")
    assert lines[1500].startswith("M1499,") and lines[1502].startswith("M1500,")


def test_quotes_lines_within_cells_and_blocks(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 64)
    text = 'a,b,c\n1,"x, y",2\n3,"two\nlines",4\n5,"say ""hi""",6\n7,5\' 6" tall,8\n\n9,,\n'
    _found, done = prepared(tmp_path / "f", text.encode())
    import csv

    with done.path.open(newline="") as file:
        got = list(csv.reader(file))
    assert got == [
        ["a", "b", "c"], ["1", "x, y", "2"], ["3", "two\nlines", "4"], ["5", 'say "hi"', "6"], ["7", "5' 6\" tall", "8"],
        ["", "", ""], ["9", "", ""],
    ]  # fmt: skip
    assert done.n_bad == 0


@pytest.mark.django_db(transaction=True)
def test_a_million_characters_of_trouble(brand: Any, bring: Any) -> None:
    """Bytes that are no characters, NUL, an end mark of COPY, formulas: one row each at most."""
    rows = [b"M%d,1380000%04d,\xe5\x90\x8d" % (n, n) for n in range(300)]
    rows[10] = b"M10,13800000010,\xff\xfe\xfd"
    rows[20] = b"M20,13800000020,a\x00b"
    rows[30] = b"\\."
    rows[40] = b"M40,13800000040,=cmd|' /C calc'!A0"
    file = bring("members", "会员号,手机,姓名\n".encode() + b"\n".join(rows) + b"\n")
    assert (file.result["new"], file.result["refused"]) == (297, 3)
    with in_brand(brand):
        assert Identity.objects.get(value="M40").contact.name == "=cmd|' /C calc'!A0"
        assert Contact.objects.count() == 297


@pytest.mark.django_db(transaction=True)
def test_cells_without_measure(brand: Any, bring: Any, check: Any, put: Any) -> None:
    """A cell of half a million characters, one of ten millions, five hundred columns, nothing but headings."""
    head = "会员号,手机,姓名\n"
    rows = [
        "M1,13800138001,王",
        f"M2,13800138002,{'长' * 150_000}",
        f'M3,13800138003,"{"长" * 150_000}"',
        f"M4,{'长' * 3_400_000},x",
    ]
    file = bring("members", head + "\n".join([*rows, "M5,13800138005,李"]) + "\n")
    assert (file.result["rows"], file.result["new"], file.result["refused"]) == (5, 2, 3)
    with (places.import_folder(file) / refused.NAME).open(encoding="utf-8-sig", newline="") as lines:
        told = list(csv.reader(lines))
    assert [row[-2] for row in told[1:]] == ["3", "4", "5"] and len(told[1][2]) == 150_000
    assert check(put("members", head))["rows"] == 0
    assert bring("members", head).result["new"] == 0
    wide = [[f"c{n}" for n in range(500)], ["1"] * 500]
    with pytest.raises(InvalidError, match="200"):
        put("members", "\n".join(",".join(row) for row in wide))
    book = Workbook()
    for row in wide:
        book.active.append(row)  # type: ignore[union-attr]
    out = io.BytesIO()
    book.save(out)
    with pytest.raises(InvalidError, match="200"):
        put("members", out.getvalue(), name="wide.xlsx")


@pytest.mark.django_db(transaction=True)
def test_workbook(brand: Any, bring: Any, monkeypatch: Any) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["会员名单"])
    sheet.append(["会员号", "手机", "姓名", "入会时间", "性别"])
    sheet.append([1001, 13800138001, "王", clock.now().replace(2024, 3, 5, 10, 30, 0, 0, tzinfo=None), "男"])
    sheet.append([1002, 13800138002.0, "=1+1", 45356, "女"])
    out = io.BytesIO()
    book.save(out)
    with monkeypatch.context() as once:  # a large workbook takes seconds: its pages do not read it again
        read, times = xlsx.first_rows, []
        once.setattr(xlsx, "first_rows", lambda path: times.append(1) or read(path))
        file = bring("members", out.getvalue(), name="会员.xlsx")
        with in_brand(brand):
            assert uploads.relook(file).headings == ["会员号", "手机", "姓名", "入会时间", "性别"]
        assert len(times) == 1
    assert (file.result["new"], file.result["refused"]) == (2, 0)
    with in_brand(brand):
        assert sorted(Identity.objects.filter(kind="member_no").values_list("value", flat=True)) == [
            "1001",
            "1002",
        ]
        assert Contact.objects.get(name="王").member_at.isoformat() == "2024-03-05T02:30:00+00:00"
        assert {c.member_at.date().isoformat() for c in Contact.objects.exclude(name="王")} == {"2024-03-04"}


def read(type_: str, texts: list[str], **options: Any) -> list[Any]:
    column = Column(Target("x", "x", type_, max=20, choices=GENDERS if type_ == "gender" else {}), 0, options)
    shown = "to_char({0}, 'YYYY-MM-DD HH24:MI:SS')" if type_ == "moment" else "{0}"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL timezone = 'Asia/Shanghai'")
        cursor.execute(
            f"SELECT {shown.format(values.value('v', column))} FROM (SELECT {values.cleaned(column)} AS v"
            " FROM unnest(%s) WITH ORDINALITY AS s(c1, n) ORDER BY s.n OFFSET 0) t",
            [texts],
        )
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.django_db
def test_dates_in_many_styles() -> None:
    same = [
        "2026-01-31", "2026-1-31", "2026/1/31", "2026.1.31", "2026年1月31日", "20260131", "31.1.2026", "31/01/2026", "46053",
        "  2026-01-31　", "２０２６-０１-３１",
    ]  # fmt: skip
    assert set(read("moment", same)) == {"2026-01-31 00:00:00"}
    moments = [
        "2026-01-31 08:05",
        "2026/1/31 8:05:00",
        "2026年1月31日 8时5分",
        "20260131080500",
        "2026-01-31T00:05:00Z",
        "1769817900",
    ]
    assert set(read("moment", moments)) == {"2026-01-31 08:05:00"}
    assert read("moment", ["1/2/2026"], order="mdy") == ["2026-01-02 00:00:00"]
    nothing = [
        "now",
        "today",
        "infinity",
        "2026-02-30",
        "99999999",
        "2026",
        "1899-01-01",
        "25:00",
        "x",
        "0",
        "2026-13-01",
    ]
    assert set(read("moment", nothing)) == {None}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "text", "same", "other"),
    [
        ("Asia/Shanghai", "2026-01-31 08:05:00", "2026-01-31 00:05:00Z", "2026-01-31 00:05:00.5Z"),
        ("Asia/Kolkata", "2026-01-31 08:05:00", "2026-01-31 02:35:00Z", "2026-01-31 03:05:00Z"),
        ("America/New_York", "2026-01-31 08:05:00", "2026-01-31 13:05:00Z", "2026-01-31 12:05:00Z"),
        ("America/New_York", "2026-07-31 08:05:00", "2026-07-31 12:05:00Z", "2026-07-31 13:05:00Z"),
        ("Asia/Shanghai", "1988-07-31 08:05", "1988-07-30 23:05:00Z", "1988-07-31 00:05:00Z"),
    ],
)
def test_a_text_says_a_moment_that_is_known(zone: str, text: str, same: str, other: str) -> None:
    is_it = values.is_moment("v", "k", zone)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('timezone', %s, true)", [zone])
        for known, expected in ((same, True), (other, False)):
            cursor.execute(f"SELECT {is_it} FROM (VALUES (%s, %s::timestamptz)) x(v, k)", [text, known])
            assert cursor.fetchone()[0] is expected


@pytest.mark.django_db
def test_money_phones_and_words() -> None:
    assert read("money", ["12", "12.5", "￥1,234.50", "¥12元", "1 234", "１２．５"]) == [
        1200,
        1250,
        123450,
        1200,
        123400,
        1250,
    ]
    assert read("money", ["0.50", "12.34", "12345678901.23", "1.234", "12.3.", "1.2.3", "..50", "１.50"]) == [
        50, 1234, 1234567890123, 123, None, None, None, 150,
    ]  # fmt: skip
    assert read("integer", ["0", "007", "123456789", "1234567890", "3.0", "1,234", "-1", "3.5"]) == [
        0, 7, 123456789, None, 3, 1234, None, None,
    ]  # fmt: skip
    assert read("money", ["1250", "12.50"], unit="fen") == [1250, 13]
    assert set(read("money", ["-5", "abc", "1e5", "1.234,56", "12,3"])) == {None}
    phones = [
        "13800138000",
        "+86 138-0013-8000",
        "008613800138000",
        "(86)13800138000",
        "１３８００１３８０００",
    ]
    assert set(read("phone", phones)) == {"13800138000"}
    assert set(read("phone", ["1.38E+10", "12", "13800138000 home", "没有"])) == {None}
    # eleven characters that Postgres would take for a number
    assert set(read("phone", ["1_380013800", "13800_13800", "0x306DC4200", "1380013800\f"])) == {None}
    assert read("id", ["1.38E+10", "'=A1", "x" * 21]) == [None, "=A1", None]
    assert read("gender", ["男", "F", "女士", "x"]) == [1, 2, 2, None]


def test_numbers_of_a_workbook_are_as_excel_shows_them() -> None:
    assert [xlsx._text(x) for x in (12.3 * 3, 0.1 + 0.2, 5.0, 13800138001.0, 1e-7)] == [
        "36.9", "0.3", "5", "13800138001", "1e-07",
    ]  # fmt: skip


def test_formulas_are_kept_from_running() -> None:
    assert [harmless(x) for x in ("=1+1", "+cmd", "-x", "@x", "\tx", " =1", "＝1", "\n=1")] == [
        "'=1+1", "'+cmd", "'-x", "'@x", "'\tx", "' =1", "'＝1", "'\n=1",
    ]  # fmt: skip
    assert [harmless(x) for x in ("-12.5", "+8", 5, None, "王", "a=b")] == [
        "-12.5",
        "+8",
        "5",
        "",
        "王",
        "a=b",
    ]


@pytest.mark.django_db
def test_columns_are_guessed_by_words_and_looks(brand: Any) -> None:
    with in_brand(brand):
        targets = kind_of("members").targets(brand)
    rows = [["A1", "13800138001", "男", "王", "2024/3/5"], ["A2", "13900139000", "女", "李", "2024/4/5"]]
    found = guess.guess(targets, ["会员卡号（必填）", "联系方式", "x", "客户姓名", "注册日期"], rows)
    assert {k: v["column"] for k, v in found.items()} == {
        "member_no": 0,
        "phone": 1,
        "gender": 2,
        "name": 3,
        "member_at": 4,
    }
    # a heading that deceives: the cells are no phone numbers
    assert "phone" not in guess.guess(targets, ["手机"], [["iPhone 15"], ["小米 14"]])
    again = guess.guess(targets, ["甲", "乙"], rows, remembered={"unionid": {"heading": "乙"}})
    assert again["unionid"] == {"column": 1}


@pytest.mark.django_db(transaction=True)
def test_too_large_is_told(brand: Any, sign_in: Any, monkeypatch: Any) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    monkeypatch.setattr(uploads, "MAX_BYTES", 100)
    answer = sign_in(brand).post(
        "/imports/new/", {"kind": "members", "file": SimpleUploadedFile("a.csv", b"x" * 200)}
    )
    assert answer.status_code == 422
