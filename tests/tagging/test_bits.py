"""Bitmaps and ContactStat follow everything that happens to a contact."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from contacts.models import Contact, ContactStat, Event, EventType, Follow
from contacts.services import stats
from contacts.services.contacts import set_do_not_contact
from contacts.services.follow import end_follow, record_follow
from contacts.services.identity.identity import resolve
from org.access import SYSTEM
from scrm import clock
from tagging.models import BITS, ContactTag, Dim, Flag, TagAct
from tagging.services.bits import bits, bits_check
from tagging.services.tags import changes
from tagging.services.tags.tags import add_tags, remove_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_staff, make_tag
from tests.threads import meanwhile, together


def positions(brand: Any, dim: Dim, val: int) -> set[int]:
    """Positions whose bit is set."""
    bits.flush()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT chunk, bits::text FROM tagging_dimbits WHERE brand_id = %s AND dim = %s AND val = %s",
            [brand.pk, dim, val],
        )
        rows = cursor.fetchall()
    return {chunk * BITS + i for chunk, text in rows for i, bit in enumerate(text) if bit == "1"}


def differences(brand: Any) -> dict[Dim, list]:
    found = {}
    for dim in bits_check.dims():
        for vals in bits_check._batches(brand, dim):
            if wrong := bits_check.compare(brand, dim, vals):
                found[dim] = wrong
    return found


def assert_true(brand: Any) -> None:
    """Bitmaps and ContactStat agree with the truth."""
    assert differences(brand) == {}
    columns = ("position", "n_follows", "added_at", "lost_at", "gender", "do_not_contact")
    assert set(ContactStat.objects.values_list("contact_id", *columns)) == set(
        Contact.objects.values_list("pk", *columns)
    )


def test_tags(brand: Any) -> None:
    with in_brand(brand):
        near, far = make_contact(brand), make_contact(brand, position=3 * BITS + 5)
        tag = make_tag(brand)
        add_tags(brand, contacts=[near, far], tags=[tag], source="page")
        assert positions(brand, Dim.TAG, tag.pk) == {near.position, far.position}
        add_tags(brand, contacts=[near], tags=[tag], source="page")
        remove_tags(brand, contacts=[near], tags=[tag], source="page")
        assert positions(brand, Dim.TAG, tag.pk) == {far.position}
        assert_true(brand)


def test_the_last_word_of_a_transaction_counts(brand: Any) -> None:
    with in_brand(brand):
        contact, tag = make_contact(brand), make_tag(brand)
        add_tags(brand, contacts=[contact], tags=[tag], source="page")
        remove_tags(brand, contacts=[contact], tags=[tag], source="page")
        add_tags(brand, contacts=[contact], tags=[tag], source="page")
        assert positions(brand, Dim.TAG, tag.pk) == {contact.position}


def test_what_is_taken_back_is_not_written(brand: Any) -> None:
    with in_brand(brand):
        contact, tag = make_contact(brand), make_tag(brand)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            add_tags(brand, contacts=[contact], tags=[tag], source="page")
            raise ZeroDivisionError
        assert positions(brand, Dim.TAG, tag.pk) == set()
        assert_true(brand)


def test_life_of_a_contact(brand: Any, corp: Any, staff: Any) -> None:
    """Half add, add, do not contact, loss, return."""
    now = clock.now()
    fact: dict[str, Any] = {"corp": corp, "staff": staff, "external_userid": "wm1", "source": "callback"}

    def flags() -> set[str]:
        return {flag.name for flag in Flag if positions(brand, Dim.FLAG, flag)}

    with in_brand(brand):
        contact = record_follow(brand, at=now, pending=True, **fact).contact
        assert flags() == {"EVERYBODY"}
        assert_true(brand)
        record_follow(brand, at=now, channel_code_id=7, **fact)
        assert flags() == {"EVERYBODY", "REACHABLE"}
        assert positions(brand, Dim.STAFF, staff.pk) == {contact.position} == positions(brand, Dim.CODE, 7)
        assert_true(brand)
        set_do_not_contact(brand, contacts=[contact], value=True, by=SYSTEM)
        assert "DO_NOT_CONTACT" in flags()
        later = now + timedelta(hours=1)
        end_follow(brand, at=later, kind=Follow.End.BY_CUSTOMER, **fact)
        assert flags() == {"EVERYBODY", "DO_NOT_CONTACT", "LOST"}
        assert positions(brand, Dim.STAFF, staff.pk) == set()
        assert_true(brand)


def test_joined_contacts(brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(brand):
        other = make_staff(brand, corp)
        old, new = make_contact(brand, staff), make_contact(brand, other, gender=2, do_not_contact=True)
        tag = make_tag(brand)
        add_tags(brand, contacts=[new], tags=[tag], source="page")
        ContactStat.objects.filter(contact=old).update(n_orders=1, spent_fen=500, last_order_at=clock.now())
        ContactStat.objects.filter(contact=new).update(n_orders=2, spent_fen=700)
        resolve(brand, contact=old, unionid="u")
        resolve(brand, contact=new, unionid="u")
        assert positions(brand, Dim.TAG, tag.pk) == {old.position}
        assert positions(brand, Dim.FLAG, Flag.EVERYBODY) == {old.position}
        assert positions(brand, Dim.FLAG, Flag.FEMALE) == {old.position}
        stat = ContactStat.objects.get()
        assert (stat.contact_id, stat.n_orders, stat.spent_fen) == (old.pk, 3, 1200)
        assert_true(brand)


def test_check_finds_and_repairs(brand: Any, staff: Any, caplog: Any) -> None:
    with in_brand(brand):
        one, two = make_contact(brand, staff), make_contact(brand, position=BITS * 2)
        tag, other = make_tag(brand), make_tag(brand)
        add_tags(brand, contacts=[one, two], tags=[tag], source="page")
        assert bits_check.check(brand) == {}
        ContactTag.objects.filter(contact=one).delete()
        ContactTag.objects.create(tag=other, contact=two, source="page")
        Contact.objects.filter(pk=two.pk).update(gender=1)
        assert bits_check.check(brand) == {"tag": 2, "flag": 1}
        assert "differed from the truth" in caplog.text
        assert bits_check.check(brand) == {}
        assert positions(brand, Dim.TAG, other.pk) == {two.position}
        assert stats.rebuild(brand) == 1  # the gender
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM tagging_dimbits WHERE brand_id = %s", [brand.pk])
        bits_check.rebuild(brand)
        assert_true(brand)


def test_tags_of_nobody_go(brand: Any, other_brand: Any, staff: Any) -> None:
    with in_brand(other_brand):
        theirs = make_contact(other_brand)
        add_tags(other_brand, contacts=[theirs], tags=[make_tag(other_brand)], source="page")
    with in_brand(brand):
        one, tag = make_contact(brand, staff), make_tag(brand)
        add_tags(brand, contacts=[one], tags=[tag], source="page")
        ContactTag.objects.create(tag=tag, contact_id=one.pk + 1_000_000, source="mass")
        assert bits_check.drop_ownerless(brand) == 1
        assert ContactTag.objects.get().contact_id == one.pk
        assert bits_check.drop_ownerless(brand) == 0
    with in_brand(other_brand):
        assert ContactTag.objects.get().contact_id == theirs.pk


@pytest.mark.django_db(transaction=True)
def test_who_ends_meanwhile_gets_no_tag(brand: Any, staff: Any) -> None:
    """A contact is joined into another one while a page puts a tag on: no tag is left of nobody."""
    with in_brand(brand):
        one, tag = make_contact(brand), make_tag(brand)
    found: list[int] = []

    def put() -> None:
        with tenant_scope(brand):
            found.append(add_tags(brand, contacts=[one.pk], tags=[tag.pk], source="page"))

    with in_brand(brand):
        Contact.objects.select_for_update().get(pk=one.pk)
        ContactTag.objects.filter(contact=one.pk).delete()
        thread = meanwhile(put)
        assert thread.is_alive()  # it waits for the row
        with connection.cursor() as cursor:
            for table in ("contacts_contactstat", "contacts_contactgram"):
                cursor.execute(
                    f"DELETE FROM {table} WHERE brand_id = %s AND contact_id = %s", [brand.pk, one.pk]
                )
            cursor.execute("DELETE FROM contacts_contact WHERE brand_id = %s AND id = %s", [brand.pk, one.pk])
    thread.join()
    with in_brand(brand):
        assert found == [0]
        assert not ContactTag.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_tag_that_somebody_else_puts_on_meanwhile(brand: Any, staff: Any) -> None:
    """A page tags one person, a job a hundred: the job waits for that one, and tags the others all the same."""
    with in_brand(brand):
        people = [make_contact(brand).pk for _ in range(changes.FEW + 6)]
        tag, act = make_tag(brand), TagAct.objects.create(kind="filter", title="x", by="x")
    found: list[Any] = []

    def put() -> None:
        with in_brand(brand):
            pairs = changes.each([tag.pk], people)
            found.append(changes.put_on(brand, pairs, source="page", act_id=act.pk))

    with in_brand(brand):
        add_tags(brand, contacts=people[-1:], tags=[tag], source="api")
        thread = meanwhile(put)
        assert thread.is_alive()  # it waits for the row
    thread.join()
    with in_brand(brand):
        assert found == [(len(people) - 1, 0, {})]
        assert ContactTag.objects.filter(source="page", act_id=act.pk).count() == len(people) - 1
        assert Event.objects.filter(type=EventType.TAGGED).count() == len(people)
        assert_true(brand)


def test_brands_apart(brand: Any, other_brand: Any) -> None:
    with in_brand(other_brand):
        theirs, tag = make_contact(other_brand), make_tag(other_brand)
        add_tags(other_brand, contacts=[theirs], tags=[tag], source="page")
    with in_brand(brand):
        make_contact(brand)
        bits.flush()  # both brands' bits are noted in this test's transaction
        assert positions(brand, Dim.TAG, tag.pk) == set()
        assert_true(brand)
    with in_brand(other_brand):
        assert positions(other_brand, Dim.TAG, tag.pk) == {theirs.position}
        assert_true(other_brand)


@pytest.mark.django_db(transaction=True)
def test_many_at_once(brand: Any) -> None:
    """Eight processes put the same tags on and take them off: no deadlock, and not one bit differs."""
    with in_brand(brand):
        contacts = [make_contact(brand).pk for _ in range(12)]
        tags = [make_tag(brand).pk for _ in range(3)]

    def work(n: int) -> None:
        for i in range(12):
            act = add_tags if (i + n) % 2 else remove_tags
            mine = contacts[(i * 5 + n) % 12 :][:4]
            some = [tags[(i + n) % 3], tags[(i + 2 * n) % 3]]
            with in_brand(brand):
                act(brand, contacts=mine, tags=some, source="page")

    together(*(partial(work, n) for n in range(8)))
    with in_brand(brand):
        assert_true(brand)
