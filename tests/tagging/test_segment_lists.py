"""Lists as segments: made of a file or pasted lines, changed the same way, one person taken off."""

from typing import Any

import pytest

from contacts.models import Follow, Identity
from contacts.services.identity.identity import note_identities
from org.access import SYSTEM
from org.models import AuditEntry
from tagging.models import Segment
from tagging.services.segments import audience, segments, snapshots
from tests.factories import in_brand, make_contact, make_staff, make_user

pytestmark = pytest.mark.django_db

TEXT = "手机号\n13800000000\n138 0000 0001\n13800000002\n13800000003\nabc\n"


@pytest.fixture
def people(brand: Any, corp: Any) -> list[Any]:
    """Three customers with phones; the last one is of another guide."""
    with in_brand(brand):
        guide = make_staff(brand, corp)
        found = [
            make_contact(brand, guide),
            make_contact(brand, guide),
            make_contact(brand, make_staff(brand, corp)),
        ]
        for n, contact in enumerate(found):
            note_identities(brand, contact, Identity.Kind.PHONE, [f"1380000000{n}"])
        return found


def members(brand: Any, segment: Segment) -> list[int]:
    with in_brand(brand):
        return audience.ids(brand, snapshots.condition_of(segment))


def test_a_list_from_a_file_and_its_changes(
    brand: Any, other_brand: Any, people: list[Any], sign_in: Any
) -> None:
    client = sign_in(brand, "operator")
    assert client.get("/segments/list/").status_code == 200
    for wrong in ({}, {"pasted": "手机号\n"}):
        assert client.post("/segments/list/", wrong).status_code == 422
    page = client.post("/segments/list/", {"pasted": TEXT})
    found = page.context["found"]
    assert (len(found.contact_ids), len(found.unknown), len(found.bad)) == (3, 1, 1)
    for name in ("", "长" * 61):
        refused = client.post("/segments/list/make/", {"token": found.token, "name": name})
        assert refused.status_code == 422 and refused.context["errors"]["name"]
    made = client.post("/segments/list/make/", {"token": found.token, "name": "贵宾", "note": "线下会"})
    assert made.status_code == 302
    with in_brand(brand):
        segment = Segment.objects.get(name="贵宾")
        assert (segment.kind, segment.n, segment.note) == ("list", 3, "线下会")
        assert AuditEntry.objects.get(action="segment.create").after["list"].startswith("file:")
    assert members(brand, segment) == [c.pk for c in people]
    # once only
    assert client.post("/segments/list/make/", {"token": found.token, "name": "又一份"}).status_code == 404
    # the same name: said at its field, and nothing is lost
    again = client.post("/segments/list/", {"pasted": TEXT}).context["found"]
    refused = client.post("/segments/list/make/", {"token": again.token, "name": "贵宾"})
    assert refused.status_code == 422 and "贵宾" in refused.text and refused.context["errors"]["name"]

    base = f"/segments/{segment.pk}/"
    shown = client.get(base).content.decode()
    assert f"{base}list/" in shown and f"{base}list/drop/" in shown
    some = client.post(f"{base}list/", {"pasted": "13800000001"}).context["found"]
    assert client.post(f"{base}list/save/", {"token": some.token, "way": "x"}).status_code == 404
    assert client.post(f"{base}list/save/", {"token": some.token, "way": "remove"}).status_code == 302
    assert members(brand, segment) == [people[0].pk, people[2].pk]
    with in_brand(brand):
        assert (
            AuditEntry.objects.filter(action="segment.members").latest("pk").after["list"]
            == f"file:{some.name}"
        )
    some = client.post(f"{base}list/", {"pasted": "13800000001"}).context["found"]
    assert client.post(f"{base}list/save/", {"token": some.token, "way": "add"}).status_code == 302
    assert client.post(f"{base}list/drop/", {"contact": people[0].pk}).status_code == 200
    assert members(brand, segment) == [people[1].pk, people[2].pk]
    assert client.post(f"{base}list/drop/", {"contact": "x"}).status_code == 404
    nobody = client.post(f"{base}list/", {"pasted": "13911111111"}).context["found"]
    assert client.post(f"{base}list/save/", {"token": nobody.token, "way": "add"}).status_code == 422

    stranger = sign_in(other_brand)
    assert stranger.post("/segments/list/make/", {"token": nobody.token, "name": "x"}).status_code == 404
    for path in ("list/", "list/save/", "list/drop/"):
        assert stranger.post(f"{base}{path}", {"contact": people[1].pk}).status_code == 404
        assert sign_in(brand, "guide").post(f"{base}{path}").status_code == 403


def test_a_segment_by_conditions_is_no_list(brand: Any, people: list[Any], sign_in: Any) -> None:
    with in_brand(brand):
        made = segments.create_segment(brand, by=SYSTEM, name="全部", condition={"kind": "everybody"})
    client, base = sign_in(brand, "operator"), f"/segments/{made.pk}/"
    assert f"{base}list/" not in client.get(base).content.decode()
    assert client.get(f"{base}list/").status_code == 409
    assert client.post(f"{base}list/drop/", {"contact": people[0].pk}).status_code == 409


def test_whoever_sees_some_customers_puts_only_these_on_a_list(
    brand: Any, corp: Any, people: list[Any], sign_in: Any
) -> None:
    with in_brand(brand):
        guide = Follow.objects.get(contact=people[0]).staff
        user = make_user(brand, "guide", guide)
        guide.role.rights = [*guide.role.rights, "segments.edit", "segments.view"]
        guide.role.save(update_fields=["rights"])
    client = sign_in(brand, user=user)
    found = client.post("/segments/list/", {"pasted": TEXT}).context["found"]
    assert (len(found.contact_ids), found.hidden) == (2, 1)
