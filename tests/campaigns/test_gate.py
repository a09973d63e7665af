"""The gate: the ledger, asked for a few, and the bitmaps, asked for many, give the same answers."""

import itertools
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns import governance
from campaigns.governance import CapRule
from campaigns.models import Touch
from campaigns.services.governance import gate, policy, rules
from campaigns.services.ledger import planes, touches
from contacts.models import Contact
from contacts.services import stats
from org.access import SYSTEM
from scrm.errors import InvalidError
from tagging.models import Dim, DimBits
from tagging.services.bits import frames
from tagging.services.tags.tags import add_tags
from tests.campaigns.conftest import at
from tests.factories import in_brand, make_contact, make_tag

NOW = at("2026-03-10 10:00")
K, R, S = Touch.Kind, Touch.Reason, Touch.State


@pytest.fixture
def people(brand: Any, corp: Any, staff: Any) -> list[Any]:
    with in_brand(brand):
        return [make_contact(brand, staff) for _ in range(8)]


def touch(
    brand: Any, contact: Any, moment: datetime, kind: Touch.Kind = K.SOP, state: int = S.PLANNED
) -> None:
    [touch_id] = touches.new_ids(1)
    touches.write(brand, moment, kind, [touches.TouchSet([touch_id], [contact.pk])])
    if state != S.PLANNED:
        Touch.objects.filter(pk=touch_id).update(state=state)
        if state not in planes.COUNTED:
            planes.mark_dirty(brand, moment, [contact.pk])


def judged(brand: Any, moment: datetime, kind: Touch.Kind = K.BROADCAST) -> dict[int, Touch.Reason]:
    """Everybody asked through the bitmaps."""
    frame = frames.Frame.whole(brand)
    everybody = frame.of_positions(Contact.objects.values_list("position", flat=True))
    verdict = gate.judge(frame, everybody, at=moment, kind=kind, rules=rules.rules_of(brand))
    return {
        contact_id: reason
        for reason, bits in verdict.refused.items()
        for contact_id in frames.contacts_at(brand, frame, bits)
    }


def asked(brand: Any, moment: datetime, kind: Touch.Kind = K.BROADCAST) -> dict[int, Touch.Reason]:
    return gate.ask(brand, list(Contact.objects.values_list("pk", flat=True)), moment, kind=kind)


def both(brand: Any, moment: datetime, kind: Touch.Kind = K.BROADCAST) -> dict[int, Touch.Reason]:
    found = asked(brand, moment, kind)
    assert judged(brand, moment, kind) == found
    return found


def test_each_reason(brand: Any, people: list[Any]) -> None:
    gone, quiet, refuses, tagged, capped, soon, used_up, _fine = people
    with in_brand(brand):
        policy.change_policy(brand, caps=[CapRule(3, 2)], min_gap_hours=20, allowance="week", by=SYSTEM)
        Contact.objects.filter(pk=gone.pk).update(n_follows=0)
        Contact.objects.filter(pk=quiet.pk).update(do_not_contact=True)
        stats.refresh(brand, [gone.pk, quiet.pk])
        policy.set_refusal(brand, contact_id=refuses.pk, kind=K.BROADCAST, refused=True, by=SYSTEM)
        tag = make_tag(brand, "投诉")
        add_tags(brand, contacts=[tagged], tags=[tag.pk], source="page")
        policy.add_no_contact_rule(brand, name="投诉", tag_id=tag.pk, by=SYSTEM)
        for n in (1, 2):
            touch(brand, capped, NOW - timedelta(days=n, hours=2))
        touch(brand, soon, NOW - timedelta(hours=19))
        for n in range(7):  # the week of 2026-03-09: all on Sunday, outside of the cap's days
            touch(brand, used_up, at("2026-03-15 10:00") + timedelta(minutes=n))
        expected = {
            gone.pk: R.NOT_FOLLOWED, quiet.pk: R.DO_NOT_CONTACT, refuses.pk: R.REFUSED_KIND, tagged.pk: R.NO_CONTACT_RULE,
            capped.pk: R.CAPPED, soon.pk: R.TOO_SOON, used_up.pk: R.ALLOWANCE,
        }  # fmt: skip
        assert both(brand, NOW) == expected
        assert refuses.pk not in both(brand, NOW, K.SOP)
        policy.delete_no_contact_rule(brand, rule_id=_only_rule(), by=SYSTEM)
        assert both(brand, NOW) == {k: v for k, v in expected.items() if k != tagged.pk}


def _only_rule() -> int:
    from campaigns.models import NoContactRule

    return NoContactRule.objects.get().pk


def test_a_rule_for_everybody_holds_on_its_days(brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        day = NOW.date()
        policy.add_no_contact_rule(brand, name="默哀日", starts_on=day, ends_on=day, by=SYSTEM)
        assert set(both(brand, NOW).values()) == {R.NO_CONTACT_RULE} and len(both(brand, NOW)) == 8
        assert both(brand, NOW + timedelta(days=1)) == both(brand, NOW - timedelta(days=1)) == {}
        with pytest.raises(InvalidError):
            policy.add_no_contact_rule(brand, name="for ever", by=SYSTEM)


def test_what_was_not_sent_gives_its_place_back(brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        policy.change_policy(brand, caps=[CapRule(7, 1)], by=SYSTEM)
        for person, state in zip(
            people, (S.PLANNED, S.HANDED, S.DELIVERED, S.FAILED, S.CANCELLED, S.BLOCKED), strict=False
        ):
            touch(brand, person, NOW - timedelta(days=1), state=state)
        assert both(brand, NOW) == {person.pk: R.CAPPED for person in people[:3]}
        first = governance.midnight(governance.day_of(NOW, brand.timezone) - 3, brand.timezone)
        planes.rebuild(brand, first, first + timedelta(days=10))
        assert both(brand, NOW) == {person.pk: R.CAPPED for person in people[:3]}


def test_touches_planned_ahead_count(brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        policy.change_policy(brand, caps=[CapRule(7, 2)], by=SYSTEM)
        touch(brand, people[0], NOW + timedelta(days=3))
        touch(brand, people[0], NOW - timedelta(days=3))
        touch(brand, people[1], NOW + timedelta(days=4))
        touch(brand, people[1], NOW - timedelta(days=4))
        assert both(brand, NOW) == {people[0].pk: R.CAPPED}


# zone and moment: an ordinary day, clocks put forward and back (by half an hour, too), a leap day, ends of month and year
PLACES = [
    ("Asia/Shanghai", NOW),
    ("America/New_York", datetime(2026, 3, 8, 6, 30, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 14, 45, tzinfo=UTC)),
    ("Asia/Shanghai", at("2024-02-29 10:00")),
    ("Asia/Shanghai", at("2026-12-31 23:30")),
    ("America/New_York", datetime(2026, 5, 1, 3, 59, tzinfo=UTC)),
]


@settings(deadline=None, max_examples=35, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_ledger_and_bitmaps_agree(brand: Any, people: list[Any], data: st.DataObject) -> None:
    """Five campaigns of two kinds compete for eight people under random caps; whatever is let through breaks none."""
    caps = data.draw(
        st.lists(st.builds(CapRule, st.sampled_from([1, 3, 7, 30]), st.integers(1, 4), st.sampled_from([0, 2, 3])),
                 unique_by=lambda cap: (cap.days, cap.kind), max_size=3)
    )  # fmt: skip
    allowance = data.draw(st.sampled_from(["day", "week", "month"]))
    gap = data.draw(st.sampled_from([0, 1, 30]))
    brand.timezone, now = data.draw(st.sampled_from(PLACES))
    with in_brand(brand):
        Touch.objects.all().delete()
        DimBits.objects.filter(dim=Dim.TOUCH).delete()
        policy.change_policy(brand, caps=caps, min_gap_hours=gap, allowance=allowance, by=SYSTEM)
        for _campaign in range(5):
            kind = data.draw(st.sampled_from([K.SOP, K.BROADCAST]))
            moment = now + timedelta(minutes=15 * data.draw(st.integers(-4 * 24 * 20, 4 * 24 * 20)))
            refused = both(brand, moment, kind)
            for person in people:
                if person.pk not in refused:
                    state = data.draw(st.sampled_from([S.PLANNED, S.DELIVERED, S.DELIVERED, S.FAILED]))
                    touch(brand, person, moment, kind, state)
        _nothing_broken(brand, caps, allowance, gap)


def _nothing_broken(brand: Any, caps: list[CapRule], allowance: str, gap: int) -> None:
    rows: dict[int, list[tuple[int, datetime]]] = {}
    for row in Touch.objects.filter(state__in=planes.COUNTED):
        rows.setdefault(row.contact_id, []).append((row.kind, row.at))
    for touches_of in rows.values():
        day_kinds = [(governance.day_of(moment, brand.timezone), kind) for kind, moment in touches_of]
        for cap in caps:
            for start, _kind in day_kinds:
                n = sum(start <= d < start + cap.days and cap.kind in (0, kind) for d, kind in day_kinds)
                assert n <= cap.n, (cap, day_kinds)
        days_of_wecom = [governance.day_of(moment, "Asia/Shanghai") for _kind, moment in touches_of]
        for day in days_of_wecom:
            period = governance.allowance_period(datetime.fromordinal(day).date(), allowance)
            assert sum(period[0] <= d <= period[1] for d in days_of_wecom) <= period[2]
        moments = sorted(moment for _kind, moment in touches_of)
        assert all(b - a >= timedelta(hours=gap) for a, b in itertools.pairwise(moments))


@pytest.mark.django_db(transaction=True)
def test_a_claim_is_waited_for_and_a_planner_is_not(brand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hand-over claims again and again; steps of SOPs find their turn between two claims."""
    monkeypatch.setattr(gate, "MOMENT_MS", 30_000)  # the other thread may have to wait for its turn
    address = connection.settings_dict
    other = psycopg2.connect(
        host=address["HOST"], port=address["PORT"], user=address["USER"], password=address["PASSWORD"],
        dbname=address["NAME"],
    )  # fmt: skip
    key = [gate._GATE, brand.pk]
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", key)
            with in_brand(brand):
                assert gate.try_gate(brand) is False
                assert Touch.objects.count() == 0  # the transaction goes on
            other.rollback()
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", key)
            timer = threading.Timer(0.05, other.rollback)
            timer.start()
            with in_brand(brand):
                assert gate.try_gate(brand) is True
            timer.join()
    finally:
        other.close()
