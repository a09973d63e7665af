"""客户价值: the RFM grid, groups, the flow between stages, who buys next, and the settings of all that."""

import json
from datetime import timedelta
from typing import Any

from django import forms
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contacts.models import Contact, ContactStat, visible_follows
from org.access import staff_can
from org.forms import add_errors
from scrm import clock, json_in
from scrm.errors import InvalidError, NotFoundError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go
from tagging.conditions import Condition
from tagging.models import LifecycleStage, ValueGroup, ValueSetting
from tagging.services.value import lifecycle, value
from tagging.services.value.lifecycle import StageInput

SPANS = (7, 30, 90)
STAGE_COLORS = [
    ("blue", gettext_lazy("Blue")),
    ("cyan", gettext_lazy("Cyan")),
    ("green", gettext_lazy("Green")),
    ("amber", gettext_lazy("Amber")),
    ("red", gettext_lazy("Red")),
    ("purple", gettext_lazy("Purple")),
    ("grey", gettext_lazy("Grey")),
]
PEOPLE = 50
PAST_DAYS = 30  # of whoever was expected and has not come
_CUTS = ("r_cuts", "f_cuts", "m_cuts")

CHART_COLORS = {"cyan": "teal", "purple": "violet"} | {
    key: key for key in ("blue", "green", "amber", "red", "grey")
}


class CutsField(forms.CharField):
    """Four rising numbers, divided by commas or blanks."""

    def clean(self, given: Any) -> list[int]:
        text = super().clean(given).replace("，", ",").replace(",", " ")
        try:
            return [int(part) for part in text.split()]
        except ValueError as error:
            raise forms.ValidationError(_("Four rising numbers")) from error


class SettingForm(forms.Form):
    method = forms.ChoiceField(label=gettext_lazy("How it is cut"), choices=ValueSetting.Method.choices)
    r_cuts = CutsField(
        label=gettext_lazy("Recency: days since the last order"),
        help_text=gettext_lazy("Four rising numbers. With fifths they are worked out again each night."),
    )
    f_cuts = CutsField(label=gettext_lazy("Frequency: orders"))
    m_cuts = CutsField(label=gettext_lazy("Money: yuan in all"))
    r_weight = forms.IntegerField(label=gettext_lazy("Weight of recency"), min_value=0, max_value=100)
    f_weight = forms.IntegerField(label=gettext_lazy("Weight of frequency"), min_value=0, max_value=100)
    m_weight = forms.IntegerField(label=gettext_lazy("Weight of money"), min_value=0, max_value=100)
    loyal_score = forms.IntegerField(label=gettext_lazy("Loyal from a score of"), min_value=0, max_value=100)
    good_score = forms.IntegerField(label=gettext_lazy("Good from a score of"), min_value=0, max_value=100)
    lost_days = forms.IntegerField(
        label=gettext_lazy("Lost after days without an order"), min_value=1, max_value=3650
    )


def value_tabs(active: str) -> list[dict[str, Any]]:
    rows = [
        ("rfm", "/value/", _("Value")),
        ("flow", "/value/lifecycle/", _("Lifecycle")),
        ("next", "/value/next/", _("Next orders")),
        ("like", "/value/lookalike/", _("Lookalike")),
        ("settings", "/value/settings/", _("Settings")),
    ]
    return [{"url": url, "label": label, "active": key == active} for key, url, label in rows]


@require_GET
@staff_can("segments.view")
def overview(request: Any) -> HttpResponse:
    """The grid of R and F, the scores, the groups."""
    setting = value.setting_of(request.brand)
    grid = value.grid(request.brand)
    most = max((n for row in grid for n, _spent in row), default=0)
    tens, groups = value.distribution(request.brand)
    context = {
        "setting": setting,
        "rows": [
            {
                "r": r,
                "cells": [
                    {"f": f, "n": n, "spent": spent, "shade": -(-9 * n // most) if most else 0}
                    for f, (n, spent) in enumerate(row, 1)
                ],
            }
            for r, row in zip(range(5, 0, -1), grid, strict=True)
        ],
        "groups": [(group, *groups[int(group)]) for group in ValueGroup],
        "total": sum(tens),
        "scores": {
            "kind": "bar",
            "x": [f"{10 * n}–{10 * n + 9 if n < 9 else 100}" for n in range(10)],
            "x_name": _("Score"),
            "series": [{"name": _("Customers"), "data": tens, "color": "blue"}],
        },
        "tabs": value_tabs("rfm"),
    }
    return render(request, "tagging/value/overview.html", context)


@require_POST
@staff_can("segments.edit")
def recompute(request: Any) -> HttpResponse:
    """Everybody is scored and sorted now, not only next night: after the first orders came in, for instance."""
    value.ask_recompute(request.brand, by=request.actor)
    return go(request, "/value/", _("Everybody is scored again in a moment. Load the page again then."))


@require_GET
@staff_can("segments.view")
def people(request: Any) -> HttpResponse:
    """The people behind a number: r and f of a cell, a group, a stage, or a span of days of the next order."""
    given = {name: request.GET.get(name, "") for name in ("r", "f", "group", "stage")}
    columns = {"r": "recency", "f": "frequency", "group": "value_group", "stage": "lifecycle"}
    if not any(given.values()) or not all(
        text == "" or ((n := read_id(text)) is not None and n < 10_000) for text in given.values()
    ):
        raise NotFoundError()
    wanted = {columns[name]: int(text) for name, text in given.items() if text}
    rows, score = ContactStat.objects.filter(**wanted), "value_score"
    if "recency" not in wanted:  # else everybody has a score, and an index has them in its order
        rows, score = rows.annotate(score=Coalesce("value_score", -1)), "score"
    return _people(
        request,
        rows,
        order=(f"-{score}", "-spent_fen", "-contact_id"),
        title=_title(wanted),
        condition=[_leaf(column, n) for column, n in wanted.items()],
    )


def _leaf(column: str, n: int) -> Condition:
    """The condition of a column of ContactStat."""
    if column in ("recency", "frequency"):
        return {"kind": "number", "measure": column, "compare": {"op": "eq", "value": n}}
    return {"kind": column, "ids": [n]}


def _title(wanted: dict[str, int]) -> str:
    if group := wanted.get("value_group"):
        return str(ValueGroup(group).label) if group in ValueGroup.values else "—"
    if stage := wanted.get("lifecycle"):
        return LifecycleStage.objects.filter(number=stage).values_list("name", flat=True).first() or "—"
    return f"R{wanted.get('recency', '·')} F{wanted.get('frequency', '·')}"


def _people(
    request: Any,
    rows: Any,
    *,
    order: tuple[str, ...],
    title: str,
    condition: list[Condition],
    tabs: str = "rfm",
    **more: Any,
) -> HttpResponse:
    """A page of people; `condition`: leaves that mean the same people, for a segment of them."""
    if visible_follows(request.staff) is not None:
        rows = rows.filter(contact__in=Contact.objects.visible_to(request.staff).values("pk"))
    found = rows.select_related("contact")
    page = keyset_page(found, order=order, after=request.GET.get("after"), size=PEOPLE)
    context = {
        "page": page,
        "title": title,
        "condition": json.dumps({"all": condition}),
        "tabs": value_tabs(tabs),
        "setting": value.setting_of(request.brand),
        **more,
    }
    template = "tagging/value/_people.html" if request.htmx else "tagging/value/people.html"
    return render(request, template, context)


@require_GET
@staff_can("segments.view")
def next_orders(request: Any) -> HttpResponse:
    """Who is expected to order again soon, by day, the most valuable of a day first; or (`days=past`) who was expected
    lately and has not come yet."""
    days = request.GET.get("days", "7")
    is_past, n = days == "past", n if (n := read_id(days)) in SPANS else 7
    today = clock.today(request.brand.timezone)
    first, last = (
        (today - timedelta(days=PAST_DAYS), today) if is_past else (today, today + timedelta(days=n))
    )
    rows = ContactStat.objects.filter(next_order_on__gte=first, next_order_on__lte=last, n_follows__gt=0)
    window = {"type": "last", "n": PAST_DAYS} if is_past else {"type": "next", "n": n}
    spans = [(str(span), _("%(n)s days") % {"n": span}) for span in SPANS]
    return _people(
        request,
        rows.annotate(worth=0 - Coalesce("value_score", -1)),
        order=("-next_order_on" if is_past else "next_order_on", "worth", "contact_id"),
        title=_("Next orders"),
        condition=[
            {"kind": "next_order", "window": window},
            {"kind": "follow", "values": ["reachable"]},
        ],
        tabs="next",
        periods=[*spans, ("past", _("Due, not here yet"))],
        days="past" if is_past else str(n),
    )


@require_GET
@staff_can("segments.view")
def lifecycle_page(request: Any) -> HttpResponse:
    days = request.GET.get("days", "30")
    n = n if (n := read_id(days)) in SPANS else 30
    found = lifecycle.flow(request.brand, clock.today(request.brand.timezone) - timedelta(days=n - 1))
    moves = found.moves[:40]
    total = sum(n_people for _stage, n_people in found.stages)
    problems = lifecycle.problems_of(request.brand, [stage for stage, _n in found.stages])
    context = {
        "problems": [(stage.name, problems[stage.pk]) for stage, _n in found.stages if stage.pk in problems],
        "stages": [
            (stage, n_people, round(100 * n_people / total, 1) if total else 0)
            for stage, n_people in found.stages
        ],
        "flow": {
            "kind": "sankey",
            "x": [f"{a} → {b}" for a, b, _n in moves],
            "x_name": _("Move"),
            "links": [[a, b] for a, b, _n in moves],
            "colors": {stage.name: CHART_COLORS.get(stage.color, "blue") for stage, _n in found.stages},
            "series": [{"name": _("Customers"), "data": [n_people for _a, _b, n_people in moves]}],
        },
        "days": n,
        "periods": [(span, _("%(n)s days") % {"n": span}) for span in SPANS],
        "tabs": value_tabs("flow"),
    }
    return render(request, "tagging/value/lifecycle.html", context)


@require_http_methods(["GET", "POST"])
@staff_can("segments.edit")
def settings(request: Any) -> HttpResponse:
    """Cuts, weights and groups."""
    present = value.setting_of(request.brand)
    initial = {name: getattr(present, name) for name in value.COLUMNS if name not in _CUTS}
    initial |= {
        name: ", ".join(str(n // (100 if name == "m_cuts" else 1)) for n in getattr(present, name))
        for name in _CUTS
    }
    form = SettingForm(request.POST or None, initial=initial)
    context: dict[str, Any] = {"form": form, "tabs": value_tabs("settings"), "setting": present}
    if request.method == "POST" and form.is_valid():
        values = {**form.cleaned_data, "m_cuts": [100 * n for n in form.cleaned_data["m_cuts"]]}
        try:
            if "preview" in request.POST:
                found = value.preview(request.brand, **values)
                context["preview"] = [
                    (g.label, found.before.get(int(g), 0), found.after.get(int(g), 0)) for g in ValueGroup
                ]
                context["n_changed"] = found.n_changed
            else:
                value.change_setting(request.brand, by=request.actor, **values)
                return go(request, "/value/settings/", _("Saved. Everybody is scored again in a moment."))
        except InvalidError as error:
            add_errors(form, error)
    return render(request, "tagging/value/settings.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@staff_can("segments.edit")
def stages(request: Any) -> HttpResponse:
    """The stages in order, each with its condition. POST: all of them as JSON, in order."""
    if request.method == "GET":
        present = lifecycle.stages_of(request.brand)
        problems = lifecycle.problems_of(request.brand, present)
        rows = [
            {
                "stage": s,
                "condition": json.dumps(s.condition, ensure_ascii=False),
                "problem": problems.get(s.pk, ""),
            }
            for s in present
        ]
        context = {
            "rows": rows,
            "colors": STAGE_COLORS,
            "most": lifecycle.MAX_STAGES,
            "tabs": value_tabs("flow"),
        }
        return render(request, "tagging/value/stages.html", context)
    try:
        wanted = [
            StageInput(str(r["name"]), r["condition"], str(r.get("color", "blue")), r.get("number"))
            for r in json_in.loads(request.POST.get("stages", ""))
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidError(_("The stages cannot be read: %(error)s") % {"error": error}) from error
    lifecycle.change_stages(request.brand, wanted, by=request.actor)
    return go(request, "/value/lifecycle/", _("Saved. Everybody is sorted again in a moment."))
