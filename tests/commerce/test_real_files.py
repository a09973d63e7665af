"""Real purchases and behaviour as they are, odd rows included, against the totals that are published or counted.

CDNOW: 69,659 purchases of 23,570 customers (Fader and Hardie, "Notes on the CDNOW master data set",
brucehardie.com/notes/008). The Taobao sample has no licence that lets us ship it: its test runs where the file lies
beside the project, in `../shared/data/` of any folder above.
"""

import csv
import io
from collections import Counter
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, Max, Min, Q, Sum

from commerce.models import Order, OrderLine, Product
from commerce.services import staging, waiting
from commerce.services.order_merge import merge_orders
from commerce.services.products import merge_products
from contacts.models import ContactStat, Event, EventType
from contacts.services.behaviour import COLUMNS, merge_behaviour
from contacts.services.staging import open_table
from demo.people import purchases
from tests.factories import in_brand

ROOT = Path(__file__).resolve().parents[2]
CDNOW = ROOT / "demo_data" / "cdnow_master.txt"
N, CUSTOMERS, FEN, FREE = 69_659, 23_570, 250_031_563, 80  # the last two counted in the file
TAOBAO = next(
    (p for up in ROOT.parents if (p := up / "shared" / "data" / "taobao_behaviour.csv").is_file()), None
)


def copy(cursor: Any, table: str, columns: list[str], rows: list[tuple]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    text.seek(0)
    cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN WITH (FORMAT csv)", text)


def make_members(brand: Any, numbers: list[str]) -> None:
    """Contacts with a member number and their sums, set-based."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH made AS (
                INSERT INTO contacts_contact (brand_id, position, name, avatar, gender, kind, corp_name, do_not_contact,
                                              n_follows, added_at)
                SELECT %s, coalesce((SELECT max(position) + 1 FROM contacts_contact WHERE brand_id = %s), 0) + n, x.no,
                       '', 0, 1, '', false, 0, '1997-01-01' FROM unnest(%s::text[]) WITH ORDINALITY x(no, n)
                RETURNING id, position, name, added_at
            ), stat AS (
                INSERT INTO contacts_contactstat (brand_id, contact_id, position, n_follows, added_at, gender,
                                                  do_not_contact, n_orders, spent_fen)
                SELECT %s, id, position, 0, added_at, 0, false, 0, 0 FROM made
            )
            INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at)
            SELECT %s, id, 'member_no', '', name, added_at FROM made
            """,
            [brand.pk, brand.pk, numbers, brand.pk, brand.pk],
        )


def totals() -> tuple:
    found = Order.objects.aggregate(
        n=Count("pk"), fen=Sum("amount_fen"), people=Count("buyer_value", distinct=True),
        first=Min("paid_at"), last=Max("paid_at"), free=Count("pk", filter=Q(amount_fen=0, is_sale=True)),
    )  # fmt: skip
    return tuple(found.values())


def test_cdnow_whole(brand: Any) -> None:
    lines = list(purchases(CDNOW))
    assert (len(lines), len({row[0] for row in lines})) == (N, CUSTOMERS)
    nth: Counter = Counter()
    rows, parts = [], []
    for n, (customer, day, quantity, fen) in enumerate(lines):
        nth[customer, day] += 1  # somebody buys twice on a day, and the same twice: both are purchases
        at = datetime.combine(day, time(12), UTC)
        number = f"{customer}-{day:%Y%m%d}-{nth[customer, day]}"
        rows.append((n, number, "member_no", customer, at, fen, at))
        parts.append((n, 1, "CD", "CD", quantity, fen))
    columns = ["n", "order_no", "buyer_kind", "buyer_value", "paid_at", "amount_fen", "updated_at"]

    def import_all() -> Any:
        with connection.cursor() as cursor:
            staging.open_tables(cursor, "order_in", "line_in")
            copy(cursor, "order_in", columns, rows)
            copy(cursor, "line_in", ["order_n", "n", "sku", "name", "quantity", "amount_fen"], parts)
        return merge_orders(brand, source="cdnow", told_by="import")

    everybody = sorted({row[0] for row in lines})
    with in_brand(brand):
        half = set(everybody[::2])
        make_members(brand, sorted(half))  # the others are not known yet
        counts = import_all()
        assert (counts.n_new, counts.n_changed, counts.n_same) == (N, 0, 0)
        known = sum(row[0] in half for row in lines)
        assert counts.n_waiting == N - known
        assert Event.objects.filter(type=EventType.ORDER_PAID).count() == known
        make_members(brand, everybody[1::2])
        assert waiting.attach_all(brand) == N - known

        first, last = (datetime.combine(d, time(12), UTC) for d in (date(1997, 1, 1), date(1998, 6, 30)))
        assert totals() == (N, FEN, CUSTOMERS, first, last, FREE)
        assert OrderLine.objects.aggregate(n=Sum("quantity"))["n"] == sum(row[2] for row in lines)
        sums = ContactStat.objects.filter(n_orders__gt=0).aggregate(
            people=Count("contact"), n=Sum("n_orders"), fen=Sum("spent_fen"), most=Max("n_orders")
        )
        most = Counter(row[0] for row in lines).most_common(1)[0][1]
        assert sums == {"people": CUSTOMERS, "n": N, "fen": FEN, "most": most}
        assert Event.objects.filter(type=EventType.ORDER_PAID).count() == N

        counts = import_all()  # the same file again changes nothing
        assert (counts.n_new, counts.n_changed, counts.n_same) == (0, 0, N)
        assert totals()[:3] == (N, FEN, CUSTOMERS)


@pytest.mark.skipif(
    TAOBAO is None, reason="the Taobao sample is not beside the project (demo_data/README.md)"
)
def test_taobao_where_it_is(brand: Any) -> None:
    assert TAOBAO is not None
    with TAOBAO.open(encoding="utf-8-sig", newline="") as file:
        given = list(csv.reader(file))[1:]
    kinds = {"pv": "view", "fav": "favourite", "cart": "cart"}
    products, orders, parts, acts = {}, [], [], []
    for n, (user, sku, maker, _maker_id, name, category, _category_id, kind, stamp, price) in enumerate(
        given
    ):
        at, fen = datetime.fromtimestamp(int(stamp), UTC), round(float(price) * 100)
        products[sku] = (len(products), sku, f"{maker} {name}", category, fen)
        if kind == "buy":
            orders.append((n, f"{user}-{stamp}-{sku}", "member_no", user, at, fen))
            parts.append((n, 1, sku, name, 1, fen))
        else:
            acts.append((n, kinds[kind], at, "member_no", user, sku))
    with in_brand(brand), connection.cursor() as cursor:
        make_members(brand, sorted({row[0] for row in given}))
        staging.open_tables(cursor, "product_in", "order_in", "line_in")
        copy(cursor, "product_in", ["n", "sku", "name", "category", "price_fen"], list(products.values()))
        assert merge_products(brand).n_new == 165
        copy(
            cursor,
            "order_in",
            ["n", "order_no", "buyer_kind", "buyer_value", "paid_at", "amount_fen"],
            orders,
        )
        copy(cursor, "line_in", ["order_n", "n", "sku", "name", "quantity", "amount_fen"], parts)
        assert merge_orders(brand, source="taobao", told_by="import").n_new == 32_000
        for again in (False, True):
            open_table(cursor, "behaviour_in", COLUMNS)
            copy(cursor, "behaviour_in", ["n", "kind", "at", "buyer_kind", "buyer_value", "sku"], acts)
            counts = merge_behaviour(brand, source="taobao", told_by="import")
            assert (counts.n_new, counts.n_same, counts.n_waiting) == (
                (0, 8_000, 0) if again else (8_000, 0, 0)
            )
        found = dict(Event.objects.values_list("type").annotate(n=Count("pk")))
        assert found == {
            EventType.ORDER_PAID: 32_000,
            EventType.VIEWED: 5_030,
            EventType.CARTED: 2_009,
            EventType.FAVOURITED: 961,
        }
        assert not Event.objects.exclude(type=EventType.ORDER_PAID).filter(object_id=None).exists()
        assert Product.objects.count() == 165
        assert ContactStat.objects.filter(n_orders__gt=0).aggregate(n=Sum("n_orders"))["n"] == 32_000
