"""标签操作: acts on the tags of many people, kept so that each can be taken back exactly.

What an act has put on carries its id; what it has taken off, or made last longer, lies in TagBefore as it was. Taking
back removes the first and restores the second; what somebody has changed since is left as it is now.
"""

from datetime import date, datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, NotFoundError
from tagging.models import ContactTag, TagAct, TagBefore, WaitingTag
from tagging.services.tags.changes import Pairs, each, put_on, take_off
from tenants.models import Brand

SLICE = 5_000
KEPT = timedelta(days=30)  # how long an act can be taken back
JOB = "tag_undo"


def begin(
    brand: Brand,
    *,
    kind: str,
    title: str,
    by: Actor,
    add: list[int] | None = None,
    remove: list[int] | None = None,
    owner_id: int | None = None,
    expires_at: datetime | None = None,
) -> TagAct:
    """A new act, in the caller's transaction."""
    return TagAct.objects.create(
        kind=TagAct.Kind(kind),
        title=title[:120],
        by=by.name,
        staff_id=by.staff.pk if by.staff else None,
        owner_id=owner_id,
        add_tag_ids=sorted(add or []),
        remove_tag_ids=sorted(remove or []),
        expires_at=expires_at,
    )


def of_day(
    brand: Brand, *, kind: str, title: str, day: date, owner_id: int | None, add: list[int], remove: list[int]
) -> TagAct:
    """The act of a day for what happens all day long (a rule on events): made by the first who asks."""
    key = {"kind": TagAct.Kind(kind), "owner_id": owner_id, "day": day, "undone_at": None}
    values = {
        "title": title[:120],
        "by": "system",
        "add_tag_ids": sorted(add),
        "remove_tag_ids": sorted(remove),
    }
    try:
        with transaction.atomic():
            return TagAct.objects.get_or_create(**key, defaults=values)[0]
    except IntegrityError:
        return TagAct.objects.get(**key)


def count(act: TagAct, *, people: int = 0, added: int = 0, removed: int = 0, waiting: int = 0) -> None:
    """Add to the figures of an act."""
    TagAct.objects.filter(pk=act.pk).update(
        n_people=F("n_people") + people,
        n_added=F("n_added") + added,
        n_removed=F("n_removed") + removed,
        n_waiting=F("n_waiting") + waiting,
    )


def can_undo(act: TagAct) -> bool:
    return (
        act.undone_at is None
        and act.at > clock.now() - KEPT
        and act.kind not in (TagAct.Kind.MERGE, TagAct.Kind.COMPUTED)
    )


@transaction.atomic
def undo(brand: Brand, *, act_id: int, by: Actor) -> TagAct | Job:
    """Take an act back: at once when it is small, else as a job. Gives the act or the job.

    A job that is still at it must be cancelled first.

    Raises:
        NotFoundError, ConflictError: taken back already, too old, or still running.
    """
    act = TagAct.objects.select_for_update().filter(pk=act_id).first()
    if act is None:
        raise NotFoundError()
    if not can_undo(act):
        raise ConflictError(_("This cannot be taken back any more"))
    if act.job_id and any(job.is_live for job in Job.objects.filter(pk=act.job_id)):
        raise ConflictError(_("This is still running. Cancel it first."))
    act.undone_at, act.undone_by = clock.now(), by.name
    act.save(update_fields=["undone_at", "undone_by"])
    audit.record(by, "tag_act.undo", act, after={"added": act.n_added, "removed": act.n_removed})
    WaitingTag.objects.filter(act_id=act.pk).delete()
    if act.n_added + act.n_removed > SLICE:
        title = _("Take back: %(title)s") % {"title": act.title}
        total = act.n_added + act.n_removed
        params = {"act_id": act.pk, "staff_id": by.staff.pk if by.staff else None}
        return jobs.start_job(
            brand, kind=JOB, title=f"{title} #{act.pk}", params=params, by=by, n_total=total
        )
    place: dict[str, Any] = {}
    while _undo_slice(brand, act, place, by.staff.pk if by.staff else None):
        pass
    return act


def step(brand: Brand, job: Job) -> bool:
    """One step of the job: a slice of the act."""
    with transaction.atomic():
        act = TagAct.objects.get(pk=job.params["act_id"])
        place = dict(job.position)
        n = _undo_slice(brand, act, place, job.params.get("staff_id"))
        jobs.save_step(job, position=place, n_done=job.n_done + n)
        return bool(n)


def _undo_slice(brand: Brand, act: TagAct, place: dict[str, Any], staff_id: int | None) -> int:
    """The next slice; `place` is moved on. Gives how many rows were looked at, 0 at the end.

    First what was only made to last longer, then what was put on, then what was taken off.
    """
    if not place:
        place.update({"part": 0, "tag": 0, "contact": 0})
    for part in (_shorten, _off, _back):
        if place["part"] == (_shorten, _off, _back).index(part):
            if n := part(brand, act, place, staff_id):
                return n
            place.update({"part": place["part"] + 1, "tag": 0, "contact": 0})
    return 0


def _shorten(brand: Brand, act: TagAct, place: dict[str, Any], staff_id: int | None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH b AS (
                SELECT b.tag_id, b.contact_id FROM tagging_tagbefore b
                  JOIN tagging_contacttag ct USING (brand_id, tag_id, contact_id)
                 WHERE b.brand_id = %(brand)s AND b.act_id = %(act)s AND ct.act_id = %(act)s AND NOT EXISTS (
                           SELECT 1 FROM tagging_tagact a WHERE a.brand_id = %(brand)s AND a.id = b.before_act_id
                              AND a.undone_at IS NOT NULL)
                 ORDER BY b.tag_id, b.contact_id LIMIT %(limit)s
            ), was AS (
                DELETE FROM tagging_tagbefore d USING b
                 WHERE d.brand_id = %(brand)s AND d.act_id = %(act)s AND d.tag_id = b.tag_id
                   AND d.contact_id = b.contact_id RETURNING d.*
            )
            UPDATE tagging_contacttag ct
               SET source = w.source, staff_id = w.staff_id, at = w.at, expires_at = w.expires_at, act_id = w.before_act_id
              FROM was w WHERE ct.brand_id = %(brand)s AND ct.tag_id = w.tag_id AND ct.contact_id = w.contact_id
            """,
            {"brand": brand.pk, "act": act.pk, "limit": SLICE},
        )
        return cursor.rowcount


def _off(brand: Brand, act: TagAct, place: dict[str, Any], staff_id: int | None) -> int:
    for tag_id in sorted(act.add_tag_ids):
        if tag_id < place["tag"]:
            continue
        after = place["contact"] if tag_id == place["tag"] else 0
        rows = ContactTag.objects.filter(tag=tag_id, act_id=act.pk, contact__gt=after).order_by("contact")
        ids = list(rows.values_list("contact_id", flat=True)[:SLICE])
        if ids:
            take_off(brand, each([tag_id], ids), source="undo", staff_id=staff_id)
            place.update({"tag": tag_id, "contact": ids[-1]})
            return len(ids)
    return 0


def _back(brand: Brand, act: TagAct, place: dict[str, Any], staff_id: int | None) -> int:
    rows = TagBefore.objects.filter(act_id=act.pk).order_by("tag_id", "contact")
    keys = list(rows.values_list("tag_id", "contact_id")[:SLICE])
    if not keys:
        return 0
    pairs = Pairs(
        "SELECT b.tag_id, b.contact_id, b.source, b.staff_id, b.at, b.expires_at, b.before_act_id AS act_id"
        "  FROM unnest(%(tag_ids)s::bigint[], %(contact_ids)s::bigint[]) AS x(tag_id, contact_id)"
        "  JOIN tagging_tagbefore b ON b.brand_id = %(brand)s AND b.act_id = %(undone)s AND b.tag_id = x.tag_id"
        "   AND b.contact_id = x.contact_id"
        "  LEFT JOIN tagging_tagact a ON a.brand_id = %(brand)s AND a.id = b.before_act_id"
        # what would have ended meanwhile stays off, and what came by an act that is taken back itself
        " WHERE (b.expires_at IS NULL OR b.expires_at > %(now)s) AND a.undone_at IS NULL",
        {"tag_ids": [t for t, _c in keys], "contact_ids": [c for _t, c in keys], "undone": act.pk},
    )
    put_on(brand, pairs, source="undo", own=("source", "staff_id", "at", "expires_at", "act_id"))
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM tagging_tagbefore b USING unnest(%s::bigint[], %s::bigint[]) AS x(t, c)"
            " WHERE b.brand_id = %s AND b.act_id = %s AND b.tag_id = x.t AND b.contact_id = x.c",
            [[t for t, _c in keys], [c for _t, c in keys], brand.pk, act.pk],
        )
    return len(keys)


def purge(brand: Brand) -> int:
    """Forget how rows were before acts that cannot be taken back any more; gives how many. A slice at a time."""
    with transaction.atomic():
        old = (
            TagAct.objects.filter(at__lt=clock.now() - KEPT)
            .order_by("-pk")
            .values_list("pk", flat=True)
            .first()
        )
    if old is None:
        return 0
    n = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM tagging_tagbefore WHERE (brand_id, act_id, tag_id, contact_id) IN (SELECT brand_id, act_id,"
                " tag_id, contact_id FROM tagging_tagbefore WHERE brand_id = %s AND act_id <= %s LIMIT 10000)",
                [brand.pk, old],
            )
            n += cursor.rowcount
            if cursor.rowcount < 10_000:
                return n
