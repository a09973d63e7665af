"""The builder of conditions in the browser (frontend/static/conditions.js): what it knows, choices, its live count."""

from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from contacts.models import Contact
from org.access import staff_can
from scrm import json_in
from scrm.errors import InvalidError, NotFoundError
from tagging.conditions import ConditionError, summary
from tagging.conditions.leaves import EVENTS, FIELD_TESTS, GROUPS, LEAVES, event_params
from tagging.conditions.shapes import OPS, WINDOW_PARAMS
from tagging.conditions.summary import sentence
from tagging.services.segments import audience, naming

SAMPLE = 8

# words of options that a person chooses from; what is not here shows as it is
WORDS: dict[str, Any] = {
    **summary.WORDS,
    **summary.EVENTS,
    **summary.TOUCH_KINDS,
    **summary.RESULTS,
    "eq": "=", "ne": "≠", "ge": "≥", "gt": ">", "le": "≤", "lt": "<", "between": gettext_lazy("between"),
    "last": gettext_lazy("in the last"), "before": gettext_lazy("longer ago than"), "next": gettext_lazy("in the next"),
    "this": gettext_lazy("this"), "previous": gettext_lazy("the previous"), "anniversary": gettext_lazy("comes round within"),
    "month": gettext_lazy("in the month"), "ever": gettext_lazy("at any time"), "never": gettext_lazy("never"),
    "day": gettext_lazy("day"), "hour": gettext_lazy("hour"), "week": gettext_lazy("week"), "year": gettext_lazy("year"),
    "any": gettext_lazy("any of"), "all": gettext_lazy("all of"), "none": gettext_lazy("none of"),
    "at_least": gettext_lazy("at least so many of"), "count": gettext_lazy("number"), "sum": gettext_lazy("sum"),
    "avg": gettext_lazy("average"), "max": gettext_lazy("largest"), "quantity": gettext_lazy("pieces"),
    "n_orders": gettext_lazy("orders in all"), "spent_fen": gettext_lazy("spent in all"),
    "avg_fen": gettext_lazy("average of all orders"), "value_score": gettext_lazy("value score"),
    "recency": "R", "frequency": "F", "monetary": "M", "ltv_fen": gettext_lazy("value next year"),
    "alive_ratio": gettext_lazy("probability of still buying (0–1)"), "contains": gettext_lazy("contains"),
    "starts": gettext_lazy("starts with"), "filled": gettext_lazy("is filled in"), "empty": gettext_lazy("is empty"),
    "in": gettext_lazy("is one of"), "compare": gettext_lazy("compares"), "window": gettext_lazy("falls"),
    "tags": gettext_lazy("Tags"), "codes": gettext_lazy("Channel codes"), "staff": gettext_lazy("Guides"),
    "stores": gettext_lazy("Stores"), "regions": gettext_lazy("Regions"), "groups": gettext_lazy("Groups"),
    "products": gettext_lazy("Products"), "categories": gettext_lazy("Categories"), "sops": gettext_lazy("SOPs"),
    "broadcasts": gettext_lazy("Broadcasts"), "links": gettext_lazy("Tracked links"), "pages": gettext_lazy("Forms"),
    "moments": gettext_lazy("Moments"), "words": gettext_lazy("Words in it"),
    "order_channels": gettext_lazy("Sold through"), "order_sources": gettext_lazy("Told by"),
    "behaviours": gettext_lazy("Kinds of behaviour"), "stages": gettext_lazy("Stages"),
    "segments": gettext_lazy("Segments"), "value_groups": gettext_lazy("Value group"),
    "lifecycle_stages": gettext_lazy("Lifecycle stage"),
    "yes": gettext_lazy("yes"), "no": gettext_lazy("no"),
}  # fmt: skip


# what the builder itself says
TEXT: dict[str, Any] = {
    "all": gettext_lazy("all of these hold"), "any": gettext_lazy("one of these holds"), "not": gettext_lazy("not"),
    "add": gettext_lazy("Condition"), "group": gettext_lazy("Group of conditions"), "remove": gettext_lazy("Take out"),
    "choose": gettext_lazy("Choose…"), "yes": gettext_lazy("yes"), "no": gettext_lazy("no"),
    "empty": gettext_lazy("Add a condition"),
    "drag": gettext_lazy("Drag, or move with Alt and the arrow keys: up, down, right into a group, left out of it"),
    "yuan": gettext_lazy("yuan"), "nothing": gettext_lazy("Nothing found"),
    "failed": gettext_lazy("It could not be counted. Change something, or load the page again."),
    # what a screen reader says of a field
    "label_measure": gettext_lazy("What is counted"), "label_op": gettext_lazy("Comparison"),
    "label_value": gettext_lazy("Number to compare with"), "label_to": gettext_lazy("To"), "label_from": gettext_lazy("From"),
    "label_window": gettext_lazy("Period"), "label_n": gettext_lazy("How many"), "label_unit": gettext_lazy("Unit"),
    "label_of": gettext_lazy("Which one"), "label_mode": gettext_lazy("Any, all or none"),
    "label_event": gettext_lazy("Event"), "label_result": gettext_lazy("Result"), "label_key": gettext_lazy("Field"),
    "label_test": gettext_lazy("Test"), "label_text": gettext_lazy("Text"),
}  # fmt: skip


@require_GET
@staff_can("segments.view")
def meta(request: Any) -> JsonResponse:
    """What the builder in the browser knows: kinds with their parameters, words, own fields."""
    kinds = [
        {
            "kind": kind,
            "label": str(leaf.label),
            "group": str(GROUPS[leaf.group]),
            "params": [
                {
                    "name": p.name, "type": p.type, "options": list(p.options), "source": p.source, "default": p.default,
                    "needed": p.needed if isinstance(p.needed, bool) else False,
                }
                for p in leaf.params
            ],
        }
        for kind, leaf in LEAVES.items()
    ]  # fmt: skip
    fields = [
        {"key": key, "label": f.label, "options": list(f.options), "tests": FIELD_TESTS[f.type]}
        for key, f in naming.fields().items()
    ]
    return JsonResponse(
        {
            "kinds": kinds,
            "fields": fields,
            "ops": OPS,
            "window_params": WINDOW_PARAMS,
            "money": sorted(summary.MONEY),
            "event_params": {event: event_params(event) for event in EVENTS},
            "words": {key: str(label) for key, label in WORDS.items()},
            "text": {key: str(label) for key, label in TEXT.items()},
        }
    )


@require_GET
@staff_can("segments.view")
def choices(request: Any) -> JsonResponse:
    """What may be chosen from a source, by a part of its name: [[id, name], …]."""
    source = request.GET.get("source", "")
    if not any(source in known for known in (naming.SOURCES, naming.FIXED, naming.TEXTS)):
        raise NotFoundError()
    return JsonResponse({"results": naming.choices(source, request.GET.get("q", ""))})


@require_POST
@staff_can("segments.view")
def count(request: Any) -> JsonResponse:
    """How many match a condition now, some of them, the condition in words; or what is wrong, and where."""
    try:
        raw = json_in.loads(request.POST.get("condition", ""))
    except ValueError as error:
        raise InvalidError(_("The form did not arrive complete. Load the page again.")) from error
    try:
        condition = audience.read(request.brand, raw)
        n, ids = audience.Audience(request.brand, condition, staff=request.staff).count_and_sample(SAMPLE)
    except ConditionError as error:
        return JsonResponse({"problems": error.details["problems"], "names": _names(raw)})
    known = naming.known(condition)
    names = dict(Contact.objects.filter(pk__in=ids).values_list("pk", "name"))
    sample = [{"id": pk, "name": names.get(pk) or "—"} for pk in ids]
    return JsonResponse(
        {"n": n, "sample": sample, "sentence": sentence(condition, known), "names": known.names}
    )


def _names(condition: Any) -> dict[str, dict[int, str]]:
    try:
        return naming.known(condition).names  # type: ignore[return-value]
    except (TypeError, AttributeError, KeyError):
        return {}
