"""Tracked links: make, change, archive; and put whose message it is into the links of a text."""

import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from content import hooks, pages, tokens
from content.models import Content, TrackedLink
from content.services.editing import get_content
from org import audit
from org.access import SYSTEM, Actor
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand, BrandLookup

_LETTERS = "23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
KEY_LENGTH = 8  # 56^8: not to be guessed, and short enough for a text
OURS = re.compile(r"/(?:l|p)/")


def address_of(link: TrackedLink | str, token: str = "") -> str:
    """The whole address that customers open."""
    key = link if isinstance(link, str) else link.key
    return f"{settings.PUBLIC_URL}/l/{key}/" + (f"{token}/" if token else "")


def get_link(link_id: int, *, lock: bool = False) -> TrackedLink:
    """
    Raises:
        NotFoundError: missing, or another brand's.
    """
    rows = TrackedLink.objects.select_for_update(of=("self",)) if lock else TrackedLink.objects.all()
    link = rows.select_related("content").filter(pk=link_id).first()
    if link is None:
        raise NotFoundError()
    return link


@transaction.atomic
def create_link(
    brand: Brand,
    *,
    name: str,
    url: str = "",
    content_id: int | None = None,
    page: str = "",
    asks_who: bool = True,
    by: Actor = SYSTEM,
) -> TrackedLink:
    """A link to an outside address, to a page of the library, or to a `page` of an app above (key of hooks.PAGES).

    Raises:
        InvalidError: `fields` says what is wrong. NotFoundError: no such page.
    """
    name = _name(name)
    if content_id is not None:
        if get_content(content_id).kind != Content.Kind.PAGE:
            raise _wrong("content", _("Choose a page of the library"))
        url = ""
    elif page:
        if page not in hooks.PAGES:
            raise ValueError(f"unknown kind of page {page}")
        url = ""
    else:
        url = _target(url)
    given = {"name": name, "url": url, "content_id": content_id, "page": page, "asks_who": asks_who}
    link = TrackedLink(**given, created_by=by.name)
    for _try in range(5):
        link.key = _new_key()
        try:
            with transaction.atomic():
                link.save()
                BrandLookup.objects.create(
                    kind=BrandLookup.Kind.SHORT_LINK, key=link.key, brand=brand, target_id=link.pk
                )
            break
        except IntegrityError:  # one in 10^14, or somebody else's at this moment
            link = TrackedLink(**given, created_by=by.name)
    else:
        raise ConflictError(_("No free address was found. Please try again."))
    audit.record(by, "link.create", link, after=_as_audit(link))
    return link


@transaction.atomic
def create_links(brand: Brand, *, names: Sequence[str], page: str, by: Actor) -> list[TrackedLink]:
    """As `create_link` for a `page` of an app above, a set at once and in the order of `names` (cut to 60 characters)."""
    if page not in hooks.PAGES:
        raise ValueError(f"unknown kind of page {page}")
    if not names:
        return []
    for _try in range(5):
        made = [
            TrackedLink(name=_name(name[:60]), page=page, key=_new_key(), created_by=by.name)
            for name in names
        ]
        try:
            with transaction.atomic():
                TrackedLink.objects.bulk_create(made)
                BrandLookup.objects.bulk_create(
                    BrandLookup(
                        kind=BrandLookup.Kind.SHORT_LINK, key=link.key, brand=brand, target_id=link.pk
                    )
                    for link in made
                )
            break
        except IntegrityError:  # a key that is taken: all anew
            continue
    else:
        raise ConflictError(_("No free address was found. Please try again."))
    audit.record(by, "link.create", made[0], name=made[0].name, after={"n": len(made), "page": page})
    return made


@transaction.atomic
def edit_link(
    brand: Brand, *, link_id: int, name: str, url: str = "", asks_who: bool = True, by: Actor
) -> TrackedLink:
    """Another name or target; what was sent already leads to the new one. A link to a page stays one.

    Raises:
        InvalidError, NotFoundError: as `create_link`.
    """
    link = get_link(link_id, lock=True)
    before = _as_audit(link)
    link.name, link.asks_who = _name(name), asks_who
    if link.content_id is None and not link.page:
        link.url = _target(url)
    link.save(update_fields=["name", "url", "asks_who"])
    audit.record(by, "link.edit", link, before=before, after=_as_audit(link))
    return link


@transaction.atomic
def archive_link(brand: Brand, *, link_id: int, archive: bool = True, by: Actor) -> TrackedLink:
    """Off the lists; it still leads where it led, for it has been sent. Safe to repeat; `archive=False`: back."""
    link = get_link(link_id, lock=True)
    if (link.archived_at is not None) != archive:
        link.archived_at = clock.now() if archive else None
        link.save(update_fields=["archived_at"])
        audit.record(by, "link.archive" if archive else "link.restore", link)
    return link


def link_of_page(brand: Brand, content: Content, *, by: Actor = SYSTEM) -> TrackedLink:
    """The first link of a page; made when there is none."""
    found = TrackedLink.objects.filter(content=content, archived_at=None).order_by("pk").first()
    return found or create_link(brand, name=content.name, content_id=content.pk, by=by)


def _new_key() -> str:
    return "".join(secrets.choice(_LETTERS) for _n in range(KEY_LENGTH))


def _name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 60:
        raise _wrong("name", _("1 to %(n)d characters") % {"n": 60})
    return name


def _target(url: str) -> str:
    try:
        url = pages.check_url(url)
    except InvalidError as error:
        raise _wrong("url", str(error.message)) from None
    parts = urlsplit(url)
    own = {urlsplit(settings.PUBLIC_URL).netloc.lower(), *(host.lower() for host in settings.ALLOWED_HOSTS)}
    if (parts.netloc.lower() in own or (parts.hostname or "") in own) and OURS.match(parts.path):
        raise _wrong("url", _("A tracked link cannot lead to a tracked link"))
    return url


def _wrong(name: str, text: str) -> InvalidError:
    return InvalidError(text, fields={name: text})


def _as_audit(link: TrackedLink) -> dict[str, Any]:
    return {"name": link.name, "url": link.url, "page": link.content_id, "asks_who": link.asks_who}


# ---- in messages


def personalise(
    brand: Brand,
    text: str,
    attachments: Sequence[dict[str, Any]] = (),
    *,
    staff_id: int | None = None,
    send_task_id: int | None = None,
    touch_id: int | None = None,
    via: int = 0,
) -> tuple[str, list[dict[str, Any]]]:
    """Text and attachments with a signed tail at each tracked link: whose message it is. No query; the same arguments
    give the same result, and what has a tail already gets the new one.

    Args:
        via: content.models.Via; of a touch its kind.
    """
    what = tokens.Sent(staff_id or 0, send_task_id or 0, touch_id or 0, via)
    return _with_tails(text, attachments, lambda key: tokens.pack(brand.pk, key, what))


def uncounted(text: str, attachments: Sequence[dict[str, Any]] = ()) -> tuple[str, list[dict[str, Any]]]:
    """The same with a tail that nobody has signed: it leads to the target and counts nothing."""
    return _with_tails(text, attachments, lambda key: "test")


def _with_tails(
    text: str, attachments: Sequence[dict[str, Any]], tail_of: Callable[[str], str]
) -> tuple[str, list[dict[str, Any]]]:
    pattern = _in_words()

    def tail(match: re.Match[str]) -> str:
        return f"{match[1]}/{tail_of(match[2])}/"

    changed = [
        {**a, "url": pattern.sub(tail, a["url"])} if a.get("type") == "link" else dict(a) for a in attachments
    ]
    return pattern.sub(tail, text), changed


def _in_words() -> re.Pattern[str]:
    """Addresses of tracked links in a text: the address without its tail, and the key."""
    start = re.escape(f"{settings.PUBLIC_URL}/l/")
    return re.compile(rf"({start}([{_LETTERS}]{{{KEY_LENGTH}}}))(?:/[A-Za-z0-9_-]*)?/?(?![A-Za-z0-9_-])")


def names_openers(text: str, attachments: Sequence[dict[str, Any]] = ()) -> bool:
    """Whether a message has a tracked link of which WeCom is asked who opens it: without one nobody is ever seen to
    have opened the message. One query where there is a link, else none."""
    cards = [a["url"] for a in attachments if a.get("type") == "link"]
    keys = {found[2] for found in _in_words().finditer("\n".join([text, *cards]))}
    return bool(keys) and TrackedLink.objects.filter(key__in=keys, asks_who=True).exists()
