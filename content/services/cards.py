"""Link cards: pages of the library and tracked links as attachments of a message, ready to be chosen where content is."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.urls import reverse

from content import hooks
from content.models import Content, ContentVersion, TrackedLink
from content.services import library, links
from scrm import clock
from scrm.errors import NotFoundError
from tenants.models import Brand

MAX_TITLE, MAX_DESC = 42, 170  # characters: Chinese fits into WeCom's 128 and 512 bytes


def choosable() -> QuerySet[TrackedLink]:
    """Links of the brand in scope that lead somewhere now: outside, to a page of the library that is in force, or to a page of
    an app above that anybody may send (hooks.CHOSEN_PAGES)."""
    at = clock.now()
    pages = Content.objects.live().filter(kind=Content.Kind.PAGE, current_id__isnull=False)
    pages = pages.filter(Q(expires_at=None) | Q(expires_at__gt=at))
    return TrackedLink.objects.filter(archived_at=None, page__in=["", *hooks.CHOSEN_PAGES]).filter(
        Q(content=None) | Q(content__in=pages.values("pk"))
    )


def search(
    brand: Brand, *, q: str = "", folder_id: int | None = None, limit: int = 40
) -> list[dict[str, Any]]:
    """What may be sent as a link card, newest first: {link_id, version_id, name, is_page, has_form, n_opens, folder, card,
    cover}. `card` is an attachment as wecom/services/attachments.py stores it, `cover` the id of its picture's file. Two
    queries.

    Args:
        q: words, all of which must stand in the name of the link, or in the page.
        folder_id: of pages, with everything below it; outside links have no folder.
    """
    found = choosable()
    for word in q.replace("\x00", "").lower().split()[:6]:
        found = found.filter(Q(name__icontains=word) | Q(content__search__contains=word))
    if folder_id is not None:
        found = found.filter(content__folder__in=library.folder_ids(folder_id))
    rows = list(found.select_related("content__folder").order_by("-pk")[:limit])
    versions = ContentVersion.objects.in_bulk([r.content.current_id for r in rows if r.content])
    return [_row(row, versions.get(row.content.current_id) if row.content else None) for row in rows]


def cards_of(rows: Sequence[TrackedLink]) -> dict[int, dict[str, Any]]:
    """{link id: its card}, whether it may be chosen or not; two queries."""
    pages = Content.objects.filter(pk__in={row.content_id for row in rows if row.content_id})
    current = dict(pages.values_list("pk", "current_id"))
    versions = ContentVersion.objects.in_bulk([pk for pk in current.values() if pk])
    found = {}
    for row in rows:
        version = versions.get(current.get(row.content_id or 0) or 0)
        found[row.pk] = card_of(row, version.page if version else {})
    return found


def get_card(brand: Brand, link_id: int) -> dict[str, Any]:
    """One of them, as `search` gives it.

    Raises:
        NotFoundError: missing, another brand's, archived, or its page is not in force.
    """
    row = choosable().select_related("content__folder").filter(pk=link_id).first()
    if row is None:
        raise NotFoundError()
    page = ContentVersion.objects.filter(pk=row.content.current_id or 0).first() if row.content else None
    return _row(row, page)


def card_of(link: TrackedLink, page: dict[str, Any]) -> dict[str, Any]:
    """The attachment: title, words and picture of the page, or the name of the link."""
    picture = ""
    if page.get("cover"):
        picture = settings.PUBLIC_URL + reverse("page_picture", args=[link.key, page["cover"]])
    return {
        "type": "link",
        "title": _cut(page.get("title") or link.name, MAX_TITLE),
        "url": links.address_of(link),
        "desc": _cut(page.get("intro") or "", MAX_DESC),
        "picurl": picture,
    }


def _row(link: TrackedLink, version: ContentVersion | None) -> dict[str, Any]:
    page = version.page if version else {}
    folder = link.content.folder if link.content else None
    return {
        "link_id": link.pk,
        "version_id": version.pk if version else None,
        "name": link.name,
        "is_page": link.content_id is not None,
        "has_form": any(block["type"] == "form" for block in page.get("blocks", [])),
        "n_opens": link.n_opens,
        "folder": folder.name if folder else "",
        "card": card_of(link, page),
        "cover": page.get("cover"),
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
