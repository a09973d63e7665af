"""Customers change hands.

Source: developer.work.weixin.qq.com/document/path/92125, 94088, 92124, 94081, 94082.
"""

from typing import Any

from wecom.sandbox import ranges, store
from wecom.sandbox.call import Call, cut_page, make_cursor, number, read_cursor, serving_member, strings, text
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import Customer, Follow, Member, Transfer

MOST_CUSTOMERS = 100
DEEPEST = 50_000  # page_id × page_size
ONJOB_WINDOW_S = 90 * 86_400


def _pair(call: Call, kind: str) -> tuple[str, str]:
    """(handover, takeover): the first has left or not, as the kind wants; the second can serve customers."""
    handover = text(call.body, "handover_userid", missing=41009)
    takeover = serving_member(call, text(call.body, "takeover_userid", missing=41009)).userid
    row = Member.objects.filter(corpid=call.corpid, userid=handover).first()
    if row is None:
        raise WeComError(60111)
    if kind == "resigned" and row.status != ranges.LEFT:
        raise WeComError(40097)
    if kind == "onjob" and row.status == ranges.LEFT:
        raise WeComError(60111)
    return row.userid, takeover


def _refusal(call: Call, kind: str, handover: str, takeover: str, external_userid: str) -> int:
    if handover == takeover:
        return 40130
    if not Customer.objects.filter(corpid=call.corpid, external_userid=external_userid).exists():
        return 40096
    if not Follow.objects.filter(
        corpid=call.corpid, userid=handover, external_userid=external_userid
    ).exists():
        return 40131
    before = Transfer.objects.filter(corpid=call.corpid, external_userid=external_userid)
    if before.filter(status=2, handover=handover).exists():
        return 40129
    recent = before.filter(kind="onjob", created_at__gt=call.now - ONJOB_WINDOW_S).exclude(status__in=(3, 4))
    if kind == "onjob" and recent.count() >= int(store.quirk("transfers_in_90_days")):
        return 40128
    return 0


def _transfer(call: Call, kind: str) -> dict[str, Any]:
    external = strings(call.body, "external_userid", most=MOST_CUSTOMERS)
    if not external:
        raise WeComError(41035)
    message = text(call.body, "transfer_success_msg", most=200)
    handover, takeover = _pair(call, kind)
    answers = []
    for one in external:
        errcode = _refusal(call, kind, handover, takeover, one)
        answers.append({"external_userid": one, "errcode": errcode})
        if errcode == 0:
            Transfer.objects.create(
                corpid=call.corpid,
                kind=kind,
                handover=handover,
                takeover=takeover,
                external_userid=one,
                message=message,
                created_at=call.now,
                takeover_time=call.now + store.setting("transfer_s"),
            )
    return {"customer": answers}


def transfer_customer(call: Call) -> dict[str, Any]:
    """Of a member who stays; ends by itself after a day unless the customer refuses."""
    return _transfer(call, "onjob")


def resigned_transfer_customer(call: Call) -> dict[str, Any]:
    """Of a member who left."""
    return _transfer(call, "resigned")


def _result(call: Call, kind: str) -> dict[str, Any]:
    handover = text(call.body, "handover_userid", missing=41009)
    takeover = text(call.body, "takeover_userid", missing=41009)
    position = read_cursor(call.body, 1)
    rows = Transfer.objects.filter(
        corpid=call.corpid,
        kind=kind,
        handover=handover,
        takeover=takeover,
        id__gt=position[0] if position else 0,
    ).order_by("id")
    page, next_cursor = cut_page(rows[:1001], 1000, lambda row: [row.pk])
    found = [
        {
            "external_userid": row.external_userid,
            "status": row.status,
            "takeover_time": int(row.takeover_time),
        }
        for row in page
    ]
    return {"customer": found, "next_cursor": next_cursor}


def transfer_result(call: Call) -> dict[str, Any]:
    """How the transfers between two members stand."""
    return _result(call, "onjob")


def resigned_transfer_result(call: Call) -> dict[str, Any]:
    """The same for a member who left."""
    return _result(call, "resigned")


def get_unassigned_list(call: Call) -> dict[str, Any]:
    """Customers of members who left; by page_id or by cursor."""
    limit = number(call.body, "page_size", 1000)
    limit = limit if 0 < limit <= 1000 else 1000
    left = {
        row.userid: row.left_at or 0 for row in Member.objects.filter(corpid=call.corpid, status=ranges.LEFT)
    }
    rows = Follow.objects.filter(corpid=call.corpid, userid__in=list(left)).order_by("id")
    page_id = call.body.get("page_id")
    if page_id is not None and not call.body.get("cursor"):
        start = number(call.body, "page_id") * limit
        if not 0 <= start < DEEPEST:
            raise WeComError(40058, "use cursor")
        page = list(rows[start : start + limit + 1])
        answer: dict[str, Any] = {"is_last": len(page) <= limit}
    else:
        position = read_cursor(call.body, 1)
        page = list(rows.filter(id__gt=position[0] if position else 0)[: limit + 1])
        more = len(page) > limit
        answer = {"is_last": not more, "next_cursor": make_cursor(page[limit - 1].pk) if more else ""}
    info = [
        {
            "handover_userid": row.userid,
            "external_userid": row.external_userid,
            "dimission_time": int(left[row.userid]),
        }
        for row in page[:limit]
    ]
    return {"info": info} | answer
