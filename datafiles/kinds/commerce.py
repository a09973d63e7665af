# ruff: noqa: S608  names of tables and of our own targets; values are parameters
"""商品, 订单, 退款, 行为: read here, merged by commerce/services and contacts/services/behaviour.py like everything that is told.

Rows about people who are not known yet are accepted and wait for them. Orders without a number get one from what they
say and from how often the file says it, so that the same file never makes them twice.
"""

from typing import Any

from django.utils.translation import gettext_lazy

from commerce.models import Order
from contacts.services import behaviour
from datafiles.kinds import commerce_apply as writes
from datafiles.kinds import commerce_targets as columns
from datafiles.kinds.base import Code, Judgement, Kind, Task
from datafiles.kinds.members import IDS
from datafiles.kinds.orders_judge import (
    buyer_sql,
    find_buyer,
    judge_orders,
    kin_orders,
    known_orders,
    params,
    quick_orders,
)


def judge_products(task: Task) -> Judgement:
    keys = [key for key in ("name", "category", "price_fen", "usage_days", "is_active") if task.has(key)]
    changed = " OR ".join(
        f"coalesce(t.{key} IS DISTINCT FROM p.{key} AND t.{key} IS NOT NULL, false)" for key in keys
    )
    reasons = [("t.sku IS NULL", "bad_number")]
    if task.has("usage_days"):
        reasons.append(("t.usage_days NOT BETWEEN 1 AND 3650", "bad_quantity"))
    return Judgement(
        joins="LEFT JOIN commerce_product p ON p.brand_id = %(brand)s AND p.sku = t.sku",
        code=f"CASE WHEN p.id IS NULL THEN {Code.NEW} WHEN {changed or 'false'} THEN {Code.CHANGED} ELSE {Code.SAME} END",
        reasons=reasons,
        who="t.sku",
    )


def judge_refunds(task: Task) -> Judgement:
    said = [f"t.{key}" for key in ("order_no", "amount_fen", "refunded_at") if task.has(key)]
    digest = f"md5(concat_ws('|', {', '.join(said)}))"
    number, wrap = "t.refund_no", "{typed}"
    if not task.has("refund_no"):
        number = "'auto-' || substr(t.digest, 1, 24) || CASE WHEN t.turn > 1 THEN '-' || t.turn ELSE '' END"
        wrap = (
            f"(SELECT t.*, {digest} AS digest, row_number() OVER (PARTITION BY {digest} ORDER BY n) AS turn"
            " FROM {typed} t OFFSET 0)"
        )
    keys = [
        key for key in ("order_no", "amount_fen", "refunded_at", "reason", "is_cancelled") if task.has(key)
    ]
    changed = " OR ".join(f"coalesce(t.{key} <> r.{key}, false)" for key in keys)
    reasons = [("t.no IS NULL OR t.order_no IS NULL", "bad_number"), ("t.v_amount_fen IS NULL", "no_amount")]
    if task.has("refunded_at"):
        reasons.append(("t.refunded_at > %(latest)s", "future"))
    return Judgement(
        wrap=f"(SELECT t.*, {number} AS no FROM {wrap} t OFFSET 0)",
        joins="LEFT JOIN commerce_refund r ON r.brand_id = %(brand)s AND r.source = %(source)s AND r.refund_no = t.no"
        " LEFT JOIN commerce_order o ON o.brand_id = %(brand)s AND o.source = %(source)s AND o.order_no = t.order_no",
        code=f"CASE WHEN r.id IS NULL THEN {Code.NEW} WHEN {changed} THEN {Code.CHANGED} ELSE {Code.SAME} END",
        extra={"no": ("text", "t.no"), "is_waiting": ("boolean", "o.id IS NULL")},
        reasons=reasons,
        who="t.no",
        counts={"waiting": "is_waiting AND code IN (1, 2)"},
    )


def judge_behaviour(task: Task) -> Judgement:
    kind, buyer = buyer_sql(task)
    said = [f"t.{key}" for key in ("sku", *columns.SAID) if task.has(key)]
    key = f"md5(concat_ws('|', {kind}, {buyer}, t.kind, extract(epoch FROM t.at)::bigint, {', '.join(said) or 'NULL'}))"
    return Judgement(
        wrap=f"(SELECT t.*, {key} AS key, {kind} AS buyer_kind, {buyer} AS buyer_value FROM {{typed}} t OFFSET 0)",
        joins="LEFT JOIN contacts_eventkey e ON e.brand_id = %(brand)s AND e.source = %(key_source)s AND e.source_key = t.key "
        + find_buyer(task),
        code=f"CASE WHEN t.kind = 'buy' THEN {Code.SKIPPED} WHEN e.source_key IS NULL THEN {Code.NEW} ELSE {Code.SAME} END",
        extra={
            "key": ("text", "t.key"), "buyer_kind": ("text", "t.buyer_kind"), "buyer_value": ("text", "t.buyer_value"),
            "is_waiting": ("boolean", "t.buyer_value IS NOT NULL AND i.contact_id IS NULL"),
        },
        reasons=[
            ("t.buyer_value IS NULL", "no_id"), ("t.kind IS NULL AND t.v_kind IS NULL", "unknown_kind"),
            ("t.at IS NULL AND t.v_at IS NULL", "no_time"), ("t.at > %(latest)s", "future"),
        ],
        who="CASE WHEN t.kind <> 'buy' THEN t.key END",
        same_is_fine=True,
        counts={"waiting": "is_waiting AND code = 1"},
    )  # fmt: skip


def behaviour_params(task: Task) -> dict[str, Any]:
    found = params(task)
    return {**found, "key_source": f"b:{found['source']}"[:20]}


PRODUCTS = Kind(
    key="products", label=gettext_lazy("Products"), icon="package",
    hint=gettext_lazy("Number, name, category, price and for how many days one lasts"),
    targets=columns.product_targets, needs=[("sku",)], judge=judge_products, apply=writes.apply_products, params=params,
    tables=("commerce_product",),
)  # fmt: skip
ORDERS = Kind(
    key="orders", label=gettext_lazy("Orders"), icon="receipt",
    hint=gettext_lazy("One row for each order or for each product of it; who is not known yet is waited for"),
    targets=columns.order_targets, needs=[IDS, ("amount_fen", "line_fen"), ("paid_at", "placed_at")], judge=judge_orders,
    quick=quick_orders, known=known_orders, kin=kin_orders, apply=writes.apply_orders, params=params,
    ids_of="commerce_order", tables=("commerce_order",), options={"source": "import"},
)  # fmt: skip
REFUNDS = Kind(
    key="refunds", label=gettext_lazy("Refunds"), icon="undo-2",
    hint=gettext_lazy("By order number; one that comes before its order waits for it"),
    targets=columns.refund_targets, needs=[("order_no",), ("amount_fen",)], judge=judge_refunds, apply=writes.apply_refunds,
    params=params, tables=("commerce_refund",), options={"source": "import"},
)  # fmt: skip
BEHAVIOUR = Kind(
    key="behaviour", label=gettext_lazy("Behaviour"), icon="mouse-pointer-click",
    hint=gettext_lazy("Who viewed, kept, put into the cart or searched what, and when"),
    targets=columns.behaviour_targets, needs=[IDS, ("kind",), ("at",)], judge=judge_behaviour, apply=writes.apply_behaviour,
    params=behaviour_params, options={"source": "import"},
)  # fmt: skip

assert set(columns.BEHAVIOURS.values()) <= set(behaviour.KINDS) and set(columns.STATES.values()) == set(
    Order.State.values
)
