"""What happens in customer groups, from founding to dissolving, with the event of each act.

Source: developer.work.weixin.qq.com/document/path/92130 (events), 92229 (join ways).
"""

from typing import Any

from . import clock, habits, ids, people, store
from .errors import Refused
from .events import emit
from .models import Customer, GroupChat, GroupMember, GroupTemplate, JoinWay, Message

EVENT = "change_external_chat"
INVITED = 0  # JoinScene of the event, where a scan is 3; groupchat/get numbers them 1 and 3
BY_HIMSELF, REMOVED = 0, 1  # QuitScene


def chat_of(corpid: str, chat_id: str) -> GroupChat:
    """A living group, or Refused (404)."""
    found = GroupChat.objects.filter(corpid=corpid, chat_id=chat_id, dismissed_at=None).first()
    if found is None:
        raise Refused(f"no group {chat_id!r}", status=404)
    return found


def detail(chat: GroupChat) -> dict[str, Any]:
    """A group as groupchat/get shows it, names included."""
    rows = list(GroupMember.objects.filter(chat_id=chat.chat_id).order_by("id"))
    external = [row.userid for row in rows if row.type == 2]
    names = {
        row.external_userid: row
        for row in Customer.objects.filter(corpid=chat.corpid, external_userid__in=external)
    }
    members = []
    for row in rows:
        one: dict[str, Any] = {
            "userid": row.userid,
            "type": row.type,
            "join_time": int(row.join_time),
            "join_scene": row.join_scene,
            "group_nickname": "",
        }
        person = names.get(row.userid)
        if person is not None:
            one["name"] = person.name
            if person.type == 1 and person.unionid and store.corp(chat.corpid).open_platform:
                one["unionid"] = person.unionid
        elif row.type == 1:
            one["name"] = people.member_name(chat.corpid, row.userid)
        if row.invitor:
            one["invitor"] = {"userid": row.invitor}
        if row.state and row.join_scene == 3:
            one["state"] = row.state
        members.append(one)
    return {
        "chat_id": chat.chat_id,
        "name": chat.name,
        "owner": chat.owner,
        "create_time": int(chat.create_time),
        "notice": chat.notice,
        "member_list": members,
        "admin_list": [{"userid": userid} for userid in chat.admins],
        "member_version": chat.version,
    }


def _keep_stale(chat: GroupChat) -> None:
    """groupchat/get may go on showing what was before an event for a while."""
    lag = store.setting("group_lag_s")
    if lag:
        chat.stale, chat.stale_until = detail(chat), clock.now() + lag


def _told(
    chat: GroupChat, what: str, fields: list[tuple[str, Any]], changed: list[str] | None = None
) -> None:
    """Give the group its next version and tell the apps."""
    before, chat.version = chat.version, ids.version()
    chat.save()
    all_fields = [("ChatId", chat.chat_id), ("UpdateDetail", what), *fields]
    if changed is not None:
        as_text = store.quirk("changed_members") == "text"
        all_fields += [
            ("MemChangeCnt", len(changed)),
            ("MemChangeList", ",".join(changed) if as_text else changed),
        ]
    all_fields += [("LastMemVer", before), ("CurMemVer", chat.version)]
    emit(chat.corpid, EVENT, "update", all_fields, userid=chat.owner)


def create(corpid: str, given: dict[str, Any]) -> dict[str, Any]:
    """A member founds a group.

    Args:
        given: owner, name?, notice?, members? (userids), customers? (external_userids), admins?, create_time?
    """
    with store.writing():
        owner = people.member_of(corpid, given["owner"]).userid
        if given.get("chat_id") and GroupChat.objects.filter(chat_id=given["chat_id"]).exists():
            raise Refused(f"group {given['chat_id']!r} is there already", status=409)
        chat = GroupChat.objects.create(
            chat_id=given.get("chat_id") or ids.chat_id(),
            corpid=corpid,
            name=given.get("name") or "",
            owner=owner,
            notice=given.get("notice") or "",
            admins=given.get("admins") or [],
            create_time=given.get("create_time") or clock.now(),
            version=ids.version(),
        )
        staff = [people.member_of(corpid, userid).userid for userid in given.get("members") or ()]
        rows = [(owner, 1), *((userid, 1) for userid in staff if userid.lower() != owner.lower())]
        rows += [(one, 2) for one in given.get("customers") or ()]
        GroupMember.objects.bulk_create(
            GroupMember(
                corpid=corpid,
                chat_id=chat.chat_id,
                userid=userid,
                type=kind,
                join_time=chat.create_time,
                join_scene=1,
                invitor="" if userid == owner else owner,
            )
            for userid, kind in rows
        )
        emit(corpid, EVENT, "create", [("ChatId", chat.chat_id)], userid=owner)
        return {"chat_id": chat.chat_id}


def join(corpid: str, given: dict[str, Any]) -> dict[str, Any]:
    """Somebody joins.

    Args:
        given: chat_id, or config_id of a join way; external_userid? or name? or userid? (a member); invitor?
            (a userid; without it a code was scanned).
    """
    with store.writing():
        way = JoinWay.objects.filter(corpid=corpid, config_id=given.get("config_id") or "").first()
        if given.get("config_id") and way is None:
            raise Refused("this code leads nowhere (deleted, or never made)", status=404)
        chat = room_of(way) if way else chat_of(corpid, given.get("chat_id") or "")
        kind, who = 1, ""
        if given.get("userid"):
            who = people.member_of(corpid, given["userid"]).userid
        else:
            kind, who = 2, people.person(corpid, given)[0].external_userid
        if GroupMember.objects.filter(chat_id=chat.chat_id, userid=who).exists():
            return {"chat_id": chat.chat_id, "external_userid": who, "is_new": False}
        invitor = given.get("invitor") or ""
        _keep_stale(chat)
        GroupMember.objects.create(
            corpid=corpid,
            chat_id=chat.chat_id,
            userid=who,
            type=kind,
            join_time=clock.now(),
            join_scene=1 if invitor else 3,
            invitor=invitor,
            state=way.state if way else "",
            source_id=way.config_id if way else "",
        )
        people.happened(corpid, "gjoin", chat.owner, who, chat.chat_id)
        fields = [
            ("JoinScene", INVITED if invitor else int(store.quirk("scanned_join_scene"))),
            ("QuitScene", 0),
        ]
        _told(chat, "add_member", fields, [who])
        if kind == 2:
            _greet(chat, who)
            habits.after_joined(corpid, chat.chat_id, who)
        return {"chat_id": chat.chat_id, "external_userid": who, "is_new": True}


def room_of(way: JoinWay) -> GroupChat:
    """The way's first group with room; a new one when all are full and the way makes rooms."""
    chats = {
        chat.chat_id: chat
        for chat in GroupChat.objects.filter(corpid=way.corpid, chat_id__in=way.chat_ids, dismissed_at=None)
    }
    full_at = store.setting("group_full_at")
    for chat_id in way.chat_ids:
        if chat_id in chats and GroupMember.objects.filter(chat_id=chat_id).count() < full_at:
            return chats[chat_id]
    if not way.auto_create_room or not chats:
        raise Refused("every group behind this code is full")
    last = chats[[chat_id for chat_id in way.chat_ids if chat_id in chats][-1]]
    made = len(way.chat_ids) - way.first_rooms
    name = f"{way.room_base_name}{way.room_base_id + made}" if way.room_base_name else last.name
    chat_id = create(way.corpid, {"owner": last.owner, "name": name})["chat_id"]
    way.chat_ids = [*way.chat_ids, chat_id]
    way.save(update_fields=["chat_ids"])
    return chat_of(way.corpid, chat_id)


def _greet(chat: GroupChat, external_userid: str) -> None:
    """The group's welcome, if its owner chose a template."""
    template = GroupTemplate.objects.filter(template_id=chat.template_id).first()
    if template is None:
        return
    name = people.customer_of(chat.corpid, external_userid).name
    words = template.content.get("text", {}).get("content", "").replace("%NICKNAME%", name)
    kinds = [kind for kind in ("image", "link", "miniprogram", "file", "video") if template.content.get(kind)]
    Message.objects.create(
        corpid=chat.corpid,
        kind="gwelcome",
        userid=chat.owner,
        external_userid=chat.chat_id,
        text=words,
        attachments=[{"msgtype": kind, kind: template.content[kind]} for kind in kinds[:1]],
        at=clock.now(),
    )


def leave(corpid: str, chat_id: str, who: str, removed_by: str | None = None) -> None:
    """Somebody leaves, or is removed by the owner or an admin."""
    with store.writing():
        chat = chat_of(corpid, chat_id)
        row = GroupMember.objects.filter(chat_id=chat_id, userid=who).first()
        if row is None:
            raise Refused(f"{who!r} is not in this group", status=404)
        if row.type == 1 and row.userid.lower() == chat.owner.lower():
            raise Refused("the owner hands the group over first")
        _keep_stale(chat)
        row.delete()
        people.happened(corpid, "gleave", chat.owner, who, chat_id)
        fields = [("JoinScene", 0), ("QuitScene", REMOVED if removed_by else BY_HIMSELF)]
        _told(chat, "del_member", fields, [who])


def change(corpid: str, chat_id: str, given: dict[str, Any]) -> None:
    """The owner changes name, notice, welcome template, or hands the group over; one event each."""
    with store.writing():
        chat = chat_of(corpid, chat_id)
        _keep_stale(chat)
        if "template_id" in given:  # using a template in a group makes no event
            chat.template_id = given["template_id"] or ""
            chat.save()
        if "name" in given:
            chat.name = given["name"]
            _told(chat, "change_name", [])
        if "notice" in given:
            chat.notice = given["notice"]
            _told(chat, "change_notice", [])
        if given.get("owner"):
            set_owner(chat, people.member_of(corpid, given["owner"]).userid)


def set_owner(chat: GroupChat, userid: str, *, status: int = 0) -> None:
    """Another owner, who becomes a member if he was none."""
    chat.owner, chat.status = userid, status
    GroupMember.objects.get_or_create(
        chat_id=chat.chat_id,
        userid=userid,
        defaults={"corpid": chat.corpid, "type": 1, "join_time": clock.now(), "join_scene": 1},
    )
    _told(chat, "change_owner", [])


def dismiss(corpid: str, chat_id: str) -> None:
    """The owner dissolves the group."""
    with store.writing():
        chat = chat_of(corpid, chat_id)
        chat.dismissed_at = clock.now()
        chat.save()
        emit(corpid, EVENT, "dismiss", [("ChatId", chat_id)], userid=chat.owner)


def say(corpid: str, chat_id: str, who: str, text: str) -> int:
    """Somebody writes in the group (no event: WeCom tells nothing of what is said). Message id."""
    with store.writing():
        chat = chat_of(corpid, chat_id)
        row = GroupMember.objects.filter(chat_id=chat_id, userid=who).first()
        if row is None:
            raise Refused(f"{who!r} is not in this group", status=404)
        people.happened(corpid, "gsay", chat.owner, row.userid, chat_id)
        message = Message.objects.create(
            corpid=corpid, kind="gsay", userid=row.userid, external_userid=chat_id, text=text, at=clock.now()
        )
        return message.pk
