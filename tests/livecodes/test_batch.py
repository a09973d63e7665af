"""Codes from a spreadsheet, and their QR pictures in print size as a ZIP; against the sandbox."""

import csv
import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from openpyxl import Workbook
from PIL import Image

from livecodes.models import ChannelCode, CodeTag, Welcome
from livecodes.services import batch, qr, zips
from livecodes.services.batch_sheet import Preview
from org.access import SYSTEM
from org.models import Job, Store
from scrm import sheets
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_staff, make_tag
from tests.livecodes.conftest import Shop
from wecom.errors import WeComUnavailable

pytestmark = pytest.mark.django_db(transaction=True)

HEADINGS = ["名称", "导购", "地点", "标签", "成本(元)", "备注", "欢迎语", "门店"]
Lines = list[list[Any]]


@pytest.fixture(autouse=True)
def files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def xlsx(lines: Lines) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet
    for line in lines:
        sheet.append(line)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def as_csv(lines: Lines, encoding: str = "utf-8-sig", delimiter: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(lines)
    return out.getvalue().encode(encoding)


def preview(shop: Shop, data: bytes, name: str = "codes.csv") -> Preview:
    with in_brand(shop.brand):
        return batch.preview(shop.brand, corp=shop.corp, data=data, name=name)


def start(shop: Shop, found: Preview) -> Job:
    with in_brand(shop.brand):
        job = batch.start(shop.brand, by=SYSTEM, token=found.token)
    with in_brand(shop.brand):
        return Job.objects.get(pk=job.pk)


@pytest.mark.parametrize(
    "make",
    [
        xlsx,
        as_csv,
        lambda lines: as_csv(lines, "gbk"),
        lambda lines: as_csv(lines, "utf-16", "\t"),
        lambda lines: as_csv(lines, "utf-8", ";"),
    ],
    ids=["xlsx", "utf-8", "gbk", "utf-16", "semicolons"],
)
def test_every_kind_of_file_reads_the_same(make: Callable[[Lines], bytes]) -> None:
    lines = [["名称", "成本"], ["包裹卡，一", 12], [None, None], ["海报\n二", "3.50"]]
    assert sheets.read(make(lines), "x", max_rows=10) == [
        (1, ["名称", "成本"]),
        (2, ["包裹卡，一", "12"]),
        (4, ["海报\n二", "3.50"]),
    ]


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "empty"),
        (b"PK\x03\x04 not a zip", "damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".xls"),
        (b"\x00\x01\x02\x03", "damaged"),
        (b"a,b\n" * 12, "more than 10"),
        (b"\n" * 2000, "empty"),
        (b"x" * (sheets.MAX_BYTES + 1), "larger"),
        ("名称,导购\n" + '"' + "长" * 200_000 + '",a').encode(),
    ][:-1],
)
def test_a_file_that_cannot_be_read(data: bytes, words: str) -> None:
    from django.utils.translation import override

    with override("en"), pytest.raises(InvalidError, match=words):
        sheets.read(data, "x.csv", max_rows=10)


def test_a_zip_bomb_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (sheets.MAX_UNPACKED + 1))
    with pytest.raises(InvalidError):
        sheets.read(out.getvalue(), "x.xlsx", max_rows=10)


def test_good_and_bad_rows(shop: Shop) -> None:
    shop.make_code("已有")
    with in_brand(shop.brand):
        tag, store = make_tag(shop.brand, "新客"), Store.objects.create(name="南京东路店")
        make_tag(shop.brand, "同名")
        make_tag(shop.brand, "同名")
        twin = make_staff(shop.brand, shop.corp, name="甲")
    found = preview(
        shop,
        xlsx(
            [
                HEADINGS,
                [
                    "包裹卡",
                    f"{shop.a.userid}、乙",
                    "包裹",
                    "新客",
                    "1,200.50元",
                    "{渠道}",
                    "你好，{客户昵称|朋友}",
                    "南京东路店",
                ],
                ["", "乙"],
                ["海报", ""],
                ["海报", "王五"],
                ["海报", "甲"],
                ["海报", "乙", "", "没有"],
                ["海报", "乙", "", "同名"],
                ["海报", "乙", "", "", "很贵"],
                ["海报", "乙", "", "", "-1"],
                ["海报", "乙", "", "", "1.005"],
                ["海报", "乙", "", "", "", "备" * 21],
                ["海报", "乙", "", "", "", "", "{名字}"],
                ["海报", "乙", "", "", "", "", "", "没有的店"],
                ["已有", "乙"],
                ["名" * 61, "乙"],
                ["货架", "乙"],
                ["货架", "乙"],
            ]
        ),
        "codes.xlsx",
    )
    good = found.good
    assert [(r.number, r.name) for r in good] == [(2, "包裹卡"), (17, "货架")]
    assert (good[0].guides, good[0].tags) == ([shop.a.pk, shop.b.pk], [tag.pk])
    assert (good[0].cost_fen, good[0].store_id) == (120_050, store.pk)
    assert [r.number for r in found.bad] == [*range(3, 17), 18] and all(r.problem for r in found.bad)
    assert twin.userid in found.bad[3].problem  # which of the two is meant is for a person to say

    job = start(shop, found)
    assert (job.state, job.n_total, job.n_done, job.n_bad) == ("done", 2, 2, 0)
    with in_brand(shop.brand):
        codes = list(ChannelCode.objects.exclude(name="已有").order_by("pk"))
        assert [(c.name, c.sync_state) for c in codes] == [("包裹卡", "ok"), ("货架", "ok")]
        assert CodeTag.objects.get().tag_id == tag.pk
        assert Welcome.objects.get(code=codes[0]).text == "你好，{客户昵称|朋友}"
    assert shop.users(codes[0]) == [shop.a.userid]
    assert start(shop, found).pk == job.pk  # a double click makes nothing twice


@pytest.mark.parametrize("headings", [["导购", "地点"], ["名称"], ["a", "b"]])
def test_headings_are_needed(shop: Shop, headings: list[str]) -> None:
    with pytest.raises(InvalidError):
        preview(shop, as_csv([headings, ["x", "y"]]))


def test_what_changed_since_the_preview_is_told(shop: Shop) -> None:
    found = preview(shop, as_csv([HEADINGS, ["包裹卡", "乙"], ["海报", "乙"]]))
    shop.make_code("海报")
    job = start(shop, found)
    assert (job.state, job.n_bad) == ("done", 1)
    assert [p["name"] for p in job.result["problems"]] == ["海报"]


def test_a_batch_goes_on_where_its_process_died(shop: Shop, monkeypatch: Any) -> None:
    found = preview(shop, as_csv([HEADINGS, *([f"码{n}", "乙"] for n in range(45))]))
    pushed: list[int] = []
    push = batch.ways.push

    def die_once(brand: Any, code_id: int) -> bool:
        pushed.append(code_id)
        if len(pushed) == 3:
            raise KeyboardInterrupt
        return push(brand, code_id)

    monkeypatch.setattr(batch.ways, "push", die_once)
    with pytest.raises(KeyboardInterrupt):
        start(shop, found)
    with in_brand(shop.brand):
        job = Job.objects.get()
        Job.objects.update(state="waiting")  # what the sweep does when the lease is over
    from org.services import jobs

    with tenant_scope(shop.brand):
        jobs.run(shop.brand, job.pk)
    with in_brand(shop.brand):
        assert Job.objects.get().state == "done"
        assert ChannelCode.objects.filter(sync_state="ok").count() == 45
    assert shop.sandbox.get("state", corpid=shop.corp.corpid)["counts"]["contact_ways"] == 45


def test_previews_belong_to_their_brand(shop: Shop, open_another: Callable[..., Shop]) -> None:
    other = open_another()
    found = preview(shop, as_csv([HEADINGS, ["包裹卡", "乙"]]))
    with pytest.raises(NotFoundError), in_brand(other.brand):
        batch.start(other.brand, by=SYSTEM, token=found.token)


# ---- pictures


def test_a_qr_in_print_size(shop: Shop, monkeypatch: Any) -> None:
    code = shop.make_code("渠道活码：南京东路店 一楼收银台 " * 2)
    with tenant_scope(shop.brand):
        data = qr.picture(shop.brand, code)
        monkeypatch.setattr(qr.pictures, "fetch", None)  # from the disk the second time
        assert qr.picture(shop.brand, code) == data
    with Image.open(io.BytesIO(data)) as small, Image.open(io.BytesIO(qr.print_png(data))) as large:
        assert min(large.size) >= 1000 and round(large.info["dpi"][0]) == 300
        factor = large.width // small.width
        assert large.width % small.width == 0  # whole dots, no smoothing
        assert {level for _, level in large.convert("L").getcolors() or []} == {0, 255}
        x, y = small.width // 2, small.height // 3
        want = small.convert("RGB").getpixel((x, y))
        assert large.convert("RGB").getpixel((x * factor, y * factor)) == want
    with Image.open(io.BytesIO(qr.print_png(data, code.name))) as named:
        assert named.height >= named.width


def test_a_qr_that_is_not_there_yet(shop: Shop) -> None:
    code = shop.make_code()
    code.qr_url = ""
    with pytest.raises(ConflictError), tenant_scope(shop.brand):
        qr.picture(shop.brand, code)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "/wwpic/1"])
def test_only_pictures_on_the_web_are_fetched(shop: Shop, url: str) -> None:
    code = shop.make_code()
    code.qr_url = url
    with pytest.raises(WeComUnavailable), tenant_scope(shop.brand):
        qr.picture(shop.brand, code)


@pytest.mark.parametrize("path", ["/healthz", "/wwpic/none/0", "/"])
def test_what_is_no_picture_is_refused(shop: Shop, path: str) -> None:
    code = shop.make_code()
    code.qr_url = shop.sandbox.url + path
    with pytest.raises(WeComUnavailable), tenant_scope(shop.brand):
        qr.picture(shop.brand, code)


def test_a_zip_of_many(shop: Shop) -> None:
    codes = [shop.make_code(name) for name in ("包裹卡", "海报/一楼", "货架")]
    with in_brand(shop.brand):
        ChannelCode.objects.filter(pk=codes[2].pk).update(qr_url="")
        job = zips.start_zip(shop.brand, by=SYSTEM, code_ids=[c.pk for c in codes])
    with in_brand(shop.brand):
        job = Job.objects.get(pk=job.pk)
        path, name = zips.finished_file(shop.brand, job.pk)
    assert (job.state, job.n_done, job.n_bad, job.result["n"]) == ("done", 3, 1, 2)
    assert name.endswith(".zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["0001-包裹卡.png", "0002-海报_一楼.png", "README.txt"]
        assert "货架" in archive.read("README.txt").decode()
        with Image.open(io.BytesIO(archive.read("0001-包裹卡.png"))) as picture:
            assert picture.width >= 1000


def test_a_zip_belongs_to_its_brand(shop: Shop, open_another: Callable[..., Shop]) -> None:
    other, code = open_another(), shop.make_code()
    with pytest.raises(NotFoundError), in_brand(other.brand):
        zips.start_zip(other.brand, by=SYSTEM, code_ids=[code.pk])
    with in_brand(shop.brand):
        job = zips.start_zip(shop.brand, by=SYSTEM, code_ids=[code.pk])
    with pytest.raises(NotFoundError), in_brand(other.brand):
        zips.finished_file(other.brand, job.pk)
