"""What sets a segment apart: its people beside everybody, and how much it shares with other segments.

Counted from a version's bitmap, so the pages cost the same for every condition.
"""

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from tagging.models import BITS, Dim, Flag, Segment, SegmentVersion
from tagging.services import bits, naming
from tagging.services.bits import ZERO
from tenants.models import Brand

MIN_SHARE = 0.02  # of a segment: rarer tags say nothing
SPENT_YUAN = (0, 1, 100, 300, 1_000, 3_000, 10_000)  # lower bounds of the classes


@dataclass(frozen=True)
class Share:
    """How many of a segment and of everybody have something; `lift` is how many times more often."""

    val: int
    name: str
    n: int
    n_all: int
    share: float
    share_all: float

    @property
    def lift(self) -> float:
        return self.share / self.share_all if self.share_all else 0.0


def version_of(segment: Segment) -> SegmentVersion | None:
    """The newest version whose bits are kept."""
    if segment.version_id:
        found = SegmentVersion.objects.filter(pk=segment.version_id, has_bits=True).first()
        if found:
            return found
    return SegmentVersion.objects.filter(segment=segment, has_bits=True).order_by("-at", "-pk").first()


def shares(brand: Brand, version: SegmentVersion, dim: Dim, source: str) -> list[Share]:
    """Every value of a dimension that somebody of the segment has, most first."""
    counts = _counts(brand, version.pk, dim)
    everybody = _everybody(brand)
    names = naming.names({source: [val for val, n, _n_all in counts if n]})[source] if source else {}
    found = [
        Share(val, names[val] if source else "", n, n_all, n / max(version.n, 1), n_all / max(everybody, 1))
        for val, n, n_all in counts
        if n and (not source or val in names)
    ]
    return sorted(found, key=lambda s: -s.n)


def telling(found: list[Share], n: int = 10) -> list[Share]:
    """The values that a segment has most beyond everybody, and not by a handful of people."""
    some = [s for s in found if s.share >= MIN_SHARE and s.n >= 3 and s.lift > 1.1]
    return sorted(some, key=lambda s: -(s.share - s.share_all) * min(s.lift, 5))[:n]


def flags(brand: Brand, version: SegmentVersion) -> dict[str, Share]:
    """Flags by name in lower case: male, female, reachable, do_not_contact …"""
    return {Flag(s.val).name.lower(): s for s in shares(brand, version, Dim.FLAG, "")}


def _counts(brand: Brand, version_id: int, dim: Dim) -> list[tuple[int, int, int]]:
    """(value, of the segment, of everybody)."""
    bits.flush()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.val, coalesce(sum(bit_count(d.bits & v.bits)), 0)::bigint, sum(bit_count(d.bits))::bigint"  # noqa: S608
            f" FROM tagging_dimbits d LEFT JOIN tagging_dimbits v ON v.brand_id = %(b)s AND v.dim = {Dim.SEGMENT:d}"
            f"   AND v.val = %(v)s AND v.chunk = d.chunk"
            f" WHERE d.brand_id = %(b)s AND d.dim = {dim:d} GROUP BY d.val",
            {"b": brand.pk, "v": version_id},
        )
        return cursor.fetchall()


def _everybody(brand: Brand) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(bit_count(bits)), 0)::bigint FROM tagging_dimbits"  # noqa: S608
            f" WHERE brand_id = %s AND dim = {Dim.FLAG:d} AND val = {Flag.EVERYBODY:d}",
            [brand.pk],
        )
        return cursor.fetchone()[0]


def spending(brand: Brand, version: SegmentVersion) -> list[dict[str, Any]]:
    """Classes of what was spent in all: {label, share, share_all}; one pass over ContactStat."""
    bounds = [yuan * 100 for yuan in SPENT_YUAN]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT width_bucket(s.spent_fen, %(bounds)s::bigint[]) AS class, count(*),"  # noqa: S608
            f"  count(*) FILTER (WHERE get_bit(coalesce(v.bits, {ZERO}), s.position %% {BITS}) = 1)"
            f" FROM contacts_contactstat s LEFT JOIN (SELECT chunk, bits FROM tagging_dimbits WHERE brand_id = %(b)s"
            f"   AND dim = {Dim.SEGMENT:d} AND val = %(v)s) v ON v.chunk = s.position / {BITS}"
            " WHERE s.brand_id = %(b)s GROUP BY 1 ORDER BY 1",
            {"b": brand.pk, "v": version.pk, "bounds": bounds},
        )
        rows = {max(number, 1): (n_all, n) for number, n_all, n in cursor.fetchall()}
    n_all = sum(row[0] for row in rows.values()) or 1
    return [
        {
            "label": _class(i),
            "n": rows.get(i + 1, (0, 0))[1],
            "share": rows.get(i + 1, (0, 0))[1] / max(version.n, 1),
            "share_all": rows.get(i + 1, (0, 0))[0] / n_all,
        }
        for i in range(len(SPENT_YUAN))
    ]


def _class(i: int) -> str:
    low = SPENT_YUAN[i]
    if i == 0:
        return _("nothing")
    if i == len(SPENT_YUAN) - 1:
        return _("¥%(low)s and more") % {"low": f"{low:,}"}
    return _("¥%(low)s to %(high)s") % {"low": f"{low:,}", "high": f"{SPENT_YUAN[i + 1]:,}"}


@dataclass(frozen=True)
class Overlap:
    """Another segment and how many people both have; shares of this one and of the other."""

    segment: Segment
    n: int
    share: float
    share_other: float


def overlaps(brand: Brand, segment: Segment, n: int = 20) -> list[Overlap]:
    """The segments that share most people with this one, by their newest versions."""
    version = version_of(segment)
    if version is None:
        return []
    others = {
        other.version_id: other
        for other in Segment.objects.filter(deleted_at=None).exclude(pk=segment.pk).exclude(version_id=None)
    }
    bits.flush()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.val, sum(bit_count(d.bits & v.bits))::bigint FROM tagging_dimbits v JOIN tagging_dimbits d"  # noqa: S608
            f"  ON d.brand_id = %(b)s AND d.dim = {Dim.SEGMENT:d} AND d.val = ANY(%(others)s) AND d.chunk = v.chunk"
            f" WHERE v.brand_id = %(b)s AND v.dim = {Dim.SEGMENT:d} AND v.val = %(v)s GROUP BY d.val",
            {"b": brand.pk, "v": version.pk, "others": [pk for pk in others if pk]},
        )
        counts = dict(cursor.fetchall())
    found = [
        Overlap(others[pk], k, k / max(version.n, 1), k / max(others[pk].n or k, 1))
        for pk, k in counts.items()
        if k
    ]
    return sorted(found, key=lambda o: -o.n)[:n]
