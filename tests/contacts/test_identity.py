"""One unionid, one contact: nothing is lost, nothing of another brand is joined."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from campaigns.models import Enrolment, SendTask, Sop, SopStep, Touch
from contacts.models import Contact, ContactGram, ContactStat, Event, EventType, Follow, Identity
from contacts.services import ownerless
from contacts.services.follow import record_follow
from contacts.services.identity.identity import MOVES, resolve
from contacts.services.search import refresh_grams, search
from contacts.services.timeline import record_event
from scrm import clock
from scrm.errors import ConflictError
from tagging.models import ContactTag
from tagging.services.tags.tags import add_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_tag
from tests.threads import together


def test_every_table_with_contacts_is_in_the_table() -> None:
    """Follow is dealt with by name; grams are made anew, stats added up."""
    by_hand = {
        ("contacts.Follow", "contact_id"),
        ("contacts.ContactGram", "contact_id"),
        ("contacts.ContactStat", "contact_id"),
    }
    found = {
        (model._meta.label, field.column)
        for model in apps.get_models()
        for field in model._meta.local_fields
        if field.column in ("contact_id", "contact_ids", "from_contact_id") and model._meta.managed
    }
    assert found - by_hand == {(move.model, move.column) for move in MOVES}


def test_unionid_is_noted_once(brand: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand)
        assert resolve(brand, contact=contact, unionid="") == contact
        for _ in range(2):
            assert resolve(brand, contact=contact, unionid="u1") == contact
        assert Identity.objects.filter(kind="unionid").count() == 1
        assert not Event.objects.exists()


def test_merge_keeps_everything(brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(brand):
        second = make_corp(brand)
        other = make_staff(brand, second)
        old = make_contact(brand, staff, name="", added_at=clock.now() - timedelta(days=1))
        new = make_contact(
            brand, other, name="王小明", do_not_contact=True, added_at=clock.now() - timedelta(days=9)
        )
        refresh_grams(brand, [old.pk, new.pk])
        both, only_new = make_tag(brand), make_tag(brand)
        add_tags(brand, contacts=[old, new], tags=[both], source="page")
        add_tags(brand, contacts=[new], tags=[only_new], source="page")
        sop, sop2 = (Sop.objects.create(name=n) for n in "ab")
        step = SopStep.objects.create(sop=sop, position=0, day=0)
        for contact, s in ((old, sop), (new, sop), (new, sop2)):
            Enrolment.objects.create(
                sop=s, contact=contact, source="page", joined_at=clock.now(), next_run_at=clock.now()
            )
        Touch.objects.create(at=clock.now(), kind=1, contact_id=new.pk)
        task = {
            "corp": corp,
            "staff": staff,
            "sop": sop,
            "step": step,
            "at": clock.now(),
            "content_digest": "x",
            "n": 2,
        }
        SendTask.objects.create(contact_ids=[5, new.pk], **task)
        SendTask.objects.create(contact_ids=[5, new.pk], **(task | {"state": "final"}))
        record_event(brand, contact_id=new.pk, type=EventType.NOTE, at=clock.now())

        resolve(brand, contact=old, unionid="u1")
        kept = resolve(brand, contact=new, unionid="u1", source="callback")

        assert kept.pk == old.pk
        assert list(Contact.objects.values_list("pk", flat=True)) == [old.pk]
        # of these Postgres would not refuse what is nobody's any more
        for model in (Follow, ContactStat, ContactTag, Identity):
            assert set(model.objects.values_list("contact_id", flat=True)) <= {old.pk}
        assert (kept.name, kept.do_not_contact, kept.added_at, kept.n_follows) == (
            "王小明",
            True,
            new.added_at,
            2,
        )
        assert {f.staff_id for f in Follow.objects.filter(contact=old)} == {staff.pk, other.pk}
        assert Identity.objects.filter(contact=old).count() == 3
        assert {t.tag_id for t in ContactTag.objects.filter(contact=old)} == {both.pk, only_new.pk}
        live = Enrolment.objects.filter(contact=old, ended_at=None).values_list("sop_id", flat=True)
        assert (sorted(live), Enrolment.objects.filter(contact=old).count()) == ([sop.pk, sop2.pk], 3)
        assert Enrolment.objects.get(ended_at__isnull=False).next_run_at is None
        assert Touch.objects.get().contact_id == old.pk
        assert list(SendTask.objects.order_by("id").values_list("contact_ids", flat=True)) == [
            [5, old.pk],
            [5, new.pk],
        ]
        assert set(Event.objects.values_list("contact_id", flat=True)) == {old.pk}
        assert search(brand, "小明").get() == kept and ContactGram.objects.filter(contact=old).exists()
        merged = Event.objects.get(type=EventType.MERGED)
        assert (
            merged.object_id == new.pk and merged.data["unionid"] == "u1" and merged.data["name"] == "王小明"
        )
        assert merged.data["dropped"] == {"tagging.ContactTag": 1, "campaigns.Enrolment": 1}
        # again, from either side
        assert resolve(brand, contact=new, unionid="u1") == resolve(brand, contact=old, unionid="u1") == kept


@pytest.mark.parametrize("open_one", [0, 1])
def test_one_guide_with_both(brand: Any, corp: Any, staff: Any, open_one: int) -> None:
    with in_brand(brand):
        pair = [make_contact(brand, staff), make_contact(brand, staff)]
        Follow.objects.exclude(contact=pair[open_one]).update(ended_at=clock.now(), end_kind="customer")
        for contact in pair:
            resolve(brand, contact=contact, unionid="u1")
        follow = Follow.objects.get()
        assert (follow.contact, follow.ended_at) == (pair[0], None)
        dropped = Event.objects.get(type=EventType.MERGED).data["dropped"]["follows"]
        assert [d["staff_id"] for d in dropped] == [staff.pk]
        assert Contact.objects.get().n_follows == 1


def test_other_brands_are_never_joined(brand: Any, other_brand: Any) -> None:
    pairs = []
    for each in (brand, other_brand):
        with in_brand(each):
            contact = make_contact(each)
            resolve(each, contact=contact, unionid="u1")
            pairs.append(contact)
    for each, contact in zip((brand, other_brand), pairs, strict=True):
        with in_brand(each):
            assert Contact.objects.get() == contact
            assert Identity.objects.filter(kind="unionid").count() == 1
            assert not Event.objects.filter(type=EventType.MERGED).exists()


@pytest.mark.django_db(transaction=True)
def test_both_sides_at_once_while_customers_arrive(brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(brand):
        second = make_corp(brand)
        others = [make_staff(brand, second) for _ in range(3)]
        pair = [make_contact(brand, staff, corp), make_contact(brand, others[0], second)]
        external = Follow.objects.get(contact=pair[1]).external_userid

    def work(n: int) -> None:
        with in_brand(brand):
            if n < 4:
                contact = Contact.objects.filter(pk=pair[n % 2].pk).first()
                if contact:
                    resolve(brand, contact=contact, unionid="u1")
            else:
                record_follow(
                    brand,
                    corp=second,
                    staff=others[n - 3],
                    external_userid=external,
                    at=clock.now(),
                    source="callback",
                )

    together(*(partial(work, n) for n in range(6)))
    with in_brand(brand):
        contact = Contact.objects.get()
        assert (contact.pk, contact.n_follows) == (pair[0].pk, 4)
        assert Event.objects.filter(type=EventType.MERGED).count() == 1


def test_an_id_of_nobody_is_told_and_released_by_night(
    brand: Any, other_brand: Any, corp: Any, staff: Any
) -> None:
    """The database does not refuse a contact to be deleted under its ids and relations."""
    with in_brand(other_brand):
        theirs = make_contact(other_brand)
    with in_brand(brand):
        adding = {
            "corp": corp,
            "staff": staff,
            "external_userid": "wmnobody",
            "at": clock.now(),
            "source": "callback",
        }
        gone = record_follow(brand, **adding, name="王小明").contact
        resolve(brand, contact=gone, unionid="u-nobody")
        here = make_contact(brand, staff)
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM contacts_contact WHERE brand_id = %s AND id = %s", [brand.pk, gone.pk]
            )
        for act in (
            lambda: record_follow(brand, **adding),
            lambda: resolve(brand, contact=here, unionid="u-nobody"),
        ):
            with pytest.raises(ConflictError) as refused:
                act()
            assert refused.value.code == "ownerless" and "nobody" in str(refused.value)
    with tenant_scope(brand):
        found = ownerless.check(brand)
        assert (
            found["contacts_identity"] == 2 and found["contacts_follow"] == found["contacts_contactstat"] == 1
        )
        assert found["contacts_contactgram"] > 0
        assert ownerless.check(brand) == {}
    with in_brand(brand):
        again = record_follow(brand, **adding)
        assert again.is_new_contact and again.contact.pk != gone.pk
        assert resolve(brand, contact=here, unionid="u-nobody") == here
    with in_brand(other_brand):
        assert ContactStat.objects.filter(contact=theirs).exists()
