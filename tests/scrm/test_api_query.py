"""A parameter that an address of the API does not know is refused: a misspelled filter never means everybody."""

from typing import Any

import pytest

from org.access import RIGHTS
from tests.contacts.test_api import client_of
from tests.scrm.test_urls import addresses

pytestmark = pytest.mark.django_db(transaction=True)


def test_no_address_takes_what_it_does_not_know(brand: Any) -> None:
    client, asked = client_of(brand, *RIGHTS), 0
    for address in addresses():
        if address.access != "api" or "get" not in getattr(address.view, "actions", {"get": ""}):
            continue
        answer = client.get(address.path, {"satte": "on"})
        assert answer.status_code == 422, (address.path, answer.status_code)
        error = answer.json()["error"]
        assert error["code"] == "unknown_parameter" and list(error["fields"]) == ["satte"], address.path
        asked += 1
    assert asked > 60


def test_what_is_declared_is_taken(brand: Any) -> None:
    client = client_of(brand, *RIGHTS)
    for path in (
        "contacts/?limit=5&tag=1",
        "orders/?state=paid&placed_after=2026-01-01T00:00:00Z",
        "touches/",
    ):
        assert client.get(f"/api/v1/{path}").status_code == 200
    assert client.get("/api/v1/contacts/?limit=5&tags=1").status_code == 422


def test_rights_come_first(brand: Any) -> None:
    assert client_of(brand, "contacts.view").get("/api/v1/orders/?x=1").status_code == 403
