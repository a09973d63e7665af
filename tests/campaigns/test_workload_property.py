"""Random campaigns of all priorities compete for the days of three guides, under random limits, caps and quiet hours, beside what
they do by hand: no guide ever gets more than the brand wants, nobody is lost, and ledger, bitmaps, gate and dry run agree."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.governance import CapRule
from campaigns.models import (
    Broadcast,
    Enrolment,
    Moment,
    MomentGuide,
    SendTask,
    Sop,
    StaffTask,
    Touch,
    TouchPolicy,
    Variant,
    Wave,
)
from campaigns.services.broadcasts import broadcasts, dry_run, waves
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput
from campaigns.services.governance import policy, workload
from campaigns.services.governance.workload import Day, Limits, Lower
from campaigns.services.sending import handing, senders
from campaigns.services.sops import enrolments, sops, stepping
from campaigns.services.sops.sops import StepInput
from contacts.models import Contact
from contacts.services.follow import record_follow
from org.access import SYSTEM
from org.models import Staff
from scrm import clock
from tagging.models import Dim, DimBits
from tests.campaigns.conftest import at
from tests.campaigns.test_gate import both
from tests.factories import in_brand, make_contact, make_staff

S, R, Busy = Touch.State, Touch.Reason, TouchPolicy.Busy
NOW = at("2026-03-10 10:00")
_numbers = count(1)
limits_ = st.builds(Limits, st.none() | st.integers(1, 4), st.none() | st.integers(1, 2500), st.booleans())


@settings(deadline=None, max_examples=300)
@given(
    shares=st.dictionaries(st.tuples(st.integers(1, 3), st.integers(1, 3)), st.integers(0, 2500)),
    days=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2000), st.lists(st.integers(1, 900))), min_size=3, max_size=3
    ),
    room=st.dictionaries(st.tuples(st.integers(1, 3), st.integers(1, 3)), st.integers(1, 999)),
    limits=limits_,
)  # fmt: skip
def test_what_fits(shares: Any, days: list[Any], room: Any, limits: Limits) -> None:
    """Never more than the limits beside what stays; what gives way is needed, and is enough."""
    ids = count()
    of = {
        guide: Day(n, m, [Lower(next(ids), size) for size in lower])
        for guide, (n, m, lower) in enumerate(days, 1)
    }
    kept = workload.fit(shares, of, limits, room)
    assert all(0 < n <= shares[key] for key, n in kept.items())
    gone = workload.gives_way(kept, of, limits, room)
    for guide, day in of.items():
        mine = {key: n for key, n in kept.items() if key[0] == guide}
        left = [row for row in day.lower if row not in gone]
        n_tasks = sum(workload.n_tasks(n - room.get(key, 0)) for key, n in mine.items())
        n_people = sum(mine.values())
        wanted = sum(n for key, n in shares.items() if key[0] == guide)
        for limit, fixed, used, low in (
            (limits.tasks, day.tasks, n_tasks, len(left)),
            (limits.people, day.people, n_people, sum(row.n for row in left)),
        ):
            if limit is not None and mine and used:
                assert fixed + used <= limit
                if used and not any(one in gone for one in day.lower):
                    assert fixed + used + low <= limit
        if limits.tasks is None and limits.people is not None:
            assert n_people == min(wanted, max(limits.people - day.people, 0))
        if limits == (None, None, limits.is_moved):
            assert n_people == wanted and not gone
        if not mine:
            assert left == day.lower


@pytest.fixture
def guides(brand: Any, corp: Any) -> list[Any]:
    """Three, of 24 people; one in three has a second guide."""
    with in_brand(brand):
        found = [make_staff(brand, corp) for _ in range(3)]
        people = [make_contact(brand, found[n % 3]) for n in range(24)]
        for n, contact in enumerate(people[::3]):
            external = contact.identities.filter(kind="external_userid").values_list("value", flat=True)[0]
            record_follow(
                brand, staff=found[(n + 1) % 3], corp=corp, external_userid=external, at=NOW, source="test"
            )
        return found


hours = st.builds(time, st.integers(0, 23))


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_guide_has_too_much(brand: Any, guides: list[Any], data: st.DataObject) -> None:
    tasks, people = data.draw(st.none() | st.integers(1, 3)), data.draw(st.none() | st.integers(1, 10))
    busy = data.draw(st.sampled_from([Busy.LEAVE_OUT, Busy.NEXT_DAY])) if tasks or people else Busy.WARN
    quiet = data.draw(st.none() | st.tuples(hours, hours).filter(lambda pair: pair[0] != pair[1]))
    caps = data.draw(
        st.lists(st.builds(CapRule, st.sampled_from([1, 3]), st.integers(1, 3)), unique_by=lambda c: c.days, max_size=2)
    )  # fmt: skip
    now = NOW
    with in_brand(brand):
        _forget(brand)
        policy.change_policy(
            brand, by=SYSTEM, caps=caps, guide_tasks_a_day=tasks, guide_people_a_day=people, guide_busy=busy,
            quiet_start=quiet and quiet[0], quiet_end=quiet and quiet[1],
        )  # fmt: skip
        ids = sorted(Contact.objects.values_list("pk", flat=True))
        _by_hand(guides, data)
        for _campaign in range(5):
            now += timedelta(hours=data.draw(st.integers(0, 20)))
            some = data.draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
            with clock.at(now):
                waves.run_due(brand)  # what waited for this day
                if data.draw(st.booleans()):
                    _broadcast(brand, some, data.draw(st.integers(1, 9)), data.draw(st.integers(1, 2)))
                else:
                    _sop(brand, some, data.draw(st.integers(1, 9)), now)
                _check(brand, tasks, people, busy)
                if data.draw(st.booleans()):
                    due = SendTask.objects.filter(state="planned", at__lte=now)
                    handing.record_handed(brand, [handing.Made(task, f"m{task.pk}") for task in due])
        # what waits comes to an end: looked at once a day, in quiet hours, each time costs two days
        for _day in range(2 * workload.DAYS + 3):
            if not Wave.objects.filter(state="waiting").exists():
                break
            now += timedelta(days=1)
            with clock.at(now):
                waves.run_due(brand)
                _check(brand, tasks, people, busy)
        assert not Wave.objects.filter(state="waiting").exists()


hand = st.tuples(st.integers(0, 4), st.integers(0, 23), st.integers(0, 2))


def _by_hand(guides: list[Any], data: st.DataObject) -> None:
    """Tasks and moments of some days, before any campaign; of the last ones WeCom has named the guides already."""
    for days, hour, n in data.draw(st.lists(hand, max_size=6)):
        moment = NOW.replace(hour=hour) + timedelta(days=days)
        StaffTask.objects.create(
            staff=guides[n], kind="call", title="打电话", due_at=moment, key=f"k{next(_numbers)}",
            state=data.draw(st.sampled_from(["open", "done", "cancelled"])),
        )  # fmt: skip
    for days, hour, n in data.draw(st.lists(hand, max_size=3)):
        chosen = [guide.pk for guide in guides[:n]]  # nobody chosen: all of them
        state = data.draw(st.sampled_from(["planned", "out", "approval", "cancelled"]))
        moment = Moment.objects.create(
            name="朋友圈", corp=guides[0].corp, at=NOW.replace(hour=hour) + timedelta(days=days), staff_ids=chosen, state=state,
            key=f"k{next(_numbers)}", content_digest="x", n_guides=1 if state == "out" else 0,
        )  # fmt: skip
        if state == "out":
            MomentGuide.objects.create(moment=moment, staff=guides[n], userid=guides[n].userid)


def _others(brand: Any) -> Counter[tuple[int, Any]]:
    """{(guide, day): moments and tasks by hand}."""
    zone, everybody = _zone(brand), list(Staff.objects.filter(is_guide=True).values_list("pk", flat=True))
    found: Counter[tuple[int, Any]] = Counter()
    for task in StaffTask.objects.exclude(state="cancelled"):
        found[task.staff_id, task.due_at.astimezone(zone).date()] += 1
    for moment in Moment.objects.filter(state="planned"):
        found.update((pk, moment.at.astimezone(zone).date()) for pk in moment.staff_ids or everybody)
    for one in MomentGuide.objects.select_related("moment"):
        found[one.staff_id or 0, one.moment.at.astimezone(zone).date()] += 1
    return found


def _forget(brand: Any) -> None:
    for model in (Touch, Broadcast, SendTask, Enrolment, StaffTask, Moment):
        model.objects.all().delete()
    Sop.objects.update(state="ended")
    DimBits.objects.filter(dim=Dim.TOUCH).delete()


def _broadcast(brand: Any, some: list[int], priority: int, n_contents: int) -> None:
    contents = [VariantInput(f"到店{n}") for n in range(n_contents)]
    draft = broadcasts.save_draft(
        brand, BroadcastInput("新品", {"contacts": some}, contents, priority=priority), by=SYSTEM
    )
    seen = dry_run.dry_run(brand, draft)
    held = {R(reason).name.lower(): n for reason, _words, n in seen.refused}
    before = Touch.objects.filter(reason=R.OUTRANKED).count()
    broadcasts.launch(brand, broadcast_id=draft.pk, by=SYSTEM)
    waves.run_due(brand)
    wave = Wave.objects.filter(broadcast=draft).order_by("n")[0]
    assert wave.numbers["planned"] == seen.planned and wave.numbers["tasks"] == seen.n_tasks
    assert {k: n for k, n in wave.numbers.items() if k in held} == held
    if "guide_busy" not in held:  # messages that two rules would take back are taken once
        assert Touch.objects.filter(reason=R.OUTRANKED).count() - before <= seen.n_taken
    rows = Touch.objects.filter(broadcast_id=draft.pk, wave_id=wave.pk)
    assert sorted(rows.values_list("contact_id", flat=True)) == sorted(some)
    rest = Wave.objects.filter(broadcast=draft, condition__rest_of=wave.pk)
    assert rest.exists() == (wave.numbers.get("guide_busy", 0) > 0 and seen.waits_until is not None)
    if rest.exists():
        assert rest.get().at == seen.waits_until


def _sop(brand: Any, some: list[int], priority: int, now: datetime) -> None:
    sop = sops.create_sop(
        brand, name=f"旅程{next(_numbers)}", steps=[StepInput(1, 0, 0, "第一步")], by=SYSTEM
    )
    sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
    sops.set_priority(brand, sop_id=sop.pk, priority=priority, by=SYSTEM)
    sop.refresh_from_db()
    enrolments.enrol_many(
        brand, sop=sop, contact_ids=some, source="page", at=now - timedelta(days=1, hours=1)
    )
    stepping.run(brand, now)
    rows = Touch.objects.filter(sop_id=sop.pk)
    assert sorted(rows.values_list("contact_id", flat=True)) == sorted(some)


def _check(brand: Any, tasks: int | None, people: int | None, busy: str) -> None:
    sizes: dict[tuple[int, Any], Counter[str]] = {}
    for task in SendTask.objects.exclude(state__in=["cancelled", "failed"]):
        day = sizes.setdefault((task.staff_id, task.at.astimezone(_zone(brand)).date()), Counter())
        day.update(tasks=1, people=task.n)
        mine = Touch.objects.filter(send_task_id=task.pk, at=task.at, state__in=[S.PLANNED, S.HANDED])
        assert sorted(mine.values_list("contact_id", flat=True)) == sorted(task.contact_ids)
    others = _others(brand)
    for key, day in sizes.items():
        assert tasks is None or day["tasks"] + others[key] <= tasks
        assert people is None or day["people"] <= people
    _check_left_out(brand, sizes, others, tasks, people)
    for hours_ in (0, 26):
        both(brand, clock.now() + timedelta(hours=hours_))


def _check_left_out(
    brand: Any,
    sizes: Mapping[tuple[int, Any], Counter[str]],
    others: Counter[tuple[int, Any]],
    tasks: int | None,
    people: int | None,
) -> None:
    """Whoever is left out for a guide's sake has one whose day is full, as long as nothing of it has been taken back."""
    if Touch.objects.filter(reason=R.OUTRANKED).exists():
        return
    left_out = Touch.objects.filter(reason=R.GUIDE_BUSY, broadcast_id__isnull=False)
    chosen = senders.choose(brand, set(left_out.values_list("contact_id", flat=True)))
    for touch in left_out:
        key = chosen[touch.contact_id].staff_id, touch.at.astimezone(_zone(brand)).date()
        day = sizes.get(key, Counter())
        n_contents = Variant.objects.filter(broadcast=touch.broadcast_id).count()
        n = day["tasks"] + others[key] + n_contents
        full = (tasks is not None and n > tasks) or day["people"] == people
        assert full, (day, tasks, people)


def _zone(brand: Any) -> ZoneInfo:
    return ZoneInfo(brand.timezone)
