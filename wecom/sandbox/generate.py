"""Customers made up from a seed, many and fast: for benchmarks and for an arrival's name."""

import random
from typing import Any

from django.db import connection

from . import clock, ids, ranges, store
from .errors import Refused
from .models import Customer, Member, Tag

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
YEAR_S = 365 * 86_400

CUSTOMER_SQL = (
    "INSERT INTO sandbox_customer (corpid, external_userid, name, type, gender, unionid, avatar, corp_name,"
    " position, created_at) VALUES (%s, %s, %s, 1, %s, %s, '', '', '', %s)"
)
FOLLOW_SQL = (
    "INSERT INTO sandbox_follow (id, corpid, userid, external_userid, remark, description, remark_corp_name,"
    " remark_mobiles, personal_tags, createtime, add_way, oper_userid, state, source_id, half, lost,"
    " has_spoken)"
    " VALUES (%s, %s, %s, %s, '', '', '', '[]', '[]', %s, 1, %s, '', '', 0, 0, 0)"
)


draw = random.Random()  # for names that a page suggests


def a_name(by: random.Random) -> str:
    """A Chinese name."""
    return by.choice(SURNAMES) + "".join(by.choices(GIVEN, k=by.choice((1, 2, 2))))


def generate(corpid: str, customers: int, seed: int = 1) -> dict[str, int]:
    """N customers, one relation each, spread over the members; the same seed makes the same people."""
    corp = store.corp(corpid)
    able = Member.objects.filter(corpid=corpid, status=ranges.ACTIVE, has_contact_right=True)
    members = list(able.order_by("id").values_list("userid", flat=True))
    if not members:
        raise Refused("this corp has no member who may have customers")
    known = Tag.objects.filter(corpid=corpid, deleted=False).order_by("tag_id")
    tag_ids = list(known.values_list("tag_id", flat=True))
    external = [ids.seeded("wm", 32, corpid, seed, n) for n in range(customers)]
    if Customer.objects.filter(corpid=corpid, external_userid__in=external[:1]).exists():
        raise Refused(f"seed {seed} was used before")
    unions = [ids.seeded("o", 28, seed, n) if corp.open_platform else "" for n in range(customers)]
    now = clock.now()
    by = random.Random(seed)
    # Iterators, not lists: a million rows need no memory. The stubs ask for sequences, SQLite does not.
    people: Any = (
        (corpid, one, a_name(by), by.choice((0, 1, 2, 2)), union, now)
        for one, union in zip(external, unions, strict=True)
    )
    with store.writing(), connection.cursor() as cursor:
        cursor.executemany(CUSTOMER_SQL, people)
        cursor.execute("SELECT coalesce(max(id), 0) + 1 FROM sandbox_follow")
        first = cursor.fetchone()[0]
        follows: Any = (
            (first + n, corpid, userid, one, now - by.random() * YEAR_S, userid)
            for n, one in enumerate(external)
            for userid in (members[n % len(members)],)
        )
        cursor.executemany(FOLLOW_SQL, follows)
        if tag_ids:
            tags: Any = (
                (first + n, tag_id)
                for n in range(customers)
                for tag_id in by.sample(tag_ids, min(len(tag_ids), by.choice((0, 1, 2))))
            )
            cursor.executemany("INSERT INTO sandbox_followtag (follow, tag_id) VALUES (%s, %s)", tags)
    return {"customers": customers, "members": len(members)}
