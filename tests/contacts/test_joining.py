"""Two records that somebody knows to be one person: by page and API, for whom, and back."""

from typing import Any

import pytest

from contacts.models import Contact, Event, EventType, Follow, Merge, NotSame
from contacts.services.identity import joining, parting
from contacts.services.search import refresh_grams
from org.access import SYSTEM
from org.models import AuditEntry, Store
from scrm.errors import InvalidError, NotFoundError
from tests.contacts.test_api import client_of
from tests.factories import in_brand, make_contact, make_staff, make_user

pytestmark = pytest.mark.django_db(transaction=True)
JSON = {"content_type": "application/json"}
HTMX = {"headers": {"HX-Request": "true"}}


@pytest.fixture
def pair(brand: Any, corp: Any, staff: Any) -> tuple[Contact, Contact]:
    with in_brand(brand):
        rows = make_contact(brand, staff, name="王小美"), make_contact(brand, staff, name="小美妈妈")
        refresh_grams(brand, [row.pk for row in rows])
        return rows


def test_found_joined_and_parted_again(brand: Any, pair: tuple[Contact, Contact], sign_in: Any) -> None:
    older, newer = pair
    client = sign_in(brand, "operator")
    url = f"/contacts/{newer.pk}/join/"
    assert url in client.get(f"/contacts/{newer.pk}/").text
    found = client.get(f"{url}?q=小美", **HTMX)
    assert [one.pk for one in found.context["people"]] == [older.pk]  # not oneself
    refused = client.post(url, {"q": "小美"}, **HTMX)
    assert refused.status_code == 422 and refused.context["error"] and len(refused.context["people"]) == 1
    for _ in range(2):  # what has been parted by mistake can be joined once more
        answer = client.post(url, {"other": older.pk}, **HTMX)
        assert answer["HX-Redirect"] == f"/contacts/{older.pk}/"
        with in_brand(brand):
            assert Contact.objects.get().pk == older.pk and Follow.objects.count() == 1
            merge = Merge.objects.get(parted_at=None)
            assert Event.objects.filter(type=EventType.MERGED, contact_id=older.pk, source="page").exists()
            assert not NotSame.objects.exists()
        page = client.get(f"/contacts/{older.pk}/").text
        assert "小美妈妈" in page and "认定" in page
        assert client.post(f"/contacts/{older.pk}/joined/{merge.pk}/", **HTMX).status_code in (200, 204)
        with in_brand(brand):
            assert set(Contact.objects.values_list("name", flat=True)) == {"王小美", "小美妈妈"}
    with in_brand(brand):
        entries = AuditEntry.objects.filter(action="contact.merge")
        assert [entry.after for entry in entries] == [{"other": newer.pk, "name": "小美妈妈"}] * 2


def test_for_whom(
    brand: Any, corp: Any, other_brand: Any, pair: tuple[Contact, Contact], sign_in: Any
) -> None:
    older, newer = pair
    with in_brand(other_brand):
        stranger = make_contact(other_brand, make_staff(other_brand))
    with in_brand(brand):
        unseen = make_contact(brand, make_staff(brand))
    url = f"/contacts/{newer.pk}/join/"
    operator = sign_in(brand, "operator")
    assert operator.post(url, {"other": stranger.pk}, **HTMX).status_code == 404
    assert operator.post(url, {"other": newer.pk}, **HTMX).status_code == 422
    foreign = sign_in(other_brand, "operator")
    assert foreign.get(url).status_code == foreign.post(url, {"other": stranger.pk}).status_code == 404
    with in_brand(brand):
        store = Store.objects.create(name="旗舰店")
        boss, guide = (make_staff(brand, corp, store=store) for _ in range(2))
        own = make_contact(brand, guide)
    manager = sign_in(brand, user=make_user(brand, "manager", boss))
    url = f"/contacts/{own.pk}/join/"
    assert manager.get(url).status_code == 200
    assert manager.post(url, {"other": unseen.pk}, **HTMX).status_code == 404  # of another store
    with in_brand(brand):
        assert Contact.objects.count() == 4 and not Merge.objects.exists()
        with pytest.raises(InvalidError):
            joining.join(brand, one_id=older.pk, other_id=older.pk, by=SYSTEM)
        with pytest.raises(NotFoundError):
            joining.join(brand, one_id=older.pk, other_id=stranger.pk, by=SYSTEM)


def test_by_api(brand: Any, other_brand: Any, pair: tuple[Contact, Contact]) -> None:
    older, newer = pair
    url = f"/api/v1/contacts/{newer.pk}/merges/"
    given = {"other_id": older.pk}
    reader, writer = client_of(brand, "contacts.view"), client_of(brand, "contacts.view", "contacts.edit")
    foreign = client_of(other_brand, "contacts.view", "contacts.edit")
    assert (
        reader.post(url, given, **JSON).status_code == 403
        and foreign.post(url, given, **JSON).status_code == 404
    )
    for bad, status in (
        ({}, 422),
        ({"other_id": "x"}, 422),
        ({"other_id": newer.pk}, 422),
        ({"other_id": 10**15}, 404),
    ):
        assert writer.post(url, bad, **JSON).status_code in (status, 400), bad
    assert writer.post(url, given, **JSON).json() == {"contact_id": older.pk}
    assert writer.post(url, given, **JSON).status_code == 404  # it has ended
    rows = reader.get(f"/api/v1/contacts/{older.pk}/merges/").json()["results"]
    assert [(row["ended_id"], row["by"]) for row in rows] == [(newer.pk, "hand")]
    with in_brand(brand):
        lost = parting.part(brand, contact_id=older.pk, merge_id=rows[0]["id"], by=SYSTEM)
        assert lost.pk == newer.pk
