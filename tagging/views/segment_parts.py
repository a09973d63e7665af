"""Parts of a segment's page: its people page by page, its profile, why somebody is in or out, segments put together."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from contacts.filters import Filters
from contacts.models import Contact
from contacts.services import listing
from contacts.services.search import Search
from org.access import staff_can
from scrm.errors import InvalidError, NotFoundError
from scrm.ids import read_id
from tagging.models import Segment
from tagging.services.segments import audience, portrait, segments, snapshots, why
from tagging.services.segments.portrait import Share

PEOPLE, FOUND = 100, 8


# ---- its people


def people_of(ids: Sequence[int], size: int) -> dict[str, Any]:
    """Contacts of a page of members, newest first, and the position below which the next page begins."""
    people = list(Contact.objects.filter(pk__in=ids).order_by("-position"))
    return {"people": people, "after": people[-1].position if len(people) == size else None}


@require_GET
@staff_can("segments.view")
def segment_people(request: Any, segment_id: int) -> HttpResponse:
    """The next members (`after`: a position)."""
    segment = segments.get_segment(segment_id)
    after = read_id(request.GET.get("after"))
    if after is None or after >= 2**31:
        raise InvalidError(_("This page link is not valid any more"), code="bad_page")
    everybody = audience.Audience(request.brand, snapshots.condition_of(segment), staff=request.staff)
    ids = [contact_id for contact_id, _position in everybody.page(after=after, size=PEOPLE)]
    context = {"segment": segment} | people_of(ids, PEOPLE)
    return render(request, "tagging/segments/_people.html", context)


# ---- what sets it apart


def charts(shares: dict[str, list[Share]]) -> list[tuple[str, str, Any]]:
    """(id, title, chart or None) for each list of shares."""
    titles = {
        "tags": _("Tags"), "channels": _("Channels"), "people": _("Gender and reach"),
        "spending": _("Spent in all"), "value_groups": _("Value groups"), "stages": _("Lifecycle"),
    }  # fmt: skip
    return [(f"profile-{key}", titles[key], _compared(rows)) for key, rows in shares.items()]


def _compared(shares: Sequence[Share]) -> dict[str, Any] | None:
    """A chart of what these people have beside everybody, in per cent."""
    if not shares:
        return None
    return {
        "kind": "hbar",
        "unit": " %",
        "x": [f"{row.name} ×{row.lift:.1f}" for row in shares],
        "series": [
            {"name": _("Here"), "data": [round(100 * row.share, 1) for row in shares], "color": "blue"},
            {
                "name": _("Everybody"),
                "data": [round(100 * row.share_all, 1) for row in shares],
                "color": "grey",
            },
        ],
    }


@require_GET
@staff_can("segments.view")
def segment_profile(request: Any, segment_id: int) -> HttpResponse:
    """Spending, value groups and stages beside everybody; asked for by the page when it is there, since it reads all
    customers once."""
    version = portrait.version_of(segments.get_segment(segment_id))
    shares = portrait.classes(request.brand, version) if version else {}
    return render(request, "tagging/segments/_profile.html", {"profile": charts(shares)})


# ---- why


@require_GET
@staff_can("segments.view")
def segment_why(request: Any, segment_id: int) -> HttpResponse:
    """Why a person is in or out: the condition as a tree with what is true of them. `contact`: a name or part of it, a
    phone, a number; several who are found are shown to choose from (`id`)."""
    segment = segments.get_segment(segment_id)
    text = request.GET.get("contact", "").replace("\x00", "").strip()[:60]
    people = _asked_for(request, text)
    if len(people) == 1:
        tree = why.explain_segment(request.brand, segment, people[0].pk)
        return render(request, "tagging/segments/_why.html", {"tree": tree, "contact": people[0]})
    here = audience.Audience(request.brand, snapshots.condition_of(segment)).has([c.pk for c in people])
    context = {"segment": segment, "missing": text, "people": [(c, c.pk in here) for c in people[:FOUND]]}
    return render(request, "tagging/segments/_why.html", context | {"more": len(people) > FOUND})


def _asked_for(request: Any, text: str) -> list[Contact]:
    """Whom a person means: one, or some to choose from."""
    seen = Contact.objects.visible_to(request.staff)
    if pk := read_id(request.GET.get("id")):
        return list(seen.filter(pk=pk))
    if not text:
        return []
    number = read_id(text)
    if number is not None and Search(text).by_identity() is None and (one := list(seen.filter(pk=number))):
        return one
    page = listing.page(request.brand, staff=request.staff, filters=Filters(q=text), size=FOUND + 1)
    exact = [contact for contact in page.rows if contact.name == text]
    return exact if len(exact) == 1 else list(page.rows)


# ---- put together


def others(segment: Segment) -> list[tuple[int, str]]:
    """Segments with which this one can be put together."""
    rows = Segment.objects.filter(deleted_at=None).exclude(pk=segment.pk).order_by("name")
    return list(rows.values_list("pk", "name"))


def combination(operation: str, given: Sequence[str]) -> Any:
    """The condition of `?operation=union&segment=1&segment=2`.

    Raises:
        NotFoundError, InvalidError.
    """
    ids = [pk for pk in map(read_id, given) if pk is not None]
    if operation not in segments.OPERATIONS or Segment.objects.filter(
        pk__in=ids, deleted_at=None
    ).count() < len(set(ids)):
        raise NotFoundError()
    made = segments.combination(operation, ids)
    return made if "all" in made else {"all": [made]}


def name_of_combination(request: Any) -> str:
    """A first name for segments put together; nothing when none are."""
    ids = [pk for pk in map(read_id, request.GET.getlist("segment")) if pk is not None]
    names = dict(Segment.objects.filter(pk__in=ids, deleted_at=None).values_list("pk", "name")) if ids else {}
    words = {
        "union": _("%(a)s or %(b)s"),
        "intersection": _("%(a)s and %(b)s"),
        "difference": _("%(a)s without %(b)s"),
    }
    if len(ids) != 2 or len(names) != 2 or request.GET.get("operation") not in words:
        return ""
    return (words[request.GET["operation"]] % {"a": names[ids[0]][:25], "b": names[ids[1]][:25]})[
        : segments.MAX_NAME
    ]
