"""The list of channel codes with their figures, and what is done to several at once."""

import csv
import io
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from livecodes.models import ChannelCode
from livecodes.services import codes, figures, zips
from livecodes.services.figures import CodeFigures
from livecodes.services.roster import Roster, is_able, rosters
from livecodes.services.rotation import Duty
from livecodes.services.ways import problem_of
from org.access import staff_can
from org.models import Corp, Staff
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from scrm.harmless import harmless
from scrm.ids import read_id, read_ids
from scrm.keyset import keyset_page
from scrm.responses import go

SIZE, MAX_EXPORT = 30, 10_000


@dataclass(frozen=True)
class Row:
    code: ChannelCode
    figures: CodeFigures
    roster: Roster
    duty: Duty
    names_now: list[str]
    problem: str


def duty_words(duty: Duty) -> tuple[str, str]:
    """(words, look) for a badge; empty while everything is as it should be."""
    return {
        Duty.ON: ("", ""),
        Duty.STANDBY: (_("Standby is on"), "info"),
        Duty.FULL: (_("All at their limit"), "warn"),
        Duty.CLOSED: (_("Outside hours"), "muted"),
        Duty.NOBODY: (_("Nobody available"), "bad"),
    }[duty]


def rows_of(request: Any, found: list[ChannelCode]) -> list[Row]:
    """Codes with their figures and who is behind them now; the same statements for one code or thirty."""
    numbers = figures.of_codes(request.brand, found)
    by_code = rosters(request.brand, found, recent=False)
    rows = []
    for code in found:
        roster = by_code[code.pk]
        names = {row.staff.userid: row.staff.name for row in roster.rows}
        rows.append(
            Row(
                code,
                numbers[code.pk],
                roster,
                roster.plan(ahead=1).duty,
                [names.get(userid, userid) for userid in code.current_userids],
                problem_of(code.sync_error)[0] if code.sync_error else "",
            )
        )
    return rows


def tabs(active: str) -> list[dict[str, Any]]:
    """Tabs of the pages of codes."""
    return [
        {"url": "/codes/", "label": _("Channel codes"), "active": active == "codes"},
        {"url": "/codes/links/", "label": _("Acquisition links"), "active": active == "links"},
    ]


def _given(request: Any) -> dict[str, str]:
    return {k: request.GET.get(k, "").strip()[:60] for k in ("q", "guide", "state", "kind")}


def _found(given: dict[str, str]) -> Any:
    """The codes that the filters leave."""
    found = codes.matching(q=given["q"], guide_id=read_id(given["guide"]), kind=given["kind"])
    if given["state"] in ChannelCode.Sync.values:
        found = found.filter(sync_state=given["state"])
    return found


@require_GET
@staff_can("codes.view")
@vary_on_headers("HX-Request")
def code_list(request: Any) -> HttpResponse:
    """Newest first; by name or place, guide and state."""
    given = _given(request)
    page = keyset_page(_found(given), order=("-id",), after=request.GET.get("after"), size=SIZE)
    context = {
        "page": page,
        "rows": rows_of(request, list(page)),
        "is_filtered": any(given.values()),
        "has_corp": Corp.objects.exists(),
    }
    if request.htmx and request.GET.get("after"):
        return render(request, "livecodes/_rows.html", context)
    if request.htmx and not request.htmx.boosted:
        return render(request, "livecodes/_table.html", context)
    context |= {
        "given": given,
        "states": ChannelCode.Sync.choices,
        "kinds": ChannelCode.Kind.choices,
        "tabs": tabs("codes"),
        "guides": _guides(),
    }
    return render(request, "livecodes/list.html", context)


@require_GET
@staff_can("codes.view")
def code_export(request: Any) -> HttpResponse:
    """The list with its filters and figures as CSV, as Excel in China opens it."""
    found = list(_found(_given(request)).select_related("store", "owner").order_by("-pk")[:MAX_EXPORT])
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(
        [
            _("Name"), _("Where it hangs"), _("Store"), _("Owner"), _("State"), _("Now leads to"), _("Today"),
            _("7 days"), _("All"), _("Lost"), _("Still there"), _("Cost"), _("Cost per add"), _("Created on"),
        ]
    )  # fmt: skip
    zone = ZoneInfo(request.brand.timezone)
    for start in range(0, len(found), 500):
        for row in rows_of(request, found[start : start + 500]):
            code, n = row.code, row.figures
            cells = [
                code.name, code.place, str(code.store or ""), str(code.owner or ""), code.get_sync_state_display(),
                "、".join(row.names_now), n.n_today, n.n_week, n.n_all, n.n_lost,
                "" if n.still_ratio is None else round(n.still_ratio, 4), code.cost_fen / 100,
                "" if n.fen_per_add is None else n.fen_per_add / 100, f"{code.created_at.astimezone(zone):%Y-%m-%d}",
            ]  # fmt: skip
            table.writerow([harmless(cell) for cell in cells])
    response = HttpResponse("\ufeff" + out.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = (
        f'attachment; filename="channel-codes-{clock.now().astimezone(zone):%Y%m%d}.csv"'
    )
    return response


def _guides() -> list[tuple[int, str]]:
    """Those behind any code, for the filter."""
    behind = Staff.objects.filter(pk__in=codes.CodeGuide.objects.values("staff"))
    return list(behind.order_by("name").values_list("pk", "name")[:1000])


@require_POST
@staff_can("codes.view")
def zip_start(request: Any) -> HttpResponse:
    """A ZIP of the QR pictures of the chosen codes."""
    job = zips.start_zip(
        request.brand,
        by=request.actor,
        code_ids=read_ids(request.POST),
        captions=not request.POST.get("plain"),
    )
    return go(request, f"/codes/zips/{job.pk}/")


@require_http_methods(["GET", "POST"])
@staff_can("codes.edit")
def guide_move(request: Any) -> HttpResponse:
    """Put one guide in another's place, in the chosen codes or in all; a modal."""
    chosen = read_ids(request.POST if request.method == "POST" else request.GET)
    context: dict[str, Any] = {"ids": chosen, "guides": _guides(), "others": _able()}
    if request.method == "POST":
        try:
            n, kept = _move(request, chosen)
        except InvalidError as error:
            context["error"] = error
            return render(request, "livecodes/move.html", context, status=422)
        text = ngettext("%(n)d code changed", "%(n)d codes changed", n) % {"n": n}
        if kept:
            text += "; " + _("left as they are, nobody else is behind them: %(names)s") % {
                "names": ", ".join(kept[:5])
            }
        return go(request, "/codes/", text, "warning" if kept else "success")
    return render(request, "livecodes/move.html", context)


def _move(request: Any, chosen: list[int]) -> tuple[int, list[str]]:
    old = _staff(request.POST.get("old", ""))
    if old is None:
        raise InvalidError(_("Choose whom to replace"))
    new = _staff(request.POST.get("new", ""))
    if new is None and request.POST.get("new") != "out":
        raise InvalidError(_("Choose who takes over"))
    return codes.replace_guide(request.brand, by=request.actor, old=old, new=new, code_ids=chosen or None)


def _staff(text: str) -> Staff | None:
    if (staff_id := read_id(text)) is None:
        return None
    found = Staff.objects.filter(pk=staff_id).first()
    if found is None:
        raise NotFoundError()
    return found


def _able() -> list[tuple[int, str]]:
    people = Staff.objects.guides().order_by("name")[:2000]
    return [(p.pk, f"{p.name} ({p.userid})") for p in people if is_able(p)]
