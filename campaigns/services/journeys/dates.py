"""Dates of customers on which an entry lets them in: which there are, and whose day it is."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from contacts.models import CustomField
from tenants.models import Brand

OWN = "field:"  # prefix of the brand's own fields


def choices(fields: Iterable[CustomField]) -> dict[str, str]:
    """{key: label} of what `date_field` may be."""
    fixed = {
        "added": _("the day of adding a guide"),
        "last_order": _("the last order"),
        "next_order": _("the day on which the next order is expected"),
        "usage_end": _("the day on which a bought product is used up"),
    }
    return fixed | {f"{OWN}{f.key}": f.label for f in fields if f.type == CustomField.Type.DATE}


def yearly_makes_sense(key: str) -> bool:
    return key == "added" or key.startswith(OWN)


_SQL = {
    "added": "SELECT s.contact_id FROM contacts_contactstat s WHERE s.brand_id = %(brand)s AND s.lost_at IS NULL"
    " AND {added}",
    "last_order": "SELECT s.contact_id FROM contacts_contactstat s WHERE s.brand_id = %(brand)s"
    " AND s.last_order_at >= %(start)s AND s.last_order_at < %(end)s",
    "next_order": "SELECT s.contact_id FROM contacts_contactstat s WHERE s.brand_id = %(brand)s"
    " AND s.next_order_on = %(on)s",
    "usage_end": "SELECT DISTINCT o.contact_id FROM commerce_product p"
    " JOIN commerce_orderline l ON l.brand_id = %(brand)s AND l.product_id = p.id"
    " JOIN commerce_order o ON o.brand_id = %(brand)s AND o.id = l.order_id"
    " WHERE p.brand_id = %(brand)s AND p.usage_days > 0 AND o.is_sale AND o.contact_id IS NOT NULL"
    " AND (o.paid_at AT TIME ZONE %(zone)s)::date + p.usage_days = %(on)s",
    "field": "SELECT v.contact_id FROM contacts_customvalue v JOIN contacts_customfield f ON f.brand_id = %(brand)s"
    " AND f.id = v.field_id WHERE v.brand_id = %(brand)s AND f.key = %(key)s AND {field}",
}
_EXACT_ADDED = "s.added_at >= %(start)s AND s.added_at < %(end)s"
_YEARLY = (
    "(extract(month FROM {d}), extract(day FROM {d})) IN (SELECT * FROM unnest(%(months)s::int[], %(days)s::int[]))"
    " AND {d} < %(on)s"
)


def contacts_on(brand: Brand, key: str, on: date, *, yearly: bool) -> list[int]:
    """Whose date it is on a day; every year counts the day and month, of 29 February the 28th in other years."""
    from campaigns.governance import midnight

    sql = _SQL["field" if key.startswith(OWN) else key]
    yearly = yearly and yearly_makes_sense(key)
    local = "(s.added_at AT TIME ZONE %(zone)s)::date"
    sql = sql.format(
        added=_YEARLY.format(d=local) if yearly else _EXACT_ADDED,
        field=_YEARLY.format(d="v.value_date") if yearly else "v.value_date = %(on)s",
    )
    days = [(on.month, on.day)]
    if (on.month, on.day) == (2, 28) and (on + timedelta(days=1)).month == 3:
        days.append((2, 29))
    given: dict[str, Any] = {
        "brand": brand.pk,
        "zone": brand.timezone,
        "on": on,
        "key": key.removeprefix(OWN),
        "start": midnight(on.toordinal(), brand.timezone),
        "end": midnight(on.toordinal() + 1, brand.timezone),
        "months": [month for month, _day in days],
        "days": [day for _month, day in days],
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return [row[0] for row in cursor.fetchall()]
