"""人群包: made, changed, frozen, put together, deleted; each with an audit entry, which is also their history."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from contacts.models import Contact
from contacts.services import positions
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tagging.conditions import Condition, ConditionError, Problem, references
from tagging.models import Dim, LifecycleStage, Segment, SegmentVersion, TagRule
from tagging.named import segments_in
from tagging.services.bits import bits
from tagging.services.rules import rule_graph
from tagging.services.segments import audience, nesting, snapshots
from tenants.models import Brand

MAX_NAME, MAX_NOTE = 60, 200
MAX_SEGMENTS = 500

# dotted paths of `uses(brand, segment_id) -> [(kind, name, address)]`: who else names a segment
USES: list[str] = ["campaigns.services.named.segment_uses"]


@transaction.atomic
def create_segment(brand: Brand, *, by: Actor, name: str, condition: Any, note: str = "") -> Segment:
    """A dynamic segment. The first version is made at once.

    Raises:
        InvalidError, ConditionError, ConflictError.
    """
    read = audience.read(brand, condition)
    segment = _new(brand, name=name, note=note, kind=Segment.Kind.DYNAMIC, condition=read, by=by)
    version = snapshots.snapshot(brand, segment)
    audit.record(
        by, "segment.create", segment, after={"condition": read, "note": segment.note, "n": version.n}
    )
    return segment


@transaction.atomic
def create_list(
    brand: Brand, *, by: Actor, name: str, contact_ids: Iterable[int], note: str = "", why: str = ""
) -> Segment:
    """A list of people named one by one; ids that do not exist are left out.

    Args:
        why: where they come from, for the history.
    """
    segment = _new(brand, name=name, note=note, kind=Segment.Kind.LIST, condition=None, by=by)
    version = SegmentVersion.objects.create(segment=segment, n=0)
    segment.version_id = version.pk
    segment.save(update_fields=["version_id"])
    n = _put(brand, segment, contact_ids)
    audit.record(by, "segment.create", segment, after={"list": why or "ids", "n": n})
    return segment


@transaction.atomic
def change_list(
    brand: Brand,
    *,
    by: Actor,
    segment: Segment,
    add: Iterable[int] = (),
    remove: Iterable[int] = (),
    why: str = "",
) -> int:
    """Put people on a list or take them off; gives its size.

    Args:
        why: where they come from, for the history.
    """
    segment = _locked(segment.pk)
    if segment.kind != Segment.Kind.LIST:
        raise ConflictError(_("Only the members of a list can be changed one by one"))
    add, remove = list(add), list(remove)
    before = segment.n
    bits.clear_bits(brand, Dim.SEGMENT, {segment.version_id or 0: remove})
    n = _put(brand, segment, add)
    audit.record(
        by,
        "segment.members",
        segment,
        before={"n": before},
        after={"n": n, "add": add[:20], "remove": remove[:20]} | ({"list": why} if why else {}),
    )
    return n


def _put(brand: Brand, segment: Segment, contact_ids: Iterable[int]) -> int:
    ids = list(Contact.objects.filter(pk__in=set(contact_ids)).values_list("pk", flat=True))
    version_id = segment.version_id or 0
    bits.set_bits(brand, Dim.SEGMENT, {version_id: ids})
    bits.flush()
    n = stored_size(brand, version_id)
    now = clock.now()
    SegmentVersion.objects.filter(pk=version_id).update(n=n, at=now)
    segment.n, segment.counted_at, segment.changed_at = n, now, now
    segment.save(update_fields=["n", "counted_at", "changed_at"])
    return n


def stored_size(brand: Brand, version_id: int) -> int:
    """Members of a version whose bits are kept."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(bit_count(bits)), 0)::bigint FROM tagging_dimbits"  # noqa: S608
            f" WHERE brand_id = %s AND dim = {Dim.SEGMENT:d} AND val = %s",
            [brand.pk, version_id],
        )
        return cursor.fetchone()[0]


@transaction.atomic
def freeze(
    brand: Brand, *, by: Actor, name: str, segment: Segment | None = None, condition: Any = None
) -> Segment:
    """Who matches now, for good: of a segment, or of a condition."""
    read = snapshots.condition_of(segment) if segment else audience.read(brand, condition)
    made = _new(brand, name=name, note="", kind=Segment.Kind.FROZEN, condition=read, by=by)
    version = SegmentVersion.objects.create(segment=made, n=0)
    sql, params = audience.Audience(brand, read).bits_sql()
    with positions.joined(brand) as cursor:
        cursor.execute(
            "INSERT INTO tagging_dimbits (brand_id, dim, val, chunk, bits)"  # noqa: S608
            f" SELECT {brand.pk}, {Dim.SEGMENT:d}, {version.pk}, chunk, bits FROM ({sql}) q WHERE bit_count(bits) > 0",
            params,
        )
    version.n = made.n = stored_size(brand, version.pk)
    version.save(update_fields=["n"])
    made.version_id, made.counted_at = version.pk, clock.now()
    made.save(update_fields=["version_id", "n", "counted_at"])
    after = {"frozen": segment.name if segment else "", "condition": read, "n": made.n}
    audit.record(by, "segment.freeze", made, after=after)
    return made


OPERATIONS = ("union", "intersection", "difference")


def combination(operation: str, segment_ids: Sequence[int]) -> Condition:
    """The condition of segments put together: all of them, those in every one, those of the first in no other."""
    ids = list(dict.fromkeys(segment_ids))
    if operation not in OPERATIONS:
        raise ValueError(f"unknown operation {operation}")
    if len(ids) < 2:
        raise InvalidError(_("Choose at least two segments"))
    if operation == "difference":
        return {
            "all": [
                {"kind": "segment", "mode": "any", "ids": ids[:1]},
                {"kind": "segment", "mode": "none", "ids": sorted(ids[1:])},
            ]
        }
    return {"kind": "segment", "mode": "any" if operation == "union" else "all", "ids": sorted(ids)}


@transaction.atomic
def update_segment(
    brand: Brand,
    *,
    by: Actor,
    segment: Segment,
    name: str | None = None,
    note: str | None = None,
    condition: Any = None,
) -> Segment:
    """Change name, note or condition; what is None stays. A new condition is counted at once.

    Raises:
        ConditionError: also for a segment that would name itself in a circle.
    """
    segment = _locked(segment.pk)
    before = audit.snapshot(segment, ["name", "note", "condition"])
    if name is not None:
        segment.name = _name(name)
    if note is not None:
        segment.note = _note(note)
    if condition is not None:
        if segment.kind != Segment.Kind.DYNAMIC:
            raise ConflictError(_("Only a segment by conditions has conditions to change"))
        segment.condition = audience.read(brand, condition)
        _no_circle(segment)
        rule_graph.refuse_circles_of_segment(brand, segment.pk, segment.condition)
    segment.changed_at = clock.now()
    with _unique_name():
        segment.save(update_fields=["name", "note", "condition", "changed_at"])
    if condition is not None and segment.condition != before["condition"]:
        snapshots.snapshot(brand, segment)
    audit.record(by, "segment.edit", segment, before=before, after=audit.snapshot(segment, list(before)))
    return segment


@transaction.atomic
def delete_segment(brand: Brand, *, by: Actor, segment: Segment) -> None:
    """Delete a segment that nothing names.

    Raises:
        ConflictError: with who names it.
    """
    segment = _locked(segment.pk)
    if found := uses(brand, segment.pk):
        names = ", ".join(name for _kind, name, _address in found[:5])
        raise ConflictError(_("It is used by: %(names)s") % {"names": names}, code="in_use")
    segment.deleted_at = clock.now()
    segment.save(update_fields=["deleted_at"])
    audit.record(by, "segment.delete", segment, before={"condition": segment.condition, "n": segment.n})


def uses(brand: Brand, segment_id: int) -> list[tuple[str, str, str]]:
    """Who names a segment: (kind, name, address)."""
    found = [
        (str(_("Segment")), other.name, f"/segments/{other.pk}/")
        for other in Segment.objects.filter(deleted_at=None, kind=Segment.Kind.DYNAMIC).exclude(pk=segment_id)
        if segment_id in references(other.condition or {}).get("segments", ())
    ]
    found += [
        (str(_("Rule")), rule.name, f"/tags/rules/{rule.pk}/")
        for rule in TagRule.objects.filter(deleted_at=None).order_by("position", "pk")
        if segment_id in segments_in(rule.condition)
    ]
    found += [
        (str(_("Lifecycle stage")), stage.name, "/value/stages/")
        for stage in LifecycleStage.objects.order_by("position")
        if segment_id in segments_in(stage.condition)
    ]
    for path in USES:
        found += import_string(path)(brand, segment_id)
    return found


def recount(brand: Brand, segment: Segment) -> int:
    """Count a segment now and remember it, without a version."""
    began = time.perf_counter()
    n = audience.count(brand, snapshots.condition_of(segment))
    spent = round((time.perf_counter() - began) * 1000)
    Segment.objects.filter(pk=segment.pk).update(n=n, counted_at=clock.now(), count_ms=spent, error="")
    segment.n, segment.counted_at, segment.count_ms = n, clock.now(), spent
    return n


def get_segment(segment_id: int) -> Segment:
    """A segment that is not deleted.

    Raises:
        NotFoundError: none.
    """
    found = Segment.objects.filter(pk=segment_id, deleted_at=None).first()
    if found is None:
        raise NotFoundError()
    return found


def _locked(segment_id: int) -> Segment:
    found = Segment.objects.select_for_update(no_key=True).filter(pk=segment_id, deleted_at=None).first()
    if found is None:
        raise NotFoundError()
    return found


def _new(brand: Brand, *, name: str, note: str, kind: str, condition: Condition | None, by: Actor) -> Segment:
    if Segment.objects.filter(deleted_at=None).count() >= MAX_SEGMENTS:
        raise ConflictError(_("There are %(n)d segments already; delete some first") % {"n": MAX_SEGMENTS})
    with _unique_name():
        return Segment.objects.create(
            name=_name(name), note=_note(note), kind=kind, condition=condition, created_by=by.name
        )


def _no_circle(segment: Segment) -> None:
    known = nesting.nested_segments(segment.condition or {}, checked=False)
    if nesting.circle({**known, segment.pk: segment.condition or {}}):
        raise ConditionError([Problem("", "", _("The segment would name itself in a circle"))])


def _name(name: str) -> str:
    name = " ".join(str(name).replace("\x00", "").split())
    if not name:
        raise InvalidError(_("A name is needed"), fields={"name": _("A name is needed")})
    if len(name) > MAX_NAME:
        text = _("At most %(n)s characters") % {"n": MAX_NAME}
        raise InvalidError(text, fields={"name": text})
    return name


def _note(note: str) -> str:
    note = str(note).replace("\x00", "").strip()
    if len(note) > MAX_NOTE:
        text = _("At most %(n)s characters") % {"n": MAX_NOTE}
        raise InvalidError(text, fields={"note": text})
    return note


class _unique_name:
    """Turns the database's refusal of a second name into a message."""

    def __enter__(self) -> None:
        self.block = transaction.atomic()
        self.block.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.block.__exit__(kind, error, trace)
        if isinstance(error, IntegrityError):
            text = _("There is a segment of this name already")
            raise ConflictError(text, fields={"name": text}) from error
