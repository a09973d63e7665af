"""Tasks for many customers at once: for a segment or a list of people, each to the customer's own guide, as a job.

The job is the batch: its tasks carry `source = "job"` and its id, so all of them can be taken back together.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from campaigns.models import StaffTask
from campaigns.services.governance import workload_tasks
from campaigns.services.sending import senders
from campaigns.services.tasks import staff_tasks
from campaigns.services.tasks.staff_task_numbers import visible_ids
from campaigns.services.tasks.staff_tasks import TaskInput
from contacts.models import Contact
from contacts.services import positions
from org import audit
from org.access import Actor
from org.models import Job, Staff
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tagging.services.segments import audience, segments, snapshots
from tenants.models import Brand

KIND = "staff_tasks"
SOURCE = "job"
SLICE = 2_000
MOST_IDS = 100_000
MOST_A_DAY = 500


@transaction.atomic
def start(
    brand: Brand,
    *,
    by: Actor,
    staff: Staff,
    kind: str,
    title: str,
    due_at: datetime,
    note: str = "",
    expires_at: datetime | None = None,
    contact_ids: Collection[int] | None = None,
    segment_id: int | None = None,
    a_day: int | None = None,
) -> Job:
    """Begin to give a task for each of these people to their guide. A double click starts one job.

    Args:
        staff: who asks; people and guides out of their sight are passed over.
        contact_ids, segment_id: one of them.
        a_day: of one guide at most so many with a deadline on one day; the next ones a day later each. None: all at once.

    Raises:
        InvalidError: nobody, or what `add_tasks` would refuse.
    """
    staff_tasks.check(kind=kind, title=title, due_at=due_at)
    if a_day is not None and not 1 <= a_day <= MOST_A_DAY:
        text = _("Between %(a)s and %(b)s") % {"a": 1, "b": MOST_A_DAY}
        raise InvalidError(text, fields={"a_day": text})
    params: dict[str, Any] = {
        "kind": kind,
        "title": title.strip(),
        "note": note.strip(),
        "due_at": due_at.isoformat(),
        "expires_at": expires_at.isoformat() if expires_at else None,
        "a_day": a_day,
        "staff_id": staff.pk,
        "user_id": by.user_id,
    }
    if segment_id is not None:
        segment = segments.get_segment(segment_id)
        n = n_in_segment(brand, segment_id, staff)
        params["segment_id"], about = segment.pk, segment.name
    else:
        ids = sorted(set(contact_ids or ()))
        if len(ids) > MOST_IDS:
            raise InvalidError(_("At most %(n)s people at a time") % {"n": f"{MOST_IDS:,}"})
        n, params["contact_ids"], about = len(ids), ids, _("a list")
    if not n:
        raise InvalidError(_("There is nobody in it"), fields={"segment": _("There is nobody in it")})
    job = jobs.start_job(
        brand,
        kind=KIND,
        title=_("Tasks “%(title)s” for %(about)s") % {"title": params["title"], "about": about},
        params=params,
        by=by,
        n_total=n,
    )
    audit.record(
        by,
        "task.give",
        job,
        name=job.title,
        after={"n": n, "kind": kind, "due_at": params["due_at"], "a_day": a_day},
    )
    return job


def n_in_segment(brand: Brand, segment_id: int, staff: Staff) -> int:
    """How many customers of a segment somebody sees: whom a batch is for."""
    condition = snapshots.condition_of(segments.get_segment(segment_id))
    return audience.count(brand, condition, staff=staff)


def kinds() -> list[tuple[str, Any]]:
    """(key, name) of the kinds of tasks that people give."""
    return [pair for pair in StaffTask.Kind.choices if pair[0] not in StaffTask.BY_ITSELF]


def start_for(
    brand: Brand, *, by: Actor, staff: Staff, contact_ids: Collection[int], kind: str, title: str, due: str
) -> Job:
    """The same for contacts that were chosen in their list.

    Args:
        due: the deadline as a datetime-local field gives it, in the brand's time.
    """
    try:
        due_at = datetime.fromisoformat(due).replace(tzinfo=ZoneInfo(brand.timezone))
    except ValueError as error:
        raise InvalidError(_("Choose a moment")) from error
    return start(brand, by=by, staff=staff, kind=kind, title=title, due_at=due_at, contact_ids=contact_ids)


def step(brand: Brand, job: Job) -> bool:
    """The next people by id; a person is given the task once however often the step is made. `n_bad` counts those
    whom no guide in sight has, those who do not want to be contacted, and those whose guide has enough to do (`busy` of
    the result)."""
    params = job.params
    due_at = datetime.fromisoformat(params["due_at"])
    if due_at <= clock.now():
        raise InvalidError(_("The deadline is over already"))
    with suppress(jobs.Stopped), transaction.atomic():
        jobs.hold(job)  # whoever takes the tasks back waits for this slice, and then takes it back as well
        staff = Staff.objects.select_related("role", "store", "region").get(pk=params["staff_id"])
        after = int(job.position.get("after", 0))
        ids = _next_ids(brand, params, staff, after)
        is_last = len(ids) < SLICE
        guides = _guides(brand, staff, ids)
        expires_at = params["expires_at"] and datetime.fromisoformat(params["expires_at"])
        later = _days_later(job, guides, params.get("a_day"))
        rows = [
            TaskInput(
                staff_id=guides[pk],
                contact_id=pk,
                kind=params["kind"],
                title=params["title"],
                note=params["note"],
                due_at=workload_tasks.days_after(brand, due_at, later[pk]),
                expires_at=workload_tasks.days_after(brand, expires_at, later[pk]) if expires_at else None,
                key=f"job:{job.pk}:{pk}",
            )
            for pk in ids
            if pk in guides
        ]
        by = Actor(job.created_by, params.get("user_id"), staff)
        given = workload_tasks.give(brand, rows, source=SOURCE, source_id=job.pk, by=by)
        jobs.save_step(
            job,
            position={"after": ids[-1] if ids else after},
            n_done=job.n_done + len(ids),
            n_bad=job.n_bad + len(ids) - len(rows) + len(given.left_out),
            result={
                **job.result,
                "given": int(job.result.get("given", 0)) + len(given.ids),
                "days": max([int(job.result.get("days", 1)), *(n + 1 for n in later.values())]),
                "busy": int(job.result.get("busy", 0)) + len(given.left_out),
                "moved": int(job.result.get("moved", 0)) + len(given.moved),
                "over": _n_over(brand, job) if is_last else 0,
            },
        )
        return not is_last
    return False


def _n_over(brand: Brand, job: Job) -> int:
    """Guides with more to do now than the brand wants, on a day of this batch's deadlines: of all of it, asked once."""
    rows = StaffTask.objects.filter(source=SOURCE, source_id=job.pk).order_by()
    return workload_tasks.n_over(brand, rows.values_list("staff_id", "due_at").distinct())


def _days_later(job: Job, guides: Mapping[int, int], a_day: int | None) -> dict[int, int]:
    """Contact → how many days after the first deadline theirs is, so that no guide has more than `a_day` on one day; those
    that the job has given before count."""
    if a_day is None:
        return dict.fromkeys(guides, 0)
    given = StaffTask.objects.filter(source=SOURCE, source_id=job.pk).order_by()
    n_of = defaultdict(int, given.values_list("staff_id").annotate(n=Count("pk")))
    found = {}
    for contact_id in sorted(guides):
        guide_id = guides[contact_id]
        found[contact_id] = n_of[guide_id] // a_day
        n_of[guide_id] += 1
    return found


def _next_ids(brand: Brand, params: dict[str, Any], staff: Staff, after: int) -> list[int]:
    if "segment_id" not in params:
        return [pk for pk in params["contact_ids"] if pk > after][:SLICE]  # kept in order
    condition = snapshots.condition_of(segments.get_segment(params["segment_id"]))
    sql, values = audience.members_sql(brand, condition, staff=staff)
    with positions.joined(brand) as cursor:
        cursor.execute(
            f"SELECT m.contact_id FROM ({sql}) m WHERE m.contact_id > {int(after)} ORDER BY 1 LIMIT {SLICE}",  # noqa: S608
            values,
        )
        return [pk for (pk,) in cursor]


def _guides(brand: Brand, staff: Staff, ids: Collection[int]) -> dict[int, int]:
    """Contact → the guide who is to do it."""
    seen = Contact.objects.visible_to(staff).filter(pk__in=ids, do_not_contact=False)
    chosen = senders.choose(brand, list(seen.values_list("pk", flat=True)))
    found = {pk: sender.staff_id for pk, sender in chosen.items()}
    guides = visible_ids(staff)
    if guides is None:
        return found
    own = set(guides)
    return {pk: guide_id for pk, guide_id in found.items() if guide_id in own}


@transaction.atomic
def take_back(brand: Brand, *, job_id: int, by: Actor) -> int:
    """Stop the job if it still runs and cancel what is open of its tasks; gives how many."""
    job = _batch(job_id)
    if job.is_live:
        with suppress(ConflictError):  # it has come to its end while we waited for its last slice
            jobs.cancel(job.pk)
    return staff_tasks.cancel(brand, by=by, source=SOURCE, source_id=job.pk)


@transaction.atomic
def give_again(brand: Brand, *, job_id: int, by: Actor) -> int:
    """Undo `take_back` within a day; gives how many are open again."""
    return staff_tasks.restore(brand, by=by, source=SOURCE, source_id=_batch(job_id).pk)


def _batch(job_id: int) -> Job:
    job = Job.objects.filter(pk=job_id, kind=KIND).first()
    if job is None:
        raise NotFoundError()
    return job
