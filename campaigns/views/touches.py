"""The ledger and the send tasks behind it."""

from datetime import timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from campaigns.models import Broadcast, SendTask, Sop, SopStep, Touch
from campaigns.services import scope
from campaigns.services.broadcasts import broadcast_touches, broadcasts
from campaigns.services.ledger import waiting
from campaigns.services.sending import reassign, results
from contacts.models import Contact
from org.access import brand_transaction, staff_can, staff_can_outside
from org.models import Staff
from scrm import clock
from scrm.errors import NotFoundError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go
from tenants.scoping import tenant_scope

PERIODS = [
    (1, gettext_lazy("Today and yesterday")),
    (7, gettext_lazy("7 days")),
    (30, gettext_lazy("30 days")),
    (90, gettext_lazy("90 days")),
    (0, gettext_lazy("Any time")),
]
ANY_TIME = 0  # of what is looked up by itself: a broadcast, an SOP, a contact; else the longest period
MARKS = [
    ("opened", gettext_lazy("Opened")),
    ("replied", gettext_lazy("Replied")),
    ("converted", gettext_lazy("Bought")),
]
STATES = [(waiting.NOT_THERE_YET, gettext_lazy("Not with the customer yet")), *Touch.State.choices]
BROADCASTS = 200  # the newest, to choose from
COLUMNS = {
    "kind": "kind",
    "state": "state",
    "reason": "reason",
    "sop": "sop_id",
    "broadcast": "broadcast_id",
    "step": "step_id",
    "guide": "staff_id",
    "contact": "contact_id",
}
R = Touch.Reason
# what somebody who reads the ledger can do about it
HELP = {
    R.DO_NOT_CONTACT: gettext_lazy(
        "The contact is marked as do-not-contact; change it on the contact's page."
    ),
    R.CAPPED: gettext_lazy(
        "As many touches as the cap allows had been planned or sent before; the cap is in the settings."
    ),
    R.NOT_FOLLOWED: gettext_lazy(
        "No active guide has this customer as a friend; whoever has lost the last one leaves the SOP."
    ),
    R.TOO_LATE: gettext_lazy(
        "The SOP was paused or the system was down, and a newer step was due or too many days had passed."
    ),
    R.WECOM_LIMIT: gettext_lazy(
        "The customer had received as many mass messages as WeCom allows; other senders count too."
    ),
    R.NOT_FRIEND: gettext_lazy("WeCom says that this customer is not a friend of the guide any more."),
    R.REFUSED: gettext_lazy("WeCom did not accept the message; its words are beside it."),
    R.EXPIRED: gettext_lazy("A welcome has to go out within 20 seconds of the adding."),
    R.NO_CODE: gettext_lazy(
        "WeCom gives no right to greet when its console has a welcome of its own or the chat has begun."
    ),
    R.ALREADY_WELCOMED: gettext_lazy("Another app, or WeCom's console, greeted first."),
    R.REFUSED_KIND: gettext_lazy(
        "The customer asked not to get messages of this kind; see the contact's page."
    ),
    R.NO_CONTACT_RULE: gettext_lazy(
        "A tag, a channel code or a period of a do-not-contact rule; see the settings."
    ),
    R.TOO_SOON: gettext_lazy("The least time between two touches is in the settings."),
    R.ALLOWANCE: gettext_lazy("WeCom would not deliver it: mass messages of all guides to a customer count."),
    R.OUTRANKED: gettext_lazy(
        "It was planned and not handed to WeCom yet when a campaign of higher priority came."
    ),
    R.HOLD_OUT: gettext_lazy("A share of the audience gets nothing, so that the effect can be measured."),
    R.BRAND_HOLD_OUT: gettext_lazy(
        "A share of all customers gets no SOP and no broadcast; the effect is compared under “Effect”."
    ),
    R.LEFT_SOP: gettext_lazy(
        "A goal, an exit, somebody's hand or a new version had taken the customer out before it was handed over,"
        " or a goal or exit came about after the last step."
    ),
    R.JOINED: gettext_lazy("Two records turned out to be one customer; the message goes out once."),
    R.WAVE_CONDITION: gettext_lazy(
        "The customer is of the audience, but not in the segment (or what else was asked) of this wave."
    ),
}


# figure of a campaign → what the ledger is asked for
_LISTS = {
    "all": "",
    "n_sent": f"&state={Touch.State.DELIVERED.value}",
    "n_waiting": f"&state={waiting.NOT_THERE_YET}",
    "n_blocked": f"&state={Touch.State.BLOCKED.value}",
    "n_failed": f"&state={Touch.State.FAILED.value}",
    "n_cancelled": f"&state={Touch.State.CANCELLED.value}",
    "n_opened": "&mark=opened",
    "n_replied": "&mark=replied",
    "n_converted": "&mark=converted",
}


def lists_of(what: str, pk: int) -> dict[str, str]:
    """Figure → address of the people behind it; `what` is broadcast or sop."""
    return {name: f"/touches/?{what}={pk}&days={ANY_TIME}{asked}" for name, asked in _LISTS.items()}


def tabs(active: str) -> list[dict[str, Any]]:
    return [
        {"url": "/touches/", "label": _("Touches"), "active": active == "touches"},
        {"url": "/touches/tasks/", "label": _("Send tasks"), "active": active == "tasks"},
        {"url": "/touches/effect/", "label": _("Effect"), "active": active == "effect"},
    ]


@require_GET
@staff_can("sops.view")
def touch_list(request: Any) -> HttpResponse:
    """The ledger, newest first."""
    given: dict[str, Any] = {name: read_id(request.GET.get(name)) for name in (*COLUMNS, "days")}
    given["mark"] = request.GET.get("mark", "")
    rows = Touch.objects.all()
    if given["broadcast"] is not None:
        rows = broadcast_touches.of_broadcast(rows, broadcasts.get_broadcast(given["broadcast"]))
    is_found = any(given[name] is not None for name in ("broadcast", "sop", "contact"))
    if given["days"] not in dict(PERIODS):
        given["days"] = ANY_TIME if given["broadcast"] is not None else 30
    if given["days"] == ANY_TIME and not is_found:
        given["days"] = 90
    if given["days"] != ANY_TIME:
        rows = rows.filter(at__gte=clock.now() - timedelta(days=given["days"]))
    if given["mark"] in broadcast_touches.MARKS:
        rows = broadcast_touches.marked(rows, given["mark"])
    for name, column in COLUMNS.items():
        if (asked := given[name]) is not None and name != "broadcast":
            rows = waiting.in_state(rows, asked) if name == "state" else rows.filter(**{column: asked})
    page = keyset_page(
        scope.of_contacts(rows, request.staff), order=("-at", "-pk"), after=request.GET.get("after")
    )
    waiting.show(page)
    context = {"page": page, **names_of(list(page)), "help": HELP}
    if request.htmx:
        return render(request, "campaigns/touches/_rows.html", context)
    context |= {
        "given": given,
        "tabs": tabs("touches"),
        "kinds": Touch.Kind.choices,
        "states": STATES,
        "marks": MARKS,
        "broadcast_choices": _broadcasts(given["broadcast"]),
        "reasons": [pair for pair in R.choices if pair[0]],
        "sop_choices": list(Sop.objects.order_by("name").values_list("pk", "name")),
        "guides": _guides(request.staff),
        "periods": PERIODS,
    }
    return render(request, "campaigns/touches/list.html", context)


def _broadcasts(chosen: int | None) -> list[tuple[int, str]]:
    """The newest ones that have gone out, and the chosen one."""
    rows = Broadcast.objects.exclude(state=Broadcast.State.DRAFT).order_by("-pk")
    found = list(rows.values_list("pk", "name")[:BROADCASTS])
    if chosen is not None and chosen not in dict(found):
        found += Broadcast.objects.filter(pk=chosen).values_list("pk", "name")
    return found


def names_of(touches: list[Touch]) -> dict[str, Any]:
    """Names for the rows of a page: one statement for each kind of thing."""
    return {
        "contacts": Contact.objects.in_bulk({t.contact_id for t in touches}),
        "staff": Staff.objects.in_bulk({t.staff_id for t in touches if t.staff_id}),
        "sops": Sop.objects.in_bulk({t.sop_id for t in touches if t.sop_id}),
        "steps": SopStep.objects.in_bulk({t.step_id for t in touches if t.step_id}),
        "broadcasts": Broadcast.objects.in_bulk({t.broadcast_id for t in touches if t.broadcast_id}),
    }


def _guides(staff: Staff) -> list[tuple[int, str]]:
    tasks = scope.of_guides(SendTask.objects.filter(staff__isnull=False), staff).order_by().values("staff")
    return list(Staff.objects.filter(pk__in=tasks).order_by("name").values_list("pk", "name")[:500])


@require_GET
@staff_can("sops.view")
def task_list(request: Any) -> HttpResponse:
    """Send tasks: what was handed to which guide, and who has not confirmed."""
    given = {name: read_id(request.GET.get(name)) for name in ("sop", "broadcast", "guide")}
    state = request.GET.get("state", "")
    rows = SendTask.objects.select_related("staff", "sop", "step", "broadcast")
    rows = rows.exclude(state=SendTask.State.FAILED, n=0)  # everybody was held back: the ledger tells why
    if state in SendTask.State.values:
        rows = rows.filter(state=state)
    if given["sop"] is not None:
        rows = rows.filter(sop=given["sop"])
    if given["broadcast"] is not None:
        rows = rows.filter(broadcast=given["broadcast"])
    if given["guide"] is not None:
        rows = rows.filter(staff=given["guide"])
    page = keyset_page(scope.of_guides(rows, request.staff), order=("-pk",), after=request.GET.get("after"))
    context: dict[str, Any] = {"page": page}
    if request.htmx:
        return render(request, "campaigns/touches/_tasks.html", context)
    context |= {
        "given": {**given, "state": state},
        "tabs": tabs("tasks"),
        "states": SendTask.State.choices,
        "sop_choices": list(Sop.objects.order_by("name").values_list("pk", "name")),
        "broadcast_choices": _broadcasts(given["broadcast"]),
        "guides": _guides(request.staff),
    }
    return render(request, "campaigns/touches/tasks.html", context)


@require_POST
@staff_can_outside("sops.edit")
def task_act(request: Any, task_id: str, act: str) -> HttpResponse:
    """Remind the guide, stop the task, or give it to other guides; all ask WeCom."""
    with brand_transaction(request):
        task = scope.of_guides(SendTask.objects.filter(pk=int(task_id)), request.staff).first()
        if task is None:
            raise NotFoundError()
    back = f"/sops/{task.sop_id}/" if request.POST.get("back") == "sop" and task.sop_id else "/touches/tasks/"
    if request.POST.get("back") == "broadcast" and task.broadcast_id:
        back = f"/broadcasts/{task.broadcast_id}/"
    with tenant_scope(request.brand):
        if act == "remind":
            results.remind(request.brand, task_id=task.pk, by=request.actor)
            return go(request, back, _("WeCom has reminded the guide"))
        if act == "reassign":
            reassign.reassign(request.brand, task_id=task.pk, by=request.actor)
            return go(request, back, _("Other guides of these customers have it now"))
        results.cancel(request.brand, task_id=task.pk, by=request.actor)
    return go(request, back, _("Stopped. What was sent already stays."))
