"""The calendar of all touches: month and week, by source and guide, and what is behind one day."""

from datetime import date, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from campaigns.services import scope
from campaigns.services.calendar import calendar
from campaigns.services.calendar.calendar import SOURCES
from campaigns.services.governance.rules import policy_of
from org.access import staff_can
from scrm import clock
from scrm.errors import NotFoundError
from scrm.ids import read_id

VIEWS = ("month", "week")
ENTRIES_OF_A_CELL = 4


def _given(request: Any) -> dict[str, Any]:
    """What the address asks for; what cannot be read is left out."""
    view = request.GET.get("view", "")
    try:
        on = date.fromisoformat(request.GET.get("on", ""))
        date(on.year + 1, 1, 1), date(on.year - 1, 1, 1)  # the neighbours exist too
    except ValueError:
        on = clock.today(request.brand.timezone)
    return {
        "view": view if view in VIEWS else "month",
        "on": on,
        "sources": [name for name in request.GET.getlist("source") if name in SOURCES],
        "guide": read_id(request.GET.get("guide")),
    }


def _span(view: str, on: date) -> tuple[date, date]:
    """Whole weeks from Monday on."""
    if view == "week":
        first = on - timedelta(days=on.weekday())
        return first, first + timedelta(days=6)
    first = on.replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return first - timedelta(days=first.weekday()), last + timedelta(days=6 - last.weekday())


def _neighbours(view: str, on: date) -> tuple[date, date]:
    if view == "week":
        return on - timedelta(days=7), on + timedelta(days=7)
    first = on.replace(day=1)
    return (first - timedelta(days=1)).replace(day=1), (first + timedelta(days=31)).replace(day=1)


@require_GET
@staff_can("sops.view")
def calendar_page(request: Any) -> HttpResponse:
    given = _given(request)
    first, last = _span(given["view"], given["on"])
    found = calendar.read(
        request.brand, first, last, viewer=request.staff, guide_id=given["guide"], sources=given["sources"]
    )
    today = clock.today(request.brand.timezone)
    cells = [
        {
            "day": day,
            "today": day.on == today,
            "past": day.on < today,
            "other": given["view"] == "month" and day.on.month != given["on"].month,
            "entries": day.entries if given["view"] == "week" else day.entries[:ENTRIES_OF_A_CELL],
            "more": 0 if given["view"] == "week" else max(0, len(day.entries) - ENTRIES_OF_A_CELL),
            "share": round(100 * day.n / found.most) if found.most else 0,
            "n_over": len(day.over),
        }
        for day in found.days
    ]
    before, after = _neighbours(given["view"], given["on"])
    context: dict[str, Any] = {
        "given": given,
        "cells": cells,
        "first": first,
        "last": last,
        "before": before,
        "after": after,
        "today": today,
        "a_day": found.a_day,
        "people_a_day": found.people_a_day,
        "n": sum(day.n for day in found.days),
        "n_sent": sum(day.n_sent for day in found.days),
        "n_open": sum(day.n_open for day in found.days),
        "n_conflicts": sum(bool(day.conflicts) for day in found.days),
        "sources": [(name, words, colour) for name, (words, colour, _path) in SOURCES.items()],
        "colours": {name: colour for name, (_words, colour, _path) in SOURCES.items()},
        "views": [("month", _("Month")), ("week", _("Week"))],
    }
    if given["view"] == "week":
        context["load"] = _load_rows(request, first, last, given["guide"], found)
    template = "campaigns/calendar/_grid.html" if request.htmx else "campaigns/calendar/page.html"
    if not request.htmx:
        context["guides"] = scope.guide_choices(request.staff)
    return render(request, template, context)


def _load_rows(
    request: Any, first: date, last: date, guide_id: int | None, found: calendar.Calendar
) -> list[dict[str, Any]]:
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    rows = calendar.load(request.brand, first, last, viewer=request.staff, guide_id=guide_id)
    over = {(one.staff_id, day.on) for day in found.days for one in day.over}
    return [
        {
            "id": pk,
            "name": name,
            "days": [(on, by_day.get(on, 0), (pk, on) in over) for on in days],
            "sum": n,
        }
        for pk, name, by_day, n in rows
    ]


@require_GET
@staff_can("sops.view")
def day(request: Any) -> HttpResponse:
    """One day in the drawer: everything, who has too much or most to do, who is in two audiences at once."""
    try:
        on = date.fromisoformat(request.GET.get("on", ""))
    except ValueError:
        raise NotFoundError() from None
    given = _given(request)
    found = calendar.read(
        request.brand, on, on, viewer=request.staff, guide_id=given["guide"], sources=given["sources"]
    )
    (one,) = found.days
    load = calendar.load(request.brand, on, on, viewer=request.staff, guide_id=given["guide"])[
        : calendar.SHOWN
    ]
    over = {row.staff_id for row in one.over}
    names = calendar.names_of([row.staff_id for row in one.over[: calendar.NAMED]])
    context = {
        "day": one,
        "a_day": found.a_day,
        "people_a_day": found.people_a_day,
        "over": [(row, names.get(row.staff_id, "—")) for row in one.over[: calendar.NAMED]],
        "n_more": max(0, len(one.over) - calendar.NAMED),
        "busy": policy_of(request.brand).guide_busy,
        "load": [(pk, name, n) for pk, name, _days, n in load if pk not in over],
        "overlaps": calendar.overlaps(request.brand, on),
        "colours": {name: colour for name, (_words, colour, _path) in SOURCES.items()},
        "words": {name: words for name, (words, _colour, _path) in SOURCES.items()},
        "is_past": on < clock.today(request.brand.timezone),
    }
    return render(request, "campaigns/calendar/day.html", context)
