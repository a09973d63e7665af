"""The 360° page of one contact: identities, guides, tags, panels of other apps, timeline, notes."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from contacts import hooks
from contacts.identities import listed
from contacts.models import Contact, Event, EventType, Follow, Identity
from contacts.panels import panels_of
from contacts.rows import STATE_LOOKS, STATE_NAMES, add_way_name, channel_of
from contacts.sentences import GROUPS, code_of, lines, source_words
from contacts.services import contacts as services
from contacts.services import tag_choice
from contacts.services.identity import parting
from org.access import staff_can
from org.models import Staff
from scrm.errors import FilterError, NotFoundError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import toast

PAGE = 30


def get_contact(request: Any, contact_id: int) -> Contact:
    return services.get_visible(request.staff, contact_id)


@require_GET
@staff_can("contacts.view")
def contact_detail(request: Any, contact_id: int) -> HttpResponse:
    """The whole page. The address of a record that was joined with another one leads to that one."""
    try:
        contact = get_contact(request, contact_id)
    except NotFoundError:
        merged = Event.objects.filter(type=EventType.MERGED, object_id=contact_id).order_by("-at").first()
        if merged is None:
            raise
        return redirect("contact", contact_id=get_contact(request, merged.contact_id).pk)
    follows = list(
        Follow.objects.filter(contact=contact)
        .select_related("staff__store", "corp")
        .order_by("-added_at", "-pk")
    )
    follows.sort(key=lambda f: f.ended_at is not None)
    tags = hooks.tags_of([contact.pk]).get(contact.pk, [])
    codes = hooks.code_names([f.channel_code_id for f in follows] + [code_of(t["source"]) for t in tags])
    context = {
        "contact": contact,
        "state_name": STATE_NAMES[contact.state],
        "state_look": STATE_LOOKS[contact.state],
        "follows": [(f, channel_of(f, codes), add_way_name(f)) for f in follows],
        "identities": _identities(request, contact),
        "panels": panels_of(request, contact),
        "merges": parting.open_merges(contact.pk),
        **_tags(tags, codes),
        **_timeline(request, contact),
    }
    return render(request, "contacts/detail.html", context)


def _identities(request: Any, contact: Contact) -> list[tuple[Identity, str]]:
    rows = Identity.objects.filter(contact=contact).order_by("kind", "pk")
    return [(row, listed(row.kind, row.value, request.actor.can)) for row in rows]


def _tags(tags: list[dict[str, Any]], codes: dict[int, str]) -> dict[str, Any]:
    """Tags by group, each with who, when and why in words."""
    names = dict(
        Staff.objects.filter(pk__in={t["staff_id"] for t in tags if t["staff_id"]}).values_list("pk", "name")
    )
    whys = hooks.tag_whys(tag["source"] for tag in tags)
    groups: dict[str, list[dict[str, Any]]] = {}
    for tag in tags:
        why = " · ".join(
            p for p in (names.get(tag["staff_id"], ""), source_words(tag["source"], codes, whys)) if p
        )
        groups.setdefault(tag["group"], []).append({**tag, "why": why})
    return {"tag_groups": list(groups.items())}


# ---- timeline


@require_GET
@staff_can("contacts.view")
@vary_on_headers("HX-Request")
def contact_timeline(request: Any, contact_id: int) -> HttpResponse:
    """A fragment: the timeline anew for a filter, its next rows (`after`), or what is new on top
    (`newer`)."""
    contact = get_contact(request, contact_id)
    context = {"contact": contact, **_timeline(request, contact)}
    if "newer" in request.GET:
        if not context["page"].rows:
            return HttpResponse(status=204)
        return render(request, "contacts/_timeline_head.html", context)
    if request.GET.get("after"):
        return render(request, "contacts/_timeline_rows.html", context)
    return render(request, "contacts/_timeline.html", context)


def _timeline(request: Any, contact: Contact) -> dict[str, Any]:
    kind = request.GET.get("kind", "")
    events = Event.objects.filter(contact_id=contact.pk)
    if kind:
        if kind not in GROUPS:
            raise FilterError()
        events = events.filter(type__in=GROUPS[kind][1])
    newest = _newest(events)
    if "newer" in request.GET:
        newer = read_id(request.GET["newer"])
        if newer is None:
            raise Http404
        events = events.filter(pk__gt=newer)
    page = keyset_page(events, order=("-at", "-pk"), after=request.GET.get("after"), size=PAGE)
    return {
        "page": page,
        "lines": lines(page.rows),
        "newest": newest,
        "kind": kind,
        "kinds": [("", _("Everything")), *((key, label) for key, (label, _types) in GROUPS.items())],
    }


def _newest(events: Any) -> int:
    """The id of the event that was written last: what comes later has a larger one, whatever its time."""
    return events.order_by("-pk").values_list("pk", flat=True).first() or 0


# ---- changes


@require_POST
@staff_can("contacts.edit")
def contact_note(request: Any, contact_id: int) -> HttpResponse:
    """A note; the timeline's own asking for what is new shows it."""
    contact = get_contact(request, contact_id)
    services.add_note(request.brand, contact=contact, text=request.POST.get("text", ""), by=request.actor)
    response = render(request, "contacts/_note_form.html", {"contact": contact})
    return toast(response, _("Note saved"), timelineChanged=True)


@require_POST
@staff_can("contacts.edit")
def contact_do_not_contact(request: Any, contact_id: int) -> HttpResponse:
    """The switch in the head of the page."""
    contact = get_contact(request, contact_id)
    value = request.POST.get("value") == "1"
    services.set_do_not_contact(request.brand, contacts=[contact], value=value, by=request.actor)
    contact.refresh_from_db()
    response = render(request, "contacts/_dnc.html", {"contact": contact})
    text = _("No more messages to this customer") if value else _("This customer may be contacted again")
    return toast(response, text, timelineChanged=True)


@require_http_methods(["GET", "POST"])
@staff_can("contacts.edit")
def contact_tags(request: Any, contact_id: int) -> HttpResponse:
    """GET: a modal with all tags, those that the contact carries ticked. POST: the ticked ones are
    carried."""
    contact = get_contact(request, contact_id)
    if request.method == "GET":
        return render(request, "contacts/tags.html", {"contact": contact, **tag_choice.offered(contact)})
    tag_choice.set_ticked(
        request.brand, contact=contact, ticked=request.POST.getlist("tags"), by=request.actor
    )
    return _tag_card(request, contact, _("Tags saved"))


@require_POST
@staff_can("contacts.edit")
def contact_tag_remove(request: Any, contact_id: int, tag_id: int) -> HttpResponse:
    """The small cross at a tag."""
    contact = get_contact(request, contact_id)
    tag_choice.change(request.brand, contact=contact, tag_ids=[tag_id], by=request.actor, remove=True)
    return _tag_card(request, contact, _("Tag removed"))


def _tag_card(request: Any, contact: Contact, text: str) -> HttpResponse:
    tags = hooks.tags_of([contact.pk]).get(contact.pk, [])
    codes = hooks.code_names([code_of(tag["source"]) for tag in tags])
    response = render(request, "contacts/_tags.html", {"contact": contact, **_tags(tags, codes)})
    return toast(response, text, closeModal=True, timelineChanged=True)
