"""What has happened to people already, when they come to where it counts.

New events are told to those who stand in a graph when the reader comes by (reacting.py). Somebody may come a little later
than the moment from which on an event counts: an order lies in the same batch as the cart that brings the customer in, or
was told before it; a tick comes up to a minute, after an outage hours, after the time of a wait. So whoever comes is
looked up once.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from campaigns.services.ledger.touches import array
from tagging.rule_events import event_of, filter_sql
from tenants.models import Brand


def matching(row: dict[str, Any], prefix: str) -> tuple[str, dict[str, Any]]:
    """SQL over an event `e` of a row {"event", "filters"}, with its parameters."""
    event = event_of(row["event"])
    where, params = filter_sql(event, row.get("filters") or {}, prefix)
    return f"e.type = {int(event.type)} AND {where}", params


def first_after(
    brand: Brand, row: dict[str, Any], people: Sequence[tuple[int, datetime]], *, but_by: Sequence[str] = ()
) -> dict[int, datetime]:
    """{contact: moment of the first event of a row {"event", "filters"} after that person's moment}, of those who have one.

    Args:
        people: (contact, moment), each contact once.
        but_by: sources whose events do not count.
    """
    if not people:
        return {}
    where, params = matching(row, "h")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT w.id, min(e.at) FROM unnest(%(ids)s::bigint[], %(ats)s::timestamptz[]) AS w(id, at)"  # noqa: S608
            " JOIN contacts_event e ON e.brand_id = %(brand)s AND e.contact_id = w.id AND e.at > w.at"
            f" WHERE e.at > %(first)s AND {where} AND e.source <> ALL(%(but)s::text[]) GROUP BY w.id",
            {
                **params,
                "brand": brand.pk,
                "ids": array(contact_id for contact_id, _at in people),
                "ats": [at for _contact_id, at in people],
                "first": min(at for _contact_id, at in people),
                "but": list(but_by),
            },
        )
        return dict(cursor.fetchall())
