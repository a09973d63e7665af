"""Orders told by a file: COPY into a temporary table, merged in slices of 100,000, with timeline, sums and guides; and one
order told by the API."""

import io
import time
from datetime import timedelta

from django.db import connection, connections, transaction

from bench.data import brand_of
from bench.figures import Figure, timed
from commerce.models import Order
from commerce.services import staging
from commerce.services.order_merge import merge_orders
from commerce.services.orders import record_orders
from contacts.models import ContactStat, Event, EventType, Identity
from contacts.services.outcomes import Counts
from scrm import clock
from tenants.models import Brand
from tenants.scoping import tenant_scope

SLICE = 100_000
COLUMNS = "n, order_no, buyer_kind, buyer_value, paid_at, amount_fen, state, channel, updated_at"


def run(full: bool) -> list[Figure]:
    n = 1_000_000 if full else 20_000
    brand = brand_of(n)
    with tenant_scope(brand):
        _empty()
        slices = [_file(brand, start, min(start + SLICE, n), n) for start in range(0, n, SLICE)]
        changed = [_halved(text) for text in slices]
        copy = timed(lambda: [_copied(text) for text in slices], 3)
        first, told = _merged(brand, slices)
        again, known = _merged(brand, slices)
        half, half_told = _merged(brand, changed)
        with transaction.atomic():
            n_events = Event.objects.filter(type=EventType.ORDER_PAID).count()
            n_counted = ContactStat.objects.filter(n_orders__gt=0).count()
        one = _one(brand)
        plain = _plain(brand)
    beside = f"COPY of the file {copy:.2f} s ({n / copy:,.0f} rows/s)"
    right = told.n_new == n and known.n_same == n and half_told.n_changed == (n + 1) // 2
    return [
        Figure(f"{n:,} orders, first import", first / copy, "× COPY", f"{beside}; {first:.1f} s", "≤ 8 ×", first <= 8 * copy),
        Figure("the same file again", again / copy, "× COPY", f"{again:.1f} s", "≤ 2.5 ×", again <= 2.5 * copy),
        Figure("half of the rows changed", half / copy, "× COPY", f"{half:.1f} s", "≤ 14 ×", half <= 14 * copy),
        Figure("rows new, known, changed as they should", n_events, "events", f"{n_counted:,} sums", f"{n:,}",
               right and n_events == n),
        Figure("one order told, with timeline, sums and guide", one * 1000, "ms",
               f"ORM row by row {plain:,.0f} orders/s without any of these", "≤ 20 ms", one <= 0.02),
    ]  # fmt: skip


def _empty() -> None:
    with transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        cursor.execute("TRUNCATE commerce_order, commerce_orderline, commerce_refund")
        cursor.execute("DELETE FROM contacts_event WHERE type IN (50, 51)")
        cursor.execute("UPDATE contacts_contactstat SET n_orders = 0, spent_fen = 0 WHERE n_orders > 0")
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE contacts_event, contacts_contactstat")


def _file(brand: Brand, start: int, stop: int, n: int) -> str:
    """Lines for COPY: paid orders of the brand's contacts, everybody has one or two, over two years."""
    text = io.StringIO()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT min(id) FROM contacts_contact WHERE brand_id = %s", [brand.pk])
        low, now = cursor.fetchone()[0], clock.now().replace(microsecond=0)
        cursor.copy_expert(
            f"COPY (SELECT i, 'B' || lpad(i::text, 12, '0'), 'external_userid',"
            f" 'wm' || lpad(({low} + (i::bigint * 7919) % {n})::text, 30, '0'),"
            f" t.at, 1000 + (i * 37) % 50000, 2, 'mini-program', t.at FROM generate_series({start}, {stop - 1}) i,"
            f" LATERAL (SELECT timestamptz '{now - timedelta(days=730)}' + (i * 63) % 63000000 * interval '1 second' AS at) t)"
            " TO STDOUT",
            text,
        )
    return text.getvalue()


def _halved(text: str) -> str:
    """The same file, every second order done since."""
    rows = []
    for number, line in enumerate(text.splitlines()):
        if number % 2 == 0:
            line = line.replace("\t2\tmini-program", "\t4\tmini-program")
        rows.append(line)
    return "\n".join(rows) + "\n"


def _copied(text: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        staging.open_tables(cursor, "order_in")
        cursor.copy_expert(f"COPY order_in ({COLUMNS}) FROM STDIN", io.StringIO(text))


def _merged(brand: Brand, slices: list[str]) -> tuple[float, Counts]:
    counts, start = Counts(), time.perf_counter()
    for text in slices:
        with transaction.atomic(), connection.cursor() as cursor:
            staging.open_tables(cursor, "order_in", "line_in")
            cursor.copy_expert(f"COPY order_in ({COLUMNS}) FROM STDIN", io.StringIO(text))
            counts += merge_orders(brand, source="bench", told_by="import")
    return time.perf_counter() - start, counts


def _one(brand: Brand) -> float:
    with transaction.atomic():
        identity = Identity.objects.filter(kind="external_userid").first()
    assert identity is not None
    number = iter(range(1_000_000))

    def act() -> None:
        row = {
            "order_no": f"one-{next(number)}", "contact_id": identity.contact_id, "paid_at": clock.now(),
            "amount_fen": 100, "lines": [{"sku": "S1", "name": "样品", "quantity": 1, "amount_fen": 100}],
        }  # fmt: skip
        record_orders(brand, [row], source="bench-one")

    return timed(act, 50)


def _plain(brand: Brand, n: int = 300) -> float:
    """Only the rows, by the ORM, one transaction each."""
    start = time.perf_counter()
    for i in range(n):
        with transaction.atomic():
            Order.objects.update_or_create(
                source="bench-plain", order_no=str(i),
                defaults={"placed_at": clock.now(), "updated_at": clock.now(), "amount_fen": i, "state": 2},
            )  # fmt: skip
    return n / (time.perf_counter() - start)
