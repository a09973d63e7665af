"""「联系我」. Source: developer.work.weixin.qq.com/document/path/92228."""

from typing import Any

from wecom.sandbox import ids, ranges
from wecom.sandbox.call import Call, cut_page, number, numbers, page_size, read_cursor, strings, text
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import ContactWay, Member

MOST_WAYS = 500_000
MOST_USERS = 100
DEFAULT_WINDOW_S = 90 * 86_400


def _flag(body: dict[str, Any], key: str, default: bool) -> bool:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise WeComError(40058, f"{key} should be a bool")
    return value


def _people(call: Call, kind: int, users: list[str], parties: list[int]) -> list[str]:
    """The users in the corp's own spelling, once everybody was checked."""
    if kind == 1 and (len(users) != 1 or parties):
        raise WeComError(40058, "exactly one user for type 1")
    if not users and not parties:
        raise WeComError(40058, "user and party are both empty")
    rows = {row.userid.lower(): row for row in Member.objects.filter(corpid=call.corpid, userid__in=users)}
    in_range = ranges.visible_users(call.app)
    found = []
    for userid in users:
        row = rows.get(userid.lower())
        if row is None or row.status == ranges.LEFT:
            raise WeComError(40003, userid)
        if in_range is not None and userid.lower() not in in_range:
            raise WeComError(60011, userid)
        if row.status != ranges.ACTIVE or not row.has_contact_right:
            raise WeComError(41054, userid)
        found.append(row.userid)
    for party in parties:
        if not ranges.subtree(call.corpid, [party]):
            raise WeComError(40066, str(party))
    if (
        len({user.lower() for user in found} | {u.lower() for u in ranges.members_in(call.corpid, parties)})
        > MOST_USERS
    ):
        raise WeComError(41041)
    return found


def add(call: Call) -> dict[str, Any]:
    """Make a contact way; scene 2 answers its QR picture too."""
    body = call.body
    kind = number(body, "type", missing=41037)
    if kind not in (1, 2):
        raise WeComError(41039)
    scene = number(body, "scene", missing=41038)
    if scene not in (1, 2):
        raise WeComError(41040)
    style = number(body, "style", 1)
    if scene == 1 and style not in (1, 2, 3):
        raise WeComError(41042)
    way = ContactWay(
        config_id=ids.config_id(),
        corpid=call.corpid,
        agentid=call.app.agentid,
        type=kind,
        scene=scene,
        style=style,
        remark=text(body, "remark", most=30),
        skip_verify=_flag(body, "skip_verify", True),
        state=text(body, "state", most=30),
        is_temp=_flag(body, "is_temp", False),
        expires_in=min(number(body, "expires_in", 7 * 86_400), 14 * 86_400),
        chat_expires_in=min(number(body, "chat_expires_in", 86_400), 14 * 86_400),
        unionid=text(body, "unionid"),
        is_exclusive=_flag(body, "is_exclusive", False),
        mark_source=_flag(body, "mark_source", True),
        conclusions=body.get("conclusions") or {},
        parties=numbers(body, "party"),
        create_time=call.now,
    )
    way.users = _people(call, kind, strings(body, "user"), way.parties)
    if ContactWay.objects.filter(corpid=call.corpid, is_temp=False).count() >= MOST_WAYS:
        raise WeComError(41045)
    way.save()
    return {"config_id": way.config_id} | ({"qr_code": qr_code(way, call.base_url)} if scene == 2 else {})


def qr_code(way: ContactWay, base_url: str) -> str:
    """Address of the picture; what the picture says is the page of a person who scans it."""
    return f"{base_url}/wwpic/{way.config_id}/0"


def _own(call: Call) -> ContactWay:
    config_id = text(call.body, "config_id", missing=41043)
    way = ContactWay.objects.filter(corpid=call.corpid, agentid=call.app.agentid, config_id=config_id).first()
    if way is None:
        raise WeComError(41044)
    return way


def get(call: Call) -> dict[str, Any]:
    """One contact way with all its fields."""
    way = _own(call)
    found = {
        "config_id": way.config_id,
        "type": way.type,
        "scene": way.scene,
        "style": way.style,
        "remark": way.remark,
        "skip_verify": way.skip_verify,
        "state": way.state,
        "user": way.users,
        "party": way.parties,
        "is_temp": way.is_temp,
        "expires_in": way.expires_in,
        "chat_expires_in": way.chat_expires_in,
        "unionid": way.unionid,
        "is_exclusive": way.is_exclusive,
        "mark_source": way.mark_source,
        "conclusions": way.conclusions,
    }
    return {"contact_way": found | ({"qr_code": qr_code(way, call.base_url)} if way.scene == 2 else {})}


def list_ways(call: Call) -> dict[str, Any]:
    """Ids by time of making; without start_time only the last 90 days."""
    start = number(call.body, "start_time", int(call.now) - DEFAULT_WINDOW_S)
    end = number(call.body, "end_time", int(call.now) + 1)
    limit = page_size(call.body, default=100, most=1000, over="most")
    position = read_cursor(call.body, 1)
    rows = ContactWay.objects.filter(
        corpid=call.corpid,
        agentid=call.app.agentid,
        is_temp=False,
        create_time__gte=start,
        create_time__lt=end + 1,
        id__gt=position[0] if position else 0,
    ).order_by("id")[: limit + 1]
    page, next_cursor = cut_page(rows, limit, lambda way: [way.pk])
    return {"contact_way": [{"config_id": way.config_id} for way in page], "next_cursor": next_cursor}


def update(call: Call) -> dict[str, Any]:
    """What is given overwrites; users and parties are replaced together. Type, scene and is_temp stay."""
    way, body = _own(call), call.body
    if way.is_temp and call.now > way.create_time + way.expires_in:
        raise WeComError(41044, "expired")
    if "remark" in body:
        way.remark = text(body, "remark", most=30)
    if "state" in body:
        way.state = text(body, "state", most=30)
    if "style" in body:
        way.style = number(body, "style", 1)
        if way.scene == 1 and way.style not in (1, 2, 3):
            raise WeComError(41042)
    way.skip_verify = _flag(body, "skip_verify", way.skip_verify)
    way.is_exclusive = _flag(body, "is_exclusive", way.is_exclusive)
    way.mark_source = _flag(body, "mark_source", way.mark_source)
    way.expires_in = number(body, "expires_in", way.expires_in)
    way.chat_expires_in = number(body, "chat_expires_in", way.chat_expires_in)
    if "unionid" in body:
        way.unionid = text(body, "unionid")
    if "conclusions" in body:
        way.conclusions = body["conclusions"] or {}
    users = strings(body, "user") if "user" in body else way.users
    parties = numbers(body, "party") if "party" in body else way.parties
    if "user" in body or "party" in body:
        way.users, way.parties = _people(call, way.type, users, parties), parties
    way.save()
    return {}


def delete(call: Call) -> dict[str, Any]:
    """The code does not work any more."""
    _own(call).delete()
    return {}


def close_temp_chat(call: Call) -> dict[str, Any]:
    """End a temporary chat; the sandbox keeps no temporary relations, so only the ids are checked."""
    from .contacts import follow_of

    follow_of(call, text(call.body, "userid"), text(call.body, "external_userid"))
    return {}
