"""Automatic tag rules: list, editor with preview, switches, history."""

import json
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contacts.models import Contact
from org.access import staff_can
from org.models import Job
from scrm import json_in
from scrm.errors import InvalidError, NotFoundError, SCRMError
from scrm.ids import need_ids, read_id
from scrm.keyset import keyset_page
from scrm.responses import go, toast
from tagging.conditions.summary import sentence
from tagging.models import Tag, TagAct, TagRule
from tagging.rule_events import EVENTS, yuan_of
from tagging.services.rules import rule_preview, rule_runs, rules
from tagging.services.segments import naming
from tagging.services.tags.tags import choices
from tagging.views.acts import act_rows
from tagging.views.event_filters import fen_of, filter_field, filter_words, names_of, read_filters
from tagging.views.tabs import tabs


def get_rule(rule_id: int) -> TagRule:
    found = TagRule.objects.filter(pk=rule_id, deleted_at=None).first()
    if found is None:
        raise NotFoundError()
    return found


@require_GET
@staff_can("tags.edit")
def rule_list(request: Any) -> HttpResponse:
    """All rules in the order in which they run, with what they did in the last 30 days."""
    found = list(TagRule.objects.filter(deleted_at=None).order_by("position", "pk"))
    names = _tag_names(found)
    filter_names = names_of(found)
    sums: dict[int, list[int]] = {}
    acts = TagAct.objects.filter(kind=TagAct.Kind.RULE, owner_id__in=[r.pk for r in found])
    for owner_id, people, added, removed in acts.values_list("owner_id", "n_people", "n_added", "n_removed"):
        total = sums.setdefault(owner_id or 0, [0, 0, 0])
        for i, n in enumerate((people, added, removed)):
            total[i] += n
    rows = [
        {
            "rule": rule,
            "when": when_words(rule, filter_names),
            "plus": [names.get(n, "?") for n in rule.add_tag_ids],
            "minus": [names.get(n, "?") for n in rule.remove_tag_ids],
            "sums": sums.get(rule.pk, [0, 0, 0]),
        }
        for rule in found
    ]
    return render(request, "tagging/rules/list.html", {"tabs": tabs("rules"), "rows": rows})


def _tag_names(found: list[TagRule]) -> dict[int, str]:
    ids = {n for rule in found for n in (*rule.add_tag_ids, *rule.remove_tag_ids)}
    return dict(Tag.objects.filter(pk__in=ids).values_list("pk", "name"))


def when_words(rule: TagRule, names: dict[str, dict[int, str]]) -> str:
    """What sets a rule off, in words; `names` of `names_of`."""
    if rule.kind == TagRule.Kind.CONDITION:
        return str(_("The condition becomes true"))
    event = EVENTS.get(rule.event)
    parts = [str(event.label) if event else rule.event]
    parts += filter_words(rule, names)
    if rule.window_days:
        times = _("%(n)s times within %(days)s days") % {"n": rule.n_at_least, "days": rule.window_days}
        if rule.amount_at_least_fen:
            yuan = f"{rule.amount_at_least_fen / 100:,.2f}".removesuffix(".00")
            times = _("%(yuan)s yuan within %(days)s days") % {"yuan": yuan, "days": rule.window_days}
        parts.append(times)
    return " · ".join(parts)


# ---- the editor


@require_http_methods(["GET", "POST"])
@staff_can("tags.edit")
def rule_new(request: Any) -> HttpResponse:
    return _editor(request, None)


@require_http_methods(["GET", "POST"])
@staff_can("tags.edit")
def rule_edit(request: Any, rule_id: int) -> HttpResponse:
    return _editor(request, get_rule(rule_id))


def _editor(request: Any, rule: TagRule | None) -> HttpResponse:
    """GET: the form. POST: saved; a refusal stands at its field."""
    values: dict[str, Any] = {"kind": "event", "event": "order_paid"}
    if request.method == "GET":
        if rule:
            values = {name: getattr(rule, name) for name in rules.FIELDS}
        return render(request, "tagging/rules/edit.html", _form(rule, values))
    values = {}
    try:
        values = _values(request)
        if rule is None:
            rule = rules.create(request.brand, by=request.actor, values=values)
        else:
            confirmed = request.POST.get("confirmed") == "1"
            rules.edit(request.brand, by=request.actor, rule=rule, values=values, confirmed=confirmed)
    except SCRMError as error:
        context = _form(rule, values or _typed(request))
        context |= {
            "error": error.message,
            "fields": error.details.get("fields", {}),
            "ask": error.code == "confirm",
        }
        return render(request, "tagging/rules/edit.html", context, status=422)
    return go(request, f"/tags/rules/{rule.pk}/", _("Rule saved"))


@require_POST
@staff_can("tags.edit")
def rule_parts(request: Any) -> HttpResponse:
    """The part of the form that hangs on the kind and the event: a fragment."""
    return render(request, "tagging/rules/_when.html", _form(None, _typed(request)))


@require_POST
@staff_can("tags.edit")
def rule_look(request: Any) -> HttpResponse:
    """What the rule of the form would do now: a fragment."""
    try:
        rule = rules.build(request.brand, _values(request))
        found = rule_preview.preview(request.brand, rule)
    except SCRMError as error:
        return render(request, "tagging/rules/_preview.html", {"error": error.message})
    return render(request, "tagging/rules/_preview.html", _shown(rule, found))


def _shown(rule: TagRule, found: rule_preview.Preview) -> dict[str, Any]:
    people = Contact.objects.in_bulk(found.sample)
    names = _tag_names([rule])
    return {
        "found": found,
        "people": [people[n] for n in found.sample if n in people],
        "plus": [(names.get(n, "?"), count) for n, count in found.added.items()],
        "minus": [(names.get(n, "?"), count) for n, count in found.removed.items()],
    }


def _typed(request: Any) -> dict[str, Any]:
    """What the form holds, unread."""
    return {
        "kind": request.POST.get("kind", "event"),
        "event": request.POST.get("event", ""),
        "name": request.POST.get("name", ""),
        "condition_text": request.POST.get("condition", ""),
    }


def _values(request: Any) -> dict[str, Any]:
    """The form as `rules.build` wants it.

    Raises:
        InvalidError.
    """
    post = request.POST
    event = EVENTS.get(post.get("event", ""))
    filters = read_filters(post, event) if event and post.get("kind") == "event" else {}
    return {
        "name": post.get("name", ""),
        "kind": post.get("kind", ""),
        "event": post.get("event", ""),
        "filters": filters,
        "window_days": post.get("window_days", "").strip(),
        "n_at_least": post.get("n_at_least", "").strip() or 1,
        "amount_at_least_fen": fen_of(post.get("amount", ""), "amount_at_least_fen"),
        "condition": _condition(request),
        "keeps_in_step": post.get("keeps_in_step") == "1",
        "add_tag_ids": need_ids(post, "add"),
        "remove_tag_ids": need_ids(post, "remove"),
        "expires_days": post.get("expires_days", "").strip(),
    }


def _condition(request: Any) -> Any:
    """What the builder holds; None: no condition."""
    raw = request.POST.get("condition", "").strip()
    if not raw:
        return None
    try:
        return json_in.loads(raw)
    except ValueError as error:
        text = _("The form did not arrive complete. Load the page again.")
        raise InvalidError(text, fields={"condition": text}) from error


def _form(rule: TagRule | None, values: dict[str, Any]) -> dict[str, Any]:
    event = EVENTS.get(values.get("event") or "")
    groups: dict[Any, list[Any]] = {}
    for one in EVENTS.values():
        groups.setdefault(one.group, []).append(one)
    filters = values.get("filters") or {}
    keep = [*(values.get("add_tag_ids") or []), *(values.get("remove_tag_ids") or [])]
    return {
        "tabs": tabs("rules"),
        "rule": rule,
        "values": values,
        "event": event,
        "event_groups": list(groups.items()),
        "filters": [
            filter_field(name, filters.get(name), event.key if event else "")
            for name in (event.filters if event else ())
        ],
        "amount": yuan_of(values.get("amount_at_least_fen")),
        "groups": choices(keep=keep),
        "condition": values.get("condition_text")
        or (json.dumps(values["condition"], ensure_ascii=False) if values.get("condition") else ""),
        "large": int(rule_preview.LARGE * 100),
    }


# ---- one rule


@require_GET
@staff_can("tags.edit")
def rule_detail(request: Any, rule_id: int) -> HttpResponse:
    """What a rule does and did."""
    rule = get_rule(rule_id)
    acts = TagAct.objects.filter(kind=TagAct.Kind.RULE, owner_id=rule.pk)
    page = keyset_page(acts, order=("-pk",), after=request.GET.get("after"), size=20)
    context = {"rule": rule, "page": page, "rows": act_rows(page.rows)}
    if request.GET.get("after"):
        return render(request, "tagging/acts/_rows.html", context)
    names = _tag_names([rule])
    context |= {
        "when": when_words(rule, names_of([rule])),
        "plus": [names.get(n, "?") for n in rule.add_tag_ids],
        "minus": [names.get(n, "?") for n in rule.remove_tag_ids],
        "jobs": [
            job
            for job in Job.objects.filter(kind=rule_runs.JOB, params__rule_id=rule.pk).order_by("-pk")[:3]
            if job.is_live or job.state == Job.State.FAILED
        ],
        "words": sentence(rule.condition, naming.known(rule.condition)) if rule.condition else "",
    }
    return render(request, "tagging/rules/detail.html", context)


@require_http_methods(["GET", "POST"])
@staff_can("tags.edit")
def rule_on(request: Any, rule_id: int) -> HttpResponse:
    """GET: the modal with what it would do, and the yes that very many need. POST: switched on."""
    rule = get_rule(rule_id)
    context: dict[str, Any] = {"rule": rule, "large": int(rule_preview.LARGE * 100)}
    if request.method == "POST":
        past = request.POST.get("past_days", "").strip()
        try:
            rules.switch_on(
                request.brand,
                by=request.actor,
                rule=rule,
                confirmed=request.POST.get("confirmed") == "1",
                past_days=min(read_id(past) or 0, rule_runs.MAX_PAST),
            )
            return go(request, f"/tags/rules/{rule.pk}/", _("The rule is on"))
        except SCRMError as error:
            context["error"] = error.message
    try:
        context |= _shown(rule, rule_preview.preview(request.brand, rule))
    except SCRMError as error:
        context["error"] = error.message
    return render(request, "tagging/rules/on.html", context, status=422 if request.method == "POST" else 200)


@require_POST
@staff_can("tags.edit")
def rule_act(request: Any, rule_id: int, act: str) -> HttpResponse:
    """Switch off, run again over everybody, delete."""
    rule = get_rule(rule_id)
    if act == "off":
        rules.switch_off(request.brand, by=request.actor, rule=rule)
        return go(request, f"/tags/rules/{rule.pk}/", _("The rule is off. What it did stays."))
    if act == "delete":
        rules.delete(request.brand, by=request.actor, rule=rule)
        return go(request, "/tags/rules/", _("Rule deleted. What it did stays."))
    if not rule.is_on or rule.kind != TagRule.Kind.CONDITION:
        raise NotFoundError()
    rule_runs.start(request.brand, rule=rule, by=request.actor, again=act == "again")
    return go(request, f"/tags/rules/{rule.pk}/", _("It runs over everybody"))


@require_POST
@staff_can("tags.edit")
def rule_order(request: Any) -> HttpResponse:
    rules.reorder(request.brand, by=request.actor, ids=need_ids(request.POST, "ids"))
    return toast(HttpResponse(status=204), _("Order saved"))
