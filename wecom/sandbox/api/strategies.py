"""Rule groups (规则组) for customers and for moments, and the tags of rule groups.

Source: developer.work.weixin.qq.com/document/path/94883, 94890, 94882. An app manages only what it made.
"""

from collections.abc import Callable
from typing import Any

from wecom.sandbox.call import Call, cut_page, number, page_size, read_cursor, strings, text
from wecom.sandbox.content import part
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import Strategy

from . import tags

MOST_ADMINS = 20
Handler = Callable[[Call], dict[str, Any]]


def _range(call: Call, key: str) -> list[dict[str, Any]]:
    given = call.body.get(key) or []
    if not isinstance(given, list):
        raise WeComError(40058, key)
    found = []
    for one in given:
        if not isinstance(one, dict) or one.get("type") not in (1, 2):
            raise WeComError(40058, key)
        name = "userid" if one["type"] == 1 else "partyid"
        value = text(one, name, missing=40063) if name == "userid" else number(one, name)
        found.append({"type": one["type"], name: value})
    return found


def of_kind(kind: str) -> dict[str, Handler]:
    """The six calls of customer_strategy or moment_strategy."""

    def find(call: Call) -> Strategy:
        strategy_id = number(call.body, "strategy_id")
        row = Strategy.objects.filter(corpid=call.corpid, kind=kind, strategy_id=strategy_id).first()
        if row is None or row.agentid != call.app.agentid:
            raise WeComError(40058, "strategy_id")
        return row

    def list_all(call: Call) -> dict[str, Any]:
        limit = page_size(call.body, default=1000, most=1000, over="most")
        position = read_cursor(call.body, 1)
        rows = Strategy.objects.filter(corpid=call.corpid, kind=kind, agentid=call.app.agentid)
        rows = rows.filter(id__gt=position[0] if position else 0).order_by("id")
        page, next_cursor = cut_page(rows[: limit + 1], limit, lambda row: [row.pk])
        return {"strategy": [{"strategy_id": row.strategy_id} for row in page], "next_cursor": next_cursor}

    def get(call: Call) -> dict[str, Any]:
        row = find(call)
        return {
            "strategy": {
                "strategy_id": row.strategy_id,
                "parent_id": row.parent_id,
                "strategy_name": row.name,
                "create_time": int(row.create_time),
                "admin_list": row.admins,
                "privilege": row.privilege,
            }
        }

    def get_range(call: Call) -> dict[str, Any]:
        row = find(call)
        limit = page_size(call.body, default=1000, most=1000, over="most")
        start = (read_cursor(call.body, 1) or [0])[0]
        rows = list(enumerate(row.range))[start:]
        page, next_cursor = cut_page(rows, limit, lambda item: [item[0] + 1])
        return {"range": [one for _, one in page], "next_cursor": next_cursor}

    def create(call: Call) -> dict[str, Any]:
        used = Strategy.objects.filter(corpid=call.corpid, kind=kind).order_by("-strategy_id").first()
        row = Strategy(
            corpid=call.corpid,
            kind=kind,
            agentid=call.app.agentid,
            strategy_id=(used.strategy_id if used else 0) + 1,
            parent_id=number(call.body, "parent_id", 0),
            name=text(call.body, "strategy_name", missing=40063, most=100),
            admins=strings(call.body, "admin_list", most=MOST_ADMINS),
            privilege=_rights(kind) | _flags(call),
            range=_range(call, "range"),
            create_time=call.now,
        )
        if not row.range:
            raise WeComError(40063, "range")
        row.save()
        return {"strategy_id": row.strategy_id}

    def edit(call: Call) -> dict[str, Any]:
        row = find(call)
        if call.body.get("strategy_name"):
            row.name = text(call.body, "strategy_name", most=100)
        if "admin_list" in call.body:
            row.admins = strings(call.body, "admin_list", most=MOST_ADMINS)
        if "privilege" in call.body:
            row.privilege = _rights(kind) | _flags(call)
        gone = _range(call, "range_del")
        row.range = [one for one in row.range if one not in gone]
        row.range += [one for one in _range(call, "range_add") if one not in row.range]
        row.save()
        return {}

    def delete(call: Call) -> dict[str, Any]:
        find(call).delete()
        return {}

    return {
        "list": list_all,
        "get": get,
        "get_range": get_range,
        "create": create,
        "edit": edit,
        "del": delete,
    }


CUSTOMER_RIGHTS = [
    "view_customer_list",
    "view_customer_data",
    "view_room_list",
    "contact_me",
    "join_room",
    "share_customer",
    "oper_resign_customer",
    "oper_resign_group",
    "send_customer_msg",
    "edit_welcome_msg",
    "view_behavior_data",
    "view_room_data",
    "send_group_msg",
    "room_deduplication",
    "rapid_reply",
    "onjob_customer_transfer",
    "edit_anti_spam_rule",
    "export_customer_list",
    "export_customer_data",
    "export_customer_group_list",
    "manage_customer_tag",
]
MOMENT_RIGHTS = ["send_moment", "view_moment_list", "manage_moment_cover_and_sign"]


def _rights(kind: str) -> dict[str, bool]:
    return dict.fromkeys(CUSTOMER_RIGHTS if kind == "customer" else MOMENT_RIGHTS, False)


def _flags(call: Call) -> dict[str, bool]:
    given = part(call.body, "privilege")
    if not all(isinstance(value, bool) for value in given.values()):
        raise WeComError(40058, "privilege")
    return given


def _of_tags(call: Call) -> int:
    """strategy_id of a call about tags, checked."""
    strategy_id = number(call.body, "strategy_id")
    rows = Strategy.objects.filter(corpid=call.corpid, kind="customer", agentid=call.app.agentid)
    row = rows.filter(strategy_id=strategy_id).first()
    if row is None or row.parent_id:
        raise WeComError(40058, "strategy_id")
    return strategy_id


def tag_list(call: Call) -> dict[str, Any]:
    """Tags of a rule group."""
    return tags.library(call, _of_tags(call))


def add_tags(call: Call) -> dict[str, Any]:
    """Tags into a group of a rule group."""
    return tags.add_to(call, _of_tags(call))


def edit_tag(call: Call) -> dict[str, Any]:
    """Name or order."""
    return tags.change(call, of_strategy=True)


def delete_tags(call: Call) -> dict[str, Any]:
    """Tags or groups."""
    return tags.take_away(call, of_strategy=True)
