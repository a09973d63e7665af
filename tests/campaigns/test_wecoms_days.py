"""WeCom's allowance counts in China's time, the brand's caps in the brand's: around midnight and at the end of a month."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from campaigns import governance
from campaigns.governance import CapRule
from campaigns.models import Touch
from campaigns.services.governance import gate, policy, rules
from campaigns.services.ledger import planes
from org.access import SYSTEM
from tagging.services.bits import frames
from tests.factories import in_brand, make_contact

pytestmark = pytest.mark.django_db(transaction=True)
R, K, S = Touch.Reason, Touch.Kind, Touch.State


def moment(text: str) -> datetime:
    """Of UTC; China is eight hours ahead."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def touch(brand: Any, contact: Any, at: datetime) -> None:
    Touch.objects.create(contact_id=contact.pk, kind=K.BROADCAST, at=at, state=S.DELIVERED)
    planes.count(brand, at, K.BROADCAST, [contact.pk])


def answers(brand: Any, contact: Any, at: datetime) -> set[Touch.Reason | None]:
    """What the ledger and the bitmaps say about one more; a set of two means that they differ."""
    by_ledger = gate.ask(brand, [contact.pk], at, kind=K.BROADCAST).get(contact.pk)
    frame, places = frames.frame_of(brand, [contact.pk])
    verdict = gate.judge(
        frame, frame.of_positions(places), at=at, kind=K.BROADCAST, rules=rules.rules_of(brand)
    )
    (position,) = places
    by_bits = next((r for r, bits in verdict.refused.items() if position in frame.positions(bits)), None)
    return {by_ledger, by_bits}


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Pacific/Auckland"])
def test_midnight_is_chinas(brand: Any, staff: Any, zone: str) -> None:
    brand.timezone = zone
    with in_brand(brand):
        policy.change_policy(brand, caps=[], allowance="day", by=SYSTEM)
        contact = make_contact(brand, staff)
        touch(brand, contact, moment("2026-03-10 15:30"))  # 23:30 of 10 March in China
        assert answers(brand, contact, moment("2026-03-10 15:59")) == {R.ALLOWANCE}
        assert answers(brand, contact, moment("2026-03-09 16:00")) == {
            R.ALLOWANCE
        }  # the first minute of that day
        assert answers(brand, contact, moment("2026-03-10 16:00")) == {None}  # midnight
        assert answers(brand, contact, moment("2026-03-09 15:59")) == {None}


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Pacific/Auckland"])
@pytest.mark.parametrize(
    "month, days, begins, ends",
    [
        ("2026-03-%02d 04:00", 31, "2026-02-28 16:00", "2026-03-31 16:00"),
        ("2028-02-%02d 04:00", 29, "2028-01-31 16:00", "2028-02-29 16:00"),
    ],
)
def test_a_month_is_chinas(
    brand: Any, staff: Any, zone: str, month: str, days: int, begins: str, ends: str
) -> None:
    brand.timezone = zone
    with in_brand(brand):
        policy.change_policy(brand, caps=[], allowance="month", by=SYSTEM)
        contact = make_contact(brand, staff)
        for day in range(1, days + 1):
            touch(brand, contact, moment(month % day))
        first, last = moment(begins), moment(ends)
        before, after = first.replace(minute=0, hour=15), last  # an hour before; the first moment of the next
        assert (
            answers(brand, contact, first) == answers(brand, contact, last.replace(hour=15)) == {R.ALLOWANCE}
        )
        assert answers(brand, contact, before) == answers(brand, contact, after) == {None}


def test_caps_stay_the_brands(brand: Any, staff: Any) -> None:
    brand.timezone = "America/New_York"
    with in_brand(brand):
        policy.change_policy(brand, caps=[CapRule(1, 1)], by=SYSTEM)
        contact = make_contact(brand, staff)
        touch(brand, contact, moment("2026-03-10 15:30"))  # half past eleven in the morning in New York
        assert answers(brand, contact, moment("2026-03-10 23:00")) == {R.CAPPED}  # the next day in China
        assert answers(brand, contact, moment("2026-03-11 05:00")) == {None}  # the next day in New York


def test_days_of_a_zone_that_wecoms_touches() -> None:
    at = moment("2026-03-10 12:00")
    exact = governance.allowance_days(at, "day", "Asia/Shanghai")
    assert exact == (date(2026, 3, 10).toordinal(), date(2026, 3, 10).toordinal(), 1, True)
    wider = governance.allowance_days(at, "day", "America/New_York")
    assert wider == (date(2026, 3, 9).toordinal(), date(2026, 3, 10).toordinal(), 1, False)
