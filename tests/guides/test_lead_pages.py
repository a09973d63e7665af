"""Pages, files and API of numbers to add: who sees what, masked phones, figures, query counts."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from campaigns.models import StaffTask
from contacts.models import Identity
from datafiles.services import imports, undo, uploads
from guides.models import Lead, LeadList
from guides.services.leads import giving, lists
from guides.services.leads.giving import Choice
from guides.services.leads.lists import LeadInput, ListInput
from org.access import SYSTEM, Actor
from org.models import Job, Store
from scrm import clock
from tagging.models import Tag
from tenants.scoping import tenant_scope
from tests.campaigns.test_api import client_of
from tests.datafiles.conftest import bring, check, media, put
from tests.factories import in_brand, make_contact, make_staff, make_tag, make_user, role

__all__ = ["bring", "check", "media", "put"]
pytestmark = pytest.mark.django_db(transaction=True)
HX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def no_calls(monkeypatch: Any) -> None:
    monkeypatch.setattr("wecom.services.outbound.start", lambda *_args: None)


@pytest.fixture
def house(brand: Any, corp: Any, staff: Any) -> SimpleNamespace:
    with in_brand(brand):
        b = make_staff(brand, corp)
        found = lists.create_list(
            brand, by=SYSTEM, given=ListInput("秋季展会", words="{name}您好"), source="page"
        )
        rows = [LeadInput(f"1380013800{n}", f"客{n}") for n in range(6)]
        lists.add_leads(brand, by=SYSTEM, list_id=found.pk, rows=rows)
    return SimpleNamespace(brand=brand, a=staff, b=b, found=found, url=f"/leads/{found.pk}/")


def give(house: SimpleNamespace) -> None:
    with in_brand(house.brand):
        choice = Choice([house.a.pk, house.b.pk])
        giving.give_out(house.brand, by=SYSTEM, staff=None, list_id=house.found.pk, choice=choice)


def test_from_pasted_lines_to_the_guides(brand: Any, staff: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    assert "粘贴号码" in client.get("/leads/").content.decode()
    form = {"name": "老会员", "rows": "13900000001 张三\n没有号码", "due_days": 3, "again_days": ""}
    refused = client.post("/leads/new/", form)
    assert refused.status_code == 422 and "没有号码" in refused.content.decode()
    assert client.post("/leads/new/", form | {"name": ""}).status_code == 422
    assert client.post("/leads/new/", form | {"rows": " "}).status_code == 422
    with in_brand(brand):
        assert not LeadList.objects.exists()
    answer = client.post("/leads/new/", form | {"skip": "1"})
    with in_brand(brand):
        found = LeadList.objects.get()
    assert answer["Location"] == f"/leads/{found.pk}/"
    give_url = f"/leads/{found.pk}/give/"
    assert staff.name in client.get(give_url).content.decode()
    look = client.post(give_url, {"guides": [staff.pk], "then": "look"}, headers=HX).content.decode()
    assert staff.name in look
    with in_brand(brand):
        assert Lead.objects.get().state == "waiting"
    assert client.post(give_url, {"then": "look"}, headers=HX).status_code == 200
    assert client.post(give_url, {}).status_code == 422
    assert client.post(give_url, {"guides": [staff.pk], "most": "0"}).status_code == 422
    assert client.post(give_url, {"guides": [staff.pk]}).status_code == 302
    with in_brand(brand):
        assert (Lead.objects.get().state, Lead.objects.get().staff_id) == ("given", staff.pk)
    edited = client.post(f"/leads/{found.pk}/edit/", {"name": "新名", "due_days": 5, "again_days": 2})
    assert edited.status_code == 302
    assert client.post(f"/leads/{found.pk}/edit/", {"name": "", "due_days": 5}).status_code == 422
    with in_brand(brand):
        assert LeadList.objects.get().again_days == 2
    for act in ("remind", "close", "open"):
        assert client.post(f"/leads/{found.pk}/{act}/").status_code == 302, act
    assert client.post(f"/leads/{found.pk}/take/", {}).status_code == 422


def test_acts_on_ticked_numbers(house: SimpleNamespace, sign_in: Any) -> None:
    client = sign_in(house.brand, "operator")
    give(house)
    with in_brand(house.brand):
        ids = list(Lead.objects.filter(staff=house.a).values_list("pk", flat=True))
    client.post(house.url + "take/", {"ids": ids[:1]})
    client.post(house.url + "move/", {"ids": ids[1:2], "to": house.b.pk})
    client.post(house.url + "out/", {"ids": ids[2:]})
    with in_brand(house.brand):
        assert [Lead.objects.get(pk=pk).state for pk in ids] == ["waiting", "given", "closed"]
        assert Lead.objects.get(pk=ids[1]).staff_id == house.b.pk
    assert client.post(house.url + "move/", {"ids": ids[1:2], "to": "²"}).status_code == 422


def test_phones_are_masked_by_right(house: SimpleNamespace, sign_in: Any) -> None:
    page = sign_in(house.brand, "operator").get(house.url).content.decode()
    assert "138****8001" in page and "13800138001" not in page
    assert "13800138001" in sign_in(house.brand, "admin").get(house.url).content.decode()
    api = client_of(house.brand, "leads.view")
    rows = api.get(f"/api/v1/lead-lists/{house.found.pk}/leads/").json()["results"]
    assert rows[1]["phone"] == "138****8001"
    whole = client_of(house.brand, "leads.view", "contacts.phones")
    assert (
        whole.get(f"/api/v1/lead-lists/{house.found.pk}/leads/").json()["results"][1]["phone"]
        == "13800138001"
    )


def test_without_the_right_and_in_another_brand(
    house: SimpleNamespace, other_brand: Any, sign_in: Any
) -> None:
    guide = sign_in(house.brand, "guide")
    for path in ("", "new/", f"{house.found.pk}/", f"{house.found.pk}/give/", f"{house.found.pk}/edit/"):
        assert guide.get(f"/leads/{path}").status_code == 403, path
    assert guide.post(house.url + "close/").status_code == 403
    with in_brand(house.brand):
        watching = role(house.brand, "manager")
        watching.rights = [right for right in watching.rights if right != "leads.edit"]
        watching.save()
    manager = sign_in(house.brand, "manager")
    assert manager.get(house.url).status_code == 200 and manager.get(house.url + "give/").status_code == 403
    theirs = sign_in(other_brand)
    for path in (house.url, house.url + "give/", house.url + "edit/"):
        assert theirs.get(path).status_code == 404
    assert theirs.post(house.url + "close/").status_code == 404
    assert "秋季展会" not in theirs.get("/leads/").content.decode()


def test_a_manager_sees_the_store(house: SimpleNamespace, corp: Any, sign_in: Any) -> None:
    give(house)
    with in_brand(house.brand):
        store = Store.objects.create(name="一店")
        house.a.store = store
        house.a.save()
        boss = make_staff(house.brand, corp, store=store)
        mine = Lead.objects.filter(staff=house.a).first()
        theirs = Lead.objects.filter(staff=house.b).first()
    client = sign_in(house.brand, user=make_user(house.brand, "manager", staff=boss))
    page = client.get(house.url).content.decode()
    assert mine and theirs and mine.name in page and theirs.name not in page and house.b.name not in page
    client.post(house.url + "out/", {"ids": [mine.pk, theirs.pk]})
    with in_brand(house.brand):
        assert (
            Lead.objects.get(pk=mine.pk).state == "closed" and Lead.objects.get(pk=theirs.pk).state == "given"
        )


def test_a_manager_changes_only_lists_that_are_all_theirs(
    house: SimpleNamespace, corp: Any, sign_in: Any
) -> None:
    give(house)
    with in_brand(house.brand):
        store = Store.objects.create(name="一店")
        house.a.store = store
        house.a.save()
        boss = make_staff(house.brand, corp, store=store)
    client = sign_in(house.brand, user=make_user(house.brand, "manager", staff=boss))
    form = {"name": "我的", "due_days": 5}
    refused = client.post(house.url + "close/")
    assert refused.status_code == 403 and "其他人的号码" in refused.content.decode()
    assert client.post(house.url + "edit/", form).status_code == 403
    assert client.get(house.url + "edit/").status_code == 403
    page = client.get(house.url).content.decode()
    assert "/close/" not in page and "/edit/" not in page
    assert "/close/" in sign_in(house.brand, "operator").get(house.url).content.decode()
    with in_brand(house.brand):
        assert LeadList.objects.get().closed_at is None
        assert Lead.objects.filter(state="given").count() == 6
        lists.close_list(house.brand, by=SYSTEM, staff=None, list_id=house.found.pk)
    assert client.post(house.url + "open/").status_code == 403
    # what they paste is theirs: seen, given out, changed, closed
    made = client.post("/leads/new/", {**form, "rows": "13900000001 张三\n13900000002 李四"})
    url = made["Location"]
    assert "张三" in client.get(url).content.decode()
    assert client.post(url + "give/", {"guides": [house.a.pk]}).status_code == 302
    with in_brand(house.brand):
        assert set(Lead.objects.filter(phone__startswith="139").values_list("staff", "store")) == {
            (house.a.pk, store.pk)
        }
    for act in ("edit", "close", "open"):
        assert client.post(f"{url}{act}/", form).status_code == 302, act


def test_the_phone(house: SimpleNamespace, other_brand: Any, sign_in: Any) -> None:
    give(house)
    client = sign_in(house.brand, user=make_user(house.brand, "guide", staff=house.a))
    with in_brand(house.brand):
        mine = list(Lead.objects.filter(staff=house.a).order_by("pk"))
        theirs = Lead.objects.filter(staff=house.b).first()
    page = client.get("/g/leads/").content.decode()
    assert mine[0].phone in page and f"{mine[0].name}您好" in page
    assert theirs and theirs.phone not in page
    assert (
        "/g/leads/" in client.get("/g/").content.decode()
        and "/g/leads/" in client.get("/g/waiting/").content.decode()
    )
    done = client.post(f"/g/leads/{mine[0].pk}/asked/", headers=HX)
    assert done.status_code == 204 and "leadsChanged" in done["HX-Trigger"] and "/back/" in done["HX-Trigger"]
    assert mine[0].name in client.get("/g/leads/?show=asked", headers=HX).content.decode()
    client.post(f"/g/leads/{mine[1].pk}/not_found/", headers=HX)
    assert mine[1].name in client.get("/g/leads/?show=ended").content.decode()
    client.post(f"/g/leads/{mine[2].pk}/note/", {"said": "晚上再加"}, headers=HX)
    with in_brand(house.brand):
        assert Lead.objects.get(pk=mine[2].pk).said == "晚上再加"
        contact = make_contact(house.brand, house.a, name="新来的", added_at=clock.now())
    assert "新来的" in client.get(f"/g/leads/{mine[0].pk}/person/").content.decode()
    assert client.post(f"/g/leads/{mine[0].pk}/person/", {"contact": "x"}, headers=HX).status_code == 422
    answer = client.post(f"/g/leads/{mine[0].pk}/person/", {"contact": contact.pk}, headers=HX)
    assert answer.status_code == 204
    with in_brand(house.brand):
        assert Lead.objects.get(pk=mine[0].pk).state == "added"
    for path in ("asked/", "note/", "person/"):
        assert client.post(f"/g/leads/{theirs.pk}/{path}", headers=HX).status_code == 404
    stranger = sign_in(other_brand)
    assert stranger.post(f"/g/leads/{mine[2].pk}/asked/", headers=HX).status_code == 404
    assert mine[2].name not in stranger.get("/g/leads/").content.decode()


# ---- files

FILE = """手机号,姓名,备注,标签,导购,门店
13900000001,张三,老客,秋冬新品,{guide},
+86 139 0000 0002,李四,,"秋冬新品,展会",,一店
13900000001,张三丰,,,,
abc,王五,,,,
,赵六,,,,
13900000003,钱七,,,没有这个人,
13900000009,孙八,,,,
13800138001,已在名单,,,,
"""


def test_a_file_is_checked_imported_and_taken_back(
    house: SimpleNamespace, put: Any, check: Any, bring: Any
) -> None:
    brand = house.brand
    with in_brand(brand):
        Store.objects.create(name="一店")
        make_tag(brand, "秋冬新品")
        customer = make_contact(brand, house.a)
        Identity.objects.create(contact=customer, kind="phone", value="13900000009")
    text = FILE.format(guide=house.a.name)
    counts = check(put("leads", text))
    assert (counts["new"], counts["known"], counts["repeated"], counts["refused"]) == (3, 1, 1, 4)
    assert counts["reasons"] == {"phone:phone": 1, "no_id": 1, "unknown_guide": 1, "open_lead": 1}
    with in_brand(brand):
        assert LeadList.objects.count() == 1  # the check writes nothing
    file = bring("leads", text, name="展会 9 月.csv")
    assert (file.result["new"], file.result["known"]) == (3, 1)
    with in_brand(brand):
        found = LeadList.objects.get(file_id=file.pk)
        assert found.name == "展会 9 月"
        rows = {x.phone: x for x in Lead.objects.filter(list=found).select_related("store")}
        assert {phone: x.state for phone, x in rows.items()} == {
            "13900000001": "waiting", "13900000002": "waiting", "13900000009": "known",
        }  # fmt: skip
        assert rows["13900000001"].name == "张三丰"  # the later of two rows counts
        assert rows["13900000002"].store and rows["13900000002"].store.name == "一店"
        assert len(rows["13900000002"].tag_ids) == 2
        choice = Choice([house.b.pk])
        giving.give_out(brand, by=SYSTEM, staff=None, list_id=found.pk, choice=choice)
        Lead.objects.filter(phone="13900000002").update(state="asked")
    with tenant_scope(brand):
        with transaction.atomic():
            job = undo.start_undo(brand, file=file, by=SYSTEM)
        with transaction.atomic():
            job.refresh_from_db()
            assert job.state == Job.State.DONE, job.error
            assert list(Lead.objects.filter(list=found).values_list("phone", flat=True)) == ["13900000002"]
            assert StaffTask.objects.get(staff=house.b).state == "done"
            file.refresh_from_db()
            assert (file.result["undo"]["removed"], file.result["undo"]["kept"]) == (2, 1)


def test_a_file_makes_tags_only_where_the_box_is_ticked(
    house: SimpleNamespace, put: Any, bring: Any, sign_in: Any
) -> None:
    brand = house.brand
    with in_brand(brand):
        known = make_tag(brand, "秋冬新品")
    text = '手机号,标签\n13900000001,"秋冬新品,展会"\n'
    shown = sign_in(brand).get(f"/imports/{put('leads', text).pk}/").content.decode()
    assert 'name="make_tags"' in shown
    bring("leads", text, options={"make_tags": False})
    with in_brand(brand):
        assert list(Tag.objects.values_list("pk", flat=True)) == [known.pk]
        assert Lead.objects.get(phone="13900000001").tag_ids == [known.pk]
    bring("leads", text.replace("001", "002"), options={"make_tags": True})
    with in_brand(brand):
        made = Tag.objects.get(name="展会")
        assert sorted(Lead.objects.get(phone="13900000002").tag_ids) == sorted([known.pk, made.pk])


def test_a_file_of_a_manager_belongs_to_the_store(house: SimpleNamespace, corp: Any, sign_in: Any) -> None:
    with in_brand(house.brand):
        own, other = Store.objects.create(name="一店"), Store.objects.create(name="二店")
        boss = make_staff(house.brand, corp, store=own)
        manager = role(house.brand, "manager")
        manager.rights = [*manager.rights, "imports.run"]
        manager.save()
    client = sign_in(house.brand, user=make_user(house.brand, "manager", staff=boss))
    with in_brand(house.brand):
        by = Actor("店长", client.user.pk)
        data = io.BytesIO("手机号,门店\n13900000001,\n13900000002,二店\n".encode())
    with tenant_scope(house.brand):
        file = uploads.receive(house.brand, kind="leads", name="f.csv", data=data, by=by)
        with transaction.atomic():
            imports.start_import(house.brand, file=file, by=by)
        with transaction.atomic():
            rows = dict(Lead.objects.exclude(list=house.found).values_list("phone", "store"))
    assert rows == {"13900000001": own.pk, "13900000002": other.pk}


def test_pages_of_an_import_lead_to_the_list(house: SimpleNamespace, bring: Any, sign_in: Any) -> None:
    file = bring("leads", "手机号,导购\n13900000001," + house.a.name + "\n")
    client = sign_in(house.brand)
    assert f"/leads/of-file/{file.pk}/" in client.get(f"/imports/{file.pk}/").content.decode()
    with in_brand(house.brand):
        found = LeadList.objects.get(file_id=file.pk)
        assert Lead.objects.get(list=found).staff_id == house.a.pk  # meant for them
    assert client.get(f"/leads/of-file/{file.pk}/")["Location"] == f"/leads/{found.pk}/"
    assert client.get("/leads/of-file/987/").status_code == 404
    assert client.get(f"/exports/new/?kind=leads&list={found.pk}").status_code == 200


def test_export_is_masked(house: SimpleNamespace) -> None:
    from datafiles.exports import Export, export_kind

    kind = export_kind("leads")
    with in_brand(house.brand):
        params = kind.read(house.brand, {"list": str(house.found.pk)})
        rows, place = kind.page(Export(house.brand, params, None), None, 4)
        assert [row[0] for row in rows] == [f"138****800{n}" for n in range(4)]
        assert len(rows[0]) == len(kind.columns(Export(house.brand, params, None)))
        more, _place = kind.page(Export(house.brand, params, None, is_masked=False), place, 4)
        assert [row[0] for row in more] == ["13800138004", "13800138005"]


# ---- API


def test_the_api(brand: Any, corp: Any, staff: Any) -> None:
    api = client_of(brand, "leads.view", "leads.edit")

    def post(path: str, **body: Any) -> Any:
        return api.post(f"/api/v1/lead-lists/{path}", body, content_type="application/json")

    assert post("").status_code == 400
    pk = post("", name="接口名单", again_days=2).json()["id"]
    with in_brand(brand):
        customer = make_contact(brand, staff)
        Identity.objects.create(contact=customer, kind="phone", value="13900000009")
    rows = [
        {"phone": "+86 139 0000 0001", "name": "张三", "guide": staff.userid.upper()},
        {"phone": "13900000001"}, {"phone": "x"}, {"phone": "13900000002", "guide": "nobody"},
        {"phone": "13900000003", "tag_ids": [987]}, {"phone": "13900000004", "store_id": 987}, {"phone": "13900000009"}, {},
    ]  # fmt: skip
    done = post(f"{pk}/leads/", rows=rows).json()
    assert [(r["result"], r["reason"]) for r in done["results"]] == [
        ("accepted", ""), ("repeated", ""), ("refused", "bad_phone"), ("refused", "unknown_guide"),
        ("refused", "unknown_tag"), ("refused", "unknown_store"), ("accepted", "known"), ("refused", "invalid"),
    ]  # fmt: skip
    given = post(f"{pk}/give/", guides=[staff.userid]).json()
    assert given == {"given": 1, "left": 0, "guides": {str(staff.pk): 1}}
    assert post(f"{pk}/give/", guides=["nobody"]).status_code == 422
    found = api.get(f"/api/v1/lead-lists/{pk}/").json()
    assert (found["numbers"]["given"], found["numbers"]["known"]) == (1, 1)
    assert api.get("/api/v1/lead-lists/").json()["results"][0]["name"] == "接口名单"
    assert len(api.get(f"/api/v1/lead-lists/{pk}/leads/?state=given&guide={staff.pk}").json()["results"]) == 1
    assert api.get(f"/api/v1/lead-lists/{pk}/leads/?state=x").status_code == 422
    assert post(f"{pk}/close/").json()["closed_at"]
    assert post(f"{pk}/leads/", rows=rows[:1]).status_code == 409
    reader = client_of(brand, "leads.view")
    assert reader.post(f"/api/v1/lead-lists/{pk}/close/").status_code == 403


@pytest.mark.parametrize(
    "path", ["/leads/", "/leads/{}/", "/leads/{}/give/", "/g/leads/", "/g/leads/?show=asked"]
)
def test_query_count(house: SimpleNamespace, sign_in: Any, path: str) -> None:
    with in_brand(house.brand):
        house.a.role = role(house.brand, "admin")
        house.a.save()
    client = sign_in(house.brand, user=make_user(house.brand, "admin", staff=house.a))

    def queries(n: int) -> int:
        with in_brand(house.brand):
            for i in range(n):
                other = lists.create_list(
                    house.brand, by=SYSTEM, given=ListInput(f"名单{n}{i}"), source="page"
                )
                for which, state in ((house.found, "waiting"), (other, "given"), (other, "asked")):
                    contact = make_contact(house.brand, house.a)
                    guide = make_staff(house.brand, house.a.corp) if state == "waiting" else house.a
                    Lead.objects.create(
                        list=which, phone=f"139{contact.pk:08d}", state=state, staff=guide, contact_id=contact.pk,
                        given_at=clock.now(), added_staff_id=house.b.pk,
                    )  # fmt: skip
        url = path.format(house.found.pk)
        client.get(url)
        with CaptureQueriesContext(connection) as counted:
            assert client.get(url).status_code == 200
        return len(counted)

    assert queries(2) == queries(18)
