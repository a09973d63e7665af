"""The platform's support looks at a brand's calls to WeCom: API, answer, duration and WeCom's number of the call; no
secrets, nothing about customers. The brand reads in its own audit log that somebody looked."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from org import audit
from org.access import platform_only
from org.models import Corp
from scrm import clock
from scrm.errors import NotFoundError
from tenants.models import Brand, PlatformEntry
from tenants.scoping import tenant_scope
from wecom.services.doctor_words import findings
from wecom.views import calls

ACT = "brand.calls"
NOTED_EVERY = timedelta(hours=1)  # of one person and brand


@platform_only
@require_GET
@vary_on_headers("HX-Request")
def brand_calls(request: Any, brand_id: int) -> HttpResponse:
    """The page of calls as the brand has it, and what its set-up check found last."""
    brand = Brand.objects.filter(pk=brand_id).first()
    if brand is None:
        raise NotFoundError()
    with tenant_scope(brand), transaction.atomic():
        _note(request, brand)
        context = calls.found(request, brand.timezone) | {"shown": brand}
        if context["page"].after:
            return render(request, "wecom/calls/_rows.html", context)
        if request.htmx:
            return render(request, "wecom/calls/_found.html", context)
        context["checks"] = [
            {"corp": corp, "rows": [row for row in findings(corp) if row.state in ("failed", "warning")]}
            for corp in Corp.objects.order_by("pk")
        ]
        return render(request, "wecom/calls/support.html", context)


def _note(request: Any, brand: Brand) -> None:
    since = clock.now() - NOTED_EVERY
    if PlatformEntry.objects.filter(brand=brand, user=request.user, action=ACT, at__gt=since).exists():
        return
    PlatformEntry.objects.create(user=request.user, brand=brand, action=ACT)
    audit.record(request.actor, "call_log.read_by_support", name=brand.name)
