"""The 360° page: what is shown to whom, the timeline in sentences, notes, tags, the switch."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contacts.identities import masked
from contacts.models import Contact, Event, EventType, Follow, Identity
from contacts.sentences import SENTENCES, lines
from contacts.services.identity.identity import resolve
from contacts.services.timeline import record_event, record_events
from org.models import AuditEntry, Staff
from scrm import clock
from tagging.models import ContactTag
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_staff, make_tag

HTMX = {"headers": {"HX-Request": "true"}}


@pytest.fixture
def contact(brand: Any, staff: Any) -> Contact:
    with in_brand(brand):
        return make_contact(brand, staff, name="王小明")


def test_every_type_has_a_sentence_that_can_be_said(brand: Any, contact: Contact) -> None:
    assert set(SENTENCES) == set(EventType)
    with in_brand(brand):
        bare = [Event(type=t, at=clock.now(), contact_id=contact.pk) for t in EventType]
        full = [
            Event(
                type=t,
                at=clock.now(),
                contact_id=contact.pk,
                source="callback",
                data={
                    "tag": "金卡",
                    "before": "a",
                    "after": "b",
                    "sop": "新客",
                    "by": "我",
                    "name": "x",
                    "value": True,
                    "reason": "capped",
                    "end": "done",
                    "text": "你好",
                    "why": "channel_code:7",
                    "unionid": "u",
                },
            )
            for t in EventType
        ]
        for line in lines(bare + full):
            assert line.text and "%(" not in line.text


def test_page_shows_what_is_known(brand: Any, contact: Contact, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        tag = make_tag(brand, "金卡")
        add_tags(brand, contacts=[contact], tags=[tag], source="page", by_staff=staff)
        Follow.objects.update(remark="老客户", state="门店A", add_way=1)
        Identity.objects.create(contact=contact, kind="phone", value="13800138000")
        record_event(
            brand,
            contact_id=contact.pk,
            type=EventType.REMARKED,
            at=clock.now(),
            data={"before": "<b>", "after": "x"},
        )
    text = sign_in(brand, "operator").get(f"/contacts/{contact.pk}/").text
    for part in ("王小明", "金卡", "老客户", "门店A", "138****8000", staff.name, "&lt;b&gt;"):
        assert part in text
    assert "<b>" not in text.split('class="timeline"')[1]


def test_phone_numbers_are_whole_with_the_right_only(brand: Any, contact: Contact, sign_in: Any) -> None:
    with in_brand(brand):
        Identity.objects.create(contact=contact, kind="phone", value="13800138000")
        Identity.objects.create(contact=contact, kind="unionid", value="u1234567890")
    text = sign_in(brand, "operator").get(f"/contacts/{contact.pk}/").text  # may edit, not read phone numbers
    assert "13800138000" not in text and "138****8000" in text and "u1234567890" in text
    assert "13800138000" in sign_in(brand, "admin").get(f"/contacts/{contact.pk}/").text


def test_identities_are_masked_without_the_right(brand: Any, contact: Contact, sign_in: Any) -> None:
    client = sign_in(brand, "manager")
    with in_brand(brand):
        Identity.objects.create(contact=contact, kind="phone", value="13800138000")
        Identity.objects.create(contact=contact, kind="unionid", value="o1234567890abc")
        staff = Staff.objects.select_related("role").get(user_id=client.user.pk)
        staff.role.rights, staff.role.scope = ["contacts.view"], "brand"
        staff.role.save()
    text = client.get(f"/contacts/{contact.pk}/").text
    assert "13800138000" not in text and "138****8000" in text
    assert "o1234567890abc" not in text and "o12•••••abc" in text
    for url in ("notes/", "do-not-contact/", "tags/", "tags/1/remove/"):
        assert client.post(f"/contacts/{contact.pk}/{url}").status_code == 403
    assert masked("ab") == "•••••" and masked("abcd") == "a•••••d"


def test_timeline_pages_filters_and_news(brand: Any, contact: Contact, sign_in: Any) -> None:
    now = clock.now()
    with in_brand(brand):
        rows: list[Any] = [
            {
                "contact_id": contact.pk,
                "type": EventType.NOTE,
                "at": now - timedelta(days=n),
                "data": {"text": f"第{n}条"},
            }
            for n in range(70)
        ]
        rows.append({"contact_id": contact.pk, "type": EventType.TAGGED, "at": now, "data": {"tag": "金卡"}})
        record_events(brand, rows)
    client = sign_in(brand, "operator")
    url = f"/contacts/{contact.pk}/timeline/"
    seen: list[str] = []
    after = ""
    while True:
        page = client.get(f"{url}?kind=notes&after={after}", **HTMX)
        seen += [line.detail for line in page.context["lines"]]
        after = page.context["page"].next
        if not after:
            break
    assert seen == [f"第{n}条" for n in range(70)]
    assert client.get(url + "?kind=bad").status_code == 422
    newest = client.get(url).context["newest"]
    assert client.get(f"{url}?newer={newest}").status_code == 204
    with in_brand(brand):
        record_event(brand, contact_id=contact.pk, type=EventType.NOTE, at=now, data={"text": "新的"})
    head = client.get(f"{url}?newer={newest}")
    assert "新的" in head.text and "row-new" in head.text and head.context["newest"] > newest
    assert client.get(f"{url}?kind=tags&newer={newest}").status_code == 204
    assert client.get(f"{url}?newer=x").status_code == 404


def test_notes(brand: Any, contact: Contact, sign_in: Any) -> None:
    client = sign_in(brand, "guide", staff=None)
    with in_brand(brand):
        staff = Staff.objects.get(user_id=client.user.pk)
        Follow.objects.filter(contact=contact).update(staff=staff)
    url = f"/contacts/{contact.pk}/notes/"
    assert client.post(url, {"text": " "}).status_code == 422
    assert client.post(url, {"text": "长" * 501}).status_code == 422
    response = client.post(url, {"text": "要一份<样品>"})
    assert response.status_code == 200 and "timelineChanged" in response["HX-Trigger"]
    with in_brand(brand):
        event = Event.objects.get(type=EventType.NOTE)
        assert (event.data["text"], event.staff_id) == ("要一份<样品>", staff.pk)
    assert "要一份&lt;样品&gt;" in client.get(f"/contacts/{contact.pk}/").text


def test_the_switch(brand: Any, contact: Contact, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    url = f"/contacts/{contact.pk}/do-not-contact/"
    for value, n in (("1", 1), ("1", 1), ("0", 2)):
        assert client.post(url, {"value": value}).status_code == 200
        with in_brand(brand):
            assert Contact.objects.get().do_not_contact is (value == "1")
            assert Event.objects.filter(type=EventType.DO_NOT_CONTACT).count() == n
            assert AuditEntry.objects.filter(action="contact.do_not_contact").count() == n


def test_tags_inline(brand: Any, other_brand: Any, contact: Contact, sign_in: Any) -> None:
    with in_brand(other_brand):
        foreign = make_tag(other_brand)
    with in_brand(brand):
        tags = [make_tag(brand) for _ in range(3)]
        add_tags(brand, contacts=[contact], tags=tags[:2], source="page")
    client = sign_in(brand, "operator")
    url = f"/contacts/{contact.pk}/tags/"
    assert client.get(url).text.count("checked") == 2
    response = client.post(url, {"tags": [tags[1].pk, tags[2].pk]})
    assert response.status_code == 200 and "closeModal" in response["HX-Trigger"]
    client.post(f"{url}{tags[1].pk}/remove/")
    assert client.post(f"{url}{foreign.pk}/remove/").status_code == 422
    assert client.post(url, {"tags": [tags[2].pk, foreign.pk]}).status_code == 422
    with in_brand(brand):
        assert [row.tag_id for row in ContactTag.objects.all()] == [tags[2].pk]
    client.post(url)  # none ticked
    with in_brand(brand):
        assert not ContactTag.objects.exists()


def test_an_archived_tag_stays_where_it_is_carried(brand: Any, contact: Contact, sign_in: Any) -> None:
    with in_brand(brand):
        old, idle = (make_tag(brand, archived_at=clock.now()) for _ in range(2))
        new = make_tag(brand)
        add_tags(brand, contacts=[contact], tags=[old], source="page")
    client = sign_in(brand, "operator")
    url = f"/contacts/{contact.pk}/tags/"
    page = client.get(url)
    offered = {tag["id"] for group in page.context["groups"] for tag in group["tags"]}
    assert offered == {old.pk, new.pk} and idle.pk not in offered and page.text.count("checked") == 1
    client.post(url, {"tags": [*page.context["has"] & offered, new.pk]})  # what is ticked, and one more
    with in_brand(brand):
        assert set(ContactTag.objects.values_list("tag_id", flat=True)) == {old.pk, new.pk}
    for odd in ("x", "²", "9" * 30):
        assert client.post(url, {"tags": [odd]}).status_code == 422, odd


def test_address_of_a_joined_record(
    brand: Any, other_brand: Any, corp: Any, contact: Contact, sign_in: Any
) -> None:
    with in_brand(brand):
        other = make_contact(brand, make_staff(brand, corp))
        for each in (contact, other):
            resolve(brand, contact=each, unionid="u1")
    response = sign_in(brand, "operator").get(f"/contacts/{other.pk}/")
    assert response.status_code == 302 and response["Location"] == f"/contacts/{contact.pk}/"
    assert sign_in(other_brand).get(f"/contacts/{other.pk}/").status_code == 404


def test_queries_do_not_grow_with_the_story(brand: Any, corp: Any, contact: Contact, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    counts = []
    for n in (2, 20):
        with in_brand(brand):
            for _ in range(n):
                guide = make_staff(brand, corp)
                Follow.objects.create(
                    contact=contact,
                    staff=guide,
                    corp=corp,
                    external_userid="x",
                    added_at=clock.now(),
                    channel_code_id=n,
                )
                record_event(
                    brand,
                    contact_id=contact.pk,
                    type=EventType.ADDED,
                    at=clock.now(),
                    staff_id=guide.pk,
                    object_id=n,
                )
            add_tags(
                brand,
                contacts=[contact],
                tags=[make_tag(brand) for _ in range(n)],
                source=f"channel_code:{n}",
            )
        with CaptureQueriesContext(connection) as seen:
            assert client.get(f"/contacts/{contact.pk}/").status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1] and counts[1] < 45, counts
