"""Which touches wait for a guide: whoever shows states of touches asks here.

Once WeCom has a broadcast's send task, its touches are not written again: a million rows would only repeat what a thousand
send tasks say. In the ledger they stay `planned` until their results come.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Max, Min, Q, QuerySet, Sum

from campaigns.models import Broadcast, SendTask, Sop, Touch
from scrm import clock

NOT_THERE_YET = 0  # beside the states: planned, or waiting for the guide
SOON = timedelta(minutes=3)  # what goes to WeCom with one of the next ticks is not worth a word


class Kept(NamedTuple):
    """Messages that guides do not have yet, and from when to when they get them."""

    n: int
    first: datetime
    last: datetime


def kept_of_broadcast(broadcast: Broadcast) -> Kept | None:
    """What quiet hours or guides' full days keep from the guides; None: nothing, or it is not on."""
    on = broadcast.state == Broadcast.State.ON
    return _kept(SendTask.objects.filter(broadcast=broadcast)) if on else None


def kept_of_sop(sop: Sop) -> Kept | None:
    """The same of an SOP."""
    return _kept(SendTask.objects.filter(sop=sop)) if sop.state == Sop.State.ON else None


def _kept(tasks: "QuerySet[SendTask]") -> Kept | None:
    """What WeCom has refused for now is told by itself."""
    rows = tasks.filter(state=SendTask.State.PLANNED, next_try_at__gt=clock.now() + SOON, error="").order_by()
    found = rows.aggregate(n=Sum("n"), first=Min("next_try_at"), last=Max("next_try_at"))
    return Kept(found["n"], found["first"], found["last"]) if found["n"] else None


def show(touches: Iterable[Touch]) -> None:
    """Put the state that people see into these rows, in memory; at most one statement."""
    planned = [
        touch
        for touch in touches
        if touch.state == Touch.State.PLANNED and touch.broadcast_id and touch.send_task_id
    ]
    if not planned:
        return
    tasks = _handed().filter(pk__in={touch.send_task_id for touch in planned})
    handed = set(tasks.values_list("pk", flat=True))
    for touch in planned:
        if touch.send_task_id in handed:
            touch.state = Touch.State.HANDED


def in_state(rows: "QuerySet[Touch]", state: int) -> "QuerySet[Touch]":
    """Those whose state, as people see it, is this one, or NOT_THERE_YET."""
    if state == NOT_THERE_YET:
        return rows.filter(state__in=[Touch.State.PLANNED, Touch.State.HANDED])
    by_task = Q(
        state=Touch.State.PLANNED, broadcast_id__isnull=False, send_task_id__in=_handed().values("pk")
    )
    if state == Touch.State.HANDED:
        return rows.filter(Q(state=state) | by_task)
    rows = rows.filter(state=state)
    return rows.exclude(by_task) if state == Touch.State.PLANNED else rows


def _handed() -> "QuerySet[SendTask]":
    return SendTask.objects.filter(state=SendTask.State.HANDED).order_by()
