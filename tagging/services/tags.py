"""Who carries which tag: put on and take off, for one contact or a hundred thousand, and told to WeCom
where it is a corp tag."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from contacts.models import Contact
from org import audit
from org.access import Actor
from org.models import Staff
from scrm.errors import InvalidError
from tagging.models import ContactTag, Tag
from tagging.services import changes
from tagging.services.library import create_group, create_tags, on_tag_changed, sync_corp_tags
from tenants.models import Brand

__all__ = [
    "add_tags",
    "carried",
    "choices",
    "create_group",
    "create_tags",
    "on_tag_changed",
    "put_on",
    "remove_tags",
    "sync_corp_tags",
    "tag_sets",
    "tags_of",
]

SLICE = 5_000


@transaction.atomic
def add_tags(
    brand: Brand,
    *,
    contacts: Iterable[Contact | int],
    tags: Iterable[Tag | int],
    source: str,
    by_staff: Staff | None = None,
    expires_at: datetime | None = None,
    act_id: int | None = None,
) -> int:
    """Put every tag on every contact; gives how many were new. Safe to repeat.

    Writes TAGGED for each new one, and queues corp tags for WeCom under each guide who has the contact and
    does not show the tag there yet. Tags that were deleted are skipped.

    Args:
        contacts: rows or ids of this brand; the caller has checked who may see them. Ids that do not exist
            are skipped.
        source: why, ≤ 40 characters: `channel_code:7`, `wecom`, `page`, `api` …
        expires_at: when they are taken off by themselves; who has a tag for longer keeps it for longer.
        act_id: TagAct under which this can be taken back.
    """
    ids, chosen, n = _ids(contacts), _tag_ids(tags), 0
    for start in range(0, len(ids) if chosen else 0, SLICE):
        done = changes.put_on(
            brand,
            changes.each(chosen, ids[start : start + SLICE]),
            source=source,
            staff_id=by_staff.pk if by_staff else None,
            expires_at=expires_at,
            act_id=act_id,
        )
        n += done.n
    return n


@transaction.atomic
def remove_tags(
    brand: Brand,
    *,
    contacts: Iterable[Contact | int],
    tags: Iterable[Tag | int],
    source: str,
    by_staff: Staff | None = None,
    act_id: int | None = None,
) -> int:
    """Take every tag off every contact; gives how many were there. Arguments and repeats as `add_tags`."""
    ids, chosen, n = _ids(contacts), _tag_ids(tags), 0
    for start in range(0, len(ids) if chosen else 0, SLICE):
        done = changes.take_off(
            brand,
            changes.each(chosen, ids[start : start + SLICE]),
            source=source,
            staff_id=by_staff.pk if by_staff else None,
            act_id=act_id,
        )
        n += done.n
    return n


def _ids(contacts: Iterable[Contact | int]) -> list[int]:
    # in one order everywhere: two bulk acts on the same people wait for each other instead of deadlocking
    return sorted({contact.pk if isinstance(contact, Contact) else int(contact) for contact in contacts})


def _tag_ids(tags: Iterable[Tag | int]) -> list[int]:
    return sorted({tag.pk if isinstance(tag, Tag) else int(tag) for tag in tags})


def carried(contact_ids: Iterable[int]) -> dict[int, list[Any]]:
    """Tags of some contacts for display: contact id → ContactTag rows with tag and group, ordered by group
    and tag."""
    rows = ContactTag.objects.filter(contact__in=list(contact_ids), tag__deleted_at=None).select_related(
        "tag__group"
    )
    tags: dict[int, list[Any]] = {}
    for row in rows.order_by("-tag__group__order", "tag__group_id", "-tag__order", "tag_id"):
        tags.setdefault(row.contact_id, []).append(row)
    return tags


def tag_sets(tag_ids: Sequence[int], *, all_tags: bool) -> list[tuple[Q, QuerySet]]:
    """Who carries every one (`all_tags`) or at least one of some tags, for filters: pairs of a test of one
    contact (with OuterRef to it) and a query of all ids. Deleted tags and another brand's are carried by
    nobody.
    """
    alive = Tag.objects.filter(pk__in=tag_ids, deleted_at=None).values_list("pk", flat=True)
    known = set(alive)
    wanted = [[n] if n in known else [] for n in tag_ids] if all_tags else [sorted(known)]
    rows = [ContactTag.objects.filter(tag__in=ids) for ids in wanted]
    return [(Q(Exists(row.filter(contact=OuterRef("pk")))), row.values("contact_id")) for row in rows]


# ---- for pages of apps below, through contacts/hooks.py


def tags_of(contact_ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """Contact id → its tags as plain values: {id, name, group, source, staff_id, at, is_corp}; one query."""
    return {
        contact_id: [
            {
                "id": row.tag_id,
                "name": row.tag.name,
                "group": row.tag.group.name,
                "source": row.source,
                "staff_id": row.staff_id,
                "at": row.at,
                "is_corp": bool(row.tag.wecom_id),
            }
            for row in rows
        ]
        for contact_id, rows in carried(contact_ids).items()
    }


def choices() -> list[dict[str, Any]]:
    """Groups with their tags for a person to choose from: {name, is_corp, tags: [{id, name}]}; one query."""
    groups: dict[int, dict[str, Any]] = {}
    rows = Tag.objects.filter(deleted_at=None).select_related("group")
    for tag in rows.order_by("-group__order", "group_id", "-order", "pk"):
        group = groups.setdefault(
            tag.group_id, {"name": tag.group.name, "is_corp": bool(tag.group.corp_id), "tags": []}
        )
        group["tags"].append({"id": tag.pk, "name": tag.name})
    return list(groups.values())


@transaction.atomic
def put_on(
    brand: Brand,
    *,
    contact_ids: Iterable[int],
    tag_ids: Iterable[int],
    by: Actor,
    remove: bool = False,
    source: str = "page",
    audited: bool = True,
) -> int:
    """Put tags on contacts, or take them off, because a person said so. Gives how many changed.

    Args:
        audited: False for a part of a job, whose start is in the audit log.

    Raises:
        InvalidError: no such tag.
    """
    chosen = list(Tag.objects.filter(pk__in=_tag_ids(tag_ids), deleted_at=None))
    if not chosen:
        raise InvalidError(_("Choose at least one tag"))
    act = remove_tags if remove else add_tags
    ids = list(contact_ids)
    n = act(brand, contacts=ids, tags=chosen, source=source, by_staff=by.staff)
    if n and audited:
        names = {"tags": [tag.name for tag in chosen], "n": n, "contacts": ids[:20]}
        audit.record(by, "contact.untag" if remove else "contact.tag", after=names)
    return n
