"""Pages and API of hand-overs: the form and its preview, the list, one run; rights, brands, statements."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contacts.models import Follow
from handover.models import HandoverItem, HandoverRun, HandoverShare, Unassigned
from org.access import RIGHTS
from org.models import Staff, Store
from scrm import clock
from tagging.models import Segment
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_staff, make_tag, make_user
from tests.groups.test_pages import api_of, make_chat
from tests.handover.conftest import House

pytestmark = pytest.mark.django_db(transaction=True)
State = HandoverItem.State


def make_run(corp: Any, giver: Staff, receivers: list[Staff], n: int = 4, **over: Any) -> HandoverRun:
    """A run with items in several states."""
    chosen = {
        "customers": "all",
        "groups": "none",
        "filters": {},
        "segment_id": None,
        "listed": [],
        "chat_ids": [],
    }
    run = HandoverRun.objects.create(
        **{"corp": corp, "giver": giver, "chosen": chosen, "created_by": "运营", **over}
    )
    for receiver in receivers:
        HandoverShare.objects.create(run=run, receiver=receiver)
    states = [State.WAITING, State.DONE, State.REFUSED, State.SKIPPED]
    for i in range(n):
        contact = make_contact(corp.brand)
        HandoverItem.objects.create(
            run=run,
            kind=1,
            giver=giver,
            receiver=receivers[i % len(receivers)],
            contact=contact,
            external_userid=f"wm{run.pk:015d}{i:015d}",
            state=states[i % 4],
            errcode=40128 if i % 4 == 3 else 0,
            asked_at=clock.now(),
            done_at=clock.now() if i % 4 else None,
        )
    return run


@pytest.fixture
def people(brand: Any, corp: Any) -> dict[str, Any]:
    with in_brand(brand):
        a, b, c = (make_staff(brand, corp, name=name) for name in ("甲导购", "乙导购", "丙导购"))
        contacts = [make_contact(brand, a, corp) for _ in range(5)]
    return {"a": a, "b": b, "c": c, "contacts": contacts}


def test_the_form_shows_what_would_happen(brand: Any, corp: Any, people: Any, sign_in: Any) -> None:
    with in_brand(brand):
        make_chat(corp, people["a"], "一群")
    client = sign_in(brand)
    assert "甲导购" in client.get("/handover/new/").content.decode()
    page = client.get(f"/handover/new/?from={people['a'].pk}").content.decode()
    assert "一群" in page
    given = {"from": people["a"].pk, "customers": "all", "groups": "all"}
    found = client.post("/handover/new/preview/", given).content.decode()
    assert "请至少选择一位接替人" in found
    given |= {"receiver": [people["b"].pk, people["c"].pk], f"weight_{people['b'].pk}": "4"}
    found = client.post("/handover/new/preview/", given).content.decode()
    assert "<strong>5</strong>" in found
    assert "乙导购" in found
    options = client.get(f"/handover/new/guides/?from={people['a'].pk}&q=乙").content.decode()
    assert "乙导购" in options
    assert "丙导购" not in options
    assert "甲导购" not in options


def test_a_filter_a_segment_and_a_list(brand: Any, corp: Any, people: Any, sign_in: Any) -> None:
    with in_brand(brand):
        tag = make_tag(brand, "重点")
        add_tags(brand, contacts=people["contacts"][:2], tags=[tag], source="page")
        condition = {"kind": "tags", "mode": "any", "ids": [tag.pk]}
        segment = Segment.objects.create(name="重点客户", condition=condition)
        external = Follow.objects.get(contact=people["contacts"][4]).external_userid
    client = sign_in(brand)
    base = {"from": people["a"].pk, "receiver": people["b"].pk}

    def n(**given: Any) -> str:
        return client.post("/handover/new/preview/", {**base, **given}).content.decode()

    assert "<strong>2</strong>" in n(customers="filter", f_tag=[tag.pk])
    assert "<strong>2</strong>" in n(customers="segment", segment=segment.pk)
    assert "<strong>1</strong>" in n(customers="list", listed=f"{external}\nnobody")
    for bad in ({"customers": "segment"}, {"customers": "filter"}, {"customers": "list"}, {"customers": "x"}):
        assert "<strong>" not in n(**bad)
    assert "<strong>" not in n(customers="segment", segment="999999")
    assert "<strong>" not in n(customers="filter", f_since="nonsense")


def test_start_watch_and_cancel(house: House, sign_in: Any) -> None:
    client = sign_in(house.brand)
    given = {
        "from": house.a.pk,
        "customers": "all",
        "groups": "none",
        "receiver": [house.b.pk, house.c.pk],
        f"weight_{house.b.pk}": "1",
        f"weight_{house.c.pk}": "1",
        "message": "以后由新的同事为您服务",
    }
    answer = client.post("/handover/new/", given)
    assert answer.status_code == 302
    with in_brand(house.brand):
        run = HandoverRun.objects.get()
    assert answer["Location"] == f"/handover/{run.pk}/"
    page = client.get(f"/handover/{run.pk}/").content.decode()
    assert "等待客户" in page
    assert "顾客0" in page
    assert "以后由新的同事为您服务" in page
    some = client.get(
        f"/handover/{run.pk}/?state=waiting&receiver={house.b.pk}", headers={"HX-Request": "true"}
    )
    assert some.content.decode().count("<tr") == 5
    assert client.get("/handover/").content.decode().count(f"/handover/{run.pk}/") >= 1
    assert client.post(f"/handover/{run.pk}/cancel/").status_code == 409  # all is with WeCom
    page = client.get(f"/contacts/{house.items(run)[0].contact_id}/").content.decode()
    assert "正由甲移交给" in page
    assert "left_of" not in client.get(f"/handover/{run.pk}/").content.decode()
    items = house.items(run)
    with in_brand(
        house.brand
    ):  # whom it could not hand over is offered as a list, not everybody whom the giver has by now
        HandoverItem.objects.filter(run=run).update(state=HandoverItem.State.DONE)
        HandoverItem.objects.filter(pk__in=[items[0].pk, items[1].pk]).update(
            state=HandoverItem.State.REFUSED
        )
        HandoverRun.objects.filter(pk=run.pk).update(state="done")
    link = f"/handover/new/?from={house.a.pk}&amp;left_of={run.pk}"
    assert link in client.get(f"/handover/{run.pk}/").content.decode()
    given = client.get(link.replace("&amp;", "&")).context["given"]
    assert (given.customers, given.listed.split()) == ("list", [i.external_userid for i in items[:2]])
    assert client.get(f"/handover/new/?from={house.a.pk}&left_of={run.pk + 9}").status_code == 404


def test_errors_stand_at_their_fields_and_nothing_is_lost(brand: Any, people: Any, sign_in: Any) -> None:
    client = sign_in(brand)
    given = {"from": people["a"].pk, "customers": "list", "listed": "nobody", "receiver": people["b"].pk}
    answer = client.post("/handover/new/", {**given, "message": "好" * 201})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "nobody" in page
    assert f'name="receiver" value="{people["b"].pk}"' in page
    answer = client.post("/handover/new/", {"from": people["a"].pk, "customers": "all"})
    assert answer.status_code == 422
    assert "请至少选择一位接替人" in answer.content.decode()
    with in_brand(brand):
        assert not HandoverRun.objects.exists()
    assert client.post("/handover/new/", {"from": "x"}).status_code == 404
    assert client.post("/handover/new/", {"from": "999999999"}).status_code == 404


def test_leavers_are_listed_with_what_waits(brand: Any, corp: Any, people: Any, sign_in: Any) -> None:
    with in_brand(brand):
        left = make_staff(brand, corp, name="离职的人", state="left", is_guide=False)
        for i in range(7):
            Unassigned.objects.create(
                corp=corp, staff=left, external_userid=f"wm{i}", left_at=clock.now() - timedelta(days=3)
            )
        make_chat(corp, left)
    client = sign_in(brand)
    page = client.get("/handover/").content.decode()
    assert "离职的人" in page
    assert f"/handover/new/?from={left.pk}" in page
    form = client.get(f"/handover/new/?from={left.pk}").content.decode()
    assert 'name="message"' not in form  # WeCom says nothing to customers of leavers
    overview = client.get("/").content.decode()
    assert "离职的人" in overview


def test_rights_and_scopes(brand: Any, corp: Any, people: Any, sign_in: Any) -> None:
    with in_brand(brand):
        run = make_run(corp, people["a"], [people["b"]])
        store = Store.objects.create(name="一店")
        boss = make_staff(brand, corp, store=store, name="店长")
        clerk = make_staff(brand, corp, store=store, name="店员")
        own = make_run(corp, clerk, [boss])
    assert sign_in(brand, "guide").get("/handover/").status_code == 403
    manager = sign_in(brand, "manager", user=make_user(brand, "manager", staff=boss))
    page = manager.get("/handover/").content.decode()
    assert f"/handover/{own.pk}/" in page
    assert f"/handover/{run.pk}/" not in page
    assert manager.get(f"/handover/{run.pk}/").status_code == 404
    assert manager.get("/handover/new/").status_code == 403
    assert manager.post(f"/handover/{own.pk}/cancel/").status_code == 403
    operator = sign_in(brand, "operator")
    assert operator.get("/handover/new/").status_code == 200
    client = sign_in(brand)
    with in_brand(brand):  # somebody of one store gives to nobody elsewhere
        role = Staff.objects.get(user_id=client.user.pk).role
        assert role
        role.scope = "store"
        role.save()
        Staff.objects.filter(user_id=client.user.pk).update(store=store)
        make_contact(brand, clerk, corp)
    given = {"from": clerk.pk, "customers": "all", "receiver": people["b"].pk}
    assert client.post("/handover/new/", given).status_code == 422
    assert client.get(f"/handover/new/?from={people['a'].pk}").status_code == 404


def test_another_brand_sees_nothing(
    brand: Any, other_brand: Any, corp: Any, people: Any, sign_in: Any
) -> None:
    with in_brand(brand):
        run = make_run(corp, people["a"], [people["b"]])
    client = sign_in(other_brand)
    assert "甲导购" not in client.get("/handover/").content.decode()
    assert client.get(f"/handover/{run.pk}/").status_code == 404
    assert client.post(f"/handover/{run.pk}/cancel/").status_code == 404
    assert client.get(f"/handover/new/?from={people['a'].pk}").status_code == 404
    assert client.get(f"/handover/new/guides/?from={people['a'].pk}").status_code == 404


def test_statements_do_not_grow_with_rows(brand: Any, corp: Any, people: Any, sign_in: Any) -> None:
    client, counts = sign_in(brand), []
    for n in (2, 20):
        with in_brand(brand):
            while HandoverRun.objects.count() < n:
                run = make_run(corp, people["a"], [make_staff(brand, corp) for _ in range(n)], n=n)
        queries = []
        for path in ("/handover/", f"/handover/{run.pk}/"):
            client.get(path)
            with CaptureQueriesContext(connection) as captured:
                assert client.get(path).status_code == 200
            queries.append(len(captured))
        counts.append(queries)
    assert counts[0] == counts[1]


def test_the_api_reads_runs_and_items(brand: Any, other_brand: Any, corp: Any, people: Any) -> None:
    with in_brand(brand):
        run = make_run(corp, people["a"], [people["b"], people["c"]])
    api, foreign = api_of(brand), api_of(other_brand)
    (row,) = api.get("/api/v1/handovers/").json()["results"]
    assert (row["giver_id"], row["state"], row["n_done"], row["n_bad"]) == (people["a"].pk, "running", 1, 2)
    assert [r["staff_id"] for r in row["receivers"]] == [people["b"].pk, people["c"].pk]
    assert api.get(f"/api/v1/handovers/{run.pk}/").json()["id"] == run.pk
    items = api.get(f"/api/v1/handovers/{run.pk}/items/").json()["results"]
    assert [i["state"] for i in items] == ["waiting", "done", "refused", "skipped"]
    assert [i["errcode"] for i in items if i["reason"]] == [0, 40128]
    assert len(api.get(f"/api/v1/handovers/{run.pk}/items/?state=done").json()["results"]) == 1
    assert api.get(f"/api/v1/handovers/{run.pk}/items/?state=nonsense").status_code == 422
    assert foreign.get("/api/v1/handovers/").json()["results"] == []
    assert foreign.get(f"/api/v1/handovers/{run.pk}/").status_code == 404
    some = api_of(brand, [right for right in RIGHTS if not right.startswith("handover")])
    assert some.get("/api/v1/handovers/").status_code == 403
