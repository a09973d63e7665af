"""Tags of contacts: sets, events, what WeCom is told."""

import contextlib
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from contacts.models import Event, EventType, Follow
from scrm import clock
from tagging.models import ContactTag, Tag, TagAct, TagBefore, TagGroup
from tagging.services.bits import bits_check
from tagging.services.tags import changes, one
from tagging.services.tags.marks import on_the_way
from tagging.services.tags.tags import add_tags, carried, remove_tags
from tagging.services.tags.wecom_tags import mirror
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_staff, make_tag
from tests.tagging.test_hot_plans import explained
from wecom.models import OutboundCall


@pytest.fixture(autouse=True)
def nothing_is_delivered(settings: Any) -> None:
    """These tests run inside one transaction, so calls stay queued."""


@pytest.fixture
def group(brand: Any, corp: Any) -> TagGroup:
    with in_brand(brand):
        return TagGroup.objects.create(corp=corp, wecom_id="g1", name="等级")


@pytest.fixture
def gold(brand: Any, group: Any) -> Tag:
    with in_brand(brand):
        return make_tag(brand, "金卡", group, wecom_id="et-gold")


def calls() -> list[dict]:
    return list(OutboundCall.objects.order_by("pk").values_list("payload", flat=True))


def test_add_and_remove(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        people = [make_contact(brand, staff) for _ in range(3)]
        tags = [make_tag(brand, "甲"), make_tag(brand, "乙")]
        assert add_tags(brand, contacts=people, tags=tags, source="page", by_staff=staff) == 6
        assert add_tags(brand, contacts=[c.pk for c in people], tags=[t.pk for t in tags], source="api") == 0
        row = ContactTag.objects.filter(contact=people[0], tag=tags[0]).get()
        assert (row.source, row.staff_id) == ("page", staff.pk)
        event = Event.objects.filter(type=EventType.TAGGED, contact_id=people[0].pk).order_by("id").first()
        assert (
            event
            and event.data["tag"] == "甲"
            and event.object_id == tags[0].pk
            and event.staff_id == staff.pk
        )
        assert remove_tags(brand, contacts=people[:2], tags=tags[:1], source="page") == 2
        assert remove_tags(brand, contacts=people[:2], tags=tags[:1], source="page") == 0
        assert Event.objects.filter(type=EventType.UNTAGGED).count() == 2
        assert {t.tag.name for t in carried([people[0].pk])[people[0].pk]} == {"乙"}
        assert calls() == []


def test_same_number_of_queries_for_many(
    brand: Any, corp: Any, staff: Any, gold: Any, django_assert_num_queries: Any
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = []
    with in_brand(brand):
        for n in (2, 20):
            people = [make_contact(brand, staff) for _ in range(n)]
            with CaptureQueriesContext(
                connection,
            ) as seen:
                assert add_tags(brand, contacts=people, tags=[gold, make_tag(brand)], source="page") == 2 * n
            counts.append(len(seen))
    assert counts[0] == counts[1]


def test_corp_tags_are_told_to_wecom_once_per_relation(brand: Any, corp: Any, staff: Any, gold: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand, staff)
        first = Follow.objects.get()
        ended = make_staff(brand, corp)
        Follow.objects.create(
            contact=contact,
            staff=ended,
            corp=corp,
            external_userid=first.external_userid,
            added_at=clock.now(),
            ended_at=clock.now(),
        )
        add_tags(brand, contacts=[contact], tags=[gold], source="page")
        call = {
            "userid": staff.userid,
            "external_userid": first.external_userid,
            "add": ["et-gold"],
            "remove": [],
        }
        assert calls() == [call]
        assert OutboundCall.objects.get().subject == first.external_userid
        add_tags(brand, contacts=[contact], tags=[gold], source="page")
        assert len(calls()) == 1
        # a second guide comes: the contact has the tag already, the new relation does not show it
        Follow.objects.filter(staff=ended).update(ended_at=None)
        assert add_tags(brand, contacts=[contact], tags=[gold], source="channel_code:1") == 0
        assert calls()[1:] == [{**call, "userid": ended.userid}]
        remove_tags(brand, contacts=[contact], tags=[gold], source="page")
        assert [c["remove"] for c in calls()[2:]] == [["et-gold"], ["et-gold"]]
        assert [c["add"] for c in calls()] == [[], [], [], []]
        assert OutboundCall.objects.filter(state="done").count() == 2
        assert (
            set(Follow.objects.values_list("wecom_tag_ids", flat=True).order_by("pk").first() or []) == set()
        )
        # put on, off and on again: three acts; what is contrary and not made yet is taken back
        add_tags(brand, contacts=[contact], tags=[gold], source="page")
        assert len(calls()) == 6
        waiting = OutboundCall.objects.filter(state="waiting").order_by("pk")
        assert [(c.payload["add"], c.payload["remove"]) for c in waiting] == [(["et-gold"], [])] * 2
        assert on_the_way(corp, [first.external_userid])[staff.userid, first.external_userid] == (
            {"et-gold"},
            set(),
        )


def told(tag: Tag) -> list[tuple]:
    events = Event.objects.filter(type=EventType.TAGGED, object_id=tag.pk).order_by("pk")
    return list(
        events.values_list("contact_id", "staff_id", "source", "data__tag", "data__group", "data__why")
    )


@pytest.mark.parametrize("prepares", [True, False])
@pytest.mark.parametrize("is_alone", [True, False])
@pytest.mark.django_db(transaction=True)
def test_one_tag_on_one_contact_is_as_many(brand: Any, settings: Any, is_alone: bool, prepares: bool) -> None:
    """What one statement does to one contact is what the statement for many does to each: row, end, timeline, bits."""
    settings.DATABASE_PREPARE = prepares
    connection.close()  # what it has prepared goes with it
    soon, late = clock.now() + timedelta(days=1), clock.now() + timedelta(days=9)
    with in_brand(brand):
        tag, deleted = make_tag(brand, "甲"), make_tag(brand, "旧")
        Tag.objects.filter(pk=deleted.pk).update(deleted_at=clock.now())
        person, other, third = (make_contact(brand) for _ in range(3))
    outer = contextlib.nullcontext if is_alone else transaction.atomic

    def put(contact_id: int, expires_at: Any, source: str, tag_id: int = tag.pk) -> tuple[int, int]:
        with tenant_scope(brand):
            with outer():
                n = add_tags(
                    brand, contacts=[contact_id], tags=[tag_id], source=source, expires_at=expires_at
                )
            with transaction.atomic():
                pairs = changes.each([tag_id], [other.pk if contact_id == person.pk else contact_id])
                return n, changes.put_on(brand, pairs, source=source, expires_at=expires_at).n

    assert put(person.pk, soon, "channel_code:7") == (1, 1)
    assert put(person.pk, late, "page") == (0, 0)  # kept for longer
    assert put(person.pk, soon, "rule:1") == (0, 0)
    assert put(person.pk, None, "api") == (0, 0)
    assert put(person.pk, late, "rule:2") == (0, 0)
    assert put(third.pk + 1_000_000, None, "api") == (0, 0)
    assert put(person.pk, None, "api", deleted.pk) == (0, 0)
    with in_brand(brand):
        rows = ContactTag.objects.order_by("contact").values_list(
            "contact_id", "source", "staff_id", "expires_at"
        )
        assert list(rows) == [(person.pk, "api", None, None), (other.pk, "api", None, None)]
        assert told(tag) == [
            (pk, None, "channel_code", "甲", tag.group.name, "channel_code:7") for pk in (person.pk, other.pk)
        ]
        assert sum(bits_check.check(brand).values()) == 0


@pytest.mark.django_db(transaction=True)
def test_a_corp_tag_is_never_put_on_in_one_statement(brand: Any, corp: Any, staff: Any, gold: Any) -> None:
    """WeCom is told in the same transaction."""
    with in_brand(brand):
        contact = make_contact(brand, staff)
    with tenant_scope(brand):
        assert one.put_on_alone(brand, tag_id=gold.pk, contact_id=contact.pk, source="page") is None
    with in_brand(brand):
        assert not ContactTag.objects.exists()


def test_deleted_tags_and_unknown_contacts_are_skipped(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        contact, tag = make_contact(brand, staff), make_tag(brand, deleted_at=clock.now())
        assert add_tags(brand, contacts=[contact], tags=[tag], source="page") == 0
        assert add_tags(brand, contacts=[contact.pk, 10**12], tags=[make_tag(brand)], source="page") == 1


def test_other_brands_contacts_and_tags(brand: Any, other_brand: Any, staff: Any) -> None:
    with in_brand(other_brand):
        foreign, foreign_tag = make_contact(other_brand), make_tag(other_brand)
    with in_brand(brand):
        mine, tag = make_contact(brand, staff), make_tag(brand)
        assert add_tags(brand, contacts=[foreign.pk], tags=[tag], source="page") == 0
        assert add_tags(brand, contacts=[mine], tags=[foreign_tag.pk], source="page") == 0
        assert remove_tags(brand, contacts=[foreign.pk], tags=[tag], source="page") == 0
    with in_brand(other_brand):
        assert not ContactTag.objects.exists() and not Event.objects.exists()


def test_mirror_of_wecom(brand: Any, corp: Any, staff: Any, gold: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand, staff)
        other = make_staff(brand, corp)
        Follow.objects.create(
            contact=contact, staff=other, corp=corp, external_userid="x", added_at=clock.now()
        )
        Follow.objects.filter(staff=staff).update(wecom_tag_ids=["et-gold", "et-unknown"])
        change: tuple[int, int, list[str], list[str]] = (contact.pk, staff.pk, ["et-gold", "et-unknown"], [])
        assert mirror(brand, corp_id=corp.pk, changes=[change]) == 1
        assert mirror(brand, corp_id=corp.pk, changes=[change]) == 0
        row = ContactTag.objects.get()
        assert (row.source, row.staff_id) == ("wecom", staff.pk)
        # the other guide shows it too: taken off one relation, the contact keeps it
        Follow.objects.filter(staff=other).update(wecom_tag_ids=["et-gold"])
        Follow.objects.filter(staff=staff).update(wecom_tag_ids=[])
        assert mirror(brand, corp_id=corp.pk, changes=[(contact.pk, staff.pk, [], ["et-gold"])]) == 0
        Follow.objects.update(wecom_tag_ids=[])
        assert mirror(brand, corp_id=corp.pk, changes=[(contact.pk, other.pk, [], ["et-gold"])]) == 1
        assert not ContactTag.objects.exists()
        assert Event.objects.filter(type=EventType.UNTAGGED).get().staff_id == other.pk
        assert calls() == []


@pytest.mark.parametrize("n", [3, changes.FEW])  # people: few pairs, and many
@pytest.mark.parametrize("is_each", [True, False])
def test_pairs_are_met_once_however_they_are_told(
    brand: Any, other_brand: Any, corp: Any, staff: Any, gold: Any, n: int, is_each: bool
) -> None:
    """Told twice, of a deleted tag, of nobody, of another brand, carried already for good, carried for a time: what is
    put on, taken off and told is the same for every one of some tags on everybody as pair by pair."""
    with in_brand(other_brand):
        foreign, foreign_tag = make_contact(other_brand).pk, make_tag(other_brand).pk
    with in_brand(brand):
        ids = [make_contact(brand, staff).pk for _ in range(n)]
        own, dead = make_tag(brand), make_tag(brand, deleted_at=clock.now())
        changes.put_on(brand, changes.given([(own.pk, ids[0])]), source="wecom")
        soon = clock.now() + timedelta(days=1)
        changes.put_on(brand, changes.given([(own.pk, ids[1])]), source="wecom", expires_at=soon)
        tags, people = [gold.pk, own.pk, dead.pk, foreign_tag, own.pk], [*ids, foreign, *ids[:2], 10**12]
        pairs = changes.each(tags, people)
        if not is_each:
            pairs = changes.given([(tag, pk) for tag in reversed(tags) for pk in people])
        act = TagAct.objects.create(kind="filter", title="x", by="x")
        done = changes.put_on(brand, pairs, source="page", staff_id=staff.pk, act_id=act.pk)
        assert (done.n, done.n_later) == (2 * n - 2, 1)
        assert set(ContactTag.objects.values_list("tag_id", "contact_id")) == {
            (tag, pk) for tag in (gold.pk, own.pk) for pk in ids
        }
        ours = ContactTag.objects.filter(source="page", staff_id=staff.pk, act_id=act.pk, expires_at=None)
        assert ours.count() == 2 * n - 1
        assert TagBefore.objects.get().expires_at == soon
        assert (
            Event.objects.filter(type=EventType.TAGGED, source="page", staff_id=staff.pk).count() == 2 * n - 2
        )
        assert len(calls()) == n  # of the corp tag
        assert bits_check.check(brand) == {}
        assert changes.put_on(brand, pairs, source="api").n == 0
        Tag.objects.filter(pk=own.pk).update(deleted_at=clock.now())  # it can be taken off all the same
        assert changes.take_off(brand, pairs, source="page", staff_id=staff.pk).n == 2 * n
        assert not ContactTag.objects.exists() and bits_check.check(brand) == {}
        assert Event.objects.filter(type=EventType.UNTAGGED, staff_id=staff.pk).count() == 2 * n


def test_many_people_at_once_in_a_brand_that_postgres_does_not_know(brand: Any) -> None:
    """Five thousand people: counted, in the bitmap and on the timeline, put on and taken off; never pair by pair, and
    what Postgres was told for it holds for nothing else."""
    n = 5_000
    with in_brand(brand):
        tag = make_tag(brand, "全部")
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO contacts_contact (brand_id, position, name, avatar, gender, kind, corp_name, do_not_contact,"
                " n_follows, added_at) SELECT %s, i, '客', '', 0, 1, '', false, 0, %s FROM generate_series(900001, %s) i"
                " RETURNING id",
                [brand.pk, clock.now(), 900_000 + n],
            )
            ids = [pk for (pk,) in cursor.fetchall()]
        pairs = changes.given([(tag.pk, pk) for pk in ids])
        with explained() as plans:
            assert changes.put_on(brand, pairs, source="page").n == n
            assert changes.put_on(brand, pairs, source="page").n == 0
            _same(brand, tag, EventType.TAGGED, n_events=n, n_bits=n)
            assert ContactTag.objects.filter(tag=tag).count() == n
            assert changes.take_off(brand, pairs, source="page").n == n
            _same(brand, tag, EventType.UNTAGGED, n_events=n, n_bits=0)
        sets = [plan for plan in plans if "CTE wanted" in plan]
        assert len(sets) == 3 and not [plan for plan in sets if "Nested Loop" in plan]
        assert not ContactTag.objects.filter(tag=tag).exists()


def _same(brand: Any, tag: Tag, kind: EventType, *, n_events: int, n_bits: int) -> None:
    """Timelines and bitmap say so, and the switches of a set are as they were."""
    assert Event.objects.filter(type=kind, object_id=tag.pk).count() == n_events
    connection.write_last()  # type: ignore[attr-defined]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(bit_count(bits)) FROM tagging_dimbits WHERE brand_id = %s AND val = %s",
            [brand.pk, tag.pk],
        )
        assert cursor.fetchone() == (n_bits,)
        cursor.execute("SHOW enable_nestloop")
        assert cursor.fetchone() == ("on",)
