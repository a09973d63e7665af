"""Tags for everybody of a filter, a segment or a list, as a job: watched, paused, cancelled, and taken back as an act.

Who is meant is fixed when the act begins, as bits (TagTarget), so the job works through chunks of 8,192 positions and
nobody is left out or done twice, whatever changes meanwhile.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from contacts.services import positions
from org import audit
from org.access import Actor
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from tagging.models import BITS, Tag, TagAct, TagTarget
from tagging.services.bits.bits import of_positions
from tagging.services.tags import acts
from tagging.services.tags.changes import Pairs, each, put_on, take_off
from tenants.models import Brand

JOB = "tag_mass"
PAIRS = 50_000  # per step
MAX_DAYS = 3650


class Who:
    """Who is meant: a query of (chunk, bits)."""

    def __init__(self, sql: str, params: dict[str, Any] | Sequence[Any]) -> None:
        self.sql, self.params = sql, params

    @classmethod
    def of_queryset(cls, contacts: QuerySet) -> "Who":
        """Everybody of a query of contacts."""
        compiler = contacts.order_by().values("position").query.get_compiler(connection=connection)
        try:
            sql, params = compiler.as_sql()
        except EmptyResultSet:  # Django sees that nobody can match
            sql, params = "SELECT NULL::bigint AS position WHERE false", ()
        return cls(of_positions(sql), params)

    @classmethod
    def of_ids(cls, contact_ids: Iterable[int]) -> "Who":
        return cls(
            of_positions(
                "SELECT position FROM contacts_contact WHERE brand_id = %(brand)s AND id = ANY(%(ids)s)"
            ),
            {"ids": list(contact_ids)},
        )


def days_of(value: Any) -> int | None:
    """How many days a tag stays, as somebody types it; None: for good.

    Raises:
        InvalidError: no number, or too many.
    """
    if value in (None, "", 0, "0"):
        return None
    text = _("A number of days from 1 to %(most)s, or nothing") % {"most": MAX_DAYS}
    try:
        days = int(value)
    except (TypeError, ValueError) as error:
        raise InvalidError(text, fields={"days": text}) from error
    if isinstance(value, float) or not 1 <= days <= MAX_DAYS:
        raise InvalidError(text, fields={"days": text})
    return days


def until(days: int | None) -> datetime | None:
    """The moment at which a tag for some days ends."""
    return clock.now() + timedelta(days=days) if days else None


def alive(tag_ids: Iterable[int]) -> list[Tag]:
    """Some tags, none of them deleted.

    Raises:
        InvalidError: one is not there (any more).
    """
    wanted = {int(n) for n in tag_ids}
    found = list(Tag.objects.filter(pk__in=wanted, deleted_at=None).select_related("group").order_by("pk"))
    if len(found) < len(wanted):
        raise InvalidError(_("One of the tags was deleted meanwhile"), fields={"tags": _("Choose again")})
    return found


def _chosen(add: Iterable[int], remove: Iterable[int]) -> tuple[list[Tag], list[Tag]]:
    plus, minus = alive(add), alive(remove)
    if not plus and not minus:
        raise InvalidError(_("Choose at least one tag"), fields={"tags": _("Choose at least one tag")})
    if {t.pk for t in plus} & {t.pk for t in minus}:
        raise InvalidError(_("The same tag cannot be added and removed"))
    return plus, minus


@transaction.atomic
def start(
    brand: Brand,
    *,
    kind: str,
    title: str,
    by: Actor,
    who: Who,
    add: Iterable[int] = (),
    remove: Iterable[int] = (),
    days: int | None = None,
) -> Job:
    """Fix who is meant and start the job; its `params["act_id"]` names the act.

    Raises:
        InvalidError: no tag, a deleted tag, the same one twice, or nobody is meant.
    """
    plus, minus = _chosen(add, remove)
    expires_at = until(days) if plus else None
    act = acts.begin(
        brand,
        kind=kind,
        title=title,
        by=by,
        add=[t.pk for t in plus],
        remove=[t.pk for t in minus],
        expires_at=expires_at,
    )
    n = _fix(brand, act, who)
    if not n:
        raise InvalidError(_("No customer matches this"))
    names = {"add": [t.name for t in plus], "remove": [t.name for t in minus], "n": n, "days": days}
    audit.record(by, "contact.bulk_tag" if plus else "contact.bulk_untag", act, after=names)
    job = jobs.start_job(
        brand, kind=JOB, title=f"{title} #{act.pk}", params={"act_id": act.pk}, by=by, n_total=n
    )
    act.job_id = job.pk
    act.save(update_fields=["job_id"])
    return job


def start_for(
    brand: Brand,
    *,
    contacts: QuerySet,
    title: str,
    by: Actor,
    add: Iterable[int] = (),
    remove: Iterable[int] = (),
    days: int | None = None,
) -> Job:
    """The same for everybody of a filter of contacts (contacts/hooks.py)."""
    who = Who.of_queryset(contacts)
    return start(
        brand, kind=TagAct.Kind.FILTER, title=title, by=by, who=who, add=add, remove=remove, days=days
    )


def _fix(brand: Brand, act: TagAct, who: Who) -> int:
    head = "INSERT INTO tagging_tagtarget (brand_id, act_id, side, chunk, n, bits)"
    tail = f"FROM ({who.sql}) AS w(chunk, bits) WHERE bit_count(w.bits) > 0"
    with positions.joined(brand) as cursor:
        if isinstance(who.params, dict):
            cursor.execute(
                f"{head} SELECT %(brand)s, %(act_id)s, 0, w.chunk, bit_count(w.bits), w.bits {tail}",
                {**who.params, "brand": brand.pk, "act_id": act.pk},
            )
        else:
            cursor.execute(
                f"{head} SELECT %s, %s, 0, w.chunk, bit_count(w.bits), w.bits {tail}",
                [brand.pk, act.pk, *who.params],
            )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(n), 0) FROM tagging_tagtarget WHERE brand_id = %s AND act_id = %s",
            [brand.pk, act.pk],
        )
        return int(cursor.fetchone()[0])


# `%%`: these texts become parts of statements with parameters
# each person by position: of a chunk's 8,192 people few may be meant, and each is a page of the table
_PAIRS = f"""
    SELECT t AS tag_id, c.id AS contact_id
      FROM tagging_tagtarget x
      JOIN generate_series(0, {BITS - 1}) AS p(at) ON get_bit(x.bits, p.at) = 1
      JOIN LATERAL (SELECT id FROM contacts_contact WHERE brand_id = (SELECT %(brand)s)
                       AND position = x.chunk::bigint * {BITS} + p.at OFFSET 0) c ON true,
           unnest(%(tag_ids)s::bigint[]) t
     WHERE x.brand_id = %(brand)s AND x.act_id = %(target)s AND x.side = %(side)s AND x.chunk = ANY(%(chunks)s)
"""  # noqa: S608


def targets(
    act_id: int, chunks: Sequence[int], tag_ids: Iterable[int], side: int = TagTarget.Side.IN
) -> Pairs:
    """Tags for the people of some chunks of an act."""
    return Pairs(
        _PAIRS, {"tag_ids": sorted(tag_ids), "target": act_id, "side": int(side), "chunks": list(chunks)}
    )


def step(brand: Brand, job: Job) -> bool:
    """One step: the next chunks.

    Raises:
        ConflictError: all its tags were deleted meanwhile.
    """
    with suppress(jobs.Stopped), transaction.atomic():
        act = TagAct.objects.get(pk=job.params["act_id"])
        wanted = set(act.add_tag_ids) | set(act.remove_tag_ids)
        there = set(Tag.objects.filter(pk__in=wanted, deleted_at=None).values_list("pk", flat=True))
        if not there:
            raise ConflictError(_("The tag was deleted meanwhile"))
        rows = TagTarget.objects.filter(act_id=act.pk, chunk__gt=int(job.position.get("chunk", -1)))
        size = max(1, PAIRS // (BITS * len(wanted)))
        chunks = list(rows.order_by("chunk").values_list("chunk", "n")[:size])
        if not chunks:
            TagTarget.objects.filter(act_id=act.pk).delete()
            return False
        source, places = f"{act.kind}:{act.pk}", [chunk for chunk, _n in chunks]
        added = removed = 0
        if plus := sorted(set(act.add_tag_ids) & there):
            done = put_on(
                brand,
                targets(act.pk, places, plus),
                source=source,
                staff_id=act.staff_id,
                expires_at=act.expires_at,
                act_id=act.pk,
            )
            added = done.n + done.n_later
        if minus := sorted(set(act.remove_tag_ids) & there):
            pairs = targets(act.pk, places, minus)
            removed = take_off(brand, pairs, source=source, staff_id=act.staff_id, act_id=act.pk).n
        people = sum(n for _chunk, n in chunks)
        jobs.hold(job)  # an undo right after a cancel finds all that was done
        acts.count(act, people=people, added=added, removed=removed)
        jobs.save_step(
            job,
            position={"chunk": places[-1]},
            n_done=job.n_done + people,
            result={"changed": int(job.result.get("changed", 0)) + added + removed},
        )
    return True


def at_once(
    brand: Brand,
    *,
    title: str,
    by: Actor,
    contact_ids: Sequence[int],
    kind: str = TagAct.Kind.SELECTION,
    add: Iterable[int] = (),
    remove: Iterable[int] = (),
    days: int | None = None,
) -> TagAct:
    """The same for a few people in the caller's transaction, without a job. Errors as `start`."""
    plus, minus = _chosen(add, remove)
    expires_at = until(days) if plus else None
    act = acts.begin(
        brand,
        kind=kind,
        title=title,
        by=by,
        add=[t.pk for t in plus],
        remove=[t.pk for t in minus],
        expires_at=expires_at,
    )
    staff_id, source = (by.staff.pk if by.staff else None), f"{act.kind}:{act.pk}"
    added = removed = 0
    for start_ in range(0, len(contact_ids), 5_000):
        ids = contact_ids[start_ : start_ + 5_000]
        if plus:
            pairs = each([t.pk for t in plus], ids)
            done = put_on(
                brand, pairs, source=source, staff_id=staff_id, expires_at=expires_at, act_id=act.pk
            )
            added += done.n + done.n_later
        if minus:
            removed += take_off(
                brand, each([t.pk for t in minus], ids), source=source, staff_id=staff_id, act_id=act.pk
            ).n
    acts.count(act, people=len(contact_ids), added=added, removed=removed)
    named = {
        "tags": [t.name for t in plus or minus],
        "n": len(contact_ids),
        "contacts": list(contact_ids)[:20],
    }
    if plus and minus:
        named["removed"] = [t.name for t in minus]
    audit.record(
        by, "contact.tag" if plus else "contact.untag", act, after=named | ({"days": days} if days else {})
    )
    act.refresh_from_db()
    return act


@transaction.atomic
def purge(brand: Brand) -> int:
    """Forget whom ended acts meant; gives how many rows."""
    rows = TagTarget.objects.values_list("act_id", flat=True).distinct()
    jobs_of = dict(TagAct.objects.filter(pk__in=rows).values_list("pk", "job_id"))
    live = {
        job.pk
        for job in Job.objects.filter(pk__in=[pk for pk in jobs_of.values() if pk])
        if job.is_live or job.state == Job.State.FAILED
    }
    ended = [act_id for act_id, job_id in jobs_of.items() if job_id not in live]
    return TagTarget.objects.filter(act_id__in=ended).delete()[0]
