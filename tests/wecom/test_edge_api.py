"""The edge by API: how the inbox is doing, its events, replay; writes to WeCom and 'try again'; long jobs."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from org.access import RIGHTS, Actor
from org.models import AuditEntry, Corp, Job
from org.services import keys
from scrm import clock
from scrm.celery import app
from tests.factories import in_brand, make_brand, make_corp
from tests.wecom.test_edge_pages import put
from wecom.models import CallbackEvent, OutboundCall

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def queued() -> Any:
    app.conf.task_always_eager = False
    yield
    app.conf.task_always_eager = True


def client_of(brand: Any, *rights: str) -> Client:
    with in_brand(brand):
        by = Actor("admin", rights=frozenset(RIGHTS))
        secret = keys.create_key(brand, name="key", rights=list(rights or ["sync.view", "sync.run"]), by=by)[
            1
        ]
    return Client(headers={"authorization": f"Bearer {secret}"})


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json")


def states(brand: Any) -> list[str]:
    with in_brand(brand):
        return list(CallbackEvent.objects.order_by("pk").values_list("state", flat=True))


def test_the_inbox_and_its_events(brand: Any, corp: Corp) -> None:
    done = put(brand, corp, "a", "done")
    dead = put(brand, corp, "b", "dead", error="nobody there")
    put(brand, corp, "c")
    client = client_of(brand)
    found = client.get("/api/v1/inbox/").json()
    assert (found["waiting"], found["dead"], found["retrying"]) == (1, 1, 0)
    rows = client.get("/api/v1/inbox/events/").json()["results"]
    assert [row["state"] for row in rows] == ["new", "dead", "done"]
    (row,) = client.get("/api/v1/inbox/events/?state=dead").json()["results"]
    assert (row["id"], row["error"], row["change_type"]) == (dead.pk, "nobody there", "add_external_contact")
    assert "body" not in row and row["title"]
    later = (clock.now() + timedelta(hours=1)).isoformat()
    assert client.get("/api/v1/inbox/events/", {"since": later}).json()["results"] == []
    assert client.get("/api/v1/inbox/events/?change_type=x").json()["results"] == []
    assert client.get("/api/v1/inbox/events/?state=moon").status_code == 422
    assert client.get("/api/v1/inbox/events/?kind=x").status_code == 422
    first = client.get("/api/v1/inbox/events/?limit=2").json()
    rest = client.get("/api/v1/inbox/events/", {"limit": 2, "after": first["next"]}).json()
    assert [row["id"] for row in rest["results"]] == [done.pk] and rest["next"] == ""


def test_replay(brand: Any, corp: Corp) -> None:
    done, dead = put(brand, corp, "a", "done"), put(brand, corp, "b", "dead")
    client = client_of(brand)
    assert post(client, "inbox/replay/", ids=[done.pk]).json() == {"n": 1}
    assert states(brand) == ["new", "dead"]
    assert post(client, "inbox/replay/", dead=True).json() == {"n": 1}
    with in_brand(brand):
        CallbackEvent.objects.update(state="done")
        assert AuditEntry.objects.filter(action="inbox.replay").count() == 2
    since = (dead.received_at - timedelta(minutes=1)).isoformat()
    assert post(client, "inbox/replay/", since=since).json() == {"n": 2}
    for wrong in (
        {},
        {"dead": True, "since": since},
        {"ids": [0]},
        {"since": "yesterday"},
        {"moon": 1},
        {"ids": list(range(1, 600))},
    ):
        assert post(client, "inbox/replay/", **wrong).status_code in (400, 422)


def test_writes_to_wecom(brand: Any, corp: Corp) -> None:
    with in_brand(brand):
        for n, state in enumerate(("failed", "done", "failed")):
            OutboundCall.objects.create(
                corp=corp,
                kind="remark",
                key=str(n),
                payload={"remark": "秘密"},
                state=state,
                error="no" * (n == 0),
            )
    client = client_of(brand)
    rows = client.get("/api/v1/outbound/?state=failed").json()["results"]
    assert [row["error"] for row in rows] == ["", "no"]
    assert "秘密" not in str(rows)
    assert post(client, "outbound/again/", ids=[rows[0]["id"]]).json() == {"n": 1}
    assert post(client, "outbound/again/", ids=[]).json() == {"n": 0}  # a filter that found none
    for wrong in ({}, {"ids": [1], "all": True}):
        assert post(client, "outbound/again/", **wrong).status_code == 400
    assert len(client.get("/api/v1/outbound/?state=failed").json()["results"]) == 1
    assert post(client, "outbound/again/", all=True).json() == {"n": 1}
    assert client.get("/api/v1/outbound/?state=failed").json()["results"] == []


def test_jobs(brand: Any) -> None:
    with in_brand(brand):
        Job.objects.create(kind="wecom_sync", title="同步", state="running", n_done=5, n_total=9)
        Job.objects.create(kind="reconcile", title="对账", state="done")
    client = client_of(brand)
    (row,) = client.get("/api/v1/jobs/?kind=wecom_sync").json()["results"]
    assert (row["title"], row["n_done"], row["n_total"]) == ("同步", 5, 9)
    assert [row["kind"] for row in client.get("/api/v1/jobs/?state=done").json()["results"]] == ["reconcile"]


def test_rights_and_brands(brand: Any, corp: Corp) -> None:
    event = put(brand, corp, "a", "dead")
    watcher, nobody = client_of(brand, "sync.view"), client_of(brand, "contacts.view")
    for path in ("inbox/", "inbox/events/", "outbound/", "jobs/"):
        assert watcher.get(f"/api/v1/{path}").status_code == 200
        assert nobody.get(f"/api/v1/{path}").status_code == 403
    for path in ("inbox/replay/", "outbound/again/"):
        assert post(watcher, path, ids=[event.pk]).status_code == 403
    other = make_brand()
    with in_brand(other):
        make_corp(other)
    stranger = client_of(other)
    assert stranger.get("/api/v1/inbox/events/").json()["results"] == []
    assert post(stranger, "inbox/replay/", ids=[event.pk]).json() == {"n": 0}
    assert states(brand) == ["dead"]


def test_queries_do_not_grow(brand: Any, corp: Corp) -> None:
    client, counts = client_of(brand), []
    client.get("/api/v1/inbox/events/")  # the key's first use is noted
    for n in (2, 20):
        for i in range(n):
            put(brand, corp, f"u{n}-{i}", "done")
        with CaptureQueriesContext(connection) as asked:
            assert client.get("/api/v1/inbox/events/").status_code == 200
        counts.append(len(asked))
    assert counts[0] == counts[1]
