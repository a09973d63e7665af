"""A brand of any size, made with set-based SQL as the application's role."""

from django.db import connection, connections, transaction

from org.access import SYSTEM
from org.models import Corp, Staff
from org.services.brands import connect_corp, create_brand
from tenants.models import Brand
from tenants.scoping import tenant_scope

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红玲建国志文"
GUIDES = 200


def brand_of(n: int) -> Brand:
    """The benchmark's brand with `n` contacts; made once, kept for the next run."""
    slug = f"bench-{n}"
    brand = Brand.objects.filter(slug=slug).first()
    if brand is not None:
        return brand
    brand = create_brand(name=f"Bench {n:,}", slug=f"{slug}-unfinished")
    with tenant_scope(brand):
        corp = connect_corp(brand, by=SYSTEM, name="Bench", corpid=f"wwbench{n:09d}", agent_id=1, secret="x")
        with transaction.atomic():
            Staff.objects.bulk_create(
                Staff(name=f"导购{i}", corp=corp, userid=f"g{i}", is_guide=True) for i in range(GUIDES)
            )
        for start in range(0, n, 100_000):
            _contacts(brand, corp, start, min(start + 100_000, n))
    with connections["owner"].cursor() as cursor:  # the tables are the owner's
        cursor.execute("VACUUM ANALYZE")
    brand.slug = slug
    brand.save(update_fields=["slug"])
    return brand


def _contacts(brand: Brand, corp: Corp, start: int, stop: int) -> None:
    """Contacts start…stop with one follow, three events and their name's bigrams each."""
    b = brand.pk
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO contacts_contact (brand_id, position, name, avatar, gender, kind, corp_name, do_not_contact,
                                          n_follows, added_at)
            SELECT %s, i, substr(%s, 1 + (i * 7) %% %s, 1) || substr(%s, 1 + (i * 13) %% %s, 1)
                          || substr(%s, 1 + (i * 31) %% %s, 1),
                   '', (i %% 3)::int, 1, '', i %% 17 = 0, 1, timestamptz '2026-11-01' - i * interval '31 seconds'
              FROM generate_series(%s, %s) i ON CONFLICT DO NOTHING
            """,
            [b, SURNAMES, len(SURNAMES), GIVEN, len(GIVEN), GIVEN, len(GIVEN), start, stop - 1],
        )
        cursor.execute(
            "SELECT min(id), max(id) FROM contacts_contact WHERE brand_id = %s AND position >= %s", [b, start]
        )
        low, high = cursor.fetchone()
        cursor.execute("SELECT array_agg(id ORDER BY id) FROM org_staff WHERE brand_id = %s", [b])
        (guides,) = cursor.fetchone()
        span = [b, low, high]
        cursor.execute(
            """
            INSERT INTO contacts_follow (brand_id, contact_id, staff_id, corp_id, external_userid, state, add_way, remark,
                                         description, wecom_tag_ids, is_pending, added_at, end_kind, changed_at)
            SELECT brand_id, id, (%s::bigint[])[1 + position %% %s], %s, 'wm' || lpad(id::text, 30, '0'), '', 1, '', '',
                   '{}', false,
                   added_at, '', added_at
              FROM contacts_contact WHERE brand_id = %s AND id BETWEEN %s AND %s ON CONFLICT DO NOTHING
            """,
            [guides, GUIDES, corp.pk, *span],
        )
        cursor.execute(
            """
            INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at)
            SELECT brand_id, id, 'external_userid', %s, 'wm' || lpad(id::text, 30, '0'), added_at
              FROM contacts_contact WHERE brand_id = %s AND id BETWEEN %s AND %s ON CONFLICT DO NOTHING
            """,
            [corp.corpid, *span],
        )
        cursor.execute(
            """
            INSERT INTO contacts_contactgram (brand_id, gram, contact_id)
            SELECT brand_id, substr(name, k, m), id FROM contacts_contact, (VALUES (1,1),(2,1),(3,1),(1,2),(2,2)) AS g(k, m)
             WHERE brand_id = %s AND id BETWEEN %s AND %s ON CONFLICT DO NOTHING
            """,
            span,
        )
        cursor.execute(
            """
            INSERT INTO contacts_event (brand_id, at, contact_id, type, source, data)
            SELECT brand_id, added_at + k * interval '1 day', id, (ARRAY[1, 10, 20])[k + 1], 'sync', '{}'
              FROM contacts_contact, generate_series(0, 2) k WHERE brand_id = %s AND id BETWEEN %s AND %s
            """,
            span,
        )
