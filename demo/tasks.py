"""Tasks of the demo's guides: a few for today, some later, one that is late already, one that was put off."""

from datetime import timedelta

from django.db import transaction

from campaigns.models import StaffTask
from campaigns.services.tasks import staff_tasks, task_later
from campaigns.services.tasks.staff_tasks import TaskInput
from contacts.models import Follow
from org.access import SYSTEM
from org.models import Staff
from scrm import clock
from tenants.models import Brand

HOURS = (3, 6, 26, 50)  # from now to the deadline, in turn


def give(brand: Brand, told: tuple[tuple[str, str, str], ...]) -> None:
    """Each guide's newest customers but the very last ones get one of the tasks told; a second start gives none twice."""
    if not told:
        return
    now = clock.now()
    with transaction.atomic():
        if StaffTask.objects.filter(key__startswith="demo:").exists():  # SOPs have given some of their own
            return
        guides = list(Staff.objects.filter(is_guide=True).order_by("pk"))
        late: list[TaskInput] = []
        rows: list[TaskInput] = []
        for guide in guides:
            follows = Follow.objects.filter(staff=guide, ended_at=None, contact__do_not_contact=False)
            ids = list(follows.order_by("-added_at").values_list("contact_id", flat=True)[3:10])
            for n, contact_id in enumerate(ids):
                kind, title, note = told[n % len(told)]
                is_late = n == len(ids) - 1
                due_at = now - timedelta(hours=2) if is_late else now + timedelta(hours=HOURS[n % len(HOURS)])
                row = TaskInput(
                    staff_id=guide.pk, contact_id=contact_id, kind=kind, title=title, note=note, due_at=due_at,
                    key=f"demo:{guide.pk}:{contact_id}",
                )  # fmt: skip
                (late if is_late else rows).append(row)
        staff_tasks.add_tasks(brand, rows, source="page")
        with clock.at(now - timedelta(days=1)):
            staff_tasks.add_tasks(brand, late, source="page")
        for guide in guides:
            mine = StaffTask.objects.filter(staff=guide, key__startswith="demo:", due_at__gt=now)
            if (task := mine.order_by("-due_at", "-pk").first()) is not None:
                task_later.put_off(
                    brand, task_id=task.pk, by=SYSTEM, until=now + timedelta(hours=2), why="unreached"
                )
