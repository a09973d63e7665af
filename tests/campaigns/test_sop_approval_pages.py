"""Pages of a second person for SOPs: what waits, what is in it, yes and no, by role and brand."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from campaigns.models import Enrolment, Sop, SopRequest, SopVersion
from campaigns.services.governance import policy
from campaigns.services.graphs import graphs
from campaigns.services.sops import enrolments, sop_approval, sop_requests, sops
from campaigns.services.sops.sops import StepInput
from org.access import SYSTEM, Actor
from org.models import Role
from tests.campaigns.graphs import entry, line, touch, wait
from tests.campaigns.test_api import client_of
from tests.factories import in_brand, make_contact, make_corp, make_staff

pytestmark = pytest.mark.django_db(transaction=True)
WRITER = Actor("小文", user_id=900_011)
LIST = "/sops/requests/"
LINK = '[{"type": "link", "title": "指南", "url": "https://x.cn/a"}]'


@pytest.fixture
def house(brand: Any) -> Any:
    with in_brand(brand):
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=True)
    return brand


def drawn(brand: Any, *nodes: Any, name: str = "画的") -> Sop:
    graph = line(entry(), *nodes or (touch("你好，欢迎"),))
    return graphs.create_graph_sop(brand, name=name, graph=graph, by=WRITER)


def ask(brand: Any, *nodes: Any, name: str = "画的") -> SopRequest:
    with in_brand(brand):
        asked = sop_approval.publish(brand, sop_id=drawn(brand, *nodes, name=name).pk, by=WRITER).request
        assert asked
        return asked


def running(brand: Any) -> Sop:
    """Steps by day, on."""
    with in_brand(brand):
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=False)
        steps = [StepInput(1, 10, 0, "第一天好"), StepInput(7, 10, 0, "第七天好")]
        sop = sops.create_sop(brand, name="新客", steps=steps, by=WRITER)
        sops.switch_on(brand, sop_id=sop.pk, by=WRITER)
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=True)
        return sop


def text(client: Client, url: str, status: int = 200) -> str:
    answer = client.get(url)
    assert answer.status_code == status, url
    return answer.content.decode()


def test_steps_from_the_form_to_the_yes(house: Any, sign_in: Any) -> None:
    writer, checker = sign_in(house), sign_in(house)
    writer.post(
        "/sops/new/",
        {"name": "新客", "late_days": 3, "step_id": "", "day": 1, "time": "10:00", "text": "您好", "attachments": "[]"},
    )  # fmt: skip
    with in_brand(house):
        sop = Sop.objects.get()
    assert "提交审批" in text(writer, f"/sops/{sop.pk}/") and "/on/" in text(writer, f"/sops/{sop.pk}/")
    answer = writer.post(f"/sops/{sop.pk}/on/")
    with in_brand(house):
        asked = SopRequest.objects.get()
        assert sops.get_sop(sop.pk).state == "draft"
    page = f"{LIST}{asked.pk}/"
    assert answer.url == page
    own = text(writer, page)
    assert "/approve/" not in own and "/withdraw/" in own
    assert writer.post(f"{page}approve/").status_code == 403
    assert page in text(writer, f"/sops/{sop.pk}/") and "/on/" not in text(writer, f"/sops/{sop.pk}/")
    assert "您好" in text(checker, page) and f"{page}approve/" in text(checker, page)
    assert page in text(checker, LIST)
    assert checker.post(f"{page}approve/").url == f"/sops/{sop.pk}/"
    with in_brand(house):
        assert sops.get_sop(sop.pk).state == "on"
    assert page not in text(checker, LIST) and "/approve/" not in text(checker, page)
    assert checker.post(f"{page}approve/").status_code == 409


def test_a_canvas_is_asked_for_sent_back_and_published(house: Any, sign_in: Any) -> None:
    writer, checker = sign_in(house), sign_in(house)
    writer.post("/sops/start/", {"name": "画的", "template": "birthday"})
    with in_brand(house):
        sop = Sop.objects.get()
    graph = line(entry(), touch("生日快乐"))
    revision = sop.draft_n
    saved = writer.post(
        f"/sops/{sop.pk}/canvas/save/",
        {"graph": graph, "revision": revision},
        content_type="application/json",
    )
    assert saved.status_code == 200
    dialog = text(writer, f"/sops/{sop.pk}/publish/")
    assert "提交审批" in dialog
    answer = writer.post(
        f"/sops/{sop.pk}/publish/", {"go": "1", "note": "新的", "draft_n": saved.json()["revision"]}
    )
    with in_brand(house):
        asked = SopRequest.objects.get()
        assert not SopVersion.objects.exists()
    page = f"{LIST}{asked.pk}/"
    assert page in (answer.headers.get("HX-Redirect") or answer.url)
    shown = text(checker, page)
    assert "生日快乐" in shown and "新的" in shown and "手动加入" in shown
    refused = checker.post(f"{page}reject/", {"reason": "  "})
    assert refused.status_code == 422 and "is-invalid" in refused.content.decode()
    assert checker.post(f"{page}reject/", {"reason": "<b>太长</b>"}).status_code == 302
    shown = text(writer, f"/sops/{sop.pk}/")
    assert "&lt;b&gt;太长" in shown and "<b>太长" not in shown
    assert "太长" in text(writer, f"/sops/{sop.pk}/canvas/")
    writer.post(f"/sops/{sop.pk}/publish/", {"go": "1"})
    with in_brand(house):
        again = SopRequest.objects.get(state="waiting")
    assert "太长" not in text(writer, f"/sops/{sop.pk}/canvas/") and again.pk != asked.pk
    checker.post(f"{LIST}{again.pk}/approve/")
    with in_brand(house):
        version = SopVersion.objects.get()
        assert version.approved_by and version.approved_by != version.published_by
    assert version.approved_by in text(writer, f"/sops/{sop.pk}/versions/")


def test_other_steps_are_shown_beside_the_old_ones(house: Any, sign_in: Any) -> None:
    sop, (writer, checker) = running(house), (sign_in(house), sign_in(house))
    with in_brand(house):
        first, second = sops.live_steps(sop.pk)
        guide = make_staff(house, make_corp(house))
        enrolments.enrol_many(
            house, sop=sops.get_sop(sop.pk), contact_ids=[make_contact(house, guide).pk], source="page"
        )
    rows = {
        "name": "新客", "late_days": 5, "step_id": [first.pk, ""], "day": [2, 9], "time": ["10:00", "11:00"],
        "text": ["第一天你好", "第九天"], "attachments": [LINK, "[]"],
    }  # fmt: skip
    asked_first = writer.post(f"/sops/{sop.pk}/edit/", rows)
    assert (
        asked_first.status_code == 422 and "提交审批" in asked_first.content.decode()
    )  # people are concerned
    assert (
        writer.post(f"/sops/{sop.pk}/edit/", {**rows, "agreed": "1", "note": "换个说法"}).status_code == 302
    )
    with in_brand(house):
        asked = SopRequest.objects.get()
        assert [s.text for s in sops.live_steps(sop.pk)] == ["第一天好", "第七天好"]
    shown = text(checker, f"{LIST}{asked.pk}/")
    plain = re.sub(r"<(?!/?(?:ins|del))[^>]*>", "", shown)
    assert "第一天<ins>你</ins>好" in plain and "第七天好" in plain and "第九天" in plain
    assert "换个说法" in plain and "3 → 5" in plain and "指南" in plain and "https://x.cn/a" in plain
    # taken up again: the form holds what was handed in
    form = text(writer, f"/sops/{sop.pk}/edit/?taken_up={asked.pk}")
    assert "第一天你好" in form and "第九天" in form and "第七天好" not in form
    checker.post(f"{LIST}{asked.pk}/approve/")
    with in_brand(house):
        assert [s.text for s in sops.live_steps(sop.pk)] == ["第一天你好", "第九天"]
        assert sops.live_steps(sop.pk)[0].pk == first.pk and second.pk
        assert sops.get_sop(sop.pk).late_days == 5
    assert "第一天" in text(checker, f"{LIST}{asked.pk}/")


def test_steps_that_were_taken_back_or_overtaken_are_not_lost(house: Any, sign_in: Any) -> None:
    """They stand in the form again; those of another SOP, and those that are in force, do not."""
    sop, (writer, checker) = running(house), (sign_in(house), sign_in(house))
    with in_brand(house):
        other = sops.create_sop(house, name="别的", steps=[StepInput(1, 10, 0, "别的话")], by=WRITER)
        first = sops.live_steps(sop.pk)[0]
    rows = {
        "name": "新客",
        "late_days": 3,
        "step_id": first.pk,
        "day": 1,
        "time": "10:00",
        "attachments": "[]",
    }

    def ask_for(words: str) -> str:
        answer = writer.post(f"/sops/{sop.pk}/edit/", {**rows, "text": words})
        assert answer.status_code == 302 and answer.url.startswith(LIST)
        return str(answer.url)

    def form_of(page: str) -> str:
        link = re.search(r'href="([^"]*\?taken_up=[^"]*)"', text(writer, page))
        assert link
        return text(writer, link[1])

    page = ask_for("写了半天的话")
    assert writer.post(f"{page}withdraw/").url == page
    assert "写了半天的话" in form_of(page) and "第七天好" not in form_of(page)
    page = ask_for("又写了半天的话")
    with in_brand(house):
        sop_approval.set_priority(house, sop_id=sop.pk, priority=9, by=WRITER)
    assert "又写了半天的话" in form_of(page)
    number = page.split("/")[-2]
    assert "又写了半天的话" not in text(writer, f"/sops/{other.pk}/edit/?taken_up={number}")
    for rubbish in ("x", "0", "", "9" * 30):
        assert "第七天好" in text(writer, f"/sops/{sop.pk}/edit/?taken_up={rubbish}")
    page = ask_for("通过的话")
    assert checker.post(f"{page}approve/").status_code == 302
    assert "taken_up" not in text(writer, page)


def test_another_priority_from_the_dialog_to_the_yes(house: Any, sign_in: Any) -> None:
    sop = running(house)
    writer, checker, path = sign_in(house), sign_in(house), f"/sops/{sop.pk}/priority/"
    assert "另一人审批" in text(writer, path)
    answer = writer.post(path, {"priority": "8", "note": "大促"})
    with in_brand(house):
        asked = SopRequest.objects.get()
        assert sops.get_sop(sop.pk).priority == 5
    page = f"{LIST}{asked.pk}/"
    assert answer.headers.get("HX-Redirect", answer.headers.get("Location")) == page
    assert "/approve/" not in text(writer, page)
    shown = text(checker, page)
    assert "5 → 8" in shown and "大促" in shown and f"{page}approve/" in shown
    assert "取代" in text(writer, path)  # another one would take its place
    assert checker.post(f"{page}approve/").status_code == 302
    with in_brand(house):
        assert sops.get_sop(sop.pk).priority == 8
    api = client_of(house, "sops.view", "sops.edit")
    url = f"/api/v1/sops/{sop.pk}/"
    asked_for = api.patch(url, {"priority": 3}, "application/json")
    assert asked_for.status_code == 202 and asked_for.json()["priority"] == 8
    waiting = asked_for.json()["waiting"]
    assert waiting["kind"] == "priority"
    whole = api.get(f"/api/v1/sops/requests/{waiting['id']}/").json()
    assert ["3" in whole["changes"][0], whole["entries"], whole["problem"]] == [True, [], ""]
    both = {"priority": 2, "late_days": 5, "agreed": True}
    assert api.patch(url, both, "application/json").status_code == 422
    assert api.patch(url, {"priority": 8, "name": "改名"}, "application/json").status_code == 200


def test_a_list_from_its_preview_to_the_yes(house: Any, sign_in: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(enrolments, "MANY", 1)
    sop = running(house)
    with in_brand(house):
        guide = make_staff(house, make_corp(house))
        people = [make_contact(house, guide, name=f"王小{n}") for n in range(3)]
    ids = [contact.pk for contact in people]
    writer, checker = sign_in(house), sign_in(house)
    preview = writer.post("/sops/enrol/", {"ids": ids, "sop": sop.pk})
    assert "须经另一人审批" in preview.content.decode()
    given = {"token": preview.context["token"], "note": "老客"}
    page = writer.post(f"/sops/{sop.pk}/enrol/confirm/", given).url
    shown = text(checker, page)
    assert "王小2" in shown and "老客" in shown and "/approve/" not in text(writer, page)
    with in_brand(house):
        assert not Enrolment.objects.exists()
    assert f"/sops/{sop.pk}/people/?job=" in checker.post(f"{page}approve/").url
    with in_brand(house):
        assert Enrolment.objects.count() == 3
    # from the list of contacts, those who are ticked and everybody of the filter, and by API
    for body in ({"ids": ids}, {"everybody": "1"}):
        answer = writer.post("/contacts/bulk/enrol/", {**body, "sop": sop.pk})
        assert answer.headers.get("HX-Redirect", answer.headers.get("Location", "")).startswith(LIST), body
    api = client_of(house, "sops.view", "sops.edit")
    found = api.post(f"/api/v1/sops/{sop.pk}/enrol/", {"contact_ids": ids}, "application/json")
    assert found.status_code == 202 and found.json()["job_id"] is None
    whole = api.get(f"/api/v1/sops/requests/{found.json()['request_id']}/").json()
    assert (
        whole["kind"] == "people" and "3" in whole["changes"][0] and whole["proposal"] == {"contact_ids": ids}
    )


def test_a_new_version_shows_what_differs_and_who_moves(house: Any, sign_in: Any) -> None:
    asked = ask(house, wait(n=5), touch("旧话"))
    with in_brand(house):
        sop_approval.approve(house, request_id=asked.pk, by=Actor("小审", user_id=900_012))
        guide = make_staff(house, make_corp(house))
        sop = sops.get_sop(asked.sop_id)
        enrolments.enrol_many(house, sop=sop, contact_ids=[make_contact(house, guide).pk], source="page")
        graphs.save_draft(house, sop_id=sop.pk, graph=line(entry(), wait(n=5), touch("新话")), by=WRITER)
        second = sop_approval.publish(house, sop_id=sop.pk, by=WRITER, people=graphs.MOVE).request
        assert second
    client = sign_in(house)
    shown = text(client, f"{LIST}{second.pk}/")
    assert "旧话" in shown and "新话" in shown and "1 人转入新版本" in shown
    assert client.post(f"{LIST}{second.pk}/approve/").url.startswith(f"/sops/{sop.pk}/?job=")
    # going back to what was approved asks nobody
    assert "提交审批" not in text(client, f"/sops/{sop.pk}/versions/1/back/")
    client.post(f"/sops/{sop.pk}/versions/1/back/", {"go": "1", "people": "stay"})
    with in_brand(house):
        assert SopVersion.objects.count() == 3 and not SopRequest.objects.filter(state="waiting").exists()


def test_what_goes_with_a_message_of_a_canvas_is_seen_by_whoever_decides(house: Any, sign_in: Any) -> None:
    """Also where nothing but the address of a link is another one."""

    def graph(address: str) -> Any:
        link = {"type": "link", "title": "指南", "url": f"https://x.cn/{address}"}
        return line(entry(), touch("您好", attachments=[link]))

    with in_brand(house):
        sop = graphs.create_graph_sop(house, name="画的", graph=graph("old"), by=WRITER)
        first = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        assert first
        sop_approval.approve(house, request_id=first.pk, by=Actor("小审", user_id=900_012))
        graphs.save_draft(house, sop_id=sop.pk, graph=graph("new"), by=WRITER)
        second = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        assert second
    client = sign_in(house)

    def messages(request: SopRequest) -> str:
        """The list, without the data of the canvas."""
        return text(client, f"{LIST}{request.pk}/").split('<ol class="asked-steps">')[1].split("</ol>")[0]

    assert "指南" in messages(first) and "https://x.cn/old" in messages(first)
    shown = messages(second)
    assert "https://x.cn/new" in shown and "https://x.cn/old" in shown and "<del>指南</del>" in shown


def test_what_cannot_come_into_force_is_said(house: Any, sign_in: Any) -> None:
    asked = ask(house)
    with in_brand(house):
        proposal = asked.proposal
        proposal["graph"]["nodes"][1] |= {"kind": "tag", "add_tag_ids": [987654]}
        asked.save(update_fields=["proposal"])
    client = sign_in(house)
    shown = text(client, f"{LIST}{asked.pk}/")
    assert f"{LIST}{asked.pk}/approve/" not in shown and f"{LIST}{asked.pk}/reject/" in shown
    assert client.post(f"{LIST}{asked.pk}/approve/").status_code == 422


@pytest.mark.parametrize("needs", [True, False])
def test_what_postgres_does_not_keep_is_left_out(brand: Any, sign_in: Any, needs: bool) -> None:
    sop = running(brand)
    with in_brand(brand):
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=False)
        canvas = drawn(brand, wait(n=5), touch("一"))
        graphs.publish(brand, sop_id=canvas.pk, by=WRITER)
        guide = make_staff(brand, make_corp(brand))
        person = make_contact(brand, guide)
        enrolments.enrol_many(brand, sop=sops.get_sop(canvas.pk), contact_ids=[person.pk], source="page")
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=needs)
        graphs.save_draft(brand, sop_id=canvas.pk, graph=line(entry(), wait(n=5), touch("二")), by=WRITER)
        first = sops.live_steps(sop.pk)[0]
    client = sign_in(brand)
    rows = {
        "name": "新\x00客",
        "late_days": 3,
        "step_id": first.pk,
        "day": 1,
        "time": "10:00",
        "attachments": "[]",
    }
    assert client.post(f"/sops/{sop.pk}/edit/", {**rows, "text": "\x00"}).status_code == 422
    note = {"note": "a\x00b"}
    assert (
        client.post(f"/sops/{sop.pk}/edit/", {**rows, **note, "name": "新客", "text": "改\x00过"}).status_code
        == 302
    )
    moved = {"go": "1", "people": "move", "to_x\x00": "", "to_n9": "n2", **note}
    answer = client.post(f"/sops/{canvas.pk}/publish/", moved)
    assert answer.status_code in (200, 204, 302) and "alert-danger" not in answer.content.decode()
    with in_brand(brand):
        if needs:
            kinds = SopRequest.objects.filter(state="waiting").order_by("pk").values_list("kind", "note")
            assert list(kinds) == [("change", "ab"), ("version", "ab")]
            assert SopRequest.objects.get(kind="version").mapping == {"x": "", "n9": "n2"}
            assert SopRequest.objects.get(kind="change").steps[0]["text"] == "改过"
        else:
            assert SopVersion.objects.get(n=2).note == "ab"
            assert [step.text for step in sops.live_steps(sop.pk)] == ["改过"]


def test_roles_and_brands(house: Any, other_brand: Any, sign_in: Any) -> None:
    asked = ask(house)
    page = f"{LIST}{asked.pk}/"
    operator, manager, guide = (sign_in(house, key) for key in ("operator", "manager", "guide"))
    stranger = sign_in(other_brand)
    assert "/approve/" not in text(operator, page) and "/withdraw/" in text(operator, page)
    assert "/approve/" not in text(manager, page) and "/withdraw/" not in text(manager, page)
    for client in (operator, manager, guide):
        for act in ("approve", "reject"):
            assert client.post(f"{page}{act}/", {"reason": "x"}).status_code == 403
    assert guide.get(page).status_code == guide.get(LIST).status_code == 403
    assert manager.post(f"{page}withdraw/").status_code == 403
    assert page not in text(stranger, LIST)
    assert stranger.get(page).status_code == 404
    for act in ("approve", "reject", "withdraw"):
        assert stranger.post(f"{page}{act}/", {"reason": "x"}).status_code == 404
    assert operator.post(f"{page}withdraw/").status_code == 302
    with in_brand(house):
        assert SopRequest.objects.get().state == "withdrawn"
    assert sign_in(house).post(f"{page}reject/", {"reason": "x"}).status_code == 409


def test_whoever_may_approve_but_not_write(house: Any, sign_in: Any) -> None:
    asked = ask(house)
    with in_brand(house):
        Role.objects.filter(preset_key="manager").update(rights=["sops.view", "broadcasts.approve"])
    checker = sign_in(house, "manager")
    assert checker.post(f"{LIST}{asked.pk}/approve/").status_code == 302
    with in_brand(house):
        assert SopVersion.objects.count() == 1


def test_queries_do_not_grow(house: Any, sign_in: Any) -> None:
    client = sign_in(house)

    def queries(url: str) -> int:
        client.get(url)
        with CaptureQueriesContext(connection) as seen:
            assert client.get(url).status_code == 200
        return len(seen)

    for n in range(2):
        ask(house, name=f"画{n}")
    few = {url: queries(url) for url in (LIST, "/sops/")}
    for n in range(2, 20):
        ask(house, name=f"画{n}")
    assert {url: queries(url) for url in few} == few


def test_the_tab_is_there_where_it_is_needed(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand)
    assert LIST not in text(client, "/sops/")
    with in_brand(brand):
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=True)
    assert LIST in text(client, "/sops/")


def test_the_rule_is_set_on_the_page(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand)
    page = text(client, "/settings/touch/")
    assert 'name="sops_need_approval"' in page
    given = {
        "min_gap_hours": 0, "allowance": "month", "sender": "latest", "attribution_days": 7, "hold_out_percent": 0,
        "sops_need_approval": "on",
    }  # fmt: skip
    assert client.post("/settings/touch/", given).status_code == 302
    with in_brand(brand):
        assert sop_requests.are_needed(brand)
