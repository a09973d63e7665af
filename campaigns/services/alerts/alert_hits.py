"""Which events rules want told, and to which guide: in sets, from a batch of the outbox or from a day that is over."""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from campaigns.models import AlertRule
from contacts.models import EventType
from scrm import clock
from scrm.errors import SCRMError
from tagging.rule_events import event_of, filter_sql
from tagging.services.segments import audience
from tenants.models import Brand

log = logging.getLogger(__name__)

NEWS = timedelta(hours=24)  # what is older when it is read is history (an import), not news
ARRIVALS = (
    EventType.ADDED,
    EventType.ADDED_AGAIN,
)  # of these the guide added was told on the spot: others are


class Hit(NamedTuple):
    """An event that a rule wants told."""

    rule_id: int
    event_id: int
    contact_id: int


def hits(brand: Brand, rules: Sequence[AlertRule], table: str, *, since: datetime) -> list[Hit]:
    """Of the events in a table (columns of contacts_event), each once: the first rule that wants it has it.

    Args:
        since: events before it do not count.
    """
    parts, params = [], dict[str, Any](brand=brand.pk)
    for rule in rules:
        event, p = event_of(rule.event), f"r{rule.pk or 0}"
        where, more = filter_sql(event, rule.filters, p)
        params |= {**more, f"{p}_rule": rule.pk or 0, f"{p}_since": max(since, rule.on_since or since)}
        parts.append(
            f"SELECT %({p}_rule)s::bigint AS rule_id, e.id, e.contact_id FROM {table} e"  # noqa: S608
            f" WHERE e.type = {int(event.type)} AND e.at >= %({p}_since)s AND {where}"
        )
    if not parts:
        return []
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts) + " ORDER BY 2, 1", params)
        found = [Hit(*row) for row in cursor.fetchall()]
    for rule in rules:
        if rule.condition:
            mine = {hit.contact_id for hit in found if hit.rule_id == (rule.pk or 0)}
            in_ = _members(brand, rule, mine)
            found = [hit for hit in found if hit.rule_id != (rule.pk or 0) or hit.contact_id in in_]
    first: dict[int, Hit] = {}
    for hit in found:
        first.setdefault(hit.event_id, hit)
    return list(first.values())


def _members(brand: Brand, rule: AlertRule, contact_ids: Collection[int]) -> set[int]:
    """Who of some people fulfils a rule's condition; of one that cannot be read nobody, and the rule says why."""
    if not contact_ids:
        return set()
    try:
        return audience.Audience(brand, audience.read(brand, rule.condition)).has(sorted(contact_ids))
    except SCRMError as error:
        problem = str(error)[:200]
        if rule.pk and rule.problem != problem:
            AlertRule.objects.filter(pk=rule.pk).update(problem=problem)
            log.warning("alert rule %s of brand %s cannot be read: %s", rule.pk, brand.pk, problem)
        return set()


# the guide of an event, if the customer is still theirs, else the one added last; of an arrival another one than that
RECEIVER = """
    LEFT JOIN LATERAL (
        SELECT f.staff_id FROM contacts_follow f
          JOIN org_staff s ON s.brand_id = %(brand)s AND s.id = f.staff_id
         WHERE f.brand_id = %(brand)s AND f.contact_id = e.contact_id AND f.ended_at IS NULL AND NOT f.is_pending
           AND s.state = 'active' AND s.is_guide AND s.userid <> ''
           AND (NOT e.type = ANY(%(arrivals)s) OR f.staff_id IS DISTINCT FROM e.staff_id)
         ORDER BY (f.staff_id IS NOT DISTINCT FROM e.staff_id) DESC, f.added_at DESC, f.id DESC LIMIT 1 OFFSET 0
    ) who ON true
"""

_INSERT = """
    INSERT INTO campaigns_alert (brand_id, at, rule_id, staff_id, contact_id, type, object_id, event_id, data, state, reason,
                                 due_at, done_at)
    SELECT %(brand)s, e.at, h.rule_id, who.staff_id, e.contact_id, e.type, e.object_id, e.id, e.data,
           CASE WHEN who.staff_id IS NULL THEN 'suppressed' ELSE 'waiting' END,
           CASE WHEN who.staff_id IS NOT NULL THEN '' WHEN e.type = ANY(%(arrivals)s) THEN 'told' ELSE 'no_guide' END,
           %(now)s, CASE WHEN who.staff_id IS NULL THEN %(now)s::timestamptz END
      FROM unnest(%(rules)s::bigint[], %(events)s::bigint[]) AS h(rule_id, event_id)
      JOIN {table} e ON e.id = h.event_id
      {receiver}
     ORDER BY e.id
    ON CONFLICT (brand_id, event_id, staff_id) DO NOTHING
"""


def write(brand: Brand, found: Sequence[Hit], table: str) -> int:
    """Alerts of hits, waiting to be told at once; gives how many are new."""
    if not found:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_INSERT.format(table=table, receiver=RECEIVER), _params(brand, found))
        return cursor.rowcount


def receivers(brand: Brand, found: Sequence[Hit], table: str) -> list[tuple[Any, ...]]:
    """(guide or None, event id, at, contact, type, object) of hits, as they would be told now."""
    sql = (
        "SELECT who.staff_id, e.id, e.at, e.contact_id, e.type, e.object_id"  # noqa: S608
        f" FROM unnest(%(events)s::bigint[]) AS h(event_id) JOIN {table} e ON e.id = h.event_id {RECEIVER}"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, _params(brand, found))
        return cursor.fetchall()


def _params(brand: Brand, found: Sequence[Hit]) -> dict[str, Any]:
    return {
        "brand": brand.pk,
        "now": clock.now(),
        "arrivals": [int(type) for type in ARRIVALS],
        "rules": [hit.rule_id for hit in found],
        "events": [hit.event_id for hit in found],
    }
