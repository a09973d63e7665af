"""Alerts: events become messages to guides through the outbox, once whatever dies; rules, preview, pages, API."""

from collections import Counter
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from campaigns.models import Alert, AlertMessage, AlertRule
from campaigns.services.alerts import alert_preview, alert_rules, alerts
from campaigns.tasks import alert_brand
from commerce.models import Product
from contacts.models import Event, EventType, Follow
from contacts.services.timeline import record_events
from org.access import RIGHTS, SYSTEM, Actor
from org.models import AuditEntry, Staff
from org.services import keys
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tagging.services.tags import tags as tag_service
from tests.campaigns.conftest import Live, at
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_tag

NOON = at("2026-03-10 12:00")
T = EventType


def rule(brand: Any, event: str = "carted", on: bool = True, **over: Any) -> AlertRule:
    with in_brand(brand):
        values = {"name": "规则", "event": event, "filters": {}, "condition": {}, **over}
        made = alert_rules.save(brand, values, by=SYSTEM)
        return alert_rules.switch(brand, rule_id=made.pk, on=True, by=SYSTEM) if on else made


def happen(
    brand: Any, contact: Any, type: EventType = T.CARTED, moment: datetime = NOON, **over: Any
) -> None:
    with in_brand(brand):
        record_events(
            brand, [{"contact_id": contact.pk, "type": type, "at": moment, "source": "api", **over}]
        )


def run(brand: Any, moment: datetime = NOON) -> None:
    with clock.at(moment):
        alert_brand.delay(brand_id=brand.pk)


def outcome(brand: Any) -> Counter:
    with in_brand(brand):
        return Counter(Alert.objects.values_list("state", "reason"))


def n_messages(brand: Any) -> int:
    with in_brand(brand):
        return AlertMessage.objects.count()


@pytest.fixture
def shop(live: Live) -> Live:
    with clock.at(NOON - timedelta(minutes=1)):
        rule(live.brand)
    return live


# ---- the way


def test_told_within_the_next_round_and_on_the_timeline(shop: Live) -> None:
    contact = shop.contacts[0]
    happen(shop.brand, contact, data={"product": "奶粉"}, moment=NOON)
    run(shop.brand, NOON + timedelta(seconds=10))
    (got,) = shop.sandbox.sent("app", corpid=shop.corp.corpid)
    assert got["userid"] == shop.guides[0].userid and contact.name in str(got) and "奶粉" in str(got)
    assert f"/g/customers/{contact.pk}/" in str(got)
    with in_brand(shop.brand):
        told = Event.objects.get(contact_id=contact.pk, type=T.ALERTED)
        assert told.staff_id == shop.guides[0].pk and "奶粉" in told.data["title"]
    run(shop.brand, NOON + timedelta(seconds=20))
    assert n_messages(shop.brand) == 1


def test_many_customers_of_a_guide_are_one_message(shop: Live) -> None:
    for n, contact in enumerate(shop.contacts):
        for _twice in range(2):
            happen(shop.brand, contact, data={"product": f"货{n}"})
    run(shop.brand)
    got = shop.sandbox.sent("app", corpid=shop.corp.corpid)
    assert len(got) == 2 and outcome(shop.brand) == {("sent", ""): 12}
    with in_brand(shop.brand):
        message = AlertMessage.objects.order_by("pk").first()
        assert message and (message.n_alerts, message.n_contacts) == (6, 3)
    assert got[0]["text"].count("货") == 3  # the same thing twice is said once


def test_bundled_in_the_window_limited_in_the_hour_held_in_the_night(shop: Live) -> None:
    with in_brand(shop.brand):
        alert_rules.change_policy(shop.brand, by=SYSTEM, per_hour=2, quiet_start=time(22), quiet_end=time(8))
    first, second, third = shop.contacts[0], shop.contacts[2], shop.contacts[4]  # of one guide
    happen(shop.brand, first, object_id=1)
    run(shop.brand)
    happen(shop.brand, first, object_id=1, moment=NOON + timedelta(minutes=1))  # nothing new
    happen(shop.brand, first, object_id=2, moment=NOON + timedelta(minutes=2))  # waits for the window
    happen(shop.brand, second, object_id=1, moment=NOON + timedelta(minutes=3))
    run(shop.brand, NOON + timedelta(minutes=3))
    assert outcome(shop.brand) == {("sent", ""): 2, ("suppressed", "same"): 1, ("waiting", ""): 1}
    happen(shop.brand, third, object_id=1, moment=NOON + timedelta(minutes=4))
    run(shop.brand, NOON + timedelta(minutes=31))  # two in the hour already
    assert n_messages(shop.brand) == 2
    run(shop.brand, NOON + timedelta(minutes=61))
    assert n_messages(shop.brand) == 3 and outcome(shop.brand)["sent", ""] == 4
    night = at("2026-03-10 23:00")
    happen(shop.brand, third, object_id=9, moment=night)
    for moment in (night, night + timedelta(hours=3), at("2026-03-11 07:59")):
        run(shop.brand, moment)
        assert n_messages(shop.brand) == 3
    run(shop.brand, at("2026-03-11 08:00"))
    assert n_messages(shop.brand) == 4


def test_only_those_the_condition_and_filter_mean(live: Live) -> None:
    with in_brand(live.brand):
        tag = make_tag(live.brand, "金卡")
        tag_service.add_tags(live.brand, contacts=live.contacts[:1], tags=[tag.pk], source="page")
        product = Product.objects.create(sku="A", name="奶粉", category="奶粉", price_fen=1)
    with clock.at(NOON):
        rule(
            live.brand,
            filters={"seen_product_ids": [product.pk]},
            condition={"kind": "tags", "mode": "any", "ids": [tag.pk]},
        )
    for contact in live.contacts[:2]:
        happen(live.brand, contact, object_id=product.pk)
    happen(live.brand, live.contacts[0], object_id=product.pk + 1)
    happen(live.brand, live.contacts[0], T.VIEWED, object_id=product.pk)
    run(live.brand)
    with in_brand(live.brand):
        assert [a.contact_id for a in Alert.objects.all()] == [live.contacts[0].pk]
        # a condition that cannot be read means nobody, and the rule says so
        AlertRule.objects.update(condition={"kind": "moon"})
    happen(live.brand, live.contacts[0], object_id=product.pk)
    run(live.brand, NOON + timedelta(hours=2))
    assert outcome(live.brand) == {("sent", ""): 1}
    with in_brand(live.brand):
        assert AlertRule.objects.get().problem


def test_who_is_told(live: Live) -> None:
    with clock.at(NOON):
        rule(live.brand, "content_opened")
        rule(live.brand, "added")
        rule(live.brand, "added_again")
    contact, (a, b) = live.contacts[0], live.guides
    with in_brand(live.brand):
        Follow.objects.create(
            contact=contact,
            staff=b,
            corp=live.corp,
            external_userid=live.externals[contact.pk],
            added_at=clock.now(),
        )
        lonely = make_contact(live.brand)
    happen(live.brand, contact, T.OPENED, staff_id=a.pk)  # the guide who sent the link
    happen(live.brand, contact, T.OPENED)  # nobody named: the one added last
    happen(live.brand, contact, T.ADDED, staff_id=b.pk)  # the other guide learns of it
    happen(live.brand, live.contacts[1], T.ADDED_AGAIN, staff_id=b.pk)  # only guide: told on arrival
    happen(live.brand, lonely, T.OPENED)
    run(live.brand)
    with in_brand(live.brand):
        rows = list(Alert.objects.order_by("pk").values_list("staff_id", "type", "reason"))
    assert rows == [(a.pk, 70, ""), (b.pk, 70, ""), (a.pk, 1, ""), (None, 2, "told"), (None, 70, "no_guide")]


def test_a_guide_who_left_meanwhile_is_not_told(shop: Live) -> None:
    happen(shop.brand, shop.contacts[0])
    with clock.at(NOON):
        from tenants.scoping import tenant_scope

        with tenant_scope(shop.brand):
            alerts.read(shop.brand)
    with in_brand(shop.brand):
        Staff.objects.filter(pk=shop.guides[0].pk).update(state=Staff.State.LEFT)
    run(shop.brand)
    assert outcome(shop.brand) == {("suppressed", "unreachable"): 1}


def test_history_is_no_news(shop: Live) -> None:
    with in_brand(shop.brand):
        AlertRule.objects.update(on_since=NOON - timedelta(days=100))
    happen(shop.brand, shop.contacts[0], moment=NOON - timedelta(days=30))
    happen(shop.brand, shop.contacts[0], moment=NOON - timedelta(hours=13))
    run(shop.brand)
    assert outcome(shop.brand) == {("suppressed", "late"): 1} and n_messages(shop.brand) == 0


def test_what_happened_before_it_was_switched_on_does_not_count(live: Live) -> None:
    happen(live.brand, live.contacts[0], moment=NOON)
    with clock.at(NOON + timedelta(minutes=1)):
        made = rule(live.brand)
    run(live.brand, NOON + timedelta(minutes=2))
    with in_brand(live.brand), clock.at(NOON + timedelta(minutes=3)):
        alert_rules.switch(live.brand, rule_id=made.pk, on=False, by=SYSTEM)
    happen(live.brand, live.contacts[0], moment=NOON + timedelta(minutes=4))
    with in_brand(live.brand), clock.at(NOON + timedelta(minutes=5)):
        alert_rules.switch(live.brand, rule_id=made.pk, on=True, by=SYSTEM)
    run(live.brand, NOON + timedelta(minutes=6))
    assert outcome(live.brand) == {}


# ---- faults


class Killed(BaseException):
    pass


@pytest.mark.parametrize("where", ["hits", "write"])
def test_killed_while_reading(shop: Live, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    from campaigns.services.alerts import alert_hits

    real = getattr(alert_hits, where)

    def die(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        raise Killed

    happen(shop.brand, shop.contacts[0])
    with monkeypatch.context() as patch:
        patch.setattr(alert_hits, where, die)
        with pytest.raises(Killed):
            run(shop.brand)
    run(shop.brand, NOON + timedelta(seconds=10))
    assert len(shop.sandbox.sent("app", corpid=shop.corp.corpid)) == 1


@pytest.mark.parametrize("after", ["record_events", "notify_many"])
def test_killed_while_telling(shop: Live, monkeypatch: pytest.MonkeyPatch, after: str) -> None:
    real = getattr(alerts, after)

    def die(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        raise Killed

    happen(shop.brand, shop.contacts[0])
    with monkeypatch.context() as patch:
        patch.setattr(alerts, after, die)
        with pytest.raises(Killed):
            run(shop.brand)
    assert shop.sandbox.sent("app", corpid=shop.corp.corpid) == [] and n_messages(shop.brand) == 0
    for n in range(3):
        run(shop.brand, NOON + timedelta(seconds=10 * n))
    assert len(shop.sandbox.sent("app", corpid=shop.corp.corpid)) == 1
    with in_brand(shop.brand):
        assert Event.objects.filter(type=T.ALERTED).count() == 1


def test_an_event_told_twice_by_the_shop_is_one(shop: Live) -> None:
    for _time in range(2):
        happen(shop.brand, shop.contacts[0], source_key="e1")
    run(shop.brand)
    assert outcome(shop.brand) == {("sent", ""): 1}


def test_two_rules_want_the_same_event(shop: Live) -> None:
    with clock.at(NOON - timedelta(minutes=1)):
        rule(shop.brand, name="另一条")
    happen(shop.brand, shop.contacts[0])
    run(shop.brand)
    assert outcome(shop.brand) == {("sent", ""): 1}


@pytest.mark.django_db(transaction=True)
def test_nothing_switched_on_costs_two_look_ups(brand: Any) -> None:
    from tenants.scoping import tenant_scope

    with tenant_scope(brand), CaptureQueriesContext(connection) as caught:
        alerts.run(brand)
    asked = [q["sql"] for q in caught if "campaigns_alert" in q["sql"]]
    assert len(asked) == 2


# ---- rules


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "over",
    [
        {"name": ""}, {"name": "长" * 61}, {"event": "moon"}, {"event": "tagged"}, {"filters": {"moon": 1}}, {"filters": "x"},
        {"filters": {"seen_product_ids": ["x"]}}, {"condition": {"kind": "moon"}}, {"moon": 1},
    ],
)  # fmt: skip
def test_rubbish_is_refused(brand: Any, over: dict[str, Any]) -> None:
    with in_brand(brand), pytest.raises(InvalidError):
        alert_rules.save(
            brand, {"name": "规则", "event": "carted", "filters": {}, "condition": {}, **over}, by=SYSTEM
        )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "over",
    [
        {"per_hour": 0},
        {"window_minutes": 1441},
        {"keep_hours": 0},
        {"quiet_start": None},
        {"quiet_end": time(22)},
        {"moon": 1},
    ],
)
def test_settings_that_cannot_be(brand: Any, over: dict[str, Any]) -> None:
    with in_brand(brand), pytest.raises(InvalidError):
        alert_rules.change_policy(brand, by=SYSTEM, **over)


@pytest.mark.django_db(transaction=True)
def test_the_preview_is_what_would_have_come(brand: Any, corp: Any) -> None:
    with in_brand(brand):
        guides = [make_staff(brand, corp) for _ in range(2)]
        people = [make_contact(brand, guides[n % 2]) for n in range(4)]
        lonely = make_contact(brand)
    yesterday = at("2026-03-09 10:00")
    for contact in [*people, lonely]:
        happen(brand, contact, moment=yesterday)
        happen(brand, contact, moment=yesterday + timedelta(minutes=5))
    with in_brand(brand), clock.at(NOON):
        made = alert_rules.build(brand, {"name": "x", "event": "carted", "filters": {}, "condition": {}})
        found = alert_preview.yesterday(brand, made)
        assert not Alert.objects.exists()
    assert (found.n_events, found.n_messages, found.n_guides) == (10, 2, 2)
    assert dict(found.not_told) == {str(Alert.Reason.SAME.label): 4, str(Alert.Reason.NO_GUIDE.label): 2}


@pytest.mark.django_db(transaction=True)
def test_two_brands(brand: Any, other_brand: Any, corp: Any) -> None:
    with clock.at(NOON - timedelta(minutes=1)):
        made = rule(brand)
        rule(other_brand)
    with in_brand(other_brand):
        other_corp = make_corp(other_brand)
        foreign = make_contact(other_brand, make_staff(other_brand, other_corp))
    happen(other_brand, foreign)
    run(brand)
    assert outcome(brand) == {}
    with in_brand(other_brand), pytest.raises(NotFoundError):
        alert_rules.switch(other_brand, rule_id=made.pk, on=False, by=SYSTEM)


@pytest.mark.django_db(transaction=True)
def test_old_ones_are_forgotten(brand: Any, corp: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand, make_staff(brand, corp))
    with clock.at(NOON - timedelta(days=100)):
        rule(brand)
    happen(brand, contact, moment=NOON - timedelta(days=99))
    run(brand, NOON - timedelta(days=99))
    assert n_messages(brand) == 1
    with in_brand(brand), clock.at(NOON):
        assert alerts.purge(brand) == 1
        assert not AlertMessage.objects.exists()


# ---- pages and API


@pytest.mark.django_db(transaction=True)
def test_pages(brand: Any, corp: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    assert client.get("/alerts/").status_code == client.get("/alerts/rules/").status_code == 200
    assert client.get("/alerts/rules/new/?event=carted").status_code == 200
    written = {"name": "加购", "event": "carted", "f_seen_categories": "奶粉，尿裤", "condition": ""}
    for bad in ({"name": ""}, {"event": "moon"}, {"condition": "{"}, {"condition": '{"kind": "moon"}'}):
        assert client.post("/alerts/rules/new/", {**written, **bad}).status_code == 422, bad
        assert client.post("/alerts/rules/look/", {**written, **bad}).status_code == 200
        assert client.post("/alerts/rules/parts/", {**written, **bad}).status_code == 200
    assert client.post("/alerts/rules/new/", written).status_code == 302
    with in_brand(brand):
        made = AlertRule.objects.get()
        assert made.filters == {"seen_categories": ["奶粉", "尿裤"]}
    assert client.get(f"/alerts/rules/{made.pk}/").status_code == 200
    assert client.post(f"/alerts/rules/{made.pk}/on/").status_code == 302
    assert "0" in client.post("/alerts/rules/look/", written).content.decode()
    policy = {"quiet_start": "", "quiet_end": "", "window_minutes": 60, "per_hour": 3, "keep_hours": 6}
    assert client.post("/alerts/rules/", {**policy, "quiet_start": "22:00"}).status_code == 422
    assert client.post("/alerts/rules/", policy).status_code == 302
    assert client.post(f"/alerts/rules/{made.pk}/delete/").status_code == 302
    with in_brand(brand):
        actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"alert_rule.create", "alert_rule.on", "alert_policy.edit", "alert_rule.delete"} <= actions
    assert sign_in(brand, "guide").get("/alerts/").status_code == 403
    manager = sign_in(brand, "manager")
    assert manager.get("/alerts/rules/").status_code == 200
    assert manager.post("/alerts/rules/", policy).status_code == 403
    assert manager.get("/alerts/rules/new/").status_code == 403


@pytest.mark.django_db(transaction=True)
def test_queries_do_not_grow_with_rows(brand: Any, corp: Any, sign_in: Any) -> None:
    client, counts = sign_in(brand), []
    with clock.at(NOON - timedelta(minutes=1)):
        rule(brand)
    for n in (2, 20):
        with in_brand(brand):
            people = [make_contact(brand, make_staff(brand, corp)) for _ in range(n)]
        moment = clock.now() - timedelta(minutes=1)
        for contact in people:
            happen(brand, contact, moment=moment)
        with in_brand(brand):
            alert_rules.change_policy(brand, by=SYSTEM, quiet_start=None, quiet_end=None)
        run(brand, moment + timedelta(seconds=5))
        client.get("/alerts/")
        with CaptureQueriesContext(connection) as caught:
            page = client.get("/alerts/")
        assert page.status_code == 200 and people[-1].name in page.content.decode()
        counts.append(len(caught))
    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
def test_api(brand: Any, other_brand: Any) -> None:
    def api_of(one: Any) -> Client:
        with in_brand(one):
            whole = keys.create_key(
                one, by=Actor("x", rights=frozenset(RIGHTS)), name="k", rights=["sops.view", "sops.edit"]
            )[1]
        return Client(headers={"Authorization": f"Bearer {whole}"})

    api, other = api_of(brand), api_of(other_brand)
    made = api.post(
        "/api/v1/alert-rules/",
        {"name": "加购", "event": "carted", "is_on": True},
        content_type="application/json",
    )
    assert made.status_code == 201 and made.json()["is_on"]
    pk = made.json()["id"]
    wrong: list[tuple[int, dict[str, Any]]] = [
        (422, {"event": "moon"}),
        (422, {"filters": 3}),
        (422, {"condition": {"kind": "moon"}}),
        (400, {"name": ""}),  # the shape
    ]
    for status, bad in wrong:
        answer = api.patch(f"/api/v1/alert-rules/{pk}/", bad, content_type="application/json")
        assert answer.status_code == status, bad
    assert api.get(f"/api/v1/alert-rules/{pk}/preview/").json() == {
        "n_events": 0,
        "n_messages": 0,
        "n_guides": 0,
    }
    assert (
        other.patch(f"/api/v1/alert-rules/{pk}/", {"name": "x"}, content_type="application/json").status_code
        == 404
    )
    assert other.get("/api/v1/alert-rules/").json() == {"results": []}
    assert api.get("/api/v1/alerts/?state=sent").json() == {"results": [], "next": ""}
    assert api.get("/api/v1/alerts/?state=moon").status_code == 422
    assert api.get("/api/v1/alerts/?contact=x").status_code == 422
    assert api.get("/api/v1/alerts/?staff=١").status_code == 422
    assert api.delete(f"/api/v1/alert-rules/{pk}/").status_code == 204
