"""Who is due is claimed and moved on whatever Postgres believes, and whatever is written in the meantime."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from campaigns import governance
from campaigns.models import Enrolment, EnrolmentDue, SendTask, StepBlocked, Touch, TouchKey
from campaigns.services.graphs import graphs
from campaigns.services.journeys import walking
from campaigns.services.ledger import planes
from campaigns.services.sops import dues, enrolments, sops, stepping
from campaigns.tasks import tick_brand
from contacts.models import Contact, Event, EventType
from contacts.services import stats
from org.access import SYSTEM
from tagging.services.bits import bits_check, frames
from tenants.db import statistics
from tests.campaigns.conftest import at
from tests.campaigns.graphs import entry, line, touch, wait
from tests.factories import in_brand, make_contact, make_corp, make_staff
from tests.tagging.test_cold_plans import FOLLOWS
from tests.tagging.test_hot_plans import crowd

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
N = 2_500  # more than a guide's task holds, and than are looked up one by one at the gate
JOINED, DUE = at("2026-05-01 12:00"), at("2026-05-02 10:00")


def _by_day(brand: Any, contacts: list[Any]) -> Callable[..., Any]:
    sop = sops.create_sop(
        brand,
        name="by day",
        steps=[sops.StepInput(1, 10, 0, "a"), sops.StepInput(9, 10, 0, "b")],
        by=SYSTEM,
    )
    sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
    for contact in contacts:
        enrolments.enrol(brand, contact=contact, sop=sop, at=JOINED, source="page")
    return stepping.run_batch


def _by_graph(brand: Any, contacts: list[Any]) -> Callable[..., Any]:
    graph = line(entry(), touch("a"), wait(n=7), touch("b"))
    graph["nodes"][1]["id"] = "null"  # a word that Postgres takes for none where it is not quoted
    graph["edges"] = [
        {key: "null" if word == "n2" else word for key, word in edge.items()} for edge in graph["edges"]
    ]
    sop = graphs.create_graph_sop(brand, name="canvas", graph=graph)
    graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
    for contact in contacts:
        enrolments.enrol(brand, contact=contact, sop=sop, at=JOINED, source="page")
    return walking.run_batch


FORMS = [_by_day, _by_graph]


@contextmanager
def _before(words: str, act: Callable[[], None]) -> Iterator[list[str]]:
    """Something happens once, in the same transaction, before a statement that begins with some words."""
    seen: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if words in sql:
            seen.append(sql)
            if len(seen) == 1:
                act()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield seen


@pytest.mark.parametrize("form", FORMS)
def test_whoever_was_written_since_the_claim_is_moved_all_the_same(
    brand: Any, staff: Any, form: Callable[..., Any]
) -> None:
    with in_brand(brand):
        people = [make_contact(brand, staff) for _ in range(4)]
        run = form(brand, people)
        other = Enrolment.objects.get(contact=people[2])
    with in_brand(brand), _before("WITH moved", lambda: _renamed(other.pk)) as moved:
        assert run(brand, DUE, 100).n == 4
    assert len(moved) == 2  # by their places, which were looked up anew
    with in_brand(brand):
        rows = list(Enrolment.objects.all())
        assert len({row.next_run_at for row in rows}) == 1 and rows[0].next_run_at > DUE
        assert {row.source for row in rows if row.pk == other.pk} == {"told since"}
        listed = {pk for due in EnrolmentDue.objects.all() for pk in due.ids}
        assert listed == {row.pk for row in rows}
        assert Touch.objects.count() == TouchKey.objects.count() == 4
        assert run(brand, DUE, 100).n == 0
        assert run(brand, rows[0].next_run_at, 100).n == 4


def _renamed(enrolment_id: int) -> None:
    Enrolment.objects.filter(pk=enrolment_id).update(source="told since")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("is_known", [False, True])
def test_the_same_people_are_claimed_whatever_postgres_believes(
    brand: Any, staff: Any, form: Callable[..., Any], is_known: bool
) -> None:
    """Each once, though they stand in two lists; not who has left, is parked or is due later."""
    with in_brand(brand):
        people = [make_contact(brand, staff) for _ in range(9)]
        run = form(brand, people)
        later, gone, parked, *_ = rows = list(Enrolment.objects.order_by("pk"))
        Enrolment.objects.filter(pk=gone.pk).update(ended_at=DUE)
        Enrolment.objects.filter(pk=parked.pk).update(is_parked=True)
        Enrolment.objects.filter(pk=later.pk).update(next_run_at=at("2026-05-03 10:00"))
        one = EnrolmentDue.objects.all()[0]
        twice = [row.pk for row in rows[-3:]]
        EnrolmentDue.objects.create(next_run_at=one.next_run_at, is_graph=one.is_graph, n=3, ids=twice)
        if is_known:
            _many_who_wait(rows[-1], 200)
    if is_known:
        with connections["owner"].cursor() as cursor:
            cursor.execute("ANALYZE campaigns_enrolment")
    with in_brand(brand), _before("FOR UPDATE", lambda: None) as claims:
        assert statistics.believes(brand, "campaigns_enrolment", 24) is is_known
        assert run(brand, DUE, 100).n == 6
    [sql] = [sql for sql in claims if "campaigns_enrolment" in sql and "SKIP" in sql]
    assert ("ANY(%(ids)s" in sql) is is_known
    with in_brand(brand):
        assert Touch.objects.count() == TouchKey.objects.count() == 6
        moved = Enrolment.objects.filter(next_run_at__gt=at("2026-05-03 10:00"), pk__in=[r.pk for r in rows])
        assert {row.pk for row in moved} == {row.pk for row in rows[3:]}


def _many_who_wait(like: Enrolment, n: int) -> None:
    """So that those who are due are few in the eyes of Postgres."""
    with connection.cursor() as cursor:
        cursor.execute(
            dues.listing(
                "INSERT INTO campaigns_enrolment AS e (brand_id, sop_id, contact_id, source, joined_at, position, next_run_at,"
                " entered_at, is_parked, end_kind, version_id, node, ended_at) SELECT brand_id, sop_id, contact_id, source,"
                " joined_at, position, %s, entered_at, true, 'done', version_id, node, %s FROM campaigns_enrolment,"
                " generate_series(1, %s) WHERE brand_id = %s AND id = %s"
            ),
            [DUE, DUE, n, like.brand_id, like.pk],
        )


@pytest.mark.parametrize("drawn", [False, True])
def test_many_are_written_in_the_same_way_while_python_goes_on(
    brand: Any, other_brand: Any, drawn: bool
) -> None:
    """Of one brand each statement is waited for, because somebody watches; of the other Python goes on meanwhile."""
    done = {}
    for one in (brand, other_brand):
        crowd(one, N)
        with in_brand(one):
            corp = make_corp(one)
            staff = make_staff(one, corp)
            with connection.cursor() as cursor:
                cursor.execute(FOLLOWS, [staff.pk, corp.pk, one.pk])
            _flags(one)
            form = _by_graph if drawn else _by_day
            run = form(one, list(Contact.objects.order_by("pk")[:1]))
            _enrol_like(Enrolment.objects.get())
        with in_brand(one), _before("FOR UPDATE", lambda: None) if one is brand else nullcontext():
            outcome = run(one, DUE, 10_000)
        with in_brand(one):
            done[one.pk] = _written(one, outcome)
    ours, theirs = done.values()
    assert ours == theirs
    assert ours["n"] == N and ours["planned"] == N - N // 10 and ours["blocked"] == N // 10


def _flags(brand: Any) -> None:
    """A tenth is to be left alone."""
    Contact.objects.update(n_follows=1)
    rows = Contact.objects.order_by("pk").values_list("pk", flat=True)
    Contact.objects.filter(pk__in=list(rows)[::10]).update(do_not_contact=True)
    stats.rebuild(brand)
    bits_check.rebuild(brand)


def _enrol_like(row: Enrolment) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            dues.listing(
                "INSERT INTO campaigns_enrolment AS e (brand_id, sop_id, contact_id, source, joined_at, position, next_run_at,"
                " entered_at, is_parked, end_kind, version_id, node, node_at) SELECT r.brand_id, r.sop_id, c.id, r.source,"
                " r.joined_at, r.position, r.next_run_at, r.entered_at, false, '', r.version_id, r.node, r.node_at"
                " FROM campaigns_enrolment r JOIN contacts_contact c ON c.brand_id = r.brand_id AND c.id <> r.contact_id"
                " WHERE r.brand_id = %s AND r.id = %s"
            ),
            [row.brand_id, row.pk],
        )


def _written(brand: Any, outcome: Any) -> dict[str, Any]:
    """What a batch has written, without ids; each touch has its key, and each person the next step."""
    rows = list(Touch.objects.values_list("pk", "contact_id", "state", "reason", "at", "send_task_id"))
    assert {key.touch_id for key in TouchKey.objects.all()} == {row[0] for row in rows}
    assert len({row[1] for row in rows}) == len(rows)
    planned = {(row[5], row[1]) for row in rows if row[5]}
    tasks = list(SendTask.objects.all())
    assert planned == {(task.pk, pk) for task in tasks for pk in task.contact_ids}
    blocked = {(row[0], row[1]) for row in rows if not row[5]}
    told = Event.objects.filter(type=EventType.TOUCH_BLOCKED).values_list("object_id", "contact_id")
    assert set(told) == blocked and len(told) == len(blocked)
    moved = Enrolment.objects.filter(next_run_at__gt=DUE)
    listed = [pk for due in EnrolmentDue.objects.all() for pk in due.ids]
    assert sorted(listed) == sorted(moved.values_list("pk", flat=True))
    day = governance.day_of(DUE, brand.timezone)
    frame = frames.Frame.whole(brand)
    counts, _dirty = planes.counts_by_day(frame, day, day, planes.ALL)
    return {
        "n": outcome.n,
        "planned": outcome.n_planned,
        "blocked": outcome.n_blocked,
        "touches": Counter((row[2], row[3], row[4]) for row in rows),
        "tasks": sorted((task.n, task.state, task.text) for task in tasks),
        "moved": Counter(moved.values_list("next_run_at", "position", "node")),
        "keys": len(TouchKey.objects.all()),
        "counted": int(sum(counts[day].flatten().tolist())),
        "held": sorted(StepBlocked.objects.values_list("reason", "n")),
    }


def test_a_minute_in_which_nothing_is_due_is_one_transaction(brand: Any) -> None:
    """Of a thousand brands most have nothing to do in a minute."""
    with CaptureQueriesContext(connection) as found:
        tick_brand.apply(kwargs={"brand_id": brand.pk}, throw=True)
    asked = [row["sql"] for row in found]
    assert sum(sql == "COMMIT" for sql in asked) == 1 and sum("campaigns_" in sql for sql in asked) == 2, (
        asked
    )
    assert len(asked) <= 6, asked
