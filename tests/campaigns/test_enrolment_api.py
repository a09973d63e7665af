"""The API of who is in an SOP: its people by pages, taking them out, the SOPs of one person."""

from typing import Any

import pytest
from django.test import Client

from campaigns.models import Enrolment, Sop
from campaigns.services.sops import enrolments
from org.models import AuditEntry
from scrm import clock
from tests.campaigns.test_services import make_sop
from tests.contacts.test_api import client_of
from tests.factories import in_brand, make_contact

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sop(brand: Any, staff: Any) -> tuple[Sop, list[int]]:
    """An SOP that is on, with three people in it."""
    with in_brand(brand):
        made = make_sop(brand, (30, 9))
        people = [make_contact(brand, staff) for _ in range(3)]
        for one in people:
            enrolments.enrol(brand, contact=one, sop=made, at=clock.now(), source="page")
    return made, [one.pk for one in people]


def take_out(client: Client, sop: Sop, ids: Any) -> Any:
    url = f"/api/v1/sops/{sop.pk}/take-out/"
    return client.post(url, {"contact_ids": ids}, content_type="application/json")


def test_people_of_an_sop(brand: Any, sop: Any) -> None:
    made, people = sop
    client, url = client_of(brand, "sops.view"), f"/api/v1/sops/{made.pk}/people/"
    first = client.get(url, {"limit": 2}).json()
    second = client.get(url, {"limit": 2, "after": first["next"]}).json()
    rows = first["results"] + second["results"]
    assert [row["contact_id"] for row in rows] == people[::-1] and second["next"] == ""
    assert rows[0]["source"] == "page" and rows[0]["ended_at"] is None and rows[0]["end_kind"] == ""
    assert [r["id"] for r in client.get(url, {"contact": people[1]}).json()["results"]] == [rows[1]["id"]]
    assert client.get(url, {"show": "left"}).json()["results"] == []
    assert client.get(url, {"show": "x"}).status_code == 422
    assert client.get("/api/v1/sops/999/people/").status_code == 404


def test_taking_out_is_safe_to_repeat(brand: Any, sop: Any) -> None:
    made, people = sop
    client = client_of(brand, "sops.view", "sops.edit")
    assert take_out(client, made, [*people[:2], 999]).json() == {"n": 2, "not_in": [999]}
    assert take_out(client, made, people[:2]).json() == {"n": 0, "not_in": people[:2]}
    with in_brand(brand):
        assert Enrolment.objects.get(ended_at=None).contact_id == people[2]
        assert [row.after for row in AuditEntry.objects.filter(action="sop.take_out")] == [{"n": 2}]
    mine = f"/api/v1/contacts/{people[0]}/sops/"
    assert client.get(mine).json()["results"] == []
    [row] = client.get(mine, {"show": "left"}).json()["results"]
    assert (row["sop_id"], row["end_kind"], row["next_run_at"]) == (made.pk, "removed", None)
    assert client.get(mine, {"show": "all"}).json()["results"] == [row]
    left = client.get(f"/api/v1/sops/{made.pk}/people/", {"show": "left"}).json()["results"]
    assert {one["contact_id"] for one in left} == set(people[:2])


def test_what_is_refused(brand: Any, other_brand: Any, sop: Any) -> None:
    made, people = sop
    assert take_out(client_of(brand, "sops.view"), made, people).status_code == 403
    client = client_of(brand, "sops.edit")
    for wrong in ([], [0], ["x"], "x", list(range(1, 1_002)), None):
        assert take_out(client, made, wrong).status_code == 400, wrong
    stranger = client_of(other_brand, "sops.view", "sops.edit")
    assert take_out(stranger, made, people).status_code == 404
    assert stranger.get(f"/api/v1/contacts/{people[0]}/sops/").status_code == 404
    with in_brand(other_brand):
        theirs = Sop.objects.create(name="S", state=Sop.State.ON)
    assert take_out(stranger, theirs, people).json() == {"n": 0, "not_in": people}
    with in_brand(brand):
        assert Enrolment.objects.filter(ended_at=None).count() == 3
