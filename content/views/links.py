"""Tracked links: list, form, the page with figures, the QR code."""

import io
from typing import Any

import segno
from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from content import hooks
from content.models import Content, TrackedLink
from content.services import link_numbers, links
from content.views.tabs import tabs
from org.access import staff_can
from org.forms import add_errors
from scrm.errors import SCRMError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go


class LinkForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=60,
        help_text=gettext_lazy("For your colleagues and the customers' timelines."),
    )
    content = forms.TypedChoiceField(
        label=gettext_lazy("Leads to"), coerce=int, required=False, empty_value=None
    )
    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=1000,
        required=False,
        widget=forms.URLInput(attrs={"placeholder": "https://"}),
        help_text=gettext_lazy("How long it was read can be told of pages of the library only."),
    )
    asks_who = forms.BooleanField(
        label=gettext_lazy("Ask WeCom who opens it, inside WeChat and WeCom"),
        required=False,
        help_text=gettext_lazy("Silent, once a browser. Without it only guide and message are known."),
    )

    def __init__(self, *args: Any, link: TrackedLink | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if link is not None:
            del self.fields["content"]
            if link.content_id or link.page:
                del self.fields["url"]
            return
        pages = Content.objects.live().filter(kind=Content.Kind.PAGE).order_by("-changed_at", "-pk")
        self.fields["content"].choices = [  # type: ignore[attr-defined]
            ("", _("An outside address")),
            *pages.values_list("pk", "name")[:300],
        ]


@require_GET
@staff_can("content.view")
@vary_on_headers("HX-Request")
def link_list(request: Any) -> HttpResponse:
    given = request.GET
    found, shown = TrackedLink.objects.select_related("content"), ["", *hooks.CHOSEN_PAGES]
    match given.get("state"):
        case "archived":
            found = found.exclude(archived_at=None)
        case "pages":  # hundreds of guides have a card each
            found = found.filter(archived_at=None).exclude(page__in=shown)
        case _:
            found = found.filter(archived_at=None, page__in=shown)
    for word in given.get("q", "")[:60].split()[:5]:
        found = found.filter(name__icontains=word)
    page = keyset_page(found, order=("-pk",), after=given.get("after"), size=30)
    numbers = link_numbers.of_links([link.pk for link in page.rows])
    for link in page.rows:
        link.address, link.numbers = links.address_of(link), numbers.get(link.pk, {})
    if request.htmx and given.get("after"):
        return render(request, "content/links/_rows.html", {"page": page})
    context = {
        "page": page,
        "tabs": tabs(request, "links_tracked"),
        "states": [("pages", _("Of guides' cards")), ("archived", _("In the archive"))],
        "is_filtered": bool(given.get("q") or given.get("state")),
    }
    return render(request, "content/links/list.html", context)


@require_http_methods(["GET", "POST"])
@staff_can("content.edit")
def link_edit(request: Any, link_id: int | None = None) -> HttpResponse:
    """The modal of a new or an old link."""
    link = links.get_link(link_id) if link_id else None
    initial: dict[str, Any] = {"asks_who": True, "content": read_id(request.GET.get("content"))}
    if link:
        initial = {"name": link.name, "url": link.url, "asks_who": link.asks_who}
    form = LinkForm(request.POST or None, initial=initial, link=link)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            if link:
                saved = links.edit_link(
                    request.brand,
                    link_id=link.pk,
                    name=given["name"],
                    url=given.get("url", ""),
                    asks_who=given["asks_who"],
                    by=request.actor,
                )
            else:
                saved = links.create_link(
                    request.brand,
                    name=given["name"],
                    url=given["url"],
                    content_id=given["content"],
                    asks_who=given["asks_who"],
                    by=request.actor,
                )
            return go(request, f"/links/{saved.pk}/", _("Saved"))
        except SCRMError as error:
            add_errors(form, error)
    status = 422 if request.method == "POST" else 200
    return render(request, "content/links/edit.html", {"form": form, "link": link}, status=status)


@require_GET
@staff_can("content.view")
@vary_on_headers("HX-Request")
def link_detail(request: Any, link_id: int) -> HttpResponse:
    link = links.get_link(link_id)
    rows = link_numbers.people(link, request.staff)
    page = keyset_page(rows, order=("-last_at", "-pk"), after=request.GET.get("after"), size=30)
    link_numbers.with_names(page.rows)
    if request.htmx and request.GET.get("after"):
        return render(request, "content/links/_people.html", {"page": page, "link": link})
    days = read_id(request.GET.get("days"))
    days = days if days in link_numbers.PERIODS else 30
    context = {
        "link": link,
        "address": links.address_of(link),
        "totals": link_numbers.totals(link),
        "days": days,
        "periods": link_numbers.PERIODS,
        "by_day": link_numbers.by_day(request.brand, link, days),
        "guides": link_numbers.by_guide(link),
        "ways": link_numbers.by_way(link),
        "channels": link_numbers.by_channel(link),
        "sharers": link_numbers.with_names(link_numbers.sharers(link, request.staff)),
        "page": page,
    }
    return render(request, "content/links/detail.html", context)


@require_POST
@staff_can("content.edit")
def link_archive(request: Any, link_id: int) -> HttpResponse:
    archive = request.POST.get("back") != "1"
    links.archive_link(request.brand, link_id=link_id, archive=archive, by=request.actor)
    text = _("In the archive. It still leads where it led.") if archive else _("Restored")
    return go(request, f"/links/{link_id}/", text)


@require_GET
@staff_can("content.view")
def link_qr(request: Any, link_id: int) -> HttpResponse:
    """The link as a QR code (PNG), for print."""
    link = links.get_link(link_id)
    out = io.BytesIO()
    segno.make_qr(links.address_of(link), error="m").save(out, kind="png", scale=16, border=4)
    response = HttpResponse(out.getvalue(), content_type="image/png")
    response["Content-Disposition"] = f'attachment; filename="link-{link.key}.png"'
    return response
