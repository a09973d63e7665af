"""Relations as WeCom's pages tell them, beside ours: what differs, and what of it is repaired at once.

Names and pictures are customers' own business: WeCom tells nobody when they change, so they are followed without a
word and are no difference.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.db import connection

from contacts.models import Contact, Follow
from contacts.services.sync import sync_stage
from contacts.services.sync.sync_merge import is_back, is_return, merge
from contacts.services.sync.sync_types import Known, Row
from contacts.services.sync.sync_writes import in_the_outbox
from drift.services.differences import New
from org.models import Corp, Staff
from scrm import clock
from tagging.models import Tag
from tagging.services.tags.marks import on_the_way
from tenants.models import Brand
from wecom.models import OutboundCall

GRACE = timedelta(minutes=10)  # the callback of an adding may still be on its way


def compare_page(brand: Brand, corp: Corp, rows: Sequence[Row]) -> dict[int, list[New]]:
    """Rows of one corp beside our relations, in the caller's transaction: number of the row → its differences.

    A row that only a name or a picture keeps from being the same has none.
    """
    found = sync_stage.compare(brand, corp, rows)
    differences: dict[int, list[New]] = {}
    places = {(row.staff_id, row.external_userid): n for n, row in enumerate(rows)}
    for n, contact_id in _new_rows() if found.n_new else ():
        is_fresh = rows[n].added_s > (clock.now() - GRACE).timestamp()
        differences[n] = [] if is_fresh else [_missing(rows[n], contact_id, {})]
    if found.changed:
        judge = _Judge(brand, corp, found.changed)
        for row, known in found.changed:
            differences[places[row.staff_id, row.external_userid]] = judge.differences(row, known)
    return differences


def repair_page(
    brand: Brand, corp: Corp, rows: Sequence[Row], differences: dict[int, list[New]], auto: Collection[str]
) -> list[New]:
    """Write what may be repaired by itself, in the caller's transaction; gives what was repaired.

    Of a row that differs in several ways, those that are not to be repaired keep our value.
    """
    kept: list[Row] = []
    for n, found in differences.items():
        left = {new.kind: new for new in found if new.kind not in auto}
        if "relation_missing" not in left:
            kept.append(_ours(rows[n], left))
    if kept:
        merge(brand, corp, kept)
    return [new for found in differences.values() for new in found if new.kind in auto]


def _ours(row: Row, left: dict[str, New]) -> Row:
    if "remark_differs" in left:
        row = row._replace(
            **{name: left["remark_differs"].ours.get(name, getattr(row, name)) for name in _NOTES}
        )
    if "source_differs" in left:
        ours = left["source_differs"].ours
        row = row._replace(add_way=ours.get("add_way", row.add_way), state=ours.get("state", row.state))
    if "tags_differ" in left:
        row = row._replace(tag_ids=" ".join(left["tags_differ"].ours["ids"]))
    return row


_NOTES = ("remark", "description")


def _new_rows() -> list[tuple[int, int | None]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT n, contact_id FROM sync_found WHERE follow_id IS NULL ORDER BY n")
        return cursor.fetchall()


def relation_key(staff_id: int, external_userid: str) -> str:
    return f"{staff_id}:{external_userid}"


def _missing(row: Row, contact_id: int | None, ours: dict[str, Any]) -> New:
    theirs = {"added_at": row.added_at, "remark": row.remark, "state": row.state}
    return _new(
        "relation_missing", row, contact_id, ours, {key: value for key, value in theirs.items() if value}
    )


def _new(kind: str, row: Row, contact_id: int | None, ours: dict[str, Any], theirs: dict[str, Any]) -> New:
    key = relation_key(row.staff_id, row.external_userid)
    return New(kind, key, row.name, contact_id, row.staff_id, ours=ours, theirs=theirs)


class _Judge:
    """What is a difference of a relation that we have; what is on its way to WeCom is none."""

    def __init__(self, brand: Brand, corp: Corp, pairs: Sequence[tuple[Row, Known]]) -> None:
        names = {row.external_userid for row, _ in pairs}
        self.busy = in_the_outbox(names, min(row.seen_at for row, _ in pairs))
        self.waiting = on_the_way(corp, names)
        self.userids = dict(
            Staff.objects.filter(pk__in={row.staff_id for row, _ in pairs}).values_list("pk", "userid")
        )
        ids = {one for row, known in pairs for one in (*row.tag_ids.split(), *known.tag_ids)}
        tags = Tag.objects.filter(wecom_id__in=ids, group__corp=corp).exclude(wecom_id="")
        self.tags = dict(tags.values_list("wecom_id", "name"))

    def differences(self, row: Row, known: Known) -> list[New]:
        if is_return(row, known) or is_back(row, known):
            ours: dict[str, Any] = {"added_at": known.added_at}
            if known.ended_at:
                ours = {"ended_at": known.ended_at, "end_kind": known.end_kind}
            elif known.is_pending:
                ours = {"pending": True}
            return [_missing(row, known.contact_id, ours)]
        if known.ended_at:
            return []
        return [
            new for new in (self._notes(row, known), self._source(row, known), self._tags(row, known)) if new
        ]

    def _notes(self, row: Row, known: Known) -> New | None:
        names = [name for name in _NOTES if getattr(row, name) != getattr(known, name)]
        if "remark" in names and (OutboundCall.Kind.REMARK, row.external_userid) in self.busy:
            names.remove("remark")
        return self._of("remark_differs", row, known, names)

    def _source(self, row: Row, known: Known) -> New | None:
        names = [
            name for name in ("add_way", "state") if getattr(row, name) not in ("", 0, getattr(known, name))
        ]
        return self._of("source_differs", row, known, names)

    def _tags(self, row: Row, known: Known) -> New | None:
        if (OutboundCall.Kind.MARK_TAG, row.external_userid) in self.busy:
            return None
        added, removed = self.waiting.get(
            (self.userids.get(row.staff_id, ""), row.external_userid), (set(), set())
        )
        theirs, ours = (set(row.tag_ids.split()) | added) - removed, set(known.tag_ids)
        if theirs == ours:
            return None
        before = {"tags": self._names(ours - theirs), "ids": sorted(ours)}
        return _new("tags_differ", row, known.contact_id, before, {"tags": self._names(theirs - ours)})

    def _names(self, ids: Iterable[str]) -> list[str]:
        return sorted(self.tags.get(one, one) for one in ids)

    @staticmethod
    def _of(kind: str, row: Row, known: Known, names: Sequence[str]) -> New | None:
        if not names:
            return None
        ours = {name: getattr(known, name) for name in names}
        return _new(kind, row, known.contact_id, ours, {name: getattr(row, name) for name in names})


def ghosts(missing: Iterable[tuple[int, int]]) -> list[New]:
    """Relations (follow id, contact id) that the lists of their guides do not show, in the caller's transaction."""
    pairs = dict(missing)
    fields = ("pk", "contact_id", "staff_id", "external_userid", "added_at", "remark")
    rows = Follow.objects.filter(pk__in=list(pairs), ended_at=None).order_by("pk").values_list(*fields)
    names = dict(Contact.objects.filter(pk__in=set(pairs.values())).values_list("pk", "name"))
    return [
        New(
            "relation_ghost",
            relation_key(staff_id, external_userid),
            names.get(contact_id, ""),
            contact_id,
            staff_id,
            object_id=pk,
            ours={"added_at": added_at, "remark": remark},
        )
        for pk, contact_id, staff_id, external_userid, added_at, remark in rows
    ]
