"""Rules by which WeCom itself stops what members write to customers: list, make, change, delete."""

from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from content.models import InterceptReading, InterceptRule
from content.services import intercept_input, intercept_reading, intercepts
from content.services.intercept_input import RuleInput
from content.views.tabs import tabs
from org.access import brand_transaction, staff_can, staff_can_outside
from org.models import Corp, Department, Staff
from scrm.errors import NotFoundError, SCRMError
from scrm.ids import read_id, read_ids
from scrm.responses import go
from tenants.scoping import tenant_scope
from wecom.services.corps import get_corp

MOST = 3000  # members offered
SHOWN = 3  # members and departments named in a row of the list


@require_GET
@staff_can("content.view")
def intercept_list(request: Any) -> HttpResponse:
    """By corp; what was not read for an hour is read while the page is looked at."""
    corps = list(Corp.objects.order_by("pk"))
    rules = list(InterceptRule.objects.order_by("-made_at", "-pk"))
    readings = {row.corp_id: row for row in InterceptReading.objects.all()}
    people = _names(rules)
    departments = _places(rules)
    context = {
        "tabs": tabs(request, "intercepts"),
        "corps": [
            {
                "corp": corp,
                "reading": readings.get(corp.pk),
                "rows": [_row(rule, people, departments) for rule in rules if rule.corp_id == corp.pk],
            }
            for corp in corps
        ],
        "is_stale": bool(intercept_reading.stale(corps)),
        "most": intercepts.MAX_RULES,
    }
    return render(request, "content/intercepts/list.html", context)


def _names(rules: list[InterceptRule]) -> dict[tuple[int, str], str]:
    """Of the first members of each rule."""
    wanted = {userid for rule in rules for userid in rule.userids[:SHOWN]}
    rows = Staff.objects.filter(userid__in=wanted) if wanted else []
    return {(row.corp_id or 0, row.userid): row.name for row in rows}


def _places(rules: list[InterceptRule]) -> dict[tuple[int, int], str]:
    """Of the first departments of each rule: names of those that a row shows."""
    wanted = {wecom_id for rule in rules for wecom_id in rule.department_ids[:SHOWN]}
    rows = Department.objects.filter(wecom_id__in=wanted) if wanted else []
    return {(row.corp_id, row.wecom_id): row.name for row in rows}


def _row(rule: InterceptRule, people: dict[Any, str], departments: dict[Any, str]) -> dict[str, Any]:
    where = [departments.get((rule.corp_id, n), f"#{n}") for n in rule.department_ids[:SHOWN]]
    where += [people.get((rule.corp_id, userid), userid) for userid in rule.userids[:SHOWN]]
    return {
        "rule": rule,
        "first": rule.words[:8],
        "n_more": max(0, len(rule.words) - 8),
        "semantics": [str(InterceptRule.Semantic(n).label) for n in rule.semantics if n in (1, 2, 3)],
        "where": where,
        "n_where": max(0, len(rule.department_ids) - SHOWN) + max(0, len(rule.userids) - SHOWN),
    }


@require_POST
@staff_can_outside("content.view")
def intercepts_read(request: Any) -> HttpResponse:
    """Read them from WeCom now; `quiet` when the page asked by itself, and then only what is stale."""
    quiet = bool(request.POST.get("quiet"))
    with brand_transaction(request):
        corps = list(Corp.objects.order_by("pk"))
        corps = intercept_reading.stale(corps) if quiet else corps
    errors = []
    with tenant_scope(request.brand):
        for corp in corps:
            errors.append(intercept_reading.read(request.brand, corp))
    if quiet:
        return go(request, "intercepts")
    if any(errors):
        return go(request, "intercepts", next(error for error in errors if error), "danger")
    return go(request, "intercepts", _("Read from WeCom"))


@require_http_methods(["GET", "POST"])
@staff_can_outside("content.approve")
def intercept_new(request: Any, corp_id: int) -> HttpResponse:
    with brand_transaction(request):
        corp = get_corp(corp_id)
    return _form(request, corp, None)


@require_http_methods(["GET", "POST"])
@staff_can_outside("content.approve")
def intercept_edit(request: Any, rule_id: int) -> HttpResponse:
    with brand_transaction(request):
        rule = intercepts.get_rule(rule_id)
    return _form(request, rule.corp, rule)


def _form(request: Any, corp: Corp, rule: InterceptRule | None) -> HttpResponse:
    """The modal: GET shows it, POST tells WeCom; a refusal is shown in it with what was typed."""
    error, fields = "", {}
    if request.method == "POST":
        try:
            with tenant_scope(request.brand):
                given = _given(request, corp)
                if rule is None:
                    intercepts.create_rule(request.brand, by=request.actor, corp=corp, given=given)
                    return go(request, "intercepts", _("The rule holds in WeCom from now on"))
                intercepts.edit_rule(request.brand, by=request.actor, rule_pk=rule.pk, given=given)
                return go(request, "intercepts", _("Saved in WeCom"))
        except NotFoundError:
            raise
        except SCRMError as problem:
            fields = problem.details.get("fields", {})
            error = "" if fields else str(problem.message)
    with brand_transaction(request):
        context = {**_context(request, corp, rule), "error": error, "fields": fields}
        return render(
            request, "content/intercepts/edit.html", context, status=422 if error or fields else 200
        )


def _given(request: Any, corp: Corp) -> RuleInput:
    """Ids of other corps and brands are none."""
    post = request.POST
    with transaction.atomic():
        people = Staff.objects.filter(corp=corp, pk__in=read_ids(post, "staff"))
        departments = Department.objects.filter(corp=corp, wecom_id__in=read_ids(post, "departments"))
        return RuleInput(
            name=" ".join(post.get("name", "").replace("\x00", "").split()),
            words=intercept_input.split_words(post.get("words", "")[:50_000]),
            act=read_id(post.get("act")) or 0,
            semantics=read_ids(post, "semantics"),
            userids=list(people.values_list("userid", flat=True)),
            department_ids=list(departments.values_list("wecom_id", flat=True)),
        )


def _context(request: Any, corp: Corp, rule: InterceptRule | None) -> dict[str, Any]:
    posted, post = request.method == "POST", request.POST
    chosen = Staff.objects.filter(corp=corp, userid__in=rule.userids if rule else [])
    staff_ids = set(read_ids(post, "staff")) if posted else set(chosen.values_list("pk", flat=True))
    department_ids = read_ids(post, "departments") if posted else rule.department_ids if rule else []
    mine = Staff.objects.filter(corp=corp).order_by("name", "pk")
    people = _offered(
        mine.filter(pk__in=staff_ids), mine.filter(state=Staff.State.ACTIVE).exclude(pk__in=staff_ids)
    )
    places = Department.objects.filter(corp=corp).order_by("parent_wecom_id", "order", "wecom_id")
    departments = _offered(
        places.filter(wecom_id__in=department_ids), places.exclude(wecom_id__in=department_ids)
    )
    return {
        "corp": corp,
        "rule": rule,
        "name": post.get("name", "") if posted else rule.name if rule else "",
        "words": post.get("words", "") if posted else "\n".join(rule.words) if rule else "",
        "act": (read_id(post.get("act")) or 0) if posted else rule.act if rule else InterceptRule.Act.STOP,
        "semantics": read_ids(post, "semantics") if posted else rule.semantics if rule else [],
        "departments": [{"id": d.wecom_id, "name": d.name, "group": ""} for d in departments],
        "department_ids": department_ids,
        "people": [{"id": p.pk, "name": f"{p.name} ({p.userid})", "group": ""} for p in people],
        "staff_ids": staff_ids,
        "acts": InterceptRule.Act.choices,
        "kinds": InterceptRule.Semantic.choices,
        "own": "\n".join(intercept_input.own_words()),
        "limits": {
            "name": intercept_input.MAX_NAME, "words": intercept_input.MAX_WORDS, "word": intercept_input.MAX_WORD,
            "range": intercept_input.MAX_RANGE,
        },
    }  # fmt: skip


def _offered(chosen: Any, others: Any) -> list[Any]:
    """Who is chosen comes first: whoever is not offered would be taken out of the rule."""
    found = list(chosen)
    return [*found, *others[: max(0, MOST - len(found))]]


@require_POST
@staff_can_outside("content.approve")
def intercept_delete(request: Any, rule_id: int) -> HttpResponse:
    with tenant_scope(request.brand):
        intercepts.delete_rule(request.brand, by=request.actor, rule_pk=rule_id)
    return go(request, "intercepts", _("The rule is deleted in WeCom"))
