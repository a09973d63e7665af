"""Calls that newer ones replaced and older SDKs still make.

Source: developer.work.weixin.qq.com/document/path/93338 (get_group_msg_result), 92125 (transfer).
"""

from typing import Any

from wecom.sandbox.call import Call, cut_page, page_size, read_cursor, text
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import MassReceiver, MassTask, Transfer

from . import transfer as transfers
from .mass import dispatched


def get_group_msg_result(call: Call) -> dict[str, Any]:
    """Receivers of all members in one list; check_status 0: not sent at all yet, 1: sent."""
    mass = dispatched(call)
    tasks = {row.pk: row for row in MassTask.objects.filter(msgid=mass.msgid)}
    limit = page_size(call.body, default=10_000, most=10_000, over="most")
    position = read_cursor(call.body, 1)
    rows = MassReceiver.objects.filter(task__in=list(tasks), id__gt=position[0] if position else 0).order_by(
        "id"
    )
    page, next_cursor = cut_page(rows[: limit + 1], limit, lambda row: [row.pk])
    name = "chat_id" if mass.chat_type == "group" else "external_userid"
    found = []
    for row in page:
        one: dict[str, Any] = {name: row.target, "userid": tasks[row.task].userid, "status": row.status}
        found.append(one | ({"send_time": int(row.send_time)} if row.send_time and row.status == 1 else {}))
    sent = any(task.status == 2 for task in tasks.values())
    return {"check_status": int(sent), "detail_list": found, "next_cursor": next_cursor}


def transfer(call: Call) -> dict[str, Any]:
    """One customer of a member who left."""
    external_userid = text(call.body, "external_userid", missing=41035)
    call.body["external_userid"] = [external_userid]
    [answer] = transfers.resigned_transfer_customer(call)["customer"]
    if answer["errcode"]:
        raise WeComError(answer["errcode"])
    return {}


def get_transfer_result(call: Call) -> dict[str, Any]:
    """How it went with one customer."""
    external_userid = text(call.body, "external_userid", missing=41035)
    row = (
        Transfer.objects.filter(
            corpid=call.corpid,
            external_userid=external_userid,
            handover=text(call.body, "handover_userid", missing=41009),
            takeover=text(call.body, "takeover_userid", missing=41009),
        )
        .order_by("-id")
        .first()
    )
    if row is None:
        return {"status": 5, "takeover_time": 0}
    return {"status": row.status, "takeover_time": int(row.takeover_time)}
