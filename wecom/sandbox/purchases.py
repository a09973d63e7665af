"""What customers buy. WeCom has no such thing: the sandbox keeps it, lists it and tells a web hook, as a shop would.

The hook is the setting `orders_url`; it gets JSON by POST, three attempts, with `orders_headers` (a key, say).
"""

import json
from typing import Any

from . import clock, delivery, ids, people, store
from .models import Purchase


def document(row: Purchase) -> dict[str, Any]:
    """A purchase as the hook and the control API tell it; money in fen, time in Unix seconds."""
    return {
        "corpid": row.corpid,
        "order_no": row.order_no,
        "external_userid": row.external_userid,
        "unionid": row.unionid,
        "userid": row.userid,
        "paid_at": int(row.paid_at),
        "amount_fen": row.amount_fen,
        "items": row.items,
    }


def buy(corpid: str, given: dict[str, Any]) -> dict[str, Any]:
    """A customer pays in the corp's shop.

    Args:
        given: external_userid, amount_fen, userid? (whose message brought him), items? ([{sku, name, n, fen}]),
            order_no?.
    """
    with store.writing():
        person = people.customer_of(corpid, given["external_userid"])
        amount_fen = int(given["amount_fen"])
        row = Purchase.objects.create(
            corpid=corpid,
            order_no=given.get("order_no") or ids.order_no(),
            external_userid=person.external_userid,
            unionid=person.unionid if store.corp(corpid).open_platform else "",
            userid=given.get("userid") or "",
            amount_fen=amount_fen,
            items=given.get("items") or [{"sku": "SANDBOX-1", "name": "沙箱商品", "n": 1, "fen": amount_fen}],
            paid_at=clock.now(),
        )
        if store.setting("orders_url"):
            delivery.hook(corpid, "order", "paid", json.dumps(document(row), ensure_ascii=False))
        return document(row)
