"""The pages of imports and exports, as a person goes through them."""

import io
import os
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from contacts.models import Contact
from datafiles.models import ExportFile, ImportFile, ImportTemplate
from datafiles.services import places
from org.models import AuditEntry
from scrm import clock
from tests.factories import in_brand, make_contact

pytestmark = pytest.mark.django_db(transaction=True)

FILE = "会员号,手机,姓名,性别\nM1,13800138001,王小明,男\nM2,12,李娜,女\n"


def upload(client: Any, text: str = FILE, kind: str = "members", name: str = "会员.csv") -> Any:
    return client.post("/imports/new/", {"kind": kind, "file": SimpleUploadedFile(name, text.encode())})


def test_the_whole_way(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    assert "还没有导入文件" in client.get("/imports/").text
    answer = upload(client)
    assert answer.status_code == 302
    url = answer["Location"]
    page = client.get(url).text
    assert "会员号" in page and "王小明" in page and "不是手机号" in page and "1 行无法读取" in page
    assert "新建自定义字段" in page  # for a column that has no place yet
    # another choice of columns is shown at once
    shown = client.post(
        f"{url}columns/",
        {"c0": "member_no", "c2": "name", "has_make_new": "1", "make_new": "1"},
        headers={"HX-Request": "true"},
    )
    assert shown.status_code == 200 and "不是手机号" not in shown.text
    refused = client.post(f"{url}columns/", {"c2": "name", "then": "check"}, headers={"HX-Request": "true"})
    assert refused.status_code == 422 and "至少需要其中一列" in refused.text
    columns = {
        "c0": "member_no",
        "c1": "phone",
        "c2": "name",
        "c3": "gender",
        "has_make_new": "1",
        "make_new": "1",
    }
    checked = client.post(f"{url}columns/", {**columns, "then": "check"}, headers={"HX-Request": "true"})
    assert checked.headers["HX-Redirect"] == url
    with in_brand(brand):
        assert not Contact.objects.exists()
    page = client.get(url).text
    assert "导入 1 行" in page and "1 行未导入" in page
    csv = b"".join(client.get(f"{url}refused.csv").streaming_content).decode("utf-8-sig")
    assert csv.splitlines() == ["会员号,手机,姓名,性别,行,原因", "M2,12,李娜,女,3,手机：不是手机号"]
    assert client.post(f"{url}start/").status_code == 302
    page = client.get(url).text
    assert "导入结果" in page and "撤销导入" in page
    with in_brand(brand):
        assert Contact.objects.get().name == "王小明"
        assert ImportTemplate.objects.count() == 1
        actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
        assert actions == ["import.upload", "import.refused", "import.start", "import.done"]
    # the mended file: same columns, two more at the end; the mapping is remembered, what was done already is told
    again = client.get(upload(client, csv.replace(",12,", ",13800138002,"))["Location"]).text
    assert "手机号" in again
    same = client.get(upload(client)["Location"]).text
    assert "同一文件已于" in same
    assert client.post(f"{url}undo/").status_code == 302
    assert "该导入已撤销" in client.get(url).text
    listing = client.get("/imports/").text
    assert listing.count("会员.csv") == 3


def test_layout_can_be_corrected(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    url = upload(client, "会员号;姓名\nM1;王\n")["Location"]
    assert (
        client.post(
            f"{url}layout/", {"encoding": "utf-8", "separator": ",", "titles": "0", "has_headings": "1"}
        ).status_code
        == 302
    )
    assert "会员号;姓名" in client.get(url).text
    client.post(f"{url}layout/", {"encoding": "utf-8", "separator": ";", "titles": "0"})
    assert "第 2 列" in client.get(url).text
    assert (
        client.post(f"{url}layout/", {"encoding": "klingon", "separator": ",", "titles": "0"}).status_code
        == 422
    )


def test_what_is_no_file_is_told(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    assert "选择文件" in client.post("/imports/new/", {"kind": "members"}).text
    assert "文件为空" in upload(client, "").text or "空" in upload(client, "").text
    assert upload(client, FILE, "nothing").status_code == 422
    zipped = io.BytesIO()
    import zipfile

    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.txt", "x")
    broken = client.post(
        "/imports/new/", {"kind": "members", "file": SimpleUploadedFile("a.xlsx", zipped.getvalue())}
    )
    assert broken.status_code == 422 and "损坏" in broken.text
    with in_brand(brand):
        assert not ImportFile.objects.exists()


def test_who_may(brand: Any, other_brand: Any, sign_in: Any) -> None:
    url = upload(sign_in(brand, "operator"))["Location"]
    for client in (sign_in(brand, "guide"), sign_in(brand, "manager")):
        for path in ("/imports/", "/imports/new/", url, "/exports/"):
            assert client.get(path).status_code == 403, path
    stranger = sign_in(other_brand)
    for path in (url, f"{url}refused.csv"):
        assert stranger.get(path).status_code == 404
    for act in ("columns", "layout", "start", "undo", "discard"):
        assert stranger.post(f"{url}{act}/").status_code == 404


def test_what_broke_off_is_swept(brand: Any, media: Any) -> None:
    folder = places.uploads_folder()
    for name, days in (("old", 2), ("new", 0)):
        (folder / name).write_bytes(b"x")
        moment = clock.now().timestamp() - days * 86_400
        os.utime(folder / name, (moment, moment))
    assert places.sweep_uploads() == 1 and [p.name for p in folder.iterdir()] == ["new"]


def test_discard(brand: Any, sign_in: Any, media: Any) -> None:
    client = sign_in(brand, "operator")
    url = upload(client)["Location"]
    assert list(media.glob("*/imports/*/source"))
    assert client.post(f"{url}discard/").status_code == 302
    assert not list(media.glob("*/imports/*")) and client.get(url).status_code == 404


def test_lists_do_not_ask_more_for_more(brand: Any, sign_in: Any, django_assert_num_queries: Any) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = sign_in(brand, "operator")
    numbers = []
    for n in (2, 18):
        for _ in range(n):
            upload(client)
        with in_brand(brand):
            make_contact(brand)
        for _ in range(n):
            client.post("/exports/new/?kind=products", {"format": "csv"})
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/imports/").status_code == client.get("/exports/").status_code == 200
        numbers.append(len(queries))
    assert numbers[0] == numbers[1]
    with in_brand(brand):
        assert ExportFile.objects.count() == 20


def test_rows_of_one_order_are_told_as_one(brand: Any, sign_in: Any) -> None:
    """The check counts rows, the import orders: both say so."""
    text = "订单号,手机,付款时间,订单金额,商品编码,数量\nO1,13800138001,2026-01-05,150,A1,1\nO1,,,,A2,x\nO1,,,,A3,2\n"
    client = sign_in(brand, "operator")
    url = upload(client, text, "orders", "订单.csv")["Location"]
    columns = {
        "c0": "order_no",
        "c1": "phone",
        "c2": "paid_at",
        "c3": "amount_fen",
        "c4": "sku",
        "c5": "quantity",
    }
    assert client.post(f"{url}columns/", {**columns, "then": "check"}, headers={"HX-Request": "true"}).headers
    page = client.get(url, headers={"Accept-Language": "en"}).text
    assert "Counted in rows" in page and "several reasons" not in page
    client.post(f"{url}start/")
    assert "Several rows of one order" in client.get(url, headers={"Accept-Language": "en"}).text
