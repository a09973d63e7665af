# ruff: noqa: S608  names of tables and of our own targets; values are parameters
"""Orders of a file beside those that are there."""

from datetime import timedelta
from typing import Any

from datafiles import values
from datafiles.kinds.base import Code, Judgement, Task
from datafiles.kinds.commerce_targets import STATES
from datafiles.kinds.members import IDS, corp_params
from scrm import clock


def _buyer(task: Task) -> list[str]:
    return [kind for kind in IDS if kind in task.columns]


def buyer_sql(task: Task) -> tuple[str, str]:
    """(kind, value) of the identity by which the buyer is found: the first one that the row has."""
    given = _buyer(task)
    kind = "CASE " + " ".join(f"WHEN t.{k} IS NOT NULL THEN '{k}'" for k in given) + " END"
    return (kind, f"coalesce({', '.join(f't.{k}' for k in given)})") if given else ("NULL", "NULL")


def find_buyer(task: Task) -> str:
    """Join of whose the buyer's identity is, `i`; ids of kinds that the file does not have are not read."""
    given = _buyer(task) or [IDS[0]]
    scope = "CASE t.buyer_kind WHEN 'external_userid' THEN %(corpid)s ELSE '' END"
    kinds = ", ".join(f"'{kind}'" for kind in given)
    by_kind = f"i.kind IN ({kinds}) AND i.kind = t.buyer_kind AND i.scope = {scope}"
    if len(given) == 1:
        by_kind = (
            f"i.kind = {kinds} AND i.scope = {'%(corpid)s' if given == ['external_userid'] else repr('')}"
        )
    return (
        f"LEFT JOIN contacts_identity i ON i.brand_id = %(brand)s AND {by_kind} AND i.value = t.buyer_value"
    )


def params(task: Task) -> dict[str, Any]:
    now = clock.now()
    return {
        **corp_params(task), "now": now, "source": str(task.options.get("source") or "import")[:20],
        "latest": now + timedelta(days=1),
    }  # fmt: skip


def has_lines(task: Task) -> bool:
    return task.has("sku", "product", "line_fen")


def judge_orders(task: Task) -> Judgement:
    kind, buyer = buyer_sql(task)
    said = [
        key
        for key in (
            "paid_at",
            "placed_at",
            "amount_fen",
            "n_items",
            "sku",
            "product",
            "quantity",
            "line_fen",
            "channel",
        )
        if task.has(key)
    ]
    numbered = task.has("order_no")
    digest = f"md5(concat_ws('|', {buyer}, {', '.join(f't.{key}' for key in said)}))"
    number = (
        "t.order_no"
        if numbered
        else "'auto-' || substr(t.digest, 1, 24) || CASE WHEN t.turn > 1 THEN '-' || t.turn ELSE '' END"
    )
    wrap = "{typed}"
    if not numbered:
        bought = "t.row_kind IS NOT NULL" if task.has("row_kind") else "true"
        wrap = (
            f"(SELECT t.*, {digest} AS digest, row_number() OVER (PARTITION BY {digest}, {bought} ORDER BY n) AS turn"
            " FROM {typed} t OFFSET 0)"
        )
    # not LATERAL: that is a loop, in which Postgres might look through all orders for each row
    wrap = (
        f"(SELECT t.*, {number} AS no, {kind} AS buyer_kind, {buyer} AS buyer_value FROM {wrap} t OFFSET 0)"
    )
    amount = "t.amount_fen" if task.has("amount_fen") else "t.line_fen"
    when = ", ".join(key for key in ("placed_at", "paid_at") if task.has(key))
    when = f"coalesce({when})" if when else ""
    joins = [
        "LEFT JOIN commerce_order o ON o.brand_id = %(brand)s AND o.source = %(source)s AND o.order_no = t.no",
    ]
    changes = []
    for key in ("paid_at", "placed_at", "n_items", "channel"):
        if task.has(key):
            changes.append(f"t.{key} <> o.{key}")
    if task.has("amount_fen"):
        changes.append("t.amount_fen <> o.amount_fen")
    if task.has("state"):
        changes.append("t.state > o.state")
    if _buyer(task):
        changes.append(
            "(t.buyer_value IS NOT NULL AND (t.buyer_kind, t.buyer_value) IS DISTINCT FROM (o.buyer_kind, o.buyer_value))"
        )
    if task.has("staff_userid"):
        joins.append(
            "LEFT JOIN (SELECT min(id) AS id, userid FROM org_staff WHERE brand_id = %(brand)s AND userid <> '' GROUP BY userid)"
            " g ON g.userid = lower(t.staff_userid)"
        )
        changes.append("(g.id IS NOT NULL AND g.id IS DISTINCT FROM o.staff_id)")
    if task.has("store_code"):
        joins.append(
            "LEFT JOIN (SELECT DISTINCT ON (word) word, id FROM (SELECT code AS word, id, 1 AS rank FROM org_store WHERE"
            " brand_id = %(brand)s AND code <> '' UNION ALL SELECT name, id, 2 FROM org_store WHERE brand_id = %(brand)s) w"
            " ORDER BY word, rank, id) p ON p.word = t.store_code"
        )
        changes.append("(p.id IS NOT NULL AND p.id IS DISTINCT FROM o.store_id)")
    if has_lines(task):
        line = {"order_id": "o.id"}
        if task.has("sku"):
            line["sku"] = "coalesce(t.sku, '')"
        elif task.has("product"):
            line["name"] = "t.product"
        if task.has("quantity"):
            line["quantity"] = "coalesce(t.quantity, 1)"
        if task.has("line_fen"):
            line["amount_fen"] = "t.line_fen"
        joins.append(
            f"LEFT JOIN (SELECT DISTINCT {', '.join(line)} FROM commerce_orderline WHERE brand_id = %(brand)s) x"
            f" ON {' AND '.join(f'x.{name} = {value}' for name, value in line.items())}"
        )
        changes.append("x.order_id IS NULL")
    joins.append(find_buyer(task))
    changed = " OR ".join(f"coalesce({c}, false)" for c in changes) or "false"
    skipped = f"WHEN t.row_kind IS NULL THEN {Code.SKIPPED}" if task.has("row_kind") else ""
    reasons = [("t.no IS NULL OR t.no = ''", "bad_number")]
    times = [f"t.{key}" for key in ("paid_at", "placed_at") if task.has(key)]
    if not (has_lines(task) and numbered):  # of an order in several rows the first one may tell alone
        reasons.append((f"{amount.replace('t.', 't.v_')} IS NULL", "no_amount"))
        reasons.append((f"coalesce({', '.join(times).replace('t.', 't.v_')}) IS NULL", "no_time"))
    reasons.append((f"greatest({', '.join(times)}) > %(latest)s", "future"))
    return Judgement(
        wrap=wrap,
        joins=" ".join(joins),
        code=f"CASE {skipped} WHEN o.id IS NULL THEN {Code.NEW} WHEN {changed} THEN {Code.CHANGED} ELSE {Code.SAME} END",
        extra={
            "no": ("text", "t.no"), "buyer_kind": ("text", "t.buyer_kind"), "buyer_value": ("text", "t.buyer_value"),
            "is_waiting": ("boolean", "t.buyer_value IS NOT NULL AND i.contact_id IS NULL"),
            "buyer_id": ("bigint", "i.contact_id"),
        },
        reasons=reasons,
        # of an order that lies in several rows each row counts; of one that is there twice the last one
        who="t.no" if not has_lines(task) else "NULL",
        whole="no" if has_lines(task) and numbered else "",
        counts={"waiting": "is_waiting AND code IN (1, 2)"},
        # orders lie in the order of time
        order="no, n" if has_lines(task) and numbered else when,
        group="no" if has_lines(task) and numbered else "",
        # lines may make products, which are named by the first order that has them; numbers of our own count all rows
        named=None if has_lines(task) or not numbered else "",
        is_read=f"{'t.row_kind IS NOT NULL' if task.has('row_kind') else 'true'}",
    )  # fmt: skip


# an amount as most files write it
YUAN = "concat(o.amount_fen / 100, '.', lpad((o.amount_fen %% 100)::text, 2, '0'))"


def quick_orders(task: Task, source: str = "stage") -> str:
    """Rows that are not, character for character, what the brand has."""
    if not task.has("order_no") or has_lines(task) or task.has("row_kind", "staff_userid", "store_code"):
        return ""
    same = ["o.id IS NOT NULL"]
    for key, column in task.columns.items():
        x = f"s.{column.raw}"
        if key == "amount_fen":
            factor, written = " * 100", YUAN
            if column.options.get("unit") == "fen":
                factor, written = "", "o.amount_fen::text"
            same.append(
                f"({x} = {written} OR o.amount_fen ="
                f" CASE WHEN pg_input_is_valid({x}, 'numeric') THEN round({x}::numeric{factor}) END)"
            )
        elif key in ("paid_at", "placed_at"):
            same.append(f"({values.is_moment(x, f'o.{key}', task.brand.timezone)} OR {x} IS NULL)")
        elif key == "n_items":
            same.append(f"({x} = o.n_items::text OR {x} IS NULL)")
        elif key == "channel":
            same.append(f"({x} = o.channel OR {x} IS NULL)")
        elif key == "state":
            cases = " ".join(f"WHEN '{word}' THEN {value}" for word, value in STATES.items())
            same.append(f"(o.state >= CASE {x} {cases} END OR {x} IS NULL)")
    if given := _buyer(task):
        first = given[0]
        same.append(f"o.buyer_kind = '{first}' AND o.buyer_value = s.{task.columns[first].raw}")
    number = task.columns["order_no"].raw
    few = "" if source == "stage" else f" AND o.order_no = ANY(ARRAY(SELECT {number} FROM {source}))"
    return (
        f"SELECT s.n FROM {source} s LEFT JOIN commerce_order o ON o.brand_id = %(brand)s AND o.source = %(source)s"
        f" AND o.order_no = s.{number}{few} WHERE ({' AND '.join(same)}) IS NOT TRUE"
    )


def known_orders(task: Task) -> str:
    return "SELECT 1 FROM commerce_order o WHERE o.brand_id = %(brand)s AND o.source = %(source)s"


def kin_orders(task: Task) -> str:
    raw = task.columns["order_no"].raw
    return f"SELECT s.n FROM stage s WHERE s.{raw} IN (SELECT k.{raw} FROM odd o JOIN stage k ON k.n = o.n)"
