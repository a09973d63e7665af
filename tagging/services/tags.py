"""Who carries which tag: put on and take off, for one contact or a hundred thousand, and told to WeCom
where it is a corp tag."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from contacts.models import Contact, EventType, Follow
from contacts.services.timeline import EventRow, record_events
from org import audit
from org.access import Actor
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError
from tagging.models import ContactTag, Dim, Tag
from tagging.services import bits
from tagging.services.library import create_group, create_tags, on_tag_changed, sync_corp_tags
from tagging.services.marks import Mark, queue_marks
from tenants.models import Brand

__all__ = [
    "add_tags",
    "carried",
    "choices",
    "create_group",
    "create_tags",
    "mirror",
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
) -> int:
    """Put every tag on every contact; gives how many were new. Safe to repeat.

    Writes TAGGED for each new one, and queues corp tags for WeCom under each guide who has the contact and
    does not show the tag there yet. Tags that were deleted are skipped.

    Args:
        contacts: rows or ids of this brand; the caller has checked who may see them. Ids that do not exist
            are skipped.
        source: why, ≤ 40 characters: `channel_code:7`, `wecom`, `page`, `api` …
    """
    ids, chosen = _ids(contacts), _tags(tags)
    n = 0
    for start in range(0, len(ids), SLICE):
        part = ids[start : start + SLICE]
        new = _insert(brand, part, [tag.pk for tag in chosen], source, by_staff)
        record_events(brand, _events(EventType.TAGGED, new, chosen, source, by_staff))
        queue_marks(brand, _marks(part, [tag for tag in chosen if tag.wecom_id], add=True))
        n += len(new)
    return n


@transaction.atomic
def remove_tags(
    brand: Brand,
    *,
    contacts: Iterable[Contact | int],
    tags: Iterable[Tag | int],
    source: str,
    by_staff: Staff | None = None,
) -> int:
    """Take every tag off every contact; gives how many were there. Arguments and repeats as `add_tags`."""
    ids, chosen = _ids(contacts), _tags(tags)
    n = 0
    for start in range(0, len(ids), SLICE):
        part = ids[start : start + SLICE]
        gone = _delete(brand, part, [tag.pk for tag in chosen])
        record_events(brand, _events(EventType.UNTAGGED, gone, chosen, source, by_staff))
        queue_marks(brand, _marks(part, [tag for tag in chosen if tag.wecom_id], add=False))
        n += len(gone)
    return n


def _ids(contacts: Iterable[Contact | int]) -> list[int]:
    # in one order everywhere: two bulk acts on the same people wait for each other instead of deadlocking
    return sorted({contact.pk if isinstance(contact, Contact) else int(contact) for contact in contacts})


def _tags(tags: Iterable[Tag | int]) -> list[Tag]:
    pks = {tag.pk if isinstance(tag, Tag) else int(tag) for tag in tags}
    if not pks:
        return []
    return list(Tag.objects.filter(pk__in=pks, deleted_at=None).select_related("group").order_by("pk"))


def _insert(
    brand: Brand, ids: list[int], tag_ids: list[int], source: str, by_staff: Staff | None
) -> list[tuple[int, int]]:
    if not ids or not tag_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tagging_contacttag (brand_id, tag_id, contact_id, source, staff_id, at)"
            " SELECT %s, t.id, c.id, %s, %s, %s FROM unnest(%s::bigint[]) AS t(id), contacts_contact c"
            " WHERE c.brand_id = %s AND c.id = ANY(%s) ORDER BY t.id, c.id"
            " ON CONFLICT DO NOTHING RETURNING tag_id, contact_id",
            [brand.pk, source[:40], by_staff.pk if by_staff else None, clock.now(), tag_ids, brand.pk, ids],
        )
        pairs = cursor.fetchall()
    bits.set_bits(brand, Dim.TAG, _by_tag(pairs))
    return pairs


def _delete(brand: Brand, ids: list[int], tag_ids: list[int]) -> list[tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM tagging_contacttag WHERE brand_id = %s AND tag_id = ANY(%s) AND contact_id = ANY(%s)"
            " RETURNING tag_id, contact_id",
            [brand.pk, tag_ids, ids],
        )
        pairs = cursor.fetchall()
    bits.clear_bits(brand, Dim.TAG, _by_tag(pairs))
    return pairs


def _by_tag(pairs: list[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for tag_id, contact_id in pairs:
        found.setdefault(tag_id, []).append(contact_id)
    return found


def _events(
    kind: EventType, pairs: list[tuple[int, int]], tags: list[Tag], source: str, by_staff: Staff | None
) -> list[EventRow]:
    now, named = clock.now(), {tag.pk: tag for tag in tags}
    return [
        {
            "contact_id": contact_id,
            "type": kind,
            "at": now,
            "staff_id": by_staff.pk if by_staff else None,
            "object_id": tag_id,
            "source": source.split(":")[0][:20],
            # the name as it was: the tag may be renamed or deleted
            "data": {"tag": named[tag_id].name, "group": named[tag_id].group.name, "why": source[:40]},
        }
        for tag_id, contact_id in pairs
    ]


def _marks(contact_ids: list[int], tags: list[Tag], *, add: bool) -> list[Mark]:
    """What WeCom has to be told: one call for each live relation that shows something else there."""
    by_corp: dict[int, set[str]] = {}
    for tag in tags:
        if tag.group.corp_id:
            by_corp.setdefault(tag.group.corp_id, set()).add(tag.wecom_id)
    if not by_corp:
        return []
    follows = Follow.objects.filter(
        contact__in=contact_ids, corp__in=list(by_corp), ended_at=None, is_pending=False
    )
    marks = []
    for follow in follows.select_related("staff", "corp").order_by("contact_id", "pk"):
        there = set(follow.wecom_tag_ids)
        change = by_corp[follow.corp_id] - there if add else by_corp[follow.corp_id] & there
        if change:
            marks.append(
                Mark(follow, add=sorted(change) if add else [], remove=[] if add else sorted(change))
            )
    return marks


def mirror(
    brand: Brand,
    *,
    corp_id: int,
    changes: Iterable[tuple[int, int, Iterable[str], Iterable[str]]],
    source: str = "wecom",
) -> int:
    """Follow what WeCom says of relations: tags put on or taken off in the client. In the caller's
    transaction.

    A contact carries a tag as long as one live relation shows it. Tags we do not know (not synced, rule
    groups) are left alone.

    Args:
        changes: (contact id, staff id, WeCom tag ids added, removed) for each relation, after
            `Follow.wecom_tag_ids` was saved.
    """
    told = [(c, s, set(a), set(r)) for c, s, a, r in changes]
    names: set[str] = set()
    for _c, _s, a, r in told:
        names |= a | r
    known = {
        tag.wecom_id: tag
        for tag in Tag.objects.filter(
            wecom_id__in=names, group__corp=corp_id, deleted_at=None
        ).select_related("group")
    }
    n = 0
    plus = [(c, known[w].pk, s) for c, s, a, _r in told for w in sorted(a) if w in known]
    minus = [(c, w, s) for c, s, _a, r in told for w in sorted(r) if w in known]
    if minus:
        still = _shown(corp_id, [c for c, _w, _s in minus])
        gone = [(c, known[w].pk, s) for c, w, s in minus if w not in still.get(c, set())]
        n += _write_mirror(brand, EventType.UNTAGGED, gone, list(known.values()), source)
    if plus:
        n += _write_mirror(brand, EventType.TAGGED, plus, list(known.values()), source)
    return n


def _shown(corp_id: int, contact_ids: list[int]) -> dict[int, set[str]]:
    shown: dict[int, set[str]] = {}
    follows = Follow.objects.filter(contact__in=contact_ids, corp=corp_id, ended_at=None)
    for contact_id, tag_ids in follows.values_list("contact_id", "wecom_tag_ids"):
        shown.setdefault(contact_id, set()).update(tag_ids)
    return shown


def _write_mirror(
    brand: Brand, kind: EventType, rows: list[tuple[int, int, int]], tags: list[Tag], source: str
) -> int:
    """Rows (contact, tag, staff) written set-based, with an event for each that changed something."""
    if not rows:
        return 0
    who = {(tag_id, contact_id): staff_id for contact_id, tag_id, staff_id in rows}
    pairs = sorted(who)
    tag_ids, ids, staff_ids = [t for t, _ in pairs], [c for _, c in pairs], [who[pair] for pair in pairs]
    with connection.cursor() as cursor:
        if kind == EventType.TAGGED:
            cursor.execute(
                "INSERT INTO tagging_contacttag (brand_id, tag_id, contact_id, source, staff_id, at)"
                " SELECT %s, x.t, x.c, %s, x.s, %s"
                " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS x(t, c, s)"
                " ORDER BY x.t, x.c ON CONFLICT DO NOTHING RETURNING tag_id, contact_id",
                [brand.pk, source, clock.now(), tag_ids, ids, staff_ids],
            )
        else:
            cursor.execute(
                "DELETE FROM tagging_contacttag ct USING unnest(%s::bigint[], %s::bigint[]) AS x(t, c)"
                " WHERE ct.brand_id = %s AND ct.tag_id = x.t AND ct.contact_id = x.c"
                " RETURNING ct.tag_id, ct.contact_id",
                [tag_ids, ids, brand.pk],
            )
        done = cursor.fetchall()
    change = bits.set_bits if kind == EventType.TAGGED else bits.clear_bits
    change(brand, Dim.TAG, _by_tag(done))
    events = _events(kind, done, tags, source, None)
    for event, pair in zip(events, done, strict=True):
        event["staff_id"] = who[pair]
    record_events(brand, events)
    return len(done)


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
    chosen = _tags(tag_ids)
    if not chosen:
        raise InvalidError(_("Choose at least one tag"))
    act = remove_tags if remove else add_tags
    ids = list(contact_ids)
    n = act(brand, contacts=ids, tags=chosen, source=source, by_staff=by.staff)
    if n and audited:
        names = {"tags": [tag.name for tag in chosen], "n": n, "contacts": ids[:20]}
        audit.record(by, "contact.untag" if remove else "contact.tag", after=names)
    return n
