"""Corp tags. Source: developer.work.weixin.qq.com/document/path/92117, 92118."""

import threading
from typing import Any

from django.db import connection

from wecom.sandbox import ids, store
from wecom.sandbox.call import Call, number, strings, text
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import FollowTag, Tag, TagGroup

from .contacts import follow_of, tell_written

MOST_PER_FOLLOW = 3000
PUT_ON = "INSERT OR IGNORE INTO sandbox_followtag (follow, tag_id) VALUES (%s, %s)"
TAKE_OFF = "DELETE FROM sandbox_followtag WHERE follow = %s AND tag_id IN (SELECT value FROM json_each(%s))"

_marking: set[tuple[str, str]] = set()
_marking_lock = threading.Lock()


def _tag(row: Tag, *, with_deleted: bool = False) -> dict[str, Any]:
    found = {"id": row.tag_id, "name": row.name, "create_time": int(row.create_time), "order": row.order}
    return found | ({"deleted": row.deleted} if with_deleted else {})


def _group(row: TagGroup) -> dict[str, Any]:
    found = {
        "group_id": row.group_id,
        "group_name": row.name,
        "create_time": int(row.create_time),
        "order": row.order,
    }
    return found if row.strategy is None else found | {"strategy_id": row.strategy}


def get_list(call: Call) -> dict[str, Any]:
    """The library of corp tags, or the part asked for."""
    return library(call, None)


def library(call: Call, strategy: int | None) -> dict[str, Any]:
    """Corp tags, or those of a rule group; with both kinds of ids the tag ids are ignored, as WeCom does."""
    tag_ids, group_ids = strings(call.body, "tag_id"), strings(call.body, "group_id")
    groups = TagGroup.objects.filter(corpid=call.corpid, strategy=strategy)
    groups = groups.order_by("-order", "create_time", "group_id")
    tags = Tag.objects.filter(corpid=call.corpid, group_id__in=groups.order_by().values("group_id"))
    tags = tags.order_by("-order", "create_time", "tag_id")
    by_tag = bool(tag_ids) and not group_ids
    if group_ids:
        groups, tags = groups.filter(group_id__in=group_ids), tags.filter(group_id__in=group_ids)
    elif by_tag:
        tags = tags.filter(tag_id__in=tag_ids)
        groups = groups.filter(group_id__in=tags.values_list("group_id", flat=True))
    else:
        tags, groups = tags.filter(deleted=False), groups.filter(deleted=False)
    asked = bool(tag_ids or group_ids)
    by_group: dict[str, list[dict[str, Any]]] = {}
    for row in tags:
        by_group.setdefault(row.group_id, []).append(_tag(row, with_deleted=asked))
    return {
        "tag_group": [
            _group(row)
            | ({"deleted": row.deleted} if by_tag else {})
            | {"tag": by_group.get(row.group_id, [])}
            for row in groups
        ]
    }


def add(call: Call) -> dict[str, Any]:
    """Corp tags into a group that is named or given by id; made if it is not there."""
    return add_to(call, None)


def add_to(call: Call, strategy: int | None) -> dict[str, Any]:
    """The same for a rule group."""
    body = call.body
    names: dict[str, int] = {}
    given = body.get("tag")
    if not isinstance(given, list) or not given:
        raise WeComError(40063, "tag")
    for one in given:
        names.setdefault(_name(one, "name"), _order(one))
    group_id = text(body, "group_id")
    if group_id:
        there = TagGroup.objects.filter(corpid=call.corpid, strategy=strategy, deleted=False)
        group = there.filter(group_id=group_id).first()
        if group is None:
            raise WeComError(40068, "group_id")
    else:
        group_name = _name(body, "group_name")
        there = TagGroup.objects.filter(corpid=call.corpid, strategy=strategy, deleted=False)
        group = there.filter(name=group_name).first()
        if group is None:
            group = TagGroup.objects.create(
                group_id=ids.tag_id(strategy is not None),
                strategy=strategy,
                corpid=call.corpid,
                name=group_name,
                order=_order(body),
                create_time=call.now,
                agentid=call.app.agentid,
            )
    known = list(Tag.objects.filter(group_id=group.group_id, deleted=False, name__in=list(names)))
    if known and store.quirk("known_tag_name") == "40071":
        raise WeComError(40071)
    for row in known:
        del names[row.name]
    most = int(store.quirk("corp_tags"))
    if Tag.objects.filter(corpid=call.corpid, deleted=False).count() + len(names) > most:
        raise WeComError(40126)
    rows = [
        Tag(
            tag_id=ids.tag_id(strategy is not None),
            corpid=call.corpid,
            group_id=group.group_id,
            name=name,
            order=order,
            create_time=call.now,
        )
        for name, order in names.items()
    ]
    Tag.objects.bulk_create(rows)
    return {"tag_group": _group(group) | {"tag": [_tag(row) for row in [*known, *rows]]}}


def _order(body: Any, default: int = 0) -> int:
    """0 to 2³² - 1; larger comes first."""
    order = number(body, "order", default)
    if not 0 <= order < 2**32:
        raise WeComError(40058, "order")
    return order


def _name(body: Any, key: str) -> str:
    if not isinstance(body, dict):
        raise WeComError(40058, key)
    name = text(body, key, missing=40063)
    if len(name) > 30:
        raise WeComError(40072)
    return name


def _own_group(call: Call, group: TagGroup) -> None:
    """An app changes only what it made; which code WeCom gives otherwise is not documented."""
    if group.agentid != call.app.agentid:
        raise WeComError(int(store.quirk("foreign_tag")))


def edit(call: Call) -> dict[str, Any]:
    """A new name or order for a corp tag or a group of them."""
    return change(call, of_strategy=False)


def change(call: Call, *, of_strategy: bool) -> dict[str, Any]:
    """The same, for corp tags or for tags of rule groups."""
    given = text(call.body, "id", missing=40063)
    tag = Tag.objects.filter(corpid=call.corpid, tag_id=given, deleted=False).first()
    group_id = tag.group_id if tag else given
    group = TagGroup.objects.filter(corpid=call.corpid, group_id=group_id, deleted=False).first()
    if group is None or (group.strategy is not None) != of_strategy:
        raise WeComError(40068)
    _own_group(call, group)
    row: Tag | TagGroup = tag or group
    if call.body.get("name"):
        name = _name(call.body, "name")
        if tag:
            taken = Tag.objects.filter(group_id=group_id, name=name, deleted=False).exclude(tag_id=given)
            if taken.exists():
                raise WeComError(40071)
        elif (
            TagGroup.objects.filter(corpid=call.corpid, strategy=group.strategy, name=name, deleted=False)
            .exclude(group_id=given)
            .exists()
        ):
            raise WeComError(40071)
        row.name = name
    row.order = _order(call.body, row.order)
    row.save()
    return {}


def delete(call: Call) -> dict[str, Any]:
    """Delete corp tags and groups; customers lose the tags, an emptied group goes too."""
    return take_away(call, of_strategy=False)


def take_away(call: Call, *, of_strategy: bool) -> dict[str, Any]:
    """The same, for corp tags or for tags of rule groups."""
    tag_ids, group_ids = strings(call.body, "tag_id"), strings(call.body, "group_id")
    if not tag_ids and not group_ids:
        raise WeComError(40063, "tag_id")
    tags = list(Tag.objects.filter(corpid=call.corpid, tag_id__in=tag_ids, deleted=False))
    groups = list(TagGroup.objects.filter(corpid=call.corpid, group_id__in=group_ids, deleted=False))
    if len(tags) < len(set(tag_ids)) or len(groups) < len(set(group_ids)):
        raise WeComError(40068)
    for group in TagGroup.objects.filter(group_id__in={tag.group_id for tag in tags} | set(group_ids)):
        if (group.strategy is not None) != of_strategy:
            raise WeComError(40068)
        _own_group(call, group)
    remove(call.corpid, [tag.tag_id for tag in tags], group_ids)
    return {}


def remove(corpid: str, tag_ids: list[str], group_ids: list[str]) -> None:
    """Take tags and groups away, from customers as well; groups that became empty too."""
    going = Tag.objects.filter(corpid=corpid, deleted=False)
    gone = set(going.filter(tag_id__in=tag_ids).values_list("tag_id", flat=True))
    gone |= set(going.filter(group_id__in=group_ids).values_list("tag_id", flat=True))
    FollowTag.objects.filter(tag_id__in=gone).delete()
    Tag.objects.filter(tag_id__in=gone).update(deleted=True)
    full = Tag.objects.filter(corpid=corpid, deleted=False).values_list("group_id", flat=True)
    TagGroup.objects.filter(corpid=corpid, deleted=False).exclude(group_id__in=full).update(deleted=True)


def mark(call: Call) -> dict[str, Any]:
    """Tag a relation. Two calls for one customer at the same time: 45035 for the second."""
    userid, external_userid = (
        text(call.body, "userid", missing=41009),
        text(call.body, "external_userid", missing=41035),
    )
    adding, removing = strings(call.body, "add_tag"), strings(call.body, "remove_tag")
    if not adding and not removing:
        raise WeComError(40063, "add_tag")
    key = (call.corpid, external_userid)
    with _marking_lock:
        if key in _marking:
            raise WeComError(45035)
        _marking.add(key)
    try:
        with store.writing():
            row = follow_of(call, userid, external_userid)
            known = set(
                Tag.objects.filter(
                    corpid=call.corpid, deleted=False, tag_id__in=adding + removing
                ).values_list("tag_id", flat=True)
            )
            if not known.issuperset(adding) or not known.issuperset(removing):
                raise WeComError(40068)
            put(row.pk, adding, removing)
            if adding and FollowTag.objects.filter(follow=row.pk).count() > MOST_PER_FOLLOW:
                raise WeComError(40058, "too many tags")
            tell_written(call, row)
    finally:
        _marking.discard(key)
    return {}


def put(follow: int, adding: list[str], removing: list[str]) -> None:
    """Add and remove tags of a relation; repeating either changes nothing."""
    with connection.cursor() as cursor:
        if removing:
            cursor.execute(TAKE_OFF, [follow, store.as_json(removing)])
        cursor.executemany(PUT_ON, [(follow, tag_id) for tag_id in adding])
