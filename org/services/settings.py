"""A brand's own settings."""

from typing import Any

from django.db import transaction

from org import audit
from org.access import Actor
from org.services.people import n_logins
from org.services.platform import check_timezone
from tenants.models import Brand, BrandHealth

_FIELDS = ["name", "timezone"]


@transaction.atomic
def edit_brand(brand: Brand, *, by: Actor, name: str, timezone: str) -> Brand:
    """Change name and time zone; raises InvalidError for an unknown zone.

    Days of the figures are the brand's: roll-ups follow a new zone by themselves.
    """
    check_timezone(timezone)
    brand = Brand.objects.select_for_update().get(pk=brand.pk)
    before = audit.snapshot(brand, _FIELDS)
    brand.name, brand.timezone = name.strip(), timezone
    if (after := audit.snapshot(brand, _FIELDS)) != before:
        brand.save(update_fields=_FIELDS)
        audit.record(by, "brand.edit", brand, before=before, after=after)
    return brand


def usage(brand: Brand) -> list[dict[str, Any]]:
    """Quotas: {name ("contacts", "logins"), n (None before the first count), quota, is_full, is_near}."""
    health = BrandHealth.objects.filter(brand=brand).first()
    rows: list[dict[str, Any]] = [
        {"name": "contacts", "n": health.n_contacts if health else None, "quota": brand.contact_quota},
        {"name": "logins", "n": n_logins(brand), "quota": brand.staff_quota},
    ]
    for row in rows:
        n, quota = row["n"] or 0, row["quota"]
        row |= {"is_full": n >= quota, "is_near": n >= 0.9 * quota}
    return rows
