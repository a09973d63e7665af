"""The audit log."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from org.access import staff_can
from org.models import AuditEntry, Staff
from org.templatetags.audit import OBJECTS
from scrm.ids import read_id
from scrm.keyset import keyset_page


def day_start(day: date, zone: str) -> datetime:
    """UTC moment at which a brand's day begins."""
    return datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(UTC)


def _date(text: str) -> date | None:
    try:
        return parse_date(text) if text else None
    except ValueError:
        return None


@require_GET
@staff_can("audit.view")
@vary_on_headers("HX-Request")
def audit_list(request: Any) -> HttpResponse:
    """Newest first; by person, kind of thing, one thing (type and id) and period in the brand's days."""
    given = {k: request.GET.get(k, "").strip() for k in ("who", "what", "type", "id", "since", "until")}
    entries = AuditEntry.objects.all()
    if given["who"]:
        entries = entries.filter(actor__icontains=given["who"])
    if given["what"] in OBJECTS:
        entries = entries.filter(action__startswith=given["what"] + ".")
    if given["type"]:
        entries = entries.filter(object_type=given["type"])
    if (object_id := read_id(given["id"])) is not None:
        entries = entries.filter(object_id=object_id)
    if since := _date(given["since"]):
        entries = entries.filter(at__gte=day_start(since, request.brand.timezone))
    if until := _date(given["until"]):
        entries = entries.filter(at__lt=day_start(until + timedelta(days=1), request.brand.timezone))
    page = keyset_page(entries, order=("-at", "-id"), after=request.GET.get("after"))
    context: dict[str, Any] = {"page": page}
    if request.htmx:
        return render(request, "org/audit/_rows.html", context)
    names = Staff.objects.filter(user_id__isnull=False).order_by("name").values_list("name", flat=True)
    context |= {"given": given, "objects": OBJECTS.items(), "names": names[:500]}
    return render(request, "org/audit/list.html", context)
