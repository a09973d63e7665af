"""SOPs of steps by day through the API: written, changed, switched on, copied and deleted, with the checks of the page."""

from typing import Any

import pytest
from django.test import Client

from campaigns.models import Sop, SopStep
from campaigns.services.governance import policy
from campaigns.services.graphs import graphs
from campaigns.services.sops import enrolments
from content.services import editing, sensitive
from content.services.editing import ContentInput
from org.access import SYSTEM
from org.models import AuditEntry
from tests.campaigns.graphs import entry, line, touch
from tests.campaigns.test_api import client_of
from tests.factories import in_brand, make_contact, make_corp, make_staff

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/sops/"
STEPS = [
    {"day": 3, "time": "10:00", "text": "第三天"},
    {
        "day": 0,
        "time": "20:30",
        "text": "欢迎",
        "attachments": [{"type": "link", "title": "看", "url": "https://x.cn"}],
    },
]


def send(client: Client, method: str, url: str, body: Any = None) -> Any:
    if body is None:
        return getattr(client, method)(url)
    return getattr(client, method)(url, body, content_type="application/json")


@pytest.fixture
def api(brand: Any) -> Client:
    return client_of(brand, "sops.view", "sops.edit")


def test_from_the_draft_to_the_end(brand: Any, api: Client) -> None:
    answer = send(api, "post", URL, {"name": "新客", "late_days": 5, "steps": STEPS})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["state"], made["form"], made["late_days"]) == ("新客", "draft", "steps", 5)
    assert [(s["day"], s["time"], s["text"]) for s in made["steps"]] == [
        (0, "20:30", "欢迎"),
        (3, "10:00", "第三天"),
    ]
    assert made["steps"][0]["attachments"][0]["url"] == "https://x.cn"
    one = f"{URL}{made['id']}/"
    assert api.get(one).json() == made
    assert send(api, "post", f"{one}on/").json()["state"] == "on"
    assert send(api, "post", f"{one}on/").status_code == 409
    with in_brand(brand):
        contact = make_contact(brand, make_staff(brand, make_corp(brand)))
        actions = list(AuditEntry.objects.order_by("pk").values_list("action", "actor"))
    assert [action for action, _actor in actions][-2:] == ["sop.create", "sop.on"]
    assert actions[-1][1].startswith("api: ")
    assert send(api, "post", f"{one}enrol/", {"contact_ids": [contact.pk]}).status_code == 202
    copy = send(api, "post", f"{one}duplicate/")
    assert copy.status_code == 201 and copy.json()["name"] == "新客 (2)" and len(copy.json()["steps"]) == 2
    assert send(api, "delete", f"{URL}{copy.json()['id']}/").status_code == 204
    assert send(api, "delete", one).status_code == 409


def test_what_is_left_out_stays_and_what_is_read_can_be_sent_back(brand: Any, api: Client) -> None:
    made = send(api, "post", URL, {"name": "S", "steps": STEPS}).json()
    one = f"{URL}{made['id']}/"
    changed = send(api, "patch", one, {"name": "T"}).json()
    assert (changed["name"], changed["steps"], changed["late_days"]) == ("T", made["steps"], 3)
    again = send(api, "patch", one, {"steps": made["steps"]}).json()
    assert again["steps"] == made["steps"]  # the same rows
    first = {**made["steps"][0], "text": "您好"}
    fresh = {"day": 9, "time": "09:00", "text": "第九天"}
    after = send(api, "patch", one, {"steps": [first, fresh], "priority": 7}).json()
    assert [s["text"] for s in after["steps"]] == ["您好", "第九天"] and after["priority"] == 7
    assert after["steps"][0]["id"] == first["id"]
    with in_brand(brand):
        assert SopStep.objects.exclude(removed_at=None).get().text == "第三天"  # taken out, but kept


def test_people_in_it_are_asked_for(brand: Any, api: Client) -> None:
    made = send(api, "post", URL, {"name": "S", "steps": STEPS}).json()
    one = f"{URL}{made['id']}/"
    send(api, "post", f"{one}on/")
    with in_brand(brand):
        contact = make_contact(brand, make_staff(brand, make_corp(brand)))
        sop = Sop.objects.get()
        enrolments.enrol_many(brand, sop=sop, contact_ids=[contact.pk], source="page")
    later = [{**step, "day": step["day"] + 30} for step in made["steps"]]
    refused = send(api, "patch", one, {"steps": later})
    assert refused.status_code == 409
    error = refused.json()["error"]
    assert (error["code"], error["n_people"], error["n_moved"]) == ("confirm", 1, 1)
    assert api.get(one).json()["steps"] == made["steps"]
    assert send(api, "patch", one, {"steps": later, "agreed": True}).status_code == 200
    assert [s["day"] for s in api.get(one).json()["steps"]] == [30, 33]


@pytest.mark.parametrize(
    ("over", "status"),
    [
        ({"name": ""}, 400), ({"name": "长" * 61}, 400), ({"name": "有了"}, 422), ({"late_days": 31}, 400),
        ({"late_days": -1}, 400), ({"steps": [{"day": 1, "time": "25:00", "text": "x"}]}, 400),
        ({"steps": [{"day": 1, "time": "10:00:30", "text": "x"}]}, 400), ({"steps": [{"day": -1, "time": "10:00"}]}, 400),
        ({"steps": [{"day": 1, "time": "10:00"}]}, 422), ({"steps": [{"day": 1, "time": "10:00", "text": "{客户昵称}"}]}, 422),
        ({"steps": [{"day": 1, "time": "10:00", "text": "好" * 1334}]}, 422),
        ({"steps": [{"day": 1, "time": "10:00", "text": "a"}, {"day": 1, "time": "10:00", "text": "b"}]}, 422),
        ({"steps": [{"day": 1, "time": "10:00", "text": "根治"}]}, 422),
        ({"steps": [{"day": 1, "time": "10:00", "text": "a", "id": 999}]}, 422),
        ({"steps": [{"day": 1, "time": "10:00", "content_id": 999}]}, 404),
        ({"steps": [{"day": 1, "time": "10:00", "txt": "a"}]}, 400), ({"steps": "x"}, 400), ({"step": []}, 400),
        ({"steps": [{"day": n, "time": "10:00", "text": "a"} for n in range(51)]}, 422),
    ],
)  # fmt: skip
def test_what_the_page_refuses_is_refused(brand: Any, api: Client, over: dict[str, Any], status: int) -> None:
    with in_brand(brand):
        sensitive.add_words(brand, words=["根治"], level="refuse", by=SYSTEM)
    assert send(api, "post", URL, {"name": "有了", "steps": STEPS}).status_code == 201
    answer = send(api, "post", URL, {"name": "新", "steps": STEPS, **over})
    assert (answer.status_code, bool(answer.json()["error"]["message"])) == (status, True), answer.content
    with in_brand(brand):
        assert Sop.objects.count() == 1


def test_content_of_the_library(brand: Any, api: Client) -> None:
    with in_brand(brand):
        given = ContentInput(name="早安", text="早上好", kind="message")
        content = editing.create_content(brand, given=given, by=SYSTEM).content
        content.refresh_from_db()
    step = {"day": 1, "time": "10:00", "content_id": content.pk}
    made = send(api, "post", URL, {"name": "S", "steps": [step]}).json()
    [found] = made["steps"]
    assert (found["text"], found["content_version_id"]) == ("早上好", content.current_id)
    one = f"{URL}{made['id']}/"
    kept = send(api, "patch", one, {"steps": [found]}).json()["steps"][0]
    assert kept["content_version_id"] == content.current_id
    other = send(api, "patch", one, {"steps": [{**found, "text": "晚上好"}]}).json()["steps"][0]
    assert other["content_version_id"] is None
    assert send(api, "patch", one, {"steps": [{**step, "text": "x"}]}).status_code == 422


def test_both_forms_rights_and_other_brands(brand: Any, other_brand: Any, api: Client) -> None:
    with in_brand(brand):
        drawn = graphs.create_graph_sop(brand, name="旅程", graph=line(entry(), touch("你好")))
    url = f"{URL}{drawn.pk}/"
    assert send(api, "patch", url, {"priority": 8}).json()["priority"] == 8
    assert send(api, "patch", url, {"name": "x"}).status_code == 409
    assert send(api, "post", f"{url}on/").status_code == 409
    assert send(api, "post", f"{url}publish/", {}).status_code == 201
    copy = send(api, "post", f"{url}duplicate/").json()
    assert copy["form"] == "graph" and send(api, "delete", f"{URL}{copy['id']}/").status_code == 204
    made = send(api, "post", URL, {"name": "S", "steps": STEPS}).json()
    one = f"{URL}{made['id']}/"
    reader, stranger = client_of(brand, "sops.view"), client_of(other_brand, "sops.view", "sops.edit")
    for method, address, body in (
        ("patch", one, {"name": "T"}), ("delete", one, None), ("post", f"{one}on/", None), ("post", f"{one}duplicate/", None),
    ):  # fmt: skip
        assert send(reader, method, address, body).status_code == 403
        assert send(stranger, method, address, body).status_code == 404
    assert send(reader, "post", URL, {"name": "T"}).status_code == 403


# ---- a second person


def test_what_comes_into_force_waits_for_a_second_person(brand: Any, other_brand: Any) -> None:
    with in_brand(brand):
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=True)
    writer = client_of(brand, "sops.view", "sops.edit", "broadcasts.approve")
    checker = client_of(brand, "sops.view", "broadcasts.approve", name="审批")
    blind, stranger = client_of(brand, "broadcasts.approve"), client_of(other_brand, "sops.view", "sops.edit")
    one = f"{URL}{send(writer, 'post', URL, {'name': '新客', 'steps': STEPS}).json()['id']}/"
    answer = send(writer, "post", f"{one}on/")
    assert answer.status_code == 202 and answer.json()["state"] == "draft"
    waits = answer.json()["waiting"]
    assert (waits["kind"], waits["id"] > 0) == ("on", True)
    request = f"{URL}requests/{waits['id']}/"
    whole = checker.get(request).json()
    assert (whole["state"], whole["is_own"], whole["problem"], len(whole["changes"])) == (
        "waiting",
        False,
        "",
        2,
    )
    assert writer.get(request).json()["is_own"]
    assert [row["id"] for row in checker.get(f"{URL}requests/?state=waiting").json()["results"]] == [
        waits["id"]
    ]
    assert send(writer, "post", f"{request}approve/").status_code == 403
    assert (
        send(blind, "post", f"{request}approve/").status_code == 403 and blind.get(request).status_code == 403
    )
    assert (
        stranger.get(request).status_code == send(stranger, "post", f"{request}withdraw/").status_code == 404
    )
    assert stranger.get(f"{URL}requests/").json()["results"] == []
    assert send(checker, "post", f"{request}approve/").json()["state"] == "approved"
    assert send(checker, "post", f"{request}approve/").json()["error"]["code"] == "not_waiting"
    assert checker.get(one).json()["state"] == "on" and checker.get(one).json()["waiting"] is None

    # other steps of what is on; a name alone needs nobody
    steps = checker.get(one).json()["steps"]
    assert send(writer, "patch", one, {"name": "老客"}).status_code == 200
    wanted = [{**STEPS[0], "id": steps[1]["id"], "text": "改了"}]
    assert (
        send(writer, "patch", one, {"priority": 8, "steps": wanted}).status_code == 422
    )  # one after the other
    answer = send(writer, "patch", one, {"steps": wanted})
    assert (answer.status_code, answer.json()["priority"], len(answer.json()["steps"])) == (202, 5, 2)
    request = f"{URL}requests/{answer.json()['waiting']['id']}/"
    assert any("改了" in said for said in checker.get(request).json()["changes"])
    assert send(checker, "post", f"{request}reject/", {}).status_code == 400
    assert send(checker, "post", f"{request}reject/", {"reason": "少了一步"}).json()["reason"] == "少了一步"
    assert len(checker.get(one).json()["steps"]) == 2
    assert checker.get(f"{URL}requests/?state=moon").status_code == 422
    assert len(checker.get(f"{URL}requests/", {"sop": one.split("/")[-2]}).json()["results"]) == 2


def test_a_canvas_waits_as_well(brand: Any) -> None:
    with in_brand(brand):
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=True)
    writer = client_of(brand, "sops.view", "sops.edit")
    checker = client_of(brand, "sops.view", "broadcasts.approve", name="审批")
    graph = line(entry(), touch("你好"))
    made = send(writer, "post", f"{URL}graphs/", {"name": "画", "graph": graph}).json()
    one = f"{URL}{made['id']}/"
    answer = send(writer, "post", f"{one}publish/", {"note": "一"})
    assert answer.status_code == 202
    found = answer.json()
    assert (found["version"], found["job_id"]) == (None, None)
    assert checker.get(f"{one}graph/").json()["waiting_id"] == found["request_id"]
    request = f"{URL}requests/{found['request_id']}/"
    assert send(checker, "post", f"{request}approve/").status_code == 200
    version = checker.get(f"{one}versions/").json()["results"][0]
    assert (version["n"], version["note"]) == (1, "一") and version["approved_by"] != version["published_by"]
    assert send(writer, "post", f"{one}publish/", {}).status_code == 201  # nothing is new
    send(writer, "patch", f"{one}graph/", {"graph": line(entry(), touch("再见"))})
    request = f"{URL}requests/{send(writer, 'post', f'{one}publish/', {}).json()['request_id']}/"
    assert send(writer, "post", f"{request}withdraw/").json()["state"] == "withdrawn"
