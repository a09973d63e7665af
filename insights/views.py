"""The overview: figures, charts, newest arrivals, what needs attention, the first steps of a fresh brand."""

from datetime import timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from handover.services import leavers
from insights.services import figures, health
from org.access import staff_can
from org.models import Staff
from scrm import clock

PERIODS = (7, 30, 90)
SHOWN = 12  # arrivals in the live list


def _url(name: str, *args: Any) -> str:
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


@require_GET
@staff_can("overview.view")
def overview(request: Any) -> HttpResponse:
    days = request.GET.get("days", "")
    n_days = int(days) if days.isdecimal() and int(days) in PERIODS else 30
    today = clock.today(request.brand.timezone)
    found = figures.figures(request.brand, today - timedelta(days=n_days - 1), today, staff=request.staff)
    context = {
        "days": n_days,
        "periods": [(n, _("%(n)s days") % {"n": n}) for n in PERIODS],
        "figures": found,
        "by_day": _by_day(found),
        "by_code": _by_part(found.by_code, _("Channel code")),
        "by_staff": _by_part(found.by_staff, _("Guide")),
        "arrivals": figures.newest(request.brand, staff=request.staff, n=SHOWN),
        "fresh": [],
        "dropped": [],
        "needs": _needs(request),
        "steps": _steps(request),
        **_today(request),
    }
    return render(request, "insights/overview.html", context)


@require_GET
@staff_can("overview.view")
def overview_today(request: Any) -> HttpResponse:
    """The figures of the day so far, asked for again while the page is open."""
    return render(request, "insights/_today.html", _today(request))


@require_GET
@staff_can("overview.view")
def arrivals(request: Any) -> HttpResponse:
    """Arrivals that the page does not show yet (`seen` says which it does); 204 when there is nothing new."""
    seen = request.GET.getlist("seen")[: 2 * SHOWN]
    newest = figures.newest(request.brand, staff=request.staff, n=SHOWN)
    fresh = [follow for follow in newest if figures.arrival_key(follow) not in seen]
    if not fresh:
        return HttpResponse(status=204)
    shown = {figures.arrival_key(follow) for follow in newest}
    context = {
        "arrivals": fresh,
        "is_fresh": True,
        "dropped": [key for key in seen if _is_key(key) and key not in shown],
    }
    return render(request, "insights/_arrivals.html", context)


def _is_key(text: str) -> bool:
    return text.replace("-", "").isdecimal() and len(text) < 40


def _today(request: Any) -> dict[str, Any]:
    return {
        "today": figures.today(request.brand, staff=request.staff),
        "totals": figures.totals(request.brand, staff=request.staff),
    }


def _by_day(found: figures.Figures) -> dict[str, Any]:
    return {
        "kind": "bar",
        "x": [f"{day.on:%m-%d}" for day in found.days],
        "series": [
            {"name": _("New"), "data": [day.n_added for day in found.days], "color": "blue"},
            {"name": _("Lost"), "data": [day.n_lost for day in found.days], "color": "red"},
            {"name": _("Net"), "data": [day.net for day in found.days], "kind": "line", "color": "green"},
        ],
    }


def _by_part(parts: list[figures.Part], heading: str) -> dict[str, Any]:
    return {
        "kind": "hbar",
        "x": [part.name for part in parts],
        "x_name": heading,
        "series": [
            {"name": _("New"), "data": [part.n_added for part in parts], "color": "blue"},
            {"name": _("Lost"), "data": [part.n_lost for part in parts], "color": "red"},
        ],
    }


def _needs(request: Any) -> list[dict[str, Any]]:
    """What needs attention and whom it concerns: only what the person may open."""
    words = {
        "corp_checks": (_("WeCom set-up has problems"), "stethoscope", "/setup/"),
        "inbox_late": (_("Callbacks wait for longer than a minute"), "timer", "/sync/"),
        "inbox_dead": (_("Callbacks need a person"), "mail-x", "/sync/"),
        "outbound_failed": (_("Writes to WeCom have failed"), "circle-alert", "/sync/"),
        "codes_failed": (_("Channel codes were refused by WeCom"), "qr-code", "/codes/"),
        "sends_failed": (_("Messages could not be handed over"), "send", "/touches/tasks/?state=failed"),
        "jobs_failed": (_("Jobs have failed"), "list-x", "/sync/"),
        "contact_quota": (
            _("The contact quota is used up; customers still arrive, nobody is turned away"),
            "gauge",
            "/settings/",
        ),
        "contact_quota_near": (_("The contact quota is nearly used up"), "gauge", "/settings/"),
    }
    counts = health.attention(request.brand)
    return _leavers(request) + [
        {"text": words[key][0], "icon": words[key][1], "url": words[key][2], "n": counts[key]}
        for key, right in health.ATTENTION_RIGHTS.items()
        if counts.get(key) and request.actor.can(right)
    ]


def _leavers(request: Any) -> list[dict[str, Any]]:
    """Members who have left and whose customers or groups wait for somebody."""
    if not request.actor.can("handover.view"):
        return []
    found = leavers.leavers(Staff.objects.visible_to(request.staff).values("pk"))
    waiting = [leaver for leaver in found if leaver.n_customers or leaver.n_groups]
    return [
        {
            "text": _("%(name)s has left: %(n)s customers and %(groups)s groups wait for somebody")
            % {"name": leaver.staff.name, "n": leaver.n_customers, "groups": leaver.n_groups},
            "icon": "user-x",
            "url": f"/handover/new/?from={leaver.staff.pk}"
            if request.actor.can("handover.run")
            else "/handover/",
            "n": leaver.n_customers + leaver.n_groups,
        }
        for leaver in waiting[:5]
    ]


def _steps(request: Any) -> list[dict[str, Any]]:
    """The first three things of a fresh brand, for people who can do them."""
    if not (request.actor.can("corps.edit") or request.actor.can("codes.edit")):
        return []
    words = {
        "corp": (
            _("Connect a WeCom corp"),
            _("Corp ID, app and secret; the set-up doctor says what is missing."),
            "/setup/",
            "corps.edit",
        ),
        "code": (
            _("Make a channel code"),
            _("A QR code that spreads customers over your guides and knows where they came from."),
            _url("code_new") or "/codes/",
            "codes.edit",
        ),
        "welcome": (
            _("Write a welcome"),
            _("The first message a customer gets, within seconds of the scan."),
            _url("welcomes") or "/codes/",
            "codes.edit",
        ),
    }
    return [
        {
            "title": words[step["name"]][0],
            "text": words[step["name"]][1],
            "url": words[step["name"]][2] if request.actor.can(words[step["name"]][3]) else "",
            "done": step["done"],
        }
        for step in health.first_steps(request.brand)
    ]
