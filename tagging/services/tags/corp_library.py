"""The library of corp tags as WeCom shows it: read whole or in part, written into ours."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from org.models import Corp
from scrm import clock
from tagging.models import Tag, TagGroup
from tenants.models import Brand
from wecom.api import tags as api
from wecom.client import WeComClient, client_for
from wecom.errors import WeComRejected

MAX_NAME = 30
NO_SUCH_TAG = 40068


def sync_corp_tags(brand: Brand, corp: Corp, client: WeComClient) -> dict[str, int]:
    """Read the whole library of a corp and make ours agree; gives {"groups": n, "tags": n, "deleted": n}."""
    return store(brand, corp, api.corp_tags(client), complete=True)


def on_tag_changed(brand: Brand, corp: Corp, payload: dict[str, Any], event: Any) -> None:
    """Handler of change_external_tag (create, update, delete, shuffle): what was changed is read again.

    Source: developer.work.weixin.qq.com/document/path/92130
    """
    wecom_id, is_group = payload.get("Id", ""), payload.get("TagType") == "tag_group"
    client = client_for(corp)
    if not wecom_id:
        sync_corp_tags(brand, corp, client)
        return
    try:
        ids = [wecom_id]
        groups = api.corp_tags(client, group_ids=ids) if is_group else api.corp_tags(client, tag_ids=ids)
    except WeComRejected as error:
        if error.errcode != NO_SUCH_TAG:
            raise
        groups = []
    alive = {t["id"] for group in groups for t in group.get("tag") or [] if not t.get("deleted")}
    with transaction.atomic():
        store(brand, corp, groups)
        # a word of deleting is believed for what WeCom does not show any more
        ours = Tag.objects.filter(**{"group__wecom_id" if is_group else "wecom_id": wecom_id})
        ours.filter(group__corp=corp, deleted_at=None).exclude(wecom_id__in=alive).update(
            deleted_at=clock.now()
        )


@transaction.atomic
def store(
    brand: Brand, corp: Corp, groups: Sequence[api.TagGroup], *, complete: bool = False
) -> dict[str, int]:
    """Write groups and tags as WeCom gave them; with `complete` the tags not among them are gone."""
    Corp.objects.select_for_update(no_key=True).get(pk=corp.pk)  # two readings are stored one after the other
    now = clock.now()
    known_groups = {g.wecom_id: g for g in TagGroup.objects.filter(corp=corp).exclude(wecom_id="")}
    for given in groups:
        group = known_groups.get(given["group_id"]) or TagGroup(corp=corp, wecom_id=given["group_id"])
        group.name, group.order = given.get("group_name", "")[:MAX_NAME], given.get("order", 0)
        known_groups[group.wecom_id] = group
    made = [group for group in known_groups.values() if group.pk is None]
    TagGroup.objects.bulk_create(made)
    TagGroup.objects.bulk_update([known_groups[g["group_id"]] for g in groups], ["name", "order"])

    shown = [(known_groups[group["group_id"]], tag) for group in groups for tag in group.get("tag") or []]
    shown = [(group, tag) for group, tag in shown if not tag.get("deleted")]
    ids = {tag["id"] for _group, tag in shown}
    gone = Tag.objects.filter(group__corp=corp, deleted_at=None).exclude(wecom_id__in=ids)
    if not complete:
        # part of the library: deleted is what WeCom says so, and what holds a name that WeCom has given away
        dead = {tag["id"] for group in groups for tag in group.get("tag") or [] if tag.get("deleted")}
        names = {(group.pk, tag["name"]) for group, tag in shown}
        taken = [t.pk for t in gone if t.wecom_id in dead or (t.group_id, t.name) in names]
        gone = Tag.objects.filter(pk__in=taken)
    n_deleted = gone.update(deleted_at=now)

    known = {tag.wecom_id: tag for tag in Tag.objects.filter(group__corp=corp, wecom_id__in=ids)}
    # names may have been swapped: out of the way first
    moved = [
        known[tag["id"]]
        for _group, tag in shown
        if tag["id"] in known and known[tag["id"]].name != tag["name"]
    ]
    for row in moved:
        row.name = f"~{row.pk}"
    Tag.objects.bulk_update(moved, ["name"])
    new: list[Tag] = []
    for group, tag in shown:
        row = known.get(tag["id"]) or Tag(wecom_id=tag["id"])
        row.group, row.name, row.order, row.deleted_at = (
            group,
            tag["name"][:MAX_NAME],
            tag.get("order", 0),
            None,
        )
        if row.pk is None:
            new.append(row)
    Tag.objects.bulk_create(new)
    Tag.objects.bulk_update(known.values(), ["name", "order", "deleted_at"], batch_size=1000)
    return {"groups": len(groups), "tags": len(shown), "deleted": n_deleted}
