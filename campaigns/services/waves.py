"""Waves of broadcasts: who is wanted, what would happen (dry run), plan those that are due, end what is over."""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils.translation import gettext as _

from campaigns import governance
from campaigns.models import Broadcast, SendTask, Touch, TouchPolicy, Variant, Wave
from campaigns.services import (
    broadcasts,
    fanout,
    gate,
    planes,
    reassign,
    results,
    rules,
    schedule,
    winners,
)
from campaigns.services.due import due_waves
from campaigns.services.touches import array
from org.access import Actor
from org.models import Job, Staff
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, LimitError, SCRMError
from tagging.services import audience, frames
from tagging.services.audience import Audience
from tagging.services.frames import Bits, Frame
from tenants.db.joins import joined_by_hash
from tenants.models import Brand
from wecom.errors import WeComForbidden, WeComRejected

log = logging.getLogger(__name__)

CONFIRM_S = 30  # what one send task costs a guide: look at it, press send
CONFIRMED_WITHIN = timedelta(days=30)  # past tasks from which confirmations are foretold
USUAL_CONFIRMED = 0.8  # of guides without a past
SHOWN_GUIDES = 50


# ---- who is wanted


def wanted_of(brand: Brand, broadcast: Broadcast, wave: Wave | None, frame: Frame) -> Bits:
    """Whom a wave is for, before the gate is asked. None: the first wave of a draft.

    Raises:
        ConditionError: the segment or what a condition names does not exist any more.
    """
    asked: dict[str, Any] = wave.condition if wave else {}
    after = asked.get("after", "")
    if after:
        wanted = _of_wave_before(brand, wave, frame, after)  # type: ignore[arg-type]
    else:
        wanted = _audience(brand, broadcast.audience, frame)
        if wave and not broadcast.repeat:
            wanted = wanted & ~_in_earlier_waves(brand, wave, frame)
    test = winners.rule_of(broadcast)
    if test and test.percent < 100 and not asked.get("winner"):  # the others wait for the winner
        wanted = wanted & fanout.in_test(frame, broadcast, test.percent)
    if condition := asked.get("condition"):
        wanted = wanted & frame.of_chunks(Audience(brand, audience.read(brand, condition)).bitmap())
    return wanted


def _audience(brand: Brand, given: dict[str, Any], frame: Frame) -> Bits:
    if "contacts" in given:
        _few, places = frames.frame_of(brand, given["contacts"])
        return frame.of_positions(places)
    if "segment" in given:
        raw: Any = {"kind": "segment", "mode": "any", "ids": [given["segment"]]}
    else:
        raw = given.get("condition")
    return frame.of_chunks(Audience(brand, audience.read(brand, raw)).bitmap())


def _in_earlier_waves(brand: Brand, wave: Wave, frame: Frame) -> Bits:
    found = frame.empty()
    for earlier in Wave.objects.filter(broadcast=wave.broadcast_id, n__lt=wave.n).exclude(
        state=Wave.State.WAITING
    ):
        found = found | _set_of(frame, earlier.pk, fanout.WANTED)
    return found


def _set_of(frame: Frame, wave_id: int, what: int) -> Bits:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT chunk, bit_send(bits) FROM campaigns_waveset WHERE brand_id = %s AND wave_id = %s AND what = %s",
            [frame.brand.pk, wave_id, what],
        )
        return frame.of_chunks({chunk: bytes(sent)[4:] for chunk, sent in cursor})


_REACHED = """
    SELECT s.position FROM campaigns_touch t
      JOIN contacts_contactstat s ON s.brand_id = %s AND s.contact_id = t.contact_id
     WHERE t.brand_id = %s AND t.at = ANY(%s) AND t.broadcast_id = %s AND t.wave_id = %s AND t.state = %s {only}
"""
_ONLY = {
    "everybody": "",
    "opened": "AND t.opened_at IS NOT NULL",
    "not_opened": "AND t.opened_at IS NULL",
    "not_replied": "AND t.replied_at IS NULL",
}


def _of_wave_before(brand: Brand, wave: Wave, frame: Frame, after: str) -> Bits:
    """People to whom the wave before was delivered and for whom `after` holds."""
    before = Wave.objects.get(broadcast=wave.broadcast_id, n=wave.n - 1)
    delivered = int(Touch.State.DELIVERED)
    moments = winners.moments_of(wave.broadcast_id)
    params = [brand.pk, brand.pk, moments, wave.broadcast_id, before.pk, delivered]
    return frame.select(_REACHED.format(only=_ONLY[after]), params)


# ---- what would happen


@dataclass
class DryRun:
    """What a launch at this moment would do; nothing is written.

    Attributes:
        at: when it would go out: quiet hours hold it.
        refused: [(reason, words, people)], most first.
        guides: [(name, send tasks, people, share of tasks that this guide confirms)], most first.
        n_guides, n_tasks: of all.
        work_s: seconds of guides' work to confirm everything.
        expected: people who will get it if guides confirm as they did.
        left_per_person: touches of WeCom's allowance left per person after it, on average.
    """

    at: datetime
    wanted: int = 0
    planned: int = 0
    refused: list[tuple[int, str, int]] = field(default_factory=list)
    guides: list[tuple[str, int, int, float]] = field(default_factory=list)
    n_guides: int = 0
    n_tasks: int = 0
    work_s: int = 0
    expected: int = 0
    left_per_person: float = 0.0
    over_limit: int = 0  # guides who would have more tasks today than the policy allows
    n_taken: int = 0  # planned touches of lower campaigns that give way
    is_held: bool = False  # quiet hours put it off to `at`

    @property
    def n_held(self) -> int:
        return sum(n for _reason, _words, n in self.refused)

    @property
    def work_minutes(self) -> int:
        return -(-self.work_s // 60)


_GUIDES = """
    WITH person AS (
        SELECT s.contact_id, s.n_follows
          FROM contacts_contactstat s JOIN dry_allowed q ON q.chunk = s.position / 8192
         WHERE s.brand_id = %(b)s AND get_bit(q.bits, s.position %% 8192) = 1
    ), relation AS (
        SELECT p.contact_id, p.n_follows, f.staff_id, f.added_at, f.id
          FROM person p JOIN contacts_follow f ON f.brand_id = %(b)s AND f.contact_id = p.contact_id
         WHERE f.ended_at IS NULL AND NOT f.is_pending AND f.staff_id = ANY(%(guides)s::bigint[])
    ), chosen AS (
        SELECT staff_id FROM relation WHERE n_follows = 1
        UNION ALL
        SELECT staff_id FROM (
            SELECT DISTINCT ON (f.contact_id) f.contact_id, f.staff_id
              FROM relation f WHERE f.n_follows > 1 ORDER BY f.contact_id, {order}) several
    )
    SELECT staff_id, count(*) FROM chosen GROUP BY 1
"""
_CONFIRMED = """
    SELECT staff_id, count(*), count(confirmed_at) FROM campaigns_sendtask
     WHERE brand_id = %s AND staff_id = ANY(%s::bigint[]) AND at > %s AND at < %s AND state IN ('handed', 'final')
     GROUP BY 1
"""


def dry_run(brand: Brand, broadcast: Broadcast, *, wave: Wave | None = None) -> DryRun:
    """Who would get it and who would not and why, how much work, what is left: in the caller's transaction."""
    now, allowed = clock.now(), rules.rules_of(brand)
    at = governance.release_at(max(now, wave.at) if wave else now, allowed.quiet, allowed.zone)
    frame = Frame.whole(brand)
    wanted = wanted_of(brand, broadcast, wave, frame)
    verdict, taken = fanout.decide(frame, wanted, broadcast, at, allowed)
    found = DryRun(
        at=at,
        wanted=frames.count(wanted),
        n_taken=len(taken),
        is_held=governance.is_quiet(now, allowed.quiet, allowed.zone),
    )
    per_guide = _per_guide(brand, frame, verdict.allowed)
    found.planned = sum(per_guide.values())
    refused = {reason: frames.count(bits) for reason, bits in verdict.refused.items()}
    if alone := frames.count(verdict.allowed) - found.planned:  # only guides who have left have them
        refused[Touch.Reason.NOT_FOLLOWED] = refused.get(Touch.Reason.NOT_FOLLOWED, 0) + alone
    rows = sorted(refused.items(), key=lambda row: -row[1])
    found.refused = [(int(reason), str(reason.label), n) for reason, n in rows if n]
    _add_guides(brand, broadcast, found, per_guide, at)
    found.left_per_person = _left(frame, verdict.allowed, at, allowed)
    return found


def _per_guide(brand: Brand, frame: Frame, bits: Bits) -> dict[int, int]:
    rows = list(frame.rows(bits))
    order = fanout.ORDERS[TouchPolicy.Sender(rules.policy_of(brand).sender)]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS dry_allowed")
        cursor.execute(fanout.BITS_TABLE.format(name="dry_allowed"))
        cursor.execute(
            fanout.FILL.format(name="dry_allowed"), [[row[0] for row in rows], [row[1] for row in rows]]
        )
        cursor.execute("ANALYZE dry_allowed")
        with joined_by_hash(cursor, work_mem="192MB"):
            given: dict[str, Any] = {"b": brand.pk, "guides": array(fanout.guides())}
            cursor.execute(_GUIDES.format(order=order), given)
            return dict(cursor.fetchall())


def _add_guides(
    brand: Brand, broadcast: Broadcast, found: DryRun, per_guide: dict[int, int], at: datetime
) -> None:
    n_variants = max(Variant.objects.filter(broadcast=broadcast).count(), 1)
    names = dict(Staff.objects.filter(pk__in=per_guide).values_list("pk", "name"))
    with connection.cursor() as cursor:
        cursor.execute(
            _CONFIRMED, [brand.pk, list(per_guide), at - CONFIRMED_WITHIN, at - timedelta(hours=1)]
        )
        past = {staff_id: confirmed / n for staff_id, n, confirmed in cursor.fetchall()}
    limit = rules.policy_of(brand).guide_tasks_a_day
    rows = []
    for staff_id, people in per_guide.items():
        # each content is a task of its own, and a task holds a thousand
        tasks = min(people, n_variants) if people <= n_variants * fanout.CHUNK else -(-people // fanout.CHUNK)
        share = past.get(staff_id, USUAL_CONFIRMED)
        rows.append((names.get(staff_id, "—"), tasks, people, share))
        found.n_tasks += tasks
        found.expected += round(people * share)
        found.over_limit += bool(limit and tasks > limit)
    found.n_guides, found.work_s = len(rows), found.n_tasks * CONFIRM_S
    found.guides = sorted(rows, key=lambda row: -row[2])[:SHOWN_GUIDES]


def _left(frame: Frame, planned: Bits, at: datetime, allowed: governance.Rules) -> float:
    n = frames.count(planned)
    if not n:
        return 0.0
    on = at.astimezone(ZoneInfo(allowed.zone)).date()
    first, last, most = governance.allowance_period(on, allowed.allowance)
    used, touched = 0, planes.counts_by_day(frame, first, last, planes.ALL)[0]
    mask = planes.unpack(planned)
    for counts in touched.values():
        used += int(counts[mask].sum())
    return most - used / n - 1


def people_of(brand: Brand, wave: Wave, what: int, limit: int = 100) -> list[int]:
    """Contacts of a planned wave: those wanted (0) or held back for a reason, by position."""
    frame = Frame.whole(brand)
    return frames.contacts_at(brand, frame, _set_of(frame, wave.pk, what), limit)


# ---- the tick


def run_due(brand: Brand) -> int:
    """Plan waves that are due, each in its own transaction, those of higher priority first; gives how many."""
    with transaction.atomic():
        order = dict(due_waves().values_list("pk", "broadcast__priority"))
    done = 0
    for wave_id in sorted(order, key=lambda pk: (-order[pk], pk)):
        done += plan(brand, wave_id)
    return done


def plan(brand: Brand, wave_id: int) -> bool:
    """Plan one wave; a condition that cannot be read any more, content that has expired, or a time that is over for too
    long ends it with the reason, and sends to nobody."""
    with transaction.atomic():
        gate.enter_gate(brand)
        wave = Wave.objects.select_related("broadcast").get(pk=wave_id)
        if wave.state != Wave.State.WAITING or wave.broadcast.state != Broadcast.State.ON:
            return False
        frame = Frame.whole(brand)
        try:
            _check_time(wave)
            broadcasts.check_library(brand, wave.broadcast)
            wanted = wanted_of(brand, wave.broadcast, wave, frame)
        except SCRMError as error:  # also a segment that names one that is gone
            Wave.objects.filter(pk=wave.pk).update(
                state=Wave.State.SKIPPED, numbers={"error": str(error)[:300]}
            )
            return False
        numbers = fanout.plan_wave(brand, wave.pk, frame, wanted)
        if numbers is None:
            return False
        log.info("broadcast %s wave %s: %s", wave.broadcast_id, wave.n, numbers)
        _repeat(brand, wave)
        return True


def _check_time(wave: Wave) -> None:
    """After an outage or a pause: as late as its broadcast allows a message to be handed over. One that is repeated goes
    out once instead of all the times that were missed.

    Raises:
        ConflictError: later than that.
    """
    broadcast = wave.broadcast
    due_at = max(wave.at, broadcast.launched_at or wave.at)  # whoever approves it later means it
    if not broadcast.repeat and clock.now() > due_at + timedelta(hours=broadcast.late_hours):
        raise ConflictError(
            _("More than %(n)s hours had gone by since its time: it was not sent any more")
            % {"n": broadcast.late_hours}
        )


def _repeat(brand: Brand, wave: Wave) -> None:
    """The next time of a broadcast that is repeated."""
    rhythm = wave.broadcast.repeat
    if not rhythm:
        return
    first = Wave.objects.filter(broadcast=wave.broadcast_id, n=1).values_list("at", flat=True).get()
    at = schedule.next_in_rhythm(wave.at, rhythm["every"], brand.timezone, first)
    while (
        at <= clock.now()
    ):  # days that an outage or a pause has missed are not made up for one after the other
        at = schedule.next_in_rhythm(at, rhythm["every"], brand.timezone, first)
    if at <= datetime.fromisoformat(rhythm["until"]):
        condition = {**wave.condition, "now": False}
        Wave.objects.create(broadcast=wave.broadcast, n=wave.n + 1, at=at, condition=condition)


OPEN_TASKS = (SendTask.State.PLANNED, SendTask.State.CALLING, SendTask.State.HANDED)


@transaction.atomic
def finish(brand: Brand) -> int:
    """End broadcasts none of whose waves and send tasks is open any more; gives how many."""
    done = 0
    for broadcast in Broadcast.objects.filter(state=Broadcast.State.ON).order_by("pk"):
        if Wave.objects.filter(broadcast=broadcast, state__in=[Wave.State.WAITING, Wave.State.HELD]).exists():
            continue
        if SendTask.objects.filter(broadcast=broadcast, state__in=OPEN_TASKS).exists():
            continue
        done += Broadcast.objects.filter(pk=broadcast.pk, state=Broadcast.State.ON).update(
            state=Broadcast.State.DONE, ended_at=clock.now()
        )
    return done


# ---- jobs: every guide at once (org/services/jobs.py)

JOB_SLICE = 20


def stop_step(brand: Brand, job: Job) -> bool:
    """Stop send tasks that guides have and have not confirmed."""
    return _each_task(brand, job, results.cancel)


def reassign_step(brand: Brand, job: Job) -> bool:
    """Give send tasks that their guides have not confirmed to other guides of the same customers."""
    return _each_task(brand, job, reassign.reassign)


def remind_step(brand: Brand, job: Job) -> bool:
    """Remind guides who have not confirmed."""
    return _each_task(brand, job, results.remind)


def _each_task(brand: Brand, job: Job, act: Any) -> bool:
    with transaction.atomic():
        rows = SendTask.objects.filter(
            broadcast=job.params["broadcast_id"], pk__gt=job.params["after"], state=SendTask.State.HANDED
        )
        rows = rows.filter(confirmed_at=None).order_by("pk")
        task_ids = list(rows.values_list("pk", flat=True)[:JOB_SLICE])
    failed, done = int(job.params.get("failed", 0)), 0
    try:
        for task_id in task_ids:
            try:
                act(brand, task_id=task_id, by=Actor(job.created_by))
            except WeComForbidden:
                raise  # somebody has to mend it first
            except (ConflictError, LimitError, WeComRejected):
                failed += 1  # confirmed meanwhile, reminded often enough, its guide has left
            done += 1
    finally:  # what is done is not done again when WeCom does not answer the next
        with transaction.atomic():
            after = task_ids[done - 1] if done else job.params["after"]
            jobs.save_step(
                job,
                params={**job.params, "after": after, "failed": failed},
                n_done=(job.n_done or 0) + done,
            )
    return len(task_ids) == JOB_SLICE
