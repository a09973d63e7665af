"""Groups: the list, and one group with who is in it, who joined and who left."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from contacts.models import Contact
from groups.models import GroupChat, GroupMember
from groups.services import listing
from groups.services.sync import KIND
from groups.views.tabs import tabs
from org.access import staff_can
from org.models import Corp, Job
from scrm.errors import NotFoundError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from tenants.models import Brand

DAYS = 30


@require_GET
@staff_can("groups.view")
@vary_on_headers("HX-Request")
def group_list(request: Any) -> HttpResponse:
    """Groups that this person may see, with what happened in the last week."""
    given = {name: request.GET.get(name, "").strip() for name in ("q", "owner", "state", "size", "sort")}
    filters = listing.Filters(
        q=given["q"],
        owner=read_id(given["owner"]),
        state=given["state"] if given["state"] in dict(listing.STATES) else "",
        size=given["size"] if given["size"] in listing.SIZES else "",
    )
    sort = given["sort"] if given["sort"] in listing.SORTS else "new"
    groups = GroupChat.objects.visible_to(request.staff)
    page = keyset_page(
        filters.apply(groups).select_related("owner"),
        order=listing.SORTS[sort][1],
        after=request.GET.get("after"),
    )
    context: dict[str, Any] = {"page": page, "recent": listing.recent([chat.pk for chat in page])}
    if request.htmx:
        return render(request, "groups/_rows.html", context)
    context |= {
        "given": {**given, "sort": sort},
        "figures": listing.figures(groups),
        "owners": listing.owner_choices(request.staff),
        "states": listing.STATES,
        "sizes": [(key, words) for key, (words, *_range) in listing.SIZES.items()],
        "sorts": [(key, words) for key, (words, _order) in listing.SORTS.items()],
        "jobs": list(Job.objects.filter(kind=KIND, state__in=["waiting", "running", "paused"])),
        "is_filtered": filters != listing.Filters(),
        "has_corp": Corp.objects.exists(),
        "tabs": tabs(request, "groups"),
    }
    return render(request, "groups/list.html", context)


@require_GET
@staff_can("groups.view")
@vary_on_headers("HX-Request")
def group_detail(request: Any, chat_id: int) -> HttpResponse:
    """Who is in a group, or (`show=left`) who has left it."""
    chat = get_chat(request, chat_id)
    left, q = request.GET.get("show") == "left", request.GET.get("q", "").replace("\x00", "").strip()[:64]
    kind = request.GET.get("kind", "")
    stays = GroupMember.objects.filter(chat=chat, left_at__isnull=not left).select_related("contact", "staff")
    stays = listing.members(stays, q=q, kind=kind if kind in listing.MEMBERS else "")
    order = ("-left_at", "-pk") if left else ("-joined_at", "-pk")
    page = keyset_page(stays, order=order, after=request.GET.get("after"))
    seen = Contact.objects.visible_to(request.staff).filter(
        pk__in={s.contact_id for s in page if s.contact_id}
    )
    context = {
        "chat": chat,
        "page": page,
        "show": "left" if left else "",
        "names": listing.staff_names(chat.corp_id, [stay.invitor_userid for stay in page]),
        "may_see": set(seen.values_list("pk", flat=True)) if request.actor.can("contacts.view") else set(),
    }
    if request.htmx:
        return render(request, "groups/_members.html", context)
    context |= {
        "given": {"q": q, "kind": kind},
        "kinds": kind_choices(),
        **_about(request.brand, chat, left=left),
    }
    return render(request, "groups/detail.html", context)


def _about(brand: Brand, chat: GroupChat, *, left: bool) -> dict[str, Any]:
    """What the page says of a group around its people."""
    days = listing.by_day(brand, chat, DAYS)
    n_left = GroupMember.objects.filter(chat=chat, left_at__isnull=False).count()
    joined, gone = listing.recent([chat.pk])[chat.pk]
    url = f"/groups/{chat.pk}/"
    return {
        "tabs": [
            {"url": url, "label": _("In the group"), "n": chat.n_members, "active": not left},
            {"url": f"{url}?show=left", "label": _("Have left the group"), "n": n_left, "active": left},
        ],
        "invitors": listing.invitors(chat),
        "n_known": GroupMember.objects.filter(chat=chat, left_at=None, contact__isnull=False).count(),
        "joined": joined,
        "gone": gone,
        "admins": list(listing.staff_names(chat.corp_id, chat.admin_userids).values()),
        "by_day": {
            "kind": "bar",
            "x": [f"{day:%m-%d}" for day, _n, _l in days],
            "x_name": _("Date"),
            "series": [
                {"name": _("Joined the group"), "data": [n for _d, n, _l in days], "color": "green"},
                {"name": _("Left the group"), "data": [n for _d, _n, n in days], "color": "red"},
            ],
        },
    }


def kind_choices() -> list[tuple[str, str]]:
    return [
        ("customers", _("Contacts of the brand")),
        ("strangers", _("Have added nobody")),
        ("staff", _("Members of the company")),
    ]


def get_chat(request: Any, chat_id: int) -> GroupChat:
    """A group that this person may see."""
    found = GroupChat.objects.visible_to(request.staff).select_related("owner", "corp")
    chat = found.filter(pk=chat_id).first()
    if chat is None:
        raise NotFoundError()
    return chat
