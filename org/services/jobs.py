"""Long jobs: start, step, watch, pause, cancel, take up again after a crash.

A job is a row. Its function makes one step: does a piece of work and commits effect and position together,
then returns whether more is to do. Between steps the runner reads the state again, so that pause and cancel
work at once.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import timedelta
from typing import Any

import redis
from django.db import IntegrityError, InterfaceError, OperationalError, connections, transaction
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from org.access import Actor
from org.models import Job
from scrm import clock
from scrm.errors import ConflictError, NotFoundError, SCRMError
from tenants.models import Brand

log = logging.getLogger(__name__)

# kind → dotted path of `step(brand, job) -> bool` (True: more to do). A step may call WeCom between its short
# transactions; it saves the position with `save_step`.
KINDS: dict[str, str] = {
    "wecom_sync": "contacts.services.sync.sync.step",
    "code_batch": "livecodes.services.batch.step",
    "code_zip": "livecodes.services.zips.step",
    "sop_enrol": "campaigns.services.sops.enrolments.step",
    "sop_stop": "campaigns.services.sending.send_task_jobs.stop_step",
    "sop_move": "campaigns.services.journeys.moving.step",
    "sop_rehearse": "campaigns.services.journeys.rehearsing.step",
    "lookalike": "tagging.services.value.lookalike.step",
    "staff_tasks": "campaigns.services.tasks.staff_task_batches.step",
    "broadcast_cancel": "campaigns.services.sending.send_task_jobs.stop_step",
    "broadcast_remind": "campaigns.services.sending.send_task_jobs.remind_step",
    "broadcast_reassign": "campaigns.services.sending.send_task_jobs.reassign_step",
    "group_sync": "groups.services.sync.step",
    "handover": "handover.services.handing.step",
    "leavers": "handover.services.leavers.step",
    "link_sync": "livecodes.services.links.step",
    "staff_stats": "wecom.services.staff_stats.step",
    "contact_bulk": "contacts.services.bulk.step",
    "file_check": "datafiles.services.imports.check_step",
    "file_import": "datafiles.services.imports.run_step",
    "tag_mass": "tagging.services.tags.mass.step",
    "tag_rule": "tagging.services.rules.rule_runs.step",
    "tag_computed": "tagging.services.rules.computed.step",
    "tag_undo": "tagging.services.tags.acts.step",
    "tag_merge": "tagging.services.tags.merging.step",
    "tag_restore": "tagging.services.tags.deleting.step",
    "tag_library_file": "tagging.services.tags.library_file.step",
    "reconcile": "drift.services.runs.step",
    "drift_repair": "drift.services.repairs.step",
    "file_undo": "datafiles.services.undo.step",
    "file_export": "datafiles.services.exports.step",
}

LEASE = timedelta(minutes=2)  # a running job that has not moved for so long has lost its process
BEAT_S = 30.0  # so often a turn says that it lives, also in the middle of a step of minutes
MAX_BEATS = 240  # two hours of one turn: one that hangs loses its lease after all


def start_job(
    brand: Brand, *, kind: str, title: str, params: dict, by: Actor, n_total: int | None = None
) -> Job:
    """Write the job and start it after commit; a live one of this kind and title is returned instead."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind of job {kind}")
    live = [Job.State.WAITING, Job.State.RUNNING, Job.State.PAUSED]
    try:
        with transaction.atomic():
            job = Job.objects.create(
                kind=kind, title=title[:120], params=params, created_by=by.name, n_total=n_total
            )
    except IntegrityError:
        return Job.objects.get(kind=kind, title=title[:120], state__in=live)
    _enqueue(brand, job)
    return job


def _enqueue(brand: Brand, job: Job) -> None:
    from org.tasks import run_job

    run_job.delay_on_commit(brand_id=brand.pk, job_id=job.pk)


def claim(job_id: int) -> Job | None:
    """Take a job that waits, or one whose process is gone; None when somebody else has it or it has ended."""
    now = clock.now()
    with transaction.atomic():
        job = Job.objects.select_for_update().filter(pk=job_id).first()
        if job is None or job.state not in (Job.State.WAITING, Job.State.RUNNING):
            return None
        if job.state == Job.State.RUNNING and job.beat_at and job.beat_at > now - LEASE:
            return None
        job.state, job.beat_at, job.started_at = Job.State.RUNNING, now, job.started_at or now
        job.save(update_fields=["state", "beat_at", "started_at"])
        return job


def run(brand: Brand, job_id: int, *, until: Callable[[], bool] = lambda: False) -> Job | None:
    """Make steps until the job ends, is paused or cancelled, or `until()` says to let others in."""
    job = claim(job_id)
    if job is None:
        return None
    with _beating(job.pk):
        return _turn(brand, job, until)


@contextmanager
def _beating(job_id: int) -> Iterator[None]:
    """Keeps the lease of a running job. From a thread with a connection of its own: the step's transaction is open."""
    ended, context = threading.Event(), copy_context()

    def beat() -> None:
        for _n in range(MAX_BEATS):
            if ended.wait(BEAT_S):
                return
            try:
                with transaction.atomic():
                    Job.objects.filter(pk=job_id, state=Job.State.RUNNING).update(beat_at=clock.now())
            except (OperationalError, InterfaceError) as error:  # the next beat may reach Postgres again
                log.warning("job %s cannot tell that it lives: %r", job_id, error)
            finally:
                connections.close_all()

    thread = threading.Thread(target=context.run, args=(beat,), name=f"beat-{job_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _turn(brand: Brand, job: Job, until: Callable[[], bool]) -> Job:
    step = import_string(KINDS[job.kind])
    while True:
        try:
            more = step(brand, job)
        except SCRMError as error:
            retry_after_s = getattr(error, "retry_after_s", None)
            if error.details.get("retry") or retry_after_s is not None:
                return _later(job, error)
            return _end(job, Job.State.FAILED, str(error))
        except (OperationalError, InterfaceError, redis.RedisError) as error:
            log.warning("job %s (%s) waits, a server is not there: %r", job.pk, job.kind, error)
            return _later(job, error)
        except Exception as error:
            log.exception("job %s (%s) failed", job.pk, job.kind)
            _end(job, Job.State.FAILED, f"{type(error).__name__}: {error}")
            raise
        if not more:
            return _end(job, Job.State.DONE)
        with transaction.atomic():
            job.refresh_from_db()
        if job.state != Job.State.RUNNING:
            return job
        if until():
            with transaction.atomic():
                Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(state=Job.State.WAITING)
                _enqueue(brand, job)
            return job


def save_step(job: Job, **changes: Any) -> None:
    """Save position and progress in the caller's transaction, together with the effect of the step."""
    for name, value in changes.items():
        setattr(job, name, value)
    job.beat_at = clock.now()
    job.save(update_fields=[*changes, "beat_at"])


class Stopped(Exception):
    """A job was cancelled, paused or moved on by another process while its step was at work; raised to take that back."""


def hold(job: Job) -> None:
    """Before a step commits, in its transaction: whoever cancels from now on waits for that, and after a cancel nothing more
    is written. Of two processes at the same step (one had lost its lease) the second one writes nothing.

    Raises:
        Stopped: cancelled or paused already, or not at the position any more from which the step began.
    """
    rows = Job.objects.select_for_update().filter(pk=job.pk, state=Job.State.RUNNING)
    if list(rows.values_list("position", flat=True)) != [job.position]:
        raise Stopped


def _later(job: Job, error: Exception) -> Job:
    """WeCom is busy, or Postgres or Redis starts anew: the job waits; the sweep takes it up again."""
    with transaction.atomic():
        Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(
            state=Job.State.WAITING, error=str(error)[:500], beat_at=clock.now()
        )
        job.refresh_from_db()
    return job


def _end(job: Job, state: str, error: str = "") -> Job:
    with transaction.atomic():
        # a cancel that came during the last step stands
        Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(
            state=state, error=error[:500], ended_at=clock.now()
        )
        job.refresh_from_db()
    return job


def pause(job_id: int) -> Job:
    return _switch(job_id, {Job.State.WAITING, Job.State.RUNNING}, Job.State.PAUSED)


def cancel(job_id: int) -> Job:
    return _switch(job_id, {Job.State.WAITING, Job.State.RUNNING, Job.State.PAUSED}, Job.State.CANCELLED)


def resume(brand: Brand, job_id: int) -> Job:
    """Go on with a paused or failed job from its position."""
    job = _switch(job_id, {Job.State.PAUSED, Job.State.FAILED}, Job.State.WAITING)
    _enqueue(brand, job)
    return job


@transaction.atomic
def _switch(job_id: int, allowed: set[str], state: str) -> Job:
    job = Job.objects.select_for_update().filter(pk=job_id).first()
    if job is None:
        raise NotFoundError()
    if job.state not in allowed:
        raise ConflictError(_("The job is already %(state)s") % {"state": job.get_state_display()})
    job.state = state
    job.ended_at = clock.now() if state == Job.State.CANCELLED else None
    job.error = "" if state == Job.State.WAITING else job.error
    job.save(update_fields=["state", "ended_at", "error"])
    return job


@transaction.atomic
def stranded(brand: Brand) -> list[int]:
    """Jobs that wait for longer than a moment or whose process is gone; the sweep starts them again."""
    now = clock.now()
    waiting = Job.objects.filter(state=Job.State.WAITING, created_at__lt=now - timedelta(seconds=20))
    waiting = waiting.exclude(beat_at__gt=now - timedelta(seconds=20))
    lost = Job.objects.filter(state=Job.State.RUNNING, beat_at__lt=now - LEASE)
    return [*waiting.values_list("pk", flat=True), *lost.values_list("pk", flat=True)]
