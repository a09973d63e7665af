"""An app that WeCom puts to sleep: whoever may connect WeCom hears of it, once."""

from typing import Any

import pytest

from org.models import Corp, Staff
from scrm import clock
from scrm.celery import app
from tests.factories import in_brand, make_corp, make_staff
from wecom.callbacks import HANDLERS
from wecom.models import CallbackEvent, OutboundCall
from wecom.services import outbound
from wecom.services.dormancy import WORDS, on_app_dormant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("event", list(WORDS))
def test_whoever_connects_wecom_is_told_once(brand: Any, event: str, sign_in: Any) -> None:
    assert HANDLERS[(event, "")] == "wecom.services.dormancy.on_app_dormant"
    users = sign_in(brand, "admin").user, sign_in(brand, "operator").user
    with in_brand(brand):
        corp = make_corp(brand)
        for n, user in enumerate(users):
            Staff.objects.filter(user_id=user.pk).update(corp=corp, userid=f"u{n}")
        make_staff(brand, corp)  # a guide without a role
        row = told(corp, event)
    for _again in range(2):
        with in_brand(brand):
            on_app_dormant(brand, corp, {}, row)
    with in_brand(brand):
        calls = list(OutboundCall.objects.filter(kind="notice"))
        assert [call.payload["userid"] for call in calls] == ["u0"]
        assert calls[0].payload["title"] == str(WORDS[event]).partition("\n")[0]


def told(corp: Corp, event: str) -> CallbackEvent:
    return CallbackEvent.objects.create(
        corp=corp, event=event, change_type="", digest="1", state="new", happened_at=clock.now(),
        received_at=clock.now(), next_try_at=clock.now(),
    )  # fmt: skip


def hear(brand: Any, corp: Corp, row: CallbackEvent) -> None:
    """Without the calls that follow."""
    app.conf.task_always_eager = False
    try:
        with in_brand(brand):
            on_app_dormant(brand, corp, {}, row)
    finally:
        app.conf.task_always_eager = True


@pytest.mark.parametrize("event", list(WORDS))
def test_what_failed_while_the_app_slept_is_made_up_for(brand: Any, event: str) -> None:
    with in_brand(brand):
        corp = make_corp(brand)
        row = told(corp, event)
        for key, error in (("slept", "API forbidden (48006)"), ("other", "unknown customer (40096)")):
            OutboundCall.objects.create(
                corp=corp, kind="remark", key=key, payload={}, state="failed", n_tries=1, error=error
            )
    hear(brand, corp, row)
    with in_brand(brand):
        states = dict(OutboundCall.objects.values_list("key", "state"))
    awake = event in ("reopen_inactive_agent", "active_restored")
    assert states == {"slept": "waiting" if awake else "failed", "other": "failed"}


def test_more_than_are_made_again_at_once(brand: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(outbound, "MOST_AGAIN", 2)
    with in_brand(brand):
        corp = make_corp(brand)
        row = told(corp, "active_restored")
        for n in range(5):
            OutboundCall.objects.create(
                corp=corp, kind="remark", key=f"r{n}", subject="wm1", payload={"userid": "u", "remark": f"{n}"},
                state="failed", n_tries=1, error="API forbidden (48006)",
            )  # fmt: skip
    hear(brand, corp, row)
    with in_brand(brand):
        assert set(OutboundCall.objects.values_list("state", flat=True)) == {"waiting"}
