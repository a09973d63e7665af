"""SOP steps in sets: 1,000,000 enrolled of whom 100,000 are due, by day and on the canvas, beside the ledger of a quarter
with caps that some have reached; a tick with nothing due; a rehearsal of 100,000 people over a quarter."""

import time
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from bench import past
from bench.data import brand_of
from bench.figures import Figure, timed
from bench.limits import copy_rate
from campaigns.models import Enrolment, SendTask, Sop, SopVersion, Touch
from campaigns.services.governance import policy
from campaigns.services.graphs import graphs
from campaigns.services.journeys import rehearsing, walking
from campaigns.services.sops import dues, schedule, sops, stepping
from campaigns.tasks import tick_brand
from contacts.models import Contact, EventType
from contacts.services import stats
from org.access import SYSTEM
from scrm import clock
from tagging.models import Dim, DimBits
from tagging.services.bits import bits_check
from tagging.services.bits.bits import Flag
from tenants.models import Brand
from tenants.scoping import tenant_scope


def run(full: bool) -> list[Figure]:
    return run_sizes(*((1_000_000, 1_000_000, 100_000) if full else (20_000, 20_000, 4_000)))


def run_sizes(size: int, n: int, due: int) -> list[Figure]:
    """A brand of `size` contacts, `n` of them enrolled, `due` of them due."""
    brand, copy = brand_of(size), copy_rate()
    with tenant_scope(brand):
        _reachable(brand)
        policy.change_policy(brand, by=SYSTEM, caps=past.CAPS)
        sent_before = past.build(brand)
        sop = _enrolled(brand, n, due)
        now = clock.now()
        with clock.at(now - timedelta(days=60)):
            _tick(brand)  # nobody is due then; a worker has ticked before
        plain = _plain_rate(brand, sop)
        start = time.perf_counter()
        outcome = stepping.run(brand, now)
        spent = time.perf_counter() - start
        first_idle, idle = _idle(brand)
        with transaction.atomic():
            touches = Touch.objects.filter(sop_id=sop.pk).count()
            planned = Touch.objects.filter(sop_id=sop.pk, state=Touch.State.PLANNED).count()
        drawn = _of_graphs(brand, n, due, copy)
        rehearsal = _rehearsal(brand, min(due, 100_000))
    return [
        _steps(f"steps by day, {due:,} due of {n:,} enrolled, a message each", outcome.n, spent, copy,
               f"ORM row by row {plain:,.0f}/s"),
        Figure("touches written (one for each step)", touches, "rows",
               f"{planned:,} planned, the others held back; beside {sent_before:,} sent before",
               f"{due:,}", touches == due == outcome.n),
        *drawn,
        Figure("a tick in which nothing is due, the whole task", first_idle * 1000, "ms",
               f"the first one after the steps; median of the next 50: {idle * 1000:.1f} ms", "≤ 5 ms", first_idle <= 0.005),
        rehearsal,
    ]  # fmt: skip


def _reachable(brand: Brand) -> None:
    """What the gate asks: a row beside each contact, and bitmaps; made once."""
    with transaction.atomic():
        if DimBits.objects.filter(dim=Dim.FLAG, val=Flag.EVERYBODY).exists():  # written last
            return
    stats.rebuild(brand)
    bits_check.rebuild(brand)


def _steps(name: str, n: int, spent: float, copy: float, beside: str) -> Figure:
    ratio = n / spent / copy
    text = f"{ratio:.3f} × COPY ({copy:,.0f} rows/s); {beside}"
    return Figure(name, n / spent, "steps/s", text, "≥ 0.02 × COPY", ratio >= 0.02)


def _enrolled(brand: Brand, n: int, due: int) -> Sop:
    """A fresh SOP with n people, `due` of whom joined a day ago and are due now; no cap that would hold them back."""
    sop = sops.create_sop(
        brand,
        name=f"bench {time.time_ns()}",
        steps=[sops.StepInput(1, 0, 0, "第一天"), sops.StepInput(30, 10, 0, "第三十天")],
        by=SYSTEM,
    )
    sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
    joined_at = clock.now() - timedelta(days=1)
    due_at = schedule.run_at(schedule.joining_date(joined_at, brand.timezone), 1, 0, 0, brand.timezone)
    _put_in(brand, sop.pk, n, due, joined_at, due_at, {})
    return sop


def _put_in(
    brand: Brand, sop_id: int, n: int, due: int, joined_at: datetime, due_at: datetime, at: dict[str, Any]
) -> None:
    """n people in an SOP, every (n / due)-th of them due; everything else that was planned is gone."""
    now = clock.now()
    past.forget_today(brand, int(Touch.Kind.SOP))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM campaigns_enrolment WHERE brand_id = %s", [brand.pk])
        cursor.execute("DELETE FROM campaigns_enrolmentdue WHERE brand_id = %s", [brand.pk])
        cursor.execute("DELETE FROM campaigns_sendtask WHERE brand_id = %s", [brand.pk])
        cursor.execute(
            dues.listing(
                """
            INSERT INTO campaigns_enrolment AS e (brand_id, sop_id, contact_id, source, joined_at, position, next_run_at,
                                                  entered_at, is_parked, end_kind, version_id, node, node_at)
            SELECT brand_id, %s, id, 'page', %s, %s, CASE WHEN position %% (%s / %s) = 0 THEN %s ELSE %s END, %s, false, '',
                   %s, %s, %s
              FROM contacts_contact WHERE brand_id = %s AND position < %s
            """
            ),
            [
                sop_id, joined_at, 1 if at else 0, n, due, due_at, now + timedelta(days=3), now,
                at.get("version"), at.get("node", ""), joined_at if at else None, brand.pk, n,
            ],
        )  # fmt: skip


def _tick(brand: Brand) -> None:
    tick_brand.apply(kwargs={"brand_id": brand.pk}, throw=True)


def _idle(brand: Brand) -> tuple[float, float]:
    """Seconds of a tick, as beat's message starts it for the brand, when nobody is due: the first one, and the median of more.
    What the steps have left behind in the index of who is due is still there."""
    with transaction.atomic():
        SendTask.objects.update(state=SendTask.State.FINAL)  # a guide's answers are no business of steps

    first = timed(lambda: _tick(brand), 1)
    return first, timed(lambda: _tick(brand), 50)


def _graph(*middle: dict[str, Any]) -> dict[str, Any]:
    """in → w1 → … → w2 → end."""
    nodes = [
        {"id": "in", "kind": "entry", "by": "hand"}, {"id": "w1", "kind": "wait", "n": 1}, *middle,
        {"id": "w2", "kind": "wait", "n": 30}, {"id": "end", "kind": "end"},
    ]  # fmt: skip
    order = [node["id"] for node in nodes]
    edges = []
    for node, after in zip(nodes, order[1:], strict=False):
        outs = {"branch": ("yes", "no"), "split": ("a", "b")}.get(node["kind"], ("next",))
        edges += [{"from": node["id"], "out": out, "to": after} for out in outs]
    return {"nodes": nodes, "edges": edges}


MESSAGE = {"id": "t", "kind": "touch", "text": "你好"}
WAYS = (
    {"id": "b", "kind": "branch", "condition": {"kind": "follow", "values": ["reachable"]}},
    {"id": "s", "kind": "split", "shares": [{"key": "a", "percent": 50}, {"key": "b", "percent": 50}]},
)


def _of_graphs(brand: Brand, n: int, due: int, copy: float) -> list[Figure]:
    found = []
    for words, middle in (("a message each", (MESSAGE,)), ("branch and split, no message", WAYS)):
        sop = _drawn(brand, n, due, middle)
        one = _one_by_one(brand)
        start = time.perf_counter()
        outcome = walking.run(brand, clock.now())
        spent = time.perf_counter() - start
        with transaction.atomic():
            left = Enrolment.objects.filter(sop=sop, node="w1", next_run_at__lte=clock.now()).count()
        found.append(
            _steps(f"canvas, {due:,} due of {n:,}: {words}", outcome.n, spent, copy,
                   f"{outcome.n_nodes / spent:,.0f} nodes/s; one task for each contact {one:,.0f}/s, broker not counted;"
                   f" {left} left behind")
        )  # fmt: skip
    return found


def _drawn(brand: Brand, n: int, due: int, middle: Any) -> Sop:
    with transaction.atomic():
        sop = graphs.create_graph_sop(brand, name=f"bench {time.time_ns()}", graph=_graph(*middle))
    graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
    with transaction.atomic():
        version = SopVersion.objects.get(sop=sop).pk
    now = clock.now()
    _put_in(
        brand,
        sop.pk,
        n,
        due,
        now - timedelta(days=1),
        now - timedelta(minutes=1),
        {"version": version, "node": "w1"},
    )
    return sop


def _one_by_one(brand: Brand, n: int = 100) -> float:
    """What a task for each contact does: a transaction for one person."""
    start = time.perf_counter()
    for _ in range(n):
        walking.run_batch(brand, clock.now(), 1)
    return n / (time.perf_counter() - start)


def _rehearsal(brand: Brand, people: int) -> Figure:
    """New friends of a quarter through the ready graph of 30 days."""
    now = clock.now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM contacts_event WHERE brand_id = %s AND source = 'bench_sop'", [brand.pk])
        cursor.execute(
            "INSERT INTO contacts_event (brand_id, at, contact_id, type, source, data)"
            " SELECT brand_id, %s - (position %% 88) * interval '1 day', id, %s, 'bench_sop', '{}' FROM contacts_contact"
            " WHERE brand_id = %s AND position < %s",
            [now - timedelta(days=1), int(EventType.ADDED), brand.pk, people],
        )
        sop = graphs.create_from_template(brand, key="new_friend", name=f"bench {time.time_ns()}")
    start = time.perf_counter()
    with transaction.atomic():
        found = rehearsing.run(brand, sop.draft, sop_id=sop.pk, since=now - timedelta(days=91), until=now)
    spent = time.perf_counter() - start
    beside = f"{found['n_people']:,} people, {found['n_touches'] + found['n_blocked']:,} messages, {found['n_tasks']:,} tasks"
    return Figure("rehearsal of a quarter, ready graph of 30 days", spent, "s", beside)


def _plain_rate(brand: Brand, sop: Sop, n: int = 300) -> float:
    """The same by the ORM, one row and transaction at a time, without any of the checks."""
    now = clock.now()
    with transaction.atomic():
        rows = list(Enrolment.objects.filter(sop=sop, next_run_at__gt=now)[:n])
    start = time.perf_counter()
    for row in rows:
        with transaction.atomic():
            contact = Contact.objects.get(pk=row.contact_id)
            if not contact.do_not_contact:
                Touch.objects.create(at=now, kind=Touch.Kind.SOP, contact_id=contact.pk)
            row.next_run_at = now + timedelta(days=30)
            row.save(update_fields=["next_run_at"])
    return n / (time.perf_counter() - start)
