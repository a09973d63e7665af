"""Default welcomes: of the brand, of a department, of a guide."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from livecodes.forms import parse_lists, welcome_of, welcome_row
from livecodes.models import ChannelCode, Welcome
from livecodes.services import defaults
from livecodes.services.content import WelcomeInput, welcome_input
from livecodes.views.edit import editor_context, weekday_names
from org.access import staff_can
from org.models import Department, Staff
from scrm.errors import InvalidError
from scrm.responses import go


@require_GET
@staff_can("codes.view")
def welcome_list(request: Any) -> HttpResponse:
    """All defaults in the order in which they are asked, and how many codes bring their own."""
    rows = list(Welcome.objects.filter(code=None).select_related("staff").order_by("pk"))
    names = dict(Department.objects.values_list("wecom_id", "name"))
    live = ChannelCode.objects.live()
    context = {
        "groups": [
            (_("By guide"), "user-round", [w for w in rows if w.staff_id]),
            (_("By department"), "network", [w for w in rows if w.department_wecom_id and not w.staff_id]),
            (
                _("For the whole brand"),
                "store",
                [w for w in rows if not w.staff_id and not w.department_wecom_id],
            ),
        ],
        "names": names,
        "weekday_names": weekday_names(),
        "n": len(rows),
        "has_brand": any(not w.staff_id and not w.department_wecom_id for w in rows),
        "n_own": live.filter(pk__in=Welcome.objects.exclude(code=None).values("code")).count(),
        "n_codes": live.count(),
    }
    return render(request, "livecodes/welcomes.html", context)


@require_http_methods(["GET", "POST"])
@staff_can("codes.edit")
def welcome_edit(request: Any, welcome_id: int | None = None) -> HttpResponse:
    row = defaults.get_default(welcome_id) if welcome_id else None
    given = welcome_input(row) if row else WelcomeInput()
    shown, error = welcome_row(given), ""
    if request.method == "POST":
        try:
            lists = parse_lists(request.POST.get("lists", ""))
            (shown,) = lists.get("welcomes") or [shown]
            defaults.save_default(
                request.brand, by=request.actor, given=welcome_of(shown), welcome_id=row.pk if row else None
            )
            return go(request, "/codes/welcomes/", _("Saved"))
        except (InvalidError, ValueError) as problem:
            error = str(problem)
    lists = {"welcomes": [shown]}
    context = {
        "row": row,
        "lists": lists,
        "error": error,
        "guides": list(Staff.objects.guides().order_by("name").values_list("pk", "name")[:3000]),
        "departments": list(Department.objects.order_by("wecom_id").values_list("wecom_id", "name")[:2000]),
        **editor_context(lists),
    }
    return render(request, "livecodes/welcome_edit.html", context, status=422 if error else 200)


@require_POST
@staff_can("codes.edit")
def welcome_delete(request: Any, welcome_id: int) -> HttpResponse:
    defaults.delete_default(request.brand, by=request.actor, welcome_id=welcome_id)
    return go(request, "/codes/welcomes/", _("Deleted"))
