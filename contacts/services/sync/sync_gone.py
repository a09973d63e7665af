"""The last stage of a sync: relations that WeCom does not list any more."""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.models import QuerySet

from contacts import hooks
from contacts.models import EventType, Follow
from contacts.services.follow import recount
from contacts.services.staging import numbers
from contacts.services.sync.sync_run import Run
from contacts.services.timeline import EventRow, record_events
from org.access import SYSTEM
from org.models import Corp
from scrm import clock
from tenants.models import Brand

log = logging.getLogger(__name__)

# more missing than this is rather a mistake of a setting (visible range) than people who left
MAX_GONE_RATIO, GONE_ALLOWED = 0.3, 50
SLICE = 1_000  # relations in a step


def end_missing(run: Run) -> None:
    """End the relations that the lists of this sync have not shown, a slice at a time."""
    at = run.at
    with transaction.atomic():
        missing = _missing(run)
        if "ending" not in at:
            at["ending"] = _may_end(run, missing.count())
        n = end_gone(run.brand, list(missing.values_list("pk", flat=True)[:SLICE])) if at["ending"] else 0
        if not n:
            return _finish(run)
        return run.save(result=run.counted(gone=n))


def _missing(run: Run) -> QuerySet[Follow]:
    """What this sync has missed and nobody has changed since."""
    since = datetime.fromisoformat(run.at["since"])
    return Follow.objects.filter(missing_in=run.job.pk, ended_at=None, changed_at__lt=since).order_by("pk")


def _may_end(run: Run, n_missing: int) -> bool:
    live = Follow.objects.filter(corp=run.corp, ended_at=None)
    if run.job.params["staff_ids"]:
        live = live.filter(staff__in=run.job.params["staff_ids"])
    n_live = live.count() if n_missing > GONE_ALLOWED else 0
    if believable(n_missing, n_live):
        return True
    log.error("sync %s: %s of %s relations are missing in WeCom; none ended", run.job.pk, n_missing, n_live)
    run.job.result = {**run.job.result, "suspicious": n_missing}
    return False


def believable(n_missing: int, n_live: int) -> bool:
    """Whether so many relations may be gone; more at once is rather a mistake of a setting."""
    return n_missing <= max(GONE_ALLOWED, MAX_GONE_RATIO * n_live)


def end_gone(brand: Brand, follow_ids: Sequence[int], source: str = "sync") -> int:
    """End relations that WeCom does not list any more, in the caller's transaction; gives how many."""
    now = clock.now()
    rows = Follow.objects.filter(pk__in=follow_ids, ended_at=None)
    # in this order everywhere (services/follow.py): the contact's row first, then its relations
    contact_ids = sorted(set(rows.values_list("contact_id", flat=True)))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM contacts_contact WHERE brand_id = (SELECT %s) AND id = ANY(%s::bigint[]) ORDER BY id"
            " FOR NO KEY UPDATE",
            [brand.pk, numbers(contact_ids)],
        )
    gone = list(rows.select_for_update().values_list("pk", "contact_id", "staff_id", "channel_code_id"))
    Follow.objects.filter(pk__in=[row[0] for row in gone]).update(
        ended_at=now, changed_at=now, end_kind=Follow.End.GONE
    )
    if gone:
        recount(brand, [row[1] for row in gone])
    events: list[EventRow] = [
        {
            "contact_id": contact_id,
            "type": EventType.GONE,
            "at": now,
            "staff_id": staff_id,
            "object_id": code_id,
            "source": source,
        }
        for _pk, contact_id, staff_id, code_id in gone
    ]
    record_events(brand, events)
    return len(gone)


def _finish(run: Run) -> None:
    if run.job.params["kind"] == "full":
        Corp.objects.filter(pk=run.corp.pk).update(synced_at=clock.now())
        hooks.sync_groups(run.brand, corp=run.corp, by=SYSTEM)
    seconds = (clock.now() - datetime.fromisoformat(run.at["since"])).total_seconds()
    result = {
        "gone": 0,
        **run.job.result,
        "seconds": round(seconds, 1),
        "skipped": len(run.at.get("skipped", [])),
    }
    # the lists of ids have served their purpose
    run.at = {key: value for key, value in run.at.items() if key in ("n", "since")}
    run.next("end", result=result, n_total=run.job.n_done)
