"""Pages of SOPs, people, ledger, send tasks and cap: what they show, who may do what, and what is refused."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import (
    Cap,
    Enrolment,
    NoContactRule,
    Refusal,
    SendTask,
    Sop,
    SopStep,
    Touch,
    TouchPolicy,
)
from campaigns.services.governance import policy
from campaigns.services.sops import enrolments, sops, stepping
from campaigns.services.sops.sops import StepInput
from contacts.models import Identity
from org.access import SYSTEM, Actor
from org.models import AuditEntry, Job
from scrm import clock
from tests.campaigns.conftest import at
from tests.factories import in_brand, make_contact, make_staff, make_tag

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(brand: Any, corp: Any, staff: Any) -> dict[str, Any]:
    """A brand with one SOP that is on, ten people in it and their first step taken."""
    with in_brand(brand):
        steps = [StepInput(1, 10, 0, "你好，我是{员工姓名}"), StepInput(7, 10, 0, "一周了")]
        sop = sops.create_sop(brand, name="新客培育", steps=steps, by=SYSTEM)
        sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
        contacts = [make_contact(brand, staff, name=f"客户{i:02}") for i in range(10)]
        contacts[0].do_not_contact = True
        contacts[0].save()
        ids = [c.pk for c in contacts]
        enrolments.enrol_many(brand, sop=sop, contact_ids=ids, source="page", at=at("2026-11-01 15:00"))
        with clock.at(at("2026-11-02 10:00")):
            stepping.run(brand, at("2026-11-02 10:00"))
    return {"sop": sop, "contacts": contacts, "staff": staff, "brand": brand, "corp": corp}


def rows_of(*steps: tuple[Any, Any, Any, str]) -> dict[str, Any]:
    """The editor's fields: (id, day, time, text)."""
    return {
        "step_id": [s[0] for s in steps],
        "day": [s[1] for s in steps],
        "time": [s[2] for s in steps],
        "text": [s[3] for s in steps],
        "attachments": ["[]" for _ in steps],
    }


PAGES = [
    "/sops/",
    "/sops/?show=ended",
    "/sops/new/",
    "/sops/{sop}/",
    "/sops/{sop}/edit/",
    "/sops/{sop}/people/",
    "/sops/{sop}/people/?show=left",
    "/sops/{sop}/enrol/",
    "/touches/",
    "/touches/?days=90&reason=1&sop={sop}",
    "/touches/tasks/",
    "/touches/tasks/?state=planned",
    "/settings/touch/",
]


@pytest.mark.parametrize("page", PAGES)
def test_pages_open_in_both_languages(world: dict, sign_in: Any, page: str) -> None:
    with clock.at(at("2026-11-03 10:00")):
        client = sign_in(world["brand"])
        for language in ("zh-hans", "en"):
            response = client.get(page.format(sop=world["sop"].pk), headers={"accept-language": language})
            assert response.status_code == 200, response.content[:500]
            fragment = client.get(page.format(sop=world["sop"].pk), headers={"HX-Request": "true"})
            assert fragment.status_code == 200


def test_list_and_detail_show_the_figures(world: dict, sign_in: Any) -> None:
    client = sign_in(world["brand"], "operator")
    text = client.get("/sops/").content.decode()
    assert "新客培育" in text
    detail = client.get(f"/sops/{world['sop'].pk}/")
    total = detail.context["total"]
    assert (total.n_in, total.n_waiting, total.n_blocked, total.n_sent) == (10, 9, 1, 0)
    assert [row["n_next"] for row in detail.context["rows"]] == [0, 10]
    for figure, n in (("n_waiting", 9), ("n_blocked", 1), ("n_sent", 0)):
        url = detail.context["lists"][figure]
        assert (
            len(client.get(url).context["page"]) == n and url.replace("&", "&amp;") in detail.content.decode()
        )
    assert detail.context["rows"][0]["numbers"].reasons[0][1:] == (1, Touch.Reason.DO_NOT_CONTACT)


def test_ledger_filters(world: dict, sign_in: Any) -> None:
    client = sign_in(world["brand"])
    with clock.at(at("2026-11-03 10:00")):
        assert len(client.get("/touches/").context["page"]) == 10
        assert len(client.get(f"/touches/?reason=1&sop={world['sop'].pk}").context["page"]) == 1
        assert len(client.get(f"/touches/?guide={world['staff'].pk}").context["page"]) == 9
        assert len(client.get(f"/touches/?contact={world['contacts'][1].pk}").context["page"]) == 1
        assert len(client.get("/touches/?kind=1").context["page"]) == 0
        assert len(client.get("/touches/?kind=zzz&days=999").context["page"]) == 10
    with clock.at(at("2026-12-25 10:00")):
        assert len(client.get("/touches/?days=7").context["page"]) == 0


def test_queries_do_not_grow_with_rows(world: dict, sign_in: Any) -> None:
    client = sign_in(world["brand"])

    def count(page: str) -> int:
        client.get(page)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(page).status_code == 200
        return len(queries)

    with clock.at(at("2026-11-03 10:00")):
        pages = ["/sops/", "/touches/", "/touches/tasks/", f"/sops/{world['sop'].pk}/people/"]
        before = {page: count(page) for page in pages}
        brand, sop = world["brand"], world["sop"]
        with in_brand(brand):
            more = [make_contact(brand, make_staff(brand, world["corp"])) for _ in range(20)]
            enrolments.enrol_many(
                brand, sop=sop, contact_ids=[c.pk for c in more], source="page", at=at("2026-11-01 16:00")
            )
            stepping.run(brand, at("2026-11-02 11:00"))
            for n in range(5):
                sops.create_sop(brand, name=f"另一个 {n}", steps=[StepInput(1, 1, 1, "x")], by=SYSTEM)
        assert {page: count(page) for page in pages} == before


def test_create_edit_and_states(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    response = client.post(
        "/sops/new/",
        {"name": "第一个", "late_days": 2, **rows_of(("", 7, "19:30", "七"), ("", 1, "10:00", "一"))},
    )
    assert response.status_code == 302, response.content.decode()
    with in_brand(brand):
        sop = Sop.objects.get()
        steps = sops.live_steps(sop.pk)
        assert [(s.day, s.hour, s.minute, s.text, s.position) for s in steps] == [
            (1, 10, 0, "一", 0),
            (7, 19, 30, "七", 1),
        ]
        assert sop.state == "draft"
    url = f"/sops/{sop.pk}/"
    assert client.post(url + "pause/").status_code == 409
    for act, state in [("on", "on"), ("pause", "paused"), ("resume", "on"), ("end", "ended")]:
        assert client.post(f"{url}{act}/").status_code == 302
        with in_brand(brand):
            assert Sop.objects.get(pk=sop.pk).state == state
    assert client.get(url + "edit/").status_code == 409
    assert client.post(url + "duplicate/").status_code == 302
    with in_brand(brand):
        copy = Sop.objects.exclude(pk=sop.pk).get()
        assert (copy.state, copy.name, len(sops.live_steps(copy.pk))) == ("draft", "第一个 (2)", 2)
    assert client.post(f"/sops/{copy.pk}/delete/").status_code == 302
    with in_brand(brand):
        actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions == [
        "sop.create",
        "sop.on",
        "sop.pause",
        "sop.resume",
        "sop.end",
        "sop.create",
        "sop.delete",
    ]


BAD = [
    (("", "x", "10:00", "a"), "day and time"),
    (("", 1, "25:00", "a"), "a time of day"),
    (("", -1, "10:00", "a"), "a time of day"),
    (("", 1, "10:00", "  "), "neither text"),
    (("", 1, "10:00", "{客户昵称}，你好"), "one and the same text"),
    (("", 1, "10:00", "{客户昵称|朋友}，你好"), "one and the same text"),
    (("", 1, "10:00", "{星座}"), "no variable"),
    (("", 1, "10:00", "字" * 1400), "too long"),
    (("999999", 1, "10:00", "a"), "changed by somebody else"),
]


@pytest.mark.parametrize("row, words", BAD)
def test_bad_steps_are_refused_with_words(brand: Any, sign_in: Any, row: tuple, words: str) -> None:
    client = sign_in(brand, "operator")
    data = {"name": "坏", "late_days": 2, **rows_of(row)}
    response = client.post("/sops/new/", data, headers={"accept-language": "en"})
    assert response.status_code == 422
    assert words in response.content.decode()
    assert row[3].strip() in response.content.decode()  # what was typed is still there
    with in_brand(brand):
        assert not Sop.objects.exists()


def test_same_name_same_time_and_bad_attachments(world: dict, sign_in: Any) -> None:
    client = sign_in(world["brand"])
    rows = rows_of(("", 1, "10:00", "a"), ("", 1, "10:00", "b"))
    assert client.post("/sops/new/", {"name": "重", "late_days": 2, **rows}).status_code == 422
    assert (
        client.post(
            "/sops/new/", {"name": "新客培育", "late_days": 2, **rows_of(("", 1, "10:00", "a"))}
        ).status_code
        == 422
    )
    for attachments in (
        '[{"type": "link"}]',
        '[{"type": "image", "file_id": 1}]',
        "{}",
        '["x"]',
        "[[",
        "[" + "{}," * 9 + "{}]",
    ):
        data = {"name": "附", "late_days": 2, **rows_of(("", 1, "10:00", "a")), "attachments": [attachments]}
        assert client.post("/sops/new/", data).status_code == 422, attachments
    link = json.dumps(
        [{"type": "link", "title": "标题", "url": "https://example.com/", "desc": "", "picurl": ""}]
    )
    data = {"name": "附", "late_days": 2, **rows_of(("", 1, "10:00", "")), "attachments": [link]}
    assert client.post("/sops/new/", data).status_code == 302


def test_edit_with_people_in_it_asks_first(world: dict, sign_in: Any) -> None:
    client, sop = sign_in(world["brand"]), world["sop"]
    with in_brand(world["brand"]):
        first, second = sops.live_steps(sop.pk)
    with clock.at(at("2026-11-03 10:00")):
        rows = rows_of(
            (first.pk, 1, "10:00", first.text), ("", 4, "20:00", "中间"), (second.pk, 9, "10:00", second.text)
        )
        asked = client.post(f"/sops/{sop.pk}/edit/", {"name": sop.name, "late_days": 3, **rows})
        assert asked.status_code == 422 and (
            asked.context["effect"].n_people,
            asked.context["effect"].n_moved,
        ) == (10, 10)
        with in_brand(world["brand"]):
            assert len(sops.live_steps(sop.pk)) == 2
        done = client.post(f"/sops/{sop.pk}/edit/", {"name": sop.name, "late_days": 3, "agreed": "1", **rows})
        assert done.status_code == 302
    with in_brand(world["brand"]):
        assert set(Enrolment.objects.values_list("next_run_at", "position")) == {(at("2026-11-05 20:00"), 1)}
        # only the text changes: nobody is asked
    with clock.at(at("2026-11-03 10:05")), in_brand(world["brand"]):
        a, b, c = sops.live_steps(sop.pk)
    with clock.at(at("2026-11-03 10:05")):
        rows = rows_of((a.pk, 1, "10:00", "新文字"), (b.pk, 4, "20:00", b.text), (c.pk, 9, "10:00", c.text))
        assert (
            client.post(f"/sops/{sop.pk}/edit/", {"name": sop.name, "late_days": 3, **rows}).status_code
            == 302
        )


def test_list_by_paste_and_file(world: dict, sign_in: Any) -> None:
    brand, sop, staff = world["brand"], world["sop"], world["staff"]
    client = sign_in(brand)
    with in_brand(brand):
        other = sops.create_sop(brand, name="空的", steps=[StepInput(1, 10, 0, "x")], by=SYSTEM)
        sops.switch_on(brand, sop_id=other.pk, by=SYSTEM)
        a, b, c = world["contacts"][:3]
        lost = make_contact(brand, staff, lost_at=clock.now(), n_follows=0)
        Identity.objects.create(contact=a, kind="phone", value="13800000001")
        Identity.objects.create(contact=b, kind="member_no", value="M-2")
        Identity.objects.create(contact=b, kind="phone", value="77")
        Identity.objects.create(contact=c, kind="member_no", value="77")
        external = Identity.objects.get(contact=c, kind="external_userid").value
        of_lost = Identity.objects.get(contact=lost, kind="external_userid").value
    text = f"13800000001, M-2\n{external}；nobody {of_lost}\n77 13800000001"
    page = client.post(f"/sops/{other.pk}/enrol/", {"values": text})
    found = page.context["found"]
    assert (found.n_values, sorted(found.contact_ids), found.unknown, found.ambiguous, found.n_lost) == (
        6, sorted([a.pk, b.pk, c.pk]), ["nobody"], ["77"], 1,
    )  # fmt: skip
    confirm = f"/sops/{other.pk}/enrol/confirm/"
    assert client.post(confirm, {"token": "nonsense"}).status_code == 409
    assert client.post(f"/sops/{sop.pk}/enrol/confirm/", {"token": page.context["token"]}).status_code == 409
    assert client.post(confirm, {"token": page.context["token"]}).status_code == 302
    assert client.post(confirm, {"token": page.context["token"]}).status_code == 302  # a double click
    with in_brand(brand):
        assert Enrolment.objects.filter(sop=other).count() == 3
        assert {job.state for job in Job.objects.all()} == {"done"}
    again = client.post(
        f"/sops/{other.pk}/enrol/",
        {
            "file": SimpleUploadedFile(
                "l.csv", f"手机号,名\n13800000001,甲\n{external},丙\n".encode("gb18030")
            )
        },
    )
    assert (again.context["found"].n_inside, again.context["found"].contact_ids) == (2, [])
    for bad in (
        {"values": " ,\n"},
        {"file": SimpleUploadedFile("l.xlsx", b"PK\x03\x04rubbish")},
        {"file": SimpleUploadedFile("l.csv", b"\xff\xfe\x00\x81")},
    ):
        assert client.post(f"/sops/{other.pk}/enrol/", bad).status_code == 422


def test_xlsx(world: dict, sign_in: Any) -> None:
    import io

    from openpyxl import Workbook

    book = Workbook()
    for row in (["会员号"], [13800000001.0], ["13800000002"], [None]):
        book.active.append(row)
    data = io.BytesIO()
    book.save(data)
    page = sign_in(world["brand"]).post(
        f"/sops/{world['sop'].pk}/enrol/", {"file": SimpleUploadedFile("l.xlsx", data.getvalue())}
    )
    assert page.context["found"].unknown == ["13800000001", "13800000002"]


def test_chosen_contacts(world: dict, sign_in: Any, other_brand: Any) -> None:
    client, brand = sign_in(world["brand"]), world["brand"]
    with in_brand(brand):
        fresh = make_contact(brand, world["staff"])
    with in_brand(other_brand):
        foreign = make_contact(other_brand)
    ids = [fresh.pk, world["contacts"][0].pk, foreign.pk]
    assert client.post("/sops/enrol/", {"ids": ids}).status_code == 200
    page = client.post("/sops/enrol/", {"ids": ids, "sop": world["sop"].pk})
    found = page.context["found"]
    assert (found.contact_ids, found.n_inside, found.unknown) == ([fresh.pk], 1, [str(foreign.pk)])
    assert client.post("/sops/enrol/", {"sop": world["sop"].pk}).status_code == 422


def test_remove(world: dict, sign_in: Any) -> None:
    with in_brand(world["brand"]):
        row = Enrolment.objects.first()
    client = sign_in(world["brand"])
    url = f"/sops/{world['sop'].pk}/people/{row.pk}/remove/"
    assert client.post(url).status_code == 302
    assert client.post(url).status_code == 409
    with in_brand(world["brand"]):
        assert Enrolment.objects.get(pk=row.pk).end_kind == "removed"


POLICY = {
    "min_gap_hours": "0",
    "attribution_days": "7",
    "hold_out_percent": "0",
    "allowance": "month",
    "sender": "latest",
}


def test_every_setting_of_the_policy_stands_on_its_page() -> None:
    from campaigns.views import policy as page

    shown = [name for _title, names in page.GROUPS for name in names]
    assert sorted(shown) == sorted([*page._COLUMNS, "redraw"])


def test_policy_page(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand)
    given = {**POLICY, "cap_0_30": "2", "cap_3_1": "1", "quiet_start": "22:00", "quiet_end": "08:00"}
    assert client.post("/settings/touch/", given).status_code == 302
    for bad in (
        {"cap_0_7": "0"}, {"cap_0_7": "101"}, {"cap_0_7": "x"}, {"min_gap_hours": "-1"}, {"quiet_start": "22:00"},
        {"quiet_start": "08:00", "quiet_end": "08:00"}, {"allowance": "year"}, {"sender": "me"}, {"min_gap_hours": ""},
    ):  # fmt: skip
        assert client.post("/settings/touch/", {**POLICY, **bad}).status_code == 422, bad
    with in_brand(brand):
        caps = set(Cap.objects.values_list("days", "n", "kind"))
        assert caps == {(30, 2, 0), (1, 1, 3)}
        assert TouchPolicy.objects.get().quiet_end.hour == 8
        assert AuditEntry.objects.get().before["caps"] == ["4/7"]
    assert 'value="2"' in client.get("/settings/touch/").content.decode()


def test_no_contact_rules(brand: Any, other_brand: Any, sign_in: Any) -> None:
    client = sign_in(brand)
    with in_brand(brand):
        tag = make_tag(brand)
    add = "/settings/touch/rules/"
    assert client.post(add, {"name": "投诉客户", "tag": tag.pk}).status_code == 302
    assert (
        client.post(add, {"name": "默哀日", "starts_on": "2026-12-13", "ends_on": "2026-12-13"}).status_code
        == 302
    )
    for bad in ({"name": "全部"}, {"name": ""}, {"name": "投诉客户", "tag": tag.pk}, {"name": "x", "tag": "999999"},
                {"name": "y", "starts_on": "2026-12-13", "ends_on": "2026-12-12"}):  # fmt: skip
        assert client.post(add, bad).status_code == 422, bad
    with in_brand(brand):
        rule = NoContactRule.objects.get(tag=tag)
        assert NoContactRule.objects.count() == 2
    page = f"{add}{rule.pk}/"
    given = {"name": "投诉客户", "tag": tag.pk, "kinds": ["3"]}
    assert client.post(page, given).status_code == 302
    assert client.post(page, {**given, "name": "默哀日"}).status_code == 422
    assert client.post(page, {**given, "kinds": ["1"]}).status_code == 422
    with in_brand(brand):
        rule.refresh_from_db()
        assert (rule.name, rule.kinds) == ("投诉客户", [3])
    found = client.get(page).content.decode()
    assert 'value="3"' in found and "checked" in found
    listed = client.get("/settings/touch/").content.decode()
    assert page in listed and "data-confirm=" in listed
    assert sign_in(other_brand).get(page).status_code == 404
    assert sign_in(other_brand).post(f"{add}{rule.pk}/delete/").status_code == 404
    assert client.post(f"{add}{rule.pk}/delete/").status_code == 302
    assert client.post(f"{add}{rule.pk}/delete/").status_code == 404


def test_a_customers_wish(brand: Any, corp: Any, staff: Any, other_brand: Any, sign_in: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand, staff)
    client, url = sign_in(brand), f"/contacts/{contact.pk}/refusal/"
    for refused, n in (("1", 1), ("1", 1), ("0", 0)):
        assert client.post(url, {"kind": "3", "refused": refused}).status_code == 302
        with in_brand(brand):
            assert Refusal.objects.count() == n
    assert client.post(url, {"kind": "1", "refused": "1"}).status_code == 422  # a welcome cannot be refused
    assert client.post(url, {"kind": "x"}).status_code == 404
    assert sign_in(other_brand).post(url, {"kind": "3", "refused": "1"}).status_code == 404


def test_list_of_wishes(brand: Any, corp: Any, staff: Any, other_brand: Any, sign_in: Any) -> None:
    client, url = sign_in(brand), "/settings/touch/wishes/"
    counts = []
    for n in (2, 18):
        with in_brand(brand):
            for _ in range(n):
                contact = make_contact(brand, staff, name=f"客{n}")
                policy.set_refusal(
                    brand, contact_id=contact.pk, kind=3, refused=True, by=Actor("小王"), source="customer"
                )
        with CaptureQueriesContext(connection) as caught:
            page = client.get(url).content.decode()
        counts.append(len(caught))
    assert counts[0] == counts[1]
    assert "小王" in page and page.count('name="from"') == 20
    back = {"kind": "3", "refused": "0", "from": "list"}
    answer = client.post(f"/contacts/{contact.pk}/refusal/", back)
    assert (answer.status_code, answer.headers["location"]) == (302, url)
    assert client.get(url).content.decode().count('name="from"') == 19
    assert url in client.get("/settings/touch/").content.decode()
    assert "小王" not in sign_in(other_brand).get(url).content.decode()
    assert sign_in(brand, "guide").get(url).content.decode().count('name="from"') == 0


RIGHTS = [
    ("get", "/settings/touch/wishes/", {"admin", "operator", "manager", "guide"}),
    ("get", "/sops/", {"admin", "operator", "manager"}),
    ("get", "/touches/", {"admin", "operator", "manager"}),
    ("get", "/touches/tasks/", {"admin", "operator", "manager"}),
    ("get", "/sops/new/", {"admin", "operator"}),
    ("post", "/sops/{sop}/pause/", {"admin", "operator"}),
    ("get", "/sops/{sop}/enrol/", {"admin", "operator"}),
    ("post", "/touches/tasks/{task}/cancel/", {"admin", "operator"}),
    ("get", "/settings/touch/", {"admin"}),
]


@pytest.mark.parametrize("role", ["admin", "operator", "manager", "guide"])
@pytest.mark.parametrize("method, url, allowed", RIGHTS)
def test_rights(world: dict, sign_in: Any, role: str, method: str, url: str, allowed: set) -> None:
    with in_brand(world["brand"]):
        task = SendTask.objects.first()
    client = sign_in(world["brand"], role)
    status = getattr(client, method)(url.format(sop=world["sop"].pk, task=task.pk)).status_code
    assert (status in (200, 302)) if role in allowed else status == 403


def test_another_brands_ids_are_not_found(world: dict, sign_in: Any, other_brand: Any) -> None:
    with in_brand(world["brand"]):
        task, row = SendTask.objects.first(), Enrolment.objects.first()
    sop = world["sop"].pk
    client = sign_in(other_brand)
    for url in (f"/sops/{sop}/", f"/sops/{sop}/edit/", f"/sops/{sop}/people/", f"/sops/{sop}/enrol/"):
        assert client.get(url).status_code == 404
    for url in (
        f"/sops/{sop}/pause/",
        f"/sops/{sop}/delete/",
        f"/touches/tasks/{task.pk}/cancel/",
        f"/touches/tasks/{task.pk}/remind/",
        f"/sops/{sop}/people/{row.pk}/remove/",
    ):
        assert client.post(url).status_code == 404
    assert len(client.get("/touches/").context["page"]) == 0
    assert client.post("/sops/enrol/", {"ids": [1], "sop": sop}).status_code == 404
    with in_brand(world["brand"]):
        assert Sop.objects.get(pk=sop).state == "on" and SendTask.objects.get(pk=task.pk).state == "planned"


def test_a_store_manager_sees_own_customers_only(world: dict, sign_in: Any) -> None:
    from org.models import Staff, Store

    brand = world["brand"]
    with in_brand(brand):
        mine, theirs = Store.objects.create(name="甲店"), Store.objects.create(name="乙店")
        Staff.objects.filter(pk=world["staff"].pk).update(store=theirs)
        own_guide = make_staff(brand, world["corp"], store=mine)
        contact = make_contact(brand, own_guide)
        enrolments.enrol_many(
            brand, sop=world["sop"], contact_ids=[contact.pk], source="page", at=at("2026-11-01 16:00")
        )
        with clock.at(at("2026-11-02 10:00")):
            stepping.run(brand, at("2026-11-02 10:01"))
    client = sign_in(brand, "manager")
    with in_brand(brand):
        Staff.objects.filter(user_id=client.user.pk).update(store=mine)
    with clock.at(at("2026-11-03 10:00")):
        assert [t.contact_id for t in client.get("/touches/").context["page"]] == [contact.pk]
        assert [e.contact_id for e in client.get(f"/sops/{world['sop'].pk}/people/").context["page"]] == [
            contact.pk
        ]
        assert [t.staff_id for t in client.get("/touches/tasks/").context["page"]] == [own_guide.pk]


def test_panel_on_the_contact_page(world: dict, sign_in: Any) -> None:
    client = sign_in(world["brand"])
    text = client.get(f"/contacts/{world['contacts'][0].pk}/").content.decode()
    assert "新客培育" in text


def test_touch_of_a_removed_step_is_still_named(world: dict, sign_in: Any) -> None:
    brand, sop = world["brand"], world["sop"]
    with in_brand(brand):
        first, second = sops.live_steps(sop.pk)
        sops.edit_sop(
            brand,
            sop_id=sop.pk,
            name=sop.name,
            late_days=3,
            steps=[StepInput(second.day, 10, 0, "一周了", step_id=second.pk)],
            by=SYSTEM,
        )
        assert SopStep.objects.get(pk=first.pk).removed_at
    with clock.at(at("2026-11-03 10:00")):
        assert sign_in(brand).get("/touches/").status_code == 200
