"""From an audience to send tasks and the ledger: one wave of a broadcast, in one transaction, by sets.

Either the whole plan of a wave is there or nothing of it: a process that is killed leaves no half of it, and a second
one finds the wave planned. A million people take seconds; meanwhile other planners wait at the gate.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from campaigns import chance, governance
from campaigns.models import Broadcast, Touch, TouchPolicy, Variant, Wave
from campaigns.services.broadcasts import left_out
from campaigns.services.governance import gate, outranking, rules, workload, workload_room
from campaigns.services.governance.hold_out import share_of_all
from campaigns.services.ledger import planes, planning, touches
from campaigns.services.sending import variables
from campaigns.services.sending.senders import ORDERS
from org.models import Staff
from scrm import clock
from tagging.services.bits import frames
from tagging.services.bits.frames import Bits, Frame
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

CHUNK = 1_000  # contacts of one send task
VARIANT_SEED, TEST_SEED = (
    1 << 40,
    2 << 40,
)  # added to a broadcast's own, that each cut is independent of the others
WANTED = 0  # WaveSet.what

BITS_TABLE = "CREATE TEMPORARY TABLE {name} (chunk int PRIMARY KEY, bits bit(8192) NOT NULL) ON COMMIT DROP"
FILL = "INSERT INTO {name} SELECT c, b::bit(8192) FROM unnest(%s::int[], %s::text[]) AS r(c, b)"

# one pass over the relations and one over the people, joined by hash: what the planner expects of a bitmap's people is far
# too little, so its loops are switched off for this statement. Who has one guide needs no choice; the second part costs a
# pass over the people when nobody has several.
_PERSON = """
    SELECT s.contact_id FROM contacts_contactstat s JOIN {{bits}} q ON q.chunk = s.position / 8192
     WHERE s.brand_id = %(b)s AND get_bit(q.bits, s.position %% 8192) = 1 AND s.n_follows {several} OFFSET 0
"""
_RELATION = """
    JOIN contacts_follow f ON f.brand_id = %(b)s AND f.contact_id = p.contact_id
     WHERE f.ended_at IS NULL AND NOT f.is_pending AND f.staff_id = ANY(%(guides)s::bigint[])
"""
# who writes to whom of the people of a table of bitmaps; also the dry run
CHOSEN = f"""
    SELECT p.contact_id, f.staff_id, f.corp_id FROM ({_PERSON.format(several="= 1")}) p {_RELATION}
     UNION ALL
    SELECT * FROM (
        SELECT DISTINCT ON (p.contact_id) p.contact_id, f.staff_id, f.corp_id
          FROM ({_PERSON.format(several="> 1")}) p {_RELATION} ORDER BY p.contact_id, {{order}}) several
"""  # noqa: S608
_TASKS = f"""
    WITH whole AS (
        SELECT c.staff_id, c.corp_id, {{variant}} AS variant, array_agg(c.contact_id) AS ids FROM ({CHOSEN}) c
         GROUP BY 1, 2, 3
    )
    INSERT INTO plan_task (staff_id, corp_id, variant, contact_ids)
    SELECT w.staff_id, w.corp_id, w.variant, w.ids[n * {{chunk}} + 1 : (n + 1) * {{chunk}}]
      FROM whole w, LATERAL generate_series(0, (cardinality(w.ids) - 1) / {{chunk}}) AS n ORDER BY n, w.staff_id
"""  # noqa: S608
# the tasks have their ids before they are written, so that the touches can be written before them; tasks are put in their
# order, not people: no join that would lose it, and each list is read as it is written
_LEDGER = """
    INSERT INTO campaigns_touch (brand_id, at, kind, contact_id, staff_id, broadcast_id, wave_id, variant_id, content_id,
                                 send_task_id, state, reason, error)
    SELECT %(b)s, %(at)s, %(kind)s, unnest(t.contact_ids), t.staff_id, %(broadcast)s, %(wave)s, t.variant, t.content_id,
           t.id, %(planned)s, 0, ''
      FROM (SELECT p.id, p.staff_id, p.variant, p.contact_ids, (SELECT v.content_id FROM campaigns_variant v
             WHERE v.brand_id = %(b)s AND v.id = p.variant) AS content_id FROM plan_task p ORDER BY p.id OFFSET 0) t
     ORDER BY t.id
"""
# ids of touches are drawn in the order of the tasks: a task's lie beyond those drawn for the tasks before it and below those
# of the tasks after it; what somebody else has drawn meanwhile only makes the stretch a little longer
_SEND_TASKS = """
    INSERT INTO campaigns_sendtask (brand_id, id, kind, priority, corp_id, staff_id, broadcast_id, wave_id, variant_id,
                                    content_id, at, text, attachments, content_digest, contact_ids, n, n_sent, n_failed,
                                    n_opened, n_replied, n_converted, converted_fen, touch_first, touch_last, state, msgid,
                                    next_try_at, n_tries, reminded_at, is_moving, error)
    SELECT %(b)s, t.id, %(kind)s, %(priority)s, t.corp_id, t.staff_id, %(broadcast)s, %(wave)s, v.id, v.content_id,
           %(at)s, t.text, v.attachments, t.digest, t.contact_ids, t.n, 0, 0, 0, 0, 0, 0,
           %(before)s + 1 + sum(t.n) OVER (ORDER BY t.id) - t.n, %(after)s - 1 - sum(t.n) OVER (ORDER BY t.id DESC) + t.n,
           'planned', '', %(at)s, 0, '{}', false, ''
      FROM (SELECT *, cardinality(contact_ids) AS n FROM plan_task) t
      JOIN campaigns_variant v ON v.brand_id = %(b)s AND v.id = t.variant ORDER BY t.id
"""
_HELD = """
    INSERT INTO campaigns_touch (brand_id, at, kind, contact_id, broadcast_id, wave_id, state, reason, done_at, error)
    SELECT %(b)s, %(at)s, %(kind)s, s.contact_id, %(broadcast)s, %(wave)s, %(blocked)s, w.what, %(at)s, ''
      FROM campaigns_waveset w
      JOIN contacts_contactstat s ON s.brand_id = %(b)s AND s.position / 8192 = w.chunk
     WHERE w.brand_id = %(b)s AND w.wave_id = %(wave)s AND w.what <> 0 AND w.what <> ALL(%(unlisted)s::smallint[])
       AND get_bit(w.bits, s.position %% 8192) = 1
"""


@transaction.atomic
def plan_wave(
    brand: Brand, wave_id: int, frame: Frame, wanted: Bits, fails: Bits | None = None
) -> dict[str, int] | None:
    """Plan one wave: ask the gate, write send tasks, one row of the ledger for each person wanted, and what counts.
    Many people whom a wave's condition leaves out have no row: left_out.py.

    Args:
        wanted: the audience of the wave.
        fails: those of it for whom the wave's condition does not hold; None: it has none.

    Returns:
        Numbers: wanted, planned, tasks and the names of reasons; None when the wave is planned already.
    """
    gate.enter_gate(brand)
    wave = Wave.objects.select_for_update(of=("self",)).select_related("broadcast").get(pk=wave_id)
    if wave.state != Wave.State.WAITING:
        return None
    now, allowed = clock.now(), rules.rules_of(brand)
    at = governance.release_at(max(now, wave.at), allowed.quiet, allowed.zone)
    verdict, taken = decide(frame, wanted, wave.broadcast, at, allowed, fails)
    tasks, priority = cut_tasks(brand, wave, frame, verdict.allowed), wave.broadcast.priority
    if limits := workload.limits_of(brand):
        busy, kept = workload.trim(brand, frame, at, priority, limits)
        verdict, tasks = without(verdict, Touch.Reason.GUIDE_BUSY, busy), n_cut()
        left = set(frame.positions(verdict.allowed).tolist()) if taken else set()
        taken = [row for row in taken if row.position in left]
        outranking.take_back(brand, frame, taken, now)
        workload_room.make_way(brand, kept, at=at, priority=priority, limits=limits, now=now)
    else:
        outranking.take_back(brand, frame, taken, now)
    _keep_sets(wave, frame, wanted, verdict.refused)
    before, reached, after = _ledger(brand, wave, at)
    put_tasks(brand, wave, at, before, after)
    n_allowed = frames.count(verdict.allowed)
    if reached != n_allowed:  # nobody among the active guides has them
        alone = verdict.allowed & ~_planned_bits(brand, wave, frame)
        verdict = without(verdict, Touch.Reason.NOT_FOLLOWED, alone)
        _keep_sets(wave, frame, wanted, verdict.refused)
    _held(brand, wave, at, left_out.unlisted(verdict.refused))
    planes.add(frame, governance.day_of(at, allowed.zone), int(Touch.Kind.BROADCAST), verdict.allowed)
    numbers = {"wanted": frames.count(wanted), "planned": reached, "tasks": tasks}
    numbers |= {reason.name.lower(): frames.count(found) for reason, found in verdict.refused.items()}
    wave.state, wave.planned_at, wave.numbers = Wave.State.PLANNED, now, numbers
    wave.save(update_fields=["state", "planned_at", "numbers"])
    return numbers


def decide(
    frame: Frame,
    wanted: Bits,
    broadcast: Broadcast,
    at: datetime,
    allowed: governance.Rules,
    fails: Bits | None = None,
) -> tuple[gate.Verdict, list[outranking.Planned]]:
    """Who of the wanted gets it and who does not and why, and planned touches of lower campaigns that give way to it:
    the wave's condition first, then the hold-out, then the gate. Also the dry run."""
    fails = frame.empty() if fails is None else fails & wanted
    kind, held = Touch.Kind.BROADCAST, hold_out(frame, wanted & ~fails, broadcast)
    verdict = gate.judge(frame, wanted & ~fails & ~held, at=at, kind=kind, rules=allowed)
    freed, taken = outranking.find(
        frame.brand, frame, verdict.refused, at=at, kind=kind, priority=broadcast.priority, rules=allowed
    )
    refused = {reason: bits & ~freed for reason, bits in verdict.refused.items()}
    refused = {reason: bits for reason, bits in refused.items() if bits.any()}
    if held.any():
        refused[Touch.Reason.HOLD_OUT] = held
    if fails.any():
        refused[Touch.Reason.WAVE_CONDITION] = fails
    return gate.Verdict(verdict.allowed | freed, refused), taken


def without(verdict: gate.Verdict, reason: Touch.Reason, some: Bits) -> gate.Verdict:
    """Some of those allowed are refused after all."""
    if not some.any():
        return verdict
    refused = verdict.refused | {
        reason: verdict.refused[reason] | some if reason in verdict.refused else some
    }
    return gate.Verdict(verdict.allowed & ~some, refused)


def hold_out(frame: Frame, wanted: Bits, broadcast: Broadcast) -> Bits:
    """Those of the wanted who get nothing, to measure the effect: always the same for one broadcast."""
    if not broadcast.hold_out_percent:
        return frame.empty()
    return share_of_all(frame, broadcast.pk or 0, broadcast.hold_out_percent) & wanted


def in_test(frame: Frame, broadcast: Broadcast, percent: int) -> Bits:
    """Those who are in the comparison of contents; the others wait for the winner."""
    return share_of_all(frame, (broadcast.pk or 0) + TEST_SEED, percent)


def _keep_sets(wave: Wave, frame: Frame, wanted: Bits, refused: dict[Touch.Reason, Bits]) -> None:
    sets: list[tuple[int, Bits]] = [
        (WANTED, wanted),
        *((int(reason), found) for reason, found in refused.items()),
    ]
    rows = [(what, chunk, text) for what, found in sets for chunk, text in frame.rows(found)]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_waveset (brand_id, wave_id, what, chunk, bits)"
            " SELECT %s, %s, r.what, r.chunk, r.bits::bit(8192)"
            " FROM unnest(%s::smallint[], %s::int[], %s::text[]) AS r(what, chunk, bits)"
            " ON CONFLICT (brand_id, wave_id, what, chunk) DO UPDATE SET bits = excluded.bits",
            [wave.brand_id, wave.pk, *([row[n] for row in rows] for n in range(3))],
        )


def cut_tasks(brand: Brand, wave: Wave, frame: Frame, allowed: Bits) -> int:
    """Chunks of at most 1,000 contacts for each guide and variant, in the temporary table `plan_task`; gives how many. The wave
    need not be planned: the dry run asks as well."""
    variants = contents_of(wave)
    order = ORDERS[TouchPolicy.Sender(rules.policy_of(brand).sender)]
    rows = list(frame.rows(allowed))
    with connection.cursor() as cursor:
        # of an earlier wave in this transaction
        cursor.execute("DROP TABLE IF EXISTS plan_allowed, plan_task")
        cursor.execute(BITS_TABLE.format(name="plan_allowed"))
        cursor.execute(FILL.format(name="plan_allowed"), [[row[0] for row in rows], [row[1] for row in rows]])
        cursor.execute("ANALYZE plan_allowed")
        cursor.execute(
            "CREATE TEMPORARY TABLE plan_task (id bigint DEFAULT nextval('campaigns_sendtask_id_seq'), staff_id bigint,"
            " corp_id bigint, variant bigint, contact_ids bigint[] STORAGE EXTERNAL, text text, digest text)"
            " ON COMMIT DROP"
        )
        sql = _TASKS.format(
            bits="plan_allowed", order=order, variant=variant_sql(wave.broadcast_id, variants), chunk=CHUNK
        )
        with joined_by_hash(cursor, work_mem="192MB", sorting=False):
            cursor.execute(sql, {"b": brand.pk, "guides": touches.array(guides())})
            tasks = cursor.rowcount
        _fill_contents(cursor, brand, variants)
        return tasks


def n_cut() -> int:
    """Send tasks in `plan_task`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM plan_task")
        return int(cursor.fetchone()[0])


def put_tasks(brand: Brand, wave: Wave, at: datetime, before: int, after: int) -> None:
    """The send tasks of `plan_task`, whose touches have ids between `before` and `after`."""
    with connection.cursor() as cursor:
        given = _given(brand, wave, at)
        cursor.execute(
            _SEND_TASKS, {**given, "priority": wave.broadcast.priority, "before": before, "after": after}
        )


def _given(brand: Brand, wave: Wave, at: datetime) -> dict[str, Any]:
    kind = int(Touch.Kind.BROADCAST)
    return {"b": brand.pk, "kind": kind, "broadcast": wave.broadcast_id, "wave": wave.pk, "at": at}


def contents_of(wave: Wave) -> list[Variant]:
    """What people of a wave may get: all contents, or the winner alone."""
    rows = Variant.objects.filter(broadcast=wave.broadcast_id)
    if wave.condition.get("winner"):
        rows = rows.filter(pk=wave.broadcast.winner_id or 0)
    return list(rows.order_by("letter"))


def guides() -> list[int]:
    """Who may write to customers now."""
    return list(Staff.objects.filter(state=Staff.State.ACTIVE, is_guide=True).values_list("pk", flat=True))


def variant_sql(seed: int, variants: Sequence[Variant]) -> str:
    """Id of a contact's variant as an SQL expression: shares of the buckets by weight."""
    total, upto, cases = sum(v.weight for v in variants), 0, ""
    for variant in variants[:-1]:
        upto += variant.weight
        cases += f" WHEN x.bucket < {upto * chance.BUCKETS // total} THEN {variant.pk}"
    if not cases:
        return f"{variants[-1].pk}"
    if len(variants) == 2:  # asked once: no sub-select for each person
        first, second = variants
        limit = first.weight * chance.BUCKETS // total
        share = chance.bucket_sql("contact_id", seed + VARIANT_SEED)
        return f"CASE WHEN {share} < {limit} THEN {first.pk} ELSE {second.pk} END"
    # another seed than the hold-out's, or the variants would be cut from what is left of it
    share = chance.bucket_sql("contact_id", seed + VARIANT_SEED)
    return f"(SELECT CASE{cases} ELSE {variants[-1].pk} END FROM (SELECT {share} AS bucket) x)"  # noqa: S608


def _fill_contents(cursor: Any, brand: Brand, variants: Sequence[Variant]) -> None:
    """The text of each guide's tasks, with the guide's name filled in, and its digest."""
    cursor.execute("SELECT DISTINCT staff_id FROM plan_task")
    staff = Staff.objects.select_related("store").in_bulk([row[0] for row in cursor.fetchall()])
    rows = []
    for variant in variants:
        same = not list(variables.names_in(variant.text))
        for person in [None] if same else staff.values():
            text = (
                variant.text if person is None else variables.fill_in(variant.text, brand=brand, staff=person)
            )
            digest = planning.digest_of(text, variant.attachments)
            rows.append((variant.pk, person.pk if person else None, text, digest))
    cursor.execute(
        "UPDATE plan_task t SET text = r.text, digest = r.digest"
        " FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[]) AS r(variant, staff_id, text, digest)"
        " WHERE t.variant = r.variant AND (r.staff_id IS NULL OR r.staff_id = t.staff_id)",
        [[row[n] for row in rows] for n in range(4)],
    )


def _ledger(brand: Brand, wave: Wave, at: datetime) -> tuple[int, int, int]:
    """A touch for everybody in `plan_task`; gives how many, between an id drawn before them and one drawn after them."""
    [before] = touches.new_ids(1)
    with connection.cursor() as cursor:
        cursor.execute(_LEDGER, {**_given(brand, wave, at), "planned": int(Touch.State.PLANNED)})
        reached = cursor.rowcount
    [after] = touches.new_ids(1)
    return before, reached, after


def _held(brand: Brand, wave: Wave, at: datetime, unlisted: list[int]) -> None:
    with connection.cursor() as cursor, joined_by_hash(cursor, work_mem="64MB", merging=False):
        cursor.execute(
            _HELD, {**_given(brand, wave, at), "blocked": int(Touch.State.BLOCKED), "unlisted": unlisted}
        )


def _planned_bits(brand: Brand, wave: Wave, frame: Frame) -> Bits:
    return frame.select_people(
        "SELECT unnest(contact_ids) AS contact_id FROM campaigns_sendtask"
        " WHERE brand_id = %s AND broadcast_id = %s AND wave_id = %s",
        [brand.pk, wave.broadcast_id, wave.pk],
    )
