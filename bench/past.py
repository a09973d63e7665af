"""What a brand has sent in the last quarter: the ledger that a plan stands beside, and that caps look at."""

from datetime import timedelta

from django.db import connection, connections, transaction

from campaigns.governance import CapRule, day_of, midnight
from campaigns.models import Broadcast, Touch
from campaigns.services.ledger import planes
from scrm import clock
from tagging.models import Dim
from tenants.models import Brand

CAPS = [CapRule(7, 3), CapRule(30, 8)]
DAYS = 90
# everybody got three messages in the quarter, none of them in the last week; of a hundred, four got three more in the last
# week, and one got two: one message more and the cap is reached
_SENT = """
    INSERT INTO campaigns_touch (brand_id, at, kind, contact_id, broadcast_id, send_task_id, state, reason, done_at, error)
    SELECT s.brand_id, %(now)s - p.days * interval '1 day', %(kind)s, s.contact_id, %(broadcast)s, 0, %(delivered)s, 0,
           %(now)s - p.days * interval '1 day', ''
      FROM contacts_contactstat s CROSS JOIN LATERAL (
            SELECT 8 + (s.position * 7 + k * 27) %% 82 AS days FROM generate_series(0, 2) k
             UNION ALL
            SELECT 2 * k - 1 FROM generate_series(1, CASE WHEN {lot} < 4 THEN 3 WHEN {lot} = 4 THEN 2 ELSE 0 END) k) p
     WHERE s.brand_id = %(b)s ORDER BY p.days DESC, s.contact_id
"""
LOT = "(s.position * 31 + 7) % 97"
TABLES = "campaigns_touch, campaigns_sendtask, campaigns_waveset, tagging_dimbits"


def build(brand: Brand) -> int:
    """The quarter before now, in place of all that the ledger has of the brand; gives its rows."""
    now = clock.now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM campaigns_touch WHERE brand_id = %s", [brand.pk])
        cursor.execute(
            "DELETE FROM tagging_dimbits WHERE brand_id = %s AND dim = %s", [brand.pk, int(Dim.TOUCH)]
        )
        sent = Broadcast.objects.create(name="bench, sent before", state="done", audience={}, launched_at=now)
    owner = connections["owner"]
    with owner.cursor() as cursor:
        cursor.execute(f"VACUUM {TABLES}")
    with transaction.atomic("owner"), owner.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute(
            _SENT.format(lot=LOT.replace("%", "%%")),
            {
                "b": brand.pk, "now": now, "broadcast": sent.pk, "kind": int(Touch.Kind.BROADCAST),
                "delivered": int(Touch.State.DELIVERED),
            },
        )  # fmt: skip
        n = cursor.rowcount
    today = day_of(now, brand.timezone)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '256MB'")
        planes.rebuild(brand, midnight(today - DAYS - 1, brand.timezone), midnight(today, brand.timezone))
    vacuum()
    return n


def vacuum() -> None:
    """As autovacuum would: what was written is known to the planner, what was deleted is gone."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {TABLES}")


def at_the_cap(brand: Brand) -> list[int]:
    """Who got two messages in the last week."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT s.contact_id FROM contacts_contactstat s WHERE s.brand_id = %s AND {LOT.replace('%', '%%')} = 4",
            [brand.pk],
        )
        return [row[0] for row in cursor.fetchall()]


def forget_today(brand: Brand, kind: int) -> None:
    """Take back what a run has written: touches of a kind, and what today counts."""
    now = clock.now()
    with transaction.atomic(), connection.cursor() as cursor:
        since = now - timedelta(days=1)
        cursor.execute(
            "DELETE FROM campaigns_touch WHERE brand_id = %s AND at > %s AND kind = %s",
            [brand.pk, since, kind],
        )
        cursor.execute(
            "DELETE FROM tagging_dimbits WHERE brand_id = %s AND dim = %s AND val >= %s",
            [brand.pk, int(Dim.TOUCH), planes.val_of(day_of(now, brand.timezone), 0, 0)],
        )
