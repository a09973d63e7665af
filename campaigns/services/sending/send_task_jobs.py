"""Jobs over every send task of a broadcast or an SOP that guides have not confirmed (org/services/jobs.py): stop them,
give them to other guides, remind the guides."""

from collections.abc import Callable
from typing import Any

from django.db import transaction

from campaigns.models import SendTask
from campaigns.services.sending import reassign, results
from org.access import Actor
from org.models import Job
from org.services import jobs
from scrm.errors import ConflictError, LimitError
from tenants.models import Brand
from wecom.errors import WeComForbidden, WeComRejected

SLICE = 20


def start(brand: Brand, *, kind: str, title: str, by: Actor, **of: int) -> None:
    """Start a job over what is not confirmed now. `of`: `sop_id` or `broadcast_id`."""
    n = SendTask.objects.unconfirmed().filter(**of).count()
    jobs.start_job(brand, kind=kind, title=title, params={**of, "after": 0}, by=by, n_total=n)


def stop_step(brand: Brand, job: Job) -> bool:
    """Stop send tasks of a broadcast or an SOP that guides have and have not confirmed."""
    return _each(brand, job, results.cancel)


def reassign_step(brand: Brand, job: Job) -> bool:
    """Give send tasks that their guides have not confirmed to other guides of the same customers."""
    return _each(brand, job, reassign.reassign)


def remind_step(brand: Brand, job: Job) -> bool:
    """Remind guides who have not confirmed."""
    return _each(brand, job, results.remind)


def _each(brand: Brand, job: Job, act: Callable[..., Any]) -> bool:
    with transaction.atomic():
        of = {name: job.params[name] for name in ("sop_id", "broadcast_id") if name in job.params}
        rows = SendTask.objects.filter(**of, pk__gt=job.params["after"], state=SendTask.State.HANDED)
        task_ids = list(rows.filter(confirmed_at=None).order_by("pk").values_list("pk", flat=True)[:SLICE])
    failed, done = int(job.params.get("failed", 0)), 0
    try:
        for task_id in task_ids:
            try:
                act(brand, task_id=task_id, by=Actor(job.created_by))
            except WeComForbidden:
                raise  # somebody has to mend it first
            except (ConflictError, LimitError, WeComRejected):
                failed += 1  # confirmed meanwhile, reminded often enough, its guide has left
            done += 1
    finally:  # what is done is not done again when WeCom does not answer the next
        with transaction.atomic():
            after = task_ids[done - 1] if done else job.params["after"]
            jobs.save_step(
                job,
                params={**job.params, "after": after, "failed": failed},
                n_done=(job.n_done or 0) + done,
            )
    return len(task_ids) == SLICE
