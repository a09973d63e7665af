"""What happens often goes by an index beyond the brand, as the application's role under row-level security."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections

from contacts.filters import Filters
from contacts.models import Contact, Identity
from contacts.services import listing
from contacts.services.search import refresh_grams, search
from org.access import SYSTEM
from scrm import clock
from tagging.models import Segment
from tagging.services.segments import segments
from tagging.services.tags.tags import add_tags, carried, remove_tags
from tagging.services.value import value
from tests.factories import in_brand, make_contact, make_tag

# tables in which a scan of a brand's whole part is noticed
HOT = (
    "contacts_contact", "contacts_contactgram", "contacts_identity", "contacts_contactstat", "tagging_dimbits",
)  # fmt: skip


def _search(brand: Any, contact: Contact, tag: Any) -> None:
    assert listing.page(brand, staff=None, filters=Filters(q="王小")).rows
    assert search(brand, "王小明").count() == 1


def _id(brand: Any, contact: Contact, tag: Any) -> None:
    assert search(brand, "wmabcdef").get() == contact


def _carriers(brand: Any, contact: Contact, tag: Any) -> None:
    assert listing.page(brand, staff=None, filters=Filters(tags=(tag.pk,))).rows


def _segment(brand: Any, contact: Contact, tag: Any) -> None:
    for filters in (
        Filters(segment=Segment.objects.get().pk),
        Filters(segment=Segment.objects.get().pk, q="王小"),
    ):
        assert listing.page(brand, staff=None, filters=filters).rows
        assert listing.count(brand, staff=None, filters=filters).n == 1


def _tags(brand: Any, contact: Contact, tag: Any) -> None:
    assert carried([contact.pk])


def _tag_one(brand: Any, contact: Contact, tag: Any) -> None:
    other = make_tag(brand)
    assert add_tags(brand, contacts=[contact], tags=[other], source="page") == 1
    assert remove_tags(brand, contacts=[contact], tags=[other], source="page") == 1
    connection.write_last()  # type: ignore[attr-defined]


def _value(brand: Any, contact: Contact, tag: Any) -> None:
    value.refresh(brand, [contact.pk])


ACTS: dict[str, Callable[[Any, Contact, Any], None]] = {
    "search by a part of the name": _search,
    "search by an outside id": _id,
    "carriers of a tag, first page": _carriers,
    "customers of a segment, first page and number": _segment,
    "tags of some contacts": _tags,
    "one contact tagged, and the tag taken off": _tag_one,
    "value of one contact": _value,
}


@contextmanager
def explained() -> Iterator[list[str]]:
    """Plans of all statements that follow."""
    plans: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if re.match(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE|CREATE TEMP TABLE \w+ ON COMMIT DROP AS)", sql):
            execute(f"EXPLAIN {sql}", params, many, context)
            plans.append("\n".join(row[0] for row in context["cursor"].fetchall()))
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("app_rw",)
    with connection.execute_wrapper(watch):
        yield plans


def _below(lines: list[str], n: int) -> list[str]:
    """The lines of what a node of a plan reads from."""

    def depth(line: str) -> int:
        return len(line) - len(line.lstrip(" "))

    end = next((m for m in range(n + 1, len(lines)) if depth(lines[m]) <= depth(lines[n])), len(lines))
    return lines[n + 1 : end]


def whole_scans(plan: str, tables: Sequence[str] = HOT) -> list[str]:
    """Lines of a plan that read more of a hot table than what a key beyond the brand gives."""
    found, lines = [], plan.splitlines()
    for n, line in enumerate(lines):
        named = re.search(r"(Seq Scan|Bitmap Heap Scan|(?<!Bitmap )Index(?: Only)? Scan)\b.*? on (\w+)", line)
        if named is None or named[2] not in tables:
            continue
        # of a bitmap the indexes lie further below; one of them that knows more than the brand is enough
        deeper = _below(lines, n) if named[1].startswith("Bitmap") else lines[n + 1 : n + 3]
        below = max(
            (text for text in deeper if "Index Cond" in text), key=lambda text: " AND " in text, default=""
        )
        # the newest contacts in their order are read from the front until there are enough
        # of a kind of identity there may be as many as customers: it takes the number, or the customer
        of_a_kind = named[2] == "contacts_identity" and not re.search(
            r"\b(value|contact_id|id)\b[^ ]* =", below
        )
        if of_a_kind or (" AND " not in below and "contact_newest" not in line):
            found.append(f"{line.strip()} / {below.strip()}")
    return found


def crowd(brand: Any, n: int = 3_000) -> None:
    """Thousands of contacts, so that reading all of them costs more than any index."""
    with in_brand(brand), connection.cursor() as cursor:
        for sql in (
            "INSERT INTO contacts_contact (brand_id, position, name, avatar, gender, kind, corp_name, do_not_contact, n_follows,"
            " added_at) SELECT %s, i, '客户' || i, '', 0, 1, '', false, 0, timestamptz '2026-01-01' + i * interval '1 hour'"
            f" FROM generate_series(900001, {900_000 + n}) i",
            "INSERT INTO contacts_contactstat (brand_id, contact_id, position, n_follows, added_at, gender, do_not_contact,"
            " spent_fen, n_orders) SELECT brand_id, id, position, 0, added_at, 0, false, 0, 0 FROM contacts_contact"
            " WHERE brand_id = %s",
            "INSERT INTO contacts_contactgram (brand_id, gram, contact_id) SELECT DISTINCT brand_id, substr(name, k, 2), id"
            " FROM contacts_contact, generate_series(1, 6) k WHERE brand_id = %s AND substr(name, k, 2) <> ''",
            "INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at) SELECT brand_id, id,"
            " 'member_no', '', 'M' || id, added_at FROM contacts_contact WHERE brand_id = %s",
            "INSERT INTO tagging_dimbits (brand_id, dim, val, chunk, bits) SELECT %s, 1, 1000000 + i, 0, 0::bit(8192)"
            " FROM generate_series(1, 300) i",
        ):
            cursor.execute(sql, [brand.pk])


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_by_index_beyond_the_brand(brand: Any) -> None:
    crowd(brand)
    with in_brand(brand):
        contact = make_contact(brand, name="王小明")
        Identity.objects.create(
            contact=contact, kind="external_userid", scope="", value="wmabcdef", added_at=clock.now()
        )
        refresh_grams(brand, [contact.pk])
        tag = make_tag(brand)
        add_tags(brand, contacts=[contact], tags=[tag], source="page")
        segments.create_list(brand, by=SYSTEM, name="x", contact_ids=[contact.pk])
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(HOT)}")
    found = {}
    for name, act in ACTS.items():
        with in_brand(brand), explained() as plans:
            act(brand, contact, tag)
        assert plans
        found[name] = [line for plan in plans for line in whole_scans(plan)]
    assert found == {name: [] for name in ACTS}


def test_what_is_looked_for_is_found() -> None:
    plan = "Result\n  ->  Index Scan using x on contacts_contact c\n        Index Cond: (brand_id = 3)"
    assert whole_scans(plan) and whole_scans(plan.replace("Index Scan using x", "Seq Scan"))
    assert not whole_scans(plan.replace("= 3)", "= 3) AND (id = 5))"))
    bitmap = (
        "Bitmap Heap Scan on contacts_contact c\n  Recheck Cond: (brand_id = 3)\n  ->  Bitmap Index Scan on contact_newest"
        "\n        Index Cond: (brand_id = 3)"
    )
    assert whole_scans(bitmap) and not whole_scans(
        bitmap.replace("Cond: (brand_id = 3)", "Cond: ((brand_id = 3) AND (id = 5))")
    )
