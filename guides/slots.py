"""What apps above this one, or apps to come, put into the customer's page of a guide: tables of dotted paths."""

from typing import Any

from django.utils.module_loading import import_string

from contacts.models import Contact
from org.models import Staff
from tenants.models import Brand

# each `coupons(brand, contact, staff) -> [{id, name, note, until}]`: coupons that the guide may give this customer.
# The card is hidden as long as the table is empty or nobody has any.
COUPONS: list[str] = []


def coupons_of(brand: Brand, contact: Contact, staff: Staff) -> list[dict[str, Any]]:
    return [coupon for path in COUPONS for coupon in import_string(path)(brand, contact, staff)]
