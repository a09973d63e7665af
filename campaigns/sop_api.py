"""REST API of SOPs: steps by day are written, changed and switched on here, canvas ones in graph_api.py; both are read, paused,
copied and ended here."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets

from campaigns.models import Sop, SopStep
from campaigns.services.sops import numbers, sop_approval, sop_requests, sops
from campaigns.services.sops.schedule import MAX_DAY
from campaigns.services.sops.sops import StepInput
from content.services import library
from scrm.api_body import Body, Id, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.errors import ConflictError, InvalidError
from scrm.ids import read_id
from tenants.models import Brand


class SopStepOut(serializers.Serializer):
    id = serializers.IntegerField()
    day = serializers.IntegerField()
    time = serializers.CharField(help_text="HH:MM in the brand's zone")
    text = serializers.CharField()
    attachments = serializers.ListField(child=serializers.DictField())
    content_version_id = serializers.IntegerField(allow_null=True, help_text="of the library")


class WaitingOut(serializers.Serializer):
    """What waits for a second person; whole at /sops/requests/<id>/."""

    id = serializers.IntegerField()
    kind = serializers.CharField(help_text="on | change | version")
    asked_by = serializers.CharField()
    asked_at = serializers.DateTimeField()


class SopOut(serializers.Serializer):
    """An SOP with its figures."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.CharField(help_text="draft | on | paused | ended")
    priority = serializers.IntegerField(
        help_text="1 to 9: of two campaigns that compete for one person the lower gives way"
    )
    form = serializers.CharField(help_text="steps | graph; a graph is read at /sops/<id>/graph/")
    late_days = serializers.IntegerField()
    waiting = WaitingOut(allow_null=True, help_text="for a second person; until then what is in force stays")
    steps = SopStepOut(many=True)
    n_in = serializers.IntegerField(help_text="people with a step still to come")
    n_done = serializers.IntegerField()
    n_left = serializers.IntegerField()
    n_waiting = serializers.IntegerField()
    n_sent = serializers.IntegerField()
    n_failed = serializers.IntegerField()
    n_blocked = serializers.IntegerField()


class StepIn(Body):
    """A text and attachments, or what the library has in force under `content_id`."""

    id = Id(required=False, help_text="of the step that it changes; without it a new one")
    day = serializers.IntegerField(min_value=0, max_value=MAX_DAY, help_text="0 is the day of joining")
    time = serializers.TimeField(input_formats=["%H:%M"], help_text="HH:MM in the brand's zone")
    text = serializers.CharField(required=False, allow_blank=True, default="", max_length=20_000)
    attachments = serializers.ListField(child=serializers.DictField(), required=False, default=list)
    content_id = Id(required=False)
    content_version_id = Id(
        required=False,
        allow_null=True,
        help_text="as it was read; dropped when the words are not its own any more",
    )


def late_days(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=0, max_value=sops.MAX_LATE_DAYS, **options)


class SopIn(Body):
    """A draft of steps by day."""

    name = serializers.CharField(max_length=60)
    late_days = late_days(required=False, default=3, help_text="a late step is still sent within days")
    steps = StepIn(many=True, required=False, default=list)


class SopChange(Body):
    """What is left out stays; `steps`, if given, are all of them. Of a canvas only the priority."""

    name = serializers.CharField(max_length=60, required=False)
    late_days = late_days(required=False)
    steps = StepIn(many=True, required=False)
    agreed = serializers.BooleanField(
        required=False, default=False, help_text="needed when people in it get another next step, or none"
    )
    priority = serializers.IntegerField(
        min_value=sops.MIN_PRIORITY, max_value=sops.MAX_PRIORITY, required=False
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.keys() <= {"agreed"}:
            raise serializers.ValidationError(_("Say what is to be changed"))
        return attrs


class SopViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "sops.view",
        "retrieve": "sops.view",
        "pause": "sops.edit",
        "resume": "sops.edit",
        "end": "sops.edit",
        "partial_update": "sops.edit",
        "create": "sops.edit",
        "destroy": "sops.edit",
        "switch_on": "sops.edit",
        "duplicate": "sops.edit",
    }

    @extend_schema(responses=page_out("SopPage", SopOut), parameters=paged())
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/sops/: SOPs with their figures, newest first."""
        page = asked_page(request, Sop.objects.all(), ("-pk",))
        return page_answer(_sops(list(page)), page)

    @extend_schema(responses=SopOut)
    def retrieve(self, request: Any, pk: str) -> JsonResponse:
        """GET /api/v1/sops/<id>/."""
        return JsonResponse(_sops([sops.get_sop(read_id(pk) or 0)])[0])

    @extend_schema(operation_id="sops_create", request=SopIn, responses={201: SopOut})
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/sops/: a draft of steps by day; nobody can be put into it before it is switched on."""
        given = read_body(SopIn, request)
        steps = _steps(request.brand, given.pop("steps"))
        made = sops.create_sop(request.brand, steps=steps, by=request.actor, **given)
        return JsonResponse(_sops([made])[0], status=201)

    @extend_schema(operation_id="sops_change", request=SopChange, responses={200: SopOut, 202: SopOut})
    def partial_update(self, request: Any, pk: str) -> JsonResponse:
        """PATCH /api/v1/sops/<id>/: name, days, steps, also while people are in it: 409 `confirm` with `n_people`, `n_moved`
        and `n_finished` when it concerns them and nobody has agreed yet. 202: other steps, or another priority, of an SOP that
        is on wait for a second person, one of the two at a time; the name is another one at once. The priority, of either
        form."""
        sop = sops.get_sop(read_id(pk) or 0)
        given = read_body(SopChange, request)
        with transaction.atomic():  # the priority first: it would overtake what waits
            ranks = "priority" in given and _rank(request, sop, given["priority"])
            waits = bool({"name", "late_days", "steps"} & given.keys()) and _edit(request, sop, given)
            if ranks and waits:  # the one would take the place of the other, unseen
                text = _("Hand in steps and priority one after the other")
                raise InvalidError(text, fields={"priority": text})
            waits = waits or ranks
        return JsonResponse(_sops([sops.get_sop(sop.pk)])[0], status=202 if waits else 200)

    @extend_schema(operation_id="sops_delete", request=None, responses={204: None})
    def destroy(self, request: Any, pk: str) -> HttpResponse:
        """DELETE /api/v1/sops/<id>/: a draft, of either form."""
        sops.delete_draft(request.brand, sop_id=read_id(pk) or 0, by=request.actor)
        return HttpResponse(status=204)

    @extend_schema(operation_id="sops_on", request=None, responses={200: SopOut, 202: SopOut})
    def switch_on(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/on/: people can be put into it from now on; 202: when a second person has approved it. 409
        for a canvas: that is published."""
        waits = sop_approval.switch_on(request.brand, sop_id=pk, by=request.actor).request
        return JsonResponse(_sops([sops.get_sop(pk)])[0], status=202 if waits else 200)

    @extend_schema(operation_id="sops_duplicate", request=None, responses={201: SopOut})
    def duplicate(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/duplicate/: a draft with the same steps or the same graph; nobody is in it."""
        return JsonResponse(
            _sops([sops.duplicate(request.brand, sop_id=pk, by=request.actor)])[0], status=201
        )

    @extend_schema(operation_id="sops_pause", request=None, responses=SopOut)
    def pause(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/pause/: nothing more is planned or handed to WeCom; guides may send what they have."""
        return JsonResponse(_sops([sops.pause(request.brand, sop_id=pk, by=request.actor)])[0])

    @extend_schema(operation_id="sops_resume", request=None, responses=SopOut)
    def resume(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/resume/: go on after a pause."""
        return JsonResponse(_sops([sops.resume(request.brand, sop_id=pk, by=request.actor)])[0])

    @extend_schema(operation_id="sops_end", request=None, responses=SopOut)
    def end(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/end/: for good; everybody leaves, and what guides have not confirmed is stopped."""
        return JsonResponse(_sops([sops.end(request.brand, sop_id=pk, by=request.actor)])[0])


def _sops(rows: list[Sop]) -> list[dict[str, Any]]:
    figures = numbers.of_sops([sop.pk for sop in rows])
    steps = numbers.steps_of([sop.pk for sop in rows])
    waiting = {r.sop_id: r for r in sop_requests.waiting().filter(sop__in=[sop.pk for sop in rows])}
    found = []
    for sop in rows:
        mine = [
            {
                "id": s.pk,
                "day": s.day,
                "time": f"{s.hour:02}:{s.minute:02}",
                "text": s.text,
                "attachments": s.attachments,
                "content_version_id": s.content_id,
            }
            for s in steps.get(sop.pk, [])
        ]
        n = figures[sop.pk]
        found.append(
            {
                "id": sop.pk,
                "name": sop.name,
                "state": sop.state,
                "priority": sop.priority,
                "form": sop.form,
                "late_days": sop.late_days,
                "waiting": waiting.get(sop.pk),
                "steps": mine,
            }
            | {
                name: getattr(n, name)
                for name in ("n_in", "n_done", "n_left", "n_waiting", "n_sent", "n_failed", "n_blocked")
            }
        )
    return list(SopOut(found, many=True).data)


def _rank(request: Any, sop: Sop, priority: int) -> bool:
    """Gives whether it waits for a second person."""
    outcome = sop_approval.set_priority(request.brand, sop_id=sop.pk, priority=priority, by=request.actor)
    return outcome.request is not None


def _edit(request: Any, sop: Sop, given: dict[str, Any]) -> bool:
    """As the page: what concerns people in it is done when somebody has agreed. Gives whether it waits for a second
    person."""
    if "steps" in given:
        steps = _steps(request.brand, given["steps"])
    else:
        steps = [_as_it_is(step) for step in sops.live_steps(sop.pk)]
    if not sop.is_graph:
        effect = sops.preview_edit(request.brand, sop_id=sop.pk, steps=steps)
        if (effect.n_moved or effect.n_finished) and not given["agreed"]:
            words = _("People in it get another next step, or none: say that you agree")
            raise ConflictError(words, code="confirm", **effect.__dict__)
    outcome = sop_approval.edit(
        request.brand,
        sop_id=sop.pk,
        name=given.get("name", sop.name),
        late_days=given.get("late_days", sop.late_days),
        steps=steps,
        by=request.actor,
    )
    return outcome.request is not None


def _as_it_is(step: SopStep) -> StepInput:
    return StepInput(
        step.day,
        step.hour,
        step.minute,
        step.text,
        step.attachments,
        step.pk,
        content_version=step.content_id,
    )


def _steps(brand: Brand, rows: Sequence[dict[str, Any]]) -> list[StepInput]:
    """Raises NotFoundError: a content that the brand does not have. InvalidError: one that cannot be sent, or that has a
    text beside it."""
    found = []
    for n, row in enumerate(rows, 1):
        text, files, version = row["text"], row["attachments"], row.get("content_version_id")
        if "content_id" in row:
            if text or files:
                words = _("Give a text or a content of the library, not both")
                raise InvalidError(words, step=n, problem=words)
            chosen = library.usable(brand, row["content_id"])
            text, files, version = chosen.text, chosen.attachments, chosen.version_id
        at = row["time"]
        found.append(StepInput(row["day"], at.hour, at.minute, text, files, row.get("id"), version))
    return found
