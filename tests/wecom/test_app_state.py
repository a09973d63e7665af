"""An app that WeCom has put to sleep cannot say so itself: pages do, and the brand's other apps."""

from datetime import timedelta
from typing import Any

import pytest

from insights.services import health
from org.models import Corp, Staff
from scrm import clock
from scrm.celery import app
from tests.factories import in_brand, make_corp, make_staff, role
from wecom.models import CallbackEvent, OutboundCall
from wecom.services import app_state
from wecom.services.dormancy import WORDS, on_app_dormant

pytestmark = pytest.mark.django_db(transaction=True)
SLEEPS = "企业微信已让花店的应用休眠"


def page(client: Any, url: str = "/contacts/") -> str:
    return client.get(url, headers={"accept-language": "zh-hans"}).text


def happens(brand: Any, corp: Any, event: str, at: Any = None) -> None:
    at = at or clock.now()
    with in_brand(brand):
        row = CallbackEvent.objects.create(
            corp=corp, event=event, change_type="", digest=f"{at.timestamp()}", state="new", happened_at=at,
            received_at=at, next_try_at=at,
        )  # fmt: skip
        on_app_dormant(brand, corp, {}, row)


def state_of(brand: Any, corp: Any) -> str:
    with in_brand(brand):
        return Corp.objects.get(pk=corp.pk).app_state


def test_pages_say_it_to_who_looks_after_it(brand: Any, other_brand: Any, sign_in: Any) -> None:
    with in_brand(brand):
        corp = make_corp(brand, name="花店")
    admin, operator, stranger = sign_in(brand), sign_in(brand, "operator"), sign_in(other_brand)
    assert SLEEPS not in page(admin)
    happens(brand, corp, "close_inactive_agent")
    for url in ("/contacts/", "/setup/", "/"):  # inside of the brand's scope and outside of it
        text = page(admin, url)
        assert SLEEPS in text and "花店" in text, url
    assert SLEEPS not in page(operator)
    assert SLEEPS not in page(stranger)
    with in_brand(brand):
        assert "app_asleep" in health.check(brand).problem
    happens(brand, corp, "reopen_inactive_agent")
    assert SLEEPS not in page(admin)
    with in_brand(brand):
        assert "app_asleep" not in health.check(brand).problem


def test_a_warning_is_said_for_some_days(brand: Any, sign_in: Any) -> None:
    with in_brand(brand):
        corp = make_corp(brand, name="花店")
    admin = sign_in(brand)
    happens(brand, corp, "inactive_alert", clock.now() - timedelta(days=6))
    assert "企业微信提醒：花店" in page(admin)
    happens(brand, corp, "close_inactive_agent", clock.now() - timedelta(days=9))  # an older word, late
    assert state_of(brand, corp) == "warned"
    with in_brand(brand):
        Corp.objects.update(app_state_at=clock.now() - timedelta(days=8))
    assert "企业微信提醒：花店" not in page(admin)
    happens(brand, corp, "inactive_alert")
    assert "企业微信提醒：花店" in page(admin)


@pytest.mark.parametrize("event", list(WORDS))
def test_other_apps_of_the_brand_tell_it(brand: Any, other_brand: Any, sign_in: Any, event: str) -> None:
    with in_brand(other_brand):
        make_staff(other_brand, make_corp(other_brand), role=role(other_brand))
    with in_brand(brand):
        corp, awake, sleeping = (make_corp(brand, name=name) for name in ("花店", "茶馆", "书店"))
        Corp.objects.filter(pk=sleeping.pk).update(app_state="asleep", app_state_at=clock.now())
        for n, one in enumerate((corp, awake, sleeping)):
            make_staff(brand, one, userid=f"boss{n}", role=role(brand))
            make_staff(brand, one, userid=f"guide{n}", role=role(brand, "guide"))
    happens(brand, corp, event)
    with in_brand(brand):
        calls = {call.payload["userid"]: (call.corp_id, call.payload) for call in OutboundCall.objects.all()}
    assert set(calls) == {"boss0", "boss1"}
    told_by, payload = calls["boss1"]
    assert told_by == awake.pk and payload["text"].startswith("花店") and payload["title"]
    with in_brand(other_brand):
        assert not OutboundCall.objects.exists()


def test_what_says_that_it_sleeps_is_not_said_afterwards(brand: Any) -> None:
    with in_brand(brand):
        corp = make_corp(brand)
        make_staff(brand, corp, userid="boss", role=role(brand))
    happens(brand, corp, "close_inactive_agent")
    with in_brand(brand):
        OutboundCall.objects.update(state="failed", error="API forbidden (48006)")
        OutboundCall.objects.create(
            corp=corp, kind="notice", key="1:task:9", payload={}, state="failed", error="x (48006)"
        )
    app.conf.task_always_eager = False
    try:
        happens(brand, corp, "reopen_inactive_agent", clock.now() + timedelta(seconds=5))
    finally:
        app.conf.task_always_eager = True
    with in_brand(brand):
        states = dict(
            OutboundCall.objects.exclude(pk=OutboundCall.objects.latest("pk").pk).values_list("key", "state")
        )
        assert states.pop("1:task:9") == "waiting"
        assert list(states.values()) == ["failed"]


def test_answers_tell_it_too(brand: Any) -> None:
    """The event may be lost: a refusal says that the app sleeps, a call that works says that it does not."""
    with in_brand(brand):
        corp = make_corp(brand)
        app_state.note_answer(corp, 40096)
        assert Corp.objects.get().app_state == ""
        app_state.note_answer(corp, app_state.ASLEEP)
        corp.refresh_from_db()
        assert corp.app_state == "asleep"
        app_state.note_answer(corp, 40096)
        assert Corp.objects.get().app_state == "asleep"
        app_state.note_answer(corp, None)
        assert Corp.objects.get().app_state == ""
        assert Staff.objects.count() == 0
