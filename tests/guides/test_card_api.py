"""REST API of guides' cards."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from content.services import sensitive
from org.access import SYSTEM
from org.models import AuditEntry
from tests.contacts.test_api import client_of
from tests.factories import in_brand, make_staff
from tests.guides.test_cards import house

__all__ = ["house"]
pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/v1/cards/"
JSON = {"content_type": "application/json"}


def test_cards(house: SimpleNamespace, other_brand: Any) -> None:
    api = client_of(house.brand, "content.view", "content.edit")
    a, b = f"{PATH}{house.a.pk}/", f"{PATH}{house.b.pk}/"
    assert api.get(a).json()["address"].endswith(f"/l/{house.key}/")
    assert api.get(b).json()["address"] == ""
    for _ in range(2):
        assert api.post(b).json()["address"]
    assert {row["staff_id"] for row in api.get(PATH).json()["results"]} == {house.a.pk, house.b.pk}
    assert api.patch(a, {"title": "首席搭配师", "code_id": house.own.pk}, **JSON).status_code == 200
    changed = api.patch(a, {"words": "懂面料"}, **JSON).json()
    assert (changed["title"], changed["words"], changed["code_id"]) == ("首席搭配师", "懂面料", house.own.pk)
    with in_brand(house.brand):
        assert AuditEntry.objects.filter(action="card.edit", actor="api: key").count() == 2
        sensitive.add_words(house.brand, words=["最便宜"], level="refuse", by=SYSTEM)
    for bad in ({"title": "x" * 41}, {"code_id": 10**12}, {"code_id": "x"}, {"words": "最便宜"}):
        assert api.patch(a, bad, **JSON).status_code in (400, 422), bad
    style = f"{PATH}style/"
    assert api.patch(style, {"color": "#123456"}, **JSON).json()["color"] == "#123456"
    assert api.get(style).json() == {"words": "", "invitation": "", "color": "#123456"}
    assert api.patch(style, {"color": "red"}, **JSON).status_code == 422

    viewer, stranger = (
        client_of(house.brand, "content.view"),
        client_of(other_brand, "content.view", "content.edit"),
    )
    assert viewer.patch(a, {}, **JSON).status_code == viewer.patch(style, {}, **JSON).status_code == 403
    assert stranger.get(PATH).json()["results"] == []
    for answer in (stranger.get(a), stranger.post(a), stranger.patch(a, {"title": "x"}, **JSON)):
        assert answer.status_code == 404
    assert stranger.get(style).json()["color"] != "#123456"
    counts = []
    for n in (2, 20):
        with in_brand(house.brand):
            for _ in range(n - 2):
                make_staff(house.brand, house.corp)
        api.get(PATH)
        with CaptureQueriesContext(connection) as seen:
            api.get(PATH)
        counts.append(len(seen))
    assert counts[0] == counts[1]
