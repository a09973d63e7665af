"""Acquisition links against the sandbox: a link does all that a code does; customers, figures, balance, events."""

import time
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Enrolment
from livecodes.models import AcquisitionQuota, ChannelCode, LinkCustomer, LinkDay
from livecodes.services import doors, links, quota, ways
from livecodes.services.codes import create_code, delete_code, edit_code
from livecodes.services.content import CodeInput, GuideInput, WelcomeInput, as_input
from livecodes.services.upkeep import check_ways
from livecodes.tasks import push_code, tick_brand
from org.access import RIGHTS, SYSTEM
from org.models import Staff
from scrm import clock
from tagging.models import ContactTag
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_user
from tests.livecodes.conftest import HELLO, Shop
from tests.livecodes.test_arrival import make_sop, wecom_tag
from tests.wecom.events import post_event
from wecom.client import client_for

pytestmark = pytest.mark.django_db(transaction=True)
EVENT = "customer_acquisition"


def make_link(shop: Shop, name: str = "短信", **over: Any) -> ChannelCode:
    guides = over.pop("guides", [GuideInput(shop.a.pk)])
    given = CodeInput(name=name, guides=guides, welcomes=[WelcomeInput(text=HELLO)], **over)
    with in_brand(shop.brand):
        code = create_code(shop.brand, by=SYSTEM, corp=shop.corp, given=given, kind="link")
    return shop.fresh(code)


def at_wecom(shop: Shop, code: ChannelCode) -> dict[str, Any]:
    token = shop.sandbox.token(shop.corp.corpid)
    body = {"link_id": code.config_id}
    return shop.sandbox.api("externalcontact/customer_acquisition/get", body, access_token=token)


def come(shop: Shop, code: ChannelCode, *, channel: bool = True, **given: Any) -> dict[str, Any]:
    """A customer opens the link and is added; WeCom tells us."""
    about = {"link_id": code.config_id} | ({"customer_channel": code.state} if channel else {})
    who = shop.sandbox.post("scan", corpid=shop.corp.corpid, **about, **given)
    shop.tell(
        "add_external_contact",
        who,
        State=code.state if channel else "",
        WelcomeCode=who["welcome_code"],
    )
    return who


def tell(shop: Shop, change: str, **elements: Any) -> None:
    assert post_event(shop.corp, change, EVENT, at=int(time.time()), **elements).status_code == 200


def test_a_link_is_made_rewritten_and_deleted(shop: Shop) -> None:
    code = make_link(shop, guides=[GuideInput(shop.a.pk), GuideInput(shop.b.pk)])
    assert (code.sync_state, code.kind) == ("ok", "link")
    found = at_wecom(shop, code)
    assert found["link"]["link_name"].startswith("短信·")
    assert found["range"]["user_list"] == code.current_userids
    assert doors.address_of(code) == f"{code.qr_url}?customer_channel={code.state}"
    with in_brand(shop.brand):
        given = as_input(code)
        new = CodeInput(**{**given.__dict__, "name": "短信二", "guides": [GuideInput(shop.b.pk)]})
        edit_code(shop.brand, by=SYSTEM, code_id=code.pk, given=new)
    found = at_wecom(shop, code)
    assert found["link"]["link_name"].startswith("短信二·")
    assert found["range"]["user_list"] == [shop.b.userid]
    with in_brand(shop.brand):
        delete_code(shop.brand, by=SYSTEM, code_id=code.pk)
    assert at_wecom(shop, code)["errcode"] != 0
    assert shop.fresh(code).config_id == ""


def test_an_arrival_through_a_link_gets_what_the_link_orders(shop: Shop) -> None:
    tag, sop = wecom_tag(shop), make_sop(shop)
    code = make_link(shop, tag_ids=[tag.pk], sop_id=sop.pk, remark="{渠道}-{客户昵称}")
    who = come(shop, code, name="小明")
    follow = shop.follow(who)
    assert (follow.channel_code_id, follow.state, follow.remark) == (code.pk, code.state, "短信-小明")
    assert shop.welcomes() == ["你好，小明！我是花间的甲"]
    with in_brand(shop.brand):
        assert ContactTag.objects.get().source == f"channel_code:{code.pk}"
        assert Enrolment.objects.get().sop == sop


def test_guides_take_turns(shop: Shop) -> None:
    code = make_link(shop, guides=[GuideInput(shop.a.pk), GuideInput(shop.b.pk)])
    first = code.current_userids
    come(shop, code)
    assert shop.fresh(code).current_userids != first


@pytest.mark.parametrize("fault", ["drop_after", "html"])
def test_a_lost_answer_makes_no_second_link(shop: Shop, fault: str) -> None:
    api = "externalcontact/customer_acquisition/create_link"
    shop.sandbox.post("faults", kind=fault, api=api, times=1)
    code = make_link(shop)
    assert code.config_id == ""
    with in_brand(shop.brand):
        ChannelCode.objects.filter(pk=code.pk).update(due_at=clock.now())
    push_code.delay(brand_id=shop.brand.pk, code_id=code.pk)
    code = shop.fresh(code)
    assert (code.sync_state, bool(code.config_id)) == ("ok", True)
    assert shop.sandbox.get("state", corpid=shop.corp.corpid)["counts"]["links"] == 1


def test_a_link_that_was_changed_or_deleted_at_wecom(shop: Shop) -> None:
    code = make_link(shop)
    token = shop.sandbox.token(shop.corp.corpid)
    base = "externalcontact/customer_acquisition"
    body = {"link_id": code.config_id, "range": {"user_list": [shop.boss.userid]}}
    shop.sandbox.api(f"{base}/update_link", body, access_token=token)
    with tenant_scope(shop.brand):
        assert check_ways(shop.brand, shop.corp, client_for(shop.corp))["changed"] == 1
    assert at_wecom(shop, code)["range"]["user_list"] == [shop.a.userid]
    shop.sandbox.api(f"{base}/delete_link", {"link_id": code.config_id}, access_token=token)
    tell(shop, "delete_link", LinkId=code.config_id)
    code = shop.fresh(code)
    assert (code.sync_state, code.sync_error) == ("failed", ways.GONE)
    with tenant_scope(shop.brand):
        assert check_ways(shop.brand, shop.corp, client_for(shop.corp))["missing"] == 1
    with in_brand(shop.brand):
        ways.remake(shop.brand, by=SYSTEM, code_id=code.pk)
    assert shop.fresh(code).sync_state == "ok"


def test_an_event_that_is_not_true_changes_nothing(shop: Shop) -> None:
    code = make_link(shop)
    tell(shop, "delete_link", LinkId=code.config_id)
    tell(shop, "delete_link", LinkId="unknown")
    tell(shop, "delete_link")
    assert shop.fresh(code).sync_state == "ok"
    tell(shop, "link_unavailable", LinkId=code.config_id)
    assert (shop.fresh(code).sync_state, shop.fresh(code).sync_error) == ("failed", ways.UNAVAILABLE)
    with in_brand(shop.brand):
        ChannelCode.objects.filter(pk=code.pk).update(due_at=clock.now())
    push_code.delay(brand_id=shop.brand.pk, code_id=code.pk)  # an hour later it is told once more
    assert shop.fresh(code).sync_state == "ok"


def test_customers_of_a_link_with_and_without_our_channel(shop: Shop) -> None:
    code = make_link(shop)
    mine, bare = come(shop, code), come(shop, code, channel=False)
    assert shop.follow(bare).channel_code_id is None
    shop.sandbox.post(
        "say",
        corpid=shop.corp.corpid,
        userid=mine["userid"],
        external_userid=mine["external_userid"],
        text="在吗",
    )
    for _ in range(2):
        with in_brand(shop.brand):
            links.start_sync(shop.brand, corp=shop.corp)
    with in_brand(shop.brand):
        rows = LinkCustomer.objects.order_by("external_userid")
        assert {(r.external_userid, r.state, r.chat) for r in rows} == {
            (mine["external_userid"], code.state, 1),
            (bare["external_userid"], "", 0),
        }
        assert links.figures([code.pk])[code.pk] == {"clicks": 0, "new": 0, "listed": 2, "wrote": 1}
    assert shop.follow(bare).channel_code_id == code.pk
    tell(shop, "customer_start_chat", UserID=bare["userid"], ExternalUserID=bare["external_userid"])
    with in_brand(shop.brand):
        assert links.figures([code.pk])[code.pk]["wrote"] == 2
    with in_brand(shop.brand):
        links.start_sync(shop.brand, corp=shop.corp)
    with in_brand(shop.brand):
        assert LinkCustomer.objects.count() == 2


def test_wecoms_figures_day_by_day(shop: Shop) -> None:
    code = make_link(shop)
    with in_brand(shop.brand):
        ChannelCode.objects.filter(pk=code.pk).update(created_at=clock.now() - timedelta(days=3))
    come(shop, code)
    shop.sandbox.post("clock", offset_s=86_400)
    with clock.at(clock.now() + timedelta(days=1)):
        for _ in range(2):
            with in_brand(shop.brand):
                links.start_sync(shop.brand, corp=shop.corp)
        with in_brand(shop.brand):
            assert links.figures([code.pk])[code.pk]["new"] == 1
            assert LinkDay.objects.count() == 4
            assert len(links.by_day(code)) == 4
    calls = shop.sandbox.calls("externalcontact/customer_acquisition/statistic", corpid=shop.corp.corpid)
    assert len(calls) == 4


# ---- balance


def boss(shop: Shop) -> Staff:
    """Somebody in WeCom who looks after codes."""
    make_user(shop.brand, "operator", staff=shop.boss)
    return shop.boss


def test_the_balance_is_read_and_its_end_is_told_once(shop: Shop) -> None:
    make_link(shop)
    boss(shop)
    tick_brand.delay(brand_id=shop.brand.pk)
    with in_brand(shop.brand):
        row = AcquisitionQuota.objects.get()
        assert (row.balance, row.error, quota.is_short(row)) == (1000, "", False)
    shop.sandbox.post("acquisition_balance", corpid=shop.corp.corpid, balance=15)
    for _ in range(2):
        tell(shop, "balance_low")
    with in_brand(shop.brand):
        row = AcquisitionQuota.objects.get()
        assert (row.balance, quota.is_short(row)) == (15, True)
    assert len([n for n in shop.notices(shop.boss) if "15" in n]) == 1
    shop.sandbox.post("acquisition_balance", corpid=shop.corp.corpid, balance=500)
    tell(shop, "balance_increased")
    shop.sandbox.post("acquisition_balance", corpid=shop.corp.corpid, balance=0)
    tell(shop, "balance_exhausted")
    assert len(shop.notices(shop.boss)) == 2
    tell(shop, "quota_expire_soon", ExpireTime=str(int(time.time()) + 86_400), ExpireQuotaNum="300")
    assert len(shop.notices(shop.boss)) == 3


def test_a_corp_without_the_product_sees_why(shop: Shop) -> None:
    make_link(shop)
    shop.sandbox.post(
        "faults", kind="errcode", errcode=48002, api="externalcontact/customer_acquisition_quota", times=1
    )
    with tenant_scope(shop.brand):
        row = quota.read(shop.brand, shop.corp)
    assert row.error
    assert not quota.is_short(row)


def test_what_expires_soon(shop: Shop) -> None:
    today = clock.now().date()
    with in_brand(shop.brand):
        row = AcquisitionQuota(
            expiring=[{"on": (today + timedelta(days=n)).isoformat(), "n": 10 * n} for n in (3, 10, 40)]
        )
    assert [part["n"] for part in quota.expires_soon(row)] == [30, 100]
    assert all(isinstance(part["on"], date) for part in quota.expires_soon(row))


# ---- pages


def test_pages_of_links(shop: Shop, sign_in: Any) -> None:
    client = sign_in(shop.brand)
    assert "/codes/new/?kind=link" in client.get("/codes/links/").content.decode()
    lists = (
        '{"guides": [{"id": %d, "weight": 1, "limit": null, "standby": false}], "hours": [], "welcomes": []}'
    )
    given = {
        "name": "官网",
        "corp": shop.corp.pk,
        "strategy": "in_turn",
        "skip_verify": "on",
        "lists": lists % shop.a.pk,
    }
    answer = client.post("/codes/new/?kind=link", given)
    assert answer.status_code == 302
    with in_brand(shop.brand):
        code = ChannelCode.objects.get()
        assert code.kind == "link"
    page = client.get(answer["Location"]).content.decode()
    assert doors.address_of(code) in page
    assert "weixin://biz/ww/profile/" in page
    picture = client.get(f"/codes/{code.pk}/qr.png")
    assert (picture.status_code, picture["Content-Type"]) == (200, "image/png")
    assert client.post(f"/codes/{code.pk}/duplicate/").status_code == 302
    with in_brand(shop.brand):
        assert {c.kind for c in ChannelCode.objects.all()} == {"link"}
    assert "官网" in client.get("/codes/?kind=link").content.decode()
    assert "官网" not in client.get("/codes/?kind=code", headers={"HX-Request": "true"}).content.decode()
    assert client.post("/codes/links/read/").status_code == 302
    page = client.get("/codes/links/").content.decode()
    assert "官网" in page
    assert "1,000" in page
    assert client.post(f"/codes/links/alarm/{shop.corp.pk}/", {"alarm_below": "2000"}).status_code == 302
    with in_brand(shop.brand):
        assert AcquisitionQuota.objects.get().alarm_below == 2000
    for bad in ("", "-1", "x", "99999999"):
        assert client.post(f"/codes/links/alarm/{shop.corp.pk}/", {"alarm_below": bad}).status_code == 422


def test_rights_brands_and_statements(shop: Shop, other_brand: Any, sign_in: Any) -> None:
    manager = sign_in(shop.brand, "manager")
    assert manager.get("/codes/links/").status_code == 200
    assert manager.post("/codes/links/read/").status_code == 403
    assert manager.post(f"/codes/links/alarm/{shop.corp.pk}/", {"alarm_below": "1"}).status_code == 403
    other = sign_in(other_brand)
    assert other.post(f"/codes/links/alarm/{shop.corp.pk}/", {"alarm_below": "1"}).status_code == 404
    client = sign_in(shop.brand)
    with in_brand(shop.brand):
        role = Staff.objects.get(user_id=client.user.pk).role
        assert role
        role.rights = [right for right in RIGHTS if right != "codes.view"]
        role.save()
    assert client.get("/codes/links/").status_code == 403
    admin, counts = sign_in(shop.brand, "operator"), []
    for n in (2, 20):
        with in_brand(shop.brand):
            while ChannelCode.objects.count() < n:
                i = ChannelCode.objects.count()
                code = ChannelCode.objects.create(
                    corp=shop.corp,
                    kind="link",
                    name=f"链接{i}",
                    state=f"s{i}",
                    config_id=f"l{i}",
                    qr_url="https://x/ca/1",
                )
                LinkDay.objects.create(code=code, on=clock.now().date(), n_clicks=5, n_new=2)
                LinkCustomer.objects.create(code=code, staff=shop.a, external_userid=f"wm{i}", chat=1)
        admin.get("/codes/links/")
        with CaptureQueriesContext(connection) as captured:
            assert admin.get("/codes/links/").status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]
