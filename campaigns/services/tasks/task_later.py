"""推迟: a guide tries a task about a customer and it does not work out now: not reached, busy, asked to be called again.

The task leaves the guide's list until a moment, comes back on top of it, and the guide is told once, together with
whatever else there is to tell (staff_task_notices.py). Every time is a row of TaskDelay with its reason.

The rule of the deadline: a moment before the deadline leaves it as it is. One after it moves the deadline to an hour
after the moment, as far as the brand allows beyond the deadline as it was given (TaskPolicy.later_hours; 0: never) and
never to the end of the task or past it. So nothing that is put off is overdue, and nothing can be put off for ever.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.models import StaffTask, TaskDelay, TaskPolicy
from campaigns.services.tasks import staff_tasks, task_policy
from contacts.models import EventType
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

HOUR = timedelta(hours=1)
TO_DO_IT = HOUR  # from the moment to a deadline that has moved
EVENING, MORNING = time(18), time(9)
MOST = 20  # times
Why = TaskDelay.Why


@dataclass(frozen=True)
class Choice:
    """A moment that is offered by name."""

    key: str  # hour, evening, tomorrow
    label: str
    at: datetime


def latest(task: StaffTask, policy: TaskPolicy) -> datetime:
    """The last moment until which a task may be put off; over already: it cannot wait."""
    given = task.first_due_at or task.due_at
    found = given + timedelta(hours=policy.later_hours)
    return min(found, task.expires_at - timedelta(minutes=1)) if task.expires_at else found


def choices(brand: Brand, task: StaffTask) -> list[Choice]:
    """Moments for this task by name, in order, those that its deadline allows."""
    now, zone = clock.now(), ZoneInfo(brand.timezone)
    today = now.astimezone(zone).date()
    named = [
        Choice("hour", _("In an hour"), now + HOUR),
        Choice("evening", _("This evening"), datetime.combine(today, EVENING, zone)),
        Choice("tomorrow", _("Tomorrow morning"), datetime.combine(today + timedelta(days=1), MORNING, zone)),
    ]
    last = latest(task, task_policy.policy_of(brand))
    return [choice for choice in named if now + HOUR <= choice.at <= last]


@transaction.atomic
def put_off(
    brand: Brand,
    *,
    task_id: int,
    by: Actor,
    until: datetime,
    why: str,
    words: str = "",
    seen: int | None = None,
) -> StaffTask:
    """Put an open task about a customer off until a moment.

    Args:
        why: one of TaskDelay.Why; `other` wants words.
        seen: how often it had been put off when whoever asks looked: what has been done since is not done twice.

    Raises:
        ConflictError: not open, about no customer, or put off too often.
        InvalidError: a moment that is over or that the deadline does not allow, an unknown reason, no words.
    """
    task = staff_tasks.get_task(task_id, lock=True)
    if seen is not None and task.n_later > seen and task.state == StaffTask.State.OPEN:
        return task
    may_wait(task)
    now = clock.now()
    words = staff_tasks.plain(words)
    _check(brand, task, until, why, words, now)
    TaskDelay.objects.create(
        task=task, staff_id=task.staff_id, by=by.name, at=now, until=until, why=why, words=words,
        due_before=task.due_at, later_before=task.later_at,
    )  # fmt: skip
    if until > task.due_at:
        task.first_due_at = task.first_due_at or task.due_at
        task.due_at = min(until + TO_DO_IT, task.expires_at) if task.expires_at else until + TO_DO_IT
    task.later_at, task.later_told_at, task.n_later = until, None, task.n_later + 1
    task.told_at = task.told_at or now  # whoever puts it off knows of it
    task.save(
        update_fields=["first_due_at", "due_at", "later_at", "later_told_at", "n_later", "told_at"],
    )
    local = until.astimezone(ZoneInfo(brand.timezone))
    data = {"until": f"{local:%Y-%m-%d %H:%M}"}
    if why != Why.OTHER:
        data["reason"] = f"task_{why}"
    if words:
        data["text"] = words
    _tell(brand, task, now, data)
    return task


def may_wait(task: StaffTask) -> None:
    """Raises ConflictError for a task that cannot be put off, whatever the moment."""
    if task.state != StaffTask.State.OPEN:
        raise ConflictError(_("The task is “%(state)s” now") % {"state": task.get_state_display()})
    if not task.is_about_customer:
        raise ConflictError(_("Only a task about a customer can be put off"))
    if task.n_later >= MOST:
        raise ConflictError(_("It has been put off %(n)s times already") % {"n": task.n_later})


def _check(brand: Brand, task: StaffTask, until: datetime, why: str, words: str, now: datetime) -> None:
    if why not in Why.values:
        text = _("Choose one of the list")
        raise InvalidError(text, fields={"why": text})
    if why == Why.OTHER and not words:
        text = _("Say in a few words why")
        raise InvalidError(text, fields={"words": text})
    if until <= now:
        text = _("Choose a moment that is still to come")
        raise InvalidError(text, fields={"until": text})
    last = latest(task, task_policy.policy_of(brand))
    if until > last:
        local = last.astimezone(ZoneInfo(brand.timezone))
        text = _("Its deadline lets it wait until %(when)s at most") % {"when": f"{local:%m-%d %H:%M}"}
        raise InvalidError(text, fields={"until": text})


@transaction.atomic
def take_back(brand: Brand, *, task_id: int, delay_id: int, by: Actor) -> StaffTask:
    """Undo the last putting off while the task still waits: list, deadline and count are as before. A second time
    changes nothing.

    Raises:
        NotFoundError: no such task, or no such putting off of it.
        ConflictError: it has come back, is not open any more, or was put off again since.
    """
    task = staff_tasks.get_task(task_id, lock=True)
    delay = TaskDelay.objects.filter(task=task, pk=delay_id).first()
    if delay is None:
        raise NotFoundError()
    if delay.taken_back_at is not None:
        return task
    now = clock.now()
    is_last = not TaskDelay.objects.filter(task=task, pk__gt=delay.pk, taken_back_at=None).exists()
    if not (is_last and task.is_off and task.later_at == delay.until):
        raise ConflictError(_("This cannot be undone any more: the task is back, done, or put off again"))
    delay.taken_back_at = now
    delay.save(update_fields=["taken_back_at"])
    task.due_at, task.n_later = delay.due_before, task.n_later - 1
    task.first_due_at = None if task.first_due_at == task.due_at else task.first_due_at
    task.later_at = delay.later_before
    task.later_told_at = now if task.later_at and task.later_at <= now else None  # it is before their eyes
    task.save(update_fields=["due_at", "n_later", "first_due_at", "later_at", "later_told_at"])
    _tell(brand, task, now, {"taken_back": "1"})
    return task


def _tell(brand: Brand, task: StaffTask, at: datetime, data: dict[str, str]) -> None:
    row = (task.pk, task.staff_id, task.contact_id, task.title)
    staff_tasks.tell(brand, EventType.TASK_LATER, [row], at, **data)


def history(tasks: Collection[StaffTask]) -> dict[int, list[TaskDelay]]:
    """Task → how often and why it was put off, the last time first; one query, none when none was."""
    ids = [task.pk for task in tasks if task.n_later]
    found: dict[int, list[TaskDelay]] = {}
    if ids:
        for delay in TaskDelay.objects.filter(task__in=ids, taken_back_at=None).order_by("-pk"):
            found.setdefault(delay.task_id, []).append(delay)
    return found
