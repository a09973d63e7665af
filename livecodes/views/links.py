"""Acquisition links (获客助手): all of them with WeCom's figures, what is left of the balance, and its alarm."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from livecodes.models import AcquisitionQuota, ChannelCode
from livecodes.services import figures, links, quota
from livecodes.services.doors import address_of
from livecodes.services.ways import problem_of
from livecodes.views.lists import tabs
from org.access import staff_can
from org.models import Corp, Job
from scrm.keyset import keyset_page
from scrm.responses import go

SIZE = 30


@require_GET
@staff_can("codes.view")
@vary_on_headers("HX-Request")
def link_list(request: Any) -> HttpResponse:
    """Links, newest first, under the balance of each corp."""
    found = ChannelCode.objects.live().filter(kind=ChannelCode.Kind.LINK)
    page = keyset_page(found, order=("-id",), after=request.GET.get("after"), size=SIZE)
    codes = list(page)
    numbers, counted = links.figures([code.pk for code in codes]), figures.of_codes(request.brand, codes)
    rows = [
        {
            "code": code,
            "wecom": numbers[code.pk],
            "figures": counted[code.pk],
            "address": address_of(code),
            "problem": problem_of(code.sync_error)[0] if code.sync_error else "",
        }
        for code in codes
    ]
    context: dict[str, Any] = {"page": page, "rows": rows}
    if request.htmx:
        return render(request, "livecodes/links/_rows.html", context)
    context |= {
        "tabs": tabs("links"),
        "quotas": [
            {"row": row, "is_short": quota.is_short(row), "soon": quota.expires_soon(row)}
            for row in AcquisitionQuota.objects.select_related("corp").order_by("corp")
        ],
        "jobs": list(Job.objects.filter(kind=links.KIND, state__in=["waiting", "running", "paused"])),
        "has_corp": Corp.objects.exists(),
    }
    return render(request, "livecodes/links/list.html", context)


@require_POST
@staff_can("codes.edit")
def links_read(request: Any) -> HttpResponse:
    """Read balance, customers and figures from WeCom now."""
    links.read_all(request.brand, by=request.actor)
    return go(request, "/codes/links/", _("WeCom is asked; the figures come by themselves"), "info")


@require_POST
@staff_can("codes.edit")
def quota_alarm(request: Any, corp_id: int) -> HttpResponse:
    """From which balance on somebody is told."""
    text = request.POST.get("alarm_below", "").strip()
    below = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    quota.set_alarm(request.brand, by=request.actor, corp_id=corp_id, below=below)
    return go(request, "/codes/links/", _("Saved"))
