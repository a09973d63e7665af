"""The two walls between brands: the ORM, and row-level security under it."""

from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.db.models import Count, Exists, F, OuterRef

from commerce.models import Order
from contacts.models import Contact, Follow, Reminder
from org.models import Staff
from scrm import clock
from tagging.models import ContactTag
from tenants.models import Brand
from tenants.scoping import NoBrandError, all_brands, tenant_scope
from tests.factories import in_brand, make_brand, make_contact, make_corp, make_staff, make_tag
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def two() -> tuple[Brand, Brand]:
    """Two brands with 3 and 5 contacts, tagged and followed."""
    brands = make_brand(), make_brand()
    for brand, n in zip(brands, (3, 5), strict=True):
        with in_brand(brand):
            corp = make_corp(brand)
            staff, tag = make_staff(brand, corp), make_tag(brand)
            for _ in range(n):
                ContactTag.objects.create(contact=make_contact(brand, staff), tag=tag, source="test")
    return brands


def raw(sql: str, params: list | None = None) -> list:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]


def test_role_is_bound_by_policies() -> None:
    assert raw("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user") == [(False,)]
    assert raw(
        "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = current_user"
    ) == [(0,)]


def test_orm_refuses_without_brand_or_transaction(two: Any) -> None:
    with transaction.atomic(), pytest.raises(NoBrandError):
        Contact.objects.count()
    with transaction.atomic(), pytest.raises(NoBrandError):
        Contact.objects.create(name="x", position=1)
    with tenant_scope(two[0]), pytest.raises(NoBrandError):
        Contact.objects.count()
    with all_brands(), transaction.atomic(), pytest.raises(NoBrandError):
        Contact.objects.count()


@pytest.mark.parametrize("n, expected", [(0, 3), (1, 5)])
def test_every_shape_of_query_sees_one_brand(two: Any, n: int, expected: int) -> None:
    with in_brand(two[n]):
        rows = Contact.objects.all()
        shapes = {
            "count": rows.count(),
            "list": len(rows),
            "join": rows.filter(follows__staff__name__startswith="导购").count(),
            "reverse": Follow.objects.filter(contact__name__startswith="客户").count(),
            "exclude": rows.exclude(follows__remark="none").count(),
            "exists": rows.filter(Exists(Follow.objects.filter(contact=OuterRef("pk")))).count(),
            "in": rows.filter(pk__in=Follow.objects.values("contact")).count(),
            "annotate": rows.annotate(n=Count("follows")).filter(n=1).count(),
            "distinct": rows.filter(follows__isnull=False).distinct().count(),
            "union": rows.filter(name="x").union(rows.exclude(name="x")).count(),
            "aggregate": rows.aggregate(n=Count("pk"))["n"],
            "prefetch": sum(len(c.follows.all()) for c in rows.prefetch_related("follows")),
            "select_related": len(Follow.objects.select_related("contact", "staff", "staff__corp")),
            "iterator": len(list(rows.iterator(chunk_size=2))),
            "composite": ContactTag.objects.count(),
            "values": len(rows.values_list("identities__value", flat=True)),
            "update": rows.update(gender=F("gender")),
            "locked": len(rows.select_for_update(skip_locked=True)),
        }
        assert shapes == dict.fromkeys(shapes, expected)


def test_raw_sql_sees_one_brand(two: Any) -> None:
    assert raw("SELECT count(*) FROM contacts_contact") == [(0,)]
    with in_brand(two[0]):
        assert raw("SELECT count(*) FROM contacts_contact") == [(3,)]
        assert raw("UPDATE contacts_contact SET name = 'x'") == [(3,)]
        assert raw("DELETE FROM tagging_contacttag") == [(3,)]
    with in_brand(two[1]):
        assert raw("SELECT count(*) FROM tagging_contacttag") == [(5,)]
    assert raw("SELECT count(*) FROM contacts_contact") == [(0,)]  # nothing is left on the connection


def test_foreign_rows_cannot_be_written(two: Any) -> None:
    mine, theirs = two
    with in_brand(theirs):
        foreign, colleague = Contact.objects.first(), Staff.objects.get()
    with in_brand(mine), pytest.raises(ProgrammingError, match="row-level security"):
        Contact.objects.create(brand_id=theirs.pk, name="x", position=99)
    with in_brand(mine), pytest.raises(IntegrityError):
        Reminder.objects.create(
            contact=make_contact(mine), staff_id=colleague.pk, text="x", due_at=clock.now()
        )
    with in_brand(mine):  # orders have no key to the contact; a foreign one's number leads nowhere
        order = Order.objects.create(
            contact_id=foreign.pk, source="t", order_no="1", amount_fen=1, state=Order.State.UNPAID,
            placed_at=clock.now(), updated_at=clock.now(),
        )  # fmt: skip
        assert not Order.objects.filter(contact__name=foreign.name).exists()
        with pytest.raises(Contact.DoesNotExist):
            str(Order.objects.get(pk=order.pk).contact)
    with in_brand(mine):
        assert Contact.objects.filter(brand_id=theirs.pk).update(name="x") == 0
        assert Contact.objects.filter(pk=foreign.pk).delete()[0] == 0
        foreign.name = "x"
        assert Contact.objects.filter(pk=foreign.pk).count() == 0


def test_policies_cannot_be_switched_off(two: Any) -> None:
    for statement in (
        "SET row_security = off",
        "SET ROLE app_ops",
        "ALTER TABLE contacts_contact DISABLE ROW LEVEL SECURITY",
    ):
        with (
            pytest.raises((ProgrammingError, Exception), match=r"permission|owner|affected|security"),
            in_brand(two[0]),
        ):
            raw(statement)
            raw("SELECT * FROM contacts_contact")


def test_partitions_cannot_be_read_directly(two: Any) -> None:
    with in_brand(two[0]), pytest.raises(ProgrammingError, match="permission denied"):
        raw("SELECT count(*) FROM contacts_event_default")


def test_scopes_do_not_nest_and_survive_savepoints(two: Any) -> None:
    with in_brand(two[0]):
        with pytest.raises(RuntimeError, match="never nest"), tenant_scope(two[1]):
            pass
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            raise ZeroDivisionError
        assert Contact.objects.count() == 3


def test_scope_opened_inside_a_transaction(two: Any) -> None:
    with transaction.atomic():
        with tenant_scope(two[0]):
            assert Contact.objects.count() == 3
        with tenant_scope(two[1]):
            assert Contact.objects.count() == 5


def test_threads_keep_to_their_brand(two: Any) -> None:
    answers: list[bool] = []

    def work(brand: Brand, expected: int) -> None:
        for _ in range(20):
            with in_brand(brand):
                answers.append(Contact.objects.count() == expected)

    together(*(partial(work, two[i % 2], (3, 5)[i % 2]) for i in range(6)))
    assert len(answers) == 120 and all(answers)
