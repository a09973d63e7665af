"""Celery entries of the WeCom edge: handle what came in, deliver what goes out, and the sweeps that find what
got lost."""

import logging
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from org.models import Corp
from scrm.celery import app
from tenants.models import Brand
from tenants.scoping import tenant_scope
from tenants.tasks import active_brand_ids, each_brand, tenant_task
from wecom.services import call_log, inbox, outbound, purge, staff_stats

log = logging.getLogger(__name__)

SWEEP_SIZE = 500  # per brand and round


# a database that starts anew must not cost a welcome: tried again in a moment, not by the sweep
@tenant_task(
    autoretry_for=(OperationalError, InterfaceError), retry_backoff=1, retry_backoff_max=8, max_retries=8
)
def handle_callback(brand: Brand, *, event_id: int) -> None:
    """Handle one event of the inbox."""
    request = handle_callback.request
    redelivered = (request.delivery_info or {}).get("redelivered")
    inbox.process(brand, event_id, orphaned=bool(redelivered or request.retries))


@tenant_task
def deliver(brand: Brand, *, call_ids: list[int]) -> None:
    """Make some calls of the outbox, one after the other."""
    outbound.deliver_many(brand, call_ids)


@app.task(name="wecom.tasks.flush_calls")
def flush_calls() -> int:
    """Move the log of calls of all active brands into the database; gives how many lines."""
    n = 0
    for brand_id in call_log.brands_with_lines(active_brand_ids()):
        try:
            with tenant_scope(brand_id):
                n += call_log.flush(brand_id)
        except DatabaseError:
            log.exception("the log of calls of brand %s could not be written", brand_id)
    return n


@tenant_task
def purge_calls(brand: Brand) -> None:
    """Delete calls that are older than they are kept."""
    call_log.purge(brand)


@app.task(name="wecom.tasks.purge_all_calls")
def purge_all_calls() -> int:
    """Start `purge_calls` for every active brand."""
    return len(list(each_brand(purge_calls)))


@tenant_task
def purge_edge(brand: Brand) -> None:
    """Delete finished events and calls that are older than they are kept."""
    purge.purge(brand)


@app.task(name="wecom.tasks.purge_all_edges")
def purge_all_edges() -> int:
    """Start `purge_edge` for every active brand."""
    return len(list(each_brand(purge_edge)))


@app.task(name="wecom.tasks.sweep_inbox")
def sweep_inbox() -> int:
    """Start events whose task got lost or whose pause is over, for all active brands; gives how many."""

    def start(brand_id: int) -> list:
        ids = inbox.due(SWEEP_SIZE)
        urgent = inbox.urgent_among(ids)
        for event_id in ids:
            place = inbox.WELCOME_FIRST if event_id in urgent else inbox.IN_TURN
            handle_callback.apply_async(kwargs={"brand_id": brand_id, "event_id": event_id}, priority=place)
        return ids

    return _sweep(start)


@app.task(name="wecom.tasks.sweep_outbound")
def sweep_outbound() -> int:
    """The same for calls that go out."""

    def start(brand_id: int) -> list:
        ids = outbound.due(SWEEP_SIZE)
        size = outbound.AT_ONCE
        for n in range(0, len(ids), size):
            deliver.delay(brand_id=brand_id, call_ids=ids[n : n + size])
        return ids

    return _sweep(start)


def _sweep(start: Callable[[int], list]) -> int:
    """One index look-up per brand; a brand that fails does not stop the others. No task per brand: there is
    mostly nothing to do, and the look-up is cheaper than the message."""
    n = 0
    for brand_id in active_brand_ids():
        try:
            with tenant_scope(brand_id):
                n += len(start(brand_id))
        except DatabaseError:
            log.exception("sweep of brand %s failed", brand_id)
    return n


@tenant_task
def read_stats(brand: Brand) -> None:
    """WeCom's own figures of yesterday."""
    with transaction.atomic():
        for corp in Corp.objects.order_by("pk"):
            staff_stats.start(brand, corp=corp)


@app.task(name="wecom.tasks.nightly_stats")
def nightly_stats() -> Any:
    return len(list(each_brand(read_stats)))
