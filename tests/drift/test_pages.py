"""Pages and API of the reconciliation: list, repair, history, settings, one customer; rights and brands."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, Follow
from drift.kinds import KINDS
from drift.models import Difference, DriftRun, DriftSettings
from drift.services.differences import New, record
from org.access import RIGHTS, Actor
from org.models import AuditEntry, Job
from org.services import keys
from scrm import clock
from tests.contacts.test_sync import customers, external
from tests.drift.conftest import full_sync, run_job
from tests.factories import in_brand, make_brand, make_corp, make_staff
from tests.wecom.sandbox_client import CORPID

pytestmark = pytest.mark.django_db(transaction=True)
HX = {"HX-Request": "true"}


def put(brand: Any, corp: Any, n: int, kind: str = "remark_differs", **over: Any) -> list[int]:
    with in_brand(brand):
        run = DriftRun.objects.create(
            corp=corp, ended_at=clock.now(), counts={kind: {"found": n, "repaired": 0}}
        )
        staff = make_staff(brand, corp)
        given = {"ours": {"remark": "旧"}, "theirs": {"remark": "新<b>"}} | over
        new = [New(kind, f"{run.pk}:{i}", f"顾客{i}", staff_id=staff.pk, **given) for i in range(n)]
        return sorted(record(brand, run, corp, new).values())


def test_list(brand: Any, corp: Any, sign_in: Any) -> None:
    (one,) = put(brand, corp, 1)
    put(brand, corp, 2, "tag_missing", ours={}, theirs={"name": "茶", "group": "兴趣"})
    client = sign_in(brand)
    page = client.get("/sync/drift/").content.decode()
    assert "旧" in page and "新&lt;b&gt;" in page
    assert page.count('<dl class="diff">') == 3
    rows = client.get("/sync/drift/?kind=tag_missing", headers=HX).content.decode()
    assert rows.count('<dl class="diff">') == 2 and "<html" not in rows
    with in_brand(brand):
        Difference.objects.filter(pk=one).update(state="repaired", closed_by="某人", closed_at=clock.now())
    assert "某人" in client.get("/sync/drift/?state=repaired").content.decode()
    assert client.get("/sync/drift/?state=x&kind=y&after=").status_code == 200
    assert client.get("/sync/drift/?after=rubbish").status_code == 422
    assert "顾客" in client.get("/sync/drift/?state=any").content.decode()


def test_queries_do_not_grow(brand: Any, corp: Any, sign_in: Any) -> None:
    client = sign_in(brand)
    for path in ("/sync/drift/", "/sync/drift/runs/"):
        counts = []
        for n in (2, 20):
            for _ in range(n):
                put(brand, corp, 1)
            client.get(path)
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path).status_code == 200
            counts.append(len(queries))
        assert counts[0] == counts[1], path


def test_acts(brand: Any, corp: Any, sign_in: Any) -> None:
    ids = put(brand, corp, 4)
    client = sign_in(brand)

    def states() -> list[str]:
        with in_brand(brand):
            return list(Difference.objects.order_by("pk").values_list("state", flat=True))

    act = "/sync/drift/act/"
    assert client.post(act, {"act": "ignore", "ids": ids[:1]}).status_code == 302
    assert client.post(act, {"act": "repair", "ids": ids[1:2]}).status_code == 302
    assert states() == ["ignored", "queued", "open", "open"]
    assert client.post(act, {"act": "reopen", "ids": ids[:1]}).status_code == 302
    assert client.post(act, {"act": "repair", "kind": "remark_differs"}).status_code == 302
    assert states() == ["queued"] * 4
    assert client.post(act, {"act": "repair", "what": "all"}).status_code == 404  # nothing is open
    for bad in ({}, {"act": "repair"}, {"act": "repair", "kind": "x"}, {"act": "nonsense", "ids": ids}):
        assert client.post(act, bad).status_code == 422
    assert client.post(act, {"act": "ignore", "ids": ["x"]}).status_code == 404
    with in_brand(brand):
        assert Job.objects.filter(kind="drift_repair").count() == 1
        assert set(AuditEntry.objects.values_list("action", flat=True)) >= {
            "drift.ignore",
            "drift.repair",
            "drift.reopen",
        }


def test_start_and_settings(brand: Any, corp: Any, sign_in: Any) -> None:
    client = sign_in(brand)
    assert client.post("/sync/drift/start/", {"corp": corp.pk}).status_code == 409  # never synced
    assert client.post("/sync/drift/start/", {"corp": "x"}).status_code == 404
    with in_brand(brand):
        corp.synced_at = clock.now()
        corp.save()
    assert client.post("/sync/drift/start/", {"corp": corp.pk}).status_code == 302
    page = client.get("/sync/drift/").content.decode()
    assert 'data-job-state="waiting"' in page
    page = client.get("/sync/drift/settings/").content.decode()
    assert page.count(" checked") == len([kind for kind in KINDS.values() if kind.is_auto]) + 1
    given = {"at": "04:15", "auto": ["tags_differ"]}
    assert client.post("/sync/drift/settings/", given).status_code == 302
    with in_brand(brand):
        chosen = DriftSettings.objects.get()
        assert (chosen.is_nightly, f"{chosen.at:%H:%M}", chosen.auto) == (False, "04:15", ["tags_differ"])
    assert client.post("/sync/drift/settings/", {"at": "late", "auto": ["tags_differ"]}).status_code == 422
    assert client.post("/sync/drift/settings/", {"at": "04:15", "auto": ["x"]}).status_code == 422
    assert client.get("/sync/drift/runs/").status_code == 200


def test_rights_and_brands(brand: Any, corp: Any, sign_in: Any) -> None:
    (one,) = put(brand, corp, 1)
    operator, guide = sign_in(brand, "operator"), sign_in(brand, "guide")
    assert operator.get("/sync/drift/").status_code == 200
    assert operator.post("/sync/drift/act/", {"act": "repair", "ids": [one]}).status_code == 403
    assert operator.post("/sync/drift/start/", {"corp": corp.pk}).status_code == 403
    assert operator.get("/sync/drift/settings/").status_code == 403
    assert guide.get("/sync/drift/").status_code == 403
    other = make_brand()
    with in_brand(other):
        make_corp(other)
    stranger = sign_in(other)
    assert "顾客" not in stranger.get("/sync/drift/?state=any").content.decode()
    assert stranger.post("/sync/drift/act/", {"act": "repair", "ids": [one]}).status_code == 404
    assert stranger.post("/sync/drift/start/", {"corp": corp.pk}).status_code == 404


# ---- one customer


def test_one_customer(connected: SimpleNamespace, sign_in: Any) -> None:
    connected.sandbox.load(customers=customers(4))
    full_sync(connected)
    box, client = connected.sandbox, sign_in(connected.brand)
    with in_brand(connected.brand):
        contact = Contact.objects.get(name="顾客3")
    path = f"/contacts/{contact.pk}/compare/"
    answer = client.post(path, follow=True).content.decode()
    assert "Everything is as in WeCom" in answer
    box.post(
        "member_edits",
        corpid=CORPID,
        userid="GuideA",
        external_userid=external(3),
        remark="新",
        add_tags=["咖啡"],
    )
    box.post("member_deletes", corpid=CORPID, userid="guideb", external_userid=external(3))
    answer = client.post(path, follow=True).content.decode()
    assert "3 differences were repaired" in answer
    with in_brand(connected.brand):
        live = Follow.objects.get(contact=contact, ended_at=None)
        assert (live.staff, live.remark) == (connected.a, "新")
        assert Difference.objects.filter(contact_id=contact.pk, state="repaired").count() == 3
        assert AuditEntry.objects.filter(action="drift.check").count() == 1
    assert "Everything is as in WeCom" in client.post(path, follow=True).content.decode()
    with in_brand(connected.brand):
        stranger = Contact.objects.create(name="没有", position=999)
    assert "does not know" in client.post(f"/contacts/{stranger.pk}/compare/", follow=True).content.decode()
    box.post("faults", corpid=CORPID, kind="errcode", errcode=60020)
    assert client.post(path).status_code >= 400
    box.post("faults/clear")
    guide = sign_in(connected.brand, "guide")  # sees own customers only
    assert guide.post(path).status_code == 404


# ---- API


def test_api(brand: Any, corp: Any) -> None:
    put(brand, corp, 3)
    put(brand, corp, 1, "tag_ghost", ours={"name": "茶"}, theirs={})
    with in_brand(brand):
        staff = make_staff(brand)
        by = Actor(staff.name, None, staff, frozenset(RIGHTS))
        whole = keys.create_key(brand, by=by, name="k", rights=["sync.view"])[1]
        poor = keys.create_key(brand, by=by, name="p", rights=["contacts.view"])[1]
    api = Client(headers={"Authorization": f"Bearer {whole}"})
    runs = api.get("/api/v1/drift/runs/").json()["results"]
    assert [run["counts"] for run in runs] == [
        {"tag_ghost": {"found": 1, "repaired": 0}}, {"remark_differs": {"found": 3, "repaired": 0}},
    ]  # fmt: skip
    found = api.get("/api/v1/drift/differences/?kind=remark_differs&state=open").json()["results"]
    assert [(row["ours"], row["theirs"]) for row in found] == [({"remark": "旧"}, {"remark": "新<b>"})] * 3
    assert len(api.get(f"/api/v1/drift/differences/?run={runs[0]['id']}").json()["results"]) == 1
    assert api.get("/api/v1/drift/differences/?contact=5").json()["results"] == []
    for bad in ("kind=x", "state=x", "contact=x", "run=-1", "after=rubbish"):
        assert api.get(f"/api/v1/drift/differences/?{bad}").status_code == 422
    assert Client(headers={"Authorization": f"Bearer {poor}"}).get("/api/v1/drift/runs/").status_code == 403


def test_what_a_run_cannot_repair_is_said(
    connected: SimpleNamespace, reconcile: Callable[..., DriftRun], sign_in: Any
) -> None:
    """An answer of WeCom's stands at the difference, which stays open."""
    connected.sandbox.load(customers=customers(2))
    full_sync(connected)
    (one,) = put(connected.brand, connected.corp, 1, "code_missing", ours={"config_id": "x"}, theirs={})
    client = sign_in(connected.brand)
    client.post("/sync/drift/act/", {"act": "repair", "ids": [one]})
    with in_brand(connected.brand):
        job = Job.objects.get(kind="drift_repair")
    assert run_job(connected, job).state == "done"
    with in_brand(connected.brand):
        assert Difference.objects.get(pk=one).state == "settled"  # there is no such code (any more)
