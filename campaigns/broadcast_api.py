"""REST API of broadcasts: write a draft, look what it would do, launch, pause, stop, read the results."""

import json
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from campaigns.models import Broadcast, Touch
from campaigns.policy_api import EffectOut
from campaigns.services import (
    broadcast_copy,
    broadcast_effect,
    broadcast_numbers,
    broadcasts,
    dry_run,
    winners,
)
from campaigns.services.broadcasts import BroadcastInput, VariantInput, WaveInput
from content.services import library
from scrm.errors import InvalidError
from scrm.keyset import keyset_page
from tenants.models import Brand

SIZE = 50
AFTER = OpenApiParameter("after", str, description="`next` of the page before")


class ContentIn(serializers.Serializer):
    """One content: a text and attachments, or what the library has in force under `content_id`."""

    text = serializers.CharField(required=False, allow_blank=True, max_length=4000)
    attachments = serializers.ListField(child=serializers.DictField(), required=False, max_length=9)
    content_id = serializers.IntegerField(required=False, min_value=1)
    weight = serializers.IntegerField(required=False, min_value=1, max_value=100, default=1)


class WaveIn(serializers.Serializer):
    at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="nothing: at the launch, for the first wave"
    )
    after = serializers.ChoiceField(choices=broadcasts.AFTER, required=False, default="")
    condition = serializers.JSONField(required=False)


class TestIn(serializers.Serializer):
    """How the contents are compared; see docs/broadcasts.md."""

    goal = serializers.ChoiceField(choices=list(winners.GOALS), required=False)
    hours = serializers.IntegerField(required=False)
    least = serializers.IntegerField(required=False)
    confidence = serializers.IntegerField(required=False, help_text="per cent")
    percent = serializers.IntegerField(required=False, help_text="of the audience; the rest gets the winner")
    auto = serializers.BooleanField(required=False)
    wait_hours = serializers.IntegerField(required=False)


class BroadcastIn(serializers.Serializer):
    """A draft. `audience` is {"segment": id}, {"condition": {…}} or {"contacts": [ids]}."""

    name = serializers.CharField(max_length=60)
    audience = serializers.JSONField()
    contents = ContentIn(many=True)
    waves = WaveIn(many=True, required=False)
    priority = serializers.IntegerField(required=False, default=5)
    hold_out_percent = serializers.IntegerField(required=False, default=0)
    late_hours = serializers.IntegerField(required=False, default=48)
    repeat = serializers.ChoiceField(choices=broadcasts.REPEATS, required=False, default="")
    repeat_until = serializers.DateTimeField(required=False, allow_null=True)
    test = TestIn(required=False, allow_null=True)


class NumbersOut(serializers.Serializer):
    n = serializers.IntegerField(help_text="planned, with a guide")
    n_sent = serializers.IntegerField()
    n_failed = serializers.IntegerField()
    n_cancelled = serializers.IntegerField()
    n_waiting = serializers.IntegerField()
    n_opened = serializers.IntegerField()
    n_replied = serializers.IntegerField()
    n_converted = serializers.IntegerField()
    converted_fen = serializers.IntegerField()
    n_tasks = serializers.IntegerField()
    n_confirmed = serializers.IntegerField()


class ContentOut(serializers.Serializer):
    id = serializers.IntegerField()
    letter = serializers.CharField()
    weight = serializers.IntegerField()
    text = serializers.CharField()
    attachments = serializers.ListField(child=serializers.DictField())
    content_version_id = serializers.IntegerField(allow_null=True, help_text="of the library")
    numbers = NumbersOut(required=False)


class WaveOut(serializers.Serializer):
    id = serializers.IntegerField()
    n = serializers.IntegerField()
    at = serializers.DateTimeField()
    state = serializers.CharField(help_text="waiting | held | planned | done | skipped")
    wanted = serializers.IntegerField()
    held_back = serializers.DictField(child=serializers.IntegerField(), help_text="{reason: people}")
    error = serializers.CharField()
    numbers = NumbersOut(required=False)


class BroadcastOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.CharField(help_text="draft | approval | on | paused | done | cancelled")
    priority = serializers.IntegerField()
    hold_out_percent = serializers.IntegerField()
    late_hours = serializers.IntegerField()
    audience = serializers.JSONField()
    repeat = serializers.JSONField()
    test = serializers.JSONField()
    winner_id = serializers.IntegerField(allow_null=True, help_text="a content of it")
    winner_by = serializers.CharField(help_text="rule | time | whoever chose it")
    created_at = serializers.DateTimeField()
    launched_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    numbers = NumbersOut()


class BroadcastWhole(BroadcastOut):
    """With its contents and waves, each with its figures."""

    contents = ContentOut(many=True)
    waves = WaveOut(many=True)
    effect = EffectOut(
        allow_null=True, help_text="of its hold-out; null where nobody is held out, or before a wave"
    )


class LoadOut(serializers.Serializer):
    """A guide's part of a dry run; of 50 guides at most, those with most people."""

    staff_id = serializers.IntegerField()
    name = serializers.CharField()
    n_tasks = serializers.IntegerField()
    n = serializers.IntegerField(help_text="people")
    confirmed_ratio = serializers.FloatField(help_text="of such tasks lately")
    n_already = serializers.IntegerField(help_text="send tasks of all campaigns on that day without this one")


class DryRunOut(serializers.Serializer):
    """What a launch at this moment would do; nothing is written."""

    at = serializers.DateTimeField(help_text="when it would go out: quiet hours hold it")
    wanted = serializers.IntegerField()
    is_held = serializers.BooleanField(help_text="quiet hours put it off to `at`")
    planned = serializers.IntegerField()
    contents = serializers.DictField(child=serializers.IntegerField(), help_text="{letter: people}")
    held_back = serializers.DictField(child=serializers.IntegerField(), help_text="{reason: people}")
    gives_way = serializers.IntegerField(help_text="planned messages of lower campaigns that are taken back")
    n_guides = serializers.IntegerField()
    n_tasks = serializers.IntegerField()
    guides = LoadOut(many=True)
    over_limit = serializers.IntegerField(
        help_text="guides with more send tasks on that day, of all campaigns, than the settings warn of"
    )
    work_s = serializers.IntegerField(help_text="seconds of guides' work to confirm everything")
    expected = serializers.IntegerField(help_text="people who get it if guides confirm as they did")
    left_per_person = serializers.FloatField(
        help_text="mass messages of WeCom's allowance left afterwards, on average; what guides send to many in WeCom "
        "by themselves counts there as well and is not known beforehand"
    )


class DryRunPeopleOut(serializers.Serializer):
    contact_ids = serializers.ListField(child=serializers.IntegerField(), help_text="200 at most")


class WinnerIn(serializers.Serializer):
    content_id = serializers.IntegerField(min_value=1, help_text="`id` of a content of this broadcast")


class BroadcastViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "broadcasts.view",
        "retrieve": "broadcasts.view",
        "dry_run": "broadcasts.view",
        "dry_run_people": "broadcasts.view",
        "create": "broadcasts.edit",
        "update": "broadcasts.edit",
        "destroy": "broadcasts.edit",
        "launch": "broadcasts.edit",
        "pause": "broadcasts.edit",
        "resume": "broadcasts.edit",
        "cancel": "broadcasts.edit",
        "remind": "broadcasts.edit",
        "reassign": "broadcasts.edit",
        "winner": "broadcasts.edit",
        "reject": "broadcasts.edit",
        "duplicate": "broadcasts.edit",
        "approve": "broadcasts.approve",
    }

    @extend_schema(
        operation_id="broadcasts_list",
        responses=BroadcastOut(many=True),
        parameters=[OpenApiParameter("state", str), AFTER],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/broadcasts/: newest first, with their figures."""
        rows = Broadcast.objects.all()
        if state := request.query_params.get("state"):
            if state not in Broadcast.State.values:
                raise InvalidError(_("Unknown state"), fields={"state": ", ".join(Broadcast.State.values)})
            rows = rows.filter(state=state)
        page = keyset_page(rows, order=("-pk",), after=request.query_params.get("after"), size=SIZE)
        found = broadcast_numbers.of_broadcasts([row.pk for row in page])
        nothing = broadcast_numbers.Numbers()
        shown = [_plain(row, found.get(row.pk, nothing)) for row in page]
        return JsonResponse({"results": BroadcastOut(shown, many=True).data, "next": page.next})

    @extend_schema(operation_id="broadcasts_create", request=BroadcastIn, responses={201: BroadcastWhole})
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/broadcasts/: a draft; nothing is sent."""
        given = _read(request.brand, request.data)
        saved = broadcasts.save_draft(request.brand, given, by=request.user)
        return JsonResponse(_whole(saved), status=201)

    @extend_schema(operation_id="broadcasts_read", responses=BroadcastWhole)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/broadcasts/<id>/."""
        return JsonResponse(_whole(broadcasts.get_broadcast(pk)))

    @extend_schema(operation_id="broadcasts_update", request=BroadcastIn, responses=BroadcastWhole)
    def update(self, request: Any, pk: int) -> JsonResponse:
        """PUT /api/v1/broadcasts/<id>/: write a draft anew. 409 when it is none any more."""
        broadcasts.get_broadcast(pk)
        given = _read(request.brand, request.data)
        return JsonResponse(
            _whole(broadcasts.save_draft(request.brand, given, by=request.user, broadcast_id=pk))
        )

    @extend_schema(operation_id="broadcasts_delete", responses={204: None})
    def destroy(self, request: Any, pk: int) -> HttpResponse:
        """DELETE /api/v1/broadcasts/<id>/: a draft."""
        broadcasts.delete_draft(request.brand, broadcast_id=pk, by=request.user)
        return HttpResponse(status=204)

    @extend_schema(operation_id="broadcasts_dry_run", request=None, responses=DryRunOut)
    def dry_run(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/dry-run/: who would get it and who would not and why; nothing is written."""
        run = dry_run.dry_run(request.brand, broadcasts.get_broadcast(pk))
        names = {reason: Touch.Reason(reason).name.lower() for reason, _words, _n in run.refused}
        held_back = {names[reason]: n for reason, _words, n in run.refused}
        shown = {
            **run.__dict__,
            "held_back": held_back,
            "gives_way": run.n_taken,
            "contents": dict(run.contents),
        }
        return JsonResponse(dict(DryRunOut(shown).data))

    @extend_schema(
        operation_id="broadcasts_dry_run_people",
        responses=DryRunPeopleOut,
        parameters=[OpenApiParameter("reason", str, description="as in `held_back`; left out: who gets it")],
    )
    def dry_run_people(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/broadcasts/<id>/dry-run/people/: the first 200 who would get it, or whom a reason would hold back."""
        broadcast, asked = broadcasts.get_broadcast(pk), request.query_params.get("reason") or "none"
        known = {reason.name.lower(): int(reason) for reason in Touch.Reason}
        if asked not in known:
            raise InvalidError(_("Unknown reason"), fields={"reason": ", ".join(known)})
        return JsonResponse({"contact_ids": dry_run.people(request.brand, broadcast, what=known[asked])})

    @extend_schema(operation_id="broadcasts_reject", request=None, responses=BroadcastWhole)
    def reject(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/reject/: what waits for approval is a draft again. 409 when it does not wait."""
        return _act(broadcasts.reject, request, pk)

    @extend_schema(operation_id="broadcasts_duplicate", request=None, responses={201: BroadcastWhole})
    def duplicate(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/duplicate/: a draft with the same audience, contents, waves and rhythm, moved to
        the future."""
        copy = broadcast_copy.duplicate(request.brand, broadcast_id=pk, by=request.user)
        return JsonResponse(_whole(copy), status=201)

    @extend_schema(operation_id="broadcasts_launch", request=None, responses=BroadcastWhole)
    def launch(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/launch/: start it, or hand it to a second person where the brand wants that
        (then its state is `approval`). 409 when it is no draft."""
        return _act(broadcasts.launch, request, pk)

    @extend_schema(operation_id="broadcasts_approve", request=None, responses=BroadcastWhole)
    def approve(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/approve/: 403 for whoever wrote or submitted it."""
        return _act(broadcasts.approve, request, pk)

    @extend_schema(operation_id="broadcasts_pause", request=None, responses=BroadcastWhole)
    def pause(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/pause/: nothing more is planned or handed to WeCom."""
        return _act(broadcasts.pause, request, pk)

    @extend_schema(operation_id="broadcasts_resume", request=None, responses=BroadcastWhole)
    def resume(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/resume/."""
        return _act(broadcasts.resume, request, pk)

    @extend_schema(operation_id="broadcasts_cancel", request=None, responses=BroadcastWhole)
    def cancel(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/cancel/: what is not sent yet is stopped, also at the guides, by a job."""
        return _act(broadcasts.cancel, request, pk)

    @extend_schema(operation_id="broadcasts_remind", request=None, responses=BroadcastWhole)
    def remind(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/remind/: a job reminds guides who have not confirmed."""
        return _act(broadcasts.remind_all, request, pk)

    @extend_schema(operation_id="broadcasts_reassign", request=None, responses=BroadcastWhole)
    def reassign(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/reassign/: a job gives what is not confirmed to other guides of the same
        customers."""
        return _act(broadcasts.reassign_all, request, pk)

    @extend_schema(operation_id="broadcasts_winner", request=WinnerIn, responses=BroadcastWhole)
    def winner(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/winner/: this content goes to those who wait. 409 when nobody does."""
        broadcasts.get_broadcast(pk)
        given = WinnerIn(data=request.data)
        given.is_valid(raise_exception=True)
        variant_id = given.validated_data["content_id"]
        winners.choose(request.brand, broadcast_id=pk, variant_id=variant_id, by=request.user)
        return JsonResponse(_whole(broadcasts.get_broadcast(pk)))


def _act(service: Any, request: Any, pk: int) -> JsonResponse:
    service(request.brand, broadcast_id=pk, by=request.user)
    return JsonResponse(_whole(broadcasts.get_broadcast(pk)))


def _read(brand: Brand, data: Any) -> BroadcastInput:
    checked = BroadcastIn(data=data)
    checked.is_valid(raise_exception=True)
    given = checked.validated_data
    if not isinstance(given["audience"], dict):
        raise InvalidError(_("Choose whom it is for"), fields={"audience": _("Choose whom it is for")})
    found = [WaveInput(w.get("at"), w["after"], w.get("condition") or {}) for w in given.get("waves", [])]
    return BroadcastInput(
        name=given["name"],
        audience=given["audience"],
        variants=[_variant(brand, row) for row in given["contents"]],
        waves=found or [WaveInput()],
        priority=given["priority"],
        hold_out_percent=given["hold_out_percent"],
        late_hours=given["late_hours"],
        repeat=given["repeat"],
        repeat_until=given.get("repeat_until"),
        test={**winners.Rule().__dict__, **given["test"]} if given.get("test") is not None else {},
    )


def _variant(brand: Brand, row: dict[str, Any]) -> VariantInput:
    if "content_id" not in row:
        return VariantInput(row.get("text", ""), row.get("attachments", []), row["weight"])
    if row.get("text") or row.get("attachments"):
        text = _("Give a text or a content of the library, not both")
        raise InvalidError(text, fields={"contents": text})
    chosen = library.usable(brand, row["content_id"])
    return VariantInput(chosen.text, chosen.attachments, row["weight"], chosen.version_id)


# ---- out


def _plain(row: Broadcast, numbers: broadcast_numbers.Numbers) -> dict[str, Any]:
    names = (
        "name", "state", "priority", "hold_out_percent", "late_hours", "audience", "repeat", "test", "winner_id", "winner_by",
        "created_at", "launched_at", "ended_at",
    )  # fmt: skip
    return {"id": row.pk, **{name: getattr(row, name) for name in names}, "numbers": numbers}


def _whole(row: Broadcast) -> dict[str, Any]:
    found = broadcast_numbers.report(row, n_guides=0)
    shown = _plain(row, found.total) | {
        "effect": broadcast_effect.effect_of_broadcast(row.brand, row),
        "contents": [
            {"id": v.pk, "letter": v.letter, "weight": v.weight, "text": v.text, "attachments": v.attachments,
             "content_version_id": v.content_id, "numbers": n}
            for v, n in found.variants
        ],
        "waves": [
            {"id": w.pk, "n": w.n, "at": w.at, "state": w.state, "wanted": w.numbers.get("wanted", 0),
             "held_back": {k: n for k, n in w.numbers.items() if k not in broadcast_numbers.PLANS and n},
             "error": w.numbers.get("error", ""), "numbers": n}
            for w, n in found.waves
        ],
    }  # fmt: skip
    whole: dict[str, Any] = json.loads(json.dumps(BroadcastWhole(shown).data, default=str))
    return whole
