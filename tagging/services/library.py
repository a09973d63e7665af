"""The tag library: groups and tags, corp tags mirrored with WeCom, the platform's own beside them.

Changes of corp tags are made in WeCom first and kept here afterwards, so these functions are called outside
of transactions. An app may change only corp tags that it made; WeCom's refusal of others reaches the person
as it is.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor
from org.models import Corp
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from tagging.models import Tag, TagGroup
from tenants.models import Brand
from wecom.api import tags as api
from wecom.client import WeComClient, client_for
from wecom.errors import LostAnswer, WeComRejected

MAX_NAME = 30
MAX_IN_GROUP = 200
GONE = 40068  # WeCom does not know the tag (any more)


# ---- what WeCom tells


def sync_corp_tags(brand: Brand, corp: Corp, client: WeComClient) -> dict[str, int]:
    """Read the whole library of a corp and make ours agree; gives {"groups": n, "tags": n, "deleted": n}."""
    return _store(brand, corp, api.corp_tags(client), complete=True)


def on_tag_changed(brand: Brand, corp: Corp, payload: dict[str, Any], event: Any) -> None:
    """Handler of change_external_tag (create, update, delete, shuffle): what was changed is read again.

    Source: developer.work.weixin.qq.com/document/path/92130
    """
    wecom_id, is_group = payload.get("Id", ""), payload.get("TagType") == "tag_group"
    if payload.get("ChangeType") == "delete":
        with transaction.atomic():
            tags = Tag.objects.filter(group__corp=corp, deleted_at=None)
            tags.filter(**{"group__wecom_id" if is_group else "wecom_id": wecom_id}).update(
                deleted_at=clock.now()
            )
        return
    client = client_for(corp)
    if not wecom_id:
        sync_corp_tags(brand, corp, client)
    elif is_group:
        _store(brand, corp, api.corp_tags(client, group_ids=[wecom_id]))
    else:
        _store(brand, corp, api.corp_tags(client, tag_ids=[wecom_id]))


@transaction.atomic
def _store(
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


# ---- what people do


def create_group(
    brand: Brand, *, by: Actor, name: str, names: Iterable[str], corp: Corp | None = None
) -> TagGroup:
    """A group with its first tags; with `corp` in WeCom (which adds to a group of that name, if there is
    one).

    Raises:
        InvalidError, ConflictError; WeComError as the client does.
    """
    name, chosen = _name(name), _names(names)
    if corp is not None:
        answer = _made_once(
            brand, corp, lambda client: api.add_corp_tags(client, chosen, group_name=name), name, chosen
        )
        return _keep_made(brand, corp, answer, by)
    with _unique(), transaction.atomic():
        if TagGroup.objects.filter(corp=None, name=name).exists():
            raise ConflictError(_("There is a group of this name already"))
        first = TagGroup.objects.filter(corp=None).order_by("-order").first()
        group = TagGroup.objects.create(name=name, order=first.order + 1 if first else 1)
        _create_own(group, chosen, by)
    return group


def create_tags(brand: Brand, *, by: Actor, group: TagGroup, names: Iterable[str]) -> None:
    """More tags in a group, ours or WeCom's. Errors as `create_group`."""
    chosen = _names(names)
    if group.corp_id:
        corp = _corp_of(group)
        answer = _made_once(
            brand,
            corp,
            lambda client: api.add_corp_tags(client, chosen, group_id=group.wecom_id),
            group.name,
            chosen,
        )
        _keep_made(brand, corp, answer, by)
        return
    with _unique(), transaction.atomic():
        if Tag.objects.filter(group=group, deleted_at=None).count() + len(chosen) > MAX_IN_GROUP:
            raise InvalidError(_("A group holds at most %(n)s tags") % {"n": MAX_IN_GROUP})
        _create_own(group, chosen, by)


def _create_own(group: TagGroup, names: Sequence[str], by: Actor) -> None:
    last = Tag.objects.filter(group=group).order_by("order").first()
    order = last.order if last else 0
    Tag.objects.bulk_create(
        Tag(group=group, name=name, order=order - n) for n, name in enumerate(names, start=1)
    )
    audit.record(by, "tag.create", group, after={"tags": list(names)})


def _made_once(
    brand: Brand,
    corp: Corp,
    make: Callable[[WeComClient], api.TagGroup],
    group_name: str,
    names: Sequence[str],
) -> api.TagGroup:
    """Make tags in WeCom; when the answer is lost, look whether they are there before saying that it
    failed."""
    client = client_for(corp)
    try:
        return make(client)
    except LostAnswer:
        for group in api.corp_tags(client):
            if group.get("group_name") == group_name and set(names) <= {
                t["name"] for t in group.get("tag") or []
            }:
                return group
        raise


@transaction.atomic
def _keep_made(brand: Brand, corp: Corp, answer: api.TagGroup, by: Actor) -> TagGroup:
    _store(brand, corp, [answer])
    group = TagGroup.objects.get(corp=corp, wecom_id=answer["group_id"])
    audit.record(by, "tag.create", group, after={"tags": [tag["name"] for tag in answer.get("tag") or []]})
    return group


def rename(brand: Brand, *, by: Actor, item: Tag | TagGroup, name: str) -> None:
    """Rename a tag or a group, in WeCom first where it is WeCom's."""
    name = _name(name)
    if name == item.name:
        return
    _in_wecom(item, lambda client: api.edit_corp_tag(client, item.wecom_id, name=name))
    with _unique(), transaction.atomic():
        before, item.name = item.name, name
        item.save(update_fields=["name"])
        audit.record(by, "tag.rename", item, before={"name": before}, after={"name": name})


def move(brand: Brand, *, by: Actor, item: Tag | TagGroup, up: bool) -> None:
    """One place up or down among its neighbours; a larger `order` comes first, as in WeCom."""
    with transaction.atomic():
        rows = list(_neighbours(item))
    at = next(n for n, row in enumerate(rows) if row.pk == item.pk)
    to = at - 1 if up else at + 1
    if not 0 <= to < len(rows):
        return
    if len({row.order for row in rows}) == len(rows):  # changing places is enough
        changed = [(rows[at], rows[to].order), (rows[to], rows[at].order)]
    else:
        rows[at], rows[to] = rows[to], rows[at]
        changed = [(row, len(rows) - n) for n, row in enumerate(rows) if row.order != len(rows) - n]
    for row, order in changed:
        _order_in_wecom(row, order)
    with transaction.atomic():
        for row, order in changed:
            row.order = order
            row.save(update_fields=["order"])
        audit.record(by, "tag.move", item)


def _order_in_wecom(item: Tag | TagGroup, order: int) -> None:
    _in_wecom(item, lambda client: api.edit_corp_tag(client, item.wecom_id, order=order))


def _neighbours(item: Tag | TagGroup) -> Any:
    if isinstance(item, Tag):
        return Tag.objects.filter(group=item.group_id, deleted_at=None).order_by("-order", "pk")
    return TagGroup.objects.filter(corp=item.corp_id).order_by("-order", "pk")


def delete_tag(brand: Brand, *, by: Actor, tag: Tag) -> None:
    """Delete a tag, in WeCom first where it is WeCom's; who carried it stays on record."""
    _in_wecom(tag, lambda client: api.delete_corp_tags(client, tag_ids=[tag.wecom_id]))
    with transaction.atomic():
        if Tag.objects.filter(pk=tag.pk, deleted_at=None).update(deleted_at=clock.now()):
            audit.record(by, "tag.delete", tag)


def delete_group(brand: Brand, *, by: Actor, group: TagGroup) -> None:
    """Delete a group with its tags."""
    _in_wecom(group, lambda client: api.delete_corp_tags(client, group_ids=[group.wecom_id]))
    with transaction.atomic():
        names = list(Tag.objects.filter(group=group, deleted_at=None).values_list("name", flat=True))
        Tag.objects.filter(group=group, deleted_at=None).update(deleted_at=clock.now())
        audit.record(by, "tag.delete_group", group, before={"tags": names})


def _corp_of(item: Tag | TagGroup) -> Corp:
    with transaction.atomic():
        group = item.group if isinstance(item, Tag) else item
        return Corp.objects.get(taggroup=group)


def _in_wecom(item: Tag | TagGroup, act: Callable[[WeComClient], None]) -> None:
    """Make a change in WeCom if the tag is WeCom's; one that is gone there already counts as deleted."""
    if not item.wecom_id:
        return
    try:
        act(client_for(_corp_of(item)))
    except WeComRejected as error:
        if error.errcode != GONE:
            raise


def _name(name: str) -> str:
    name = " ".join(name.replace("\x00", "").split())
    if not name:
        raise InvalidError(_("A name is needed"), fields={"name": _("A name is needed")})
    if len(name) > MAX_NAME:
        text = _("At most %(n)s characters") % {"n": MAX_NAME}
        raise InvalidError(text, fields={"name": text})
    return name


def _names(names: Iterable[str]) -> list[str]:
    chosen = list(dict.fromkeys(_name(name) for name in names if name.strip()))
    if not chosen:
        text = _("At least one tag is needed")
        raise InvalidError(text, fields={"names": text})
    return chosen


class _unique:
    """Turns the database's refusal of a second name into a message."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, IntegrityError):
            raise ConflictError(_("There is a tag of this name in the group already")) from error
