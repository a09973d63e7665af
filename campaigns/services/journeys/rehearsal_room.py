"""Messages of campaigns of lower priority that would give way in a rehearsal, as outranking.py lets them.

Of the past the ledger knows what was sent while the rehearsed SOP was not there. A message of a lower campaign that WeCom
did not have at some moment was planned, and would have been taken back, or was not planned yet, and would have found the
place taken: either way it does not stand in the way of a message of that moment.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import connection

from campaigns.governance import Rules
from campaigns.models import SendTask, Touch
from campaigns.services.governance import outranking
from campaigns.services.governance.outranking import Planned
from campaigns.services.ledger import planes
from tenants.models import Brand

NEVER = datetime.max.replace(tzinfo=UTC)
Moment = tuple[int, datetime]  # kind of touch, when


class Giving(NamedTuple):
    """A touch that could give way before it was handed over."""

    touch: Planned
    handed_at: datetime


@dataclass
class Room:
    """What could give way, by person; of these people all touches, those of the rehearsal too.

    Attributes:
        giving: {person: the touches that could, the lowest first}.
        touches: {person: (kind, moment) of every touch that counts}.
    """

    rules: Rules
    giving: dict[int, list[Giving]] = field(default_factory=dict)
    touches: dict[int, list[Moment]] = field(default_factory=lambda: defaultdict(list))

    def note(self, person: int, at: datetime) -> None:
        """The rehearsal has planned a message for somebody."""
        if person in self.giving:
            self.touches[person].append((int(Touch.Kind.SOP), at))

    def take(self, person: int, now: datetime, at: datetime) -> list[Planned]:
        """Which touches give way at `now` to a message planned for `at`; they are gone from then on. None: they would not
        help."""
        some = [one.touch for one in self.giving.get(person, ()) if now < one.handed_at]
        if not some:
            return []
        taken = outranking.needed(some, self.touches[person], at, int(Touch.Kind.SOP), self.rules)
        for touch in taken:
            self.touches[person].remove((touch.kind, touch.at))
            self.giving[person] = [one for one in self.giving[person] if one.touch is not touch]
        return taken


_GIVING = """
    SELECT r.n - 1, t.id, t.at, t.kind, t.contact_id, k.id, k.priority, k.called_at
      FROM pg_temp.sop_rehearsal r
      JOIN campaigns_touch t ON t.brand_id = %(b)s AND t.contact_id = r.id AND t.at >= %(since)s AND t.at < %(until)s
       AND t.kind = ANY(%(kinds)s) AND t.state = ANY(%(counted)s) AND t.sop_id IS DISTINCT FROM %(sop)s
      JOIN campaigns_sendtask k ON k.brand_id = %(b)s AND k.id = t.send_task_id AND k.priority < %(priority)s
       AND (k.called_at IS NOT NULL OR k.state = %(planned)s)
     ORDER BY k.priority, t.id
"""


def load(
    brand: Brand, *, sop_id: int, priority: int, since: datetime, until: datetime
) -> dict[int, list[Giving]]:
    """{person: the touches that could give way to an SOP of a priority}, of the people of the rehearsal's table."""
    if not SendTask.objects.filter(priority__lt=priority).exists():
        return {}
    found: dict[int, list[Giving]] = defaultdict(list)
    given: dict[str, Any] = {
        "b": brand.pk, "since": since, "until": until, "kinds": [int(kind) for kind in planes.KINDS],
        "counted": [int(state) for state in planes.COUNTED], "sop": sop_id, "priority": priority,
        "planned": SendTask.State.PLANNED.value,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_GIVING, given)
        for person, touch_id, at, kind, contact_id, task_id, of_task, called_at in cursor:
            moment = at.replace(microsecond=0)  # a rehearsal counts in seconds
            touch = Planned(person, touch_id, moment, kind, contact_id, task_id, of_task)
            found[person].append(Giving(touch, called_at or NEVER))
    return dict(found)


def moments_of(rows: Sequence[tuple[int, int, int]], people: set[int]) -> dict[int, list[Moment]]:
    """{person: (kind, moment)} of (person, seconds, kind), of some people."""
    found: dict[int, list[Moment]] = defaultdict(list)
    for person, at, kind in rows:
        if person in people:
            found[person].append((kind, datetime.fromtimestamp(at, UTC)))
    return found
