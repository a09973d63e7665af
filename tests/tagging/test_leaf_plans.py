"""Every kind of event, message and order, and the people of a cell: by a key beyond the brand, as the application's role under
row-level security."""

from typing import Any

import pytest
from django.db import connection, connections

from contacts.models import Contact, ContactStat
from scrm.keyset import keyset_page
from tagging.conditions import parse
from tagging.conditions.leaves import EVENTS, OBJECTS, RESULTS, WORDED
from tagging.services.segments.audience import Audience
from tests.factories import in_brand
from tests.tagging.people import NOW, make_crowd
from tests.tagging.test_hot_plans import crowd, explained

LAST = {"type": "last", "n": 7}


def _plan(brand: Any, condition: dict[str, Any]) -> str:
    sql, params = Audience(brand, parse(condition), now=NOW).count_sql()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}", params)
        return "\n".join(row[0] for row in cursor.fetchall())


def _crowd(brand: Any, values: str, who: str = "true") -> None:
    """A brand that Postgres knows well, with figures of its people."""
    crowd(brand)
    with in_brand(brand), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE contacts_contactstat SET {values} WHERE brand_id = %s AND {who}",
            [brand.pk],
        )
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE contacts_contactstat, contacts_contact")


def _events() -> list[dict[str, Any]]:
    """Each kind of event in a window; with its object; with a word."""
    found = []
    for event, (_number, source) in EVENTS.items():
        plain = {"kind": "event", "event": event, "window": LAST}
        if source:
            found.append({**plain, OBJECTS[source]: [1, 2]})
        if event == "custom":  # always one of the brand's own
            plain[OBJECTS[source]] = [1]
        found += [plain, {"all": [{"kind": "everybody"}, {"not": plain}]}]
        if event in WORDED:
            found.append({**plain, "words": ["券"]})
    return found


def test_every_event_by_kind_and_moment(brand: Any) -> None:
    with in_brand(brand), connection.cursor() as cursor:
        make_crowd(brand, n=10)
        contact_id = Contact.objects.values_list("pk", flat=True)[0]
        # in a table of a page any index is as good as another
        cursor.execute(
            "INSERT INTO contacts_event (brand_id, at, contact_id, type, source, data)"
            " SELECT %s, %s::timestamptz - i * interval '1 hour', %s, i %% 97, 'test', '{}' FROM generate_series(1, 5000) i",
            [brand.pk, NOW, contact_id],
        )
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        for condition in _events():
            plan = _plan(brand, condition)
            keys = [line for line in plan.splitlines() if "Index Cond" in line and "at >=" in line]
            # of each partition that the window touches, and of no other one
            assert keys and all("type =" in line for line in keys), f"{condition}: {plan}"
            assert plan.count(" on contacts_event") == len(keys), f"{condition}: {plan}"


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize(
    "more", [{}, {"kinds": ["sop", "welcome"]}, {"sop_ids": [1]}], ids=["all", "kinds", "sops"]
)
def test_messages_by_their_moment(brand: Any, result: str, more: dict[str, Any]) -> None:
    with in_brand(brand), connection.cursor() as cursor:
        make_crowd(brand, n=10)
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        plan = _plan(brand, {"kind": "touch", "window": LAST, "result": result, **more})
        assert any("at >=" in line for line in plan.splitlines() if "Index Cond" in line), plan


@pytest.mark.parametrize("more", [{"channels": ["天猫"]}, {"sources": ["api"]}], ids=["channel", "source"])
def test_orders_by_their_moment(brand: Any, more: dict[str, Any]) -> None:
    """Nobody else's and no older ones are read, once the table is larger than a page."""
    with in_brand(brand), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO commerce_order (brand_id, source, order_no, buyer_kind, buyer_scope, buyer_value, placed_at, paid_at,"
            " amount_fen, refunded_fen, n_items, state, is_sale, channel, is_told, updated_at, created_at)"
            " SELECT %s, 'api', i::text, '', '', '', at, at, 100, 0, 1, 4, true, '', true, at, at"
            " FROM generate_series(1, 3000) i, LATERAL (SELECT %s::timestamptz - i * interval '6 hours') AS x(at)",
            [brand.pk, NOW],
        )
        plan = _plan(brand, {"kind": "orders", "window": LAST, **more})
        assert any("paid_at >=" in line for line in plan.splitlines() if "Index Cond" in line), plan
        assert "Seq Scan on commerce_order" not in plan


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_buyers_are_counted_from_their_index(brand: Any) -> None:
    """Who has so many orders: no row of somebody without any is read."""
    _crowd(
        brand, "n_orders = position %% 4, last_order_at = added_at", "position %% 4 > 0 AND position %% 3 = 0"
    )
    at_least = {"op": "ge", "value": 2}
    with in_brand(brand):
        for condition in (
            {"kind": "number", "measure": "n_orders", "compare": at_least},
            {"kind": "orders", "measure": "count", "compare": at_least, "window": {"type": "ever"}},
        ):
            plan = _plan(brand, condition)
            assert "Index Only Scan using stat_last_order" in plan, plan
            assert Audience(brand, parse(condition), now=NOW).count() == 500
        few = {"kind": "number", "measure": "n_orders", "compare": {"op": "le", "value": 1}}
        assert Audience(brand, parse(few), now=NOW).count() == 2_500  # with those who have bought nothing


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_people_of_a_cell_lie_in_their_order(brand: Any) -> None:
    """The first page and the next ones: as many rows as are shown, nothing sorted."""
    _crowd(
        brand,
        "recency = 1 + position %% 5, frequency = 1 + position / 5 %% 5, monetary = 1, value_score = position %% 101,"
        " value_group = 1, spent_fen = position",
    )
    with in_brand(brand):
        rows = ContactStat.objects.filter(recency=4, frequency=2).select_related("contact")
        order = ("-value_score", "-spent_fen", "-contact_id")
        with explained() as plans:
            first = keyset_page(rows, order=order, size=10)
            keyset_page(rows, order=order, after=first.next, size=10)
        assert [row.value_score for row in first] == sorted((row.value_score for row in first), reverse=True)
        for plan in plans:
            assert "stat_cell" in plan and "Sort" not in plan, plan
