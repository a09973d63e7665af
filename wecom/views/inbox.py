"""The inbox: how it is doing, its events by state, one event's body, and replay."""

import xml.dom.minidom
from datetime import timedelta
from typing import Any
from xml.parsers.expat import ExpatError
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from org.access import staff_can
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from scrm.ids import read_ids
from scrm.keyset import keyset_page
from scrm.responses import go
from wecom.callbacks import HANDLERS, NOTED
from wecom.event_words import WORDS, label_of
from wecom.models import CallbackEvent, RefusedCallback
from wecom.services import inbox
from wecom.services.doctor_words import reason_text
from wecom.views.tabs import sync_tabs

MAX_IDS = 500


class SinceForm(forms.Form):
    """A moment in the brand's zone, as `datetime-local` gives it."""

    since = forms.DateTimeField(
        label=gettext_lazy("Received since"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    until = forms.DateTimeField(
        label=gettext_lazy("until (empty: now)"),
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


@require_GET
@staff_can("sync.view")
@vary_on_headers("HX-Request")
def inbox_list(request: Any) -> HttpResponse:
    """Newest first, by state and kind of event."""
    state, kind = request.GET.get("state", ""), request.GET.get("kind", "")
    events = CallbackEvent.objects.select_related("corp").defer("body")
    if state in CallbackEvent.State.values:
        events = events.filter(state=state)
    if kind:
        name, _slash, change_type = kind.partition("/")
        events = events.filter(event=name, change_type=change_type)
    page = keyset_page(events, order=("-received_at", "-pk"), after=request.GET.get("after"))
    context: dict[str, Any] = {"page": page}
    if request.htmx:
        return render(request, "wecom/inbox/_rows.html", context)
    today = clock.today(request.brand.timezone)
    refused = RefusedCallback.objects.filter(on__gte=today - timedelta(days=7)).order_by("-last_at")[:20]
    context |= {
        "tabs": sync_tabs("inbox"),
        "figures": inbox.figures(request.brand),
        "given": {"state": state, "kind": kind},
        "states": CallbackEvent.State.choices,
        "kinds": [(f"{e}/{c}", label_of(e, c)) for e, c in (*HANDLERS, *sorted(NOTED)) if (e, c) in WORDS],
        "refused": [(row, reason_text(row.reason)) for row in refused],
        "form": SinceForm(initial={"since": _local(request, clock.now() - timedelta(hours=1))}),
    }
    return render(request, "wecom/inbox/list.html", context)


@require_GET
@staff_can("sync.view")
def inbox_event(request: Any, event_id: int) -> HttpResponse:
    """One event with its body, in the drawer or as a page."""
    event = CallbackEvent.objects.select_related("corp").filter(pk=event_id).first()
    if event is None:
        raise NotFoundError()
    context = {
        "event": event,
        "body": _pretty(event.body),
        "handler": HANDLERS.get((event.event, event.change_type), ""),
    }
    template = "wecom/inbox/_event.html" if request.htmx else "wecom/inbox/event.html"
    return render(request, template, context)


def _pretty(body: str) -> str:
    """The XML indented; as it is where it is none. It was parsed without a DOCTYPE before it was stored."""
    try:
        document = xml.dom.minidom.parseString(body.encode())  # noqa: S318
    except (ValueError, ExpatError):
        return body
    lines = document.childNodes[0].toprettyxml(indent="  ").splitlines()
    return "\n".join(line for line in lines if line.strip())


@require_POST
@staff_can("sync.run")
def inbox_replay(request: Any) -> HttpResponse:
    """Handle again: chosen events, all dead ones, or all since a moment."""
    what = request.POST.get("what", "")
    if what == "dead":
        n = inbox.replay(request.brand, by=request.actor, dead=True)
    elif what == "since":
        form = SinceForm(request.POST)
        if not form.is_valid():
            raise InvalidError(_("Choose a date and time"))
        zone = ZoneInfo(request.brand.timezone)
        span = {name: at.replace(tzinfo=zone) for name, at in form.cleaned_data.items() if at}
        n = inbox.replay(request.brand, by=request.actor, **span)
    else:
        ids = read_ids(request.POST)
        if not ids or len(ids) > MAX_IDS:
            raise InvalidError(_("Choose which events to replay"))
        n = inbox.replay(request.brand, by=request.actor, event_ids=ids)
    return go(request, "/sync/inbox/", _("%(n)d events are handled again") % {"n": n})


def _local(request: Any, moment: Any) -> Any:
    return moment.astimezone(ZoneInfo(request.brand.timezone)).replace(tzinfo=None, second=0, microsecond=0)
