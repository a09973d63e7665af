"""What sets a segment apart: its people beside everybody, and how much it shares with other segments.

Counted from a version's bitmap, so the pages cost the same for every condition.
"""

from dataclasses import dataclass, replace

from django.db import connection
from django.utils.translation import gettext as _

from contacts.services import positions
from tagging.models import BITS, Dim, Flag, LifecycleStage, Segment, SegmentVersion, ValueGroup
from tagging.services.bits import bits
from tagging.services.bits.bits import ZERO
from tagging.services.segments import naming
from tenants.models import Brand

MIN_SHARE = 0.02  # of a segment: rarer tags say nothing
CHANNELS = 8  # of a profile
PROFILE = ("tags", "channels", "people", "spending", "value_groups", "stages")
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

    def named(self, name: str) -> "Share":
        return replace(self, name=name)


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


def classes(brand: Brand, version: SegmentVersion) -> dict[str, list[Share]]:
    """What was spent in all, value groups and stages of these people beside everybody: {"spending", "value_groups",
    "stages"}; one pass over ContactStat."""
    with positions.joined(brand) as cursor:
        cursor.execute(
            "WITH s AS (SELECT greatest(width_bucket(s.spent_fen, %(bounds)s::bigint[]), 1) AS spending, s.value_group,"  # noqa: S608
            f"    s.lifecycle, get_bit(coalesce(v.bits, {ZERO}), s.position %% {BITS}) = 1 AS here"
            "  FROM contacts_contactstat s LEFT JOIN (SELECT chunk, bits FROM tagging_dimbits WHERE brand_id = %(b)s"
            f"    AND dim = {Dim.SEGMENT:d} AND val = %(v)s) v ON v.chunk = s.position / {BITS} WHERE s.brand_id = %(b)s)"
            " SELECT grouping(spending, value_group, lifecycle), coalesce(spending, value_group, lifecycle, 0),"
            "   count(*) FILTER (WHERE here), count(*)"
            " FROM s GROUP BY GROUPING SETS ((spending), (value_group), (lifecycle)) ORDER BY 1, 2",
            {"b": brand.pk, "v": version.pk, "bounds": [yuan * 100 for yuan in SPENT_YUAN]},
        )
        rows = cursor.fetchall()
    stages = dict(LifecycleStage.objects.values_list("number", "name"))
    names: dict[int, tuple[str, dict[int, str]]] = {
        0b011: ("spending", {n + 1: _class(n) for n in range(len(SPENT_YUAN))}),
        0b101: ("value_groups", {0: _("No orders yet")} | {int(g): str(g.label) for g in ValueGroup}),
        0b110: ("stages", {0: _("Not placed yet")} | stages),
    }
    everybody = sum(n_all for which, _val, _n, n_all in rows if which == 0b011)
    found: dict[str, list[Share]] = {key: [] for key, _names in names.values()}
    for which, val, n, n_all in rows:
        key, known = names[which]
        share = n / max(version.n, 1)
        found[key].append(Share(val, known.get(val, "—"), n, n_all, share, n_all / max(everybody, 1)))
    return found


def of_bits(brand: Brand, version: SegmentVersion) -> dict[str, list[Share]]:
    """What bitmaps know of these people beside everybody, in milliseconds: {"tags", "channels", "people"}."""
    found = flags(brand, version)
    words = {
        "male": _("Male"), "female": _("Female"), "reachable": _("Reachable"), "do_not_contact": _("Do not contact")
    }  # fmt: skip
    return {
        "tags": telling(shares(brand, version, Dim.TAG, "tags")),
        "channels": shares(brand, version, Dim.CODE, "codes")[:CHANNELS],
        "people": [found[key].named(word) for key, word in words.items() if key in found],
    }


def profile(brand: Brand, version: SegmentVersion) -> dict[str, list[Share]]:
    """Everything that sets these people apart, by the keys of PROFILE."""
    return of_bits(brand, version) | classes(brand, version)


def _class(i: int) -> str:
    low = SPENT_YUAN[i]
    if i == 0:
        return _("nothing")
    if i == len(SPENT_YUAN) - 1:
        return _("¥%(low)s and more") % {"low": f"{low:,}"}
    return _("¥%(low)s to %(high)s") % {"low": f"{low:,}", "high": f"{SPENT_YUAN[i + 1]:,}"}


@dataclass(frozen=True)
class Overlap:
    """Another segment and how many people both have; `share` of this one."""

    segment: Segment
    n: int
    share: float


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
    found = [Overlap(others[pk], k, k / max(version.n, 1)) for pk, k in counts.items() if k]
    return sorted(found, key=lambda o: -o.n)[:n]
