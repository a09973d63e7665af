"""Broadcasts: the list, what a draft would do, a running one with its figures, and its states. The editor is
broadcast_edit.py."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from campaigns.models import Broadcast, SendTask, Touch, Wave
from campaigns.services import people_pages
from campaigns.services.broadcasts import (
    broadcast_copy,
    broadcast_effect,
    broadcast_numbers,
    broadcasts,
    dry_run,
    waves,
    winners,
)
from campaigns.services.governance.rules import policy_of
from campaigns.services.ledger import waiting
from campaigns.services.sops import numbers
from campaigns.views.broadcast_edit import AFTERS, condition_words, everybody
from campaigns.views.effect import rows_of
from campaigns.views.launching import launch_words
from campaigns.views.touches import lists_of
from content.services import library
from org.access import staff_can
from org.models import Job
from scrm import clock
from scrm.errors import ForbiddenError, InvalidError, NotFoundError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go
from tagging.conditions import ConditionError
from tagging.models import Segment
from tagging.services.bits.frames import Bits, Frame

State = Broadcast.State


@require_GET
@staff_can("broadcasts.view")
def broadcast_list(request: Any) -> HttpResponse:
    over = request.GET.get("show") == "over"
    ended = [State.DONE, State.CANCELLED]
    rows = Broadcast.objects.filter(state__in=ended) if over else Broadcast.objects.exclude(state__in=ended)
    page = keyset_page(rows, order=("-pk",), after=request.GET.get("after"), size=30)
    ids = [row.pk for row in page]
    firsts = {wave.broadcast_id: wave for wave in Wave.objects.filter(broadcast__in=ids, n=1)}
    found = broadcast_numbers.of_broadcasts(ids)
    for row in page:
        row.numbers, row.first = found.get(row.pk), firsts.get(row.pk)
    context = {
        "page": page,
        "tabs": [
            {"url": "/broadcasts/", "label": _("In use"), "active": not over},
            {"url": "/broadcasts/?show=over", "label": _("Ended"), "active": over},
        ],
    }
    template = "campaigns/broadcasts/_rows.html" if request.htmx else "campaigns/broadcasts/list.html"
    return render(request, template, context)


# ---- one broadcast


@require_GET
@staff_can("broadcasts.view")
def broadcast_detail(request: Any, broadcast_id: int) -> HttpResponse:
    broadcast = broadcasts.get_broadcast(broadcast_id)
    kinds = ["broadcast_cancel", "broadcast_remind", "broadcast_reassign"]
    jobs = Job.objects.filter(kind__in=kinds, params__broadcast_id=broadcast.pk).order_by("-pk")[:3]
    variants = list(broadcast.variants.order_by("letter"))
    context = {
        "broadcast": broadcast,
        "acts": _acts(broadcast, request.actor),
        "jobs": jobs,
        "audience": _audience_words(broadcast),
        "is_plan": broadcast.state in (State.DRAFT, State.APPROVAL),
        "variants": variants,
        "library": library.names_of(v.content_id for v in variants),
        "test_rule": winners.rule_of(broadcast),
        "planned_waves": _planned_waves(request.brand, broadcast),
        **_numbers(request, broadcast),
    }
    return render(request, "campaigns/broadcasts/detail.html", context)


def _planned_waves(brand: Any, broadcast: Broadcast) -> list[dict[str, Any]]:
    """When a draft would go out, and to whom of its audience: `at` is None for the launch, `only` a condition in words."""
    rows: list[dict[str, Any]] = []
    afters = {key: str(label) for key, label in AFTERS}
    for wave in broadcast.waves.order_by("n"):
        given = wave.condition
        narrowed = given.get("condition") or {}
        only = condition_words(brand, narrowed) if narrowed else ""
        row = {"n": wave.n, "at": None if given.get("now") else wave.at, "only": only}
        rows.append(row | {"after": afters.get(given.get("after", ""), "") if wave.n > 1 else ""})
    return rows


def _numbers(request: Any, broadcast: Broadcast) -> dict[str, Any]:
    brand = request.brand
    may_list = request.actor.can("sops.view")
    found = broadcast_numbers.report(broadcast)
    effect = broadcast_effect.effect_of_broadcast(brand, broadcast)
    return {
        "effect": effect,
        "effect_rows": rows_of(effect, _("Customers")) if effect else [],
        "attribution_days": policy_of(brand).attribution_days,
        "broadcast": broadcast,
        "kept": waiting.kept_of_broadcast(broadcast),
        "lists": lists_of("broadcast", broadcast.pk) if may_list else {},
        "report": found,
        "test": winners.test_of(brand, broadcast) if broadcast.launched_at else None,
        "is_starting": broadcast.state == State.ON and _is_starting(found),
        "is_live": broadcast.state in (State.ON, State.PAUSED),
        "unconfirmed": _unconfirmed(broadcast, found) if broadcast.launched_at else [],
    }


def _unconfirmed(broadcast: Broadcast, report: broadcast_numbers.Report) -> list[tuple[SendTask, str]]:
    """Send tasks that wait for their guide, each with the name of its content where there are several."""
    tasks = numbers.unconfirmed(broadcast_id=broadcast.pk, limit=20)
    names = {row.pk: _("Content %(letter)s") % {"letter": row.letter} for row, _n in report.variants}
    return [(task, names.get(task.variant_id or 0, "") if len(names) > 1 else "") for task in tasks]


def _is_starting(report: broadcast_numbers.Report) -> bool:
    """Whether the first wave waits for the next tick: its time has come and nobody has been planned."""
    first = report.waves[0][0] if report.waves else None
    return first is not None and first.state == Wave.State.WAITING and first.at <= clock.now()


@require_GET
@staff_can("broadcasts.view")
def live_numbers(request: Any, broadcast_id: int) -> HttpResponse:
    """The figures alone; a running page asks for them every few seconds."""
    context = _numbers(request, broadcasts.get_broadcast(broadcast_id))
    return render(request, "campaigns/broadcasts/_numbers.html", context)


@require_POST
@staff_can("broadcasts.edit")
def choose_winner(request: Any, broadcast_id: int) -> HttpResponse:
    """This content goes to those who have waited for the winner."""
    variant_id = read_id(request.POST.get("variant"))
    if variant_id is None:
        raise NotFoundError()
    winners.choose(request.brand, broadcast_id=broadcast_id, variant_id=variant_id, by=request.actor)
    return go(request, f"/broadcasts/{broadcast_id}/", _("It goes to the rest"))


@require_GET
@staff_can("broadcasts.view")
def broadcast_check(request: Any, broadcast_id: int) -> HttpResponse:
    """What a draft would do now; nothing is written."""
    broadcast = broadcasts.get_broadcast(broadcast_id)
    try:
        found = dry_run.dry_run(request.brand, broadcast)
    except ConditionError as error:
        return render(request, "campaigns/broadcasts/_dry_run.html", {"error": error}, status=200)
    context = {
        "run": found,
        "broadcast": broadcast,
        "few": _too_few(broadcast, found.expected),
        "question": launch_words(request.brand, broadcast, found),
    }
    return render(request, "campaigns/broadcasts/_dry_run.html", context)


def _too_few(broadcast: Broadcast, expected: int) -> int | None:
    """How many people the smallest content of a comparison can count on, where the rule asks for more."""
    weights = list(broadcast.variants.values_list("weight", flat=True))
    if not broadcast.test or len(weights) < 2:
        return None
    n = expected * min(weights) // sum(weights)
    return n if n < winners.Rule(**broadcast.test).least else None


@require_GET
@staff_can("broadcasts.view")
def check_people(request: Any, broadcast_id: int) -> HttpResponse:
    """People who would get a draft now (`what` 0), or whom one reason would hold back."""
    broadcast = broadcasts.get_broadcast(broadcast_id)
    what = _reason(request)
    try:
        frame, bits = dry_run.set_of(request.brand, broadcast, what)
    except ConditionError as error:
        raise InvalidError(str(error)) from error
    words = Touch.Reason(what).label if what else _("Get it")
    return _people(request, broadcast, frame, bits, str(words))


def _reason(request: Any) -> int:
    what = read_id(request.GET.get("what", "0"))
    if what is None or what not in Touch.Reason.values:
        raise NotFoundError()
    return what


def _people(request: Any, broadcast: Broadcast, frame: Frame, bits: Bits, words: str) -> HttpResponse:
    found = people_pages.people_page(frame, bits, staff=request.staff, after=request.GET.get("after"))
    context = {"people": found, "page": found.page, "broadcast": broadcast, "words": words}
    template = "campaigns/broadcasts/_people.html" if request.htmx else "campaigns/broadcasts/people.html"
    return render(request, template, context)


@require_GET
@staff_can("broadcasts.view")
def wave_people(request: Any, broadcast_id: int, wave_id: int) -> HttpResponse:
    """The people of a planned wave whom one reason held back (`what`; 0 is who was wanted)."""
    wave = Wave.objects.select_related("broadcast").filter(pk=wave_id, broadcast=broadcast_id).first()
    what = _reason(request)
    if wave is None:
        raise NotFoundError()
    frame = Frame.whole(request.brand)
    words = str(Touch.Reason(what).label) if what else _("Audience")
    return _people(request, wave.broadcast, frame, waves.set_of(frame, wave.pk, what), words)


def _audience_words(broadcast: Broadcast) -> str:
    given = broadcast.audience
    if "segment" in given:
        segment = Segment.objects.filter(pk=given["segment"]).first()
        return segment.name if segment else _("A segment that does not exist any more")
    if "contacts" in given:
        return _("A list of %(n)s customers") % {"n": len(given["contacts"])}
    return _("Everybody whom a guide can reach") if given == everybody() else _("A condition")


_ACTS: dict[str, tuple[set[str], str, Any, str, Any, str]] = {
    # act: (states, icon, label, kind, question, right)
    "launch": (
        {State.DRAFT}, "rocket", gettext_lazy("Launch"), "primary",
        gettext_lazy("How many people would get it is still being worked out; wait a moment, or it goes out as planned."),
        "broadcasts.edit",
    ),
    "approve": (
        {State.APPROVAL}, "check", gettext_lazy("Approve"), "primary",
        gettext_lazy("How many people would get it is still being worked out; wait a moment, or it goes out as planned."),
        "broadcasts.approve",
    ),
    "reject": ({State.APPROVAL}, "undo-2", gettext_lazy("Back to a draft"), "", "", "broadcasts.edit"),
    "pause": ({State.ON}, "pause", gettext_lazy("Pause"), "", "", "broadcasts.edit"),
    "resume": ({State.PAUSED}, "play", gettext_lazy("Go on"), "primary", "", "broadcasts.edit"),
    "remind": (
        {State.ON}, "bell", gettext_lazy("Remind guides"), "",
        gettext_lazy("Everybody who has not confirmed is reminded in WeCom,"
                     " at most three times in 24 hours and once in half an hour."),
        "broadcasts.edit",
    ),
    "reassign": (
        {State.ON}, "users", gettext_lazy("Other guides"), "",
        gettext_lazy("What guides have not confirmed goes to other guides of the same customers, where there are any."),
        "broadcasts.edit",
    ),
    "cancel": (
        {State.ON, State.PAUSED, State.APPROVAL}, "circle-x", gettext_lazy("Stop"), "danger",
        gettext_lazy("What is not sent yet is cancelled, also at the guides. What customers have stays."),
        "broadcasts.edit",
    ),
    "duplicate": (set(State), "copy", gettext_lazy("Copy"), "", "", "broadcasts.edit"),
    "delete": (
        {State.DRAFT}, "trash-2", gettext_lazy("Delete"), "danger", gettext_lazy("The draft is deleted."), "broadcasts.edit",
    ),
}  # fmt: skip


def _acts(broadcast: Broadcast, actor: Any) -> list[dict[str, Any]]:
    return [
        {"act": act, "icon": icon, "label": label, "kind": kind, "confirm": question}
        | ({"question": "#launch-words"} if act in ("launch", "approve") else {})
        for act, (states, icon, label, kind, question, right) in _ACTS.items()
        if broadcast.state in states and actor.can(right)
    ]


_DONE = {
    "launch": gettext_lazy("It is on its way"),
    "approve": gettext_lazy("Approved. It is on its way"),
    "reject": gettext_lazy("It is a draft again"),
    "pause": gettext_lazy("Paused"),
    "resume": gettext_lazy("It goes on"),
    "cancel": gettext_lazy("Stopped. What was sent already stays."),
    "remind": gettext_lazy("The guides are being reminded"),
    "reassign": gettext_lazy("Other guides are being asked"),
}


@require_POST
@staff_can("broadcasts.view")
def broadcast_act(request: Any, broadcast_id: str, act: str) -> HttpResponse:
    number = int(broadcast_id)
    if not request.actor.can(_ACTS[act][5]):
        raise ForbiddenError()
    if act == "duplicate":
        copy = broadcast_copy.duplicate(request.brand, broadcast_id=number, by=request.actor)
        return go(request, f"/broadcasts/{copy.pk}/edit/", _("A copy, still a draft"))
    if act == "delete":
        broadcasts.delete_draft(request.brand, broadcast_id=number, by=request.actor)
        return go(request, "/broadcasts/", _("Deleted"))
    services = {
        "launch": broadcasts.launch,
        "approve": broadcasts.approve,
        "reject": broadcasts.reject,
        "pause": broadcasts.pause,
        "resume": broadcasts.resume,
        "cancel": broadcasts.cancel,
        "remind": broadcasts.remind_all,
        "reassign": broadcasts.reassign_all,
    }
    services[act](request.brand, broadcast_id=number, by=request.actor)
    waits = act == "launch" and broadcasts.get_broadcast(number).state == State.APPROVAL
    text = _("A second person has to approve it now") if waits else str(_DONE[act])
    return go(request, f"/broadcasts/{number}/", text)
