"""The task that a guide has while numbers of a list wait for them: it brings reminders and escalation with it.

One open task for each list and guide (`StaffTask.Kind.ADD`); it ends by itself when nothing is left to be asked.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import override

from campaigns.models import StaffTask
from campaigns.services.tasks import staff_tasks
from campaigns.services.tasks.staff_tasks import TaskInput
from guides.models import Lead, LeadList
from org.access import SYSTEM, Actor
from scrm import clock
from tenants.models import Brand

SOURCE = "leads"
State = StaffTask.State


def keep(
    brand: Brand, found: LeadList, staff_ids: Collection[int], *, by: Actor = SYSTEM, is_more: bool = False
) -> None:
    """These guides have numbers to ask: each has one open task, due as the list says. In the caller's transaction.

    Args:
        is_more: they were given new ones: the deadline of an open task moves with them, and the guide is told. Else it is an
            undo: a task that was done within a day goes on, with the deadline that it had.
    """
    rows = StaffTask.objects.filter(source=SOURCE, source_id=found.pk, staff__in=list(staff_ids))
    which = Q(state=State.OPEN)
    if not is_more:
        which |= Q(state=State.DONE, done_at__gte=clock.now() - staff_tasks.UNDO_WITHIN)
    tasks = _locked(
        rows.filter(which)
    )  # what another process ends or opens at this moment is as it has left it
    is_open = {task.staff_id for task in tasks if task.state == State.OPEN}
    for task in reversed(tasks):  # the newest first
        if task.staff_id not in is_open:
            staff_tasks.reopen(brand, task_id=task.pk, by=by)
            is_open.add(task.staff_id)
    count = dict(rows.values_list("staff").annotate(Count("pk")))
    due_at = clock.now() + timedelta(days=found.due_days)
    if is_more:
        rows.filter(state=State.OPEN).update(due_at=due_at, **staff_tasks.UNMARKED)
    with override(settings.LANGUAGE_CODE):
        title = _("Add by phone number: %(name)s") % {"name": found.name}
    wanted = [
        TaskInput(
            staff_id=staff_id, kind=StaffTask.Kind.ADD, title=title if len(title) <= 80 else title[:79] + "…",
            due_at=due_at, key=f"leads:{found.pk}:{staff_id}:{count.get(staff_id, 0)}",
        )
        for staff_id in staff_ids
        if staff_id not in is_open
    ]  # fmt: skip
    staff_tasks.add_tasks(brand, wanted, source=SOURCE, source_id=found.pk, by=by)


def _locked(rows: Any) -> list[StaffTask]:
    return list(rows.order_by("pk").select_for_update(no_key=True, of=("self",)))


def settle(brand: Brand, pairs: Collection[tuple[int, int]], *, by: Actor = SYSTEM) -> None:
    """(list, guide): tasks of those who have nothing left to ask end, as done where something was asked, else as
    cancelled. In the caller's transaction."""
    for list_id in sorted({list_id for list_id, _staff in pairs}):
        guides = {staff_id for pk, staff_id in pairs if pk == list_id}
        rows = StaffTask.objects.filter(source=SOURCE, source_id=list_id, staff__in=guides, state=State.OPEN)
        tasks = _locked(rows)  # before counting: of two who tap the last two numbers, the later one sees both
        if not tasks:
            continue
        n = {
            staff_id: (left, asked)
            for staff_id, left, asked in Lead.objects.filter(list=list_id, staff__in=guides)
            .values_list("staff")
            .annotate(
                left=Count("pk", filter=Q(state=Lead.State.GIVEN)),
                asked=Count(
                    "pk", filter=~Q(state__in=[Lead.State.GIVEN, Lead.State.WAITING, Lead.State.CLOSED])
                ),
            )
        }
        for task in tasks:
            left, asked = n.get(task.staff_id, (0, 0))
            if left:
                continue
            if asked:
                with override(settings.LANGUAGE_CODE):  # whoever reads it later
                    result = _("%(n)s numbers asked") % {"n": asked}
                staff_tasks.complete(brand, task_id=task.pk, by=by, result=result)
            else:
                staff_tasks.cancel(brand, by=by, task_ids=[task.pk])


def drop(brand: Brand, found: LeadList, *, by: Actor) -> None:
    """All open tasks of a list end."""
    staff_tasks.cancel(brand, by=by, source=SOURCE, source_id=found.pk)


def resume(brand: Brand, found: LeadList, *, by: Actor) -> None:
    """Undo of `drop`, before the list counts as open: guides who have numbers to ask again have their task again, within a
    day with the deadline that it had."""
    guides = Lead.objects.filter(list=found, state=Lead.State.GIVEN).values_list("staff", flat=True)
    staff_ids = sorted({pk for pk in guides.distinct() if pk})
    rows = StaffTask.objects.filter(source=SOURCE, source_id=found.pk, staff__in=staff_ids)
    ended = rows.filter(state=State.CANCELLED, done_at__gte=found.closed_at)
    staff_tasks.restore(brand, by=by, task_ids=list(ended.values_list("pk", flat=True)))
    keep(brand, found, staff_ids, by=by)
