"""Two tags become one, and nothing is lost: carriers, waiting tags, rules, segments, codes and filters follow.

First everything that names the old tag names the new one, so that nobody new gets the old one; then its carriers, a
slice at a time; at the end the old tag is deleted, in WeCom too.
"""

from datetime import timedelta

from django.db import connection, transaction
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from tagging.models import ContactTag, Dim, DimBits, Tag, TagAct, TagRule, WaitingTag
from tagging.services.rules.rule_graph import refuse_circles
from tagging.services.tags import acts, in_wecom, references
from tagging.services.tags.changes import Pairs, put_on
from tenants.models import Brand
from wecom.api import tags as api

JOB = "tag_merge"
SLICE = 5_000


@transaction.atomic
def start(brand: Brand, *, by: Actor, old: Tag, new: Tag) -> Job:
    """Merge `old` into `new`. Gives the job that moves the carriers.

    Raises:
        InvalidError: the same tag, or corp tags of two companies; ConflictError: one was deleted, or is moved by
            itself (a computed tag), or rules would set off each other in a circle.
    """
    if old.pk == new.pk:
        raise InvalidError(_("Choose another tag"), fields={"into": _("Choose another tag")})
    pair = {
        tag.pk: tag
        for tag in Tag.objects.select_for_update().filter(pk__in=[old.pk, new.pk]).select_related("group")
    }
    if len(pair) < 2 or any(tag.deleted_at for tag in pair.values()):
        raise ConflictError(_("The tag was deleted meanwhile"))
    corps = {tag.group.corp_id for tag in pair.values() if tag.group.corp_id}
    if len(corps) > 1:
        raise InvalidError(_("Tags of two companies cannot become one"))
    if any(use.kind == _("Computed tag") for use in references.uses(brand, [old.pk, new.pk])):
        raise ConflictError(_("A computed tag is kept by itself; it cannot be merged"))
    n_places = references.replace(brand, old_id=old.pk, new_id=new.pk)
    refuse_circles(brand, TagRule.objects.filter(is_on=True, deleted_at=None))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tagging_waitingtag (brand_id, kind, scope, value, tag_id, source, staff_id, act_id, at, expires_at)"
            " SELECT brand_id, kind, scope, value, %s, source, staff_id, act_id, at, expires_at FROM tagging_waitingtag"
            " WHERE brand_id = %s AND tag_id = %s ON CONFLICT DO NOTHING",
            [new.pk, brand.pk, old.pk],
        )
    WaitingTag.objects.filter(tag=old.pk).delete()
    title = _("Merge %(old)s into %(new)s") % {"old": old.name, "new": new.name}
    act = acts.begin(brand, kind=TagAct.Kind.MERGE, title=title, by=by, add=[new.pk], remove=[old.pk])
    audit.record(
        by, "tag.merge", new, before={"tag": old.name, "id": old.pk}, after={"places": n_places}, name=title
    )
    params = {"old_id": old.pk, "new_id": new.pk, "act_id": act.pk}
    total = ContactTag.objects.filter(tag=old.pk).count()
    job = jobs.start_job(brand, kind=JOB, title=f"{title} #{old.pk}", params=params, by=by, n_total=total)
    act.job_id = job.pk
    act.save(update_fields=["job_id"])
    return job


def step(brand: Brand, job: Job) -> bool:
    """One step: a slice of carriers; the last one deletes the old tag."""
    with transaction.atomic():
        new = Tag.objects.filter(pk=job.params["new_id"], deleted_at=None).first()
        if new is None:
            raise ConflictError(_("The tag was deleted meanwhile"))
        act = TagAct.objects.get(pk=job.params["act_id"])
        after = int(job.position.get("after", 0))
        rows = ContactTag.objects.filter(tag=job.params["old_id"], contact__gt=after).order_by("contact")
        ids = list(rows.values_list("contact_id", flat=True)[:SLICE])
        if ids:
            n = _move(brand, job.params["old_id"], new.pk, ids)
            acts.count(act, people=len(ids), added=n)
            jobs.save_step(job, position={"after": ids[-1]}, n_done=job.n_done + len(ids))
            return True
    _finish(brand, job, act)
    return False


def _move(brand: Brand, old_id: int, new_id: int, ids: list[int]) -> int:
    """Carriers of the old tag carry the new one, since when and why as before."""
    pairs = Pairs(
        "SELECT %(new)s AS tag_id, contact_id, source, staff_id, at, expires_at FROM tagging_contacttag"
        " WHERE brand_id = %(brand)s AND tag_id = %(old)s AND contact_id = ANY(%(ids)s)",
        {"old": old_id, "new": new_id, "ids": ids},
    )
    own = ("source", "staff_id", "at", "expires_at")
    done = put_on(brand, pairs, source="merge", own=own)
    # not as an untagging: they keep it under its new name
    ContactTag.objects.filter(tag=old_id, contact__in=ids).delete()
    return done.n


def _finish(brand: Brand, job: Job, act: TagAct) -> None:
    with transaction.atomic():
        old = Tag.objects.select_related("group").get(pk=job.params["old_id"])
    if old.deleted_at is None:
        in_wecom.change(brand, old, lambda client: api.delete_corp_tags(client, tag_ids=[old.wecom_id]))
    with transaction.atomic():
        Tag.objects.filter(pk=old.pk).update(deleted_at=clock.now(), merged_into_id=job.params["new_id"])
        # who came by while the slices went on
        acts.count(act, added=_late(brand, old.pk, job.params["new_id"]))
        DimBits.objects.filter(dim=Dim.TAG, val=old.pk).delete()


def _late(brand: Brand, old_id: int, new_id: int) -> int:
    late = list(ContactTag.objects.filter(tag=old_id).values_list("contact_id", flat=True)[:10_000])
    return _move(brand, old_id, new_id, late) if late else 0


def repair(brand: Brand) -> int:
    """Each night: who got a merged tag in the very moment of its end carries the other one; gives how many."""
    n = 0
    with transaction.atomic():
        since = clock.now() - timedelta(days=2)
        merged = list(Tag.objects.filter(merged_into_id__isnull=False, deleted_at__gt=since))
    for old in merged:
        with transaction.atomic():
            # the one that took its place may be merged itself by now
            new_id = old.merged_into_id or 0
            if Tag.objects.filter(pk=new_id, deleted_at=None).exists():
                n += _late(brand, old.pk, new_id)
    return n
