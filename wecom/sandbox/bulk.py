"""A whole corp at once, as it is given: departments, members, tags, customers."""

from typing import Any

from . import clock, ids, store
from .errors import Refused
from .models import Customer, Department, Follow, FollowTag, Member, Seat, Tag, TagGroup

SLICE = 5000


def load(given: dict[str, Any]) -> dict[str, int]:
    """Departments, members, tags, customers of a corp; what is there already is changed. Returns counts."""
    corpid = given["corpid"]
    store.corp(corpid)
    with store.writing():
        counts = {
            "departments": put_departments(corpid, given.get("departments") or []),
            "members": put_members(corpid, given.get("members") or []),
            "tags": _tags(corpid, given.get("tag_groups") or []),
        }
        customers, follows = _customers(corpid, given.get("customers") or [])
        return counts | {"customers": customers, "follows": follows}


def put_departments(corpid: str, rows: list[dict[str, Any]]) -> int:
    """Make or change departments: id, name, parentid?, order?."""
    for row in rows:
        Department.objects.update_or_create(
            corpid=corpid,
            dept_id=int(row["id"]),
            defaults={
                "name": row["name"],
                "parentid": int(row.get("parentid") or 0),
                "order": int(row.get("order") or 0),
            },
        )
    return len(rows)


def put_members(corpid: str, rows: list[dict[str, Any]]) -> int:
    """Make or change members, whole; who had left is back."""
    for row in rows:
        departments = [int(one) for one in row.get("department") or [1]]
        leader = row.get("leader")
        leader_in = (
            [int(one) for one in leader] if isinstance(leader, list) else (departments if leader else [])
        )
        defaults = {
            "name": row.get("name") or row["userid"],
            "departments": departments,
            "leader_in": leader_in,
            "position": row.get("position") or "",
            "mobile": row.get("mobile") or "",
            "email": row.get("email") or "",
            "gender": int(row.get("gender") or 0),
            "alias": row.get("alias") or "",
            "status": int(row.get("status") or 1),
            "has_contact_right": row.get("has_contact_right", True),
            "console_welcome": row.get("console_welcome", False),
            "left_at": None,
        }
        Member.objects.update_or_create(corpid=corpid, userid=row["userid"], defaults=defaults)
        Seat.objects.filter(corpid=corpid, userid=row["userid"]).delete()
        Seat.objects.bulk_create(
            Seat(corpid=corpid, dept_id=one, userid=row["userid"]) for one in set(departments)
        )
    return len(rows)


def _tags(corpid: str, groups: list[dict[str, Any]]) -> int:
    n = 0
    for place, given in enumerate(groups):
        group = TagGroup.objects.filter(
            corpid=corpid, name=given["group_name"], strategy=None, deleted=False
        ).first()
        if group is None:
            group = TagGroup.objects.create(
                group_id=given.get("group_id") or ids.tag_id(),
                corpid=corpid,
                name=given["group_name"],
                order=len(groups) - place,
                create_time=clock.now(),
                agentid=given.get("agent_id"),  # None: made in the console, no app may edit it
            )
        there = set(Tag.objects.filter(group_id=group.group_id, deleted=False).values_list("name", flat=True))
        names = [name for name in dict.fromkeys(given.get("tags") or []) if name not in there]
        Tag.objects.bulk_create(
            Tag(
                tag_id=ids.tag_id(),
                corpid=corpid,
                group_id=group.group_id,
                name=name,
                order=len(names) - n_tag,
                create_time=clock.now(),
            )
            for n_tag, name in enumerate(names)
        )
        n += len(names)
    return n


def _customers(corpid: str, rows: list[dict[str, Any]]) -> tuple[int, int]:
    now = clock.now()
    tag_ids: dict[str, str] = {}
    for tag_id, name in Tag.objects.filter(corpid=corpid, deleted=False).values_list("tag_id", "name"):
        tag_ids[name] = tag_ids[tag_id] = tag_id
    people, follows, tags_of = [], [], []
    for row in rows:
        kind = int(row.get("type") or 1)
        external_userid = row.get("external_userid") or ids.external_userid(kind)
        people.append(
            Customer(
                corpid=corpid,
                external_userid=external_userid,
                name=row.get("name") or "微信用户",
                type=kind,
                gender=int(row.get("gender") or 0),
                unionid=row.get("unionid") or "",
                avatar=row.get("avatar") or "",
                corp_name=row.get("corp_name") or "",
                position=row.get("position") or "",
                created_at=now,
            )
        )
        for one in row.get("follows") or ():
            unknown = [tag for tag in one.get("tags") or () if tag not in tag_ids]
            if unknown:
                raise Refused(f"no tag {unknown[0]!r}")
            tags_of.append([tag_ids[tag] for tag in one.get("tags") or ()])
            follows.append(
                Follow(
                    corpid=corpid,
                    userid=one["userid"],
                    external_userid=external_userid,
                    createtime=one.get("createtime") or now,
                    remark=one.get("remark") or "",
                    description=one.get("description") or "",
                    remark_mobiles=one.get("remark_mobiles") or [],
                    state=one.get("state") or "",
                    add_way=int(one.get("add_way") or 1),
                    oper_userid=one.get("oper_userid") or one["userid"],
                    lost=bool(one.get("lost")),
                )
            )
    Customer.objects.bulk_create(
        people,
        batch_size=SLICE,
        update_conflicts=True,
        unique_fields=["corpid", "external_userid"],
        update_fields=["name", "type", "gender", "unionid", "avatar", "corp_name", "position"],
    )
    made = Follow.objects.bulk_create(
        follows,
        batch_size=SLICE,
        update_conflicts=True,
        unique_fields=["corpid", "external_userid", "userid"],
        update_fields=["createtime", "remark", "description", "remark_mobiles", "state", "add_way", "lost"],
    )
    FollowTag.objects.bulk_create(
        (
            FollowTag(follow=row.pk, tag_id=tag_id)
            for row, own in zip(made, tags_of, strict=True)
            for tag_id in own
        ),
        batch_size=SLICE,
        ignore_conflicts=True,
    )
    return len(people), len(follows)
