"""Figures of members and groups by Shanghai days.

Source: developer.work.weixin.qq.com/document/path/92132, 92133.
"""

from collections import defaultdict
from typing import Any

from wecom.sandbox import ranges
from wecom.sandbox.call import Call, member, number, numbers, strings
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import GroupChat, GroupMember, Happening

from .acquisition import DAY_S, day_start
from .groups import owners

LONGEST_S, OLDEST_S = 30 * DAY_S, 181 * DAY_S


def _days(call: Call, first: int, last: int) -> list[int]:
    """Midnights from first to last; today and later are not known yet."""
    if not call.now - OLDEST_S <= first <= last < day_start(call.now):
        raise WeComError(40058, "time")
    start, end = day_start(first), day_start(last)
    if end - start > LONGEST_S:
        raise WeComError(40058, "time")
    return list(range(start, end + 1, DAY_S))  # China has no summer time


def get_user_behavior_data(call: Call) -> dict[str, Any]:
    """One row per day, summed over the members."""
    users = [member(call, userid).userid for userid in strings(call.body, "userid", most=100)]
    parties = numbers(call.body, "partyid", most=100)
    if not users and not parties:
        raise WeComError(40063, "userid")
    everybody = {user.lower() for user in users}
    everybody |= {user.lower() for user in ranges.members_in(call.corpid, parties)}
    days = _days(call, number(call.body, "start_time"), number(call.body, "end_time"))
    rows = Happening.objects.filter(
        corpid=call.corpid, userid__in=list(everybody), at__gte=days[0], at__lt=days[-1] + DAY_S
    )
    by_day: dict[int, list[Happening]] = defaultdict(list)
    for row in rows.order_by("at", "id"):
        by_day[day_start(row.at)].append(row)
    return {"behavior_data": [{"stat_time": day} | _behavior(by_day[day]) for day in days]}


def _behavior(rows: list[Happening]) -> dict[str, Any]:
    n: dict[str, int] = defaultdict(int)
    answered: set[tuple[str, str]] = set()
    asked: dict[tuple[str, str], float] = {}
    opened: set[tuple[str, str]] = set()
    minutes: list[float] = []
    for row in rows:
        n[row.kind] += 1
        chat = (row.userid.lower(), row.external_userid)
        if row.kind == "say":
            opened.add(chat)
            asked.setdefault(chat, row.at)
        elif row.kind == "reply":
            answered.add(chat)
            if chat in asked:
                minutes.append((row.at - asked.pop(chat)) / 60)
    found: dict[str, Any] = {
        "chat_cnt": len(answered),
        "message_cnt": n["reply"],
        "negative_feedback_cnt": n["lost"],
        "new_apply_cnt": n["apply"],
        "new_contact_cnt": n["add"],
    }
    if opened:
        found["reply_percentage"] = round(100 * len(opened & answered) / len(opened), 2)
    if minutes:
        found["avg_reply_time"] = int(sum(minutes) / len(minutes))
    return found


def _groups(call: Call) -> tuple[list[GroupChat], list[int]]:
    first = number(call.body, "day_begin_time")
    days = _days(call, first, number(call.body, "day_end_time", first))
    rows = GroupChat.objects.filter(corpid=call.corpid)
    wanted = owners(call)
    if wanted is not None:
        rows = rows.filter(owner__in=wanted)
    return list(rows), days


def _data(chats: list[GroupChat], start: int, end: int) -> dict[str, int]:
    """Figures of some groups between two moments."""
    living = [
        chat
        for chat in chats
        if chat.create_time < end and not (chat.dismissed_at and chat.dismissed_at < end)
    ]
    chat_ids = [chat.chat_id for chat in living]
    members = GroupMember.objects.filter(chat_id__in=chat_ids, join_time__lt=end)
    said = Happening.objects.filter(kind="gsay", source_id__in=chat_ids, at__gte=start, at__lt=end)
    return {
        "new_chat_cnt": sum(start <= chat.create_time < end for chat in chats),
        "chat_total": len(living),
        "chat_has_msg": said.values("source_id").distinct().count(),
        "new_member_cnt": members.filter(join_time__gte=start).count(),
        "member_total": members.count(),
        "member_has_msg": said.values("external_userid").distinct().count(),
        "msg_total": said.count(),
        "migrate_trainee_chat_cnt": 0,
    }


ORDERS = {1: "new_chat_cnt", 2: "chat_total", 3: "new_member_cnt", 4: "member_total"}


def groupchat_statistic(call: Call) -> dict[str, Any]:
    """By owner; pages by offset."""
    chats, days = _groups(call)
    order = ORDERS.get(number(call.body, "order_by", 1))
    if order is None:
        raise WeComError(40058, "order_by")
    by_owner: dict[str, list[GroupChat]] = defaultdict(list)
    for chat in chats:
        by_owner[chat.owner].append(chat)
    items = [
        {"owner": owner, "data": _data(own, days[0], days[-1] + DAY_S)}
        for owner, own in sorted(by_owner.items())
    ]
    items.sort(key=lambda item: item["data"][order], reverse=number(call.body, "order_asc", 0) != 1)  # type: ignore[index]
    offset, limit = number(call.body, "offset", 0), min(number(call.body, "limit", 500), 1000)
    page = items[offset : offset + limit]
    return {"total": len(items), "next_offset": offset + len(page), "items": page}


def statistic_group_by_day(call: Call) -> dict[str, Any]:
    """By day, over all owners of the filter."""
    chats, days = _groups(call)
    return {"items": [{"stat_time": day, "data": _data(chats, day, day + DAY_S)} for day in days]}
