"""Tabs of the pages under /sync/ that this app and contacts share."""

from typing import Any

from django.utils.translation import gettext as _

from wecom.models import CallbackEvent, OutboundCall


def sync_tabs(active: str) -> list[dict[str, Any]]:
    """Sync, inbox, outbox, calls, jobs; the numbers are what waits for a person."""
    dead = CallbackEvent.objects.filter(state=CallbackEvent.State.DEAD).count()
    failed = OutboundCall.objects.filter(state=OutboundCall.State.FAILED).count()
    tabs = [
        ("sync", "/sync/", _("Sync"), None),
        ("inbox", "/sync/inbox/", _("Inbox"), dead or None),
        ("outbound", "/sync/outbound/", _("Outbox"), failed or None),
        ("calls", "/setup/calls/", _("Calls to WeCom"), None),
        ("jobs", "/sync/jobs/", _("Jobs"), None),
    ]
    return [{"url": url, "label": label, "active": key == active, "n": n} for key, url, label, n in tabs]
