"""REST API of reminders."""

from datetime import timedelta
from typing import Any

import pytest

from contacts.models import Event, EventType
from scrm import clock
from tests.contacts.test_api import client_of
from tests.factories import in_brand, make_contact, make_corp, make_staff

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/v1/reminders/"
JSON = {"content_type": "application/json"}


def test_reminders(brand: Any, other_brand: Any, staff: Any) -> None:
    with in_brand(brand):
        contact, other = make_contact(brand, staff), make_contact(brand, staff)
    api = client_of(brand, "contacts.view", "contacts.edit")
    soon = clock.now() + timedelta(days=1)
    body = {"contact_id": contact.pk, "staff_id": staff.pk, "text": "回访 尺码", "due_at": soon.isoformat()}
    made = api.post(PATH, body, **JSON)
    assert made.status_code == 201, made.content
    one = f"{PATH}{made.json()['id']}/"
    assert api.get(one).json()["text"] == "回访 尺码"
    api.post(
        PATH, {**body, "contact_id": other.pk, "due_at": (soon - timedelta(hours=1)).isoformat()}, **JSON
    )
    listed = api.get(PATH).json()["results"]
    assert [row["contact_id"] for row in listed] == [other.pk, contact.pk]
    assert [
        row["id"] for row in api.get(f"{PATH}?contact={contact.pk}&staff={staff.pk}").json()["results"]
    ] == [made.json()["id"]]
    for bad, field in (
        ({"contact_id": 10**12}, "contact_id"),
        ({"staff_id": 10**12}, "staff_id"),
        ({"text": " "}, "text"),
        ({"text": "x" * 201}, "text"),
        ({"due_at": "2020-01-01T00:00:00Z"}, "due_at"),
        ({"due_at": "soon"}, "due_at"),
    ):
        answer = api.post(PATH, {**body, **bad}, **JSON)
        assert answer.status_code in (400, 422) and field in answer.json()["error"]["fields"], bad
    later = (soon + timedelta(days=1)).isoformat()
    assert api.patch(one, {"due_at": later}, **JSON).status_code == 200
    assert api.patch(one, {"due_at": "2020-01-01T00:00:00Z"}, **JSON).status_code == 422
    for _ in range(2):
        assert api.post(f"{one}done/").json()["done_by"] == "api: key"
    assert [row["id"] for row in api.get(f"{PATH}?state=done").json()["results"]] == [made.json()["id"]]
    with in_brand(brand):
        event = Event.objects.get(type=EventType.REMINDER_DONE)
        assert (event.contact_id, event.source) == (contact.pk, "api")
    assert api.post(f"{one}reopen/").json()["done_at"] is None
    for bad in ("?state=x", "?staff=x", "?guide=1"):
        assert api.get(PATH + bad).status_code == 422

    viewer = client_of(brand, "contacts.view")
    assert viewer.post(PATH, body, **JSON).status_code == viewer.delete(one).status_code == 403
    stranger = client_of(other_brand, "contacts.view", "contacts.edit")
    with in_brand(other_brand):
        theirs = make_staff(other_brand, make_corp(other_brand))
    assert stranger.get(PATH).json()["results"] == []
    for answer in (
        stranger.get(one), stranger.delete(one), stranger.post(f"{one}done/"), stranger.post(f"{one}reopen/"),
        stranger.patch(one, {"due_at": later}, **JSON),
    ):  # fmt: skip
        assert answer.status_code == 404
    assert stranger.post(PATH, {**body, "staff_id": theirs.pk}, **JSON).status_code == 422
    assert api.delete(one).status_code == 204 and api.get(one).status_code == 404
