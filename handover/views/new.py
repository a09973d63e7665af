"""A new hand-over: one form with a preview that follows it."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contacts import hooks
from contacts.models import Follow
from groups.models import GroupChat
from handover.forms import Given, read
from handover.models import HandoverItem, Unassigned
from handover.services import leavers, runs
from handover.services.choosing import MAX_LISTED, owned_groups
from handover.services.runs import Share
from handover.views.runs import get_run
from org.access import staff_can
from org.models import Staff
from scrm.errors import InvalidError, NotFoundError, SCRMError
from scrm.ids import read_id
from scrm.responses import go
from tagging.models import Segment

MAX_SHOWN = 20  # guides found for a receiver
MAX_GROUPS = 500


@require_http_methods(["GET", "POST"])
@staff_can("handover.run")
def handover_new(request: Any) -> HttpResponse:
    """The form; without a giver the choice of one. POST starts the run."""
    giver_id = read_id((request.POST if request.method == "POST" else request.GET).get("from"))
    giver = get_giver(request, giver_id) if giver_id else None
    if giver is None:
        if request.method == "POST":
            raise NotFoundError()
        return render(request, "handover/choose.html", _choices(request))
    given = read(request.POST) if request.method == "POST" else _first(request, giver)
    if request.method == "POST":
        try:
            _check_scope(request, given)
            run = runs.start_run(
                request.brand,
                by=request.actor,
                giver=giver,
                choice=given.choice(),
                shares=given.receivers,
                message=given.message,
            )
        except InvalidError as error:
            given.refuse(error)
        else:
            return go(
                request, f"/handover/{run.pk}/", _("The hand-over has started; you can leave this page.")
            )
    context = {**_form(request, giver, given), "preview": _preview(request, giver, given)}
    return render(request, "handover/new.html", context, status=422 if given.errors else 200)


@require_POST
@staff_can("handover.run")
def handover_preview(request: Any) -> HttpResponse:
    """What the form would do; asked after each change."""
    giver = get_giver(request, read_id(request.POST.get("from")) or 0)
    given = read(request.POST)
    return render(
        request, "handover/_preview.html", {"preview": _preview(request, giver, given), "giver": giver}
    )


@require_GET
@staff_can("handover.run")
def handover_guides(request: Any) -> HttpResponse:
    """Guides who may receive, by a part of the name; of the giver's store first."""
    giver = get_giver(request, read_id(request.GET.get("from")) or 0)
    people = _receivers(request, giver)
    if q := request.GET.get("q", "").strip():
        people = people.filter(name__icontains=q) | people.filter(userid__icontains=q)
    found = list(people.select_related("store").order_by("name", "pk")[:200])
    found.sort(key=lambda s: giver.store_id is None or s.store_id != giver.store_id)
    return render(request, "handover/_guides.html", {"guides": found[:MAX_SHOWN], "giver": giver})


def get_giver(request: Any, staff_id: int) -> Staff:
    """A WeCom member whom this person may see."""
    found = (
        Staff.objects.visible_to(request.staff).select_related("corp", "store").filter(pk=staff_id).first()
    )
    if found is None or found.corp is None:
        raise NotFoundError()
    return found


def _receivers(request: Any, giver: Staff) -> Any:
    people = Staff.objects.visible_to(request.staff).guides()
    return people.filter(corp=giver.corp_id).exclude(pk=giver.pk)


def _check_scope(request: Any, given: Given) -> None:
    """Nobody gives customers to people whom they may not see."""
    ids = {share.staff_id for share in given.receivers}
    if Staff.objects.visible_to(request.staff).filter(pk__in=ids).count() < len(ids):
        text = _("A receiver is no active guide of this company")
        raise InvalidError(text, fields={"receivers": text})


def _first(request: Any, giver: Staff) -> Given:
    """The form as it opens: everything of somebody who has left, the filter that a list has given, or whom an earlier
    run (`left_of`) could not hand over."""
    is_resigned = giver.state == Staff.State.LEFT
    given = Given(groups="all" if is_resigned else "none")
    if request.GET.get("customers"):
        given = read(request.GET)
    if run_id := read_id(request.GET.get("left_of")):
        run = get_run(request, run_id)
        left = HandoverItem.objects.filter(run=run, giver=giver, kind=HandoverItem.Kind.CUSTOMER)
        left = left.filter(state__in=[HandoverItem.State.REFUSED, HandoverItem.State.FAILED]).order_by("pk")
        listed = "\n".join(left.values_list("external_userid", flat=True)[:MAX_LISTED])
        given = Given(customers="list", listed=listed)
    if receiver := read_id(request.GET.get("to")):
        given.receivers = [Share(receiver)]
    return given


def _form(request: Any, giver: Staff, given: Given) -> dict[str, Any]:
    is_resigned = giver.state == Staff.State.LEFT
    people = Unassigned.objects if is_resigned else Follow.objects.filter(ended_at=None, is_pending=False)
    chosen = Staff.objects.select_related("store").in_bulk([share.staff_id for share in given.receivers])
    chats = owned_groups(giver.corp, giver)  # type: ignore[arg-type]
    store_guides = _receivers(request, giver).filter(store=giver.store_id) if giver.store_id else None
    return {
        "giver": giver,
        "is_resigned": is_resigned,
        "given": given,
        "n_customers": people.filter(staff=giver).count(),
        "chats": list(chats.order_by("-n_members", "-pk")[:MAX_GROUPS]),
        "n_groups": chats.count(),
        "segments": list(
            Segment.objects.filter(deleted_at=None).order_by("name").values_list("pk", "name", "n")
        ),
        "tag_groups": hooks.tag_choices(),
        "codes": hooks.code_choices(),
        "receivers": [
            (chosen[share.staff_id], share.weight) for share in given.receivers if share.staff_id in chosen
        ],
        "store_guides": list(store_guides.select_related("store").order_by("name")[:100])
        if store_guides
        else [],
        "leaver": next(iter(leavers.leavers([giver.pk])), None) if is_resigned else None,
    }


def _preview(request: Any, giver: Staff, given: Given) -> Any:
    """The preview, or the first thing that is missing."""
    try:
        _check_scope(request, given)
        return runs.preview(request.brand, giver=giver, choice=given.choice(), shares=given.receivers)
    except SCRMError as error:
        return {"problem": str(error)}


def _choices(request: Any) -> dict[str, Any]:
    """Whose customers or groups: those who have left first, then guides by name."""
    people = Staff.objects.visible_to(request.staff)
    guides = people.guides().exclude(corp=None).select_related("store").order_by("name", "pk")
    owners = dict.fromkeys(
        GroupChat.objects.live().exclude(owner=None).values_list("owner", flat=True)[:5000]
    )
    return {
        "leavers": leavers.leavers(people.values("pk")),
        "guides": list(guides[:2000]),
        "owners": owners,
    }
