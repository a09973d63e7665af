"""A brand whose rows Postgres does not know yet, beside a big one that it knows: batches go by an index beyond the brand."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, WaitingBehaviour
from contacts.services import behaviour, sync_stage
from contacts.services.follow import recount
from contacts.services.staging import numbers
from contacts.services.sync_new import New
from contacts.services.sync_types import Row
from org.access import SYSTEM
from scrm import clock
from tagging.models import Tag, TagAct
from tagging.services import audience, changes, mass, waiting
from tests.factories import in_brand, make_corp, make_staff, make_tag
from tests.tagging.test_hot_plans import HOT, crowd, explained, whole_scans

TABLES = (*HOT, "contacts_follow", "tagging_contacttag")
N, BATCH, MANY = 10_000, 20, 1_500  # MANY: joined by hashing
FOLLOWS = (
    "INSERT INTO contacts_follow (brand_id, contact_id, staff_id, corp_id, external_userid, state, add_way, remark,"
    " description, wecom_tag_ids, is_pending, added_at, end_kind, changed_at)"
    " SELECT brand_id, id, %s, %s, 'wm' || id, '', 0, '', '', '{}', false, added_at, '', added_at"
    " FROM contacts_contact WHERE brand_id = %s"
)

CARRIED = (
    "INSERT INTO tagging_contacttag (brand_id, tag_id, contact_id, source, at, expires_at)"
    " SELECT brand_id, %s, id, 'page', added_at, added_at + %s::interval FROM contacts_contact WHERE brand_id = %s"
)
BITS = (
    "INSERT INTO tagging_dimbits (brand_id, dim, val, chunk, bits) SELECT %s, 2, 1000000 + i, 0, 0::bit(8192)"
    " FROM generate_series(1, 4000) i"
)


def _behaviour(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    WaitingBehaviour.objects.create(kind="member_no", value=f"M{ids[0]}", type=90, at=clock.now())
    assert behaviour.attach(brand, ids) == 1


def _tags(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    waiting.add(brand, keys=[("member_no", "", f"M{ids[0]}")], tag_ids=[make_tag(brand).pk], source="api")
    assert waiting.attach(brand, ids) == 1
    connection.write_last()  # type: ignore[attr-defined]


def _recount(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    assert len(recount(brand, ids)) == BATCH
    connection.write_last()  # type: ignore[attr-defined]


def _members(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    rows = [
        Row(1, f"wmnew{n}", "客", "", 0, 1, "", "", f"1380000{n:04d}", "", "", 1_700_000_000, 0, "", "", 0.0)
        for n in range(BATCH)
    ]
    assert sync_stage.compare(brand, corp, rows).n_new == BATCH
    assert New(brand, corp, rows).waiting_members() == []


def _tag_many(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    """One tag is kept longer by those who carry it, one is new; then both are taken off."""
    people = Contact.objects.filter(pk__gte=ids[0]).order_by("pk").values_list("pk", flat=True)[:MANY]
    tags = list(Tag.objects.values_list("pk", flat=True))
    act = TagAct.objects.create(kind="filter", title="x", by="x", add_tag_ids=tags)
    pairs = changes.each(tags, people)
    done = changes.put_on(brand, pairs, source="page", act_id=act.pk)
    assert (done.n, done.n_later) == (MANY * (len(tags) - 1), MANY)
    assert changes.take_off(brand, pairs, source="page", act_id=act.pk).n == MANY * len(tags)
    connection.write_last()  # type: ignore[attr-defined]


ACTS: dict[str, Callable[[Any, Any, Sequence[int]], None]] = {
    "behaviour that waited": _behaviour,
    "tags that waited": _tags,
    "relations counted anew, bitmaps written": _recount,
    "members who wait with a phone number": _members,
    "many tagged, and the tags taken off": _tag_many,
}


def _filled(brand: Any, ends: str | None) -> Any:
    """The brand's corp, with a relation and a tag of each of its many contacts, and many rows of bitmaps."""
    with in_brand(brand), connection.cursor() as cursor:
        corp = make_corp(brand)
        cursor.execute(FOLLOWS, [make_staff(brand, corp).pk, corp.pk, brand.pk])
        cursor.execute(CARRIED, [make_tag(brand).pk, ends, brand.pk])
        cursor.execute(BITS, [brand.pk])
        make_tag(brand)
    return corp


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_by_index_beyond_the_brand(brand: Any, other_brand: Any) -> None:
    crowd(other_brand, N)
    _filled(other_brand, None)
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(TABLES)}")
    crowd(brand, N)
    corp = _filled(brand, "9 years")
    with in_brand(brand), connection.cursor() as cursor:
        cursor.execute("SELECT id FROM contacts_contact WHERE brand_id = %s ORDER BY id", [brand.pk])
        ids = [pk for (pk,) in cursor.fetchall()][:: N // BATCH]
    found = {}
    for name, act in ACTS.items():
        with in_brand(brand), explained() as plans:
            act(brand, corp, ids)
            transaction.set_rollback(True)
        assert plans
        found[name] = [line for plan in plans for line in whole_scans(plan, TABLES)]
    assert found == {name: [] for name in ACTS}


@pytest.mark.django_db(transaction=True)
def test_an_act_on_some_reads_nobody_else(brand: Any) -> None:
    """Of 3,000 people every tenth is meant: they are looked up one by one, not all of their chunks."""
    crowd(brand)
    with in_brand(brand), connection.cursor() as cursor:
        tag = make_tag(brand)
        ids = list(Contact.objects.order_by("pk").values_list("pk", flat=True)[::10])
        job = mass.start(
            brand, kind=TagAct.Kind.SEGMENT, title="x", by=SYSTEM, who=mass.Who.of_ids(ids), add=[tag.pk]
        )
        # not committed yet: the job would do it and forget whom it meant
        pairs = mass.targets(job.params["act_id"], list(range(200)), [tag.pk])
        params = {**pairs.params, "brand": brand.pk}
        cursor.execute(pairs.sql, params)
        assert sorted(pk for _tag, pk in cursor.fetchall()) == ids
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING off) {pairs.sql}", params)
        (line,) = [line for (line,) in cursor.fetchall() if "contact_position" in line]
    assert re.search(r"actual rows=1(\.00)? loops=300\b", line), line


def test_where_nothing_waits_nobody_is_looked_for(brand: Any) -> None:
    """A sync that finds two thousand people asks once whether anything waits at all."""
    with in_brand(brand), CaptureQueriesContext(connection) as asked:
        assert behaviour.attach(brand, range(1, 3_000)) == 0
        assert waiting.attach(brand, range(1, 3_000)) == 0
    said = [query["sql"] for query in asked if query["sql"].startswith(("SELECT", "WITH", "DELETE"))]
    assert [("EXISTS" in sql, "contacts_identity" in sql) for sql in said] == [(True, False)] * 2


def test_those_who_are_asked_about_are_one_parameter(brand: Any) -> None:
    """However many tests of a condition say that a row is theirs."""
    asked = range(1, 1_500)
    condition = {"kind": "everybody"}
    with in_brand(brand):
        build = audience.build_for(brand, condition, clock.now())
        build.only = asked
        tests = [build.among(column) for column in ("contact_id", "s.contact_id")]
        assert tests == [["contact_id = ANY(%(only)s::bigint[])"], ["s.contact_id = ANY(%(only)s::bigint[])"]]
        assert build.params == {"only": numbers(asked)}
