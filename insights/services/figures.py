"""What the overview shows: sums over days, the day so far, totals; within the data scope of the reader."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.cache import cache
from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from contacts.models import Contact, Event, EventType, Follow
from insights.models import DailyFigure
from livecodes.models import ChannelCode
from org.models import Scope, Staff
from scrm import clock
from tenants.models import Brand

ADDED = Sum("n_added")
LOST = Sum(F("n_lost_by_customer") + F("n_lost_by_staff") + F("n_gone"))
LOSSES = [EventType.LOST_BY_CUSTOMER, EventType.LOST_BY_STAFF, EventType.GONE]
ADDS = [EventType.ADDED, EventType.ADDED_AGAIN]
TOTALS_LIFE_S = 900
SCOPE_TOTALS_LIFE_S = 60


@dataclass(frozen=True)
class Day:
    """Added and lost relations of a day of the brand's zone."""

    on: date
    n_added: int = 0
    n_lost: int = 0

    @property
    def net(self) -> int:
        return self.n_added - self.n_lost


@dataclass(frozen=True)
class Part:
    """Added and lost relations of one channel code or one guide; `key` 0 stands for none."""

    key: int
    name: str
    n_added: int
    n_lost: int


@dataclass(frozen=True)
class Figures:
    """A period: one Day for each date in it, the strongest codes and guides first."""

    days: list[Day] = field(default_factory=list)
    by_code: list[Part] = field(default_factory=list)
    by_staff: list[Part] = field(default_factory=list)

    @property
    def n_added(self) -> int:
        return sum(day.n_added for day in self.days)

    @property
    def n_lost(self) -> int:
        return sum(day.n_lost for day in self.days)


def figures(brand: Brand, since: date, until: date, *, staff: Staff | None = None, top: int = 10) -> Figures:
    """Figures of the days `since` … `until`, both counted, of the guides that `staff` sees (None: all)."""
    rows = _mine(DailyFigure.objects.filter(on__gte=since, on__lte=until), staff, "staff_id")
    by_day = {row["on"]: row for row in rows.values("on").annotate(added=ADDED, lost=LOST).order_by()}
    days = []
    for n in range((until - since).days + 1):
        on = since + timedelta(days=n)
        row = by_day.get(on, {})
        days.append(Day(on, row.get("added", 0), row.get("lost", 0)))
    codes = _parts(rows, "code_id", top)
    guides = _parts(rows, "staff_id", top)
    code_names = dict(
        ChannelCode.objects.filter(pk__in=[c["code_id"] for c in codes]).values_list("pk", "name")
    )
    names = dict(Staff.objects.filter(pk__in=[s["staff_id"] for s in guides]).values_list("pk", "name"))
    return Figures(
        days,
        [
            Part(c["code_id"], code_names.get(c["code_id"], _("No code")), c["added"], c["lost"])
            for c in codes
        ],
        [Part(s["staff_id"], names.get(s["staff_id"], "—"), s["added"], s["lost"]) for s in guides],
    )


def _parts(rows: QuerySet, key: str, top: int) -> list[dict[str, Any]]:
    return list(rows.values(key).annotate(added=ADDED, lost=LOST).order_by("-added", key)[:top])


def sees_all(staff: Staff | None) -> bool:
    return staff is None or staff.sees_brand


def _mine(rows: QuerySet, staff: Staff | None, name: str) -> QuerySet:
    """Rows of the guides whom `staff` may see; `name` is the column with the guide's id."""
    if staff is None or sees_all(staff):
        return rows
    if staff.role is None or staff.role.scope == Scope.OWN:
        return rows.filter(**{name: staff.pk})
    # a list instead of a subquery: the plan then knows how many there are
    ids = list(Staff.objects.visible_to(staff).values_list("pk", flat=True))
    return rows.filter(**{f"{name}__in": ids})


@dataclass(frozen=True)
class Today:
    """The day so far, and yesterday until the same time of day."""

    n_added: int
    n_lost: int
    n_added_before: int
    n_lost_before: int

    @property
    def net(self) -> int:
        return self.n_added - self.n_lost

    @property
    def added_trend(self) -> int:
        return self.n_added - self.n_added_before

    @property
    def lost_trend(self) -> int:
        return self.n_lost - self.n_lost_before

    @property
    def net_trend(self) -> int:
        return self.added_trend - self.lost_trend


def today(brand: Brand, *, staff: Staff | None = None) -> Today:
    """Straight from the events, so that it moves with every arrival."""
    zone, now = ZoneInfo(brand.timezone), clock.now()
    local = now.astimezone(zone)
    start = datetime.combine(local.date(), time.min, zone).astimezone(UTC)
    start_before = datetime.combine(local.date() - timedelta(days=1), time.min, zone).astimezone(UTC)
    before = start_before + (now - start)
    rows = Event.objects.filter(type__in=[*ADDS, *LOSSES], at__gte=start_before, at__lte=now)
    day, earlier = Q(at__gte=start), Q(at__lt=min(before, start))
    found = _mine(rows, staff, "staff_id").aggregate(
        added=Count("pk", filter=day & Q(type__in=ADDS)),
        lost=Count("pk", filter=day & Q(type__in=LOSSES)),
        added_before=Count("pk", filter=earlier & Q(type__in=ADDS)),
        lost_before=Count("pk", filter=earlier & Q(type__in=LOSSES)),
    )
    return Today(found["added"], found["lost"], found["added_before"], found["lost_before"])


@dataclass(frozen=True)
class Totals:
    """People now: all whom the brand knows, and those whom at least one guide can write to."""

    n_contacts: int
    n_reachable: int

    @property
    def reachable_percent(self) -> str:
        return f"{100 * self.n_reachable / self.n_contacts:.1f}%" if self.n_contacts else "—"


def count_totals(brand: Brand, staff: Staff | None = None) -> Totals:
    """Contacts now, and those whom a guide can reach, counted on the spot.

    A smaller scope is counted by its guides' relations: asking each contact whether it is theirs takes seconds.
    """
    if staff is None or sees_all(staff):
        found = Contact.objects.aggregate(n=Count("pk"), reachable=Count("pk", filter=Q(n_follows__gt=0)))
    else:
        live = Q(ended_at=None, is_pending=False)
        found = _mine(Follow.objects.all(), staff, "staff_id").aggregate(
            n=Count("contact_id", distinct=True), reachable=Count("contact_id", distinct=True, filter=live)
        )
    return Totals(found["n"], found["reachable"])


def keep_totals(brand: Brand, staff: Staff | None = None) -> Totals:
    """Count and remember for the pages; the health check does so for the whole brand each minute."""
    found = count_totals(brand, staff)
    life_s = TOTALS_LIFE_S if sees_all(staff) else SCOPE_TOTALS_LIFE_S
    cache.set(_key(brand, staff), [found.n_contacts, found.n_reachable], life_s)
    return found


def totals(brand: Brand, *, staff: Staff | None = None) -> Totals:
    """Totals for a page, as they were a minute ago at most."""
    kept = cache.get(_key(brand, staff))
    return Totals(*kept) if kept else keep_totals(brand, staff)


def _key(brand: Brand, staff: Staff | None) -> str:
    """One entry per brand and data scope."""
    if staff is None or sees_all(staff):
        return f"insights:{brand.pk}:totals"
    place = {Scope.REGION: staff.region_id, Scope.STORE: staff.store_id}.get(Scope(staff.scope))
    return f"insights:{brand.pk}:totals:{staff.scope}:{place or f'staff-{staff.pk}'}"


def arrival_key(follow: Follow) -> str:
    """What makes a row of the list of arrivals one: a relation that is opened again is a new row."""
    return f"{follow.pk}-{int(follow.added_at.timestamp())}"


def newest(brand: Brand, *, staff: Staff | None = None, n: int = 12) -> list[Follow]:
    """The latest arrivals, newest first, with contact and guide; `code_name` is set on each."""
    rows = _mine(Follow.objects.select_related("contact", "staff"), staff, "staff_id")
    found = list(rows.order_by("-added_at", "-pk")[:n])
    ids = {follow.channel_code_id for follow in found if follow.channel_code_id}
    names = dict(ChannelCode.objects.filter(pk__in=ids).values_list("pk", "name")) if ids else {}
    for follow in found:
        follow.code_name = names.get(follow.channel_code_id, "")
    return found
