"""Pages of inbox, outbox and jobs: figures, filters, one event, replay, try again; rights and brands."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from org.models import Corp, Job
from scrm import clock
from scrm.celery import app
from tests.factories import in_brand, make_brand
from tests.wecom.events import event_xml
from wecom.models import CallbackEvent, OutboundCall
from wecom.services import inbox

pytestmark = pytest.mark.django_db(transaction=True)
HX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def queued() -> Any:
    app.conf.task_always_eager = False
    yield
    app.conf.task_always_eager = True


def put(brand: Any, corp: Corp, userid: str, state: str = "new", **more: Any) -> CallbackEvent:
    with in_brand(brand):
        xml = event_xml(corp, "add_external_contact", UserID=userid, ExternalUserID="wm1")
        event_id = inbox.receive(brand.pk, corp.pk, xml).event_id
        CallbackEvent.objects.filter(pk=event_id).update(state=state, **more)
        return CallbackEvent.objects.get(pk=event_id)


def test_inbox(brand: Any, corp: Corp, sign_in: Any) -> None:
    put(brand, corp, "a", "done")
    dead = put(brand, corp, "b", "dead", error="WeComUnavailable: nobody there")
    client = sign_in(brand)
    page = client.get("/sync/inbox/").content.decode()
    assert page.count('hx-target="#drawer-content"') == 2
    assert "nobody there" in page
    rows = client.get("/sync/inbox/?state=dead", headers=HX).content.decode()
    assert rows.count('hx-target="#drawer-content"') == 1
    assert "<html" not in rows
    assert client.get("/sync/inbox/?state=x&kind=y").status_code == 200
    detail = client.get(f"/sync/inbox/{dead.pk}/", headers=HX).content.decode()
    assert "&lt;UserID&gt;" in detail
    assert client.get(f"/sync/inbox/{dead.pk}/").status_code == 200


def test_body_that_is_no_xml_is_shown_as_it_is(brand: Any, corp: Corp, sign_in: Any) -> None:
    event = put(brand, corp, "a", body="<xml>broken & <b>")
    assert "broken &amp; &lt;b&gt;" in sign_in(brand).get(f"/sync/inbox/{event.pk}/").content.decode()


def test_pages_by_key_and_queries_do_not_grow(brand: Any, corp: Corp, sign_in: Any) -> None:
    client = sign_in(brand)
    counts = []
    for n in (2, 60):
        for i in range(n):
            put(brand, corp, f"{n}-{i}", "done")
        client.get("/sync/inbox/")
        with CaptureQueriesContext(connection) as queries:
            page = client.get("/sync/inbox/").content.decode()
        counts.append(len(queries))
    assert counts[0] == counts[1]
    after = page.split("after=")[1].split('"')[0].split("&")[0]
    rest = client.get(f"/sync/inbox/?after={after}", headers=HX).content.decode()
    assert rest.count('hx-target="#drawer-content"') == 12
    assert client.get("/sync/inbox/?after=rubbish").status_code == 422


def test_replay_from_the_page(brand: Any, corp: Corp, sign_in: Any) -> None:
    one, dead, old = (
        put(brand, corp, "a", "done"),
        put(brand, corp, "b", "dead"),
        put(brand, corp, "c", "done"),
    )
    with in_brand(brand):
        CallbackEvent.objects.filter(pk=old.pk).update(received_at=clock.now() - timedelta(days=3))
    client = sign_in(brand)

    def state(event: CallbackEvent) -> str:
        with in_brand(brand):
            return CallbackEvent.objects.get(pk=event.pk).state

    assert client.post("/sync/inbox/replay/", {"ids": [one.pk]}).status_code == 302
    assert (state(one), state(dead)) == ("new", "dead")
    client.post("/sync/inbox/replay/", {"what": "dead"})
    assert state(dead) == "new"
    assert state(old) == "done"
    long_ago = {"what": "since", "since": "2020-01-01T00:00"}
    client.post("/sync/inbox/replay/", {**long_ago, "until": "2020-02-01T00:00"})
    assert state(old) == "done"
    client.post("/sync/inbox/replay/", long_ago)
    assert state(old) == "new"
    for bad in ({}, {"what": "since", "since": "yesterday"}, {**long_ago, "until": "soon"}, {"ids": ["x"]}):
        assert client.post("/sync/inbox/replay/", bad).status_code == 422


def test_outbox(brand: Any, corp: Corp, sign_in: Any) -> None:
    with in_brand(brand):
        for n, state in enumerate(("done", "failed", "failed", "waiting")):
            OutboundCall.objects.create(
                corp=corp,
                kind="remark",
                key=str(n),
                payload={"userid": f"g{n}"},
                state=state,
                error="no relation",
            )
        first = OutboundCall.objects.filter(state="failed").first()
    client = sign_in(brand)
    page = client.get("/sync/outbound/").content.decode()
    assert page.count("no relation") == 4
    assert (
        client.get("/sync/outbound/?state=failed&kind=remark", headers=HX)
        .content.decode()
        .count("no relation")
        == 2
    )
    assert first
    assert client.post("/sync/outbound/again/", {"ids": [first.pk]}).status_code == 302
    with in_brand(brand):
        assert OutboundCall.objects.filter(state="failed").count() == 1
    client.post("/sync/outbound/again/", {"what": "all"})
    with in_brand(brand):
        assert OutboundCall.objects.filter(state="failed").count() == 0
    assert client.post("/sync/outbound/again/", {}).status_code == 422


def test_jobs(brand: Any, sign_in: Any) -> None:
    with in_brand(brand):
        for n in range(35):
            Job.objects.create(kind="wecom_sync", title=f"job-{n}", state="done")
    client = sign_in(brand)
    assert client.get("/sync/jobs/").content.decode().count("job-") == 30


def test_rights_and_brands(brand: Any, corp: Corp, sign_in: Any) -> None:
    event = put(brand, corp, "a", "dead")
    operator = sign_in(brand, "operator")  # may look, not act
    assert operator.get("/sync/inbox/").status_code == 200
    assert "replay" not in operator.get("/sync/inbox/").content.decode()
    assert operator.post("/sync/inbox/replay/", {"what": "dead"}).status_code == 403
    assert operator.post("/sync/outbound/again/", {"what": "all"}).status_code == 403
    guide = sign_in(brand, "guide")
    for url in ("/sync/inbox/", "/sync/outbound/", "/sync/jobs/", f"/sync/inbox/{event.pk}/"):
        assert guide.get(url).status_code == 403
    stranger = sign_in(make_brand())
    assert stranger.get(f"/sync/inbox/{event.pk}/").status_code == 404
    stranger.post("/sync/inbox/replay/", {"ids": [event.pk]})
    with in_brand(brand):
        assert CallbackEvent.objects.get(pk=event.pk).state == "dead"
