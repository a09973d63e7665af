"""What happens to people sets off rules and moves computed tags: new events are read in batches of the outbox, each
batch in one transaction with its effects and the reader's position, so that every event has its effect once."""

import logging
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from contacts.services import outbox
from scrm import clock
from scrm.errors import SCRMError
from tagging.models import BITS, ComputedTag, TagAct, TagRule
from tagging.services.bits.bits import ZERO
from tagging.services.rules import computed
from tagging.services.rules.rule_match import batch_sql
from tagging.services.rules.rule_runs import enter, leave
from tagging.services.segments import audience
from tagging.services.segments.audience import Audience
from tagging.services.tags import acts
from tagging.services.tags.changes import Pairs, each, put_on, take_off
from tenants.models import Brand

log = logging.getLogger(__name__)

READER = "tag_rules"
BATCH = 5_000
TABLE = "tag_rule_batch"


class Hit(NamedTuple):
    """An event set a rule off."""

    rule_id: int
    contact_id: int
    at: datetime
    xid: int
    event_id: int


def has_work(brand: Brand) -> bool:
    """Whether anything of the brand reacts to events."""
    return (
        TagRule.objects.filter(is_on=True, deleted_at=None).exists()
        or ComputedTag.objects.filter(is_on=True, deleted_at=None).exists()
    )


def react(brand: Brand, *, batches: int = 200) -> int:
    """React to what is new; gives how many events were looked at. Nothing switched on costs two look-ups."""
    n_all = 0
    for _round in range(batches):
        with transaction.atomic():
            rules = list(TagRule.objects.filter(is_on=True, deleted_at=None).order_by("position", "pk"))
            kept = list(ComputedTag.objects.filter(is_on=True, deleted_at=None))
            if not rules and not kept:
                return n_all
            n, xid, event_id = outbox.take(brand, READER, TABLE, BATCH)
            if not n:
                return n_all
            _on_events(brand, [rule for rule in rules if rule.kind == TagRule.Kind.EVENT])
            if people := _people():
                for row in kept:
                    computed.refresh(brand, row, people)
                for rule in rules:
                    if rule.kind == TagRule.Kind.CONDITION:
                        _on_condition(brand, rule, people)
            outbox.move_to(brand, READER, xid, event_id)
            n_all += n
        if n < BATCH:
            return n_all
    return n_all


def _people() -> list[int]:
    """Whom the batch is about."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT contact_id FROM pg_temp.{TABLE} ORDER BY 1")  # noqa: S608
        return [row[0] for row in cursor.fetchall()]


# ---- rules on events


def _on_events(brand: Brand, rules: list[TagRule]) -> None:
    by_id = {rule.pk: rule for rule in rules}
    hits = _hits(brand, rules)
    for rule in rules:
        if rule.condition:
            mine = {hit.contact_id for hit in hits if hit.rule_id == rule.pk}
            in_ = _members(brand, rule, mine)
            hits = [hit for hit in hits if hit.rule_id != rule.pk or hit.contact_id in in_]
    if not hits:
        return
    place = {rule.pk: n for n, rule in enumerate(rules)}
    # of one person and tag the last event counts, and of one event the last rule
    hits.sort(key=lambda hit: (hit.xid, hit.event_id, place[hit.rule_id]))
    effects: dict[tuple[int, int], tuple[bool, Hit]] = {}
    for hit in hits:
        rule = by_id[hit.rule_id]
        for tag_ids, is_on in ((rule.add_tag_ids, True), (rule.remove_tag_ids, False)):
            for tag_id in tag_ids:
                effects[tag_id, hit.contact_id] = (is_on, hit)
    acts_of = {rule_id: _act(brand, by_id[rule_id]) for rule_id in sorted({hit.rule_id for hit in hits})}
    _apply(brand, by_id, acts_of, effects)
    for rule_id, act in acts_of.items():
        acts.count(act, people=len({hit.contact_id for hit in hits if hit.rule_id == rule_id}))


def _hits(brand: Brand, rules: list[TagRule]) -> list[Hit]:
    if not rules:
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT min(at) FROM pg_temp.{TABLE}")  # noqa: S608
        (earliest,) = cursor.fetchone()
        parts, params = [], {"brand": brand.pk}
        for rule in rules:
            sql, more = batch_sql(rule, f"pg_temp.{TABLE}", earliest)
            parts.append(sql)
            params |= more
        cursor.execute(" UNION ALL ".join(parts), params)
        return [Hit(*row) for row in cursor.fetchall()]


def _members(brand: Brand, rule: TagRule, contact_ids: set[int]) -> set[int]:
    """Who of some people fulfils a rule's condition; of one that cannot be read nobody, and the rule says why."""
    if not contact_ids:
        return set()
    try:
        found = Audience(brand, audience.read(brand, rule.condition)).has(sorted(contact_ids))
    except SCRMError as error:
        if rule.problem != str(error)[:200]:
            TagRule.objects.filter(pk=rule.pk).update(problem=str(error)[:200])
            log.warning("rule %s of brand %s cannot be read: %s", rule.pk, brand.pk, error)
        return set()
    return found


def _act(brand: Brand, rule: TagRule) -> TagAct:
    return acts.of_day(
        brand,
        kind=TagAct.Kind.RULE,
        title=rule.name,
        day=clock.today(brand.timezone),
        owner_id=rule.pk,
        add=rule.add_tag_ids,
        remove=rule.remove_tag_ids,
    )


_EFFECTS = """
    SELECT * FROM unnest(%(tag_ids)s::bigint[], %(contact_ids)s::bigint[], %(sources)s::text[],
                         %(ends)s::timestamptz[], %(act_ids)s::bigint[])
           AS x(tag_id, contact_id, source, expires_at, act_id)
     WHERE expires_at IS NULL OR expires_at > %(now)s
"""


def _apply(
    brand: Brand,
    rules: dict[int, TagRule],
    acts_of: dict[int, TagAct],
    effects: dict[tuple[int, int], tuple[bool, Hit]],
) -> None:
    for is_on in (False, True):
        rows = [(key, hit) for key, (on, hit) in effects.items() if on == is_on]
        if not rows:
            continue
        ends = [
            hit.at + timedelta(days=days) if is_on and (days := rules[hit.rule_id].expires_days) else None
            for _key, hit in rows
        ]
        params: dict[str, Any] = {
            "tag_ids": [tag_id for (tag_id, _c), _hit in rows],
            "contact_ids": [contact_id for (_t, contact_id), _hit in rows],
            "sources": [f"rule:{hit.rule_id}" for _key, hit in rows],
            "ends": ends,
            "act_ids": [acts_of[hit.rule_id].pk for _key, hit in rows],
        }
        pairs = Pairs(_EFFECTS, params, len(rows))
        if is_on:
            done = put_on(brand, pairs, source="rule", own=("source", "expires_at", "act_id"))
        else:
            done = take_off(brand, pairs, source="rule", own=("source", "act_id"))
        for act in acts_of.values():
            if n := done.by_act.get(act.pk, 0):
                acts.count(act, added=n if is_on else 0, removed=0 if is_on else n)


# ---- rules on conditions


def _on_condition(brand: Brand, rule: TagRule, people: list[int]) -> None:
    """For whom of some people did the condition become true, for whom is it true no more?"""
    now = _members(brand, rule, set(people))
    was = _noted(brand, rule, people)
    come, gone = sorted(now - was), sorted(was - now)
    if not come and not gone:
        return
    _note(brand, rule, come, gone)
    act: TagAct | None = None
    if come:
        act = _act(brand, rule)
        act.expires_at = clock.now() + timedelta(days=rule.expires_days) if rule.expires_days else None
        added, removed = enter(brand, rule, act, lambda tag_ids: each(tag_ids, come))
        acts.count(act, people=len(come), added=added, removed=removed)
    if gone and rule.keeps_in_step:
        act = act or _act(brand, rule)
        _added, removed = leave(brand, rule, act, lambda tag_ids: each(tag_ids, gone))
        acts.count(act, people=len(gone), removed=removed)


def _noted(brand: Brand, rule: TagRule, people: list[int]) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT s.contact_id FROM contacts_contactstat s JOIN tagging_tagrulebits r ON r.brand_id = %s"  # noqa: S608
            f" AND r.rule_id = %s AND r.chunk = s.position / {BITS} AND get_bit(r.bits, s.position %% {BITS}) = 1"
            " WHERE s.brand_id = %s AND s.contact_id = ANY(%s)",
            [brand.pk, rule.pk, brand.pk, people],
        )
        return {row[0] for row in cursor.fetchall()}


def _note(brand: Brand, rule: TagRule, come: list[int], gone: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH x AS (
                SELECT s.position / {BITS} AS chunk,
                       bit_or(set_bit({ZERO}, s.position %% {BITS}, (s.contact_id = ANY(%(come)s))::int)) AS plus,
                       bit_or(set_bit({ZERO}, s.position %% {BITS}, (s.contact_id = ANY(%(gone)s))::int)) AS minus
                  FROM contacts_contactstat s
                 WHERE s.brand_id = %(brand)s AND s.contact_id = ANY(%(all)s) GROUP BY 1)
            INSERT INTO tagging_tagrulebits AS r (brand_id, rule_id, chunk, bits)
            SELECT %(brand)s, %(rule)s, chunk, plus FROM x ORDER BY chunk
            ON CONFLICT (brand_id, rule_id, chunk) DO UPDATE
               SET bits = (r.bits | excluded.bits) & ~coalesce((SELECT minus FROM x WHERE x.chunk = r.chunk), {ZERO})
            """,  # noqa: S608
            {"brand": brand.pk, "rule": rule.pk, "come": come, "gone": gone, "all": [*come, *gone]},
        )
