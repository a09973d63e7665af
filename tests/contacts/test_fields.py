"""Custom fields, stages and reminders: what a brand itself notes of a customer."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, connections

from contacts.models import Contact, CustomField, CustomValue, Event, EventType, Reminder
from contacts.services import fields, reminders, stages, values
from contacts.services.identity.identity import merge
from org.access import Actor
from org.models import AuditEntry
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tests.factories import in_brand, make_contact
from wecom.models import OutboundCall

ME = Actor("我")
T = CustomField.Type


@pytest.fixture
def made(brand: Any) -> dict[str, CustomField]:
    """A field of each type."""
    with in_brand(brand):
        return {
            kind: fields.create_field(
                brand, by=ME, label=f"字段 {kind}", type=kind, key=f"f_{kind}", options=["甲", "乙"]
            )
            for kind in T.values
        }


GOOD: dict[str, list[tuple[Any, Any, str]]] = {
    "text": [(" 你好 ", "你好", "你好"), (5, "5", "5")],
    "number": [("1,234.5", 1234.5, "1,234.5"), (3, 3.0, "3"), ("-2", -2.0, "-2")],
    "date": [("2026-3-1", date(2026, 3, 1), "2026-03-01"), ("2026年3月1日", date(2026, 3, 1), "2026-03-01")],
    "choice": [("乙", "乙", "乙")],
    "bool": [("是", True, "是"), (False, False, "否"), ("0", False, "否")],
}
BAD: dict[str, list[Any]] = {
    "text": ["x" * 201, True, ["x"]],
    "number": ["abc", "nan", "1e999", True, {}],
    "date": ["2026-13-01", "03/01/2026", 5],
    "choice": ["丙", 1],
    "bool": ["vielleicht", 2],
}


def test_values_of_each_type(brand: Any, made: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand)
        for kind, cases in GOOD.items():
            for raw, value, shown in cases:
                values.set_values(brand, contact=contact, values={made[kind]: raw}, by=ME)
                assert values.values_of([contact.pk], [made[kind]])[contact.pk] == {made[kind].pk: value}
                from django.utils.translation import override

                with override("zh-hans"):
                    assert values.show(made[kind], value) == shown
        for kind, raws in BAD.items():
            for raw in raws:
                with pytest.raises(InvalidError) as caught:
                    values.set_values(brand, contact=contact, values={made[kind]: raw}, by=ME)
                assert made[kind].key in caught.value.details["fields"]
        n = CustomValue.objects.count()
        assert n == len(T.values)
        values.set_values(brand, contact=contact, values={made["text"]: "  "}, by=ME)
        assert CustomValue.objects.count() == n - 1


def test_changes_are_on_the_timeline_once(brand: Any, made: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand)
        both = {made["text"]: "a", made["number"]: "1"}
        assert values.set_values(brand, contact=contact, values=both, by=ME) == 2
        assert values.set_values(brand, contact=contact, values=both, by=ME) == 0
        assert values.set_values(brand, contact=contact, values={made["text"]: "b"}, by=ME) == 1
        told = Event.objects.filter(type=EventType.FIELD_CHANGED).order_by("pk").last()
        assert told and told.data == {"field": "字段 text", "by": "我", "before": "a", "after": "b"}
        assert Event.objects.filter(type=EventType.FIELD_CHANGED).count() == 3


def test_many_at_once(brand: Any, made: Any) -> None:
    with in_brand(brand):
        people = [make_contact(brand) for _ in range(3)]
        ids = [c.pk for c in people]
        for kind, numbers in (("number", [1.0, 2.0, 3.0]), ("date", [date(2026, 1, n) for n in (1, 2, 3)])):
            given = dict(zip(ids, numbers, strict=True))
            assert values.write_values(brand, made[kind], given) == 3
            assert values.write_values(brand, made[kind], given) == 0
            assert values.write_values(brand, made[kind], given | {ids[0]: None}) == 1
            assert values.write_values(brand, made[kind], given | {ids[1]: numbers[0]}) == 2
        assert values.write_values(brand, made["bool"], dict.fromkeys(ids, False)) == 3


def test_fields_themselves(brand: Any, other_brand: Any, made: Any) -> None:
    with in_brand(brand):
        assert [f.key for f in fields.live_fields()] == [f"f_{kind}" for kind in T.values]
        with pytest.raises(ConflictError):
            fields.create_field(brand, by=ME, label="x", type="text", key="f_text")
        for over in ({"key": "9x"}, {"label": " "}, {"type": "json"}, {"type": "choice", "options": [" "]}):
            with pytest.raises(InvalidError):
                fields.create_field(brand, by=ME, **({"label": "x", "type": "text"} | over))
        contact = make_contact(brand)
        choice = made["choice"]
        values.set_values(brand, contact=contact, values={choice: "甲"}, by=ME)
        fields.edit_field(brand, choice.pk, by=ME, label="等级", options=["丙", "乙"], renamed={"甲": "丙"})
        assert CustomValue.objects.get().value_text == "丙"
        fields.move_field(brand, choice.pk, down=False)
        assert [f.key for f in fields.live_fields()][2] == "f_choice"
        fields.set_archived(brand, choice.pk, by=ME, archived=True)
        assert choice.pk not in [f.pk for f in fields.live_fields()] and CustomValue.objects.exists()
        assert AuditEntry.objects.filter(action="field.archive").count() == 1
        assert fields.create_field(brand, by=ME, label="自动", type="text").key == "field_6"
    with in_brand(other_brand), pytest.raises(NotFoundError):
        fields.edit_field(other_brand, choice.pk, by=ME, label="x")


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_values_are_found_by_index_under_row_level_security(brand: Any, made: Any) -> None:
    """As the application's role: the condition on the value is in the index, for each type."""
    with in_brand(brand):
        people = [make_contact(brand).pk for _ in range(40)]
        more = CustomField.objects.bulk_create(
            CustomField(key=f"k{n}", label="x", type="bool") for n in range(40)
        )
        for field in more:
            values.write_values(brand, field, dict.fromkeys(people, False))
        values.write_values(brand, made["bool"], {pk: pk == people[0] for pk in people})
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE contacts_customvalue")
    with in_brand(brand), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for kind, value in (("text", "a"), ("number", 1.5), ("date", date(2026, 1, 1)), ("bool", True)):
            column = made[kind].column
            cursor.execute(
                f"EXPLAIN SELECT contact_id FROM contacts_customvalue WHERE brand_id = %s AND field_id = %s"
                f" AND {column} = %s",
                [brand.pk, made[kind].pk, value],
            )
            plan = "\n".join(row[0] for row in cursor.fetchall())
            condition = next(line for line in plan.splitlines() if "Index Cond" in line)
            assert f"custom_{column}" in plan and "field_id" in condition and column in condition, plan


def test_stages(brand: Any, other_brand: Any) -> None:
    with in_brand(brand):
        first, second = (stages.create_stage(brand, by=ME, name=name) for name in ("意向", "成交"))
        people = [make_contact(brand) for _ in range(2)]
        assert stages.set_stage(brand, contacts=people, stage=first, by=ME) == 2
        assert stages.set_stage(brand, contacts=people, stage=first, by=ME) == 0
        assert stages.set_stage(brand, contacts=people[:1], stage=second, by=ME) == 1
        told = Event.objects.filter(type=EventType.STAGE_CHANGED).order_by("pk").last()
        assert told and (told.data["before"], told.data["after"]) == ("意向", "成交")
        stages.move_stage(brand, second.pk, down=False)
        assert [s.name for s in stages.live_stages()] == ["成交", "意向"]
        with pytest.raises(ConflictError):
            stages.create_stage(brand, by=ME, name="意向")
        with pytest.raises(ConflictError):
            stages.rename_stage(brand, second.pk, by=ME, name="意向")
        stages.set_archived(brand, first.pk, by=ME, archived=True)
        first.refresh_from_db()
        with pytest.raises(InvalidError):
            stages.set_stage(brand, contacts=people, stage=first, by=ME)
        assert Contact.objects.get(pk=people[1].pk).stage == first
        assert stages.create_stage(brand, by=ME, name="意向").pk == first.pk  # it comes back
        assert stages.set_stage(brand, contacts=people, stage=None, by=ME) == 2
    with in_brand(other_brand), pytest.raises(NotFoundError):
        stages.get_stage(first.pk)


def test_what_is_noted_survives_a_merge(brand: Any, made: Any, staff: Any) -> None:
    with in_brand(brand):
        stage = stages.create_stage(brand, by=ME, name="意向")
        keep, lose = make_contact(brand), make_contact(brand)
        values.set_values(brand, contact=keep, values={made["text"]: "mine"}, by=ME)
        values.set_values(brand, contact=lose, values={made["text"]: "theirs", made["number"]: 1}, by=ME)
        stages.set_stage(brand, contacts=[lose], stage=stage, by=ME)
        reminders.add_reminder(
            brand, contact=lose, staff=staff, text="回访", due_at=clock.now() + timedelta(days=1), by=ME
        )
        lose.refresh_from_db()
        kept = merge(brand, keep=keep, lose=lose, why={})
        assert kept.stage == stage and Reminder.objects.get().contact == kept
        found = values.values_of([kept.pk], fields.live_fields())[kept.pk]
        assert found == {made["text"].pk: "mine", made["number"].pk: 1.0}


def test_reminders_are_told_once(brand: Any, staff: Any) -> None:
    now = clock.now()
    with in_brand(brand):
        contact = make_contact(brand, staff, name="王小明")
        for wrong in (
            {"text": " "},
            {"text": "x" * 201},
            {"due_at": now - timedelta(days=1)},
            {"due_at": now + timedelta(days=900)},
        ):
            with pytest.raises(InvalidError):
                reminders.add_reminder(
                    brand,
                    **({"contact": contact, "staff": staff, "text": "x", "due_at": now, "by": ME} | wrong),
                )
        row = reminders.add_reminder(
            brand, contact=contact, staff=staff, text="回访试用装", due_at=now + timedelta(hours=1), by=ME
        )
        assert reminders.tell_due(brand) == 0
    with in_brand(brand), clock.at(now + timedelta(hours=2)):
        assert reminders.tell_due(brand) == 1 and reminders.tell_due(brand) == 0
        call = OutboundCall.objects.get(kind=OutboundCall.Kind.NOTICE)
        assert "王小明" in call.payload["title"] and call.payload["text"] == "回访试用装"
        assert f"/g/customers/{contact.pk}/?corp=" in call.payload["url"]
        reminders.move_reminder(brand, row.pk, due_at=now + timedelta(hours=3))
    with in_brand(brand), clock.at(now + timedelta(hours=4)):
        assert reminders.tell_due(brand) == 1
        assert OutboundCall.objects.filter(kind=OutboundCall.Kind.NOTICE).count() == 2
        for _ in range(2):
            reminders.finish(brand, row.pk, by=ME)
        assert Event.objects.filter(type=EventType.REMINDER_DONE).count() == 1
        reminders.finish(brand, row.pk, by=ME, done=False)
        assert Reminder.objects.get().done_at is None
        reminders.delete_reminder(brand, row.pk)
        with pytest.raises(NotFoundError):
            reminders.finish(brand, row.pk, by=ME)
