"""Guides' pages: today, who waits, customers, figures, one customer; whose they are, and how many queries they cost."""

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from campaigns.models import Moment, MomentGuide, SendTask, StaffTask
from campaigns.services.tasks import staff_tasks, task_later
from campaigns.services.tasks.staff_tasks import TaskInput
from contacts.models import (
    ContactStat,
    CustomField,
    CustomValue,
    Event,
    EventType,
    Identity,
    Reminder,
    Stage,
)
from contacts.services.search import refresh_grams
from contacts.services.timeline import record_event
from guides.services import calling
from guides.services.today import people_of, today_of
from org.access import SYSTEM
from org.models import Corp
from scrm import clock
from tagging.models import ContactTag
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_staff, make_tag, make_user

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def guide(brand: Any, corp: Corp, staff: Any, sign_in: Any) -> SimpleNamespace:
    """A guide who is signed in, with a customer; a colleague with another one."""
    user = make_user(brand, "guide", staff=staff)
    with in_brand(brand):
        mine = make_contact(brand, staff, name="林小满")
        colleague = make_staff(brand, corp)
        other = make_contact(brand, colleague, name="别人的客户")
    return SimpleNamespace(
        client=sign_in(brand, user=user),
        staff=staff,
        mine=mine,
        other=other,
        colleague=colleague,
        brand=brand,
    )


def give(
    brand: Any, staff: Any, contact: Any = None, *, key: str = "k", due: timedelta = HOUR, **over: Any
) -> int:
    row = TaskInput(
        staff_id=staff.pk,
        contact_id=contact.pk if contact else None,
        due_at=clock.now() + due,
        key=key,
        **{"kind": "call", "title": "打电话", **over},
    )
    [pk] = staff_tasks.add_tasks(brand, [row], source="page")
    return pk


def carted(brand: Any, contact: Any, ago: timedelta) -> None:
    record_event(brand, contact_id=contact.pk, type=EventType.CARTED, at=clock.now() - ago, source="api")


def test_today_shows_what_is_to_be_done(guide: SimpleNamespace, corp: Corp) -> None:
    with in_brand(guide.brand):
        task_id = give(guide.brand, guide.staff, guide.mine)
        give(guide.brand, guide.colleague, key="theirs", title="同事的任务")
        give(guide.brand, guide.staff, key="later", due=9 * DAY, title="下周的任务")
        Reminder.objects.create(
            contact=guide.mine, staff=guide.staff, text="送样品", due_at=clock.now() - HOUR, created_by="x"
        )
        for state, digest in (("handed", "a"), ("final", "b")):
            SendTask.objects.create(
                corp=corp, staff=guide.staff, at=clock.now(), called_at=clock.now(), content_digest=digest,
                contact_ids=[1], n=7, state=state, text=f"群发{state}",
            )  # fmt: skip
    page = guide.client.get("/g/").content.decode()
    assert "打电话" in page and "送样品" in page and "群发handed" in page and "下周的任务" in page
    assert "同事的任务" not in page and "群发final" not in page
    done = guide.client.post(f"/g/tasks/{task_id}/done/", {"result": "接通"}, headers={"HX-Request": "true"})
    assert done.status_code == 204 and "tasksChanged" in done["HX-Trigger"] and "reopen" in done["HX-Trigger"]
    with in_brand(guide.brand):
        task = StaffTask.objects.get(pk=task_id)
        assert task.state == "done" and task.result == "接通" and task.done_by == guide.staff.name
    assert "接通" in guide.client.get("/g/").content.decode()
    guide.client.post(f"/g/tasks/{task_id}/reopen/")
    with in_brand(guide.brand):
        assert StaffTask.objects.get(pk=task_id).state == "open"
        reminder = Reminder.objects.get()
    guide.client.post(f"/g/reminders/{reminder.pk}/done/")
    with in_brand(guide.brand):
        assert Reminder.objects.get().done_at is not None


def test_all_tasks_are_counted_and_read_by_pages(guide: SimpleNamespace) -> None:
    with in_brand(guide.brand):
        rows = [
            TaskInput(
                staff_id=guide.staff.pk, due_at=clock.now() + timedelta(seconds=i), key=f"o{i}", kind="thank",
                title=f"早该做的{i:03d}。",
            )
            for i in range(1, 161)
        ]  # fmt: skip
        staff_tasks.add_tasks(guide.brand, rows, source="page")
        now = clock.now() + timedelta(seconds=200)
        give(guide.brand, guide.staff, key="today", due=timedelta(seconds=201), title="今天这件")
        give(guide.brand, guide.colleague, key="theirs", due=timedelta(seconds=1), title="同事的任务")
    with clock.at(now):
        answer = guide.client.get("/g/")
        found, page = answer.context["list"], answer.content.decode()
        assert (found.late.n, found.today.n + found.soon.n) == (
            160,
            1,
        )  # soon when the test runs before midnight
        assert "早该做的050。" in page and "早该做的051。" not in page and "今天这件" in page
        seen, after = 50, found.late.page.next
        while after:
            answer = guide.client.get("/g/tasks/", {"list": "late", "after": after})
            seen, after = seen + len(answer.context["page"]), answer.context["page"].next
            assert "同事的任务" not in answer.content.decode()
        assert seen == 160
    assert guide.client.get("/g/tasks/?list=all").status_code == 404
    assert guide.client.get("/g/tasks/?list=late&after=x").status_code == 422


def test_a_plus_says_that_there_are_more(guide: SimpleNamespace, corp: Corp) -> None:
    """Neither at exactly as many as are shown, nor for the names of a send with as many customers as are named."""

    def remind(n: int) -> None:
        given = {"contact": guide.mine, "staff": guide.staff, "text": "x", "created_by": "x"}
        with in_brand(guide.brand):
            Reminder.objects.bulk_create(Reminder(due_at=clock.now() - i * HOUR, **given) for i in range(n))

    def shown() -> str:
        return re.sub(r"\s+", " ", guide.client.get("/g/").content.decode())

    with in_brand(guide.brand):
        ids = [make_contact(guide.brand, guide.staff, name=f"客{n}").pk for n in range(6)]
        for n in (5, 6):
            SendTask.objects.create(
                corp=corp, staff=guide.staff, at=clock.now(), called_at=clock.now(), content_digest=f"d{n}",
                contact_ids=ids[:n], n=n, state="handed", text=f"给{n}位",
            )  # fmt: skip
    remind(50)
    page = shown()
    assert '<span class="g-n">50</span>' in page and "50+" not in page
    assert page.count("客4") == 2 and page.count("客4, …") == 1 and "客5" not in page
    remind(1)
    assert '<span class="g-n">50+</span>' in shown()


def test_how_many_statements_the_list_needs(guide: SimpleNamespace, corp: Corp) -> None:
    noon = datetime(2031, 3, 5, 4, tzinfo=UTC)  # 12:00 in Shanghai
    with clock.at(noon - 3 * HOUR), in_brand(guide.brand):
        for key, due in {"late": HOUR, "today": 5 * HOUR, "soon": 5 * DAY, "back": DAY, "off": DAY}.items():
            give(guide.brand, guide.staff, guide.mine, key=key, due=due)
        for key, until in {"back": noon - HOUR, "off": noon + HOUR}.items():
            task_later.put_off(
                guide.brand, task_id=StaffTask.objects.get(key=key).pk, by=SYSTEM, until=until, why="busy"
            )
    with clock.at(noon), in_brand(guide.brand):
        SendTask.objects.create(
            corp=corp, staff=guide.staff, at=clock.now(), called_at=clock.now(), content_digest="a",
            contact_ids=[guide.mine.pk], n=1, state="handed", text="x",
        )  # fmt: skip
        with CaptureQueriesContext(connection) as counted:
            found = today_of(guide.brand, guide.staff)
            people_of(found.sends.rows)
            calling.of_tasks(found.tasks)
            task_later.history(found.tasks)
        assert len(found.tasks) == 5
        assert len([query for query in counted if "SELECT" in query["sql"]]) == 13


def test_whoever_has_to_call_sees_the_number(guide: SimpleNamespace) -> None:
    number = "13912348000"
    with in_brand(guide.brand):
        for contact, value in ((guide.mine, number), (guide.other, "13700001111")):
            Identity.objects.create(contact=contact, kind="phone", value=value)
        give(guide.brand, guide.staff, guide.mine, key="thank", kind="thank")
        unknown = make_contact(guide.brand, guide.staff, name="没有号码的")
        give(guide.brand, guide.colleague, guide.other, key="theirs")
    url = f"/g/customers/{guide.mine.pk}/"
    for path in ("/g/", url, f"{url}cards/head/"):
        assert number not in guide.client.get(path).content.decode(), path
    assert "139****8000" in guide.client.get(url).content.decode()
    with in_brand(guide.brand):
        task_id = give(guide.brand, guide.staff, guide.mine)
        give(guide.brand, guide.staff, unknown, key="unknown")
    for path in ("/g/", url, f"{url}cards/head/"):
        assert f'href="tel:{number}"' in guide.client.get(path).content.decode(), path
    page = guide.client.get("/g/").content.decode()
    assert "没有登记手机号" in page and "13700001111" not in page
    guide.client.post(f"/g/tasks/{task_id}/done/")
    for path in ("/g/", url):
        assert number not in guide.client.get(path).content.decode(), path


def test_a_send_is_read_whole_before_it_is_confirmed(guide: SimpleNamespace, corp: Corp) -> None:
    text = "很长的一段话" * 30 + "最后一句"
    with in_brand(guide.brand):
        SendTask.objects.create(
            corp=corp, staff=guide.staff, at=clock.now(), called_at=clock.now(), content_digest="a",
            contact_ids=[guide.mine.pk], n=1, state="handed", text=text, attachments=[{"type": "image", "file_id": 1}],
        )  # fmt: skip
    page = guide.client.get("/g/").content.decode()
    assert text in page and "林小满" in page and "图片" in page


def test_a_late_task_is_overdue(guide: SimpleNamespace) -> None:
    with in_brand(guide.brand):
        give(guide.brand, guide.staff, due=HOUR)
    with clock.at(clock.now() + 2 * HOUR):
        assert "g-late" in guide.client.get("/g/").content.decode()


def test_moments_to_publish_are_on_the_list(guide: SimpleNamespace) -> None:
    with in_brand(guide.brand):
        given = {"corp": guide.staff.corp, "text": "新品到店", "at": clock.now(), "out_at": clock.now()}
        rows = {
            name: Moment.objects.create(name=name, key=name, content_digest=name, **{**given, "state": "out", **over})
            for name, over in {
                "春上新": {}, "发过的": {}, "停了的": {"cancelled_at": clock.now()}, "同事的": {}, "失败的": {"state": "failed"},
            }.items()
        }  # fmt: skip
        for name, moment in rows.items():
            staff = guide.colleague if name == "同事的" else guide.staff
            state = "published" if name == "发过的" else "waiting"
            MomentGuide.objects.create(moment=moment, staff=staff, userid=staff.userid, state=state)
    page = guide.client.get("/g/").content.decode()
    assert "春上新" in page and "发朋友圈" in page and "今天的事都做完了" not in page
    for name in ("发过的", "停了的", "同事的", "失败的"):
        assert name not in page, name
    with in_brand(guide.brand):
        MomentGuide.objects.update(state="published")
    assert "发朋友圈" not in guide.client.get("/g/").content.decode()


def test_a_welcome_is_no_conversation(guide: SimpleNamespace) -> None:
    """Who is on the list of the new ones has the same next step on their own page."""
    with in_brand(guide.brand):
        record_event(
            guide.brand, contact_id=guide.mine.pk, type=EventType.WELCOMED, at=clock.now(), source="wecom"
        )
    assert "林小满" in guide.client.get("/g/waiting/").content.decode()
    card = f"/g/customers/{guide.mine.pk}/cards/action/"
    assert "打个招呼" in guide.client.get(card).content.decode()
    guide.client.post(f"/g/customers/{guide.mine.pk}/note/", {"text": "聊过了"})
    assert "打个招呼" not in guide.client.get(card).content.decode()
    assert "林小满" not in guide.client.get("/g/waiting/").content.decode()


def test_who_waits(guide: SimpleNamespace) -> None:
    with in_brand(guide.brand):
        cart = make_contact(guide.brand, guide.staff, name="加购的", added_at=clock.now() - 90 * DAY)
        carted(guide.brand, cart, DAY)
        bought = make_contact(guide.brand, guide.staff, name="买了的", added_at=clock.now() - 90 * DAY)
        carted(guide.brand, bought, DAY)
        ContactStat.objects.filter(contact=bought).update(last_order_at=clock.now(), n_orders=1)
        due = make_contact(guide.brand, guide.staff, name="该复购的", added_at=clock.now() - 90 * DAY)
        ContactStat.objects.filter(contact=due).update(next_order_on=clock.today(guide.brand.timezone))
        asked = make_contact(guide.brand, guide.staff, name="想加的")
        asked.follows.update(is_pending=True)
        carted(guide.brand, guide.other, DAY)
    page = guide.client.get("/g/waiting/").content.decode()
    for name in ("加购的", "该复购的", "想加的", "林小满"):
        assert name in page, name
    assert "买了的" not in page and "别人的客户" not in page


def test_customers_are_ones_own_and_found_by_name(guide: SimpleNamespace) -> None:
    with in_brand(guide.brand):
        refresh_grams(guide.brand, [guide.mine.pk, guide.other.pk])
    page = guide.client.get("/g/customers/").content.decode()
    assert "林小满" in page and "别人的客户" not in page
    assert "林小满" in guide.client.get("/g/customers/?q=小满").content.decode()
    assert "别人的客户" not in guide.client.get("/g/customers/?q=客户").content.decode()
    assert guide.client.get("/g/me/").status_code == 200


def test_one_customer_and_what_is_changed_on_the_page(guide: SimpleNamespace) -> None:
    with in_brand(guide.brand):
        tag = make_tag(guide.brand, "咖啡")
        stage = Stage.objects.create(name="意向")
        field = CustomField.objects.create(key="baby", label="宝宝生日", type="date")
        task_id = give(guide.brand, guide.staff, guide.mine)
    url = f"/g/customers/{guide.mine.pk}/"
    page = guide.client.get(url).content.decode()
    assert "林小满" in page and "打电话" in page and "意向" in page and "宝宝生日" in page
    assert "咖啡" in guide.client.get(f"{url}tags/").content.decode()
    assert "咖啡" in guide.client.post(f"{url}tags/", {"tags": [tag.pk]}).content.decode()
    assert "咖啡" not in guide.client.post(f"{url}tags/", {"remove": tag.pk}).content.decode()
    assert guide.client.post(f"{url}tags/", {"tags": ["x"]}).status_code == 422
    guide.client.post(f"{url}stage/", {"stage": stage.pk})
    assert guide.client.post(f"{url}stage/", {"stage": "x"}).status_code == 422
    assert "喜欢拿铁" in guide.client.post(f"{url}note/", {"text": "喜欢拿铁"}).content.decode()
    assert guide.client.post(f"{url}note/", {"text": " "}).status_code == 422
    wrong = guide.client.post(f"{url}fields/", {"baby": "soon"})
    assert wrong.status_code == 422 and "soon" in wrong.content.decode()
    assert "2025-05-01" in guide.client.post(f"{url}fields/", {"baby": "2025-05-01"}).content.decode()
    soon = (clock.now() + 2 * DAY).strftime("%Y-%m-%dT%H:%M")
    assert "回访" in guide.client.post(f"{url}reminder/", {"text": "回访", "due_at": soon}).content.decode()
    assert guide.client.post(f"{url}reminder/", {"text": "回访", "due_at": ""}).status_code == 422
    with in_brand(guide.brand):
        guide.mine.refresh_from_db()
        assert guide.mine.stage_id == stage.pk
        assert CustomValue.objects.get(field=field).value_date.isoformat() == "2025-05-01"
        types = set(Event.objects.filter(contact_id=guide.mine.pk).values_list("type", flat=True))
        assert {EventType.NOTE, EventType.STAGE_CHANGED, EventType.TAGGED, EventType.UNTAGGED} <= types
        assert StaffTask.objects.get(pk=task_id).state == "open"
    assert guide.client.get(f"{url}cards/nothing/").status_code == 404
    assert guide.client.get(f"{url}cards/action/").status_code == 200


def test_an_archived_stage_is_still_the_customers(guide: SimpleNamespace) -> None:
    with in_brand(guide.brand):
        guide.mine.stage = Stage.objects.create(name="老阶段", archived_at=clock.now())
        guide.mine.save()
        Stage.objects.create(name="另一个旧的", archived_at=clock.now())
    page = guide.client.get(f"/g/customers/{guide.mine.pk}/").content.decode()
    assert "老阶段" in page and "另一个旧的" not in page


def test_an_archived_tag_stays_where_it_is_carried(guide: SimpleNamespace) -> None:
    with in_brand(guide.brand):
        old, new = make_tag(guide.brand, archived_at=clock.now()), make_tag(guide.brand)
        add_tags(guide.brand, contacts=[guide.mine], tags=[old], source="page")
    url = f"/g/customers/{guide.mine.pk}/tags/"
    page = guide.client.get(url)
    offered = {tag["id"] for group in page.context["groups"] for tag in group["tags"]}
    assert offered == {old.pk, new.pk} and page.content.decode().count("checked") == 1
    guide.client.post(url, {"tags": [*page.context["has"] & offered, new.pk]})  # what is ticked, and one more
    with in_brand(guide.brand):
        assert set(ContactTag.objects.values_list("tag_id", flat=True)) == {old.pk, new.pk}
    for odd in ({"tags": ["9" * 30]}, {"remove": "²"}, {"remove": "9" * 30}):
        assert guide.client.post(url, odd).status_code == 422, odd


def test_a_colleagues_customer_and_task_are_not_there(guide: SimpleNamespace) -> None:
    with in_brand(guide.brand):
        task_id = give(guide.brand, guide.colleague, guide.other)
        reminder = Reminder.objects.create(
            contact=guide.other, staff=guide.colleague, text="x", due_at=clock.now(), created_by="x"
        )
    url = f"/g/customers/{guide.other.pk}/"
    answer = guide.client.get(url)
    assert answer.status_code == 404 and "别人的客户" not in answer.content.decode()
    assert 'href="/g/"' in answer.content.decode()  # a page that leads on
    for path in ("tags/", "fields/", "scripts/", "cards/head/"):
        assert guide.client.get(url + path).status_code == 404, path
    for path in ("note/", "stage/", "tags/", "reminder/", "sent/", "prepare/"):
        assert guide.client.post(url + path, {"text": "x", "ticket": "x"}).status_code == 404, path
    assert guide.client.post(f"/g/tasks/{task_id}/done/").status_code == 404
    assert guide.client.post(f"/g/reminders/{reminder.pk}/done/").status_code == 404


def test_two_brands(guide: SimpleNamespace, other_brand: Any, sign_in: Any) -> None:
    with in_brand(other_brand):
        foreign = make_contact(other_brand)
    theirs = sign_in(other_brand, "admin")
    assert guide.client.get(f"/g/customers/{foreign.pk}/").status_code == 404
    assert theirs.get(f"/g/customers/{guide.mine.pk}/").status_code == 404
    assert "林小满" not in theirs.get("/g/customers/").content.decode()


def test_somebody_without_a_wecom_account_gets_a_clear_page(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    assert 'href="/"' in client.get("/g/").content.decode()
    page = client.get("/g/sidebar/").content.decode()
    assert 'id="sdk"' not in page


def test_policy_and_cookie(guide: SimpleNamespace, settings: Any) -> None:
    settings.WECOM_JSSDK_URL = "https://sdk.example"
    for path in ("/g/", "/g/sidebar/", f"/g/customers/{guide.mine.pk}/"):
        answer = guide.client.get(path)
        assert "script-src 'self' https://sdk.example;" in answer["Content-Security-Policy"], path
        assert "X-Frame-Options" not in answer.headers, path
    assert guide.client.cookies["scrm_corp"].value == guide.staff.corp.corpid
    assert "sdk.example" not in guide.client.get("/contacts/")["Content-Security-Policy"]


def test_strangers_go_through_their_corp(guide: SimpleNamespace, corp: Corp) -> None:
    client = Client()
    assert client.get("/g/")["Location"] == "/login/?next=%2Fg%2F"
    there = client.get(f"/g/sidebar/?corp={corp.corpid}")["Location"]
    assert there.startswith(f"/login/wecom/{corp.corpid}/?next=%2Fg%2Fsidebar%2F%3Fcorp")
    assert client.get("/g/?corp=//evil.example")["Location"].startswith("/login/?")
    client.cookies["scrm_corp"] = corp.corpid
    assert client.get("/g/customers/")["Location"] == f"/login/wecom/{corp.corpid}/?next=%2Fg%2Fcustomers%2F"
    assert client.get("/contacts/")["Location"].startswith("/login/?")
    again = client.get("/g/sidebar/customer/", headers={"HX-Request": "true"})
    assert again.status_code == 204 and again["HX-Redirect"] == "/g/sidebar/"


def test_a_link_of_another_corp_goes_through_wecom_once(guide: SimpleNamespace) -> None:
    other = "ww_other_corp"
    there = guide.client.get(f"/g/?corp={other}")
    assert there.status_code == 302 and there["Location"].startswith(f"/login/wecom/{other}/")
    assert guide.client.get(f"/g/?corp={other}&again=1").status_code == 403
    assert guide.client.get(f"/g/?corp={guide.staff.corp.corpid}").status_code == 200


def test_a_customers_figures_are_read_once_for_all_cards(guide: SimpleNamespace) -> None:
    with CaptureQueriesContext(connection) as counted:
        assert guide.client.get(f"/g/customers/{guide.mine.pk}/").status_code == 200
    assert sum('FROM "contacts_contactstat"' in query["sql"] for query in counted) == 1


@pytest.mark.parametrize("path", ["/g/", "/g/waiting/", "/g/customers/", "/g/me/", "/g/customers/{}/"])
def test_query_count(guide: SimpleNamespace, path: str) -> None:
    def queries(n: int) -> int:
        with in_brand(guide.brand):
            for i in range(n):
                contact = make_contact(guide.brand, guide.staff)
                give(guide.brand, guide.staff, contact, key=f"{n}:{i}")
                give(guide.brand, guide.staff, guide.mine, key=f"m{n}:{i}")
                carted(guide.brand, contact, DAY)
                Reminder.objects.create(
                    contact=contact, staff=guide.staff, text="x", due_at=clock.now(), created_by="x"
                )
        url = path.format(guide.mine.pk)
        guide.client.get(url)
        with CaptureQueriesContext(connection) as counted:
            assert guide.client.get(url).status_code == 200
        return len(counted)

    assert queries(2) == queries(18)


def test_words_with_nul_are_looked_for_without_it(guide: SimpleNamespace) -> None:
    with in_brand(guide.brand):
        refresh_grams(guide.brand, [guide.mine.pk])
    found = guide.client.get("/g/customers/?q=林小%00满").content.decode()
    assert "林小满" in found
    for path in ("/g/customers/?q=wm%00abcdef", f"/g/customers/{guide.mine.pk}/scripts/?q=您%00好"):
        assert guide.client.get(path).status_code == 200, path
