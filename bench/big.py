"""Brands as big as the figures ask: 1,000,000 contacts, 12 M tag rows, 3 M orders, 20 M events each at SCALE=full.

Built once, as the owner of the tables, by set-based SQL: secondary indexes and foreign keys are taken off, the rows are
written, both are made again. Everything is drawn from a fixed seed. `brands(full)` gives the brand and its neighbour.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections, transaction

from bench.scale import contacts
from commerce.models import Product
from contacts.models import CustomField
from org.access import SYSTEM
from org.models import Corp, Region, Staff, Store
from org.services.brands import connect_corp, create_brand
from tagging.models import Tag, TagGroup
from tenants.models import Brand
from tenants.scoping import tenant_scope

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)  # the moment that windows of the figures end at
GUIDES, CODES, TAGS, PRODUCTS = 200, 100, 500, 300
TAGS_EACH, ORDERS_EACH, EVENTS_EACH = 12, 3, 17  # and an event for each order
SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧"
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红玲建国志文斌波宁贵福生龙元全胜学祥才发武新利清飞彬富顺信子"
    "泰健世广山仁良海毅俊峰保东力辉永康星光天达安岩中茂进林有坚和彪博诚先敬震振壮会思群豪心邦承乐绍功松善厚庆民友裕河哲"
    "江浩亮政谦亨奇固之轮翰朗伯宏言若鸣朋梁栋维启克伦翔旭鹏泽晨辰士以家致树炎德行时雪琴云莲真环荣爱妹"
)
TABLES = (
    "contacts_contact", "contacts_contactstat", "contacts_follow", "contacts_identity", "contacts_contactgram",
    "contacts_customvalue", "contacts_event", "tagging_contacttag", "tagging_dimbits", "commerce_order",
    "commerce_orderline",
)  # fmt: skip


@dataclass(frozen=True)
class Big:
    """A built brand and what figures need to know of it: tags by share of contacts, most common first."""

    brand: Brand
    n: int
    tag_ids: list[int]
    staff_ids: list[int]
    product_ids: list[int]


def brands(full: bool) -> tuple[Big, Big]:
    """The brand that is measured and the one of the same size beside it."""
    n = contacts(full)
    slugs = [f"big-{n}-{number}" for number in (1, 2)]
    build(n, [slug for slug in slugs if not Brand.objects.filter(slug=slug).exists()])
    here, beside = (named(n, slug) for slug in slugs)
    return here, beside


def neighbours(full: bool, n_brands: int = 8) -> None:
    """More brands beside the two: their contacts, bitmaps, orders and the last quarter's events, all that conditions
    read, copied from the first one; no names to search by, no truth of the tags."""
    n = contacts(full)
    here = named(n, f"big-{n}-1").brand.pk
    slugs = [f"big-{n}-{number}" for number in range(3, 3 + n_brands)]
    missing = [slug for slug in slugs if not Brand.objects.filter(slug=slug).exists()]
    if not missing:
        return
    start, made = time.monotonic(), [_begin(n, slug) for slug in missing]
    connection = connections["owner"]
    with transaction.atomic("owner"), connection.cursor() as cursor:
        for setting in ("synchronous_commit = off", "maintenance_work_mem = '1GB'", "work_mem = '256MB'"):
            cursor.execute(f"SET LOCAL {setting}")
        with _bare(cursor):
            for slug, brand in zip(missing, made, strict=True):
                _copied(cursor, here, brand.pk, n)
                print(f"  {slug}: {time.monotonic() - start:.0f} s", flush=True)
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {', '.join(TABLES)}")
    for slug, brand in zip(missing, made, strict=True):
        brand.slug = slug
        brand.save(update_fields=["slug"])
    print(f"  {len(missing)} neighbours: built in {time.monotonic() - start:.0f} s", flush=True)


def _copied(cursor: Any, here: int, there: int, n: int) -> None:
    cursor.execute("SELECT min(id) FROM contacts_contact WHERE brand_id = %s", [here])
    moved = f"contact_id + {-cursor.fetchone()[0] + _block(cursor, 'contacts_contact', n)}"
    since = (NOW - timedelta(days=100)).isoformat()
    for table, changed, where in (
        ("contacts_contact", {"id": moved.replace("contact_id", "id")}, ""),
        ("contacts_contactstat", {"contact_id": moved}, ""),
        ("tagging_dimbits", {}, ""),
        ("commerce_order", {"id": None, "contact_id": moved}, ""),
        ("contacts_event", {"id": None, "contact_id": moved, "xid": None}, f" AND at >= '{since}'"),
    ):
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [table],
        )
        values = {name: name for (name,) in cursor.fetchall()} | {"brand_id": str(there)} | changed
        kept = {name: value for name, value in values.items() if value is not None}
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(kept)}) SELECT {', '.join(kept.values())} FROM {table}"
            f" WHERE brand_id = {here}{where}"
        )


def named(n: int, slug: str) -> Big:
    """A brand that was built."""
    brand = Brand.objects.get(slug=slug)
    with tenant_scope(brand), transaction.atomic():
        tags = list(Tag.objects.order_by("pk").values_list("pk", flat=True)[:TAGS])
        staff = list(Staff.objects.filter(is_guide=True).order_by("pk").values_list("pk", flat=True))
        products = list(Product.objects.order_by("pk").values_list("pk", flat=True))
    return Big(brand, n, tags, staff, products)


def build(n: int, slugs: Sequence[str]) -> None:
    """Make brands of `n` contacts; all in one transaction: what is killed leaves no table without its indexes."""
    if not slugs:
        return
    start = time.monotonic()
    made = [_begin(n, slug) for slug in slugs]
    smalls = [_small_ids(brand) for brand in made]  # read beforehand: the tables are locked below
    connection = connections["owner"]
    with transaction.atomic("owner"), connection.cursor() as cursor:
        for setting in ("synchronous_commit = off", "maintenance_work_mem = '1GB'", "work_mem = '256MB'"):
            cursor.execute(f"SET LOCAL {setting}")
        cursor.execute("SET LOCAL jit = off")
        cursor.execute("SELECT setseed(0.42)")
        with _bare(cursor):
            for slug, brand, small in zip(slugs, made, smalls, strict=True):
                _fill(cursor, brand, small, n, slug)
    with connection.cursor() as cursor:
        began = time.monotonic()
        cursor.execute(f"VACUUM ANALYZE {', '.join(TABLES)}")
        print(f"  vacuum: {time.monotonic() - began:.0f} s", flush=True)
    for slug, brand in zip(slugs, made, strict=True):
        brand.slug = slug
        brand.save(update_fields=["slug"])
    print(f"  {', '.join(slugs)}: built in {time.monotonic() - start:.0f} s", flush=True)


def _begin(n: int, slug: str) -> Brand:
    left = Brand.objects.filter(slug__startswith=f"{slug}-unfinished").count()
    brand = create_brand(name=f"Big {n:,}", slug=f"{slug}-unfinished-{left}")
    with tenant_scope(brand), transaction.atomic():
        _small_things(brand)
    return brand


def _fill(cursor: Any, brand: Brand, small: "_Small", n: int, slug: str) -> None:
    for name, sql in _steps(cursor, brand, small, n):
        began = time.monotonic()
        cursor.execute(sql)
        n_rows = cursor.rowcount
        table = sql.split("INSERT INTO", 1)[1].split()[0]
        if table == "commerce_order":
            cursor.execute(f"ANALYZE {table}")  # the next steps read it
        print(f"  {slug}: {name} {n_rows:,} rows, {time.monotonic() - began:.0f} s", flush=True)


def _block(cursor: Any, table: str, n: int) -> int:
    """Reserve `n` numbers of a table's ids; gives the first: ids that are known beforehand need no joins."""
    cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), nextval(pg_get_serial_sequence(%s, 'id')) + %s)",
                   [table, table, n])  # fmt: skip
    return cursor.fetchone()[0] - n + 1


def _small_things(brand: Brand) -> None:
    corp = connect_corp(brand, by=SYSTEM, name="Big", corpid=f"wwbig{brand.pk:011d}", agent_id=1, secret="x")
    regions = [Region.objects.create(name=f"区域{i}") for i in range(4)]
    stores = [Store.objects.create(name=f"门店{i}", region=regions[i % 4]) for i in range(20)]
    Staff.objects.bulk_create(
        Staff(name=f"导购{i}", corp=corp, userid=f"g{i}", is_guide=True, store=stores[i % 20])
        for i in range(GUIDES)
    )
    groups = [TagGroup.objects.create(name=f"标签组{i}", order=i) for i in range(20)]
    Tag.objects.bulk_create(Tag(group=groups[i % 20], name=f"标签{i}", order=i) for i in range(TAGS))
    Product.objects.bulk_create(
        Product(sku=f"sku{i}", name=f"商品{i}", category=f"品类{i % 12}", price_fen=9900)
        for i in range(PRODUCTS)
    )
    CustomField.objects.create(key="birthday", label="生日", type="date")
    CustomField.objects.create(key="city", label="城市", type="text")


@contextmanager
def _bare(cursor: Any) -> Iterator[None]:
    """The tables without secondary indexes and foreign keys."""
    cursor.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = ANY(%s::regclass[]) AND contype = 'f' AND conparentid = 0",
        [list(TABLES)],
    )
    keys = cursor.fetchall()
    cursor.execute(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
        " WHERE i.indrelid = ANY(%s::regclass[]) AND NOT i.indisprimary AND NOT EXISTS"
        "  (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype <> 'f')",
        [list(TABLES)],
    )
    indexes = cursor.fetchall()
    for table, name, _definition in keys:
        cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    for name, _definition in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    began = time.monotonic()
    for _name, definition in indexes:
        cursor.execute(definition.replace(" ON ONLY ", " ON "))  # of partitions as well
    for table, name, definition in keys:
        cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
    print(f"  indexes and foreign keys: {time.monotonic() - began:.0f} s", flush=True)


def shares() -> list[float]:
    """The share of contacts who carry each tag: some very common, most rare, TAGS_EACH in all."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        total = sum(min(0.45, middle / (i + 1) ** 0.85) for i in range(TAGS))
        low, high = (middle, high) if total < TAGS_EACH else (low, middle)
    return [min(0.45, low / (i + 1) ** 0.85) for i in range(TAGS)]


@dataclass(frozen=True)
class _Small:
    corp: Corp
    guides: list[int]
    tags: list[int]
    products: list[int]
    fields: dict[str, int]


def _small_ids(brand: Brand) -> _Small:
    with tenant_scope(brand), transaction.atomic():
        return _Small(
            Corp.objects.get(),
            list(Staff.objects.filter(is_guide=True).order_by("pk").values_list("pk", flat=True)),
            list(Tag.objects.order_by("pk").values_list("pk", flat=True)),
            list(Product.objects.order_by("pk").values_list("pk", flat=True)),
            dict(CustomField.objects.values_list("key", "pk")),
        )


def _steps(cursor: Any, brand: Brand, small: _Small, n: int) -> Iterator[tuple[str, str]]:
    corp, guides, tags, products, fields = (
        small.corp, small.guides, small.tags, small.products, small.fields,
    )  # fmt: skip
    b, now = brand.pk, f"timestamptz '{NOW.isoformat()}'"
    first = _block(cursor, "contacts_contact", n)  # the contact at position 0
    # contacts come over four years, more of them lately
    yield (
        "contacts",
        f"""
        INSERT INTO contacts_contact (id, brand_id, position, name, avatar, gender, kind, corp_name, do_not_contact,
                                      n_follows, added_at, lost_at)
        SELECT {first} + i, {b}, i, substr('{SURNAMES}', 1 + i % {len(SURNAMES)}, 1)
                    || substr('{GIVEN}', 1 + (i / {len(SURNAMES)}) % {len(GIVEN)}, 1)
                    || substr('{GIVEN}', 1 + (i * 31 + i / 1024) % {len(GIVEN)}, 1),
               '', i % 3, CASE WHEN i % 50 = 0 THEN 2 ELSE 1 END, '', i % 17 = 0, (i % 11 <> 0)::int,
               {now} - interval '1460 days' * power(1 - i::float8 / {n}, 1.5),
               CASE WHEN i % 11 = 0 THEN {now} - interval '40 days' * random() END
          FROM generate_series(0, {n - 1}) i""",
    )
    yield (
        "counter",
        f"INSERT INTO contacts_brandcounter (brand_id, name, next_value) VALUES ({b}, 'contact', {n})",
    )
    yield (
        "follows",
        f"""
        INSERT INTO contacts_follow (brand_id, contact_id, staff_id, corp_id, external_userid, state, add_way, remark,
                                     description, wecom_tag_ids, is_pending, added_at, end_kind, changed_at, ended_at,
                                     channel_code_id)
        SELECT brand_id, id, ('{{{",".join(map(str, guides))}}}'::bigint[])[1 + position * 7919 % {GUIDES}], {corp.pk},
               'wm' || lpad(id::text, 30, '0'), '', 1, '', '', '{{}}', false, added_at,
               CASE WHEN lost_at IS NULL THEN '' ELSE 'customer' END, added_at, lost_at,
               CASE WHEN position % 4 < 3 THEN 1 + position * 31 % {CODES} END
          FROM contacts_contact WHERE brand_id = {b}""",
    )
    yield (
        "identities",
        f"""
        INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at)
        SELECT brand_id, id, 'external_userid', '{corp.corpid}', 'wm' || lpad(id::text, 30, '0'), added_at
          FROM contacts_contact WHERE brand_id = {b}""",
    )
    yield (
        "grams",
        f"""
        INSERT INTO contacts_contactgram (brand_id, gram, contact_id)
        SELECT DISTINCT {b}, substr(c.name, k, m), c.id
          FROM contacts_contact c, (VALUES (1, 1), (2, 1), (3, 1), (1, 2), (2, 2)) AS g(k, m)
         WHERE c.brand_id = {b} ORDER BY 2, 3""",
    )
    counts = [max(round(share * n), 1) for share in shares()]
    listed = ", ".join(f"({tag}, {count})" for tag, count in zip(tags, counts, strict=True))
    # each tag on contacts spread over the whole brand: one at a random place of each n-th part, in their order
    yield (
        "tags",
        f"""
        INSERT INTO tagging_contacttag (brand_id, tag_id, contact_id, source, at)
        SELECT {b}, t.id, {first} + least(floor((i + random()) * {n} / t.n), {n - 1})::bigint, 'import',
               {now} - interval '1 day' * (i % 300)
          FROM (VALUES {listed}) AS t(id, n), generate_series(0, t.n - 1) i
        ON CONFLICT DO NOTHING""",
    )
    # a few buy a lot, two in five never
    orders = n * ORDERS_EACH
    first_order = _block(cursor, "commerce_order", orders)
    yield (
        "orders",
        f"""
        INSERT INTO commerce_order (id, brand_id, source, order_no, contact_id, buyer_kind, buyer_scope, buyer_value,
                                    placed_at, paid_at, amount_fen, refunded_fen, n_items, state, is_sale, channel, is_told,
                                    updated_at, created_at)
        SELECT {first_order} + i, {b}, 'big', i::text,
               {first} + (floor(power(random(), 1.8) * {n} * 0.6)::bigint * {_step(n, 15_485_863)} + 11) % {n},
               '', '', '', at, at, (2000 + 60000 * power(random(), 3))::bigint, 0, 1, 4, i % 20 <> 0, '', true, at, at
          FROM (SELECT i, {now} - interval '730 days' * power(1 - (i + 0.5) / {orders}::float8, 1.4) AS at
                  FROM generate_series(0, {orders - 1}) i) o""",
    )
    chosen = f"('{{{','.join(map(str, products))}}}'::bigint[])"
    yield (
        "order lines",
        f"""
        INSERT INTO commerce_orderline (brand_id, order_id, n, product_id, sku, name, quantity, amount_fen)
        SELECT {b}, o.id, k, {chosen}[1 + floor(power(random(), 2) * {PRODUCTS})::int], '', '', 1, o.amount_fen / 2
          FROM commerce_order o, generate_series(1, 2) k WHERE o.brand_id = {b} AND (k = 1 OR o.id % 2 = 0)""",
    )
    kinds = "ARRAY[90,90,90,90,90,90,90,90,90,90,90,90,92,92,91,93,94,94,94,99]"
    behaviour = n * EVENTS_EACH
    yield (
        "behaviour",
        f"""
        INSERT INTO contacts_event (brand_id, at, contact_id, type, object_id, source, data)
        SELECT {b}, e.at, {first} + (floor(power(e.w, 1.5) * {n})::bigint * {_step(n, 32_452_843)} + 5) % {n}, e.type,
               CASE WHEN e.type < 94 THEN {chosen}[1 + floor(power(e.u, 2) * {PRODUCTS})::int]
                    WHEN e.type = 99 THEN 1 + (e.u * 5)::int END, 'api', '{{}}'
          FROM (SELECT {now} - interval '365 days' * (1 - (i + 0.5) / {behaviour}::float8) AS at, random() AS w,
                       ({kinds})[1 + floor(random() * 20)::int] AS type, random() AS u
                  FROM generate_series(0, {behaviour - 1}) i) e""",
    )
    yield (
        "orders on the timeline",
        f"""
        INSERT INTO contacts_event (brand_id, at, contact_id, type, object_id, source, data)
        SELECT brand_id, paid_at, contact_id, 50, id, 'import', '{{}}' FROM commerce_order WHERE brand_id = {b}""",
    )
    yield (
        "custom values",
        f"""
        INSERT INTO contacts_customvalue (brand_id, field_id, contact_id, value_date)
        SELECT {b}, {fields["birthday"]}, {first} + i, date '1970-01-01' + (i * 7 % 12000)
          FROM generate_series(0, {n - 1}, 3) i""",
    )
    yield (
        "stats",
        f"""
        INSERT INTO contacts_contactstat (brand_id, contact_id, position, n_follows, added_at, lost_at, gender,
               do_not_contact, n_orders, spent_fen, first_order_at, last_order_at)
        SELECT {b}, c.id, c.position, c.n_follows, c.added_at, c.lost_at, c.gender, c.do_not_contact,
               coalesce(o.n, 0), coalesce(o.spent, 0), o.first_at, o.last_at
          FROM contacts_contact c
          LEFT JOIN (SELECT contact_id, count(*) AS n, sum(amount_fen)::bigint AS spent, min(paid_at) AS first_at,
                            max(paid_at) AS last_at
                       FROM commerce_order WHERE brand_id = {b} AND is_sale GROUP BY contact_id) o ON o.contact_id = c.id
         WHERE c.brand_id = {b} ORDER BY c.id""",
    )
    truths = {
        1: f"SELECT tag_id, contact_id - {first} FROM tagging_contacttag WHERE brand_id = {b}",
        2: f"SELECT staff_id, contact_id - {first} FROM contacts_follow WHERE brand_id = {b} AND ended_at IS NULL",
        4: f"SELECT channel_code_id, contact_id - {first} FROM contacts_follow WHERE brand_id = {b} AND channel_code_id > 0",
        3: "SELECT v.val, c.position FROM contacts_contact c, LATERAL (VALUES (0, true), (1, c.do_not_contact),"
        " (2, c.n_follows > 0), (3, c.lost_at IS NOT NULL), (4, c.gender = 1), (5, c.gender = 2), (6, c.kind = 2),"
        f" (7, c.name <> '')) AS v(val, is_on) WHERE v.is_on AND c.brand_id = {b}",
    }  # fmt: skip
    for dim, truth in truths.items():
        yield (
            f"bitmaps of dimension {dim}",
            f"""
            INSERT INTO tagging_dimbits (brand_id, dim, val, chunk, bits)
            SELECT {b}, {dim}, val, position / 8192, bit_or(set_bit(0::bit(8192), (position % 8192)::int, 1))
              FROM ({truth}) AS x(val, position) GROUP BY val, position / 8192""",
        )


def _step(n: int, near: int) -> int:
    """A number from `near` on that shares no factor with n: its multiples visit every position once."""
    while math.gcd(near, n) != 1:
        near += 1
    return near % n or 1
