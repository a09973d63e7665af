"""Broadcasts by API: the whole way, what is refused, rights, other brands; content of the library."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import SendTask, Touch, Variant, Wave
from campaigns.services.broadcasts import broadcasts, waves
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput
from campaigns.services.governance import policy
from campaigns.services.sending import handing
from content.models import Content
from content.services import editing
from content.services.editing import ContentInput
from org.access import RIGHTS, SYSTEM, Actor
from scrm import clock
from scrm.errors import InvalidError
from tests.campaigns.test_api import client_of
from tests.factories import in_brand, make_contact, make_corp, make_staff

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/broadcasts/"
EVERYBODY = {"condition": {"kind": "everybody"}}
GIVEN: dict[str, Any] = {
    "name": "春上新",
    "audience": EVERYBODY,
    "contents": [{"text": "{员工姓名}：新品到店"}],
}
MAKER = Actor("小编", user_id=11, rights=frozenset(RIGHTS))


@pytest.fixture
def people(brand: Any) -> list[Any]:
    with in_brand(brand):
        corp = make_corp(brand)
        guides = [make_staff(brand, corp) for _ in range(2)]
        return [make_contact(brand, guides[n % 2]) for n in range(10)]


def send(client: Any, url: str, data: Any = None, method: str = "post") -> Any:
    body = json.dumps({} if data is None else data)
    return getattr(client, method)(url, body, content_type="application/json")


def test_a_wave_in_the_past(brand: Any, people: list[Any]) -> None:
    """Refused as on the page, at its wave; also when a draft is written anew. A copy is moved ahead of now."""
    client = client_of(brand, "broadcasts.view", "broadcasts.edit")
    past, soon = (f"{clock.now() + timedelta(hours=n):%Y-%m-%dT%H:%M:%SZ}" for n in (-1, 1))
    refused = send(client, URL, {**GIVEN, "waves": [{"at": past}]})
    assert refused.status_code == 422 and "waves" in refused.json()["error"]["fields"]
    made = send(client, URL, {**GIVEN, "waves": [{"at": soon}]}).json()
    one = f"{URL}{made['id']}/"
    assert send(client, one, {**GIVEN, "waves": [{"at": past}]}, "put").status_code == 422
    with in_brand(brand):
        Wave.objects.update(at=clock.now() - timedelta(days=40))
    assert send(client, f"{one}duplicate/").status_code == 201
    with in_brand(brand):
        assert Wave.objects.order_by("-pk")[0].at >= clock.now()


def test_from_draft_to_stop(brand: Any, people: list[Any]) -> None:
    client = client_of(brand, "broadcasts.view", "broadcasts.edit")
    with in_brand(brand):
        policy.set_refusal(brand, contact_id=people[0].pk, kind=Touch.Kind.BROADCAST, refused=True, by=SYSTEM)
    made = send(client, URL, GIVEN)
    assert made.status_code == 201 and made.json()["state"] == "draft"
    one = f"{URL}{made.json()['id']}/"
    changed = send(client, one, {**GIVEN, "name": "夏上新", "priority": 8}, "put").json()
    assert (changed["name"], changed["priority"], len(changed["waves"])) == ("夏上新", 8, 1)
    run = send(client, f"{one}dry-run/").json()
    assert (run["wanted"], run["planned"], run["held_back"], run["n_guides"]) == (
        10,
        9,
        {"refused_kind": 1},
        2,
    )
    with in_brand(brand):
        assert not Touch.objects.exists()
    assert send(client, f"{one}launch/").json()["state"] == "on"
    assert send(client, f"{one}launch/").status_code == 409
    assert send(client, one, GIVEN, "put").status_code == 409
    with in_brand(brand):
        waves.run_due(brand)
    found = client.get(one).json()
    assert found["numbers"]["n"] == 9 == found["contents"][0]["numbers"]["n"]
    assert found["waves"][0]["held_back"] == {"refused_kind": 1}
    assert send(client, f"{one}pause/").json()["state"] == "paused"
    assert send(client, f"{one}resume/").json()["state"] == "on"
    assert send(client, f"{one}winner/", {"content_id": found["contents"][0]["id"]}).status_code == 409
    assert send(client, f"{one}remind/").status_code == send(client, f"{one}reassign/").status_code == 200
    stopped = send(client, f"{one}cancel/").json()
    assert stopped["state"] == "cancelled" and stopped["numbers"]["n_cancelled"] == 9
    listed = client.get(f"{URL}?state=cancelled").json()
    assert [row["id"] for row in listed["results"]] == [stopped["id"]] and listed["next"] == ""
    assert client.delete(one).status_code == 409


# what has the wrong shape is 400, what the service refuses 422
WRONG_SHAPE: list[dict[str, Any]] = [
    {"name": ""}, {"contents": [{"text": "x", "weight": 0}]}, {"waves": [{"at": "soon"}]}, {"repeat": "year"},
    {"test": {"goal": "liked"}},
]  # fmt: skip
REFUSED: list[dict[str, Any]] = [
    {"audience": "all"}, {"audience": {"segment": "x"}}, {"audience": {"segment": 10**30}},
    {"audience": {"contacts": [10**30]}}, {"audience": {"condition": {"kind": "moon"}}}, {"contents": []},
    {"contents": [{"text": ""}]}, {"contents": [{"content_id": 1, "text": "x"}]}, {"waves": [{"after": "opened"}]},
    {"test": {"goal": "opened"}}, {"waves": [{"condition": [1]}]}, {"priority": 77},
    {"contents": [{"text": "x", "attachments": [{"type": "moon"}]}]},
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "over"), [*((400, over) for over in WRONG_SHAPE), *((422, over) for over in REFUSED)]
)
def test_what_cannot_be_is_refused(brand: Any, people: list[Any], status: int, over: dict[str, Any]) -> None:
    answer = send(client_of(brand, "broadcasts.edit"), URL, {**GIVEN, **over})
    assert answer.status_code == status, answer.content
    assert answer.json()


def test_rights_and_other_brands(brand: Any, other_brand: Any, people: list[Any]) -> None:
    number = send(client_of(brand, "broadcasts.edit"), URL, GIVEN).json()["id"]
    one = f"{URL}{number}/"
    reader, nobody = client_of(brand, "broadcasts.view"), client_of(brand, "sops.view")
    stranger = client_of(other_brand, "broadcasts.view", "broadcasts.edit", "broadcasts.approve")
    assert client_of(brand, "broadcasts.edit").get(one).status_code == 403
    assert reader.get(one).status_code == 200 and nobody.get(one).status_code == 403
    assert stranger.get(one).status_code == 404 and stranger.get(URL).json()["results"] == []
    for act in ("launch", "pause", "resume", "cancel", "remind", "reassign", "winner", "approve"):
        data = {"content_id": 1} if act == "winner" else {}
        assert send(reader, f"{one}{act}/", data).status_code == 403, act
        assert send(stranger, f"{one}{act}/", data).status_code == 404, act
    assert send(stranger, f"{one}dry-run/").status_code == 404
    assert send(stranger, one, GIVEN, "put").status_code == 404


def test_a_second_person_approves(brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        policy.change_policy(brand, needs_approval=True, by=SYSTEM)
    client = client_of(brand, "broadcasts.edit", "broadcasts.approve", "broadcasts.view")
    one = f"{URL}{send(client, URL, GIVEN).json()['id']}/"
    assert send(client, f"{one}launch/").json()["state"] == "approval"
    assert send(client, f"{one}approve/").status_code == 403


def test_queries_do_not_grow(brand: Any, people: list[Any]) -> None:
    client = client_of(brand, "broadcasts.edit", "broadcasts.view")

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            client.get(URL)
        return len(seen)

    for _n in range(2):
        send(client, URL, GIVEN)
    queries()
    few = queries()
    for _n in range(18):
        send(client, URL, GIVEN)
    assert queries() == few


# ---- the library


def make_content(brand: Any, **over: Any) -> Content:
    given = ContentInput(**{"name": "早安", "text": "早上好", **over})
    return editing.create_content(brand, given=given, by=MAKER).content


def test_content_of_the_library(brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        content = make_content(brand)
    client = client_of(brand, "broadcasts.edit", "broadcasts.view")
    made = send(client, URL, {**GIVEN, "contents": [{"content_id": content.pk}]}).json()
    assert made["contents"][0]["text"] == "早上好"
    version = made["contents"][0]["content_version_id"]
    assert version == content.current_id
    send(client, f"{URL}{made['id']}/launch/")
    with in_brand(brand):
        waves.run_due(brand)
        assert set(SendTask.objects.values_list("content_id", flat=True)) == {version}
        planned = Touch.objects.filter(state=Touch.State.PLANNED)
        assert set(planned.values_list("content_id", flat=True)) == {version}
    assert send(client, URL, {**GIVEN, "contents": [{"content_id": 10**9}]}).status_code == 404


def test_changed_words_are_not_the_librarys(brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        version = make_content(brand).current_id
        variants = [
            VariantInput("早上好", content_version=version),
            VariantInput("早上好！", content_version=version),
        ]
        broadcasts.save_draft(brand, BroadcastInput("x", EVERYBODY, variants), by=SYSTEM)
        assert list(Variant.objects.order_by("letter").values_list("content_id", flat=True)) == [
            version,
            None,
        ]


def test_content_that_expires_before_its_wave(brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        content = make_content(brand)
        given = BroadcastInput("x", EVERYBODY, [VariantInput("早上好", content_version=content.current_id)])
        first, second = (broadcasts.save_draft(brand, given, by=SYSTEM) for _ in range(2))
        broadcasts.launch(brand, broadcast_id=first.pk, by=SYSTEM)
        Content.objects.filter(pk=content.pk).update(expires_at=clock.now() - timedelta(minutes=1))
        with pytest.raises(InvalidError):
            broadcasts.launch(brand, broadcast_id=second.pk, by=SYSTEM)
        waves.run_due(brand)
        wave = Wave.objects.get(broadcast=first)
        assert wave.state == "skipped" and "早安" in wave.numbers["error"] and not Touch.objects.exists()


def test_whoever_waits_for_the_guide_is_shown_so(brand: Any, people: list[Any]) -> None:
    """The ledger is not written again when WeCom has a broadcast's send task: its touches show the task's state."""
    with in_brand(brand):
        draft = broadcasts.save_draft(
            brand, BroadcastInput("春上新", EVERYBODY, [VariantInput("a")]), by=MAKER
        )
        broadcasts.launch(brand, broadcast_id=draft.pk, by=MAKER)
        waves.run_due(brand)
        handed, planned = SendTask.objects.order_by("pk")
        handing.record_handed(brand, [handing.Made(handed, "m1", handed.contact_ids[:1])])
        assert set(Touch.objects.values_list("state", "send_task_id")) == {
            (Touch.State.PLANNED, handed.pk), (Touch.State.PLANNED, planned.pk), (Touch.State.FAILED, handed.pk),
        }  # fmt: skip
    client = client_of(brand, "sops.view")
    listed = {
        state: {t["contact_id"] for t in client.get(f"/api/v1/touches/?state={state}").json()["results"]}
        for state in ("handed", "planned", "failed")
    }
    assert listed == {
        "handed": set(handed.contact_ids[1:]),
        "planned": set(planned.contact_ids),
        "failed": set(handed.contact_ids[:1]),
    }
    shown = client.get("/api/v1/touches/").json()["results"]
    for state, ids in listed.items():
        assert {t["contact_id"] for t in shown if t["state"] == state} == ids


def test_send_back_copy_and_who_gets_it(brand: Any, other_brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        policy.change_policy(brand, needs_approval=True, guide_tasks_a_day=1, by=SYSTEM)
        policy.set_refusal(brand, contact_id=people[0].pk, kind=Touch.Kind.BROADCAST, refused=True, by=SYSTEM)
    client = client_of(brand, "broadcasts.edit", "broadcasts.view")
    one = f"{URL}{send(client, URL, GIVEN).json()['id']}/"
    assert send(client, f"{one}reject/").status_code == 409
    assert send(client, f"{one}launch/").json()["state"] == "approval"
    assert send(client, f"{one}reject/").json()["state"] == "draft"
    copy = send(client, f"{one}duplicate/")
    assert copy.status_code == 201 and copy.json()["state"] == "draft" and f"{URL}{copy.json()['id']}/" != one
    run = send(client, f"{one}dry-run/").json()
    assert (run["contents"], run["over_limit"], run["is_held"]) == ({"A": 9}, 0, False)
    assert sorted((g["n"], g["n_tasks"], g["n_already"]) for g in run["guides"]) == [(4, 1, 0), (5, 1, 0)]
    assert client.get(f"{one}dry-run/people/?reason=refused_kind").json() == {"contact_ids": [people[0].pk]}
    assert len(client.get(f"{one}dry-run/people/").json()["contact_ids"]) == 9
    assert client.get(f"{one}dry-run/people/?reason=moon").status_code == 422
    reader, stranger = (
        client_of(brand, "sops.view"),
        client_of(other_brand, "broadcasts.view", "broadcasts.edit"),
    )
    for act in ("reject", "duplicate"):
        assert send(reader, f"{one}{act}/").status_code == 403, act
        assert send(stranger, f"{one}{act}/").status_code == 404, act
    assert reader.get(f"{one}dry-run/people/").status_code == 403
    assert stranger.get(f"{one}dry-run/people/").status_code == 404
