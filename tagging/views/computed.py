"""Computed tags: sets, their brackets, how many people fall into each."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contacts.models import CustomField
from org.access import brand_transaction, staff_can, staff_can_outside
from org.models import Corp
from scrm.errors import NotFoundError, SCRMError
from scrm.ids import read_id
from scrm.responses import go
from tagging.measures import MEASURES
from tagging.models import ComputedTag, Tag
from tagging.services.rules import computed
from tagging.views.library import carriers
from tagging.views.tabs import tabs
from tenants.scoping import tenant_scope

ROWS = 8  # brackets of an empty form
# what a new form proposes: (from, below, name); money in yuan
PRESETS: dict[str, list[tuple[Any, Any, str]]] = {
    "months_joined": [
        (None, 1, "1个月内"), (1, 3, "1-3个月"), (3, 6, "3-6个月"), (6, 12, "6-12个月"), (12, None, "1年以上"),
    ],
    "age_months": [
        (None, 0, "孕期"), (0, 6, "0-6月龄"), (6, 12, "6-12月龄"), (12, 24, "1-2岁"), (24, 36, "2-3岁"),
        (36, None, "3岁以上"),
    ],
    "spent_fen": [
        (None, 0.01, "未消费"), (0.01, 200, "200元以下"), (200, 1000, "200-1000元"),
        (1000, 5000, "1000-5000元"), (5000, None, "5000元以上"),
    ],
    "days_since_order": [
        (None, 30, "30天内下单"), (30, 90, "30-90天未下单"), (90, 180, "90-180天未下单"), (180, None, "半年未下单"),
    ],
}  # fmt: skip


def get_row(row_id: int) -> ComputedTag:
    found = ComputedTag.objects.select_related("field", "group").filter(pk=row_id, deleted_at=None).first()
    if found is None:
        raise NotFoundError()
    return found


@require_GET
@staff_can("tags.edit")
def computed_list(request: Any) -> HttpResponse:
    found = list(ComputedTag.objects.filter(deleted_at=None).select_related("field").order_by("name"))
    ids = [b["tag_id"] for row in found for b in row.brackets]
    names, counts = (
        dict(Tag.objects.filter(pk__in=ids).values_list("pk", "name")),
        carriers(request.brand.pk, ids),
    )
    rows = [
        {
            "row": row,
            "tags": [
                (names.get(b["tag_id"], "?"), counts.get(b["tag_id"], 0), b["tag_id"]) for b in row.brackets
            ],
        }
        for row in found
    ]
    return render(request, "tagging/computed/list.html", {"tabs": tabs("computed"), "rows": rows})


@require_http_methods(["GET", "POST"])
@staff_can_outside("tags.edit")
def computed_edit(request: Any, row_id: int | None = None) -> HttpResponse:
    with brand_transaction(request):
        row = get_row(row_id) if row_id else None
        corps = list(Corp.objects.order_by("pk"))
        fields = list(
            CustomField.objects.filter(archived_at=None, type__in=("date", "number")).order_by(
                "position", "pk"
            )
        )
        names = dict(Tag.objects.filter(group=row.group_id).values_list("pk", "name")) if row else {}
    context: dict[str, Any] = {
        "tabs": tabs("computed"),
        "row": row,
        "corps": corps,
        "own_fields": fields,
        "measures": [(key, label, MEASURES[key].unit) for key, label in ComputedTag.Measure.choices],
        "measure": request.GET.get("measure") or "months_joined",
        "where": request.POST.get("corp", ""),
    }
    if request.method == "GET":
        context |= _stored(row, names) if row else {"brackets": _preset(context["measure"])}
        return render(request, "tagging/computed/edit.html", context)
    values = _values(request)
    try:
        with tenant_scope(request.brand):
            corp = next((c for c in corps if str(c.pk) == context["where"]), None)
            saved = computed.save(request.brand, by=request.actor, values=values, row=row, corp=corp)
            if row is None:
                with brand_transaction(request):
                    computed.switch(request.brand, by=request.actor, row=saved, on=True)
    except SCRMError as error:
        context |= _refused(request, values, error)
        return render(request, "tagging/computed/edit.html", context, status=422)
    return go(request, "/tags/computed/", _("Saved. Everybody is being checked now, and again each night."))


def _stored(row: ComputedTag, names: dict[int, str]) -> dict[str, Any]:
    """What the form shows of a row; names: {tag: its name}."""
    measure = MEASURES.get(row.measure)
    scale = 100 if measure and measure.is_money else 1
    brackets = [
        {
            **b,
            "name": names.get(b["tag_id"], ""),
            "from": _scaled(b["from"], scale),
            "to": _scaled(b["to"], scale),
        }
        for b in row.brackets
    ]
    return {
        "name": row.name,
        "measure": row.measure,
        "field_id": row.field_id,
        "brackets": _padded(brackets),
    }


def _preset(measure: str) -> list[dict[str, Any]]:
    return _padded([{"from": low, "to": high, "name": name} for low, high, name in PRESETS.get(measure, [])])


def _refused(request: Any, values: dict[str, Any], error: SCRMError) -> dict[str, Any]:
    """What was typed, with the refusal at its field."""
    fields = error.details.get("fields", {})
    typed = [{**b, "error": fields.get(f"brackets.{i}")} for i, b in enumerate(_typed(request))]
    kept = {name: values[name] for name in ("name", "measure", "field_id")}
    return {"error": error.message, "fields": fields, "brackets": _padded(typed), **kept}


def _scaled(value: Any, scale: int) -> Any:
    return value / scale if value is not None and scale != 1 else value


def _padded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*rows, *({} for _n in range(max(2, ROWS - len(rows))))]


def _typed(request: Any) -> list[dict[str, Any]]:
    """The rows of the form that hold something, as typed."""
    post = request.POST
    columns = zip(*(post.getlist(f"b_{n}") for n in ("name", "from", "to", "tag", "none")), strict=False)
    return [
        {
            "name": name,
            "from": low.strip(),
            "to": high.strip(),
            "tag_id": read_id(tag),
            "none": none == "1",
        }
        for name, low, high, tag, none in columns
        if name.strip() or low.strip() or high.strip()
    ]


def _values(request: Any) -> dict[str, Any]:
    measure = request.POST.get("measure", "")
    is_money = measure in MEASURES and MEASURES[measure].is_money
    field = request.POST.get("field_id", "")
    return {
        "name": request.POST.get("name", ""),
        "measure": measure,
        "field_id": read_id(field),
        "brackets": [
            {
                **b,
                "from": _fen(b["from"]) if is_money else b["from"],
                "to": _fen(b["to"]) if is_money else b["to"],
            }
            for b in _typed(request)
        ],
    }


def _fen(text: str) -> Any:
    """Yuan as fen; what is no number is left for the service to refuse."""
    try:
        return round(float(text) * 100) if text else ""
    except (ValueError, OverflowError):
        return text


@require_POST
@staff_can_outside("tags.edit")
def computed_act(request: Any, row_id: int, act: str) -> HttpResponse:
    """Switch on or off, or delete with its tags."""
    with brand_transaction(request):
        row = get_row(row_id)
        if act != "delete":
            computed.switch(request.brand, by=request.actor, row=row, on=act == "on")
    if act == "delete":
        with tenant_scope(request.brand):
            computed.delete(request.brand, by=request.actor, row=row)
        return go(request, "/tags/computed/", _("Deleted"))
    text = (
        _("Switched on: everybody is being checked now")
        if act == "on"
        else _("Switched off. The tags stay as they are.")
    )
    return go(request, "/tags/computed/", text)
