"""Which guide a contact hears from: one for a contact with several, by the brand's policy."""

from collections.abc import Collection
from typing import NamedTuple

from django.db import connection

from campaigns.models import TouchPolicy
from campaigns.services.governance import rules
from campaigns.services.ledger.touches import array
from tenants.models import Brand


class Sender(NamedTuple):
    corp_id: int
    staff_id: int


# DISTINCT ON the unique index (brand, contact, staff): a few rows for each contact, whatever the guides'
# sizes. A row for each guide comes back, with all contacts as text: thousands of rows cost more than their choice
_CHOOSE = """
    SELECT corp_id, staff_id, string_agg(contact_id::text, ',') FROM (
        SELECT DISTINCT ON (f.contact_id) f.contact_id, f.corp_id, f.staff_id
          FROM contacts_follow f
          JOIN org_staff s ON s.brand_id = f.brand_id AND s.id = f.staff_id
         WHERE f.brand_id = %s AND f.contact_id = ANY(%s::bigint[]) AND f.ended_at IS NULL AND NOT f.is_pending
           AND s.state = 'active' AND s.is_guide
         ORDER BY f.contact_id, {order}) chosen
     GROUP BY corp_id, staff_id
"""
ORDERS = {
    TouchPolicy.Sender.LATEST: "f.added_at DESC, f.id DESC",
    TouchPolicy.Sender.FIRST: "f.added_at, f.id",
}


def choose(brand: Brand, contact_ids: Collection[int]) -> dict[int, Sender]:
    """{contact: its sender} for those whom a guide can write to; the others are left out."""
    if not contact_ids:
        return {}
    with connection.cursor() as cursor:
        order = ORDERS[TouchPolicy.Sender(rules.policy_of(brand).sender)]
        cursor.execute(_CHOOSE.format(order=order), [brand.pk, array(contact_ids)])
        chosen: dict[int, Sender] = {}
        for corp_id, staff_id, of_guide in cursor.fetchall():
            chosen |= dict.fromkeys(map(int, of_guide.split(",")), Sender(corp_id, staff_id))
        return chosen


def receivers(brand: Brand, staff_id: int, contact_ids: Collection[int]) -> tuple[dict[str, int], set[int]]:
    """{external_userid: contact} of those whom this guide has now, and who of the contacts wishes to be left alone."""
    ids = array(contact_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT external_userid, contact_id FROM contacts_follow"
            " WHERE brand_id = %s AND staff_id = %s AND contact_id = ANY(%s::bigint[]) AND external_userid"
            " <> ''"
            " AND ended_at IS NULL AND NOT is_pending ORDER BY contact_id",
            [brand.pk, staff_id, ids],
        )
        found = dict(cursor.fetchall())
        cursor.execute(
            "SELECT id FROM contacts_contact WHERE brand_id = %s AND id = ANY(%s::bigint[]) AND do_not_contact",
            [brand.pk, ids],
        )
        quiet = {row[0] for row in cursor}
    if quiet:
        found = {external: contact_id for external, contact_id in found.items() if contact_id not in quiet}
    return found, quiet


def external_ids(brand: Brand, corpid: str, contact_ids: Collection[int]) -> dict[str, int]:
    """{external_userid: contact}: all ids of these people in a corp, old relations and joined records
    included."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT value, contact_id FROM contacts_identity"
            " WHERE brand_id = %s AND contact_id = ANY(%s::bigint[]) AND kind = 'external_userid' AND scope"
            " = %s",
            [brand.pk, array(contact_ids), corpid],
        )
        return dict(cursor.fetchall())
