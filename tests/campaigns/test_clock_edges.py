"""Times at their edges (clocks put forward and back, month ends, leap days, new year), each against a plain count: minute by
minute by the clock on the wall, day by day in the calendar."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from campaigns import governance
from campaigns.graph import times
from campaigns.models import Wave
from campaigns.services.broadcasts import broadcasts, waves
from campaigns.services.broadcasts.broadcasts import WaveInput
from campaigns.services.calendar import calendar
from campaigns.services.journeys import dates
from campaigns.services.sops import schedule
from contacts.models import Contact, CustomField, CustomValue
from contacts.services import stats
from scrm import clock
from tests.campaigns import test_broadcasts
from tests.campaigns.conftest import at
from tests.factories import in_brand, make_contact

people = test_broadcasts.people

# zone, and a moment near which something happens
EDGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),  # 02:00 becomes 03:00
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),  # 03:00 becomes 02:00
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),  # by half an hour
    ("America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)),  # midnight does not exist
    ("Asia/Shanghai", datetime(2028, 2, 28, 16, tzinfo=UTC)),  # a leap day begins
    ("Asia/Shanghai", datetime(2026, 12, 31, 16, tzinfo=UTC)),  # a year begins
]
edges = st.sampled_from(EDGES)
minutes = st.integers(-3 * 1440, 3 * 1440)
of_day = st.integers(0, 95).map(lambda n: time(n // 4, n % 4 * 15))


def wall(moment: datetime, zone: str) -> time:
    return moment.astimezone(ZoneInfo(zone)).time()


def is_in(now: time, start: time, end: time) -> bool:
    """Between two times of day, over midnight if the end comes first."""
    return start <= now < end if start < end else not end <= now < start


@settings(max_examples=150, deadline=None)
@given(edges, minutes, of_day, of_day)
def test_quiet_hours_end_at_the_first_minute_that_is_not_quiet(
    edge: Any, after: int, start: time, end: time
) -> None:
    if start == end:
        return
    zone, moment = edge[0], edge[1] + timedelta(minutes=after)
    wanted = moment
    while is_in(wall(wanted, zone), start, end):
        wanted += timedelta(minutes=1)
    assert governance.release_at(moment, (start, end), zone) == wanted


@settings(max_examples=150, deadline=None)
@given(edges, minutes, of_day, of_day, st.sets(st.integers(1, 7)))
@example(("America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)), -1, time(0), time(0, 15), set())
def test_business_hours_open_at_their_first_minute(
    edge: Any, after: int, start: time, end: time, weekdays: set[int]
) -> None:
    """Hours over midnight belong to the day on which they began."""
    if start == end:
        return
    zone, moment = edge[0], edge[1] + timedelta(minutes=after)

    def is_open(now: datetime) -> bool:
        local = now.astimezone(ZoneInfo(zone))
        if not is_in(local.time(), start, end):
            return False
        on = local.date() - timedelta(days=start > end and local.time() < end)
        return not weekdays or on.isoweekday() in weekdays

    found = times.moment(
        times.open_at(
            {"hours": True, "hours_from": f"{start:%H:%M}", "hours_until": f"{end:%H:%M}", "hours_days": sorted(weekdays)},
            np.array([int(moment.timestamp())]), zone,
        )[0]
    )  # fmt: skip
    assert found >= moment
    if is_open(moment):
        assert found == moment
        return
    # not before the first open minute; where their first minute is skipped by the clock, as much later as it was skipped
    wanted = moment
    while not is_open(wanted):
        wanted += timedelta(minutes=1)
    assert wanted <= found <= wanted + timedelta(hours=1), (wanted, found)
    assert is_open(found)


@settings(max_examples=200, deadline=None)
@given(edges, minutes, of_day, st.sets(st.integers(1, 7)))
def test_a_wait_until_a_time_of_day(edge: Any, after: int, wanted: time, weekdays: set[int]) -> None:
    zone, moment = edge[0], edge[1] + timedelta(minutes=after)
    first = moment.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
    days = [first + timedelta(days=n) for n in range(12)]
    expected = min(
        at
        for on in days
        if not weekdays or on.isoweekday() in weekdays
        if (at := schedule.run_at(on, 0, wanted.hour, wanted.minute, zone)) > moment
    )
    node = {"mode": "time", "time": f"{wanted:%H:%M}", "weekdays": sorted(weekdays)}
    base = np.array([int(moment.timestamp())])
    assert times.moment(times.wait_end(node, base, base, zone)[0]) == expected


@settings(max_examples=200, deadline=None)
@given(
    edges,
    minutes,
    st.integers(1, 40),
    st.sampled_from(["", "02:30", "10:00"]),
    st.sampled_from(["for", "event"]),
)
def test_days_of_a_wait_are_dates(edge: Any, after: int, n: int, then: str, mode: str) -> None:
    """The same time on the n-th date after it, or where that hour does not exist an hour later; the time-out of a wait for
    an event as well."""
    zone, moment = edge[0], edge[1] + timedelta(minutes=after)
    local = moment.astimezone(ZoneInfo(zone))
    expected = schedule.run_at(local.date(), n, local.hour, local.minute, zone)
    if then and mode == "for":
        hour, minute = map(int, then.split(":"))
        days = [expected.astimezone(ZoneInfo(zone)).date() + timedelta(days=d) for d in range(-1, 3)]
        expected = min(at for on in days if (at := schedule.run_at(on, 0, hour, minute, zone)) >= expected)
    node = {"mode": mode, "n": n, "unit": "days", "then": then}
    base = np.array([int(moment.timestamp())])
    assert times.moment(times.wait_end(node, base, base, zone)[0]) == expected


# ---- dates of customers


@pytest.mark.parametrize("offset", [-3, -1, 0, 1, 30])
def test_a_birthday_comes_once_a_year(brand: Any, staff: Any, offset: int) -> None:
    born = [date(2000, 2, 28), date(2000, 2, 29), date(2000, 3, 1), date(1999, 12, 31), date(1999, 1, 1)]
    with in_brand(brand):
        field = CustomField.objects.create(key="birthday", label="生日", type="date")
        who = [make_contact(brand, staff) for _ in born]
        for contact, on in zip(who, born, strict=True):
            CustomValue.objects.create(field=field, contact=contact, value_date=on)
        found: list[tuple[int, date]] = []
        for year in (2027, 2028, 2029):  # the second one is a leap year
            around = [date(year, 1, 1), date(year, 2, 29 if year == 2028 else 28), date(year, 12, 31)]
            days = {on + timedelta(days=d + offset) for on in around for d in range(-4, 5)}
            for on in sorted(days):
                asked = on - timedelta(days=offset)
                ids = dates.contacts_on(brand, "field:birthday", asked, yearly=True)
                found += [(pk, asked) for pk in ids if asked.year == year]
    counts = Counter((pk, asked.year) for pk, asked in found)
    assert counts == {(contact.pk, year): 1 for contact in who for year in (2027, 2028, 2029)}
    leap = who[1].pk
    assert [on for pk, on in found if pk == leap] == [date(2027, 2, 28), date(2028, 2, 29), date(2029, 2, 28)]


def test_the_day_of_adding_is_the_brands(brand: Any, staff: Any) -> None:
    """Half an hour before and after midnight in Berlin, on the days on which the clocks change."""
    brand.timezone = "Europe/Berlin"
    brand.save(update_fields=["timezone"])
    moments = [
        (datetime(2026, 3, 28, 22, 30, tzinfo=UTC), date(2026, 3, 28)),
        (datetime(2026, 3, 28, 23, 30, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 21, 30, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 10, 25, 22, 30, tzinfo=UTC), date(2026, 10, 25)),
        (datetime(2026, 10, 25, 23, 30, tzinfo=UTC), date(2026, 10, 26)),
    ]
    with in_brand(brand):
        who = [make_contact(brand, staff, added_at=moment) for moment, _on in moments]
        stats.refresh(brand, [contact.pk for contact in who])
        for contact, (moment, on) in zip(who, moments, strict=True):
            assert Contact.objects.get(pk=contact.pk).added_at == moment
            for back in (-1, 0, 1):
                there = dates.contacts_on(brand, "added", on + timedelta(days=back), yearly=False)
                assert (contact.pk in there) == (back == 0)
            later = date(on.year + 1, on.month, on.day)
            assert contact.pk in dates.contacts_on(brand, "added", later, yearly=True)


# ---- broadcasts that are repeated


@pytest.mark.parametrize(
    "zone, first, every, expected",
    [
        # the hour does not exist on the 29th, and is back on the next day
        ("Europe/Berlin", "2026-03-28 02:30", "day", ["03-29 03:30", "03-30 02:30", "03-31 02:30"]),
        ("Europe/Berlin", "2026-10-24 02:30", "day", ["10-25 02:30", "10-26 02:30"]),
        ("Europe/Berlin", "2026-10-18 09:00", "week", ["10-25 09:00", "11-01 09:00"]),
        ("Asia/Shanghai", "2027-12-31 10:00", "month", ["01-31 10:00", "02-29 10:00", "03-31 10:00", "04-30 10:00"]),
    ],
)  # fmt: skip
def test_a_rhythm_keeps_its_day_and_hour(zone: str, first: str, every: str, expected: list[str]) -> None:
    begun = moment = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    for wanted in expected:
        moment = schedule.next_in_rhythm(moment, every, zone, begun)
        assert f"{moment.astimezone(ZoneInfo(zone)):%m-%d %H:%M}" == wanted


@pytest.mark.parametrize("every", ["day", "week", "month"])
def test_the_calendar_shows_the_days_on_which_it_really_goes_out(
    brand: Any, people: list[Any], every: str
) -> None:
    first = at("2027-01-31 10:00")
    with in_brand(brand):
        with clock.at(first - timedelta(days=1)):
            draft = broadcasts.save_draft(
                brand,
                test_broadcasts.given(
                    waves=[WaveInput(first)], repeat=every, repeat_until=at("2027-05-31 23:59")
                ),
                by=test_broadcasts.WRITER,
            )
            broadcasts.launch(brand, broadcast_id=draft.pk, by=test_broadcasts.WRITER)
        with clock.at(first):
            waves.run_due(brand)
        second = Wave.objects.get(state="waiting").at
        with clock.at(second):
            waves.run_due(brand)
        now = second + timedelta(hours=1)
        with clock.at(now):
            days = calendar.read(brand, date(2027, 3, 1), date(2027, 3, 31)).days
            shown = [day.on for day in days if any(e.source == "broadcast" for e in day.entries)]
        while (wave := Wave.objects.filter(state="waiting").first()) is not None:
            with clock.at(wave.at):
                waves.run_due(brand)
        real = [wave.at.astimezone(ZoneInfo(brand.timezone)).date() for wave in Wave.objects.order_by("n")]
    assert shown == [on for on in real if on.month == 3 and on > now.date()]
