"""Waves of broadcasts: who is wanted, plan those that are due, end what is over. What would happen is dry_run.py."""

import logging
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from campaigns.models import Broadcast, SendTask, Touch, Wave
from campaigns.services import launchers
from campaigns.services.broadcasts import (
    broadcast_failures,
    fanout,
    launch_checks,
    rest_waves,
    rhythm,
    winners,
)
from campaigns.services.broadcasts.wave_sets import set_of
from campaigns.services.due import due_waves
from campaigns.services.governance import gate
from scrm import clock
from scrm.errors import ConflictError, SCRMError
from tagging.services.bits import frames
from tagging.services.bits.frames import Bits, Frame
from tagging.services.segments import audience
from tagging.services.segments.audience import Audience
from tenants.models import Brand

log = logging.getLogger(__name__)


# ---- who is wanted


def wanted_of(brand: Brand, wave: Wave, frame: Frame) -> Bits:
    """The audience of a wave, before its condition and the gate are asked.

    Raises:
        ConditionError: the segment or what a condition names does not exist any more.
    """
    broadcast = wave.broadcast
    if rest_waves.is_rest(wave):
        left, after = rest_waves.left_by(frame, wave), wave.condition.get("after", "")
        return left & _of_wave_before(brand, wave, frame, after) if after else left
    if after := wave.condition.get("after", ""):
        wanted = _of_wave_before(brand, wave, frame, after)
    else:
        wanted = _audience(brand, broadcast.audience, frame)
        if not broadcast.repeat:
            wanted = wanted & ~_in_earlier_waves(brand, wave, frame)
    test = winners.rule_of(broadcast)
    if test and test.percent < 100 and not wave.condition.get("winner"):  # the others wait for the winner
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


_REACHED = """
    SELECT t.contact_id FROM campaigns_touch t
     WHERE t.brand_id = %s AND t.at = ANY(%s) AND t.broadcast_id = %s AND t.wave_id = ANY(%s) AND t.state = %s {only}
"""
_ONLY = {
    "everybody": "",
    "opened": "AND t.opened_at IS NOT NULL",
    "not_opened": "AND t.opened_at IS NULL",
    "not_replied": "AND t.replied_at IS NULL",
}


def _of_wave_before(brand: Brand, wave: Wave, frame: Frame, after: str) -> Bits:
    """People to whom the wave before, or what was left of it, was delivered and for whom `after` holds."""
    n = rest_waves.root_of(wave) - 1
    rows = Wave.objects.filter(Q(n=n) | Q(condition__root=n), broadcast=wave.broadcast_id)
    before = list(rows.values_list("pk", flat=True))
    delivered = int(Touch.State.DELIVERED)
    moments = winners.moments_of(wave.broadcast_id)
    params = [brand.pk, moments, wave.broadcast_id, before, delivered]
    return frame.select_people(_REACHED.format(only=_ONLY[after]), params)


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
            launch_checks.check_content(brand, wave.broadcast, launch_checks.goes_out_at(brand, wave.at))
            wanted = wanted_of(brand, wave, frame)
            fails = fails_of(brand, wave, frame, wanted)
        except SCRMError as error:  # also a segment that names one that is gone
            _leave_out(brand, wave, str(error)[:300])
            return False
        numbers = fanout.plan_wave(brand, wave.pk, frame, wanted, fails)
        if numbers is None:
            return False
        log.info("broadcast %s wave %s: %s", wave.broadcast_id, wave.n, numbers)
        rest_waves.follow(brand, wave.pk)
        _repeat(brand, wave)
        return True


def _check_time(wave: Wave) -> None:
    """After an outage or a pause: as late as its broadcast allows a message to be handed over. One that is repeated goes
    out once instead of all the times that were missed, and what is left of an earlier time does not go out beside it.

    Raises:
        ConflictError: later than that.
    """
    broadcast = wave.broadcast
    if rest_waves.is_overtaken(wave):
        raise ConflictError(_("The broadcast has gone out anew since: nobody gets it twice"))
    due_at = max(wave.at, broadcast.launched_at or wave.at)  # whoever approves it later means it
    if not broadcast.repeat and clock.now() > due_at + timedelta(hours=broadcast.late_hours):
        raise ConflictError(
            _("More than %(n)s hours had gone by since its time: it was not sent any more")
            % {"n": broadcast.late_hours}
        )


def _leave_out(brand: Brand, wave: Wave, error: str) -> None:
    Wave.objects.filter(pk=wave.pk).update(state=Wave.State.SKIPPED, numbers={"error": error})
    if not rest_waves.is_rest(
        wave
    ):  # without its test the rest has nothing to wait for, and would be everybody
        rest = Wave.objects.filter(broadcast=wave.broadcast_id, state=Wave.State.HELD)
        rest.update(state=Wave.State.SKIPPED, numbers={"error": error})
    log.warning("broadcast %s wave %s is left out", wave.broadcast_id, wave.n)
    _repeat(brand, wave)
    broadcast = wave.broadcast
    title = _("“%(name)s”: wave %(n)s was left out, nobody got it") % {"name": broadcast.name, "n": wave.n}
    url = f"/broadcasts/{broadcast.pk}/"
    launchers.tell(brand, broadcast, key=f"wave:{wave.pk}", text=f"{title}\n{error}", url=url)


def _repeat(brand: Brand, wave: Wave) -> None:
    """The next time of a broadcast that is repeated."""
    if rest_waves.is_rest(wave):
        return
    if at := rhythm.next_time(brand, wave.broadcast, wave.at):
        condition = {**wave.condition, "now": False}
        n = rest_waves.next_n(wave.broadcast)
        Wave.objects.create(broadcast=wave.broadcast, n=n, at=at, condition=condition)


LAUNCHED = (Broadcast.State.ON, Broadcast.State.PAUSED, Broadcast.State.CANCELLED)
OPEN_TASKS = (SendTask.State.PLANNED, SendTask.State.CALLING, SendTask.State.HANDED)


@transaction.atomic
def finish(brand: Brand) -> int:
    """End waves and broadcasts of which nothing is open any more; gives how many broadcasts. Before that somebody is told
    of what WeCom has refused whole."""
    broadcast_failures.tell(brand)
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
