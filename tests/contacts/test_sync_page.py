"""The sync page: start, watch, history; rights and brands."""

from types import SimpleNamespace
from typing import Any

import pytest

from contacts.models import Follow
from org.models import Job
from scrm.celery import app
from tests.factories import in_brand, make_brand

pytestmark = pytest.mark.django_db(transaction=True)
OLD = 1_740_000_000


def test_without_a_company(brand: Any, sign_in: Any) -> None:
    assert "/setup/new/" in sign_in(brand).get("/sync/").content.decode()


def test_start_and_see_the_result(connected: SimpleNamespace, sign_in: Any) -> None:
    connected.sandbox.load(
        customers=[
            {"name": f"c{n}", "follows": [{"userid": "GuideA", "createtime": OLD + n}]} for n in range(7)
        ]
    )
    client = sign_in(connected.brand)
    assert client.get("/sync/").status_code == 200
    assert client.post("/sync/start/", {"corp": connected.corp.pk}).status_code == 302
    with in_brand(connected.brand):
        job = Job.objects.get(kind="wecom_sync")
        assert (job.state, job.n_done) == ("done", 7)
        assert Follow.objects.count() == 7
    page = client.get("/sync/").content.decode()
    assert job.title in page
    assert client.get(f"/jobs/{job.pk}/").status_code == 200


def test_live_sync_is_shown_and_not_started_twice(connected: SimpleNamespace, sign_in: Any) -> None:
    app.conf.task_always_eager = False
    client = sign_in(connected.brand)
    for _ in range(2):
        client.post("/sync/start/", {"corp": connected.corp.pk})
    client.post("/sync/start/", {"corp": connected.corp.pk, "kind": "guide", "staff": connected.a.pk})
    app.conf.task_always_eager = True
    with in_brand(connected.brand):
        assert Job.objects.count() == 2
    assert client.get("/sync/").content.decode().count("data-job-state") == 2


def test_rights_and_brands(connected: SimpleNamespace, sign_in: Any) -> None:
    assert sign_in(connected.brand, "operator").get("/sync/").status_code == 200
    start = {"corp": connected.corp.pk}
    assert sign_in(connected.brand, "operator").post("/sync/start/", start).status_code == 403
    assert sign_in(connected.brand, "guide").get("/sync/").status_code == 403
    other = sign_in(make_brand())
    assert other.post("/sync/start/", start).status_code == 404
    mine = sign_in(connected.brand)
    for bad in ({}, {"corp": "x"}, {**start, "kind": "guide"}, {**start, "kind": "guide", "staff": "99999"}):
        assert mine.post("/sync/start/", bad).status_code == 404
    with in_brand(connected.brand):
        assert Job.objects.count() == 0
