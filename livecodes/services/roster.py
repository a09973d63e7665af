"""Who is behind some codes today: loads what `rotation.plan` needs, for one code or hundreds with the same
four statements."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.core.cache import cache
from django.db import connection
from django.db.models import Count, Q

from contacts.models import Follow
from livecodes.models import ChannelCode, CodeGuide, CodeHours
from livecodes.services import rotation
from livecodes.services.rotation import Guide, Hours, Plan
from org.models import Staff
from scrm import clock
from tenants.models import Brand

REFUSED_FOR = timedelta(days=1)  # a member whom WeCom refused is tried again after this
QUALITY_DAYS = 60
QUALITY_MIN = 20  # adds without which the share of those who stayed says nothing


@dataclass
class Roster:
    """The guides of one code as of `now`.

    Attributes:
        rows: CodeGuide rows with their staff, in the same order as `guides`.
        recent: (staff id, added at) of the latest arrivals through the code, newest first.
    """

    code: ChannelCode
    local: datetime
    guides: list[Guide] = field(default_factory=list)
    rows: list[CodeGuide] = field(default_factory=list)
    recent: list[tuple[int, datetime]] = field(default_factory=list)

    def plan(self, *, ahead: int | None = None) -> Plan:
        """Whom the code should lead to now."""
        if ahead is None:
            ahead = rotation.expected_arrivals((at for _, at in self.recent), self.local)
        return rotation.plan(
            self.guides,
            strategy=self.code.strategy,
            local=self.local,
            recent=[staff_id for staff_id, _ in self.recent],
            ahead=ahead,
        )

    def next_change(self) -> datetime | None:
        """When the plan changes by itself."""
        hours = [h for g in self.guides for h in g.hours]
        limits = any(g.daily_limit is not None for g in self.guides)
        changes = [rotation.next_change(hours, local=self.local, has_limits=limits)]
        refused = [row.refused_at for row in self.rows if row.refused_at and _is_refused(row, self.local)]
        changes += [at + REFUSED_FOR for at in refused]
        return min((at for at in changes if at is not None), default=None)

    @property
    def n_today(self) -> int:
        return sum(g.n_today for g in self.guides)

    @property
    def n_over(self) -> int:
        """Customers beyond the daily limits today: what came between two rewrites of the list."""
        return sum(g.n_over for g in self.guides)


def rosters(brand: Brand, codes: Iterable[ChannelCode], *, recent: bool = True) -> dict[int, Roster]:
    """Rosters of some codes by id, in the caller's transaction.

    Args:
        recent: False leaves out the latest arrivals, where only duty and limits are shown.
    """
    now = clock.now()
    local = now.astimezone(ZoneInfo(brand.timezone))
    found = {code.pk: Roster(code, local) for code in codes}
    if not found:
        return found
    rows = list(CodeGuide.objects.filter(code__in=found).select_related("staff").order_by("code_id", "pk"))
    hours = _hours(found)
    today = _today(brand, found, now)
    by_quality = {c.code.pk for c in found.values() if c.code.strategy == ChannelCode.Strategy.QUALITY}
    quality = guide_quality(brand, {row.staff_id for row in rows if row.code_id in by_quality})
    for row in rows:
        own = hours.get((row.code_id, row.staff_id)) or hours.get((row.code_id, None)) or ()
        guide = Guide(
            staff_id=row.staff_id,
            userid=row.staff.userid,
            weight=row.weight,
            daily_limit=row.daily_limit,
            is_standby=row.is_standby,
            # the standby is there for when the others are not: the code's common hours do not bind them
            hours=tuple(hours.get((row.code_id, row.staff_id)) or ()) if row.is_standby else tuple(own),
            is_able=is_able(row.staff) and not _is_refused(row, now),
            n_today=today.get((row.code_id, row.staff_id), 0),
        )
        if row.code_id in by_quality:
            guide = replace(guide, weight=quality.get(row.staff_id, 1))
        found[row.code_id].guides.append(guide)
        found[row.code_id].rows.append(row)
    if recent:
        for code_id, staff_id, added_at in _recent(brand, found):
            found[code_id].recent.append((staff_id, added_at))
    return found


def roster_of(brand: Brand, code: ChannelCode) -> Roster:
    return rosters(brand, [code])[code.pk]


def is_able(staff: Staff) -> bool:
    """Whether WeCom lets this member have customers, as far as we know."""
    return staff.state == Staff.State.ACTIVE and staff.is_guide and bool(staff.userid)


def _is_refused(row: CodeGuide, now: datetime) -> bool:
    return row.refused_at is not None and row.refused_at > now - REFUSED_FOR


def _hours(code_ids: Iterable[int]) -> dict[tuple[int, int | None], list[Hours]]:
    found: dict[tuple[int, int | None], list[Hours]] = defaultdict(list)
    for row in CodeHours.objects.filter(code__in=code_ids).order_by("pk"):
        found[row.code_id, row.staff_id].append(Hours(frozenset(row.weekdays), row.start, row.end))
    return found


def _today(brand: Brand, code_ids: Iterable[int], now: datetime) -> dict[tuple[int, int], int]:
    counts = (
        Follow.objects.filter(
            channel_code_id__in=list(code_ids), added_at__gte=rotation.day_start(brand.timezone, now)
        )
        .values_list("channel_code_id", "staff_id")
        .annotate(n=Count("pk"))
        .order_by()
    )
    return {(code_id, staff_id): n for code_id, staff_id, n in counts if code_id is not None}


def _recent(brand: Brand, code_ids: Iterable[int]) -> Sequence[tuple[int, int, datetime]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id, f.staff_id, f.added_at FROM unnest(%s::bigint[]) AS c(id) CROSS JOIN LATERAL ("
            " SELECT id, staff_id, added_at FROM contacts_follow"
            " WHERE brand_id = %s AND channel_code_id = c.id"
            " ORDER BY added_at DESC, id DESC LIMIT %s) f"
            " ORDER BY c.id, f.added_at DESC, f.id DESC",
            [list(code_ids), brand.pk, rotation.LOOK_BACK],
        )
        return cursor.fetchall()


def guide_quality(brand: Brand, staff_ids: set[int]) -> dict[int, int]:
    """Weights 1 to 10 by the share of a guide's customers of the last 60 days who are still there; kept for
    an hour.

    A guide with fewer than 20 adds gets the average of the others.
    """
    if not staff_ids:
        return {}
    key = f"quality:{brand.pk}"
    known: dict[int, int] = cache.get(key) or {}
    if staff_ids <= known.keys():
        return known
    since = clock.now() - timedelta(days=QUALITY_DAYS)
    rows = (
        Follow.objects.filter(staff__in=staff_ids, added_at__gte=since)
        .values_list("staff_id")
        .annotate(n=Count("pk"), stayed=Count("pk", filter=Q(ended_at=None)))
        .order_by()
    )
    ratios = {staff_id: stayed / n for staff_id, n, stayed in rows if n >= QUALITY_MIN}
    average = sum(ratios.values()) / len(ratios) if ratios else 1.0
    known |= {s: max(1, round(10 * ratios.get(s, average))) for s in staff_ids}
    cache.set(key, known, 3600)
    return known
