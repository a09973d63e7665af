"""A wave of which WeCom takes nothing is told to whoever launched it and to those who look after the connection."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import SendTask, Wave
from campaigns.services.broadcasts import broadcasts, waves
from org.access import Actor
from scrm import clock
from tests.campaigns.conftest import Live, at, set_sandbox_clock
from tests.campaigns.test_broadcasts import given
from tests.factories import in_brand, make_staff, make_user
from wecom.models import OutboundCall

pytestmark = pytest.mark.django_db(transaction=True)
NOW = at("2026-03-10 10:00")
API = "externalcontact/add_msg_template"


@pytest.fixture
def people(live: Live) -> tuple[Any, Any]:
    """Who launches it, and who looks after the connection."""
    with in_brand(live.brand):
        boss, admin = make_staff(live.brand, live.corp, user_id=77), make_staff(live.brand, live.corp)
    make_user(live.brand, "admin", staff=admin)
    return boss, admin


def launch(live: Live, boss: Any) -> int:
    set_sandbox_clock(live.sandbox, NOW)
    with clock.at(NOW), in_brand(live.brand):
        by = Actor("小运", 77, boss)
        draft = broadcasts.save_draft(live.brand, given(), by=by)
        return broadcasts.launch(live.brand, broadcast_id=draft.pk, by=by).pk


def told(live: Live, minutes: int) -> Counter[str]:
    """Who has been told how often, after the beat of so many minutes later."""
    with clock.at(NOW + timedelta(minutes=minutes)), in_brand(live.brand):
        waves.finish(live.brand)
        rows = OutboundCall.objects.filter(kind=OutboundCall.Kind.NOTICE, key__contains="wave-refused")
        return Counter(row.payload["userid"] for row in rows)


def test_refused_for_good(live: Live, people: tuple[Any, Any]) -> None:
    boss, admin = people
    live.sandbox.post("faults", api=API, kind="errcode", errcode=41048)
    broadcast_id = launch(live, boss)
    live.tick(NOW)
    assert told(live, 0) == told(live, 5) == {boss.userid: 1, admin.userid: 1}
    with in_brand(live.brand):
        assert Wave.objects.get().state == "done"
        notices = OutboundCall.objects.filter(kind=OutboundCall.Kind.NOTICE)
        said = {row.payload["userid"]: row.payload for row in notices}
    assert "春上新" in said[boss.userid]["title"] and "41048" in said[boss.userid]["text"]
    assert said[boss.userid]["url"].endswith(f"/broadcasts/{broadcast_id}/")
    assert said[admin.userid]["url"].endswith("/setup/")


def test_what_somebody_has_to_mend_is_told_after_ten_minutes(live: Live, people: tuple[Any, Any]) -> None:
    boss, admin = people
    live.sandbox.post("faults", api=API, kind="errcode", errcode=60020)
    launch(live, boss)
    live.tick(NOW)
    assert told(live, 5) == {}
    live.tick(NOW + timedelta(minutes=9))
    assert told(live, 11) == told(live, 15) == {boss.userid: 1, admin.userid: 1}
    live.sandbox.post("faults/clear")
    live.tick(NOW + timedelta(hours=2))
    with in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"handed"}
    assert told(live, 130) == {boss.userid: 1, admin.userid: 1}


def test_one_guide_is_enough_for_silence(live: Live, people: tuple[Any, Any]) -> None:
    live.sandbox.post("faults", api=API, kind="errcode", errcode=41048, times=1)
    launch(live, people[0])
    live.tick(NOW)
    with in_brand(live.brand):
        assert Counter(SendTask.objects.values_list("state", flat=True)) == {"failed": 1, "handed": 1}
    assert told(live, 15) == {}
