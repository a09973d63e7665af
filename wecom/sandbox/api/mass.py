"""Mass sends (企业群发): tasks that members confirm.

Source: developer.work.weixin.qq.com/document/path/92135, 93338, 97610.
"""

import json
from typing import Any

from django.db import connection

from wecom.sandbox import mass_acts, ranges, store
from wecom.sandbox.call import Call, cut_page, newest, page_size, read_cursor, serving_member, strings, text
from wecom.sandbox.content import content, part
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import GroupChat, Mass, MassReceiver, MassTask, Member

MOST_CUSTOMERS, MOST_CHATS, MOST_TAGS = 10_000, 2000, 100
REMINDERS = 3
MONTH_S = 31 * 86_400


def _tag_filter(body: dict[str, Any]) -> list[list[str]]:
    """OR inside an item, AND between items."""
    groups = part(body, "tag_filter").get("group_list") or []
    if not isinstance(groups, list):
        raise WeComError(40058, "group_list")
    return [tags for tags in (strings(one, "tag_list", most=MOST_TAGS) for one in groups) if tags]


Receivers = dict[str, list[str]]  # by member


def _customers(call: Call, sender: Member | None) -> tuple[Receivers, list[str]]:
    """(external_userids by member, fail_list) of a single send.

    Without a sender a customer of several members goes to the one who last chatted with him.
    """
    wanted = list(dict.fromkeys(strings(call.body, "external_userid", most=MOST_CUSTOMERS)))
    groups = [] if wanted else _tag_filter(call.body)
    if not wanted and not groups and not sender:
        raise WeComError(40058, "sender, external_userid and tag_filter are all empty")
    if wanted and sender:
        return _of_sender(call, sender, wanted)
    sql = "SELECT f.userid, f.external_userid FROM sandbox_follow f WHERE f.corpid = %s"
    given: list[Any] = [call.corpid]
    if wanted:
        sql += " AND f.external_userid IN (SELECT value FROM json_each(%s))"
        given.append(store.as_json(wanted))
    if sender:
        sql += " AND f.userid = %s"
        given.append(sender.userid)
    for tags in groups:
        sql += (
            " AND EXISTS (SELECT 1 FROM sandbox_followtag t WHERE t.follow = f.id"
            " AND t.tag_id IN (SELECT value FROM json_each(%s)))"
        )
        given.append(store.as_json(tags))
    sql += " ORDER BY f.external_userid, coalesce(f.last_chat_at, f.createtime) DESC, f.id DESC"
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        rows = cursor.fetchall()
    only = sender.userid if sender else ""
    allowed = mass_acts.able_senders(call.corpid, ranges.visible_users(call.app), only)
    chosen: dict[str, str] = {}
    for userid, external_userid in rows:
        if userid.lower() in allowed:
            chosen.setdefault(external_userid, userid)
    by_member: Receivers = {}
    for external_userid, userid in chosen.items():
        by_member.setdefault(userid, []).append(external_userid)
    return by_member, [one for one in wanted if one not in chosen]


def _of_sender(call: Call, sender: Member, wanted: list[str]) -> tuple[Receivers, list[str]]:
    """The usual case, a thousand customers of one member: all of the member's lie side by side in an index, and come as
    one value."""
    own: set[str] = set()
    if sender.status == ranges.ACTIVE:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT json_group_array(external_userid) FROM sandbox_follow WHERE corpid = %s AND userid = %s",
                [call.corpid, sender.userid],
            )
            own = set(json.loads(cursor.fetchone()[0]))
    found = own.intersection(wanted)
    failed = [one for one in wanted if one not in own] if len(found) < len(wanted) else []
    return {sender.userid: sorted(found)} if found else {}, failed


def _chats(call: Call, sender: Member) -> tuple[Receivers, list[str]]:
    """The same for groups: those of the sender that were named, or all of his."""
    wanted = strings(call.body, "chat_id_list", most=MOST_CHATS)
    own = GroupChat.objects.filter(corpid=call.corpid, owner=sender.userid, dismissed_at=None)
    known = set(own.values_list("chat_id", flat=True))
    targets = [chat_id for chat_id in wanted if chat_id in known] if wanted else sorted(known)
    failed = [chat_id for chat_id in wanted if chat_id not in known]
    return {sender.userid: targets} if targets else {}, failed


def add_msg_template(call: Call) -> dict[str, Any]:
    """Make a task for each member concerned; nothing is sent before he confirms."""
    chat_type = text(call.body, "chat_type") or "single"
    if chat_type not in ("single", "group"):
        raise WeComError(40058, "chat_type")
    named = text(call.body, "sender")
    words, attachments = content(call)
    if chat_type == "group" and not named:
        raise WeComError(40063, "sender")
    sender = serving_member(call, named, unknown=40003) if named else None
    receivers, failed = _chats(call, sender) if sender and chat_type == "group" else _customers(call, sender)
    if not receivers:
        raise WeComError(41048, fail_list=failed)
    msgid = mass_acts.make(
        call.corpid,
        receivers,
        chat_type=chat_type,
        text=words,
        attachments=attachments,
        agentid=call.app.agentid,
        now=call.now,
        dispatched_at=call.now + store.setting("dispatch_s"),
    )
    return {"msgid": msgid, "fail_list": failed}


def _find(call: Call) -> Mass:
    msgid = text(call.body, "msgid", missing=41046)
    mass = Mass.objects.filter(corpid=call.corpid, msgid=msgid).first()
    if mass is None:
        raise WeComError(41047)
    return mass


def dispatched(call: Call) -> Mass:
    mass = _find(call)
    if call.now < mass.dispatched_at:
        raise WeComError(41063)
    return mass


def get_groupmsg_list_v2(call: Call) -> dict[str, Any]:
    """Records, newest first; a limit above 100 falls back to 50."""
    body = call.body
    chat_type = text(body, "chat_type", missing=40063)
    if chat_type not in ("single", "group"):
        raise WeComError(40058)
    rows = Mass.objects.filter(corpid=call.corpid, chat_type=chat_type)
    limit = page_size(body, default=50, most=100, over="default")
    page, next_cursor = newest(body, rows, limit, within_s=MONTH_S)
    return {"group_msg_list": [_record(row) for row in page], "next_cursor": next_cursor}


def _record(row: Mass) -> dict[str, Any]:
    found: dict[str, Any] = {
        "msgid": row.msgid,
        "create_time": int(row.created_at),
        "create_type": row.create_type,
        "text": {"content": row.text},
        "attachments": row.attachments,
    }
    if store.quirk("mass_list_time") == "string":
        found["create_time"] = str(found["create_time"])
    return found | ({"creator": row.creator} if row.creator else {})


def get_groupmsg_task(call: Call) -> dict[str, Any]:
    """Who has confirmed."""
    mass = dispatched(call)
    limit = page_size(call.body, default=500, most=1000, over="default")
    position = read_cursor(call.body, 1)
    rows = MassTask.objects.filter(msgid=mass.msgid, id__gt=position[0] if position else 0).order_by("id")
    page, next_cursor = cut_page(rows[: limit + 1], limit, lambda row: [row.pk])
    found = []
    for row in page:
        status = int(store.quirk("task_sent_status")) if row.status == 2 else 0
        one: dict[str, Any] = {"userid": row.userid, "status": status}
        found.append(one | ({"send_time": int(row.send_time)} if row.send_time else {}))
    return {"task_list": found, "next_cursor": next_cursor}


def get_groupmsg_send_result(call: Call) -> dict[str, Any]:
    """What became of each receiver of one member; groups that were not sent to are not told."""
    mass = _find(call)
    userid = text(call.body, "userid", missing=41009)
    if call.now < mass.dispatched_at:
        raise WeComError(41063)
    task = MassTask.objects.filter(msgid=mass.msgid, userid=userid).first()
    if task is None:
        raise WeComError(40003)
    limit = page_size(call.body, default=500, most=1000, over="default")
    position = read_cursor(call.body, 1)
    rows = MassReceiver.objects.filter(task=task.pk, id__gt=position[0] if position else 0).order_by("id")
    if mass.chat_type == "group":
        rows = rows.exclude(status=0)
    page, next_cursor = cut_page(rows[: limit + 1], limit, lambda row: [row.pk])
    name = "chat_id" if mass.chat_type == "group" else "external_userid"
    found = []
    for row in page:
        one: dict[str, Any] = {name: row.target, "userid": task.userid, "status": row.status}
        found.append(one | ({"send_time": int(row.send_time)} if row.send_time and row.status == 1 else {}))
    return {"send_list": found, "next_cursor": next_cursor}


def remind_groupmsg_send(call: Call) -> dict[str, Any]:
    """Remind those who have not confirmed; three times in 24 hours."""
    mass = dispatched(call)
    recent = [at for at in mass.reminders if at > call.now - 86_400]
    if len(recent) >= REMINDERS:
        raise WeComError(45009)
    Mass.objects.filter(pk=mass.pk).update(reminders=[*recent, call.now])
    mass_acts.hurry(mass, call.now)
    return {}


def cancel_groupmsg_send(call: Call) -> dict[str, Any]:
    """Stop what was not sent yet."""
    mass = _find(call)
    Mass.objects.filter(pk=mass.pk).update(cancelled_at=call.now)
    MassTask.objects.filter(msgid=mass.msgid, status=0).update(status=-1, confirm_at=None)
    return {}
