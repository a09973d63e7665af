"""Segments at a million contacts: counts, snapshots, who moved, search by name; as the application's role with
row-level security on, each beside a limit of the same run and the plain ORM's way."""

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, Q

from bench import big, limits
from bench.figures import Figure, percentile, timed
from commerce.models import Order
from contacts.filters import Filters
from contacts.models import Contact, ContactStat, Event
from contacts.services import listing
from org.access import SYSTEM
from scrm import clock
from tagging.conditions import parse
from tagging.models import ContactTag, Segment, SegmentVersion
from tagging.services.segments import audience, segments, snapshots
from tenants.scoping import tenant_scope


def run(full: bool) -> list[Figure]:
    here, _beside = big.brands(full)
    with tenant_scope(here.brand), clock.at(big.NOW):
        bench = Bench(here)
        return [*bench.counts(), *bench.versions(), *bench.members(), *bench.search()]


class Bench:
    def __init__(self, here: big.Big) -> None:
        self.here, self.brand = here, here.brand
        self.a, self.b, self.c = here.tag_ids[5], here.tag_ids[9], here.tag_ids[20]
        self.some = here.tag_ids[8:13]
        # of the contacts the brand's share of a scan, of the events the whole table: as the targets were measured
        self.scan_s = self._scan("contacts_contact", "gender = 5") * self._part("contacts_contact")
        self.events_s = self._scan("contacts_event", "type = 5", 1)

    def _scan(self, table: str, where: str, times: int = 3) -> float:
        with transaction.atomic(), connection.cursor() as cursor:
            for way in ("indexscan", "indexonlyscan", "bitmapscan"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
            sql = f"SELECT count(*) FROM {table} WHERE brand_id = {self.brand.pk} AND {where}"
            cursor.execute(sql)
            return timed(lambda: cursor.execute(sql), times)

    def _part(self, table: str) -> float:
        """Which part of a table is this brand's, by the statistics."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN SELECT 1 FROM {table} WHERE brand_id = {self.brand.pk}")
            text = "".join(row[0] for row in cursor.fetchall())
            mine = float(text.split("rows=")[1].split(" ")[0])
            cursor.execute(
                "SELECT sum(reltuples) FROM pg_class WHERE oid = %s::regclass AND relkind = 'r' OR oid IN"
                " (SELECT inhrelid FROM pg_inherits WHERE inhparent = %s::regclass)",
                [table, table],
            )
            return min(1.0, mine / max(cursor.fetchone()[0], 1.0))

    def tags(self, *ids: int, mode: str = "any", **more: Any) -> dict[str, Any]:
        return {"kind": "tags", "mode": mode, "ids": list(ids), **more}

    def _count(self, condition: dict[str, Any], times: int = 7) -> tuple[float, int]:
        """Seconds of a count in a transaction of its own, everything included; and the number."""
        read = self._read(condition)

        def act() -> int:
            with transaction.atomic():
                return audience.count(self.brand, read)

        n = act()
        return timed(act, times), n

    def _read(self, condition: dict[str, Any]) -> dict[str, Any]:
        return parse(condition)  # channel codes of the big brands are numbers only

    def conditions(
        self,
    ) -> "list[tuple[str, dict[str, Any], tuple[str, float], float | None, Callable[[], Any] | None]]":
        """Name, condition, the limit it is measured against, the share of that which is meant (None: only shown), the
        ORM's way."""
        a, b, c = self.a, self.b, self.c
        rich = {"kind": "number", "measure": "spent_fen", "compare": {"op": "gt", "value": 50_000}}
        lately = {"kind": "last_order", "window": {"type": "last", "n": 30}}
        quiet = {"not": {"kind": "do_not_contact"}}

        def event(kind: str, n: int, days: int) -> dict[str, Any]:
            return {
                "kind": "event",
                "event": kind,
                "compare": {"op": "ge", "value": n},
                "window": {"type": "last", "n": days},
            }

        def orders(n: int, days: int) -> dict[str, Any]:
            return {
                "kind": "orders",
                "compare": {"op": "ge", "value": n},
                "window": {"type": "last", "n": days},
            }

        guides = {"kind": "staff", "ids": self.here.staff_ids[:20]}
        codes = {"kind": "code", "ids": list(range(1, 11))}
        scan, events = ("scan of the contacts", self.scan_s), ("scan of the events", self.events_s)
        return [
            ("one tag", self.tags(a), scan, 0.1, lambda: ContactTag.objects.filter(tag=a).count()),
            ("A and B", self.tags(a, b, mode="all"), scan, 0.1, lambda: self._orm([a, b]).count()),
            ("(A or B) and not C and not do-not-contact",
             {"all": [self.tags(a, b), self.tags(c, mode="none"), quiet]}, scan, 0.1, self._orm_wide),
            ("20 guides and 10 codes and not C", {"all": [guides, codes, self.tags(c, mode="none")]}, scan, 0.1, None),
            ("3 of 5 tags", self.tags(*self.some, mode="at_least", n=3), scan, 0.25, self._orm_at_least),
            ("A and spent > ¥500 and ordered in 30 days and not do-not-contact",
             {"all": [self.tags(a), rich, lately, quiet]}, scan, 1.0, self._orm_mixed),
            ("A and spent > ¥500", {"all": [self.tags(a), rich]}, scan, 1.0, None),
            ("A and first added in 90 days",
             {"all": [self.tags(a), {"kind": "added", "window": {"type": "last", "n": 90}}]}, scan, 1.0, None),
            ("cart in 7 days and not bought", {"all": [event("cart", 1, 7), {"not": orders(1, 7)}]}, events, 0.06,
             self._orm_cart),
            ("4 orders or more in 30 days", orders(4, 30), events, 0.06, self._orm_orders),
            ("viewed 3 times in 30 days and silent", {"all": [event("viewed", 3, 30), {"not": orders(1, 90)}]}, events,
             0.1, None),
            ("viewed one of three products in 30 days",
             {**event("viewed", 1, 30), "product_ids": self.here.product_ids[40:43]}, events, 0.06, None),
            ("searched for a word in 30 days", {**event("searched", 1, 30), "words": ["裙"]}, events, None, None),
            ("2 orders or more in 30 days, told by one source", {**orders(2, 30), "sources": ["big"]}, events, None, None),
        ]  # fmt: skip

    def counts(self) -> list[Figure]:
        figures = []
        for name, condition, (limit, limit_s), target, orm in self.conditions():
            spent, n = self._count(condition)
            beside = f"{n:,} people; {limit} {limit_s * 1000:,.1f} ms, ratio {spent / limit_s:.3f}"
            if orm is not None:
                beside += f"; ORM {self._timed(orm):,.0f} ms"
            meant = ("", None) if target is None else (f"<= {target} x scan", spent <= target * limit_s)
            figures.append(Figure(name, spent * 1000, "ms", beside, *meant))
        return [*figures, *self.nested()]

    def _timed(self, act: Callable[[], Any]) -> float:
        with transaction.atomic():
            return timed(act, 1) * 1000

    def _orm(self, tags: list[int]) -> Any:
        found = Contact.objects.all()
        for tag in tags:
            found = found.filter(Exists(ContactTag.objects.filter(tag=tag, contact=OuterRef("pk"))))
        return found

    def _orm_wide(self) -> int:
        either = Exists(ContactTag.objects.filter(tag__in=[self.a, self.b], contact=OuterRef("pk")))
        third = Exists(ContactTag.objects.filter(tag=self.c, contact=OuterRef("pk")))
        return Contact.objects.filter(either, ~third, do_not_contact=False).count()

    def _orm_at_least(self) -> int:
        rows = ContactTag.objects.filter(tag__in=self.some).values("contact").annotate(n=Count("tag"))
        return rows.filter(n__gte=3).count()

    def _orm_mixed(self) -> int:
        since = big.NOW - timedelta(days=30)
        rows = ContactStat.objects.filter(
            spent_fen__gt=50_000, last_order_at__gte=since, do_not_contact=False
        )
        return rows.filter(Exists(ContactTag.objects.filter(tag=self.a, contact=OuterRef("contact")))).count()

    def _orm_cart(self) -> int:
        since = big.NOW - timedelta(days=7)
        put = Event.objects.filter(type=92, at__gte=since, contact_id=OuterRef("pk"))
        bought = Order.objects.filter(is_sale=True, paid_at__gte=since, contact=OuterRef("pk"))
        return Contact.objects.filter(Exists(put), ~Exists(bought)).count()

    def _orm_orders(self) -> int:
        since = big.NOW - timedelta(days=30)
        many = Count("id", filter=Q(is_sale=True, paid_at__gte=since))
        return Order.objects.values("contact").annotate(n=many).filter(n__gte=4).count()

    def nested(self) -> list[Figure]:
        """Three deep, a segment in a segment, with money, orders and behaviour: different each time."""
        dice = random.Random(5)
        women = {"kind": "gender", "values": ["female"]}
        with transaction.atomic():
            inner = self._segment("bench inner", {"any": [self.tags(self.b), women]})
            inside = {"kind": "segment", "ids": [inner.pk]}
            outer = self._segment("bench outer", {"all": [inside, self.tags(self.c, mode="none")]})
        spent = []
        for _ in range(30):
            x, y, z = dice.sample(self.here.tag_ids[:60], 3)
            at_least = {"op": "ge", "value": dice.randint(1, 5)}
            window = {"type": "last", "n": dice.choice([3, 7])}
            buyers = {"kind": "number", "measure": "n_orders", "compare": at_least}
            no_cart = {"not": {"kind": "event", "event": "cart", "window": window}}
            either = {"any": [{"all": [self.tags(x), buyers]}, {"all": [self.tags(y, z), no_cart]}]}
            there = {"kind": "follow", "values": ["reachable"]}
            spent.append(self._count({"all": [{"kind": "segment", "ids": [outer.pk]}, either, there]}, 1)[0])
        p95 = percentile(spent, 0.95) * 1000
        beside = f"median {percentile(spent, 0.5) * 1000:.0f} ms"
        return [
            Figure(
                "nested three deep, a segment in a segment: p95", p95, "ms", beside, "<= 300 ms", p95 <= 300
            )
        ]

    def _segment(self, name: str, condition: dict[str, Any]) -> Segment:
        found = Segment.objects.filter(name=name, deleted_at=None).first()
        return found or segments.create_segment(self.brand, by=SYSTEM, name=name, condition=condition)

    def versions(self) -> list[Figure]:
        """A snapshot of nearly half of everybody beside COPY of as many rows; what two versions differ in."""
        condition = {"all": [self.tags(*self.here.tag_ids[:1], self.a), {"kind": "everybody"}]}
        with transaction.atomic():
            segment = self._segment("bench half", condition)
        taken: list[SegmentVersion] = []

        def take() -> None:
            with transaction.atomic():
                taken.append(snapshots.snapshot(self.brand, segment))

        take()
        spent = timed(take, 5)
        n = taken[0].n
        copy_s = n / limits.copy_rate(min(n, 200_000))
        # another condition: thousands come and go
        with transaction.atomic():
            snapshots_before = taken[-1].pk
            segments.update_segment(
                self.brand,
                by=SYSTEM,
                segment=segment,
                condition={"all": [self.tags(*self.here.tag_ids[:1], self.b)]},
            )
            changed = SegmentVersion.objects.order_by("-pk").first()
            assert changed is not None
            moved = timed(lambda: snapshots.count_changes(self.brand, snapshots_before, changed.pk))
            entered, left = snapshots.count_changes(self.brand, snapshots_before, changed.pk)
            segments.update_segment(self.brand, by=SYSTEM, segment=segment, condition=condition)
            old = [v.pk for v in SegmentVersion.objects.filter(segment=segment).order_by("-pk")[2:]]
            snapshots.forget_bits(self.brand, old)
            SegmentVersion.objects.filter(pk__in=old).delete()
        beside = f"{n:,} members; COPY of as many rows {copy_s * 1000:,.0f} ms, ratio {spent / copy_s:.3f}"
        return [
            Figure("a snapshot, with its numbers", spent * 1000, "ms", beside, "<= 0.05 x COPY", spent <= 0.05 * copy_s),
            Figure("entered and left between two versions", moved * 1000, "ms", f"{entered:,} and {left:,}", "<= 50 ms",
                   moved <= 0.05),
        ]  # fmt: skip

    def members(self) -> list[Figure]:
        read = self._read({"all": [self.tags(self.here.tag_ids[0], self.a)]})
        found: list[int] = []

        def act() -> None:
            with transaction.atomic():
                found[:] = audience.ids(self.brand, read)

        spent = timed(act, 3)
        orm = self._timed(lambda: list(self._orm([self.here.tag_ids[0]]).values_list("pk", flat=True)))
        few = self._read({"all": [self.tags(self.a, self.here.tag_ids[60]), self.tags(self.c)]})
        with transaction.atomic():
            page = timed(lambda: audience.Audience(self.brand, few).page(size=100))
        with transaction.atomic():
            sample = timed(lambda: audience.Audience(self.brand, read).count_and_sample(20))
        return [
            Figure("ids to the client", spent / max(len(found), 1) * 1e9, "ns/id", f"{len(found):,} ids; ORM {orm:,.0f} ms"),
            Figure("first hundred members of a small segment", page * 1000, "ms"),
            Figure("count and a sample of twenty", sample * 1000, "ms"),
        ]  # fmt: skip

    def search(self) -> list[Figure]:
        """Two characters of a name: a first page beside a scan, and what its statements took of that."""
        text = big.SURNAMES[3] + big.GIVEN[8]
        with transaction.atomic():
            scan = self._scan("contacts_contact", f"name LIKE '%{text}%'")
        with transaction.atomic():  # another one: in that of the scan no index is used
            filters = Filters(q=text)
            find = lambda: listing.page(self.brand, staff=None, filters=filters, size=50)  # noqa: E731
            n = len(find().rows)
            spent: list[float] = []

            def watch(execute: Any, *args: Any) -> Any:
                start = time.perf_counter()
                try:
                    return execute(*args)
                finally:
                    spent[-1] += time.perf_counter() - start

            def clocked() -> None:
                spent.append(0.0)
                with connection.execute_wrapper(watch):
                    find()

            whole = timed(clocked, 15)
            statements = sorted(spent)[len(spent) // 2]
            orm = self._timed(lambda: list(Contact.objects.filter(name__contains=text)[:50]))
        beside = (
            f"{n} rows; LIKE scan {scan * 1000:,.1f} ms, ratio {whole / scan:.4f}; its statements {statements * 1000:.2f} ms,"
            f" ratio {statements / scan:.4f}; ORM {orm:,.1f} ms"
        )
        return [
            Figure("name search, two characters, first page", whole * 1000, "ms", beside,
                   "<= 0.01 x LIKE", whole <= 0.01 * scan)
        ]  # fmt: skip
