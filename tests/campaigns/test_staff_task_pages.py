"""Tasks in the dashboard and through the API: list, batches, figures; scope, brands, query counts."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from campaigns.models import StaffTask
from campaigns.services.tasks import staff_task_batches, staff_task_numbers, staff_tasks, task_policy
from campaigns.services.tasks.staff_tasks import TaskInput
from campaigns.views import staff_tasks_new
from contacts.models import Identity
from org.access import SYSTEM, Actor
from org.models import AuditEntry, Job, Staff, Store
from org.services import keys
from scrm import clock
from tagging.services.segments import segments
from tests.factories import in_brand, make_contact, make_staff, make_tag

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def give(brand: Any, staff: Any, contact: Any = None, key: str = "k", **over: Any) -> int:
    row = {"kind": "call", "title": "打电话", "due_at": clock.now() + DAY, **over}
    contact_id = contact.pk if contact else None
    [pk] = staff_tasks.add_tasks(
        brand, [TaskInput(staff_id=staff.pk, contact_id=contact_id, key=key, **row)], source="page"
    )
    return pk


def test_list_and_acts(brand: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand, staff)
        task_id = give(brand, staff, contact)
    client = sign_in(brand, "operator")
    page = client.get("/tasks/").content.decode()
    assert "打电话" in page and contact.name in page and staff.name in page
    assert "打电话" in client.get(f"/contacts/{contact.pk}/").content.decode()
    assert client.get(f"/tasks/{task_id}/done/").status_code == 200
    answer = client.post(f"/tasks/{task_id}/done/", {"result": "周六来"}, headers={"HX-Request": "true"})
    assert answer.status_code == 204 and f"/tasks/{task_id}/reopen/" in answer["HX-Trigger"]
    with in_brand(brand):
        assert StaffTask.objects.get().result == "周六来"
    assert "周六来" in client.get("/tasks/?show=done").content.decode()
    client.post(f"/tasks/{task_id}/reopen/")
    client.post(f"/tasks/{task_id}/cancel/")
    with in_brand(brand):
        assert StaffTask.objects.get().state == "cancelled"
        assert AuditEntry.objects.filter(action="task.cancel").count() == 1
    client.post(f"/tasks/{task_id}/restore/")
    with in_brand(brand):
        assert StaffTask.objects.get().state == "open"
        heir = make_staff(brand, staff.corp)
    client.post("/tasks/chosen/", {"ids": [task_id], "act": "move", "to": heir.pk})
    with in_brand(brand):
        assert StaffTask.objects.get().staff_id == heir.pk
    with in_brand(brand):
        numbers = give(brand, staff, key="add", kind="add")
    moved = client.post("/tasks/chosen/", {"ids": [numbers], "act": "move", "to": heir.pk}, follow=True)
    assert "待加号码" in moved.content.decode()
    with in_brand(brand):
        assert StaffTask.objects.get(pk=numbers).staff_id == staff.pk
        StaffTask.objects.filter(pk=numbers).delete()
    assert client.post("/tasks/chosen/", {"act": "cancel"}).status_code == 422
    assert client.post("/tasks/chosen/", {"ids": [task_id], "act": "move"}).status_code == 422
    client.post("/tasks/chosen/", {"ids": [task_id], "act": "cancel"})
    with in_brand(brand):
        assert StaffTask.objects.get().state == "cancelled"
    assert client.get("/tasks/?show=everything").status_code == 422


@pytest.mark.django_db(transaction=True)
def test_for_a_segment_as_a_job_taken_back_and_given_again(brand: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        tag = make_tag(brand)
        people = [make_contact(brand, staff) for _ in range(3)]
        left_out = make_contact(brand, staff, do_not_contact=True)
        nobodys = make_contact(brand)
        ids = [c.pk for c in (*people, left_out, nobodys)]
        segment = segments.create_list(brand, by=SYSTEM, name="名单", contact_ids=ids)
        assert tag
    client = sign_in(brand, "operator")
    assert "名单" in client.get(f"/tasks/new/?segment={segment.pk}").content.decode()
    given = {
        "kind": "thank", "title": "道谢", "due_at": "2099-01-01T18:00", "who": "segment", "segment": segment.pk,
        "days": "2", "note": "",
    }  # fmt: skip
    assert client.post("/tasks/new/", given)["Location"] == "/tasks/batches/"
    with in_brand(brand):
        job = Job.objects.get(kind="staff_tasks")
        assert job.state == "done" and job.n_bad == 2 and job.result["given"] == 3
        tasks = list(StaffTask.objects.order_by("contact"))
        assert [t.contact_id for t in tasks] == [c.pk for c in people]
        assert {t.staff_id for t in tasks} == {staff.pk} and tasks[0].expires_at is not None
    assert "道谢" in client.get("/tasks/batches/").content.decode()
    client.post(f"/tasks/batches/{job.pk}/take/")
    with in_brand(brand):
        assert StaffTask.objects.filter(state="cancelled").count() == 3
    client.post(f"/tasks/batches/{job.pk}/give/")
    with in_brand(brand):
        assert StaffTask.objects.filter(state="open").count() == 3


@pytest.mark.django_db(transaction=True)
def test_spread_over_days(brand: Any, staff: Any, sign_in: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(staff_task_batches, "SLICE", 3)  # those of earlier slices count
    with in_brand(brand):
        other = make_staff(brand, staff.corp)
        people = [make_contact(brand, staff) for _ in range(5)] + [make_contact(brand, other)]
        segment = segments.create_list(brand, by=SYSTEM, name="名单", contact_ids=[c.pk for c in people])
    given = {
        "kind": "call", "title": "回访", "due_at": "2099-01-01T18:00", "who": "segment", "segment": segment.pk,
        "days": "1", "note": "", "a_day": "2",
    }  # fmt: skip
    client = sign_in(brand, "operator")
    assert client.post("/tasks/new/", {**given, "a_day": "0"}).status_code == 422
    assert client.post("/tasks/new/", {**given, "a_day": "501"}).status_code == 422
    assert client.post("/tasks/new/", given).status_code == 302
    with in_brand(brand):
        job = Job.objects.get(kind="staff_tasks")
        assert (job.state, job.result["given"], job.result["days"]) == ("done", 6, 3)
        zone = ZoneInfo(brand.timezone)
        local = [
            (t.staff_id, f"{t.due_at.astimezone(zone):%d %H:%M}", (t.expires_at - t.due_at) == DAY)
            for t in StaffTask.objects.order_by("contact")
            if t.expires_at
        ]
        days = ["01 18:00", "01 18:00", "02 18:00", "02 18:00", "03 18:00"]
        assert local == [(staff.pk, day, True) for day in days] + [(other.pk, "01 18:00", True)]
    assert "3" in client.get("/tasks/batches/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_hours_of_reminders(brand: Any, other_brand: Any, staff: Any, sign_in: Any) -> None:
    client = sign_in(brand, "admin")
    assert "/settings/tasks/" in client.get("/settings/").content.decode()
    given = {"remind_hours": 6, "escalate_hours": 0, "send_hours": 48, "later_hours": 0}
    assert client.post("/settings/tasks/", {**given, "remind_hours": 100}).status_code == 422
    assert client.post("/settings/tasks/", {**given, "send_hours": ""}).status_code == 422
    for _twice in range(2):
        assert client.post("/settings/tasks/", given).status_code == 302
    with in_brand(brand):
        row = task_policy.policy_of(brand)
        assert (row.remind_hours, row.escalate_hours, row.send_hours, row.later_hours) == (6, 0, 48, 0)
        assert AuditEntry.objects.filter(action="task_policy.edit").count() == 2
    with in_brand(other_brand):
        assert task_policy.policy_of(other_brand).remind_hours == 2
    assert "6" in client.get("/tasks/new/").context["form"].fields["due_at"].help_text
    assert sign_in(brand, "operator").get("/settings/tasks/").status_code == 403


@pytest.mark.django_db(transaction=True)
def test_for_a_list_for_guides_and_bad_input(brand: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand, staff)
        external = contact.follows.get().external_userid
    client = sign_in(brand, "operator")
    form = {"kind": "call", "title": "t", "due_at": "2099-01-01T18:00", "who": "list"}
    assert client.post("/tasks/new/", form).status_code == 422
    unknown = client.post("/tasks/new/", form | {"values": f"{external}\nwm_unknown"})
    assert unknown.status_code == 422 and "wm_unknown" in unknown.content.decode()
    assert client.post("/tasks/new/", form | {"values": external}).status_code == 302
    late = client.post("/tasks/new/", form | {"values": external, "due_at": "2001-01-01T18:00"})
    assert late.status_code == 422
    assert client.post("/tasks/new/", form | {"values": external, "kind": "dance"}).status_code == 422
    to_guides = form | {"who": "guides", "guides": [staff.pk], "nonce": "n1", "title": "盘点"}
    for _ in range(2):  # a double click
        assert client.post("/tasks/new/", to_guides).status_code == 302
    with in_brand(brand):
        assert StaffTask.objects.filter(contact=contact).count() == 1
        assert StaffTask.objects.filter(title="盘点").count() == 1


@pytest.mark.django_db(transaction=True)
def test_for_ticked_contacts_and_for_everybody_of_a_filter(brand: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        people = [make_contact(brand, staff) for _ in range(3)]
    client = sign_in(brand, "operator")
    assert client.get("/contacts/bulk/task/").status_code == 200
    given = {"kind": "call", "title": "回访", "due": "2099-01-01T18:00"}
    assert client.post("/contacts/bulk/task/", given | {"ids": [people[0].pk]}).status_code == 200
    with in_brand(brand):
        assert StaffTask.objects.count() == 1
    assert client.post("/contacts/bulk/task/", given | {"everybody": "1"}).status_code == 200
    with in_brand(brand):
        assert StaffTask.objects.count() == 4
    assert client.post("/contacts/bulk/task/", {**given, "due": "", "ids": [people[0].pk]}).status_code == 422


def test_figures_by_guide(brand: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        for n in range(4):
            give(brand, staff, key=str(n), due_at=clock.now() + HOUR)
        ids = list(StaffTask.objects.order_by("pk").values_list("pk", flat=True))
        staff_tasks.complete(brand, task_id=ids[0], by=SYSTEM)
    with clock.at(clock.now() + 2 * HOUR), in_brand(brand):
        staff_tasks.complete(brand, task_id=ids[1], by=SYSTEM)
        n = staff_task_numbers.of_guides(brand)[staff.pk]
        assert (n.n_open, n.n_late, n.n_done, n.n_in_time) == (2, 2, 2, 1)
        assert n.done_ratio == 0.5 and n.in_time_ratio == 0.5
    assert staff.name in sign_in(brand, "operator").get("/tasks/guides/").content.decode()


def test_a_manager_sees_the_guides_of_the_store_only(brand: Any, corp: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        store = Store.objects.create(name="店")
        own = make_staff(brand, corp, store=store)
        hers, other = give(brand, own, key="a", title="本店的"), give(brand, staff, key="b", title="别店的")
    client = sign_in(brand, "manager")
    with in_brand(brand):
        Staff.objects.filter(user_id=client.user.pk).update(store=store)
    page = client.get("/tasks/").content.decode()
    assert "本店的" in page and "别店的" not in page
    assert client.post(f"/tasks/{hers}/cancel/").status_code == 302
    assert client.post(f"/tasks/{other}/cancel/").status_code == 404
    assert client.post("/tasks/chosen/", {"ids": [other], "act": "cancel"}).status_code == 422
    assert staff.name not in client.get("/tasks/guides/").content.decode()


def test_who_may_not(brand: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        task_id = give(brand, staff)
    client = sign_in(brand, "guide")
    for path in ("/tasks/", "/tasks/guides/", "/tasks/batches/", "/tasks/new/"):
        assert client.get(path).status_code == 403, path
    assert client.post(f"/tasks/{task_id}/cancel/").status_code == 403
    assert client.post("/contacts/bulk/task/", {}).status_code == 403


@pytest.mark.parametrize("path", ["/tasks/?show=all", "/tasks/guides/", "/tasks/batches/"])
def test_query_count(brand: Any, corp: Any, sign_in: Any, path: str) -> None:
    client = sign_in(brand, "operator")

    def queries(n: int) -> int:
        with in_brand(brand):
            for i in range(n):
                guide = make_staff(brand, corp)
                give(brand, guide, make_contact(brand, guide), key=f"{n}:{i}")
                Job.objects.create(kind="staff_tasks", title=f"{n}:{i}", state="done")
        client.get(path)
        with CaptureQueriesContext(
            connection,
        ) as counted:
            assert client.get(path).status_code == 200
        return len(counted)

    assert queries(2) == queries(18)


@pytest.fixture
def api(brand: Any) -> Client:
    with in_brand(brand):
        whole = keys.create_key(
            brand, by=Actor("t", rights=frozenset(["tasks.view", "tasks.edit"])), name="k",
            rights=["tasks.view", "tasks.edit"],
        )[1]  # fmt: skip
    return Client(headers={"Authorization": f"Bearer {whole}"})


def test_api(brand: Any, staff: Any, api: Client) -> None:
    with in_brand(brand):
        contact, nobodys = make_contact(brand, staff), make_contact(brand)
        quiet = make_contact(brand, staff, do_not_contact=True)
    row = {
        "key": "a",
        "kind": "call",
        "title": "t",
        "due_at": "2099-01-01T10:00:00Z",
        "contact_id": contact.pk,
    }
    rows = [
        row,
        row,
        {**row, "key": "b", "contact_id": nobodys.pk},
        {**row, "key": "c", "contact_id": 10**9},
        {**row, "key": "d", "due_at": "2001-01-01T10:00:00Z"},
        {**row, "key": "e", "kind": "confirm"},
        {
            "key": "f",
            "kind": "other",
            "title": "t",
            "due_at": "2099-01-01T10:00:00Z",
            "guide": staff.userid.upper(),
        },
        {**row, "key": "g", "guide": "nobody"},
        {**row, "key": "h", "contact_id": quiet.pk},
        {**row, "key": "i", "contact_id": quiet.pk, "guide": staff.userid},
    ]
    body = api.post("/api/v1/tasks/", {"rows": rows}, content_type="application/json").json()
    results = [(r["result"], r["reason"]) for r in body["results"]]
    assert results == [
        ("accepted", ""), ("repeated", ""), ("refused", "no_guide"), ("refused", "unknown_contact"),
        ("refused", "deadline_over"), ("refused", "invalid"), ("accepted", ""), ("refused", "unknown_guide"),
        ("refused", "do_not_contact"), ("refused", "do_not_contact"),
    ]  # fmt: skip
    again = api.post("/api/v1/tasks/", {"rows": rows[:1]}, content_type="application/json").json()
    assert again["results"][0]["result"] == "repeated"
    pk = body["results"][0]["id"]
    assert again["results"][0]["id"] == pk
    listed = api.get(f"/api/v1/tasks/?contact={contact.pk}&state=open").json()["results"]
    assert [t["id"] for t in listed] == [pk] and listed[0]["staff_id"] == staff.pk
    done = api.post(f"/api/v1/tasks/{pk}/done/", {"result": "好"}, content_type="application/json").json()
    assert done["state"] == "done" and done["result"] == "好"
    assert api.post(f"/api/v1/tasks/{pk}/reopen/").json()["state"] == "open"
    assert api.post(f"/api/v1/tasks/{pk}/cancel/").json()["state"] == "cancelled"
    assert api.get(f"/api/v1/tasks/{pk}/").json()["state"] == "cancelled"
    assert api.get("/api/v1/tasks/?state=nothing").status_code == 422
    assert api.get(f"/api/v1/tasks/{pk + 999}/").status_code == 404


def test_many_tasks_are_asked_about(
    brand: Any, staff: Any, sign_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many they are is said first, and a yes is a yes to just these people."""
    monkeypatch.setattr(staff_tasks_new, "ASKED_FROM", 3)
    with in_brand(brand):
        people = [make_contact(brand, staff) for _n in range(4)]
        numbers = [str(Identity.objects.get(contact=c, kind="external_userid").value) for c in people]
        few, all_of_them = (
            segments.create_segment(brand, by=SYSTEM, name=name, condition={"kind": "everybody"})
            for name in ("一", "二")
        )
    client = sign_in(brand, "operator")
    due = (clock.now() + DAY).strftime("%Y-%m-%dT%H:%M")
    form = {"kind": "call", "title": "打电话", "due_at": due, "who": "segment", "segment": few.pk}
    asked = client.post("/tasks/new/", form)
    assert asked.status_code == 200 and "最多 4 个任务" in asked.content.decode()
    yes = asked.context["asked"]["key"]
    other = client.post("/tasks/new/", {**form, "segment": all_of_them.pk, "agreed": yes})
    assert other.status_code == 200
    listed = {**form, "who": "list", "values": "\n".join(numbers)}
    assert client.post("/tasks/new/", {**listed, "agreed": yes}).status_code == 200
    with in_brand(brand):
        assert not Job.objects.exists() and not StaffTask.objects.exists()
    assert client.post("/tasks/new/", {**form, "agreed": yes}).status_code == 302
    assert client.post("/tasks/new/", {**listed, "values": "\n".join(numbers[:2])}).status_code == 302
    with in_brand(brand):
        assert Job.objects.count() == 2
