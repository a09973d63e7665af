"""When steps are due, by example and by property; PostgreSQL answers the same."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from campaigns.services.sops.schedule import (
    StepTime,
    calendar,
    joining_date,
    next_step,
    run_at,
    timetable,
    what_is_due,
)

ZONES = ["Asia/Shanghai", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
zones = st.sampled_from(ZONES)
times = st.tuples(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59))
moments = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - hypothesis wants naive limits
    datetime(2036, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def step_times(rows: list[tuple[int, int, int]]) -> list[StepTime]:
    return [StepTime(*row, position=i, step_id=i + 1) for i, row in enumerate(sorted(set(rows)))]


@pytest.mark.parametrize(
    "day_0, step, zone, expected",
    [
        (date(2026, 1, 31), (1, 10, 0), "Asia/Shanghai", "2026-02-01 02:00"),
        (date(2028, 2, 28), (1, 10, 0), "Asia/Shanghai", "2028-02-29 02:00"),  # leap year
        (date(2027, 2, 28), (1, 10, 0), "Asia/Shanghai", "2027-03-01 02:00"),
        (date(2026, 12, 31), (30, 0, 0), "Asia/Shanghai", "2027-01-29 16:00"),
        (
            date(2026, 3, 7),
            (1, 2, 30),
            "America/New_York",
            "2026-03-08 07:30",
        ),  # 02:30 does not exist: 03:30 EDT
        (date(2026, 10, 31), (1, 1, 30), "America/New_York", "2026-11-01 06:30"),  # twice: the second
        (date(2026, 3, 7), (2, 2, 30), "America/New_York", "2026-03-09 06:30"),
        (date(2026, 10, 3), (1, 2, 15), "Australia/Lord_Howe", "2026-10-03 15:45"),  # half an hour is missing
    ],
)
def test_examples(day_0: date, step: tuple[int, int, int], zone: str, expected: str) -> None:
    assert f"{run_at(day_0, *step, zone):%Y-%m-%d %H:%M}" == expected


@given(st.dates(date(2020, 1, 1), date(2035, 1, 1)), times, zones)
def test_run_at_shows_the_wanted_time_on_the_wanted_date(day_0: date, step: tuple, zone: str) -> None:
    day, hour, minute = step
    local = run_at(day_0, day, hour, minute, zone).astimezone(ZoneInfo(zone))
    wanted = datetime.combine(day_0 + timedelta(days=day), time(hour, minute))
    shift = local.replace(tzinfo=None) - wanted
    assert timedelta(0) <= shift <= timedelta(hours=1)
    if shift:  # only where that time does not exist
        there = wanted.replace(tzinfo=ZoneInfo(zone))
        assert there.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != wanted


@pytest.mark.django_db
def test_postgres_agrees() -> None:
    """Around all changes of the clocks in two years, every quarter of an hour."""
    wanted = []
    for zone in ZONES:
        for on in [date(2026, 1, 1) + timedelta(days=n) for n in range(730)]:
            noon = datetime(on.year, on.month, on.day, 12, tzinfo=ZoneInfo(zone))
            if noon.utcoffset() != (noon - timedelta(days=1)).utcoffset():
                wanted += [
                    (zone, on - timedelta(days=1), 1, minutes // 60, minutes % 60)
                    for minutes in range(0, 360, 15)
                ]
    assert len(wanted) > 100
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (w.day_0 + w.day + make_time(w.h, w.m, 0)) AT TIME ZONE w.zone"
            " FROM unnest(%s::text[], %s::date[], %s::int[], %s::int[], %s::int[]) AS w(zone, day_0, day,"
            " h, m)",
            [list(column) for column in zip(*wanted, strict=True)],
        )
        answers = [row[0] for row in cursor]
    assert answers == [run_at(on, day, h, m, zone) for zone, on, day, h, m in wanted]


@given(
    st.lists(times, min_size=1, max_size=12),
    moments,
    zones,
    st.lists(st.integers(0, 500 * 24 * 60), max_size=20),
)
def test_whatever_the_ticks_every_step_is_settled_once(
    rows: list, joined: datetime, zone: str, ticks: list[int]
) -> None:
    """Ticks at random moments, with holes of any size: each step after joining is sent or missed exactly
    once."""
    table = timetable(step_times(rows), joining_date(joined, zone), zone)
    since, _ = next_step(table, joined)
    settled: list[int] = []
    late = timedelta(days=3)
    for minute in [*sorted(ticks), 1000 * 24 * 60]:
        now = joined + timedelta(minutes=minute)
        if since is None or since > now:
            continue
        due = what_is_due(table, since, now, late)
        for step in (*due.missed, *([due.send] if due.send else [])):
            settled.append(step.step_id)
        if due.send:
            moment = next(m for m, s in table if s.step_id == due.send.step_id)
            assert now - late <= moment <= now
        since = due.next_at
        assert since is None or since > now
    expected = sorted(s.step_id for moment, s in table if moment >= joined)
    assert sorted(settled) == expected


@given(st.lists(times, min_size=1, max_size=12), moments, zones)
def test_nothing_is_due_twice_or_early(rows: list, joined: datetime, zone: str) -> None:
    table = timetable(step_times(rows), joining_date(joined, zone), zone)
    moment, position = next_step(table, joined)
    if moment is None:
        assert position == len(table)
        return
    assert moment >= joined
    before = what_is_due(table, moment, moment - timedelta(microseconds=1), timedelta(days=3))
    assert before.send is None and not before.missed
    exactly = what_is_due(table, moment, moment, timedelta(days=3))
    assert exactly.send is not None


def test_of_several_due_only_the_newest_is_sent() -> None:
    steps = step_times([(1, 10, 0), (2, 10, 0), (3, 10, 0), (7, 10, 0)])
    table = timetable(steps, date(2026, 5, 1), "Asia/Shanghai")
    due = what_is_due(table, table[0][0], table[2][0] + timedelta(hours=2), timedelta(days=3))
    assert due.send == steps[2] and due.missed == (steps[0], steps[1]) and due.next_position == 3
    late = what_is_due(table, table[0][0], table[2][0] + timedelta(days=3, seconds=1), timedelta(days=3))
    assert late.send is None and late.missed == tuple(steps[:3])


def test_calendar_counts_people_by_day_and_step() -> None:
    steps = step_times([(1, 10, 0), (7, 10, 0)])
    now = datetime(2026, 5, 2, 4, tzinfo=UTC)  # noon in Shanghai: day 1 of those of 1 May is over
    found = calendar({date(2026, 5, 1): 5, date(2026, 5, 2): 3}, steps, "Asia/Shanghai", now, 7)
    assert {on: n for on, n in found.items() if n} == {date(2026, 5, 3): {0: 3}, date(2026, 5, 8): {1: 5}}
    assert len(found) == 7
