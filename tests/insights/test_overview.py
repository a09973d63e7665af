"""The overview: figures of the day, live arrivals, what needs attention, first steps, within the scope."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import SendTask
from contacts.models import EventType, Follow
from contacts.services.timeline import record_events
from insights import tasks
from insights.services import health, rollups
from insights.services.figures import arrival_key, today
from livecodes.models import ChannelCode, Welcome
from org.models import Corp, Job, Role, Staff
from scrm import clock
from tenants.models import Brand, BrandHealth
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_corp, make_staff
from wecom.models import CallbackEvent, OutboundCall

pytestmark = pytest.mark.django_db(transaction=True)


def arrive(brand: Brand, guide: Staff, name: str, at: datetime | None = None, **over: Any) -> Follow:
    """A customer who has just added a guide."""
    at = at or clock.now()
    with in_brand(brand):
        contact = make_contact(brand, guide, name=name, added_at=at)
        Follow.objects.filter(contact=contact).update(added_at=at, **over)
        row = {"contact_id": contact.pk, "type": EventType.ADDED, "at": at, "staff_id": guide.pk}
        record_events(brand, [row])  # type: ignore[list-item]
        return Follow.objects.get(contact=contact)


def chart(page: Any, key: str) -> dict[str, Any]:
    found = re.search(rf'<script id="{key}" type="application/json">(.*?)</script>', page.content.decode())
    assert found
    return json.loads(found.group(1))


@pytest.fixture
def code(brand: Brand, corp: Corp) -> ChannelCode:
    with in_brand(brand):
        return ChannelCode.objects.create(corp=corp, name="收银台", state="s1", sync_state="ok")


def test_the_page_of_each_brand(
    brand: Brand, other_brand: Brand, staff: Staff, code: ChannelCode, sign_in: Any
) -> None:
    arrive(brand, staff, "客户甲", channel_code_id=code.pk)
    with in_brand(other_brand):
        theirs = make_staff(other_brand, make_corp(other_brand))
    arrive(other_brand, theirs, "客户乙")
    for one in (brand, other_brand):
        with tenant_scope(one):
            rollups.run(one)
    mine, other = sign_in(brand).get("/"), sign_in(other_brand).get("/")
    assert "客户甲" in mine.content.decode() and "客户乙" not in mine.content.decode()
    assert "收银台" in mine.content.decode() and "收银台" not in other.content.decode()
    assert sum(chart(mine, "by-day")["series"][0]["data"]) == 1
    assert mine.context["today"].n_added == 1 and mine.context["totals"].n_contacts == 1
    assert sign_in(brand).get("/", {"days": "7"}).context["days"] == 7
    for odd in ("0", "x", "99999", "-7"):
        assert sign_in(brand).get("/", {"days": odd}).context["days"] == 30


def test_query_count_does_not_grow(brand: Brand, corp: Corp, code: ChannelCode, sign_in: Any) -> None:
    admin = sign_in(brand)

    def n_queries() -> int:
        cache.clear()  # sessions live there too
        client = sign_in(brand, user=admin.user)
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/").status_code == 200
        return len(queries)

    def some(n: int) -> None:
        for i in range(n):
            with in_brand(brand):
                guide = make_staff(brand, corp)
            arrive(brand, guide, f"客户{i}", channel_code_id=code.pk)
        with tenant_scope(brand):
            rollups.run(brand)

    some(2)
    few = n_queries()
    some(18)
    assert n_queries() == few


@pytest.mark.parametrize("key, n", [("admin", 3), ("operator", 3), ("manager", 2), ("guide", 1)])
def test_numbers_and_arrivals_keep_to_the_data_scope(
    brand: Brand, corp: Corp, sign_in: Any, key: str, n: int
) -> None:
    from org.models import Store

    client = sign_in(brand, key)
    with in_brand(brand):
        store = Store.objects.create(name="店")
        me = Staff.objects.get(user_id=client.user.pk)
        Staff.objects.filter(pk=me.pk).update(store=store, corp=corp, userid="me")
        me.refresh_from_db()
        near, far = make_staff(brand, corp, store=store), make_staff(brand, corp)
    arrive(brand, me, "我的客户")
    arrive(brand, near, "同店客户")
    arrive(brand, far, "别店客户")
    with tenant_scope(brand):
        rollups.run(brand)
    page = client.get("/")
    assert len(page.context["arrivals"]) == n
    assert page.context["today"].n_added == n
    assert page.context["totals"].n_contacts == n
    assert sum(chart(page, "by-day")["series"][0]["data"]) == n
    assert len(client.get("/overview/arrivals/").context["arrivals"]) == n
    assert client.get("/overview/today/").context["today"].n_added == n
    text = page.content.decode()
    assert "我的客户" in text
    assert ("同店客户" in text) == (n > 1) and ("别店客户" in text) == (n > 2)


def test_no_right_no_overview(brand: Brand, sign_in: Any) -> None:
    client = sign_in(brand, "guide")
    with in_brand(brand):
        Staff.objects.filter(user_id=client.user.pk).update(role=Role.objects.create(name="空", rights=[]))
    for path in ("/", "/overview/today/", "/overview/arrivals/"):
        assert client.get(path).status_code == 403


# ---- live


def test_only_new_arrivals_come_and_old_rows_go(brand: Brand, staff: Staff, sign_in: Any) -> None:
    client, start = sign_in(brand), clock.now() - timedelta(hours=1)
    follows = [arrive(brand, staff, f"客户{n}", start + timedelta(minutes=n)) for n in range(12)]
    shown = [arrival_key(f) for f in client.get("/").context["arrivals"]]
    assert shown == [arrival_key(f) for f in reversed(follows)]
    assert client.get("/overview/arrivals/", {"seen": shown}).status_code == 204
    new = arrive(brand, staff, "刚来的")
    answer = client.get("/overview/arrivals/", {"seen": shown})
    assert [f.pk for f in answer.context["arrivals"]] == [new.pk]
    text = answer.content.decode()
    assert "刚来的" in text and "客户11" not in text
    assert f'id="arrival-{shown[-1]}" hx-swap-oob="delete"' in text
    assert text.count("hx-swap-oob") == 1
    junk = client.get("/overview/arrivals/", {"seen": ["<script>", "x" * 99, "1-1", *shown]})
    assert "<script>" not in junk.content.decode()


def test_somebody_who_comes_back_is_a_new_arrival(brand: Brand, staff: Staff, sign_in: Any) -> None:
    client = sign_in(brand)
    follow = arrive(brand, staff, "回来的", clock.now() - timedelta(days=2))
    seen = arrival_key(follow)
    with in_brand(brand):
        Follow.objects.filter(pk=follow.pk).update(added_at=clock.now())
    assert [f.pk for f in client.get("/overview/arrivals/", {"seen": seen}).context["arrivals"]] == [
        follow.pk
    ]


def test_today_against_yesterday_until_now(brand: Brand, staff: Staff) -> None:
    now = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)  # 11:00 in Shanghai
    day = timedelta(days=1)
    for at in (now - timedelta(hours=1), now - timedelta(hours=10)):  # today, from 00:00 on
        arrive(brand, staff, "今", at)
    arrive(brand, staff, "昨早", now - day - timedelta(hours=1))
    arrive(brand, staff, "昨晚", now - day + timedelta(hours=5))  # later in the day than now: not compared
    arrive(brand, staff, "前天", now - 2 * day)
    with clock.at(now), in_brand(brand):
        found = today(brand)
    assert (found.n_added, found.n_added_before, found.added_trend, found.net) == (2, 1, 1, 2)


# ---- attention and first steps


def trouble(brand: Brand, corp: Corp) -> None:
    now = clock.now()
    with in_brand(brand):
        old = now - timedelta(minutes=5)
        common = {"corp": corp, "event": "x", "happened_at": old, "received_at": old, "body": "<xml/>"}
        CallbackEvent.objects.create(digest="1", state="dead", **common)
        CallbackEvent.objects.create(digest="2", state="new", **common)
        OutboundCall.objects.create(corp=corp, kind="remark", key="k", payload={}, state="failed")
        ChannelCode.objects.create(corp=corp, name="坏", state="bad", sync_state="failed")
        Job.objects.create(kind="wecom_sync", title="x", state="failed", ended_at=now)
        Job.objects.create(kind="wecom_sync", title="old", state="failed", ended_at=now - timedelta(days=8))
        Corp.objects.filter(pk=corp.pk).update(checks=[{"name": "token", "state": "failed"}])
        send = {
            "corp": corp,
            "staff": make_staff(brand, corp),
            "at": now,
            "content_digest": "x",
            "state": "failed",
        }
        SendTask.objects.create(contact_ids=[1], n=1, error="-1", **send)
        SendTask.objects.create(contact_ids=[], n=0, **send)  # everybody was held back: nothing is wrong


def test_what_needs_attention_by_right(brand: Brand, other_brand: Brand, corp: Corp, sign_in: Any) -> None:
    trouble(brand, corp)
    with in_brand(brand):
        counts = health.count_attention(brand)
    assert {key for key, n in counts.items() if n == 1} == set(health.ATTENTION_RIGHTS) - {
        "contact_quota",
        "contact_quota_near",
    }
    assert len(sign_in(brand).get("/").context["needs"]) == 7
    assert {need["url"] for need in sign_in(brand, "operator").get("/").context["needs"]} == {
        "/sync/",
        "/codes/",
        "/touches/tasks/?state=failed",
    }
    assert sign_in(brand, "guide").get("/").context["needs"] == []
    assert sign_in(other_brand).get("/").context["needs"] == []


def test_the_three_first_things(brand: Brand, sign_in: Any) -> None:
    admin = sign_in(brand)

    def done() -> list[bool]:
        return [step["done"] for step in admin.get("/").context["steps"]]

    assert done() == [False, False, False]
    assert sign_in(brand, "guide").get("/").context["steps"] == []
    operators = sign_in(brand, "operator").get("/").context["steps"]
    assert [bool(step["url"]) for step in operators] == [False, True, True]
    with in_brand(brand):
        corp = make_corp(brand)
        code = ChannelCode.objects.create(corp=corp, name="码", state="s")
    assert done() == [True, True, False]
    with in_brand(brand):
        Welcome.objects.create(code=code, text="你好")
    assert done() == []


# ---- health


def test_health_is_written_without_customers(
    brand: Brand, other_brand: Brand, corp: Corp, staff: Staff
) -> None:
    trouble(brand, corp)
    arrive(brand, staff, "绝密客户")
    with in_brand(brand):
        lost = make_contact(brand, name="走了的客户")
        Corp.objects.filter(pk=corp.pk).update(synced_at=clock.now())
    assert lost and tasks.health_tick() == 2
    row = BrandHealth.objects.get(brand=brand)
    assert (row.n_contacts, row.n_staff, row.inbox_waiting, row.inbox_dead) == (2, 0, 1, 1)
    assert 290 < row.inbox_lag_s < 400 and row.last_callback_at and row.last_sync_at
    assert row.problem == "corp_checks,inbox_late,inbox_dead"
    assert "客户" not in str(vars(row))
    fine = BrandHealth.objects.get(brand=other_brand)
    assert (fine.n_contacts, fine.problem) == (0, "")
    assert tasks.health_tick() == 2 and BrandHealth.objects.count() == 2


def test_a_full_quota_is_a_problem(brand: Brand, sign_in: Any) -> None:
    sign_in(brand)
    Brand.objects.filter(pk=brand.pk).update(contact_quota=0, staff_quota=1)
    tasks.health_tick()
    assert BrandHealth.objects.get().problem == "contact_quota,staff_quota"


def test_a_quota_warns_before_it_is_full_and_stops_nobody(brand: Brand, staff: Staff, sign_in: Any) -> None:
    admin, warned = sign_in(brand), "contact_quota_near"
    steps, there = ((8, ""), (9, warned), (10, "contact_quota"), (11, "contact_quota")), 0
    for n, problem in steps:
        for _ in range(n - there):
            arrive(brand, staff, "客")
        there = n
        Brand.objects.filter(pk=brand.pk).update(contact_quota=10)
        tasks.health_tick()
        assert BrandHealth.objects.get(brand=brand).problem == problem
        assert [need["n"] for need in admin.get("/").context["needs"]] == ([n] if problem else [])
    admin.cookies["scrm_language"] = "en"
    assert "nobody is turned away" in admin.get("/settings/").content.decode()
    assert sign_in(brand, "operator").get("/").context["needs"] == []
