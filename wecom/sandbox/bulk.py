"""Whole corps at once: load what is given, or generate customers from a seed."""

import random
from collections.abc import Iterator
from typing import Any

from django.db import connection

from . import clock, ids, ranges, store
from .errors import Refused
from .models import Customer, Department, Follow, FollowTag, Member, Seat, Tag, TagGroup

SLICE = 5000
SURNAMES = (
    "王李张刘陈杨黄赵周吴徐孙马胡朱郭何林罗高郑梁谢宋唐许邓韩冯曹彭曾肖田董潘袁蔡蒋余"
    "于杜叶程魏苏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯"
    "龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰梅建国文斌宇浩欣怡梓涵子轩雨"
    "晨思琪佳雪嘉欣一诺浩然俊杰晓东春花志远海燕红霞婷婷露莹琳倩云帆博文天佑可心若曦诗"
    "涵"
)


def load(given: dict[str, Any]) -> dict[str, int]:
    """Departments, members, tags, customers of a corp; what is there already is changed. Returns counts."""
    corpid = given["corpid"]
    store.corp(corpid)
    with store.writing():
        counts = {
            "departments": _departments(corpid, given.get("departments") or []),
            "members": _members(corpid, given.get("members") or []),
            "tags": _tags(corpid, given.get("tag_groups") or []),
        }
        customers, follows = _customers(corpid, given.get("customers") or [])
        return counts | {"customers": customers, "follows": follows}


def _departments(corpid: str, rows: list[dict[str, Any]]) -> int:
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


def _members(corpid: str, rows: list[dict[str, Any]]) -> int:
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
        group = TagGroup.objects.filter(corpid=corpid, name=given["group_name"], deleted=False).first()
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


def generate(corpid: str, customers: int, seed: int = 1) -> dict[str, int]:
    """N customers spread over the members who may have some; the same seed makes the same people."""
    corp = store.corp(corpid)
    members = list(
        Member.objects.filter(corpid=corpid, status=ranges.ACTIVE, has_contact_right=True)
        .order_by("id")
        .values_list("userid", flat=True)
    )
    if not members:
        raise Refused("this corp has no member who may have customers")
    tag_ids = list(
        Tag.objects.filter(corpid=corpid, deleted=False).order_by("tag_id").values_list("tag_id", flat=True)
    )
    now = clock.now()
    with store.writing(), connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM sandbox_follow")
        first = cursor.fetchone()[0] + 1
        draw = random.Random(seed)

        def people() -> Iterator[tuple[Any, ...]]:
            for n in range(customers):
                name = draw.choice(SURNAMES) + "".join(draw.choices(GIVEN, k=draw.choice((1, 2, 2))))
                union = ids.seeded("o", 28, seed, n) if corp.open_platform else ""
                yield (
                    corpid,
                    ids.seeded("wm", 32, corpid, seed, n),
                    name,
                    1,
                    draw.choice((0, 1, 2, 2)),
                    union,
                    "",
                    "",
                    "",
                    now,
                )

        cursor.executemany(
            "INSERT OR IGNORE INTO sandbox_customer (corpid, external_userid, name, type, gender, unionid,"
            " avatar, corp_name, position, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            people(),
        )
        cursor.executemany(
            "INSERT OR IGNORE INTO sandbox_follow (id, corpid, userid, external_userid, remark, description,"
            " remark_corp_name, remark_mobiles, personal_tags, createtime, add_way, oper_userid, state,"
            " source_id, half, lost, has_spoken)"
            " VALUES (%s, %s, %s, %s, '', '', '', '[]', '[]', %s, 1, %s, '', '', 0, 0, 0)",
            (
                (
                    first + n,
                    corpid,
                    members[n % len(members)],
                    ids.seeded("wm", 32, corpid, seed, n),
                    now - draw.random() * 365 * 86_400,
                    members[n % len(members)],
                )
                for n in range(customers)
            ),
        )
        if tag_ids:
            cursor.executemany(
                "INSERT OR IGNORE INTO sandbox_followtag (follow, tag_id) VALUES (%s, %s)",
                (
                    (first + n, draw.choice(tag_ids))
                    for n in range(customers)
                    for _ in range(draw.choice((0, 1, 2)))
                ),
            )
    return {"customers": customers, "members": len(members)}
