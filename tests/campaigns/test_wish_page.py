"""The page on which customers say what they want to hear: who may say it for whom, and what comes of it."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from campaigns.models import Refusal, Touch
from campaigns.services.governance import gate, policy, wish_page
from contacts.models import Contact, Event, EventType
from content.models import TrackedLink, Visit
from content.services import browsers, cards, links
from content.services.browsers import Visitor
from org.access import SYSTEM
from org.models import AuditEntry
from scrm import clock
from tests.factories import in_brand, make_contact, make_staff

pytestmark = pytest.mark.django_db(transaction=True)
PHONE = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/120 Mobile Safari/537.36"
SOP, BROADCAST = int(Touch.Kind.SOP), int(Touch.Kind.BROADCAST)


@pytest.fixture
def house(brand: Any, corp: Any) -> SimpleNamespace:
    with in_brand(brand):
        guide = make_staff(brand, corp)
        people = [make_contact(brand, guide, name=name) for name in ("林小满", "周大川")]
        link = wish_page.make(brand, by=SYSTEM)
    return SimpleNamespace(brand=brand, people=people, link=link, key=link.key)


def phone_of(house: SimpleNamespace, contact: Contact | None) -> Client:
    """A browser that WeCom has named, or not."""
    client = Client(headers={"User-Agent": PHONE})
    visitor = Visitor(browsers.new_visitor().id, contact.pk if contact else None)
    client.cookies[browsers.cookie_name(house.brand)] = browsers.write_cookie(house.brand, visitor)
    return client


def open_page(client: Client, key: str) -> tuple[str, str]:
    """(page, token of the visit), through the link."""
    there = client.get(f"/l/{key}/")["Location"]
    assert there.startswith(f"/w/{key}/?v=")
    return client.get(there).content.decode(), there.partition("?v=")[2]


def refused(house: SimpleNamespace, contact: Contact) -> dict[int, Any]:
    with in_brand(house.brand):
        return gate.ask(house.brand, [contact.pk], clock.now(), kind=Touch.Kind.BROADCAST)


def test_a_customer_says_it_and_it_holds(house: SimpleNamespace, sign_in: Any) -> None:
    mine, other = house.people
    client = phone_of(house, mine)
    page, token = open_page(client, house.key)
    assert (
        page.count(" checked") == 2 and "新品与活动" in page
    )  # everything is welcome until they say otherwise
    url = f"/w/{house.key}/save/"
    saved = client.post(url, {"token": token, "wanted": [SOP]})
    assert saved["Location"] == f"/w/{house.key}/?v={token}&saved=1"
    assert "已记下" in client.get(saved["Location"]).content.decode()
    assert list(refused(house, mine).values()) == [Touch.Reason.REFUSED_KIND] and not refused(house, other)
    for _twice in range(2):
        client.post(url, {"token": token, "nothing": "on"})
    assert list(refused(house, mine).values()) == [Touch.Reason.DO_NOT_CONTACT]
    with in_brand(house.brand):
        [event] = Event.objects.filter(type=EventType.DO_NOT_CONTACT)
        assert (event.contact_id, event.source, event.data["by"]) == (mine.pk, "customer", "客户本人")
        rows = Refusal.objects.order_by("kind").values_list("kind", "contact_id", "source", "by")
        assert list(rows) == [(kind, mine.pk, "customer", "客户本人") for kind in sorted((SOP, BROADCAST))]
        assert AuditEntry.objects.filter(action="contact.refusal").count() == 2
    listed = sign_in(house.brand, "operator").get("/settings/touch/wishes/").content.decode()
    assert "林小满" in listed and "客户本人" in listed and f"/l/{house.key}/" in listed
    everything = {"token": token, "wanted": [SOP, BROADCAST, 999, "x"]}
    client.post(url, everything)  # a form from before does not take back what it has not shown
    assert list(refused(house, mine).values()) == [Touch.Reason.DO_NOT_CONTACT]
    shown = client.get(f"/w/{house.key}/?v={token}").content.decode()
    assert shown.count('name="was_refused"') == 2 and shown.count('name="was_nothing"') == 1
    client.post(url, {**everything, "was_refused": [SOP, BROADCAST], "was_nothing": "1"})  # and back
    assert not refused(house, mine)
    with in_brand(house.brand):
        assert not Refusal.objects.exists() and not Contact.objects.filter(do_not_contact=True).exists()


def test_nobody_says_it_for_somebody_else(house: SimpleNamespace, other_brand: Any) -> None:
    mine, other = house.people
    _page, token = open_page(phone_of(house, mine), house.key)
    stranger, friend, bare = (
        phone_of(house, None),
        phone_of(house, other),
        Client(headers={"User-Agent": PHONE}),
    )
    for client in (stranger, friend, bare):  # the address was passed on
        answer = client.post(f"/w/{house.key}/save/", {"token": token, "nothing": "on"})
        assert answer["Location"] == f"/l/{house.key}/"
    assert friend.get(f"/w/{house.key}/?v={token}").status_code == 302  # to a visit of their own
    assert "<form" not in bare.get(f"/w/{house.key}/?v={token}").content.decode()
    page, own = open_page(stranger, house.key)
    assert "<form" not in page and "微信" in page
    assert stranger.post(f"/w/{house.key}/save/", {"token": own})["Location"] == f"/l/{house.key}/"
    with in_brand(house.brand):
        away = links.create_link(house.brand, name="别的", url="https://shop.example.cn/")
    with in_brand(other_brand):
        theirs = wish_page.make(other_brand, by=SYSTEM)
    for key in (away.key, "nothing"):
        assert bare.get(f"/w/{key}/").status_code == bare.post(f"/w/{key}/save/").status_code == 404
    client = phone_of(house, mine)
    assert (
        client.post(f"/w/{theirs.key}/save/", {"token": token, "nothing": "on"})["Location"]
        == f"/l/{theirs.key}/"
    )
    assert client.post(f"/w/{house.key}/save/", {"token": "x" * 6_000}).status_code == 429
    with in_brand(house.brand):
        assert not Refusal.objects.exists() and not Contact.objects.filter(do_not_contact=True).exists()


def test_who_was_joined_with_somebody_begins_anew(house: SimpleNamespace) -> None:
    mine, _other = house.people
    client = phone_of(house, mine)
    _page, token = open_page(client, house.key)
    with in_brand(house.brand):
        Visit.objects.all().delete()
        Contact.objects.filter(pk=mine.pk).delete()
    assert client.post(f"/w/{house.key}/save/", {"token": token})["Location"] == f"/l/{house.key}/"


def test_it_is_made_once_and_can_be_put_into_messages(brand: Any, other_brand: Any, sign_in: Any) -> None:
    url, page = "/settings/touch/wishes/page/", "/settings/touch/wishes/"
    assert sign_in(brand, "operator").post(url).status_code == 403
    client = sign_in(brand, "admin")
    assert url in client.get(page).content.decode()
    for _twice in range(2):
        assert client.post(url).status_code == 302
    with in_brand(brand):
        [link] = TrackedLink.objects.all()
        assert (link.page, link.name) == ("wishes", "消息偏好")
        [row] = cards.search(brand)
        assert row["card"]["url"] == links.address_of(link) and row["card"]["title"] == "消息偏好"
        assert cards.get_card(brand, link.pk)["card"]["type"] == "link"
        policy.set_refusal(
            brand, contact_id=make_contact(brand).pk, kind=Touch.Kind.SOP, refused=True, by=SYSTEM
        )
    shown = client.get(page).content.decode()
    assert links.address_of(link) in shown and url not in shown
    assert "消息偏好" in client.get("/links/").content.decode()
    assert "消息偏好" in client.get(f"/links/{link.pk}/").content.decode()
    with in_brand(other_brand):
        assert wish_page.link_of() is None
