"""The question before a launch says how many people get how many messages, when, and from how many guides."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.utils import translation

from campaigns.models import Broadcast
from campaigns.services.broadcasts import broadcasts, dry_run
from campaigns.services.broadcasts.broadcasts import VariantInput, WaveInput
from campaigns.services.governance import policy
from campaigns.views.launching import launch_words
from org.access import SYSTEM, Actor
from scrm import clock
from tests.campaigns.conftest import at
from tests.campaigns.test_broadcasts import given
from tests.factories import in_brand, make_contact, make_corp, make_staff

pytestmark = pytest.mark.django_db(transaction=True)
NOW = at("2026-03-10 10:00")


def words(brand: Any, *, now: datetime = NOW, **over: Any) -> str:
    with in_brand(brand), clock.at(now):
        draft: Broadcast = broadcasts.save_draft(brand, given(**over), by=Actor("小运"))
        return launch_words(brand, draft, dry_run.dry_run(brand, draft))


@pytest.fixture
def crowd(brand: Any) -> None:
    with in_brand(brand):
        corp = make_corp(brand)
        guides = [make_staff(brand, corp) for _ in range(2)]
        for n in range(12):
            make_contact(brand, guides[n % 2])


def test_who_when_and_from_whom(brand: Any, crowd: None) -> None:
    said = words(brand)
    assert "12 位客户每人收到 1 条消息" in said and "由 2 位导购发送" in said and "2 个群发任务" in said
    assert "立即发出" in said and "无法撤回" in said and "另一人" not in said
    with translation.override("en"):
        assert "12 customers get one message each from 2 guides (2 send tasks to confirm)." in words(
            brand, name="b"
        )


def test_later_and_quiet_hours(brand: Any, crowd: None) -> None:
    assert "将于 2026-03-12 09:30 发出" in words(brand, waves=[WaveInput(at("2026-03-12 09:30"))])
    with in_brand(brand):
        quiet = {"quiet_start": time(21), "quiet_end": time(23)}
        policy.change_policy(brand, by=SYSTEM, **quiet)
    said = words(brand, name="夜", now=at("2026-03-10 21:30"))
    assert "2026-03-10 23:00" in said and "免打扰" in said and "夜间" in said


def test_at_night(brand: Any, crowd: None) -> None:
    """Of a brand without quiet hours whoever presses the button is asked."""
    assert "夜间（01:30）" in words(brand, now=at("2026-03-10 01:30"))
    assert "夜间" in words(brand, name="迟", waves=[WaveInput(at("2026-03-12 22:00"))])
    assert "夜间" not in words(brand, name="早", waves=[WaveInput(at("2026-03-12 08:00"))])


def test_what_follows_and_who_is_left_out(brand: Any, crowd: None) -> None:
    said = words(
        brand,
        hold_out_percent=50,
        waves=[WaveInput(), WaveInput(NOW + timedelta(days=1), after="not_opened"), WaveInput(NOW + timedelta(days=2))],
    )  # fmt: skip
    assert "后续还有 2 波（03-11 10:00、03-12 10:00）" in said and "被排除" in said
    again = words(brand, name="每周", repeat="week", repeat_until=NOW + timedelta(days=30))
    assert "每周再发一次，直到 2026-04-09" in again


def test_a_second_person_and_nobody(brand: Any, crowd: None) -> None:
    with in_brand(brand):
        policy.change_policy(brand, needs_approval=True, by=SYSTEM)
    assert "需要另一人先审批" in words(brand)
    nobody = {"condition": {"kind": "do_not_contact", "value": True}}
    assert words(brand, name="无", audience=nobody).startswith("现在没有人会收到")


def test_a_comparison(brand: Any, crowd: None) -> None:
    both = [VariantInput("甲"), VariantInput("乙")]
    rule = {
        "goal": "opened",
        "hours": 24,
        "least": 50,
        "confidence": 95,
        "percent": 50,
        "auto": False,
        "wait_hours": 72,
    }
    assert "50%" in words(brand, variants=both, test=rule)
