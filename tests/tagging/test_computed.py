"""Tags that move by themselves: the numbers, the brackets, each night, and one person at once."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import example, given
from hypothesis import strategies as st

from contacts.models import Contact, ContactStat, CustomField, CustomValue, Event, EventType
from contacts.services.timeline import record_event
from org.access import SYSTEM
from org.models import Job
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from tagging.measures import MEASURES, Bracket, add_months, days_until, months_between, problems
from tagging.models import ComputedTag, ContactTag, Tag, TagAct
from tagging.services.bits import bits_check
from tagging.services.rules import computed, reacting
from tagging.services.tags import deleting
from tagging.services.tags.tags import add_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact

NOW = datetime.fromisoformat("2026-11-20T04:00:00+00:00")
DAYS = st.dates(date(2000, 1, 1), date(2035, 12, 31))


@pytest.fixture(autouse=True)
def at_now() -> Iterator[None]:
    with clock.at(NOW):
        yield


# ---- numbers


@pytest.mark.django_db
def test_sql_and_python_agree() -> None:
    @given(st.lists(DAYS, min_size=1, max_size=40), DAYS)
    @example([date(2024, 2, 29), date(2024, 1, 31), date(2023, 12, 31)], date(2025, 2, 28))
    def check(days: list[date], today: date) -> None:
        names = ("age_months", "age_years", "days_until")
        columns = ", ".join(MEASURES[name].sql for name in names)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT v.value_date, {columns} FROM unnest(%(days)s::date[]) AS v(value_date)",
                {"days": days, "today": today},
            )
            for day, months, years, until in cursor.fetchall():
                assert months == months_between(day, today)
                assert years == months_between(day, today) // 12
                assert until == days_until(day, today) and 0 <= until <= 366

    check()


def test_months_of_a_baby() -> None:
    born = date(2026, 1, 31)
    for today, months in (
        ("2026-02-27", 0),
        ("2026-02-28", 1),
        ("2026-03-30", 1),
        ("2026-03-31", 2),
        ("2025-12-01", -2),
    ):
        assert months_between(born, date.fromisoformat(today)) == months
    assert add_months(date(2024, 2, 29), 12) == date(2025, 2, 28)


@given(st.lists(st.tuples(st.integers(-5, 20), st.integers(-5, 20)), max_size=6), st.integers(-6, 21))
def test_brackets_that_pass_hold_at_most_once(pairs: list[tuple[int, int]], value: int) -> None:
    brackets = [Bracket(low, high) for low, high in pairs]
    if not list(problems(brackets)):
        assert sum(b.holds(value) for b in brackets) <= 1


# ---- sets


def save(
    brand: Any, brackets: list[dict[str, Any]], measure: str = "months_joined", row: Any = None, **more: Any
) -> Any:
    with tenant_scope(brand):
        values = {"name": "入会月数", "measure": measure, "brackets": brackets, **more}
        return computed.save(brand, by=SYSTEM, values=values, row=row)


def switch(brand: Any, row: ComputedTag, on: bool = True) -> None:
    with in_brand(brand):
        computed.switch(brand, by=SYSTEM, row=row, on=on)


def carried(brand: Any) -> dict[str, set[str]]:
    """Contact → names of computed tags."""
    with in_brand(brand):
        found: dict[str, set[str]] = {}
        for row in ContactTag.objects.filter(source__startswith="computed").select_related("tag", "contact"):
            found.setdefault(row.contact.name, set()).add(row.tag.name)
        return found


JOINED = [
    {"name": "新客", "to": 1}, {"name": "1-3个月", "from": 1, "to": 3}, {"name": "老客", "from": 3},
]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_they_move_with_the_days(brand: Any, other_brand: Any) -> None:
    with in_brand(brand):
        for days in (0, 35, 200):
            make_contact(brand, name=f"{days}天", added_at=NOW - timedelta(days=days))
    with in_brand(other_brand):
        make_contact(other_brand)
    row = save(brand, JOINED)
    with in_brand(brand):
        assert sorted(computed.counts(brand, row).values()) == [1, 1, 1]
    switch(brand, row)
    assert carried(brand) == {"0天": {"新客"}, "35天": {"1-3个月"}, "200天": {"老客"}}
    with in_brand(brand):
        row.refresh_from_db()
        assert row.run_on == date(2026, 11, 20)
        n_events = Event.objects.count()
    with tenant_scope(brand):
        assert computed.start_due(brand) == []
    # the next night: nothing has moved, nothing is written
    with clock.at(NOW + timedelta(days=1)), tenant_scope(brand):
        assert len(computed.start_due(brand)) == 1
    with in_brand(brand):
        assert Event.objects.count() == n_events and TagAct.objects.count() == 1
    with clock.at(NOW + timedelta(days=62)), tenant_scope(brand):
        computed.start_due(brand)
    assert carried(brand) == {"0天": {"1-3个月"}, "35天": {"老客"}, "200天": {"老客"}}
    with in_brand(other_brand):
        assert not ContactTag.objects.exists()
    with tenant_scope(brand):
        assert not bits_check.check(brand)


@pytest.mark.django_db(transaction=True)
def test_one_person_when_something_happens(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        people = [make_contact(brand, staff, name=n) for n in ("甲", "乙")]
    levels = [
        {"name": "没买过", "to": 1}, {"name": "百元", "from": 1, "to": 20_000}, {"name": "高客单", "from": 20_000},
    ]  # fmt: skip
    row = save(brand, levels, "spent_fen")
    switch(brand, row)
    assert carried(brand) == {"甲": {"没买过"}, "乙": {"没买过"}}
    with in_brand(brand):
        ContactStat.objects.filter(contact=people[0]).update(spent_fen=30_000)
        record_event(brand, contact_id=people[0].pk, type=EventType.ORDER_PAID, at=clock.now())
    with tenant_scope(brand):
        reacting.react(brand)
    assert carried(brand) == {"甲": {"高客单"}, "乙": {"没买过"}}


@pytest.mark.django_db(transaction=True)
def test_a_babys_age_from_a_field(brand: Any) -> None:
    with in_brand(brand):
        field = CustomField.objects.create(key="baby", label="宝宝生日", type="date")
        text = CustomField.objects.create(key="x", label="x", type="text")
        for name, born in (
            ("甲", date(2026, 8, 21)),
            ("乙", date(2025, 1, 1)),
            ("丙", date(2027, 2, 1)),
            ("无", None),
        ):
            contact = make_contact(brand, name=name)
            if born:
                CustomValue.objects.create(field=field, contact=contact, value_date=born)
    brackets = [
        {"name": "孕期", "to": 0}, {"name": "0-3月龄", "from": 0, "to": 3}, {"name": "3月龄以上", "from": 3},
        {"name": "未填生日", "none": True},
    ]  # fmt: skip
    with pytest.raises(InvalidError):
        save(brand, brackets, "age_months", field_id=text.pk)
    row = save(brand, brackets, "age_months", field_id=field.pk)
    switch(brand, row)
    assert carried(brand) == {"甲": {"0-3月龄"}, "乙": {"3月龄以上"}, "丙": {"孕期"}, "无": {"未填生日"}}
    with clock.at(NOW + timedelta(days=1)), tenant_scope(brand):
        computed.start_due(brand)
    assert carried(brand)["甲"] == {"3月龄以上"}
    with in_brand(brand):
        CustomValue.objects.all().delete()
    with clock.at(NOW + timedelta(days=2)), tenant_scope(brand):
        computed.start_due(brand)
    assert set(map(frozenset, carried(brand).values())) == {frozenset({"未填生日"})}


@pytest.mark.django_db(transaction=True)
def test_changed_and_deleted(brand: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand, name="甲", added_at=NOW - timedelta(days=200))
    row = save(brand, JOINED)
    switch(brand, row)
    tags = {b["tag_id"] for b in row.brackets}
    stay = row.brackets[2]["tag_id"]
    changed = [{"name": "三到六月", "from": 3, "to": 6, "tag_id": stay}, {"name": "半年以上", "from": 6}]
    row = save(brand, changed, row=row)
    with in_brand(brand):
        assert set(Tag.objects.filter(deleted_at=None).values_list("name", flat=True)) == {
            "三到六月",
            "半年以上",
        }
        assert Tag.objects.get(pk=stay).name == "三到六月"
        add_tags(brand, contacts=[contact], tags=[stay], source="page")  # by hand: it is kept by the number
    with tenant_scope(brand):
        assert len(computed.start_due(brand)) == 1
    assert carried(brand) == {"甲": {"半年以上"}}
    with in_brand(brand):
        tag = Tag.objects.select_related("group").get(pk=stay)
    with tenant_scope(brand), pytest.raises(ConflictError):
        deleting.delete_tag(brand, by=SYSTEM, tag=tag)
    with tenant_scope(brand):
        computed.delete(brand, by=SYSTEM, row=row)
    with in_brand(brand):
        assert not Tag.objects.filter(deleted_at=None).exists() and len(tags) == 3
        assert Job.objects.filter(state="failed").count() == 0
    assert save(brand, JOINED).pk != row.pk  # the name is free again


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "bad",
    [
        {"name": ""}, {"measure": "moon"}, {"measure": "age_months"}, {"brackets": []}, {"brackets": None},
        {"brackets": [{"name": "x", "from": 3, "to": 3}]}, {"brackets": [{"name": "x", "from": "a"}]},
        {"brackets": [{"name": "a", "to": 5}, {"name": "b", "from": 4}]}, {"brackets": [{"name": "长" * 31}]},
        {"brackets": [{"name": "a", "to": 5}, {"name": "a", "from": 5}]}, {"brackets": ["x"]},
        {"brackets": [{"name": "a", "none": True}, {"name": "b", "none": True}]},
    ],
    ids=str,
)  # fmt: skip
def test_nonsense_is_refused(brand: Any, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        save(brand, **{"brackets": JOINED, **bad})
    with in_brand(brand):
        assert not ComputedTag.objects.exists() and not Tag.objects.exists() and not Contact.objects.exists()
