"""Hand-overs: who has left, the runs, and one run with what became of everybody."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from contacts.models import Contact
from handover.models import HandoverItem, HandoverRun
from handover.services import leavers, listing, reasons, runs
from handover.services.choosing import Choice
from org.access import staff_can
from org.models import Corp, Job, Staff
from scrm.errors import NotFoundError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go
from tagging.models import Segment

LIVE = [Job.State.WAITING, Job.State.RUNNING, Job.State.PAUSED]


@require_GET
@staff_can("handover.view")
@vary_on_headers("HX-Request")
def handover_list(request: Any) -> HttpResponse:
    """Members who have left with what waits, and all runs, newest first."""
    rows = listing.visible(HandoverRun.objects.select_related("giver"), request.staff)
    if giver := read_id(request.GET.get("giver")):
        rows = rows.filter(giver=giver)
    page = keyset_page(rows, order=("-pk",), after=request.GET.get("after"))
    ids = [run.pk for run in page]
    context = {"page": page, "figures": listing.figures(ids), "receivers": listing.receivers_of(ids)}
    if request.htmx:
        return render(request, "handover/_runs.html", context)
    context |= {
        "leavers": leavers.leavers(Staff.objects.visible_to(request.staff).values("pk")),
        "jobs": list(Job.objects.filter(kind=leavers.KIND, state__in=LIVE)),
        "read_at": Job.objects.filter(kind=leavers.KIND, state=Job.State.DONE)
        .order_by("-created_at")
        .values_list("ended_at", flat=True)
        .first(),
        "has_corp": Corp.objects.exists(),
        "giver": Staff.objects.filter(pk=giver).first() if giver else None,
    }
    return render(request, "handover/list.html", context)


@require_POST
@staff_can("handover.run")
def handover_read(request: Any) -> HttpResponse:
    """Read WeCom's list of customers without anybody again."""
    for corp in Corp.objects.order_by("pk"):
        leavers.start_reading(request.brand, corp=corp, by=request.actor)
    return go(request, "/handover/", _("WeCom is asked who waits"), "info")


@require_GET
@staff_can("handover.view")
@vary_on_headers("HX-Request")
def handover_detail(request: Any, run_id: int) -> HttpResponse:
    run = get_run(request, run_id)
    given = {"state": request.GET.get("state", ""), "receiver": request.GET.get("receiver", "")}
    items = HandoverItem.objects.filter(run=run).select_related("receiver", "contact", "chat")
    if given["state"] in listing.GROUPED:
        items = items.filter(state__in=listing.GROUPED[given["state"]])
    if receiver := read_id(given["receiver"]):
        items = items.filter(receiver=receiver)
    page = keyset_page(items, order=("pk",), after=request.GET.get("after"))
    seen = Contact.objects.visible_to(request.staff).filter(
        pk__in={i.contact_id for i in page if i.contact_id}
    )
    context: dict[str, Any] = {
        "run": run,
        "page": page,
        "words": {item.pk: reasons.words_of(item) for item in page},
        "may_see": set(seen.values_list("pk", flat=True)) if request.actor.can("contacts.view") else set(),
        "may_see_groups": request.actor.can("groups.view"),
    }
    if request.htmx:
        return render(request, "handover/_items.html", context)
    figures = listing.figures([run.pk])[run.pk]
    rows = listing.by_receiver(run)
    context |= {
        "given": given,
        "figures": figures,
        "rows": rows,
        "receiver_choices": [(row["receiver"].pk, row["receiver"].name) for row in rows],
        "states": state_choices(),
        "job": Job.objects.filter(pk=run.job_id or 0).first(),
        "chosen": chosen_words(run),
        "may_cancel": run.state == HandoverRun.State.RUNNING and figures.n_open > 0,
    }
    return render(request, "handover/detail.html", context)


@require_POST
@staff_can("handover.run")
def handover_cancel(request: Any, run_id: int) -> HttpResponse:
    """What WeCom has not got yet stays where it is."""
    run = get_run(request, run_id)
    n = runs.cancel_run(request.brand, by=request.actor, run_id=run.pk)
    return go(request, f"/handover/{run.pk}/", _("Cancelled: %(n)s stay where they are") % {"n": n})


def get_run(request: Any, run_id: int) -> HandoverRun:
    found = listing.visible(HandoverRun.objects.select_related("giver", "corp"), request.staff)
    run = found.filter(pk=run_id).first()
    if run is None:
        raise NotFoundError()
    return run


def state_choices() -> list[tuple[str, str]]:
    return [
        ("waiting", _("Waits for the customer")),
        ("open", _("Not given to WeCom yet")),
        ("done", _("Handed over")),
        ("bad", _("Refused or not possible")),
        ("cancelled", _("Cancelled")),
    ]


def chosen_words(run: HandoverRun) -> list[str]:
    """What was chosen, in words."""
    if not run.chosen:
        return []
    choice = Choice.from_json(run.chosen)
    words = []
    if choice.customers == "segment":
        segment = Segment.objects.filter(pk=choice.segment_id or 0).first()
        words.append(_("Customers of segment %(name)s") % {"name": segment.name if segment else "—"})
    elif choice.customers != "none":
        words.append(
            {
                "all": _("All customers"),
                "filter": _("Customers by a filter"),
                "list": _("Customers of a list"),
            }[choice.customers]
        )
    if choice.groups != "none":
        words.append({"all": _("All groups"), "list": _("Chosen groups")}[choice.groups])
    return words
