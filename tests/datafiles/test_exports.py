"""Lists taken out: in the background, for the person who asked, with the person's view, marked and logged."""

import csv
import io
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.http import QueryDict
from openpyxl import load_workbook

from contacts import hooks
from contacts.models import Contact, CustomField
from contacts.services.search import refresh_grams
from datafiles import watermark
from datafiles.exports import KINDS, Export, export_kind
from datafiles.models import ExportFile
from datafiles.services import exports, places, purge
from org.access import SYSTEM, Actor
from org.models import AuditEntry, Job, Staff
from org.services import jobs
from scrm import clock
from tagging.services.segments.segments import create_list
from tagging.services.tags.tags import add_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_staff, make_tag

pytestmark = pytest.mark.django_db(transaction=True)


def take(client: Any, query: str = "kind=contacts", format: str = "csv") -> Any:
    answer = client.post(f"/exports/new/?{query}", {"format": format})
    assert answer.status_code == 302, answer.text
    return ExportFile


def newest(brand: Any) -> ExportFile:
    with in_brand(brand):
        row = ExportFile.objects.order_by("-pk").first()
        assert row is not None
        job = Job.objects.get(pk=row.job_id)
        assert job.state == Job.State.DONE, job.error
        return row


def lines(client: Any, row: ExportFile) -> list[list[str]]:
    answer = client.get(f"/exports/{row.pk}/file/")
    assert answer.status_code == 200
    data = b"".join(answer.streaming_content)
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.fixture
def people(brand: Any, staff: Any) -> list[Contact]:
    with in_brand(brand):
        found = [
            make_contact(brand, staff if n else None, name=name)
            for n, name in enumerate(["=HYPERLINK(1)", "李娜", "+86 王"])
        ]
        for n, contact in enumerate(found):
            contact.identities.create(kind="phone", value=f"1380013800{n}")
        refresh_grams(brand, [contact.pk for contact in found])
        add_tags(brand, contacts=found[:2], tags=[make_tag(brand, "VIP")], source="page")
        return found


def test_contacts_by_filter(brand: Any, sign_in: Any, people: Any) -> None:
    client = sign_in(brand, "operator")
    take(client)
    row = newest(brand)
    table = lines(client, row)
    headings, rows, foot = table[0], table[1:-1], table[-1]
    assert headings[:2] == ["客户编号", "名称"] and len(rows) == row.n_rows == 3
    # what a spreadsheet would run is kept from running; phone numbers are masked for this role
    assert [r[1] for r in rows] == ["'=HYPERLINK(1)", "李娜", "'+86 王"]
    assert [r[4] for r in rows] == ["138****8000", "138****8001", "138****8002"]
    assert {watermark.read(r[-1]) for r in rows} == {row.pk} and not rows[0][-1].strip("\u200b\u200c\u2060")
    assert brand.name in foot[0] and row.created_by in foot[0]
    with in_brand(brand):
        log = list(
            AuditEntry.objects.filter(action__startswith="export.")
            .order_by("pk")
            .values_list("action", "after")
        )
    assert [action for action, _after in log] == ["export.start", "export.done", "export.download"]
    assert log[0][1]["masked"] is True and log[1][1]["rows"] == 3
    take(client, "kind=contacts&q=李")
    assert [r[1] for r in lines(client, newest(brand))[1:-1]] == ["李娜"]


def test_contacts_of_a_segment_by_filter(
    brand: Any, sign_in: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list's filter by segment, beside the others; who may not see segments takes none out, nor after losing it."""
    client = sign_in(brand, "operator")
    with in_brand(brand):
        segment = create_list(brand, by=SYSTEM, name="两人", contact_ids=[c.pk for c in people[:2]])
    take(client, f"kind=contacts&segment={segment.pk}&q=李")
    row = newest(brand)
    assert [r[1] for r in lines(client, row)[1:-1]] == ["李娜"] and "两人" in row.title
    asked: list[int] = []
    bits_of = hooks.segment_bits
    monkeypatch.setattr(exports, "PAGE", 1)
    monkeypatch.setattr(hooks, "segment_bits", lambda *of: asked.append(of[1]) or bits_of(*of))
    take(client, f"kind=contacts&segment={segment.pk}")
    assert (
        len(lines(client, newest(brand))) == 4 and asked == [segment.pk] * 2
    )  # for how many, and for a step of pages
    with in_brand(brand):
        role = Staff.objects.select_related("role").get(user_id=client.user.pk).role
        role.rights = ["contacts.view", "exports.run"]
        role.save()
    for query in ("kind=contacts", "kind=segment"):
        answer = client.post(f"/exports/new/?{query}&segment={segment.pk}", {"format": "csv"})
        assert answer.status_code == 422, query


def test_whole_phones_by_right(brand: Any, sign_in: Any, people: Any) -> None:
    client = sign_in(brand, "admin")
    take(client)
    assert lines(client, newest(brand))[1][4] == "13800138000"


def test_workbook(brand: Any, sign_in: Any, people: Any) -> None:
    client = sign_in(brand, "admin")
    take(client, format="xlsx")
    row = newest(brand)
    data = b"".join(client.get(f"/exports/{row.pk}/file/").streaming_content)
    book = load_workbook(io.BytesIO(data))
    sheet = book.worksheets[0]
    assert sheet["B2"].value == "'=HYPERLINK(1)" and sheet["B2"].data_type == "s"
    assert sheet["E2"].value == 13800138000 and sheet.max_row == 6
    assert row.created_by in book.properties.description and row.created_by in sheet.oddFooter.center.text
    assert not list(places.export_folder(row).glob("rows.csv"))


def test_names_that_people_give_are_no_formulas_either(brand: Any, sign_in: Any, people: Any) -> None:
    """Labels of own fields are headings, the brand's name stands in the last line."""
    brand.name = "=HYPERLINK(2)"
    brand.save(update_fields=["name"])
    with in_brand(brand):
        CustomField.objects.create(key="x", label="=cmd|' /C calc'!A0", type="text")
    client = sign_in(brand, "admin")
    take(client)
    table = lines(client, newest(brand))
    assert "'=cmd|' /C calc'!A0" in table[0] and table[-1][0].startswith("'=HYPERLINK(2)")
    take(client, format="xlsx")
    data = b"".join(client.get(f"/exports/{newest(brand).pk}/file/").streaming_content)
    for sheet in load_workbook(io.BytesIO(data)).worksheets:
        assert not [cell.value for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]


# who writes what a spreadsheet opens: texts of people go through scrm/harmless.py there
WRITERS = {
    "datafiles/services/exports.py", "datafiles/services/workbook.py", "datafiles/services/refused.py",
    "livecodes/views/lists.py",
}  # fmt: skip
NO_TEXTS_OF_PEOPLE = {
    "datafiles/blocks.py", "datafiles/services/xlsx.py", "tagging/services/value/value_model.py",  # for COPY
    "livecodes/services/batch_sheet.py",  # an empty template
}  # fmt: skip


def test_all_who_write_for_spreadsheets_are_known() -> None:
    root = Path(__file__).resolve().parents[2]
    apps = {path.parent for path in root.glob("*/apps.py")} | {path.parent for path in root.glob("*/models*")}
    writes = re.compile(r"csv\.(?:Dict)?[wW]riter\(|\bWorkbook\(|\.to_csv\(|\.to_excel\(|text/csv")
    found = {
        str(path.relative_to(root))
        for app in apps
        for path in app.rglob("*.py")
        if app.name not in ("demo", "bench", "tests") and writes.search(path.read_text(encoding="utf-8"))
    }
    downloads = {"datafiles/api.py", "datafiles/views/exports.py", "datafiles/views/imports.py"}
    assert found - downloads == WRITERS | NO_TEXTS_OF_PEOPLE
    for name in WRITERS:
        assert "harmless(" in (root / name).read_text(encoding="utf-8"), name


def test_the_scope_of_the_person_holds(brand: Any, corp: Any, sign_in: Any, people: Any) -> None:
    with in_brand(brand):
        other = make_contact(brand, make_staff(brand, corp), name="别人的")
        from tests.factories import role

        own = role(brand, "guide")
        own.rights = [*own.rights, "exports.run"]
        own.save()
    with in_brand(brand):
        mine = people[1].follows.get().staff
    from tests.factories import make_user

    client = sign_in(brand, user=make_user(brand, "guide", staff=mine))
    take(client)
    names = [r[1] for r in lines(client, newest(brand))[1:-1]]
    assert names == ["李娜", "'+86 王"] and other.name not in names


def test_only_the_person_who_asked_and_only_for_some_days(
    brand: Any, other_brand: Any, sign_in: Any, people: Any
) -> None:
    client = sign_in(brand, "operator")
    take(client)
    row = newest(brand)
    assert sign_in(brand, "admin").get(f"/exports/{row.pk}/file/").status_code == 404
    assert sign_in(other_brand).get(f"/exports/{row.pk}/file/").status_code == 404
    with clock.at(clock.now() + timedelta(days=4)), tenant_scope(brand):
        assert purge.purge(brand) == 1
    assert client.get(f"/exports/{row.pk}/file/").status_code == 404
    assert not places.export_folder(row).exists()


def test_a_killed_export_goes_on_without_doubling(brand: Any, people: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(exports, "PAGE", 1)
    monkeypatch.setattr(exports, "PAGES", 1)
    by = Actor("x", 5, None, frozenset({"contacts.view", "exports.run"}))
    with tenant_scope(brand):
        with in_brand(brand):
            monkeypatch.setattr(jobs, "_enqueue", lambda brand, job: None)
            row = exports.start_export(brand, kind="contacts", query={}, format="csv", by=by, staff=None)
        jobs.run(brand, row.job_id, until=lambda: True)
        path = places.export_folder(row) / "rows.csv"
        with path.open("ab") as file:
            file.write(b"half a row of a killed st")
        job = jobs.run(brand, row.job_id)
        assert job is not None and job.state == Job.State.DONE
        text = path.with_name("export.csv").read_text("utf-8-sig")
    assert text.count("\n") == 5 and "half a row" not in text


def test_every_list_can_be_taken_out(brand: Any, sign_in: Any, people: Any, bring: Any) -> None:
    bring("orders", "订单号,手机,支付时间,订单金额,商品名称\nO1,13800138001,2026-01-05,100,奶粉\n")
    bring("refunds", "退款编号,订单号,退款金额\nR1,O1,3\n")
    client = sign_in(brand, "admin")
    for kind in KINDS:
        if export_kind(kind).needs:
            continue
        assert client.get(f"/exports/new/?kind={kind}").status_code == 200
        take(client, f"kind={kind}")
        table = lines(client, newest(brand))
        assert len(table[0]) > 3 and all(len(line) == len(table[0]) for line in table[:-1]), kind
    take(client, "kind=orders&since=2026-01-05&until=2026-01-05")
    assert newest(brand).n_rows == 1
    take(client, "kind=orders&since=2026-01-06")
    assert newest(brand).n_rows == 0
    # the filter of the page: what is there is found by it, what is not is not
    for query, n in (
        ("days=0&q=O1", 1), ("days=0&q=O2", 0), ("days=1", 0), ("days=36000&state=2", 1), ("state=5", 0),
        ("waiting=1", 0), ("guide=987", 0), ("store=987", 0), ("contact=987", 0),
    ):  # fmt: skip
        take(client, f"kind=orders&{query}")
        assert newest(brand).n_rows == n, query


def test_what_is_not_understood_is_refused(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "admin")
    for query in (
        "kind=contacts&state=rich",
        "kind=orders&since=yesterday",
        "kind=orders&days=many",
        "kind=orders&state=99",
        "kind=segment",
        "kind=segment&segment=²",
        "kind=tags&tag=²",
        "kind=broadcast&broadcast=²",
        "kind=broadcast&broadcast=" + "9" * 19,
    ):
        assert client.post(f"/exports/new/?{query}", {"format": "csv"}).status_code == 422, query
    assert client.post("/exports/new/?kind=secrets", {"format": "csv"}).status_code == 404
    assert client.post("/exports/new/?kind=products", {"format": "exe"}).status_code == 422
    with in_brand(brand):
        assert not ExportFile.objects.exists()


def test_marks() -> None:
    for n in (1, 7, 123456789):
        assert watermark.read(f"a,b,{watermark.mark(n)}\n") == n
    assert watermark.read("nothing here") is None


def test_what_a_customer_is_worth(brand: Any, people: list[Contact], sign_in: Any) -> None:
    """Orders, value, stages of each contact; empty for somebody who never bought."""
    from datetime import date

    from contacts.models import ContactStat, Stage
    from tagging.services.value import lifecycle

    with in_brand(brand):
        stage = Stage.objects.create(name="已报价")
        Contact.objects.filter(pk=people[1].pk).update(stage=stage)
        at = lifecycle.stages_of(brand)[0]
        ContactStat.objects.filter(contact=people[1]).update(
            n_orders=3, spent_fen=12_345, value_score=66, recency=4, frequency=3, monetary=2, value_group=2,
            lifecycle=at.number, next_order_on=date(2026, 12, 1), alive_ratio=0.87654, ltv_fen=50_000,
        )  # fmt: skip
    client = sign_in(brand)
    take(client)
    head, *rows, _foot = lines(client, newest(brand))
    invisible = "\u200b\u200c\u2060"
    found = {row[1]: dict(zip(head, (cell.strip(invisible) for cell in row), strict=True)) for row in rows}
    one = found["李娜"]
    wanted = {
        "跟进阶段": "已报价", "消费金额（元）": "123.45", "R": "4", "F": "3", "M": "2", "复购概率": "0.877",
        "未来一年价值（元）": "500.00",
    }  # fmt: skip
    assert {name: one[name] for name in wanted} == wanted
    assert {"66", "2026-12-01", at.name, "优质"} <= set(one.values())
    other = next(row for name, row in found.items() if name != "李娜")
    assert other["R"] == other["跟进阶段"] == other["未来一年价值（元）"] == ""


@pytest.fixture
def work(brand: Any, corp: Any, staff: Any, people: list[Contact]) -> dict[str, Any]:
    """A behaviour, a group with two stays, a hand-over with a refusal, a task; all of the first guide."""
    from campaigns.models import StaffTask
    from contacts.services.behaviour import record_behaviour
    from groups.models import GroupChat, GroupMember
    from handover.models import HandoverItem, HandoverRun

    with in_brand(brand):
        other = make_staff(brand, corp, name="接手人")
        rows = [
            {"kind": "search", "at": clock.now(), "contact_id": people[1].pk, "data": {"query": "防晒"}},
            {
                "kind": "coupon_used",
                "at": clock.now(),
                "contact_id": people[0].pk,
                "data": {"title": "满减券"},
            },
        ]
        record_behaviour(brand, rows, source="shop")
        chat = GroupChat.objects.create(
            corp=corp, chat_id="wr1", name="妈妈群", owner=staff, created_at=clock.now()
        )
        GroupMember.objects.create(
            chat=chat, kind=2, userid="wm1", contact=people[1], name="李", joined_at=clock.now()
        )
        GroupMember.objects.create(
            chat=chat, kind=2, userid="wm2", joined_at=clock.now(), left_at=clock.now(), quit_scene=1
        )
        run = HandoverRun.objects.create(corp=corp, giver=staff)
        HandoverItem.objects.create(
            run=run, kind=1, giver=staff, receiver=other, contact=people[1], external_userid="wm1", state=4
        )
        task = StaffTask.objects.create(
            staff=staff,
            contact=people[1],
            kind="call",
            title="回访",
            due_at=clock.now(),
            key="k",
            source="page",
        )
    return {"chat": chat, "run": run, "task": task, "other": other}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("kind=behaviour", {"李娜", "满减券"}),
        ("kind=behaviour&contact={one}", {"李娜", "防晒"}),
        ("kind=groups", {"妈妈群", "wr1"}),
        ("kind=group_members&chat={chat}", {"李", "妈妈群", "wm2"}),
        ("kind=handover", {"李娜", "接手人"}),
        ("kind=handover&run={run}", {"李娜", "接手人"}),
        ("kind=tasks", {"李娜", "回访"}),
        ("kind=tasks&show=late&kind=call", {"回访"}),
    ],
)
def test_lists_of_work(
    brand: Any,
    other_brand: Any,
    sign_in: Any,
    people: list[Contact],
    work: dict[str, Any],
    query: str,
    said: set[str],
) -> None:
    """What stands in them; nothing of another brand; nothing of others for who sees the own only."""
    text = query.format(one=people[1].pk, chat=work["chat"].pk, run=work["run"].pk)
    client = sign_in(brand, "admin")
    take(client, text)
    head, *rows, _foot = lines(client, newest(brand))
    assert {len(row) for row in rows} == {len(head)}
    cells = "|".join(cell for row in rows for cell in row)
    assert all(word in cells for word in said), cells
    stranger = sign_in(other_brand, "admin")
    answer = stranger.post(f"/exports/new/?{text}", {"format": "csv"})
    if "=" in text.partition("&")[2] and "show" not in text:
        assert answer.status_code == 404
    else:
        assert answer.status_code == 302 and len(lines(stranger, newest(other_brand))) == 2
    with in_brand(brand):
        kind, _q, rest = text.partition("&")
        export = Export(brand, export_kind(kind[5:]).read(brand, QueryDict(rest)), work["other"], True)
        assert export_kind(kind[5:]).page(export, None, 10)[0] == []


def test_waiting_tags_and_differences(brand: Any, corp: Any, sign_in: Any) -> None:
    from drift.models import Difference
    from tagging.models import WaitingTag

    with in_brand(brand):
        WaitingTag.objects.create(
            kind="phone", value="13800138000", tag=make_tag(brand, "金卡"), source="import:1"
        )
        for kind, key, state in (("department_differs", "t1", "open"), ("member_missing", "f1", "ignored")):
            Difference.objects.create(
                corp=corp,
                kind=kind,
                key=key,
                title="会员",
                ours={"name": "甲", "order": 1},
                theirs={"name": "乙"},
                state=state,
            )
    client = sign_in(brand, "operator")
    take(client, "kind=waiting_tags")
    assert lines(client, newest(brand))[1][1:4:2] == ["138****8000", "金卡"]
    for query, keys in (
        ("", ["t1"]),
        ("&state=any", ["f1", "t1"]),
        ("&state=ignored&kind=member_missing", ["f1"]),
        ("&kind=member_missing", []),
    ):
        client = sign_in(brand, "admin")
        take(client, f"kind=differences{query}")
        rows = lines(client, newest(brand))[1:-1]
        assert sorted({row[2] for row in rows}) == keys, query
        assert all({row[6], row[7]} in ({"甲", "乙"}, {"1", ""}) for row in rows)


def test_lists_of_work_refuse_what_they_do_not_know(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "admin")
    for query in (
        "behaviour&contact=x", "behaviour&since=x", "group_members&chat=x", "handover&run=0x", "tasks&show=gone",
        "tasks&kind=x", "tasks&guide=x", "differences&state=x", "differences&kind=x",
    ):  # fmt: skip
        answer = client.post(f"/exports/new/?kind={query}", {"format": "csv"})
        assert answer.status_code == 422, query


def names_in(client: Any, brand: Any, query: str) -> str:
    take(client, query)
    return "|".join(cell for row in lines(client, newest(brand))[1:-1] for cell in row)


def test_groups_and_hand_overs_take_the_filters_of_their_pages(
    brand: Any, corp: Any, staff: Any, sign_in: Any, work: dict[str, Any]
) -> None:
    """As the form of the page sends them, empty ones too; a list without any is the whole."""
    from groups.models import GroupChat
    from handover.models import HandoverItem, HandoverRun

    with in_brand(brand):
        common = {"corp": corp, "created_at": clock.now(), "owner": work["other"]}
        GroupChat.objects.create(chat_id="wr2", name="爸爸群", n_members=150, **common)
        GroupChat.objects.create(chat_id="wr3", name="旧群", dismissed_at=clock.now(), **common)
        second = HandoverRun.objects.create(corp=corp, giver=work["other"])
        HandoverItem.objects.create(
            run=second, kind=1, giver=work["other"], receiver=staff, external_userid="wm-second", state=3
        )
    client = sign_in(brand, "admin")
    for query, there, away in (
        ("kind=groups", ("妈妈群", "爸爸群", "旧群"), ()),
        ("kind=groups&q=&owner=&state=&size=&sort=new", ("妈妈群", "爸爸群"), ("旧群",)),
        (f"kind=groups&owner={work['other'].pk}", ("爸爸群",), ("妈妈群", "旧群")),
        ("kind=groups&state=dismissed", ("旧群",), ("妈妈群", "爸爸群")),
        ("kind=groups&size=big&q=群", ("爸爸群",), ("妈妈群", "旧群")),
        (f"kind=group_members&chat={work['chat'].pk}&show=here&q=&kind=", ("wm1",), ("wm2",)),
        (f"kind=group_members&chat={work['chat'].pk}&show=left&q=&kind=", ("wm2",), ("wm1",)),
        (f"kind=group_members&chat={work['chat'].pk}&kind=customers", ("wm1",), ("wm2",)),
        (f"kind=group_members&chat={work['chat'].pk}&q=wm2", ("wm2",), ("wm1",)),
        (f"kind=handover&giver={work['other'].pk}", ("wm-second",), ("wm1",)),
        (f"kind=handover&receiver={work['other'].pk}", ("wm1",), ("wm-second",)),
        (f"kind=handover&run={work['run'].pk}&state=done&receiver=", (), ("wm1", "wm-second")),
    ):
        text = names_in(client, brand, query)
        assert all(word in text for word in there) and not any(word in text for word in away), (query, text)
    for query in (
        "groups&state=gone", "groups&size=x", "groups&owner=x", "group_members&show=x", "group_members&kind=x",
        "handover&state=x", "handover&giver=x", "handover&receiver=x",
    ):  # fmt: skip
        answer = client.post(f"/exports/new/?kind={query}", {"format": "csv"})
        assert answer.status_code == 422, query
    assert 'hx-include=".filters' in client.get("/groups/").text
    assert "show=here" in client.get(f"/groups/{work['chat'].pk}/").text
    assert f"giver={staff.pk}" in client.get(f"/handover/?giver={staff.pk}").text


@pytest.mark.parametrize("has_right", [True, False])
def test_ids_are_as_whole_in_a_file_as_on_the_page(
    brand: Any, other_brand: Any, staff: Any, sign_in: Any, has_right: bool
) -> None:
    """Waiting tags on their page, by API, in the file; contacts in the file: one rule, and the filter of the page."""
    from contacts.models import Identity
    from org.models import Staff
    from tagging.models import WaitingTag
    from tests.campaigns.test_api import client_of

    rights = ["tags.edit", "contacts.view", "exports.run"] + (["contacts.edit"] if has_right else [])
    client = sign_in(brand, "operator")
    with in_brand(brand):
        person = Staff.objects.select_related("role").get(user_id=client.user.pk)
        person.role.rights = rights
        person.role.save()
        tag = make_tag(brand, "金卡")
        for kind, value in (("unionid", "ounion12345"), ("phone", "13800138000"), ("member_no", "M-88")):
            WaitingTag.objects.create(kind=kind, value=value, tag=tag, source="import:1")
        contact = make_contact(brand, staff, name="有身份")
        Identity.objects.create(contact=contact, kind="unionid", value="uknown98765")
    unionid = "ounion12345" if has_right else "oun•••••345"
    page = client.get("/tags/waiting/").text
    given = client_of(brand, *rights).get("/api/v1/waiting-tags/").json()["results"]
    took = names_in(client, brand, "kind=waiting_tags&q=")
    for text in (page, "|".join(row["value"] for row in given), took):
        assert unionid in text and "138****8000" in text and "M-88" in text
        assert has_right or "ounion12345" not in text
    assert "M-88" in names_in(client, brand, "kind=waiting_tags&q=M-88")
    assert "138****" not in names_in(client, brand, "kind=waiting_tags&q=M-88")
    people = names_in(client, brand, "kind=contacts")
    assert ("uknown98765" in people) is has_right and "有身份" in people
    stranger = sign_in(other_brand, "operator")
    assert names_in(stranger, other_brand, "kind=waiting_tags&q=M-88") == ""


def test_a_right_that_is_lost_meanwhile_hides_the_ids(brand: Any, staff: Any, sign_in: Any) -> None:
    from org.models import Staff

    client = sign_in(brand, "operator")
    with in_brand(brand):
        person = Staff.objects.select_related("role").get(user_id=client.user.pk)
        row = ExportFile(kind="contacts", format="csv", params={"_whole_ids": True}, staff_id=person.pk)
        assert exports._of(brand, row).has_whole_ids
        person.role.rights = [right for right in person.role.rights if right != "contacts.edit"]
        person.role.save()
        assert not exports._of(brand, row).has_whole_ids
