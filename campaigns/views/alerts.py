"""Alerts: what guides were told and what not and why; rules with their preview; how often guides are told."""

import json
from datetime import timedelta
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from campaigns.models import Alert, AlertMessage, AlertRule
from campaigns.services import scope
from campaigns.services.alerts import alert_preview, alert_rules, alert_words, alerts
from campaigns.services.alerts.alert_rules import ALERTS, TEMPLATES, label_of
from org.access import staff_can
from org.forms import add_errors
from scrm import clock, json_in
from scrm.errors import ForbiddenError, InvalidError, SCRMError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go
from tagging.conditions.summary import sentence
from tagging.rule_events import EVENTS
from tagging.services.segments import naming
from tagging.views.event_filters import filter_field, filter_words, names_of, read_filters
from wecom.models import OutboundCall

PERIODS = [
    (1, gettext_lazy("Today and yesterday")),
    (7, gettext_lazy("7 days")),
    (30, gettext_lazy("30 days")),
]


def _tabs(active: str) -> list[dict[str, Any]]:
    return [
        {"url": "/alerts/", "label": _("Alerts sent to guides"), "active": active == "list"},
        {"url": "/alerts/rules/", "label": _("Rules"), "active": active == "rules"},
    ]


# ---- what was told


@require_GET
@staff_can("sops.view")
def alert_list(request: Any) -> HttpResponse:
    """Alerts, newest first."""
    days = read_id(request.GET.get("days"))
    days = days if days in dict(PERIODS) else 7
    given = {name: request.GET.get(name, "") for name in ("state", "reason")}
    rows = scope.of_guides(
        Alert.objects.filter(at__gte=clock.now() - timedelta(days=days or 7)), request.staff
    )
    if given["state"] in Alert.State.values:
        rows = rows.filter(state=given["state"])
    if given["reason"] and given["reason"] in Alert.Reason.values:
        rows = rows.filter(reason=given["reason"])
    for name, column in (("rule", "rule"), ("guide", "staff"), ("message", "message")):
        if (value := read_id(request.GET.get(name))) is not None:
            rows = rows.filter(**{column: value})
    rows = rows.select_related("contact", "staff", "rule", "message")
    page = keyset_page(rows, order=("-pk",), after=request.GET.get("after"), size=50)
    context: dict[str, Any] = {"page": page, "rows": _said(list(page))}
    if request.htmx:
        return render(request, "campaigns/alerts/_rows.html", context)
    context |= {
        "given": {
            **given,
            "days": days,
            "rule": read_id(request.GET.get("rule")),
            "guide": read_id(request.GET.get("guide")),
        },
        "tabs": _tabs("list"),
        "states": Alert.State.choices,
        "reasons": [pair for pair in Alert.Reason.choices if pair[0]],
        "rules": list(AlertRule.objects.order_by("name").values_list("pk", "name")[:500]),
        "guides": scope.guide_choices(request.staff),
        "periods": PERIODS,
        "has_rules": alert_rules.has_work(),
    }
    return render(request, "campaigns/alerts/list.html", context)


def _said(rows: list[Alert]) -> list[dict[str, Any]]:
    """Each alert with its sentence and what became of its message."""
    calls = _calls([row.message for row in rows if row.message])
    return [
        {"row": row, "line": line, "call": calls.get(row.message_id or 0)}
        for row, line in zip(rows, alert_words.lines_of(rows), strict=True)
    ]


def _calls(messages: list[AlertMessage]) -> dict[int, OutboundCall]:
    """{message: its call of wecom's outbox}."""
    keys = {f"{message.staff_id}:{alerts.notice_key(message)}": message.pk for message in messages}
    if not keys:
        return {}
    rows = OutboundCall.objects.filter(kind=OutboundCall.Kind.NOTICE, key__in=list(keys))
    return {keys[row.key]: row for row in rows.only("key", "state", "error", "done_at")}


# ---- rules


class PolicyForm(forms.Form):
    quiet_start = forms.TimeField(
        label=gettext_lazy("Quiet hours from"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text=gettext_lazy("What happens in them is told in one message when they are over."),
    )
    quiet_end = forms.TimeField(
        label=gettext_lazy("until"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
    )
    window_minutes = forms.IntegerField(
        label=gettext_lazy("Minutes between two messages about one customer"),
        min_value=1,
        max_value=1440,
        help_text=gettext_lazy("What else the customer does meanwhile comes bundled in the next one."),
    )
    per_hour = forms.IntegerField(
        label=gettext_lazy("Messages to one guide an hour at most"), min_value=1, max_value=60
    )
    keep_hours = forms.IntegerField(
        label=gettext_lazy("Hours after which an alert is not worth telling"), min_value=1, max_value=48
    )


@require_http_methods(["GET", "POST"])
@staff_can("sops.view")
def rule_list(request: Any) -> HttpResponse:
    """All rules; below them how often guides are told."""
    names = ["quiet_start", "quiet_end", *alert_rules.LIMITS]
    present = alert_rules.policy_of(request.brand)
    form = PolicyForm(request.POST or None, initial={name: getattr(present, name) for name in names})
    may_edit = request.actor.can("sops.edit")
    if request.method == "POST" and not may_edit:
        raise ForbiddenError()
    if request.method == "POST" and form.is_valid():
        try:
            alert_rules.change_policy(request.brand, by=request.actor, **form.cleaned_data)
        except InvalidError as error:
            add_errors(form, error)
        else:
            return go(request, "/alerts/rules/", _("Saved. It applies from the next message on."))
    rules = list(AlertRule.objects.filter(deleted_at=None).order_by("pk"))
    filter_names = names_of(rules)
    context = {
        "tabs": _tabs("rules"),
        "rows": [{"rule": rule, "when": when_words(rule, filter_names)} for rule in rules],
        "templates": [(key, name) for name, key in TEMPLATES],
        "form": form,
        "may_edit": may_edit,
    }
    return render(request, "campaigns/alerts/rules.html", context, status=422 if form.errors else 200)


def when_words(rule: AlertRule, names: dict[str, dict[int, str]]) -> str:
    """What a rule tells, in words; `names` of `names_of`."""
    parts = [label_of(rule.event), *filter_words(rule, names)]
    if rule.condition:
        parts.append(sentence(rule.condition, naming.known(rule.condition)))
    return " · ".join(parts)


@require_http_methods(["GET", "POST"])
@staff_can("sops.edit")
def rule_edit(request: Any, rule_id: int | None = None) -> HttpResponse:
    rule = alert_rules.get_rule(rule_id) if rule_id else None
    if request.method == "GET":
        return render(request, "campaigns/alerts/edit.html", _form(rule, _start(request, rule)))
    try:
        saved = alert_rules.save(request.brand, _values(request), by=request.actor, rule_id=rule_id)
    except SCRMError as error:
        context = _form(rule, _typed(request)) | {
            "error": error.message,
            "fields": error.details.get("fields", {}),
        }
        return render(request, "campaigns/alerts/edit.html", context, status=422)
    text = _("Saved.") if saved.is_on else _("Saved. Switch it on when the preview looks right.")
    return go(request, "/alerts/rules/", text)


def _start(request: Any, rule: AlertRule | None) -> dict[str, Any]:
    if rule:
        return {name: getattr(rule, name) for name in alert_rules.FIELDS}
    key = request.GET.get("event", "")
    named = {key: name for name, key in TEMPLATES}
    event = key if key in ALERTS else "content_opened"
    return {"name": str(named.get(key, "")), "event": event, "filters": {}, "condition": {}}


def _typed(request: Any) -> dict[str, Any]:
    """What the form holds, as far as it can be read."""
    event = EVENTS.get(request.POST.get("event", ""))
    try:
        filters = read_filters(request.POST, event) if event else {}
    except SCRMError:
        filters = {}
    return {
        "name": request.POST.get("name", ""),
        "event": request.POST.get("event", ""),
        "filters": filters,
        "condition_text": request.POST.get("condition", ""),
    }


def _values(request: Any) -> dict[str, Any]:
    event = alert_rules.event_of(request.POST.get("event", ""))
    raw = request.POST.get("condition", "").strip()
    try:
        condition = json_in.loads(raw) if raw else {}
    except ValueError as error:
        text = _("The form did not arrive complete. Load the page again.")
        raise InvalidError(text, fields={"condition": text}) from error
    return {
        "name": request.POST.get("name", ""),
        "event": event.key,
        "filters": read_filters(request.POST, event),
        "condition": condition,
    }


def _form(rule: AlertRule | None, values: dict[str, Any]) -> dict[str, Any]:
    event = EVENTS.get(values["event"]) if values["event"] in ALERTS else None
    groups: dict[str, list[dict[str, str]]] = {}
    for key in ALERTS:
        groups.setdefault(str(EVENTS[key].group), []).append({"key": key, "label": label_of(key)})
    filters = values.get("filters") or {}
    condition = values.get("condition_text")
    if condition is None:
        condition = json.dumps(values["condition"], ensure_ascii=False) if values.get("condition") else ""
    return {
        "rule": rule,
        "values": values,
        "event": event,
        "event_groups": list(groups.items()),
        "filters": [
            filter_field(name, filters.get(name) if isinstance(filters, dict) else None, event.key)
            for name in event.filters
        ]
        if event
        else [],
        "condition": condition,
    }


@require_POST
@staff_can("sops.edit")
def rule_parts(request: Any) -> HttpResponse:
    """The filters of the event chosen: a fragment."""
    return render(request, "tagging/rules/_filters.html", _form(None, _typed(request) | {"filters": {}}))


@require_POST
@staff_can("sops.edit")
def rule_look(request: Any) -> HttpResponse:
    """What the rule of the form would have told yesterday: a fragment."""
    try:
        rule = alert_rules.build(request.brand, _values(request))
        found = alert_preview.yesterday(request.brand, rule)
    except SCRMError as error:
        return render(request, "campaigns/alerts/_preview.html", {"error": error.message})
    return render(request, "campaigns/alerts/_preview.html", {"found": found, "most": alert_preview.MOST})


@require_POST
@staff_can("sops.edit")
def rule_act(request: Any, rule_id: str, act: str) -> HttpResponse:
    number = int(rule_id)
    if act == "delete":
        alert_rules.delete(request.brand, rule_id=number, by=request.actor)
        return go(request, "/alerts/rules/", _("Deleted. Its past alerts stay in the list."))
    alert_rules.switch(request.brand, rule_id=number, on=act == "on", by=request.actor)
    return go(request, "/alerts/rules/", _("On: guides are alerted from now on") if act == "on" else _("Off"))
