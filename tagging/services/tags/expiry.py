"""Tags for a time: taken off when it is over, found by the index on `expires_at`."""

from django.db import transaction

from scrm import clock
from tagging.models import ContactTag, WaitingTag
from tagging.services.tags.changes import given, take_off
from tenants.models import Brand

SLICE = 5_000


def sweep(brand: Brand) -> int:
    """Take off what is over, a slice per transaction; gives how many. Nothing due costs one index look-up."""
    n = 0
    while True:
        with transaction.atomic():
            due = ContactTag.objects.filter(expires_at__lte=clock.now()).order_by("expires_at")
            rows = list(due.values_list("tag_id", "contact_id")[:SLICE])
            if rows:
                n += take_off(brand, given(rows), source="expiry").n
        if len(rows) < SLICE:
            return n


@transaction.atomic
def forget_waiting(brand: Brand) -> int:
    """Waiting tags whose time is over before anybody came; gives how many."""
    return WaitingTag.objects.filter(expires_at__lte=clock.now()).delete()[0]
