"""The log of calls to WeCom: figures per API, and the single calls with what they mean."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from org.access import staff_can
from org.models import Corp
from scrm import clock
from scrm.ids import read_id
from scrm.keyset import keyset_page
from wecom.errcodes import Advice, advice
from wecom.models import ApiCall
from wecom.services import call_log
from wecom.views.tabs import sync_tabs

PERIODS = (1, 24, 168, 336)  # hours
DEFAULT_PERIOD = 24


@dataclass(frozen=True)
class Row:
    call: ApiCall
    advice: Advice
    corp: str


@require_GET
@staff_can("sync.view")
@vary_on_headers("HX-Request")
def call_list(request: Any) -> HttpResponse:
    """Newest first; by period, corp, API and outcome. With `after`: the next rows alone."""
    context = found(request, request.brand.timezone)
    if context["page"].after:
        return render(request, "wecom/calls/_rows.html", context)
    if request.htmx:
        return render(request, "wecom/calls/_found.html", context)
    return render(request, "wecom/calls/list.html", context | {"tabs": sync_tabs("calls")})


def found(request: Any, zone: str) -> dict[str, Any]:
    """What the address asks of the log of the brand in scope; with `after` the rows alone. Read by support as well."""
    corps = dict(Corp.objects.order_by("name").values_list("pk", "name"))
    corp_id = read_id(request.GET.get("corp", ""))
    corp_id = corp_id if corp_id in corps else None
    hours = read_id(request.GET.get("hours", ""))
    hours = hours if hours in PERIODS else DEFAULT_PERIOD
    api, failed = request.GET.get("api", "")[:64], bool(request.GET.get("failed"))
    since = clock.now() - timedelta(hours=hours)

    calls = call_log.calls(since=since, corp_id=corp_id, api=api, failed=failed)
    page = keyset_page(calls, order=("-at", "-pk"), after=request.GET.get("after"))
    rows = [
        Row(call, call_log.explain(call.errcode, call.note), corps.get(call.corp_id, "")) for call in page
    ]
    context: dict[str, Any] = {"page": page, "rows": rows, "many_corps": len(corps) > 1}
    if page.after:
        return context
    figures = call_log.figures(since=since, corp_id=corp_id)
    n, n_failed = sum(row.n for row in figures), sum(row.n_failed for row in figures)
    return context | {
        "figures": figures,
        "n": n,
        "n_failed": n_failed,
        "waited_ms": round(sum(row.waited_ms * row.n for row in figures) / n) if n else 0,
        "by_hour": _chart(since, corp_id, zone, hours),
        "given": {"api": api, "failed": failed, "corp": corp_id, "hours": hours},
        "apis": [(row.api, row.api) for row in sorted(figures, key=lambda row: row.api)],
        "corps": list(corps.items()),
        "periods": list(zip(PERIODS, (_("1 hour"), _("24 hours"), _("7 days"), _("14 days")), strict=True)),
        "to_mend": _to_mend(since, corp_id),
    }


def _to_mend(since: datetime, corp_id: int | None) -> list[Advice]:
    """What somebody has to change in the console, each once, newest first."""
    newest = call_log.calls(since=since, corp_id=corp_id, failed=True).filter(errcode__isnull=False)
    codes = newest.order_by("-at", "-pk").values_list("errcode", flat=True)[:200]
    found = {code: advice(code) for code in codes if code is not None}
    return [one for one in found.values() if one.kind == "admin"][:3]


def _chart(since: datetime, corp_id: int | None, zone: str, hours: int) -> dict[str, Any]:
    counts = call_log.by_hour(since=since, corp_id=corp_id)
    moment, last = since.replace(minute=0, second=0, microsecond=0), clock.now()
    form = "%H:%M" if hours <= 24 else "%m-%d %H:%M"
    labels, well, failed = [], [], []
    while moment <= last:
        good, bad = counts.get(moment, (0, 0))
        labels.append(moment.astimezone(ZoneInfo(zone)).strftime(form))
        well.append(good)
        failed.append(bad)
        moment += timedelta(hours=1)
    return {
        "kind": "stack",
        "x": labels,
        "series": [
            {"name": _("Done"), "data": well, "color": "blue"},
            {"name": _("Failed"), "data": failed, "color": "red"},
        ],
        "x_name": _("Hour"),
    }
