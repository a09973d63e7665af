"""The API: shapes, filters, capabilities, other brands."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from campaigns.models import SendTask
from campaigns.services.graphs import graphs
from campaigns.services.sops import enrolments, sops, stepping
from campaigns.services.sops.sops import StepInput
from org.access import RIGHTS, SYSTEM, Actor
from org.services import keys
from scrm import clock
from tests.campaigns.conftest import at
from tests.campaigns.graphs import entry, line, touch
from tests.factories import in_brand, make_contact, make_corp, make_staff

pytestmark = pytest.mark.django_db(transaction=True)


def client_of(brand: Any, *rights: str, name: str = "key") -> Client:
    with in_brand(brand):
        by = Actor("admin", rights=frozenset(RIGHTS))
        _row, key = keys.create_key(brand, name=name, rights=list(rights), by=by)
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
    handed_at, confirmed_at = map(datetime.fromisoformat, (row["handed_at"], row["confirmed_at"]))
    assert confirmed_at == moment and handed_at < confirmed_at
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


def test_states_of_an_sop(brand: Any, other_brand: Any, told: dict) -> None:
    client, url = client_of(brand, "sops.view", "sops.edit"), f"/api/v1/sops/{told['sop'].pk}"
    for act, state in (("pause", "paused"), ("resume", "on"), ("end", "ended")):
        assert client_of(brand, "sops.view").post(f"{url}/{act}/").status_code == 403
        assert client_of(other_brand, "sops.edit").post(f"{url}/{act}/").status_code == 404
        answer = client.post(f"{url}/{act}/")
        assert (answer.status_code, answer.json()["state"]) == (200, state)
        assert client.post(f"{url}/{act}/").status_code == 409
    assert client.get(f"{url}/").json()["n_in"] == 0


def test_versions_and_rehearsals(brand: Any, other_brand: Any, told: dict) -> None:
    client = client_of(brand, "sops.view", "sops.edit")
    with in_brand(brand):
        sop = graphs.create_graph_sop(brand, name="旅程", graph=line(entry(), touch("你好")))
        graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
        graphs.save_draft(brand, sop_id=sop.pk, graph=line(entry(), touch("您好")), by=SYSTEM)
        graphs.publish(brand, sop_id=sop.pk, by=SYSTEM, note="敬语")
    url = f"/api/v1/sops/{sop.pk}"
    rows = client.get(f"{url}/versions/").json()["results"]
    assert [(row["n"], row["note"], row["is_present"]) for row in rows] == [(2, "敬语", True), (1, "", False)]
    one = client.get(f"{url}/versions/1/").json()
    assert one["n"] == 1 and "你好" in str(one["graph"]) and one["summary"]
    job_id = client.post(f"{url}/rehearsals/", {"days": 30}, "application/json").json()["job_id"]
    found = client.get(f"{url}/rehearsals/{job_id}/").json()
    assert (found["state"], found["error"]) == ("done", "") and "calendar" in found["result"]
    for bad in ({"days": 0}, {"days": 367}, {"days": "x"}):
        assert client.post(f"{url}/rehearsals/", bad, "application/json").status_code == 400, bad
    linear = f"/api/v1/sops/{told['sop'].pk}"
    gone = (f"{url}/versions/3/", f"{url}/rehearsals/999999/", f"{linear}/rehearsals/{job_id}/")
    assert [client.get(address).status_code for address in gone] == [404] * 3
    other = client_of(other_brand, "sops.view", "sops.edit")
    for address in (f"{url}/versions/", f"{url}/versions/1/", f"{url}/rehearsals/{job_id}/"):
        assert other.get(address).status_code == 404
    assert other.post(f"{url}/rehearsals/", {}, "application/json").status_code == 404
    reader = client_of(brand, "sops.view")
    assert reader.post(f"{url}/rehearsals/", {}, "application/json").status_code == 403
