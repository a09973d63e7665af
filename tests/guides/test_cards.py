"""Cards of guides: what customers see, who is counted, who may change what, which code they show."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.translation import override

from content.models import TrackedLink, Visit
from content.services import browsers, links, sensitive
from content.services.browsers import Visitor
from guides.models import Card
from guides.services import cards
from livecodes.models import ChannelCode, CodeGuide
from org.access import SYSTEM
from org.models import AuditEntry, Staff
from tests.factories import in_brand, make_contact, make_staff, make_user, role

pytestmark = pytest.mark.django_db(transaction=True)
PHONE = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/120 Mobile Safari/537.36"


def make_code(corp: Any, *guides: Any, **over: Any) -> ChannelCode:
    n = ChannelCode.objects.count()
    given = {
        "corp": corp,
        "name": f"码{n}",
        "state": f"s{n}",
        "sync_state": "ok",
        "qr_url": f"https://qr.example/{n}.png",
    }
    code = ChannelCode.objects.create(**given | over)
    for guide in guides:
        CodeGuide.objects.create(code=code, staff=guide)
    return code


@pytest.fixture
def house(brand: Any, corp: Any, staff: Any) -> SimpleNamespace:
    with in_brand(brand):
        b = make_staff(brand, corp)
        shared = make_code(corp, staff, b)
        own = make_code(corp, staff)
        card = cards.make_card(brand, staff=staff)
    return SimpleNamespace(
        brand=brand, corp=corp, a=staff, b=b, own=own, shared=shared, card=card, key=card.link.key
    )


def test_customers_see_it_through_its_link_and_are_counted(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        cards.edit_card(
            house.brand,
            staff=house.a,
            by=SYSTEM,
            title="首席搭配师",
            words="懂面料\n周末在店 <b>",
            code_id=None,
        )
        contact = make_contact(house.brand, house.a)
    client = Client(headers={"User-Agent": PHONE})
    assert client.get(f"/c/{house.key}/")["Location"] == f"/l/{house.key}/"  # no visit yet: through the link
    visitor = Visitor(browsers.new_visitor().id, contact.pk)
    client.cookies[browsers.cookie_name(house.brand)] = browsers.write_cookie(house.brand, visitor)
    there = client.get(f"/l/{house.key}/")["Location"]
    assert there.startswith(f"/c/{house.key}/?v=")
    page = client.get(there).content.decode()
    assert "首席搭配师" in page and "周末在店 &lt;b&gt;" in page and house.own.qr_url in page
    state = json.loads(page.split('data-state="')[1].split('"')[0].replace("&quot;", '"'))
    assert client.post(state["beat"], json.dumps({"token": state["token"], "seconds": 9, "depth": 80}),
                       content_type="application/json").status_code == 204  # fmt: skip
    with in_brand(house.brand):
        assert Visit.objects.get().contact_id == contact.pk and Visit.objects.get().depth == 80
        assert TrackedLink.objects.get().n_known == 1
    assert client.get(f"/c/{house.key}/?n=1").status_code == 200  # a colleague looks: not counted
    with in_brand(house.brand):
        assert Visit.objects.count() == 1
        outside = links.create_link(house.brand, name="别的", url="https://shop.example.cn/")
    assert client.get("/c/nothing/").status_code == 404
    assert client.get(f"/c/{outside.key}/").status_code == 404
    assert client.get(f"/p/{house.key}/").status_code == 404


def test_who_has_left_has_no_card(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        Staff.objects.filter(pk=house.a.pk).update(state="left")
    assert Client().get(f"/c/{house.key}/?n=1").status_code == 410


def test_the_code_is_ones_own_then_the_chosen_then_a_shared_one(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        assert cards.code_of(house.card) == house.own
        card = cards.edit_card(
            house.brand, staff=house.a, by=SYSTEM, title="", words="", code_id=house.shared.pk
        )
        assert cards.code_of(card) == house.shared
        ChannelCode.objects.filter(pk=house.shared.pk).update(sync_state="failed")
        assert cards.code_of(card) == house.own
        ChannelCode.objects.update(sync_state="failed")
        assert cards.code_of(card) is None
        door = make_code(house.corp, house.a, kind="link", qr_url="https://work.weixin.qq.com/ca/x")
        staff = Staff.objects.select_related("store").get(pk=house.a.pk)
        assert cards.shown(house.brand, card, staff)["door"] == door.qr_url


def test_a_guide_changes_their_own(house: SimpleNamespace, sign_in: Any) -> None:
    client = sign_in(house.brand, user=make_user(house.brand, "guide", staff=house.b))
    page = client.get("/g/card/").content.decode()
    assert house.shared.name in page and house.own.name not in page
    assert (
        client.post("/g/card/", {"title": "顾问", "words": "你好", "code": house.shared.pk}).status_code
        == 302
    )
    for wrong in ({"title": "x" * 41}, {"words": "x" * 301}, {"code": house.own.pk}):
        answer = client.post("/g/card/", {"title": "", "words": "", **wrong})
        assert answer.status_code == 422 and "field-error" in answer.content.decode(), wrong
    assert client.post("/g/card/", {"code": "²"}).status_code == 422
    with in_brand(house.brand):
        sensitive.add_words(house.brand, words=["最便宜"], level="refuse", by=SYSTEM)
    refused = client.post("/g/card/", {"title": "", "words": "我家最便宜"})
    assert refused.status_code == 422 and "最便宜" in refused.content.decode()
    with in_brand(house.brand):
        card = Card.objects.get(staff=house.b)
        assert (card.title, card.words) == ("顾问", "你好")
        assert AuditEntry.objects.filter(action="card.edit").count() == 1
    assert "/g/card/" in client.get("/g/me/").content.decode()
    assert client.get("/cards/").status_code == 403 and client.post("/cards/make/").status_code == 403


def test_looking_makes_nothing(house: SimpleNamespace, sign_in: Any) -> None:
    guide = sign_in(house.brand, user=make_user(house.brand, "guide", staff=house.b))
    operator = sign_in(house.brand, "operator")

    def kept() -> tuple[int, int, int]:
        with in_brand(house.brand):
            return Card.objects.count(), TrackedLink.objects.count(), AuditEntry.objects.count()

    before = kept()
    page = guide.get("/g/card/").content.decode()
    assert house.b.name in page and 'name="make"' in page and "data-copy" not in page
    modal = operator.get(f"/cards/{house.b.pk}/").content.decode()
    assert house.b.name in modal and house.shared.name in modal
    assert kept() == before
    for _ in range(2):  # a double tap
        assert guide.post("/g/card/", {"make": "1"}).status_code == 302
    assert kept()[:2] == (before[0] + 1, before[1] + 1)
    with in_brand(house.brand):
        key = Card.objects.get(staff=house.b).link.key
    page = guide.get("/g/card/").content.decode()
    assert f"/l/{key}/" in page and 'name="make"' not in page


def test_cards_for_all_are_made_as_a_set(house: SimpleNamespace) -> None:
    def made(n: int) -> int:
        with in_brand(house.brand):
            guides = [make_staff(house.brand, house.corp) for _ in range(n)]
            with CaptureQueriesContext(connection) as counted:
                assert cards.make_cards(house.brand, staff=boss, by=SYSTEM) == n
            assert cards.make_cards(house.brand, staff=boss, by=SYSTEM) == 0
            for guide in guides:
                card = Card.objects.select_related("link").get(staff=guide)
                assert guide.name in card.link.name and cards.by_link(card.link_id) == (card, guide)
        return len(counted)

    with in_brand(house.brand):
        boss = make_staff(house.brand, role=role(house.brand))
        cards.make_cards(house.brand, staff=boss, by=SYSTEM)
    assert made(2) == made(20)
    with in_brand(house.brand):
        keys = list(TrackedLink.objects.values_list("key", flat=True))
    assert len(set(keys)) == 24
    assert Client().get(f"/c/{keys[-1]}/?n=1").status_code == 200


def test_nul_in_cards_is_left_out(house: SimpleNamespace, sign_in: Any) -> None:
    client = sign_in(house.brand, "operator")
    assert client.post(f"/cards/{house.b.pk}/", {"title": "店\x00长", "words": "您\x00好"}).status_code == 302
    style = {"words": "欢迎\x00光临", "invitation": "长按\x00加我", "color": "#aa3355"}
    assert client.post("/cards/style/", style).status_code == 302
    with in_brand(house.brand):
        card, common = Card.objects.get(staff=house.b), cards.style_of()
        assert (card.title, card.words) == ("店长", "您好")
        assert (common.words, common.invitation) == ("欢迎光临", "长按加我")


def test_what_customers_see_of_a_card_is_in_the_brands_language(house: SimpleNamespace) -> None:
    with in_brand(house.brand), override("en"):
        staff = Staff.objects.select_related("store").get(pk=house.a.pk)
        assert "名片" in cards.attachment(house.brand, house.card, staff)["title"]
        assert "名片" in cards.make_card(house.brand, staff=house.b).link.name


def test_the_admin_and_two_brands(house: SimpleNamespace, other_brand: Any, sign_in: Any) -> None:
    client = sign_in(house.brand, "operator")
    assert house.b.name in client.get("/cards/").content.decode()
    client.post("/cards/make/")
    client.post("/cards/make/")
    with in_brand(house.brand):
        assert Card.objects.count() == 2
    edit = f"/cards/{house.b.pk}/"
    assert client.get(edit).status_code == 200
    assert client.post(edit, {"title": "店长", "words": ""}).status_code == 302
    assert client.post(edit, {"title": "x" * 41}).status_code == 422
    style = {"words": "欢迎光临", "invitation": "长按加我", "color": "#aa3355"}
    assert client.get("/cards/style/").status_code == 200
    assert client.post("/cards/style/", style).status_code == 302
    for wrong in ({"color": "red;}"}, {"words": "x" * 301}, {"invitation": "x" * 61}):
        assert client.post("/cards/style/", style | wrong).status_code == 422, wrong
    with in_brand(house.brand):
        key = Card.objects.get(staff=house.b).link.key
    page = Client().get(f"/c/{key}/?n=1").content.decode()
    assert "欢迎光临" in page and "长按加我" in page and "#aa3355" in page and "店长" in page
    for path in ("/links/", f"/links/{house.card.link_id}/", f"/links/{house.card.link_id}/edit/"):
        assert client.get(path).status_code == 200, path
    client.post(f"/links/{house.card.link_id}/edit/", {"name": "改名", "asks_who": "on"})
    # as many as guides: beside the links that people have made
    shown = [
        f"/links/{house.card.link_id}/" in client.get(f"/links/{q}").content.decode()
        for q in ("", "?state=pages")
    ]
    assert shown == [False, True]
    with in_brand(house.brand):
        assert TrackedLink.objects.get(pk=house.card.link_id).name == "改名"
    theirs = sign_in(other_brand)
    assert theirs.get(edit).status_code == 404 and house.b.name not in theirs.get("/cards/").content.decode()
    with in_brand(house.brand):
        reader = make_user(house.brand, "manager")
    manager = sign_in(house.brand, user=reader)
    assert manager.get("/cards/").status_code == 200 and manager.get(edit).status_code == 403


def test_sent_from_the_sidebar_it_says_whose_it_is(house: SimpleNamespace, sign_in: Any) -> None:
    with in_brand(house.brand):
        mine = make_contact(house.brand, house.a)
        Staff.objects.filter(pk=house.a.pk).update(avatar="https://pic.example/a.jpg", position="导购")
        house.a.refresh_from_db()
    client = sign_in(house.brand, user=make_user(house.brand, "guide", staff=house.a))
    made = client.post(f"/g/customers/{mine.pk}/prepare/", {"card": "1"}).json()
    [message] = made["messages"]
    assert message["msgtype"] == "news" and message["news"]["imgUrl"] == "https://pic.example/a.jpg"
    assert f"/l/{house.key}/" in message["news"]["link"] and house.a.name in message["news"]["title"]
    there = Client(headers={"User-Agent": PHONE}).get(message["news"]["link"].split("testserver")[-1])
    assert there["Location"].startswith(f"/c/{house.key}/")
    with in_brand(house.brand):
        assert Visit.objects.get().staff_id == house.a.pk


def test_query_count(house: SimpleNamespace, sign_in: Any) -> None:
    client = sign_in(house.brand)

    def queries(n: int) -> int:
        with in_brand(house.brand):
            for _ in range(n):
                guide = make_staff(house.brand, house.corp)
                make_code(house.corp, guide)
                cards.make_card(house.brand, staff=guide)
        client.get("/cards/")
        with CaptureQueriesContext(connection) as counted:
            assert client.get("/cards/").status_code == 200
        return len(counted)

    assert queries(2) == queries(18)
