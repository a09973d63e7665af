"""Who carries which tag: put on and take off, for one contact or a hundred thousand, and told to WeCom
where it is a corp tag."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from contacts.models import Contact
from org import audit
from org.access import Actor
from org.models import Staff
from scrm.errors import InvalidError
from tagging.models import ComputedTag, ContactTag, Tag, TagAct, TagRule
from tagging.services.tags import changes, one
from tagging.services.tags.corp_library import on_tag_changed, sync_corp_tags
from tagging.services.tags.library import create_group, create_tags
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
    # called by itself, it is one statement: the bitmap is written in it
    is_alone = not connection.in_atomic_block and len(ids) <= SLICE
    if len(ids) == len(chosen) == 1 and act_id is None:
        return _add_one(brand, ids[0], chosen[0], source, by_staff, expires_at, is_alone=is_alone)
    with transaction.atomic():
        for start in range(0, len(ids) if chosen else 0, SLICE):
            done = changes.put_on(
                brand,
                changes.each(chosen, ids[start : start + SLICE]),
                source=source,
                staff_id=by_staff.pk if by_staff else None,
                expires_at=expires_at,
                act_id=act_id,
                is_alone=is_alone,
            )
            n += done.n
    return n


def _add_one(
    brand: Brand,
    contact_id: int,
    tag_id: int,
    source: str,
    by_staff: Staff | None,
    expires_at: datetime | None,
    *,
    is_alone: bool,
) -> int:
    values: dict[str, Any] = {
        "tag_id": tag_id,
        "contact_id": contact_id,
        "source": source,
        "expires_at": expires_at,
    }
    values["staff_id"] = by_staff.pk if by_staff else None
    if is_alone and (is_new := one.put_on_alone(brand, **values)) is not None:
        return int(is_new)
    with transaction.atomic():
        return int(one.put_on(brand, **values))


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
    """Contact id → its tags as plain values: {id, name, group, source, staff_id, at,
    expires_at, color, is_corp}; one query."""
    return {
        contact_id: [
            {
                "id": row.tag_id,
                "name": row.tag.name,
                "group": row.tag.group.name,
                "source": row.source,
                "staff_id": row.staff_id,
                "at": row.at,
                "expires_at": row.expires_at,
                "color": row.tag.color or row.tag.group.color,
                "is_corp": bool(row.tag.wecom_id),
            }
            for row in rows
        ]
        for contact_id, rows in carried(contact_ids).items()
    }


def choices(keep: Iterable[int] = ()) -> list[dict[str, Any]]:
    """Groups with their tags for a person to choose from: {name, is_corp, color, tags: [{id, name, color}]}; one
    query. Archived tags are not offered, except those of `keep`."""
    groups: dict[int, dict[str, Any]] = {}
    rows = Tag.objects.filter(deleted_at=None).select_related("group")
    rows = rows.filter(Q(archived_at=None) | Q(pk__in=list(keep)))
    for tag in rows.order_by("-group__order", "group_id", "-order", "pk"):
        group = groups.setdefault(
            tag.group_id,
            {
                "name": tag.group.name,
                "is_corp": bool(tag.group.corp_id),
                "color": tag.group.color,
                "tags": [],
            },
        )
        group["tags"].append({"id": tag.pk, "name": tag.name, "color": tag.color or tag.group.color})
    return list(groups.values())


def source_names(sources: Iterable[str]) -> dict[str, str]:
    """Sources such as `rule:3`, `computed:2`, `segment:12` → words with the name of the rule or act; a query for each
    kind that is there."""
    by_kind: dict[str, dict[int, str]] = {}
    for source in sources:
        kind, _colon, number = source.partition(":")
        if number.isascii() and number.isdigit():
            by_kind.setdefault(kind, {})[int(number)] = source
    found: dict[str, str] = {}
    for kind, ids in by_kind.items():
        rows: QuerySet[Any]
        if kind == "rule":
            rows, words = TagRule.objects.filter(pk__in=ids), _("by the rule “%(name)s”")
        elif kind == "computed":
            rows, words = ComputedTag.objects.filter(pk__in=ids), _("computed: %(name)s")
        elif kind == "lead":
            rows, words = (
                apps.get_model("guides", "LeadList").objects.filter(pk__in=ids),
                _("from the list “%(name)s”"),
            )
        elif kind in TagAct.Kind.values:
            rows, words = TagAct.objects.filter(pk__in=ids), "%(name)s"
        else:
            continue
        for row in rows:
            found[ids[row.pk]] = str(words) % {"name": str(row)}
    return found


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
