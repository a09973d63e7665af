"""Which touches wait for a guide: whoever shows states of touches asks here.

Once WeCom has a broadcast's send task, its touches are not written again: a million rows would only repeat what a thousand
send tasks say. In the ledger they stay `planned` until their results come.
"""

from collections.abc import Iterable

from django.db.models import Q, QuerySet

from campaigns.models import SendTask, Touch

NOT_THERE_YET = 0  # beside the states: planned, or waiting for the guide


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
