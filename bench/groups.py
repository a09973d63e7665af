"""Groups and hand-over in sets: a page of groups merged, first and unchanged, beside the ORM row by row; the preview of a
guide's hand-over."""

import time
from dataclasses import replace
from datetime import timedelta

from django.db import connection, transaction

from bench.data import brand_of
from bench.figures import Figure, timed
from bench.limits import copy_rate
from groups.models import GroupChat, GroupMember
from groups.services.mirror import merge
from groups.services.reading import Reading, Stay
from handover.services import runs
from handover.services.choosing import Choice
from handover.services.runs import Share
from org.models import Corp, Staff
from scrm import clock
from tenants.models import Brand
from tenants.scoping import tenant_scope

GROUPS = 100  # as many as a step of the sync reads


def run(full: bool) -> list[Figure]:
    n = 200 if full else 50
    brand = brand_of(1_000_000 if full else 20_000)
    with tenant_scope(brand):
        with transaction.atomic():
            corp = Corp.objects.order_by("pk").first()
            guides = list(Staff.objects.guides().select_related("corp").filter(corp=corp).order_by("pk")[:4])
        assert corp
        readings = _readings(brand, corp, guides[0], n)
        rows = GROUPS * n
        first = _seconds(brand, corp, readings)
        later = [replace(r, seen_at=clock.now()) for r in readings]
        same = _seconds(brand, corp, later)
        plain = _plain_rate(corp)
        with transaction.atomic():
            shares = [Share(guide.pk) for guide in guides[1:]]
            found = runs.preview(brand, giver=guides[0], choice=Choice(), shares=shares)
            look = timed(lambda: runs.preview(brand, giver=guides[0], choice=Choice(), shares=shares), 3)
    copy = copy_rate()
    beside = f"{rows / first / copy:.3f} × COPY ({copy:,.0f} rows/s); ORM row by row {plain:,.0f} rows/s"
    return [
        Figure(f"{GROUPS} groups of {n} merged, first time", rows / first, "members/s", beside),
        Figure("the same again, nothing changed", rows / same, "members/s"),
        Figure(f"preview of {found.n_customers:,} customers to 3 guides", look * 1000, "ms"),
    ]


def _readings(brand: Brand, corp: Corp, owner: Staff, n: int) -> list[Reading]:
    """Groups as WeCom shows them, of the brand's own customers."""
    now, mark = clock.now(), time.time_ns() % 10**9
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT value FROM contacts_identity WHERE brand_id = %s AND kind = 'external_userid' ORDER BY id LIMIT %s",
            [brand.pk, GROUPS * n],
        )
        known = [row[0] for row in cursor.fetchall()]
    return [
        Reading(
            f"wr{mark:09d}{g:04d}",
            now,
            name=f"群{g}",
            owner=owner.userid,
            version="1",
            created_at=now - timedelta(days=30),
            stays=tuple(
                Stay(2, known[(g * n + i) % len(known)], f"群友{i}", "", 3, "", "", now - timedelta(days=3))
                for i in range(n)
            ),
        )
        for g in range(GROUPS)
    ]


def _seconds(brand: Brand, corp: Corp, readings: list[Reading]) -> float:
    start = time.perf_counter()
    with transaction.atomic():
        merge(brand, corp, readings, source="sync")
    return time.perf_counter() - start


def _plain_rate(corp: Corp, n: int = 300) -> float:
    """The same by the ORM, one member and transaction at a time, without events and bitmaps."""
    now = clock.now()
    with transaction.atomic():
        chat = GroupChat.objects.create(corp=corp, chat_id=f"plain{time.time_ns()}", created_at=now)
    start = time.perf_counter()
    for i in range(n):
        with transaction.atomic():
            GroupMember.objects.get_or_create(
                chat=chat, userid=f"wm{i}", left_at=None, defaults={"kind": 2, "joined_at": now}
            )
    return n / (time.perf_counter() - start)
