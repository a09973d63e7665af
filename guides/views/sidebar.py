"""The sidebar of the chat: its page, the signatures of the JS SDK, the customer of the open chat, what was sent."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from campaigns.services.ledger import direct
from contacts.services.contacts import get_visible
from content.models import Via
from content.services import cards, library, links, poster_pictures, posters, sensitive
from guides.services import cards as business_cards
from guides.services import customers as services
from guides.services.sending import drawn, filled, messages_of, picture_message
from guides.views.frame import page, through_other_corp
from org.access import brand_transaction, staff_can, staff_can_outside
from org.models import Corp, Staff
from scrm.errors import InvalidError
from scrm.ids import need_id, read_id
from scrm.responses import toast
from tenants.scoping import tenant_scope
from wecom.api import auth
from wecom.client import client_for

MAX_URL, MAX_TEXT = 2_000, 4_000


@require_GET
@staff_can("contacts.view")
def sidebar(request: Any) -> HttpResponse:
    """The page that WeCom opens beside a chat; the customer is asked of the JS SDK, never of the address."""
    if (response := through_other_corp(request)) is not None:
        return response
    return page(request, "guides/sidebar.html", {})


@require_POST
@never_cache
@staff_can_outside("contacts.view")
def signature(request: Any) -> HttpResponse:
    """Both signatures of one of our pages, as the browser shows its address; tickets stay on the server.

    Raises:
        InvalidError: the address is not one of our guides' pages, or the person has no corp.
    """
    url = request.POST.get("url", "")
    ours, given = urlsplit(settings.PUBLIC_URL), urlsplit(url)
    same = (given.scheme, given.netloc) == (ours.scheme, ours.netloc) and given.path.startswith("/g/")
    if len(url) > MAX_URL or not same:
        raise InvalidError(
            _("This address is not one of ours: %(url)s") % {"url": url[:200]}, code="foreign_url"
        )
    corp = _corp(request)
    signed = auth.jsapi_signatures(client_for(corp, deadline_s=10), url)
    return JsonResponse(signed)


def _corp(request: Any) -> Corp:
    with brand_transaction(request):
        corp = Corp.objects.filter(pk=request.staff.corp_id).first() if request.staff.corp_id else None
    if corp is None:
        raise InvalidError(_("You are not a member of the brand's WeCom"), code="no_member")
    return corp


def _guide(request: Any) -> Staff:
    """The guide with their store, as words and pictures name them. In the caller's transaction."""
    return Staff.objects.select_related("store").get(pk=request.staff.pk)


@require_GET
@never_cache
@staff_can("contacts.view")
def customer_of_chat(request: Any) -> HttpResponse:
    """A fragment: the cards of the chat's customer, or plain words why there are none."""
    contact = services.customer_of_chat(request.staff, request.GET.get("external_userid", "")[:64])
    if contact is None:
        return render(request, "guides/_unknown.html", {})
    may_phones = request.actor.can("contacts.phones")
    context = services.whole(request.brand, contact, request.staff, may_phones=may_phones) | {"in_chat": True}
    return render(request, "guides/_customer.html", context)


@require_POST
@never_cache
@staff_can_outside("contacts.edit")
def prepare(request: Any, contact_id: int) -> HttpResponse:
    """Content of the library as messages of the JS SDK, its files uploaded to WeCom.

    POST: `version` of the library, `link` (a page or tracked link), `poster` (with the guide's code, with `own` the
    customer's), `card` (the guide's own), or `text` of the guide's own.

    Raises:
        InvalidError: nothing written, too much, or a word that the brand refuses.
    """
    version = request.POST.get("version", "")
    link_id = read_id(request.POST.get("link"))
    version_id: int | None = None
    attached: list[dict[str, Any]] = []
    poster_id, drawing = read_id(request.POST.get("poster")), None
    with brand_transaction(request):
        contact = get_visible(request.staff, contact_id)
        if poster_id:
            row = posters.usable_poster(poster_id)
            drawing = drawn(
                request.brand,
                row,
                staff=_guide(request),
                contact=contact if request.POST.get("own") else None,
            )
            text, name = "", row.name
        elif version:
            usable = library.usable_version(request.brand, need_id(version), personal=True)
            sensitive.check(request.brand, usable.text, usable.attachments)  # the list may be newer than it
            version_id = usable.version_id
            text = filled(request.brand, usable.text, contact=contact, staff=request.staff)
            attached, name = usable.attachments, usable.name
        elif link_id:
            picked = cards.get_card(request.brand, link_id)
            text, attached, name = "", [picked["card"]], picked["card"]["title"]
            sensitive.check(request.brand, "", attached)
            version_id = picked["version_id"]
        elif request.POST.get("card"):
            guide = _guide(request)
            own = business_cards.make_card(request.brand, staff=guide, by=request.actor)
            attached = [business_cards.attachment(request.brand, own, guide)]
            text, name = "", attached[0]["title"]
        else:
            text = name = request.POST.get("text", "").strip()
            if not text or len(text.encode()) > MAX_TEXT:
                raise InvalidError(_("Write something, up to about 1,300 Chinese characters"))
            sensitive.check(request.brand, text)
        touch_id, ticket = direct.make_ready(
            contact_id=contact.pk, staff_id=request.staff.pk, version_id=version_id
        )
    text, attached = links.personalise(
        request.brand, text, attached, staff_id=request.staff.pk, touch_id=touch_id, via=Via.DIRECT
    )
    corp = _corp(request)
    made = messages_of(request.brand, attached, text=text, corp=corp)
    if drawing is not None:
        with tenant_scope(request.brand):
            made.append(picture_message(corp, name, poster_pictures.draw(request.brand, drawing)))
    return JsonResponse({"messages": made, "text": text or name, "ticket": ticket})


@require_GET
@never_cache
@staff_can_outside("contacts.view")
def poster(request: Any, contact_id: int, poster_id: int) -> HttpResponse:
    """A poster as a JPEG, to be kept on the phone: with the guide's code; with `own` the customer's."""
    with brand_transaction(request):
        contact = get_visible(request.staff, contact_id)
        row = posters.usable_poster(poster_id)
        drawing = drawn(
            request.brand, row, staff=_guide(request), contact=contact if request.GET.get("own") else None
        )
    with tenant_scope(request.brand):
        data = poster_pictures.draw(request.brand, drawing)
    return HttpResponse(data, content_type="image/jpeg")


@require_POST
@staff_can("contacts.edit")
def sent(request: Any, contact_id: int) -> HttpResponse:
    """WeCom has taken what the guide sent: a touch in the ledger, once for each `ticket` of `prepare`. `part`: the guide
    stopped before the last of several messages."""
    contact = get_visible(request.staff, contact_id)
    direct.record_direct(
        request.brand,
        contact_id=contact.pk,
        staff_id=request.staff.pk,
        ticket=request.POST.get("ticket", ""),
        text=request.POST.get("text", "").replace("\x00", "").strip()[:MAX_TEXT],
    )
    context = services.one(request.brand, contact, request.staff, "messages")
    response = render(request, "guides/cards/messages.html", context)
    if request.POST.get("part"):
        text = _("Only the first part was sent, and is noted. “Send” would send that part once more.")
        return toast(response, text, "warning", actionChanged=True)
    return toast(response, _("Sent"), actionChanged=True)
