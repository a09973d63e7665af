"""What a segment was at a moment: versions as bitmaps, who entered and left between two, size over time."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from contacts.services import positions
from scrm import clock
from scrm.errors import NotFoundError, SCRMError
from tagging.conditions import ConditionError, Problem
from tagging.models import BITS, Dim, Segment, SegmentVersion
from tagging.services.bits import bits
from tagging.services.bits.bits import ZERO
from tagging.services.segments.audience import Audience
from tenants.models import Brand

KEEP_ALL_DAYS = 2  # bits of every version
KEEP_DAYS = 35  # bits of the first version of each day
KEEP_MONTHS = 13  # bits of the first version of each month
_BITS = f"SELECT chunk, bits FROM tagging_dimbits WHERE brand_id = %(b)s AND dim = {Dim.SEGMENT:d} AND val = "  # noqa: S608


def condition_of(segment: Segment) -> dict[str, Any]:
    """What finds the members of a segment now.

    Raises:
        ConditionError: a dynamic segment without a condition; it is never taken to mean everybody.
    """
    if segment.kind == Segment.Kind.DYNAMIC:
        if not segment.condition:
            raise ConditionError([Problem("", "", _("A condition is needed here"))])
        return segment.condition
    return {"kind": "segment", "mode": "any", "ids": [segment.pk]}


def _pictures(segment: Segment) -> QuerySet[SegmentVersion]:
    """The versions that are pictures of a moment: not the one that holds the members of a list."""
    rows = SegmentVersion.objects.filter(segment=segment)
    return rows if segment.kind == Segment.Kind.DYNAMIC else rows.exclude(pk=segment.version_id or 0)


@transaction.atomic
def snapshot(brand: Brand, segment: Segment, *, now: datetime | None = None) -> SegmentVersion:
    """Keep who is in a segment now as a version; numbers of entered and left are against the version before.

    Two snapshots of a segment wait for each other.

    Raises:
        SCRMError: the condition cannot be read any more.
    """
    Segment.objects.select_for_update(no_key=True).get(pk=segment.pk)
    before = _pictures(segment).order_by("-at", "-pk").first()
    at = now or clock.now()
    sql, params = Audience(brand, condition_of(segment), now=at).bits_sql()
    version = SegmentVersion.objects.create(segment=segment, at=at, n=0)
    with positions.joined(brand) as cursor:
        cursor.execute(
            "WITH new AS (INSERT INTO tagging_dimbits (brand_id, dim, val, chunk, bits)"  # noqa: S608
            f" SELECT {brand.pk}, {Dim.SEGMENT:d}, {version.pk}, chunk, bits FROM ({sql}) q WHERE bit_count(bits) > 0"
            " ORDER BY chunk RETURNING bits) SELECT coalesce(sum(bit_count(bits)), 0)::bigint FROM new",
            params,
        )
        (version.n,) = cursor.fetchone()
    if before is not None and before.has_bits:
        version.n_entered, version.n_left = count_changes(brand, before.pk, version.pk)
    version.save(update_fields=["n", "n_entered", "n_left"])
    fields = {"n": version.n, "counted_at": at, "error": ""}
    if segment.kind == Segment.Kind.DYNAMIC:
        fields["version_id"] = version.pk
    Segment.objects.filter(pk=segment.pk).update(**fields)
    for name, value in fields.items():
        setattr(segment, name, value)
    return version


def _changes_sql(old_id: int, new_id: int) -> str:
    """Query of (chunk, entered, left) as bitmaps."""
    return (
        f"SELECT chunk, coalesce(n.bits, {ZERO}) & ~coalesce(o.bits, {ZERO}) AS entered,"  # noqa: S608
        f" coalesce(o.bits, {ZERO}) & ~coalesce(n.bits, {ZERO}) AS gone"
        f" FROM ({_BITS}{int(old_id)}) o FULL JOIN ({_BITS}{int(new_id)}) n USING (chunk)"
    )


def count_changes(brand: Brand, old_id: int, new_id: int) -> tuple[int, int]:
    """How many entered and how many left between two versions."""
    bits.flush()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(bit_count(entered)), 0)::bigint, coalesce(sum(bit_count(gone)), 0)::bigint"  # noqa: S608
            f" FROM ({_changes_sql(old_id, new_id)}) c",
            {"b": brand.pk},
        )
        return cursor.fetchone()


def changes(brand: Brand, old_id: int, new_id: int) -> tuple[list[int], list[int]]:
    """Ids of those who entered and of those who left between two versions whose bits are kept (SOP entry, rules)."""
    bits.flush()
    found: tuple[list[int], list[int]] = ([], [])
    with connection.cursor() as cursor:
        for ids, column in zip(found, ("entered", "gone"), strict=True):
            cursor.execute(
                f"SELECT c.id FROM (SELECT chunk * {BITS} + i AS position"  # noqa: S608
                f"  FROM ({_changes_sql(old_id, new_id)} OFFSET 0) x, generate_series(0, {BITS - 1}) i"
                f"  WHERE bit_count({column}) > 0 AND get_bit({column}, i) = 1) p"
                " JOIN contacts_contact c ON c.brand_id = %(b)s AND c.position = p.position ORDER BY p.position",
                {"b": brand.pk},
            )
            ids.extend(row[0] for row in cursor.fetchall())
    return found


def entered_since(brand: Brand, segment_id: int, version_id: int | None) -> tuple[int | None, list[int]]:
    """For whoever acts on people who enter a segment: (newest version, ids that entered since `version_id`).

    At a first look (None) nobody has entered: the newest version is where to begin. Save it with the effect; then each
    entry has its effect once. Of a version whose bits are not kept any more the one before it is compared, so some may
    be told twice and nobody is left out.

    Raises:
        NotFoundError: the segment was deleted.
    """
    segment = Segment.objects.filter(pk=segment_id, deleted_at=None).first()
    if segment is None:
        raise NotFoundError()
    kept = _pictures(segment).filter(has_bits=True).order_by("-at", "-pk")
    newest = kept.first()
    if newest is None or version_id == newest.pk:
        return version_id, []
    old = SegmentVersion.objects.filter(pk=version_id, segment=segment).first() if version_id else None
    if old is not None and not old.has_bits:
        old = kept.filter(at__lte=old.at).first() or kept.last()
    if old is None or old.pk == newest.pk:
        return newest.pk, []
    return newest.pk, changes(brand, old.pk, newest.pk)[0]


def curve(segment: Segment, days: int = 90) -> list[dict[str, Any]]:
    """Size over time, a row for each day that has versions: {on, n, entered, left}, oldest first."""
    zone = ZoneInfo(segment.brand.timezone)
    found: dict[date, dict[str, Any]] = {}
    rows = _pictures(segment).filter(at__gte=clock.now() - timedelta(days=days)).order_by("at", "pk")
    for version in rows:
        day = version.at.astimezone(zone).date()
        row = found.setdefault(day, {"on": day, "entered": 0, "left": 0})
        row["n"] = version.n
        row["entered"] += version.n_entered or 0
        row["left"] += version.n_left or 0
    return list(found.values())


def snapshot_all(brand: Brand) -> dict[str, int]:
    """A version of every dynamic segment and list; what cannot be counted is marked with the reason."""
    done = {"segments": 0, "failed": 0}
    with transaction.atomic():
        rows = list(Segment.objects.filter(deleted_at=None).exclude(kind=Segment.Kind.FROZEN).order_by("pk"))
    for segment in rows:
        try:
            snapshot(brand, segment)
            done["segments"] += 1
        except SCRMError as error:
            with transaction.atomic():
                Segment.objects.filter(pk=segment.pk).update(error=str(error)[:200])
            done["failed"] += 1
    return done


@transaction.atomic
def purge(brand: Brand) -> int:
    """Forget bits of old versions (KEEP_…); the numbers stay. Gives how many were forgotten."""
    now = clock.now()
    held = Segment.objects.exclude(version_id=None).values("version_id")
    old = SegmentVersion.objects.filter(has_bits=True, at__lt=now - timedelta(days=KEEP_ALL_DAYS))
    spans: set[tuple[int, date]] = set()
    gone: list[int] = []
    rows = old.exclude(pk__in=held).order_by("at", "pk").values_list("pk", "segment_id", "at")
    for pk, segment_id, at in rows:
        day = at.date()
        span = (segment_id, day if at >= now - timedelta(days=KEEP_DAYS) else day.replace(day=1))
        if span in spans or at < now - timedelta(days=31 * KEEP_MONTHS):
            gone.append(pk)
        spans.add(span)
    forget_bits(brand, gone)
    SegmentVersion.objects.filter(pk__in=gone).update(has_bits=False)
    return len(gone)


def forget_bits(brand: Brand, version_ids: Sequence[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM tagging_dimbits WHERE brand_id = %s AND dim = {Dim.SEGMENT:d} AND val = ANY(%s)",  # noqa: S608
            [brand.pk, list(version_ids)],
        )
