"""REST API of the rules by which WeCom stops words: listed as they were last read; made, changed and deleted in WeCom before
the answer."""

from typing import Any

from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets

from content.models import InterceptRule
from content.services import intercept_input, intercepts
from content.services.intercept_input import RuleInput
from org.access import brand_transaction
from org.models import Corp, Department, Staff
from scrm.api_body import Body, id_list, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.errors import InvalidError
from tenants.scoping import tenant_scope

ACTS = {act.name.lower(): int(act) for act in InterceptRule.Act}
OTHER = "other"  # one that WeCom has added since: shown, not chosen


class InterceptRuleOut(serializers.Serializer):
    id = serializers.IntegerField()
    corpid = serializers.CharField()
    rule_id = serializers.CharField(help_text="WeCom's")
    name = serializers.CharField()
    words = serializers.ListField(child=serializers.CharField())
    finds = serializers.ListField(
        child=serializers.ChoiceField(choices=[kind.name.lower() for kind in InterceptRule.Semantic]),
        help_text="without words",
    )
    act = serializers.ChoiceField(choices=[*ACTS, OTHER])
    userids = serializers.ListField(child=serializers.CharField(), help_text="members for whom it holds")
    department_ids = serializers.ListField(child=serializers.IntegerField(), help_text="WeCom's numbers")
    changed_at = serializers.DateTimeField()


class InterceptRuleIn(Body):
    """WeCom's limits hold; of a list the whole list."""

    corpid = serializers.CharField(
        max_length=64, required=False, help_text="only when it is made, and where the brand has several corps"
    )
    name = serializers.CharField(max_length=intercept_input.MAX_NAME)
    words = serializers.ListField(child=serializers.CharField(max_length=intercept_input.MAX_WORD))
    finds = serializers.ListField(
        child=serializers.ChoiceField(choices=[kind.name.lower() for kind in InterceptRule.Semantic]),
        required=False,
    )
    act = serializers.ChoiceField(choices=list(ACTS), required=False)
    userids = serializers.ListField(child=serializers.CharField(max_length=64), required=False)
    department_ids = id_list(required=False)


class InterceptRuleViewSet(viewsets.ViewSet):
    calls_out = True  # WeCom is told before the answer
    capabilities = {
        "list": "content.view", "create": "content.approve", "partial_update": "content.approve",
        "destroy": "content.approve",
    }  # fmt: skip

    @extend_schema(
        operation_id="intercept_rules_list",
        responses=page_out("InterceptRulePage", InterceptRuleOut),
        parameters=paged(),
    )
    def list(self, request: Any) -> HttpResponse:
        """GET /api/v1/intercept-rules/: newest first."""
        with brand_transaction(request._request):
            rows = InterceptRule.objects.select_related("corp")
            page = asked_page(request, rows, ("-pk",))
            shown = [_shown(row) for row in page]
        return page_answer(shown, page)

    @extend_schema(
        operation_id="intercept_rules_create", request=InterceptRuleIn, responses={201: InterceptRuleOut}
    )
    def create(self, request: Any) -> HttpResponse:
        """POST /api/v1/intercept-rules/: make it in WeCom, whose refusal is the answer."""
        given = _valid(request)
        brand = request._request.brand
        with brand_transaction(request._request):
            corp = _corp(given.get("corpid"))
            wanted = _input(given, corp)
        with tenant_scope(brand):
            row = intercepts.create_rule(brand, by=request.user, corp=corp, given=wanted)
        return JsonResponse(_shown(row), status=201)

    @extend_schema(
        operation_id="intercept_rules_change",
        request=InterceptRuleIn(partial=True),
        responses=InterceptRuleOut,
    )
    def partial_update(self, request: Any, pk: int) -> HttpResponse:
        """PATCH /api/v1/intercept-rules/<id>/: what is left out stays; 409 when it was deleted in WeCom meanwhile."""
        given = _valid(request, partial=True)
        brand = request._request.brand
        with brand_transaction(request._request):
            row = intercepts.get_rule(pk)
            wanted = _input(given, row.corp, row)
        with tenant_scope(brand):
            row = intercepts.edit_rule(brand, by=request.user, rule_pk=pk, given=wanted)
        return JsonResponse(_shown(row))

    @extend_schema(operation_id="intercept_rules_delete", request=None, responses={204: None})
    def destroy(self, request: Any, pk: int) -> HttpResponse:
        """DELETE /api/v1/intercept-rules/<id>/: in WeCom."""
        with tenant_scope(request._request.brand):
            intercepts.delete_rule(request._request.brand, by=request.user, rule_pk=pk)
        return HttpResponse(status=204)


def _valid(request: Any, *, partial: bool = False) -> dict[str, Any]:
    given = read_body(InterceptRuleIn, request, partial=partial)
    if partial and "corpid" in given:
        problem = _("It stays with the corp in which it was made")
        raise InvalidError(problem, fields={"corpid": problem})
    return given


def _corp(corpid: str | None) -> Corp:
    """The corp that was named, or the only one. Raises InvalidError: none, or not said which."""
    corps = list(Corp.objects.filter(**({"corpid": corpid} if corpid is not None else {})).order_by("pk")[:2])
    if len(corps) != 1:
        problem = _("The brand has several corps: say which") if corps else _("The brand has no such corp")
        raise InvalidError(problem, fields={"corpid": problem})
    return corps[0]


def _input(given: dict[str, Any], corp: Corp, old: InterceptRule | None = None) -> RuleInput:
    """Raises InvalidError: members or departments that the corp does not have, at their field."""
    userids = [userid.lower() for userid in given.get("userids", [])]
    departments = given.get("department_ids", [])
    people = Staff.objects.filter(corp=corp, userid__in=userids).values_list("userid", flat=True)
    places = Department.objects.filter(corp=corp, wecom_id__in=departments).values_list("wecom_id", flat=True)
    for name, wanted, there in (("userids", userids, people), ("department_ids", departments, places)):
        if unknown := sorted(set(wanted) - set(there)) if wanted else []:
            problem = _("Unknown: %(ids)s") % {"ids": ", ".join(map(str, unknown[:20]))}
            raise InvalidError(problem, fields={name: problem})
    kinds = {kind.name.lower(): int(kind) for kind in InterceptRule.Semantic}
    changes: dict[str, Any] = {}
    if "name" in given:
        changes["name"] = " ".join(given["name"].split())
    if "words" in given:
        changes["words"] = intercept_input.split_words("\n".join(given["words"]))
    if "finds" in given:
        changes["semantics"] = [kinds[word] for word in given["finds"]]
    if "act" in given:
        changes["act"] = ACTS[given["act"]]
    if "userids" in given:
        changes["userids"] = userids
    if "department_ids" in given:
        changes["department_ids"] = departments
    kept = {name: getattr(old, name) for name in intercept_input.FIELDS} if old else {}
    return RuleInput(**{**kept, **changes})


def _shown(row: InterceptRule) -> dict[str, Any]:
    names = ("rule_id", "name", "words", "userids", "department_ids", "changed_at")
    found = {
        "id": row.pk,
        "corpid": row.corp.corpid,
        **{name: getattr(row, name) for name in names},
        "finds": [kind.name.lower() for kind in InterceptRule.Semantic if kind in row.semantics],
        "act": next((name for name, act in ACTS.items() if act == row.act), OTHER),
    }
    return dict(InterceptRuleOut(found).data)
