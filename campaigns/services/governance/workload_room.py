"""Planned send tasks of lower campaigns give way to what was planned for a guide's day. See workload.py."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connection

from campaigns.models import Touch
from campaigns.services.governance import outranking, workload
from campaigns.services.governance.workload import Key, Limits, Lower
from campaigns.services.ledger.touches import array
from tagging.services.bits import frames
from tenants.db.joins import joined_by_loop
from tenants.models import Brand

_TOUCHES = """
    SELECT s.position, t.id, t.at, t.kind, t.contact_id, k.id, k.priority
      FROM campaigns_sendtask k CROSS JOIN LATERAL unnest(k.contact_ids) AS c(id)
      JOIN contacts_contactstat s ON s.brand_id = %(b)s AND s.contact_id = c.id
      JOIN campaigns_touch t ON t.brand_id = %(b)s AND t.contact_id = c.id AND t.at = k.at AND t.send_task_id = k.id
     WHERE k.brand_id = %(b)s AND k.id = ANY(%(tasks)s::bigint[]) AND k.state = 'planned' AND t.state = %(planned)s
     ORDER BY k.priority, t.id
"""


def take_back(brand: Brand, lower: Iterable[Lower], now: datetime) -> None:
    """Planned tasks of lower campaigns give way, whole."""
    ids = sorted(row.task_id for row in lower)
    if not ids:
        return
    planned: dict[str, Any] = {"b": brand.pk, "tasks": array(ids), "planned": int(Touch.State.PLANNED)}
    with connection.cursor() as cursor, joined_by_loop(cursor):
        cursor.execute(_TOUCHES, planned)
        taken = [outranking.Planned(*row) for row in cursor.fetchall()]
    frame, _places = frames.frame_of(brand, sorted({row.contact_id for row in taken}))
    outranking.take_back(brand, frame, taken, now)


def make_way(
    brand: Brand, kept: Mapping[Key, int], *, at: datetime, priority: int, limits: Limits, now: datetime
) -> None:
    """For what is about to be planned of a wave; under the gate."""
    days = workload.days_of(brand, {staff_id for staff_id, _content in kept}, at, priority)
    take_back(brand, workload.gives_way(kept, days, limits), now)
