"""Moments on pages and by API: written, launched, stopped, by role and brand; a second person approves."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from campaigns.models import Moment, MomentGuide
from campaigns.services.governance import policy
from campaigns.services.moments import moments
from campaigns.services.moments.moments import MomentInput
from org.access import SYSTEM, Actor
from org.services import keys
from scrm import clock
from scrm.errors import ConflictError, ForbiddenError
from tests.campaigns.conftest import at
from tests.campaigns.test_moments import given
from tests.factories import in_brand, make_contact, make_staff


@pytest.mark.django_db(transaction=True)
def test_pages(brand: Any, corp: Any, sign_in: Any, settings: Any) -> None:
    client = sign_in(brand, "operator")
    assert client.get("/moments/").status_code == 200
    with in_brand(brand):
        guide = make_staff(brand, corp)
    written = {
        "name": "春上新",
        "text": "新品到店",
        "attachments": "[]",
        "guides": [guide.pk],
        "at": "",
        "late_hours": 24,
    }
    for bad in ({"text": ""}, {"attachments": "{"}, {"at": "rubbish"}, {"late_hours": ""}, {"guides": [99]}):
        assert client.post("/moments/new/", {**written, **bad}).status_code == 422, bad
    both = client.post("/moments/new/", {**written, "name": "", "text": ""})
    assert both.context["text_error"] and both.context["form"].errors["name"]
    answer = client.post("/moments/new/", written)
    with in_brand(brand):
        moment = Moment.objects.get()
    assert answer["Location"] == f"/moments/{moment.pk}/"
    page = client.get(f"/moments/{moment.pk}/").content.decode()
    assert guide.name in page
    assert client.get(f"/moments/{moment.pk}/edit/").status_code == 200
    settings.WECOM_API_URL = "http://127.0.0.1:9"  # nobody answers: it waits
    assert client.post(f"/moments/{moment.pk}/launch/").status_code == 302
    assert client.get(f"/moments/{moment.pk}/edit/").status_code == 409
    assert client.post(f"/moments/{moment.pk}/launch/").status_code == 409
    assert client.get(f"/moments/{moment.pk}/").status_code == 200
    assert client.get(f"/moments/{moment.pk}/guides/?state=waiting").status_code == 200
    assert client.post(f"/moments/{moment.pk}/cancel/").status_code == 302
    assert client.post(f"/moments/{moment.pk}/duplicate/").status_code == 302


@pytest.mark.django_db(transaction=True)
def test_quiet_hours_are_told_before_and_after_the_launch(
    brand: Any, corp: Any, sign_in: Any, settings: Any
) -> None:
    settings.WECOM_API_URL = "http://127.0.0.1:9"
    client, night = sign_in(brand, "operator"), at("2026-05-04 23:30")
    with in_brand(brand), clock.at(night):
        make_contact(brand, make_staff(brand, corp))
        moment = moments.save_draft(brand, MomentInput(name="夜", text="新品到店"), by=SYSTEM)

    def shown() -> str:
        with clock.at(night):
            return client.get(f"/moments/{moment.pk}/").content.decode()

    page = shown()
    assert (
        "1 位导购发表，最多 1 位客户可见" in page
        and "夜间（23:30）" in page
        and "免打扰时段，将推迟" not in page
    )
    with in_brand(brand), clock.at(night):
        policy.change_policy(brand, by=SYSTEM, quiet_start=time(21), quiet_end=time(9))
    page = shown()
    assert "等到 2026-05-05 09:00" in page and "夜间（" not in page and "05-05 09:00" in page
    with clock.at(night):
        assert client.post(f"/moments/{moment.pk}/launch/").status_code == 302
    page = shown()
    assert "免打扰时段，将推迟到 05-05 09:00" in page


@pytest.mark.django_db(transaction=True)
def test_who_may_not(brand: Any, corp: Any, sign_in: Any) -> None:
    with in_brand(brand):
        moment = moments.save_draft(brand, given(), by=SYSTEM)
    guide = sign_in(brand, "guide")
    for path in ("/moments/", "/moments/new/", f"/moments/{moment.pk}/"):
        assert guide.get(path).status_code == 403
    assert guide.post(f"/moments/{moment.pk}/launch/").status_code == 403


@pytest.mark.django_db(transaction=True)
def test_queries_do_not_grow_with_rows(brand: Any, corp: Any, sign_in: Any) -> None:
    client = sign_in(brand)
    found = []
    with in_brand(brand):
        moment = moments.save_draft(brand, given(), by=SYSTEM)
        Moment.objects.filter(pk=moment.pk).update(state="out")
    for n in (2, 20):
        with in_brand(brand):
            for _ in range(n):
                moments.save_draft(brand, given(), by=SYSTEM)
                guide = make_staff(brand, corp)
                MomentGuide.objects.create(moment=moment, staff=guide, userid=guide.userid)
        for path in ("/moments/", f"/moments/{moment.pk}/"):
            client.get(path)
            with CaptureQueriesContext(connection) as caught:
                assert client.get(path).status_code == 200
            found.append((path, len(caught)))
    assert found[:2] == found[2:]


def api_of(brand: Any) -> Client:
    rights = ["broadcasts.view", "broadcasts.edit"]
    by = Actor("小管", rights=frozenset(rights))
    with in_brand(brand):
        whole = keys.create_key(brand, by=by, name="k", rights=rights)[1]
    return Client(headers={"Authorization": f"Bearer {whole}"})


@pytest.mark.django_db(transaction=True)
def test_api(brand: Any, other_brand: Any, corp: Any, settings: Any) -> None:
    settings.WECOM_API_URL = "http://127.0.0.1:9"
    api, other = api_of(brand), api_of(other_brand)
    wanted = {
        "key": "a1",
        "name": "春上新",
        "text": "新品",
        "at": (clock.now() + timedelta(days=1)).isoformat(),
    }
    made = api.post("/api/v1/moments/", wanted, content_type="application/json")
    assert made.status_code == 201 and made.json()["state"] == "planned"
    again = api.post("/api/v1/moments/", wanted, content_type="application/json")
    assert again.json()["id"] == made.json()["id"]
    pk = made.json()["id"]
    wrong: list[tuple[int, dict[str, Any]]] = [
        (422, {"text": ""}),
        (400, {"at": "x"}),
        (422, {"staff_ids": [9]}),
        (422, {"attachments": 3}),
        (400, {"key": ""}),
    ]
    for status, bad in wrong:
        answer = api.post("/api/v1/moments/", {**wanted, "key": "b", **bad}, content_type="application/json")
        assert answer.status_code == status, bad
    assert [row["id"] for row in api.get("/api/v1/moments/?state=planned").json()["results"]] == [pk]
    assert api.get("/api/v1/moments/?state=moon").status_code == 422
    assert other.get(f"/api/v1/moments/{pk}/").status_code == 404
    assert other.post(f"/api/v1/moments/{pk}/cancel/").status_code == 404
    assert api.get(f"/api/v1/moments/{pk}/guides/").json() == {"results": [], "next": ""}
    assert api.post(f"/api/v1/moments/{pk}/cancel/").json()["state"] == "cancelled"
    assert api.post(f"/api/v1/moments/{pk}/cancel/").status_code == 409


def test_a_second_person_approves(brand: Any, corp: Any, settings: Any) -> None:
    """From the page and by API; nobody publishes alone, and what waits can be sent back or stopped."""
    settings.WECOM_API_URL = "http://127.0.0.1:9"
    writer, checker = Actor("小王", 1), Actor("小王", 2)
    with in_brand(brand):
        make_staff(brand, corp)
        policy.change_policy(brand, needs_approval=True, by=SYSTEM)
        written = given(at=clock.now() + timedelta(hours=1))
        draft = moments.save_draft(brand, written, by=writer)
        assert moments.launch(brand, moment_id=draft.pk, by=writer).state == "approval"
        with pytest.raises(ForbiddenError):
            moments.approve(brand, moment_id=draft.pk, by=Actor("换了名", 1))
        assert moments.reject(brand, moment_id=draft.pk, by=writer).state == "draft"
        moments.launch(brand, moment_id=draft.pk, by=writer)
        assert moments.approve(brand, moment_id=draft.pk, by=checker).state == "planned"
        with pytest.raises(ConflictError):
            moments.approve(brand, moment_id=draft.pk, by=checker)
        assert moments.create_for(brand, written, key="s", source="sop", by=SYSTEM).state == "planned"
        ordered = moments.create_for(brand, written, key="a", source="api", by=writer)
        assert ordered.state == "approval"


@pytest.mark.django_db(transaction=True)
def test_approval_on_the_page_and_by_api(brand: Any, other_brand: Any, corp: Any, sign_in: Any) -> None:
    api, other = api_of(brand), api_of(other_brand)
    with in_brand(brand):
        make_staff(brand, corp)
        policy.change_policy(brand, needs_approval=True, by=SYSTEM)
    later = (clock.now() + timedelta(days=1)).isoformat()
    wanted = {"key": "a1", "name": "春上新", "text": "新品", "at": later, "late_hours": 3}
    made = api.post("/api/v1/moments/", wanted, content_type="application/json").json()
    assert (made["state"], made["late_hours"]) == ("approval", 3)
    bad = {**wanted, "key": "a2", "late_hours": 999}
    assert api.post("/api/v1/moments/", bad, content_type="application/json").status_code == 422
    one = f"/api/v1/moments/{made['id']}/"
    assert api.post(f"{one}approve/").status_code == 403  # has not the right
    assert api.post(f"{one}remind/").status_code == 409
    for act in ("remind", "reject"):
        assert other.post(f"{one}{act}/").status_code == 404, act
    operator, admin = sign_in(brand, "operator"), sign_in(brand)
    page = f"/moments/{made['id']}/"
    assert f"{page}approve/" not in operator.get(page).content.decode()
    assert operator.post(f"{page}approve/").status_code == 403
    assert f"{page}approve/" in admin.get(page).content.decode()
    assert admin.post(f"{page}approve/").status_code == 302
    with in_brand(brand):
        assert Moment.objects.get().state == "planned"
    assert api.post(f"{one}reject/").status_code == 409
