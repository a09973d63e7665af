"""REST API of channel codes and acquisition links against the sandbox."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from livecodes.models import ChannelCode
from org.access import RIGHTS, Actor
from org.models import AuditEntry
from org.services import keys
from tests.factories import in_brand, make_corp, make_staff
from tests.livecodes.conftest import Shop
from tests.livecodes.test_arrival import make_sop, wecom_tag
from tests.livecodes.test_links import at_wecom, come, make_link

pytestmark = pytest.mark.django_db(transaction=True)
CODES, LINKS = "/api/v1/channel-codes/", "/api/v1/acquisition-links/"
JSON = {"content_type": "application/json"}


def client_of(brand: Any, *rights: str) -> Client:
    with in_brand(brand):
        by = Actor("admin", rights=frozenset(RIGHTS))
        whole = keys.create_key(brand, name="till", rights=list(rights), by=by)[1]
    return Client(headers={"authorization": f"Bearer {whole}"})


def row_of(shop: Shop, code_id: int) -> ChannelCode:
    with in_brand(shop.brand):
        return ChannelCode.objects.get(pk=code_id)


@pytest.fixture
def api(shop: Shop) -> Client:
    return client_of(shop.brand, "codes.view", "codes.edit", "contacts.view")


def test_a_code_from_making_to_its_end(shop: Shop, api: Client) -> None:
    tag, sop = wecom_tag(shop), make_sop(shop)
    body = {
        "name": "包裹卡", "place": "包裹", "strategy": "weighted", "cost_fen": 20_050, "remark": "{渠道}",
        "tag_ids": [tag.pk], "sop_id": sop.pk, "store_id": None, "owner_id": shop.boss.pk,
        "guides": [{"staff_id": shop.a.pk, "weight": 2, "daily_limit": 30}],
        "hours": [{"weekdays": days, "start": "00:00", "end": "23:59"} for days in ([2, 1], [3, 4, 5, 6, 7])],
        "welcomes": [{"text": "你好，{客户昵称|朋友}"}, {"text": "欢迎回来", "audience": "returning"}],
    }  # fmt: skip
    made = api.post(CODES, body, **JSON)
    assert made.status_code == 201, made.content
    path = f"{CODES}{made.json()['id']}/"
    code = api.get(path).json()
    assert (code["sync_state"], code["current_userids"], code["corpid"]) == (
        "ok", [shop.a.userid], shop.corp.corpid,
    )  # fmt: skip
    assert code["qr_url"] and not code["address"] and code["wecom"] is None
    assert [(w["text"], w["audience"]) for w in code["welcomes"]] == [
        ("你好，{客户昵称|朋友}", "all"), ("欢迎回来", "returning"),
    ]  # fmt: skip
    assert code["hours"][0] == {"weekdays": [1, 2], "start": "00:00:00", "end": "23:59:00", "staff_id": None}
    assert (code["tag_ids"], code["sop_id"], code["guides"][0]["daily_limit"]) == ([tag.pk], sop.pk, 30)

    changed = api.patch(path, {"guides": [{"staff_id": shop.b.pk}]}, **JSON).json()
    assert [g["staff_id"] for g in changed["guides"]] == [shop.b.pk]
    assert (changed["tag_ids"], len(changed["welcomes"]), changed["name"]) == ([tag.pk], 2, "包裹卡")
    assert api.get(path).json()["current_userids"] == [shop.b.userid]

    row = row_of(shop, code["id"])
    shop.arrive(row)
    report = api.get(f"{path}figures/?days=7").json()
    assert (report["figures"]["n_today"], report["figures"]["fen_per_add"]) == (1, 20_050)
    assert (len(report["by_day"]), report["by_day"][-1]["n_added"]) == (7, 1)
    assert [g["staff_id"] for g in report["guides"]] == [shop.b.pk]
    assert [k["days"] for k in report["kept"]] == [1, 7, 30]
    for bad in ("0", "91", "x"):
        assert api.get(f"{path}figures/?days={bad}").status_code == 422

    assert api.post(f"{path}retry/").status_code == 200
    assert api.post(f"{path}remake/").status_code == 409  # the printed one works
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == api.delete(path).status_code == 404
    assert shop.fresh(row).config_id == ""
    with in_brand(shop.brand):
        acts = AuditEntry.objects.filter(actor="api: till").order_by("pk").values_list("action", flat=True)
        assert list(acts) == ["code.create", "code.edit", "code.retry", "code.delete"]


def test_what_cannot_be_is_refused_at_its_field(shop: Shop, api: Client) -> None:
    good = {"name": "货架", "guides": [{"staff_id": shop.a.pk}]}
    far = 10**12
    for bad, field in (
        ({"guides": []}, "guides"),
        ({"guides": [{"staff_id": far}]}, "guides"),
        ({"guides": [{"staff_id": shop.a.pk}, {"staff_id": shop.a.pk}]}, "guides"),
        ({"guides": [{"staff_id": shop.a.pk, "weight": 1000}]}, "guides"),
        ({"guides": [{"staff_id": 10**30}]}, "guides"),
        ({"tag_ids": [far]}, "tag_ids"),
        ({"sop_id": far}, "sop_id"),
        ({"store_id": far}, "store_id"),
        ({"owner_id": far}, "owner_id"),
        ({"strategy": "by luck"}, "strategy"),
        ({"name": ""}, "name"),
        ({"cost_fen": -1}, "cost_fen"),
        ({"cost_fen": 10**13}, "cost_fen"),
        ({"remark": "{没有}"}, "remark"),
        ({"corpid": "ww-none"}, "corpid"),
        ({"hours": [{"weekdays": [8], "start": "09:00", "end": "18:00"}]}, "hours"),
        ({"hours": [{"weekdays": [1], "start": "09:00", "end": "18:00", "staff_id": shop.b.pk}]}, "hours"),
        ({"welcomes": [{"text": ""}]}, "welcomes"),
        ({"welcomes": [{"text": "{没有}"}]}, "welcomes"),
        ({"welcomes": [{"text": "x", "content_id": 1}]}, "welcomes"),
        ({"welcomes": [{"content_id": far}]}, "welcomes"),
        ({"welcomes": [{"text": "x", "staff_id": far}]}, "welcomes"),
        ({"welcomes": [{"attachments": [{"type": "image", "file_id": far}]}]}, "welcomes"),
    ):
        answer = api.post(CODES, {**good, **bad}, **JSON)
        assert answer.status_code in (400, 422), (bad, answer.content)
        wrong = {name.partition(".")[0] for name in answer.json()["error"]["fields"]}
        assert field in wrong, (bad, answer.content)
    assert api.get(CODES).json()["results"] == []
    made = api.post(CODES, good, **JSON).json()
    assert api.post(CODES, good, **JSON).json()["error"]["fields"].keys() == {"name"}
    path = f"{CODES}{made['id']}/"
    assert api.patch(path, {"corpid": shop.corp.corpid}, **JSON).status_code == 422
    assert api.patch(path, {"guides": []}, **JSON).status_code in (400, 422)
    with in_brand(shop.brand):
        make_corp(shop.brand)
    answer = api.post(CODES, {**good, "name": "两家"}, **JSON)
    assert answer.json()["error"]["fields"].keys() == {"corpid"}
    assert api.post(CODES, {**good, "name": "两家", "corpid": shop.corp.corpid}, **JSON).status_code == 201


def test_lists_filters_and_pages(shop: Shop, api: Client) -> None:
    shop.make_code("包裹卡", guides=[shop.a])
    shop.make_code("收银台", guides=[shop.b], place="一店")
    make_link(shop, "短信")
    names = lambda query="": [row["name"] for row in api.get(CODES + query).json()["results"]]  # noqa: E731
    assert names() == ["收银台", "包裹卡"]
    assert names(f"?guide={shop.a.pk}") == ["包裹卡"]
    assert names("?q=一店") == ["收银台"]
    assert names("?sync_state=failed") == []
    for bad in ("?sync_state=x", "?guide=x", "?name=x", "?after=x"):
        assert api.get(CODES + bad).status_code == 422
    counts = []
    for n in (2, 20):
        with in_brand(shop.brand):
            while ChannelCode.objects.filter(kind="code").count() < n:
                i = ChannelCode.objects.count()
                ChannelCode.objects.create(corp=shop.corp, name=f"码{i}", state=f"s{i}")
        api.get(CODES)
        with CaptureQueriesContext(connection) as captured:
            api.get(CODES)
        counts.append(len(captured))
    assert counts[0] == counts[1]
    with in_brand(shop.brand):
        ChannelCode.objects.bulk_create(
            ChannelCode(corp=shop.corp, name=f"页{i}", state=f"p{i}") for i in range(60)
        )
    seen, after = [], ""
    while True:
        page = api.get(CODES, {"after": after} if after else {}).json()
        seen += [row["id"] for row in page["results"]]
        if not (after := page["next"]):
            break
    assert len(seen) == len(set(seen)) == 80


def test_links_with_their_customers_and_balance(shop: Shop, api: Client) -> None:
    made = api.post(LINKS, {"name": "短信", "guides": [{"staff_id": shop.a.pk}]}, **JSON)
    assert made.status_code == 201
    path = f"{LINKS}{made.json()['id']}/"
    link = api.get(path).json()
    row = row_of(shop, link["id"])
    assert link["address"] == f"{row.qr_url}?customer_channel={row.state}" and not link["qr_url"]
    assert at_wecom(shop, row)["link"]["link_name"].startswith("短信·")
    people = [come(shop, row), come(shop, row, channel=False)]
    assert api.post(f"{LINKS}read/").status_code == 202
    page = api.get(f"{path}customers/").json()
    assert {one["external_userid"] for one in page["results"]} == {who["external_userid"] for who in people}
    assert {one["contact_id"] for one in page["results"]} == {shop.follow(who).contact_id for who in people}
    assert {one["chat"] for one in page["results"]} <= {"silent", "unknown"}
    assert api.get(path).json()["wecom"]["n_customers"] == 2
    assert api.get(f"{path}figures/").json()["wecom"]["n_wrote"] == 0
    (left,) = api.get(f"{LINKS}quota/").json()["results"]
    assert (left["corpid"], left["error"]) == (shop.corp.corpid, "")
    assert left["balance"] < 1000
    changed = api.patch(path, {"name": "短信二", "guides": [{"staff_id": shop.b.pk}]}, **JSON)
    assert changed.status_code == 200
    assert at_wecom(shop, row)["range"]["user_list"] == [shop.b.userid]
    assert api.get(f"{CODES}{row.pk}/").status_code == 404  # a link is no QR code
    assert api.delete(f"{CODES}{row.pk}/").status_code == 404
    assert api.delete(path).status_code == 204
    assert at_wecom(shop, row)["errcode"] != 0


def test_rights_and_brands(shop: Shop, other_brand: Any) -> None:
    code, link = shop.make_code(), make_link(shop)
    viewer, stranger = (
        client_of(shop.brand, "codes.view"),
        client_of(other_brand, "codes.view", "codes.edit", "contacts.view"),
    )
    paths = [f"{CODES}{code.pk}/", f"{LINKS}{link.pk}/"]
    for path in paths:
        assert viewer.get(path).status_code == viewer.get(f"{path}figures/").status_code == 200
        for act in (viewer.patch(path, {}, **JSON), viewer.delete(path), viewer.post(f"{path}retry/")):
            assert act.status_code == 403
        for act in (
            stranger.get(path), stranger.get(f"{path}figures/"), stranger.patch(path, {"name": "x"}, **JSON),
            stranger.delete(path), stranger.post(f"{path}retry/"), stranger.post(f"{path}remake/"),
        ):  # fmt: skip
            assert act.status_code == 404
    assert viewer.get(f"{LINKS}{link.pk}/customers/").status_code == 403  # names customers
    assert stranger.get(f"{LINKS}{link.pk}/customers/").status_code == 404
    assert stranger.get(CODES).json()["results"] == stranger.get(LINKS).json()["results"] == []
    assert stranger.get(f"{LINKS}quota/").json()["results"] == []
    with in_brand(other_brand):
        corp = make_corp(other_brand)
        theirs = make_staff(other_brand, corp)
    body = {"name": "x", "guides": [{"staff_id": shop.a.pk}, {"staff_id": theirs.pk}]}
    answer = stranger.post(CODES, body, **JSON)
    assert answer.status_code == 422 and str(shop.a.pk) in answer.json()["error"]["fields"]["guides"][0]
