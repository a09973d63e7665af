"""What was too much for a guide on a day goes out on another one: a further wave of the same broadcast, for those people alone.

Everything is asked anew on that day: the condition of the wave, the gate, the guides' room. Its `condition` is that of the wave
it comes from, and `rest_of` (that wave), `root` (number of the first one), `day` (so many days after it).
"""

from datetime import datetime

from django.db.models import Max

from campaigns.models import Broadcast, Touch, Wave
from campaigns.services.broadcasts import rhythm
from campaigns.services.broadcasts.wave_sets import set_of
from campaigns.services.governance import workload
from scrm import clock
from tagging.services.bits.frames import Bits, Frame
from tenants.models import Brand

BUSY = Touch.Reason.GUIDE_BUSY


def rest_of(wave: Wave) -> int | None:
    """The wave that has left them."""
    return wave.condition.get("rest_of")


def is_rest(wave: Wave) -> bool:
    return rest_of(wave) is not None


def root_of(wave: Wave) -> int:
    """The number of the wave that somebody has written."""
    return int(wave.condition.get("root", wave.n))


def left_by(frame: Frame, wave: Wave) -> Bits:
    """Who is left of the wave before."""
    return set_of(frame, wave.condition["rest_of"], int(BUSY))


def next_n(broadcast: Broadcast) -> int:
    """The number of a further wave."""
    return int(Wave.objects.filter(broadcast=broadcast).aggregate(n=Max("n"))["n"]) + 1


def next_day(brand: Brand, wave: Wave, since: datetime) -> datetime | None:
    """When those get it for whom a guide has no room at `since`. None: never, because the brand does not want it, the days are
    used up, or the broadcast comes again by then anyway."""
    limits = workload.limits_of(brand)
    if not (limits and limits.is_moved) or int(wave.condition.get("day", 0)) >= workload.DAYS:
        return None
    at = workload.days_later(brand, since, 1)
    again = rhythm.next_time(brand, wave.broadcast, _begun(wave)) if wave.broadcast.repeat else None
    return None if again and again <= at else at


def _begun(wave: Wave) -> datetime:
    """The time of the wave that somebody has written."""
    if not is_rest(wave):
        return wave.at
    return Wave.objects.values_list("at", flat=True).get(broadcast=wave.broadcast_id, n=root_of(wave))


def is_overtaken(wave: Wave) -> bool:
    """Whether the broadcast has come again since the wave of which this is the rest; after a pause both may be due."""
    if not is_rest(wave) or not wave.broadcast.repeat:
        return False
    others = Wave.objects.filter(broadcast=wave.broadcast_id, at__gt=_begun(wave), at__lte=clock.now())
    return others.exclude(condition__has_key="rest_of").exists()


def follow(brand: Brand, wave_id: int) -> Wave | None:
    """After a wave was planned: the wave for those who are left, if any. In the caller's transaction."""
    wave = Wave.objects.select_for_update(of=("self",)).select_related("broadcast").get(pk=wave_id)
    n = int(wave.numbers.get(BUSY.name.lower(), 0))
    if not n or wave.planned_at is None:
        return None
    at = next_day(brand, wave, max(wave.at, wave.planned_at))
    if at is None:
        return None
    day = int(wave.condition.get("day", 0)) + 1
    condition = {**wave.condition, "now": False, "rest_of": wave.pk, "root": root_of(wave), "day": day}
    return Wave.objects.create(
        broadcast=wave.broadcast,
        n=next_n(wave.broadcast),
        at=at,
        condition=condition,
        numbers={"wanted": n},  # until it is planned
    )
