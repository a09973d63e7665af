"""What a minute's tick finds to do, in one statement: an index probe for each kind."""

from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import QuerySet, Value

from campaigns.models import Broadcast, Moment, SendTask, Wave
from scrm import clock

State = SendTask.State

TASKS = (State.PLANNED, State.CALLING, State.HANDED)
MOST_TASKS = 20_000  # in one minute
WAVE, MOMENT = "wave", "moment"
MOMENTS = [Moment.State.PLANNED, Moment.State.CALLING, Moment.State.RUNNING, Moment.State.OUT]


@dataclass
class Due:
    """Oldest first."""

    tasks: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: {state: [] for state in TASKS})
    """(send task, guide) by state."""
    waves: list[int] = field(default_factory=list)
    moments: list[int] = field(default_factory=list)


def due_waves() -> QuerySet[Wave]:
    """Waves whose time has come."""
    return Wave.objects.filter(
        state=Wave.State.WAITING, at__lte=clock.now(), broadcast__state=Broadcast.State.ON
    )


@transaction.atomic
def look() -> Due:
    """Send tasks and moments that want something now, and waves whose time has come."""
    found = Due()
    tasks = SendTask.objects.filter(state__in=TASKS, next_try_at__lte=clock.now())
    oldest = tasks.order_by("next_try_at", "pk")[:MOST_TASKS]
    waves = due_waves().values_list("pk", "broadcast_id", Value(WAVE), "at")
    moments = Moment.objects.filter(state__in=MOMENTS, next_try_at__lte=clock.now()).order_by()
    moments = moments.values_list("pk", "corp_id", Value(MOMENT), "next_try_at")
    rows = oldest.values_list("pk", "staff_id", "state", "next_try_at").union(waves, moments, all=True)
    for pk, staff_id, kind, _ in rows.order_by("next_try_at", "pk"):
        if kind == WAVE:
            found.waves.append(pk)
        elif kind == MOMENT:
            found.moments.append(pk)
        else:
            found.tasks[kind].append((pk, staff_id))
    return found
