"""Five broadcasts of all priorities compete for eight people under random caps, gaps, allowances and quiet hours, over days
on which clocks change, months end and a leap day comes.

What should be is worked out here once more, by counting dates one by one; nothing of governance.py or gate.py is used.
"""

import calendar
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.governance import CapRule
from campaigns.models import Broadcast, SendTask, Touch
from campaigns.services.broadcasts import broadcasts, waves
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput
from campaigns.services.governance import policy
from campaigns.services.sending import handing
from org.access import SYSTEM
from scrm import clock
from tagging.models import Dim, DimBits
from tests.factories import in_brand, make_contact

S, R = Touch.State, Touch.Reason
COUNTED = (S.PLANNED, S.HANDED, S.DELIVERED)
BY_NUMBER = (R.CAPPED, R.TOO_SOON, R.ALLOWANCE)
CHINA = ZoneInfo("Asia/Shanghai")
# zone, and the day around which everything happens
DAYS = [
    ("Asia/Shanghai", date(2026, 3, 10)),
    ("Asia/Shanghai", date(2028, 2, 29)),
    ("Asia/Shanghai", date(2026, 12, 31)),
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 11, 1)),
]


class Rules(NamedTuple):
    zone: ZoneInfo
    caps: list[CapRule]
    gap_hours: int
    allowance: str
    quiet: tuple[time, time] | None

    def on(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def is_quiet(self, at: datetime) -> bool:
        if self.quiet is None:
            return False
        start, end = self.quiet
        now = at.astimezone(self.zone).time()
        return start <= now < end if start < end else not end <= now < start

    def fits(self, others: list[tuple[int, datetime]], at: datetime, kind: int) -> bool:
        """Whether one more touch may go to somebody who has these (kind, moment)."""
        if any(abs(other - at) < timedelta(hours=self.gap_hours) for _kind, other in others):
            return False
        rows = [(of, self.on(other)) for of, other in others] + [(kind, self.on(at))]
        today = self.on(at)
        for cap in self.caps:
            if cap.kind not in (0, kind):
                continue
            for back in range(cap.days):
                first = today - timedelta(days=back)
                last = first + timedelta(days=cap.days - 1)
                if sum(first <= on <= last and cap.kind in (0, of) for of, on in rows) > cap.n:
                    return False
        # WeCom counts in China's time
        days = [moment.astimezone(CHINA).date() for moment in (*(other for _of, other in others), at)]
        today = days[-1]
        if self.allowance == "day":
            return sum(on == today for on in days) <= 1
        if self.allowance == "week":
            monday = today - timedelta(days=today.weekday())
            return sum(monday <= on < monday + timedelta(days=7) for on in days) <= 7
        most = calendar.monthrange(today.year, today.month)[1]
        return sum((on.year, on.month) == (today.year, today.month) for on in days) <= most


@pytest.fixture
def people(brand: Any, corp: Any, staff: Any) -> list[int]:
    with in_brand(brand):
        return [make_contact(brand, staff).pk for _ in range(8)]


def counted(contact_id: int) -> list[tuple[int, datetime]]:
    rows = Touch.objects.filter(contact_id=contact_id, state__in=COUNTED)
    return list(rows.values_list("kind", "at"))


def lower_planned(contact_id: int, priority: int) -> list[tuple[int, datetime]]:
    """Touches of lower campaigns that WeCom does not have yet."""
    tasks = dict(SendTask.objects.filter(state="planned", priority__lt=priority).values_list("pk", "at"))
    rows = Touch.objects.filter(contact_id=contact_id, state=S.PLANNED, send_task_id__in=tasks)
    return list(rows.values_list("kind", "at"))


def less(rows: list[tuple[int, datetime]], gone: list[tuple[int, datetime]]) -> list[tuple[int, datetime]]:
    left = list(rows)
    for row in gone:
        left.remove(row)
    return left


times_of_day = st.builds(time, st.integers(0, 23), st.sampled_from([0, 30]))


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_five_campaigns(brand: Any, people: list[int], data: st.DataObject) -> None:
    zone, day = data.draw(st.sampled_from(DAYS))
    caps = data.draw(
        st.lists(
            st.builds(CapRule, st.sampled_from([1, 2, 7, 30]), st.integers(1, 3), st.sampled_from([0, 3])),
            unique_by=lambda cap: (cap.days, cap.kind), max_size=3,
        )
    )  # fmt: skip
    quiet = data.draw(
        st.none() | st.tuples(times_of_day, times_of_day).filter(lambda pair: pair[0] != pair[1])
    )
    rules = Rules(
        ZoneInfo(zone), caps, data.draw(st.sampled_from([0, 2, 30])), data.draw(st.sampled_from(["day", "week", "month"])), quiet
    )  # fmt: skip
    brand.timezone = zone
    brand.save(update_fields=["timezone"])
    now = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=2)
    with in_brand(brand):
        Touch.objects.all().delete()
        Broadcast.objects.all().delete()
        DimBits.objects.filter(dim=Dim.TOUCH).delete()
        policy.change_policy(
            brand, caps=caps, min_gap_hours=rules.gap_hours, allowance=rules.allowance, by=SYSTEM,
            quiet_start=quiet and quiet[0], quiet_end=quiet and quiet[1],
        )  # fmt: skip
        for _campaign in range(5):
            now += timedelta(minutes=30 * data.draw(st.integers(0, 60)))
            audience = data.draw(st.lists(st.sampled_from(people), min_size=1, unique=True))
            with clock.at(now):
                _one(brand, rules, audience, data.draw(st.integers(1, 9)), now)
                if data.draw(st.booleans()):
                    _hand_over(brand, now)


def _one(brand: Any, rules: Rules, audience: list[int], priority: int, now: datetime) -> None:
    given = BroadcastInput("新品", {"contacts": audience}, [VariantInput("到店")], priority=priority)
    draft = broadcasts.save_draft(brand, given, by=SYSTEM)
    before = {contact_id: counted(contact_id) for contact_id in audience}
    gave_way = {contact_id: lower_planned(contact_id, priority) for contact_id in audience}
    broadcasts.launch(brand, broadcast_id=draft.pk, by=SYSTEM)
    waves.run_due(brand)
    rows = {touch.contact_id: touch for touch in Touch.objects.filter(broadcast_id=draft.pk)}
    assert sorted(rows) == sorted(audience) and Touch.objects.filter(broadcast_id=draft.pk).count() == len(
        rows
    )
    for contact_id, touch in rows.items():
        had, kind, at = before[contact_id], touch.kind, touch.at
        assert at >= now and not rules.is_quiet(at) and (at == now or rules.is_quiet(now))
        quiet_until = [now + timedelta(minutes=n) for n in range(0, int((at - now).total_seconds()) // 60, 7)]
        assert all(map(rules.is_quiet, quiet_until)), "released later than it could have been"
        is_sent, after = touch.state == S.PLANNED, counted(contact_id)
        taken = less([*had, *([(kind, at)] if is_sent else [])], after)
        if rules.fits(had, at, kind):
            assert is_sent and taken == []
        elif rules.fits(less(had, gave_way[contact_id]), at, kind):
            # lower ones give way, and no more of them than needed
            assert is_sent and taken and all(row in gave_way[contact_id] for row in taken)
            left = less(after, [(kind, at)])
            assert rules.fits(left, at, kind)
            assert not any(rules.fits([*left, row], at, kind) for row in taken)
        else:
            assert touch.state == S.BLOCKED and touch.reason in BY_NUMBER and taken == []


def _hand_over(brand: Any, now: datetime) -> None:
    """WeCom has what is due: it does not give way any more."""
    due = SendTask.objects.filter(state="planned", at__lte=now)
    handing.record_handed(brand, [handing.Made(task, f"m{task.pk}") for task in due])
