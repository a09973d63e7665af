"""SOP steps in sets: 100,000 enrolled of whom 20,000 are due, and what a minute with nothing due costs."""

import time
from datetime import timedelta

from django.db import connection, transaction

from bench.data import brand_of
from bench.figures import Figure, timed
from bench.limits import copy_rate
from campaigns.models import Enrolment, Sop, Touch
from campaigns.services import schedule, sops, stepping
from contacts.models import Contact
from org.access import SYSTEM
from scrm import clock
from tenants.models import Brand
from tenants.scoping import tenant_scope


def run(full: bool) -> list[Figure]:
    n, due = (100_000, 20_000) if full else (20_000, 4_000)
    brand = brand_of(1_000_000 if full else 20_000)
    with tenant_scope(brand):
        sop = _enrolled(brand, n, due)
        now = clock.now()
        start = time.perf_counter()
        outcome = stepping.run(brand, now)
        spent = time.perf_counter() - start
        idle = timed(lambda: stepping.run(brand, now), 50)
        with transaction.atomic():
            touches = Touch.objects.filter(sop_id=sop.pk).count()
        plain = _plain_rate(brand, sop)
    rate, copy = outcome.n / spent, copy_rate()
    beside = f"{rate / copy:.3f} × COPY ({copy:,.0f} rows/s); ORM row by row {plain:,.0f} steps/s"
    return [
        Figure(f"SOP steps, {due:,} due of {n:,} enrolled", rate, "steps/s", beside),
        Figure("touches written (one for each step)", touches, "rows", "", f"{due:,}", touches == due == outcome.n),
        Figure("a minute in which nothing is due", idle * 1000, "ms", "", "≤ 5 ms", idle <= 0.005),
    ]  # fmt: skip


def _enrolled(brand: Brand, n: int, due: int) -> Sop:
    """A fresh SOP with n people, `due` of whom joined a day ago and are due now; no cap that would hold them back."""
    sop = sops.create_sop(
        brand,
        name=f"bench {time.time_ns()}",
        steps=[sops.StepInput(1, 0, 0, "第一天"), sops.StepInput(30, 10, 0, "第三十天")],
        by=SYSTEM,
    )
    sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
    now = clock.now()
    joined_at = now - timedelta(days=1)
    due_at = schedule.run_at(schedule.joining_date(joined_at, brand.timezone), 1, 0, 0, brand.timezone)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM campaigns_enrolment WHERE brand_id = %s", [brand.pk])
        cursor.execute("DELETE FROM campaigns_touch WHERE brand_id = %s", [brand.pk])
        cursor.execute("DELETE FROM tagging_dimbits WHERE brand_id = %s AND dim = 5", [brand.pk])
        cursor.execute(
            """
            INSERT INTO campaigns_enrolment (brand_id, sop_id, contact_id, source, joined_at, position, next_run_at, entered_at,
                                             is_parked, end_kind)
            SELECT brand_id, %s, id, 'page', %s, 0, CASE WHEN position %% (%s / %s) = 0 THEN %s ELSE %s END, %s, false, ''
              FROM contacts_contact WHERE brand_id = %s AND position < %s
            """,
            [sop.pk, joined_at, n, due, due_at, now + timedelta(days=3), now, brand.pk, n],
        )
    return sop


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
                Touch.objects.create(at=now, kind=Touch.Kind.SOP, contact_id=contact.pk, sop_id=sop.pk)
            row.next_run_at = now + timedelta(days=30)
            row.save(update_fields=["next_run_at"])
    return n / (time.perf_counter() - start)
