"""How Postgres goes about conditions, as the application's role under row-level security: by the index that is meant."""

from typing import Any

import pytest
from django.db import connection

from tagging.conditions import parse
from tagging.services.segments.audience import Audience
from tests.factories import in_brand
from tests.tagging.people import NOW, make_crowd

LAST = {"type": "last", "n": 7}
# which of several indexes serves an empty table is chance: there only the key beyond the brand is asked for
MEANT: dict[str, tuple[dict[str, Any], str, str]] = {
    "tags": ({"kind": "tags", "ids": [1, 2]}, "tagging_dimbits_pkey", "val = ANY"),
    "added": ({"kind": "added", "window": LAST}, "stat_added", "added_at >="),
    "last order": ({"kind": "last_order", "window": LAST}, "stat_last_order", "last_order_at >="),
    "spent": (
        {"kind": "number", "measure": "spent_fen", "compare": {"op": "ge", "value": 5}},
        "stat_spent",
        "spent_fen >=",
    ),
    "orders": ({"kind": "orders", "window": LAST}, "", "paid_at >="),
    "event": ({"kind": "event", "event": "cart", "window": LAST}, "", "at >="),
    "orders of a store": ({"kind": "orders", "window": LAST, "store_ids": [1]}, "", "paid_at >="),
    "messages": ({"kind": "touch", "window": LAST}, "", "at >="),
    "messages of a broadcast": (
        {"kind": "touch", "broadcast_ids": [1], "result": "opened"},
        "",
        "at = campaigns_sendtask.at",
    ),
    "held back of a broadcast": (
        {"kind": "touch", "broadcast_ids": [1], "result": "held_back"},
        "",
        "broadcast_id =",
    ),
}


@pytest.mark.parametrize("name", MEANT)
def test_the_index_that_is_meant(brand: Any, name: str) -> None:
    condition, index, key = MEANT[name]
    with in_brand(brand):
        make_crowd(brand, n=10)
        sql, params = Audience(brand, parse(condition), now=NOW).count_sql()
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            assert cursor.fetchone() == ("app_rw",)
            # a table of ten rows is read whole, unless that is forbidden
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            cursor.execute(f"EXPLAIN {sql}", params)
            plan = "\n".join(row[0] for row in cursor.fetchall())
    assert index in plan, plan
    conditions = [line for line in plan.splitlines() if "Index Cond" in line]
    assert any(key in line for line in conditions), plan
