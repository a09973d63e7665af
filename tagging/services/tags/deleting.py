"""Deleting tags and groups, and taking that back. Who carried a deleted tag stays on record for thirty days."""

from datetime import timedelta

from django.db import connection, transaction
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor
from org.models import Corp, Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, NotFoundError
from tagging.models import ContactTag, Dim, Tag, TagGroup
from tagging.services.tags import in_wecom, marks, references
from tagging.services.tags.corp_library import store
from tagging.services.tags.library import unique
from tenants.models import Brand
from wecom.api import tags as api

KEPT = timedelta(days=30)
SLICE = 2_000
JOB = "tag_restore"


def delete_tag(brand: Brand, *, by: Actor, tag: Tag) -> None:
    """Delete a tag, in WeCom first where it is WeCom's.

    Raises:
        ConflictError: something needs it (a rule that is on, a computed tag); the message names it.
    """
    with transaction.atomic():
        references.refuse_if_needed(brand, [tag.pk])
    in_wecom.change(brand, tag, lambda client: api.delete_corp_tags(client, tag_ids=[tag.wecom_id]))
    with transaction.atomic():
        if Tag.objects.filter(pk=tag.pk, deleted_at=None).update(deleted_at=clock.now()):
            audit.record(by, "tag.delete", tag)


def delete_group(brand: Brand, *, by: Actor, group: TagGroup) -> None:
    """Delete a group with its tags. Errors as `delete_tag`."""
    with transaction.atomic():
        alive = Tag.objects.filter(group=group, deleted_at=None)
        references.refuse_if_needed(brand, list(alive.values_list("pk", flat=True)))
    in_wecom.change(brand, group, lambda client: api.delete_corp_tags(client, group_ids=[group.wecom_id]))
    with transaction.atomic():
        now = clock.now()
        names = list(Tag.objects.filter(group=group, deleted_at=None).values_list("name", flat=True))
        # the same moment on all: restoring the group brings back these, not what was deleted before
        Tag.objects.filter(group=group, deleted_at=None).update(deleted_at=now)
        TagGroup.objects.filter(pk=group.pk, deleted_at=None).update(deleted_at=now)
        audit.record(by, "tag.delete_group", group, before={"tags": names})


def restore_tag(brand: Brand, *, by: Actor, tag: Tag) -> Job | None:
    """Take the deletion of a tag back: who carried it carries it again. A corp tag is made anew in WeCom, under a new
    id, and told for each relation by the job that is given.

    Raises:
        NotFoundError: not deleted, or too long ago; ConflictError: its name is taken meanwhile.
    """
    with transaction.atomic():
        group = TagGroup.objects.get(pk=tag.group_id)
    return _restore(brand, by, group, [tag])


def restore_group(brand: Brand, *, by: Actor, group: TagGroup) -> Job | None:
    """The same for a group, with the tags that were deleted with it."""
    with transaction.atomic():
        tags = list(Tag.objects.filter(group=group, deleted_at=group.deleted_at).order_by("-order", "pk"))
    return _restore(brand, by, group, tags)


def _restore(brand: Brand, by: Actor, group: TagGroup, tags: list[Tag]) -> Job | None:
    oldest = clock.now() - KEPT
    if not tags or any(t.deleted_at is None or t.deleted_at < oldest or t.merged_into_id for t in tags):
        raise NotFoundError(_("This cannot be taken back any more"))
    with transaction.atomic():
        names = [tag.name for tag in tags]
        if Tag.objects.filter(group=group, name__in=names, deleted_at=None).exists():
            raise ConflictError(_("There is a tag of this name in the group already"))
        corp = Corp.objects.filter(pk=group.corp_id).first() if group.corp_id else None
    if corp is not None:
        _make_again(brand, corp, group, tags)
    with unique(), transaction.atomic():
        Tag.objects.filter(pk__in=[tag.pk for tag in tags]).update(deleted_at=None)
        TagGroup.objects.filter(pk=group.pk).update(deleted_at=None)
        audit.record(by, "tag.restore", group, after={"tags": names})
        if corp is None:
            return None
        title = _("Tell WeCom again: %(group)s #%(id)s") % {"group": group.name, "id": tags[0].pk}
        params = {"tag_ids": [tag.pk for tag in tags]}
        return jobs.start_job(brand, kind=JOB, title=title, params=params, by=by)


def _make_again(brand: Brand, corp: Corp, group: TagGroup, tags: list[Tag]) -> None:
    """The tags in WeCom once more; ours take over their new ids."""
    in_wecom.check_room(corp, len(tags))
    answer = in_wecom.in_turn(
        brand,
        corp,
        lambda client: api.add_corp_tags(client, [tag.name for tag in tags], group_name=group.name),
    )
    ids = {made["name"]: made["id"] for made in answer.get("tag") or []}
    with transaction.atomic():
        TagGroup.objects.filter(pk=group.pk).update(wecom_id=answer["group_id"])
        for tag in tags:
            # WeCom's event may have come first and made a row of its own
            Tag.objects.filter(group=group, wecom_id=ids[tag.name]).exclude(pk=tag.pk).delete()
            Tag.objects.filter(pk=tag.pk).update(wecom_id=ids[tag.name], deleted_at=None)
        store(brand, corp, [answer])


def step(brand: Brand, job: Job) -> bool:
    """One step of telling WeCom who carries restored tags."""
    with transaction.atomic():
        after = int(job.position.get("after", 0))
        carriers = ContactTag.objects.filter(tag__in=job.params["tag_ids"], contact__gt=after)
        ids = sorted(set(carriers.order_by("contact").values_list("contact_id", flat=True)[:SLICE]))
        if not ids:
            return False
        pairs = (
            "SELECT tag_id, contact_id FROM tagging_contacttag WHERE brand_id = %(brand)s"
            " AND tag_id = ANY(%(tag_ids)s) AND contact_id = ANY(%(ids)s)"
        )
        marks.queue(brand, pairs, {"tag_ids": job.params["tag_ids"], "ids": ids}, add=True, n_pairs=len(ids))
        jobs.save_step(job, position={"after": ids[-1]}, n_done=job.n_done + len(ids))
        return True


def purge(brand: Brand) -> int:
    """Forget who carried tags that were deleted more than thirty days ago; gives how many rows. The tags themselves
    stay for their names in old events. Slices in short transactions of their own."""
    with transaction.atomic():
        old = Tag.objects.filter(deleted_at__lt=clock.now() - KEPT).values_list("pk", flat=True)
        tag_ids = list(old.filter(pk__in=ContactTag.objects.values("tag")))
    n = 0
    for tag_id in tag_ids:
        while True:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    "DELETE FROM tagging_contacttag WHERE brand_id = %s AND tag_id = %s AND contact_id IN ("
                    " SELECT contact_id FROM tagging_contacttag WHERE brand_id = %s AND tag_id = %s LIMIT 10000)",
                    [brand.pk, tag_id, brand.pk, tag_id],
                )
                n += cursor.rowcount
                if cursor.rowcount < 10_000:
                    cursor.execute(
                        "DELETE FROM tagging_dimbits WHERE brand_id = %s AND dim = %s AND val = %s",
                        [brand.pk, int(Dim.TAG), tag_id],
                    )
                    break
    return n
