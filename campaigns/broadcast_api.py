"""REST API of broadcasts: write a draft, look what it would do, launch, pause, stop, read the results."""

import json
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets

from campaigns.broadcast_shapes import (
    BroadcastIn,
    BroadcastOut,
    BroadcastWhole,
    DryRunOut,
    DryRunPeopleOut,
    WinnerIn,
)
from campaigns.models import Broadcast, Touch
from campaigns.services import people_pages
from campaigns.services.broadcasts import (
    broadcast_copy,
    broadcast_effect,
    broadcast_numbers,
    broadcasts,
    dry_run,
    winners,
)
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput, WaveInput
from campaigns.services.ledger import waiting
from content.services import library
from scrm.api_body import read_body
from scrm.api_pages import asked_page, asked_size, page_answer, page_out, paged
from scrm.api_query import asked_word
from scrm.errors import InvalidError
from tagging.services.bits import frames
from tenants.models import Brand

SIZE = 50
PEOPLE = 200


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
        responses=page_out("BroadcastPage", BroadcastOut),
        parameters=[OpenApiParameter("state", str), *paged(SIZE)],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/broadcasts/: newest first, with their figures."""
        rows = Broadcast.objects.all()
        if state := asked_word(request.query_params, "state", Broadcast.State.values):
            rows = rows.filter(state=state)
        page = asked_page(request, rows, ("-pk",), SIZE)
        found = broadcast_numbers.of_broadcasts([row.pk for row in page])
        nothing = broadcast_numbers.Numbers()
        shown = [_plain(row, found.get(row.pk, nothing)) for row in page]
        return page_answer(BroadcastOut(shown, many=True).data, page)

    @extend_schema(operation_id="broadcasts_create", request=BroadcastIn, responses={201: BroadcastWhole})
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/broadcasts/: a draft; nothing is sent."""
        given = _read(request)
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
        given = _read(request)
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
        parameters=[
            OpenApiParameter("reason", str, description="as in `held_back`; left out: who gets it"),
            *paged(PEOPLE),
        ],
    )
    def dry_run_people(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/broadcasts/<id>/dry-run/people/: who would get it, or whom a reason would hold back; 200 a page, those
        who came last first."""
        broadcast, asked = broadcasts.get_broadcast(pk), request.query_params.get("reason") or "none"
        known = {reason.name.lower(): int(reason) for reason in Touch.Reason}
        if asked not in known:
            raise InvalidError(_("Unknown reason"), fields={"reason": ", ".join(known)})
        frame, bits = dry_run.set_of(request.brand, broadcast, known[asked])
        after, size = request.query_params.get("after"), asked_size(request, PEOPLE)
        positions, following = people_pages.ids_page(frame, bits, after=after, size=size)
        ids = frames.contacts_at(request.brand, frame, frame.of_positions(positions))[::-1]
        return JsonResponse({"contact_ids": ids} | ({"next": following} if following else {}))

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
        given = read_body(WinnerIn, request)
        variant_id = given["content_id"]
        winners.choose(request.brand, broadcast_id=pk, variant_id=variant_id, by=request.user)
        return JsonResponse(_whole(broadcasts.get_broadcast(pk)))


def _act(service: Any, request: Any, pk: int) -> JsonResponse:
    service(request.brand, broadcast_id=pk, by=request.user)
    return JsonResponse(_whole(broadcasts.get_broadcast(pk)))


def _read(request: Any) -> BroadcastInput:
    brand, given = request.brand, read_body(BroadcastIn, request)
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
        "kept": waiting.kept_of_broadcast(row),
        "contents": [
            {"id": v.pk, "letter": v.letter, "weight": v.weight, "text": v.text, "attachments": v.attachments,
             "content_version_id": v.content_id, "numbers": n}
            for v, n in found.variants
        ],
        "waves": [
            {"id": w.pk, "n": w.n, "at": w.at, "state": w.state, "wanted": w.numbers.get("wanted", 0),
             "held_back": {k: n for k, n in w.numbers.items() if k not in broadcast_numbers.PLANS and n},
             "error": w.numbers.get("error", ""), "rest_of": w.condition.get("rest_of"), "numbers": n}
            for w, n in found.waves
        ],
    }  # fmt: skip
    whole: dict[str, Any] = json.loads(json.dumps(BroadcastWhole(shown).data, default=str))
    return whole
