"""Tabs of the pages under /sync/ that this app and contacts share."""

from typing import Any

from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from wecom.models import CallbackEvent, OutboundCall

OPEN_DIFFERENCES = "drift.services.differences.n_open"  # of an app above this one


def open_differences() -> int:
    """How many differences between the mirror and WeCom are open."""
    return import_string(OPEN_DIFFERENCES)()


def sync_tabs(active: str) -> list[dict[str, Any]]:
    """Sync, reconciliation, inbox, outbox, calls, jobs; the numbers are what waits for a person."""
    dead = CallbackEvent.objects.filter(state=CallbackEvent.State.DEAD).count()
    failed = OutboundCall.objects.filter(state=OutboundCall.State.FAILED).count()
    tabs = [
        ("sync", "/sync/", _("Sync"), None),
        ("drift", "/sync/drift/", _("Reconciliation"), open_differences() or None),
        ("inbox", "/sync/inbox/", _("Inbox"), dead or None),
        ("outbound", "/sync/outbound/", _("Outbox"), failed or None),
        ("calls", "/setup/calls/", _("Calls to WeCom"), None),
        ("jobs", "/sync/jobs/", _("Jobs"), None),
    ]
    return [{"url": url, "label": label, "active": key == active, "n": n} for key, url, label, n in tabs]
