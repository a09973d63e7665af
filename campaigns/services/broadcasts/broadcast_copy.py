"""A broadcast once more: a draft with all that the old one says, its waves moved to the future."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.models import Broadcast, Wave
from campaigns.services.broadcasts import broadcasts, rest_waves
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput, WaveInput
from org.access import Actor
from scrm import clock
from tenants.models import Brand

DAY = timedelta(days=1)


@transaction.atomic
def duplicate(brand: Brand, *, broadcast_id: int, by: Actor) -> Broadcast:
    """A draft with the same audience, contents, waves and rhythm. What is over is moved by whole days, so that hours of
    the day and the days between waves stay.

    Raises:
        InvalidError: what it names (a segment, a tag) does not exist any more.
    """
    old = broadcasts.get_broadcast(broadcast_id)
    variants = [
        VariantInput(v.text, v.attachments, v.weight, v.content_id) for v in old.variants.order_by("letter")
    ]
    waves = _written(old)
    zone = ZoneInfo(brand.timezone)
    days = _days(waves[0].at, zone)
    until = old.repeat.get("until")
    given = BroadcastInput(
        name=_("%(name)s (copy)") % {"name": old.name[:50]},
        audience=old.audience,
        variants=variants,
        waves=[_moved(wave, days, zone) for wave in waves],
        priority=old.priority,
        hold_out_percent=old.hold_out_percent,
        late_hours=old.late_hours,
        repeat=old.repeat.get("every", ""),
        repeat_until=_later(datetime.fromisoformat(until), days, zone) if until else None,
        test=old.test,
    )
    return broadcasts.save_draft(brand, given, by=by)


def _written(old: Broadcast) -> list[Wave]:
    """The waves that somebody has written: not those that a rhythm, a comparison or guides without room have added."""
    rows = list(Wave.objects.filter(broadcast=old).order_by("n"))
    if old.repeat:
        return rows[:1]
    return [wave for wave in rows if not wave.condition.get("winner") and not rest_waves.is_rest(wave)]


def _days(first: datetime, zone: ZoneInfo) -> int:
    """Whole days until the first wave lies ahead."""
    days = max(-((first - clock.now()) // DAY), 0)
    # where clocks went forward meanwhile, so many days of the calendar are an hour less
    return days if _later(first, days, zone) >= clock.now() else days + 1


def _later(at: datetime, days: int, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone) + timedelta(days=days)


def _moved(wave: Wave, days: int, zone: ZoneInfo) -> WaveInput:
    asked = wave.condition
    at = None if asked.get("now") else _later(wave.at, days, zone)
    return WaveInput(at, asked.get("after", ""), asked.get("condition") or {})
