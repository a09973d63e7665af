"""What the edge forgets after a while: events and calls that are finished. What needs a person stays."""

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models import Model, QuerySet

from scrm import clock
from tenants.models import Brand
from wecom.models import CallbackEvent, OutboundCall, RefusedCallback

KEPT = timedelta(days=90)
AT_ONCE = 5_000  # rows per transaction


def purge(brand: Brand) -> int:
    """Delete what was finished before the span that is kept, in short transactions; gives how many rows.

    A letter that WeCom's key signs and that comes again after so long is handled once more: handlers go by
    the time of the fact, and an old fact never undoes a newer one.
    """
    before = clock.now() - KEPT
    event, call = CallbackEvent.State, OutboundCall.State
    old: list[Callable[[], QuerySet]] = [
        lambda: CallbackEvent.objects.filter(received_at__lt=before, state__in=[event.DONE, event.NOTED]),
        lambda: OutboundCall.objects.filter(created_at__lt=before, state=call.DONE),
        lambda: RefusedCallback.objects.filter(last_at__lt=before),
    ]
    return sum(_delete(rows) for rows in old)


def _delete(rows: Callable[[], QuerySet[Model]]) -> int:
    n = 0
    while True:
        with transaction.atomic():
            ids = list(rows().order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
            if ids:
                rows().filter(pk__in=ids).delete()
        n += len(ids)
        if len(ids) < AT_ONCE:
            return n
