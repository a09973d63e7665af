"""Value by API: of contacts, of the brand, lookalikes; and the people behind a number, by pages and as a segment."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import ContactStat
from org.access import RIGHTS, Actor
from org.services import keys
from scrm import clock
from tagging.models import LifecycleFlow, Segment
from tagging.services.segments.audience import Audience
from tagging.services.value import lifecycle
from tagging.views import value as pages
from tests.factories import in_brand, make_contact

API = "/api/v1/"


def client_of(brand: Any, *rights: str) -> Client:
    with in_brand(brand):
        by = Actor("admin", rights=frozenset(RIGHTS))
        whole = keys.create_key(brand, name="k", rights=list(rights), by=by)[1]
    return Client(headers={"authorization": f"Bearer {whole}"})


@pytest.fixture
def people(brand: Any, staff: Any) -> list[int]:
    """Twenty buyers with rising scores, half of them in one cell and at one stage, all to order again tomorrow."""
    with in_brand(brand):
        ids = [make_contact(brand, staff).pk for _ in range(20)]
        stage = lifecycle.stages_of(brand)[0].number
        for n, pk in enumerate(ids):
            ContactStat.objects.filter(contact=pk).update(
                n_orders=n + 1, spent_fen=1_000 * n, value_score=n // 2, recency=5 if n % 2 else 1, frequency=3, monetary=2,
                value_group=1 if n % 2 else 4, lifecycle=stage if n % 2 else None, alive_ratio=0.5, ltv_fen=12_345,
                next_order_on=clock.today(brand.timezone) + timedelta(days=1), n_follows=1,
            )  # fmt: skip
    return ids


def test_of_a_contact(brand: Any, staff: Any, people: list[int]) -> None:
    client = client_of(brand, "contacts.view")
    row = client.get(f"{API}contacts/{people[3]}/").json()["value"]
    with in_brand(brand):
        stage = lifecycle.stages_of(brand)[0]
    assert row["lifecycle"] == {"number": stage.number, "name": stage.name}
    assert (row["n_orders"], row["spent_fen"], row["score"], row["recency"], row["group"]) == (
        4,
        3_000,
        1,
        5,
        "loyal",
    )
    assert (row["alive_ratio"], row["ltv_fen"], row["last_order_at"]) == (0.5, 12_345, None)
    with in_brand(brand):
        fresh = make_contact(brand, staff).pk
    row = client.get(f"{API}contacts/{fresh}/").json()["value"]
    assert (row["n_orders"], row["score"], row["group"], row["lifecycle"]) == (0, None, None, None)
    counts = []
    for limit in (2, 20):
        with CaptureQueriesContext(connection) as queries:
            assert len(client.get(f"{API}contacts/?limit={limit}").json()["results"]) == limit
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_of_the_brand(brand: Any, other_brand: Any, people: list[int]) -> None:
    client, stranger = client_of(brand, "segments.view"), client_of(other_brand, "segments.view")
    found = client.get(f"{API}value/").json()
    assert found["n"] == sum(found["scores"]) == 20 and found["scores"][0] == 20
    assert {g["group"]: g["n"] for g in found["groups"]} == {
        "loyal": 10,
        "good": 0,
        "ordinary": 0,
        "lost": 10,
    }
    assert {g["group"]: g["expected_fen"] for g in found["groups"]} == {
        "loyal": 123_450, "good": None, "ordinary": None, "lost": 123_450,
    }  # fmt: skip
    assert {(c["recency"], c["frequency"]): c["n"] for c in found["grid"] if c["n"]} == {
        (5, 3): 10,
        (1, 3): 10,
    }
    with in_brand(brand):
        first, second = lifecycle.stages_of(brand)[:2]
        today = clock.today(brand.timezone)
        for days, n in ((0, 4), (40, 9)):
            LifecycleFlow.objects.create(
                on=today - timedelta(days=days), from_stage=first.number, to_stage=second.number, n=n
            )
    found = client.get(f"{API}value/lifecycle/").json()
    assert found["moves"] == [{"from_stage": first.name, "to_stage": second.name, "n": 4}]
    assert {s["number"]: s["n"] for s in found["stages"]}[first.number] == 10
    assert client.get(f"{API}value/lifecycle/?days=90").json()["moves"][0]["n"] == 13
    assert client.get(f"{API}value/lifecycle/?days=x").status_code == 422
    assert stranger.get(f"{API}value/").json()["n"] == 0
    for path in ("value/", "value/lifecycle/", "lookalikes/"):
        assert client_of(brand, "contacts.view").get(f"{API}{path}").status_code == 403


def test_lookalikes(brand: Any, other_brand: Any, people: list[int]) -> None:
    with in_brand(brand):
        segment = Segment.objects.create(name="种子", condition={"kind": "everybody"})
    client = client_of(brand, "segments.view", "segments.edit")
    body = {"segment_id": segment.pk, "size": 10, "name": "像他们"}

    def send(to: Client, **over: Any) -> Any:
        return to.post(f"{API}lookalikes/", {**body, **over}, content_type="application/json")

    made = send(client)
    assert made.status_code == 202 and made.json()["segment_id"] == segment.pk
    assert client.get(f"{API}lookalikes/{made.json()['id']}/").json()["name"] == "像他们"
    assert [row["id"] for row in client.get(f"{API}lookalikes/").json()["results"]] == [made.json()["id"]]
    for over in ({"size": 0}, {"size": 10**9}, {"name": ""}, {"segment_id": "x"}):
        assert send(client, **over).status_code == 400, over
    assert send(client, segment_id=segment.pk + 999).status_code == 404
    stranger = client_of(other_brand, "segments.view", "segments.edit")
    assert send(stranger).status_code == 404
    assert stranger.get(f"{API}lookalikes/{made.json()['id']}/").status_code == 404
    assert send(client_of(brand, "segments.view")).status_code == 403


@pytest.mark.parametrize(
    ("query", "n"),
    [("people/?r=5&f=3", 10), ("people/?group=4", 10), ("people/?stage=", 10), ("next/?days=7", 20)],
)
def test_everybody_behind_a_number(
    brand: Any, other_brand: Any, people: list[int], sign_in: Any, monkeypatch: Any, query: str, n: int
) -> None:
    """By pages, each once, and the segment of the button holds the same people."""
    monkeypatch.setattr(pages, "PEOPLE", 3)
    with in_brand(brand):
        query = query.replace("stage=", f"stage={lifecycle.stages_of(brand)[0].number}")
    client = sign_in(brand, "operator")
    seen: list[int] = []
    after = ""
    while True:
        page = client.get(
            f"/value/{query}&after={after}", headers={"HX-Request": "true"} if after else {}
        ).context["page"]
        seen += [row.contact_id for row in page]
        if not (after := page.next):
            break
    assert len(seen) == len(set(seen)) == n
    first = client.get(f"/value/{query}")
    condition = first.context["condition"]
    begin = client.get("/segments/new/", {"condition": condition})
    assert json.loads(begin.context["condition"]) == json.loads(condition)
    with in_brand(brand):
        from tagging.services.segments import audience

        assert set(Audience(brand, audience.read(brand, json.loads(condition))).ids()) == set(seen)
    assert "/segments/new/?condition=" in first.text
    assert sign_in(other_brand, "operator").get("/value/next/?days=7").context["page"].rows == []
    for bad in ("{", "[]", json.dumps({"kind": "moon"})):
        assert client.get("/segments/new/", {"condition": bad}).status_code == 422
