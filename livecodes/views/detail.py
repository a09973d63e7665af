"""One channel code: its picture, who is behind it now, its figures, and the customers who arrive."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from contacts.models import Contact, Follow
from livecodes.models import ChannelCode, CodeTag, Welcome
from livecodes.services import codes, figures, links, ways
from livecodes.services.doors import address_of
from livecodes.services.roster import Roster, roster_of
from livecodes.services.ways import problem_of
from livecodes.views.lists import duty_words
from org.access import staff_can
from scrm.responses import go
from wecom.api.acquisition import app_scheme

DAYS = 30
NEWEST = 12


@require_GET
@staff_can("codes.view")
def code_detail(request: Any, code_id: int) -> HttpResponse:
    code = _code(code_id)
    roster = roster_of(request.brand, code)
    numbers = figures.of_codes(request.brand, [code])[code.pk]
    days = figures.by_day(request.brand, code, DAYS)
    context = {
        "code": code,
        **_state(code, roster),
        "figures": numbers,
        "retention": figures.retention(request.brand, code),
        "by_day": {
            "kind": "bar",
            "x": [f"{day:%m-%d}" for day, _n, _l in days],
            "x_name": _("Date"),
            "series": [
                {"name": _("Added"), "data": [n for _d, n, _l in days], "color": "green"},
                {"name": _("Lost"), "data": [lost for _d, _n, lost in days], "color": "red"},
            ],
        },
        "guides": _guides(request, code, roster),
        "tags": [
            t.tag for t in CodeTag.objects.filter(code=code, tag__deleted_at=None).select_related("tag")
        ],
        "hours": list(code.hours.select_related("staff").order_by("pk")),
        "welcomes": list(Welcome.objects.filter(code=code).select_related("staff").order_by("pk")),
        "arrivals": _arrivals(request, code),
        **(_link(code) if code.kind == ChannelCode.Kind.LINK else {}),
    }
    return render(request, "livecodes/detail.html", context)


@require_GET
@staff_can("codes.view")
def code_state(request: Any, code_id: int) -> HttpResponse:
    """The card with the picture; asked again while WeCom is making it."""
    code = _code(code_id)
    return render(
        request, "livecodes/_state.html", {"code": code, **_state(code, roster_of(request.brand, code))}
    )


@require_GET
@staff_can("codes.view")
def code_arrivals(request: Any, code_id: int) -> HttpResponse:
    """The newest arrivals, asked every few seconds; rows that the page does not have yet light up."""
    code = _code(code_id)
    seen = set(request.GET.getlist("seen"))
    context = {"code": code, "arrivals": _arrivals(request, code), "seen": seen, "polled": True}
    return render(request, "livecodes/_arrivals.html", context)


def _link(code: ChannelCode) -> dict[str, Any]:
    """What WeCom counts of a link."""
    days = links.by_day(code)
    return {
        "link": links.figures([code.pk])[code.pk],
        "link_days": {
            "kind": "bar",
            "x": [f"{day:%m-%d}" for day, _c, _n in days],
            "x_name": _("Date"),
            "series": [
                {"name": _("Opened the link"), "data": [n for _d, n, _n in days], "color": "blue"},
                {"name": _("New customers"), "data": [n for _d, _c, n in days], "color": "green"},
            ],
        },
    }


def _code(code_id: int) -> ChannelCode:
    return codes.get_code(code_id)


def _state(code: ChannelCode, roster: Roster) -> dict[str, Any]:
    text, page = problem_of(code.sync_error) if code.sync_error else ("", "")
    names = {row.staff.userid: row.staff.name for row in roster.rows}
    words, look = duty_words(roster.plan().duty)
    return {
        "problem": text,
        "problem_page": page,
        "is_gone": code.sync_error == ways.GONE,
        "address": address_of(code),
        "scheme": app_scheme(address_of(code)) if address_of(code) else "",
        "names_now": [names.get(userid, userid) for userid in code.current_userids],
        "duty": words,
        "duty_look": look,
        "n_over": roster.n_over,
    }


def _guides(request: Any, code: ChannelCode, roster: Roster) -> list[dict[str, Any]]:
    numbers = figures.by_guide(request.brand, code)
    now = set(code.current_userids)
    rows = []
    for row, guide in zip(roster.rows, roster.guides, strict=True):
        rows.append(
            {
                "row": row,
                "guide": guide,
                "figures": numbers.get(row.staff_id, figures.GuideFigures()),
                "is_now": guide.userid in now,
                "is_on": guide.is_on(roster.local),
                "refusal": problem_of(row.refusal)[0] if row.refusal else "",
            }
        )
    return rows


def _arrivals(request: Any, code: ChannelCode) -> list[Follow]:
    """Whom this person may see of the newest customers of the code."""
    follows = Follow.objects.filter(
        channel_code_id=code.pk, contact__in=Contact.objects.visible_to(request.staff)
    )
    return list(follows.select_related("contact", "staff").order_by("-added_at", "-pk")[:NEWEST])


# ---- acts


@require_POST
@staff_can("codes.edit")
def code_retry(request: Any, code_id: int) -> HttpResponse:
    ways.retry(request.brand, by=request.actor, code_id=code_id)
    return go(request, f"/codes/{code_id}/", _("WeCom is asked again"), "info")


@require_POST
@staff_can("codes.edit")
def code_remake(request: Any, code_id: int) -> HttpResponse:
    ways.remake(request.brand, by=request.actor, code_id=code_id)
    return go(request, f"/codes/{code_id}/", _("A new QR code is being made"), "info")


@require_POST
@staff_can("codes.edit")
def code_delete(request: Any, code_id: int) -> HttpResponse:
    code = codes.delete_code(request.brand, by=request.actor, code_id=code_id)
    return go(request, "/codes/", _("“%(name)s” is deleted") % {"name": code.name})


@require_POST
@staff_can("codes.edit")
def code_duplicate(request: Any, code_id: int) -> HttpResponse:
    copy = codes.duplicate_code(request.brand, by=request.actor, code_id=code_id)
    return go(request, f"/codes/{copy.pk}/edit/", _("Copied; change what is different"))
