"""Groups that an app makes of members (应用推送消息到群聊会话): internal, no customers.

Source: developer.work.weixin.qq.com/document/path/90244, 90245, 98913, 90248. The app must see the root department.
"""

import re
from typing import Any

from wecom.sandbox import ids, ranges
from wecom.sandbox.call import Call, strings, text
from wecom.sandbox.content import part
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import AppChat, Member, Message

from .messages import BODIES

FEWEST, MOST = 2, 2000
PER_DAY = 1000
ROOT = 1
CHAT_ID = re.compile(r"[A-Za-z0-9]{1,32}")


def _allowed(call: Call) -> None:
    visible = ranges.visible_departments(call.app)
    if visible is not None and ROOT not in visible:
        raise WeComError(60011)


def _members(call: Call, userids: list[str]) -> list[str]:
    rows = Member.objects.filter(corpid=call.corpid, status=ranges.ACTIVE, userid__in=userids)
    there = {userid.lower(): userid for userid in rows.values_list("userid", flat=True)}
    if any(userid.lower() not in there for userid in userids):
        raise WeComError(86216)
    return list(dict.fromkeys(there[userid.lower()] for userid in userids))


def _owner(call: Call, given: str, users: list[str]) -> str:
    for userid in users:
        if userid.lower() == given.lower():
            return userid
    raise WeComError(86207)


def create(call: Call) -> dict[str, Any]:
    """A group of 2 to 2,000 members."""
    _allowed(call)
    userids = strings(call.body, "userlist")
    if not FEWEST <= len(set(map(str.lower, userids))) <= MOST:
        raise WeComError(86006)
    users = _members(call, userids)
    chatid = text(call.body, "chatid") or ids.config_id()
    if not CHAT_ID.fullmatch(chatid):
        raise WeComError(86001)
    if AppChat.objects.filter(corpid=call.corpid, chatid=chatid).exists():
        raise WeComError(86215)
    made = AppChat.objects.filter(corpid=call.corpid, create_time__gt=call.now - 86_400)
    if made.count() >= PER_DAY:
        raise WeComError(45009)
    owner = text(call.body, "owner")
    AppChat.objects.create(
        corpid=call.corpid,
        chatid=chatid,
        agentid=call.app.agentid,
        name=text(call.body, "name", most=50),
        owner=_owner(call, owner, users) if owner else users[0],
        users=users,
        create_time=call.now,
    )
    return {"chatid": chatid}


def _own(call: Call, chatid: str) -> AppChat:
    if not chatid:
        raise WeComError(86201)
    row = AppChat.objects.filter(corpid=call.corpid, agentid=call.app.agentid, chatid=chatid).first()
    if row is None:
        raise WeComError(86003)
    return row


def update(call: Call) -> dict[str, Any]:
    """Another name or owner; people come and go."""
    row = _own(call, text(call.body, "chatid"))
    users = [*row.users, *_members(call, strings(call.body, "add_user_list"))]
    going = {userid.lower() for userid in strings(call.body, "del_user_list")}
    users = [userid for userid in dict.fromkeys(users) if userid.lower() not in going]
    if not FEWEST <= len(users) <= MOST:
        raise WeComError(86006)
    owner = text(call.body, "owner")
    row.name = text(call.body, "name", most=50) or row.name
    row.owner = _owner(call, owner or row.owner, users) if owner or row.owner in users else users[0]
    row.users = users
    row.save()
    return {}


def get(call: Call) -> dict[str, Any]:
    """Who is in it."""
    row = _own(call, call.query.get("chatid", ""))
    return {"chat_info": {"chatid": row.chatid, "name": row.name, "owner": row.owner, "userlist": row.users}}


def send(call: Call) -> dict[str, Any]:
    """A message into the group."""
    row = _own(call, text(call.body, "chatid"))
    kind = text(call.body, "msgtype", missing=40008)
    if kind not in BODIES or kind in ("miniprogram_notice", "template_card"):
        raise WeComError(40008)
    own = part(call.body, kind)
    words = BODIES[kind](call, own)
    Message.objects.create(
        corpid=call.corpid,
        kind="achat",
        userid=row.owner,
        external_userid=row.chatid,
        text=words,
        attachments=[] if kind == "text" else [{"msgtype": kind, kind: own}],
        at=call.now,
    )
    return {}
