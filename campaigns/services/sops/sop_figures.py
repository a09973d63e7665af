"""The figures of one SOP by guide (what was handed to each, what became of it, tasks), and how people left it."""

from dataclasses import dataclass

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from campaigns.models import Enrolment, SendTask, StaffTask
from campaigns.services import scope
from org.models import Staff
from scrm import clock

MOST = 500


@dataclass
class GuideNumbers:
    """One guide.

    Attributes:
        n: messages of all send tasks, those that were cancelled left out.
        n_sends, n_open: send tasks, and those that wait for the guide's confirmation.
        n_tasks, n_done, n_late: tasks, done ones, those not done by their deadline.
    """

    n: int = 0
    n_sent: int = 0
    n_failed: int = 0
    n_sends: int = 0
    n_open: int = 0
    n_tasks: int = 0
    n_done: int = 0
    n_late: int = 0
    staff: Staff | None = None

    @property
    def n_waiting(self) -> int:
        return max(self.n - self.n_sent - self.n_failed, 0)


def of_guides(sop_id: int, reader: Staff) -> list[GuideNumbers]:
    """Guides of an SOP within the reader's data scope, who has most messages first; three queries."""
    found: dict[int, GuideNumbers] = {}
    waits = Q(state=SendTask.State.HANDED, confirmed_at=None)
    sends = SendTask.objects.filter(sop=sop_id).exclude(state=SendTask.State.CANCELLED).order_by()
    for row in (
        scope.of_guides(sends, reader)
        .values("staff_id")
        .annotate(
            all=Sum("n"), sent=Sum("n_sent"), failed=Sum("n_failed"), sends=Count("pk"),
            open=Count("pk", filter=waits),
        )
    ):  # fmt: skip
        found[row["staff_id"]] = GuideNumbers(
            row["all"], row["sent"], row["failed"], n_sends=row["sends"], n_open=row["open"]
        )
    State = StaffTask.State
    late = Q(state=State.EXPIRED) | Q(state=State.OPEN, due_at__lt=clock.now())
    late |= Q(state=State.DONE, done_at__gt=Coalesce("first_due_at", "due_at"))
    tasks = StaffTask.objects.filter(source="sop", source_id=sop_id).exclude(state=State.CANCELLED).order_by()
    for of_task in (
        scope.of_guides(tasks, reader)
        .values("staff_id")
        .annotate(
            all=Count("pk"), done=Count("pk", filter=Q(state=State.DONE)), late=Count("pk", filter=late)
        )
    ):
        guide = found.setdefault(of_task["staff_id"], GuideNumbers())
        guide.n_tasks, guide.n_done, guide.n_late = of_task["all"], of_task["done"], of_task["late"]
    for staff in Staff.objects.filter(pk__in=found):
        found[staff.pk].staff = staff
    known = [guide for guide in found.values() if guide.staff]
    return sorted(known, key=lambda g: (-g.n, -g.n_tasks, g.staff.pk if g.staff else 0))[:MOST]


def ends_of(sop_id: int) -> dict[str, int]:
    """{Enrolment.End: people who left the SOP so}, the most frequent first."""
    ended = Enrolment.objects.filter(sop=sop_id, ended_at__isnull=False).order_by()
    return dict(ended.values_list("end_kind").annotate(n=Count("pk")).order_by("-n"))
