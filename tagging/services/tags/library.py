"""The tag library as people change it: groups and tags, WeCom's and the platform's own.

Changes of corp tags are made in WeCom first and kept here afterwards, so these functions are called outside
of transactions. An app may change only corp tags that it made; WeCom's refusal of others reaches the person
as it is. Reading from WeCom: corp_library.py; deleting and merging: deleting.py, merging.py.
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
from tagging.models import Color, Tag, TagGroup
from tagging.ordering import STEP, new_orders
from tagging.services.tags import in_wecom
from tagging.services.tags.corp_library import MAX_NAME, store
from tenants.models import Brand
from wecom.api import tags as api
from wecom.client import WeComClient
from wecom.errors import LostAnswer

MAX_IN_GROUP = 200
MAX_OWN = 20_000


def create_group(
    brand: Brand,
    *,
    by: Actor,
    name: str,
    names: Iterable[str],
    corp: Corp | None = None,
    color: str = Color.BLUE,
) -> TagGroup:
    """A group with its first tags; with `corp` in WeCom (which adds to a group of that name, if there is
    one).

    Raises:
        InvalidError, ConflictError; WeComError as the client does.
    """
    name, chosen, color = clean_name(name), clean_names(names), clean_color(color)
    if corp is not None:
        in_wecom.check_room(corp, len(chosen))
        answer = _made_once(
            brand, corp, lambda client: api.add_corp_tags(client, chosen, group_name=name), name, chosen
        )
        return _keep_made(brand, corp, answer, by, color)
    with unique(), transaction.atomic():
        _check_own(len(chosen))
        if TagGroup.objects.filter(corp=None, name=name, deleted_at=None).exists():
            raise ConflictError(_("There is a group of this name already"))
        first = TagGroup.objects.filter(corp=None).order_by("-order").first()
        group = TagGroup.objects.create(name=name, order=first.order + STEP if first else STEP, color=color)
        _create_own(group, chosen, by)
    return group


def create_tags(brand: Brand, *, by: Actor, group: TagGroup, names: Iterable[str]) -> None:
    """More tags in a group, ours or WeCom's. Errors as `create_group`."""
    chosen = clean_names(names)
    if group.corp_id:
        corp = in_wecom.corp_of(group)
        in_wecom.check_room(corp, len(chosen))
        answer = _made_once(
            brand,
            corp,
            lambda client: api.add_corp_tags(client, chosen, group_id=group.wecom_id),
            group.name,
            chosen,
        )
        _keep_made(brand, corp, answer, by)
        return
    with unique(), transaction.atomic():
        _check_own(len(chosen))
        if Tag.objects.filter(group=group, deleted_at=None).count() + len(chosen) > MAX_IN_GROUP:
            raise InvalidError(_("A group holds at most %(n)s tags") % {"n": MAX_IN_GROUP})
        _create_own(group, chosen, by)


def _check_own(n: int) -> None:
    if Tag.objects.filter(group__corp=None, deleted_at=None).count() + n > MAX_OWN:
        raise InvalidError(_("There can be at most %(n)s own tags") % {"n": MAX_OWN})


def _create_own(group: TagGroup, names: Sequence[str], by: Actor) -> None:
    last = Tag.objects.filter(group=group).order_by("order").first()
    order = last.order if last else STEP * (len(names) + 1)
    Tag.objects.bulk_create(
        Tag(group=group, name=name, order=order - n * STEP) for n, name in enumerate(names, start=1)
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

    def act(client: WeComClient) -> api.TagGroup:
        try:
            return make(client)
        except LostAnswer:
            for group in api.corp_tags(client):
                if group.get("group_name") == group_name and set(names) <= {
                    t["name"] for t in group.get("tag") or []
                }:
                    return group
            raise

    return in_wecom.in_turn(brand, corp, act)


@transaction.atomic
def _keep_made(
    brand: Brand, corp: Corp, answer: api.TagGroup, by: Actor, color: str | None = None
) -> TagGroup:
    is_new = not TagGroup.objects.filter(corp=corp, wecom_id=answer["group_id"]).exists()
    store(brand, corp, [answer])
    group = TagGroup.objects.get(corp=corp, wecom_id=answer["group_id"])
    if is_new and color:
        group.color = color
        group.save(update_fields=["color"])
    audit.record(by, "tag.create", group, after={"tags": [tag["name"] for tag in answer.get("tag") or []]})
    return group


def rename(brand: Brand, *, by: Actor, item: Tag | TagGroup, name: str) -> None:
    """Rename a tag or a group, in WeCom first where it is WeCom's. Who carries it, rules and codes go by its number
    and follow by themselves."""
    name = clean_name(name)
    if name == item.name:
        return
    if isinstance(item, TagGroup) and not item.corp_id:
        with transaction.atomic():
            others = TagGroup.objects.filter(corp=None, name=name, deleted_at=None).exclude(pk=item.pk)
            if others.exists():
                raise ConflictError(_("There is a group of this name already"))
    in_wecom.change(brand, item, lambda client: api.edit_corp_tag(client, item.wecom_id, name=name))
    with unique(), transaction.atomic():
        before, item.name = item.name, name
        item.save(update_fields=["name"])
        audit.record(by, "tag.rename", item, before={"name": before}, after={"name": name})


@transaction.atomic
def recolor(brand: Brand, *, by: Actor, item: Tag | TagGroup, color: str) -> None:
    """Colours are ours alone; a tag without one has its group's."""
    color = clean_color(color, may_be_empty=isinstance(item, Tag))
    if color != item.color:
        before, item.color = item.color, color
        item.save(update_fields=["color"])
        audit.record(by, "tag.recolor", item, before={"color": before}, after={"color": color})


@transaction.atomic
def archive(brand: Brand, *, by: Actor, tag: Tag, value: bool) -> None:
    """An archived tag stays on who carries it and in WeCom, and is no longer offered."""
    if bool(tag.archived_at) != value:
        tag.archived_at = clock.now() if value else None
        tag.save(update_fields=["archived_at"])
        audit.record(by, "tag.archive" if value else "tag.unarchive", tag)


def reorder(brand: Brand, *, by: Actor, ids: Sequence[int], group: TagGroup | None = None) -> None:
    """A new order, the first one on top: of the tags of a group, or (without one) of groups of one company or of
    our own. Own tags of other groups among the ids move into the group. As few numbers change as possible, and in
    WeCom only those.

    Raises:
        InvalidError: not all of one place; NotFoundError is for views.
    """
    with transaction.atomic():
        rows = _tags_to_order(ids, group) if group else _groups_to_order(ids)
    moved = [row for row in rows if isinstance(row, Tag) and group and row.group_id != group.pk]
    changed = {rows[index].pk: order for index, order in new_orders([row.order for row in rows]).items()}
    for row in rows:
        if row.pk in changed and row.wecom_id:
            _order_in_wecom(brand, row, changed[row.pk])
    if not changed and not moved:
        return
    with unique(), transaction.atomic():
        for row in rows:
            row.order = changed.get(row.pk, row.order)
            if row in moved:
                assert isinstance(row, Tag)
                row.group = group  # type: ignore[assignment]
        touched = [row for row in rows if row.pk in changed or row in moved]
        model: Any = type(rows[0])
        model.objects.bulk_update(touched, ["order", "group"] if group else ["order"])
        audit.record(by, "tag.move", group or rows[0], after={"order": [str(row) for row in rows][:100]})


def _tags_to_order(ids: Sequence[int], group: TagGroup) -> list[Any]:
    there = Tag.objects.filter(pk__in=list(ids), deleted_at=None).select_related("group")
    by_id = {tag.pk: tag for tag in there}
    rows = [by_id[pk] for pk in dict.fromkeys(ids) if pk in by_id]
    own = {tag.pk for tag in Tag.objects.filter(group=group, deleted_at=None, archived_at=None)}
    strangers = [tag for tag in rows if tag.group_id != group.pk]
    if (
        not rows
        or not own <= set(by_id)
        or (strangers and (group.corp_id or any(t.wecom_id for t in strangers)))
    ):
        raise InvalidError(_("The list has changed meanwhile. Load the page again."))
    return rows


def _groups_to_order(ids: Sequence[int]) -> list[Any]:
    by_id = {group.pk: group for group in TagGroup.objects.filter(pk__in=list(ids), deleted_at=None)}
    rows = [by_id[pk] for pk in dict.fromkeys(ids) if pk in by_id]
    if not rows or len({group.corp_id for group in rows}) > 1:
        raise InvalidError(_("The list has changed meanwhile. Load the page again."))
    return rows


def _order_in_wecom(brand: Brand, item: Tag | TagGroup, order: int) -> None:
    in_wecom.change(brand, item, lambda client: api.edit_corp_tag(client, item.wecom_id, order=order))


# ---- what people type


def clean_name(name: str) -> str:
    """A name without blanks at its ends, as long as WeCom allows."""
    name = " ".join(name.replace("\x00", "").split())
    if not name:
        raise InvalidError(_("A name is needed"), fields={"name": _("A name is needed")})
    if len(name) > MAX_NAME:
        text = _("At most %(n)s characters: “%(name)s” has %(there)s") % {
            "n": MAX_NAME, "name": name[:40], "there": len(name),
        }  # fmt: skip
        raise InvalidError(text, fields={"name": text})
    return name


def clean_names(names: Iterable[str]) -> list[str]:
    """Names, each once, in order; at least one."""
    chosen = list(dict.fromkeys(clean_name(name) for name in names if name.strip()))
    if not chosen:
        text = _("At least one tag is needed")
        raise InvalidError(text, fields={"names": text})
    return chosen


def clean_color(color: str, *, may_be_empty: bool = False) -> str:
    if color in Color.values or (may_be_empty and not color):
        return color
    text = _("Choose one of the list")
    raise InvalidError(text, fields={"color": text})


class unique:
    """Turns the database's refusal of a second name into a message."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, IntegrityError):
            raise ConflictError(_("There is a tag of this name in the group already")) from error
