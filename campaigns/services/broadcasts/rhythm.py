"""When a broadcast that is repeated goes out again."""

from datetime import datetime

from campaigns.models import Broadcast, Wave
from campaigns.services.sops import schedule
from scrm import clock
from tenants.models import Brand


def next_time(brand: Brand, broadcast: Broadcast, at: datetime) -> datetime | None:
    """The first moment of its rhythm after `at` that is still to come: what an outage or a pause has missed is not made up for
    one after the other. None: it is not repeated, or not any more."""
    rhythm = broadcast.repeat
    if not rhythm:
        return None
    first = Wave.objects.filter(broadcast=broadcast, n=1).values_list("at", flat=True).get()
    found = schedule.next_in_rhythm(at, rhythm["every"], brand.timezone, first)
    while found <= clock.now():
        found = schedule.next_in_rhythm(found, rhythm["every"], brand.timezone, first)
    return found if found <= datetime.fromisoformat(rhythm["until"]) else None
