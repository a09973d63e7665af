"""The API: shapes, filters, capabilities, other brands."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from campaigns.models import SendTask
from campaigns.services import enrolments, sops, stepping
from campaigns.services.sops import StepInput
from org.access import RIGHTS, SYSTEM, Actor
from org.services import keys
from scrm import clock
from tests.campaigns.conftest import at
from tests.factories import in_brand, make_contact, make_corp, make_staff

pytestmark = pytest.mark.django_db(transaction=True)


def client_of(brand: Any, *rights: str) -> Client:
    with in_brand(brand):
        by = Actor("admin", rights=frozenset(RIGHTS))
        _row, key = keys.create_key(brand, name="key", rights=list(rights), by=by)
    return Client(headers={"authorization": f"Bearer {key}"})


@pytest.fixture
def told(brand: Any) -> dict[str, Any]:
    with in_brand(brand):
        staff = make_staff(brand, make_corp(brand))
        sop = sops.create_sop(
            brand, name="S", steps=[StepInput(1, 10, 0, "x"), StepInput(2, 10, 0, "y")], by=SYSTEM
        )
        sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
        contacts = [make_contact(brand, staff) for _ in range(120)]
        enrolments.enrol_many(
            brand, sop=sop, contact_ids=[c.pk for c in contacts], source="page", at=at("2026-11-01 15:00")
        )
        with clock.at(at("2026-11-02 10:00")):
            stepping.run(brand, at("2026-11-02 10:00"))
    return {"sop": sop, "contacts": contacts}


def test_touches(brand: Any, other_brand: Any, told: dict) -> None:
    client, contact = client_of(brand, "sops.view"), told["contacts"][3]
    found = client.get(f"/api/v1/touches/?contact={contact.pk}").json()
    [touch] = found["results"]
    assert (touch["kind"], touch["state"], touch["reason"], touch["sop_id"]) == (
        "sop",
        "planned",
        "",
        told["sop"].pk,
    )
    assert found["next"] == ""
    first = client.get("/api/v1/touches/").json()
    second = client.get("/api/v1/touches/", {"after": first["next"]}).json()
    ids = [t["id"] for t in (*first["results"], *second["results"])]
    assert (len(first["results"]), len(ids), len(set(ids)), second["next"]) == (100, 120, 120, "")
    assert client.get("/api/v1/touches/?state=delivered").json()["results"] == []
    for bad, status in (
        ("contact=x", 422),
        ("contact=١", 422),  # a digit, but not of an id
        ("sop=", 422),
        ("state=nonsense", 422),
        ("after=zzz", 422),
        ("contact=999999999", 404),
        ("sop=9999999", 404),
    ):
        assert client.get(f"/api/v1/touches/?{bad}").status_code == status, bad
    other = client_of(other_brand, "sops.view")
    assert other.get(f"/api/v1/touches/?contact={contact.pk}").status_code == 404
    assert other.get("/api/v1/touches/").json()["results"] == []
    assert client_of(brand, "contacts.view").get("/api/v1/touches/").status_code == 403
    assert Client().get("/api/v1/touches/").status_code == 401


def test_sops(brand: Any, other_brand: Any, told: dict) -> None:
    client = client_of(brand, "sops.view")
    [sop] = client.get("/api/v1/sops/").json()["results"]
    assert (sop["name"], sop["state"], sop["n_in"], sop["n_waiting"]) == ("S", "on", 120, 120)
    assert [(s["day"], s["time"]) for s in sop["steps"]] == [(1, "10:00"), (2, "10:00")]
    assert client.get(f"/api/v1/sops/{sop['id']}/").json() == sop
    assert client_of(other_brand, "sops.view").get(f"/api/v1/sops/{sop['id']}/").status_code == 404
    assert client.get("/api/v1/sops/x/").status_code == 404
    assert client.post("/api/v1/sops/", {}).status_code == 403


def test_send_tasks(brand: Any, other_brand: Any, told: dict) -> None:
    client, moment = client_of(brand, "sops.view"), at("2026-11-02 11:00")
    with in_brand(brand):
        task = SendTask.objects.get()
        SendTask.objects.update(
            state="handed",
            msgid="m1",
            called_at=at("2026-11-02 10:01"),
            confirmed_at=moment,
            n_failed=2,
            error="x",
        )
    [row] = client.get("/api/v1/send-tasks/").json()["results"]
    assert (row["state"], row["staff_id"], row["msgid"], row["n"], row["n_failed"], row["error"]) == (
        "handed", task.staff_id, "m1", 120, 2, "x",
    )  # fmt: skip
    assert datetime.fromisoformat(row["confirmed_at"]) == moment and row["handed_at"] < row["confirmed_at"]
    for asked, n in (
        (f"sop={told['sop'].pk}", 1), (f"guide={task.staff_id}", 1), ("state=handed", 1), ("state=planned", 0),
    ):  # fmt: skip
        assert len(client.get(f"/api/v1/send-tasks/?{asked}").json()["results"]) == n, asked
    for bad, status in (
        ("state=x", 422), ("sop=x", 422), ("after=zzz", 422), ("guide=9999999", 404), ("broadcast=9999999", 404),
    ):  # fmt: skip
        assert client.get(f"/api/v1/send-tasks/?{bad}").status_code == status, bad
    touch = client.get(f"/api/v1/touches/?contact={told['contacts'][3].pk}").json()["results"][0]
    assert (touch["send_task_id"], touch["content_id"], touch["error"]) == (task.pk, None, "")
    assert touch["state"] == "planned" and datetime.fromisoformat(touch["confirmed_at"]) == moment
    other = client_of(other_brand, "sops.view")
    assert other.get("/api/v1/send-tasks/").json()["results"] == []
    assert other.get(f"/api/v1/send-tasks/?sop={told['sop'].pk}").status_code == 404
    assert client_of(brand, "contacts.view").get("/api/v1/send-tasks/").status_code == 403
