"""The tag library from a spreadsheet, and tags for the people of a list: pages."""

import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from openpyxl import Workbook

from contacts.models import Identity
from contacts.services.identity.identity import note_identities
from org.access import SYSTEM
from org.models import Job
from scrm.errors import InvalidError
from tagging.models import ContactTag, Tag, TagAct, WaitingTag
from tagging.services.tags import library, library_file
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_staff, make_tag, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def xlsx(rows: list[list[Any]]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


LINES = [["标签组", "标签", "颜色"], ["兴趣", "大衣", "红色"], ["", "裙子", ""], ["渠道", "门店，直播", "蓝"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_library_in_any_encoding(brand: Any, encoding: str) -> None:
    text = "\r\n".join(",".join(cells) for cells in LINES)
    with in_brand(brand):
        found = library_file.preview(brand, corp=None, data=text.encode(encoding), name="标签.csv")
        assert [(g.name, g.color, g.new) for g in found.groups] == [
            ("兴趣", "red", ["大衣", "裙子"]),
            ("渠道", "blue", ["门店", "直播"]),
        ]
        assert not found.bad


def test_library_from_a_spreadsheet(brand: Any, sign_in: Any) -> None:
    from tenants.scoping import tenant_scope

    with tenant_scope(brand):
        library.create_group(brand, by=SYSTEM, name="兴趣", names=["大衣"])
    rows = [*LINES, ["太长" * 16, "x", ""], ["渠道", "字" * 31, ""], ["渠道", "好", "彩虹"]]
    client = sign_in(brand, "operator")
    assert client.get("/tags/import/").status_code == 200
    file = SimpleUploadedFile("标签.xlsx", xlsx(rows))
    page = client.post("/tags/import/", {"file": file})
    found = page.context["found"]
    assert (
        found.n_new == 3 and found.groups[0].there == ["大衣"] and [row[0] for row in found.bad] == [5, 6, 7]
    )
    done = client.post("/tags/import/start/", {"token": found.token})
    assert done.status_code == 302 and client.get(done["Location"]).status_code == 200
    with in_brand(brand):
        assert Job.objects.get().state == "done"
        assert set(Tag.objects.values_list("group__name", "name")) == {
            ("兴趣", "大衣"), ("兴趣", "裙子"), ("渠道", "门店"), ("渠道", "直播"),
        }  # fmt: skip
    again = client.post("/tags/import/", {"file": SimpleUploadedFile("标签.xlsx", xlsx(LINES))})
    assert again.context["found"].n_new == 0
    assert client.post("/tags/import/start/", {"token": "nonsense"}).status_code == 404
    for data in (b"", b"\x00\x01\x02", xlsx([["a", "b"], ["c", "d"]])):
        assert client.post("/tags/import/", {"file": SimpleUploadedFile("x.csv", data)}).status_code == 422
    with in_brand(brand), pytest.raises(InvalidError):
        library_file.preview(brand, corp=None, data=b"PK\x03\x04broken", name="x.xlsx")


def test_corp_tags_from_a_spreadsheet(connected: Any, sign_in: Any) -> None:
    client = sign_in(connected.brand, "operator")
    client.post("/tags/sync/")
    file = SimpleUploadedFile("标签.xlsx", xlsx(LINES))
    page = client.post("/tags/import/", {"file": file, "corp": connected.corp.pk})
    client.post("/tags/import/start/", {"token": page.context["found"].token})
    found = connected.sandbox.api(
        "externalcontact/get_corp_tag_list", {}, access_token=connected.sandbox.token()
    )
    assert {"兴趣", "渠道"} <= {group["group_name"] for group in found["tag_group"]}


def test_people_of_a_list(brand: Any, other_brand: Any, corp: Any, sign_in: Any) -> None:
    with in_brand(brand):
        guide = make_staff(brand, corp)
        mine, other = make_contact(brand, guide), make_contact(brand, make_staff(brand, corp))
        note_identities(brand, mine, Identity.Kind.PHONE, ["13800000001"])
        note_identities(brand, other, Identity.Kind.PHONE, ["13800000002"])
        tag = make_tag(brand, "老客")
    text = "13800000001\n138 0000 0002\n13800000003\nM-88\n"
    client = sign_in(brand, "operator")
    assert client.get("/tags/list/").status_code == 200
    assert client.post("/tags/list/", {}).status_code == 422
    page = client.post("/tags/list/", {"pasted": text})
    found = page.context["found"]
    assert (len(found.contact_ids), len(found.unknown), page.context["n_waiting"]) == (2, 2, 2)
    assert client.post("/tags/list/start/", {"token": found.token}).status_code == 422
    bad = client.post("/tags/list/start/", {"token": found.token, "tags": [tag.pk], "days": "x"})
    assert bad.status_code == 422
    done = client.post(
        "/tags/list/start/", {"token": found.token, "tags": [tag.pk], "days": "7", "wait": "1"}
    )
    assert done.status_code == 302 and client.get(done["Location"]).status_code == 200
    with in_brand(brand):
        assert set(ContactTag.objects.values_list("contact_id", flat=True)) == {mine.pk, other.pk}
        assert ContactTag.objects.exclude(expires_at=None).count() == 2 and WaitingTag.objects.count() == 2
        act = TagAct.objects.get()
        waiters = list(WaitingTag.objects.values_list("pk", flat=True))
    waits = client.get("/tags/waiting/").text
    assert "M-88" in waits and "138****0003" in waits and "13800000003" not in waits
    assert "M-88" not in client.get("/tags/waiting/?q=13800000003").text
    assert client.post("/tags/waiting/drop/", {"ids": waiters[:1]}).status_code == 302
    history = client.get("/tags/history/")
    assert act.title in history.text and "undo" in history.text
    assert client.post(f"/tags/history/{act.pk}/undo/").status_code == 204
    assert client.post(f"/tags/history/{act.pk}/undo/").status_code == 409
    with in_brand(brand):
        assert not ContactTag.objects.exists() and not WaitingTag.objects.exists()
    # a guide tags only the own customers, and lets nobody wait
    own = sign_in(brand, user=make_user(brand, "guide", guide))
    page = own.post("/tags/list/", {"pasted": text})
    assert page.context["found"].contact_ids == [mine.pk] and page.context["found"].hidden == 1
    assert page.context["n_waiting"] == 0
    assert own.get("/tags/history/").status_code == 403
    stranger = sign_in(other_brand, "admin")
    assert stranger.get(f"/tags/history/{act.pk}/").status_code == 404
    assert stranger.post(f"/tags/history/{act.pk}/undo/").status_code == 404
    assert stranger.post("/tags/list/start/", {"token": found.token, "tags": [tag.pk]}).status_code == 404


def test_undo_from_the_notice(brand: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        people = [make_contact(brand, staff) for _ in range(3)]
        tag = make_tag(brand, "老客")
        add_tags(brand, contacts=people[:1], tags=[tag], source="page")
    client = sign_in(brand, "operator")
    done = client.post("/contacts/bulk/tag/", {"ids": [p.pk for p in people], "tags": [tag.pk], "days": "30"})
    assert done.status_code == 204 and "/undo/" in done["HX-Trigger"]
    with in_brand(brand):
        act = TagAct.objects.get()
        assert act.n_added == 2 and ContactTag.objects.exclude(expires_at=None).count() == 2
    client.post(f"/tags/history/{act.pk}/undo/")
    with in_brand(brand):
        assert ContactTag.objects.get().contact_id == people[0].pk
    page = client.post("/contacts/bulk/tag/?state=reachable", {"everybody": "1", "tags": [tag.pk]})
    assert page.status_code == 200
    with in_brand(brand):
        assert ContactTag.objects.count() == 3 and Job.objects.get().state == "done"
