"""What members do with mass sends: get a task, confirm it. In sets: a task may hold 10,000 people."""

import datetime
from calendar import monthrange
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from . import behaviour, chance, clock, habits, ids, ranges, store
from .errors import Refused
from .models import Follow, GroupChat, Mass, MassReceiver, MassTask, Member, Message

SHANGHAI = ZoneInfo("Asia/Shanghai")


def able_senders(corpid: str, visible: set[str] | None, only: str = "") -> set[str]:
    """Lower-cased ids of members (or of one) who can send: active, with the customer-contact right, visible."""
    rows = Member.objects.filter(corpid=corpid, status=ranges.ACTIVE, has_contact_right=True)
    if only:
        rows = rows.filter(userid=only)
    able = {userid.lower() for userid in rows.values_list("userid", flat=True)}
    return able if visible is None else able & visible


def make(
    corpid: str,
    by_member: dict[str, list[str]],
    *,
    chat_type: str,
    text: str,
    now: float,
    dispatched_at: float,
    attachments: list[dict[str, Any]] | None = None,
    agentid: int | None = None,
    creator: str = "",
) -> str:
    """A mass send: one task per member with his receivers, and the moment at which he will confirm. Its msgid.

    Plain SQL: a program sends thousands of these, and the ORM would take longer than SQLite.

    Args:
        creator: the member who made it himself; "" for an app's.
    """
    msgid = ids.msgid()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sandbox_mass (msgid, corpid, agentid, chat_type, creator, create_type, text, attachments,"
            " created_at, dispatched_at, reminders) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '[]')",
            [
                msgid, corpid, agentid, chat_type, creator, 1 if creator else 0, text, store.as_json(attachments or []),
                now, dispatched_at,
            ],
        )  # fmt: skip
        for userid, targets in by_member.items():
            cursor.execute(
                "INSERT INTO sandbox_masstask (corpid, msgid, userid, status, confirm_at) VALUES (%s, %s, %s, 0, %s)",
                [corpid, msgid, userid, patience(corpid, userid, msgid, dispatched_at)],
            )
            cursor.execute(
                "INSERT INTO sandbox_massreceiver (task, target, status) SELECT %s, value, 0 FROM json_each(%s)",
                [cursor.lastrowid, store.as_json(targets)],
            )
    return msgid


def patience(corpid: str, userid: str, what: str, since: float) -> float | None:
    """When a member confirms a task, or None: never by himself."""
    how = behaviour.guide(corpid, userid)
    span, rate = how["confirm_after_s"], how["confirm_rate"]
    if span is None or not chance.happens(rate, "confirms", what, userid.lower()):
        return None
    return since + chance.draws("patience", what, userid.lower()).uniform(*span)


def hurry(mass: Mass, now: float) -> None:
    """A reminder: members who would never confirm think again, the others do it at once."""
    for task in MassTask.objects.filter(msgid=mass.msgid, status=0):
        how = behaviour.guide(mass.corpid, task.userid)
        if how["confirm_after_s"] is None or how["confirm_rate"] <= 0:
            continue
        MassTask.objects.filter(pk=task.pk).update(confirm_at=min(task.confirm_at or now + 60, now + 5))


def confirm(
    corpid: str, msgid: str, userid: str | None = None, chat_ids: list[str] | None = None
) -> dict[str, int]:
    """Members (or one) press send now; how many tasks and messages that was.

    Args:
        chat_ids: for group sends, the groups the owner picked; None: all of the task.
    """
    with store.writing():
        mass = Mass.objects.filter(corpid=corpid, msgid=msgid).first()
        if mass is None:
            raise Refused(f"no mass send {msgid!r}", status=404)
        now = clock.now()
        if mass.dispatched_at > now:
            Mass.objects.filter(pk=mass.pk).update(dispatched_at=now)
        tasks = MassTask.objects.filter(msgid=msgid, status=0)
        if userid:
            tasks = tasks.filter(userid=userid)
        rows = list(tasks)
        sent = sum(_send(mass, task, now, chat_ids) for task in rows)
        return {"tasks": len(rows), "sent": sent}


def period_of(moment: float) -> tuple[str, int]:
    """(the period in Shanghai, how many mass messages a customer may receive in it)."""
    day = datetime.datetime.fromtimestamp(moment, SHANGHAI)
    rule = store.quirk("receive_rule")
    if rule == "week":
        return day.strftime("%G-W%V"), 7
    if rule == "day":
        return day.strftime("%Y-%m-%d"), 1
    return day.strftime("%Y-%m"), 4 if rule == "month4" else monthrange(day.year, day.month)[1]


def send_own(corpid: str, given: dict[str, Any]) -> dict[str, Any]:
    """A guide makes a mass send of his own in the client and sends it at once (create_type 1, no app knows of it).

    Args:
        given: userid, text, external_userids? (else all his customers).
    """
    with store.writing():
        member = ranges.find(corpid, given["userid"])
        if member is None:
            raise Refused(f"no member {given['userid']!r}", status=404)
        rows = Follow.objects.filter(corpid=corpid, userid=member.userid).order_by("id")
        if given.get("external_userids"):
            rows = rows.filter(external_userid__in=given["external_userids"])
        targets = list(rows.values_list("external_userid", flat=True))
        if not targets:
            raise Refused("he has no such customers")
        now = clock.now()
        msgid = make(
            corpid,
            {member.userid: targets},
            chat_type="single",
            text=given["text"],
            now=now,
            dispatched_at=now,
            creator=member.userid,
        )
        return {"msgid": msgid, "sent": confirm(corpid, msgid)["sent"]}


def _send(mass: Mass, task: MassTask, now: float, chat_ids: list[str] | None) -> int:
    """Status 2 for those who are no friends any more, 3 over the cap, 1 and a message for the rest."""
    month, most = period_of(now)
    cap = store.setting("receive_cap") or most
    picked = MassReceiver.objects.filter(task=task.pk, status=0)
    if mass.chat_type == "group":
        gone = GroupChat.objects.filter(corpid=mass.corpid).exclude(dismissed_at=None).values("chat_id")
        picked.filter(target__in=gone).update(status=2)
        if chat_ids is not None:
            picked = picked.filter(target__in=chat_ids)
    with connection.cursor() as cursor:
        if mass.chat_type == "single":
            cursor.execute(
                "UPDATE sandbox_massreceiver SET status = 2 WHERE task = %s AND status = 0 AND NOT EXISTS"
                " (SELECT 1 FROM sandbox_follow f WHERE f.corpid = %s AND f.external_userid = target"
                " AND f.userid = %s AND NOT f.lost)",
                [task.pk, mass.corpid, task.userid],
            )
        cursor.execute(
            "UPDATE sandbox_massreceiver SET status = 3 WHERE task = %s AND status = 0 AND EXISTS"
            " (SELECT 1 FROM sandbox_monthcount c WHERE c.corpid = %s"
            " AND c.target = sandbox_massreceiver.target AND c.month = %s AND c.n >= %s)",
            [task.pk, mass.corpid, month, cap],
        )
        n = picked.update(status=1, send_time=now)
        reached = "FROM sandbox_massreceiver r WHERE r.task = %s AND r.status = 1 AND r.send_time = %s"
        cursor.execute(
            "INSERT INTO sandbox_monthcount (corpid, target, month, n) SELECT %s, r.target, %s, 1 "
            + reached
            + " ON CONFLICT (corpid, target, month) DO UPDATE SET n = n + 1",
            [mass.corpid, month, task.pk, now],
        )
        cursor.execute(
            "INSERT INTO sandbox_message (corpid, kind, userid, external_userid, text, attachments, at,"
            " msgid, welcome_code) SELECT %s, 'mass', %s, r.target, %s, %s, %s, %s, '' "
            + reached
            + " ORDER BY r.id",
            [
                mass.corpid,
                task.userid,
                mass.text,
                store.as_json(mass.attachments),
                now,
                mass.msgid,
                task.pk,
                now,
            ],
        )
    MassTask.objects.filter(pk=task.pk).update(status=2, send_time=now, confirm_at=None)
    if mass.chat_type == "single" and behaviour.customers(mass.corpid)["read_rate"] > 0:
        rows = Message.objects.filter(
            corpid=mass.corpid, userid=task.userid, kind="mass", at=now, msgid=mass.msgid
        ).order_by("id")
        habits.after_sent(mass.corpid, list(rows.values_list("id", "kind", "userid", "external_userid")))
    return n
