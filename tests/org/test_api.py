"""The API of staff and stores: the ids that other addresses take."""

from typing import Any

import pytest

from org.models import Staff, Store
from tests.contacts.test_api import client_of
from tests.factories import in_brand, make_staff

pytestmark = pytest.mark.django_db(transaction=True)


def test_staff_and_stores(brand: Any, other_brand: Any, corp: Any) -> None:
    with in_brand(brand):
        store = Store.objects.create(name="西湖店", code="S01")
        one = make_staff(brand, corp, name="甲", store=store)
        gone = make_staff(brand, corp, name="乙", state=Staff.State.LEFT)
        office = Staff.objects.create(name="总部")  # only in the dashboard
    client = client_of(brand, "staff.view")

    def ids(**query: Any) -> list[int]:
        return [row["id"] for row in client.get("/api/v1/staff/", query).json()["results"]]

    assert ids() == [one.pk, gone.pk, office.pk]
    assert ids(guides="1") == [one.pk] and ids(state="left") == [gone.pk] and ids(store=store.pk) == [one.pk]
    assert ids(userid=one.userid.upper()) == [one.pk] and ids(userid="") == []
    row = client.get(f"/api/v1/staff/{one.pk}/").json()
    assert (row["name"], row["corpid"], row["store_id"], row["is_guide"]) == (
        "甲",
        corp.corpid,
        store.pk,
        True,
    )
    assert client.get(f"/api/v1/staff/{office.pk}/").json()["corpid"] == ""
    assert client.get("/api/v1/stores/", {"code": "S01"}).json()["results"] == [
        {"id": store.pk, "name": "西湖店", "code": "S01", "region_id": None}
    ]
    assert client.get("/api/v1/stores/", {"code": ""}).json()["results"] == []
    for wrong in ({"guides": "yes"}, {"state": "x"}, {"store": "x"}):
        assert client.get("/api/v1/staff/", wrong).status_code == 422, wrong
    assert client_of(brand, "contacts.view").get("/api/v1/staff/").status_code == 403
    stranger = client_of(other_brand, "staff.view")
    assert stranger.get(f"/api/v1/staff/{one.pk}/").status_code == 404
    assert one.pk not in [row["id"] for row in stranger.get("/api/v1/staff/").json()["results"]]
