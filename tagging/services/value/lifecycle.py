"""生命周期: stages by conditions, the first that holds; who moved where, kept for each day."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, TypeVar

from django.db import connection, transaction
from django.utils.translation import gettext as _

from contacts.models import EventType
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import InvalidError, SCRMError
from tagging.conditions import Condition, ConditionError, parse
from tagging.models import LifecycleFlow, LifecycleStage
from tagging.services.rules.rule_graph import refuse_circles_of_stages
from tagging.services.segments import audience, naming
from tagging.services.segments.audience import Audience
from tagging.services.segments.nesting import nested_segments, reachable
from tenants.db.joins import LARGE, joined_by_hash
from tenants.models import Brand

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_STAGES = 12
EVERYBODY: dict[str, Any] = {"kind": "everybody"}


def _orders(op: str, n: int) -> dict[str, Any]:
    return {"kind": "number", "measure": "n_orders", "compare": {"op": op, "value": n}}


def _silent(days: int) -> dict[str, Any]:
    return {"kind": "last_order", "window": {"type": "before", "n": days}}


# what a brand begins with: (name, colour, condition)
DEFAULTS: list[tuple[str, str, dict[str, Any]]] = [
    ("流失", "red", {"any": [{"kind": "follow", "values": ["lost"]}, _silent(365)]}),
    ("沉睡", "amber", _silent(180)),
    ("忠诚", "green", _orders("ge", 4)),
    ("复购", "blue", _orders("ge", 2)),
    ("首单", "cyan", _orders("ge", 1)),
    ("新客", "purple", {"kind": "added", "window": {"type": "last", "n": 30}}),
    ("未购", "grey", EVERYBODY),
]


@dataclass(frozen=True)
class StageInput:
    """A stage as it is written; `number` names the one that it changes, None makes a new one."""

    name: str
    condition: dict[str, Any]
    color: str = "blue"
    number: int | None = None


def stages_of(brand: Brand) -> list[LifecycleStage]:
    """The brand's stages in order; the default ones are made at the first use."""
    found = list(LifecycleStage.objects.order_by("position"))
    if not found:
        LifecycleStage.objects.bulk_create(
            [
                LifecycleStage(number=n, position=n, name=name, color=color, condition=condition)
                for n, (name, color, condition) in enumerate(DEFAULTS, 1)
            ],
            ignore_conflicts=True,
        )
        found = list(LifecycleStage.objects.order_by("position"))
    return found


@transaction.atomic
def change_stages(brand: Brand, stages: Sequence[StageInput], *, by: Actor) -> list[LifecycleStage]:
    """Write the brand's stages anew, in order; everybody is placed again by a task after commit.

    Raises:
        InvalidError: no stage for everybody at the end, a condition that cannot be read, names that repeat.
    """
    from tagging.tasks import recompute_values

    if not 1 <= len(stages) <= MAX_STAGES:
        raise InvalidError(_("1 to %(n)s stages") % {"n": MAX_STAGES})
    if len({stage.name.strip() for stage in stages}) < len(stages) or not all(s.name.strip() for s in stages):
        raise InvalidError(_("Each stage needs a name of its own"))
    if stages[-1].condition != EVERYBODY:
        raise InvalidError(_("The last stage takes everybody who is in none before"))
    for stage in stages:
        try:
            audience.read(brand, stage.condition)
        except ConditionError as error:
            raise InvalidError(f"{stage.name}: {error}") from error
    refuse_circles_of_stages(brand, [(stage.name, stage.condition) for stage in stages])
    old = {stage.number: stage for stage in stages_of(brand)}
    before = [stage.name for stage in old.values()]
    free = iter(n for n in range(1, 10_000) if n not in old)
    LifecycleStage.objects.all().delete()
    made = LifecycleStage.objects.bulk_create(
        [
            LifecycleStage(
                number=stage.number if stage.number in old else next(free),
                position=n,
                name=stage.name.strip()[:30],
                color=stage.color[:10],
                condition=stage.condition,
            )
            for n, stage in enumerate(stages, 1)
        ]
    )
    audit.record(by, "lifecycle.edit", before={"stages": before}, after={"stages": [s.name for s in made]})
    recompute_values.delay_on_commit(brand_id=brand.pk)
    return made


_TELL = """
    INSERT INTO contacts_event (brand_id, at, contact_id, type, source, data)
    SELECT %s, %s, m.contact_id, %s, 'value', jsonb_build_object('before', o.name, 'after', n.name)
      FROM stage_move m
      JOIN tagging_lifecyclestage o ON o.brand_id = %s AND o.number = m.old_stage
      JOIN tagging_lifecyclestage n ON n.brand_id = %s AND n.number = m.new_stage
"""
_OF_BITS = """
    SELECT s.contact_id, coalesce(s.lifecycle, 0) AS old_stage, p.stage AS new_stage
      FROM unnest(%s::int[], %s::int[], %s::text[]) AS r(stage, chunk, bits)
      CROSS JOIN LATERAL (SELECT r.stage, r.bits::bit(8192) AS bits) p
      JOIN contacts_contactstat s ON s.brand_id = %s AND s.position / 8192 = r.chunk
     WHERE get_bit(p.bits, s.position %% 8192) = 1 AND s.lifecycle IS DISTINCT FROM p.stage
"""
_OF_FEW = """
    SELECT s.contact_id, coalesce(s.lifecycle, 0) AS old_stage, r.stage AS new_stage
      FROM unnest(%s::int[], %s::bigint[]) AS r(stage, contact_id)
      JOIN contacts_contactstat s ON s.brand_id = (SELECT %s) AND s.contact_id = ANY(%s::bigint[]) AND s.contact_id = r.contact_id
     WHERE s.lifecycle IS DISTINCT FROM r.stage
"""


def _asked(brand: Brand, stage: LifecycleStage, ask: Callable[[Audience], T]) -> T:
    """What the people of a stage are asked. Of one that cannot be read (a tag was deleted in WeCom) those who are in it
    stay and nobody comes; the other stages go on, and the page says so."""
    try:
        return ask(Audience(brand, audience.read(brand, stage.condition)))
    except SCRMError as error:
        log.warning("stage %s of brand %s cannot be read: %s", stage.number, brand.pk, error)
        return ask(Audience(brand, {"kind": "lifecycle", "ids": [stage.number]}))


def problems_of(brand: Brand, stages: Sequence[LifecycleStage]) -> dict[int, str]:
    """{id of a stage: why it cannot be read now}, of those that cannot. As many queries for ten stages as for one."""
    known = naming.known({"all": [stage.condition for stage in stages]})
    found: dict[int, str] = {}
    conditions: dict[int, Condition] = {}
    for stage in stages:
        try:
            conditions[stage.pk] = parse(stage.condition, known)
        except SCRMError as error:
            found[stage.pk] = str(error)
    present = reachable(conditions.values())
    for pk, condition in conditions.items():
        try:
            nested_segments(condition, present=present)
        except SCRMError as error:
            found[pk] = str(error)
    return found


@transaction.atomic
def place(brand: Brand) -> int:
    """Put everybody into their stage; gives how many moved. The flow of the day and the timelines follow."""
    taken: dict[int, int] = {}
    rows: list[tuple[int, int, str]] = []
    for stage in stages_of(brand):
        bits = _asked(brand, stage, Audience.bitmap)
        for chunk, sent in bits.items():
            if free := int.from_bytes(sent, "big") & ~taken.get(chunk, 0):
                taken[chunk] = taken.get(chunk, 0) | free
                rows.append((stage.number, chunk, "x" + free.to_bytes(1024, "big").hex()))
    return _move(brand, _OF_BITS, [*([row[n] for row in rows] for n in range(3)), brand.pk])


@transaction.atomic
def place_few(brand: Brand, contact_ids: Collection[int]) -> int:
    """The same for some contacts to whom something has happened."""
    left, rows = set(contact_ids), []
    for stage in stages_of(brand):
        if not left:
            break
        here = set(_asked(brand, stage, partial(Audience.has, contact_ids=sorted(left))))
        rows += [(stage.number, contact_id) for contact_id in here]
        left -= here
    of, people = [row[0] for row in rows], [row[1] for row in rows]
    return _move(brand, _OF_FEW, [of, people, brand.pk, people])


def _move(brand: Brand, found: str, params: list[Any]) -> int:
    now = clock.now()
    # the brand is read once, not once for each bitmap, whatever Postgres believes of it
    with connection.cursor() as cursor, joined_by_hash(cursor):
        cursor.execute("DROP TABLE IF EXISTS stage_move")
        cursor.execute(f"CREATE TEMP TABLE stage_move ON COMMIT DROP AS {found}", params)
        moved: int = cursor.rowcount
        if moved > 0:
            cursor.execute("ANALYZE stage_move")
            few = "AND s.contact_id = ANY(ARRAY(SELECT contact_id FROM stage_move))" if moved <= LARGE else ""
            cursor.execute(
                "UPDATE contacts_contactstat s SET lifecycle = m.new_stage FROM stage_move m"  # noqa: S608
                f" WHERE s.brand_id = (SELECT %s) AND s.contact_id = m.contact_id {few}",
                [brand.pk],
            )
            cursor.execute(_TELL, [brand.pk, now, int(EventType.LIFECYCLE_CHANGED), brand.pk, brand.pk])
            cursor.execute(
                'INSERT INTO tagging_lifecycleflow AS f (brand_id, "on", from_stage, to_stage, n, at)'
                " SELECT %s, %s, old_stage, new_stage, count(*), %s FROM stage_move GROUP BY old_stage, new_stage"
                ' ON CONFLICT (brand_id, "on", from_stage, to_stage) DO UPDATE SET n = f.n + excluded.n, at = excluded.at',
                [brand.pk, clock.today(brand.timezone), now],
            )
    return max(moved, 0)


@transaction.atomic
def note_counts(brand: Brand) -> None:
    """How many are in each stage at the end of the day (`from_stage` = `to_stage`)."""
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO tagging_lifecycleflow AS f (brand_id, "on", from_stage, to_stage, n, at)'
            " SELECT %s, %s, lifecycle, lifecycle, count(*), %s FROM contacts_contactstat"
            "  WHERE brand_id = %s AND lifecycle IS NOT NULL GROUP BY lifecycle"
            ' ON CONFLICT (brand_id, "on", from_stage, to_stage) DO UPDATE SET n = excluded.n, at = excluded.at',
            [brand.pk, clock.today(brand.timezone), clock.now(), brand.pk],
        )


@dataclass(frozen=True)
class Flow:
    """`stages`: [(stage, people now)]; `moves`: [(from name, to name, people)] of the span, most first."""

    stages: list[tuple[LifecycleStage, int]]
    moves: list[tuple[str, str, int]]


def flow(brand: Brand, since: date) -> Flow:
    """Who is where, and who moved since a date; three statements."""
    stages = stages_of(brand)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lifecycle, count(*) FROM contacts_contactstat WHERE brand_id = %s AND lifecycle IS NOT NULL GROUP BY 1",
            [brand.pk],
        )
        counts = dict(cursor.fetchall())
    names = {stage.number: stage.name for stage in stages}
    moved: dict[tuple[str, str], int] = {}
    for row in LifecycleFlow.objects.filter(on__gte=since).exclude(from_stage=0):
        if row.from_stage != row.to_stage and row.to_stage in names:
            key = (names.get(row.from_stage, "—"), names[row.to_stage])
            moved[key] = moved.get(key, 0) + row.n
    moves = sorted(((a, b, n) for (a, b), n in moved.items()), key=lambda move: -move[2])
    return Flow([(stage, counts.get(stage.number, 0)) for stage in stages], moves)
