"""Pages of channel codes: rights, brands, forms that refuse, numbers that do not cost more with more rows."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from PIL import Image

from contacts.models import Follow
from livecodes.models import ChannelCode, CodeGuide, CodeHours, Welcome
from livecodes.services import figures
from org.models import AuditEntry, Job
from scrm import clock
from tests.factories import in_brand, make_contact, make_tag
from tests.livecodes.conftest import Shop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def given(shop: Shop, **over: Any) -> dict[str, Any]:
    """What the form sends."""
    lists = {
        "guides": [{"id": shop.a.pk, "weight": 2, "limit": 30, "standby": False}],
        "hours": [{"weekdays": [1, 2], "start": "09:00", "end": "18:00", "guide": None}],
        "welcomes": [{"text": "你好，{客户昵称|朋友}", "attachments": [], "audience": "all"}],
    } | over.pop("lists", {})
    return {
        "name": "包裹卡", "corp": shop.corp.pk, "place": "包裹", "cost": "200.50", "strategy": "weighted",
        "skip_verify": "on", "remark": "{渠道}", "lists": json.dumps(lists), **over,
    }  # fmt: skip


def test_make_look_edit_delete(shop: Shop, sign_in: Any) -> None:
    client = sign_in(shop.brand, "operator")
    with in_brand(shop.brand):
        tag = make_tag(shop.brand, "新客")
    assert client.get("/codes/new/").status_code == 200
    answer = client.post("/codes/new/", given(shop, tags=[tag.pk]))
    with in_brand(shop.brand):
        code = ChannelCode.objects.get()
        guide, hours, welcome = CodeGuide.objects.get(), CodeHours.objects.get(), Welcome.objects.get()
        assert [t.tag_id for t in code.code_tags.all()] == [tag.pk]
    assert answer["Location"] == f"/codes/{code.pk}/"
    assert (code.name, code.cost_fen, code.strategy, code.sync_state) == ("包裹卡", 20050, "weighted", "ok")
    assert (guide.staff_id, guide.weight, guide.daily_limit) == (shop.a.pk, 2, 30)
    assert (hours.weekdays, f"{hours.start:%H:%M}", welcome.text) == (
        [1, 2],
        "09:00",
        "你好，{客户昵称|朋友}",
    )

    page = client.get(f"/codes/{code.pk}/").content.decode()
    assert "包裹卡" in page and code.state in page and "你好，{客户昵称|朋友}" in page
    assert client.get(f"/codes/{code.pk}/edit/").status_code == 200
    answer = client.post(f"/codes/{code.pk}/edit/", given(shop, name="海报", lists={"hours": []}))
    assert answer.status_code == 302 and shop.fresh(code).name == "海报"
    assert client.post(f"/codes/{code.pk}/duplicate/").status_code == 302
    assert client.post(f"/codes/{code.pk}/delete/").status_code == 302
    assert client.get(f"/codes/{code.pk}/").status_code == 404
    with in_brand(shop.brand):
        assert ChannelCode.objects.live().get().name == "海报 (2)"
        acts = list(
            AuditEntry.objects.filter(object_type="channelcode")
            .order_by("pk")
            .values_list("action", flat=True)
        )
        assert acts == ["code.create", "code.edit", "code.create", "code.delete"]
        edit = AuditEntry.objects.get(action="code.edit")
        assert (edit.before["name"], edit.after["name"], edit.user_id) == ("包裹卡", "海报", client.user.pk)


@pytest.mark.parametrize(
    "over, words",
    [
        ({"name": ""}, "errors"),
        ({"lists": {"guides": []}}, "Choose at least one guide"),
        ({"lists": {"guides": [{"id": 0, "weight": 0}]}}, None),
        ({"lists": {"welcomes": [{"text": "{名字}"}]}}, "There is no variable"),
        ({"lists": {"welcomes": [{"text": ""}]}}, "write a text"),
        ({"lists": {"welcomes": [{"text": "你" * 1400}]}}, "too long"),
        ({"lists": {"welcomes": [{"text": "好", "start": "09:00"}]}}, "beginning and an end"),
        ({"lists": {"welcomes": [{"text": "好", "attachments": [{"type": "link"}]}]}}, "Attachment 1"),
        (
            {
                "lists": {
                    "welcomes": [
                        {"text": "好", "attachments": [{"type": "link", "title": "t", "url": "x"}] * 10}
                    ]
                }
            },
            "9",
        ),
        ({"lists": {"hours": [{"weekdays": [], "start": "09:00", "end": "10:00"}]}}, "weekday"),
        (
            {"lists": {"hours": [{"weekdays": [1], "start": "late", "end": "10:00"}]}},
            "did not arrive complete",
        ),
        ({"lists": {"guides": "x"}}, "did not arrive complete"),
        ({"remark": "{名字}"}, "There is no variable"),
        ({"cost": "-1"}, "greater than or equal"),
        ({"strategy": "best"}, "valid choice"),
    ],
)
def test_what_cannot_be_saved_says_why(shop: Shop, sign_in: Any, over: dict, words: str | None) -> None:
    client = sign_in(shop.brand, "operator")
    client.cookies["scrm_language"] = "en"
    answer = client.post("/codes/new/", given(shop, **over))
    assert answer.status_code == (422 if words else 404)
    if words and words != "errors":
        assert words in answer.content.decode()
        if "welcomes" not in over.get("lists", {}):
            assert json.dumps("你好").strip('"') in answer.content.decode()  # nothing typed is lost
    with in_brand(shop.brand):
        assert not ChannelCode.objects.exists()


def test_rights(shop: Shop, sign_in: Any) -> None:
    code = shop.make_code()
    manager, guide = sign_in(shop.brand, "manager"), sign_in(shop.brand, "guide")
    for path in ("/codes/", f"/codes/{code.pk}/", f"/codes/{code.pk}/qr.png", "/codes/welcomes/"):
        assert manager.get(path).status_code == 200, path
        assert guide.get(path).status_code == 403, path
    for path in ("/codes/new/", f"/codes/{code.pk}/edit/", "/codes/import/", "/codes/welcomes/new/"):
        assert manager.get(path).status_code == 403, path
    for path in (f"/codes/{code.pk}/delete/", f"/codes/{code.pk}/retry/", "/codes/move/"):
        assert manager.post(path).status_code == 403, path


def test_nothing_of_another_brand(shop: Shop, open_another: Any, sign_in: Any) -> None:
    """Ids of another brand, in addresses and in what the form sends, are as good as missing."""
    other = open_another(name="别家")
    theirs = other.make_code("别家的")
    with in_brand(other.brand):
        tag, welcome = make_tag(other.brand), Welcome.objects.create(text="别家欢迎")
    client = sign_in(shop.brand, "admin")
    for path in ("", "edit/", "state/", "arrivals/", "qr.png"):
        assert client.get(f"/codes/{theirs.pk}/{path}").status_code == 404, path
    for path in ("retry/", "remake/", "delete/", "duplicate/"):
        assert client.post(f"/codes/{theirs.pk}/{path}").status_code == 404, path
    assert client.get(f"/codes/welcomes/{welcome.pk}/").status_code == 404
    assert client.post("/codes/zip/", {"ids": [theirs.pk]}).status_code == 404
    foreign = [
        {"lists": {"guides": [{"id": other.a.pk, "weight": 1}]}},
        {"tags": [tag.pk]},
        {"lists": {"welcomes": [{"text": "好", "guide": other.a.pk}]}},
    ]
    for over in foreign:
        assert client.post("/codes/new/", given(shop, **over)).status_code == 404, over
    assert "别家的" not in client.get("/codes/").content.decode()
    assert other.fresh(theirs).deleted_at is None


def test_list_search_and_filters(shop: Shop, sign_in: Any) -> None:
    shop.make_code("包裹卡", place="包裹")
    shop.make_code("海报", place="南京东路", guides=[shop.b])
    client = sign_in(shop.brand, "operator")

    def names(query: str) -> list[str]:
        page = client.get(f"/codes/?{query}", headers={"HX-Request": "true"}).content.decode()
        return [name for name in ("包裹卡", "海报") if name in page]

    assert names("") == ["包裹卡", "海报"]
    assert names("q=南京") == ["海报"]
    assert names(f"guide={shop.b.pk}") == ["海报"]
    assert names("state=failed") == []


def test_export(shop: Shop, sign_in: Any) -> None:
    shop.make_code("=1+1", place="包裹", cost_fen=12345)
    shop.make_code("海报")
    answer = sign_in(shop.brand, "operator").get("/codes/export.csv?q=包裹")
    text = answer.content.decode("utf-8-sig")
    assert "'=1+1" in text and "123.45" in text and "海报" not in text


def test_the_list_costs_the_same_with_more_rows(shop: Shop, sign_in: Any) -> None:
    client = sign_in(shop.brand, "operator")

    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/codes/").status_code == 200
        return len(captured)

    counts = []
    for n in (2, 20):
        with in_brand(shop.brand):
            for i in range(ChannelCode.objects.count(), n):
                code = ChannelCode.objects.create(
                    corp=shop.corp, name=f"码{i}", state=f"s{i}", sync_state="ok"
                )
                CodeGuide.objects.create(code=code, staff=shop.a)
                make_contact(shop.brand, shop.a)
                Follow.objects.order_by("-pk").first()
        counts.append(statements())
    assert counts[0] == counts[1]


def test_figures(shop: Shop) -> None:
    """Three days ago two came and one left after a day; today one came; the code cost 30 yuan."""
    code = shop.make_code(cost_fen=3000)
    now = clock.now()
    with in_brand(shop.brand):
        for ago, stayed in ((3, None), (3, 1), (0, None), (40, 35)):
            contact = make_contact(shop.brand, shop.a)
            Follow.objects.filter(contact=contact).update(
                channel_code_id=code.pk,
                added_at=now - timedelta(days=ago),
                ended_at=now - timedelta(days=ago) + timedelta(days=stayed) if stayed else None,
            )
        found = figures.of_codes(shop.brand, [code])[code.pk]
        assert (found.n_today, found.n_week, found.n_all, found.n_lost) == (1, 3, 4, 2)
        assert (found.still_ratio, found.fen_per_add) == (0.5, 750)
        kept = {k.days: (k.n, k.n_stayed) for k in figures.retention(shop.brand, code)}
        assert kept == {1: (3, 3), 7: (1, 1), 30: (1, 1)}
        days = figures.by_day(shop.brand, code, 7)
        assert [(n, lost) for _day, n, lost in days][-4:] == [(2, 0), (0, 1), (0, 0), (1, 0)]
        mine = figures.by_guide(shop.brand, code)[shop.a.pk]
        assert (mine.n_week, mine.n_all, mine.n_lost) == (3, 4, 2)


def test_over_the_limit_is_shown(shop: Shop, sign_in: Any) -> None:
    """What came between two rewrites of the list is not hidden."""
    from livecodes.services.content import GuideInput

    code = shop.make_code(guides=[GuideInput(shop.a.pk, daily_limit=1)])
    with in_brand(shop.brand):
        for _ in range(3):
            make_contact(shop.brand, shop.a)
        Follow.objects.update(channel_code_id=code.pk)
    page = sign_in(shop.brand, "operator").get(f"/codes/{code.pk}/").content.decode()
    assert "+2" in page


def test_arrivals_appear_by_polling(shop: Shop, sign_in: Any) -> None:
    code, client = shop.make_code(), sign_in(shop.brand, "operator")
    assert "小明" not in client.get(f"/codes/{code.pk}/arrivals/").content.decode()
    who = shop.arrive(code, name="小明")
    page = client.get(f"/codes/{code.pk}/arrivals/").content.decode()
    assert "小明" in page and "row-new" in page
    seen = client.get(f"/codes/{code.pk}/arrivals/?seen={shop.follow(who).pk}").content.decode()
    assert "小明" in seen and "row-new" not in seen


def test_arrivals_within_the_data_scope(shop: Shop, sign_in: Any) -> None:
    """A store manager sees the code, but not the names of other stores' customers."""
    code = shop.make_code()
    shop.arrive(code, name="小明")
    page = sign_in(shop.brand, "manager").get(f"/codes/{code.pk}/").content.decode()
    assert "小明" not in page


def test_pictures_and_zip(shop: Shop, sign_in: Any) -> None:
    code, client = shop.make_code(), sign_in(shop.brand, "operator")
    answer = client.get(f"/codes/{code.pk}/qr.png?print=1")
    assert "attachment" in answer["Content-Disposition"]
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.width >= 1000
    answer = client.post("/codes/zip/", {"ids": [code.pk]})
    page = client.get(answer["Location"])
    assert page.status_code == 200
    file = client.get(answer["Location"] + "file/")
    assert b"".join(file.streaming_content).startswith(b"PK")  # type: ignore[attr-defined]
    assert client.post("/codes/zip/", {}).status_code == 422


def test_a_refusal_and_its_mending(shop: Shop, sign_in: Any) -> None:
    shop.sandbox.post(
        "faults",
        corpid=shop.corp.corpid,
        api="externalcontact/add_contact_way",
        kind="errcode",
        errcode=48002,
        times=1,
    )
    code, client = shop.make_code(), sign_in(shop.brand, "operator")
    client.cookies["scrm_language"] = "en"
    page = client.get(f"/codes/{code.pk}/").content.decode()
    assert "48002" in page and "WeCom console" in page and "Try again now" in page
    assert client.get(f"/codes/{code.pk}/qr.png").status_code == 409
    assert client.post(f"/codes/{code.pk}/retry/").status_code == 302
    assert shop.fresh(code).sync_state == "ok"


def test_replace_a_guide_in_chosen_codes(shop: Shop, sign_in: Any) -> None:
    one, two = shop.make_code("一"), shop.make_code("二")
    client = sign_in(shop.brand, "operator")
    assert client.get("/codes/move/", {"ids": [one.pk]}).status_code == 200
    answer = client.post("/codes/move/", {"ids": [one.pk], "old": shop.a.pk, "new": ""})
    assert answer.status_code == 422
    answer = client.post("/codes/move/", {"ids": [one.pk], "old": shop.a.pk, "new": shop.b.pk})
    assert answer.status_code == 302
    assert (shop.users(one), shop.users(two)) == ([shop.b.userid], [shop.a.userid])
    client.post("/codes/move/", {"old": shop.a.pk, "new": "out"})  # nobody else is behind it
    assert shop.users(two) == [shop.a.userid]


def test_default_welcomes(shop: Shop, sign_in: Any) -> None:
    client = sign_in(shop.brand, "operator")

    def send(path: str, **over: Any) -> Any:
        row = {"text": "欢迎", "attachments": [], "audience": "all", **over}
        return client.post(path, {"lists": json.dumps({"welcomes": [row]})})

    assert send("/codes/welcomes/new/").status_code == 302
    assert send("/codes/welcomes/new/", guide=shop.a.pk, text="我是甲").status_code == 302
    assert send("/codes/welcomes/new/", text="").status_code == 422
    assert send("/codes/welcomes/new/", department=4711).status_code == 404
    assert client.post("/codes/welcomes/new/", {"lists": "["}).status_code == 422
    with in_brand(shop.brand):
        brand_wide, of_guide = Welcome.objects.order_by("pk")
    page = client.get("/codes/welcomes/").content.decode()
    assert "我是甲" in page and "欢迎" in page
    assert send(f"/codes/welcomes/{brand_wide.pk}/", text="你好").status_code == 302
    assert client.post(f"/codes/welcomes/{of_guide.pk}/delete/").status_code == 302
    with in_brand(shop.brand):
        assert [w.text for w in Welcome.objects.all()] == ["你好"]
        acts = list(
            AuditEntry.objects.filter(object_type="welcome").order_by("pk").values_list("action", flat=True)
        )
        assert acts == ["welcome.create", "welcome.create", "welcome.edit", "welcome.delete"]


def test_import_page(shop: Shop, sign_in: Any) -> None:
    client = sign_in(shop.brand, "operator")
    assert client.get("/codes/import/").status_code == 200
    assert client.get("/codes/import/template.xlsx").content.startswith(b"PK")
    bad = client.post(
        "/codes/import/", {"corp": shop.corp.pk, "file": SimpleUploadedFile("x.csv", b"\x00\x01\x02\x03")}
    )
    assert bad.status_code == 422
    text = f"名称,导购\n包裹卡,{shop.a.userid}\n海报,没人".encode("gbk")
    page = client.post("/codes/import/", {"corp": shop.corp.pk, "file": SimpleUploadedFile("x.csv", text)})
    words = page.content.decode()
    assert "包裹卡" in words and "没人" in words
    token = words.split('name="token" value="')[1].split('"')[0]
    answer = client.post("/codes/import/start/", {"token": token})
    with in_brand(shop.brand):
        job = Job.objects.get()
        code = ChannelCode.objects.get()
    assert answer["Location"] == f"/codes/import/{job.pk}/"
    done = client.get(answer["Location"]).content.decode()
    assert f'value="{code.pk}"' in done  # the ZIP of what was made
    assert client.post("/codes/import/start/", {"token": "gone"}).status_code == 404


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_empty_states_say_what_to_do(brand: Any, sign_in: Any, language: str) -> None:
    client = sign_in(brand, "operator")
    client.cookies["scrm_language"] = language
    page = client.get("/codes/").content.decode()
    assert "/setup/" in page
    with translation.override(language):
        assert client.get("/codes/welcomes/").status_code == 200
        assert client.get("/codes/import/").status_code == 200
    for person, may_connect in ((client, False), (sign_in(brand), True)):
        page = person.get("/codes/new/")
        assert page.status_code == 200 and ("/setup/new/" in page.content.decode()) == may_connect
