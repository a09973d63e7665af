"""Customer groups: list, details, ownership.

Source: developer.work.weixin.qq.com/document/path/92120, 92122, 92127, 95703.
"""

from typing import Any

from wecom.sandbox import group_acts, ranges
from wecom.sandbox.call import Call, cut_page, number, read_cursor, serving_member, strings, text
from wecom.sandbox.content import part
from wecom.sandbox.errors import WeComError, head
from wecom.sandbox.models import GroupChat, Happening, Member

MOST_OWNERS = 100
MOST_UNFILTERED = 1000  # visible members above which an owner filter is demanded
MOST_TRANSFERRED, MOST_PER_DAY = 100, 300
YEAR_S = 365 * 86_400
ONJOB_WINDOW_S, ONJOB_TIMES = 90 * 86_400, 2


def owners(call: Call) -> list[str] | None:
    """Lower-cased owners of owner_filter within the visible range; None: everybody's groups."""
    wanted = strings(part(call.body, "owner_filter"), "userid_list", most=MOST_OWNERS)
    visible = ranges.visible_users(call.app)
    if not wanted:
        n = len(visible) if visible is not None else Member.objects.filter(corpid=call.corpid).count()
        if n > MOST_UNFILTERED:
            raise WeComError(81017)
        return None if visible is None else sorted(visible)
    found = [userid.lower() for userid in wanted]
    if visible is not None and not visible.issuperset(found):
        raise WeComError(60011)
    return found


def list_chats(call: Call) -> dict[str, Any]:
    """Ids and states."""
    limit = number(call.body, "limit")
    if not 1 <= limit <= 1000:
        raise WeComError(40058, "limit")
    status = number(call.body, "status_filter", 0)
    if status not in (0, 1, 2, 3):
        raise WeComError(40058, "status_filter")
    wanted = owners(call)
    position = read_cursor(call.body, 1)
    rows = GroupChat.objects.filter(
        corpid=call.corpid, dismissed_at=None, id__gt=position[0] if position else 0
    )
    if wanted is not None:
        rows = rows.filter(owner__in=wanted)
    if not part(call.body, "owner_filter") and status == 0:
        rows = rows.exclude(status=1)  # groups of somebody who left are found only by naming him
    if status:
        rows = rows.filter(status=status)
    page, next_cursor = cut_page(rows.order_by("id")[: limit + 1], limit, lambda row: [row.pk])
    found = [{"chat_id": row.chat_id, "status": row.status} for row in page]
    return {"group_chat_list": found, "next_cursor": next_cursor}


def get(call: Call) -> dict[str, Any]:
    """A group with its members; perhaps still as it was before the last event."""
    chat_id = text(call.body, "chat_id", missing=40063)
    chat = GroupChat.objects.filter(corpid=call.corpid, chat_id=chat_id).first()
    if chat is None:
        raise WeComError(40050)
    if chat.dismissed_at is not None:
        raise WeComError(49008)
    if not ranges.sees(call.app, chat.owner):
        raise WeComError(60011)
    found = chat.stale if chat.stale and call.now < chat.stale_until else group_acts.detail(chat)
    if number(call.body, "need_name", 0) != 1:
        for one in found["member_list"]:
            one.pop("name", None)
    return {"group_chat": found}


def opengid_to_chatid(call: Call) -> dict[str, Any]:
    """The group in which a mini-program was opened; here a group's opengid is simply its chat_id."""
    opengid = text(call.body, "opengid", missing=40063)
    if not GroupChat.objects.filter(corpid=call.corpid, chat_id=opengid, dismissed_at=None).exists():
        raise WeComError(40058, "opengid")
    return {"chat_id": opengid}


def _refusal(call: Call, chat: GroupChat | None, new_owner: str, *, resigned: bool) -> int:
    if chat is None:
        return 90501
    owner = Member.objects.filter(corpid=call.corpid, userid=chat.owner).first()
    has_left = owner is None or owner.status == ranges.LEFT
    if resigned and not has_left:
        return 90500
    if not resigned and has_left:
        return 90502
    if chat.owner.lower() == new_owner.lower():
        return 90504
    if resigned and owner is not None and owner.left_at and call.now - owner.left_at > YEAR_S:
        return 90500
    moved = Happening.objects.filter(corpid=call.corpid, kind="gmove", source_id=chat.chat_id)
    if not resigned and moved.filter(at__gt=call.now - ONJOB_WINDOW_S).count() >= ONJOB_TIMES:
        return 90508
    today = Happening.objects.filter(
        corpid=call.corpid, kind="gmove", userid=chat.owner, at__gt=call.now - 86_400
    )
    return 45009 if today.count() >= MOST_PER_DAY else 0


def _transfer(call: Call, *, resigned: bool) -> dict[str, Any]:
    chat_ids = strings(call.body, "chat_id_list", most=MOST_TRANSFERRED)
    if not chat_ids:
        raise WeComError(40063, "chat_id_list")
    new_owner = serving_member(call, text(call.body, "new_owner", missing=41009)).userid
    failed = []
    for chat_id in chat_ids:
        chat = GroupChat.objects.filter(corpid=call.corpid, chat_id=chat_id, dismissed_at=None).first()
        errcode = _refusal(call, chat, new_owner, resigned=resigned)
        if errcode or chat is None:
            failed.append({"chat_id": chat_id, "errcode": errcode, "errmsg": head(errcode)})
            continue
        Happening.objects.create(
            corpid=call.corpid, kind="gmove", userid=chat.owner, source_id=chat_id, at=call.now
        )
        group_acts.set_owner(chat, new_owner, status=3 if resigned else 0)
    return {"failed_chat_list": failed}


def transfer(call: Call) -> dict[str, Any]:
    """Groups of a member who left; at once, and the platform tells of the new owner."""
    return _transfer(call, resigned=True)


def onjob_transfer(call: Call) -> dict[str, Any]:
    """Groups of a member who stays."""
    return _transfer(call, resigned=False)
