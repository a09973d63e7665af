"""The last stage of a sync: relations that WeCom does not list any more."""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from contacts import hooks
from contacts.models import EventType, Follow
from contacts.services.follow import recount
from contacts.services.sync_run import Run
from contacts.services.timeline import EventRow, record_events
from org.access import SYSTEM
from org.models import Corp
from scrm import clock

log = logging.getLogger(__name__)

# more missing than this is rather a mistake of a setting (visible range) than people who left
MAX_GONE_RATIO, GONE_ALLOWED = 0.3, 50
ENDING = 100  # guides per step


def end_missing(run: Run) -> None:
    """End relations of the guides that were read completely and whom WeCom did not list."""
    at = run.at
    read = sorted(set(at.get("read", [])) - set(at.get("skipped", [])))
    todo = at.setdefault("ending", read)
    with transaction.atomic():
        if todo == read and not _may_end(run, read):
            at["ending"] = todo = []
        if not todo:
            return _finish(run)
        n = _end(run, todo[:ENDING])
        at["ending"] = todo[ENDING:]
        return run.save(result=run.counted(gone=n))


def _missing(run: Run, staff_ids: Sequence[int]) -> tuple[QuerySet[Follow], QuerySet[Follow]]:
    """Live relations, and those that this sync did not see. What changed after it began, and what waits for
    the guide's confirmation (WeCom does not list that), is not missing."""
    live = Follow.objects.filter(staff__in=list(staff_ids), ended_at=None, is_pending=False)
    unseen = live.filter(~Q(synced_in=run.job.pk) | Q(synced_in=None))
    return live, unseen.filter(changed_at__lt=datetime.fromisoformat(run.at["since"]))


def _may_end(run: Run, staff_ids: Sequence[int]) -> bool:
    live, missing = _missing(run, staff_ids)
    n_live, n_missing = live.count(), missing.count()
    if n_missing <= max(GONE_ALLOWED, MAX_GONE_RATIO * n_live):
        return True
    log.error("sync %s: %s of %s relations are missing in WeCom; none ended", run.job.pk, n_missing, n_live)
    run.job.result = {**run.job.result, "suspicious": n_missing}
    return False


def _end(run: Run, staff_ids: Sequence[int]) -> int:
    now = clock.now()
    _live, missing = _missing(run, staff_ids)
    # in this order everywhere (services/follow.py): the contact's row first, then its relations
    contact_ids = sorted(set(missing.values_list("contact_id", flat=True)))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM contacts_contact WHERE brand_id = %s AND id = ANY(%s) ORDER BY id"
            " FOR NO KEY UPDATE",
            [run.brand.pk, contact_ids],
        )
    gone = list(missing.select_for_update().values_list("pk", "contact_id", "staff_id", "channel_code_id"))
    Follow.objects.filter(pk__in=[row[0] for row in gone]).update(
        ended_at=now, changed_at=now, end_kind=Follow.End.GONE
    )
    if gone:
        recount(run.brand, [row[1] for row in gone])
    events: list[EventRow] = [
        {
            "contact_id": contact_id,
            "type": EventType.GONE,
            "at": now,
            "staff_id": staff_id,
            "object_id": code_id,
            "source": "sync",
        }
        for _pk, contact_id, staff_id, code_id in gone
    ]
    record_events(run.brand, events)
    return len(gone)


def _finish(run: Run) -> None:
    if run.job.params["kind"] == "full":
        Corp.objects.filter(pk=run.corp.pk).update(synced_at=clock.now())
        hooks.sync_groups(run.brand, corp=run.corp, by=SYSTEM)
    seconds = (clock.now() - datetime.fromisoformat(run.at["since"])).total_seconds()
    result = {**run.job.result, "seconds": round(seconds, 1), "skipped": len(run.at.get("skipped", []))}
    # the lists of ids have served their purpose
    run.at = {key: value for key, value in run.at.items() if key in ("n", "since")}
    run.next("end", result=result, n_total=run.job.n_done)
