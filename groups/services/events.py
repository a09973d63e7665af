"""WeCom's events of groups: each makes us read the group and compare; nothing is believed from the event
alone but how and when somebody left, which the group itself does not tell.

Source: developer.work.weixin.qq.com/document/path/92130
"""

from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from contacts.services.identity.owner_sql import whose
from contacts.services.timeline import record_events
from groups.models import GroupChat, GroupMember
from groups.services.mirror import Leave, dismiss, join_events, leave_events, merge
from groups.services.reading import Reading, read_group
from org.models import Corp
from scrm import clock
from scrm.errors import SCRMError
from tenants.models import Brand
from wecom.client import client_for
from wecom.models import CallbackEvent

# WeCom tells at once, and may show the old state for a moment: so long the event is tried again
LAG = timedelta(minutes=10)
SETTLED = timedelta(seconds=60)  # a reading so long after an event holds what the event told

_CAME_AND_WENT = f"""
    INSERT INTO groups_groupmember (brand_id, chat_id, kind, userid, staff_id, contact_id, name, unionid,
                                    join_scene, invitor_userid, state, joined_at, left_at, quit_scene)
    SELECT %(brand)s, %(chat)s, CASE WHEN s.id IS NULL THEN 2 ELSE 1 END, x.userid, s.id, i.contact_id, '', '',
           %(scene)s, '', '', %(at)s, %(at)s, %(unknown)s
      FROM unnest(%(userids)s::text[]) AS x(userid)
      LEFT JOIN org_staff s ON s.brand_id = %(brand)s AND s.corp_id = %(corp)s AND s.userid = lower(x.userid)
      LEFT JOIN LATERAL {whose("'external_userid'", "%(corpid)s", "x.userid")} i ON true
     WHERE NOT EXISTS (SELECT 1 FROM groups_groupmember o
                        WHERE o.brand_id = %(brand)s AND o.chat_id = %(chat)s
                          AND o.userid IN (x.userid, lower(x.userid))
                          AND (o.left_at IS NULL OR o.left_at >= %(at)s OR o.joined_at >= %(at)s - %(same)s))
    RETURNING id, chat_id, userid, contact_id, joined_at, left_at, quit_scene, join_scene
"""  # noqa: S608
_TELL_HOW = """
    UPDATE groups_groupmember m SET quit_scene = %(scene)s, left_at = greatest(m.joined_at, %(at)s)
     WHERE m.brand_id = %(brand)s AND m.chat_id = %(chat)s AND m.userid = ANY(%(userids)s)
       AND m.quit_scene = %(unknown)s AND m.left_at >= %(at)s - %(same)s AND m.joined_at <= %(at)s
"""


class NotShownYet(SCRMError):
    """WeCom still shows the group as it was before its event; the inbox tries again."""

    code, http_status = "group_not_shown_yet", 503


def on_chat_created(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """change_external_chat create: read it."""
    reading = read_group(client_for(corp), _chat_id(payload))
    with transaction.atomic():
        merge(brand, corp, [reading], source="callback")
    if reading.is_gone and _is_young(event):
        raise NotShownYet(_("WeCom does not show this group yet"))


def on_chat_changed(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """change_external_chat update: read it and compare; the same event again changes nothing.

    Raises:
        NotShownYet: WeCom's answer is older than the event.
    """
    chat_id, change = _chat_id(payload), str(payload.get("UpdateDetail") or "")
    before, after = str(payload.get("LastMemVer") or ""), str(payload.get("CurMemVer") or "")
    userids = member_list(payload)
    told = {}
    if change == "del_member":
        scene = (
            GroupMember.Quit.REMOVED if payload.get("QuitScene") == "1" else GroupMember.Quit.BY_THEMSELVES
        )
        for userid in userids:  # members of the company are kept in lower case
            told[chat_id, userid] = told[chat_id, userid.lower()] = Leave(scene, event.happened_at)
    with transaction.atomic():
        known = GroupChat.objects.filter(corp=corp, chat_id=chat_id).first()
    reading = None
    if not _is_settled(known, event, after):
        reading = read_group(client_for(corp), chat_id)
        with transaction.atomic():
            merge(brand, corp, [reading], told=told, source="callback")
    with transaction.atomic():
        chat = GroupChat.objects.select_for_update().filter(corp=corp, chat_id=chat_id).first()
        if chat is None:
            return
        is_old = bool(reading and before and reading.version == before and before != after)
        if is_old and _is_young(event):
            raise NotShownYet(_("WeCom does not show this change of the group yet"))
        if change == "del_member" and userids:
            _tell_how(brand, chat, [u for _c, u in told], event, told[chat_id, userids[0]].scene)
        elif change == "add_member" and userids and not is_old:
            _came_and_went(brand, corp, chat, userids, event, payload)


def on_chat_dismissed(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """change_external_chat dismiss: WeCom confirms that the group is gone."""
    reading: Reading = read_group(client_for(corp), _chat_id(payload))
    with transaction.atomic():
        chat = GroupChat.objects.select_for_update().filter(corp=corp, chat_id=reading.chat_id).first()
        if reading.is_gone:
            if chat is not None and chat.dismissed_at is None:
                dismiss(brand, chat, at=event.happened_at, source="callback")
            return
        merge(brand, corp, [reading], source="callback")
    if not reading.is_hidden and _is_young(event):
        raise NotShownYet(_("WeCom still shows this group"))


def member_list(payload: dict[str, Any]) -> list[str]:
    """Ids of an event's MemChangeList: one Item is a string, several are a list; older letters hold bare
    text."""
    found = payload.get("MemChangeList") or []
    if isinstance(found, dict):
        found = found.get("Item") or []
    if isinstance(found, str):
        found = [found]
    return [str(one) for one in found if one]


def _chat_id(payload: dict[str, Any]) -> str:
    return str(payload.get("ChatId") or "")[:64]


def _is_young(event: CallbackEvent) -> bool:
    return clock.now() - event.happened_at < LAG


def _is_settled(known: GroupChat | None, event: CallbackEvent, version: str) -> bool:
    """What we have holds this event already."""
    if known is None or known.fetched_at is None:
        return False
    if version and known.member_version == version:
        return True
    return known.fetched_at - event.happened_at > SETTLED


def _tell_how(brand: Brand, chat: GroupChat, userids: list[str], event: CallbackEvent, scene: int) -> None:
    """Somebody whom a sync found missing before their event came: now we know how and when they left."""
    values = _values(brand, chat, userids, event) | {"scene": int(scene)}
    with connection.cursor() as cursor:
        cursor.execute(_TELL_HOW, values)


def _came_and_went(
    brand: Brand,
    corp: Corp,
    chat: GroupChat,
    userids: list[str],
    event: CallbackEvent,
    payload: dict[str, Any],
) -> None:
    """They joined, and are not there any more: a stay that nobody could read."""
    scene = GroupMember.Scene.QR if payload.get("JoinScene") == "3" else GroupMember.Scene.INVITED
    values = _values(brand, chat, userids, event)
    values |= {"scene": scene.value, "corp": corp.pk, "corpid": corp.corpid}
    with connection.cursor() as cursor:
        cursor.execute(_CAME_AND_WENT, values)
        rows = [row for row in cursor.fetchall() if row[3]]
    names = {chat.pk: chat.name}
    joined = join_events(corp, [(*row[1:5], row[7], "") for row in rows], names, "callback")
    left = leave_events([(*row[:4], *row[5:7]) for row in rows], names, "callback")
    record_events(brand, [*joined, *left])


def _values(brand: Brand, chat: GroupChat, userids: list[str], event: CallbackEvent) -> dict[str, Any]:
    return {
        "brand": brand.pk,
        "chat": chat.pk,
        "userids": userids,
        "at": event.happened_at,
        "unknown": GroupMember.Quit.UNKNOWN.value,
        "same": SETTLED,
    }
