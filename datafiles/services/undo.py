"""An import taken back: what it made is removed, what it changed gets its values back. What somebody has used or changed
since stays as it is now, and is told.

A job in slices. It goes through ranges of ids (ImportRange) and values before (ImportChange), table by table; which
function deals with a table stands in PARTS.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import translation
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from contacts.models import Merge
from datafiles.models import ImportChange, ImportFile, ImportRange
from datafiles.services import places
from org import audit
from org.access import Actor
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError
from tenants.models import Brand

KIND = "file_undo"
SLICE = 10_000
NAMED = 200  # of what is left, so many are told by name
COUNTS = ("removed", "restored", "parted", "kept")
UNDO_WITHIN: timedelta = places.KEPT

# (what, table, function): changes first, so that a removed row is not mended before
PARTS: list[tuple[str, str, str]] = [
    ("tags", "contact", "datafiles.services.undo_contacts.take_off_tags"),
    ("change", "contact", "datafiles.services.undo_contacts.give_back"),
    ("joined", "contact", "datafiles.services.undo_contacts.part_joined"),
    ("change", "product", "datafiles.services.undo_commerce.give_back_products"),
    ("change", "order", "datafiles.services.undo_commerce.give_back_orders"),
    ("change", "refund", "datafiles.services.undo_commerce.give_back_refunds"),
    ("range", "refund", "datafiles.services.undo_commerce.remove_refunds"),
    ("range", "order", "datafiles.services.undo_commerce.remove_orders"),
    ("range", "product", "datafiles.services.undo_commerce.remove_products"),
    ("range", "event", "datafiles.services.undo_commerce.remove_events"),
    ("range", "waiting", "datafiles.services.undo_commerce.remove_waiting"),
    ("keys", "event", "datafiles.services.undo_commerce.forget_keys"),
    ("range", "lead", "guides.files.undo.remove"),
    ("list", "lead", "guides.files.undo.remove_list"),
    ("range", "contact", "datafiles.services.undo_contacts.remove"),
]


@dataclass
class Undone:
    """What a slice has taken back; `kept`: (id, name, why) of what stays."""

    removed: int = 0
    restored: int = 0
    parted: int = 0
    kept: list[tuple[int, str, str]] = field(default_factory=list)


Part = Callable[[Brand, ImportFile, Any, list[int]], Undone]


def can_undo(file: ImportFile) -> bool:
    """Done, or stopped half way, as an undo may have been, and not too long ago."""
    states = (ImportFile.State.DONE, ImportFile.State.RUNNING, ImportFile.State.UNDOING)
    return file.state in states and file.purged_at is None and file.created_at > clock.now() - UNDO_WITHIN


def start_undo(brand: Brand, *, file: ImportFile, by: Actor) -> Job:
    """Take an import back, in the caller's transaction. One that was cancelled on its way goes on where it was.

    Raises:
        ConflictError: not imported, too long ago, or a job of it is still going on.
    """
    if not can_undo(file):
        raise ConflictError(_("This import cannot be taken back any more"))
    if (
        file.job_id
        and Job.objects.filter(pk=file.job_id, state__in=["waiting", "running", "paused"]).exists()
    ):
        raise ConflictError(_("Something is still being done with this file"))
    total = sum(high - low + 1 for low, high in _ranges(file).values_list("low", "high"))
    total += ImportChange.objects.filter(file=file).count() + joined(file).count()
    audit.record(by, "import.undo", file, after={"rows": total})
    job = jobs.start_job(
        brand,
        kind=KIND,
        title=f"{_('Take back: %(title)s') % {'title': file.name[-60:]}} #{file.pk}",
        params={"file_id": file.pk, "by": by.name, "user_id": by.user_id},
        by=by,
        n_total=total,
    )
    is_begun = file.state == ImportFile.State.UNDOING and file.job_id is not None
    stopped = Job.objects.filter(pk=file.job_id or 0).first() if is_begun else None
    if stopped is not None:
        job.position, job.result, job.n_done = stopped.position, stopped.result, stopped.n_done
        job.n_total = stopped.n_total
        job.save(update_fields=["position", "result", "n_done", "n_total"])
    file.state, file.job_id = ImportFile.State.UNDOING, job.pk
    file.save(update_fields=["state", "job_id"])
    return job


def joined(file: ImportFile) -> Any:
    """Merges that this import has brought about and nobody has taken back."""
    made = Merge.objects.filter(at__gte=file.created_at, source="import", parted_at=None)
    return made.filter(why__import=file.pk)


def doer(job: Job) -> Actor:
    return Actor(job.params["by"], job.params.get("user_id"))


def _ranges(file: ImportFile) -> Any:
    return ImportRange.objects.filter(file=file).exclude(table="event")


def step(brand: Brand, job: Job) -> bool:
    """One step: the next slice of the present part."""
    place = {"part": 0, "after": 0, "range": 0, **job.position}
    if place["part"] > len(PARTS):
        return False  # all is done but the job's own end
    with suppress(jobs.Stopped), transaction.atomic():
        file = ImportFile.objects.get(pk=job.params["file_id"])
        with translation.override(file.options.get("language")):
            if place["part"] == len(PARTS):
                jobs.hold(job)
                _end(job, file)
                return False
            done = _slice(brand, file, place)
            jobs.hold(job)
            result = {**job.result}
            for name in COUNTS:
                n = getattr(done, name)
                result[name] = result.get(name, 0) + (len(n) if name == "kept" else n)
            result["named"] = (result.get("named", []) + done.kept)[:NAMED]
            n_done = job.n_done + done.removed + done.restored + done.parted + len(done.kept)
            jobs.save_step(job, position=place, result=result, n_done=min(n_done, job.n_total or n_done))
    return True


def _slice(brand: Brand, file: ImportFile, place: dict[str, Any]) -> Undone:
    """Deal with one slice and move `place` on."""
    what, table, path = PARTS[place["part"]]
    function: Part = import_string(path)
    with connection.cursor() as cursor:
        if what == "change":
            rows = ImportChange.objects.filter(file=file, table=table, object_id__gt=place["after"])
            ids = list(rows.order_by("object_id").values_list("object_id", flat=True)[:SLICE])
            if ids:
                place["after"] = ids[-1]
                return function(brand, file, cursor, ids)
        elif what == "joined":
            # one at a time, as everybody who parts two: they are locked in no order. The newest first: whoever was
            # joined twice is taken apart from outside
            rows = joined(file)
            rows = rows.filter(pk__lt=place["after"]) if place["after"] else rows
            if ids := list(rows.order_by("-pk").values_list("pk", flat=True)[:1]):
                place["after"] = ids[0]
                return function(brand, file, cursor, ids)
        elif what == "range":
            while True:
                # the newest first: what was made last depends on what was made before
                found = ImportRange.objects.filter(file=file, table=table)
                if place["range"]:
                    found = found.filter(pk__lt=place["range"])
                piece = found.order_by("-pk").first()
                if piece is None:
                    break
                if table == "event":
                    place["range"] = piece.pk
                    return function(brand, file, cursor, [piece.low])
                start = max(piece.low, place["after"] + 1) if place["after"] >= piece.low else piece.low
                stop = min(piece.high, start + SLICE - 1)
                if stop == piece.high:
                    place.update({"range": piece.pk, "after": 0})
                else:
                    place["after"] = stop
                return function(brand, file, cursor, list(range(start, stop + 1)))
        else:
            done = function(brand, file, cursor, [])
            place.update({"part": place["part"] + 1, "after": 0, "range": 0})
            return done
    place.update({"part": place["part"] + 1, "after": 0, "range": 0})
    return Undone()


def _end(job: Job, file: ImportFile) -> None:
    file.state, file.ended_at = ImportFile.State.UNDONE, clock.now()
    file.result = {**file.result, "undo": {**job.result}}
    file.save(update_fields=["state", "ended_at", "result"])
    numbers = {name: job.result.get(name, 0) for name in COUNTS}
    audit.record(doer(job), "import.undone", file, after=numbers)
    ImportRange.objects.filter(file=file).delete()
    ImportChange.objects.filter(file=file).delete()
    jobs.save_step(job, position={"part": len(PARTS) + 1}, n_done=job.n_total or job.n_done, stage="")
