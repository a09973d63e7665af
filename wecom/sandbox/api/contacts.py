"""Customers and their relations.

Source: developer.work.weixin.qq.com/document/path/92571, 92113, 92114, 92994, 92115.
"""

from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpResponse

from wecom.sandbox import ids, prepared, ranges, store
from wecom.sandbox.call import (
    Answer,
    Call,
    cut_page,
    make_cursor,
    member,
    page_size,
    read_cursor,
    serving_member,
    strings,
    text,
)
from wecom.sandbox.errors import WeComError
from wecom.sandbox.events import emit
from wecom.sandbox.models import Corp, Customer, Follow, FollowTag, Member

from . import media

GET_PAGE = 500
OF_MEMBER = "SELECT external_userid FROM sandbox_follow WHERE corpid = %s AND userid = %s AND (%s OR NOT lost) ORDER BY id"
MEMBERS = (
    "SELECT userid, has_contact_right FROM sandbox_member"
    " WHERE corpid = %s AND status <> %s AND userid IN (SELECT value FROM json_each(%s))"
)


def get_follow_user_list(call: Call) -> dict[str, Any]:
    """Members with the customer-contact right in the visible range."""
    rows = Member.objects.filter(corpid=call.corpid, status=ranges.ACTIVE, has_contact_right=True).order_by(
        "id"
    )
    users = ranges.visible_users(call.app)
    found = [row.userid for row in rows if users is None or row.userid.lower() in users]
    return {"follow_user": found}


def list_customers(call: Call) -> dict[str, Any]:
    """All customers of one member; 84061 when he has none."""
    found = serving_member(call, call.query.get("userid", ""))
    with connection.cursor() as cursor:
        cursor.execute(OF_MEMBER, [call.corpid, found.userid, store.quirk("lost_in_lists") == "kept"])
        external = [row[0] for row in cursor.fetchall()]
    if not external and store.quirk("no_customers") == "84061":
        raise WeComError(84061)
    return {"external_userid": external}


def external_contact(corp: Corp, row: Customer, *, base_url: str) -> dict[str, Any]:
    """The customer's own half; unionid only with an open platform bound and for WeChat users."""
    found: dict[str, Any] = {
        "external_userid": row.external_userid,
        "name": row.name,
        "type": row.type,
        "avatar": row.avatar or f"{base_url}/avatar/{row.external_userid}.svg",
        "gender": row.gender,
    }
    if row.type == 1 and corp.open_platform and row.unionid:
        found["unionid"] = row.unionid
    if row.type == 2:
        found |= {
            "position": row.position,
            "corp_name": row.corp_name,
            "corp_full_name": row.corp_name,
            "external_profile": {"external_attr": []},
        }
    return found


def _relation(row: Follow, customer_type: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "userid": row.userid,
        "remark": row.remark,
        "description": row.description,
        "createtime": int(row.createtime),
        "remark_mobiles": row.remark_mobiles,
        "add_way": row.add_way,
        "oper_userid": row.oper_userid or row.external_userid,
    }
    if customer_type == 1:
        found["remark_corp_name"] = row.remark_corp_name
    if row.state:
        found["state"] = row.state
    return found


def tags_of(follows: list[int]) -> dict[int, list[str]]:
    """Corp tag ids by relation."""
    found: dict[int, list[str]] = {}
    for follow, tag_id in (
        FollowTag.objects.filter(follow__in=follows).order_by("id").values_list("follow", "tag_id")
    ):
        found.setdefault(follow, []).append(tag_id)
    return found


FOLLOWS = (
    "SELECT f.* FROM sandbox_follow f JOIN sandbox_member m ON m.corpid = f.corpid AND m.userid = f.userid"
    " WHERE f.corpid = %s AND f.external_userid = %s AND m.status <> %s ORDER BY f.id"
)
FOLLOW = "SELECT * FROM sandbox_follow WHERE corpid = %s AND external_userid = %s AND userid = %s"
CUSTOMER = "SELECT * FROM sandbox_customer WHERE corpid = %s AND external_userid = %s"
NAMED_TAGS = (
    "SELECT f.follow, t.tag_id, t.name, g.name, g.strategy FROM sandbox_followtag f"
    " JOIN sandbox_tag t ON t.tag_id = f.tag_id JOIN sandbox_taggroup g ON g.group_id = t.group_id"
    " WHERE f.follow IN (SELECT value FROM json_each(%s)) AND t.corpid = %s ORDER BY f.id"
)


def named_tags(call: Call, follows: list[int]) -> dict[int, list[dict[str, Any]]]:
    """Corp and rule-group tags of relations, with their names."""
    found: dict[int, list[dict[str, Any]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(NAMED_TAGS, [store.as_json(follows), call.corpid])
        for follow, tag_id, name, group_name, strategy in cursor.fetchall():
            kind = 1 if strategy is None else 3
            one = {"group_name": group_name, "tag_name": name, "tag_id": tag_id, "type": kind}
            found.setdefault(follow, []).append(one)
    return found


def visible_follows(call: Call, external_userid: str) -> list[Follow]:
    """Relations with members who are there and in the visible range, oldest first."""
    rows = Follow.objects.raw(FOLLOWS, [call.corpid, external_userid, ranges.LEFT])
    users, keeps_lost = ranges.visible_users(call.app), store.quirk("lost_in_lists") == "kept"
    return [
        row for row in rows if (keeps_lost or not row.lost) and (users is None or row.userid.lower() in users)
    ]


def get(call: Call) -> dict[str, Any]:
    """A customer with everybody who follows him."""
    external_userid = call.query.get("external_userid", "")
    if not external_userid:
        raise WeComError(41035)
    customer = next(iter(Customer.objects.raw(CUSTOMER, [call.corpid, external_userid])), None)
    if customer is None:
        raise WeComError(40096)
    position = read_cursor(dict(call.query), 1)
    rows = [row for row in visible_follows(call, external_userid) if position is None or row.pk > position[0]]
    if not rows and position is None:
        raise WeComError(84061)
    page, next_cursor = cut_page(rows, GET_PAGE, lambda row: [row.pk])
    named = named_tags(call, [row.pk for row in page])
    follow_user = []
    for row in page:
        personal = [{"group_name": "个人标签", "tag_name": name, "type": 2} for name in row.personal_tags]
        follow_user.append(_relation(row, customer.type) | {"tags": named.get(row.pk, []) + personal})
    found = {
        "external_contact": external_contact(call.corp, customer, base_url=call.base_url),
        "follow_user": follow_user,
    }
    return found | ({"next_cursor": next_cursor} if next_cursor else {})


def _follows_after(
    call: Call, userids: list[str], position: list[Any] | None, limit: int
) -> list[tuple[int, Follow]]:
    """Up to limit + 1 relations of the members, in their order, after (place in the list, relation)."""
    place, last = (int(position[0]), int(position[1])) if position else (0, 0)
    found: list[tuple[int, Follow]] = []
    while place < len(userids) and len(found) <= limit:
        rows: QuerySet[Follow] = Follow.objects.filter(corpid=call.corpid, userid=userids[place], id__gt=last)
        if store.quirk("lost_in_lists") == "gone":
            rows = rows.filter(lost=False)
        found += [(place, row) for row in rows.order_by("id")[: limit + 1 - len(found)]]
        place, last = place + 1, 0
    return found


def _serving(call: Call, userids: list[str]) -> list[str]:
    """The same members as the corp spells them, once each was checked."""
    with connection.cursor() as cursor:
        cursor.execute(MEMBERS, [call.corpid, ranges.LEFT, store.as_json(userids)])
        rows = {row[0].lower(): row for row in cursor.fetchall()}
    users = ranges.visible_users(call.app)
    found = []
    for userid in dict.fromkeys(userid.lower() for userid in userids):
        name, has_right = rows.get(userid, ("", False))
        if not name:
            raise WeComError(60111, userid)
        if users is not None and userid not in users:
            raise WeComError(60011, userid)
        if not has_right:
            raise WeComError(84074, userid)
        found.append(name)
    return found


def relation(
    corp: Corp, row: Follow, customer: Customer, tag_ids: list[str], base_url: str
) -> dict[str, Any]:
    """One row of batch/get_by_user."""
    return {
        "external_contact": external_contact(corp, customer, base_url=base_url),
        "follow_info": _relation(row, customer.type) | {"tag_id": tag_ids},
    }


def batch_get_by_user(call: Call) -> Answer:
    """Details by pages; a customer comes once per follower. Keyset: each page costs what it holds."""
    userids = strings(call.body, "userid_list", most=100)
    if not userids:
        raise WeComError(41009)
    userids = _serving(call, userids)
    limit = page_size(call.body, default=50, most=100, over="most")
    position = read_cursor(call.body, 2)
    ready = prepared.page(call.corpid, userids, position, limit)
    if ready:
        place, follow, _body = ready[:limit][-1]
        next_cursor = make_cursor(place, follow) if len(ready) > limit else ""
        bodies = [body for _place, _follow, body in ready[:limit]]
        return HttpResponse(
            prepared.answer(bodies, next_cursor, call.base_url), content_type="application/json"
        )
    rows = _follows_after(call, userids, position, limit)
    if len(rows) > limit and limit > 1 and store.quirk("short_pages") == "short":
        limit -= 1 + rows[limit][1].pk % (limit // 2 or 1)
    page = rows[:limit]
    next_cursor = make_cursor(page[-1][0], page[-1][1].pk) if len(rows) > limit else ""
    customers = {
        row.external_userid: row
        for row in Customer.objects.filter(
            corpid=call.corpid, external_userid__in=[row.external_userid for _, row in page]
        )
    }
    tags = tags_of([row.pk for _, row in page])
    found = [
        relation(call.corp, row, customers[row.external_userid], tags.get(row.pk, []), call.base_url)
        for _, row in page
    ]
    return {"external_contact_list": found, "next_cursor": next_cursor}


def follow_of(call: Call, userid: str, external_userid: str) -> Follow:
    """The relation of a visible member with a customer, or 84061."""
    if not userid:
        raise WeComError(41009)
    if not external_userid:
        raise WeComError(41035)
    found = member(call, userid)
    row = next(iter(Follow.objects.raw(FOLLOW, [call.corpid, external_userid, found.userid])), None)
    if row is None:
        known = Customer.objects.filter(corpid=call.corpid, external_userid=external_userid).exists()
        raise WeComError(84061 if known else 40096)
    return row


def remark(call: Call) -> dict[str, Any]:
    """Change what a member wrote about a customer; only what is given changes."""
    body = call.body
    given = {"remark", "description", "remark_company", "remark_mobiles", "remark_pic_mediaid"} & set(body)
    userid, external_userid = (
        text(body, "userid", missing=41009),
        text(body, "external_userid", missing=41035),
    )
    if not given:
        raise WeComError(40063, "remark")
    changes: dict[str, Any] = {}
    if "remark" in given:
        changes["remark"] = text(body, "remark", most=20)
    if "description" in given:
        changes["description"] = text(body, "description", most=150)
    if "remark_company" in given:
        changes["remark_corp_name"] = text(body, "remark_company", most=20)
    if "remark_mobiles" in given:
        if body["remark_mobiles"] == "" and store.quirk("clear_mobiles") == "clears":
            changes["remark_mobiles"] = []
        else:
            changes["remark_mobiles"] = [mobile for mobile in strings(body, "remark_mobiles") if mobile]
    if body.get("remark_pic_mediaid"):
        media.check(call.corpid, text(body, "remark_pic_mediaid"), "image", now=call.now)
    row = follow_of(call, userid, external_userid)
    if "remark_corp_name" in changes and not external_userid.startswith("wm"):
        del changes["remark_corp_name"]
    Follow.objects.filter(pk=row.pk).update(**changes)
    tell_written(call, row)
    return {}


def tell_written(call: Call, row: Follow) -> None:
    """edit_external_contact for what an API call wrote: one page says so, another that it never comes."""
    if store.quirk("api_writes_tell") == "yes":
        fields = [("UserID", row.userid), ("ExternalUserID", row.external_userid)]
        emit(call.corpid, "change_external_contact", "edit_external_contact", fields, userid=row.userid)


def convert_to_openid(call: Call) -> dict[str, Any]:
    """openid of a WeChat customer for the corp's payments."""
    external_userid = text(call.body, "external_userid", missing=41035)
    row = Customer.objects.filter(corpid=call.corpid, external_userid=external_userid).first()
    if row is None:
        raise WeComError(40096)
    if row.type != 1:
        raise WeComError(41056)
    return {"openid": ids.seeded("o", 28, call.corpid, external_userid)}


def contact_list(call: Call) -> dict[str, Any]:
    """Everybody served by members whom the app sees, by relation."""
    limit = page_size(call.body, default=1000, most=1000, over="most")
    position = read_cursor(call.body, 1)
    everybody = Member.objects.filter(corpid=call.corpid).exclude(status=ranges.LEFT)
    users = ranges.visible_users(call.app)
    if users is not None:
        everybody = everybody.filter(userid__in=list(users))
    rows = Follow.objects.filter(corpid=call.corpid, userid__in=everybody.values("userid"))
    rows = rows.filter(id__gt=position[0] if position else 0).order_by("id")
    page, next_cursor = cut_page(rows[: limit + 1], limit, lambda row: [row.pk])
    found = [
        {
            "is_customer": True,
            "tmp_openid": ids.seeded("ow", 28, call.corpid, row.external_userid, int(call.now) // 14_400),
            "external_userid": row.external_userid,
            "follow_userid": row.userid,
            "add_time": int(row.createtime),
        }
        for row in page
    ]
    return {"info_list": found, "next_cursor": next_cursor}
