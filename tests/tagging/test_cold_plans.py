"""A brand whose rows Postgres does not know yet, beside a big one that it knows: batches go by an index beyond the brand."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from campaigns import governance
from campaigns.models import Enrolment, EnrolmentDue, Touch
from campaigns.services.broadcasts import dry_run, fanout
from campaigns.services.governance import gate
from campaigns.services.governance.rules import rules_of
from campaigns.services.journeys import leaving
from campaigns.services.ledger import planes
from campaigns.services.sops import dues, sops, stepping
from commerce.services import order_merge, staging
from contacts.models import BrandCounter, Contact, WaitingBehaviour
from contacts.services import behaviour, positions, values
from contacts.services.follow import recount
from contacts.services.staging import numbers
from contacts.services.sync import sync_stage
from contacts.services.sync.sync_new import New
from contacts.services.sync.sync_types import Row
from groups.services import mirror
from groups.services.reading import Reading, Stay
from guides.services.leads import lists, matching
from org.access import SYSTEM
from org.models import Staff
from scrm import clock
from tagging.conditions import parse
from tagging.models import SegmentVersion, Tag, TagAct
from tagging.services.bits import frames
from tagging.services.segments import audience, portrait
from tagging.services.tags import changes, mass, waiting
from tagging.services.value import lifecycle
from tests.factories import in_brand, make_corp, make_staff, make_tag
from tests.tagging.test_hot_plans import HOT, crowd, explained, whole_scans

TABLES = (*HOT, "contacts_follow", "tagging_contacttag", "commerce_order", "campaigns_enrolment")
N, BATCH, MANY, SOME = 10_000, 20, 1_500, 600  # MANY, and two orders of SOME: joined by hashing
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
BOUGHT = (
    "INSERT INTO commerce_order (brand_id, source, order_no, contact_id, buyer_kind, buyer_scope, buyer_value, placed_at,"
    " paid_at, amount_fen, refunded_fen, n_items, state, is_sale, channel, is_told, updated_at, created_at)"
    " SELECT brand_id, 'shop', 'S' || id, id, 'member_no', '', 'M' || id, added_at, added_at, 100, 0, 1, 2, true, '', true,"
    " added_at, added_at FROM contacts_contact WHERE brand_id = %s"
)
TOUCHED = (
    "INSERT INTO campaigns_touch (brand_id, at, kind, contact_id, state, reason, error)"
    " SELECT brand_id, %s, 2, id, 4, 0, '' FROM contacts_contact WHERE brand_id = %s"
)
ENROLLED = dues.listing(
    "INSERT INTO campaigns_enrolment AS e (brand_id, sop_id, contact_id, source, joined_at, position, next_run_at, entered_at,"
    " is_parked, end_kind, node) SELECT brand_id, %s, id, 'page', %s, 0, %s, added_at, false, '', ''"
    " FROM contacts_contact WHERE brand_id = %s"
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
    assert not sync_stage.have_moved(brand, corp)
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


def _orders(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    """Half of them are new, the others cost more now."""
    people = Contact.objects.filter(pk__gte=ids[0]).order_by("pk").values_list("pk", flat=True)[:SOME]
    rows = [
        {
            "n": n, "order_no": f"{kind}{pk}", "buyer_kind": "member_no", "buyer_value": f"M{pk}", "paid_at": clock.now(),
            "amount_fen": 300,
        }
        for n, (pk, kind) in enumerate((pk, kind) for pk in people for kind in "NS")
    ]  # fmt: skip
    with connection.cursor() as cursor:
        staging.open_tables(cursor, "order_in", "line_in")
        staging.tell(cursor, "order_in", rows)
        counts = order_merge.merge_orders(brand, source="shop", told_by="import", keep_before=True)
    assert (counts.n_new, counts.n_changed) == (SOME, SOME)


def _values(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    """Of numbers that nobody had when statistics were taken."""
    rows = [
        {"buyer_kind": "unionid", "buyer_scope": "", "buyer_value": f"o{n}", "fields": {}}
        for n in range(BATCH)
    ]
    assert {told.reason for told in values.record_values(brand, rows, by=SYSTEM)} == {"unknown_person"}


def _numbers(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    given = lists.ListInput("x")
    found = lists.create_list(brand, by=SYSTEM, given=given, source="page")
    rows = [lists.LeadInput(f"1380000{n:04d}") for n in range(BATCH)]
    assert len(lists.add_leads(brand, by=SYSTEM, list_id=found.pk, rows=rows).new) == BATCH
    assert matching.refresh(brand, found.pk) == 0


def _group(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    now = clock.now()
    stays = tuple(Stay(2, f"wmg{n}", "客", f"o{n}", 3, "", "", now) for n in range(BATCH))
    merged = mirror.merge(
        brand, corp, [Reading("wr1", now, name="群", created_at=now, stays=stays)], source="sync"
    )
    assert merged.joined == BATCH


# of what a person has, of what they have bought and seen, put together
CONDITIONS: tuple[dict[str, Any], ...] = (
    {"kind": "follow", "values": ["reachable"]},
    {"kind": "number", "measure": "spent_fen", "compare": {"op": "ge", "value": 0}},
    {"kind": "orders", "window": {"type": "last", "n": 3_000}},
    {"kind": "orders", "sources": ["shop"], "measure": "sum", "compare": {"op": "ge", "value": 100}},
    {"kind": "touch", "window": {"type": "last", "n": 7}},
    {
        "all": [
            {"kind": "number", "measure": "n_orders", "compare": {"op": "ge", "value": 0}},
            {"not": {"kind": "event", "event": "viewed", "window": {"type": "last", "n": 7}}},
        ]
    },
    {"any": [{"kind": "orders", "sources": ["shop"]}, {"kind": "event", "event": "viewed"}]},
)


def _some_are_asked_about(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    """Twenty people, and a hundred: their rows are read, not the brand's."""
    many = list(Contact.objects.filter(pk__gte=ids[0]).order_by("pk").values_list("pk", flat=True)[:80])
    assert len(many) > audience.LOOPED
    for condition in CONDITIONS:
        who = audience.Audience(brand, parse(condition))
        assert who.has(ids) <= set(ids) and who.has(many) <= set(many)


def _gate(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    rules = rules_of(brand)
    assert len(list(gate.counted_touches(brand, ids, clock.now(), rules))) == BATCH
    assert len(gate.ask(brand, ids, clock.now())) == BATCH  # without a guide
    frame, places = frames.frame_of(brand, ids)
    assert frames.contacts_at(brand, frame, frame.of_positions(places)) == ids


def _stages(brand: Any, ids: Sequence[int]) -> None:
    """Some are placed anew. Who they are is asked of conditions elsewhere; what moves them looks up them alone."""
    with explained() as plans:
        assert lifecycle.place_few(brand, ids) == BATCH
    moved = [plan for plan in plans if re.search("Function Scan on r|Seq Scan on stage_move", plan)]
    assert len(moved) == 4
    assert not [line for plan in moved for line in whole_scans(plan, TABLES)]


def _steps(brand: Any, corp: Any, ids: Sequence[int]) -> None:
    """A few are due of all who are in an SOP."""
    assert stepping.run_batch(brand, clock.now(), N).n == BATCH


ACTS: dict[str, Callable[[Any, Any, Sequence[int]], None]] = {
    "behaviour that waited": _behaviour,
    "tags that waited": _tags,
    "relations counted anew, bitmaps written": _recount,
    "members who wait with a phone number": _members,
    "many tagged, and the tags taken off": _tag_many,
    "orders told by a file": _orders,
    "values told of numbers": _values,
    "numbers of a list": _numbers,
    "people of a group": _group,
    "some are asked for at the gate": _gate,
    "some are due in an SOP": _steps,
    "a condition of some": _some_are_asked_about,
}


def _filled(brand: Any, ends: str | None) -> Any:
    """The brand's corp, with a relation and a tag of each of its many contacts, and many rows of bitmaps."""
    with in_brand(brand), connection.cursor() as cursor:
        corp = make_corp(brand)
        cursor.execute(FOLLOWS, [make_staff(brand, corp).pk, corp.pk, brand.pk])
        cursor.execute(CARRIED, [make_tag(brand).pk, ends, brand.pk])
        cursor.execute(BOUGHT, [brand.pk])
        cursor.execute(BITS, [brand.pk])
        sop = sops.create_sop(brand, name="S", steps=[sops.StepInput(0, 0, 0, "a")], by=SYSTEM)
        sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
        cursor.execute(ENROLLED, [sop.pk, clock.now(), clock.now() + timedelta(days=9), brand.pk])
        cursor.execute(TOUCHED, [clock.now(), brand.pk])
        BrandCounter.objects.update_or_create(name="contact", defaults={"next_value": N})
        make_tag(brand)
    return corp


def _due(brand: Any) -> list[int]:
    """Some of the brand's people, far apart, who are due in its SOP."""
    with in_brand(brand):
        ids = list(Contact.objects.order_by("pk").values_list("pk", flat=True))[:: N // BATCH]
        rows = Enrolment.objects.filter(contact__in=ids)
        due = list(rows.values_list("pk", flat=True))
        rows.update(next_run_at=clock.now())
        EnrolmentDue.objects.create(next_run_at=clock.now(), is_graph=False, n=BATCH, ids=due)
    return ids


def _scans(brand: Any, corp: Any, ids: Sequence[int]) -> dict[str, list[str]]:
    """By act: what it reads of the brand's whole part of a table. Nothing stays done."""
    with connection.cursor() as cursor:
        # months that have any
        cursor.execute("SELECT DISTINCT tableoid::regclass::text FROM campaigns_touch")
        tables = [*TABLES, *(name for (name,) in cursor.fetchall())]
    found = {}
    for name, act in ACTS.items():
        with in_brand(brand), explained() as plans:
            act(brand, corp, ids)
            transaction.set_rollback(True)
        assert plans
        found[name] = [line for plan in plans for line in whole_scans(plan, tables)]
    return found


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_by_index_beyond_the_brand(brand: Any, other_brand: Any) -> None:
    crowd(other_brand, N)
    _filled(other_brand, None)
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(TABLES)}, campaigns_touch")
    crowd(brand, N)
    corp = _filled(brand, "9 years")
    ids = _due(brand)
    assert _scans(brand, corp, ids) == {name: [] for name in ACTS}
    with in_brand(other_brand), explained() as plans:  # Postgres knows it: many are looked up together
        many = list(Contact.objects.order_by("pk").values_list("pk", flat=True)[: MANY * 2 : 2])
        assert sorted(frames.frame_of(other_brand, many)[1].values()) == many
        assert "ANY" in plans[-1] and not whole_scans(plans[-1], TABLES)
    with in_brand(brand):
        rules, frame = replace(rules_of(brand), gap=timedelta(hours=1)), frames.frame_of(brand, ids)[0]
        day, everybody = governance.day_of(clock.now(), rules.zone), ~frame.empty()
        planes.add(frame, day, int(Touch.Kind.SOP), everybody)
        with explained() as plans:
            gate.judge(frame, everybody, at=clock.now(), kind=Touch.Kind.SOP, rules=rules)
        joined = [plan for plan in plans if "contacts_contactstat" in plan and "campaigns_" in plan]
        assert len(joined) == 2 and not [plan for plan in joined if "Nested Loop" in plan], joined
        _stages(brand, ids)
        _ledger(brand, ids)
    _everybody(brand, len(ids))


@pytest.mark.django_db(transaction=True)
def test_in_tables_that_were_never_counted(brand: Any) -> None:
    """The first minutes of an installation."""
    crowd(brand, N)
    corp = _filled(brand, "9 years")
    found = _scans(brand, corp, _due(brand))
    # hundreds of ten thousand: all are read once, and hashed
    assert all(
        line.startswith("->  Seq Scan on contacts_contactstat") for line in found.pop("orders told by a file")
    )
    assert found == {name: [] for name in found}


@pytest.mark.parametrize("counted", ["none", "a few who have ended", "all who have ended", "the pages only"])
@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_who_is_in_an_sop_is_found_by_id(brand: Any, counted: str) -> None:
    """Those who are in it now came after the last count: Postgres believes the index of them empty."""
    crowd(brand, N)
    with in_brand(brand), connection.cursor() as cursor:
        if "ended" in counted:
            old = sops.create_sop(brand, name="old", steps=[sops.StepInput(0, 0, 0, "a")], by=SYSTEM)
            cursor.execute(ENROLLED, [old.pk, clock.now(), clock.now() + timedelta(days=9), brand.pk])
            Enrolment.objects.update(ended_at=clock.now(), end_kind=Enrolment.End.DONE)
            if counted == "a few who have ended":
                few = Enrolment.objects.order_by("pk").values_list("pk", flat=True)[:BATCH]
                Enrolment.objects.exclude(pk__in=list(few)).delete()
    if counted != "the pages only":
        _maintain("VACUUM ANALYZE")
    corp = _filled(brand, "9 years")
    ids = _due(brand)
    if counted == "the pages only":
        _maintain("VACUUM")
    with in_brand(brand):
        others = Enrolment.objects.filter(contact__in=[pk + 1 for pk in ids], ended_at=None)
        leavers = list(others.values_list("pk", flat=True))
        with explained() as plans:
            _steps(brand, corp, ids)
            if counted == "all who have ended":  # of a table that counts for nothing all are read, but once
                assert leaving.leave(brand, leavers, Enrolment.End.REMOVED, clock.now()) == BATCH
    assert not [line for plan in plans for line in whole_scans(plan, ("campaigns_enrolment",))]


def _maintain(what: str) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"{what} campaigns_enrolment")


def _ledger(brand: Any, ids: Sequence[int]) -> None:
    """Planes made anew from the ledger, and who of those let through has a guide."""
    frame, places = frames.frame_of(brand, ids)
    today = governance.day_of(clock.now(), brand.timezone)
    with explained() as plans, connection.cursor() as cursor:
        planes.rebuild(brand, *(planes.midnight(day, brand.timezone) for day in (today, today + 1)))
        assert not [line for plan in plans for line in whole_scans(plan, TABLES)]
        cursor.execute(fanout.BITS_TABLE.format(name="dry_allowed"))
        rows = list(frame.rows(frame.of_positions(places)))
        cursor.execute(
            fanout.FILL.format(name="dry_allowed"), [[n for n, _ in rows], [bits for _, bits in rows]]
        )
        guides = list(Staff.objects.values_list("pk", flat=True))
        assert frames.count(dry_run.with_guide(brand, frame, guides)) == len(ids)
    (plan,) = [plan for plan in plans if "dry_allowed" in plan and "contacts_follow" in plan]
    assert "Nested Loop" not in plan, plan


def _everybody(brand: Any, n: int) -> None:
    """Members of conditions in a brand that counts as one row: nothing goes from row to row, and what Postgres was told for
    it holds for nothing else."""
    for condition in CONDITIONS:
        with in_brand(brand), connection.cursor() as cursor:
            with explained() as plans:
                who = audience.Audience(brand, parse(condition))
                assert who.count() == len(who.ids()) == sum(bits.bit_count() for bits in whole(who))
                assert len(who.sample(n)) == min(n, who.count())
            cursor.execute("SELECT current_setting('enable_nestloop')")
            assert cursor.fetchone() == ("on",)
        joins = [plan for plan in plans if "contacts_contactstat" in plan and "generate_series" not in plan]
        loops = [plan for plan in joins if "Nested Loop" in plan]
        assert not loops, loops[0]
    with in_brand(brand):
        version = SegmentVersion(pk=0, n=0)
        with explained() as plans:
            assert sum(share.n_all for share in portrait.classes(brand, version)["spending"]) == N
        assert not [plan for plan in plans if "contacts_contactstat" in plan and "Nested Loop" in plan]
        sql, params = audience.members_sql(brand, parse(CONDITIONS[2]))
        with positions.joined(brand) as cursor:
            cursor.execute(f"EXPLAIN {sql}", params)
            assert not [line for (line,) in cursor.fetchall() if "Nested Loop" in line]
            cursor.execute("SELECT current_setting('enable_nestloop')")
            assert cursor.fetchone() == ("off",)
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('enable_nestloop')")
            assert cursor.fetchone() == ("on",)


def whole(who: audience.Audience) -> list[int]:
    """Its bitmap as numbers."""
    return [int.from_bytes(packed) for packed in who.bitmap().values()]


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
