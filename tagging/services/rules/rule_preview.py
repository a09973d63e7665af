"""What a rule would do now: how many people, how many tags on and off, a sample; nothing is changed."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection

from contacts.services import positions
from scrm import clock
from tagging.models import BITS, ContactTag, Dim, Flag, TagRule
from tagging.services.bits import bits
from tagging.services.bits.bits import ZERO, of_positions
from tagging.services.rules.rule_match import past_sql
from tagging.services.segments.audience import Audience
from tenants.models import Brand

DAYS = 30  # so far back the preview of a rule on events looks
LARGE = 0.3  # more than this share of everybody needs an explicit yes


@dataclass
class Preview:
    """What a rule would do.

    Attributes:
        n_match: people for whom it holds (of events: in the last `days`).
        n_people: of these, people who would be changed.
        added, removed: tag id → how many would get or lose it.
        n_later: who carries one of them for a time already and would keep it for longer.
        sample: contact ids, newest first.
    """

    n_match: int = 0
    n_people: int = 0
    n_everybody: int = 0
    added: dict[int, int] = field(default_factory=dict)
    removed: dict[int, int] = field(default_factory=dict)
    n_later: int = 0
    sample: list[int] = field(default_factory=list)
    days: int | None = None

    @property
    def share(self) -> float:
        return self.n_match / self.n_everybody if self.n_everybody else 0.0

    @property
    def is_large(self) -> bool:
        return self.share > LARGE


def n_everybody(brand: Brand) -> int:
    """How many people the brand has, by the bitmap of everybody."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(bit_count(bits)), 0) FROM tagging_dimbits WHERE brand_id = %s AND dim = %s AND val = %s",
            [brand.pk, int(Dim.FLAG), int(Flag.EVERYBODY)],
        )
        return int(cursor.fetchone()[0])


def who_sql(brand: Brand, rule: TagRule, days: int) -> tuple[str, dict[str, Any]]:
    """Query of (chunk, bits): for whom a rule holds now, or (events) would have held in the last days."""
    condition_sql, params = "", dict[str, Any]()
    if rule.condition:
        condition_sql, params = Audience(brand, rule.condition).bits_sql()
    if rule.kind == TagRule.Kind.CONDITION:
        return condition_sql, params
    now = clock.now()
    past, more = past_sql(rule, now - timedelta(days=days), now)
    events = of_positions(
        f"SELECT s.position FROM ({past}) p"  # noqa: S608
        " JOIN contacts_contactstat s ON s.brand_id = %(brand)s AND s.contact_id = p.contact_id"
    )
    if condition_sql:
        events = f"SELECT a.chunk, a.bits & b.bits AS bits FROM ({events}) a JOIN ({condition_sql}) b USING (chunk)"  # noqa: S608
    return events, {**params, **more}


_SQL = f"""
    WITH w AS MATERIALIZED (SELECT q.chunk, q.bits FROM ({{who}}) AS q(chunk, bits)),
    t AS MATERIALIZED (
        SELECT x.tag_id, x.is_on, w.chunk,
               CASE WHEN x.is_on THEN w.bits & ~coalesce(d.bits, {ZERO}) ELSE w.bits & coalesce(d.bits, {ZERO}) END AS bits
          FROM w CROSS JOIN unnest(%(tag_ids)s::bigint[], %(on)s::bool[]) AS x(tag_id, is_on)
          LEFT JOIN tagging_dimbits d ON d.brand_id = %(brand)s AND d.dim = {int(Dim.TAG)} AND d.val = x.tag_id
               AND d.chunk = w.chunk
    ),
    changed AS MATERIALIZED (SELECT chunk, bit_or(bits) AS bits FROM t GROUP BY chunk),
    top AS (
        SELECT chunk, bits FROM (
            SELECT chunk, bits, sum(bit_count(bits)) OVER (ORDER BY chunk DESC) - bit_count(bits) AS above
              FROM changed WHERE bit_count(bits) > 0) x
         WHERE above < %(n_sample)s
    )
    SELECT (SELECT coalesce(sum(bit_count(bits)), 0)::bigint FROM w),
           (SELECT coalesce(sum(bit_count(bits)), 0)::bigint FROM changed),
           (SELECT coalesce(sum(bit_count(bits)), 0)::bigint FROM tagging_dimbits
             WHERE brand_id = %(brand)s AND dim = {int(Dim.FLAG)} AND val = {int(Flag.EVERYBODY)}),
           ARRAY(SELECT tag_id FROM t GROUP BY tag_id ORDER BY tag_id),
           ARRAY(SELECT sum(bit_count(bits))::bigint FROM t GROUP BY tag_id ORDER BY tag_id),
           ARRAY(SELECT c.id FROM (
                     SELECT top.chunk::bigint * {BITS} + i AS position FROM top, generate_series(0, {BITS - 1}) i
                      WHERE get_bit(top.bits, i) = 1 ORDER BY 1 DESC LIMIT %(n_sample)s) p
                  JOIN contacts_contact c ON c.brand_id = %(brand)s AND c.position = p.position ORDER BY p.position DESC)
"""  # noqa: S608


# of those who carry a tag for a time, whom the rule's own time is longer for
_LATER = f"""
    SELECT count(*) FROM ({{who}}) AS w(chunk, bits)
      JOIN contacts_contactstat s ON s.brand_id = %(brand)s AND s.position / {BITS} = w.chunk
       AND get_bit(w.bits, s.position %% {BITS}) = 1
      JOIN tagging_contacttag ct ON ct.brand_id = %(brand)s AND ct.tag_id = ANY(%(added)s) AND ct.contact_id = s.contact_id
       AND ct.expires_at IS NOT NULL AND (%(until)s::timestamptz IS NULL OR ct.expires_at < %(until)s)
"""  # noqa: S608


def _later(brand: Brand, rule: TagRule, who: str, params: dict[str, Any]) -> int:
    """How many tags would stay longer. Tags for a time are rare: without one nothing is counted."""
    carried = ContactTag.objects.filter(tag__in=rule.add_tag_ids, expires_at__isnull=False)
    if not rule.add_tag_ids or not carried.exists():
        return 0
    until = clock.now() + timedelta(days=rule.expires_days) if rule.expires_days else None
    with positions.joined(brand) as cursor:
        cursor.execute(
            _LATER.format(who=who), {**params, "brand": brand.pk, "added": rule.add_tag_ids, "until": until}
        )
        return cursor.fetchone()[0]


def preview(brand: Brand, rule: TagRule, *, days: int = DAYS, n_sample: int = 20) -> Preview:
    """In the caller's transaction; the rule need not be saved (tagging/services/rules/rules.py: build)."""
    bits.flush()
    who, params = who_sql(brand, rule, days)
    tags = [(tag_id, True) for tag_id in rule.add_tag_ids] + [
        (tag_id, False) for tag_id in rule.remove_tag_ids
    ]
    values = {
        **params,
        "brand": brand.pk,
        "tag_ids": [tag_id for tag_id, _on in tags],
        "on": [is_on for _tag, is_on in tags],
        "n_sample": n_sample,
    }
    with positions.joined(brand) as cursor:
        cursor.execute(_SQL.format(who=who), values)
        n_match, n_people, n_everybody, tag_ids, counts, sample = cursor.fetchone()
    by_tag = dict(zip(tag_ids, counts, strict=True))
    return Preview(
        n_match=n_match,
        n_people=n_people,
        n_everybody=n_everybody,
        added={tag_id: by_tag.get(tag_id, 0) for tag_id in rule.add_tag_ids},
        removed={tag_id: by_tag.get(tag_id, 0) for tag_id in rule.remove_tag_ids},
        n_later=_later(brand, rule, who, params),
        sample=list(sample),
        days=days if rule.kind == TagRule.Kind.EVENT else None,
    )
