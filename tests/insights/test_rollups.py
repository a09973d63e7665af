"""Daily figures: what is added up as events come equals what is counted anew, in whatever order they come."""

import random
import threading
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction

from contacts.models import Event, EventType, OutboxPosition
from contacts.services.timeline import record_events
from insights import tasks
from insights.models import DailyFigure
from insights.services import rollups
from insights.services.figures import figures
from org.models import Region, Role, Staff, Store
from tenants.models import Brand
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_staff
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)
SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)


def event(type: EventType, at: datetime = NOON, **over: Any) -> dict[str, Any]:
    return {"contact_id": 1, "type": type, "at": at, **over}


def write(brand: Brand, *rows: Any) -> None:
    with in_brand(brand):
        record_events(brand, rows)


def run(brand: Brand) -> int:
    with tenant_scope(brand):
        return rollups.run(brand)


def table(brand: Brand) -> set[tuple]:
    columns = ["on", "code_id", "staff_id", *rollups.COUNTED]
    with in_brand(brand):
        rows = list(DailyFigure.objects.values_list(*columns))
    assert len({row[:3] for row in rows}) == len(rows)
    return {row for row in rows if any(row[3:])}


def recount(brand: Brand) -> set[tuple]:
    """The figures by a slow and simple way: in Python, from every event."""
    counts: Counter[tuple] = Counter()
    zone = ZoneInfo(brand.timezone)
    with in_brand(brand):
        for e in Event.objects.all():
            for n, types in enumerate(rollups.COUNTED.values()):
                if e.type in types:
                    counts[(e.at.astimezone(zone).date(), e.object_id or 0, e.staff_id or 0, n)] += 1
    keys = {key[:3] for key in counts}
    return {(*key, *(counts[(*key, n)] for n in range(len(rollups.COUNTED)))) for key in keys}


def test_each_kind_and_the_brands_day(brand: Brand) -> None:
    late = datetime(2026, 3, 1, 16, 30, tzinfo=UTC)  # 2 March in Shanghai
    write(
        brand,
        event(EventType.ADDED, staff_id=5, object_id=7),
        event(EventType.ADDED_AGAIN, staff_id=5, object_id=7),
        event(EventType.LOST_BY_CUSTOMER, staff_id=5, object_id=7),
        event(EventType.LOST_BY_STAFF, late, staff_id=5),
        event(EventType.GONE, late),
        event(EventType.HALF_ADDED),
        event(EventType.TRANSFERRED),
        event(EventType.TAGGED),
    )
    run(brand)
    assert table(brand) == {
        (date(2026, 3, 1), 7, 5, 2, 1, 0, 0),
        (date(2026, 3, 2), 0, 5, 0, 0, 1, 0),
        (date(2026, 3, 2), 0, 0, 0, 0, 0, 1),
    }
    assert run(brand) == 0  # each event once


@pytest.mark.parametrize("seed", range(6))
def test_random_events_in_random_portions(
    brand: Brand, other_brand: Brand, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "BATCH", 17)
    dice = random.Random(seed)

    def portion() -> list[Any]:
        return [
            event(
                dice.choice(list(EventType)),
                NOON + timedelta(hours=dice.randrange(-2000, 2000)),
                contact_id=dice.randrange(1, 50),
                staff_id=dice.choice([None, 1, 2, 3]),
                object_id=dice.choice([None, 7, 8]),
            )
            for _ in range(dice.randrange(60))
        ]

    for n in range(8):
        write(brand, *portion())
        write(other_brand, *portion())
        if n != 5:
            run(brand)
    run(brand)
    run(other_brand)
    for one in (brand, other_brand):
        added_up = table(one)
        assert added_up == recount(one)
        with tenant_scope(one):
            rollups.rebuild(one)
        assert table(one) == added_up
        assert run(one) == 0
    assert table(brand) != table(other_brand)


def test_a_rebuild_leaves_what_comes_later_to_the_next_run(brand: Brand) -> None:
    write(brand, event(EventType.ADDED))
    with tenant_scope(brand):
        rollups.rebuild(brand)
    write(brand, event(EventType.ADDED))
    run(brand)
    assert table(brand) == recount(brand)


def test_a_new_time_zone_counts_anew(brand: Brand) -> None:
    write(brand, event(EventType.ADDED, datetime(2026, 3, 1, 16, 30, tzinfo=UTC)))
    run(brand)
    assert {row[0] for row in table(brand)} == {date(2026, 3, 2)}
    Brand.objects.filter(pk=brand.pk).update(timezone="UTC")
    brand.refresh_from_db()
    write(brand, event(EventType.ADDED, datetime(2026, 3, 1, 16, 45, tzinfo=UTC)))
    run(brand)
    assert table(brand) == recount(brand) == {(date(2026, 3, 1), 0, 0, 2, 0, 0, 0)}
    with in_brand(brand):
        assert OutboxPosition.objects.filter(reader__startswith="daily:").count() == 1


def test_an_event_of_a_slow_transaction_is_not_lost(brand: Brand) -> None:
    """A transaction that began early and commits late: its event has a low id and comes after the others."""
    run(brand)
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with in_brand(brand):
                record_events(brand, [event(EventType.ADDED, staff_id=1)])  # type: ignore[list-item]
                begun.set()
                assert go_on.wait(60)
        finally:
            connection.close()
            done.set()

    thread = threading.Thread(target=slow)
    thread.start()
    assert begun.wait(60)
    write(brand, event(EventType.ADDED, staff_id=2))
    run(brand)  # sees nothing yet: something older is still open
    go_on.set()
    assert done.wait(60)
    thread.join()
    run(brand)
    assert table(brand) == recount(brand)
    assert sum(row[3] for row in table(brand)) == 2


def test_two_processes_count_once(brand: Brand) -> None:
    write(brand, *[event(EventType.ADDED, staff_id=n % 3) for n in range(50)])
    together(*[lambda: run(brand)] * 4)
    run(brand)
    assert table(brand) == recount(brand)


def test_a_crash_between_count_and_position_changes_nothing(
    brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(brand)
    write(brand, event(EventType.ADDED))

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(OutboxPosition.objects.all().__class__, "update", broken)
        with pytest.raises(ZeroDivisionError):
            run(brand)
    assert table(brand) == set()
    run(brand)
    assert table(brand) == recount(brand)


def test_the_tick_serves_active_brands(brand: Brand, other_brand: Brand) -> None:
    write(brand, event(EventType.ADDED))
    write(other_brand, event(EventType.ADDED))
    Brand.objects.filter(pk=other_brand.pk).update(state="suspended")
    assert tasks.tick() == 1
    assert table(brand) and not table(other_brand)


def test_a_turn_ends_and_the_next_goes_on(brand: Brand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "BATCH", 5)
    run(brand)
    write(brand, *[event(EventType.ADDED) for _ in range(23)])
    with tenant_scope(brand):
        assert rollups.run(brand, until=lambda: True) == 5
    assert run(brand) == 18


# ---- sums


def test_figures_fill_every_day_and_rank_parts(brand: Brand, corp: Any) -> None:
    with in_brand(brand):
        staff = make_staff(brand, corp, name="王芳")
    write(
        brand,
        *[event(EventType.ADDED, staff_id=staff.pk, object_id=7) for _ in range(3)],
        event(EventType.ADDED, NOON + timedelta(days=2)),
        event(EventType.LOST_BY_STAFF, NOON + timedelta(days=2), staff_id=staff.pk, object_id=7),
        event(EventType.ADDED, NOON + timedelta(days=9)),
    )
    run(brand)
    with in_brand(brand):
        found = figures(brand, date(2026, 3, 1), date(2026, 3, 4))
    assert [(day.n_added, day.n_lost, day.net) for day in found.days] == [
        (3, 0, 3),
        (0, 0, 0),
        (1, 1, 0),
        (0, 0, 0),
    ]
    assert (found.n_added, found.n_lost) == (4, 1)
    assert [(p.key, p.n_added, p.n_lost) for p in found.by_code] == [(7, 3, 1), (0, 1, 0)]
    assert [(p.name, p.n_added) for p in found.by_staff] == [("王芳", 3), ("—", 1)]


@pytest.mark.parametrize("scope, expected", [("brand", 4), ("region", 3), ("store", 2), ("own", 1)])
def test_figures_keep_to_the_data_scope(brand: Brand, corp: Any, scope: str, expected: int) -> None:
    with in_brand(brand), transaction.atomic():
        region = Region.objects.create(name="区")
        one, two = (
            Store.objects.create(name="一", region=region),
            Store.objects.create(name="二", region=region),
        )
        role = Role.objects.create(name="看", scope=scope)
        me = make_staff(brand, corp, store=one, region=region, role=role)
        people = [
            me,
            make_staff(brand, corp, store=one),
            make_staff(brand, corp, store=two),
            make_staff(brand, corp),
        ]
    write(brand, *[event(EventType.ADDED, staff_id=p.pk) for p in people])
    run(brand)
    with in_brand(brand):
        me = Staff.objects.select_related("role", "store", "region").get(pk=me.pk)
        found = figures(brand, date(2026, 3, 1), date(2026, 3, 1), staff=me)
    assert (found.n_added, len(found.by_staff)) == (expected, expected)
