"""Waves of broadcasts: who is wanted, plan those that are due, end what is over. What would happen is dry_run.py."""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from campaigns.models import Broadcast, SendTask, Touch, Wave
from campaigns.services import (
    broadcasts,
    fanout,
    gate,
    reassign,
    results,
    schedule,
    winners,
)
from campaigns.services.due import due_waves
from org.access import Actor
from org.models import Job, Staff
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, LimitError, SCRMError
from tagging.services import audience, frames
from tagging.services.audience import Audience
from tagging.services.frames import Bits, Frame
from tenants.models import Brand
from wecom.errors import WeComForbidden, WeComRejected
from wecom.services.notices import notify_staff

log = logging.getLogger(__name__)


# ---- who is wanted


def wanted_of(brand: Brand, broadcast: Broadcast, wave: Wave | None, frame: Frame) -> Bits:
    """The audience of a wave, before its condition and the gate are asked. None: everybody whom the broadcast is for.

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
    return wanted


def fails_of(brand: Brand, wave: Wave, frame: Frame, wanted: Bits) -> Bits:
    """Those of a wave's audience for whom its condition does not hold.

    Raises:
        ConditionError: as `wanted_of`.
    """
    condition = wave.condition.get("condition")
    if not condition:
        return frame.empty()
    return wanted & ~frame.of_chunks(Audience(brand, audience.read(brand, condition)).bitmap())


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
    """Who was asked for before; whom a wave's condition left out may still come in a later one."""
    found = frame.empty()
    for earlier in Wave.objects.filter(broadcast=wave.broadcast_id, n__lt=wave.n).exclude(
        state=Wave.State.WAITING
    ):
        fails = set_of(frame, earlier.pk, int(Touch.Reason.WAVE_CONDITION))
        found = found | (set_of(frame, earlier.pk, fanout.WANTED) & ~fails)
    return found


def set_of(frame: Frame, wave_id: int, what: int) -> Bits:
    """A kept set of a planned wave: who was wanted (0), or whom a reason held back."""
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


def people_of(brand: Brand, wave: Wave, what: int, limit: int = 100) -> list[int]:
    """Contacts of a planned wave: those wanted (0) or held back for a reason, by position."""
    frame = Frame.whole(brand)
    return frames.contacts_at(brand, frame, set_of(frame, wave.pk, what), limit)


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
    long leaves it out with the reason: it sends to nobody, who launched it is told, and a broadcast that is repeated
    tries again the next time."""
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
            fails = fails_of(brand, wave, frame, wanted)
        except SCRMError as error:  # also a segment that names one that is gone
            _leave_out(brand, wave, str(error)[:300])
            return False
        numbers = fanout.plan_wave(brand, wave.pk, frame, wanted, fails)
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


def _leave_out(brand: Brand, wave: Wave, error: str) -> None:
    Wave.objects.filter(pk=wave.pk).update(state=Wave.State.SKIPPED, numbers={"error": error})
    # without its test the rest has nothing to wait for, and would be everybody
    rest = Wave.objects.filter(broadcast=wave.broadcast_id, state=Wave.State.HELD)
    rest.update(state=Wave.State.SKIPPED, numbers={"error": error})
    log.warning("broadcast %s wave %s is left out", wave.broadcast_id, wave.n)
    _repeat(brand, wave)
    broadcast = wave.broadcast
    launcher = broadcast.launched_by_user_id or broadcast.created_by_user_id
    person = Staff.objects.select_related("corp").filter(user_id=launcher).first() if launcher else None
    if person is not None:
        words = {"name": broadcast.name, "n": wave.n}
        title = _("“%(name)s”: wave %(n)s was left out, nobody got it") % words
        url = f"/broadcasts/{broadcast.pk}/"
        notify_staff(brand, staff=person, key=f"wave:{wave.pk}", text=f"{title}\n{error}", url=url)


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


LAUNCHED = (Broadcast.State.ON, Broadcast.State.PAUSED, Broadcast.State.CANCELLED)
OPEN_TASKS = (SendTask.State.PLANNED, SendTask.State.CALLING, SendTask.State.HANDED)


@transaction.atomic
def finish(brand: Brand) -> int:
    """End waves and broadcasts of which nothing is open any more; gives how many broadcasts."""
    done = 0
    mine = SendTask.objects.filter(broadcast=OuterRef("broadcast"), wave_id=OuterRef("pk"))
    planned = Wave.objects.filter(state=Wave.State.PLANNED, broadcast__state__in=LAUNCHED)
    planned.exclude(Exists(mine.filter(state__in=OPEN_TASKS))).update(state=Wave.State.DONE)
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
    """Stop send tasks of a broadcast or an SOP that guides have and have not confirmed."""
    return _each_task(brand, job, results.cancel)


def reassign_step(brand: Brand, job: Job) -> bool:
    """Give send tasks that their guides have not confirmed to other guides of the same customers."""
    return _each_task(brand, job, reassign.reassign)


def remind_step(brand: Brand, job: Job) -> bool:
    """Remind guides who have not confirmed."""
    return _each_task(brand, job, results.remind)


def _each_task(brand: Brand, job: Job, act: Any) -> bool:
    with transaction.atomic():
        of = (
            {"sop": job.params["sop_id"]}
            if "sop_id" in job.params
            else {"broadcast": job.params["broadcast_id"]}
        )
        rows = SendTask.objects.filter(**of, pk__gt=job.params["after"], state=SendTask.State.HANDED)
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
