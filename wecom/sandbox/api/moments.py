"""Moments (客户朋友圈). Source: developer.work.weixin.qq.com/document/path/95094, 93333, 97612."""

from typing import Any

from django.db.models import QuerySet

from wecom.sandbox import ids, moment_acts, ranges, store
from wecom.sandbox.call import Call, cut_page, newest, numbers, page_size, read_cursor, strings, text
from wecom.sandbox.content import bounded, link_url, part
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import Follow, Moment, MomentTask, Reaction, Tag

from . import media

MOST_SENDERS = 100_000
PER_MINUTE = 10
MONTH_S = 30 * 86_400
JOB_LIFE_S = 86_400
MOMENTS = "attachment:1"  # only what upload_attachment took for moments


def _attachments(call: Call) -> list[dict[str, Any]]:
    """Either pictures (nine at most), or one video, or one link."""
    given = call.body.get("attachments") or []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise WeComError(40058, "attachments")
    kinds = {one.get("msgtype") for one in given}
    if not kinds <= {"image", "video", "link"} or len(kinds) > 1:
        raise WeComError(40058, "invalid attachments msgtype")
    if len(given) > (9 if kinds == {"image"} else 1):
        raise WeComError(40058, "invalid attachments size")
    found = []
    for one in given:
        kind = str(one["msgtype"])
        own = part(one, kind)
        if kind == "link":
            bounded(own, "title", 64)
            link_url(own, "url", missing=40063)
        media_id = text(own, "media_id")
        if not media_id:
            raise WeComError(40058, "invalid msg")
        kept = "image" if kind == "link" else kind
        media.check(call.corpid, media_id, kept, now=call.now, origin=MOMENTS)
        found.append({"msgtype": kind, kind: own})
    return found


def add_moment_task(call: Call) -> dict[str, Any]:
    """Start a job that makes a task for each member concerned; they publish it themselves."""
    words = text(part(call.body, "text"), "content")
    rule = store.quirk("moment_text")
    if (rule != "bytes" and len(words) > 2000) or (rule != "chars" and len(words.encode()) > 4000):
        raise WeComError(40058, "invalid text size")
    attachments = _attachments(call)
    if not words and not attachments:
        raise WeComError(40058, "text and attachments are both empty")
    recent = Moment.objects.filter(corpid=call.corpid, create_type=0, created_at__gt=call.now - 60)
    if recent.count() >= PER_MINUTE:
        raise WeComError(45009)
    shown_to = part(call.body, "visible_range")
    senders, customers = part(shown_to, "sender_list"), part(shown_to, "external_contact_list")
    users = strings(senders, "user_list", most=MOST_SENDERS)
    departments = numbers(senders, "department_list")
    tags = strings(customers, "tag_list")
    there = {userid for userid in users if ranges.find(call.corpid, userid) is not None}
    known = set(
        Tag.objects.filter(corpid=call.corpid, deleted=False, tag_id__in=tags).values_list(
            "tag_id", flat=True
        )
    )
    moment = Moment.objects.create(
        moment_id=ids.moment_id(),
        jobid=ids.code(),
        corpid=call.corpid,
        text=words,
        attachments=attachments,
        tags=[tag for tag in tags if tag in known],
        invalid={
            "users": [userid for userid in users if userid not in there],
            "departments": [one for one in departments if not ranges.subtree(call.corpid, [one])],
            "tags": [tag for tag in tags if tag not in known],
        },
        created_at=call.now,
        ready_at=call.now + store.setting("moment_job_s"),
    )
    moment_acts.assign(
        moment, ranges.visible_users(call.app), users, departments, asked=bool(users or departments)
    )
    return {"jobid": moment.jobid}


def get_moment_task_result(call: Call) -> dict[str, Any]:
    """How far the job is."""
    row = Moment.objects.filter(corpid=call.corpid, jobid=call.query.get("jobid", "")).first()
    if row is None or call.now > row.created_at + JOB_LIFE_S:
        raise WeComError(40088)
    left = row.ready_at - call.now
    if left > 0:
        return {"status": 1 if left > (row.ready_at - row.created_at) / 2 else 2, "type": "add_moment_task"}
    return {
        "status": 3,
        "type": "add_moment_task",
        "result": {
            "errcode": 0,
            "errmsg": "ok",
            "moment_id": row.moment_id,
            "invalid_sender_list": {
                "user_list": row.invalid.get("users", []),
                "department_list": row.invalid.get("departments", []),
            },
            "invalid_external_contact_list": {"tag_list": row.invalid.get("tags", [])},
        },
    }


def _find(call: Call) -> Moment:
    moment_id = text(call.body, "moment_id", missing=41059)
    row = Moment.objects.filter(corpid=call.corpid, moment_id=moment_id, ready_at__lte=call.now).first()
    if row is None:
        raise WeComError(41060)
    return row


def _published(call: Call) -> tuple[Moment, MomentTask]:
    moment = _find(call)
    userid = text(call.body, "userid", missing=41009)
    task = MomentTask.objects.filter(moment_id=moment.moment_id, userid=userid).first()
    if task is None:
        raise WeComError(41061)
    if task.status != 1:
        raise WeComError(41062)
    return moment, task


def cancel_moment_task(call: Call) -> dict[str, Any]:
    """Stop those who have not published yet."""
    moment = _find(call)
    Moment.objects.filter(pk=moment.pk).update(cancelled_at=call.now)
    MomentTask.objects.filter(moment_id=moment.moment_id, status=0).update(status=-1, publish_at=None)
    return {}


def get_moment_list(call: Call) -> dict[str, Any]:
    """Records, newest first; a limit above 20 falls back to 20."""
    body = call.body
    rows = Moment.objects.filter(corpid=call.corpid, ready_at__lte=call.now)
    limit = page_size(body, default=20, most=20, over="default")
    page, next_cursor = newest(body, rows, limit, within_s=MONTH_S)
    return {"moment_list": [_record(row) for row in page], "next_cursor": next_cursor}


def _record(row: Moment) -> dict[str, Any]:
    found: dict[str, Any] = {
        "moment_id": row.moment_id,
        "create_time": int(row.created_at),
        "create_type": row.create_type,
        "visible_type": 0 if row.tags else 1,
        "text": {"content": row.text},
    }
    if row.creator:
        found["creator"] = row.creator
    pictures = [one["image"] for one in row.attachments if one["msgtype"] == "image"]
    if pictures:
        found["image"] = pictures
    for one in row.attachments:
        if one["msgtype"] == "video":
            found["video"] = one["video"] | {"thumb_media_id": one["video"]["media_id"]}
        if one["msgtype"] == "link":
            found["link"] = {"title": one["link"].get("title", ""), "url": one["link"]["url"]}
    return found


def get_moment_task(call: Call) -> dict[str, Any]:
    """Who has published."""
    moment = _find(call)
    limit = page_size(call.body, default=500, most=1000, over="default")
    position = read_cursor(call.body, 1)
    rows = MomentTask.objects.filter(
        moment_id=moment.moment_id, id__gt=position[0] if position else 0
    ).order_by("id")
    page, next_cursor = cut_page(rows[: limit + 1], limit, lambda row: [row.pk])
    found = [{"userid": row.userid, "publish_status": max(row.status, 0)} for row in page]
    return {"task_list": found, "next_cursor": next_cursor}


def _seen_by(call: Call, rows: QuerySet[Follow], *, default: int, most: int) -> tuple[list[Follow], str]:
    limit = page_size(call.body, default=default, most=most, over="default")
    position = read_cursor(call.body, 1)
    rows = rows.filter(id__gt=position[0] if position else 0).order_by("id")
    return cut_page(rows[: limit + 1], limit, lambda row: [row.pk])


def get_moment_customer_list(call: Call) -> dict[str, Any]:
    """Customers for whom it was meant."""
    moment, task = _published(call)
    page, next_cursor = _seen_by(call, moment_acts.audience(moment, task.userid), default=500, most=1000)
    found = [{"userid": row.userid, "external_userid": row.external_userid} for row in page]
    return {"customer_list": found, "next_cursor": next_cursor}


def get_moment_send_result(call: Call) -> dict[str, Any]:
    """Customers who can really see it: those who were friends when it was published and still are."""
    moment, task = _published(call)
    rows = moment_acts.audience(moment, task.userid).filter(lost=False, createtime__lte=task.published_at)
    page, next_cursor = _seen_by(call, rows, default=3000, most=5000)
    return {
        "customer_list": [{"external_userid": row.external_userid} for row in page],
        "next_cursor": next_cursor,
    }


def get_moment_comments(call: Call) -> dict[str, Any]:
    """Comments and likes under one member's moment."""
    moment, task = _published(call)
    found: dict[str, list[dict[str, Any]]] = {"comment": [], "like": []}
    for row in Reaction.objects.filter(moment_id=moment.moment_id, userid=task.userid).order_by("id"):
        name = "external_userid" if row.by.startswith(("wm", "wo")) else "userid"
        found[row.kind].append({name: row.by, "create_time": int(row.at)})
    return {"comment_list": found["comment"], "like_list": found["like"]}
