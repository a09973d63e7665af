"""What others ask of the library: content for a send, a page of it to choose from, names to show.

    usable(brand, content_id, at)            the version in force, to be sent at that moment
    usable_version(brand, version_id, at)    the very version that a step or a welcome has chosen
    search(brand, …)                         what may be chosen, for pickers and the sidebar
    names_of(version_ids)                    for pages that show what was sent

A version once approved stays usable when a newer one comes; what is archived or expired is not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, F, Q, QuerySet, When
from django.utils.translation import gettext as _

from content.models import Content, ContentVersion, Folder
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand


@dataclass(frozen=True)
class Usable:
    """Content that may be sent. `text` still holds its variables; attachments are as wecom/services/attachments.py
    stores them."""

    content_id: int
    version_id: int
    name: str
    kind: str
    text: str
    attachments: list[dict[str, Any]]
    is_personal: bool  # speaks of the customer: not for mass sends
    expires_at: datetime | None


def usable(brand: Brand, content_id: int, at: datetime | None = None, *, personal: bool = False) -> Usable:
    """The version of an item that is in force, if it may be sent at `at` (default: now).

    Args:
        personal: it goes to one person, so variables of the customer are allowed.

    Raises:
        NotFoundError: no such item in this brand.
        InvalidError: why it cannot be sent; codes content_archived, content_expired, content_not_approved,
            content_personal, content_page.
    """
    content = Content.objects.filter(pk=content_id).first()
    if content is None:
        raise NotFoundError()
    if content.current_id is None:
        raise InvalidError(
            _("“%(name)s” is not approved yet") % {"name": content.name}, code="content_not_approved"
        )
    return usable_version(brand, content.current_id, at, personal=personal)


def newest_of(content_ids: Iterable[int]) -> dict[int, ContentVersion]:
    """The newest version of each item, approved or not; one query."""
    rows = ContentVersion.objects.filter(content__in=list(content_ids), no=F("content__n_versions"))
    return {row.content_id: row for row in rows}


def is_gone(version_id: int, at: datetime) -> bool:
    """Whether a version that was sent with right has been put away or has expired since; a newer one does not matter."""
    rows = Content.objects.filter(versions=version_id)
    return rows.filter(Q(archived_at__isnull=False) | Q(expires_at__lte=at)).exists()


def usable_version(
    brand: Brand, version_id: int, at: datetime | None = None, *, personal: bool = False
) -> Usable:
    """A chosen version, if it may be sent at `at` (default: now). Raises as `usable`."""
    version = ContentVersion.objects.select_related("content").filter(pk=version_id).first()
    if version is None:
        raise NotFoundError()
    content = version.content
    name = {"name": content.name}
    if content.kind == Content.Kind.PAGE:
        raise InvalidError(_("“%(name)s” is a page: send its link") % name, code="content_page")
    if version.state != ContentVersion.State.APPROVED:
        raise InvalidError(_("“%(name)s” is not approved yet") % name, code="content_not_approved")
    if content.archived_at is not None:
        raise InvalidError(_("“%(name)s” is in the archive") % name, code="content_archived")
    if content.expires_at is not None and content.expires_at <= (at or clock.now()):
        raise InvalidError(_("“%(name)s” has expired") % name, code="content_expired")
    if version.is_personal and not personal:
        raise InvalidError(
            _("“%(name)s” speaks of the customer by name, which a message to many cannot") % name,
            code="content_personal",
        )
    return Usable(
        content.pk,
        version.pk,
        content.name,
        content.kind,
        version.text,
        list(version.attachments),
        version.is_personal,
        content.expires_at,
    )


def choosable(at: datetime | None = None, *, personal: bool = False) -> QuerySet[Content]:
    """Items of the brand in scope whose version in force may be sent at `at` (default: now)."""
    found = Content.objects.live().exclude(kind=Content.Kind.PAGE).filter(current_id__isnull=False)
    found = found.filter(Q(expires_at=None) | Q(expires_at__gt=at or clock.now()))
    if not personal:
        mass = ContentVersion.objects.filter(is_personal=False).values("pk")
        found = found.filter(current_id__in=mass)
    return found


def search(
    brand: Brand,
    *,
    q: str = "",
    folder_id: int | None = None,
    kind: str = "",
    at: datetime | None = None,
    personal: bool = False,
    occasion: str = "",
    limit: int = 50,
) -> list[dict[str, Any]]:
    """What may be chosen, newest first: {content_id, version_id, name, kind, form, folder, text, attachments,
    is_personal, expires_at, occasion}. Two queries.

    Args:
        q: words, all of which must stand in name or text.
        folder_id: with everything below it.
        kind: message or script; empty for both.
        occasion: the next step with a customer: scripts for it come first, then all other scripts.
    """
    found = matching(choosable(at, personal=personal), q=q, folder_id=folder_id)
    if kind:
        found = found.filter(kind=kind)
    order = [F("changed_at").desc(), F("pk").desc()]
    if occasion:
        fits = Q(kind=Content.Kind.SCRIPT, occasion=occasion)
        rank = Case(When(fits, then=0), When(kind=Content.Kind.SCRIPT, then=1), default=2)
        order.insert(0, rank.asc())
    rows = list(found.select_related("folder").order_by(*order)[:limit])
    versions = ContentVersion.objects.in_bulk([row.current_id for row in rows])
    return [
        {
            "content_id": row.pk,
            "version_id": row.current_id,
            "name": row.name,
            "kind": row.kind,
            "form": row.form,
            "folder": row.folder.name if row.folder else "",
            "text": versions[row.current_id].text,
            "attachments": versions[row.current_id].attachments,
            "is_personal": versions[row.current_id].is_personal,
            "expires_at": row.expires_at,
            "occasion": row.occasion,
        }
        for row in rows
        if row.current_id in versions
    ]


def matching(found: QuerySet[Content], *, q: str = "", folder_id: int | None = None) -> QuerySet[Content]:
    """Items with all the words, in a folder or below it. A library is small: its rows are read through."""
    for word in q.replace("\x00", "").lower().split()[:6]:
        found = found.filter(search__contains=word)
    if folder_id is not None:
        found = found.filter(folder__in=folder_ids(folder_id))
    return found


def folder_ids(folder_id: int) -> list[int]:
    """A folder and all below it."""
    children: dict[int | None, list[int]] = {}
    for pk, parent in Folder.objects.values_list("pk", "parent_id"):
        children.setdefault(parent, []).append(pk)
    found, todo = [], [folder_id]
    while todo:
        found.append(here := todo.pop())
        todo += children.pop(here, [])
    return found


def names_of(version_ids: Iterable[int | None]) -> dict[int, dict[str, Any]]:
    """Of versions: {version id: {content_id, name, no, newer}}; `newer` is the number of a later one in force."""
    wanted = sorted({pk for pk in version_ids if pk})
    if not wanted:
        return {}
    rows = ContentVersion.objects.filter(pk__in=wanted).select_related("content")
    current = ContentVersion.objects.in_bulk([v.content.current_id for v in rows if v.content.current_id])
    result = {}
    for v in rows:
        force = current.get(v.content.current_id or 0)
        newer = force.no if force and force.no > v.no else None
        result[v.pk] = {"content_id": v.content_id, "name": v.content.name, "no": v.no, "newer": newer}
    return result


def same_version(version_id: int | None, text: str, attachments: list[dict[str, Any]]) -> int | None:
    """The version that a form names, if text and attachments are still its own; None when somebody has changed
    them, or when it is another brand's. For forms with components/content_picker.html, before they store the id."""
    if not version_id:
        return None
    version = ContentVersion.objects.filter(pk=version_id).first()
    same = version is not None and (version.text.strip(), version.attachments) == (text.strip(), attachments)
    return version_id if same else None
